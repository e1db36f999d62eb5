//! The server under the simulated environment: virtual time, one seed one execution.

mod support;

use std::sync::Arc;
use std::time::Duration;

use env::{Env, Simulation};
use pgserver::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const SECOND: Duration = Duration::from_secs(1);

/// Dials the server; a raw pipe, because the client of the other tests bounds its waits by the real clock.
fn dial(env: &Arc<dyn Env>, server: &Arc<Server>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(100);
    drop(env.spawn("connection", server.handle(far, Peer::Local)));
    near
}

/// Two clients and a shutdown; gives what each received, and the trace.
fn run(seed: u64) -> (Vec<Vec<u8>>, u64) {
    let simulation = Simulation::new(seed);
    let env: Arc<dyn Env> = simulation.machine();
    let backend = Arc::new(FakeBackend::default());
    *backend.idle_limit.lock().unwrap() = Some(3600 * SECOND);
    let server = Server::new(
        env.clone(),
        backend.shared(),
        Arc::new(FakeCredentials(backend.clone())),
        ServerOptions::default(),
    );
    let received = simulation.block_on(100_000 * SECOND, async move {
        let (mut patient, mut silent) = (dial(&env, &server), dial(&env, &server));
        patient.write_all(&startup(3 << 16 | 2, &[("user", "ann")])).await.unwrap();
        patient.write_all(&query("rows 20")).await.unwrap();
        let mut heard = vec![Vec::new(), Vec::new()];
        // An hour of silence, and the authentication timeout of one who never speaks, pass in no time.
        patient.read_to_end(&mut heard[0]).await.unwrap();
        silent.read_to_end(&mut heard[1]).await.unwrap();
        server.drain(SECOND).await;
        assert!(env.monotonic() >= 3600 * SECOND);
        heard
    });
    (received.expect("the simulation comes to its end"), simulation.trace())
}

#[test]
fn one_seed_gives_one_conversation() {
    let first = run(1);
    assert_eq!(first, run(1));
    let text = String::from_utf8_lossy(&first.0[0]);
    assert!(text.contains("SELECT 20") && text.contains("57P05"), "{text}");
    assert!(first.0[1].is_empty());
    assert_ne!(first.0[0], run(2).0[0], "cancel keys come from the seed");
}
