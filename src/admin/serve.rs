//! From the bound listener to served connections.
//!
//! Owns the limits that keep slow and silent callers from mattering: connections at once, the
//! time for a request's head and for its body, and for a caller to take what is sent. At the stop no connection is accepted, answers under way are finished, and what is
//! left after [`DRAIN`] is cut off. Deliberately absent: TLS, which a proxy before it offers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use futures_util::{StreamExt as _, stream};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long answers under way may take once the listener stops: none of ours takes a second,
/// so only a caller that does not read is cut off.
const DRAIN: Duration = Duration::from_secs(3);
/// How long a connection that was accepted just before the stop has to be served as usual: one
/// whose request is under way would be cut off, and its caller had done nothing wrong.
const LINGER: Duration = Duration::from_millis(200);
/// Connections at once. Browsers keep up to six each, scrapers one.
const CONNECTIONS: usize = 256;
/// For the head of a request, and for the next one on a kept connection. Above the usual
/// fifteen seconds between two scrapes.
const HEAD: Duration = Duration::from_secs(20);
/// For the body of a request: a form of a few KiB.
const BODY: Duration = Duration::from_secs(10);
/// A caller that takes nothing of what was sent for so long is cut off by the kernel.
const TAKING: Duration = Duration::from_secs(30);
/// A request's head at most; the rest is for the bytes of an answer under way.
const BUFFER: usize = 32 * 1024;
/// After a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a request came from, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves until `stop`, then drains. Dropping the future cuts everything off.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Reaps the finished ones, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, peer, router, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin listener could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is left belongs to callers that do not read; it goes with the set.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // At the limit nothing is accepted: callers wait in the backlog rather than being cut off.
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // Without these two a connection works all the same.
    let _ = stream.set_nodelay(true);
    let taking = u32::try_from(TAKING.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, taking);

    let peer = Peer(peer.ip().to_canonical());
    let service = tower::service_fn(move |request: http::Request<_>| {
        let mut request: Request = request.map(|body| timely(Body::new(body)));
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = lingered(&stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to the admin listener ended early");
    }
}

async fn lingered(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LINGER).await;
}

/// The same body, broken off if it is not there in time: hyper knows a time-out for heads only.
fn timely(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let until = Instant::now() + BODY;
    let parts = stream::unfold(Some(body.into_data_stream()), move |parts| async move {
        let mut parts = parts?;
        match timeout_at(until, parts.next()).await {
            Ok(part) => part.map(|part| (part.map_err(io::Error::other), Some(parts))),
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    });
    Body::from_stream(parts)
}
