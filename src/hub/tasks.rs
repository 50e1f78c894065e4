//! The tasks of all refreshers, supervised: one that panics is started again with what it knew.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::failpoint;
use crate::model::Key;
use crate::refresh::task::Refresher;
use crate::telemetry::{metrics, safe_text};

/// How long a refresher rests after a panic.
const REST: Duration = Duration::from_secs(1);

/// A refresher and how it is told to end.
pub(super) struct Job {
    /// Boxed: a future holds its arguments twice, and there is one for each idle key.
    refresher: Box<Refresher>,
    removed: CancellationToken,
    /// Says that the task has ended, also when it never ran or was aborted.
    _ended: DropGuard,
}

impl Job {
    /// `removed` ends it; `ended` is dropped with it.
    pub(super) fn new(refresher: Box<Refresher>, removed: CancellationToken, ended: DropGuard) -> Self {
        Self { refresher, removed, _ended: ended }
    }

    /// Whose it is.
    pub(super) fn key(&self) -> Key {
        self.refresher.handle_key()
    }
}

/// The tasks of all refreshers, to be run.
pub struct Tasks {
    pub(super) first: Vec<Job>,
    pub(super) handover: mpsc::Receiver<Job>,
    pub(super) pings: mpsc::Receiver<oneshot::Sender<()>>,
}

impl Tasks {
    /// Runs every refresher until `stop`; then waits for the rounds under way. Dropping it
    /// aborts them, which the daemon does after its grace.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        // Taken, not drained: the room of 20,000 jobs is not kept for as long as they run.
        for job in std::mem::take(&mut self.first) {
            tasks.spawn(supervise(job, stop.clone()));
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(job) = self.handover.recv() => {
                    tasks.spawn(supervise(job, stop.clone()));
                }
                Some(ping) = self.pings.recv() => {
                    failpoint::pass("hub.block", None).await;
                    // An error means that the asker has given up.
                    let _ = ping.send(());
                }
                Some(ended) = tasks.join_next() => log_loss(ended.err()),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            log_loss(ended.err());
        }
    }
}

/// Keeps one refresher running, whatever happens in it (L4).
async fn supervise(mut job: Job, stop: CancellationToken) {
    loop {
        // Sound: what the refresher knows is kept consistent between its await points by
        // `State`'s methods, and an interrupted call is recognised by its intent.
        let run = AssertUnwindSafe(job.refresher.run(&stop, &job.removed)).catch_unwind().await;
        let Err(panic) = run else { break };
        let key = job.refresher.handle_key();
        // The panic itself was logged where it happened, with its place.
        let text = safe_text(&*panic);
        metrics::refresher_restart(key.kind);
        tracing::error!(app = %key.appid, kind = %key.kind, text, "the refresher of {key} panicked; it is restarted");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
}

fn log_loss(loss: Option<tokio::task::JoinError>) {
    // Its text may quote a secret; what can be shown of the panic was logged where it happened.
    if loss.is_some_and(|loss| loss.is_panic()) {
        tracing::error!("a supervisor panicked; its key is not refreshed until the next reload");
    }
}
