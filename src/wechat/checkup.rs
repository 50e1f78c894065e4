//! Two calls for `doctor`: is somebody there who answers as WeChat does, and what does its
//! clock say; does WeChat reach an account's callback.
//!
//! The first needs no token and counts for nobody; the second counts as one business call.

use serde_json::{Value, json};

use super::WeChat;
use super::answer::{Refusal, Reply, Trouble, TroubleKind};
use super::wire::{Connection, Unanswered};
use crate::clock::WallTime;
use crate::model::ErrCode;
use crate::secret::Secret;

/// An answer's bearing, whatever it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its `Date` header: whole seconds, cut off.
    pub date: Option<WallTime>,
    /// Who answered.
    pub by: Answerer,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// Refused the missing token, as WeChat does.
    WeChat,
    /// Somebody else, with this HTTP status: a portal, a proxy, another server.
    Stranger(u16),
}

/// What WeChat found when it looked for an account's callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackReport {
    /// Addresses that the name has for WeChat.
    pub resolved: Vec<String>,
    /// One ping from each of WeChat's networks.
    pub pings: Vec<Ping>,
}

/// One ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// From which operator's network.
    pub from: String,
    /// `0%`, `100%`.
    pub loss: String,
    /// `23.079ms`.
    pub time: String,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckupFailure {
    /// WeChat refused.
    #[error("{0}")]
    Refused(Refusal),
    /// There was no usable answer.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl WeChat {
    /// Asks for nothing, without a token: WeChat refuses that, and so shows that it is there.
    ///
    /// # Errors
    /// Nobody answered with HTTP.
    pub async fn greet(&self) -> Result<Greeting, Trouble> {
        let url = self.url("/cgi-bin/get_api_domain_ip", &[]);
        let answer = self.0.wire.look(url).await.map_err(|error| trouble(&error))?;
        let refused = Reply::read(&answer.body).ok().and_then(|reply| reply.refused());
        let by = if answer.status == 200 && refused.is_some() {
            Answerer::WeChat
        } else {
            Answerer::Stranger(answer.status)
        };
        Ok(Greeting { date: answer.date.as_deref().and_then(date), by })
    }

    /// Has WeChat look up and ping the callback that stands in its console for the token's account.
    ///
    /// # Errors
    /// 40201: there is none in the console.
    pub async fn check_callback(&self, token: &Secret) -> Result<CallbackReport, CheckupFailure> {
        let url = self.url("/cgi-bin/callback/check", &[("access_token", token.expose())]);
        let asked = json!({ "action": "all", "check_operator": "DEFAULT" });
        let body =
            self.0.wire.post(Connection::Pooled, url, &asked).await.map_err(|error| trouble(&error))?;
        report(&body, token)
    }
}

fn trouble(unanswered: &Unanswered) -> Trouble {
    match unanswered {
        Unanswered::NeverSent(trouble) | Unanswered::Unknown(trouble) => *trouble,
    }
}

fn report(body: &[u8], token: &Secret) -> Result<CallbackReport, CheckupFailure> {
    let reply = Reply::read(body).map_err(Trouble::from)?;
    if let Some(errcode @ ErrCode(_)) = reply.refused() {
        return Err(CheckupFailure::Refused(reply.refusal(errcode, &[token])));
    }
    if !reply.fields.contains_key("dns") && !reply.fields.contains_key("ping") {
        return Err(Trouble::from(TroubleKind::FieldMissing("dns")).into());
    }
    let list = |name: &str| reply.fields.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let pings = list("ping");
    let pings = pings.iter().map(|row| Ping {
        from: text(row, "from_operator"),
        loss: text(row, "package_loss"),
        time: text(row, "time"),
    });
    let pings = pings.collect();
    Ok(CallbackReport { resolved: list("dns").iter().map(|row| text(row, "ip")).collect(), pings })
}

/// HTTP's date: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<WallTime> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim());
    parsed.ok().map(|at| WallTime(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_date_is_read_and_nonsense_is_none() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(WallTime(784_111_777_000)));
        assert_eq!(date("yesterday"), None);
    }

    #[test]
    fn report_is_read_and_a_refusal_or_anything_else_is_none() {
        // The documented example, with one lost ping.
        let body =
            br#"{"dns":[{"ip":"111.161.64.40","real_operator":"UNICOM"}],"ping":[{"ip":"111.161.64.40",
            "from_operator":"UNICOM","package_loss":"0%","time":"23.079ms"},{"ip":"111.161.64.40",
            "from_operator":"CAP","package_loss":"100%","time":""}]}"#;
        let token = Secret::from("t");
        let found = report(body, &token).unwrap();
        assert_eq!(found.resolved, ["111.161.64.40"]);
        assert_eq!(found.pings.iter().map(|ping| ping.loss.as_str()).collect::<Vec<_>>(), ["0%", "100%"]);
        let refused = report(br#"{"errcode":40201,"errmsg":"no url"}"#, &token).unwrap_err();
        assert!(matches!(refused, CheckupFailure::Refused(refusal) if refusal.errcode == ErrCode(40201)));
        assert!(matches!(report(b"{}", &token), Err(CheckupFailure::Trouble(_))));
    }
}
