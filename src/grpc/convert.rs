//! Between the domain's words and the contract's messages.
//!
//! Enum numbers from outside are read raw: an unknown one is an error that names its field,
//! never the enum's default.

use std::time::Duration;

use crate::clock::{Moment, WallTime};
use crate::hub::exchange::Flow;
use crate::model::{AppId, CallMode, Cause, Fingerprint, Key, Kind, WordError};
use crate::pb;
use crate::refresh::handle::Outcome;
use crate::refresh::view::{AttemptResult, Degraded, Good, Problem, ProblemClass, State};

use super::errors::Failure;

/// Longest that a value may be used without asking again. Bounds how long a client that
/// lost the daemon goes on with a value that was withdrawn meanwhile.
const CACHE_FOR: Duration = Duration::from_mins(1);

/// The kind with this number. `KIND_UNSPECIFIED` and unknown numbers are errors.
pub(super) fn kind(field: &str, number: i32) -> Result<Kind, Failure> {
    match pb::Kind::try_from(number) {
        Ok(pb::Kind::AccessToken) => Ok(Kind::AccessToken),
        Ok(pb::Kind::JsapiTicket) => Ok(Kind::JsapiTicket),
        Ok(pb::Kind::WxCardTicket) => Ok(Kind::WxCardTicket),
        Ok(pb::Kind::Unspecified) => Err(Failure::invalid(field, "must be set")),
        Err(_) => Err(Failure::invalid(field, format!("{number} is not a kind that this daemon knows"))),
    }
}

/// The same for `GetToken`, where `KIND_UNSPECIFIED` means the access token.
pub(super) fn kind_or_access_token(field: &str, number: i32) -> Result<Kind, Failure> {
    match number {
        0 => Ok(Kind::AccessToken),
        number => kind(field, number),
    }
}

pub(super) fn kind_out(kind: Kind) -> pb::Kind {
    match kind {
        Kind::AccessToken => pb::Kind::AccessToken,
        Kind::JsapiTicket => pb::Kind::JsapiTicket,
        Kind::WxCardTicket => pb::Kind::WxCardTicket,
    }
}

pub(super) fn appid(field: &str, text: &str) -> Result<AppId, Failure> {
    text.parse().map_err(|rule: WordError| Failure::invalid(field, rule.to_string()))
}

pub(super) fn key(field: &str, appid: &str, kind: i32) -> Result<Key, Failure> {
    let appid = self::appid(&format!("{field}.appid"), appid)?;
    Ok(Key::new(appid, self::kind(&format!("{field}.kind"), kind)?))
}

/// A fingerprint; empty text is none.
pub(super) fn fingerprint(field: &str, text: &str) -> Result<Option<Fingerprint>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|rule: WordError| Failure::invalid(field, rule.to_string()))
}

/// A span that is absent or not negative; absent is zero.
pub(super) fn span(field: &str, span: Option<prost_types::Duration>) -> Result<Duration, Failure> {
    let span = span.unwrap_or_default();
    Duration::try_from(span).map_err(|_| Failure::invalid(field, "must not be negative"))
}

pub(super) fn wall(field: &str, stamp: prost_types::Timestamp) -> Result<WallTime, Failure> {
    let millis =
        stamp.seconds.checked_mul(1_000).and_then(|s| s.checked_add(i64::from(stamp.nanos) / 1_000_000));
    let valid = millis.filter(|_| (0..1_000_000_000).contains(&stamp.nanos));
    valid.map(WallTime).ok_or_else(|| Failure::invalid(field, "is not an instant"))
}

pub(super) fn flow(field: &str, number: i32) -> Result<Flow, Failure> {
    match pb::Flow::try_from(number) {
        Ok(pb::Flow::Web) => Ok(Flow::Web),
        Ok(pb::Flow::MiniProgram) => Ok(Flow::MiniProgram),
        Ok(pb::Flow::Unspecified) => Err(Failure::invalid(field, "must be set")),
        Err(_) => Err(Failure::invalid(field, format!("{number} is not a flow that this daemon knows"))),
    }
}

pub(super) fn stamp(at: WallTime) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1_000) * 1_000_000);
    // Below 1,000 ms, so below 10^9 ns.
    prost_types::Timestamp { seconds: at.0.div_euclid(1_000), nanos: nanos.unwrap_or(0) }
}

pub(super) fn span_out(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    // Below 10^9.
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

/// Whether a message carries the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValuePart {
    Shown,
    LeftOut,
}

/// A good value as a message.
pub(super) fn token(appid: &str, kind: Kind, good: &Good, part: ValuePart, now: Moment) -> pb::Token {
    let value = match part {
        ValuePart::Shown => good.value.secret.expose().to_owned(),
        ValuePart::LeftOut => String::new(),
    };
    let (state, reason) = state(good.state);
    pb::Token {
        appid: appid.to_owned(),
        kind: kind_out(kind).into(),
        value,
        fingerprint: good.value.fingerprint.to_string(),
        generation: good.value.generation.0,
        issued_at: Some(stamp(now.wall_of(good.value.issued))),
        expires_at: Some(stamp(now.wall_of(good.dead_by))),
        remaining: Some(span_out(good.remaining)),
        cache_for: Some(span_out(good.remaining.min(CACHE_FOR))),
        state: state.into(),
        degraded_reason: reason.into(),
    }
}

pub(super) fn state(state: State) -> (pb::TokenState, pb::DegradedReason) {
    match state {
        State::Fresh => (pb::TokenState::Fresh, pb::DegradedReason::Unspecified),
        State::Refreshing => (pb::TokenState::Refreshing, pb::DegradedReason::Unspecified),
        State::Degraded(reason) => (pb::TokenState::Degraded, degraded(reason)),
    }
}

fn degraded(reason: Degraded) -> pb::DegradedReason {
    match reason {
        Degraded::ReportedDead => pb::DegradedReason::ReportedDead,
        Degraded::UnknownOutcome => pb::DegradedReason::UnknownOutcome,
        Degraded::RenewalFailing => pb::DegradedReason::RenewalFailing,
        Degraded::Ledger => pb::DegradedReason::Ledger,
        Degraded::TicketNotRotated => pb::DegradedReason::TicketNotRotated,
    }
}

pub(super) fn outcome(outcome: Outcome) -> pb::Outcome {
    match outcome {
        Outcome::Refreshed => pb::Outcome::Refreshed,
        Outcome::AlreadyReplaced => pb::Outcome::AlreadyReplaced,
        Outcome::StillValid => pb::Outcome::StillValid,
        Outcome::Unchanged => pb::Outcome::Unchanged,
        Outcome::Unverified => pb::Outcome::Unverified,
    }
}

pub(super) fn cause(cause: Cause) -> pb::AttemptCause {
    match cause {
        Cause::Deadline => pb::AttemptCause::Deadline,
        Cause::Complaint => pb::AttemptCause::Complaint,
        Cause::Parent => pb::AttemptCause::Parent,
        Cause::Command => pb::AttemptCause::Command,
    }
}

pub(super) fn mode(mode: CallMode) -> pb::CallMode {
    match mode {
        CallMode::Classic => pb::CallMode::Classic,
        CallMode::Stable => pb::CallMode::Stable,
        CallMode::StableForced => pb::CallMode::StableForced,
        CallMode::Ticket => pb::CallMode::Ticket,
    }
}

pub(super) fn result(result: AttemptResult) -> pb::AttemptResult {
    match result {
        AttemptResult::Issued => pb::AttemptResult::Issued,
        AttemptResult::Same => pb::AttemptResult::Same,
        AttemptResult::Refused => pb::AttemptResult::Refused,
        AttemptResult::NeverSent => pb::AttemptResult::NeverSent,
        AttemptResult::Unknown => pb::AttemptResult::Unknown,
    }
}

pub(super) fn problem(problem: &Problem) -> pb::Problem {
    let class = match problem.class {
        ProblemClass::Transient => pb::ProblemClass::Transient,
        ProblemClass::Waiting => pb::ProblemClass::Waiting,
        ProblemClass::Quota => pb::ProblemClass::Quota,
        ProblemClass::Operator => pb::ProblemClass::Operator,
    };
    pb::Problem {
        class: class.into(),
        errcode: problem.errcode.map(|errcode| errcode.0),
        meaning: problem.meaning.clone(),
        action: problem.action.clone(),
        rid: problem.rid.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_kind_is_the_access_token_in_get_token_only() {
        assert_eq!(kind_or_access_token("kind", 0).unwrap(), Kind::AccessToken);
        assert!(kind("kind", 0).is_err());
        for number in [-1, 4, i32::MAX] {
            assert!(kind("kind", number).unwrap_err().to_string().starts_with("kind: "), "{number}");
            assert!(kind_or_access_token("kind", number).is_err(), "{number}");
        }
        for each in Kind::ALL {
            assert_eq!(kind("kind", kind_out(each).into()).unwrap(), each);
        }
    }

    #[test]
    fn instant_before_1970_and_impossible_ones_are_handled() {
        assert_eq!(stamp(WallTime(-1)), prost_types::Timestamp { seconds: -1, nanos: 999_000_000 });
        let read = |seconds, nanos| wall("until", prost_types::Timestamp { seconds, nanos }).ok();
        assert_eq!(read(1, 500_000_000), Some(WallTime(1_500)));
        assert_eq!(read(i64::MAX, 0), None);
        assert_eq!(read(1, -1), None);
    }
}
