//! The rolling 24 h budget of one key (S6).
//!
//! Counts calls that reached WeChat, whoever caused them, and says whether one more is
//! allowed and otherwise when. A rolling window lies inside every calendar day of every
//! time zone, so it does not matter when WeChat resets its counter. Shares keep one cause
//! from starving another:
//! - deadlines keep twice what an undisturbed schedule uses;
//! - operators keep 5 % and 4 forced calls;
//! - complaints have a burst of 5, then one per 90 s, and never touch the other two.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::Cause;

use super::policy::FORCE_SPACING;
use super::view::Usage;

/// The window that WeChat's daily limits are kept in.
pub const WINDOW: Duration = Duration::from_secs(86_400);
/// Forced calls that WeChat grants a day (getStableAccessToken).
pub const FORCED_LIMIT: u32 = 20;
/// Forced calls of those that only operators may make: two leaks of two calls each.
const OPERATOR_FORCED: u32 = 4;
/// Calls that complaints may cause in one go.
const COMPLAINT_BURST: u32 = 5;
/// One more call for complaints per this span.
const COMPLAINT_REFILL: Duration = Duration::from_secs(90);

/// Whose share a call is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The schedule's.
    Deadline,
    /// The complainers'.
    Complaint,
    /// The operators'.
    Operator,
}

impl From<Cause> for Share {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Deadline | Cause::Parent => Self::Deadline,
            Cause::Complaint => Self::Complaint,
            Cause::Command => Self::Operator,
        }
    }
}

/// Whether a call is a forced one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// `force_refresh: true`.
    Yes,
    /// Any other call.
    No,
}

/// A call is not allowed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// When it is.
    pub until: BootTime,
    /// Which rule forbids it, for the caller.
    pub rule: &'static str,
}

/// The calls of the last 24 h and their limits.
#[derive(Debug)]
pub struct Budget {
    limit: u32,
    calls: VecDeque<Packed>,
    /// What the calls' instants are counted from.
    from: BootTime,
    /// Until then the shares of complaints and forced calls are treated as used: the ledger
    /// that knew them was lost.
    amnesia_until: BootTime,
}

/// A call: when, whose share, whether forced.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: BootTime,
    share: Share,
    forced: Forced,
}

/// The same in four bytes, because a ticket has a hundred of them and there may be 100,000
/// tickets: milliseconds since the budget's `from`, and three bits.
#[derive(Clone, Copy, Debug)]
struct Packed(u32);

impl Packed {
    const BITS: u32 = 3;
    /// Six days; the calls of a window are never further apart than one.
    const FARTHEST: u32 = u32::MAX >> Self::BITS;

    /// Packs the call, if it lies in the reach of `from`.
    fn new(call: Counted, from: BootTime) -> Option<Self> {
        let distance = u32::try_from(call.at.0.checked_sub(from.0)?).ok()?;
        let share = match call.share {
            Share::Deadline => 0,
            Share::Complaint => 1,
            Share::Operator => 2,
        };
        let forced = match call.forced {
            Forced::No => 0,
            Forced::Yes => 4,
        };
        (distance <= Self::FARTHEST).then_some(Self((distance << Self::BITS) | share | forced))
    }

    fn unpack(self, from: BootTime) -> Counted {
        let share = match self.0 & 3 {
            0 => Share::Deadline,
            1 => Share::Complaint,
            _ => Share::Operator,
        };
        let forced = if self.0 & 4 == 0 { Forced::No } else { Forced::Yes };
        Counted { at: BootTime(from.0 + i64::from(self.0 >> Self::BITS)), share, forced }
    }
}

impl Budget {
    /// An empty budget of `limit` calls.
    pub fn new(limit: u32) -> Self {
        Self::with_room(limit, 0)
    }

    /// The same, with room for so many calls that are about to be counted.
    pub fn with_room(limit: u32, calls: usize) -> Self {
        let mut room = VecDeque::new();
        room.reserve_exact(calls);
        Self { limit, calls: room, from: BootTime(0), amnesia_until: BootTime(i64::MIN) }
    }

    /// Changes the limit; what was counted stays.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Treats the shares of complaints and of forced calls as used until then.
    pub fn forget_until(&mut self, until: BootTime) {
        self.amnesia_until = until;
    }

    /// Counts a call.
    pub fn count(&mut self, at: BootTime, share: Share, forced: Forced) {
        while self.calls().next().is_some_and(|call| call.at + WINDOW <= at) {
            self.calls.pop_front();
        }
        let call = Counted { at, share, forced };
        if self.calls.len() == self.calls.capacity() {
            // By a quarter, not by half of what it becomes: most keys have as many calls every day.
            self.calls.reserve_exact((self.calls.len() / 4).max(4));
        }
        match Packed::new(call, self.from) {
            Some(packed) => self.calls.push_back(packed),
            None => self.count_anew(call),
        }
    }

    /// Counts from another instant, because the call is out of reach of the old one.
    fn count_anew(&mut self, call: Counted) {
        let counted: Vec<Counted> =
            self.calls().filter(|old| old.at + WINDOW > call.at).chain([call]).collect();
        self.from = counted.iter().map(|call| call.at).min().unwrap_or(call.at);
        self.calls.clear();
        // All of them lie within two windows, the one before the call and the one after it.
        self.calls.extend(counted.into_iter().filter_map(|call| Packed::new(call, self.from)));
    }

    /// The counted calls, oldest first; some of them may have left the window.
    fn calls(&self) -> impl DoubleEndedIterator<Item = Counted> {
        self.calls.iter().map(|call| call.unpack(self.from))
    }

    /// Takes the latest call back: it turned out not to have reached WeChat.
    pub fn uncount(&mut self) {
        self.calls.pop_back();
    }

    /// Use of the window that ends now.
    pub fn usage(&self, now: BootTime) -> Usage {
        Usage {
            used: self.total(now, |_| true),
            limit: self.limit,
            forced_used: self.total(now, |call| call.forced == Forced::Yes),
            forced_limit: FORCED_LIMIT,
        }
    }

    /// Whether one more call is allowed; `deadline_share` is what the schedule may need a day.
    pub fn allows(
        &self,
        now: BootTime,
        share: Share,
        forced: Forced,
        deadline_share: u32,
    ) -> Result<(), Denied> {
        let operator_left = self.operator_left(now);
        let deadline_left = self.deadline_left(now, deadline_share);
        let kept_for_others = match share {
            Share::Deadline => operator_left,
            Share::Complaint => operator_left + deadline_left,
            Share::Operator if operator_left == 0 => {
                return Err(self.denied(now, "operators may use 5 % of the daily calls", |call| {
                    call.share == Share::Operator
                }));
            }
            Share::Operator => deadline_left,
        };
        if self.total(now, |_| true) + kept_for_others >= self.limit {
            return Err(self.denied(now, "the daily calls are used up", |_| true));
        }
        if share == Share::Complaint {
            self.complaint_bucket(now)?;
        }
        match forced {
            Forced::No => Ok(()),
            Forced::Yes => self.allows_forced(now, share),
        }
    }

    /// Before when no attempt is made, so that the calls left last for the window; the past, if
    /// any time will do. Counted from the latest call, also over a restart: a daemon that is
    /// restarted again and again must not spend the day's calls at once.
    pub fn paced_until(&self, now: BootTime, deadline_share: u32) -> BootTime {
        let latest = self.calls().next_back().map_or(BootTime(i64::MIN / 4), |call| call.at);
        latest + self.pace(now, deadline_share)
    }

    /// The least distance between two calls. Those that the schedule keeps for itself are not
    /// paced: a first failure is retried soon also by an account of 200 calls a day.
    fn pace(&self, now: BootTime, deadline_share: u32) -> Duration {
        let used = self.total(now, |_| true);
        let Some(oldest) = self.calls().find(|call| call.at + WINDOW > now) else {
            return Duration::ZERO;
        };
        // Whoever used the others: what is kept for the schedule waits for nobody, or a value
        // would end while the calls for its renewal are still there.
        if used <= self.kept(deadline_share) || self.deadline_left(now, deadline_share) > 0 {
            return Duration::ZERO;
        }
        let window_left = (oldest.at + WINDOW).since(now);
        // What is kept for operators is not there for anybody who is paced.
        let paced = self.limit.saturating_sub(self.operator_left(now));
        let by_what_is_left = window_left / paced.saturating_sub(used).max(1);
        // And never faster than what lasts beside one burst: else the calls used up before it
        // leaves the window are followed by a hole as long as the quiet time before it.
        by_what_is_left.max(WINDOW / paced.saturating_sub(self.kept(deadline_share)).max(1))
    }

    /// What is left of the calls that the schedule keeps for itself.
    fn deadline_left(&self, now: BootTime, deadline_share: u32) -> u32 {
        let by_deadlines = self.total(now, |call| call.share == Share::Deadline);
        self.kept(deadline_share).saturating_sub(by_deadlines)
    }

    /// What operators may still use: 5 % of the limit.
    fn operator_left(&self, now: BootTime) -> u32 {
        (self.limit / 20).max(1).saturating_sub(self.total(now, |call| call.share == Share::Operator))
    }

    /// How far apart the deadlines' calls are if they last for a whole window.
    pub fn deadline_round(&self, deadline_share: u32) -> Duration {
        WINDOW / self.kept(deadline_share).max(1)
    }

    /// What deadlines keep: never more than half, so that a very short life starves nobody.
    fn kept(&self, deadline_share: u32) -> u32 {
        deadline_share.min(self.limit / 2)
    }

    fn allows_forced(&self, now: BootTime, share: Share) -> Result<(), Denied> {
        if now < self.amnesia_until && share != Share::Operator {
            let rule = "forced calls wait for 24 h after the ledger was set aside";
            return Err(Denied { until: self.amnesia_until, rule });
        }
        let is_forced = |call: &Counted| call.forced == Forced::Yes;
        if let Some(latest) = self.calls().rev().find(|call| is_forced(call)) {
            let until = latest.at + FORCE_SPACING;
            if until > now {
                return Err(Denied { until, rule: "WeChat ignores forced calls less than 30 s apart" });
            }
        }
        let by_operators = self.total(now, |call| is_forced(call) && call.share == Share::Operator);
        let total = self.total(now, is_forced);
        let rule = "WeChat grants 20 forced calls a day";
        match share {
            Share::Operator if by_operators >= OPERATOR_FORCED => {
                let rule = "operators may use 4 of the day's forced calls";
                Err(self.denied(now, rule, |call| is_forced(call) && call.share == Share::Operator))
            }
            Share::Operator if total >= FORCED_LIMIT => Err(self.denied(now, rule, is_forced)),
            Share::Deadline | Share::Complaint
                if total + OPERATOR_FORCED.saturating_sub(by_operators) >= FORCED_LIMIT =>
            {
                Err(self.denied(now, rule, is_forced))
            }
            Share::Operator | Share::Deadline | Share::Complaint => Ok(()),
        }
    }

    /// A token bucket, computed from the calls themselves so that it survives a restart.
    fn complaint_bucket(&self, now: BootTime) -> Result<(), Denied> {
        let amnesia_began = self.amnesia_until - WINDOW;
        let full = (f64::from(COMPLAINT_BURST), BootTime(i64::MIN / 4));
        let (mut level, since) = if now < self.amnesia_until { (0.0, amnesia_began) } else { full };
        let mut last = since;
        let refill =
            |from: BootTime, to: BootTime| to.since(from).as_secs_f64() / COMPLAINT_REFILL.as_secs_f64();
        let burst = f64::from(COMPLAINT_BURST);
        for call in self.calls().filter(|call| call.share == Share::Complaint && call.at >= since) {
            level = (level + refill(last, call.at)).min(burst) - 1.0;
            last = call.at;
        }
        level = (level + refill(last, now)).min(burst);
        if level >= 1.0 {
            return Ok(());
        }
        let until = now + COMPLAINT_REFILL.mul_f64(1.0 - level.max(0.0)) + Duration::from_millis(1);
        Err(Denied { until, rule: "complaints may cause 5 calls in a row, then one per 90 s" })
    }

    fn total(&self, now: BootTime, which: impl Fn(&Counted) -> bool) -> u32 {
        let counted = self.calls().filter(|call| call.at + WINDOW > now && which(call)).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }

    /// Denied until the oldest call of this sort leaves the window.
    fn denied(&self, now: BootTime, rule: &'static str, which: impl Fn(&Counted) -> bool) -> Denied {
        let oldest = self.calls().find(|call| call.at + WINDOW > now && which(call));
        Denied { until: oldest.map_or(now + COMPLAINT_REFILL, |call| call.at + WINDOW), rule }
    }
}

#[cfg(test)]
mod tests;
