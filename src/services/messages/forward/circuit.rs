//! Leaves a program alone that does not answer, and notices by itself when it does again.
//!
//! After [`IN_A_ROW`] failures nobody asks it for [`REST`]; then one message does, while the
//! others still fail at once, and its outcome decides. So a dead program costs one message in
//! five seconds its time limit, and no operator has to do anything when it is back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::{Failure, Health};
use crate::clock::{BootTime, Clock};
use crate::telemetry::{ErrorTracker, Report};

/// How many failures in a row are no accident.
const IN_A_ROW: u64 = 5;
/// How long nobody asks: about as long as a small program takes to start.
const REST: Duration = Duration::from_secs(5);

/// What is known of the program.
#[derive(Debug, Default)]
struct Circuit {
    failures: ErrorTracker,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It is asked.
    #[default]
    Closed,
    /// It is not asked before this.
    Open(BootTime),
    /// One message asks it, all others do not.
    Probing,
}

/// In which state somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Plain,
    Probe,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Nothing,
    /// From here on it is left alone.
    Opened(u64),
    /// It is still down.
    StillOpen(u64),
    /// It answers again.
    Closed(u64),
}

impl Circuit {
    /// Whether it may be asked now; changes nothing.
    fn look(&self, now: BootTime) -> Result<Leave, Failure> {
        match self.state {
            State::Closed => Ok(Leave::Plain),
            State::Open(until) if now >= until => Ok(Leave::Probe),
            State::Open(_) | State::Probing => Err(Failure::Resting { failures: self.failures.in_a_row() }),
        }
    }

    fn enter(&mut self, now: BootTime) -> Result<Leave, Failure> {
        let leave = self.look(now)?;
        if leave == Leave::Probe {
            self.state = State::Probing;
        }
        Ok(leave)
    }

    fn answered(&mut self) -> Turn {
        let before = std::mem::take(&mut self.state);
        match (self.failures.succeeded(), before) {
            (Report::Recovered(failures), State::Open(_) | State::Probing) => Turn::Closed(failures),
            _ => Turn::Nothing,
        }
    }

    fn failed(&mut self, leave: Leave, now: BootTime) -> Turn {
        self.failures.failed();
        let failures = self.failures.in_a_row();
        match (self.state, leave) {
            (State::Closed, _) if failures >= IN_A_ROW => {
                self.state = State::Open(now + REST);
                Turn::Opened(failures)
            }
            (State::Probing, Leave::Probe) => {
                self.state = State::Open(now + REST);
                Turn::StillOpen(failures)
            }
            // One that was asked before the others failed says nothing new.
            (State::Closed | State::Open(_) | State::Probing, _) => Turn::Nothing,
        }
    }

    /// Nobody will hear the outcome: the next one asks.
    fn abandoned(&mut self, leave: Leave, now: BootTime) {
        if leave == Leave::Probe && self.state == State::Probing {
            self.state = State::Open(now);
        }
    }
}

/// A circuit that says what it does.
#[derive(Debug)]
pub(super) struct Breaker {
    name: String,
    clock: Clock,
    circuit: Mutex<Circuit>,
}

impl Breaker {
    pub(super) fn new(name: String, clock: Clock) -> Self {
        Self { name, clock, circuit: Mutex::default() }
    }

    /// Whether it is worth waiting for a place.
    ///
    /// # Errors
    /// The program is left alone now.
    pub(super) fn look(&self) -> Result<(), Failure> {
        self.lock().look(self.clock.boot()).map(|_| ())
    }

    /// Leave to ask once.
    ///
    /// # Errors
    /// The program is left alone now.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Failure> {
        let leave = self.lock().enter(self.clock.boot())?;
        Ok(Pass { breaker: self, leave: Some(leave) })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        // Sound: nothing in between can panic.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask once; what came of it is told with [`Pass::ended`].
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// `None` once the outcome is told.
    leave: Option<Leave>,
}

impl Pass<'_> {
    /// The program answered, or failed like this.
    pub(super) fn ended(mut self, failure: Option<&Failure>) {
        let health = failure.map_or(Health::Up, Failure::health);
        if health == Health::Unknown {
            return;
        }
        let Some(leave) = self.leave.take() else { return };
        let now = self.breaker.clock.boot();
        let turn = {
            let mut circuit = self.breaker.lock();
            if health == Health::Up { circuit.answered() } else { circuit.failed(leave, now) }
        };
        let program = self.breaker.name.as_str();
        let why = failure.map(ToString::to_string).unwrap_or_default();
        match turn {
            Turn::Nothing => {}
            Turn::Opened(failures) => tracing::warn!(
                program,
                failures,
                "the program {program:?} that messages are forwarded to failed {failures} times in a row and is \
                 left alone but for a try every five seconds; the last time it {why}"
            ),
            Turn::StillOpen(failures) => {
                tracing::debug!(program, failures, "the program {program:?} is still failing: it {why}");
            }
            Turn::Closed(failures) => {
                tracing::info!(
                    program,
                    failures,
                    "the program {program:?} recovered after {failures} failures"
                );
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(leave) = self.leave {
            let now = self.breaker.clock.boot();
            self.breaker.lock().abandoned(leave, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (Circuit, BootTime) {
        let mut circuit = Circuit::default();
        let now = BootTime(0);
        for failures in 1..IN_A_ROW {
            assert_eq!(circuit.failed(Leave::Plain, now), Turn::Nothing, "{failures}");
            assert_eq!(circuit.enter(now), Ok(Leave::Plain));
        }
        assert_eq!(circuit.failed(Leave::Plain, now), Turn::Opened(IN_A_ROW));
        (circuit, now)
    }

    #[test]
    fn circuit_opens_after_failures_in_a_row_and_tries_with_one_message_at_a_time() {
        let (mut circuit, now) = opened();
        assert_eq!(circuit.enter(now), Err(Failure::Resting { failures: IN_A_ROW }));
        let later = now + REST;
        assert!(circuit.enter(BootTime(later.0 - 1)).is_err());
        assert_eq!(circuit.enter(later), Ok(Leave::Probe));
        assert!(circuit.enter(later).is_err(), "a second probe beside the first");
        assert_eq!(circuit.failed(Leave::Probe, later), Turn::StillOpen(IN_A_ROW + 1));
        assert!(circuit.enter(later).is_err());

        let at_last = later + REST;
        assert_eq!(circuit.enter(at_last), Ok(Leave::Probe));
        assert_eq!(circuit.answered(), Turn::Closed(IN_A_ROW + 1));
        assert_eq!(circuit.enter(at_last), Ok(Leave::Plain));
        assert_eq!(circuit.failed(Leave::Plain, at_last), Turn::Nothing, "it counts from one again");
    }

    #[test]
    fn failure_of_one_asked_before_the_circuit_opened_neither_prolongs_the_rest_nor_ends_a_probe() {
        let (mut circuit, now) = opened();
        let until = circuit.state;
        assert_eq!(circuit.failed(Leave::Plain, now + Duration::from_secs(3)), Turn::Nothing);
        assert_eq!(circuit.state, until);
        assert_eq!(circuit.enter(now + REST), Ok(Leave::Probe));
        assert_eq!(circuit.failed(Leave::Plain, now + REST), Turn::Nothing);
        assert_eq!(circuit.state, State::Probing);
        // Its answer is as good as the probe's.
        assert_eq!(circuit.answered(), Turn::Closed(IN_A_ROW + 2));
        assert_eq!(circuit.failed(Leave::Probe, now + REST), Turn::Nothing);
        assert_eq!(circuit.state, State::Closed);
    }

    #[test]
    fn probe_whose_asker_went_away_leaves_the_try_to_the_next_one() {
        let (mut circuit, now) = opened();
        assert_eq!(circuit.enter(now + REST), Ok(Leave::Probe));
        circuit.abandoned(Leave::Probe, now + REST);
        assert_eq!(circuit.enter(now + REST), Ok(Leave::Probe));
    }

    #[test]
    fn answer_between_failures_keeps_the_circuit_closed() {
        let mut circuit = Circuit::default();
        for _ in 0..3 * IN_A_ROW {
            for _ in 1..IN_A_ROW {
                assert_eq!(circuit.failed(Leave::Plain, BootTime(0)), Turn::Nothing);
            }
            assert_eq!(circuit.answered(), Turn::Nothing);
        }
    }
}
