//! What WeChat answered: done, or refused with a number.
//!
//! A refusal's text is reduced to one line, cut, and cleared of the token before it can reach a
//! log.

use std::fmt;

use serde_json::Value;

use crate::model::ErrCode;
use crate::secret::Secret;

use super::errcode;
use super::error::LostKind;

/// So much of WeChat's own words is kept, in characters.
const MAX_SAID: usize = 200;
/// So much of a request id, in characters. They have 26.
const MAX_RID: usize = 64;

/// A readable answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// No errcode, or 0: all fields.
    Done(Value),
    /// Nothing was done.
    Refused(Refusal),
}

/// WeChat's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number.
    pub errcode: ErrCode,
    /// What the number means and what to do about it, if we know it.
    pub meaning: Option<&'static str>,
    /// WeChat's own words, on one line.
    pub said: String,
    /// WeChat's id of the request, which its support asks for.
    pub rid: Option<String>,
}

impl Refusal {
    /// Whether the access token is to blame. Not 42007, which is about users' own tokens.
    pub(super) fn says_dead(&self) -> bool {
        matches!(self.errcode, ErrCode(40001 | 40014 | 42001))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errcode, meaning, said, rid } = self;
        match meaning {
            Some(meaning) => write!(f, "{meaning} (errcode {errcode}")?,
            None => write!(f, "\"{said}\" (errcode {errcode}, see WeChat's list of return codes")?,
        }
        rid.as_ref().map_or(Ok(()), |rid| write!(f, ", rid {rid}"))?;
        f.write_str(")")
    }
}

/// Reads the body of an answer.
pub(super) fn read(body: &[u8], hidden: &Secret) -> Result<Answer, LostKind> {
    let text = String::from_utf8_lossy(body);
    // Raw control characters are legal nowhere inside JSON's strings, yet WeChat sends them.
    let text = text.trim_start_matches('\u{feff}').replace(|c: char| c < ' ', " ");
    let value: Value = serde_json::from_str(&text).map_err(|_| LostKind::NotJson)?;
    let Value::Object(fields) = &value else { return Err(LostKind::NotJson) };
    let errcode = match fields.get("errcode") {
        None => 0,
        Some(number) => integer(number).ok_or(LostKind::NotJson)?,
    };
    if errcode == 0 {
        return Ok(Answer::Done(value));
    }
    let said = fields.get("errmsg").and_then(Value::as_str).unwrap_or_default();
    Ok(Answer::Refused(refusal(ErrCode(errcode), said, hidden)))
}

fn refusal(errcode: ErrCode, said: &str, hidden: &Secret) -> Refusal {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    let mut said = said.replace(breaks, " ").trim().to_owned();
    if !hidden.expose().is_empty() {
        said = said.replace(hidden.expose(), "***");
    }
    let rid = said.rfind("rid: ").map(|at| (at, said[at + "rid: ".len()..].to_owned()));
    let rid = rid.map(|(at, rest)| {
        said.truncate(said[..at].trim_end().len());
        let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        rest.chars().take_while(fits).take(MAX_RID).collect::<String>()
    });
    Refusal {
        errcode,
        meaning: errcode::meaning(errcode),
        said: said.chars().take(MAX_SAID).collect(),
        rid: rid.filter(|rid| !rid.is_empty()),
    }
}

/// A whole number, as such or as decimal text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Refusal {
        match read(body.as_bytes(), &Secret::from("t0ken")).unwrap() {
            Answer::Refused(refusal) => refusal,
            Answer::Done(fields) => panic!("{fields}"),
        }
    }

    #[test]
    fn answer_without_a_number_or_with_zero_is_done_and_keeps_its_fields() {
        for body in [r#"{"errcode":0,"errmsg":"ok","msgid":7}"#, r#"{"msgid":7}"#, "\u{feff}{\"msgid\":7}"] {
            let Answer::Done(fields) = read(body.as_bytes(), &Secret::from("t")).unwrap() else {
                panic!("{body}")
            };
            assert_eq!(fields["msgid"], 7);
        }
    }

    #[test]
    fn refusal_says_what_to_do_and_names_the_request_on_one_line() {
        let refusal = refused(
            "{\"errcode\":45015,\"errmsg\":\"response out of\ntime limit rid: 65a748e4-07337c6e-789529c1\"}",
        );
        assert_eq!(refusal.rid.as_deref(), Some("65a748e4-07337c6e-789529c1"));
        assert_eq!(refusal.said, "response out of time limit");
        let text = refusal.to_string();
        assert!(
            text.contains("48 hours") && text.ends_with("(errcode 45015, rid 65a748e4-07337c6e-789529c1)")
        );
        let unknown = refused(r#"{"errcode":"99999","errmsg":"odd t0ken"}"#);
        assert_eq!(
            unknown.to_string(),
            "\"odd ***\" (errcode 99999, see WeChat's list of return codes)",
            "the token is not shown"
        );
    }

    #[test]
    fn long_words_are_cut() {
        let said = format!(r#"{{"errcode":1,"errmsg":"{}"}}"#, "坏".repeat(5_000));
        assert_eq!(refused(&said).said.chars().count(), MAX_SAID);
    }

    #[test]
    fn body_that_is_not_wechats_is_lost_and_not_a_success() {
        for body in ["", "<html>", "[]", "7", "{\"errcode\":", r#"{"errcode":"x"}"#, r#"{"errcode":null}"#] {
            assert_eq!(read(body.as_bytes(), &Secret::from("t")).unwrap_err(), LostKind::NotJson, "{body}");
        }
    }

    #[test]
    fn only_three_numbers_blame_the_token() {
        for (errcode, dead) in
            [(40001, true), (40014, true), (42001, true), (42007, false), (48001, false), (-1, false)]
        {
            assert_eq!(refused(&format!(r#"{{"errcode":{errcode}}}"#)).says_dead(), dead, "{errcode}");
        }
    }
}
