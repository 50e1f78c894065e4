//! Why a request is not served: the same sentence for the page's developer, who sees it in the
//! browser, and for the log.
//!
//! Unlike a callback's, who asks here is a page of the company's own or somebody who looks at one,
//! so the sentence says what to do. It repeats the host of a URL, which the parser has made plain
//! ASCII, and no more of a request.

use std::time::Duration;

use axum::http::StatusCode;

use crate::http::BodyError;
use crate::services::jssdk::asked::Unclear;
use crate::services::jssdk::card::CardError;
use crate::services::jssdk::sign::NoSignature;
use crate::services::jssdk::site::Refused;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No account has such a path.
    #[error("no [[jssdk.account]] has this path")]
    NoAccount,
    /// Too many from one address.
    #[error("too many requests from this address: it may come again in {} s", seconds(*.0))]
    TooMany(Duration),
    /// The same of all callers of a proxy together.
    #[error(
        "too many requests through the proxy before this service, which does not say whose they are, so that all count as one: let it set \
         X-Forwarded-For; it may come again in {} s", seconds(*.0)
    )]
    TooManyUnnamed(Duration),
    /// A preflight of a page that may not ask.
    #[error(
        "pages of this origin may not ask: add it to origins of the account's [[jssdk.account]], as the browser writes it"
    )]
    Origin,
    /// The address of a page is not known.
    #[error(
        "the proxy before this service does not say by which scheme and host the browser came, so that the page's address is not known: \
         let it set Host and X-Forwarded-Proto"
    )]
    Proxy,
    /// The body did not come whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It does not say which URL.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// It may not be signed.
    #[error(transparent)]
    Site(#[from] Refused),
    /// A card that may not be signed.
    #[error(transparent)]
    Card(CardError),
    /// Nothing can be signed now.
    #[error(transparent)]
    NoSignature(#[from] NoSignature),
}

impl From<CardError> for Refusal {
    fn from(error: CardError) -> Self {
        match error {
            CardError::NoSignature(error) => Self::NoSignature(error),
            other => Self::Card(other),
        }
    }
}

/// Who is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// Whoever wrote the page, or plays with it: the log says it to who looks for it.
    Page,
    /// Who runs the service.
    Operator,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoAccount => StatusCode::NOT_FOUND,
            Self::TooMany(_) | Self::TooManyUnnamed(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Late) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Unclear(_) => StatusCode::BAD_REQUEST,
            Self::Site(refused) => match refused {
                Refused::Missing | Refused::TooLong | Refused::NoUrl => StatusCode::BAD_REQUEST,
                Refused::Scheme { .. }
                | Refused::UserInfo { .. }
                | Refused::Spelling { .. }
                | Refused::Host { .. }
                | Refused::Port { .. }
                | Refused::Path { .. } => StatusCode::FORBIDDEN,
            },
            Self::Card(error) => match error {
                CardError::None | CardError::NotListed => StatusCode::FORBIDDEN,
                CardError::Missing(_) | CardError::Value(_) | CardError::Unknown(_) => {
                    StatusCode::BAD_REQUEST
                }
                CardError::NoSignature(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Proxy => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoSignature(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For programs, metrics and logs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::TooMany(_) | Self::TooManyUnnamed(_) => "too_many",
            Self::Origin => "origin",
            Self::Proxy => "proxy",
            Self::Body(BodyError::TooLarge { .. }) => "too_large",
            Self::Body(BodyError::Late) => "late_body",
            Self::Body(BodyError::Broken) => "broken_body",
            Self::Unclear(unclear) => unclear.reason(),
            Self::Site(refused) => refused.reason(),
            Self::Card(CardError::None | CardError::NotListed) => "card",
            Self::Card(CardError::Missing(_) | CardError::Value(_) | CardError::Unknown(_)) => {
                "card_parameter"
            }
            Self::Card(CardError::NoSignature(_)) | Self::NoSignature(_) => "no_ticket",
        }
    }

    /// For whoever asks. What the daemon says is for the log alone.
    pub(super) fn outside(&self) -> String {
        match self {
            Self::NoAccount => "there is no account at this address".to_owned(),
            Self::NoSignature(_) => {
                "nothing can be signed now, because there is no ticket: the service's log says why".to_owned()
            }
            other => other.to_string(),
        }
    }

    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::NoSignature(_)
            | Self::Origin
            | Self::Proxy
            | Self::TooManyUnnamed(_)
            | Self::Site(_)
            | Self::Card(CardError::None) => Blame::Operator,
            Self::NoAccount | Self::TooMany(_) | Self::Body(_) | Self::Unclear(_) | Self::Card(_) => {
                Blame::Page
            }
        }
    }

    /// Whole seconds until it is worth another try.
    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(wait) | Self::TooManyUnnamed(wait) => Some(seconds(*wait)),
            Self::NoSignature(error) => Some(seconds(error.retry_after())),
            _ => None,
        }
    }
}

/// Rounded up: who comes then is not early.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
