//! How RocksDB is set up.
//!
//! Two cores and a modest amount of memory are the machine in mind; what grows with the data is bounded:
//!
//! | what | bound |
//! | --- | --- |
//! | memtables of the state side | `memtable_bytes`, twice that while a flush runs |
//! | memtables of the log side | `log_memtable_bytes`, times the number allowed |
//! | blocks, indexes and filters of both sides | `cache_bytes` (indexes and filters are pinned and may exceed it) |
//! | write-ahead log | `WAL_BYTES_MAX` |

use rocksdb::{
    BlockBasedOptions, BlockBasedTablePinningTier, Cache, DBCompressionType, DBRecoveryMode,
    DataBlockIndexType, LogLevel, Options,
};

use crate::{Keyspace, Side};

pub(super) const MEMTABLE_BYTES: &str = "rocksdb.cur-size-all-mem-tables";
pub(super) const FILE_BYTES: &str = "rocksdb.live-sst-files-size";
pub(super) const CACHE_BYTES: &str = "rocksdb.block-cache-usage";
pub(super) const LEVEL0_FILES: &str = "rocksdb.num-files-at-level0";

/// Bytes of write-ahead log after which the memtable that holds it open is flushed.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// Bits of filter per key: 1 % false positives.
const FILTER_BITS: f64 = 10.0;
/// RocksDB's own log: kept small.
const INFO_LOG_BYTES_MAX: usize = 4 << 20;
const INFO_LOG_COUNT_MAX: usize = 4;
const FILE_BYTES_TARGET: u64 = 64 << 20;
const MEMTABLE_COUNT_MAX: i32 = 4;

/// What a node chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocksOptions {
    /// Block cache, shared by both sides.
    pub cache_bytes: usize,
    /// Memtables of the state side, all keyspaces together: when full, all are flushed.
    pub memtable_bytes: usize,
    /// One memtable of the log side.
    pub log_memtable_bytes: usize,
    /// Threads for flushes and compactions of each side.
    pub background_jobs: i32,
    /// Open files of each side; -1: all.
    pub open_files_max: i32,
}

impl Default for RocksOptions {
    fn default() -> RocksOptions {
        RocksOptions {
            cache_bytes: 256 << 20,
            memtable_bytes: 64 << 20,
            log_memtable_bytes: 32 << 20,
            background_jobs: 2,
            open_files_max: -1,
        }
    }
}

/// What both instances share while they are opened.
pub(super) struct Shared<'a> {
    options: &'a RocksOptions,
    cache: Cache,
}

impl<'a> Shared<'a> {
    pub(super) fn new(options: &'a RocksOptions) -> Shared<'a> {
        // The clock cache takes no lock on a hit.
        Shared { options, cache: Cache::new_hyper_clock_cache(options.cache_bytes, 0) }
    }

    /// Options of an instance.
    pub(super) fn database(&self, side: Side) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_max_background_jobs(self.options.background_jobs);
        options.set_max_open_files(self.options.open_files_max);
        options.set_skip_stats_update_on_db_open(true);
        options.set_bytes_per_sync(1 << 20);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
        options.set_keep_log_file_num(INFO_LOG_COUNT_MAX);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        match side {
            Side::Log => {
                options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
                options.set_max_total_wal_size(WAL_BYTES_MAX);
                // A log that is gone, or shorter than when it was synced and closed, refuses to open.
                options.set_track_and_verify_wals_in_manifest(true);
                options.set_db_write_buffer_size(0);
            }
            Side::State => {
                options.set_atomic_flush(true);
                options.set_db_write_buffer_size(self.options.memtable_bytes);
            }
        }
        options
    }

    /// Options of a keyspace.
    pub(super) fn column_family(&self, keyspace: Keyspace) -> Options {
        let mut options = Options::default();
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_target_file_size_base(FILE_BYTES_TARGET);
        options.set_max_write_buffer_number(MEMTABLE_COUNT_MAX);
        let buffer = match keyspace.side() {
            Side::Log => self.options.log_memtable_bytes,
            Side::State => self.options.memtable_bytes,
        };
        options.set_write_buffer_size(buffer);
        if matches!(keyspace, Keyspace::Current | Keyspace::Intents) {
            // Point reads of keys that are not there, which inserts are made of.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
        }
        options.set_block_based_table_factory(&self.table(keyspace));
        options
    }

    fn table(&self, keyspace: Keyspace) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(8 << 10);
        table.set_cache_index_and_filter_blocks(true);
        table.set_unpartitioned_pinning_tier(BlockBasedTablePinningTier::All);
        if matches!(keyspace, Keyspace::Current | Keyspace::Intents | Keyspace::RangeLocal) {
            table.set_bloom_filter(FILTER_BITS, false);
            table.set_optimize_filters_for_memory(true);
            table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            table.set_data_block_hash_ratio(0.75);
            // The hash finds the restart point; from there entries are decoded one by one.
            table.set_block_restart_interval(8);
        }
        table
    }
}
