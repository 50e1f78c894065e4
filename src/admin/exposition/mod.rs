//! `/metrics`: what was recorded, and what is looked up at the moment of the scrape.
//!
//! Keys, servers and the process are read where they are when somebody asks, so nothing has to
//! be kept in step with them and a key that goes is gone from the next page. One page is made
//! at a time, on a thread that may block, and everybody who asked before it was begun gets
//! that same page: a hundred scrapers cost as much as two. The page is freed with the last
//! answer that sends it. Left out: compression, other formats than text.

mod figures;
mod keys;

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::hub::Hub;
use crate::telemetry::text::Text;

use super::{Readiness, Servers};
pub(crate) use figures::write_common;
use keys::ToWall;

/// The format that Prometheus' text parsers call 0.0.4.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often histograms are folded together. The exporter keeps every single sample until
/// then, so without it memory would grow when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);
/// Room for what is not of a single key.
const ROOM: usize = 16 * 1_024;

/// What a page is made from.
pub struct Sources {
    /// What was recorded.
    pub recorded: PrometheusHandle,
    /// All keys.
    pub hub: Arc<Hub>,
    /// Whether the daemon can do its work.
    pub readiness: watch::Receiver<Readiness>,
    /// The memcached servers.
    pub servers: Servers,
    /// The ledger's file, if it has one.
    pub ledger: Option<PathBuf>,
    /// Up to how many keys there are series of each; 0: never.
    pub per_key: u32,
}

/// The page, made when asked for. Cheap to clone.
#[derive(Clone)]
pub struct Exposition {
    origin: Arc<Origin>,
    /// The latest page for as long as somebody sends it; locked while the next one is made.
    latest: Arc<Mutex<Weak<Page>>>,
}

/// What a page is made from, and what is remembered from page to page.
struct Origin {
    sources: Sources,
    to_wall: ToWall,
}

/// One page.
struct Page {
    /// Nothing in it is older.
    begun: Instant,
    text: String,
}

/// A page on its way out.
struct Sent(Arc<Page>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.text.as_bytes()
    }
}

impl Exposition {
    /// A page of these.
    pub fn new(sources: Sources) -> Self {
        let origin = Origin { sources, to_wall: ToWall::default() };
        Self { origin: Arc::new(origin), latest: Arc::default() }
    }

    /// Answers a scrape.
    pub async fn answer(&self) -> Response {
        let Some(page) = self.page().await else {
            let what = "the metrics could not be put together; the log says why\n";
            return (StatusCode::INTERNAL_SERVER_ERROR, what).into_response();
        };
        let body = Body::from(Bytes::from_owner(Sent(page)));
        ([(header::CONTENT_TYPE, TEXT)], body).into_response()
    }

    /// Keeps what is recorded small. Never returns.
    pub(super) async fn keep_up(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.origin.sources.recorded.run_upkeep();
        }
    }

    /// The page as of now, or nothing if making it panicked.
    async fn page(&self) -> Option<Arc<Page>> {
        let arrived = Instant::now();
        let mut latest = self.latest.clone().lock_owned().await;
        if let Some(page) = latest.upgrade().filter(|page| page.begun > arrived) {
            return Some(page);
        }
        let origin = self.origin.clone();
        let runtime = Handle::current().metrics();
        // The lock goes along: a scraper that gives up does not let a second page begin.
        let made = tokio::task::spawn_blocking(move || {
            let page = Arc::new(Page { begun: Instant::now(), text: origin.render(&runtime) });
            *latest = Arc::downgrade(&page);
            page
        });
        // The panic's own message is left to the panic hook: it could quote what was read.
        made.await.inspect_err(|_| tracing::error!("a page of metrics could not be put together")).ok()
    }
}

impl Origin {
    fn render(&self, runtime: &RuntimeMetrics) -> String {
        let Self { sources, to_wall } = self;
        let keys = keys::look(&sources.hub, sources.per_key, to_wall);
        let mut text = Text::after(sources.recorded.render(), ROOM + keys.room());
        keys.write(&mut text);
        figures::write(sources, runtime, &mut text);
        text.finish()
    }
}

#[cfg(test)]
mod tests;
