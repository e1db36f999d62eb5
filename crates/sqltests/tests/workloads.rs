//! The workloads against the machine's PostgreSQL: a right database passes, and a level of isolation that does not keep an invariant
//! is found out. What is said of Meridian with them is worth as much as this.

use std::sync::Arc;
use std::time::Duration;

use env::{Env, RealEnv};
use sqltests::database::Database;
use sqltests::server::Postgres;
use stdx::Prng;
use workload::bank::{Bank, BankOptions};
use workload::check::list_append::{Claim, check};
use workload::list_append::{ListAppend, ListAppendOptions};
use workload::outcomes::Outcomes;
use workload::register::Register;
use workload::savepoints::Savepoints;
use workload::sequential::Sequential;
use workload::sets::Sets;
use workload::unique::Unique;
use workload::write_skew::WriteSkew;
use workload::{Connector, Counts, Drive, DriveOptions, Isolation, Journal, Violation, Workload, checked};

/// Transactions of one run.
const COMMITTED: u64 = 100;
/// Looks at the count of transactions until a run is given up: a minute.
const WAITS_MAX: u32 = 12_000;

fn count(journal: &Journal, workload: &str) -> Counts {
    journal.counts().get(workload).copied().unwrap_or_default()
}

/// A database of its own for each test, on the shared server.
async fn database(postgres: &Postgres, name: &str) -> Arc<Database> {
    let database = Database::new(postgres.url());
    let mut client = database.connect().await.expect("PostgreSQL lets in");
    client.execute(&format!("CREATE DATABASE {name}"), &[]).await.expect("a new name");
    let url = postgres.url();
    let server = url.strip_suffix("/postgres").expect("the URL ends with the database");
    database.set_url(format!("{server}/{name}"));
    Arc::new(database)
}

struct Run {
    postgres: Arc<Postgres>,
    runtime: tokio::runtime::Runtime,
}

impl Run {
    fn new() -> Run {
        let postgres = Postgres::shared().expect("PostgreSQL runs");
        Run { postgres, runtime: tokio::runtime::Runtime::new().expect("a runtime") }
    }

    /// Runs one workload until this many transactions are committed, and checks and verifies it.
    fn drive(
        &self,
        name: &str,
        workload: Arc<dyn Workload>,
        committed: u64,
    ) -> Result<Arc<Journal>, Violation> {
        self.runtime.block_on(async {
            let database = database(&self.postgres, name).await;
            let mut client = database.connect().await.expect("PostgreSQL lets in");
            workload.set_up(&mut *client).await.expect("the tables are made");
            let env = RealEnv::new();
            let journal = Arc::new(Journal::new());
            let options = DriveOptions { clients: 6, pause: Duration::ZERO..Duration::from_micros(500) };
            let workloads = vec![workload.clone()];
            let drive = Drive::start(
                env.clone(),
                database.clone(),
                workloads.clone(),
                journal.clone(),
                options,
                Prng::new(7),
            );
            let mut prng = Prng::new(8);
            for target in [committed / 2, committed] {
                for _ in 0..WAITS_MAX {
                    if drive.violation().is_some() || count(&journal, workload.name()).committed >= target {
                        break;
                    }
                    env.sleep(Duration::from_millis(5)).await;
                }
                checked(&*env, &*database, &workloads, &journal, &mut prng).await?;
            }
            drive.stop().await?;
            checked(&*env, &*database, &workloads, &journal, &mut prng).await?;
            workload.verify()?;
            Ok(journal)
        })
    }

    fn passes(&self, name: &str, workload: impl Workload) {
        let kind = workload.name();
        let workload = Arc::new(workload);
        let journal = self
            .drive(name, workload, COMMITTED)
            .unwrap_or_else(|violation| panic!("PostgreSQL is right, so the workload is wrong: {violation}"));
        let counts = count(&journal, kind);
        assert!(counts.committed >= COMMITTED, "{counts:?}");
    }
}

#[test]
fn postgresql_passes_every_workload() {
    let run = Run::new();
    run.passes("one_bank", Bank::new(BankOptions::default()));
    for (name, isolation) in [("bank_rc", Isolation::ReadCommitted), ("bank_rr", Isolation::RepeatableRead)] {
        run.passes(name, Bank::new(BankOptions { tables: 3, isolation, ..BankOptions::default() }));
    }
    run.passes("uniques", Unique::new());
    run.passes("sets", Sets::new());
    run.passes("outcomes", Outcomes::new());
    run.passes("savepoints", Savepoints::new());
    run.passes("skew", WriteSkew::new(Isolation::Serializable));
    run.passes("chains", Sequential::new());
    run.passes("registers", Register::new());
}

/// PostgreSQL's SERIALIZABLE is not strict: it may order transactions against real time.
#[test]
fn postgresql_passes_list_append_at_each_level_with_its_claim() {
    let run = Run::new();
    let levels = [
        (Isolation::ReadCommitted, Claim::ReadCommitted),
        (Isolation::RepeatableRead, Claim::Snapshot),
        (Isolation::Serializable, Claim::Serializable),
    ];
    for (number, (isolation, claim)) in levels.into_iter().enumerate() {
        let options = ListAppendOptions { isolation, claim, ..ListAppendOptions::default() };
        run.passes(&format!("lists_{number}"), ListAppend::new(options));
    }
}

/// Tries for a while: whether an anomaly happens is a matter of chance.
fn is_found(run: &Run, name: &str, workload: impl Fn() -> Arc<dyn Workload>) -> bool {
    (0..20).any(|attempt| run.drive(&format!("{name}_{attempt}"), workload(), COMMITTED).is_err())
}

#[test]
fn write_skew_under_snapshot_isolation_is_found() {
    let run = Run::new();
    assert!(is_found(&run, "skewed", || Arc::new(WriteSkew::new(Isolation::RepeatableRead))));
}

#[test]
fn weaker_levels_are_told_from_serializable_by_their_histories() {
    let run = Run::new();
    for (name, isolation) in [("weak_rr", Isolation::RepeatableRead), ("weak_rc", Isolation::ReadCommitted)] {
        let options =
            ListAppendOptions { isolation, claim: Claim::Serializable, ..ListAppendOptions::default() };
        assert!(is_found(&run, name, || Arc::new(ListAppend::new(options.clone()))), "{name}");
    }
}

/// The history of READ COMMITTED has lost updates, not just any fault.
#[test]
fn lost_updates_under_read_committed_are_named() {
    use workload::check::list_append::Anomaly;
    let run = Run::new();
    let options = ListAppendOptions {
        isolation: Isolation::ReadCommitted,
        claim: Claim::ReadCommitted,
        ..ListAppendOptions::default()
    };
    let found = (0..20).any(|attempt| {
        let lists = Arc::new(ListAppend::new(options.clone()));
        let name = format!("lost_{attempt}");
        run.drive(&name, lists.clone(), COMMITTED).expect("READ COMMITTED keeps its own claim");
        let findings = check(&lists.history(), Claim::Snapshot);
        findings.iter().any(|finding| finding.anomaly == Anomaly::LostUpdate)
    });
    assert!(found);
}
