//! What a key's task knows, between its rounds and over a panic in one.
//!
//! Owns the rules that say until when a value may be served (S2) and what a stored record
//! means after a restart. No I/O, no waiting: the rounds in `task`, `attempt`, `verdict`
//! change it through methods that keep those rules.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::ledger::{CallEnd, Record};
use crate::model::{CallMode, Fingerprint, Generation, Kind, TokenMode};

use super::budget::{Budget, Forced, Share, WINDOW};
use super::held::{Held, Standing};
use super::policy::{self, LastChance, Life, OVERLAP, Shape, VERIFY_AFTER};
use super::rare::{Rare, Unknown};
use super::view::{Degraded, LastAttempt, Value};

/// Probes that a key may make in one go, and how fast they come back (architecture §4).
const PROBE_BURST: u32 = 10;
const PROBE_REFILL: Duration = Duration::from_secs(6);

/// Everything that a key's refresher remembers.
pub(super) struct State {
    pub(super) held: Option<Held>,
    /// Whether the held value must be proven alive before anybody gets it.
    pub(super) trust: Trust,
    pub(super) rare: Rare,
    pub(super) last_attempt: Generation,
    pub(super) last: Option<LastAttempt>,
    /// When the latest call was sent that WeChat answered with a value.
    pub(super) last_success: Option<BootTime>,
    pub(super) budget: Budget,
    pub(super) probes: Bucket,
    /// The ledger refused something since the last time it took something.
    pub(super) ledger_ailing: bool,
    /// The value was given up for a complaint, and no other has come since.
    pub(super) given_up: bool,
    pub(super) not_before: BootTime,
    pub(super) jitter: f64,
}

/// Whether a held value may be served without a question to WeChat first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Yes.
    Proven,
    /// No: it comes from a time when nobody watched over it.
    NeedsProof,
}

/// A token bucket. Holds the instant at which it is full again: exact, where fractions of a token
/// are not.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: BootTime,
}

impl Bucket {
    fn full() -> Self {
        Self { full_at: BootTime(i64::MIN / 4) }
    }

    /// Takes one, or says when there is one again.
    pub(super) fn take(&mut self, now: BootTime) -> Result<(), BootTime> {
        let full_at = self.full_at.max(now) + PROBE_REFILL;
        let fits_from = full_at - PROBE_REFILL * PROBE_BURST;
        if fits_from > now {
            return Err(fits_from);
        }
        self.full_at = full_at;
        Ok(())
    }
}

impl State {
    /// What a record means now. `call_limit` is how long a call can be under way at most;
    /// `fresh_trust` is what an unremarkable value deserves: a daemon that restarts goes on
    /// serving, an account that comes back after it was removed does not.
    pub(super) fn from_record(
        record: Record,
        clock: &Clock,
        daily_calls: u32,
        call_limit: Duration,
        fresh_trust: Trust,
    ) -> Self {
        let now = clock.boot();
        let mut state = Self {
            held: None,
            trust: fresh_trust,
            rare: Rare::default(),
            last_attempt: record.last_attempt,
            last: None,
            last_success: None,
            budget: Budget::with_room(daily_calls, record.calls.len()),
            probes: Bucket::full(),
            ledger_ailing: false,
            given_up: false,
            not_before: BootTime(i64::MIN / 4),
            jitter: 0.0,
        };
        if let Some(until) = record.paused_until {
            state.rare.paused_until = Some(clock.resolve(&until).at);
        }
        let mut committed = Generation::default();
        if let Some(stored) = record.value {
            committed = stored.generation;
            let confirmed = clock.resolve(&stored.confirmed);
            if confirmed.in_future {
                state.trust = Trust::NeedsProof;
            }
            let asked = confirmed.at.min(now);
            // From the future: nobody knows how much of its life is over. Once it is proven alive,
            // it is served while it is replaced, and for no longer than an old token may be.
            let life = if confirmed.in_future { stored.life.min(OVERLAP) } else { stored.life };
            state.last_success = Some(asked);
            state.held = Some(Held {
                value: Arc::new(Value {
                    secret: stored.value,
                    fingerprint: stored.fingerprint,
                    generation: stored.generation,
                    issued: clock.resolve(&stored.issued).at.min(now),
                    mode: stored.mode,
                }),
                asked,
                expires: asked + life,
                life: stored.life,
                // A wall clock that was stepped back must not put it off.
                verify_at: stored.verify_at.map(|at| clock.resolve(&at).at.min(now + VERIFY_AFTER)),
                age_known: stored.age_known,
                not_rotated: false,
                standing: if stored.dead { Standing::Withdrawn } else { Standing::Good },
            });
        }
        for past in record.calls.iter() {
            state.last_attempt = state.last_attempt.max(past.call.attempt);
            let resolved = clock.resolve(&past.call.sent);
            let sent = resolved.at.min(now);
            let issuing = past.call.mode.is_issuing();
            let reached = !matches!(past.end, Some(CallEnd::NeverSent));
            if reached && sent + WINDOW > now {
                let forced = forced(past.call.mode);
                state.budget.count(sent, Share::from(past.call.cause), forced);
            }
            let unknown = matches!(past.end, None | Some(CallEnd::Unknown));
            if unknown && issuing && past.call.attempt > committed {
                // From the future: nobody knows how much of the overlap is over, so none is left.
                let first = if resolved.in_future { now - OVERLAP } else { sent };
                state.note_unknown(past.call.mode, past.call.attempt, first, sent + call_limit);
            }
        }
        if record.set_aside {
            state.budget.forget_until(now + WINDOW);
        }
        state.last_attempt = state.last_attempt.max(committed);
        state
    }

    /// Takes an issuing call of unknown outcome into account.
    pub(super) fn note_unknown(
        &mut self,
        mode: CallMode,
        attempt: Generation,
        sent: BootTime,
        ended: BootTime,
    ) {
        let forced = (mode == CallMode::StableForced).then_some(sent);
        let unknown = self.rare.unknown.get_or_insert(Unknown {
            first: sent,
            first_forced: forced,
            last_ended: ended,
            through: attempt,
            chance: LastChance::Open,
        });
        unknown.first_forced = unknown.first_forced.or(forced);
        unknown.last_ended = unknown.last_ended.max(ended);
        unknown.through = unknown.through.max(attempt);
    }

    /// Whether calls of unknown outcome can explain that the value is dead.
    pub(super) fn death_is_ours(&self) -> bool {
        self.rare.unknown.is_some()
            || self.rare.leak.is_some()
            || self.held.as_ref().is_some_and(|held| held.verify_at.is_some())
    }

    /// The value that may be served until [`State::dead_by`], if there is one.
    pub(super) fn serving(&self) -> Option<&Held> {
        let held = self.held.as_ref()?;
        (held.standing != Standing::Withdrawn && self.trust == Trust::Proven).then_some(held)
    }

    /// From when on the held value may be dead (S2). The past, if there is none.
    pub(super) fn dead_by(&self) -> BootTime {
        let Some(held) = &self.held else { return BootTime(i64::MIN / 4) };
        self.bound().map_or(held.expires, |bound| held.expires.min(bound))
    }

    /// From when on the calls of unknown outcome may have killed the held value, if they can. It
    /// may lie after the value's own end; the doubt is there all the same, since WeChat keeps one
    /// old value: a second call kills the held one at once.
    fn bound(&self) -> Option<BootTime> {
        let unknown = self.rare.unknown.as_ref()?;
        // The two endpoints are isolated: a call on one cannot kill a value of the other.
        match self.held.as_ref()?.value.mode {
            CallMode::Classic => Some(unknown.first + OVERLAP),
            CallMode::Stable | CallMode::StableForced => unknown.first_forced,
            CallMode::Ticket => None,
        }
    }

    /// The value that may be served now.
    pub(super) fn good(&self, now: BootTime) -> Option<&Held> {
        self.serving().filter(|_| self.dead_by() > now)
    }

    /// What is known to be dead, so that a repeat of it is not taken for a repair.
    pub(super) fn dead_string(&self) -> Option<Fingerprint> {
        let held = self.held.as_ref()?;
        (held.standing != Standing::Good).then_some(held.value.fingerprint)
    }

    /// The held value is dead.
    pub(super) fn withdraw(&mut self) {
        if let Some(held) = &mut self.held {
            held.standing = Standing::Withdrawn;
            held.verify_at = None;
        }
    }

    /// A probe sent at `asked` found the held value alive. Lifts the bound of unknown calls if
    /// the last of them could have killed the value by then; says through which number.
    pub(super) fn found_alive(&mut self, asked: BootTime) -> Option<Generation> {
        let settled = self
            .rare
            .unknown
            .filter(|unknown| unknown.first_forced.is_none() && asked > unknown.last_ended + OVERLAP)?;
        self.rare.unknown = None;
        Some(settled.through)
    }

    /// When to probe a value that is committed now, because of calls before it (S3).
    pub(super) fn verification(&self) -> Option<BootTime> {
        // What the replaced value was to be asked for can as well happen to the new one.
        let pending = self.held.as_ref().and_then(|held| held.verify_at);
        pending.max(self.rare.unknown.map(|unknown| unknown.last_ended + VERIFY_AFTER))
    }

    /// The facts of the schedule about the value that is served.
    pub(super) fn life(&self, now: BootTime) -> Option<Life> {
        let held = self.good(now)?;
        let last_chance = self.rare.unknown.map_or(LastChance::NotNeeded, |unknown| unknown.chance);
        Some(Life {
            asked: held.asked,
            expires: held.expires,
            dead_by: self.dead_by(),
            life: held.life,
            last_chance,
        })
    }

    /// Which schedule the key follows.
    pub(super) fn shape(&self, kind: Kind, mode: TokenMode) -> Shape {
        match (kind, mode) {
            (Kind::AccessToken, TokenMode::Classic) => Shape::Classic,
            (Kind::AccessToken, TokenMode::Stable) => Shape::Stable,
            (Kind::JsapiTicket | Kind::WxCardTicket, _) => {
                let dated = self.held.as_ref().is_some_and(|held| held.age_known);
                if dated { Shape::DatedTicket } else { Shape::UndatedTicket }
            }
        }
    }

    /// What the schedule may need a day.
    pub(super) fn deadline_share(&self, shape: Shape) -> u32 {
        /// The life that WeChat documents, until it has said one itself.
        const DOCUMENTED: Duration = Duration::from_secs(7_200);
        policy::deadline_share(shape, self.held.as_ref().map_or(DOCUMENTED, |held| held.life))
    }

    /// Why the value that is served is not simply fresh.
    pub(super) fn degraded(&self) -> Option<Degraded> {
        let held = self.serving()?;
        if held.standing == Standing::ReportedDead {
            Some(Degraded::ReportedDead)
        } else if self.bound().is_some() {
            Some(Degraded::UnknownOutcome)
        } else if self.rare.unstored.is_some() || self.ledger_ailing {
            Some(Degraded::Ledger)
        } else if held.not_rotated {
            Some(Degraded::TicketNotRotated)
        } else if self.rare.failing.is_some() {
            Some(Degraded::RenewalFailing)
        } else {
            None
        }
    }
}

/// Whether a mode is a forced one.
pub(super) fn forced(mode: CallMode) -> Forced {
    match mode {
        CallMode::StableForced => Forced::Yes,
        CallMode::Classic | CallMode::Stable | CallMode::Ticket => Forced::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_ten_in_a_row_then_one_in_six_seconds() {
        let mut bucket = Bucket::full();
        let at = |seconds: i64| BootTime(seconds * 1_000);
        for _ in 0..10 {
            assert_eq!(bucket.take(at(100)), Ok(()));
        }
        assert_eq!(bucket.take(at(100)), Err(at(106)));
        assert_eq!(bucket.take(at(105)), Err(at(106)));
        assert_eq!(bucket.take(at(106)), Ok(()));
        assert_eq!(bucket.take(at(107)), Err(at(112)));
        // Never more than ten, however long nobody asked.
        assert_eq!((0..20).filter(|_| bucket.take(at(9_000)).is_ok()).count(), 10);
    }
}
