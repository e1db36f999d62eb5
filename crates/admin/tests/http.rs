//! The HTTP side as a client sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use admin::{Admin, NodeStatus, ProcessMetrics, Readiness};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Switch {
    ready: AtomicBool,
}

impl NodeStatus for Switch {
    fn readiness(&self) -> Readiness {
        if self.ready.load(Ordering::Relaxed) {
            Readiness::Ready
        } else {
            Readiness::NotReady("starting".to_string())
        }
    }
}

async fn request(address: std::net::SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream
        .write_all(format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[test]
fn health_readiness_and_metrics_are_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let status = Arc::new(Switch::default());
        let mut registry = Registry::default();
        let commits = Counter::<u64>::default();
        registry.register("transaction_commits", "Committed transactions", commits.clone());
        registry.register_collector(Box::new(ProcessMetrics));
        commits.inc_by(3);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shutdown = Box::pin(async move { stopped.await.unwrap_or_default() });
        let server = tokio::spawn(Admin::new(status.clone(), Arc::new(registry)).serve(listener, shutdown));

        assert!(request(address, "GET /health").await.starts_with("HTTP/1.1 200 OK"));
        let answer = request(address, "GET /ready").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready: starting\n"), "{answer}");
        status.ready.store(true, Ordering::Relaxed);
        assert!(request(address, "GET /ready").await.starts_with("HTTP/1.1 200 OK"));

        let answer = request(address, "GET /metrics").await;
        assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
        for line in [
            "transaction_commits_total 3\n",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "# EOF\n",
        ] {
            assert!(answer.contains(line), "{line} in {answer}");
        }

        assert!(request(address, "GET /nowhere").await.starts_with("HTTP/1.1 404"));
        assert!(request(address, "POST /health").await.starts_with("HTTP/1.1 405"));

        // Many idle connections: the bound holds, and they do not keep the server from stopping.
        let mut idle = Vec::new();
        for _ in 0..100 {
            idle.push(TcpStream::connect(address).await.expect("it listens"));
        }
        idle.truncate(10);
        assert!(request(address, "GET /health").await.starts_with("HTTP/1.1 200 OK"));
        stop.send(()).expect("the server waits for it");
        server.await.expect("it did not panic").expect("it ended in order");
    });
}
