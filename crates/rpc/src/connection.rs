//! A connection that we have opened: from the address to a handshake, and calls over it.
//!
//! ```text
//!   resolve ─▶ TCP ─▶ TLS (if there are credentials) ─▶ HTTP/2 ─▶ Hello ─▶ calls
//!   └───────────────── within CONNECT_TIME_MAX ──────────────────┘
//! ```
//!
//! One connection is one TCP connection: it is never re-established behind the caller's back, so that whoever holds one
//! knows with whom the handshake was made. When it is closed, however that came, all calls end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use env::{BoxFuture, Env, TaskHandle};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::v1;
use socket2::SockRef;
use tokio::net::TcpStream;
use tonic::body::Body;

use crate::generated::node_client::NodeClient;
use crate::generated::operator_client::OperatorClient;
use crate::identity::Refusal;
use crate::io::{Executor, Socket, set_up};
use crate::limits;
use crate::tls::{self, Credentials};

/// The authority in requests: whom we mean was said by connecting.
fn origin() -> http::Uri {
    http::Uri::from_static("http://meridian")
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers, or the network fails.
    #[error("{0}")]
    Unreachable(String),
    /// Certificates are missing or wrong, on either side.
    #[error("{0}")]
    Insecure(String),
    /// Somebody else listens there.
    #[error("{0}")]
    NotANode(String),
    /// The node that listens there does not want us.
    #[error("{0}")]
    Refused(Refusal),
}

/// A call that did not succeed on the way. A status of the other side is no such error.
#[derive(Debug)]
pub(crate) struct ChannelError {
    /// Nothing of the call has left.
    pub unsent: bool,
    source: hyper::Error,
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl std::error::Error for ChannelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Whether a failed call is known not to have left.
pub(crate) fn is_unsent(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<ChannelError>() {
            return error.unsent;
        }
        source = error.source();
    }
    false
}

/// Carries calls for the generated clients.
#[derive(Clone)]
pub(crate) struct Channel(SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = ChannelError;
    type Future = BoxFuture<'static, Result<Self::Response, ChannelError>>;

    /// A connection that is closed shows in the call, which tells that nothing has left.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = self.0.try_send_request(request);
        Box::pin(call.map(|result| {
            result.map_err(|mut error| ChannelError {
                unsent: error.take_message().is_some(),
                source: error.into_error(),
            })
        }))
    }
}

/// Whether and why a connection has ended.
#[derive(Default)]
struct End {
    closed: AtomicBool,
    reason: Mutex<Option<String>>,
    notify: tokio::sync::Notify,
}

impl End {
    fn close(&self, reason: String) {
        self.reason.lock().get_or_insert(reason);
        self.closed.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }
}

/// An open connection to a node that has welcomed us.
pub(crate) struct Connection {
    channel: Channel,
    end: Arc<End>,
    task: TaskHandle,
    /// The same socket once more, to be shut down.
    socket: socket2::Socket,
    pub welcome: v1::Welcome,
    pub address: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Connection {
    /// Connects to an address and introduces ourselves.
    pub async fn open(
        env: &Arc<dyn Env>,
        address: &str,
        credentials: Option<&Credentials>,
        hello: v1::HelloRequest,
    ) -> Result<Connection, ConnectError> {
        let opening = Box::pin(Connection::open_unbounded(env, address, credentials, hello));
        env::timeout(&**env, limits::CONNECT_TIME_MAX, opening).await.unwrap_or_else(|env::Elapsed| {
            let within = limits::CONNECT_TIME_MAX;
            Err(ConnectError::Unreachable(format!("{address} does not answer within {within:?}")))
        })
    }

    async fn open_unbounded(
        env: &Arc<dyn Env>,
        address: &str,
        credentials: Option<&Credentials>,
        hello: v1::HelloRequest,
    ) -> Result<Connection, ConnectError> {
        let unreachable = |error: std::io::Error| ConnectError::Unreachable(format!("{address}: {error}"));
        let resolved = tokio::net::lookup_host(address).await.map_err(|error| {
            ConnectError::Unreachable(format!("the host of {address} cannot be resolved: {error}"))
        })?;
        let resolved: Vec<std::net::SocketAddr> = resolved.collect();
        let stream = TcpStream::connect(&resolved[..]).await.map_err(unreachable)?;
        set_up(&stream).map_err(unreachable)?;
        let own = SockRef::from(&stream).try_clone().map_err(unreachable)?;
        let complaint = Arc::new(OnceLock::new());
        let socket = match credentials {
            None => Socket::Plain(stream),
            Some(credentials) => secure(stream, address, credentials, &complaint).await?,
        };
        let (sender, connection) = Builder::new(Executor(env.clone()))
            .initial_stream_window_size(limits::CALL_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .max_header_list_size(limits::HEADER_BYTES_MAX)
            .handshake::<_, Body>(TokioIo::new(socket))
            .await
            .map_err(|error| {
                let text = format!("{address} does not answer like a node: {}", causes(&error));
                ConnectError::NotANode(text)
            })?;
        let end = Arc::new(End::default());
        let (task_end, told) = (Arc::clone(&end), address.to_string());
        let task = env.spawn(
            "rpc-connection",
            Box::pin(async move {
                let ended = connection.await;
                task_end.close(match (complaint.get(), ended) {
                    (Some(complaint), _) => complaint.clone(),
                    (None, Ok(())) => format!("{told} has closed the connection"),
                    (None, Err(error)) => format!("the connection to {told} is lost: {}", causes(&error)),
                });
            }),
        );
        let welcome = v1::Welcome::default();
        let mut opened = Connection {
            channel: Channel(sender),
            end,
            task,
            socket: own,
            welcome,
            address: address.to_string(),
        };
        opened.welcome = opened.introduce(hello, credentials.is_some()).await?;
        Ok(opened)
    }

    async fn introduce(&self, hello: v1::HelloRequest, is_secure: bool) -> Result<v1::Welcome, ConnectError> {
        let address = &self.address;
        let answer = match self.node().hello(hello).await {
            Ok(answer) => answer.into_inner(),
            // A refusal of our certificate shows when the connection breaks, not before.
            Err(status) if is_transport(&status) => {
                self.closed().await;
                let reason = self.reason();
                return Err(match is_secure {
                    true => ConnectError::Insecure(reason),
                    false => ConnectError::NotANode(format!(
                        "{address} does not answer like a node ({reason}): is it the RPC address of one, and does it run without certificates?"
                    )),
                });
            }
            Err(status) => {
                let text = format!("{address} does not answer like a node: {}", status.message());
                return Err(ConnectError::NotANode(text));
            }
        };
        match answer.outcome {
            Some(v1::hello_response::Outcome::Welcome(welcome)) => Ok(welcome),
            Some(v1::hello_response::Outcome::Refusal(refusal)) => {
                Err(ConnectError::Refused(Refusal::from_proto(refusal)))
            }
            None => Err(ConnectError::NotANode(format!("{address} answers a greeting with nothing"))),
        }
    }

    pub fn node(&self) -> NodeClient<Channel> {
        NodeClient::with_origin(self.channel.clone(), origin())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    pub fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::with_origin(self.channel.clone(), origin())
            .max_decoding_message_size(limits::SMALL_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::SMALL_MESSAGE_BYTES_MAX)
    }

    pub fn is_closed(&self) -> bool {
        self.end.closed.load(Ordering::Acquire)
    }

    /// Completes when the connection has ended.
    pub async fn closed(&self) {
        loop {
            let notified = self.end.notify.notified();
            if self.is_closed() {
                return;
            }
            notified.await;
        }
    }

    /// Why it has ended.
    pub fn reason(&self) -> String {
        self.end.reason.lock().clone().unwrap_or_else(|| "the connection is open".to_string())
    }

    /// Ends it: all calls fail.
    pub fn close(&self, reason: &str) {
        self.end.close(reason.to_string());
        self.cut();
    }

    /// Without its task HTTP/2 would wait politely for the answers to calls under way, of a peer that may be halted or cut off. It ends at
    /// once when the socket does.
    fn cut(&self) {
        // It may have ended already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.task.abort();
    }
}

async fn secure(
    stream: TcpStream,
    address: &str,
    credentials: &Credentials,
    complaint: &Arc<OnceLock<String>>,
) -> Result<Socket, ConnectError> {
    let name = tls::server_name(address).map_err(ConnectError::Unreachable)?;
    match credentials.connector().connect(name, stream).await {
        Ok(stream) => Ok(Socket::Connected {
            stream: Box::new(stream),
            address: address.to_string(),
            complaint: Arc::clone(complaint),
        }),
        Err(error) => Err(ConnectError::Insecure(
            tls::explain(&error, address)
                .unwrap_or_else(|| format!("no secure connection with {address}: {error}")),
        )),
    }
}

/// Whether a status was made here, because the connection failed, and not by the other side.
fn is_transport(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
