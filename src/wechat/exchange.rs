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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrCode;

    fn says(flow: Flow, body: &str) -> Result<Exchanged, ExchangeFailure> {
        read(flow, body.as_bytes(), &[&Secret::from("appsecret"), &Secret::from("0cd3")])
    }

    fn trouble(kind: TroubleKind) -> Result<Exchanged, ExchangeFailure> {
        Err(ExchangeFailure::Unknown(kind.into()))
    }

    #[test]
    fn a_code_of_a_page_brings_the_user_and_says_whether_the_user_is_real() {
        let body = |extra: &str| {
            format!(
                r#"{{"access_token":"U","expires_in":7200,"refresh_token":"R","openid":"o1","scope":"snsapi_base"{extra}}}"#
            )
        };
        let user = |unionid: Option<&str>, is_snapshot_user| {
            Ok(Exchanged::Web(WebUser {
                openid: "o1".into(),
                unionid: unionid.map(str::to_owned),
                access_token: "U".into(),
                life: Duration::from_hours(2),
                refresh_token: "R".into(),
                scope: "snsapi_base".into(),
                is_snapshot_user,
            }))
        };
        assert_eq!(says(Flow::Web, &body("")), user(None, false));
        assert_eq!(says(Flow::Web, &body(r#","unionid":"u1""#)), user(Some("u1"), false));
        assert_eq!(says(Flow::Web, &body(r#","unionid":"""#)), user(None, false));
        for no in ["0", "\"0\"", "\"\"", "false", "null"] {
            assert_eq!(
                says(Flow::Web, &body(&format!(r#","is_snapshotuser":{no}"#))),
                user(None, false),
                "{no}"
            );
        }
        for yes in ["1", "\"1\"", "true", "2"] {
            assert_eq!(
                says(Flow::Web, &body(&format!(r#","is_snapshotuser":{yes}"#))),
                user(None, true),
                "{yes}"
            );
        }
        assert_eq!(says(Flow::Web, &body(r#","unionid":7"#)), trouble(TroubleKind::FieldBad("unionid")));
    }

    #[test]
    fn a_login_of_a_mini_program_brings_its_session_key() {
        let user = MiniProgramUser { openid: "o1".into(), unionid: None, session_key: "aGk=".into() };
        for body in [
            r#"{"openid":"o1","session_key":"aGk="}"#,
            r#"{"errcode":0,"errmsg":"ok","openid":"o1","session_key":"aGk="}"#,
        ] {
            assert_eq!(says(Flow::MiniProgram, body), Ok(Exchanged::MiniProgram(user.clone())));
        }
        let lacking = r#"{"openid":"o1"}"#;
        assert_eq!(says(Flow::MiniProgram, lacking), trouble(TroubleKind::FieldMissing("session_key")));
        assert_eq!(says(Flow::Web, lacking), trouble(TroubleKind::FieldMissing("access_token")));
    }

    #[test]
    fn a_refused_code_is_told_from_an_unreadable_answer_and_echoes_nothing() {
        let refused =
            says(Flow::Web, r#"{"errcode":40163,"errmsg":"code 0cd3 been used appsecret, rid: 1-2"}"#);
        let Err(ExchangeFailure::Refused(refusal)) = refused else { panic!("a refusal: {refused:?}") };
        assert_eq!(refusal.errcode, ErrCode(40163));
        assert_eq!(refusal.errmsg, "code *** been used ***");
        assert_eq!(refusal.rid.as_deref(), Some("1-2"));
        assert_eq!(says(Flow::Web, "<html>"), trouble(TroubleKind::NotJson));
        assert_eq!(says(Flow::Web, "{}"), trouble(TroubleKind::FieldMissing("openid")));
        assert_eq!(says(Flow::Web, r#"{"errcode":-1,"openid":"o1"}"#), trouble(TroubleKind::Contradiction));
    }
}
