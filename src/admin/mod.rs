//! The admin listener: `/healthz`, `/readyz`, `/metrics` for machines, the status page for people.
//!
//! Machines are answered without authentication. The page is seen by everybody who can connect
//! or by clients with `status` ([`Audience`]); steering a key needs a client with `admin` who
//! signed in with its token. Nothing here shows a value or a secret, and no answer waits for the
//! engine or the ledger for longer than half a second.
//!
//! [`http`](crate::http) has the connections, [`doors`] decides who comes in, [`parts`] is what is shown,
//! [`live`] keeps it current, [`forms`] and [`deeds`] steer keys. Deliberately absent: TLS,
//! which a proxy offers, and any state that outlives the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub mod exposition;

use exposition::Exposition;

use crate::access::Gate;
use crate::audit::Recorder;
use crate::clock::WallTime;
use crate::http::{Limits, serve};
use crate::hub::Hub;

mod archive;
mod deeds;
mod doors;
mod forms;
mod listing;
mod live;
mod pages;
mod parts;
mod query;
mod recent;
mod refusal;
mod remedies;
mod render;
mod row;
mod sessions;
mod site;
mod words;

pub use recent::Recent;

use site::Site;

const LIMITS: Limits = Limits {
    listener: "admin",
    // Browsers keep up to six each, scrapers one.
    connections: 256,
    // Above the usual fifteen seconds between two scrapes.
    head: Duration::from_secs(20),
    // A form of a few KiB.
    body: Duration::from_secs(10),
    buffer: 32 * 1024,
    taking: Duration::from_secs(30),
    // None of our answers takes a second, so only a caller that does not read is cut off.
    drain: Duration::from_secs(3),
};

/// Whether the daemon can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Callers get what they are granted.
    Ready,
    /// They do not, for this reason: a sentence for a person, without a secret.
    NotReady(String),
}

/// Who sees the page without signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who can connect.
    Anyone,
    /// Clients with `status`, who sign in.
    Clients,
}

/// What the page needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who sees it.
    pub view: Audience,
    /// The names, besides `localhost`, under which browsers may ask for it.
    pub hosts: Vec<String>,
}

/// What the page and `/metrics` show of a server that copies are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `host:port`.
    pub name: String,
    /// Whether it answers.
    pub connected: bool,
    /// Keys that it may not have in their latest state.
    pub pending: usize,
    /// Keys written or deleted since the start.
    pub written: u64,
    /// Times that it had nothing of ours, so that everything was written.
    pub rewrites: u64,
    /// Connections that failed since one last stood for a while.
    pub failures: u32,
    /// When it last answered.
    pub last_success: Option<WallTime>,
    /// The latest failure.
    pub error: Option<String>,
    /// When that was.
    pub error_at: Option<WallTime>,
}

/// Tells how the servers are, now.
pub type Servers = Arc<dyn Fn() -> Vec<Server> + Send + Sync>;

/// What the page is made from.
pub struct Sources {
    /// All credentials.
    pub hub: Arc<Hub>,
    /// Who may do what.
    pub gate: Gate,
    /// Where it is noted who signs in and steers keys.
    pub audit: Recorder,
    /// What happened lately; the daemon notes its reloads there.
    pub recent: Recent,
    /// The servers that copies are written to.
    pub servers: Servers,
}

/// The listener and what it answers from.
pub struct Admin {
    listener: TcpListener,
    view: View,
    settings: Settings,
    sources: Sources,
}

#[derive(Clone)]
struct View {
    readiness: watch::Receiver<Readiness>,
    metrics: Exposition,
}

impl Admin {
    /// Answers on a bound listener.
    pub fn new(
        listener: TcpListener,
        readiness: watch::Receiver<Readiness>,
        metrics: Exposition,
        settings: Settings,
        sources: Sources,
    ) -> Self {
        Self { listener, view: View { readiness, metrics }, settings, sources }
    }

    /// Serves until `stop`, then finishes the answers under way, for three seconds at most.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, view, settings, sources } = self;
        let Sources { hub, gate, audit, recent, servers } = sources;
        let metrics = view.metrics.clone();
        let clock = hub.clock().clone();
        let (deeds, asked) = mpsc::channel(deeds::WAITING);
        let site = Arc::new(Site {
            sessions: sessions::Sessions::new(gate.clone(), clock.clone()),
            tries: doors::Tries::new(clock.clone()),
            archive: archive::Archive::default(),
            streams: Arc::new(Semaphore::new(site::STREAMS)),
            readiness: view.readiness.clone(),
            templates: render::Templates::new(),
            started: clock.boot(),
            stop: stop.clone(),
            hub: hub.clone(),
            recent: recent.clone(),
            gate,
            audit,
            settings,
            servers,
            deeds,
        });
        let router = router(view).merge(pages::router(site.clone()));
        tokio::select! {
            () = serve(listener, router, LIMITS, stop) => {}
            () = deeds::run(site, asked) => {}
            () = recent.follow(&hub) => {}
            () = metrics.keep_up() => {}
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
