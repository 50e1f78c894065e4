//! The answers to the exchange of a user's code.
//!
//! Owns the two flows that need the AppSecret: a page's authorization and a mini program's
//! login. What comes out is about one user; nothing of it is stored here or anywhere in the
//! daemon.

use std::time::Duration;

use serde_json::Value;

use super::answer::{Refusal, Reply, Trouble, TroubleKind};
use crate::secret::Secret;

/// Where a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A page's authorization: `/sns/oauth2/access_token`.
    Web,
    /// `wx.login` of a mini program: `/sns/jscode2session`.
    MiniProgram,
}

/// What a code was exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// By [`Flow::Web`].
    Web(WebUser),
    /// By [`Flow::MiniProgram`].
    MiniProgram(MiniProgramUser),
}

/// A user who authorized a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUser {
    /// The user's id within the account.
    pub openid: String,
    /// The user's id within the open-platform account, if there is one.
    pub unionid: Option<String>,
    /// The user-level token, good for `/sns/userinfo` and `/sns/auth` only.
    pub access_token: Secret,
    /// Its life, counted from when the call was sent.
    pub life: Duration,
    /// Renews the user-level token for 30 days.
    pub refresh_token: Secret,
    /// The granted scopes, separated by commas.
    pub scope: String,
    /// Whether this is the virtual user of a snapshot page: id and profile are fake, make no
    /// account of them.
    pub is_snapshot_user: bool,
}

/// A user who logged in to a mini program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiniProgramUser {
    /// The user's id within the mini program.
    pub openid: String,
    /// The user's id within the open-platform account, if there is one.
    pub unionid: Option<String>,
    /// Decrypts what the mini program sends of this user. Never hand it to the mini program.
    pub session_key: Secret,
}

/// Why a code was not exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFailure {
    /// WeChat said no. [`is_users`](super::errcode::is_users) tells a code that is used or old
    /// from an account that needs its operator.
    #[error("WeChat refused the code with errcode {}", .0.errcode)]
    Refused(Refusal),
    /// The request was certainly not sent: the same code may be tried again.
    #[error("the code could not be sent to WeChat")]
    NeverSent(#[source] Trouble),
    /// No usable answer: the code may be spent, so the user needs a new one.
    #[error("it is not known what became of the code at WeChat")]
    Unknown(#[source] Trouble),
}

/// What this body says of a user.
pub(super) fn read(flow: Flow, body: &[u8], hidden: &[&Secret]) -> Result<Exchanged, ExchangeFailure> {
    let unknown = |kind: TroubleKind| ExchangeFailure::Unknown(kind.into());
    let reply = Reply::read(body).map_err(unknown)?;
    if let Some(errcode) = reply.refused() {
        if reply.has_text("openid") {
            return Err(unknown(TroubleKind::Contradiction));
        }
        return Err(ExchangeFailure::Refused(reply.refusal(errcode, hidden)));
    }
    user(flow, &reply).map_err(unknown)
}

fn user(flow: Flow, reply: &Reply) -> Result<Exchanged, TroubleKind> {
    let openid = reply.token("openid")?.to_owned();
    let unionid = match reply.token("unionid") {
        Ok(id) => Some(id.to_owned()),
        Err(TroubleKind::FieldMissing(_) | TroubleKind::FieldEmpty(_)) => None,
        Err(kind) => return Err(kind),
    };
    Ok(match flow {
        Flow::Web => Exchanged::Web(WebUser {
            openid,
            unionid,
            access_token: reply.token("access_token")?.into(),
            life: reply.life()?.0,
            refresh_token: reply.token("refresh_token")?.into(),
            scope: reply.token("scope")?.to_owned(),
            is_snapshot_user: is_set(reply.fields.get("is_snapshotuser")),
        }),
        Flow::MiniProgram => Exchanged::MiniProgram(MiniProgramUser {
            openid,
            unionid,
            session_key: reply.token("session_key")?.into(),
        }),
    })
}

/// Whether a flag is set. WeChat sends the number 1; anything but an explicit "no" counts,
/// because a fake user taken for a real one does more harm than the reverse.
fn is_set(flag: Option<&Value>) -> bool {
    match flag {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !matches!(text.as_str(), "" | "0" | "false"),
        Some(Value::Bool(true) | Value::Array(_) | Value::Object(_)) => true,
    }
}
