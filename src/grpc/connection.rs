//! From a bound socket to connections that the gRPC server can serve.
//!
//! One task per listener accepts; the handshake of each connection runs beside it, so a
//! caller that is slow or silent delays nobody. Every connection holds a permit of its
//! listener's limit, has [`HANDSHAKE`] to say its first words, and ends when the server is
//! torn down. TLS settings are read per connection, so a reload needs no new listener.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::telemetry::{ErrorTracker, Report};

use super::listen::Socket;
use super::peer::{self, Peer};

/// For the TLS handshake, and again for the first words of HTTP/2.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a client of HTTP/2 says first is 24 bytes long.
const PREFACE: usize = 24;
/// Connections per listener at most. Each costs some 20 KiB; callers share one per process.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections of one listener are at most this part of the files that may be open: idle callers
/// must not take away what reaches WeChat and the ledger.
const PART_OF_FILES: u64 = 4;
/// How long connections that were accepted just before the stop have to be served as usual: one
/// whose first bytes are under way would be reset, and its caller had done nothing wrong.
pub(super) const LINGER: Duration = Duration::from_millis(200);
/// After a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// TLS of new connections; `None` is plain text.
pub(super) type SharedTls = Arc<ArcSwapOption<TlsAcceptor>>;

/// How many connections a listener takes at once.
fn connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let part = files.and_then(|files| usize::try_from(files / PART_OF_FILES).ok());
    part.unwrap_or(MAX_CONNECTIONS).clamp(16, MAX_CONNECTIONS)
}

/// Accepts until stopped, and hands on what has shaken hands.
pub(super) async fn accept(
    socket: Socket,
    tls: SharedTls,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
    torn: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(connections()));
    let mut handshakes = JoinSet::new();
    let mut refused = ErrorTracker::default();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&socket, &permits) => accepted,
            // Reaps the finished ones, so that the set does not grow.
            Some(_) = handshakes.join_next() => continue,
            () = stop.cancelled() => break,
        };
        let (raw, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let failures = refused.in_a_row() + 1;
                match refused.failed() {
                    Report::Warn(_) => {
                        tracing::warn!(%error, failures, "a connection could not be accepted: {error}");
                    }
                    Report::Debug(_) | Report::Recovered(_) | Report::Nothing => {
                        tracing::debug!(%error, failures, "a connection could not be accepted: {error}");
                    }
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Report::Recovered(failures) = refused.succeeded() {
            tracing::info!(failures, "connections are accepted again after {failures} failures");
        }
        let (tls, ready, torn) = (tls.load_full(), ready.clone(), torn.clone());
        handshakes.spawn(async move {
            match timeout(HANDSHAKE, shake_hands(raw, tls)).await {
                // A closed channel: the server stops, and the connection with it.
                Ok(Ok((io, peer))) => {
                    let _ = ready.send(Ok(Connection::new(io, peer, permit, torn))).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed: {error}"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
    // Callers that come now wait for the next process, if it inherits the socket.
    drop(socket);
    // The server goes on for as long as somebody may hand a connection over.
    sleep(LINGER).await;
}

enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn accept_one(socket: &Socket, permits: &Arc<Semaphore>) -> io::Result<(Raw, OwnedSemaphorePermit)> {
    // At the limit nothing is accepted: callers wait in the backlog rather than being cut off.
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let raw = match socket {
        Socket::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Raw::Tcp(stream)
        }
        Socket::Unix { listener, file: _ } => Raw::Unix(listener.accept().await?.0),
    };
    Ok((raw, permit))
}

async fn shake_hands(raw: Raw, tls: Option<Arc<TlsAcceptor>>) -> io::Result<(Io, Peer)> {
    match (raw, tls) {
        (Raw::Unix(stream), _) => {
            let uid = stream.peer_cred().ok().map(|cred| cred.uid());
            Ok((Io::Unix(stream), Peer::Unix { uid }))
        }
        (Raw::Tcp(stream), None) => {
            let addr = stream.peer_addr().ok();
            Ok((Io::Tcp(stream), Peer::Tcp { addr, names: Arc::default() }))
        }
        (Raw::Tcp(stream), Some(tls)) => {
            let addr = stream.peer_addr().ok();
            let stream = tls.accept(stream).await?;
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let names = certificate.map(|der| peer::names(der)).unwrap_or_default();
            Ok((Io::Tls(Box::new(stream)), Peer::Tcp { addr, names }))
        }
    }
}

enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// One connection, plain or not.
pub(super) struct Connection {
    io: Io,
    peer: Peer,
    /// Present until the caller has said its first words.
    opening: Option<Opening>,
    torn: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

struct Opening {
    deadline: Pin<Box<Sleep>>,
    missing: usize,
}

impl Connection {
    fn new(io: Io, peer: Peer, permit: OwnedSemaphorePermit, torn: CancellationToken) -> Self {
        let opening = Opening { deadline: Box::pin(sleep(HANDSHAKE)), missing: PREFACE };
        let torn = Box::pin(torn.cancelled_owned());
        Self { io, peer, opening: Some(opening), torn, _permit: permit }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(opening) = &mut self.opening
            && opening.deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_read(cx, buf),
        };
        // Behind the read, so that two locks are not taken for each call that has come. Whoever sends
        // without end is told as soon as the runtime ends its turn.
        if read.is_pending() && self.torn.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(read)?;
        let read = buf.filled().len() - before;
        self.opening = self.opening.take().and_then(|opening| {
            let missing = opening.missing.saturating_sub(read);
            (missing > 0).then_some(Opening { missing, ..opening })
        });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
            Io::Unix(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
            Io::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
