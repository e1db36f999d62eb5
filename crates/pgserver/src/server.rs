//! The server: takes connections in, brings each to its session, and drains them at the end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use env::Env;
use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use types::error::{PgError, PgResult, Severity, SqlState};

use crate::authentication;
use crate::cancel::{CANCEL_SECRET_BYTES_V30, CANCEL_SECRET_BYTES_V32, CancelKey};
use crate::connection::{Connection, say_farewell};
use crate::control::{Phase, Registry, Seat, Supervised};
use crate::errors::ErrorCounts;
use crate::message::encode;
use crate::options::ServerOptions;
use crate::session::{Backend, Credentials, Peer, Session, StartupParameters};
use crate::sink::ResultSink;
use crate::startup::{self, Opening, StartupMessage};

/// AuthenticationOk.
const AUTHENTICATION_OK: i32 = 0;
/// How long accepting pauses after an error that does not go away by itself (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which the system asks whether the client's machine is still there; how often it asks, and how many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 4;
/// How long cancelled statements have to end before their connections are cut off.
const CANCEL_DURATION_MAX: Duration = Duration::from_secs(2);
/// Sessions that may be asking for entry or cancelling at any bound of sessions.
const STRANGERS_MIN: usize = 32;

/// A PostgreSQL server in front of a [`Backend`].
///
/// - Every connection is in the registry from before its task starts until after it has ended.
/// - A connection reaches [`Backend::connect`] only after its user has met the access policy's requirements.
pub struct Server {
    env: Arc<dyn Env>,
    backend: Arc<dyn Backend>,
    credentials: Arc<dyn Credentials>,
    options: ServerOptions,
    registry: Arc<Registry>,
    /// Makes the pretended verifiers of unknown users unpredictable.
    secret: [u8; 32],
    errors: Arc<ErrorCounts>,
}

impl Server {
    /// A server that nobody is connected to.
    pub fn new(
        env: Arc<dyn Env>,
        backend: Arc<dyn Backend>,
        credentials: Arc<dyn Credentials>,
        options: ServerOptions,
    ) -> Arc<Self> {
        let secret = random_bytes(&*env);
        let registry = Registry::new(options.process_ids.clone());
        Arc::new(Server { env, backend, credentials, options, registry, secret, errors: Arc::default() })
    }

    /// Accepts connections until the server is drained, each as a task of its own.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = poll_fn(|cx| {
                self.registry.acceptor.register(cx.waker());
                if self.registry.phase() != Phase::Running {
                    return Poll::Ready(None);
                }
                listener.poll_accept(cx).map(Some)
            })
            .await;
            match accepted {
                None => return,
                Some(Ok((stream, address))) => self.accept(stream, Peer::Address(address)),
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    self.env.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accept(self: &Arc<Self>, stream: TcpStream, peer: Peer) {
        let bound =
            self.options.connections_max.saturating_add(self.options.connections_max.max(STRANGERS_MIN));
        if self.registry.connection_count() >= bound {
            tracing::warn!(%peer, bound, "connection refused: too many are open");
            return;
        }
        if let Err(error) = set_up_socket(&stream) {
            tracing::debug!(%peer, %error, "connection lost before it began");
            return;
        }
        drop(self.env.spawn("sql-connection", self.handle(stream, peer)));
    }

    /// Serves one connection to its end. The future is to be spawned as a task; dropping it cuts the connection off.
    pub fn handle<S>(self: &Arc<Self>, stream: S, peer: Peer) -> BoxFuture<'static, ()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let registration = self.registry.register();
        let life = Box::pin(self.clone().live(Box::new(stream), peer, registration.seat()));
        Box::pin(Supervised { registration, life })
    }

    /// The number of connections that have a session or are about to get one.
    pub fn session_count(&self) -> usize {
        self.registry.session_count()
    }

    /// Errors that clients were told, by the first two characters of their SQLSTATE; refused logins included.
    pub fn error_counts(&self) -> Vec<(String, u64)> {
        self.errors.read()
    }

    /// Shuts down: refuses newcomers; lets sessions leave (57P01) when they are idle outside a transaction block; after
    /// `grace` cancels what still runs and ends every session; and a little later cuts off what is left. Completes when no
    /// connection is left.
    pub async fn drain(&self, grace: Duration) {
        self.registry.advance(Phase::Draining);
        if env::timeout(&*self.env, grace, self.registry.empty()).await.is_ok() {
            return;
        }
        for key in self.registry.advance(Phase::Terminating) {
            self.backend.cancel(key);
        }
        if env::timeout(&*self.env, CANCEL_DURATION_MAX, self.registry.empty()).await.is_ok() {
            return;
        }
        tracing::warn!(count = self.registry.connection_count(), "cutting off connections that do not end");
        self.registry.advance(Phase::Killed);
        self.registry.empty().await;
    }

    async fn live(self: Arc<Self>, stream: Box<dyn crate::wire::Stream>, peer: Peer, seat: Seat) {
        let mut sink = ResultSink::new(stream, self.options.output_bytes_max, self.options.message_bytes_max);
        // Boxed: what a connection needs to get in is given back before its session begins.
        let entering = Box::pin(self.enter(&mut sink, peer, &seat));
        let session = match env::timeout(&*self.env, self.options.authentication_timeout, entering).await {
            Ok(Ok(Some(session))) => session,
            Ok(Ok(None)) => return,
            Ok(Err(mut error)) => {
                error.fields_mut().severity = Severity::Fatal;
                self.errors.count(&error);
                tracing::debug!(%peer, %error, "connection refused");
                if !sink.is_broken() {
                    say_farewell(&mut sink, Some(&error), &*self.env).await;
                }
                return;
            }
            Err(env::Elapsed) => {
                tracing::debug!(%peer, "connection did not get in within the authentication timeout");
                return;
            }
        };
        Connection::new(sink, session, seat.control, self.errors.clone(), self.env.clone()).run().await;
    }

    /// Brings a connection to its session; `None` when it did not want one.
    async fn enter(
        &self,
        sink: &mut ResultSink,
        peer: Peer,
        seat: &Seat,
    ) -> PgResult<Option<Box<dyn Session>>> {
        let mut encrypted = false;
        let opening = startup::open(sink, self.options.tls.as_ref(), peer, &mut encrypted).await?;
        let startup = match opening {
            Opening::Startup(startup) => startup,
            Opening::Nothing => return Ok(None),
            Opening::Cancel(key) => {
                self.backend.cancel(key);
                return Ok(None);
            }
        };
        if seat.control.phase() != Phase::Running {
            return Err(PgError::fatal(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down"));
        }
        startup::negotiate_version(sink, &startup);
        let process_id = seat.take(self.options.connections_max).ok_or_else(|| {
            PgError::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
        })?;
        self.admit(sink, &startup, peer, encrypted).await?;
        let cancel_key = self.new_cancel_key(process_id, startup.minor);
        seat.set_cancel_key(cancel_key.clone());
        let session = self.open_session(sink, startup, peer, encrypted, cancel_key).await?;
        Ok(Some(session))
    }

    /// Checks what the access policy asks of a client from there.
    async fn admit(
        &self,
        sink: &mut ResultSink,
        startup: &StartupMessage,
        peer: Peer,
        encrypted: bool,
    ) -> PgResult<()> {
        let policy = &self.options.access;
        let requirements = if peer.is_loopback() { policy.loopback } else { policy.remote };
        authentication::check_transport(requirements, encrypted, peer)?;
        if requirements.password {
            let tls = self.options.tls.as_ref().filter(|_| encrypted);
            authentication::authenticate(sink, &*self.credentials, tls, &startup.user, &self.secret).await?;
        }
        encode::authentication(&mut sink.wire.output, AUTHENTICATION_OK, &[]);
        Ok(())
    }

    async fn open_session(
        &self,
        sink: &mut ResultSink,
        startup: StartupMessage,
        peer: Peer,
        encrypted: bool,
        cancel_key: CancelKey,
    ) -> PgResult<Box<dyn Session>> {
        let parameters = StartupParameters {
            user: startup.user,
            database: startup.database,
            settings: startup.settings,
            peer,
            encrypted,
            cancel_key: cancel_key.clone(),
        };
        let session = self.backend.connect(parameters).await?;
        for (name, value) in session.parameter_statuses() {
            encode::parameter_status(&mut sink.wire.output, &name, &value);
        }
        encode::backend_key_data(&mut sink.wire.output, &cancel_key);
        Ok(session)
    }

    fn new_cancel_key(&self, process_id: u32, minor: u32) -> CancelKey {
        let secret = random_bytes(&*self.env);
        let size = if minor >= 2 { CANCEL_SECRET_BYTES_V32 } else { CANCEL_SECRET_BYTES_V30 };
        CancelKey::new(process_id, &secret[..size])
    }
}

/// No waiting for more to send; and a client whose machine has vanished is noticed, so that its locks do not stay.
fn set_up_socket(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_COUNT);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn random_bytes(env: &dyn Env) -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&env.entropy().to_be_bytes());
    }
    bytes
}
