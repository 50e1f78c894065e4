//! Why somebody is not told: a status and a sentence, as JSON.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::super::assertion::AssertionError;
use super::super::records::RecordsError;
use super::super::return_to::Refused;
use super::super::sessions::SessionsError;
use super::super::users::UsersError;
use super::Asked;

/// Until the next try, when a store does not answer.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Nobody is logged in.
    #[error("nobody is logged in here; send the browser to `login`")]
    NobodyThere {
        /// Where to.
        login: Option<String>,
    },
    /// An account that there is not, or not for this application.
    #[error("account= names no account that this page's application serves")]
    NoAccount,
    /// An application that there is not.
    #[error("app= must name an [[oauth.app]] that serves the account and has an origin")]
    NoApp,
    /// A page of nobody's.
    #[error("this page's origin is not in `origins` of any [[oauth.app]]")]
    ForeignOrigin,
    /// A request that could be another page's.
    #[error("a browser must say with Origin or Sec-Fetch-Site that its request is from a page of ours")]
    Unproven,
    /// `return_to` leads nowhere good.
    #[error("return_to: {0}")]
    ReturnTo(Refused),
    /// `return_to` leads to a stranger.
    #[error("return_to: its origin is not in `origins` of any [[oauth.app]]")]
    Unlisted,
    /// A body that is too large, late or broken.
    #[error("the body cannot be read")]
    Body,
    /// A store does not answer.
    #[error("the service cannot look it up at the moment; try again in a few seconds")]
    Storage,
}

impl Problem {
    /// Its name in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NobodyThere { .. } => "nobody",
            Self::NoAccount => "no_account",
            Self::NoApp => "no_app",
            Self::ForeignOrigin => "foreign_origin",
            Self::Unproven => "unproven",
            Self::ReturnTo(_) | Self::Unlisted => "return_to",
            Self::Body => "body",
            Self::Storage => "storage",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NobodyThere { .. } => StatusCode::UNAUTHORIZED,
            Self::NoAccount | Self::NoApp | Self::ReturnTo(_) | Self::Unlisted | Self::Body => {
                StatusCode::BAD_REQUEST
            }
            Self::ForeignOrigin | Self::Unproven => StatusCode::FORBIDDEN,
            Self::Storage => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer; who calls it adds what browsers must know.
    pub(super) fn answer(&self, asked: &Asked) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            error: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            login: Option<&'a str>,
            request: &'a str,
        }
        let login = match self {
            Self::NobodyThere { login } => login.as_deref(),
            _ => None,
        };
        let request = asked.received.id.text();
        let mut answer =
            (self.status(), Json(Body { error: self.to_string(), login, request })).into_response();
        if let Self::Storage = self {
            answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        answer
    }
}

// The stores have logged what is wrong with them.
impl From<SessionsError> for Problem {
    fn from(_: SessionsError) -> Self {
        Self::Storage
    }
}

impl From<UsersError> for Problem {
    fn from(_: UsersError) -> Self {
        Self::Storage
    }
}

impl From<RecordsError> for Problem {
    fn from(_: RecordsError) -> Self {
        Self::Storage
    }
}

impl From<AssertionError> for Problem {
    fn from(_: AssertionError) -> Self {
        Self::Storage
    }
}
