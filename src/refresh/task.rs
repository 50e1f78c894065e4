//! The refresher of one key: it rests, then works.
//!
//! A key that rests is no more than its [`State`] and the instant of its next look; a hundred
//! thousand of them have one timer between them, the hub's. When that instant comes or the
//! key's `bell` rings, the hub gives it a task that calls [`Refresher::run`], which works until
//! there is nothing to do and says when there will be. Work is never cancelled, because an
//! answer that nobody waits for any more may already have replaced the token. A panic in a
//! round loses nothing either: the hub calls [`Refresher::run`] again, and an issuing call that
//! the panic cut off is of unknown outcome.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::failpoint;
use crate::hub::AccountSettings;
use crate::ledger::{CallEnd, Ledger, Record};
use crate::model::{Cause, Key};
use crate::telemetry::metrics::LedgerStep;
use crate::wechat::WeChat;

use super::agenda::Due;
use super::bell::{Bed, Ring};
use super::gate::{Gate, Rank};
use super::handle::{Feeds, Handle, Shared};
use super::held::Standing;
use super::policy::{self, Hold, Lane, Plan};
use super::state::{State, Trust};
use super::troubles::interrupted;
use super::view::{Next, Usage, View};

/// What every key shares with all others.
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
    /// What the account's settings are now; a reload replaces them and rings.
    pub(super) settings: Arc<ArcSwap<AccountSettings>>,
    pub(super) parent: Option<Handle>,
    pub(super) state: State,
    pub(super) refreshing: bool,
    pub(super) known: Arc<AccountSettings>,
    rest: Rest,
    phase: Phase,
}

/// What the key waits for.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: BootTime,
    due: Due,
    for_parent: bool,
}

/// Whether it was left in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It rests, or was never run.
    Resting,
    /// It is run; still so when it is run again, it panicked.
    Running,
}

/// How a run of a refresher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// There is nothing to do before then, unless its bell rings.
    Until(BootTime),
    /// For good.
    Ended,
}

/// What ended the rest.
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

impl Refresher {
    /// The key, knowing what the ledger knows. Does nothing until it is run.
    pub fn new(
        key: Key,
        record: Record,
        arrival: Arrival,
        around: Arc<Surroundings>,
        settings: Arc<ArcSwap<AccountSettings>>,
        parent: Option<Handle>,
        feeds: Arc<Feeds>,
    ) -> (Self, Handle) {
        let known = settings.load_full();
        let trust = match arrival {
            Arrival::Start => Trust::Proven,
            Arrival::Added => Trust::NeedsProof,
        };
        let limit = around.wechat.call_timeout();
        let state = State::from_record(record, &around.clock, known.daily_calls, limit, trust);
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
        let shared = Shared::new(around.clone(), blank, feeds);
        if let Some(parent) = &parent {
            shared.follow(parent);
        }
        let handle = Handle::new(shared.clone());
        let rest = Rest { until: BootTime::FAR, due: Due::Look, for_parent: false };
        let phase = Phase::Resting;
        let mut refresher =
            Self { shared, around, settings, parent, state, refreshing: false, known, rest, phase };
        refresher.draw_jitter();
        refresher.lie_down();
        (refresher, handle)
    }

    /// Does what is due or rung for, until there is nothing of it left; so until `stop` (the
    /// daemon ends) or its removal. A round that is under way is finished first. To be called
    /// again if it panics.
    pub async fn run(&mut self, stop: &CancellationToken) -> Ran {
        if std::mem::replace(&mut self.phase, Phase::Running) == Phase::Running {
            self.shared.steps.work();
            self.recover().await;
            self.lie_down();
            failpoint::pass("refresher.wait", Some(&self.shared.key)).await;
        }
        while let Some(wake) = self.wake(stop) {
            self.shared.steps.work();
            failpoint::pass("refresher.work", Some(&self.shared.key)).await;
            match wake {
                Wake::End => {
                    self.end().await;
                    return Ran::Ended;
                }
                Wake::Settings => self.take_settings().await,
                Wake::Due => self.do_due(self.rest.due).await,
                Wake::Mail => self.read_mail().await,
                Wake::Parent => {
                    if self.rest.for_parent {
                        self.greet_parent().await;
                    }
                }
            }
            self.lie_down();
            failpoint::pass("refresher.wait", Some(&self.shared.key)).await;
        }
        self.phase = Phase::Resting;
        Ran::Until(self.rest.until)
    }

    /// Says where it lies while it rests.
    pub fn lies_at(&self, bed: Bed) {
        self.shared.bell.hang_at(bed);
    }

    /// Until when it rests, unless its bell rings.
    pub fn rests_until(&self) -> BootTime {
        self.rest.until
    }

    /// Whether its bell rings.
    pub fn is_rung(&self) -> bool {
        self.shared.bell.rings()
    }

    /// Whether the ledger is owed something, so that it must be run once more before it is dropped.
    pub fn owes(&self) -> bool {
        self.state.rare.unstored.is_some() || self.state.rare.untold_death.is_some()
    }

    /// Which key it is.
    pub fn handle_key(&self) -> Key {
        self.shared.key.clone()
    }

    /// What there is to do now, the most important first.
    fn wake(&self, stop: &CancellationToken) -> Option<Wake> {
        let bell = &self.shared.bell;
        if stop.is_cancelled() || bell.rings_for(Ring::Removed) {
            Some(Wake::End)
        } else if bell.answer(Ring::Settings) {
            Some(Wake::Settings)
        } else if self.rest.until <= self.now() {
            // Before the mail: no flood of complaints keeps the schedule waiting. Every round has
            // a floor, so the mail has its turn too.
            Some(Wake::Due)
        } else if bell.answer(Ring::Mail) {
            Some(Wake::Mail)
        } else if bell.answer(Ring::Parent) {
            Some(Wake::Parent)
        } else {
            None
        }
    }

    /// Makes visible what is known, and looks when there is something to do again.
    fn lie_down(&mut self) {
        self.state.rare.tidy();
        self.publish();
        let (until, due) = self.due();
        let for_parent = self.plan() == Plan::Hold(Hold::ParentMissing);
        self.rest = Rest { until, due, for_parent };
        self.shared.steps.wait();
    }

    /// The last round: what the ledger is owed, and that nobody is to wait any more.
    async fn end(&mut self) {
        if self.owes() {
            self.store_again().await;
        }
        if self.shared.bell.rings_for(Ring::Removed) {
            self.say_removed();
        }
        self.shared.close();
    }

    /// Draws the consequences of what a panic cut off; after a good end there are none.
    async fn recover(&mut self) {
        if self.state.held.as_ref().is_some_and(|held| held.standing == Standing::ReportedDead) {
            // The repair did not end, so nobody knows of a better value.
            self.withdraw().await;
        }
        let attempted = std::mem::take(&mut self.refreshing) || self.state.rare.in_flight.is_some();
        self.adopt_orphan().await;
        if attempted {
            // A panic that repeats must not call WeChat once a second.
            self.fail(Lane::Soon, interrupted());
        }
        // The panic may have fallen between the bell's answer and the mail: who joins what waits in
        // the box rings no more.
        self.shared.bell.ring(Ring::Mail);
    }

    /// An issuing call without an end: nobody knows its outcome.
    async fn adopt_orphan(&mut self) {
        let Some(call) = self.state.rare.in_flight.take() else { return };
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
        self.state.rare.paused_until.is_some_and(|until| until > self.now())
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

/// However it ends, also one that never ran or whose task was aborted: nobody waits for its answer.
impl Drop for Refresher {
    fn drop(&mut self) {
        self.shared.close();
    }
}
