//! Looking rows up by prefixes of an index's key, many at once: from here, or where they lie (see `crate::remote`).

use std::collections::BTreeMap;

use expr::{Expr, Program};
use keys::Span;
use kvclient::{KeyBlock, KvBlock, Locking, ScanOptions};
use planner::plan::LookupJoin;
use types::descriptor::ColumnId;
use types::row::{KeyPrefixEncoder, RowDecoder, RowEncoder};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult, Vector};

use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::Run;
use crate::operators::locking::{lock_rows, row_locking};
use crate::operators::sorter::empty_batch;
use crate::operators::{Fetch, decode_block};
use crate::program::conjunction;
use crate::remote::{LookedUp, LookupFlow, LookupSource};

/// Prepared lookups in one index.
pub(super) struct Lookup {
    relation: Box<str>,
    encoder: KeyPrefixEncoder,
    key_columns: usize,
    whole_key: bool,
    source: Source,
    pub types: Vec<DataType>,
    /// What is asked of the right rows alone.
    filter: Option<Program>,
    lock: Option<Lock>,
    /// `None`: rows are locked.
    pub elsewhere: Option<LookupSource>,
}

enum Source {
    Index(RowDecoder),
    Fetch(Box<Fetch>),
}

/// - `decoder` gives the wanted columns, then those of the index that are not among them.
struct Lock {
    locking: Locking,
    row_keys: Option<Fetch>,
    decoder: RowDecoder,
    index_key: RowEncoder,
    columns: usize,
}

/// Rows found: left row `left_rows[i]` goes with row `right_rows[i]` of `rows`. Rows that are to be locked are each of one pair, and
/// `row_keys[i]` is the primary key of row `i`.
pub(super) struct Found {
    pub rows: Batch,
    pub left_rows: Vec<u32>,
    pub right_rows: Vec<u32>,
    pub row_keys: Vec<Vec<u8>>,
    /// What they hold of the statement's memory.
    pub memory: Vec<Reservation>,
}

impl Found {
    /// Drops the pairs with rows for which the condition, which is about right rows alone, is not true.
    fn sift(&mut self, condition: &Program, run: &Run) -> PgResult<()> {
        let selection = condition.filter(&run.eval(), &self.rows)?;
        if selection.len() == self.rows.rows {
            return Ok(());
        }
        let mut passes = vec![false; self.rows.rows];
        selection.iter().for_each(|row| passes[*row as usize] = true);
        let mut kept = 0;
        for pair in 0..self.right_rows.len() {
            if passes[self.right_rows[pair] as usize] {
                self.left_rows[kept] = self.left_rows[pair];
                self.right_rows[kept] = self.right_rows[pair];
                kept += 1;
            }
        }
        self.left_rows.truncate(kept);
        self.right_rows.truncate(kept);
        Ok(())
    }
}

impl Lookup {
    /// `conditions`: what is asked of the right rows alone, whose columns are counted from 0; of joins that do not lock.
    pub fn new(join: &LookupJoin, conditions: &[Expr]) -> PgResult<Lookup> {
        let (table, index) = (&join.table.descriptor, join.index_descriptor());
        let encoder = KeyPrefixEncoder::new(table, index)?;
        let source = if join.fetch_row {
            Source::Fetch(Box::new(Fetch::new(table, index, &join.columns)?))
        } else {
            Source::Index(RowDecoder::new(table, index, &join.columns)?)
        };
        let types = match &source {
            Source::Index(decoder) => decoder.vectors(0),
            Source::Fetch(fetch) => fetch.decoder().vectors(0),
        };
        let whole_key = join.keys.len() >= encoder.whole_key_columns();
        Ok(Lookup {
            relation: table.name.as_str().into(),
            key_columns: join.keys.len(),
            whole_key,
            encoder,
            filter: conjunction(conditions).as_ref().map(Program::new).transpose()?,
            elsewhere: LookupSource::new(join, whole_key, conditions),
            source,
            types: types.iter().map(|vector| vector.data_type).collect(),
            lock: Lock::new(join)?,
        })
    }

    pub fn locks(&self) -> bool {
        self.lock.is_some()
    }

    /// The key prefix for each left row; `None` when a value is NULL.
    pub fn prefixes(&self, keys: &[Vector], rows: usize) -> PgResult<Vec<Option<Vec<u8>>>> {
        (0..rows)
            .map(|row| {
                if keys.iter().any(|key| key.is_null(row)) {
                    return Ok(None);
                }
                let mut prefix = Vec::with_capacity(48);
                self.encoder.start(&mut prefix);
                for (position, key) in keys.iter().enumerate().take(self.key_columns) {
                    self.encoder.append_from(position, key, row, &mut prefix)?;
                }
                Ok(Some(prefix))
            })
            .collect()
    }

    /// The rows with these prefixes that pass the filter, in the order of the left rows, and within one in index order.
    pub async fn find(
        &self,
        run: &Run,
        flow: Option<&LookupFlow>,
        prefixes: &[Option<Vec<u8>>],
    ) -> ExecResult<Found> {
        if let Some(flow) = flow
            // In a box: the usual way need not make room for it.
            && let Some(found) = Box::pin(self.find_elsewhere(run, flow, prefixes)).await?
        {
            return Ok(found);
        }
        let (entries, left_rows) = if self.whole_key {
            self.entries_by_key(run, prefixes).await?
        } else {
            self.entries_by_prefix(run, prefixes).await?
        };
        let row_keys = match &self.lock {
            None => Vec::new(),
            Some(lock) => match &lock.row_keys {
                None => entries.iter().map(|row| row.key.to_vec()).collect(),
                Some(fetch) => fetch.row_keys(&entries)?.iter().map(<[u8]>::to_vec).collect(),
            },
        };
        let rows = match &self.source {
            Source::Index(decoder) => decode_block(decoder, &entries)?,
            Source::Fetch(fetch) => fetch.rows(&run.context.txn, &entries).await?,
        };
        let right_rows = (0..rows.rows as u32).collect();
        let mut found = Found { rows, left_rows, right_rows, row_keys, memory: Vec::new() };
        if let Some(filter) = &self.filter {
            found.sift(filter, run)?;
        }
        Ok(found)
    }

    /// The same from the nodes where the rows lie.
    async fn find_elsewhere(
        &self,
        run: &Run,
        flow: &LookupFlow,
        prefixes: &[Option<Vec<u8>>],
    ) -> ExecResult<Option<Found>> {
        let Some(found) = flow.find(prefixes).await? else { return Ok(None) };
        let LookedUp { rows, left_rows, right_rows, memory } = found;
        let mut found = Found { rows, left_rows, right_rows, row_keys: Vec::new(), memory };
        if let Some(rest) = self.elsewhere.as_ref().and_then(LookupSource::rest) {
            found.sift(rest, run)?;
        }
        Ok(Some(found))
    }

    async fn entries_by_key(
        &self,
        run: &Run,
        prefixes: &[Option<Vec<u8>>],
    ) -> ExecResult<(KvBlock, Vec<u32>)> {
        let asked = prefixes.iter().enumerate().filter_map(|(row, prefix)| Some((row, prefix.as_ref()?)));
        let (left_rows, keys): (Vec<usize>, Vec<&[u8]>) =
            asked.map(|(row, prefix)| (row, prefix.as_slice())).unzip();
        let block: KeyBlock = keys.into_iter().collect();
        let found = run.context.txn.multi_get(&block, Locking::NONE).await?;
        let mut entries = KvBlock::with_capacity(found.len(), found.byte_size());
        let mut owners = Vec::with_capacity(found.len());
        for (entry, row) in found.iter().zip(left_rows) {
            if entry.value.is_some() {
                entries.push_row(entry);
                owners.push(row as u32);
            }
        }
        Ok((entries, owners))
    }

    /// One scan for each prefix that is asked for.
    async fn entries_by_prefix(
        &self,
        run: &Run,
        prefixes: &[Option<Vec<u8>>],
    ) -> ExecResult<(KvBlock, Vec<u32>)> {
        let mut read: BTreeMap<&[u8], KvBlock> = BTreeMap::new();
        let mut reservation = run.context.memory.reservation();
        for prefix in prefixes.iter().flatten() {
            if read.contains_key(prefix.as_slice()) {
                continue;
            }
            run.pause().await?;
            let mut scan = run.context.txn.scan(ScanOptions::forward(Span::prefix(prefix.clone())));
            let mut block = KvBlock::new();
            while let Some(page) = scan.next_page(&run.context.txn).await? {
                reservation.grow(page.byte_size() as u64)?;
                block.append(&page);
            }
            read.insert(prefix, block);
        }
        let mut entries = KvBlock::new();
        let mut owners = Vec::new();
        for (row, prefix) in prefixes.iter().enumerate() {
            let Some(block) = prefix.as_ref().and_then(|prefix| read.get(prefix.as_slice())) else {
                continue;
            };
            reservation.grow(block.byte_size() as u64)?;
            entries.append(block);
            owners.resize(entries.len(), row as u32);
        }
        Ok((entries, owners))
    }

    /// Locks some of the rows found, each of which `owners` has the left row of, and reads them again. Answers with the rows as locked and, for
    /// each, which it was; those that are gone, skipped, or no longer have the key are left out.
    pub async fn lock(
        &self,
        run: &Run,
        found: &Found,
        owners: &[u32],
        pairs: &[u32],
        prefixes: &[Option<Vec<u8>>],
    ) -> ExecResult<(Batch, Vec<u32>)> {
        let mut rows = empty_batch(&self.types);
        let mut kept = Vec::new();
        let Some(lock) = &self.lock else { return Ok((rows, kept)) };
        for chunk in pairs.chunks(BATCH_ROWS_MAX) {
            let keys: KeyBlock = chunk.iter().map(|pair| found.row_keys[*pair as usize].as_slice()).collect();
            let locked = lock_rows(run, &keys, lock.locking, &self.relation).await?;
            let mut next = 0;
            for (at, pair) in chunk.iter().enumerate() {
                if next >= locked.len() || locked.key(next) != keys.key(at) {
                    continue;
                }
                let value = locked.value(next);
                next += 1;
                let Some(value) = value else { continue };
                let mut columns = lock.decoder.vectors(1);
                lock.decoder.decode(keys.key(at), value, &mut columns)?;
                let mut row = Batch { columns, rows: 1 };
                let mut key = Vec::new();
                lock.index_key.encode_batch_key(&row, 0, &mut key)?;
                let prefix = prefixes[owners[*pair as usize] as usize].as_deref();
                if !prefix.is_some_and(|prefix| key.starts_with(prefix)) {
                    continue;
                }
                row.columns.truncate(lock.columns);
                rows.append(&row);
                kept.push(*pair);
            }
        }
        Ok((rows, kept))
    }
}

impl Lock {
    fn new(join: &LookupJoin) -> PgResult<Option<Lock>> {
        if join.lock.is_none() {
            return Ok(None);
        }
        let (table, index) = (&join.table.descriptor, join.index_descriptor());
        let mut wanted: Vec<ColumnId> = join.columns.clone();
        let key_columns = index.columns.iter().chain(&table.primary.columns).map(|column| column.column);
        for column in key_columns {
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
        let no_columns: &[ColumnId] = &[];
        let row_keys = if join.index == 0 { None } else { Some(Fetch::new(table, index, no_columns)?) };
        Ok(Some(Lock {
            locking: row_locking(join.lock),
            row_keys,
            decoder: RowDecoder::new(table, &table.primary, &wanted)?,
            index_key: RowEncoder::new(table, index, &wanted)?,
            columns: join.columns.len(),
        }))
    }
}
