//! What the process asks of each service that it runs, whichever it is.
//!
//! A service is built from its section, gives its part of the business listener, has its tasks
//! started, tells how it stands, makes itself anew for a reload, and ends. The process owns the
//! listeners, the signals, the order, and what is said of all of them together.

use async_trait::async_trait;
use axum::Router;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{ServeConfig, Service};
use crate::daemon::parts::Parts;

use super::error::ServicesError;

/// A service of this process.
#[async_trait]
pub(super) trait Served: Send + Sync + 'static {
    /// Which one.
    fn service(&self) -> Service;

    /// Its paths on the business listener. No fallbacks: those are the process's.
    fn router(&self) -> Router;

    /// Starts its tasks, once. Their names in `parts` are unlike those of other services.
    fn start(&mut self, parts: &mut Parts, stops: &Stops);

    /// How it stands at this moment. Whatever changes it rings the [`Bell`].
    fn standing(&self) -> Standing;

    /// Makes anew what a changed configuration changes, as far as it can change live. What it makes
    /// comes into force by [`TakeOver`] only, which is dropped if another service refuses. Blocks.
    fn remake(&self, config: &ServeConfig) -> Result<TakeOver, ServicesError>;

    /// Opens its own log files anew.
    fn reopen(&self);

    /// Waits for what is still to be done once no request arrives any more, and returns how much of
    /// it was not done at `end`.
    async fn close(&self, end: Instant) -> usize;
}

/// Puts in force what was made for a reload. It cannot fail.
pub(super) type TakeOver = BoxFuture<'static, ()>;

/// When tasks end.
#[derive(Default)]
pub(super) struct Stops {
    /// With the listener: nothing new is begun.
    pub(super) edges: CancellationToken,
    /// When every service is closed: the last lines of logs are written.
    pub(super) last: CancellationToken,
}

/// How a service is, in words for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// What it serves: "2 accounts, 5 rules, 1 program".
    pub(super) summary: String,
    /// What is wrong though it serves, in sentences with what to do; empty if nothing is.
    pub(super) wrong: Vec<String>,
}

/// Tells that some service stands otherwise than before.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell(watch::Sender<()>);

impl Bell {
    /// Something has changed.
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }

    /// Hears every ring from now on; several of them may be one.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
