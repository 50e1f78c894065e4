//! What everybody but the key's task holds of a key.
//!
//! Reading is one atomic load and a comparison with the boot clock: no lock, no I/O, no
//! task hop, whatever the task is doing. Complaints and commands go through the mailbox
//! and come back with the task's verdict; a caller that goes away cancels nothing.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, broadcast, oneshot};

use crate::clock::BootTime;
use crate::model::{ErrCode, Fingerprint, Key};
use crate::wechat::errcode;

use super::bell::{Bell, Ring, Rung};
use super::mail::{Ask, Command, Mailbox};
use super::steps::Steps;
use super::task::Surroundings;
use super::view::{Good, Next, Problem, View};

/// What a complaint or a command led to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What happened.
    pub outcome: Outcome,
    /// The value to use from now on.
    pub good: Good,
}

/// What happened to a credential that somebody complained about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was replaced.
    Refreshed,
    /// It had been replaced before the complaint came; no upstream call was made.
    AlreadyReplaced,
    /// WeChat says that it works.
    StillValid,
    /// A ticket: WeChat repeats the same string.
    Unchanged,
    /// WeChat would not say, and nothing changed.
    Unverified,
}

impl Outcome {
    /// The outcome's name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refreshed => "refreshed",
            Self::AlreadyReplaced => "already_replaced",
            Self::StillValid => "still_valid",
            Self::Unchanged => "unchanged",
            Self::Unverified => "unverified",
        }
    }
}

/// Why there is no good value, or why one could not be brought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    /// It comes by itself; ask again after this span.
    #[error("there is no good value now")]
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
        /// What is wrong, if anything is.
        problem: Option<Arc<Problem>>,
    },
    /// An operator must act first.
    #[error("an operator must act")]
    NeedsOperator {
        /// When the daemon looks again by itself.
        retry_after: Duration,
        /// What is wrong and what to do.
        problem: Arc<Problem>,
    },
    /// A budget is used up, or WeChat's spacing rule forbids the call.
    #[error("the call is not allowed yet")]
    Exhausted {
        /// When it is.
        retry_after: Duration,
        /// Which rule, one sentence.
        rule: String,
        /// What WeChat said, if the rule is its own answer.
        problem: Option<Arc<Problem>>,
    },
    /// An operator paused the key.
    #[error("the key is paused")]
    Paused {
        /// Until when, if nobody resumes it.
        until: BootTime,
    },
    /// The account is not configured any more.
    #[error("the account was removed")]
    Removed,
    /// The errcode does not say that a credential is dead.
    #[error("errcode {errcode} does not say that the credential is dead")]
    NotAComplaint {
        /// What the caller reported.
        errcode: ErrCode,
        /// What it means.
        meaning: String,
        /// What to do about it.
        action: String,
    },
    /// A complaint must name the value that failed.
    #[error("a complaint needs the fingerprint of the value that failed")]
    FingerprintMissing,
}

/// Whether a forced refresh answers a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// One issuing call.
    Once,
    /// Two issuing calls at least 30 s apart, after which the leaked value is dead.
    Leaked,
}

/// A pause or its end could not be made to last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PauseError {
    /// The ledger did not take it; nothing changed.
    #[error("the ledger cannot be written ({0}), so a pause would not outlast a restart; nothing changed")]
    Ledger(&'static str),
    /// The account is not configured any more.
    #[error("the account was removed")]
    Removed,
    /// The key's task panicked with the command in hand and is started again.
    #[error("the command was interrupted; give it again")]
    Interrupted,
}

/// A key, seen from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// Where all keys tell that something changed, and who is wanted.
pub struct Feeds {
    /// Something that a caller of `GetToken` could notice.
    pub changes: broadcast::Sender<Key>,
    /// That, or the next attempt of a key that has a value: for mirrors, whose copies must end
    /// soon after the attempt that should have replaced them.
    pub plans: broadcast::Sender<Key>,
    /// A complaint that was judged.
    pub complaints: broadcast::Sender<Complaint>,
    /// Which resting keys were rung.
    pub rung: Arc<Rung>,
}

/// A complaint that a key's task has judged. One that names a replaced value is answered without
/// the task, and is no news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// About which key.
    pub key: Key,
    /// About which value; `None`: there was none.
    pub seen: Option<Fingerprint>,
    /// What it led to; `None`: to no verdict or no value.
    pub outcome: Option<Outcome>,
    /// How many callers made it together.
    pub callers: usize,
}

/// What the task and the handles share.
pub(super) struct Shared {
    pub(super) key: Key,
    around: Arc<Surroundings>,
    feeds: Arc<Feeds>,
    view: ArcSwap<View>,
    /// Wakes whoever waits for a change that a reader could notice, or for the key's end.
    changed: Notify,
    pub(super) mail: Mailbox,
    pub(super) bell: Bell,
    pub(super) steps: Steps,
    /// The keys that are fetched with this one's value.
    children: Mutex<Vec<Weak<Self>>>,
}

impl Shared {
    pub(super) fn new(around: Arc<Surroundings>, first: View, feeds: Arc<Feeds>) -> Arc<Self> {
        Arc::new(Self {
            key: first.key.clone(),
            around,
            view: ArcSwap::from_pointee(first),
            changed: Notify::new(),
            mail: Mailbox::default(),
            bell: Bell::new(feeds.rung.clone()),
            steps: Steps::default(),
            children: Mutex::default(),
            feeds,
        })
    }

    /// Rings at this key from now on when that one changes.
    pub(super) fn follow(self: &Arc<Self>, parent: &Handle) {
        let mut children = parent.shared.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain(|child| child.strong_count() > 0);
        children.reserve_exact(1);
        children.push(Arc::downgrade(self));
    }

    /// The key has ended: refuses mail, and tells whoever waits for that.
    pub(super) fn close(&self) {
        self.mail.close();
        self.changed.notify_waiters();
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Replaces the view, and tells watchers if a caller of `GetToken` could see a difference.
    /// Only the key's task calls it.
    pub(super) fn publish(&self, mut view: View) {
        let before = self.view.load();
        let changed = !view.looks_like(&before, self.around.clock.boot());
        let replanned = changed || (view.value.is_some() && view.next != before.next);
        view.version = before.version + u64::from(changed);
        drop(before);
        self.view.store(Arc::new(view));
        // An error means that nobody listens.
        if replanned {
            let _ = self.feeds.plans.send(self.key.clone());
        }
        if changed {
            self.changed.notify_waiters();
            for child in &*self.children.lock().unwrap_or_else(PoisonError::into_inner) {
                if let Some(child) = child.upgrade() {
                    child.bell.ring(Ring::Parent);
                }
            }
            let _ = self.feeds.changes.send(self.key.clone());
        }
    }
}

impl Shared {
    /// Tells whoever listens that a complaint was judged.
    pub(super) fn complained(&self, seen: Option<Fingerprint>, outcome: Option<Outcome>, callers: usize) {
        // An error means that nobody listens.
        let _ = self.feeds.complaints.send(Complaint { key: self.key.clone(), seen, outcome, callers });
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Which key it is.
    pub fn key(&self) -> &Key {
        &self.shared.key
    }

    /// What is published now.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// The value, if it may be handed out now, else why not and when to ask again.
    pub fn read(&self) -> Result<Good, NoValue> {
        let now = self.now();
        let view = self.shared.view.load();
        view.good(now).ok_or_else(|| view.no_value(now))
    }

    /// Like [`Handle::read`], but waits up to this long for a value, unless only an operator can
    /// bring it.
    pub async fn wait(&self, max_wait: Duration) -> Result<Good, NoValue> {
        let arrival = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                // Listens before the look, so that no change falls in between.
                changed.as_mut().enable();
                match self.read() {
                    Err(NoValue::Unavailable { .. } | NoValue::Exhausted { .. }) => {}
                    answer => return answer,
                }
                changed.await;
            }
        };
        match tokio::time::timeout(max_wait, arrival).await {
            Ok(answer) => answer,
            Err(_) => self.read(),
        }
    }

    /// Lets the key end: a round that is under way is finished first.
    pub(crate) fn remove(&self) {
        self.shared.bell.ring(Ring::Removed);
    }

    /// Whether it has ended: it makes no call any more, and writes nothing.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.mail.is_closed()
    }

    /// Waits until it has.
    pub(crate) async fn ended(&self) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.has_ended() {
                return;
            }
            changed.await;
        }
    }

    /// Has the key look at its account's settings.
    pub(crate) fn reconsider(&self) {
        self.shared.bell.ring(Ring::Settings);
    }

    /// Where the key's task is between waiting and working.
    pub fn steps(&self) -> &Steps {
        &self.shared.steps
    }

    /// Lets the key's task look up from its waiting, which moves its [`Steps`] and nothing else.
    pub fn ring(&self) {
        self.shared.bell.ring(Ring::Mail);
    }

    /// Reports the value with this fingerprint as dead, as WeChat's `errcode` said (0: not
    /// known), and waits for the verdict. `None` as fingerprint is allowed only while there is
    /// no value. May be dropped at any time: the verdict is reached all the same.
    pub async fn complain(&self, seen: Option<Fingerprint>, errcode: ErrCode) -> Result<Answer, NoValue> {
        if errcode != ErrCode(0) && !errcode::says_dead(errcode) {
            return Err(NoValue::NotAComplaint {
                errcode,
                meaning: errcode::meaning(errcode::Endpoint::Business, errcode).to_owned(),
                action: "fix the call; a refresh would not help".to_owned(),
            });
        }
        if let Ok(good) = self.read() {
            let seen = seen.ok_or(NoValue::FingerprintMissing)?;
            if seen != good.value.fingerprint {
                return Ok(Answer { outcome: Outcome::AlreadyReplaced, good });
            }
        }
        self.ask(Ask::Complaint(seen), errcode).await
    }

    /// Refreshes without proof, and waits for the outcome.
    pub async fn force(&self, force: Force) -> Result<Answer, NoValue> {
        self.ask(Ask::Force(force), ErrCode(0)).await
    }

    async fn ask(&self, ask: Ask, errcode: ErrCode) -> Result<Answer, NoValue> {
        let mut answer = self.shared.mail.ask(ask, errcode, &self.shared.bell)?.answered().await?;
        answer.good.remaining = answer.good.dead_by.since(self.now());
        Ok(answer)
    }

    /// Stops every attempt until then; durable.
    pub async fn pause(&self, until: BootTime) -> Result<(), PauseError> {
        self.command(|reply| Command::Pause(until, reply)).await
    }

    /// Ends a pause, and tries again now if something failed.
    pub async fn resume(&self) -> Result<(), PauseError> {
        self.command(Command::Resume).await
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), PauseError>>) -> Command,
    ) -> Result<(), PauseError> {
        let (reply, answer) = oneshot::channel();
        self.shared.mail.command(command(reply), &self.shared.bell).map_err(|_| PauseError::Removed)?;
        let interrupted = || match self.view().next {
            Next::Removed => PauseError::Removed,
            Next::At(_) | Next::Paused(_) | Next::ParentMissing => PauseError::Interrupted,
        };
        answer.await.unwrap_or_else(|_| Err(interrupted()))
    }
}

impl Handle {
    fn now(&self) -> BootTime {
        self.shared.around.clock.boot()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.shared.key)
    }
}
