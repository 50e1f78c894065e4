//! Why a request is not served, to each in the words that are for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::http::BodyError;
use crate::services::messages::desk::Busy;
use crate::services::messages::envelope;
use crate::services::messages::fields::FieldsError;
use crate::services::messages::message::MessageError;

/// How often one reason is said for one account.
const PAUSE: Duration = Duration::from_secs(60);

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

/// Which reasons were said lately: whoever sends rubbish cannot fill the log.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<HashMap<&'static str, Turn>>);

#[derive(Debug)]
struct Turn {
    last: Instant,
    others: u64,
}

impl Said {
    /// Whether it is this reason's turn; if so, how many of its kind were passed over since the last.
    pub(super) fn turn(&self, reason: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(turn) = said.get_mut(reason) else {
            said.insert(reason, Turn { last: now, others: 0 });
            return Some(0);
        };
        if now.duration_since(turn.last) < PAUSE {
            turn.others += 1;
            return None;
        }
        turn.last = now;
        Some(std::mem::take(&mut turn.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_of_one_reason_is_a_line_a_minute_that_counts_the_others() {
        let said = Said::default();
        assert_eq!(said.turn("signature"), Some(0));
        for _ in 0..1_000 {
            assert_eq!(said.turn("signature"), None);
        }
        // It hides no other reason.
        assert_eq!(said.turn("stale"), Some(0));
        tokio::time::advance(PAUSE.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(said.turn("signature"), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(said.turn("signature"), Some(1_001));
        assert_eq!(said.turn("signature"), None);
    }
}
