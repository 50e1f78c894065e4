//! The services' admin listener: `/healthz`, `/readyz`, `/services`, `/metrics`. No page: there is nothing to
//! steer here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::admin::exposition::{TEXT, write_common};
use crate::http::{Limits, Received, no_such_method, no_such_path, refusal};
use crate::telemetry::text::Text;

use super::status::Board;

/// As the daemon's.
pub(super) const LIMITS: Limits = Limits {
    listener: "admin",
    connections: 64,
    head: Duration::from_secs(20),
    body: Duration::from_secs(5),
    buffer: 16 * 1024,
    taking: Duration::from_secs(30),
    drain: Duration::from_secs(1),
};
/// How often histograms are folded together: the exporter keeps every sample until then.
const UPKEEP: Duration = Duration::from_secs(5);
/// Room for what is looked up at a scrape.
const ROOM: usize = 8 * 1_024;

#[derive(Clone)]
pub(super) struct View {
    pub(super) readiness: watch::Receiver<Readiness>,
    pub(super) board: Board,
    pub(super) counters: PrometheusHandle,
}

impl View {
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/services", get(services))
            .route("/metrics", get(page))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .with_state(Arc::new(self))
    }

    /// Keeps what is recorded small. Never returns.
    pub(super) async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.counters.run_upkeep();
        }
    }
}

/// Ready is who answers requests; what is wrong besides is said with it, so that whoever looks
/// here, or a probe that keeps the text, knows where to go on.
async fn readyz(State(view): State<Arc<View>>) -> (StatusCode, String) {
    match &*view.readiness.borrow() {
        Readiness::Ready => {
            let said = match view.board.trouble() {
                wrong if wrong.is_empty() => "ready\n".to_owned(),
                wrong => format!("ready, but {wrong}\n"),
            };
            (StatusCode::OK, said)
        }
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

/// Which services run here, a line each: several processes may share one file.
async fn services(State(view): State<Arc<View>>) -> String {
    view.board.names().map(|name| format!("{name}\n")).collect::<Vec<_>>().concat()
}

async fn page(State(view): State<Arc<View>>, Extension(received): Extension<Received>) -> Response {
    let runtime = Handle::current().metrics();
    // Reads /proc.
    let made = tokio::task::spawn_blocking(move || {
        let mut text = Text::after(view.counters.render(), ROOM);
        write_common(&view.readiness.borrow(), &runtime, &mut text);
        text.finish()
    });
    match made.await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the log says why", &received.id),
    }
}
