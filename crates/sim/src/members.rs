//! Nodes come and go, and their disks fill up.

use std::time::Duration;

use kvapi::membership::Standing;

use crate::machine::{Machine, Part};
use crate::run::Run;

/// So many nodes stay.
const MEMBERS_MIN: usize = 3;
/// How long the disk of one of several nodes stays full, at most.
const FULL_MS_MAX: u64 = 1_500;

impl Run<'_> {
    /// Of machines that are members for good, the positions.
    pub fn staying(&self) -> Vec<usize> {
        let all = self.machines.iter().enumerate();
        all.filter(|(_, machine)| machine.part == Part::Member).map(|(index, _)| index).collect()
    }

    pub fn change_members(&mut self) {
        let spares: Vec<usize> = self.positions(|machine| machine.part == Part::Spare);
        let staying = self.staying();
        if !spares.is_empty() && (staying.len() <= MEMBERS_MIN || self.prng.chance(0.5)) {
            let index = spares[0];
            self.journal.note(format_args!("node {} joins", index + 1));
            self.machines[index].join();
        } else if staying.len() > MEMBERS_MIN {
            let index = staying[self.prng.index(staying.len())];
            self.journal.note(format_args!("node {} is to leave", index + 1));
            self.machines[index].part = Part::Leaving;
            self.set_standing(index, Standing::Decommissioning);
        }
    }

    fn positions(&self, is_one: impl Fn(&Machine) -> bool) -> Vec<usize> {
        let all = self.machines.iter().enumerate();
        all.filter(|(_, machine)| is_one(machine)).map(|(index, _)| index).collect()
    }

    fn set_standing(&self, index: usize, standing: Standing) {
        if let Some(wires) = &self.wires {
            wires.change_node(self.machines[index].identity.node, |info| info.standing = standing);
        }
    }

    /// Whether no leaseholder counts on the node any more.
    fn is_empty(&self, index: usize) -> bool {
        let store = self.machines[index].identity.store;
        let leased = self.leased();
        !leased.is_empty() && leased.values().all(|range| range.replica_on(store).is_none())
    }

    /// Nodes that hold nothing any more go.
    pub fn let_go(&mut self) {
        for index in self.positions(|machine| machine.part == Part::Leaving) {
            // Each range has a leaseholder now and then only: a moment at which all have tells nothing of others.
            if !self.whole_keyspace_is_leased() || !self.is_empty(index) || !self.machines[index].is_up() {
                continue;
            }
            self.journal.note(format_args!("node {} has left", index + 1));
            self.machines[index].crash(&mut self.prng);
            self.machines[index].part = Part::Left;
            self.set_standing(index, Standing::Decommissioned);
        }
    }

    /// Nodes that are to leave and still hold something, and what.
    pub fn lingering(&self) -> Vec<String> {
        let leased = self.leased();
        let leaving = self.positions(|machine| machine.part == Part::Leaving);
        let held = leaving.into_iter().flat_map(|index| {
            let store = self.machines[index].identity.store;
            let held = leased.values().filter(move |range| range.replica_on(store).is_some());
            held.map(move |range| format!("node {} is to leave, and holds {range:?}", index + 1))
        });
        held.collect()
    }

    // ---- full disks ---------------------------------------------------------------------------------

    /// A node's disk is full for a while.
    pub fn fill_one(&mut self) {
        let index = self.prng.index(self.machines.len());
        if !self.machines[index].is_up() || self.machines[index].is_excused {
            return;
        }
        let millis = self.prng.range(1..FULL_MS_MAX);
        self.journal.note(format_args!("the disk of node {} is full for {millis} ms", index + 1));
        self.machines[index].is_excused = true;
        self.machines[index].disk.set_full(true);
        self.emptied.push((self.simulation.now() + Duration::from_millis(millis), index));
    }

    /// There is room again, and a node that has given up is started again.
    pub fn empty_disks(&mut self, due: impl Fn(Duration) -> bool) {
        let (now_due, later) = self.emptied.iter().partition(|(at, _)| due(*at));
        self.emptied = later;
        let now_due: Vec<(Duration, usize)> = now_due;
        for (_, index) in now_due {
            let machine = &mut self.machines[index];
            machine.disk.set_full(false);
            machine.is_excused = false;
            // Whoever is only starting may have met the full disk already.
            if machine.is_up() && (machine.has_failed() || !machine.is_serving()) {
                self.crashes += 1;
                machine.crash(&mut self.prng);
                machine.restart();
            }
        }
    }
}
