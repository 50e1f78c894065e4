//! How a deed ended, in one word each: the words of the ledger, the contract and the table.
//!
//! What the engine answers becomes a word here and nowhere else, so that gRPC and the status
//! page note the same deed alike.

use crate::access::Refused;
use crate::refresh::handle::{self, NoValue, PauseError};

/// How a deed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The caller got what it asked for.
    Served,
    /// It was done.
    Done,
    /// The value was replaced.
    Refreshed,
    /// It had been replaced before.
    AlreadyReplaced,
    /// WeChat says that it works.
    StillValid,
    /// WeChat repeats the same string.
    Unchanged,
    /// WeChat gave no verdict.
    Unverified,
    /// There was no good value, or the ledger could not be written.
    Unavailable,
    /// An operator must act first.
    NeedsOperator,
    /// A budget or a spacing rule forbade it.
    Exhausted,
    /// The key is paused.
    Paused,
    /// WeChat refused it.
    Failed,
    /// The caller went away before the end; the daemon went on.
    Left,
    /// Outside the caller's grants.
    Denied,
    /// Inside them, but there is no such account or kind.
    NotFound,
    /// The request could not be understood.
    Invalid,
    /// No proof, or an unknown one.
    Unauthenticated,
    /// A proof past its end.
    Expired,
    /// There were more different callers and keys than are told apart at once.
    Overflow,
}

impl Outcome {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Done => "done",
            Self::Refreshed => "refreshed",
            Self::AlreadyReplaced => "already_replaced",
            Self::StillValid => "still_valid",
            Self::Unchanged => "unchanged",
            Self::Unverified => "unverified",
            Self::Unavailable => "unavailable",
            Self::NeedsOperator => "needs_operator",
            Self::Exhausted => "exhausted",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
        }
    }

    /// Whether the caller was turned away before anything was done.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Denied | Self::NotFound | Self::Invalid | Self::Unauthenticated | Self::Expired => true,
            Self::Served
            | Self::Done
            | Self::Refreshed
            | Self::AlreadyReplaced
            | Self::StillValid
            | Self::Unchanged
            | Self::Unverified
            | Self::Unavailable
            | Self::NeedsOperator
            | Self::Exhausted
            | Self::Paused
            | Self::Failed
            | Self::Left
            | Self::Overflow => false,
        }
    }
}

impl From<&NoValue> for Outcome {
    fn from(why: &NoValue) -> Self {
        match why {
            NoValue::Unavailable { .. } => Self::Unavailable,
            NoValue::NeedsOperator { .. } => Self::NeedsOperator,
            NoValue::Exhausted { .. } => Self::Exhausted,
            NoValue::Paused { .. } => Self::Paused,
            NoValue::Removed => Self::NotFound,
            NoValue::NotAComplaint { .. } | NoValue::FingerprintMissing => Self::Invalid,
        }
    }
}

impl From<handle::Outcome> for Outcome {
    fn from(outcome: handle::Outcome) -> Self {
        match outcome {
            handle::Outcome::Refreshed => Self::Refreshed,
            handle::Outcome::AlreadyReplaced => Self::AlreadyReplaced,
            handle::Outcome::StillValid => Self::StillValid,
            handle::Outcome::Unchanged => Self::Unchanged,
            handle::Outcome::Unverified => Self::Unverified,
        }
    }
}

impl<T> From<&Result<T, PauseError>> for Outcome {
    fn from(done: &Result<T, PauseError>) -> Self {
        match done {
            Ok(_) => Self::Done,
            Err(PauseError::Ledger(_) | PauseError::Interrupted) => Self::Unavailable,
            Err(PauseError::Removed) => Self::NotFound,
        }
    }
}

impl From<Refused> for Outcome {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Ended { .. } => Self::Expired,
            Refused::Nothing | Refused::NotBearer | Refused::Unknown => Self::Unauthenticated,
        }
    }
}
