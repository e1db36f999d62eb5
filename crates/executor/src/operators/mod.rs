//! The operators, one file each; and what several of them share.

mod append;
mod common_table;
mod feed;
mod fetch;
mod filter;
mod limit;
mod locking;
mod order;
mod project;
mod recursive_union;
mod row_set;
mod spans;
mod table_scan;
mod values;

pub(crate) use append::AppendNode;
pub(crate) use common_table::{CommonTable, CteScanNode, PreparedTable, WithNode};
pub(crate) use feed::FeedNode;
pub(crate) use fetch::{Fetch, decode_block};
pub(crate) use filter::FilterNode;
pub(crate) use limit::LimitNode;
pub(crate) use locking::{row_locking, word_lock_error};
pub(crate) use project::ProjectNode;
pub(crate) use recursive_union::{RecursiveUnionNode, WorkTable, WorkTableScanNode};
pub(crate) use row_set::{RowSet, hash_rows};
pub(crate) use spans::{KeyRanges, SpanSet};
pub(crate) use table_scan::TableScanNode;
pub(crate) use values::ValuesNode;
