//! What everybody but the key's task holds of a key.

use std::time::Duration;

use crate::clock::BootTime;
use crate::model::{ErrCode, Fingerprint};

use super::view::{Good, Problem};
use std::sync::Arc;

/// What a complaint or a command led to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What happened.
    pub outcome: Outcome,
    /// The value to use from now on.
    pub good: Good,
}

/// What happened to a credential that somebody complained about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was replaced.
    Refreshed,
    /// It had been replaced before the complaint came; no upstream call was made.
    AlreadyReplaced,
    /// WeChat says that it works.
    StillValid,
    /// A ticket: WeChat repeats the same string.
    Unchanged,
    /// WeChat would not say, and nothing changed.
    Unverified,
}

impl Outcome {
    /// The outcome's name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refreshed => "refreshed",
            Self::AlreadyReplaced => "already_replaced",
            Self::StillValid => "still_valid",
            Self::Unchanged => "unchanged",
            Self::Unverified => "unverified",
        }
    }
}

/// Why there is no good value, or why one could not be brought.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoValue {
    /// It comes by itself; ask again after this span.
    #[error("there is no good value now")]
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
        /// What is wrong, if anything is.
        problem: Option<Arc<Problem>>,
    },
    /// An operator must act first.
    #[error("an operator must act")]
    NeedsOperator {
        /// When the daemon looks again by itself.
        retry_after: Duration,
        /// What is wrong and what to do.
        problem: Arc<Problem>,
    },
    /// A budget is used up, or WeChat's spacing rule forbids the call.
    #[error("the call is not allowed yet")]
    Exhausted {
        /// When it is.
        retry_after: Duration,
        /// Which rule, one sentence.
        rule: String,
    },
    /// An operator paused the key.
    #[error("the key is paused")]
    Paused {
        /// Until when, if nobody resumes it.
        until: BootTime,
    },
    /// The account is not configured any more.
    #[error("the account was removed")]
    Removed,
    /// The errcode does not say that a credential is dead.
    #[error("errcode {errcode} does not say that the credential is dead")]
    NotAComplaint {
        /// What the caller reported.
        errcode: ErrCode,
        /// What it means.
        meaning: String,
        /// What to do about it.
        action: String,
    },
    /// A complaint must name the value that failed.
    #[error("a complaint needs the fingerprint of the value that failed")]
    FingerprintMissing,
}

/// Whether a forced refresh answers a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// One issuing call.
    Once,
    /// Two issuing calls at least 30 s apart, after which the leaked value is dead.
    Leaked,
}

/// The key's task and its mailbox, seen from outside. Cheap to clone.
///
/// Signatures are fixed; the bodies follow with the engine.
#[derive(Clone, Debug)]
pub struct Handle {
    _shared: Arc<()>,
}

impl Handle {
    /// Reports the value with this fingerprint as dead, as WeChat's `errcode` said (0: not
    /// known). `None` as fingerprint is allowed only while there is no value.
    ///
    /// Waits for the verdict. May be dropped at any time: the verdict is reached all the same.
    pub async fn complain(&self, _seen: Option<Fingerprint>, _errcode: ErrCode) -> Result<Answer, NoValue> {
        Err(NoValue::Removed)
    }
}
