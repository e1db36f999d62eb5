//! Where the time of one statement goes, on all nodes that work for it.
//!
//! A statement that is traced has a [`Recording`]. Its work runs within spans of the crate `tracing`, which know their parent by themselves, across calls and
//! tasks of one thread or another; the [`layer`] of the subscriber turns them into records. What another node does for it is recorded there, under the same
//! trace id, and comes back with the answer.
//!
//! ```text
//!   gateway   Recording::root ─▶ span("send to node 2") ─▶ current() ─▶ the request carries the trace id
//!                                                                            │
//!   node 2                         Recording::root ─▶ span("lock wait") ...  │ finish() ─▶ records in the answer ─▶ Place::adopt
//! ```
//!
//! # What it costs
//!
//! Nobody traced: one relaxed load wherever a span would begin ([`is_on`]), and nothing is formatted, allocated or entered. While any statement of the process is
//! traced, the others pay a look at a thread-local more.
//!
//! Log lines written within a traced statement carry its trace id, on every node, because they are within the span of its root.
//!
//! Bounds: [`RECORDS_MAX`] records of [`TEXT_BYTES_MAX`] bytes; what is more is counted and left out.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanData};

use crate::Env;

/// Records of one recording.
pub const RECORDS_MAX: usize = 4_096;
/// What a record says is cut here, in bytes.
pub const TEXT_BYTES_MAX: usize = 240;
/// The target of the spans of roots. They say the trace id: log lines show them.
pub const ROOT_TARGET: &str = "meridian::trace";
/// The target of all other spans. Log lines do not show them.
pub const STEP_TARGET: &str = "meridian::trace_step";

/// Recordings under way in this process.
static RECORDINGS: AtomicUsize = AtomicUsize::new(0);

/// Whether anything is traced in this process. One relaxed load.
#[inline]
pub fn is_on() -> bool {
    RECORDINGS.load(Ordering::Relaxed) > 0
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The position of what it is a part of, which comes before it; `None`: the root.
    pub parent: Option<u32>,
    pub node: u32,
    pub what: String,
    /// Since the root began.
    pub began: Duration,
    pub took: Duration,
}

/// The records of one piece of work on one node: of a statement, or of a request for it.
///
/// - parents come before their parts.
pub struct Recording {
    env: Arc<dyn Env>,
    id: u64,
    node: u32,
    began: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    left_out: u64,
    is_over: bool,
}

/// What a finished recording holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Names the trace on every node.
    pub id: u64,
    pub records: Vec<Record>,
    /// Records beyond the bound.
    pub left_out: u64,
}

impl Recording {
    /// Begins a recording. With an id it is a part of a trace that has begun elsewhere.
    pub fn begin(env: &Arc<dyn Env>, node: u32, id: Option<u64>) -> Arc<Recording> {
        RECORDINGS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Recording {
            env: env.clone(),
            id: id.unwrap_or_else(|| env.entropy()),
            node,
            began: env.monotonic(),
            state: Mutex::default(),
        })
    }

    /// The span that all work to be recorded runs within. Without the [`layer`] nothing is.
    pub fn root(self: &Arc<Self>, what: &str) -> Span {
        HANDED.with(|handed| *handed.borrow_mut() = Some(self.clone()));
        let span = tracing::info_span!(
            target: ROOT_TARGET, parent: None, "traced", trace = %TraceId(self.id), what = tracing::field::Empty
        );
        // Nobody took it: there is no layer.
        if HANDED.with(|handed| handed.borrow_mut().take()).is_none() {
            self.state.lock().records.first_mut().expect("the layer made the root").what =
                cut(what.to_string());
        }
        span
    }

    /// Ends the recording: what is still going on ends now, and what begins later is not recorded.
    pub fn finish(&self) -> Finished {
        let now = self.now();
        let mut state = self.state.lock();
        state.is_over = true;
        let mut records = std::mem::take(&mut state.records);
        for record in records.iter_mut().filter(|record| record.took == GOING_ON) {
            record.took = now.saturating_sub(record.began);
        }
        Finished { id: self.id, records, left_out: state.left_out }
    }

    /// Since the recording began.
    fn now(&self) -> Duration {
        self.env.monotonic().saturating_sub(self.began)
    }

    fn add(&self, record: Record) -> Option<u32> {
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        if state.records.len() >= RECORDS_MAX {
            state.left_out += 1;
            return None;
        }
        state.records.push(record);
        Some(state.records.len() as u32 - 1)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("id", &TraceId(self.id)).finish_non_exhaustive()
    }
}

/// How long what has not ended has taken.
const GOING_ON: Duration = Duration::MAX;

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

/// A trace id as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a recording, under which something can be entered.
#[derive(Clone, Debug)]
pub struct Place {
    recording: Arc<Recording>,
    index: u32,
}

impl Place {
    pub fn trace_id(&self) -> u64 {
        self.recording.id
    }

    /// Since the recording began.
    pub fn now(&self) -> Duration {
        self.recording.now()
    }

    /// Enters something that began at a time told by [`Place::now`] and ends now.
    pub fn record(&self, what: &str, began: Duration) {
        let took = self.now().saturating_sub(began);
        self.enter(what.to_string(), began, took);
    }

    fn enter(&self, what: String, began: Duration, took: Duration) -> Option<u32> {
        let (parent, node) = (Some(self.index), self.recording.node);
        self.recording.add(Record { parent, node, what: cut(what), began, took })
    }

    /// Takes in what another node has recorded for a call that began at a time told by [`Place::now`] and has just been answered. Nothing is known of the
    /// difference of clocks: what it took there lies in the middle.
    pub fn adopt(&self, records: Vec<Record>, began: Duration) {
        let Some(root) = records.first() else { return };
        let way = self.now().saturating_sub(began).saturating_sub(root.took) / 2;
        let mut places: Vec<Option<u32>> = Vec::with_capacity(records.len());
        for record in records {
            let parent = match record.parent {
                None => Some(self.index),
                Some(parent) => places.get(parent as usize).copied().flatten(),
            };
            let began = began + way + record.began;
            // What hangs on nothing is of no use.
            let what = cut(record.what);
            places.push(parent.and_then(|parent| {
                self.recording.add(Record { parent: Some(parent), began, what, ..record })
            }));
        }
    }
}

/// Where the present work is in a recording, if it is traced.
pub fn current() -> Option<Place> {
    if !is_on() {
        return None;
    }
    let place = Span::current().with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let span = registry.span_data(id)?;
        let extensions = span.extensions();
        extensions.get::<Place>().cloned()
    });
    place.flatten()
}

/// A span of the present work if it is traced; else one that does nothing. `what` is called in the first case only.
#[inline]
pub fn span<T: fmt::Display>(what: impl FnOnce() -> T) -> Span {
    if !is_on() { Span::none() } else { begin_span(what) }
}

#[cold]
fn begin_span<T: fmt::Display>(what: impl FnOnce() -> T) -> Span {
    if current().is_none() {
        return Span::none();
    }
    tracing::info_span!(target: STEP_TARGET, "step", what = %what())
}

thread_local! {
    /// A recording on its way to the layer, which makes its root.
    static HANDED: RefCell<Option<Arc<Recording>>> = const { RefCell::new(None) };
}

/// What records spans, beside whatever writes log lines. It sees spans of traces alone.
pub fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_ours = |metadata: &tracing::Metadata<'_>| {
        metadata.is_span() && matches!(metadata.target(), ROOT_TARGET | STEP_TARGET)
    };
    Recorder.with_filter(filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO))
}

struct Recorder;

/// Finds what a span says.
struct What(String);

impl Visit for What {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "what" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut what = What(String::new());
        attributes.record(&mut what);
        let handed = match attributes.metadata().target() {
            ROOT_TARGET => HANDED.with(|handed| handed.borrow_mut().take()),
            _ => None,
        };
        let (recording, parent) = match handed {
            Some(recording) => (recording, None),
            None => {
                let Some(parent) = span.parent() else { return };
                let extensions = parent.extensions();
                let Some(Place { recording, index }) = extensions.get::<Place>().cloned() else { return };
                (recording, Some(index))
            }
        };
        let (node, began) = (recording.node, recording.now());
        let record = Record { parent, node, what: cut(what.0), began, took: GOING_ON };
        if let Some(index) = recording.add(record) {
            span.extensions_mut().insert(Place { recording, index });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Place { recording, index }) = span.extensions_mut().remove::<Place>() else { return };
        let now = recording.now();
        if let Some(record) = recording.state.lock().records.get_mut(index as usize) {
            record.took = now.saturating_sub(record.began);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::RealEnv;

    fn lines(finished: &Finished) -> Vec<(Option<u32>, u32, &str)> {
        let line = |record: &'_ Record| (record.parent, record.node);
        finished.records.iter().map(|record| (line(record).0, line(record).1, &*record.what)).collect()
    }

    #[tokio::test]
    async fn what_runs_within_a_traced_statement_is_recorded_across_nodes_and_nothing_else_is() {
        let subscriber = tracing_subscriber::registry().with(layer());
        let _guard = tracing::subscriber::set_default(subscriber);
        let env: Arc<dyn Env> = RealEnv::new();
        let recording = Recording::begin(&env, 1, None);
        let never = |()| -> &str { unreachable!("it is not traced") };
        assert!(span(|| never(())).is_none() && current().is_none(), "this is not within it");
        let work = async {
            async { env.sleep(Duration::from_millis(2)).await }.instrument(span(|| "latches")).await;
            let call = span(|| "ask node 2");
            async {
                let place = current().expect("it is traced");
                let began = place.now();
                // As the other node does it.
                let there = Recording::begin(&env, 2, Some(place.trace_id()));
                let root = there.root("get");
                let step = root.in_scope(|| span(|| "read"));
                drop(step);
                drop(root);
                let told = there.finish();
                assert_eq!(told.id, place.trace_id());
                place.adopt(told.records, began);
                place.record("log write", began);
            }
            .instrument(call)
            .await;
        };
        work.instrument(recording.root("SELECT 1")).await;
        let finished = recording.finish();
        let expected = [
            (None, 1, "SELECT 1"),
            (Some(0), 1, "latches"),
            (Some(0), 1, "ask node 2"),
            (Some(2), 2, "get"),
            (Some(3), 2, "read"),
            (Some(2), 1, "log write"),
        ];
        assert_eq!(lines(&finished), expected);
        assert!(finished.records.iter().all(|record| record.took < Duration::from_secs(60)));
        assert!(finished.records[0].took >= finished.records[1].took);
        assert!(finished.records[1].took >= Duration::from_millis(2));
        drop(span(|| "later"));
        assert!(recording.finish().records.is_empty());
    }

    #[tokio::test]
    async fn a_recording_has_bounds() {
        let subscriber = tracing_subscriber::registry().with(layer());
        let _guard = tracing::subscriber::set_default(subscriber);
        let env: Arc<dyn Env> = RealEnv::new();
        let recording = Recording::begin(&env, 1, Some(7));
        let root = recording.root("é".repeat(TEXT_BYTES_MAX).as_str());
        root.in_scope(|| (0..RECORDS_MAX + 9).for_each(|number| drop(span(|| number))));
        drop(root);
        let finished = recording.finish();
        assert_eq!((finished.records.len(), finished.left_out), (RECORDS_MAX, 10));
        assert!(finished.records[0].what.len() <= TEXT_BYTES_MAX + '…'.len_utf8());
    }

    #[tokio::test]
    async fn without_a_layer_nothing_is_recorded() {
        let env: Arc<dyn Env> = RealEnv::new();
        let recording = Recording::begin(&env, 1, None);
        let root = recording.root("SELECT 1");
        assert!(root.in_scope(|| span(|| "step")).is_none());
        assert!(recording.finish().records.is_empty());
    }
}
