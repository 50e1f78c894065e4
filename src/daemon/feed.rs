//! What follows the hub's changes inside the daemon: the mirror's entries and readiness.
//!
//! Both look at keys again after a change and hold no copy, so a step that they miss while
//! they work costs nothing. Ready means: callers get what they are granted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::grpc;
use crate::hub::{self, Change, Hub, Stock};
use crate::mirror::{Entry, MirrorHandle};
use crate::model::Key;
use crate::refresh::handle::{Handle, NoValue};
use crate::refresh::view::Next;

/// Hands every change on to the mirror. Never waits for it.
pub(super) struct Feeder {
    hub: Arc<Hub>,
    mirror: MirrorHandle,
}

impl Feeder {
    pub(super) fn new(hub: Arc<Hub>, mirror: MirrorHandle) -> Self {
        Self { hub, mirror }
    }

    pub(super) async fn run(self) {
        let mut changes = self.hub.subscribe_plans();
        self.hand_on_all();
        loop {
            match changes.next().await {
                Change::Key(key) => match self.hub.handle(key.appid.as_str(), key.kind) {
                    Some(handle) => self.hand_on(&handle),
                    None => self.mirror.withdraw(&key),
                },
                Change::Lagged => self.hand_on_all(),
                Change::Closed => return,
            }
        }
    }

    fn hand_on_all(&self) {
        for handle in self.hub.keys() {
            self.hand_on(&handle);
        }
    }

    fn hand_on(&self, handle: &Handle) {
        let view = handle.view();
        let Some(good) = view.good(self.hub.clock().boot()) else {
            self.mirror.withdraw(handle.key());
            return;
        };
        let next_attempt = match view.next {
            Next::At(at) => Some(at),
            Next::Paused(_) | Next::ParentMissing | Next::Removed => None,
        };
        self.mirror.publish(Entry {
            key: handle.key().clone(),
            value: good.value.secret.clone(),
            fingerprint: good.value.fingerprint,
            generation: good.value.generation,
            expires_at: good.dead_by,
            next_attempt,
        });
    }
}

/// Says whether the daemon is ready: every key has a value, or, once it had time to fetch
/// them, some have; an account whose secret is wrong must not take the others out of service.
pub(super) struct ReadinessWatch {
    hub: Arc<Hub>,
    grpc: watch::Sender<grpc::Readiness>,
    admin: watch::Sender<crate::admin::Readiness>,
}

/// Why the daemon is not ready.
struct Trouble {
    /// For a page that everybody on the host can read: without an appid.
    reason: String,
    /// One of the keys, for the log.
    first: Key,
}

/// After this, keys that have no value do not hold up the others.
const PATIENCE: Duration = Duration::from_secs(30);
/// A burst of changes is looked at once: soon while callers wait for the daemon to be ready.
const BURST: Duration = Duration::from_millis(200);
/// The same once it is: of 20,000 keys some change in every second.
const CALM: Duration = Duration::from_secs(1);
/// A look without a change: values also end by time alone.
const LOOK: Duration = Duration::from_secs(30);

impl ReadinessWatch {
    pub(super) fn new(
        hub: Arc<Hub>,
    ) -> (Self, watch::Receiver<grpc::Readiness>, watch::Receiver<crate::admin::Readiness>) {
        let (grpc, grpc_seen) = watch::channel(grpc::Readiness::NotReady);
        let starting = crate::admin::Readiness::NotReady("the daemon is starting".to_owned());
        let (admin, admin_seen) = watch::channel(starting);
        (Self { hub, grpc, admin }, grpc_seen, admin_seen)
    }

    pub(super) async fn run(self) {
        let mut changes = self.hub.subscribe();
        let begun = self.hub.clock().boot();
        loop {
            let patient = self.hub.clock().boot().since(begun) < PATIENCE;
            let trouble = self.trouble(patient);
            let ready = trouble.is_none();
            let was = self.grpc.send_replace(if ready {
                grpc::Readiness::Ready
            } else {
                grpc::Readiness::NotReady
            });
            if (was == grpc::Readiness::Ready) != ready {
                match &trouble {
                    None => tracing::info!("ready"),
                    Some(Trouble { reason, first }) => tracing::warn!(%first, "not ready: {reason}"),
                }
            }
            self.admin.send_replace(trouble.map_or(crate::admin::Readiness::Ready, |trouble| {
                crate::admin::Readiness::NotReady(trouble.reason)
            }));
            tokio::select! {
                change = changes.next() => {
                    if change == Change::Closed {
                        return;
                    }
                    tokio::time::sleep(if ready { CALM } else { BURST }).await;
                }
                () = tokio::time::sleep(if patient { Duration::from_secs(1) } else { LOOK }) => {}
            }
        }
    }

    /// Why the daemon is not ready, if it is not.
    fn trouble(&self, patient: bool) -> Option<Trouble> {
        let Stock { keys, missing, first } = hub::stock(&self.hub);
        let (first, why) = first?;
        if !patient && missing < keys {
            return None;
        }
        let reason = format!("{missing} of {keys} keys have no value; the first: {}", cause(&why));
        Some(Trouble { reason, first })
    }
}

/// What stands in the way of a value, as far as it is known.
fn cause(why: &NoValue) -> String {
    match why {
        NoValue::Unavailable { problem: Some(problem), .. } | NoValue::NeedsOperator { problem, .. } => {
            problem.meaning.clone()
        }
        NoValue::Unavailable { problem: None, .. } => "it is being fetched".to_owned(),
        NoValue::Exhausted { rule, .. } => rule.clone(),
        NoValue::Paused { .. }
        | NoValue::Removed
        | NoValue::NotAComplaint { .. }
        | NoValue::FingerprintMissing => why.to_string(),
    }
}
