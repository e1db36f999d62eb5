//! A database for tests: tables, plans by hand, statements run to their end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clock::{Clock, ClockConfig, WallSource, WallTime};
use env::Simulation;
use executor::remote::Distribution;
use executor::spill::MemorySpill;
use executor::{
    BatchSource, CancelFlag, DeferredChecks, DeferredFunctions, ExecContext, ExecError, ExecResult,
    Execution, MemoryAccount, Parallelism, TableLookup, VirtualTables,
};
use expr::{CatalogLookup, FunctionRef, SessionInfo};
use futures::future::BoxFuture;
use kvclient::{Db, DbConfig, Txn, TxnOptions};
use parking_lot::Mutex;
use planner::Table;
use planner::catalog::VirtualTable;
use planner::plan::{Command, Plan, PlanNode};
use types::descriptor::{Oid, TableDescriptor};
use types::format::{FormatContext, datum_text};
use types::{Batch, Datum, PgError, PgResult};

use crate::store::Store;

pub struct World {
    pub store: Store,
    pub db: Db,
    pub tables: Arc<Tables>,
    pub checks: Arc<Checks>,
    pub memory: MemoryAccount,
    pub parallelism: Parallelism,
    pub distribution: Distribution,
    pub simulation: Simulation,
}

struct TestClock(Arc<env::SimEnv>);

impl WallSource for TestClock {
    fn wall(&self) -> WallTime {
        env::Env::wall(&*self.0)
    }

    fn monotonic(&self) -> Duration {
        env::Env::monotonic(&*self.0)
    }
}

#[derive(Default)]
pub struct Tables(Mutex<BTreeMap<Oid, Arc<Table>>>);

impl TableLookup for Tables {
    fn table(&self, id: Oid) -> PgResult<Arc<Table>> {
        let found = self.0.lock().get(&id).cloned();
        found.ok_or_else(|| PgError::internal(format!("no table {}", id.0)))
    }
}

struct Nothing;

impl CatalogLookup for Nothing {
    fn call(&self, name: &str, _arguments: &[Datum]) -> PgResult<Datum> {
        Err(PgError::unsupported(name))
    }
}

impl VirtualTables for Nothing {
    fn rows<'a>(
        &'a self,
        _table: &'a VirtualTable,
        _equalities: &'a [(u32, Datum)],
    ) -> BoxFuture<'a, ExecResult<Vec<Batch>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl DeferredFunctions for Nothing {
    fn call<'a>(
        &'a self,
        _function: FunctionRef,
        arguments: &'a [Datum],
    ) -> BoxFuture<'a, ExecResult<Datum>> {
        Box::pin(async move { Ok(Datum::Int8(arguments.len() as i64)) })
    }
}

/// Deferrable constraints are deferred if `defer` says so.
#[derive(Default)]
pub struct Checks {
    pub defer: Mutex<bool>,
    pub pending: Mutex<Vec<PendingCheck>>,
}

/// Table, constraint, primary key.
pub type PendingCheck = (Arc<TableDescriptor>, Oid, Vec<u8>);

impl DeferredChecks for Checks {
    fn is_deferred(&self, _constraint: Oid, _initially_deferred: bool) -> bool {
        *self.defer.lock()
    }

    fn defer(&self, table: &Arc<TableDescriptor>, constraint: Oid, primary_key: Vec<u8>) {
        self.pending.lock().push((table.clone(), constraint, primary_key));
    }
}

impl World {
    pub fn new() -> World {
        let simulation = Simulation::new(7);
        let machine = simulation.machine();
        let store = Store::default();
        let clock = Arc::new(Clock::unbounded(TestClock(machine.clone()), ClockConfig::default()));
        let shared = Arc::new(store.clone());
        let db = Db::new(machine, clock, shared.clone(), shared, DbConfig::new(keys::NodeId(1)));
        // Lets the router learn the only range.
        let txn = db.begin(TxnOptions::default());
        let learnt = futures::executor::block_on(txn.get(b"", kvclient::Locking::NONE));
        assert_eq!(learnt, Ok(None));
        let memory = MemoryAccount::with_spill("node", 1 << 30, Arc::new(MemorySpill::default()));
        let (tables, checks) = (Arc::default(), Arc::default());
        World {
            store,
            db,
            tables,
            checks,
            memory,
            parallelism: Parallelism::default(),
            distribution: Distribution::default(),
            simulation,
        }
    }

    pub fn add(&self, descriptor: TableDescriptor) -> Arc<Table> {
        let id = descriptor.id;
        let table = Arc::new(Table::new(Arc::new(descriptor), "public"));
        self.tables.0.lock().insert(id, table.clone());
        table
    }

    pub fn context(&self, txn: Arc<Txn>, parameters: Vec<Datum>) -> ExecContext {
        let session = SessionInfo {
            database: "postgres".into(),
            user: "postgres".into(),
            session_user: "postgres".into(),
            search_path: vec!["public".into()],
            application_name: String::new(),
            backend_pid: 1,
            server_version: "15".into(),
            format: FormatContext::default(),
        };
        let nothing = Arc::new(Nothing);
        ExecContext {
            env: self.simulation.machine(),
            db: self.db.clone(),
            txn,
            implicit: false,
            parameters: parameters.into(),
            session: Arc::new(session),
            transaction_timestamp: 0,
            statement_timestamp: 0,
            random: Arc::new(AtomicU64::new(1)),
            catalog: nothing.clone(),
            tables: self.tables.clone(),
            virtual_tables: nothing.clone(),
            deferred_functions: nothing,
            deferred_checks: self.checks.clone(),
            memory: self.memory.clone(),
            parallelism: self.parallelism.clone(),
            distribution: self.distribution,
            flows: executor::remote::Flows::default(),
            cancel: CancelFlag::new(),
        }
    }

    pub fn begin(&self) -> Arc<Txn> {
        Arc::new(self.db.begin(TxnOptions::default()))
    }

    /// Runs a plan in a transaction of its own and commits: the rows as text, and the rows affected.
    pub fn run(&self, plan: &Arc<Plan>, parameters: Vec<Datum>) -> Result<(Vec<String>, u64), PgError> {
        let txn = self.begin();
        let result = self.run_in(&txn, plan, parameters);
        match &result {
            Ok(_) => {
                let committed = futures::executor::block_on(txn.commit());
                committed.map_err(|error| ExecError::Kv(error).into_pg_error())?;
            }
            Err(_) => futures::executor::block_on(txn.rollback()),
        }
        result
    }

    pub fn run_in(
        &self,
        txn: &Arc<Txn>,
        plan: &Arc<Plan>,
        parameters: Vec<Datum>,
    ) -> Result<(Vec<String>, u64), PgError> {
        txn.begin_statement(true);
        let execution = Execution::new(plan.clone(), self.context(txn.clone(), parameters));
        self.finish(execution)
    }

    pub fn run_with_feed(&self, plan: &Arc<Plan>, feed: Vec<Batch>) -> Result<(Vec<String>, u64), PgError> {
        let txn = self.begin();
        txn.begin_statement(true);
        let context = self.context(txn.clone(), Vec::new());
        let feed = Box::new(Batches(feed.into_iter()));
        let result = self.finish(Execution::new_with_feed(plan.clone(), context, feed))?;
        futures::executor::block_on(txn.commit()).expect("commits");
        Ok(result)
    }

    fn finish(&self, execution: ExecResult<Execution>) -> Result<(Vec<String>, u64), PgError> {
        let run = async {
            let mut execution = execution?;
            let mut rows = Vec::new();
            while let Some(batch) = execution.next().await? {
                assert!(batch.rows > 0, "no empty batches");
                assert!(batch.columns.iter().all(|column| column.len() == batch.rows), "lengths agree");
                rows.extend((0..batch.rows).map(|row| row_text(&batch, row)));
            }
            Ok((rows, execution.rows_affected()))
        };
        let ended = self.simulation.block_on(Duration::from_secs(60), run);
        ended.expect("ends within a minute of virtual time").map_err(ExecError::into_pg_error)
    }

    /// The rows of a plan node, as text.
    pub fn rows(&self, node: PlanNode) -> Vec<String> {
        self.run(&plan_of(node), Vec::new()).expect("the plan runs").0
    }

    pub fn error(&self, node: PlanNode) -> PgError {
        self.run(&plan_of(node), Vec::new()).expect_err("the plan fails")
    }
}

struct Batches(std::vec::IntoIter<Batch>);

impl BatchSource for Batches {
    fn next(&mut self) -> BoxFuture<'_, ExecResult<Option<Batch>>> {
        Box::pin(async { Ok(self.0.next()) })
    }
}

/// "1|abc|null".
pub fn row_text(batch: &Batch, row: usize) -> String {
    let format = FormatContext::default();
    let texts: Vec<String> = batch
        .columns
        .iter()
        .map(|column| match column.datum(row) {
            Datum::Null => "null".to_string(),
            datum => datum_text(&datum, column.data_type, -1, &format),
        })
        .collect();
    texts.join("|")
}

pub fn plan_of(root: PlanNode) -> Arc<Plan> {
    Arc::new(Plan {
        root,
        command: Command::Select,
        output: Vec::new(),
        parameters: Vec::new(),
        slot_count: 8,
        cte_count: 4,
        relations: Vec::new(),
        read_only: false,
        as_of: None,
        prepared: Default::default(),
    })
}
