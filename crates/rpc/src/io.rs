//! Below gRPC: sockets with or without TLS, and hyper's wishes granted by `Env`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use env::Env;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls;

/// Silence after which the system asks whether the other machine is still there; how often, and how many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: u32 = 3;

/// Runs hyper's tasks.
#[derive(Clone)]
pub(crate) struct Executor(pub Arc<dyn Env>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        drop(self.0.spawn("rpc-call", Box::pin(task)));
    }
}

/// Bytes in both directions.
pub(crate) enum Socket {
    Plain(TcpStream),
    Accepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Connected {
        stream: Box<tokio_rustls::client::TlsStream<TcpStream>>,
        /// The other side's address.
        address: String,
        /// What went wrong with the certificates: HTTP/2 keeps no more of it than a text for programmers.
        complaint: Arc<OnceLock<String>>,
    },
}

/// No waiting for more to send; a machine that has vanished is noticed.
pub(crate) fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_COUNT);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

macro_rules! on_socket {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Plain($stream) => $call,
            Socket::Accepted($stream) => $call,
            Socket::Connected { stream: $stream, .. } => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let read = on_socket!(Pin::new(&mut *socket), stream => Pin::new(stream).poll_read(cx, buffer));
        if let (Poll::Ready(Err(error)), Socket::Connected { address, complaint, .. }) = (&read, socket)
            && let Some(explained) = tls::explain(error, address)
        {
            // The first complaint is the cause of what follows.
            let _ = complaint.set(explained);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Accepted(stream) => stream.is_write_vectored(),
            Socket::Connected { stream, .. } => stream.is_write_vectored(),
        }
    }
}
