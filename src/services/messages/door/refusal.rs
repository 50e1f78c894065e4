//! Why a request is not served, to each in the words that are for them.

use axum::http::StatusCode;

use crate::http::BodyError;
use crate::services::messages::desk::Busy;
use crate::services::messages::envelope;
use crate::services::messages::fields::FieldsError;
use crate::services::messages::message::MessageError;

/// Why a request is not served. What it displays is for the administrator.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No account has such a path.
    #[error("no [[messages.account]] has this path: compare it with the URL in WeChat's console")]
    NoAccount,
    /// The body did not come whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is not WeChat's, or not for here.
    #[error(transparent)]
    Envelope(#[from] envelope::Refusal),
    /// It is WeChat's and cannot be read.
    #[error("the message cannot be read: {0}")]
    Fields(#[from] FieldsError),
    /// It can be read and is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// There is no room.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoAccount => StatusCode::NOT_FOUND,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Late) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Fields(_) | Self::Message(_) => StatusCode::BAD_REQUEST,
            Self::Envelope(refusal) => refusal.status(),
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For metrics and logs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::Body(BodyError::TooLarge { .. }) => "too_large",
            Self::Body(BodyError::Late) => "late_body",
            Self::Body(BodyError::Broken) => "broken_body",
            Self::Envelope(refusal) => refusal.reason(),
            Self::Fields(_) => "unreadable",
            Self::Message(_) => "no_message",
            Self::Busy(_) => "busy",
        }
    }

    /// For the sender, who may be anybody: nothing that would help to find the right one. The id
    /// beside it leads an administrator to the reason.
    pub(super) fn outside(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "there is nothing here",
            StatusCode::FORBIDDEN => "this request is not accepted",
            StatusCode::PAYLOAD_TOO_LARGE => "this is larger than any message",
            StatusCode::REQUEST_TIMEOUT => "the body did not arrive in time",
            StatusCode::SERVICE_UNAVAILABLE => "there is no room now",
            StatusCode::INTERNAL_SERVER_ERROR => "this cannot be answered here",
            _ => "this request cannot be read",
        }
    }
}
