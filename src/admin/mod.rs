//! The admin listener: `/healthz`, `/readyz`, `/metrics`.
//!
//! For machines on the same host: no authentication, so nothing here shows a value or a
//! secret. Each answer is made from what is at hand; none waits for the engine.

use std::future::IntoFuture;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub mod exposition;

use exposition::Exposition;

/// How long answers under way may take once the listener stops: none of ours takes a second,
/// so only a caller that does not read is cut off.
const DRAIN: Duration = Duration::from_secs(3);

/// Whether the daemon can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Callers get what they are granted.
    Ready,
    /// They do not, for this reason: a sentence for a person, without a secret.
    NotReady(String),
}

/// The listener and what it answers from.
pub struct Admin {
    listener: TcpListener,
    view: View,
}

#[derive(Clone)]
struct View {
    readiness: watch::Receiver<Readiness>,
    metrics: Exposition,
}

impl Admin {
    /// Answers on a bound listener.
    pub fn new(listener: TcpListener, readiness: watch::Receiver<Readiness>, metrics: Exposition) -> Self {
        Self { listener, view: View { readiness, metrics } }
    }

    /// Serves until `stop`, then finishes the answers under way, for three seconds at most.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { listener, view } = self;
        let metrics = view.metrics.clone();
        let serving =
            axum::serve(listener, router(view)).with_graceful_shutdown(stop.clone().cancelled_owned());
        let cut_off = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            ended = serving.into_future() => ended,
            () = cut_off => Ok(()),
            () = metrics.keep_up() => Ok(()),
        }
    }
}

fn router(view: View) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(view)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(view): State<View>) -> (StatusCode, String) {
    // A sender that is gone can have said "ready" last, but nobody vouches for it any more.
    if view.readiness.has_changed().is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: the daemon is going down\n".to_owned());
    }
    let readiness = view.readiness.borrow().clone();
    match readiness {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

async fn render(State(view): State<View>) -> Response {
    view.metrics.answer().await
}
