//! Every metric that is recorded: its name, its labels, its meaning.
//!
//! This is what is counted when it happens; what can be looked up at a scrape (keys, servers, the
//! process) is put out by `admin::exposition`. Labels are enums, so that a typing error is a
//! compile error and the number of series is known. Counters begin at zero with [`install`],
//! because Prometheus sees no increase from a series that was not there. Recording without it
//! does nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::model::{CallMode, Cause, Kind};

use super::TelemetryError;

pub use super::labels::{
    AttemptResult, AuditLoss, ComplaintOutcome, Done, LedgerStep, MessageFamily, MessageOutcome, ReadResult,
    Refusal, Share, Verdict,
};
use super::latency::Latency;

const ATTEMPTS: &str = "zhongkong_attempts_total";
const CALL_SECONDS: &str = "zhongkong_call_seconds";
const COMPLAINTS: &str = "zhongkong_complaints_total";
const PROBES: &str = "zhongkong_probes_total";
const FOREIGN_REFRESHES: &str = "zhongkong_foreign_refreshes_total";
const UNKNOWN_ERRCODES: &str = "zhongkong_unknown_errcodes_total";
const BUDGET_REFUSALS: &str = "zhongkong_budget_refusals_total";
const REFRESHER_RESTARTS: &str = "zhongkong_refresher_restarts_total";
const LEDGER_ERRORS: &str = "zhongkong_ledger_errors_total";
const LEDGER_SECONDS: &str = "zhongkong_ledger_seconds";
const READS: &str = "zhongkong_reads_total";
const WATCHERS: &str = "zhongkong_watchers";
const CALLS_REFUSED: &str = "zhongkong_calls_refused_total";
const AUDIT_LOST: &str = "zhongkong_audit_lost_total";
const RELOADS: &str = "zhongkong_reloads_total";
const LAST_RELOAD_SUCCESSFUL: &str = "zhongkong_last_reload_successful";
const MESSAGES: &str = "zhongkong_messages_total";
const HANDLER_SECONDS: &str = "zhongkong_message_handler_seconds";
const LAST_RELOAD: &str = "zhongkong_last_reload_timestamp_seconds";

/// Handling times of `GetToken`, put out by `admin::exposition`.
pub static READ_SECONDS: Latency = Latency::new();

/// Reasons of [`ledger_error`] that begin at zero; rarer ones begin when they occur.
const LEDGER_REASONS: [&str; 5] = ["full", "read_only", "corrupt", "slow", "failed"];

/// Upper edges of the histograms, in seconds: from a fast disk to the longest time-out.
const BUCKETS: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Counts from now on. Once per process.
///
/// # Errors
/// The process counts already.
pub fn install() -> Result<PrometheusHandle, TelemetryError> {
    let handle = record()?;
    begin_at_zero();
    Ok(handle)
}

/// The same for a process of business services, which has none of the daemon's series.
///
/// # Errors
/// The process counts already.
pub fn install_for_services() -> Result<PrometheusHandle, TelemetryError> {
    let handle = record()?;
    super::services::describe();
    for result in Done::ALL {
        zero(counter!(RELOADS, "result" => result.as_str()));
    }
    gauge!(LAST_RELOAD_SUCCESSFUL).set(1.0);
    Ok(handle)
}

fn record() -> Result<PrometheusHandle, TelemetryError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .unwrap_or_default() // Only an empty list is refused.
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::CountsAlready)?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_counter!(ATTEMPTS, "Attempts at upstream, by kind, cause and result.");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time of one upstream call, by mode.");
    describe_counter!(COMPLAINTS, "Complaints about a value, by kind and outcome.");
    describe_counter!(PROBES, "Questions to WeChat whether a value works, by verdict.");
    describe_counter!(FOREIGN_REFRESHES, "Values found dead for which another program must be the cause.");
    describe_counter!(UNKNOWN_ERRCODES, "Answers with an errcode that is not in the table.");
    describe_counter!(BUDGET_REFUSALS, "Calls not made because a share of the day was spent.");
    describe_counter!(REFRESHER_RESTARTS, "Refreshers that ended and were started again.");
    describe_counter!(LEDGER_ERRORS, "Failures of the ledger, by step and reason.");
    describe_counter!(READS, "Reads of a value, by result.");
    describe_gauge!(WATCHERS, "Open watches.");
    describe_counter!(CALLS_REFUSED, "Calls not let in, by reason.");
    describe_counter!(AUDIT_LOST, "Deeds that the audit does not tell, by reason.");
    describe_counter!(RELOADS, "Reloads of the configuration, by result.");
    describe_gauge!(LAST_RELOAD, Unit::Seconds, "Wall time when the configuration in effect was taken over.");
    describe_gauge!(LAST_RELOAD_SUCCESSFUL, "Whether the configuration that was read last is in effect.");
    describe_counter!(MESSAGES, "Messages of users, by family and outcome.");
    describe_histogram!(HANDLER_SECONDS, Unit::Seconds, "Time that the handlers of one message took.");
    describe_histogram!(LEDGER_SECONDS, Unit::Seconds, "Time of one operation of the ledger, by step.");
}

/// Makes every series whose labels are known.
fn begin_at_zero() {
    for kind in Kind::ALL.map(Kind::as_str) {
        for cause in Cause::ALL.map(Cause::as_str) {
            for result in AttemptResult::ALL {
                zero(counter!(ATTEMPTS, "kind" => kind, "cause" => cause, "result" => result.as_str()));
            }
        }
        for outcome in ComplaintOutcome::ALL {
            zero(counter!(COMPLAINTS, "kind" => kind, "outcome" => outcome.as_str()));
        }
        for share in Share::ALL {
            zero(counter!(BUDGET_REFUSALS, "kind" => kind, "share" => share.as_str()));
        }
        zero(counter!(FOREIGN_REFRESHES, "kind" => kind));
        zero(counter!(REFRESHER_RESTARTS, "kind" => kind));
    }
    for verdict in Verdict::ALL {
        zero(counter!(PROBES, "verdict" => verdict.as_str()));
    }
    for step in LedgerStep::ALL {
        for reason in LEDGER_REASONS {
            zero(counter!(LEDGER_ERRORS, "step" => step.as_str(), "reason" => reason));
        }
        // A histogram exists from when it is named.
        let _ = histogram!(LEDGER_SECONDS, "step" => step.as_str());
    }
    for mode in CallMode::ALL {
        let _ = histogram!(CALL_SECONDS, "mode" => mode.as_str());
    }
    for result in ReadResult::ALL {
        zero(counter!(READS, "result" => result.as_str()));
    }
    for reason in AuditLoss::ALL {
        zero(counter!(AUDIT_LOST, "reason" => reason.as_str()));
    }
    for reason in Refusal::ALL {
        zero(counter!(CALLS_REFUSED, "reason" => reason.as_str()));
    }
    for result in Done::ALL {
        zero(counter!(RELOADS, "result" => result.as_str()));
    }
    drop(Messages::new());
    zero(counter!(UNKNOWN_ERRCODES));
    gauge!(WATCHERS).increment(0.0);
    // Nothing runs under a configuration that was refused at the start.
    gauge!(LAST_RELOAD_SUCCESSFUL).set(1.0);
}

#[expect(clippy::needless_pass_by_value, reason = "the handle is made for this one call")]
fn zero(counter: Counter) {
    counter.increment(0);
}

/// An attempt ended.
pub fn attempt(kind: Kind, cause: Cause, result: AttemptResult) {
    counter!(ATTEMPTS, "kind" => kind.as_str(), "cause" => cause.as_str(), "result" => result.as_str())
        .increment(1);
}

/// An upstream call took this long.
pub fn call_took(mode: CallMode, span: Duration) {
    histogram!(CALL_SECONDS, "mode" => mode.as_str()).record(span);
}

/// A complaint was answered.
pub fn complaint(kind: Kind, outcome: ComplaintOutcome) {
    counter!(COMPLAINTS, "kind" => kind.as_str(), "outcome" => outcome.as_str()).increment(1);
}

/// A probe ended.
pub fn probe(verdict: Verdict) {
    counter!(PROBES, "verdict" => verdict.as_str()).increment(1);
}

/// A foreign refresh is suspected.
pub fn foreign_refresh(kind: Kind) {
    counter!(FOREIGN_REFRESHES, "kind" => kind.as_str()).increment(1);
}

/// WeChat sent an errcode that the table does not have.
pub fn unknown_errcode() {
    counter!(UNKNOWN_ERRCODES).increment(1);
}

/// A call was not made because this share is spent.
pub fn budget_refusal(kind: Kind, share: Share) {
    counter!(BUDGET_REFUSALS, "kind" => kind.as_str(), "share" => share.as_str()).increment(1);
}

/// A refresher was started again.
pub fn refresher_restart(kind: Kind) {
    counter!(REFRESHER_RESTARTS, "kind" => kind.as_str()).increment(1);
}

/// The ledger failed; `reason` is `LedgerError::reason`.
pub fn ledger_error(step: LedgerStep, reason: &'static str) {
    counter!(LEDGER_ERRORS, "step" => step.as_str(), "reason" => reason).increment(1);
}

/// An operation of the ledger took this long, whether it succeeded or not.
pub fn ledger_took(step: LedgerStep, span: Duration) {
    histogram!(LEDGER_SECONDS, "step" => step.as_str()).record(span);
}

/// A call was not let in.
pub fn call_refused(refusal: Refusal) {
    counter!(CALLS_REFUSED, "reason" => refusal.as_str()).increment(1);
}

/// So many deeds are missing in the audit.
pub fn audit_lost(loss: AuditLoss, count: u64) {
    counter!(AUDIT_LOST, "reason" => loss.as_str()).increment(count);
}

/// The configuration was read again.
pub fn reload(done: Done) {
    counter!(RELOADS, "result" => done.as_str()).increment(1);
    gauge!(LAST_RELOAD_SUCCESSFUL).set(match done {
        Done::Ok => 1.0,
        Done::Failed => 0.0,
    });
}

/// A configuration took effect at this wall time: the first one, or a reloaded one.
pub fn reloaded_at(wall: crate::clock::WallTime) {
    // Seconds of this millennium are exact in a float.
    #[expect(clippy::cast_precision_loss, reason = "whole seconds are far below 2^53")]
    gauge!(LAST_RELOAD).set(wall.seconds() as f64);
}

/// A `GetToken` was served in this time, with the wait that its caller asked for.
pub fn read_took(span: Duration) {
    READ_SECONDS.record(span);
}

/// The counters of reads, looked up once: a read is one lookup and one clone, and the
/// recorder's table would be a second lookup. Made after [`install`].
#[derive(Clone)]
pub struct Reads {
    served: Counter,
    unavailable: Counter,
    refused: Counter,
}

impl Reads {
    /// The counters of the recorder that is installed now.
    pub fn new() -> Self {
        let counter = |result: ReadResult| counter!(READS, "result" => result.as_str());
        Self {
            served: counter(ReadResult::Served),
            unavailable: counter(ReadResult::Unavailable),
            refused: counter(ReadResult::Refused),
        }
    }

    /// A read was answered.
    pub fn count(&self, result: ReadResult) {
        match result {
            ReadResult::Served => self.served.increment(1),
            ReadResult::Unavailable => self.unavailable.increment(1),
            ReadResult::Refused => self.refused.increment(1),
        }
    }
}

impl Default for Reads {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted of messages, looked up once: a message takes microseconds. Made after
/// [`install`].
#[derive(Clone)]
pub struct Messages {
    /// By family, and within one by outcome, in the order of the labels' `ALL`.
    outcomes: Vec<Counter>,
    took: Histogram,
}

impl Messages {
    /// The counters of the recorder that is installed now, each from zero.
    pub fn new() -> Self {
        let mut outcomes = Vec::new();
        for family in MessageFamily::ALL {
            for outcome in MessageOutcome::ALL {
                let counter = counter!(MESSAGES, "family" => family.as_str(), "outcome" => outcome.as_str());
                counter.increment(0);
                outcomes.push(counter);
            }
        }
        Self { outcomes, took: histogram!(HANDLER_SECONDS) }
    }

    /// A request was answered, or a message came to an end.
    pub fn count(&self, family: MessageFamily, outcome: MessageOutcome) {
        let at = family as usize * MessageOutcome::ALL.len() + outcome as usize;
        if let Some(counter) = self.outcomes.get(at) {
            counter.increment(1);
        }
    }

    /// The handlers of a message took this long.
    pub fn took(&self, span: Duration) {
        self.took.record(span);
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

/// The same number as the gauge, which cannot be read back.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// One open watch, counted for as long as this lives.
#[must_use = "the watch is counted until this is dropped"]
pub struct Watcher(());

impl Watcher {
    /// Counts a watch that was opened.
    pub fn opened() -> Self {
        gauge!(WATCHERS).increment(1.0);
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// How many are open in this process.
    pub fn open() -> usize {
        OPEN.load(Ordering::Relaxed)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(WATCHERS).decrement(1.0);
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
