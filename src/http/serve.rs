//! From the bound listener to served connections.
//!
//! Owns the connections: how many at once, the time for a request's head and for its body, and
//! for a caller to take what is sent. At the stop no connection is accepted but those that the
//! kernel has made already, answers under way are finished, and what is left after
//! [`Limits::drain`] is cut off.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::heads::Heads;
use super::timely::Timely;
use super::{Limits, Proxies, Received, RequestId, Via};

/// How long a connection that was accepted just before the stop has to be served as usual: one
/// whose request is under way would be cut off, and its caller had done nothing wrong.
const LINGER: Duration = Duration::from_millis(200);
/// After a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Where the caller finds the request's name.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves until `stop`, then drains. Dropping the future cuts everything off. No proxy is believed.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    serve_behind(Proxies::default(), listener, router, limits, stop).await;
}

/// As [`serve`], with these proxies before us.
pub async fn serve_behind(
    proxies: Proxies,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
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
                let served = connection(stream, peer, proxies.clone(), router.clone(), limits, stop.clone());
                connections.spawn(held(permit, served));
            }
            Err(error) => {
                let listener = limits.listener;
                tracing::warn!(%error, "a connection to the {listener} listener could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    for (stream, peer, permit) in waiting(listener, &permits) {
        let served = connection(stream, peer, proxies.clone(), router.clone(), limits, stop.clone());
        connections.spawn(held(permit, served));
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is left goes with the set.
    let _ = tokio::time::timeout(limits.drain, drained).await;
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

/// Ends the listening. What the kernel has accepted already is taken over: with the socket it would
/// be reset, and its callers have been told that they are connected.
fn waiting(
    listener: TcpListener,
    permits: &Arc<Semaphore>,
) -> Vec<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let mut found = Vec::new();
    // Asked of the kernel: the runtime may not have heard of them yet.
    let Ok(listener) = listener.into_std() else { return found };
    while let Ok(permit) = permits.clone().try_acquire_owned()
        && let Ok((stream, peer)) = listener.accept()
    {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            found.push((stream, peer, permit));
        }
    }
    found
}

/// Serves a connection and gives its place back.
async fn held(permit: OwnedSemaphorePermit, served: impl Future<Output = ()>) {
    served.await;
    drop(permit);
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    proxies: Proxies,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // Without these two a connection works all the same.
    let _ = stream.set_nodelay(true);
    let taking = u32::try_from(limits.taking.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, taking);

    let peer = peer.ip().to_canonical();
    let via = proxies.via(peer);
    let service = tower::service_fn(move |request: http::Request<_>| {
        let peer = match via {
            Via::Direct => peer,
            Via::Proxy => proxies.caller(peer, request.headers()),
        };
        let received = Received { peer, via, id: RequestId::new(), at: Instant::now() };
        let until = received.at + limits.body;
        let mut request: Request = request.map(|body| Body::new(Timely::new(body, until)));
        request.extensions_mut().insert(received.clone());
        answered(router.clone(), request, received, limits.listener)
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(Heads::default()).header_read_timeout(limits.head).max_buf_size(limits.buffer);
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
        tracing::debug!(error, "a connection to the {} listener ended early", limits.listener);
    }
}

/// One request: its answer with its name, and a line in the log for who looks for it.
async fn answered(
    router: Router,
    request: Request,
    received: Received,
    listener: &'static str,
) -> Result<Response, Infallible> {
    // The query is left out: it may hold what a caller proves itself with.
    let asked = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.uri().path().to_owned()));
    let mut response = router.oneshot(request).await?;
    if let Some((method, path)) = asked {
        tracing::debug!(
            listener,
            request = %received.id,
            peer = %received.peer,
            %method,
            path,
            status = response.status().as_u16(),
            took_us = u64::try_from(received.at.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered",
        );
    }
    if let Ok(id) = HeaderValue::from_str(received.id.text()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

async fn lingered(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LINGER).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn connections_that_the_kernel_has_made_are_served_although_the_stop_came_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut callers = Vec::new();
        for _ in 0..20 {
            let mut caller = TcpStream::connect(addr).await.unwrap();
            caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            callers.push(caller);
        }
        let long = Duration::from_secs(60);
        let limits = Limits {
            listener: "test",
            connections: 100,
            head: long,
            body: long,
            buffer: 16 * 1_024,
            taking: long,
            drain: long,
        };
        let stop = CancellationToken::new();
        stop.cancel();
        serve(listener, Router::new().route("/", get(async || "ok")), limits, stop).await;
        for mut caller in callers {
            let mut answer = String::new();
            caller.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("ok"), "{answer}");
        }
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
