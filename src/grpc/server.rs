//! The gRPC server: listeners, limits, health, reflection, reload and stop.
//!
//! Health says NOT_SERVING until the daemon is ready and again from the stop on. Health
//! and reflection are open to everybody who can connect: probes have no credentials, and
//! the contract is public. Everything else passes the [`Gate`].
//!
//! Stopping: no new connections, streams end `UNAVAILABLE`, running calls get [`DRAIN`],
//! then the connections are torn down. The same happens if the future is dropped.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::{Client, Gate, SharedIdentity, Table};
use crate::audit::Recorder;
use crate::hub::Hub;
use crate::pb;
use crate::pb::token_control_server::TokenControlServer;
use crate::telemetry::metrics::Reads;

use super::auth::Doorman;
use super::connection::{self, SharedTls};
use super::listen::Listener;
use super::service::Face;
use super::settings::Settings;
use super::tls::{self, TlsError};

/// Largest request. The largest sensible one names 2,000 keys in a watch.
const MAX_REQUEST: usize = 64 * 1024;
/// Largest answer. A full page of status is a quarter of a megabyte.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Request headers: a bearer token and little else.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams per connection: a process with a thousand waiting complaints or watches.
const MAX_STREAMS: u32 = 1_024;
/// For the answer of a unary call, or the start of a stream. The longest is a complaint
/// of three upstream round trips.
const UNARY: Duration = Duration::from_mins(1);
/// How long a connection may be silent before it is pinged, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How long running calls get after the stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections that have shaken hands and wait to be served.
const BACKLOG: usize = 64;

/// Whether the daemon can serve. Only for health: calls are answered at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet, or not any more.
    NotReady,
    /// Yes.
    Ready,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Callers could not be told apart.
    #[error(transparent)]
    Clients(#[from] SharedIdentity),
    /// TLS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why the server ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport gave up.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
    /// A task of the server ended by itself, so some address is not served any more.
    #[error("a part of the gRPC server ended by itself")]
    Part(#[source] Option<tokio::task::JoinError>),
    /// The contract that reflection serves is broken.
    #[error("the contract's description cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The gRPC face, built and not yet running.
pub struct Server {
    hub: Arc<Hub>,
    control: Control,
    readiness: watch::Receiver<Readiness>,
    audit: Recorder,
}

/// Replaces clients and TLS of a running server. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    gate: Gate,
    tls: SharedTls,
}

impl Server {
    /// Builds the server. `settings.listen` is not read here: listeners come bound.
    pub fn new(
        settings: &Settings,
        hub: Arc<Hub>,
        readiness: watch::Receiver<Readiness>,
    ) -> Result<Self, SettingsError> {
        let Ready { table, tls } = prepare(settings)?;
        let gate = Gate::new(table, hub.clock().clone());
        let control = Control { gate, tls: Arc::new(ArcSwapOption::from(tls)) };
        Ok(Self { hub, control, readiness, audit: Recorder::off() })
    }

    /// The same, noting what callers do.
    #[must_use]
    pub fn with_audit(self, audit: Recorder) -> Self {
        Self { audit, ..self }
    }

    /// What a reload needs. Works before and while the server runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Who may call, kept current by reloads: for the daemon's other face.
    pub fn gate(&self) -> Gate {
        self.control.gate.clone()
    }

    /// The rpcs of the contract behind their gate, without connections, health and reflection:
    /// for whoever has a request in hand. Streams end when `stop` is cancelled.
    pub fn rpcs(&self, stop: CancellationToken) -> Routes {
        let Self { hub, control: Control { gate, tls: _ }, readiness: _, audit } = self;
        let doorman = Doorman { gate: gate.clone(), audit: audit.clone() };
        let (hub, gate, audit) = (hub.clone(), gate.clone(), audit.clone());
        let face = TokenControlServer::new(Face { hub, gate, stop, reads: Reads::new(), audit })
            .max_decoding_message_size(MAX_REQUEST)
            .max_encoding_message_size(MAX_ANSWER);
        Routes::new(InterceptedService::new(face, doorman))
    }

    /// Serves until `stop`, then drains. Dropping it tears every connection down.
    pub async fn run(self, listeners: Vec<Listener>, stop: CancellationToken) -> Result<(), ServeError> {
        let rpcs = self.rpcs(stop.clone());
        let Self { hub: _, control: Control { gate: _, tls }, readiness, audit: _ } = self;
        let torn = CancellationToken::new();
        let _tear_down_on_drop = torn.clone().drop_guard();

        let (reporter, health) = tonic_health::server::health_reporter();
        // A new reporter says SERVING; it must not before the first look at readiness.
        report(&reporter, Readiness::NotReady).await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let routes = rpcs.add_service(health).add_service(reflection);

        let (ready, connections) = mpsc::channel::<io::Result<connection::Connection>>(BACKLOG);
        let mut parts = JoinSet::new();
        for listener in listeners {
            parts.spawn(connection::accept(
                listener.socket,
                tls.clone(),
                ready.clone(),
                stop.clone(),
                torn.clone(),
            ));
        }
        drop(ready);
        parts.spawn(follow(readiness, reporter, stop.clone()));

        let serve = builder().add_routes(routes).serve_with_incoming_shutdown(
            ReceiverStream::new(connections),
            async {
                stop.cancelled().await;
                tokio::time::sleep(connection::LINGER).await;
            },
        );
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let died = async {
            let part = parts.join_next().await;
            if stop.is_cancelled() {
                // The end of the parts belongs to the stop; the drain goes on.
                std::future::pending::<()>().await;
            }
            part.and_then(Result::err)
        };
        tokio::select! {
            served = serve => served?,
            part = died => return Err(ServeError::Part(part)),
            () = drained => tracing::warn!("calls were still running at the end of the drain and are cut off"),
        }
        Ok(())
    }
}

impl Control {
    /// Takes new clients and new TLS files into use, or changes nothing. Open streams look
    /// at their caller again at once; open connections keep the TLS session they have.
    pub fn reload(&self, settings: &Settings) -> Result<(), SettingsError> {
        let Ready { table, tls } = prepare(settings)?;
        self.tls.store(tls);
        self.gate.replace(table);
        Ok(())
    }
}

/// Whether these settings could be used; for `check-config`.
pub fn check(settings: &Settings) -> Result<(), SettingsError> {
    prepare(settings).map(|_| ())
}

struct Ready {
    table: Table,
    tls: Option<Arc<tokio_rustls::TlsAcceptor>>,
}

fn prepare(settings: &Settings) -> Result<Ready, SettingsError> {
    let Settings { listen: _, tls, clients } = settings;
    let clients: &[Client] = clients;
    let table = Table::new(clients)?;
    let tls = tls.as_ref().map(tls::acceptor).transpose()?.map(Arc::new);
    Ok(Ready { table, tls })
}

fn builder() -> tonic::transport::Server {
    let (interval, answer) = KEEP_ALIVE;
    tonic::transport::Server::builder()
        .timeout(UNARY)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(interval))
        .http2_keepalive_timeout(Some(answer))
}

/// Keeps health in step with readiness, and takes it back at the stop.
async fn follow(
    mut readiness: watch::Receiver<Readiness>,
    reporter: HealthReporter,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let now = *readiness.borrow_and_update();
        report(&reporter, now).await;
        let changed = tokio::select! {
            changed = readiness.changed() => changed,
            () = stop.cancelled() => break,
        };
        // A sender that is gone did not say goodbye, so it did not stay ready.
        if changed.is_err() {
            report(&reporter, Readiness::NotReady).await;
            stop.cancelled().await;
        }
    }
    report(&reporter, Readiness::NotReady).await;
}

async fn report(reporter: &HealthReporter, readiness: Readiness) {
    let status = match readiness {
        Readiness::NotReady => ServingStatus::NotServing,
        Readiness::Ready => ServingStatus::Serving,
    };
    for name in ["", TokenControlServer::<Face>::NAME] {
        reporter.set_service_status(name, status).await;
    }
}
