//! Real processes, killed at random moments under load: nothing acknowledged is lost, every invariant holds after each restart.
//!
//! Clients transfer money, insert unique values and batches; the process gets SIGKILL; another one starts on the same folder. The checks
//! run right after the restart, while the clients are already back at work.
//!
//! MERIDIAN_CRASH_ROUNDS says how many rounds; MERIDIAN_CRASH_SEED replays the choices (not the moments: those are the machine's).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use env::{Env, RealEnv};
use sqltests::database::Database;
use sqltests::server::Meridian;
use stdx::Prng;
use workload::bank::{Bank, BankOptions};
use workload::sets::Sets;
use workload::unique::Unique;
use workload::{Connector, Drive, DriveOptions, Journal, Violation, Workload, checked};

const ROUNDS_DEFAULT: u64 = 15;
const CLIENTS: u32 = 6;
/// How long the process lives in a round, milliseconds: often too short to have started up quietly.
const LIFE_MS: std::ops::Range<u64> = 50..1_200;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

struct Test {
    env: Arc<RealEnv>,
    meridian: Meridian,
    database: Arc<Database>,
    workloads: Vec<Arc<dyn Workload>>,
    journal: Arc<Journal>,
    prng: Prng,
}

impl Test {
    async fn start(flags: &[String], seed: u64) -> Test {
        let binary = Path::new(env!("CARGO_BIN_EXE_meridian"));
        let meridian = Meridian::start(binary, flags).expect("the node starts");
        let database = Arc::new(Database::new(meridian.url()));
        let bank = Bank::new(BankOptions { tables: 3, ..BankOptions::default() });
        let workloads: Vec<Arc<dyn Workload>> =
            vec![Arc::new(bank), Arc::new(Unique::new()), Arc::new(Sets::new())];
        let mut client = database.connect().await.expect("a fresh node lets in");
        for workload in &workloads {
            workload.set_up(&mut *client).await.expect("the tables are made");
        }
        let journal = Arc::new(Journal::new());
        Test { env: RealEnv::new(), meridian, database, workloads, journal, prng: Prng::new(seed) }
    }

    fn drive(&mut self) -> Drive {
        let options = DriveOptions { clients: CLIENTS, pause: Duration::ZERO..Duration::from_millis(1) };
        Drive::start(
            self.env.clone(),
            self.database.clone(),
            self.workloads.clone(),
            self.journal.clone(),
            options,
            self.prng.fork(),
        )
    }

    /// Lets the process live for a while, kills it, and looks at what the next one finds.
    async fn round(&mut self, drive: &Drive) -> Result<(), Violation> {
        self.env.sleep(Duration::from_millis(self.prng.range(LIFE_MS))).await;
        if let Some(found) = drive.violation() {
            return Err(found);
        }
        let restarted = tokio::task::block_in_place(|| self.meridian.crash_and_restart());
        restarted.map_err(|told| Violation::new("restart", told))?;
        self.database.set_url(self.meridian.url());
        self.check().await
    }

    async fn check(&mut self) -> Result<(), Violation> {
        checked(&*self.env, &*self.database, &self.workloads, &self.journal, &mut self.prng).await
    }
}

async fn run(flags: &[String], rounds: u64) -> Result<(), Violation> {
    let mut test = Test::start(flags, variable("MERIDIAN_CRASH_SEED", 1)).await;
    let drive = test.drive();
    for _ in 0..rounds {
        test.round(&drive).await?;
    }
    drive.stop().await?;
    test.check().await?;
    for workload in &test.workloads {
        workload.verify()?;
    }
    for (name, counts) in test.journal.counts() {
        println!("{name}: {counts:?}");
        assert!(counts.committed > rounds, "{name}: hardly anything happened");
    }
    Ok(())
}

fn crash_test(flags: &[&str], rounds: u64) {
    let flags: Vec<String> = flags.iter().map(|flag| flag.to_string()).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(violation) = runtime.block_on(run(&flags, rounds)) {
        panic!("{violation}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    crash_test(&[], variable("MERIDIAN_CRASH_ROUNDS", ROUNDS_DEFAULT));
}

/// Transactions cross ranges: their intents, records and splits are what a kill interrupts.
#[test]
fn nothing_acknowledged_is_lost_by_kills_on_tiny_ranges() {
    crash_test(&["--range-size-kib", "16"], variable("MERIDIAN_CRASH_ROUNDS", ROUNDS_DEFAULT));
}
