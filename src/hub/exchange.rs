//! Exchanging a user's login code with the account's AppSecret, which stays inside.
//!
//! A code works once, so nothing is retried here; the error says whether the same code
//! may be tried again. Nothing of the user is kept.

use std::time::Duration;

use crate::refresh::view::{Problem, ProblemClass};
use crate::secret::Secret;
use crate::wechat::errcode::{self, Endpoint};
use crate::wechat::exchange as upstream;

use super::Hub;

/// Where a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A page's authorization.
    Web,
    /// `wx.login` of a mini program.
    MiniProgram,
}

/// Whether the user is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotUser {
    /// The virtual user of a snapshot page: id and profile are fake.
    Yes,
    /// A real one.
    No,
}

/// What a code was exchanged for.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The user's id within the account.
    pub openid: String,
    /// The user's id within the open-platform account, if there is one.
    pub unionid: Option<String>,
    /// The granted scopes, separated by commas (web).
    pub scope: Option<String>,
    /// Whether the user is real.
    pub is_snapshot_user: SnapshotUser,
    /// The user-level token (web).
    pub access_token: Option<Secret>,
    /// What renews it (web).
    pub refresh_token: Option<Secret>,
    /// Its life (web).
    pub expires_in: Option<Duration>,
    /// What decrypts the user's data (mini program).
    pub session_key: Option<Secret>,
}

/// Why a code was not exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The account is not configured.
    #[error("there is no such account")]
    UnknownAccount,
    /// WeChat said no.
    #[error("WeChat refused the code")]
    Refused {
        /// Why, and what to do.
        problem: Problem,
    },
    /// The code was not sent: the same one may be tried again.
    #[error("WeChat cannot be reached")]
    Unavailable {
        /// When.
        retry_after: Duration,
    },
    /// Nobody knows whether the code is spent: the user must log in again.
    #[error("WeChat's answer was lost")]
    Lost,
}

impl Hub {
    /// Exchanges the code of a user's authorization or login.
    pub async fn exchange_code(
        &self,
        appid: &str,
        code: &Secret,
        flow: Flow,
    ) -> Result<Exchanged, ExchangeError> {
        let account = self.account(appid).ok_or(ExchangeError::UnknownAccount)?;
        let flow = match flow {
            Flow::Web => upstream::Flow::Web,
            Flow::MiniProgram => upstream::Flow::MiniProgram,
        };
        let exchanged = self
            .around
            .wechat
            .exchange_code(flow, &account.appid, &account.secret, code)
            .await
            .map_err(failure)?;
        Ok(match exchanged {
            upstream::Exchanged::Web(user) => Exchanged {
                openid: user.openid,
                unionid: user.unionid,
                scope: Some(user.scope),
                is_snapshot_user: if user.is_snapshot_user { SnapshotUser::Yes } else { SnapshotUser::No },
                access_token: Some(user.access_token),
                refresh_token: Some(user.refresh_token),
                expires_in: Some(user.life),
                session_key: None,
            },
            upstream::Exchanged::MiniProgram(user) => Exchanged {
                openid: user.openid,
                unionid: user.unionid,
                scope: None,
                is_snapshot_user: SnapshotUser::No,
                access_token: None,
                refresh_token: None,
                expires_in: None,
                session_key: Some(user.session_key),
            },
        })
    }
}

fn failure(failure: upstream::ExchangeFailure) -> ExchangeError {
    match failure {
        upstream::ExchangeFailure::Refused(refusal) => ExchangeError::Refused {
            problem: Problem {
                class: match errcode::reaction(Endpoint::Sns, refusal.errcode) {
                    errcode::Reaction::NeedsOperator => ProblemClass::Operator,
                    errcode::Reaction::QuotaSpent => ProblemClass::Quota,
                    errcode::Reaction::RetryLater(_) => ProblemClass::Waiting,
                    errcode::Reaction::RetrySoon | errcode::Reaction::RefreshParent => {
                        ProblemClass::Transient
                    }
                },
                errcode: Some(refusal.errcode),
                meaning: errcode::meaning(Endpoint::Sns, refusal.errcode).to_owned(),
                action: errcode::action(Endpoint::Sns, &refusal),
                rid: refusal.rid,
            },
        },
        upstream::ExchangeFailure::NeverSent(_) => {
            ExchangeError::Unavailable { retry_after: Duration::from_secs(1) }
        }
        upstream::ExchangeFailure::Unknown(_) => ExchangeError::Lost,
    }
}
