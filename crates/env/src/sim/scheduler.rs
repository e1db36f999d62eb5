//! The scheduler: tasks, the runnable list, one step.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::Mutex;
use stdx::Prng;
use stdx::hash::Fingerprint;

use super::timers::Timers;
use crate::{BoxFuture, TaskEnd};

/// Virtual time that one poll of a task takes. It keeps clocks moving, so that a loop that waits for a clock ends.
const STEP: Duration = Duration::from_micros(1);

pub(super) type TaskId = u64;
pub(super) type MachineId = u32;

/// The state shared by all machines of a simulation.
///
/// Lock order: `state` is the innermost lock. No future is polled or dropped, and no waker woken or dropped,
/// while it is held: each of these runs foreign code that comes back here.
pub(super) struct Scheduler {
    pub(super) state: Mutex<State>,
}

/// - A task is in `runnable` at most once, and only while it is in `tasks`.
/// - `now` never goes back.
pub(super) struct State {
    pub(super) now: Duration,
    pub(super) timers: Timers,
    pub(super) lane_delay: std::ops::Range<Duration>,
    /// How likely a thread may block, where it asks.
    pub(super) blocking_chance: f64,
    next_machine: MachineId,
    /// Machines that have crashed.
    dead: BTreeSet<MachineId>,
    choice: Prng,
    tasks: BTreeMap<TaskId, Entry>,
    runnable: Vec<TaskId>,
    next_task: TaskId,
    trace: Fingerprint,
    steps: u64,
    /// The thread that drives the run: a wake from any other one would not be repeatable.
    running_on: Option<ThreadId>,
    foreign_wake: bool,
    /// A lane job panicked: the machine cannot go on, the run fails.
    pub(super) fatal: Option<String>,
}

struct Entry {
    name: &'static str,
    machine: MachineId,
    /// Away while the task is being polled.
    future: Option<BoxFuture<'static, ()>>,
    queued: bool,
    aborted: bool,
    waker: Waker,
    task: Arc<SimTask>,
}

/// What one step did.
pub(super) enum Step {
    Polled,
    /// Nothing is runnable; the next timer, if there is one, fires then.
    Idle(Option<Duration>),
}

/// The part of a task that its handle shares.
pub(crate) struct SimTask {
    id: TaskId,
    scheduler: Weak<Scheduler>,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    end: Option<TaskEnd>,
    waiter: Option<Waker>,
}

struct TaskWaker {
    id: TaskId,
    scheduler: Weak<Scheduler>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.state.lock().make_runnable(self.id);
        }
    }
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Arc<Scheduler> {
        Arc::new(Scheduler {
            state: Mutex::new(State {
                now: Duration::ZERO,
                timers: Timers::default(),
                lane_delay: Duration::from_micros(20)..Duration::from_micros(500),
                blocking_chance: 0.0,
                next_machine: 0,
                dead: BTreeSet::new(),
                choice: Prng::new(seed),
                tasks: BTreeMap::new(),
                runnable: Vec::new(),
                next_task: 0,
                trace: Fingerprint::new(),
                steps: 0,
                running_on: None,
                foreign_wake: false,
                fatal: None,
            }),
        })
    }

    pub(super) fn add_machine(&self) -> MachineId {
        let mut state = self.state.lock();
        let machine = state.next_machine;
        state.next_machine += 1;
        machine
    }

    pub(super) fn machine_count(&self) -> MachineId {
        self.state.lock().next_machine
    }

    /// Until the guard is dropped, the calling thread alone may wake tasks.
    pub(super) fn enter(&self) -> Entered<'_> {
        self.state.lock().running_on = Some(std::thread::current().id());
        Entered(self)
    }

    /// Adds a task; it runs at some later step.
    pub(super) fn add(
        self: &Arc<Self>,
        machine: MachineId,
        name: &'static str,
        future: BoxFuture<'static, ()>,
    ) -> Arc<SimTask> {
        let mut state = self.state.lock();
        let id = state.next_task;
        state.next_task += 1;
        let scheduler = Arc::downgrade(self);
        let task = Arc::new(SimTask { id, scheduler: scheduler.clone(), outcome: Mutex::default() });
        let entry = Entry {
            name,
            machine,
            future: Some(future),
            queued: false,
            aborted: false,
            waker: Waker::from(Arc::new(TaskWaker { id, scheduler })),
            task: Arc::clone(&task),
        };
        state.tasks.insert(id, entry);
        state.make_runnable(id);
        task
    }

    /// Fires due timers, draws a runnable task and polls it once.
    ///
    /// Panics when something outside the simulation woke a task, or a lane job panicked: the run is worthless.
    pub(super) fn step(&self) -> Step {
        self.fire_timers();
        let (id, mut future, waker) = {
            let mut state = self.state.lock();
            state.check_sound();
            let Some((id, future, waker)) = state.draw() else {
                return Step::Idle(state.timers.next_deadline());
            };
            (id, future, waker)
        };
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        let end = match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(())) => Some(TaskEnd::Finished),
            Err(_) => Some(TaskEnd::Panicked),
        };
        self.put_back(id, future, end);
        Step::Polled
    }

    /// Ends a poll: keeps the future of a pending task, buries that of an ended one.
    fn put_back(&self, id: TaskId, future: BoxFuture<'static, ()>, end: Option<TaskEnd>) {
        let mut state = self.state.lock();
        state.now += STEP;
        let entry = state.tasks.get_mut(&id).expect("a task that is being polled is not removed");
        let end = end.or(entry.aborted.then_some(TaskEnd::Aborted));
        let Some(end) = end else {
            entry.future = Some(future);
            return;
        };
        let entry = state.remove(id).expect("it was there a moment ago");
        drop(state);
        bury(future);
        entry.task.finish(end);
    }

    /// Drops every task of a machine, as a crash of its process does. The task being polled, if it is one of
    /// them, ends when its poll returns.
    pub(super) fn kill_machine(&self, machine: MachineId) {
        let mut killed = Vec::new();
        {
            let mut state = self.state.lock();
            state.dead.insert(machine);
            let ids: Vec<TaskId> =
                state.tasks.iter().filter(|(_, entry)| entry.machine == machine).map(|(id, _)| *id).collect();
            killed.extend(ids.into_iter().filter_map(|id| state.detach(id)));
        }
        killed.into_iter().for_each(Entry::end_aborted);
    }

    fn abort(&self, id: TaskId) {
        let killed = self.state.lock().detach(id);
        if let Some(entry) = killed {
            entry.end_aborted();
        }
    }

    fn fire_timers(&self) {
        loop {
            let due = {
                let mut state = self.state.lock();
                let now = state.now;
                state.timers.pop_due(now)
            };
            match due {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }

    pub(super) fn is_dead(&self, machine: MachineId) -> bool {
        self.state.lock().dead.contains(&machine)
    }

    /// Time passes within a step: what falls due meanwhile is late.
    pub(super) fn advance_by(&self, duration: Duration) {
        self.state.lock().now += duration;
    }

    pub(super) fn advance_to(&self, time: Duration) {
        let mut state = self.state.lock();
        state.now = state.now.max(time);
    }

    pub(super) fn trace(&self) -> u64 {
        self.state.lock().trace.value()
    }

    pub(super) fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// The names of all live tasks with their machine: to see what a stalled simulation waits for.
    pub(super) fn task_names(&self) -> Vec<(MachineId, &'static str)> {
        self.state.lock().tasks.values().map(|entry| (entry.machine, entry.name)).collect()
    }
}

pub(super) struct Entered<'a>(&'a Scheduler);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running_on = None;
    }
}

impl State {
    fn make_runnable(&mut self, id: TaskId) {
        if self.running_on.is_some_and(|thread| thread != std::thread::current().id()) {
            self.foreign_wake = true;
        }
        if let Some(entry) = self.tasks.get_mut(&id)
            && !entry.queued
        {
            entry.queued = true;
            self.runnable.push(id);
        }
    }

    /// Draws a runnable task, takes its future, and writes the step into the trace.
    fn draw(&mut self) -> Option<(TaskId, BoxFuture<'static, ()>, Waker)> {
        if self.runnable.is_empty() {
            return None;
        }
        let index = self.choice.index(self.runnable.len());
        let id = self.runnable.swap_remove(index);
        let entry = self.tasks.get_mut(&id).expect("only live tasks are runnable");
        entry.queued = false;
        let future = entry.future.take().expect("a task is polled by one step at a time");
        let waker = entry.waker.clone();
        self.trace.bytes(entry.name.as_bytes());
        self.trace.number(id);
        self.trace.number(self.now.as_nanos() as u64);
        self.steps += 1;
        Some((id, future, waker))
    }

    fn remove(&mut self, id: TaskId) -> Option<Entry> {
        let entry = self.tasks.remove(&id)?;
        if entry.queued {
            self.runnable.retain(|runnable| *runnable != id);
        }
        Some(entry)
    }

    /// Removes a task that is not being polled; marks the one that is.
    fn detach(&mut self, id: TaskId) -> Option<Entry> {
        let entry = self.tasks.get_mut(&id)?;
        if entry.future.is_none() {
            entry.aborted = true;
            return None;
        }
        self.remove(id)
    }

    fn check_sound(&self) {
        if let Some(fatal) = &self.fatal {
            panic!("{fatal}");
        }
        assert!(
            !self.foreign_wake,
            "a thread outside the simulation woke a task: something escaped the seams, no seed repeats this run"
        );
    }
}

impl Entry {
    fn end_aborted(mut self) {
        if let Some(future) = self.future.take() {
            bury(future);
        }
        self.task.finish(TaskEnd::Aborted);
    }
}

/// Drops a future; a panic in one of its destructors is reported by the panic hook and ends here.
fn bury(future: BoxFuture<'static, ()>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

impl SimTask {
    pub(crate) fn abort(&self) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.abort(self.id);
        }
    }

    pub(crate) fn end(&self) -> Option<TaskEnd> {
        self.outcome.lock().end
    }

    pub(crate) fn poll_end(&self, context: &mut Context<'_>) -> Poll<TaskEnd> {
        let mut outcome = self.outcome.lock();
        match outcome.end {
            Some(end) => Poll::Ready(end),
            None => {
                outcome.waiter = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// A task of a machine that had crashed before: it never was.
    pub(super) fn stillborn() -> Arc<SimTask> {
        let outcome = Outcome { end: Some(TaskEnd::Aborted), waiter: None };
        Arc::new(SimTask { id: TaskId::MAX, scheduler: Weak::new(), outcome: Mutex::new(outcome) })
    }

    fn finish(&self, end: TaskEnd) {
        let waiter = {
            let mut outcome = self.outcome.lock();
            outcome.end.get_or_insert(end);
            outcome.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}
