//! Parts of a statement that run where its rows lie.
//!
//! # What travels
//!
//! A scan of a range whose lease another node holds can take a fragment along: which columns to decode, filters, projections, and what is
//! made of the rows that are left: they come back as they are, or added up to partial states of groups, or only the first of an order.
//! The leaseholder reads as for any scan, runs the fragment over the page and answers with column batches instead of keys and values
//! (`kvapi::fold`, `kvserver::fold`).
//!
//! ```text
//!   gateway                                              leaseholder of a range
//!   -------                                              ----------------------
//!   Aggregate  merges states                             FragmentProcessor: decode, filter, project, group
//!      |                                                     |  blocks of a page
//!   Gather     pieces in key order, several at once          |
//!      |  Scan::next_folded(program)  ----------------->  kvserver::fold  reads part by part
//!      |                              <-----------------  column batches, where it stopped
//!      |  Scan::next_page  (ranges of this node, own writes)
//! ```
//!
//! # Why so, and not otherwise
//!
//! - **No flows that stand by themselves.** The other way to distribute a plan is to start operators on the nodes, which read on their own and
//!   stream to each other. It can do more (joins between nodes), but the nodes' reads must then be put together again into one
//!   transaction: spans to refresh, uncertainty, restarts, retries of ranges that moved. A page of a scan has all of that already. A
//!   range that splits or moves is routed anew between two pages, a lost node is a failed request which the router retries elsewhere,
//!   a dropped future is a cancelled page, and a page not asked for is backpressure.
//! - **Only what gives the same answer.** A fragment holds what depends on nothing but the row: immutable functions, and constants. Whatever
//!   has no column (parameters, `now()`, subqueries' values, settings) is evaluated here and travels as its value. What
//!   depends on the session, the catalog or on luck stays here (`sendable`). States that do not merge exactly (sums of floats) stay here
//!   too: an answer does not depend on where leases happen to be.
//! - **Rows stay in key order**, as if one scan had read them: pieces work at the same time and are given out one after the other.
//!   So LIMIT without ORDER BY, the order of groups, and which of several errors is told, are what they are without all this; an
//!   error behind the rows that a LIMIT wants stays unseen as it would.
//!
//! # Lookups
//!
//! What a scan reads lies together; what is looked up (the right rows of a lookup join, the rows of an index's entries) lies anywhere. A batch of
//! keys is sorted and cut where ranges end, and each piece is one request with a fragment ([`kvapi::ProbeRequest`]), all of them under way
//! at the same time: a batch costs one round trip, where it was one for each range, or, of keys' prefixes, for each of them.
//!
//! ```text
//!   left rows --> keys, sorted --> pieces by range --> Probe(keys, program)  ------>  leaseholders
//!   pairs in the order of the left rows <--- rows, each with its key's position <---
//! ```
//!
//! Locking reads stay as they are. Own writes are again known here alone: keys that they touch are looked up here. In a fragment goes, of a
//! join's condition, what is about the right rows alone; an error in it sends the batch the usual way, so that the error is the one that
//! comes first there.
//!
//! # When
//!
//! When some range of the scan is leased elsewhere, and the fragment leaves out something: rows, columns. Whether there is much to read is not
//! known beforehand; so the first page is read the ordinary way, and a short scan is over then. (It also settles where the
//! transaction reads, before several requests read at once.) Ranges of this node are read here, by the same fragment; if all are, the usual
//! operators do it, which have several tasks for it. Own writes that have not been sent are known here alone: the pages that
//! hold them are read here.
//!
//! | module | what |
//! | --- | --- |
//! | `fragment` | fragments as expressions, and what of a plan becomes one |
//! | `sendable` | which expressions may travel, and values put in place of what has no column |
//! | `codec`, `expression` | the bytes of a fragment; `answer`: those of what comes back |
//! | `run` | a fragment at work |
//! | `processor` | runs fragments of others |
//! | `gather` | the gateway's side of scans: pieces in flight, order, memory |
//! | `source` | which way a scan is read, and the operator in front of it |
//! | `probe` | the gateway's side of lookups |
//! | `fetch`, `rows` | rows of an index's entries; `lookup`: right rows of a join |
//! | `outline` | EXPLAIN: which node does what |

mod answer;
mod codec;
mod expression;
mod fetch;
mod flows;
mod fragment;
mod gather;
mod lookup;
mod outline;
mod probe;
mod processor;
mod rows;
mod run;
mod sendable;
mod source;
#[cfg(test)]
mod tests;

pub use flows::{Flow, Flows};
pub use outline::{Outline, outline};
pub use processor::FragmentProcessor;

pub(crate) use fetch::Pace;
pub(crate) use gather::Gather;
pub(crate) use lookup::{LookedUp, LookupFlow, LookupSource};
pub(crate) use rows::RowSource;
pub(crate) use source::{RemoteNode, RemoteSource, takes_part};

/// Whether parts of statements run on other nodes (the setting `distributed_execution`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    Off,
    /// On those that hold the leases of ranges, if these are others than the own one.
    #[default]
    On,
    /// Fragments are sent to the own node too, from the first page on: for tests.
    Always,
}

/// The version of what travels: fragments, and their answers.
const VERSION: u8 = 1;
