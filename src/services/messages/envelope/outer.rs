//! The body around an encrypted message: reading `Encrypt` out of it, writing one for a reply.
//!
//! It is read from its first byte to its last without a tree and, as WeChat writes it, without a
//! copy. No signature is checked yet, so nothing else of it is used: `ToUserName` beside
//! `Encrypt`, and in compatible mode the whole message, are anybody's claims. A DOCTYPE, a second
//! `Encrypt` and one with elements inside are refused rather than understood somehow.

use std::borrow::Cow;

use base64::Engine;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use super::super::fields::{Format, each_field, mended};
use super::crypt::BASE64;
use super::signature::{Stamped, sign};
use crate::secret::Secret;

/// The element, or member, that has the encrypted message.
const ENCRYPT: &str = "Encrypt";
/// Bytes of a reply besides its base64 and its nonce: a little more than both forms take.
const ENVELOPE: usize = 192;

/// Why a body is not one of WeChat's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// Neither `<` nor `{` at its beginning.
    #[error("the body is neither XML nor JSON")]
    Format,
    /// Bytes that are not UTF-8.
    #[error("the body is not UTF-8")]
    Text,
    /// The end is missing, or a tag.
    #[error("the body is not well-formed XML")]
    Xml,
    /// Not JSON, not an object, or an `Encrypt` that is no text or stands there twice.
    #[error("the body is not the JSON object that WeChat sends")]
    Json,
    /// A DOCTYPE, with which entities could be declared.
    #[error("the body has a DOCTYPE, which WeChat never sends")]
    Doctype,
    /// Several of them, or elements within.
    #[error("the body has not exactly one Encrypt with a text")]
    Ambiguous,
    /// None, or an empty one.
    #[error("the body has no Encrypt, though the query says that it is encrypted")]
    NoEncrypt,
}

/// How a body is written, by its first character.
pub(super) fn format(body: &[u8]) -> Result<Format, OuterError> {
    Format::of(body).ok_or(OuterError::Format)
}

/// The text of the body's `Encrypt`, without white space: what the signature is over.
pub(super) fn encrypt(format: Format, body: &[u8]) -> Result<Cow<'_, str>, OuterError> {
    let body = str::from_utf8(without_mark(body)).map_err(|_| OuterError::Text)?;
    let text = match format {
        Format::Xml => of_xml(body)?,
        Format::Json => of_json(body)?,
    };
    if text.is_empty() {
        return Err(OuterError::NoEncrypt);
    }
    // Looking at all bytes is quicker than stopping at the first: it is done many at a time.
    if text.bytes().fold(false, |seen, byte| seen | byte.is_ascii_whitespace()) {
        return Ok(text.split_ascii_whitespace().collect());
    }
    Ok(text)
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

fn of_json(body: &str) -> Result<Cow<'_, str>, OuterError> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(rename = "Encrypt", borrow, default)]
        encrypt: Cow<'a, str>,
    }
    fn read(body: &str) -> Result<Cow<'_, str>, OuterError> {
        serde_json::from_str(body).map(|Outer { encrypt }| encrypt).map_err(|_| OuterError::Json)
    }
    // In compatible mode the user's text stands beside it, with whatever control characters it has.
    match mended(body) {
        Cow::Borrowed(body) => read(body),
        Cow::Owned(body) => Ok(Cow::Owned(read(&body)?.into_owned())),
    }
}

fn of_xml(body: &str) -> Result<Cow<'_, str>, OuterError> {
    match of_flat(body) {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => of_any_xml(body),
    }
}

/// Of the form in which WeChat writes them; `None` of any other.
fn of_flat(body: &str) -> Option<&str> {
    let (mut found, mut count) = ("", 0);
    each_field(body, |name, _, text| {
        if name == ENCRYPT {
            (found, count) = (text, count + 1);
        }
    })?;
    (count == 1).then_some(found.trim_ascii())
}

fn of_any_xml(body: &str) -> Result<Cow<'_, str>, OuterError> {
    let mut reader = Reader::from_str(body);
    let mut depth = 0_usize;
    let mut found = None;
    let mut inside = false;
    loop {
        match reader.read_event().map_err(|_| OuterError::Xml)? {
            Event::DocType(_) => return Err(OuterError::Doctype),
            Event::Start(tag) => {
                if inside {
                    return Err(OuterError::Ambiguous);
                }
                if depth == 1 && tag.name().as_ref() == ENCRYPT {
                    begin(&mut found)?;
                    inside = true;
                }
                depth += 1;
            }
            Event::Empty(tag) => {
                if inside {
                    return Err(OuterError::Ambiguous);
                }
                if depth == 1 && tag.name().as_ref() == ENCRYPT {
                    begin(&mut found)?;
                }
            }
            Event::End(_) => {
                depth -= 1;
                inside = false;
            }
            Event::Text(text) if inside => append(&mut found, text.into_inner()),
            Event::CData(text) if inside => append(&mut found, text.into_inner()),
            Event::GeneralRef(name) if inside => match name.resolve_char_ref() {
                Ok(Some(character)) => append(&mut found, character.to_string().into()),
                Ok(None) | Err(_) => return Err(OuterError::Xml),
            },
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_) => {}
        }
    }
    if depth > 0 { Err(OuterError::Xml) } else { Ok(found.unwrap_or_default()) }
}

fn begin(found: &mut Option<Cow<'_, str>>) -> Result<(), OuterError> {
    if found.is_some() {
        return Err(OuterError::Ambiguous);
    }
    *found = Some(Cow::Borrowed(""));
    Ok(())
}

/// Adds a piece, without a copy if it is the only one that is more than white space.
fn append<'a>(found: &mut Option<Cow<'a, str>>, piece: Cow<'a, str>) {
    if piece.trim_ascii().is_empty() {
        return;
    }
    match found {
        Some(text) if !text.is_empty() => text.to_mut().push_str(&piece),
        Some(_) | None => *found = Some(piece),
    }
}

/// A reply's body around `cipher`, signed.
pub(super) fn write(format: Format, cipher: &[u8], token: &Secret, stamped: Stamped<'_>) -> String {
    let base64 = cipher.len().div_ceil(3) * 4;
    let mut body = String::with_capacity(base64 + stamped.nonce.len() + ENVELOPE);
    let [before, signature, time, nonce, after] = match format {
        Format::Xml => [
            "<xml>\n<Encrypt><![CDATA[",
            "]]></Encrypt>\n<MsgSignature><![CDATA[",
            "]]></MsgSignature>\n<TimeStamp>",
            "</TimeStamp>\n<Nonce><![CDATA[",
            "]]></Nonce>\n</xml>",
        ],
        Format::Json => {
            [r#"{"Encrypt":""#, r#"","MsgSignature":""#, r#"","TimeStamp":"#, r#","Nonce":""#, r#""}"#]
        }
    };
    body.push_str(before);
    let start = body.len();
    BASE64.encode_string(cipher, &mut body);
    let digits = sign(token, stamped, &body[start..]);
    body.push_str(signature);
    body.extend(digits.map(char::from));
    body.push_str(time);
    body.push_str(stamped.timestamp);
    body.push_str(nonce);
    // Of characters that need no escaping in either form: the query was refused otherwise.
    body.push_str(stamped.nonce);
    body.push_str(after);
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xml(body: &str) -> Result<Cow<'_, str>, OuterError> {
        encrypt(Format::Xml, body.as_bytes())
    }

    fn json(body: &str) -> Result<Cow<'_, str>, OuterError> {
        encrypt(Format::Json, body.as_bytes())
    }

    #[test]
    fn encrypt_is_found_as_wechat_writes_it_and_is_not_copied() {
        let safe = "<xml>\n    <ToUserName><![CDATA[gh_1]]></ToUserName>\n    <Encrypt><![CDATA[a+b/==]]></Encrypt>\n</xml>";
        assert!(matches!(xml(safe), Ok(Cow::Borrowed("a+b/=="))));
        let object = r#"{"ToUserName":"gh_1","Encrypt":"a+b/=="}"#;
        assert!(matches!(json(object), Ok(Cow::Borrowed("a+b/=="))));
    }

    #[test]
    fn encrypt_is_found_however_it_may_be_written() {
        for body in [
            "<xml><Encrypt>a+b/==</Encrypt></xml>",
            "\u{FEFF}<?xml version=\"1.0\"?>\n<xml><Encrypt> <![CDATA[ a+b\r\n/== ]]>\n</Encrypt></xml>\n",
            "<xml><Encrypt><![CDATA[a+]]><!-- c --><![CDATA[b/==]]></Encrypt></xml>",
            "<xml><Encrypt>a&#43;b&#x2f;==</Encrypt></xml>",
            "<xml><Encrypt a='1'>a+b/==</Encrypt ></xml>",
            "<xml><Item><Encrypt>no</Encrypt></Item><Content><![CDATA[<Encrypt>no</Encrypt>]]></Content><Encrypt>a+b/==</Encrypt></xml>",
        ] {
            assert_eq!(xml(body).as_deref(), Ok("a+b/=="), "{body}");
            assert_eq!(format(body.as_bytes()), Ok(Format::Xml));
        }
        for body in [
            r#"{"Encrypt":"a+b\/=="}"#,
            r#" {"List":[{"Encrypt":1}],"Encrypt":"a+b/==","MsgId":12345678901234567890123}"#,
            "{\"Encrypt\":\" a+b\\n/==\"}",
            "{\n\"Content\":\"\x1d\0\n\",\"Encrypt\":\"a+b\r\n/==\"}",
        ] {
            assert_eq!(json(body).as_deref(), Ok("a+b/=="), "{body}");
            assert_eq!(format(body.as_bytes()), Ok(Format::Json));
        }
    }

    #[test]
    fn a_body_of_another_form_is_refused_with_what_is_wrong_with_it() {
        for (body, error) in [
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><xml><Encrypt>&a;</Encrypt></xml>", OuterError::Doctype),
            ("<xml><!doctype x><Encrypt>a</Encrypt></xml>", OuterError::Doctype),
            ("<xml><Encrypt>&a;</Encrypt></xml>", OuterError::Xml),
            ("<xml><Encrypt>a</Encrypt>", OuterError::Xml),
            ("<xml><Encrypt>a</xml>", OuterError::Xml),
            ("<xml><Encrypt><![CDATA[a</Encrypt></xml>", OuterError::Xml),
            ("<xml></xml></xml>", OuterError::Xml),
            ("<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>", OuterError::Ambiguous),
            ("<xml><Encrypt>a</Encrypt><Encrypt/></xml>", OuterError::Ambiguous),
            ("<xml><Encrypt>a<b>c</b></Encrypt></xml>", OuterError::Ambiguous),
            ("<xml><Encrypt>a<b/></Encrypt></xml>", OuterError::Ambiguous),
            ("<xml><Encrypt/></xml>", OuterError::NoEncrypt),
            ("<xml><Encrypt> \n </Encrypt></xml>", OuterError::NoEncrypt),
            ("<xml><encrypt>a</encrypt></xml>", OuterError::NoEncrypt),
            ("<Encrypt>a</Encrypt>", OuterError::NoEncrypt),
            ("<xml><a><Encrypt>a</Encrypt></a></xml>", OuterError::NoEncrypt),
        ] {
            assert_eq!(xml(body), Err(error), "{body}");
        }
        for (body, error) in [
            ("{}", OuterError::NoEncrypt),
            (r#"{"Encrypt":""}"#, OuterError::NoEncrypt),
            (r#"{"Encrypt":null}"#, OuterError::Json),
            (r#"{"Encrypt":"a","Encrypt":"b"}"#, OuterError::Json),
            (r#"{"Encrypt":["a"]}"#, OuterError::Json),
            (r#"{"Encrypt":"a"} x"#, OuterError::Json),
            (r#"{"Encrypt":"a""#, OuterError::Json),
        ] {
            assert_eq!(json(body), Err(error), "{body}");
        }
        assert_eq!(encrypt(Format::Xml, b"<xml>\xff</xml>"), Err(OuterError::Text));
        for body in [&b""[..], b" \n", b"\xEF\xBB\xBF", b"[1]", b"a=b"] {
            assert_eq!(format(body), Err(OuterError::Format));
        }
    }

    #[test]
    fn the_usual_body_is_read_the_quick_way_and_an_ambiguous_one_is_not() {
        for (body, found) in [
            ("<xml><Encrypt><![CDATA[a+b/==]]></Encrypt></xml>", Some("a+b/==")),
            ("<xml>\n<ToUserName><![CDATA[g]]></ToUserName>\n<Encrypt> a </Encrypt></xml>\n", Some("a")),
            ("<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>", None),
            ("<xml><encrypt>a</encrypt></xml>", None),
        ] {
            assert_eq!(of_flat(body), found, "{body}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = 50_000;
        let body = format!("<xml>{}{}</xml>", "<a>".repeat(deep), "</a>".repeat(deep));
        assert_eq!(xml(&body), Err(OuterError::NoEncrypt));
        let body = format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep));
        assert!(json(&body).is_err());
    }

    #[test]
    fn a_reply_has_its_elements_in_the_order_of_wechats_samples() {
        let token = Secret::from("pamtest");
        let stamped = Stamped { timestamp: "1713424427", nonce: "415670741" };
        let signature = sign(&token, stamped, "AAEC");
        let signature = str::from_utf8(&signature).unwrap();
        assert_eq!(
            write(Format::Xml, &[0, 1, 2], &token, stamped),
            format!(
                "<xml>\n<Encrypt><![CDATA[AAEC]]></Encrypt>\n<MsgSignature><![CDATA[{signature}]]></MsgSignature>\n\
                 <TimeStamp>1713424427</TimeStamp>\n<Nonce><![CDATA[415670741]]></Nonce>\n</xml>"
            )
        );
        assert_eq!(
            write(Format::Json, &[0, 1, 2], &token, stamped),
            format!(
                r#"{{"Encrypt":"AAEC","MsgSignature":"{signature}","TimeStamp":1713424427,"Nonce":"415670741"}}"#
            )
        );
    }

    proptest! {
        #[test]
        fn what_is_read_the_quick_way_is_what_the_reader_of_all_xml_reads(
            body in "<xml>(<Encrypt>(<!\\[CDATA\\[)?[a+/= \n]{0,3}(\\]\\]>)?</Encrypt>|<a>[^<&]{0,3}</a>|[ \n<]){0,4}</xml>"
        ) {
            if let Some(found) = of_flat(&body) {
                let all = of_any_xml(&body).unwrap();
                prop_assert_eq!(found, all.trim_ascii());
            }
        }

        #[test]
        fn no_body_does_more_than_be_refused(body in "(<xml>|</|<Encrypt>|<!\\[CDATA\\[|\\]\\]>|[a<>&;{}\":\\[\\]!-]|\\PC){0,40}") {
            let _ = xml(&body);
            let _ = json(&body);
        }
    }
}
