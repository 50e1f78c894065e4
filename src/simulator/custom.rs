//! Customer-service messages: what a service sends after the five seconds are over.
//!
//! `POST /cgi-bin/message/custom/send` checks what WeChat checks before it delivers, and keeps what
//! it accepted, the last [`KEPT_MESSAGES`] of all accounts together, for tests and `/_sim/messages`.
//! Everybody whose openid can be one has written within the last 48 hours: 45015 and the count
//! limits come from scripts.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::errcode::Refusal;
use super::state::State;
use super::wire::Request;

/// How many accepted messages are kept.
pub const KEPT_MESSAGES: usize = 10_000;
/// Longest text in bytes.
const LONGEST_TEXT: usize = 2048;
/// Longest openid or media id.
const LONGEST_ID: usize = 128;

/// A message that WeChat delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentMessage {
    /// 1, 2, 3 … in the order of acceptance.
    pub seq: u64,
    /// Milliseconds since the simulator was made.
    pub at_ms: u64,
    /// The account whose token was used.
    pub appid: String,
    /// To whom.
    pub touser: String,
    /// Its type.
    pub msgtype: String,
    /// The whole body as it was sent.
    pub body: Value,
}

/// The accepted messages.
#[derive(Debug, Default)]
pub(super) struct Sent {
    messages: VecDeque<SentMessage>,
    accepted: u64,
}

impl Sent {
    /// Those of an account (of all where it is empty) after this number, oldest first.
    pub(super) fn of(&self, appid: &str, since: u64) -> impl Iterator<Item = &SentMessage> {
        let wanted = move |message: &&SentMessage| appid.is_empty() || message.appid == appid;
        self.messages.iter().filter(move |message| message.seq > since).filter(wanted)
    }

    fn add(&mut self, mut message: SentMessage) {
        self.accepted += 1;
        message.seq = self.accepted;
        if self.messages.len() == KEPT_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}

impl State {
    /// Takes a message whose token was good, and keeps it.
    pub(super) fn send_custom(
        &mut self,
        appid: String,
        request: &Request,
        now: Instant,
    ) -> Result<(), Refusal> {
        if request.body.is_empty() {
            return Err(Refusal::new(44002));
        }
        let Some(Value::Object(body)) = &request.json else {
            return Err(Refusal::new(47001));
        };
        if escapes_beyond_ascii(&request.body) {
            return Err(Refusal::new(40033));
        }
        let touser =
            text(body, "touser").filter(|openid| is_id(openid)).ok_or_else(|| Refusal::new(40003))?;
        let msgtype = text(body, "msgtype").ok_or_else(|| Refusal::new(40008))?;
        check(msgtype, body)?;
        if let Some(agent) = body.get("customservice") {
            let agent = agent.as_object().and_then(|agent| text(agent, "kf_account"));
            agent.filter(|agent| agent.contains('@')).ok_or_else(|| Refusal::new(65400))?;
        }
        let at_ms = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        self.sent.add(SentMessage {
            seq: 0,
            at_ms,
            appid,
            touser: touser.to_owned(),
            msgtype: msgtype.to_owned(),
            body: Value::Object(body.clone()),
        });
        Ok(())
    }
}

/// The part of a message that has its type's name.
fn check(msgtype: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let known = [
        "text",
        "image",
        "voice",
        "video",
        "music",
        "news",
        "mpnews",
        "mpnewsarticle",
        "msgmenu",
        "wxcard",
        "miniprogrampage",
        "link",
    ];
    if !known.contains(&msgtype) {
        return Err(Refusal::new(40008));
    }
    let part = body.get(msgtype).and_then(Value::as_object).ok_or_else(|| Refusal::new(47001))?;
    let filled = |name: &str, otherwise: i64| {
        text(part, name).filter(|text| !text.is_empty()).map(|_| ()).ok_or_else(|| Refusal::new(otherwise))
    };
    let media =
        |name: &str| text(part, name).filter(|id| is_id(id)).map(|_| ()).ok_or_else(|| Refusal::new(40007));
    match msgtype {
        "text" => {
            filled("content", 44004)?;
            short(part, "content")
        }
        "image" | "voice" | "video" | "mpnews" => media("media_id"),
        "music" => media("thumb_media_id"),
        "mpnewsarticle" => filled("article_id", 40007),
        "wxcard" => filled("card_id", 40007),
        "miniprogrampage" => {
            filled("appid", 40013)?;
            filled("pagepath", 40035)?;
            media("thumb_media_id")
        }
        "link" => filled("url", 40048),
        "news" => match part.get("articles").and_then(Value::as_array).map(Vec::len) {
            Some(1) => Ok(()),
            Some(0) | None => Err(Refusal::new(44003)),
            Some(_) => Err(Refusal::new(45008)),
        },
        // The one that is left of the list above.
        _ => {
            short(part, "head_content")?;
            short(part, "tail_content")?;
            let list = part.get("list").and_then(Value::as_array).ok_or_else(|| Refusal::new(47001))?;
            let item =
                |item: &Value| item.get("id").is_some() && item.get("content").is_some_and(Value::is_string);
            if list.iter().all(item) { Ok(()) } else { Err(Refusal::new(47001)) }
        }
    }
}

fn text<'a>(part: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    part.get(name)?.as_str()
}

fn short(part: &Map<String, Value>, name: &str) -> Result<(), Refusal> {
    match text(part, name) {
        Some(text) if text.len() > LONGEST_TEXT => Err(Refusal::new(45002)),
        Some(_) | None => Ok(()),
    }
}

/// Whether this can be an openid or a media id.
fn is_id(text: &str) -> bool {
    let character = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= LONGEST_ID && text.chars().all(character)
}

/// Whether the JSON has a letter beyond ASCII as an escape of `\u`, which WeChat wants in UTF-8.
pub(super) fn escapes_beyond_ascii(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    // A pair of backslashes is a letter; what stands between them cannot begin an escape.
    text.split("\\\\").flat_map(|piece| piece.split("\\u").skip(1)).any(|rest| {
        let digits = rest.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        digits.is_some_and(|code| code > 0x7f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_messages_are_bounded_and_numbered_on() {
        let mut sent = Sent::default();
        for _ in 0..KEPT_MESSAGES + 5 {
            sent.add(SentMessage {
                seq: 0,
                at_ms: 0,
                appid: "wx1".to_owned(),
                touser: "o1".to_owned(),
                msgtype: "text".to_owned(),
                body: Value::Null,
            });
        }
        assert_eq!(sent.of("wx1", 0).count(), KEPT_MESSAGES);
        assert_eq!(sent.of("", 0).next().map(|message| message.seq), Some(6));
        assert_eq!(sent.of("wx2", 0).count(), 0);
    }

    #[test]
    fn only_escapes_of_letters_beyond_ascii_are_refused() {
        assert!(escapes_beyond_ascii(br#"{"a":"\u4f60"}"#));
        assert!(escapes_beyond_ascii(br#"{"a":"\\\u4f60"}"#));
        for fine in [r#"{"a":"\u000a"}"#, r#"{"a":"\\u4f60"}"#, r#"{"a":"你\n"}"#] {
            assert!(!escapes_beyond_ascii(fine.as_bytes()), "{fine}");
        }
    }
}
