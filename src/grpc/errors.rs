//! Every failure of this surface, and the one function that turns it into a gRPC status.
//!
//! The message is for people; programs read the details: RetryInfo, ErrorInfo (reason,
//! domain `zhongkong`, metadata `errcode`, `rid`, `action`) and BadRequest.
//! No message holds a value or a secret (S7).

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::access::{Action, Refused};
use crate::audit::ListError;
use crate::clock::BootTime;
use crate::hub::exchange::ExchangeError;
use crate::model::Kind;
use crate::refresh::handle::{NoValue, PauseError};
use crate::refresh::view::{Problem, ProblemClass};

/// The domain of every ErrorInfo.
const DOMAIN: &str = "zhongkong";
/// When to try again if nobody knows better.
const LATER: Duration = Duration::from_mins(1);
/// WeChat's numbers for a login code that is wrong, used, expired or missing: the caller's
/// fault, not the account's.
const BAD_CODES: [i64; 4] = [40_029, 40_163, 42_003, 41_008];

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Unauthenticated(Refused),
    #[error("client {client:?} has no grant for the action `{}` on {what}", action.as_str())]
    Denied { client: String, action: Action, what: String },
    #[error("there is no {what}")]
    NotFound { what: String },
    #[error("{field}: {rule}")]
    Invalid { field: String, rule: String },
    #[error("{key}: {source}")]
    NoValue { key: String, now: BootTime, source: NoValue },
    #[error("account {appid}: {source}")]
    Exchange { appid: String, source: ExchangeError },
    #[error("{key}: {source}")]
    Pause { key: String, source: PauseError },
    #[error("{source}")]
    Audit { source: ListError },
    #[error("the daemon is stopping")]
    Stopping,
    #[error("the daemon made a mistake: {what}")]
    Internal { what: &'static str },
}

impl Failure {
    pub(super) fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), rule: rule.into() }
    }

    pub(super) fn no_account(appid: &str) -> Self {
        Self::NotFound { what: format!("account {appid}") }
    }

    pub(super) fn no_key(appid: &str, kind: Kind) -> Self {
        Self::NotFound { what: format!("{kind} of account {appid}") }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        status(&failure)
    }
}

/// The one mapping from what failed to what the caller sees.
fn status(failure: &Failure) -> Status {
    let mut message = failure.to_string();
    let mut details = ErrorDetails::new();
    let code = match failure {
        Failure::Unauthenticated(_) => Code::Unauthenticated,
        Failure::Denied { .. } => Code::PermissionDenied,
        Failure::NotFound { .. } => Code::NotFound,
        Failure::Invalid { field, rule } => {
            details.add_bad_request_violation(field, rule);
            Code::InvalidArgument
        }
        Failure::NoValue { now, source, .. } => no_value(source, *now, &mut message, &mut details),
        Failure::Exchange { source, .. } => exchange(source, &mut message, &mut details),
        Failure::Pause { source: PauseError::Ledger(_), .. } => {
            retry(&mut details, LATER);
            info(&mut details, "LEDGER", HashMap::new());
            Code::Unavailable
        }
        Failure::Pause { source: PauseError::Interrupted, .. } => {
            retry(&mut details, Duration::from_secs(1));
            info(&mut details, "INTERRUPTED", HashMap::new());
            Code::Unavailable
        }
        Failure::Pause { source: PauseError::Removed, .. } => {
            info(&mut details, "REMOVED", HashMap::new());
            Code::NotFound
        }
        Failure::Audit { source } => {
            if !super::audit::is_off(source) {
                retry(&mut details, LATER);
            }
            info(&mut details, "LEDGER", HashMap::new());
            Code::Unavailable
        }
        Failure::Stopping => {
            retry(&mut details, Duration::from_secs(1));
            info(&mut details, "STOPPING", HashMap::new());
            Code::Unavailable
        }
        Failure::Internal { .. } => Code::Internal,
    };
    tracing::trace!(?code, "a call is answered with an error: {message}");
    Status::with_error_details(code, message, details)
}

fn no_value(source: &NoValue, now: BootTime, message: &mut String, details: &mut ErrorDetails) -> Code {
    match source {
        NoValue::Unavailable { retry_after, problem } => {
            retry(details, *retry_after);
            match problem {
                Some(problem) => trouble(problem, "UNAVAILABLE", message, details),
                None => info(details, "UNAVAILABLE", HashMap::new()),
            }
            Code::Unavailable
        }
        NoValue::NeedsOperator { retry_after, problem } => {
            retry(details, *retry_after);
            trouble(problem, "NEEDS_OPERATOR", message, details);
            Code::FailedPrecondition
        }
        NoValue::Exhausted { retry_after, rule, problem } => {
            retry(details, *retry_after);
            *message = format!("{message}: {rule}");
            match problem {
                // The rule is WeChat's own answer, so its meaning is in the message already.
                Some(problem) => info_of(details, problem, "EXHAUSTED"),
                None => info(details, "EXHAUSTED", HashMap::new()),
            }
            Code::ResourceExhausted
        }
        NoValue::Paused { until } => {
            retry(details, until.since(now));
            let action = "resume the key, or wait for the end of the pause".to_owned();
            info(details, "PAUSED", HashMap::from([("action".to_owned(), action)]));
            Code::FailedPrecondition
        }
        NoValue::Removed => {
            info(details, "REMOVED", HashMap::new());
            Code::NotFound
        }
        NoValue::NotAComplaint { errcode, meaning, action } => {
            *message = format!("{message}: {meaning}; {action}");
            details.add_bad_request_violation("errcode", meaning);
            let metadata =
                [("errcode".to_owned(), errcode.to_string()), ("action".to_owned(), action.clone())];
            info(details, "NOT_A_COMPLAINT", HashMap::from(metadata));
            Code::InvalidArgument
        }
        NoValue::FingerprintMissing => {
            details.add_bad_request_violation("seen_fingerprint", source.to_string());
            Code::InvalidArgument
        }
    }
}

fn exchange(source: &ExchangeError, message: &mut String, details: &mut ErrorDetails) -> Code {
    match source {
        ExchangeError::UnknownAccount => Code::NotFound,
        ExchangeError::Unavailable { retry_after } => {
            retry(details, *retry_after);
            info(details, "UNAVAILABLE", HashMap::new());
            Code::Unavailable
        }
        // Without RetryInfo: the same code must not be sent again.
        ExchangeError::Lost => {
            let action = "send the user through the login again".to_owned();
            *message = format!("{message}: {action}");
            info(details, "CODE_LOST", HashMap::from([("action".to_owned(), action)]));
            Code::Unavailable
        }
        ExchangeError::Refused { problem } => {
            trouble(problem, "UNAVAILABLE", message, details);
            if problem.errcode.is_some_and(|errcode| BAD_CODES.contains(&errcode.0)) {
                details.add_bad_request_violation("code", &problem.meaning);
                return Code::InvalidArgument;
            }
            retry(details, LATER);
            match problem.class {
                ProblemClass::Transient => Code::Unavailable,
                ProblemClass::Waiting | ProblemClass::Quota => Code::ResourceExhausted,
                ProblemClass::Operator => Code::FailedPrecondition,
            }
        }
    }
}

/// Says a problem in words and as ErrorInfo. Without an errcode the reason is `otherwise`.
fn trouble(problem: &Problem, otherwise: &str, message: &mut String, details: &mut ErrorDetails) {
    *message = format!("{message}: {}; {}", problem.meaning, problem.action);
    info_of(details, problem, otherwise);
}

fn info_of(details: &mut ErrorDetails, problem: &Problem, otherwise: &str) {
    let mut metadata = HashMap::from([("action".to_owned(), problem.action.clone())]);
    let reason = problem.errcode.map_or_else(|| otherwise.to_owned(), |code| format!("WECHAT_{code}"));
    if let Some(errcode) = problem.errcode {
        metadata.insert("errcode".to_owned(), errcode.to_string());
    }
    if let Some(rid) = &problem.rid {
        metadata.insert("rid".to_owned(), rid.clone());
    }
    info(details, &reason, metadata);
}

fn info(details: &mut ErrorDetails, reason: &str, metadata: HashMap<String, String>) {
    details.set_error_info(reason, DOMAIN, metadata);
}

fn retry(details: &mut ErrorDetails, after: Duration) {
    details.set_retry_info(Some(after));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrCode;
    use std::sync::Arc;

    fn problem(errcode: i64, class: ProblemClass) -> Problem {
        Problem {
            class,
            errcode: Some(ErrCode(errcode)),
            meaning: "the address is not on the list".into(),
            action: "add 203.0.113.7".into(),
            rid: Some("rid-1".into()),
        }
    }

    fn of(source: NoValue) -> Status {
        Failure::NoValue { key: "wx1:access_token".into(), now: BootTime(0), source }.into()
    }

    #[test]
    fn failure_from_wechat_names_errcode_rid_and_action() {
        let problem = Arc::new(problem(40_164, ProblemClass::Operator));
        let status = of(NoValue::NeedsOperator { retry_after: Duration::from_mins(5), problem });
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("WECHAT_40164", "zhongkong"));
        assert_eq!(info.metadata["errcode"], "40164");
        assert_eq!(info.metadata["rid"], "rid-1");
        assert_eq!(info.metadata["action"], "add 203.0.113.7");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_mins(5)));
    }

    #[test]
    fn each_failure_that_passes_says_when_to_ask_again() {
        let second = Duration::from_secs(1);
        let cases = [
            (NoValue::Unavailable { retry_after: second, problem: None }, Code::Unavailable),
            (
                NoValue::Exhausted { retry_after: second, rule: "spacing".into(), problem: None },
                Code::ResourceExhausted,
            ),
            (NoValue::Paused { until: BootTime(1_000) }, Code::FailedPrecondition),
        ];
        for (source, code) in cases {
            let status = of(source);
            assert_eq!(status.code(), code);
            assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(second), "{status}");
            assert!(status.get_details_error_info().is_some(), "{status}");
        }
    }

    #[test]
    fn used_code_is_the_callers_fault_and_a_wrong_secret_the_operators() {
        let of = |errcode, class| {
            let source = ExchangeError::Refused { problem: problem(errcode, class) };
            Status::from(Failure::Exchange { appid: "wx1".into(), source })
        };
        let used = of(40_163, ProblemClass::Operator);
        assert_eq!(used.code(), Code::InvalidArgument);
        assert_eq!(used.get_details_bad_request().unwrap().field_violations[0].field, "code");
        assert_eq!(of(40_125, ProblemClass::Operator).code(), Code::FailedPrecondition);
        assert_eq!(of(45_011, ProblemClass::Waiting).code(), Code::ResourceExhausted);
        assert_eq!(of(-1, ProblemClass::Transient).code(), Code::Unavailable);
    }
}
