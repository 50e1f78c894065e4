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

use super::standing::{self, Phase, Standing};

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
    standing: watch::Sender<Standing>,
}

/// Why the daemon is not ready.
struct Trouble {
    /// For a page that everybody on the host can read: without an appid.
    reason: String,
    /// One of the keys, for the log.
    first: Key,
}

/// Whether keys without a value still hold up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Lasts,
    Over,
}

/// After this, keys that have no value do not hold up the others.
const PATIENCE: Duration = Duration::from_secs(30);
/// A burst of changes is looked at once: soon while callers wait for the daemon to be ready.
const BURST: Duration = Duration::from_millis(200);
/// The same once it is: of 20,000 keys some change in every second.
const CALM: Duration = Duration::from_secs(1);
/// And then never more than this part of a core: of 100,000 keys a look takes 50 ms.
const SHARE: u32 = 50;
/// A look without a change: values also end by time alone.
const LOOK: Duration = Duration::from_secs(30);

impl ReadinessWatch {
    pub(super) fn new(
        hub: Arc<Hub>,
    ) -> (Self, watch::Receiver<grpc::Readiness>, watch::Receiver<crate::admin::Readiness>) {
        let (grpc, grpc_seen) = watch::channel(grpc::Readiness::NotReady);
        let starting = crate::admin::Readiness::NotReady("the daemon is starting".to_owned());
        let (admin, admin_seen) = watch::channel(starting);
        let (standing, _) = watch::channel(Standing { phase: Phase::Starting, line: "starting".to_owned() });
        (Self { hub, grpc, admin, standing }, grpc_seen, admin_seen)
    }

    /// How the daemon is, for the service manager.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) async fn run(self) {
        let begun = self.hub.clock().boot();
        loop {
            // Anew: what came while this slept is part of this look, not a reason for further ones.
            // Plans: an error that takes another's place under a good value moves nothing else.
            let mut changes = self.hub.subscribe_plans();
            let waited = self.hub.clock().boot().since(begun);
            let patience = if waited < PATIENCE { Patience::Lasts } else { Patience::Over };
            let began = tokio::time::Instant::now();
            let stock = hub::stock(&self.hub);
            let took = began.elapsed();
            let trouble = trouble(&stock, patience);
            let ready = trouble.is_none();
            self.stand(&stock, trouble.as_ref(), patience);
            let was = self.grpc.send_replace(if ready {
                grpc::Readiness::Ready
            } else {
                grpc::Readiness::NotReady
            });
            self.admin.send_replace(trouble.as_ref().map_or(crate::admin::Readiness::Ready, |trouble| {
                crate::admin::Readiness::NotReady(trouble.reason.clone())
            }));
            // After the two: whoever reads "ready" in the log finds the pages saying so.
            if (was == grpc::Readiness::Ready) != ready {
                match &trouble {
                    None => tracing::info!("ready"),
                    Some(Trouble { reason, first }) => tracing::warn!(%first, "not ready: {reason}"),
                }
            }
            tokio::select! {
                change = changes.next() => {
                    if change == Change::Closed {
                        return;
                    }
                    tokio::time::sleep(if ready { CALM.max(took * SHARE) } else { BURST }).await;
                }
                () = tokio::time::sleep(match patience {
                    Patience::Lasts if !ready => Duration::from_secs(1),
                    Patience::Lasts | Patience::Over => LOOK,
                }) => {}
            }
        }
    }

    /// Says how the daemon is, if that has changed.
    fn stand(&self, stock: &Stock, trouble: Option<&Trouble>, patience: Patience) {
        let was = self.standing.borrow().phase;
        let phase = match (trouble, was, patience) {
            (None, _, _) => Phase::Ready,
            (Some(_), Phase::Starting, Patience::Lasts) => Phase::Starting,
            (Some(_), _, _) => Phase::NotReady,
        };
        if (was, phase) == (Phase::Starting, Phase::NotReady) {
            tracing::warn!(
                "started without a value of any key, because a restart would not bring one; callers are told so \
                 until the first value comes",
            );
        }
        let standing = Standing { phase, line: standing::line(phase, stock) };
        self.standing.send_if_modified(|old| std::mem::replace(old, standing.clone()) != standing);
    }
}

/// Why the daemon is not ready, if it is not.
fn trouble(stock: &Stock, patience: Patience) -> Option<Trouble> {
    let (first, why) = stock.first.as_ref()?;
    let Stock { keys, missing, .. } = stock;
    if patience == Patience::Over && missing < keys {
        return None;
    }
    let reason = format!("{missing} of {keys} keys have no value; the first: {}", cause(why));
    Some(Trouble { reason, first: first.clone() })
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
