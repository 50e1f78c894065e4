//! Carries what was noted into the ledger: one small batch after another, behind the engine.
//!
//! A batch that the ledger does not take is not repeated, because nobody knows whether it was
//! written after all: it is counted as lost, together with what was to follow it, and the next
//! batch that succeeds says how much. A hanging ledger holds one batch at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::WallTime;
use crate::ledger::{AuditForm, AuditShare, LedgerError};
use crate::telemetry::metrics::{self, AuditLoss};

use super::tally::{Subject, Tally};
use super::{Act, Entry, Lane, Noted, Outcome, lane};

/// How often the deeds of operators and complaints are carried.
const QUICK: Duration = Duration::from_secs(2);
/// How often everything is: what a crash loses of the reads.
const SLOW: Duration = Duration::from_mins(1);
/// Entries in one transaction: what an intent waits for is some milliseconds.
const BATCH: usize = 128;
/// How long a batch may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same once the daemon stops.
const AT_STOP: Duration = Duration::from_secs(2);
/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;

/// Somebody who waits for a carry.
pub(super) type Asked = oneshot::Sender<()>;

/// The task that carries.
pub struct Writer {
    noted: Arc<Noted>,
    asked: mpsc::Receiver<Asked>,
    max_rows: u32,
    /// What the ledger did not take since it took something last.
    lost: Option<Tally>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Quick,
    All,
}

impl Writer {
    pub(super) fn new(noted: Arc<Noted>, asked: mpsc::Receiver<Asked>, max_rows: u32) -> Self {
        Self { noted, asked, max_rows, lost: None }
    }

    /// Carries until `stop`, and then once more.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut quick, mut slow) = (every(QUICK), every(SLOW));
        loop {
            tokio::select! {
                _ = quick.tick() => self.carry(What::Quick, &stop).await,
                _ = slow.tick() => self.carry(What::All, &stop).await,
                Some(asked) = self.asked.recv() => {
                    self.carry(What::All, &stop).await;
                    // Who went away meanwhile needs no answer.
                    let _ = asked.send(());
                }
                () = stop.cancelled() => break,
            }
        }
        self.carry(What::All, &stop).await;
    }

    async fn carry(&mut self, what: What, stop: &CancellationToken) {
        let mut noted = self.noted.quick.take();
        if what == What::All {
            noted.append(&mut self.noted.slow.take());
        }
        let mut entries: Vec<Entry> = noted.into_iter().map(entry).collect();
        if entries.is_empty() && self.lost.is_none() {
            return;
        }
        entries.extend(self.lost.map(lost));
        // Last in, first out: what was lost is told first.
        entries.rotate_right(usize::from(self.lost.is_some()));
        for (number, batch) in entries.chunks(BATCH).enumerate() {
            if let Err(error) = self.append(batch, stop).await {
                // The entry that tells of the loss was none of those that are lost now.
                let skip = number * BATCH + usize::from(number == 0 && self.lost.is_some());
                self.lose(&entries[skip..], &error);
                return;
            }
            if let Some(lost) = self.lost.take() {
                let count = lost.count;
                tracing::info!(count, "the ledger takes the audit again; {count} entries are missing");
            }
        }
    }

    async fn append(&self, batch: &[Entry], stop: &CancellationToken) -> Result<(), LedgerError> {
        let stopped = async {
            stop.cancelled().await;
            sleep(AT_STOP).await;
        };
        tokio::select! {
            done = timeout(PATIENCE, self.noted.ledger.append_audit(batch, self.max_rows)) => {
                done.map_err(|_| LedgerError::Slow)?
            }
            () = stopped => Err(LedgerError::Slow),
        }
    }

    fn lose(&mut self, entries: &[Entry], error: &LedgerError) {
        let count = entries.iter().map(|entry| entry.count).sum();
        metrics::audit_lost(AuditLoss::Ledger, count);
        let reason = error.reason();
        if self.lost.is_none() {
            tracing::warn!(
                count,
                reason,
                "the ledger does not take the audit ({reason}); entries are dropped and counted until it does"
            );
        } else {
            tracing::debug!(count, reason, "the ledger still does not take the audit: {reason}");
        }
        let now = self.noted.clock.wall();
        let lost = self.lost.get_or_insert(Tally { count: 0, first: now, last: now, place: 0 });
        lost.count += count;
        lost.first = entries.iter().map(|entry| entry.first).fold(lost.first, WallTime::min);
        lost.last = entries.iter().map(|entry| entry.last).fold(lost.last, WallTime::max);
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    // After a ledger that hung, once is enough.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn entry((subject, tally): (Subject, Tally)) -> Entry {
    let Subject { client, origin, act, appid, kind, outcome, fingerprint, generation } = subject;
    let hour = |share| AuditForm::Hourly(tally.first.0.div_euclid(HOUR).max(0), share);
    Entry {
        form: match lane(act, outcome) {
            Lane::Single => AuditForm::Single,
            Lane::Quick => hour(AuditShare::Calls),
            Lane::Slow(share) => hour(share),
        },
        client: client.unwrap_or_else(|| "-".into()),
        origin: origin.to_string().into(),
        action: act,
        appid,
        kind,
        outcome: outcome.as_str().into(),
        fingerprint,
        generation,
        count: tally.count,
        first: tally.first,
        last: tally.last,
    }
}

/// The entry that tells how much is missing.
fn lost(tally: Tally) -> Entry {
    let subject = Subject {
        client: None,
        origin: crate::access::Origin::Unknown,
        act: Act::Lost,
        appid: None,
        kind: None,
        outcome: Outcome::Unavailable,
        fingerprint: None,
        generation: None,
    };
    entry((subject, tally))
}
