//! What a prepared point read costs between socket and session: allocations are counted, time is printed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use env::{Env, RealEnv};
use futures::future::BoxFuture;
use pgserver::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::error::{PgError, PgResult};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything to the system's allocator, unchanged; the counter touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers every Execute with the row whose key was bound.
struct OneRow {
    key: [u8; 4],
}

struct OneRowBackend;

impl Backend for OneRowBackend {
    fn connect(&self, _: StartupParameters) -> BoxFuture<'_, PgResult<Box<dyn Session>>> {
        Box::pin(async { Ok(Box::new(OneRow { key: [0; 4] }) as Box<dyn Session>) })
    }

    fn cancel(&self, _: CancelKey) {}
}

impl Credentials for OneRowBackend {
    fn verifier<'a>(&'a self, _: &'a str) -> BoxFuture<'a, PgResult<Option<ScramVerifier>>> {
        Box::pin(async { Ok(None) })
    }
}

impl Session for OneRow {
    fn parameter_statuses(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    fn simple_query<'a>(&'a mut self, _: &'a str, _: &'a mut ResultSink) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async { Err(PgError::unsupported("the simple protocol")) })
    }

    fn parse<'a>(&'a mut self, _: &'a str, _: &'a str, _: &'a [u32]) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn describe_statement<'a>(&'a mut self, _: &'a str) -> BoxFuture<'a, PgResult<StatementDescription>> {
        Box::pin(async { Err(PgError::unsupported("Describe")) })
    }

    fn bind<'a>(&'a mut self, message: Bind<'a>) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let (_, value) = message.parameters.iter().next().expect("one parameter");
            self.key = value.and_then(|value| value.try_into().ok()).expect("an int4");
            Ok(())
        })
    }

    fn describe_portal<'a>(&'a mut self, _: &'a str) -> BoxFuture<'a, PgResult<PortalDescription>> {
        Box::pin(async { Err(PgError::unsupported("Describe")) })
    }

    fn execute<'a>(
        &'a mut self,
        _: &'a str,
        _: Option<NonZeroU32>,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let mut row = sink.begin_row(2);
            row.value(&self.key);
            row.value_with(|out| out.extend_from_slice(&[b'f'; 80]));
            row.finish()?;
            sink.flush_if_full().await?;
            sink.command_complete_rows("SELECT", 1);
            Ok(())
        })
    }

    fn close_statement(&mut self, _: &str) {}

    fn close_portal(&mut self, _: &str) {}

    fn sync<'a>(&'a mut self, _: &'a mut ResultSink) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn message_failed(&mut self, _: &PgError) {}
}

const ROUNDS: usize = 10_000;

#[tokio::test]
async fn a_point_read_allocates_nothing_but_the_futures_of_its_three_calls() {
    let env: Arc<dyn Env> = RealEnv::new();
    let backend = Arc::new(OneRowBackend);
    let server = Server::new(env.clone(), backend.clone(), backend, ServerOptions::default());
    let (mut client, far) = tokio::io::duplex(1 << 16);
    drop(env.spawn("connection", server.handle(far, Peer::Local)));
    client.write_all(b"\0\0\0\x12\0\x03\0\0user\0ann\0\0").await.unwrap();
    let mut answer = [0; 1024];
    while client.read(&mut answer).await.unwrap() > 0 {
        if answer.windows(6).any(|bytes| bytes == b"Z\0\0\0\x05I") {
            break;
        }
    }
    let request = [
        &b"B\0\0\0\x16\0\0\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x07\0\0"[..],
        b"E\0\0\0\x09\0\0\0\0\0",
        b"S\0\0\0\x04",
    ]
    .concat();
    // 2, DataRow, CommandComplete "SELECT 1", ReadyForQuery.
    let answer_size = 5 + (7 + 4 + 4 + 4 + 80) + (5 + 9) + 6;
    let mut counted = 0;
    let mut elapsed = std::time::Duration::ZERO;
    for round in 0..ROUNDS + 100 {
        if round == 100 {
            counted = ALLOCATIONS.load(Ordering::Relaxed);
            elapsed = env.monotonic();
        }
        client.write_all(&request).await.unwrap();
        client.read_exact(&mut answer[..answer_size]).await.unwrap();
        assert_eq!(&answer[answer_size - 6..answer_size], b"Z\0\0\0\x05I");
    }
    let elapsed = (env.monotonic() - elapsed) / ROUNDS as u32;
    let each = (ALLOCATIONS.load(Ordering::Relaxed) - counted) as f64 / ROUNDS as f64;
    println!("a round: {each} allocations, {elapsed:?} through a pipe in memory, client included");
    assert!(each >= 3.0, "{each} allocations: the measurement must be wrong");
    // The pipe may reorganise its buffer now and then.
    assert!(each < 3.1, "{each} allocations");
}
