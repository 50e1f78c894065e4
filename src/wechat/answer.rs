//! WeChat's answers, read into the ends of an attempt.
//!
//! Owns the types of the ends and the lenient reading of bodies: WeChat's content types lie,
//! its numbers may be text, its strings may hold raw control characters and invalid UTF-8.
//! Guarantees that a value is whole before it is called issued, and that what is kept of a
//! refusal's text shows no secret even if WeChat echoes one. Does not judge: what a refusal
//! means is [`super::errcode`]'s.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Probe, errcode};
use crate::model::ErrCode;
use crate::secret::Secret;

/// Longest value that is believed, in bytes. WeChat asks for room for 512; real ones have up to 160.
const MAX_VALUE: usize = 2048;

/// Longest life that is believed, in seconds: a day. WeChat documents at most 7,200.
const MAX_LIFE: i64 = 86_400;

/// The life taken when WeChat says more than [`MAX_LIFE`]: the documented one.
const DOCUMENTED_LIFE: Duration = Duration::from_hours(2);

/// Longest text kept of a refusal, in characters.
const MAX_ERRMSG: usize = 256;

/// Longest request id kept, in characters. Real ones have 26.
const MAX_RID: usize = 64;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// WeChat answered with a whole value.
    Issued(Issued),
    /// WeChat answered with an errcode, -1 included: nothing was issued.
    Refused(Refusal),
    /// The request was certainly not sent.
    NeverSent(Trouble),
    /// Nobody knows whether WeChat issued a value.
    Unknown(Trouble),
}

/// A value that WeChat issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The string.
    pub value: Secret,
    /// Its life, counted from when the call was sent.
    pub life: Duration,
    /// What WeChat said the life is, in seconds, when that was not believed.
    pub odd_life: Option<i64>,
}

/// An answer with an errcode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number.
    pub errcode: ErrCode,
    /// WeChat's text on one line, shortened, without the request id and without any secret.
    pub errmsg: String,
    /// The request id, which Tencent's support asks for.
    pub rid: Option<String>,
    /// The address that WeChat saw the call come from, if a refusal of the address names it.
    pub seen_ip: Option<IpAddr>,
}

/// "errcode 40164: invalid ip …". Safe to log.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errcode {}", self.errcode)?;
        if !self.errmsg.is_empty() {
            write!(f, ": {}", self.errmsg)?;
        }
        self.rid.as_ref().map_or(Ok(()), |rid| write!(f, " (rid {rid})"))
    }
}

/// Why there was no answer, or none that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What happened.
    pub what: TroubleKind,
}

impl From<TroubleKind> for Trouble {
    fn from(what: TroubleKind) -> Self {
        Self { what }
    }
}

/// The kinds of trouble. Their text never holds a URL, a body or a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TroubleKind {
    /// The call makes no sense or cannot be written as a request. Never sent.
    #[error("the call cannot be made into a request")]
    Unsendable,
    /// The host's name was not resolved. Never sent.
    #[error("the name of WeChat's host could not be resolved")]
    Dns,
    /// No connection: refused, unreachable, or the proxy would not pass it on. Never sent.
    #[error("no connection to WeChat could be made")]
    Connect,
    /// No connection within the time for it. Never sent.
    #[error("no connection to WeChat could be made in time")]
    ConnectTimedOut,
    /// The TLS handshake failed, for example because of the certificate. Never sent.
    #[error("the TLS handshake with WeChat failed")]
    Tls,
    /// No whole answer within the time of a call.
    #[error("WeChat did not answer in time")]
    TimedOut,
    /// The connection broke before the answer was whole, or the answer was not HTTP.
    #[error("WeChat's answer broke off")]
    Torn,
    /// A status other than 200, redirects included; WeChat itself only sends 200.
    #[error("the answer had HTTP status {0}")]
    HttpStatus(u16),
    /// More than is read of an answer.
    #[error("the answer was too large")]
    TooLarge,
    /// No JSON object: a page of a proxy, a truncated answer.
    #[error("the answer was not a JSON object")]
    NotJson,
    /// A field that must be there was not.
    #[error("the answer lacked `{0}`")]
    FieldMissing(&'static str),
    /// A field that must have content had none.
    #[error("the answer's `{0}` was empty")]
    FieldEmpty(&'static str),
    /// A field of another type, too long, or with characters that no such field has.
    #[error("the answer's `{0}` was unusable")]
    FieldBad(&'static str),
    /// The life was missing, not a whole number, or not positive.
    #[error("the answer's `expires_in` was unusable")]
    BadLife,
    /// An errcode and a value in one answer: one of them is wrong, nobody knows which.
    #[error("the answer had both an errcode and a value")]
    Contradiction,
    /// A probe was answered with -1.
    #[error("WeChat was busy")]
    Busy,
}

impl TroubleKind {
    /// The kind as a word for metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsendable => "unsendable",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::Tls => "tls",
            Self::TimedOut => "timed_out",
            Self::Torn => "torn",
            Self::HttpStatus(_) => "http_status",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::FieldMissing(_) => "field_missing",
            Self::FieldEmpty(_) => "field_empty",
            Self::FieldBad(_) => "field_bad",
            Self::BadLife => "bad_life",
            Self::Contradiction => "contradiction",
            Self::Busy => "busy",
        }
    }
}

/// A readable answer.
pub(super) struct Reply {
    pub(super) fields: Map<String, Value>,
    /// The errcode, if there is one.
    pub(super) errcode: Option<ErrCode>,
}

impl Reply {
    /// The reply in a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, TroubleKind> {
        let text = String::from_utf8_lossy(body);
        // Raw control characters are legal nowhere inside JSON's strings, yet WeChat sends them.
        // A blank in their place leaves text readable and makes a value that held one unusable.
        let text = text.trim_start_matches('\u{feff}').replace(|c: char| c < ' ', " ");
        let Ok(Value::Object(fields)) = serde_json::from_str(&text) else {
            return Err(TroubleKind::NotJson);
        };
        let errcode = match fields.get("errcode") {
            None => None,
            Some(value) => Some(ErrCode(integer(value).ok_or(TroubleKind::FieldBad("errcode"))?)),
        };
        Ok(Self { fields, errcode })
    }

    /// The errcode that makes this reply a refusal.
    pub(super) fn refused(&self) -> Option<ErrCode> {
        self.errcode.filter(|&ErrCode(number)| number != 0)
    }

    /// The refusal with this errcode, its text cleared of what must not be shown.
    pub(super) fn refusal(&self, errcode: ErrCode, hidden: &[&Secret]) -> Refusal {
        let errmsg = self.fields.get("errmsg").and_then(Value::as_str).unwrap_or_default();
        let clean = redacted(&one_line(errmsg), hidden);
        let (text, rid) = split_rid(&clean);
        Refusal {
            errcode,
            seen_ip: errcode::is_about_address(errcode).then(|| address(text)).flatten(),
            errmsg: text.chars().take(MAX_ERRMSG).collect(),
            rid,
        }
    }

    /// Whether the field holds any text.
    pub(super) fn has_text(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    }

    /// The content of a field that WeChat makes of visible ASCII only.
    pub(super) fn token(&self, name: &'static str) -> Result<&str, TroubleKind> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Err(TroubleKind::FieldMissing(name)),
            Some(Value::String(text)) if text.is_empty() => Err(TroubleKind::FieldEmpty(name)),
            Some(Value::String(text))
                if text.len() <= MAX_VALUE && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(text)
            }
            Some(_) => Err(TroubleKind::FieldBad(name)),
        }
    }

    /// The life in `expires_in`, and what WeChat said if that is not believed.
    pub(super) fn life(&self) -> Result<(Duration, Option<i64>), TroubleKind> {
        let said = self.fields.get("expires_in").and_then(integer).ok_or(TroubleKind::BadLife)?;
        match u64::try_from(said) {
            Ok(1..) if said > MAX_LIFE => Ok((DOCUMENTED_LIFE, Some(said))),
            Ok(seconds @ 1..) => Ok((Duration::from_secs(seconds), None)),
            Ok(0) | Err(_) => Err(TroubleKind::BadLife),
        }
    }
}

/// The end that this body of a token's or ticket's answer stands for.
pub(super) fn issued(body: &[u8], field: &'static str, hidden: &Secret) -> End {
    let unknown = |kind: TroubleKind| End::Unknown(kind.into());
    let reply = match Reply::read(body) {
        Ok(reply) => reply,
        Err(kind) => return unknown(kind),
    };
    if let Some(errcode) = reply.refused() {
        // Called a refusal, a value that was issued after all would be lost without a trace.
        if reply.has_text(field) {
            return unknown(TroubleKind::Contradiction);
        }
        return End::Refused(reply.refusal(errcode, &[hidden]));
    }
    match reply.token(field).and_then(|value| Ok((value, reply.life()?))) {
        Ok((value, (life, odd_life))) => End::Issued(Issued { value: value.into(), life, odd_life }),
        Err(kind) => unknown(kind),
    }
}

/// What this body of an answer to a probe says.
pub(super) fn probe(body: &[u8], hidden: &Secret) -> Probe {
    let reply = match Reply::read(body) {
        Ok(reply) => reply,
        Err(kind) => return Probe::Silent(kind.into()),
    };
    match (reply.refused(), reply.errcode) {
        (Some(ErrCode(-1)), _) => Probe::Silent(TroubleKind::Busy.into()),
        (Some(errcode), _) if errcode::says_dead(errcode) => Probe::Dead(errcode),
        (Some(errcode), _) => Probe::Other(reply.refusal(errcode, &[hidden])),
        (None, Some(_)) => Probe::Alive,
        // An answer without an errcode must be WeChat's: a portal's `{}` proves nothing.
        (None, None) if reply.fields.get("ip_list").is_some_and(Value::is_array) => Probe::Alive,
        (None, None) => Probe::Silent(TroubleKind::FieldMissing("ip_list").into()),
    }
}

/// A whole number, as such or as decimal text. What is too large for the type is the type's end.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_u64().map(|_| i64::MAX)),
        Value::String(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text without control characters and line separators, trimmed.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    text.replace(breaks, " ").trim().to_owned()
}

/// The text with every secret in it replaced, also in the form it has inside a URL.
fn redacted(text: &str, hidden: &[&Secret]) -> String {
    let mut text = text.to_owned();
    for secret in hidden {
        let plain = secret.expose();
        let in_url: Cow<'_, str> =
            url::form_urlencoded::byte_serialize(plain.as_bytes()).collect::<String>().into();
        for form in [plain, in_url.as_ref()] {
            if !form.is_empty() && text.contains(form) {
                text = text.replace(form, "***");
            }
        }
    }
    text
}

/// Cuts off the request id: ` rid: 655d9278-7c157f97-69055077`, in older answers ` hint: [xxxx]`.
fn split_rid(text: &str) -> (&str, Option<String>) {
    for (mark, open) in [("rid: ", ""), ("hint: ", "[")] {
        let Some(at) = text.rfind(mark) else { continue };
        let (before, after) = (&text[..at], &text[at + mark.len()..]);
        if !(before.is_empty() || before.ends_with([' ', ',', '.', ';'])) {
            continue;
        }
        let id = after.strip_prefix(open).unwrap_or(after);
        let in_id = |c: &char| c.is_ascii_alphanumeric() || "-_!@.~".contains(*c);
        let id: String = id.chars().take_while(in_id).take(MAX_RID).collect();
        if !id.is_empty() {
            return (before.trim_end_matches([' ', ',', ';']), Some(id));
        }
    }
    (text, None)
}

/// The first address in a text: `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist`.
fn address(text: &str) -> Option<IpAddr> {
    text.split(|c: char| c.is_whitespace() || ",;()[]".contains(c))
        .map(|word| word.trim_end_matches('.'))
        .find_map(|word| word.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
