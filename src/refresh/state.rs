//! What a key's task knows, between its rounds and over a panic in one.
//!
//! Owns the rules that say until when a value may be served (S2) and what a stored record
//! means after a restart. No I/O, no waiting: the rounds in `task`, `attempt`, `verdict`
//! change it through methods that keep those rules.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::ledger::{Call, CallEnd, Record, StoredValue};
use crate::model::{CallMode, Fingerprint, Generation, Kind, TokenMode};

use super::budget::{Budget, Forced, Share, WINDOW};
use super::held::{Held, Standing};
use super::policy::{self, Failing, LastChance, Life, OVERLAP, Shape, VERIFY_AFTER};
use super::view::{Degraded, Foreign, LastAttempt, Problem, Value};

/// Probes that a key may make in one go, and how fast they come back (architecture §4).
const PROBE_BURST: u32 = 10;
const PROBE_REFILL: Duration = Duration::from_secs(6);

/// Everything that a key's task remembers.
pub(super) struct State {
    pub(super) held: Option<Held>,
    /// Whether the held value must be proven alive before anybody gets it.
    pub(super) trust: Trust,
    pub(super) unknown: Option<Unknown>,
    /// The issuing call that is under way: set before it, cleared after it. Still set when a
    /// round begins, it was cut off by a panic and is of unknown outcome.
    pub(super) in_flight: Option<Call>,
    pub(super) last_attempt: Generation,
    pub(super) last: Option<LastAttempt>,
    /// When the latest call was sent that WeChat answered with a value.
    pub(super) last_success: Option<BootTime>,
    pub(super) budget: Budget,
    pub(super) probes: Bucket,
    pub(super) failing: Option<Failing>,
    pub(super) problem: Option<Arc<Problem>>,
    pub(super) paused_until: Option<BootTime>,
    /// A value that the ledger does not have yet.
    pub(super) unstored: Option<Box<Unstored>>,
    /// A death that the ledger does not know of yet: a restart would serve the value again.
    pub(super) untold_death: Option<UntoldDeath>,
    /// The ledger refused something since the last time it took something.
    pub(super) ledger_ailing: bool,
    /// The second call after a leak.
    pub(super) leak: Option<Leak>,
    /// The value was given up for a complaint, and no other has come since.
    pub(super) given_up: bool,
    pub(super) last_ticket_complaint: Option<BootTime>,
    pub(super) foreign: Foreign,
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

/// Issuing calls of unknown outcome since the held value's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// When the first was sent. A retry never moves it.
    pub(super) first: BootTime,
    /// When the first forced one was sent.
    pub(super) first_forced: Option<BootTime>,
    /// From when on the last one cannot be processed any more, as far as we can tell.
    pub(super) last_ended: BootTime,
    /// The number of the last one.
    pub(super) through: Generation,
    pub(super) chance: LastChance,
}

/// A commit that the ledger still owes.
pub(super) struct Unstored {
    pub(super) call: Call,
    pub(super) value: StoredValue,
    pub(super) retry_at: BootTime,
    pub(super) tries: u32,
}

/// A value that the ledger still takes for alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct UntoldDeath {
    pub(super) generation: Generation,
    pub(super) retry_at: BootTime,
}

/// A leaked value on its way to certain death.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leak {
    pub(super) leaked: Option<Fingerprint>,
    pub(super) second_at: BootTime,
}

/// A token bucket. Holds time instead of tokens: exact, where fractions of a token are not.
#[derive(Debug)]
pub(super) struct Bucket {
    credit: Duration,
    at: BootTime,
}

impl Bucket {
    fn full() -> Self {
        Self { credit: PROBE_REFILL * PROBE_BURST, at: BootTime(i64::MIN / 4) }
    }

    /// Takes one, or says when there is one again.
    pub(super) fn take(&mut self, now: BootTime) -> Result<(), BootTime> {
        self.credit = self.credit.saturating_add(now.since(self.at)).min(PROBE_REFILL * PROBE_BURST);
        self.at = now;
        match self.credit.checked_sub(PROBE_REFILL) {
            Some(left) => {
                self.credit = left;
                Ok(())
            }
            None => Err(now + (PROBE_REFILL.saturating_sub(self.credit))),
        }
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
        jitter: f64,
    ) -> Self {
        let now = clock.boot();
        let mut state = Self {
            held: None,
            trust: fresh_trust,
            unknown: None,
            in_flight: None,
            last_attempt: record.last_attempt,
            last: None,
            last_success: None,
            budget: Budget::new(daily_calls),
            probes: Bucket::full(),
            failing: None,
            problem: None,
            paused_until: record.paused_until.map(|until| clock.resolve(&until).at),
            unstored: None,
            untold_death: None,
            ledger_ailing: false,
            leak: None,
            given_up: false,
            last_ticket_complaint: None,
            foreign: Foreign::default(),
            not_before: BootTime(i64::MIN / 4),
            jitter,
        };
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
        let unknown = self.unknown.get_or_insert(Unknown {
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
        self.unknown.is_some()
            || self.leak.is_some()
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
        let unknown = self.unknown.as_ref()?;
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
            .unknown
            .filter(|unknown| unknown.first_forced.is_none() && asked > unknown.last_ended + OVERLAP)?;
        self.unknown = None;
        Some(settled.through)
    }

    /// When to probe a value that is committed now, because of calls before it (S3).
    pub(super) fn verification(&self) -> Option<BootTime> {
        // What the replaced value was to be asked for can as well happen to the new one.
        let pending = self.held.as_ref().and_then(|held| held.verify_at);
        pending.max(self.unknown.map(|unknown| unknown.last_ended + VERIFY_AFTER))
    }

    /// The facts of the schedule about the value that is served.
    pub(super) fn life(&self, now: BootTime) -> Option<Life> {
        let held = self.good(now)?;
        let last_chance = self.unknown.map_or(LastChance::NotNeeded, |unknown| unknown.chance);
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
        } else if self.unstored.is_some() || self.ledger_ailing {
            Some(Degraded::Ledger)
        } else if held.not_rotated {
            Some(Degraded::TicketNotRotated)
        } else if self.failing.is_some() {
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
