//! The documents of `--json`. Their fields stay; later versions add some.
//!
//! Instants are RFC 3339 in UTC on the daemon's clock, spans are seconds. A field that does not
//! apply is null, never missing. Only `get` and `watch --show-values` have a value.

use std::time::Duration;

use prost_types::Timestamp;
use serde::Serialize;

use crate::client::Token;
use crate::pb;

use super::words::{kind, name, wall};

/// A value as it was handed out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TokenDocument {
    /// The account.
    pub(super) appid: String,
    /// `access_token`, …
    pub(super) kind: &'static str,
    /// The string, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// Its name in logs and complaints.
    pub(super) fingerprint: String,
    /// Grows with each new value.
    pub(super) generation: u64,
    /// When it was asked for.
    pub(super) issued_at: String,
    /// From when on it may be dead.
    pub(super) expires_at: String,
    /// How long that was when the daemon answered.
    pub(super) remaining_seconds: f64,
    /// How long it may be used without asking again.
    pub(super) cache_for_seconds: f64,
    /// `fresh`, `refreshing`, `degraded`.
    pub(super) state: String,
    /// Why it is degraded.
    pub(super) degraded_reason: Option<String>,
}

/// Whether a document shows the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// It does.
    Shown,
    /// Only its fingerprint.
    Hidden,
}

impl TokenDocument {
    /// The document of a value.
    pub(super) fn new(token: &Token, values: Values) -> Self {
        let value = match values {
            Values::Shown => token.value.as_ref().map(|value| value.expose().to_owned()),
            Values::Hidden => None,
        };
        Self {
            appid: token.key.appid.to_string(),
            kind: token.key.kind.as_str(),
            value,
            fingerprint: token.fingerprint.to_string(),
            generation: token.generation.0,
            issued_at: token.issued_at.to_string(),
            expires_at: token.expires_at.to_string(),
            remaining_seconds: seconds(token.remaining),
            cache_for_seconds: seconds(token.cache_for),
            state: state(token.state),
            degraded_reason: degraded(token.degraded_reason),
        }
    }
}

/// Everything about a key but its value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct KeyDocument {
    /// The account.
    pub(super) appid: String,
    /// `access_token`, …
    pub(super) kind: &'static str,
    /// What people call the account.
    pub(super) account_name: Option<String>,
    /// `fresh`, `refreshing`, `degraded`, `no_value`.
    pub(super) state: String,
    /// Why it is degraded.
    pub(super) degraded_reason: Option<String>,
    /// The name of the value.
    pub(super) fingerprint: Option<String>,
    /// The number of the value.
    pub(super) generation: Option<u64>,
    /// Which call brought the value.
    pub(super) value_mode: Option<String>,
    /// When the value was asked for.
    pub(super) issued_at: Option<String>,
    /// From when on it may be dead.
    pub(super) expires_at: Option<String>,
    /// The span to that.
    pub(super) remaining_seconds: Option<f64>,
    /// Whether an attempt is under way.
    pub(super) refreshing: bool,
    /// When the next one is due.
    pub(super) next_attempt_at: Option<String>,
    /// Why none is due.
    pub(super) hold: Option<HoldDocument>,
    /// The latest attempt.
    pub(super) last_attempt: Option<AttemptDocument>,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// The trouble that the key is in.
    pub(super) problem: Option<ProblemDocument>,
    /// The rolling budget.
    pub(super) budget: Option<BudgetDocument>,
    /// Suspected foreign refreshes since the daemon started.
    pub(super) foreign_refreshes: u32,
    /// When that was found last.
    pub(super) last_foreign_refresh_at: Option<String>,
}

/// Why a key makes no attempts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HoldDocument {
    /// `paused`, `parent_missing`, `removed`.
    pub(super) reason: String,
    /// The end of a pause.
    pub(super) until: Option<String>,
}

/// One upstream call.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AttemptDocument {
    /// Its number.
    pub(super) number: u64,
    /// `deadline`, `complaint`, `parent`, `command`.
    pub(super) cause: String,
    /// `classic`, `stable`, `stable_forced`, `ticket`.
    pub(super) mode: String,
    /// When it was sent.
    pub(super) sent_at: Option<String>,
    /// `issued`, `same`, `refused`, `never_sent`, `unknown`.
    pub(super) result: String,
}

/// A trouble, in words for the operator.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProblemDocument {
    /// `transient`, `waiting`, `quota`, `operator`.
    pub(super) class: String,
    /// WeChat's number.
    pub(super) errcode: Option<i64>,
    /// What it means.
    pub(super) meaning: String,
    /// What to do.
    pub(super) action: String,
    /// WeChat's request id.
    pub(super) rid: Option<String>,
}

/// Calls of the last 24 hours.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BudgetDocument {
    /// Made.
    pub(super) used: u32,
    /// Still allowed.
    pub(super) left: u32,
    /// Forced calls among those made.
    pub(super) forced_used: u32,
    /// Forced calls still allowed.
    pub(super) forced_left: u32,
}

impl From<&pb::KeyStatus> for KeyDocument {
    fn from(key: &pb::KeyStatus) -> Self {
        Self {
            appid: key.appid.clone(),
            kind: kind(key.kind()),
            account_name: text(&key.account_name),
            state: state(key.state()),
            degraded_reason: degraded(key.degraded_reason()),
            fingerprint: text(&key.fingerprint),
            generation: (key.generation != 0).then_some(key.generation),
            value_mode: (key.value_mode() != pb::CallMode::Unspecified).then(|| mode(key.value_mode())),
            issued_at: key.issued_at.map(stamp),
            expires_at: key.expires_at.map(stamp),
            remaining_seconds: key.remaining.and_then(|span| Duration::try_from(span).ok()).map(seconds),
            refreshing: key.refreshing,
            next_attempt_at: key.next_attempt_at.map(stamp),
            hold: key.hold.as_ref().map(|hold| HoldDocument {
                reason: name(hold.reason().as_str_name(), "HOLD_REASON_"),
                until: hold.until.map(stamp),
            }),
            last_attempt: key.last_attempt.as_ref().map(|last| AttemptDocument {
                number: last.number,
                cause: name(last.cause().as_str_name(), "ATTEMPT_CAUSE_"),
                mode: mode(last.mode()),
                sent_at: last.sent_at.map(stamp),
                result: name(last.result().as_str_name(), "ATTEMPT_RESULT_"),
            }),
            failures: key.failures,
            problem: key.problem.as_ref().map(ProblemDocument::from),
            budget: key.budget.as_ref().map(|budget| BudgetDocument {
                used: budget.used,
                left: budget.left,
                forced_used: budget.forced_used,
                forced_left: budget.forced_left,
            }),
            foreign_refreshes: key.foreign_refreshes,
            last_foreign_refresh_at: key.last_foreign_refresh_at.map(stamp),
        }
    }
}

impl From<&pb::Problem> for ProblemDocument {
    fn from(problem: &pb::Problem) -> Self {
        Self {
            class: name(problem.class().as_str_name(), "PROBLEM_CLASS_"),
            errcode: problem.errcode,
            meaning: problem.meaning.clone(),
            action: problem.action.clone(),
            rid: text(&problem.rid),
        }
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn state(state: pb::TokenState) -> String {
    name(state.as_str_name(), "TOKEN_STATE_")
}

fn mode(mode: pb::CallMode) -> String {
    name(mode.as_str_name(), "CALL_MODE_")
}

fn degraded(reason: pb::DegradedReason) -> Option<String> {
    (reason != pb::DegradedReason::Unspecified).then(|| name(reason.as_str_name(), "DEGRADED_REASON_"))
}

fn stamp(at: Timestamp) -> String {
    wall(at).to_string()
}

/// Whole milliseconds: finer digits would be noise.
pub(super) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}
