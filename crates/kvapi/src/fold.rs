//! Programs that travel with a read: what is made of its rows where they lie.
//!
//! A [`crate::FoldRequest`] is a scan with a program, a [`crate::ProbeRequest`] are many lookups with one. The range reads as for any scan, gives the rows to the program, a block at a time,
//! and answers with what the program has made of them instead of the rows. What a program is, and what its answer, is known to those who
//! send and who run it: to this crate and to the store both are bytes. So a filter or a partial sum of SQL runs below the layer that
//! knows SQL.

use crate::KvBlock;

/// Whether a program wants more rows of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    /// The answer is as large as it should become, or holds all that is asked for, or an error. The page ends behind the block.
    Enough,
}

/// A program at work on one page.
///
/// - Blocks come in the order of the scan. An error of the program's own is part of its answer.
pub trait Fold: Send {
    /// Takes rows. After [`Progress::Enough`] no more come.
    fn feed(&mut self, rows: &KvBlock) -> Progress;

    /// Takes rows that were found for keys asked for: row `i` belongs to the key at position `asked[i]` of the request. Rows without value
    /// were not found. A program takes either these or those of [`Fold::feed`].
    fn feed_found(&mut self, rows: &KvBlock, asked: &[u32]) -> Progress;

    /// The answer.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// A program that this node does not run: of another version, with a function that is not known here. The sender reads the rows itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program is not understood: {reason}")]
pub struct Refused {
    pub reason: String,
}

/// Runs programs.
pub trait Processor: Send + Sync {
    /// Begins a program on a page. The bytes come from another node.
    fn open(&self, program: &[u8]) -> Result<Box<dyn Fold>, Refused>;
}
