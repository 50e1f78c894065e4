//! The query of a callback: WeChat's parameters, decoded as forms are.
//!
//! The first value of a parameter counts. `+` is a space, as in forms, but stays what it is in
//! `echostr`: that can be base64, which has `+` and no space, and not every sender escapes it.
//! A value that is too long or wrongly escaped is not an error here but spoils the whole query,
//! so that the refusal has one place. `Debug` shows no parameter: an openid is personal.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2};

use super::refusal::Refusal;
use super::signature::Stamped;
use super::{MAX_BODY, MAX_TEXT};

/// Bytes that the value of a parameter may have, decoded; `echostr` may be an encrypted one.
const LONGEST: usize = 128;
const LONGEST_ECHOSTR: usize = 2_048;

/// The parameters of a callback.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query<'a> {
    signature: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    nonce: Option<Cow<'a, str>>,
    echostr: Option<Cow<'a, str>>,
    encrypt_type: Option<Cow<'a, str>>,
    msg_signature: Option<Cow<'a, str>>,
    openid: Option<Cow<'a, str>>,
    flaw: Option<(&'static str, Flaw)>,
}

/// What spoils a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Longer than any that WeChat sends.
    #[error("is too long")]
    TooLong,
    /// A `%` without two hex digits, or bytes that are not UTF-8.
    #[error("is not escaped as a URL's text must be")]
    Escape,
    /// A nonce that could not be sent back as it is.
    #[error("has other characters than a nonce of WeChat has")]
    Characters,
}

/// How a request says that its body is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Not at all.
    Plain,
    /// By AES.
    Aes,
}

#[derive(Clone, Copy)]
enum Plus {
    Space,
    Kept,
}

impl<'a> Query<'a> {
    /// Reads what stands behind the `?` of a request's target, still escaped.
    pub fn parse(raw: &'a str) -> Self {
        let mut query = Self::default();
        let mut rest = Some(raw);
        while let Some(pairs) = rest {
            let (pair, behind) = cut(pairs, b'&');
            rest = behind;
            let (name, value) = cut(pair, b'=');
            let value = value.unwrap_or_default();
            let (name, place, longest, plus) = match name {
                "signature" => ("signature", &mut query.signature, LONGEST, Plus::Space),
                "timestamp" => ("timestamp", &mut query.timestamp, LONGEST, Plus::Space),
                "nonce" => ("nonce", &mut query.nonce, LONGEST, Plus::Space),
                "echostr" => ("echostr", &mut query.echostr, LONGEST_ECHOSTR, Plus::Kept),
                "encrypt_type" => ("encrypt_type", &mut query.encrypt_type, LONGEST, Plus::Space),
                "msg_signature" => ("msg_signature", &mut query.msg_signature, LONGEST, Plus::Space),
                "openid" => ("openid", &mut query.openid, LONGEST, Plus::Space),
                _ => continue,
            };
            if place.is_some() {
                continue;
            }
            match decode(value, plus, longest) {
                Ok(value) => *place = Some(value),
                Err(flaw) => {
                    *place = Some(Cow::Borrowed(""));
                    query.flaw = query.flaw.or(Some((name, flaw)));
                }
            }
        }
        if query.nonce.as_deref().is_some_and(|nonce| !nonce.bytes().all(is_of_a_nonce)) {
            query.flaw = query.flaw.or(Some(("nonce", Flaw::Characters)));
        }
        query
    }

    /// The sender, as the query says: unsigned, so for comparison only.
    pub fn openid(&self) -> Option<&str> {
        given(self.openid.as_ref())
    }

    /// How long the body of such a request may be, in bytes. Not believed before its signature: it
    /// only says how much is worth reading.
    pub fn body_limit(&self) -> usize {
        match self.encryption() {
            Ok(Encryption::Aes) => MAX_BODY,
            Ok(Encryption::Plain) | Err(_) => MAX_TEXT,
        }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.flaw.map_or(Ok(()), |(name, flaw)| Err(Refusal::Parameter(name, flaw)))
    }

    pub(super) fn stamped(&self) -> Result<Stamped<'_>, Refusal> {
        let timestamp = given(self.timestamp.as_ref()).ok_or(Refusal::Unsigned("timestamp"))?;
        let nonce = given(self.nonce.as_ref()).ok_or(Refusal::Unsigned("nonce"))?;
        Ok(Stamped { timestamp, nonce })
    }

    pub(super) fn signature(&self) -> Result<&str, Refusal> {
        given(self.signature.as_ref()).ok_or(Refusal::Unsigned("signature"))
    }

    pub(super) fn msg_signature(&self) -> Result<&str, Refusal> {
        given(self.msg_signature.as_ref()).ok_or(Refusal::Unsigned("msg_signature"))
    }

    pub(super) fn echostr(&self) -> Result<&str, Refusal> {
        given(self.echostr.as_ref()).ok_or(Refusal::NoEchostr)
    }

    pub(super) fn encryption(&self) -> Result<Encryption, Refusal> {
        match given(self.encrypt_type.as_ref()) {
            None => Ok(Encryption::Plain),
            Some(name) if name.eq_ignore_ascii_case("raw") => Ok(Encryption::Plain),
            Some(name) if name.eq_ignore_ascii_case("aes") => Ok(Encryption::Aes),
            Some(_) => Err(Refusal::EncryptType),
        }
    }
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(..)")
    }
}

/// A parameter without a value is as good as none.
fn given<'q>(value: Option<&'q Cow<'_, str>>) -> Option<&'q str> {
    value.map(|value| &**value).filter(|value| !value.is_empty())
}

/// A reply repeats the nonce, in XML and JSON. WeChat's are digits; of these, nothing needs
/// escaping in either.
fn is_of_a_nonce(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"<>&]\"\\".contains(&byte)
}

/// A text up to this byte, which is ASCII, and what is behind it.
fn cut(text: &str, at: u8) -> (&str, Option<&str>) {
    match memchr(at, text.as_bytes()) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

fn decode(value: &str, plus: Plus, longest: usize) -> Result<Cow<'_, str>, Flaw> {
    // Three characters for a byte is the longest way to write it.
    if value.len() > 3 * longest {
        return Err(Flaw::TooLong);
    }
    let escaped = match plus {
        Plus::Space => memchr2(b'%', b'+', value.as_bytes()),
        Plus::Kept => memchr(b'%', value.as_bytes()),
    };
    let text = if escaped.is_some() { Cow::Owned(unescape(value, plus)?) } else { value.into() };
    if text.len() > longest { Err(Flaw::TooLong) } else { Ok(text) }
}

fn unescape(value: &str, plus: Plus) -> Result<String, Flaw> {
    let mut bytes = value.bytes();
    let mut text = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        text.push(match (byte, plus) {
            (b'%', _) => {
                let mut decoded = [0];
                let digits = [bytes.next().unwrap_or(b'%'), bytes.next().unwrap_or(b'%')];
                hex::decode_to_slice(digits, &mut decoded).map_err(|_| Flaw::Escape)?;
                decoded[0]
            }
            (b'+', Plus::Space) => b' ',
            (other, _) => other,
        });
    }
    String::from_utf8(text).map_err(|_| Flaw::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_value_of_a_parameter_counts_even_if_it_is_empty_or_bad() {
        let query = Query::parse("nonce=1&nonce=2&signature=&signature=3&x=y&timestamp=%e4%bd%a0");
        assert_eq!(query.stamped().unwrap().nonce, "1");
        assert_eq!(query.stamped().unwrap().timestamp, "你");
        assert_eq!(query.signature(), Err(Refusal::Unsigned("signature")));
        let query = Query::parse("openid=%zz&openid=1&encrypt_type=raw&encrypt_type=aes");
        assert_eq!(query.check(), Err(Refusal::Parameter("openid", Flaw::Escape)));
        assert_eq!(query.openid(), None);
        assert_eq!(query.encryption(), Ok(Encryption::Plain));
    }

    #[test]
    fn base64_in_echostr_survives_escaped_or_not() {
        for raw in ["echostr=a+b/c==&openid=a+b", "openid=a%20b&echostr=a%2Bb%2Fc%3D%3D"] {
            let query = Query::parse(raw);
            assert_eq!(query.echostr(), Ok("a+b/c=="), "{raw}");
            assert_eq!(query.openid(), Some("a b"), "{raw}");
        }
    }

    #[test]
    fn a_query_that_is_too_long_or_badly_escaped_is_spoilt() {
        let long = "1".repeat(LONGEST + 1);
        let longer = "1".repeat(LONGEST_ECHOSTR + 1);
        let huge = "1".repeat(1 << 20);
        for (raw, name, flaw) in [
            (format!("signature={long}"), "signature", Flaw::TooLong),
            (format!("nonce={huge}"), "nonce", Flaw::TooLong),
            (format!("echostr={longer}"), "echostr", Flaw::TooLong),
            ("nonce=%".into(), "nonce", Flaw::Escape),
            ("nonce=%4".into(), "nonce", Flaw::Escape),
            ("nonce=%g0".into(), "nonce", Flaw::Escape),
            ("timestamp=%ff".into(), "timestamp", Flaw::Escape),
            ("nonce=%00".into(), "nonce", Flaw::Characters),
            ("nonce=a+b".into(), "nonce", Flaw::Characters),
            ("nonce=]]%3e".into(), "nonce", Flaw::Characters),
            ("nonce=键".into(), "nonce", Flaw::Characters),
        ] {
            assert_eq!(Query::parse(&raw).check(), Err(Refusal::Parameter(name, flaw)), "{raw:.40}");
        }
        let fits = format!("signature={}&echostr={}", &long[1..], "%31".repeat(LONGEST_ECHOSTR));
        assert_eq!(Query::parse(&fits).check(), Ok(()));
    }

    #[test]
    fn an_encrypt_type_that_nobody_knows_is_refused() {
        for (raw, read) in [
            ("", Ok(Encryption::Plain)),
            ("encrypt_type", Ok(Encryption::Plain)),
            ("encrypt_type=raw", Ok(Encryption::Plain)),
            ("encrypt_type=AES", Ok(Encryption::Aes)),
            ("encrypt_type=des", Err(Refusal::EncryptType)),
        ] {
            assert_eq!(Query::parse(raw).encryption(), read, "{raw}");
        }
    }

    #[test]
    fn debug_shows_no_parameter() {
        assert_eq!(format!("{:?}", Query::parse("openid=oABC&signature=1")), "Query(..)");
    }

    proptest! {
        #[test]
        fn no_query_does_more_than_be_spoilt(raw in "[a-z_=&%+0-9\\PC]{0,200}") {
            let _ = Query::parse(&raw).check();
        }

        #[test]
        fn what_a_form_encoder_writes_is_read_back(text in "\\PC{1,40}") {
            let raw = url::form_urlencoded::Serializer::new(String::new()).append_pair("openid", &text).finish();
            let query = Query::parse(&raw);
            prop_assert_eq!(query.openid(), Some(text.as_str()).filter(|t| t.len() <= LONGEST));
        }
    }
}
