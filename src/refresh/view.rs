//! What is published of a key: its value, its state and why.
//!
//! A [`View`] is immutable; the key's task replaces it as a whole. It says nothing about
//! "now": whoever reads it compares `dead_by` with the boot clock ([`View::good`]), so a
//! task that is late, or a machine that was suspended, cannot make a dead value readable.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::{CallMode, Cause, ErrCode, Fingerprint, Generation, Key};
use crate::secret::Secret;

use super::handle::NoValue;

/// Everything that readers, watchers and the status page see of a key.
#[derive(Clone, Debug)]
pub struct View {
    /// Which key.
    pub key: Key,
    /// The value, unless there is none or it is withdrawn. May be past its `dead_by`.
    pub value: Option<Arc<Value>>,
    /// The instant from which the value may be dead (S2).
    pub dead_by: BootTime,
    /// Why the value is not quite as it should be.
    pub degraded: Option<Degraded>,
    /// Whether an attempt is under way.
    pub refreshing: bool,
    /// What happens next.
    pub next: Next,
    /// How the latest attempt went.
    pub last: Option<LastAttempt>,
    /// When the latest call was sent that WeChat answered with a value, new or the same.
    pub last_success: Option<BootTime>,
    /// Failures since the last success.
    pub failures: u32,
    /// The trouble that the key is in, until a success ends it.
    pub problem: Option<Arc<Problem>>,
    /// The rolling budget.
    pub budget: Usage,
    /// Values that died inside their lives without a call of ours: another program with this
    /// AppSecret is the likely cause.
    pub foreign: Foreign,
    /// Grows with every change that a caller of `GetToken` could notice.
    pub version: u64,
}

/// A value as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The string.
    pub secret: Secret,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The number of the attempt that brought it.
    pub generation: Generation,
    /// When the call was sent that brought it.
    pub issued: BootTime,
    /// Which call brought it.
    pub mode: CallMode,
}

/// Why a good value is not simply fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degraded {
    /// WeChat said that it is dead, and the repair is under way.
    ReportedDead,
    /// A call of unknown outcome may have replaced it; it lives five minutes at most.
    UnknownOutcome,
    /// Renewals fail; the value is still good.
    RenewalFailing,
    /// The value could not be stored: it would be lost with this process.
    Ledger,
    /// WeChat repeats a ticket beyond the life that it stated first.
    TicketNotRotated,
}

impl Degraded {
    /// The reason's name in gRPC, logs and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReportedDead => "reported_dead",
            Self::UnknownOutcome => "unknown_outcome",
            Self::RenewalFailing => "renewal_failing",
            Self::Ledger => "ledger",
            Self::TicketNotRotated => "ticket_not_rotated",
        }
    }
}

/// What the key waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next attempt.
    At(BootTime),
    /// Nothing by itself: paused until then, unless resumed.
    Paused(BootTime),
    /// Its parent's value, without which it cannot be fetched.
    ParentMissing,
    /// Nothing: the account was removed.
    Removed,
}

/// The latest attempt.
#[derive(Clone, Debug)]
pub struct LastAttempt {
    /// Its number.
    pub number: Generation,
    /// Why it was made.
    pub cause: Cause,
    /// Which call it made.
    pub mode: CallMode,
    /// When it was sent.
    pub sent: BootTime,
    /// `issued`, `same`, `refused`, `never_sent` or `unknown`.
    pub result: AttemptResult,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// A new string came.
    Issued,
    /// WeChat repeated the stored string.
    Same,
    /// WeChat answered with an errcode.
    Refused,
    /// The call did not reach WeChat.
    NeverSent,
    /// Nobody knows what WeChat did.
    Unknown,
}

impl AttemptResult {
    /// The result's name in gRPC, logs, metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Same => "same",
            Self::Refused => "refused",
            Self::NeverSent => "never_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// A trouble, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Who must do something.
    pub class: ProblemClass,
    /// WeChat's number, if WeChat answered.
    pub errcode: Option<ErrCode>,
    /// What it means, one sentence.
    pub meaning: String,
    /// What to do, one sentence.
    pub action: String,
    /// WeChat's request id.
    pub rid: Option<String>,
}

/// Who must act on a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemClass {
    /// Nobody: it is tried again.
    Transient,
    /// Nobody can before an instant that WeChat or a budget set.
    Waiting,
    /// WeChat's daily quota, or the budget that keeps us inside it, is used up.
    Quota,
    /// An operator.
    Operator,
}

/// Use of a rolling budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls of the last 24 h that reached WeChat.
    pub used: u32,
    /// How many there may be.
    pub limit: u32,
    /// Forced calls among them.
    pub forced_used: u32,
    /// How many of those there may be.
    pub forced_limit: u32,
}

/// Suspected foreign refreshes since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// How many.
    pub count: u32,
    /// When the latest one was found.
    pub latest: Option<BootTime>,
}

/// A value that may be handed out now.
#[derive(Clone, Debug)]
pub struct Good {
    /// The value.
    pub value: Arc<Value>,
    /// From when on it may be dead.
    pub dead_by: BootTime,
    /// How long that is from the reading.
    pub remaining: Duration,
    /// What to tell about it.
    pub state: State,
}

/// What callers are told about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fresh,
    /// Good, and a newer one is on its way.
    Refreshing,
    /// Good, with a reservation.
    Degraded(Degraded),
}

impl Problem {
    /// What a program can tell two of them apart by.
    pub fn kind(&self) -> (ProblemClass, Option<ErrCode>) {
        (self.class, self.errcode)
    }
}

impl View {
    /// The value, if it may be handed out at `now`.
    pub fn good(&self, now: BootTime) -> Option<Good> {
        let value = self.value.clone()?;
        let remaining = self.dead_by.since(now);
        if remaining.is_zero() {
            return None;
        }
        let state = match (self.degraded, self.refreshing) {
            (Some(reason), _) => State::Degraded(reason),
            (None, true) => State::Refreshing,
            (None, false) => State::Fresh,
        };
        Some(Good { value, dead_by: self.dead_by, remaining, state })
    }

    /// Why there is no value at `now`, and when to ask again.
    pub fn no_value(&self, now: BootTime) -> NoValue {
        let retry_after = match self.next {
            Next::Removed => return NoValue::Removed,
            Next::Paused(until) => return NoValue::Paused { until },
            // The parent's arrival wakes the key at once; a second is as good a guess as any.
            Next::ParentMissing => Duration::from_secs(1),
            Next::At(at) => at.since(now).max(Duration::from_millis(500)),
        };
        let Some(problem) = self.problem.clone() else {
            return NoValue::Unavailable { retry_after, problem: None };
        };
        match problem.class {
            ProblemClass::Operator => NoValue::NeedsOperator { retry_after, problem },
            ProblemClass::Quota => {
                NoValue::Exhausted { retry_after, rule: problem.meaning.clone(), problem: Some(problem) }
            }
            ProblemClass::Transient | ProblemClass::Waiting => {
                NoValue::Unavailable { retry_after, problem: Some(problem) }
            }
        }
    }

    /// Whether a caller of `GetToken` sees no difference at `now`.
    pub(super) fn looks_like(&self, other: &Self, now: BootTime) -> bool {
        let value = |view: &Self| view.value.as_ref().map(|value| (value.generation, value.fingerprint));
        let gone = |view: &Self| view.next == Next::Removed;
        let trouble =
            |view: &Self| (view.problem.as_deref().map(Problem::kind), matches!(view.next, Next::Paused(_)));
        value(self) == value(other)
            && (self.value.is_none() || self.dead_by == other.dead_by)
            && self.degraded == other.degraded
            && gone(self) == gone(other)
            // Who has no value is told why, and waits for a change of that too.
            && (self.good(now).is_some() || trouble(self) == trouble(other))
    }
}
