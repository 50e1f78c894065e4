//! What is said of a key in a phrase: why it is not as it should be, and what to do.
//!
//! Phrases of different keys are equal where the same is true of them, so that a list of keys
//! can say it once.

use crate::clock::WallTime;
use crate::pb::{DegradedReason, HoldReason, KeyStatus, TokenState};

use super::super::layout::paragraph;
use super::super::words::{self, plain};
use super::texts::{hold, kind};

/// Why a key is not simply as it should be, for the remarks below a table.
pub(in crate::cli) fn short_why(key: &KeyStatus, now: WallTime) -> Option<String> {
    match hold(key) {
        Some(HoldReason::Paused) => {
            let until = key.hold.as_ref().and_then(|hold| hold.until).map(words::wall);
            return Some(until.map_or_else(
                || "paused by an operator".to_owned(),
                |at| format!("paused by an operator, ends {}", words::until(now, at)),
            ));
        }
        Some(HoldReason::ParentMissing) => return Some("waits for the account's access_token".to_owned()),
        Some(HoldReason::Removed) => {
            return Some("the account was removed from the configuration".to_owned());
        }
        Some(HoldReason::Unspecified) | None => {}
    }
    if key.problem.is_some() {
        return Some(brief(key));
    }
    match (key.state(), key.degraded_reason()) {
        (TokenState::NoValue, _) if key.last_attempt.is_none() => Some("not fetched yet".to_owned()),
        (TokenState::NoValue, _) => Some("the last value ended, a new one is on its way".to_owned()),
        (_, DegradedReason::ReportedDead) => {
            Some("WeChat says that it is dead; it is being replaced".to_owned())
        }
        (_, DegradedReason::UnknownOutcome) => {
            Some("a call without an answer may have replaced it; it is promised for 5 min at most".to_owned())
        }
        (_, DegradedReason::RenewalFailing) => Some("it works, but renewals fail".to_owned()),
        (_, DegradedReason::Ledger) => {
            Some("it works, but could not be stored: the ledger cannot be written".to_owned())
        }
        (_, DegradedReason::TicketNotRotated) => {
            Some("WeChat repeats it beyond its stated life; it is promised for 5 min at a time".to_owned())
        }
        (_, DegradedReason::Unspecified) if key.foreign_refreshes > 0 => {
            Some(format!("another program seems to use this AppSecret (found {}×)", key.foreign_refreshes))
        }
        (_, DegradedReason::Unspecified) => None,
    }
}

/// What to do about it, if anything.
pub(in crate::cli) fn short_todo(key: &KeyStatus) -> Option<String> {
    match hold(key) {
        Some(HoldReason::Paused) => {
            return Some(format!(
                "`zhongkong resume {} {}` when the reason for the pause is gone",
                plain(&key.appid),
                kind(key)
            ));
        }
        Some(HoldReason::ParentMissing | HoldReason::Removed) => return None,
        Some(HoldReason::Unspecified) | None => {}
    }
    if key.degraded_reason() == DegradedReason::Ledger {
        return Some(
            "look at the disk of state_dir (full, read-only?): the daemon's log names the error; do not restart the \
             daemon before it is mended, then the value is stored by itself"
                .to_owned(),
        );
    }
    if let Some(problem) = &key.problem {
        return Some(plain(&problem.action)).filter(|action| !action.is_empty());
    }
    match key.degraded_reason() {
        DegradedReason::TicketNotRotated => Some(
            "nothing, unless pages fail with an invalid signature; then `zhongkong refresh` with this ticket"
                .to_owned(),
        ),
        DegradedReason::UnknownOutcome => Some(
            "nothing, unless it lasts: then look at the network between the daemon and WeChat".to_owned(),
        ),
        DegradedReason::Unspecified
        | DegradedReason::ReportedDead
        | DegradedReason::RenewalFailing
        | DegradedReason::Ledger => None,
    }
}

/// A remark below a table.
pub(in crate::cli) fn indented(heading: &str, text: &str) -> String {
    paragraph(4, (heading, 5), text)
}

/// The trouble without the request id, which is another one for each call.
fn brief(key: &KeyStatus) -> String {
    let Some(problem) = &key.problem else { return String::new() };
    let meaning = plain(&problem.meaning);
    match problem.errcode {
        Some(errcode) => format!("{meaning} (errcode {errcode})"),
        None => meaning,
    }
}
