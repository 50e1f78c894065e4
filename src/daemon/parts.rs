//! A process's tasks: each has a name, an owner and a stop.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::mirror::MirrorHandle;

/// Three stops, in the order in which they are given.
#[derive(Default)]
pub(super) struct Stops {
    /// What faces callers.
    pub(super) edges: CancellationToken,
    /// The refreshers.
    pub(super) engine: CancellationToken,
    /// What follows them.
    pub(super) last: CancellationToken,
}

/// A process's tasks by name.
#[derive(Default)]
pub(crate) struct Parts {
    running: JoinSet<()>,
    names: HashMap<tokio::task::Id, &'static str>,
}

impl Parts {
    /// Starts a part that ends when `stop` says so, wherever it is.
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        stop: &CancellationToken,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = stop.clone();
        self.start_stoppable(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = part => {}
            }
        });
    }

    /// Starts a part that knows its own stop.
    pub(crate) fn start_stoppable(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.running.spawn(part).id();
        self.names.insert(id, name);
    }

    /// The next part that ends. Dropping the future loses nothing.
    pub(crate) async fn ended(&mut self) -> String {
        match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => self.names.remove(&id).unwrap_or_default().to_owned(),
            Some(Err(lost)) => {
                let name = self.names.remove(&lost.id()).unwrap_or_default();
                tracing::error!(
                    part = name,
                    panicked = lost.is_panic(),
                    "the part \"{name}\" was lost; the process stops"
                );
                name.to_owned()
            }
            // There is always a part until all are told to end.
            None => std::future::pending().await,
        }
    }

    /// Waits until none of these runs any more.
    pub(crate) async fn all_ended(&mut self, names: &[&str]) {
        while self.names.values().any(|running| names.contains(running)) {
            self.ended().await;
        }
    }

    /// Waits until no part runs any more: each has been told to end.
    pub(crate) async fn none_left(&mut self) {
        while !self.names.is_empty() {
            self.ended().await;
        }
    }
}

/// How the status page and `/metrics` see the mirror's servers.
pub(super) fn servers(mirror: &MirrorHandle) -> admin::Servers {
    let mirror = mirror.clone();
    Arc::new(move || {
        let status = mirror.status().into_iter();
        let shown = status.map(|server| admin::Server {
            name: server.server,
            connected: server.connected,
            pending: server.pending,
            written: server.written,
            rewrites: server.rewrites,
            failures: server.failures,
            last_success: server.last_success,
            error: server.last_error.as_ref().map(|error| error.what.clone()),
            error_at: server.last_error.map(|error| error.at),
        });
        shown.collect()
    })
}
