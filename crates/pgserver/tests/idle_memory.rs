//! What an idle connection costs: 1,000 of them, over TCP, each after having moved a large message and a large result.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pgserver::*;
use support::*;
use tokio::net::TcpStream;

/// Bytes allocated and not freed, in the whole process.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything to the system's allocator, unchanged; the counter touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 1_000;

#[tokio::test]
async fn an_idle_connection_costs_less_than_64_kibibytes() {
    let options = ServerOptions { connections_max: CONNECTIONS, ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    let port = fixture.listen().await;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let large = format!("rows 10000{}", " ".repeat(300_000));
    let before = ALLOCATED.load(Ordering::Relaxed);
    for number in 0..CONNECTIONS {
        let mut client = Client::over(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        client.start(3 << 16, &[("user", "ann")]).await;
        client.until_ready().await;
        // All of them would make the test long.
        if number % 20 == 0 {
            assert_eq!(client.query(&large).await.len(), 10_003);
        } else {
            client.query("rows 1").await;
        }
        // The client's own buffers are not what is measured.
        clients.push(client.stream);
    }
    assert_eq!(fixture.server.session_count(), CONNECTIONS);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let each = ALLOCATED.load(Ordering::Relaxed).saturating_sub(before) / CONNECTIONS;
    println!("an idle connection holds {each} bytes, both ends of its socket in this process included");
    assert!(each < 64 << 10, "{each} bytes");
    assert!(each > 500, "{each} bytes: the measurement must be wrong");
}
