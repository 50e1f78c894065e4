//! Why a request brought nothing: one mapping from what failed to a status and a JSON document.
//!
//! Callers are clients of the daemon, so they are told what an operator would be: what is wrong,
//! the rule, what to do, WeChat's number and its request id. `reason` is for programs, and does not
//! change with the sentence. A status says whether the same request may do better later.

use std::error::Error as StdError;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::client::{Code, Error};
use crate::http::{BodyError, RequestId};
use crate::model::ErrCode;
use crate::services::menu::{self, AnswerError, HistoryError, MenuError, PushError, Stopped};
use crate::services::qrcode::{CodeError, DrawError, LogoError};
use crate::services::wechat_api::{ApiError, Refusal};

use super::callers::{Denied, seconds};
use super::documents::{Found, Halt};

/// Until a daemon, a database or WeChat that is away is worth another try.
const AWAY: Duration = Duration::from_secs(5);
/// Until the next minute's calls, and until somebody may have cleared the day's.
const NEXT_MINUTE: Duration = Duration::from_secs(60);
const NEXT_DAY: Duration = Duration::from_secs(3_600);

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// For programs, metrics and logs.
    pub(super) reason: &'static str,
    told: Box<Told>,
}

/// What is told besides.
#[derive(Debug, Default)]
struct Told {
    /// For people.
    said: String,
    /// WeChat's number and request id.
    errcode: Option<ErrCode>,
    rid: Option<String>,
    /// Everything that is wrong with what was sent.
    problems: Vec<Found>,
    /// Of a push that stopped.
    halt: Option<Box<Halt>>,
    /// When to try again.
    retry_after: Option<Duration>,
}

/// What a caller is told.
#[derive(Serialize)]
struct Document<'a> {
    error: &'a str,
    reason: &'static str,
    request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Found]>::is_empty")]
    problems: &'a [Found],
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<&'a Halt>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: &'static str, said: impl Into<String>) -> Self {
        Self { status, reason, told: Box::new(Told { said: said.into(), ..Told::default() }) }
    }

    /// What was sent cannot be read: 400.
    pub(super) fn unreadable(reason: &'static str, said: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, said)
    }

    /// What was sent says something that cannot be: 422.
    pub(super) fn invalid(said: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", said)
    }

    /// The same with everything that is wrong.
    pub(super) fn all_of(said: impl Into<String>, problems: Vec<Found>) -> Self {
        let mut problem = Self::invalid(said);
        problem.told.problems = problems;
        problem
    }

    /// There is no such push or code: 404.
    pub(super) fn missing(reason: &'static str, said: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, said)
    }

    /// Another request does the same: 409.
    pub(super) fn under_way(said: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "under_way", said).after(AWAY)
    }

    /// A defect.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the service made a mistake: its log says which",
        )
    }

    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.told.retry_after = Some(wait);
        self
    }

    /// The sentence, for the log.
    pub(super) fn said(&self) -> &str {
        &self.told.said
    }

    /// The answer.
    pub(super) fn answer(&self, id: &RequestId) -> Response {
        let Told { said, errcode, rid, problems, halt, retry_after } = &*self.told;
        let document = Document {
            error: said,
            reason: self.reason,
            request: id.text(),
            errcode: errcode.map(|ErrCode(number)| number),
            rid: rid.as_deref(),
            problems,
            push: halt.as_deref(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds(*wait).max(1).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }

    /// With WeChat's number and request id.
    fn of_wechat(mut self, errcode: ErrCode, rid: Option<&str>) -> Self {
        self.told.errcode = Some(errcode);
        self.told.rid = rid.map(str::to_owned);
        self
    }

    /// The daemon has no token to call with, or not for this caller.
    fn no_token(said: String, source: &Error) -> Self {
        let Error::Refused(refusal) = source else {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_token", said).after(AWAY);
        };
        let status = match refusal.code {
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let reason = match refusal.code {
            Code::Unauthenticated => "unknown_token",
            Code::PermissionDenied => "forbidden",
            Code::NotFound => "no_account",
            _ => "no_token",
        };
        let mut problem = Self::new(status, reason, said);
        problem.told.retry_after =
            (status == StatusCode::SERVICE_UNAVAILABLE).then(|| refusal.retry_after.unwrap_or(AWAY));
        problem.told.errcode = refusal.errcode;
        problem.told.rid.clone_from(&refusal.rid);
        problem
    }

    fn refused(refusal: &Refusal, said: String) -> Self {
        let ErrCode(number) = refusal.errcode;
        let problem = match number {
            45_009 => Self::new(StatusCode::TOO_MANY_REQUESTS, "quota", said).after(NEXT_DAY),
            45_011 => Self::new(StatusCode::TOO_MANY_REQUESTS, "quota", said).after(NEXT_MINUTE),
            -1 => Self::new(StatusCode::SERVICE_UNAVAILABLE, "wechat_busy", said).after(AWAY),
            // What was sent is not what this account may have: its sender must change it.
            40_003
            | 40_007
            | 40_016..=40_027
            | 40_052..=40_055
            | 40_119
            | 40_120
            | 45_010
            | 45_064
            | 46_004
            | 48_005
            | 65_301..=65_317 => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wechat_refused", said),
            45_029 => Self::new(StatusCode::CONFLICT, "full", said),
            46_003 => Self::new(StatusCode::NOT_FOUND, "no_menu", said),
            _ => Self::new(StatusCode::BAD_GATEWAY, "wechat_refused", said),
        };
        problem.of_wechat(refusal.errcode, refusal.rid.as_deref())
    }

    /// It is for who runs the service, or the account, and not for who asked.
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let said = denied.to_string();
        match &denied {
            Denied::Nothing | Denied::NotBearer => {
                Self::new(StatusCode::UNAUTHORIZED, "no_credentials", said)
            }
            Denied::Unknown(source) => match source {
                // It may have ended, which the daemon says.
                Error::Refused(refusal) => Self::new(
                    StatusCode::UNAUTHORIZED,
                    "unknown_token",
                    format!("{said} (the daemon says: {})", refusal.message),
                ),
                _ => Self::new(StatusCode::UNAUTHORIZED, "unknown_token", said),
            },
            Denied::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", said),
            Denied::NoAccount => Self::missing("no_account", said),
            Denied::TooMany(wait) => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", said).after(*wait),
            Denied::Away(source) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "daemon_away",
                format!("{said} ({})", chain(source)),
            )
            .after(AWAY),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let said = error.to_string();
        match error {
            BodyError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", said),
            BodyError::Late => Self::new(StatusCode::REQUEST_TIMEOUT, "late_body", said),
            BodyError::Broken => Self::unreadable("broken_body", said),
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let said = chain(&error);
        match &error {
            ApiError::DaemonAway { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "daemon_away", said).after(AWAY)
            }
            ApiError::MayNotRead { .. } => Self::new(StatusCode::FORBIDDEN, "forbidden", said),
            ApiError::Complaint { errcode, source, .. } if source.code() == Some(Code::PermissionDenied) => {
                let said = "WeChat says that the access token is dead, and this client may not tell the daemon: add \
                            `complain` to the actions of its [[client]] there";
                Self::new(StatusCode::FORBIDDEN, "may_not_complain", said).of_wechat(*errcode, None)
            }
            ApiError::NoToken { source, .. } | ApiError::Complaint { source, .. } => {
                Self::no_token(said, source)
            }
            ApiError::StillDead(refusal) => Self::new(StatusCode::BAD_GATEWAY, "dead_token", said)
                .of_wechat(refusal.errcode, refusal.rid.as_deref()),
            ApiError::Refused(refusal) => Self::refused(refusal, said),
            ApiError::NotSent(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "wechat_away", said).after(AWAY)
            }
            ApiError::Lost(_) => Self::new(StatusCode::BAD_GATEWAY, "lost", said),
        }
    }
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "strange_answer", error.to_string())
    }
}

impl From<MenuError> for Problem {
    fn from(error: MenuError) -> Self {
        match error {
            MenuError::Api(error) => error.into(),
            MenuError::Answer(error) => error.into(),
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let said = chain(&error);
        match error {
            HistoryError::Database(_) => storage(said),
            HistoryError::UnderWay(_) => Self::under_way(said),
            HistoryError::Overtaken(_) => Self::new(StatusCode::CONFLICT, "overtaken", said),
            HistoryError::Row(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", said),
        }
    }
}

/// The database has logged what is wrong with it.
fn storage(said: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage", said).after(AWAY)
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        match error {
            PushError::History(error) => error.into(),
            PushError::Menu(error) => error.into(),
            PushError::Stopped(stopped) => stopped_push(*stopped),
            error @ PushError::Unrecorded { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unrecorded", chain(&error))
            }
        }
    }
}

/// Why it stopped decides the status; what was done and what is left is told beside it.
fn stopped_push(stopped: Stopped) -> Problem {
    let halt = Box::new(Halt::of(&stopped));
    let said = format!("{stopped}: {}", chain(&stopped.why));
    let next = if stopped.changed_nothing() { "nothing was changed" } else { "push the same menus again" };
    let mut problem = Problem::from(stopped.why);
    problem.told.said = format!("{said}; {next}");
    problem.told.halt = Some(halt);
    problem
}

impl From<CodeError> for Problem {
    fn from(error: CodeError) -> Self {
        let said = chain(&error);
        match error {
            CodeError::Api(error) => error.into(),
            CodeError::Database(_) => storage(said),
            CodeError::Answer(_) => Self::new(StatusCode::BAD_GATEWAY, "strange_answer", said),
            CodeError::Full { .. } => Self::new(StatusCode::CONFLICT, "full", said),
            CodeError::UnderWay => Self::under_way(said).after(NEXT_MINUTE),
        }
    }
}

impl From<DrawError> for Problem {
    fn from(error: DrawError) -> Self {
        match error {
            DrawError::TooLong | DrawError::Size { .. } => Self::invalid(error.to_string()),
            DrawError::Png(_) => Self::internal(),
        }
    }
}

impl From<LogoError> for Problem {
    fn from(error: LogoError) -> Self {
        Self::invalid(format!("the logo: {}", chain(&error)))
    }
}

impl From<Vec<menu::Problem>> for Problem {
    fn from(problems: Vec<menu::Problem>) -> Self {
        Self::all_of("WeChat would not take these menus", problems.iter().map(Found::from).collect())
    }
}

/// An error with its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
