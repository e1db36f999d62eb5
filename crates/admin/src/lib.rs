//! The HTTP side of a node: is it alive, is it ready, what does it measure.
//!
//! | path | answer |
//! | --- | --- |
//! | `/health` | 200 as long as the process answers at all: a supervisor restarts it otherwise |
//! | `/ready` | 200 when SQL can be sent here, else 503 and why not: a load balancer asks |
//! | `/metrics` | the node's registry as Prometheus text (OpenMetrics) |
//!
//! Each node has a registry of its own, handed in: several nodes run in one process in tests. This crate knows neither
//! what is measured nor what readiness consists of. The answers are the same to everybody who can reach the address;
//! they hold no data of users, and nothing can be changed here.

mod listener;
mod process;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

pub use process::ProcessMetrics;

use listener::BoundedListener;

/// The media type that Prometheus knows this form of text by.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether clients may be sent to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Why not, for a person: `starting`, `draining`, `no lease on ...`.
    NotReady(String),
}

/// What the node tells about itself.
pub trait NodeStatus: Send + Sync + 'static {
    /// Must be quick: it is asked on every request.
    fn readiness(&self) -> Readiness;
}

/// The HTTP server of one node.
#[derive(Clone)]
pub struct Admin {
    status: Arc<dyn NodeStatus>,
    registry: Arc<Registry>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    pub fn new(status: Arc<dyn NodeStatus>, registry: Arc<Registry>) -> Admin {
        Admin { status, registry }
    }

    /// Answers requests until `shutdown` completes and the requests that have begun are answered.
    ///
    /// To be awaited on a tokio runtime: connections become tasks of it.
    pub async fn serve(self, listener: TcpListener, shutdown: BoxFuture<'static, ()>) -> std::io::Result<()> {
        let router = Router::new()
            .route("/", get(index))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self);
        axum::serve(BoundedListener::new(listener), router).with_graceful_shutdown(shutdown).await
    }
}

async fn index() -> &'static str {
    "Meridian. See /health, /ready, /metrics.\n"
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.status.readiness() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
