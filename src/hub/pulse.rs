//! Whether the schedulers are alive: what the watchdog asks before it is fed.
//!
//! A beat is good if the hub's loop answers, a few refreshers that wait look up when they are
//! rung, and no key stands still without a reason. Reasons are: an attempt under way, however
//! slow WeChat is; a queue at the gate that moves, however long; a pause, a missing parent, a
//! dead ledger. All spans are counted on tokio's clock, which stands still while the machine
//! is suspended, and a standstill must also be seen in several beats, so that a process that
//! was stopped for an hour is not accused of it. A task that is only late is not stuck.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::BootTime;
use crate::model::Key;
use crate::refresh::gate::Queue;
use crate::refresh::handle::Handle;
use crate::refresh::steps::{Doing, Step};
use crate::refresh::view::Next;

use super::Hub;

/// How many waiting refreshers are rung in a beat; the next beat takes the next ones.
const SAMPLE: usize = 16;
/// A standstill counts only if so many beats saw it.
const BEATS: u32 = 3;
/// How long a key may wait past the instant of its next attempt. A resumed machine needs five
/// seconds to notice (`clock`), a loaded one a few more.
const OVERDUE: Duration = Duration::from_secs(60);
/// What the bounds below leave for the ledger's seconds and a loaded machine.
const SLACK: Duration = Duration::from_secs(60);
/// The calls of the longest round, one after the other: a ticket's, whose parent asks, fetches,
/// forces and is asked again; doubled.
const CALLS_OF_A_ROUND: u32 = 12;
/// How soon an answer is looked for, and how seldom at last.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Takes the pulse of a hub.
pub struct Pulse {
    hub: Arc<Hub>,
    /// The next key to ring, in the order of the table.
    cursor: usize,
    memory: Memory,
}

/// What did not answer. A key is named; there may be more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// The loop that owns the refreshers' tasks.
    #[error("the hub's loop did not answer within {} ms", .0.as_millis())]
    Hub(Duration),
    /// A refresher that waits, and did not look up when it was rung.
    #[error("the refresher of {key} did not answer within {} ms", .waited.as_millis())]
    Refresher {
        /// Which.
        key: Key,
        /// How long it was given.
        waited: Duration,
    },
    /// A refresher that waits although its next attempt was due.
    #[error("the attempt of {key} has been due for over {} s, and its refresher sleeps", .since.as_secs())]
    Overdue {
        /// Which.
        key: Key,
        /// How long it has been seen to sleep.
        since: Duration,
    },
    /// A round that does not end.
    #[error("the refresher of {key} has been in one round for {} s", .since.as_secs())]
    Round {
        /// Which.
        key: Key,
        /// How long.
        since: Duration,
    },
    /// The gate lets nobody in.
    #[error("{waiting} calls wait at the gate, and none was let in for {} s", .since.as_secs())]
    Gate {
        /// How many wait.
        waiting: usize,
        /// How long.
        since: Duration,
    },
}

/// What one look sees of a key.
struct Seat<'a> {
    key: &'a Key,
    step: Step,
    next: Next,
}

/// What was suspicious in the beats before this one.
#[derive(Default)]
struct Memory {
    /// Keys that work or are overdue, until they move.
    suspects: HashMap<Key, Suspect>,
    gate: Option<Gate>,
}

#[derive(Clone, Copy)]
struct Suspect {
    step: Step,
    since: Instant,
    beats: u32,
}

#[derive(Clone, Copy)]
struct Gate {
    queue: Queue,
    /// Since when it has been as it is.
    since: Instant,
    beats: u32,
    /// When somebody was last seen to wait: a round may last that long, and its bound from then on.
    crowded: Instant,
}

impl Pulse {
    /// The pulse of this hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, cursor: 0, memory: Memory::default() }
    }

    /// One beat, which takes `patience` at most. To be asked at regular intervals.
    ///
    /// # Errors
    /// What stands still. It may answer again; then later beats are good.
    pub async fn beat(&mut self, patience: Duration) -> Result<(), Stuck> {
        let begun = Instant::now();
        self.ping(patience).await?;
        let rung = self.look()?;
        answered(rung, begun, patience).await
    }

    async fn ping(&self, patience: Duration) -> Result<(), Stuck> {
        let asked = async {
            let (reply, answer) = oneshot::channel();
            // Closed: the loop has ended, and the answer never comes.
            self.hub.pings.send(reply).await.is_ok() && answer.await.is_ok()
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Stuck::Hub(patience)),
        }
    }

    /// Judges every key where it lies, and rings some of those that wait.
    fn look(&mut self) -> Result<Vec<(Handle, Step)>, Stuck> {
        let Self { hub, cursor, memory } = self;
        let (now, boot) = (Instant::now(), hub.clock().boot());
        let call = hub.around.wechat.call_timeout();
        let accounts = hub.accounts.load();
        let keys = accounts.values().flat_map(|account| account.keys.iter().flatten());
        let seats = keys.map(|handle| (handle, handle.steps().read(), handle.view().next));
        let seats: Vec<_> = seats.collect();
        let judged =
            seats.iter().map(|(handle, step, next)| Seat { key: handle.key(), step: *step, next: *next });
        memory.judge(judged, hub.around.gate.queue(), call, now, boot)?;

        // Whoever is under suspicion is left alone: a ring would hide that it sleeps.
        let idle = |handle: &Handle, step: Step| {
            step.doing() == Doing::Waiting && !memory.suspects.contains_key(handle.key())
        };
        let from = *cursor % seats.len().max(1);
        let mut rung = Vec::new();
        let mut passed = 0;
        for (handle, step, _) in seats.iter().cycle().skip(from).take(seats.len()) {
            if rung.len() == SAMPLE {
                break;
            }
            passed += 1;
            if idle(handle, *step) {
                rung.push(((*handle).clone(), *step));
                handle.ring();
            }
        }
        *cursor = from + passed;
        Ok(rung)
    }
}

impl Memory {
    /// Compares what is seen with what was seen before.
    fn judge<'a>(
        &mut self,
        seats: impl Iterator<Item = Seat<'a>>,
        queue: Queue,
        call: Duration,
        now: Instant,
        boot: BootTime,
    ) -> Result<(), Stuck> {
        let gate = self.watch_gate(queue, now);
        let mut suspects = HashMap::new();
        let mut stuck = None;
        for Seat { key, step, next } in seats {
            let overdue = matches!(next, Next::At(at) if at < boot);
            let doing = step.doing();
            if doing == Doing::Waiting && !overdue {
                continue;
            }
            let before = self.suspects.get(key).filter(|before| before.step == step);
            let suspect = match before {
                Some(before) => Suspect { beats: before.beats + 1, ..*before },
                None => Suspect { step, since: now, beats: 1 },
            };
            let since = now - suspect.since;
            if suspect.beats >= BEATS {
                stuck = stuck.or_else(|| match doing {
                    Doing::Waiting => (since > OVERDUE).then(|| Stuck::Overdue { key: key.clone(), since }),
                    Doing::Working => {
                        let alone = now - suspect.since.max(gate.crowded);
                        let bound = call * CALLS_OF_A_ROUND + SLACK;
                        (alone > bound).then(|| Stuck::Round { key: key.clone(), since })
                    }
                });
            }
            suspects.insert(key.clone(), suspect);
        }
        self.suspects = suspects;
        // A call is given up at its limit, so a crowded gate lets somebody in that often.
        let since = now - gate.since;
        if gate.queue.waiting > 0 && gate.beats >= BEATS && since > call + SLACK {
            return Err(Stuck::Gate { waiting: gate.queue.waiting, since });
        }
        stuck.map_or(Ok(()), Err)
    }

    fn watch_gate(&mut self, queue: Queue, now: Instant) -> Gate {
        let before = self.gate.filter(|before| queue.waiting > 0 && before.queue.passed == queue.passed);
        let crowded = match (queue.waiting, self.gate) {
            (0, Some(gate)) => gate.crowded,
            _ => now,
        };
        let gate = match before {
            // Nobody waited before: it stands still from now on only.
            Some(before) if before.queue.waiting > 0 => {
                Gate { queue, crowded, beats: before.beats + 1, ..before }
            }
            Some(_) | None => Gate { queue, since: now, beats: 1, crowded },
        };
        self.gate = Some(gate);
        gate
    }
}

/// Waits until everybody who was rung has moved.
async fn answered(mut rung: Vec<(Handle, Step)>, begun: Instant, patience: Duration) -> Result<(), Stuck> {
    let mut pause = FIRST_LOOK;
    loop {
        // Not "waits again": a round that a ring or the schedule began is an answer too.
        rung.retain(|(handle, step)| handle.steps().read() == *step);
        let Some((silent, _)) = rung.first() else { return Ok(()) };
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(Stuck::Refresher { key: silent.key().clone(), waited: patience });
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}
