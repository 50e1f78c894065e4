//! The task of one key: it waits, then works.
//!
//! Waiting happens in the heads of one `select!`; work happens after it and is never
//! cancelled, because an answer that nobody waits for any more may already have replaced
//! the token. The work of a round is boxed: an idle key does not carry the size of an
//! attempt. What the task knows lives in [`State`], so a panic in a round loses nothing:
//! the supervisor in `hub` calls [`Refresher::run`] again, and an issuing call that the
//! panic cut off is of unknown outcome.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::failpoint;
use crate::hub::AccountSettings;
use crate::ledger::{CallEnd, Ledger, Record};
use crate::model::{Cause, Key};
use crate::telemetry::metrics::LedgerStep;
use crate::wechat::WeChat;

use super::budget::{Forced, Share};
use super::gate::{Gate, Rank};
use super::handle::{Feeds, Handle, Shared};
use super::held::Standing;
use super::policy::{self, Facts, HOLD_LOOK, Hold, Lane, Parent, Plan};
use super::state::{State, Trust};
use super::troubles::interrupted;
use super::view::{Next, Usage, View};

/// What every key's task shares with all others.
pub struct Surroundings {
    /// The clocks.
    pub clock: Clock,
    /// WeChat.
    pub wechat: WeChat,
    /// The durable side.
    pub ledger: Arc<dyn Ledger>,
    /// The gate before WeChat.
    pub gate: Gate,
}

/// Whether a loaded value may be served before WeChat was asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The daemon starts: it served the value until a moment ago.
    Start,
    /// The account came with a reload: nobody watched over the value meanwhile.
    Added,
}

/// The only caller of WeChat for one key.
pub struct Refresher {
    pub(super) shared: Arc<Shared>,
    pub(super) around: Arc<Surroundings>,
    pub(super) settings: watch::Receiver<Arc<AccountSettings>>,
    pub(super) parent: Option<Handle>,
    pub(super) state: State,
    pub(super) refreshing: bool,
    pub(super) known: Arc<AccountSettings>,
}

/// What ended the waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// The daemon stops, or the account was removed.
    End,
    /// A reload.
    Settings,
    /// The schedule.
    Due,
    /// Mail, or a ring without any.
    Mail,
    /// The parent changed.
    Parent,
}

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// An attempt by the schedule.
    Attempt,
    /// A look at a hold.
    Look,
    /// The probe that S3 asks for.
    Verify,
    /// The second call after a leak.
    SecondForce,
    /// A commit or a death that the ledger did not take.
    Store,
}

impl Refresher {
    /// A task for the key, knowing what the ledger knows. Does nothing until it runs.
    pub fn new(
        key: Key,
        record: Record,
        arrival: Arrival,
        around: Arc<Surroundings>,
        settings: watch::Receiver<Arc<AccountSettings>>,
        parent: Option<Handle>,
        feeds: Feeds,
    ) -> (Self, Handle) {
        let known = settings.borrow().clone();
        let trust = match arrival {
            Arrival::Start => Trust::Proven,
            Arrival::Added => Trust::NeedsProof,
        };
        let limit = around.wechat.call_timeout();
        let state =
            State::from_record(record, &around.clock, known.daily_calls, limit, trust, rand::random::<f64>());
        let blank = View {
            key,
            value: None,
            dead_by: BootTime(i64::MIN / 4),
            degraded: None,
            refreshing: false,
            next: Next::At(around.clock.boot()),
            last: None,
            last_success: None,
            failures: 0,
            problem: None,
            budget: Usage::default(),
            foreign: super::view::Foreign::default(),
            version: 0,
        };
        let shared = Shared::new(around.clock.clone(), blank, feeds);
        let handle = Handle::new(shared.clone());
        let refresher = Self { shared, around, settings, parent, state, refreshing: false, known };
        refresher.publish();
        (refresher, handle)
    }

    /// Keeps the credential fresh until `stop` (the daemon ends) or `removed` (the account
    /// went). A round that is under way is finished first. To be called again if it panics.
    pub async fn run(&mut self, stop: &CancellationToken, removed: &CancellationToken) {
        self.shared.steps.work();
        self.recover().await;
        let mut parent_changes = self.parent.as_ref().map(Handle::changes);
        let shared = self.shared.clone();
        loop {
            self.publish();
            let (at, due) = self.due();
            let waited_for_parent = self.plan() == Plan::Hold(Hold::ParentMissing);
            shared.steps.wait();
            failpoint::pass("refresher.wait", Some(&shared.key)).await;
            let wake = tokio::select! {
                biased;
                () = stop.cancelled() => Wake::End,
                () = removed.cancelled() => Wake::End,
                // An error means that the hub has gone; then `stop` is about to come.
                Ok(()) = self.settings.changed() => Wake::Settings,
                // Before the mail: no flood of complaints keeps the schedule waiting. Every
                // round has a floor, so the mail has its turn too.
                () = self.around.clock.sleep_until(at) => Wake::Due,
                () = shared.mail.rung() => Wake::Mail,
                () = changed(parent_changes.as_mut()) => Wake::Parent,
            };
            shared.steps.work();
            failpoint::pass("refresher.work", Some(&shared.key)).await;
            match wake {
                Wake::End => break,
                Wake::Settings => Box::pin(self.take_settings()).await,
                Wake::Due => Box::pin(self.do_due(due)).await,
                Wake::Mail => Box::pin(self.read_mail()).await,
                Wake::Parent => {
                    if waited_for_parent {
                        Box::pin(self.greet_parent()).await;
                    }
                }
            }
        }
        if self.state.unstored.is_some() || self.state.untold_death.is_some() {
            Box::pin(self.store_again()).await;
        }
        if removed.is_cancelled() {
            self.say_removed();
        }
        self.shared.mail.close();
    }

    /// Which key it is.
    pub fn handle_key(&self) -> Key {
        self.shared.key.clone()
    }

    /// Draws the consequences of what a panic cut off; after a good end there are none.
    async fn recover(&mut self) {
        if self.state.held.as_ref().is_some_and(|held| held.standing == Standing::ReportedDead) {
            // The repair did not end, so nobody knows of a better value.
            self.withdraw().await;
        }
        let attempted = std::mem::take(&mut self.refreshing) || self.state.in_flight.is_some();
        self.adopt_orphan().await;
        if attempted {
            // A panic that repeats must not call WeChat once a second.
            self.fail(Lane::Soon, interrupted());
        }
    }

    /// An issuing call without an end: nobody knows its outcome.
    async fn adopt_orphan(&mut self) {
        let Some(call) = self.state.in_flight.take() else { return };
        let now = self.now();
        self.state.note_unknown(
            call.mode,
            call.attempt,
            call.sent.boot,
            now + self.around.wechat.call_timeout(),
        );
        let around = self.around.clone();
        let _ = self.note(LedgerStep::Other, around.ledger.finish(&call, CallEnd::Unknown)).await;
    }

    async fn do_due(&mut self, due: Due) {
        match due {
            Due::Attempt => {
                self.renew(self.scheduled_cause()).await;
            }
            Due::Look => {}
            Due::Verify => self.verify().await,
            Due::SecondForce => self.finish_leak().await,
            Due::Store => self.store_again().await,
        }
    }

    /// Who pays for an attempt of the schedule: the complainers, if a value was given up for
    /// them and their share has room; else a war with another program would use up what keeps
    /// the deadlines.
    fn scheduled_cause(&self) -> Cause {
        let deadline_share = self.state.deadline_share(self.shape());
        let theirs = self.state.given_up
            && self.state.budget.allows(self.now(), Share::Complaint, Forced::No, deadline_share).is_ok();
        if theirs { Cause::Complaint } else { Cause::Deadline }
    }

    /// What happens next by itself, and when.
    fn due(&self) -> (BootTime, Due) {
        let look = self.now() + HOLD_LOOK;
        let mut next = match self.plan() {
            Plan::At(at) => (at, Due::Attempt),
            Plan::Hold(Hold::Paused(until)) => (until.min(look), Due::Look),
            Plan::Hold(Hold::ParentMissing) => (look, Due::Look),
        };
        let mut sooner = |at: Option<BootTime>, due: Due| {
            if let Some(at) = at.filter(|at| *at < next.0) {
                next = (at, due);
            }
        };
        if !self.is_paused() {
            let verify = self.state.serving().and_then(|held| held.verify_at);
            sooner(verify.map(|at| at.max(self.state.not_before)), Due::Verify);
            sooner(self.state.leak.map(|leak| leak.second_at), Due::SecondForce);
        }
        sooner(self.state.unstored.as_ref().map(|owed| owed.retry_at), Due::Store);
        sooner(self.state.untold_death.map(|death| death.retry_at), Due::Store);
        next
    }

    pub(super) fn plan(&self) -> Plan {
        let now = self.now();
        let parent = match &self.parent {
            Some(parent) if parent.read().is_err() => Parent::Missing,
            Some(_) | None => Parent::Ready,
        };
        let shape = self.shape();
        let paced = self.state.budget.paced_until(now, self.state.deadline_share(shape));
        policy::next(&Facts {
            now,
            shape,
            value: self.state.life(now),
            failing: self.state.failing,
            paused_until: self.state.paused_until,
            parent,
            not_before: self.state.not_before.max(paced),
            jitter: self.state.jitter,
        })
    }

    pub(super) fn key(&self) -> &Key {
        &self.shared.key
    }

    pub(super) fn now(&self) -> BootTime {
        self.around.clock.boot()
    }

    pub(super) fn account(&self) -> Arc<AccountSettings> {
        self.known.clone()
    }

    pub(super) fn shape(&self) -> policy::Shape {
        self.state.shape(self.key().kind, self.known.token_mode)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state.paused_until.is_some_and(|until| until > self.now())
    }

    /// How urgent a call is.
    pub(super) fn rank(&self, cause: Cause) -> Rank {
        let now = self.now();
        match (self.state.good(now), cause) {
            (None, _) => Rank::NoValue,
            (Some(_), Cause::Complaint) => Rank::Complaint,
            (Some(_), Cause::Deadline | Cause::Parent | Cause::Command) => {
                Rank::Renewal(self.state.dead_by().since(now))
            }
        }
    }
}

/// However a task ends, also one that never ran or was aborted: nobody waits for its answer.
impl Drop for Refresher {
    fn drop(&mut self) {
        self.shared.mail.close();
    }
}

async fn changed(receiver: Option<&mut watch::Receiver<u64>>) {
    match receiver {
        Some(receiver) => {
            if receiver.changed().await.is_err() {
                // The parent's task has gone; the hub is about to say what that means.
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
