//! What can go wrong between a client and the daemon, with the daemon's details decoded.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt;

use crate::model::ErrCode;

use super::connect::AddressError;

pub use tonic::Code;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address or the credentials cannot be used. Nothing was sent.
    #[error("the daemon's address or the credentials cannot be used")]
    Address(#[from] AddressError),
    /// Nobody answered at the address.
    #[error("the daemon cannot be reached")]
    Connect(#[source] tonic::transport::Error),
    /// The daemon answered with a failure, or the connection broke (`Code::Unavailable`
    /// without a reason).
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer does not keep to the contract.
    #[error("the daemon's answer has no usable {field}")]
    Answer {
        /// Which field.
        field: &'static str,
    },
    /// Nothing came over a watch for 45 s.
    #[error("the daemon was silent for 45 s, so nothing is being watched")]
    Silent,
}

/// A failure as the daemon told it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The class of failure, by which a program decides.
    pub code: Code,
    /// For people.
    pub message: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// `WECHAT_40164`, `PAUSED`, …
    pub reason: Option<String>,
    /// WeChat's number.
    pub errcode: Option<ErrCode>,
    /// WeChat's request id.
    pub rid: Option<String>,
    /// What an operator has to do.
    pub action: Option<String>,
    /// Fields of the request that are wrong, each with the rule.
    pub fields: Vec<(String, String)>,
}

impl Error {
    /// When to try again, if the daemon said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Address(_) | Self::Connect(_) | Self::Answer { .. } | Self::Silent => None,
        }
    }

    /// Whether nobody answered: there is no daemon, or it went while it was asked.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            // A connection that breaks or is refused has no reason; what the daemon says has one. Which
            // of these a break is depends on where it finds the call: the daemon itself says neither
            // cancelled nor unknown.
            Self::Refused(refusal) => {
                let broken = matches!(refusal.code, Code::Unavailable | Code::Cancelled | Code::Unknown);
                broken && refusal.reason.is_none()
            }
            Self::Address(_) | Self::Answer { .. } | Self::Silent => false,
        }
    }

    /// The class of failure, if the daemon answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Address(_) | Self::Connect(_) | Self::Answer { .. } | Self::Silent => None,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let said = |name: &str| info.and_then(|info| info.metadata.get(name)).cloned();
        let wrong = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        Self::Refused(Box::new(Refusal {
            code: status.code(),
            message: status.message().to_owned(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            reason: info.map(|info| info.reason.clone()),
            errcode: said("errcode").and_then(|number| number.parse().ok()).map(ErrCode),
            rid: said("rid"),
            action: said("action"),
            fields: wrong.iter().map(|one| (one.field.clone(), one.description.clone())).collect(),
        }))
    }
}

/// A part of an answer that the contract says is there.
pub(super) fn answered<T>(field: &'static str, part: Option<T>) -> Result<T, Error> {
    part.ok_or(Error::Answer { field })
}
