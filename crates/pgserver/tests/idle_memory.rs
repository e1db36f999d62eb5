//! What an idle connection costs: 1,000 of them, over TCP, each after having moved a large message and a large result.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pgserver::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
const TLS_CONNECTIONS: usize = 100;

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
    // One test for both, because the counter knows only the whole process.
    drop(clients);
    fixture.server.drain(Duration::from_secs(10)).await;
    drop(fixture);
    under_tls().await;
}

/// The same under TLS, with the client's half of each TLS connection in the figure.
async fn under_tls() {
    let (certificate, key) = certificate();
    let tls = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let fixture = Fixture::new(ServerOptions { tls: Some(tls), ..ServerOptions::default() });
    let port = fixture.listen().await;
    let connector = connector(&certificate);
    let mut clients = Vec::with_capacity(TLS_CONNECTIONS);
    let before = ALLOCATED.load(Ordering::Relaxed);
    for _ in 0..TLS_CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&packet(&80_877_103u32.to_be_bytes())).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let mut client = Client::over(stream);
        client.start(3 << 16, &[("user", "ann")]).await;
        client.until_ready().await;
        assert_eq!(client.query("rows 5000").await.len(), 5_003);
        clients.push(client.stream);
    }
    assert!(fixture.backend.startups.lock().unwrap().iter().all(|startup| startup.encrypted));
    let each = ALLOCATED.load(Ordering::Relaxed).saturating_sub(before) / TLS_CONNECTIONS;
    println!("an idle connection under TLS holds {each} bytes, the client's TLS state included");
    assert!(each < 64 << 10, "{each} bytes");
    assert!(each > 5_000, "{each} bytes: the measurement must be wrong");
}

/// A TLS client that trusts `certificate`.
fn connector(certificate: &str) -> tokio_rustls::TlsConnector {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}
