//! One push or verification as an HTTP request: query, signature, envelope, and how it is spoilt.

use std::time::Duration;

use url::Url;
use url::form_urlencoded::Serializer;

use super::compose::Push;
use super::crypt::{Crypt, signature};
use super::fault::Fault;
use super::identity::{Format, Identity, Mode};
use super::tree::{Tree, Value};

/// How old a stale push is.
const STALE: Duration = Duration::from_hours(1);
/// Length of an oversized body.
const OVERSIZE: usize = 5_000_000;
/// Depth of a nested JSON.
const DEEP: usize = 100_000;

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The whole address with its query.
    pub url: Url,
    /// Of the body.
    pub content_type: &'static str,
    /// Empty for a GET.
    pub body: Vec<u8>,
    /// How the body goes out.
    pub pace: Pace,
}

/// How a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In one piece.
    AtOnce,
    /// Its first half, and never the rest.
    Half,
}

/// Whoever writes one sender's requests.
pub(super) struct Writer<'a> {
    pub(super) url: &'a Url,
    pub(super) identity: &'a Identity,
    pub(super) crypt: Option<&'a Crypt>,
}

/// Query and its signature.
struct Signed {
    timestamp: String,
    nonce: String,
    signature: String,
}

impl Writer<'_> {
    /// The GET with which WeChat's console asks whether a callback is ours, and the echo it expects.
    pub(super) fn verification(&self, now: Duration, fault: Option<Fault>) -> (Request, String) {
        let echo = rand::random::<u64>().to_string();
        let Signed { timestamp, nonce, signature } = self.signed(now, fault);
        let query =
            [("signature", signature), ("echostr", echo.clone()), ("timestamp", timestamp), ("nonce", nonce)];
        let url = self.address(&query, fault);
        let request = Request { method: "GET", url, content_type: "", body: Vec::new(), pace: Pace::AtOnce };
        (request, echo)
    }

    /// The POST of a complete message.
    pub(super) fn push(&self, push: &Push, now: Duration) -> Request {
        let format = self.identity.format;
        let fault = push.fault;
        let signed = self.signed(now, fault);
        let text = match (fault, self.identity.mode) {
            (Some(Fault::Oversize), _) => oversized(push, format),
            (Some(Fault::DoctypeBomb), Mode::Plain) => bomb(format),
            _ => push.text(format),
        };
        let mut query = Vec::from([
            ("signature", signed.signature.clone()),
            ("timestamp", signed.timestamp.clone()),
            ("nonce", signed.nonce.clone()),
            ("openid", push.fields().get("FromUserName").unwrap_or_default().to_owned()),
        ]);
        let encrypted = match (self.identity.mode, fault, self.crypt) {
            (Mode::Plain, _, _) | (_, Some(Fault::PlainToSafe), _) | (_, _, None) => None,
            (Mode::Compatible | Mode::Safe, _, Some(crypt)) => Some(self.encrypted(crypt, &text, fault)),
        };
        let mut body = match encrypted {
            None => text,
            Some(mut encrypt) => {
                let token = match fault {
                    Some(Fault::BadMsgSignature) => "another",
                    _ => &self.identity.token,
                };
                let guarded = signature([token, &signed.timestamp, &signed.nonce, &encrypt]);
                query.extend([("encrypt_type", "aes".to_owned()), ("msg_signature", guarded)]);
                if fault == Some(Fault::TamperedBody) {
                    tamper(&mut encrypt);
                }
                match fault {
                    Some(Fault::DoctypeBomb) => bomb(format),
                    _ => self.envelope(push, encrypt),
                }
            }
        };
        if fault == Some(Fault::TruncatedBody) {
            body.truncate(body.floor_char_boundary(body.len() / 2));
        }
        let pace = match fault {
            Some(Fault::SlowBody) => Pace::Half,
            _ => Pace::AtOnce,
        };
        let url = self.address(&query, fault);
        Request { method: "POST", url, content_type: format.content_type(), body: body.into_bytes(), pace }
    }

    fn signed(&self, now: Duration, fault: Option<Fault>) -> Signed {
        let time = match fault {
            Some(Fault::StaleTimestamp) => now.saturating_sub(STALE),
            _ => now,
        };
        let timestamp = time.as_secs().to_string();
        let nonce = rand::random::<u32>().to_string();
        let token = match (fault, self.identity.mode) {
            (Some(Fault::BadSignature), _) | (Some(Fault::BadMsgSignature), Mode::Plain) => "another",
            _ => &self.identity.token,
        };
        let signature = signature([token, &timestamp, &nonce]);
        Signed { timestamp, nonce, signature }
    }

    fn encrypted(&self, crypt: &Crypt, text: &str, fault: Option<Fault>) -> String {
        let receive_id = match fault {
            Some(Fault::WrongReceiveId) => "wxffffffffffffffff",
            _ => &self.identity.appid,
        };
        let salt = rand::random();
        match fault {
            Some(Fault::WrongKey) => crypt.another().encrypt(salt, text, receive_id),
            _ => crypt.encrypt(salt, text, receive_id),
        }
    }

    /// The body around the encrypted text.
    fn envelope(&self, push: &Push, encrypt: String) -> String {
        let mut tree = match self.identity.mode {
            Mode::Compatible => push.fields().clone(),
            Mode::Safe | Mode::Plain => {
                let to = push.fields().get("ToUserName").unwrap_or(&self.identity.original_id);
                Tree(vec![("ToUserName".to_owned(), Value::Text(to.to_owned()))])
            }
        };
        tree.0.push(("Encrypt".to_owned(), Value::Text(encrypt)));
        match self.identity.format {
            Format::Xml => tree.to_xml(),
            Format::Json => tree.to_json().to_string(),
        }
    }

    /// The callback's address with these parameters behind its own.
    fn address(&self, query: &[(&str, String)], fault: Option<Fault>) -> Url {
        let mut url = self.url.clone();
        if fault == Some(Fault::MissingParameters) {
            return url;
        }
        let own = url.query().unwrap_or_default().to_owned();
        let mut all = Serializer::for_suffix(own, 0);
        all.extend_pairs(query);
        url.set_query(Some(&all.finish()));
        url
    }
}

/// Another character in the middle.
fn tamper(encrypt: &mut String) {
    let middle = encrypt.len() / 2;
    let other = if encrypt.get(middle..=middle) == Some("A") { "B" } else { "A" };
    // Base64 is ASCII, so every index is a boundary.
    if middle < encrypt.len() {
        encrypt.replace_range(middle..=middle, other);
    }
}

fn oversized(push: &Push, format: Format) -> String {
    match push.clone().set("Content", &"x".repeat(OVERSIZE)) {
        Ok(large) => large.text(format),
        // A message from a file may have a Content with fields in it.
        Err(_) => [push.text(format), " ".repeat(OVERSIZE)].concat(),
    }
}

/// What has stopped many a parser.
fn bomb(format: Format) -> String {
    match format {
        Format::Json => "[".repeat(DEEP),
        Format::Xml => {
            let mut text = String::from("<!DOCTYPE xml [\n<!ENTITY l0 \"lol\">\n");
            for level in 1..=9 {
                let inner = format!("&l{};", level - 1).repeat(10);
                text.extend(["<!ENTITY l", &level.to_string(), " \"", &inner, "\">\n"]);
            }
            text + "]>\n<xml><ToUserName>&l9;</ToUserName><Encrypt>&l9;</Encrypt></xml>"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::simulator::callback::xml;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn request(mode: Mode, format: Format, fault: Option<Fault>) -> (Request, HashMap<String, String>) {
        let identity = Identity {
            token: "pamtest".to_owned(),
            aes_key: Some(KEY.to_owned()),
            appid: "wx1".to_owned(),
            original_id: "gh_1".to_owned(),
            mode,
            format,
        };
        let url = "http://127.0.0.1/wechat/a?b=c".parse().unwrap();
        let crypt = Crypt::new(KEY).unwrap();
        let writer = Writer { url: &url, identity: &identity, crypt: Some(&crypt) };
        let mut push = Push::new("text").unwrap().complete("gh_1", NOW);
        push.fault = fault;
        let request = writer.push(&push, NOW);
        let query = request.url.query_pairs().into_owned().collect();
        (request, query)
    }

    #[test]
    fn each_mode_sends_what_its_row_of_the_table_says() {
        for mode in Mode::ALL {
            let (request, query) = request(mode, Format::Xml, None);
            let body = xml::parse(std::str::from_utf8(&request.body).unwrap()).unwrap();
            assert_eq!(query["b"], "c", "the callback's own query stays");
            assert_eq!(query["signature"], signature(["pamtest", &query["timestamp"], &query["nonce"]]));
            assert_eq!(query["openid"], super::super::compose::SOMEBODY);
            assert_eq!(body.get("ToUserName"), Some("gh_1"));
            assert_eq!(body.get("Content").is_some(), mode != Mode::Safe);
            assert_eq!(query.contains_key("encrypt_type"), mode != Mode::Plain);
            let Some(encrypt) = body.get("Encrypt") else {
                assert_eq!(mode, Mode::Plain);
                continue;
            };
            let guarded = signature(["pamtest", &query["timestamp"], &query["nonce"], encrypt]);
            assert_eq!(query["msg_signature"], guarded);
            let inside = Crypt::new(KEY).unwrap().decrypt(encrypt).unwrap();
            assert_eq!(inside.receive_id, "wx1");
            assert_eq!(xml::parse(&inside.text).unwrap().get("Content"), Some("你好 😀"));
        }
        let (request, _) = request(Mode::Safe, Format::Json, None);
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert!(body["Encrypt"].is_string() && request.content_type == "application/json");
    }

    #[test]
    fn faults_spoil_what_they_say_and_nothing_else() {
        let good = |fault| {
            let (request, query) = request(Mode::Safe, Format::Xml, Some(fault));
            let body = String::from_utf8(request.body).unwrap();
            let encrypt = xml::parse(&body).ok().and_then(|tree| tree.get("Encrypt").map(str::to_owned));
            let of = |name: &str| query.get(name).cloned().unwrap_or_default();
            let encrypt = encrypt.unwrap_or_default();
            [
                of("signature") == signature(["pamtest", &of("timestamp"), &of("nonce")]),
                of("msg_signature") == signature(["pamtest", &of("timestamp"), &of("nonce"), &encrypt]),
                of("timestamp") == "1700000000",
                Crypt::new(KEY).unwrap().decrypt(&encrypt).is_ok_and(|inside| inside.receive_id == "wx1"),
            ]
        };
        assert_eq!(good(Fault::BadSignature), [false, true, true, true]);
        assert_eq!(good(Fault::BadMsgSignature), [true, false, true, true]);
        assert_eq!(good(Fault::StaleTimestamp), [true, true, false, true]);
        assert_eq!(good(Fault::WrongReceiveId), [true, true, true, false]);
        assert_eq!(good(Fault::WrongKey), [true, true, true, false]);
        assert!(!good(Fault::TamperedBody)[1]);
        assert_eq!(good(Fault::MissingParameters)[..3], [false, false, false]);
        assert_eq!(good(Fault::Replay), [true, true, true, true]);
        let (plain, query) = request(Mode::Safe, Format::Xml, Some(Fault::PlainToSafe));
        assert!(!query.contains_key("encrypt_type") && !query.contains_key("msg_signature"));
        assert!(String::from_utf8(plain.body).unwrap().contains("<Content>"));
        assert!(request(Mode::Plain, Format::Xml, Some(Fault::Oversize)).0.body.len() > OVERSIZE);
        for mode in Mode::ALL {
            let (bomb, _) = request(mode, Format::Xml, Some(Fault::DoctypeBomb));
            assert!(bomb.body.starts_with(b"<!DOCTYPE"));
        }
    }
}
