//! Connections of others: accepted, secured, greeted, served.
//!
//! Until it is known who calls, a connection has little time and may say one thing only, a greeting. How many connections there
//! are is bounded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use env::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use crate::generated::node_server::NodeServer;
use crate::generated::operator_server::OperatorServer;
use crate::io::{Executor, Socket, set_up};
use crate::limits;
use crate::network::Shared;
use crate::service::{Caller, NodeService, OperatorService};
use crate::tls::{self, Certified};

/// How long accepting pauses after an error that does not go away by itself (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the network stops.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let mut stopped = Box::pin(shared.stopped());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    let task = serve(Arc::clone(&shared), stream, address, permit);
                    drop(shared.env.spawn("rpc-server", Box::pin(task)));
                }
                Err(_) => {
                    shared.metrics.connections_refused.inc();
                    tracing::warn!(%address, "connection refused: too many are open");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                shared.env.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr, _permit: OwnedSemaphorePermit) {
    let stopped = shared.stopped();
    let metrics = Arc::clone(&shared.metrics);
    metrics.connections.inc();
    tokio::select! {
        biased;
        () = stopped => {}
        () = Box::pin(serve_connection(shared, stream, address)) => {}
    }
    metrics.connections.dec();
}

async fn serve_connection(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let env = shared.env.clone();
    let securing = Box::pin(secure(&shared, stream));
    let (socket, certified) = match env::timeout(&*env, limits::GREETING_TIME_MAX, securing).await {
        Ok(Ok(secured)) => secured,
        Ok(Err(reason)) => {
            shared.metrics.connections_refused.inc();
            tracing::warn!(%address, reason, "connection refused");
            return;
        }
        Err(env::Elapsed) => {
            shared.metrics.connections_refused.inc();
            tracing::debug!(%address, "connection refused: it did not get ready in time");
            return;
        }
    };
    let caller = Arc::new(Caller::new(address, certified));
    let dispatch = Dispatch {
        node: NodeServer::new(NodeService { shared: Arc::clone(&shared), caller: Arc::clone(&caller) })
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX),
        operator: OperatorServer::new(OperatorService { shared, caller: Arc::clone(&caller) })
            .max_decoding_message_size(limits::SMALL_MESSAGE_BYTES_MAX),
    };
    let connection = Builder::new(Executor(env.clone()))
        .initial_stream_window_size(limits::CALL_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::CALLS_PER_CONNECTION_MAX)
        .max_pending_accept_reset_streams(limits::GIVEN_UP_CALLS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), dispatch);
    let overdue = async {
        env.sleep(limits::GREETING_TIME_MAX).await;
        if caller.is_greeted() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection has ended");
            }
        }
        () = overdue => tracing::debug!(%address, "connection closed: it has not said who it is"),
    }
}

/// The connection as it is to be used, and whose certificate the caller has shown: with TLS always somebody's.
async fn secure(shared: &Shared, stream: TcpStream) -> Result<(Socket, Option<Certified>), String> {
    set_up(&stream).map_err(|error| error.to_string())?;
    let Some(credentials) = &shared.config.credentials else { return Ok((Socket::Plain(stream), None)) };
    let acceptor = credentials.acceptor().ok_or("these credentials are not a node's")?;
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            linger(stream).await;
            return Err(tls::explain(&error, "the caller").unwrap_or_else(|| format!("no TLS: {error}")));
        }
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certified = certificate.and_then(Certified::of).ok_or("its certificate has no common name")?;
    Ok((Socket::Accepted(Box::new(stream)), Some(certified)))
}

/// Lets the caller read why it is refused: a socket that is closed with something unread takes the alert with it. Ends when the
/// caller hangs up; bounded by whoever calls.
async fn linger(mut stream: TcpStream) {
    let mut unread = [0; 1024];
    // An error is as good as the end.
    if stream.shutdown().await.is_ok() {
        while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}

/// Brings a call to its service.
#[derive(Clone)]
struct Dispatch {
    node: NodeServer<NodeService>,
    operator: OperatorServer<OperatorService>,
}

impl hyper::service::Service<http::Request<Incoming>> for Dispatch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        use tower_service::Service;
        let service = request.uri().path().split('/').nth(1);
        if service == Some(crate::generated::operator_server::SERVICE_NAME) {
            self.operator.clone().call(request)
        } else {
            // It answers calls of other services as unknown.
            self.node.clone().call(request)
        }
    }
}
