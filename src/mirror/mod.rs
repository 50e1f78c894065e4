//! Copies written for others: memcached today.
//!
//! Owns what is copied ([`Entry`]), the tasks that write it, one a server, and what is known of
//! each server. [`layout`] says which keys and bytes, [`life`] for how long, [`board`] and
//! [`queue`] what each server has still to get, [`worker`] when, [`link`] over which connection.
//!
//! Guarantees: publishing never waits and never fails; a server that is away, slow or restarted
//! delays no other and is caught up by itself; nothing outlives its `dead_by` on a server, also
//! when the server is cut off from us. Every value that memcached holds has a life.
//!
//! Deliberately absent: any read of what was written (S4), and any decision about a value: the
//! latest that was published is the truth.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::model::{Fingerprint, Generation, Key};
use crate::secret::Secret;

mod board;
mod layout;
mod life;
mod link;
mod queue;
mod trouble;
mod worker;

pub use layout::{Item, Layout, LayoutError};
pub use life::{Life, Ttl};
pub use queue::{LastError, ServerStatus};

use board::Board;
use worker::Worker;

/// How long a worker that panicked is left alone. Long enough that a defect which strikes every
/// time cannot fill the log or a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the memcached mirror needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of every server; each gets every value. Empty: no mirror.
    pub servers: Vec<String>,
    /// The layouts to write, all of them.
    pub layouts: Vec<Layout>,
    /// How long one server may take to accept a connection, and to answer one batch of commands.
    pub timeout: Duration,
}

/// One value to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose value.
    pub key: Key,
    /// The string.
    pub value: Secret,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The number of the attempt that brought it.
    pub generation: Generation,
    /// `dead_by`: the instant from which it may be dead (S2).
    pub expires_at: BootTime,
    /// When the next attempt is due, which may replace the value: a copy lives until 300 s after
    /// it, unless it is published again. `None` while no attempt is planned (a paused key).
    pub next_attempt: Option<BootTime>,
}

/// The mirror, not yet running.
#[derive(Debug)]
pub struct Mirror {
    workers: Vec<Worker>,
}

/// What the publishers and the status page hold. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MirrorHandle {
    board: Arc<Board>,
}

impl Mirror {
    /// A mirror that knows its servers and has written nothing. Starts no task and opens no
    /// connection.
    pub fn new(settings: Settings, clock: Clock) -> (Self, MirrorHandle) {
        let Settings { servers, layouts, timeout } = settings;
        let board = Arc::new(Board::new(servers, clock));
        let layouts: Arc<[Layout]> = layouts.into();
        // Of this process alone: after a restart of ours every server is taken for empty, since
        // nobody knows what was written to it in the meantime.
        let instance = rand::random();
        let workers = (0..board.servers())
            .map(|index| Worker::new(index, Arc::clone(&board), Arc::clone(&layouts), timeout, instance))
            .collect();
        (Self { workers }, MirrorHandle { board })
    }

    /// Writes until `stop`. What is not written by then stays unwritten: copies on the servers
    /// live on to the end of their own lives, and the next start writes everything again.
    ///
    /// Dropping the future stops all writing at once, which is harmless too.
    pub async fn run(self, stop: CancellationToken) {
        if self.workers.is_empty() {
            stop.cancelled().await;
            return;
        }
        let names: Vec<_> = self.workers.iter().map(Worker::server).collect();
        let child = stop.clone();
        supervise(&names, move |index| self.workers[index].clone().run(child.clone()), &stop).await;
    }
}

impl MirrorHandle {
    /// Has this written to every server, in place of what was published of its key before.
    /// Returns at once; cannot fail.
    ///
    /// To be called after every attempt of the key, also after one that failed: the copies' lives
    /// follow `next_attempt`.
    pub fn publish(&self, entry: Entry) {
        self.board.publish(entry);
    }

    /// Has the key's copies deleted from every server. Returns at once; cannot fail.
    pub fn withdraw(&self, key: &Key) {
        self.board.withdraw(key);
    }

    /// What is known of every server, in the order of the settings.
    pub fn status(&self) -> Vec<ServerStatus> {
        self.board.status()
    }

    /// A number that moves with every change of [`MirrorHandle::status`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes()
    }
}

/// Runs one task per name until `stop`, and starts a panicked one again.
async fn supervise<F, T>(names: &[Arc<str>], start: F, stop: &CancellationToken)
where
    F: Fn(usize) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut running = HashMap::new();
    for index in 0..names.len() {
        running.insert(tasks.spawn(start(index)).id(), index);
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(index) = running.remove(&id) else { continue };
        if stop.is_cancelled() {
            continue;
        }
        // The panic's own message is left to the panic hook: it could quote what was written.
        tracing::error!(server = %names[index], "the mirror's writer for {} died; it is started again", names[index]);
        let stopped = stop.clone();
        let again = start(index);
        let restarted = tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = tokio::time::sleep(RESTART_PAUSE) => again.await,
            }
        });
        running.insert(restarted.id(), index);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicked_writer_is_started_again_and_its_neighbour_goes_on() {
        // Server a's writer panics twice and then works; server b's is never touched.
        let stop = CancellationToken::new();
        let starts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let seen = Arc::clone(&starts);
        let token = stop.clone();
        let start = move |index: usize| {
            let (seen, token) = (Arc::clone(&seen), token.clone());
            async move {
                let nth = seen[index].fetch_add(1, Ordering::SeqCst);
                assert!(index != 0 || nth >= 2, "on purpose");
                if index == 0 {
                    token.cancel();
                } else {
                    token.cancelled().await;
                }
            }
        };
        supervise(&["a".into(), "b".into()], start, &stop).await;
        assert_eq!([3, 1], [starts[0].load(Ordering::SeqCst), starts[1].load(Ordering::SeqCst)]);
    }

    #[tokio::test]
    async fn a_mirror_without_servers_keeps_nothing_and_runs_until_it_is_stopped() {
        let settings = Settings { servers: vec![], layouts: vec![Layout::Raw], timeout: Duration::ZERO };
        let (mirror, handle) = Mirror::new(settings, Clock::system());
        let value = Secret::from("v");
        handle.publish(Entry {
            key: Key::new("wx1".parse().unwrap(), crate::model::Kind::AccessToken),
            fingerprint: Fingerprint::of(&value),
            value,
            generation: Generation(1),
            expires_at: BootTime::FAR,
            next_attempt: None,
        });
        assert!(handle.status().is_empty() && handle.board.is_empty());
        let stop = CancellationToken::new();
        let mut run = std::pin::pin!(mirror.run(stop.clone()));
        assert!(futures_util::poll!(run.as_mut()).is_pending());
        stop.cancel();
        run.await;
    }
}
