//! Which URL a request wants signed, out of the ways in which pages send it.
//!
//! ```text
//! GET  ?url=https%3A%2F%2F…                 encodeURIComponent(location.href.split('#')[0])
//! POST url=… or wechaturl=…                 a form with that, or with its base64 (window.btoa)
//! POST {"url": "https://…"}                 JSON
//! ```
//!
//! The text is decoded once and not touched otherwise. Pages send base64 in forms without encoding
//! it, so `+` arrives as itself or as a blank, and padding may be lost; a blank is never part of
//! a URL in an address bar, so nothing else can be meant.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The names of the URL in queries and forms: ours, and that of the seeds' pages.
const NAMES: [&str; 2] = ["url", "wechaturl"];
/// Either alphabet is written as the URL-safe one, and padding may be there.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a request wants nothing that can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// No such parameter.
    #[error(
        "the request has no url: send ?url=, with encodeURIComponent(location.href.split('#')[0]) behind it"
    )]
    Missing,
    /// Two of them.
    #[error("the request has several urls: send one")]
    Several,
    /// Its own `&` has cut it off.
    #[error(
        "the url is not encoded, so that its own & cut it off: send encodeURIComponent(location.href.split('#')[0])"
    )]
    NotEncoded,
    /// Not text once it is decoded.
    #[error("the url is not UTF-8 once it is decoded: send encodeURIComponent(location.href.split('#')[0])")]
    NotText,
    /// Neither a URL nor base64.
    #[error(
        "the url of the form is neither a URL nor one in base64: send encodeURIComponent(location.href.split('#')[0])"
    )]
    NotBase64,
    /// Not JSON of that form.
    #[error("the body is no JSON of the form {{\"url\": \"https://…\"}}")]
    NotJson,
}

impl Unclear {
    /// For programs, metrics and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no_url",
            Self::Several => "several_urls",
            Self::NotEncoded => "not_encoded",
            Self::NotText | Self::NotBase64 | Self::NotJson => "unreadable",
        }
    }
}

/// The URL in a query.
///
/// # Errors
/// The page must send it otherwise.
pub fn in_query(query: &str) -> Result<Cow<'_, str>, Unclear> {
    let (raw, others) = find(query)?;
    // Written as it is, a URL ends at its own first `&`, and nobody would know. A `%` in front of it
    // shows that it was encoded.
    if others && raw.contains("://") && raw.contains('?') {
        return Err(Unclear::NotEncoded);
    }
    decoded(raw)
}

/// The URL in a form, plain or in base64.
///
/// # Errors
/// The page must send it otherwise.
pub fn in_form(form: &str) -> Result<String, Unclear> {
    let (raw, others) = find(form)?;
    let text = decoded(raw)?;
    // Base64 has no colon, and a URL has one.
    if text.contains(':') {
        if others && raw.contains("://") && raw.contains('?') {
            return Err(Unclear::NotEncoded);
        }
        return Ok(text.into_owned());
    }
    let plain = text.trim_matches(['\r', '\n', '\t']);
    let safe = plain.chars().map(|letter| match letter {
        ' ' | '+' => '-',
        '/' => '_',
        other => other,
    });
    let bytes = BASE64.decode(safe.collect::<String>()).map_err(|_| Unclear::NotBase64)?;
    String::from_utf8(bytes).map_err(|_| Unclear::NotText)
}

/// The URL in a JSON document.
///
/// # Errors
/// The page must send it otherwise.
pub fn in_json(body: &[u8]) -> Result<String, Unclear> {
    #[derive(serde::Deserialize)]
    struct Document {
        url: String,
    }
    serde_json::from_slice(body).map(|Document { url }| url).map_err(|_| Unclear::NotJson)
}

/// The only parameter with a URL's name, and whether others come after it.
fn find(query: &str) -> Result<(&str, bool), Unclear> {
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match &mut found {
            None if NAMES.contains(&name) => found = Some((value, false)),
            None => {}
            Some(_) if NAMES.contains(&name) => return Err(Unclear::Several),
            Some((_, others)) => *others |= !pair.is_empty(),
        }
    }
    found.ok_or(Unclear::Missing)
}

/// Percent-decoded once. A `+` stays: a URL in an address bar has no blank that it could stand for.
fn decoded(raw: &str) -> Result<Cow<'_, str>, Unclear> {
    percent_encoding::percent_decode_str(raw).decode_utf8().map_err(|_| Unclear::NotText)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn url_of_a_query_is_decoded_once_and_a_plus_stays() {
        for (query, url) in [
            ("url=https%3A%2F%2Fa.example%2F%3Fb%3D1%26c%3D%2525", "https://a.example/?b=1&c=%25"),
            ("x=1&url=https%3A%2F%2Fa.example%2F%3Fq%3Da%2Bb&_=17", "https://a.example/?q=a+b"),
            ("url=https://a.example/?q=a+b", "https://a.example/?q=a+b"),
            ("wechaturl=https://a.example/", "https://a.example/"),
            ("url=https%253A%252F%252Fa.example%252F", "https%3A%2F%2Fa.example%2F"),
            ("url=", ""),
        ] {
            assert_eq!(in_query(query).as_deref(), Ok(url), "{query}");
        }
        for (query, why) in [
            ("", Unclear::Missing),
            ("uri=https%3A%2F%2Fa.example", Unclear::Missing),
            ("URL=https%3A%2F%2Fa.example", Unclear::Missing),
            ("url=a&url=b", Unclear::Several),
            ("url=a&wechaturl=b", Unclear::Several),
            ("url=https://a.example/?b=1&c=2", Unclear::NotEncoded),
            ("url=%FF", Unclear::NotText),
        ] {
            assert_eq!(in_query(query), Err(why), "{query}");
        }
    }

    #[test]
    fn form_of_the_seeds_page_is_read_however_its_base64_suffered() {
        // btoa of this has a plus, a slash and padding.
        let url = "https://h5.example.com/?a=>>>???~~~&b=~1";
        let text = STANDARD.encode(url);
        assert!(text.contains('+') && text.contains('/') && text.ends_with('='), "{text}");
        let escaped = text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        for sent in [
            text.clone(),
            text.replace('+', " "),
            text.replace('+', "%20"),
            escaped,
            text.trim_end_matches('=').to_owned(),
            STANDARD_NO_PAD.encode(url).replace('+', " "),
            URL_SAFE_NO_PAD.encode(url),
            format!("{text}%0A"),
        ] {
            for name in NAMES {
                let form = format!("{name}={sent}&x=1");
                assert_eq!(in_form(&form).as_deref(), Ok(url), "{form}");
            }
        }
        assert_eq!(
            in_form("url=https%3A%2F%2Fa.example%2F%3Fq%3Da%2Bb").as_deref(),
            Ok("https://a.example/?q=a+b")
        );
        assert_eq!(in_form("url=https://a.example/?b=1&c=2"), Err(Unclear::NotEncoded));
        assert_eq!(in_form("wechaturl=***"), Err(Unclear::NotBase64));
        assert_eq!(in_form("wechaturl=__79"), Err(Unclear::NotText));
        assert_eq!(in_form("x=1"), Err(Unclear::Missing));
    }

    #[test]
    fn json_has_the_url_as_it_is() {
        assert_eq!(
            in_json(br#"{"url":"https:\/\/a.example/?b=1&c=2","x":1}"#).as_deref(),
            Ok("https://a.example/?b=1&c=2")
        );
        for body in ["", "{}", "[]", "{\"url\":1}", "https://a.example/", "{\"url\":\"a\",\"url\":\"b\"}"] {
            assert_eq!(in_json(body.as_bytes()), Err(Unclear::NotJson), "{body}");
        }
    }

    proptest! {
        #[test]
        fn every_url_comes_through_every_form(tail in "[!-~]{0,60}") {
            let url = format!("https://h5.example.com/{tail}");
            let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
            let query = format!("url={encoded}&_=1");
            prop_assert_eq!(in_query(&query).unwrap(), url.as_str());
            prop_assert_eq!(in_form(&format!("url={encoded}&_=1")).unwrap(), url.as_str());
            let text = STANDARD.encode(&url);
            prop_assert_eq!(in_form(&format!("wechaturl={text}")).unwrap(), url.as_str());
            prop_assert_eq!(in_form(&format!("wechaturl={}", text.replace('+', " "))).unwrap(), url.as_str());
            let json = serde_json::json!({ "url": url }).to_string();
            prop_assert_eq!(in_json(json.as_bytes()).unwrap(), url);
        }
    }
}
