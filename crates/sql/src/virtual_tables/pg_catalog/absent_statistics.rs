//! Counters that are not kept here (I/O, vacuum, replication ...): no rows.

use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

/// Empty.
pub static TABLES: &[Definition] = empty_tables! {
    pg_catalog, None;
    12285 view pg_stat_archiver {
        archived_count: INT8, last_archived_wal: TEXT, last_archived_time: TIMESTAMPTZ, failed_count: INT8,
        last_failed_wal: TEXT, last_failed_time: TIMESTAMPTZ, stats_reset: TIMESTAMPTZ,
    }
    12289 view pg_stat_bgwriter {
        checkpoints_timed: INT8, checkpoints_req: INT8, checkpoint_write_time: FLOAT8,
        checkpoint_sync_time: FLOAT8, buffers_checkpoint: INT8, buffers_clean: INT8, maxwritten_clean: INT8,
        buffers_backend: INT8, buffers_backend_fsync: INT8, buffers_alloc: INT8, stats_reset: TIMESTAMPTZ,
    }
    12271 view pg_stat_database_conflicts {
        datid: OID, datname: NAME, confl_tablespace: INT8, confl_lock: INT8, confl_snapshot: INT8,
        confl_bufferpin: INT8, confl_deadlock: INT8,
    }
    12253 view pg_stat_gssapi {
        pid: INT4, gss_authenticated: BOOL, principal: TEXT, encrypted: BOOL,
    }
    12297 view pg_stat_progress_analyze {
        pid: INT4, datid: OID, datname: NAME, relid: OID, phase: TEXT, sample_blks_total: INT8,
        sample_blks_scanned: INT8, ext_stats_total: INT8, ext_stats_computed: INT8,
        child_tables_total: INT8, child_tables_done: INT8, current_child_table_relid: OID,
    }
    12317 view pg_stat_progress_basebackup {
        pid: INT4, phase: TEXT, backup_total: INT8, backup_streamed: INT8, tablespaces_total: INT8,
        tablespaces_streamed: INT8,
    }
    12307 view pg_stat_progress_cluster {
        pid: INT4, datid: OID, datname: NAME, relid: OID, command: TEXT, phase: TEXT,
        cluster_index_relid: OID, heap_tuples_scanned: INT8, heap_tuples_written: INT8,
        heap_blks_total: INT8, heap_blks_scanned: INT8, index_rebuild_count: INT8,
    }
    12322 view pg_stat_progress_copy {
        pid: INT4, datid: OID, datname: NAME, relid: OID, command: TEXT, type: TEXT, bytes_processed: INT8,
        bytes_total: INT8, tuples_processed: INT8, tuples_excluded: INT8,
    }
    12312 view pg_stat_progress_create_index {
        pid: INT4, datid: OID, datname: NAME, relid: OID, index_relid: OID, command: TEXT, phase: TEXT,
        lockers_total: INT8, lockers_done: INT8, current_locker_pid: INT8, blocks_total: INT8,
        blocks_done: INT8, tuples_total: INT8, tuples_done: INT8, partitions_total: INT8,
        partitions_done: INT8,
    }
    12302 view pg_stat_progress_vacuum {
        pid: INT4, datid: OID, datname: NAME, relid: OID, phase: TEXT, heap_blks_total: INT8,
        heap_blks_scanned: INT8, heap_blks_vacuumed: INT8, index_vacuum_count: INT8, max_dead_tuples: INT8,
        num_dead_tuples: INT8,
    }
    12240 view pg_stat_recovery_prefetch {
        stats_reset: TIMESTAMPTZ, prefetch: INT8, hit: INT8, skip_init: INT8, skip_new: INT8,
        skip_fpw: INT8, skip_rep: INT8, wal_distance: INT4, block_distance: INT4, io_depth: INT4,
    }
    12227 view pg_stat_replication {
        pid: INT4, usesysid: OID, usename: NAME, application_name: TEXT, client_addr: INET,
        client_hostname: TEXT, client_port: INT4, backend_start: TIMESTAMPTZ, backend_xmin: XID,
        state: TEXT, sent_lsn: PG_LSN, write_lsn: PG_LSN, flush_lsn: PG_LSN, replay_lsn: PG_LSN,
        write_lag: INTERVAL, flush_lag: INTERVAL, replay_lag: INTERVAL, sync_priority: INT4,
        sync_state: TEXT, reply_time: TIMESTAMPTZ,
    }
    12262 view pg_stat_replication_slots {
        slot_name: TEXT, spill_txns: INT8, spill_count: INT8, spill_bytes: INT8, stream_txns: INT8,
        stream_count: INT8, stream_bytes: INT8, total_txns: INT8, total_bytes: INT8,
        stats_reset: TIMESTAMPTZ,
    }
    12232 view pg_stat_slru {
        name: TEXT, blks_zeroed: INT8, blks_hit: INT8, blks_read: INT8, blks_written: INT8,
        blks_exists: INT8, flushes: INT8, truncates: INT8, stats_reset: TIMESTAMPTZ,
    }
    12249 view pg_stat_ssl {
        pid: INT4, ssl: BOOL, version: TEXT, cipher: TEXT, bits: INT4, client_dn: TEXT,
        client_serial: NUMERIC, issuer_dn: TEXT,
    }
    12244 view pg_stat_subscription {
        subid: OID, subname: NAME, pid: INT4, relid: OID, received_lsn: PG_LSN,
        last_msg_send_time: TIMESTAMPTZ, last_msg_receipt_time: TIMESTAMPTZ, latest_end_lsn: PG_LSN,
        latest_end_time: TIMESTAMPTZ,
    }
    12336 view pg_stat_subscription_stats {
        subid: OID, subname: NAME, apply_error_count: INT8, sync_error_count: INT8,
        stats_reset: TIMESTAMPTZ,
    }
    12188 view pg_stat_sys_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME, idx_scan: INT8,
        idx_tup_read: INT8, idx_tup_fetch: INT8,
    }
    12152 view pg_stat_sys_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
        n_live_tup: INT8, n_dead_tup: INT8, n_mod_since_analyze: INT8, n_ins_since_vacuum: INT8,
        last_vacuum: TIMESTAMPTZ, last_autovacuum: TIMESTAMPTZ, last_analyze: TIMESTAMPTZ,
        last_autoanalyze: TIMESTAMPTZ, vacuum_count: INT8, autovacuum_count: INT8, analyze_count: INT8,
        autoanalyze_count: INT8,
    }
    12275 view pg_stat_user_functions {
        funcid: OID, schemaname: NAME, funcname: NAME, calls: INT8, total_time: FLOAT8, self_time: FLOAT8,
    }
    12293 view pg_stat_wal {
        wal_records: INT8, wal_fpi: INT8, wal_bytes: NUMERIC, wal_buffers_full: INT8, wal_write: INT8,
        wal_sync: INT8, wal_write_time: FLOAT8, wal_sync_time: FLOAT8, stats_reset: TIMESTAMPTZ,
    }
    12236 view pg_stat_wal_receiver {
        pid: INT4, status: TEXT, receive_start_lsn: PG_LSN, receive_start_tli: INT4, written_lsn: PG_LSN,
        flushed_lsn: PG_LSN, received_tli: INT4, last_msg_send_time: TIMESTAMPTZ,
        last_msg_receipt_time: TIMESTAMPTZ, latest_end_lsn: PG_LSN, latest_end_time: TIMESTAMPTZ,
        slot_name: TEXT, sender_host: TEXT, sender_port: INT4, conninfo: TEXT,
    }
    12147 view pg_stat_xact_all_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
    }
    12157 view pg_stat_xact_sys_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
    }
    12280 view pg_stat_xact_user_functions {
        funcid: OID, schemaname: NAME, funcname: NAME, calls: INT8, total_time: FLOAT8, self_time: FLOAT8,
    }
    12166 view pg_stat_xact_user_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
    }
    12196 view pg_statio_all_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME,
        idx_blks_read: INT8, idx_blks_hit: INT8,
    }
    12209 view pg_statio_all_sequences {
        relid: OID, schemaname: NAME, relname: NAME, blks_read: INT8, blks_hit: INT8,
    }
    12201 view pg_statio_sys_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME,
        idx_blks_read: INT8, idx_blks_hit: INT8,
    }
    12214 view pg_statio_sys_sequences {
        relid: OID, schemaname: NAME, relname: NAME, blks_read: INT8, blks_hit: INT8,
    }
    12175 view pg_statio_sys_tables {
        relid: OID, schemaname: NAME, relname: NAME, heap_blks_read: INT8, heap_blks_hit: INT8,
        idx_blks_read: INT8, idx_blks_hit: INT8, toast_blks_read: INT8, toast_blks_hit: INT8,
        tidx_blks_read: INT8, tidx_blks_hit: INT8,
    }
    12205 view pg_statio_user_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME,
        idx_blks_read: INT8, idx_blks_hit: INT8,
    }
    12218 view pg_statio_user_sequences {
        relid: OID, schemaname: NAME, relname: NAME, blks_read: INT8, blks_hit: INT8,
    }
    12058 view pg_stats_ext {
        schemaname: NAME, tablename: NAME, statistics_schemaname: NAME, statistics_name: NAME,
        statistics_owner: NAME, attnames: NAMES, exprs: TEXTS, kinds: CHARS, inherited: BOOL,
        n_distinct: BYTEA, dependencies: BYTEA, most_common_vals: TEXTS, most_common_val_nulls: BOOLS,
        most_common_freqs: FLOAT8S, most_common_base_freqs: FLOAT8S,
    }
    12063 view pg_stats_ext_exprs {
        schemaname: NAME, tablename: NAME, statistics_schemaname: NAME, statistics_name: NAME,
        statistics_owner: NAME, expr: TEXT, inherited: BOOL, null_frac: FLOAT4, avg_width: INT4,
        n_distinct: FLOAT4, most_common_vals: ANYARRAY, most_common_freqs: FLOAT4S,
        histogram_bounds: ANYARRAY, correlation: FLOAT4, most_common_elems: ANYARRAY,
        most_common_elem_freqs: FLOAT4S, elem_count_histogram: FLOAT4S,
    }
};
