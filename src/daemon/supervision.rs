//! What the service manager hears of the daemon, and the watchdog that it keeps over it.
//!
//! ```text
//! start   READY=1 when the phase leaves `Starting`: every key has a value, or the grace is over
//! reload  RELOADING=1 before, READY=1 after it, also after one that was refused; STATUS says why
//! stop    STOPPING=1, and the daemon's own grace as time to stop
//! always  STATUS= when the line changes; WATCHDOG=1 for each good beat of the hub's pulse
//! ```
//!
//! Nothing waits for the manager. The two parts are separate, so that a manager that is slow to
//! take a status does not cost a sign of life.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hub::pulse::{Pulse, Stuck};
use crate::process::notify::{EXTEND_EVERY, Notifier, NotifyState, Told, extension, more_time};

use super::reload::{ReloadOutcome, ReloadState};
use super::standing::{Phase, Standing};

/// What a stop gets beyond its grace before systemd kills: for the mirror and the ledger's end.
const STOP_SLACK: Duration = Duration::from_secs(5);
/// A sign of life is sent four times in the manager's limit: the beat takes a quarter of it at
/// most, so that two are never further apart than half of it, as sd_notify(3) asks.
const BEATS_IN_LIMIT: u32 = 4;

/// Tells the service manager what happens.
pub(super) struct Reporter {
    notifier: Notifier,
    standing: watch::Receiver<Standing>,
    reloads: watch::Receiver<ReloadOutcome>,
    grace: watch::Receiver<Duration>,
    started: Started,
    /// The line that the manager has.
    said: String,
    /// The reload that was announced, and whether its end was told.
    announced: u64,
    settled: u64,
}

/// Whether READY=1 was sent for the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    NotYet,
    Yes,
}

impl Reporter {
    pub(super) fn new(
        notifier: Notifier,
        standing: watch::Receiver<Standing>,
        reloads: watch::Receiver<ReloadOutcome>,
        grace: watch::Receiver<Duration>,
    ) -> Self {
        let said = String::new();
        Self { notifier, standing, reloads, grace, started: Started::NotYet, said, announced: 0, settled: 0 }
    }

    /// Follows the daemon until `last`; from `stopping` on it says nothing more than that.
    pub(super) async fn run(mut self, stopping: CancellationToken, last: CancellationToken) {
        loop {
            let standing = self.standing.borrow_and_update().clone();
            let reload = self.reloads.borrow_and_update().clone();
            self.report(&standing, &reload).await;
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                () = changed(&mut self.reloads) => {}
                () = changed(&mut self.standing) => {}
                // Also the way to say again what was lost.
                () = tokio::time::sleep(EXTEND_EVERY), if self.started == Started::NotYet => {
                    self.notifier.tell(&[extension()]).await;
                }
            }
        }
        let grace = *self.grace.borrow();
        let line = format!("stopping; attempts under way are finished, for {} s at most", grace.as_secs());
        let more = more_time(grace + STOP_SLACK);
        self.notifier.tell(&[NotifyState::Stopping, more, NotifyState::Status(&line)]).await;
        last.cancelled().await;
    }

    /// Brings the manager from what it knows to what is.
    async fn report(&mut self, standing: &Standing, reload: &ReloadOutcome) {
        let line = line(standing, reload);
        match (self.started, standing.phase) {
            // A reload before the start is finished is a part of it: its READY=1 would be the
            // start's.
            (Started::NotYet, Phase::Starting) => {}
            (Started::NotYet, Phase::Ready | Phase::NotReady) => {
                if self.tell(NotifyState::Ready, line).await == Told::Heard {
                    self.started = Started::Yes;
                    let ended = if reload.state == ReloadState::UnderWay { 0 } else { reload.number };
                    (self.announced, self.settled) = (ended, ended);
                }
                return;
            }
            (Started::Yes, _) => {
                if reload.number != self.announced {
                    self.announced = reload.number;
                    self.announce().await;
                }
                if reload.number != self.settled && reload.state != ReloadState::UnderWay {
                    self.settled = reload.number;
                    self.tell(NotifyState::Ready, line).await;
                    return;
                }
            }
        }
        if self.said != line && self.notifier.tell(&[NotifyState::Status(&line)]).await == Told::Heard {
            self.said = line;
        }
    }

    /// A state together with the line.
    async fn tell(&mut self, state: NotifyState<'_>, line: String) -> Told {
        let told = self.notifier.tell(&[state, NotifyState::Status(&line)]).await;
        if told == Told::Heard {
            self.said = line;
        }
        told
    }

    async fn announce(&mut self) {
        // An error is a kernel without CLOCK_MONOTONIC; systemd asks for it in the same message.
        let Ok(now) = NotifyState::monotonic_usec_now() else { return };
        let line = "reloading: the configuration is read".to_owned();
        let states = [NotifyState::Reloading, now, NotifyState::Status(&line)];
        if self.notifier.tell(&states).await == Told::Heard {
            self.said = line;
        }
    }
}

/// How the keys are, after what a reload left to be done.
fn line(standing: &Standing, reload: &ReloadOutcome) -> String {
    match reload.remark() {
        Some(remark) => format!("{}; {}", short(&standing.line), short(&remark)),
        None => standing.line.clone(),
    }
}

/// So much that two of them have room in a status.
fn short(text: &str) -> String {
    match text.char_indices().nth(220) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Waits for a change; for ever, if whoever makes them has gone, which ends the daemon anyway.
async fn changed<T>(of: &mut watch::Receiver<T>) {
    if of.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Feeds the manager's watchdog as long as the schedulers answer.
pub(super) struct Watchdog {
    notifier: Notifier,
    pulse: Pulse,
    limit: Duration,
}

impl Watchdog {
    /// A watchdog, if the manager watches.
    pub(super) fn new(notifier: Notifier, pulse: Pulse) -> Option<Self> {
        let limit = notifier.watchdog()?;
        Some(Self { notifier, pulse, limit })
    }

    pub(super) async fn run(mut self) {
        let every = self.limit / BEATS_IN_LIMIT;
        let mut missed = 0_u32;
        loop {
            match self.pulse.beat(every).await {
                Ok(()) => {
                    if missed > 0 {
                        tracing::info!(missed, "the schedulers answer again; the watchdog is fed again");
                        missed = 0;
                    }
                    self.notifier.tell(&[NotifyState::Watchdog]).await;
                }
                Err(stuck) => {
                    missed += 1;
                    self.starve(&stuck, missed);
                }
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Says what stands still before systemd ends us: it logs a time-out and knows nothing more.
    fn starve(&self, stuck: &Stuck, missed: u32) {
        tracing::error!(
            missed,
            limit_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
            "the watchdog is not fed: {stuck}; systemd restarts the daemon unless that ends (a defect: please report \
             this line)",
        );
    }
}
