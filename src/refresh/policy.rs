//! When the next attempt of a key is due: a pure, total function of facts.
//!
//! Owns every constant of the schedule. Reads no clock and draws no random number: `now`
//! and `jitter` are facts like the others, so a test can walk a whole life. Every answer
//! is an instant or a hold with its reason, there is no default delay, and every round
//! passes a floor, so an upstream that hands out nearly dead values cannot make it spin.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::BootTime;
use crate::model::Key;

/// Classic tokens are renewed this long before their end at the latest, so that an outage of
/// ten minutes is survived. Tencent's pages ask for five; the rest pays for lost answers.
pub const CLASSIC_MARGIN: Duration = Duration::from_secs(600);
/// WeChat's stable endpoint repeats the token until this long before its end
/// (getStableAccessToken: "five minutes"). An earlier call is wasted.
pub const STABLE_WINDOW: Duration = Duration::from_secs(300);
/// Stable renewals keep this distance from the window's edge, for WeChat's own rounding.
const STABLE_LAG: Duration = Duration::from_secs(2);
/// Stable renewals are spread over this much of the window. WeChat sets the phase, so all keys
/// may come at once: 60 of 200 s is 0.3 of them in the busiest minute, and a third is left for retries.
const STABLE_SPREAD: Duration = Duration::from_secs(200);
/// A stable token that WeChat repeats inside of the window is asked for again after this.
const STABLE_AGAIN: Duration = Duration::from_secs(30);
/// A ticket of known age is asked for this long before its end, and again this much earlier
/// by jitter (facts sheet §1.4: "300…600").
const TICKET_MARGIN: Duration = Duration::from_secs(300);
/// How often a ticket of unknown age is asked for. Two asks this close that bring different
/// strings date the second one.
pub const TICKET_DATING: Duration = Duration::from_secs(600);
/// How often a ticket near its end is asked for until its string changes ("about 1/min").
pub const TICKET_SOON: Duration = Duration::from_secs(60);
/// What a repeated ticket is given at its end: as long as WeChat lets an old token overlap.
pub const TICKET_EXTENSION: Duration = Duration::from_secs(300);
/// An ask this shortly before a ticket's end counts as "at the end", so that no reader falls
/// into the gap between the end and the answer.
pub const TICKET_AT_END: Duration = Duration::from_secs(10);

/// After a call of unknown outcome a classic value may die this long after the call was sent:
/// the overlap that Tencent guarantees.
pub const OVERLAP: Duration = Duration::from_secs(300);
/// Before a value bounded by [`OVERLAP`] ends, one call is made without asking, this early.
const LAST_CHANCE: Duration = Duration::from_secs(60);
/// When a value that an unknown call may have outlived is probed once: the overlap after that
/// call's time-out, and 10 s for clocks and queues on WeChat's side.
pub const VERIFY_AFTER: Duration = Duration::from_secs(310);
/// WeChat ignores forced calls closer than 30 s; the second is for its rounding.
pub const FORCE_SPACING: Duration = Duration::from_secs(31);
/// A ticket's complaints cause at most one call per this span.
pub const TICKET_COMPLAINT_SPACING: Duration = Duration::from_secs(60);

/// No two attempts of a schedule are closer than this.
pub const FLOOR: Duration = Duration::from_secs(1);
/// A hold is looked at this often, in case its named wake was missed.
pub const HOLD_LOOK: Duration = Duration::from_secs(60);
/// The first wait after a failure that may pass by itself; doubles with each further one.
const RETRY_BASE: Duration = Duration::from_secs(1);
/// Ceiling of that wait while a good value has more than [`NEAR_END`] to live.
const RETRY_CAP: Duration = Duration::from_secs(60);
/// Ceiling of that wait when the value is near its end or gone (L3).
pub const RETRY_CAP_NEAR_END: Duration = Duration::from_secs(30);
/// From here on a value is near its end.
const NEAR_END: Duration = Duration::from_secs(600);
/// The first wait after WeChat said that the day's quota is spent; doubles.
const QUOTA_BASE: Duration = Duration::from_secs(60);
/// Its ceiling: an operator's `clear_quota` is noticed within this.
const QUOTA_CAP: Duration = Duration::from_secs(900);
/// The slow lane while an operator must act; doubles. A repair wakes the key at once if it
/// comes with a reload, a resume or a refresh; an IP list is repaired behind our back.
const OPERATOR_BASE: Duration = Duration::from_secs(60);
/// Its ceiling.
const OPERATOR_CAP: Duration = Duration::from_secs(600);

/// Which schedule a key follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A classic token: each call kills the older one.
    Classic,
    /// A stable token: WeChat sets the phase.
    Stable,
    /// A ticket whose string was seen to change, so that its age is known.
    DatedTicket,
    /// A ticket of unknown age: its stated life may be too long.
    UndatedTicket,
}

/// Everything that the schedule depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Now.
    pub now: BootTime,
    /// Which schedule.
    pub shape: Shape,
    /// The value, unless there is none that may be served.
    pub value: Option<Life>,
    /// The trouble since the last success.
    pub failing: Option<Failing>,
    /// Until when an operator paused the key.
    pub paused_until: Option<BootTime>,
    /// Whether the key needs a parent's value and there is none.
    pub parent: Parent,
    /// No attempt before this: the end of the latest one and what the budget asks for.
    pub not_before: BootTime,
    /// In 0..1, drawn once per attempt.
    pub jitter: f64,
}

/// The life of a value that may be served.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// When WeChat was asked for it last.
    pub asked: BootTime,
    /// Its natural end.
    pub expires: BootTime,
    /// From when on it may be dead, for whatever reason.
    pub dead_by: BootTime,
    /// How long WeChat said that it lives.
    pub life: Duration,
    /// Whether the one call without asking is still to be made.
    pub last_chance: LastChance,
}

/// The one call that is made without a probe before a bounded value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastChance {
    /// Nothing bounds the value but its natural end.
    NotNeeded,
    /// It is still to be made.
    Open,
    /// It was made.
    Used,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    /// How many.
    pub count: u32,
    /// When the latest one ended.
    pub at: BootTime,
    /// How to wait.
    pub lane: Lane,
}

/// How to wait after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// It may pass by itself: from one second, doubling.
    Soon,
    /// Not before this instant.
    Until(BootTime),
    /// The day's quota is spent: from one minute, doubling to a quarter of an hour.
    Quota,
    /// An operator must act: from one minute, doubling to ten.
    Operator,
}

/// Whether a parent's value is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The key has no parent, or the parent has a good value.
    Ready,
    /// The parent has no good value.
    Missing,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// An attempt, at this instant (now, if it is past).
    At(BootTime),
    /// None, until the reason ends.
    Hold(Hold),
}

/// Why there is no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An operator paused the key until then.
    Paused(BootTime),
    /// The parent has no value.
    ParentMissing,
}

/// When the next attempt is due.
pub fn next(facts: &Facts) -> Plan {
    if let Some(until) = facts.paused_until.filter(|until| *until > facts.now) {
        return Plan::Hold(Hold::Paused(until));
    }
    if facts.parent == Parent::Missing {
        return Plan::Hold(Hold::ParentMissing);
    }
    let at = match (facts.failing, facts.value) {
        (Some(failing), value) => {
            let retry = failing.at + wait(failing, value, facts.now, facts.jitter);
            value.and_then(|value| last_chance(&value)).map_or(retry, |chance| retry.min(chance))
        }
        (None, None) => facts.now,
        (None, Some(value)) => match value.last_chance {
            LastChance::NotNeeded => renewal(facts.shape, &value, facts.jitter),
            // A lost call of an earlier run, or from before a resume or a reload: the value is
            // bounded, and no failure of this run leads to the next look at it.
            LastChance::Open | LastChance::Used => facts.now,
        },
    };
    Plan::At(at.max(facts.not_before))
}

/// The jitter with which a renewal comes first.
pub fn soonest(shape: Shape) -> f64 {
    match shape {
        Shape::Classic | Shape::DatedTicket | Shape::UndatedTicket => 1.0,
        Shape::Stable => 0.0,
    }
}

/// When a good value is renewed if nothing is wrong.
fn renewal(shape: Shape, value: &Life, jitter: f64) -> BootTime {
    let third = value.life / 3;
    match shape {
        Shape::Classic => {
            // Jitter only ever asks earlier: the margin is a promise.
            let (least, most) = classic_margins(value.life);
            value.expires - (least + most.saturating_sub(least).mul_f64(jitter))
        }
        Shape::Stable => {
            let window = STABLE_WINDOW.min(third);
            let lag = STABLE_LAG.min(window / 10);
            let spread = STABLE_SPREAD.min(window * 2 / 3);
            let at = value.expires - window + lag + spread.mul_f64(jitter);
            // Repeated inside of the window, by a clock that is not ours: not every second.
            at.max(value.asked + STABLE_AGAIN.min(window / 10))
        }
        Shape::DatedTicket => ticket(value, jitter, BootTime::FAR),
        Shape::UndatedTicket => {
            let dating = TICKET_DATING.min(third);
            ticket(value, jitter, value.asked + dating.mul_f64(1.0 - jitter / 10.0))
        }
    }
}

/// How long before its end a classic value is renewed at the least and at the most.
fn classic_margins(life: Duration) -> (Duration, Duration) {
    let third = life / 3;
    if third > CLASSIC_MARGIN { (CLASSIC_MARGIN, third) } else { (third, life / 2) }
}

/// The key's own place in every round, in 0..1: the same in every run.
pub fn phase(key: &Key) -> f64 {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(key.to_string()).into();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

/// The jitter with which a classic value's renewal comes nearer to the key's phase.
///
/// Drawn anew in each round, jitter spreads keys that were fetched together only in half a day. So
/// each key aims at an instant of its own in every mean round, and each renewal takes
/// back as much of what it is off by as the window is of the round (0.3): the least that lets the
/// farthest key stay in the window, so that keys of one moment fill it evenly at once, and twice
/// and three times as much in the rounds after it.
pub fn steered(value: &Life, phase: f64) -> f64 {
    let (least, most) = classic_margins(value.life);
    let middle = value.expires - (least + most) / 2;
    let round = millis(value.life.saturating_sub((least + most) / 2));
    if round <= 0.0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "boot times of a hundred thousand years are exact")]
    let off = (round * phase - middle.0 as f64).rem_euclid(round);
    // In -0.5..0.5 rounds: whichever way is shorter.
    let off = if off * 2.0 < round { off / round } else { off / round - 1.0 };
    0.5 - off
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// A ticket is asked for from its margin on, once a minute until the string changes, and once
/// exactly at its end, where a repeated string gets its extension.
fn ticket(value: &Life, jitter: f64, at_the_latest: BootTime) -> BootTime {
    let margin = TICKET_MARGIN.min(value.life / 6);
    let near = value.expires - margin.mul_f64(1.0 + jitter);
    let soon = value.asked + TICKET_SOON.min(value.life / 6);
    let at = near.max(soon).min(at_the_latest);
    let end = value.expires - TICKET_AT_END.min(value.life / 12);
    // Asked so shortly before its end that the repeat could not prolong it: again at the end itself.
    at.min(if value.asked < end { end } else { value.expires })
}

/// How long to wait after a failure.
fn wait(failing: Failing, value: Option<Life>, now: BootTime, jitter: f64) -> Duration {
    let doubled = |base: Duration, cap: Duration| {
        let factor = 1_u32.checked_shl(failing.count.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = base.saturating_mul(factor).min(cap);
        // Between half and all of it: the callers of an outage come back spread out.
        full.mul_f64(1.0 - jitter / 2.0)
    };
    match failing.lane {
        Lane::Soon => {
            let near_end = value.is_none_or(|value| value.dead_by.since(now) <= NEAR_END);
            let cap = if near_end { RETRY_CAP_NEAR_END } else { RETRY_CAP };
            // Bounded by what is left: an outage that ends shortly before the value does must not
            // be outlasted by the wait.
            let left = value.map_or(cap, |value| value.dead_by.since(failing.at) / 4);
            doubled(RETRY_BASE, cap.min(left.max(RETRY_BASE)))
        }
        Lane::Until(at) => at.since(failing.at),
        Lane::Quota => doubled(QUOTA_BASE, QUOTA_CAP),
        Lane::Operator => doubled(OPERATOR_BASE, OPERATOR_CAP),
    }
}

/// When the one call without asking is due, if it is still to be made.
pub fn last_chance(value: &Life) -> Option<BootTime> {
    match value.last_chance {
        LastChance::Open => Some(value.dead_by - LAST_CHANCE.min(value.life / 6)),
        LastChance::NotNeeded | LastChance::Used => None,
    }
}

/// How many calls a day the schedule needs at most: twice what it uses when nothing fails. Of a
/// ticket it counts on a WeChat that repeats it to its end, where it is asked for each minute.
pub fn deadline_share(shape: Shape, life: Duration) -> u32 {
    let third = life / 3;
    let margin = match shape {
        Shape::Classic => CLASSIC_MARGIN.min(third),
        Shape::Stable => STABLE_WINDOW.min(third),
        Shape::DatedTicket | Shape::UndatedTicket => TICKET_MARGIN.min(life / 6),
    };
    let times = |span: Duration, every: Duration| span.as_secs().div_ceil(every.as_secs().max(1));
    let near_the_end = times(2 * margin, TICKET_SOON.min(life / 6)) + 1;
    let calls = match shape {
        Shape::Classic | Shape::Stable => 1,
        Shape::DatedTicket => near_the_end,
        Shape::UndatedTicket => times(life, TICKET_DATING.min(third)) + near_the_end,
    };
    let round = life.saturating_sub(margin).as_secs().max(1);
    u32::try_from((2 * 86_400 * calls).div_ceil(round)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
