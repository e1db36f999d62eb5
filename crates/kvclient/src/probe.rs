//! Probes: many keys, or all that begins with many prefixes, read by a program where they lie, a range and a page at a time.

use keys::Key;
use kvapi::{KeyBlock, KvError, NodeId, ProbeRequest};

use crate::Txn;

/// A probe in progress: a position, no resources.
///
/// - Own writes know nothing of its keys ([`Txn::own_among`]).
pub struct Probe {
    keys: KeyBlock,
    are_prefixes: bool,
    program: Vec<u8>,
    /// Keys before this one are through, and of it, if it is a prefix, the keys before `from`.
    next: usize,
    from: Key,
    /// The transaction knows that the keys from `next` on are read.
    entered: bool,
}

/// A page of a probe.
#[derive(Debug)]
pub enum Probed {
    Answer(ProbedPage),
    /// What begins with the prefix at this position does not lie in one range: it must be read otherwise, as far as it is not through. The probe
    /// goes on behind it.
    Divided {
        at: usize,
        from: Key,
    },
    /// The program is not run where the rows lie. Nothing was read.
    Refused {
        reason: String,
    },
}

/// What a program has made of what was found for some of the keys.
#[derive(Debug)]
pub struct ProbedPage {
    pub answer: Vec<u8>,
    /// The position of the first key that was asked for: what positions in the answer count from.
    pub first: usize,
    /// Who has run it.
    pub node: NodeId,
    /// Rows that were read, and their bytes.
    pub rows: u64,
    pub bytes: u64,
}

impl Probe {
    /// `keys` ascend strictly; no prefix begins another.
    pub fn new(keys: KeyBlock, are_prefixes: bool, program: Vec<u8>) -> Probe {
        Probe { keys, are_prefixes, program, next: 0, from: Key::default(), entered: false }
    }

    /// The next page; `None` when all keys are through. Reads at the transaction's snapshot, with what earlier statements have sent.
    pub async fn next_page(&mut self, txn: &Txn) -> Result<Option<Probed>, KvError> {
        if self.next >= self.keys.len() {
            return Ok(None);
        }
        let first = self.next;
        let request = ProbeRequest {
            keys: (first..self.keys.len()).map(|at| self.keys.key(at)).collect(),
            are_prefixes: self.are_prefixes,
            from: self.from.clone(),
            program: self.program.clone(),
        };
        let answer = match txn.probe_page(&request, !self.entered).await {
            Ok(answer) => answer,
            Err(KvError::Invalid { reason }) => return Ok(Some(Probed::Refused { reason })),
            Err(error) => return Err(error),
        };
        self.entered = true;
        let Some(answer) = answer else {
            self.next += 1;
            return Ok(Some(Probed::Divided { at: first, from: std::mem::take(&mut self.from) }));
        };
        let (node, found) = (answer.node, answer.answer);
        self.next += found.probed as usize;
        self.from = found.resume.unwrap_or_default();
        let (rows, bytes) = (found.rows, found.bytes);
        Ok(Some(Probed::Answer(ProbedPage { answer: found.answer, first, node, rows, bytes })))
    }

    /// The keys that are not through, and from where on of the first.
    pub fn rest(&self) -> (std::ops::Range<usize>, &Key) {
        (self.next..self.keys.len(), &self.from)
    }
}
