//! Tables of objects that cannot be made here (triggers, policies, extensions, replication ...): empty, as they would be in a
//! PostgreSQL where nobody made any.

use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

/// Empty.
pub static TABLES: &[Definition] = empty_tables! {
    pg_catalog, None;
    12085 view pg_available_extension_versions {
        name: NAME, version: TEXT, installed: BOOL, superuser: BOOL, trusted: BOOL, relocatable: BOOL,
        schema: NAME, requires: NAMES, comment: TEXT,
    }
    12081 view pg_available_extensions {
        name: NAME, default_version: TEXT, installed_version: TEXT, comment: TEXT,
    }
    2607 table pg_conversion {
        oid: OID, conname: NAME, connamespace: OID, conowner: OID, conforencoding: INT4,
        contoencoding: INT4, conproc: REGPROC, condefault: BOOL,
    }
    3466 table pg_event_trigger {
        oid: OID, evtname: NAME, evtevent: NAME, evtowner: OID, evtfoid: OID, evtenabled: CHAR,
        evttags: nullable(TEXTS),
    }
    12110 view pg_file_settings {
        sourcefile: TEXT, sourceline: INT4, seqno: INT4, name: TEXT, setting: TEXT, applied: BOOL,
        error: TEXT,
    }
    2328 table pg_foreign_data_wrapper {
        oid: OID, fdwname: NAME, fdwowner: OID, fdwhandler: OID, fdwvalidator: OID,
        fdwacl: nullable(ACLITEMS), fdwoptions: nullable(TEXTS),
    }
    1417 table pg_foreign_server {
        oid: OID, srvname: NAME, srvowner: OID, srvfdw: OID, srvtype: nullable(TEXT),
        srvversion: nullable(TEXT), srvacl: nullable(ACLITEMS), srvoptions: nullable(TEXTS),
    }
    3118 table pg_foreign_table {
        ftrelid: OID, ftserver: OID, ftoptions: nullable(TEXTS),
    }
    12114 view pg_hba_file_rules {
        line_number: INT4, type: TEXT, database: TEXTS, user_name: TEXTS, address: TEXT, netmask: TEXT,
        auth_method: TEXT, options: TEXTS, error: TEXT,
    }
    12118 view pg_ident_file_mappings {
        line_number: INT4, map_name: TEXT, sys_name: TEXT, pg_username: TEXT, error: TEXT,
    }
    2611 table pg_inherits {
        inhrelid: OID, inhparent: OID, inhseqno: INT4, inhdetachpending: BOOL,
    }
    2613 table pg_largeobject {
        loid: OID, pageno: INT4, data: BYTEA,
    }
    2995 table pg_largeobject_metadata {
        oid: OID, lomowner: OID, lomacl: nullable(ACLITEMS),
    }
    12038 view pg_matviews {
        schemaname: NAME, matviewname: NAME, matviewowner: NAME, tablespace: NAME, hasindexes: BOOL,
        ispopulated: BOOL, definition: TEXT,
    }
    6243 table pg_parameter_acl {
        oid: OID, parname: TEXT, paracl: nullable(ACLITEMS),
    }
    3350 table pg_partitioned_table {
        partrelid: OID, partstrat: CHAR, partnatts: INT2, partdefid: OID, partattrs: INT2VECTOR,
        partclass: OIDVECTOR, partcollation: OIDVECTOR, partexprs: nullable(NODE_TREE),
    }
    12018 view pg_policies {
        schemaname: NAME, tablename: NAME, policyname: NAME, permissive: TEXT, roles: NAMES, cmd: TEXT,
        qual: TEXT, with_check: TEXT,
    }
    3256 table pg_policy {
        oid: OID, polname: NAME, polrelid: OID, polcmd: CHAR, polpermissive: BOOL, polroles: OIDS,
        polqual: nullable(NODE_TREE), polwithcheck: nullable(NODE_TREE),
    }
    12090 view pg_prepared_xacts {
        transaction: XID, gid: TEXT, prepared: TIMESTAMPTZ, owner: NAME, database: NAME,
    }
    6104 table pg_publication {
        oid: OID, pubname: NAME, pubowner: OID, puballtables: BOOL, pubinsert: BOOL, pubupdate: BOOL,
        pubdelete: BOOL, pubtruncate: BOOL, pubviaroot: BOOL,
    }
    6237 table pg_publication_namespace {
        oid: OID, pnpubid: OID, pnnspid: OID,
    }
    6106 table pg_publication_rel {
        oid: OID, prpubid: OID, prrelid: OID, prqual: nullable(NODE_TREE), prattrs: nullable(INT2VECTOR),
    }
    12068 view pg_publication_tables {
        pubname: NAME, schemaname: NAME, tablename: NAME, attnames: NAMES, rowfilter: TEXT,
    }
    3541 table pg_range {
        rngtypid: OID, rngsubtype: OID, rngmultitypid: OID, rngcollation: OID, rngsubopc: OID,
        rngcanonical: REGPROC, rngsubdiff: REGPROC,
    }
    6000 table pg_replication_origin {
        roident: OID, roname: TEXT,
    }
    12332 view pg_replication_origin_status {
        local_id: OID, external_id: TEXT, remote_lsn: PG_LSN, local_lsn: PG_LSN,
    }
    12257 view pg_replication_slots {
        slot_name: NAME, plugin: NAME, slot_type: TEXT, datoid: OID, database: NAME, temporary: BOOL,
        active: BOOL, active_pid: INT4, xmin: XID, catalog_xmin: XID, restart_lsn: PG_LSN,
        confirmed_flush_lsn: PG_LSN, wal_status: TEXT, safe_wal_size: INT8, two_phase: BOOL,
    }
    12023 view pg_rules {
        schemaname: NAME, tablename: NAME, rulename: NAME, definition: TEXT,
    }
    3596 table pg_seclabel {
        objoid: OID, classoid: OID, objsubid: INT4, provider: TEXT, label: TEXT,
    }
    12099 view pg_seclabels {
        objoid: OID, classoid: OID, objsubid: INT4, objtype: TEXT, objnamespace: OID, objname: TEXT,
        provider: TEXT, label: TEXT,
    }
    1214 table pg_shdepend {
        dbid: OID, classid: OID, objid: OID, objsubid: INT4, refclassid: OID, refobjid: OID, deptype: CHAR,
    }
    2396 table pg_shdescription {
        objoid: OID, classoid: OID, description: TEXT,
    }
    12134 view pg_shmem_allocations {
        name: TEXT, off: INT8, size: INT8, allocated_size: INT8,
    }
    3592 table pg_shseclabel {
        objoid: OID, classoid: OID, provider: TEXT, label: TEXT,
    }
    2619 table pg_statistic {
        starelid: OID, staattnum: INT2, stainherit: BOOL, stanullfrac: FLOAT4, stawidth: INT4,
        stadistinct: FLOAT4, stakind1: INT2, stakind2: INT2, stakind3: INT2, stakind4: INT2, stakind5: INT2,
        staop1: OID, staop2: OID, staop3: OID, staop4: OID, staop5: OID, stacoll1: OID, stacoll2: OID,
        stacoll3: OID, stacoll4: OID, stacoll5: OID, stanumbers1: nullable(FLOAT4S),
        stanumbers2: nullable(FLOAT4S), stanumbers3: nullable(FLOAT4S), stanumbers4: nullable(FLOAT4S),
        stanumbers5: nullable(FLOAT4S), stavalues1: nullable(ANYARRAY), stavalues2: nullable(ANYARRAY),
        stavalues3: nullable(ANYARRAY), stavalues4: nullable(ANYARRAY), stavalues5: nullable(ANYARRAY),
    }
    3381 table pg_statistic_ext {
        oid: OID, stxrelid: OID, stxname: NAME, stxnamespace: OID, stxowner: OID, stxstattarget: INT4,
        stxkeys: INT2VECTOR, stxkind: CHARS, stxexprs: nullable(NODE_TREE),
    }
    3429 table pg_statistic_ext_data {
        stxoid: OID, stxdinherit: BOOL, stxdndistinct: nullable(BYTEA), stxddependencies: nullable(BYTEA),
        stxdmcv: nullable(BYTEA), stxdexpr: nullable(TEXTS),
    }
    6100 table pg_subscription {
        oid: OID, subdbid: OID, subskiplsn: PG_LSN, subname: NAME, subowner: OID, subenabled: BOOL,
        subbinary: BOOL, substream: BOOL, subtwophasestate: CHAR, subdisableonerr: BOOL, subconninfo: TEXT,
        subslotname: nullable(NAME), subsynccommit: TEXT, subpublications: TEXTS,
    }
    6102 table pg_subscription_rel {
        srsubid: OID, srrelid: OID, srsubstate: CHAR, srsublsn: nullable(PG_LSN),
    }
    3576 table pg_transform {
        oid: OID, trftype: OID, trflang: OID, trffromsql: REGPROC, trftosql: REGPROC,
    }
    2620 table pg_trigger {
        oid: OID, tgrelid: OID, tgparentid: OID, tgname: NAME, tgfoid: OID, tgtype: INT2, tgenabled: CHAR,
        tgisinternal: BOOL, tgconstrrelid: OID, tgconstrindid: OID, tgconstraint: OID, tgdeferrable: BOOL,
        tginitdeferred: BOOL, tgnargs: INT2, tgattr: INT2VECTOR, tgargs: BYTEA, tgqual: nullable(NODE_TREE),
        tgoldtable: nullable(NAME), tgnewtable: nullable(NAME),
    }
    3602 table pg_ts_config {
        oid: OID, cfgname: NAME, cfgnamespace: OID, cfgowner: OID, cfgparser: OID,
    }
    3603 table pg_ts_config_map {
        mapcfg: OID, maptokentype: INT4, mapseqno: INT4, mapdict: OID,
    }
    3600 table pg_ts_dict {
        oid: OID, dictname: NAME, dictnamespace: OID, dictowner: OID, dicttemplate: OID,
        dictinitoption: nullable(TEXT),
    }
    3601 table pg_ts_parser {
        oid: OID, prsname: NAME, prsnamespace: OID, prsstart: REGPROC, prstoken: REGPROC, prsend: REGPROC,
        prsheadline: REGPROC, prslextype: REGPROC,
    }
    3764 table pg_ts_template {
        oid: OID, tmplname: NAME, tmplnamespace: OID, tmplinit: REGPROC, tmpllexize: REGPROC,
    }
    1418 table pg_user_mapping {
        oid: OID, umuser: OID, umserver: OID, umoptions: nullable(TEXTS),
    }
    12327 view pg_user_mappings {
        umid: OID, srvid: OID, srvname: NAME, umuser: OID, usename: NAME, umoptions: TEXTS,
    }
};

/// About sessions and memory, but out of reach.
pub static UNKNOWN: &[Definition] = empty_tables! {
    pg_catalog, Unknown;
    12130 view pg_config {
        name: TEXT, setting: TEXT,
    }
    12138 view pg_backend_memory_contexts {
        name: TEXT, ident: TEXT, parent: TEXT, level: INT4, total_bytes: INT8, total_nblocks: INT8,
        free_bytes: INT8, free_chunks: INT8, used_bytes: INT8,
    }
};
