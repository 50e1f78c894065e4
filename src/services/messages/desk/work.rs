//! One run of a message's handlers, from its claim to its end.
//!
//! If a run is cut off (a defect, or the end of the process), those who wait for it are told so and
//! the message counts as done: nobody knows what its handlers have done already.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::time::{Instant, timeout};

use super::run::Run;
use super::{Core, Verdict, family};
use crate::services::messages::dedup::DedupKey;
use crate::services::messages::dedup::shared::{Claim, Ending, Lease, Shared};
use crate::services::messages::dispatch::{Dispatched, chain};
use crate::services::messages::handler::Incoming;
use crate::services::messages::reply::{Answer, Reply};
use crate::telemetry::Report;
use crate::telemetry::metrics::MessageOutcome;

/// A message on its way through its handlers.
pub(super) struct Work {
    core: Arc<Core>,
    key: DedupKey,
    run: Arc<Run>,
    incoming: Arc<Incoming>,
    done: AtomicBool,
}

/// What a run has brought, and who else is to know.
pub(super) struct Produced {
    verdict: Verdict,
    pub(super) lease: Option<Lease>,
}

impl Work {
    pub(super) fn new(core: &Arc<Core>, key: DedupKey, run: Arc<Run>, incoming: Arc<Incoming>) -> Self {
        Self { core: Arc::clone(core), key, run, incoming, done: AtomicBool::new(false) }
    }

    /// Runs the handlers, or has another instance run them.
    pub(super) async fn produce(&self) -> Produced {
        match &self.core.shared {
            None => Produced { verdict: self.handle().await, lease: None },
            // Boxed, so that who shares with nobody does not carry its size.
            Some(shared) => Box::pin(self.produce_among(shared)).await,
        }
    }

    async fn produce_among(&self, shared: &Arc<Shared>) -> Produced {
        // Nobody's handlers run longer; what is beyond is somebody's mistake, not a message.
        let patience = self.core.settings.handler_timeout + self.core.settings.deadline;
        match shared.claim(self.key, patience).await {
            Claim::Mine(mut lease) => {
                let verdict = tokio::select! {
                    verdict = self.handle() => verdict,
                    never = lease.keep() => match never {},
                };
                Produced { verdict, lease: Some(lease) }
            }
            Claim::Foreign(answer) => {
                let answer = answer.map_or_else(|| Arc::clone(&self.core.acknowledged), Arc::new);
                Produced { verdict: Verdict { answer, by: None, foreign: true }, lease: None }
            }
        }
    }

    async fn handle(&self) -> Verdict {
        // Never closed; were it, running too many would be better than running none.
        let _slot = self.core.slots.acquire().await.ok();
        let begun = Instant::now();
        let limit = self.core.settings.handler_timeout;
        // Outside the time limit: an answer that is there is not lost by those who look on.
        let mut round = Dispatched::default();
        let ended = timeout(limit, self.core.dispatcher.dispatch_into(&self.incoming, &mut round)).await;
        self.core.counts.took(begun.elapsed());
        if ended.is_err() {
            let trace = &*self.incoming.trace.0;
            tracing::warn!(
                trace,
                limit_seconds = limit.as_secs_f64(),
                "the handlers of a message took longer than {limit:?} and are given up; unless one has answered before, its sender gets no answer: find out what they wait for",
            );
        }
        if let Some((answer, by)) = round.answer {
            return Verdict { answer: Arc::new(answer), by: Some(by), foreign: false };
        }
        if ended.is_err() || round.failures > 0 {
            self.core.counts.count(family(&self.incoming.message), MessageOutcome::Failed);
        }
        Verdict { answer: Arc::clone(&self.core.acknowledged), by: None, foreign: false }
    }

    /// Ends a run whose first request is here, and gives it the answer.
    pub(super) fn finish_here(&self, produced: Produced) -> Arc<Verdict> {
        let verdict = Arc::new(produced.verdict);
        // For retries that came meanwhile.
        self.run.settle(Arc::clone(&verdict));
        self.done(Some(Arc::clone(&verdict)));
        verdict
    }

    /// Ends a run: its answer goes to who is there, or is sent late.
    pub(super) async fn finish(&self, produced: Produced) {
        let Produced { verdict, mut lease } = produced;
        let verdict = Arc::new(verdict);
        let passive = self.run.settle(Arc::clone(&verdict)) && self.run.delivered().await;
        let late = match &*verdict.answer {
            Answer::Reply(reply) if !passive && !verdict.foreign && self.is_reachable() => reply,
            Answer::Reply(_) | Answer::Success | Answer::Empty => {
                self.done(Some(Arc::clone(&verdict)));
                if let Some(lease) = &mut lease {
                    lease.settle(Ending::Answered(&verdict.answer)).await;
                }
                return;
            }
        };
        // Told before it is sent: an instance that dies in between loses an answer, and none is
        // given twice.
        let mine = match &mut lease {
            Some(lease) => lease.settle(Ending::Late).await,
            None => true,
        };
        if mine {
            self.send_late(late, verdict.by.as_deref()).await;
        }
        self.done(None);
    }

    /// Whether the sender can be written to: not after an `unsubscribe`, to which WeChat takes an
    /// answer in time, and shows it to nobody.
    fn is_reachable(&self) -> bool {
        !self.incoming.message.event().is_some_and(|event| event.eq_ignore_ascii_case("unsubscribe"))
    }

    async fn send_late(&self, reply: &Reply, by: Option<&str>) {
        let limit = self.core.settings.handler_timeout;
        let sent = timeout(limit, self.core.late.send(&self.incoming, reply, by)).await;
        let error = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&*error)),
            Err(_) => Some(format!("it was not sent within {limit:?}")),
        };
        let family = family(&self.incoming.message);
        let (app, trace) = (self.incoming.account.appid.as_str(), &*self.incoming.trace.0);
        let report = {
            let mut failures = self.core.late_failures.lock().unwrap_or_else(PoisonError::into_inner);
            let tracker = failures.entry(self.incoming.account.appid.clone()).or_default();
            if error.is_some() { tracker.failed() } else { tracker.succeeded() }
        };
        let Some(error) = error else {
            self.core.counts.count(family, MessageOutcome::Late);
            if let Report::Recovered(failures) = report {
                tracing::info!(
                    app,
                    failures,
                    "late answers of {app} can be sent again after {failures} failures"
                );
            }
            tracing::debug!(
                app,
                trace,
                handler = by,
                "the answer was sent late, as a customer-service message"
            );
            return;
        };
        self.core.counts.count(family, MessageOutcome::LateFailed);
        match report {
            Report::Warn(failures) => tracing::warn!(
                app,
                trace,
                handler = by,
                failures,
                error,
                "a late answer of {app} could not be sent, and its user gets none; let the handlers answer within the deadline, or mend what it says here; after the third time in a row at debug: {error}",
            ),
            Report::Debug(failures) => {
                tracing::debug!(
                    app,
                    trace,
                    handler = by,
                    failures,
                    error,
                    "a late answer of {app} could not be sent: {error}"
                );
            }
            Report::Recovered(_) | Report::Nothing => {}
        }
    }

    fn done(&self, verdict: Option<Arc<Verdict>>) {
        self.done.store(true, Ordering::Relaxed);
        // A bare acknowledgement needs no copy: it is what is said of everything that is done.
        let kept = verdict.filter(|verdict| *verdict.answer != Answer::Success);
        self.core.table().finish(self.key, kept, Instant::now());
        self.core.done.notify_waiters();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.done.load(Ordering::Relaxed) {
            let answer = Arc::clone(&self.core.acknowledged);
            self.run.settle(Arc::new(Verdict { answer, by: None, foreign: false }));
            self.done(None);
        }
    }
}
