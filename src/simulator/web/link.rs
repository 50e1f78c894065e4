//! The authorize link, judged as strictly as WeChat's strictest client does.
//!
//! The names must stand in the documented order and be spelt as documented, `redirect_uri` must
//! be percent-encoded whole (as `encodeURIComponent` does), `state` short and of letters and
//! digits. WeChat has a number for some mistakes only; the others have none here either. The
//! fragment `#wechat_redirect` is not sent to servers: the page looks for it.

use percent::decode;
use url::Url;

use super::super::oauth::Scope;

/// What must come first, in this order.
const ORDER: [&str; 5] = ["appid", "redirect_uri", "response_type", "scope", "state"];
/// What may follow, in any order, each once.
const EXTRAS: [&str; 4] = ["forcePopup", "forceSnapShot", "connect_redirect", "component_appid"];
/// WeChat's page: at most 128 bytes.
const STATE_LIMIT: usize = 128;

/// A good link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) appid: String,
    /// As it is once decoded, byte for byte.
    pub(super) redirect_uri: String,
    pub(super) target: Url,
    pub(super) scope: Scope,
    pub(super) state: Option<String>,
    pub(super) snapshot: Forced,
}

/// Whether a parameter says `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    Yes,
    No,
}

/// Why WeChat does not open the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// WeChat's number, where its documentation has one.
    pub(super) number: Option<i64>,
    /// What the developer should look at.
    pub(super) why: String,
}

impl Wrong {
    pub(super) fn numbered(number: i64, why: impl Into<String>) -> Self {
        Self { number: Some(number), why: why.into() }
    }

    pub(super) fn plain(why: impl Into<String>) -> Self {
        Self { number: None, why: why.into() }
    }
}

/// Reads the query of the link as it came.
pub(super) fn read(query: &str) -> Result<Link, Wrong> {
    let pairs: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    for (name, number) in [("appid", 10012), ("redirect_uri", 10011), ("scope", 10010)] {
        if value(name).unwrap_or_default().is_empty() {
            return Err(Wrong::numbered(number, format!("{name} is missing or empty")));
        }
    }
    if value("state") == Some("") {
        return Err(Wrong::numbered(10013, "state is empty; leave it out, or give it a value"));
    }
    in_order(&pairs)?;
    if value("response_type") != Some("code") {
        return Err(Wrong::plain("response_type must be code"));
    }
    let redirect_uri = target(value("redirect_uri").unwrap_or_default())?;
    let scope = match value("scope") {
        Some("snsapi_base") => Scope::Base,
        Some("snsapi_userinfo") => Scope::UserInfo,
        _ => return Err(Wrong::numbered(10005, "scope must be snsapi_base or snsapi_userinfo")),
    };
    let state = value("state");
    if let Some(state) = state {
        good_state(state)?;
    }
    Ok(Link {
        appid: value("appid").unwrap_or_default().to_owned(),
        target: Url::parse(&redirect_uri)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| Wrong::numbered(10003, "redirect_uri is no http or https URL with a host"))?,
        redirect_uri,
        scope,
        state: state.map(str::to_owned),
        snapshot: if value("forceSnapShot") == Some("true") { Forced::Yes } else { Forced::No },
    })
}

/// The documented order: the desktop client matches the link against it.
fn in_order(pairs: &[(&str, &str)]) -> Result<(), Wrong> {
    let rule = "the order is appid, redirect_uri, response_type, scope, state, and then others";
    let mut left =
        ORDER.iter().copied().filter(|name| *name != "state" || pairs.iter().any(|p| p.0 == "state"));
    let mut seen: Vec<&str> = Vec::new();
    for (name, _) in pairs {
        match left.next() {
            Some(wanted) if wanted == *name => {}
            Some(wanted) => {
                return Err(Wrong::plain(format!("{name} stands where {wanted} belongs: {rule}")));
            }
            None if seen.contains(name) || ORDER.contains(name) => {
                return Err(Wrong::plain(format!("{name} is there twice: {rule}")));
            }
            None if EXTRAS.contains(name) => seen.push(name),
            None => return Err(Wrong::plain(format!("{name} is no parameter of this link"))),
        }
    }
    match left.next() {
        None => Ok(()),
        Some(wanted) => Err(Wrong::plain(format!("{wanted} is missing: {rule}"))),
    }
}

fn target(raw: &str) -> Result<String, Wrong> {
    let literal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!*'()%".contains(&byte);
    if let Some(bad) = raw.chars().find(|c| !c.is_ascii() || !literal(*c as u8)) {
        let why = format!("redirect_uri has a bare {bad:?}: encode all of it, as encodeURIComponent does");
        return Err(Wrong::plain(why));
    }
    decode(raw).ok_or_else(|| Wrong::plain("redirect_uri is percent-encoded wrongly"))
}

fn good_state(state: &str) -> Result<(), Wrong> {
    if state.len() > STATE_LIMIT {
        return Err(Wrong::plain(format!("state has {} bytes, and 128 are allowed", state.len())));
    }
    match state.chars().find(|c| !c.is_ascii_alphanumeric()) {
        None => Ok(()),
        Some(bad) => Err(Wrong::plain(format!("state has a {bad:?}: only a-z, A-Z and 0-9 are allowed"))),
    }
}

/// The address with the answer in its query, which it may have had before.
pub(super) fn with_answer(redirect_uri: &str, code: Option<&str>, state: Option<&str>) -> String {
    let (address, fragment) = match redirect_uri.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (redirect_uri, None),
    };
    let mut whole = address.to_owned();
    // WeChat sends an empty state where the link had none.
    for (name, value) in [("code", code), ("state", Some(state.unwrap_or_default()))] {
        let Some(value) = value else { continue };
        whole.push(match whole.split_once('?') {
            None => '?',
            Some(_) => '&',
        });
        whole.push_str(name);
        whole.push('=');
        whole.push_str(value);
    }
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    whole
}

/// Percent-encoding, by hand because the form decoder of the rest also turns `+` into a space.
mod percent {
    /// The text behind it; `None` where a `%` has no two hex digits behind it or it is no UTF-8.
    pub(super) fn decode(raw: &str) -> Option<String> {
        let mut bytes = Vec::with_capacity(raw.len());
        let mut rest = raw.as_bytes();
        while let Some((first, more)) = rest.split_first() {
            rest = more;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let (pair, more) = rest.split_first_chunk::<2>()?;
            rest = more;
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        }
        String::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK: &str = "https%3A%2F%2Fh5.example.com%2Fback%3Fa%3D1%26b%3D%252F";

    fn link(redirect: &str, rest: &str) -> String {
        format!("appid=wx1&redirect_uri={redirect}&{rest}")
    }

    #[test]
    fn link_in_the_documented_form_is_read_byte_for_byte() {
        let state = "a".repeat(128);
        let read = read(&link(BACK, &format!("response_type=code&scope=snsapi_base&state={state}"))).unwrap();
        assert_eq!(read.redirect_uri, "https://h5.example.com/back?a=1&b=%2F");
        assert_eq!(read.target.host_str(), Some("h5.example.com"));
        assert_eq!((read.scope, read.state.as_deref()), (Scope::Base, Some(state.as_str())));
        for rest in
            ["scope=snsapi_userinfo", "scope=snsapi_userinfo&state=0&forcePopup=true&connect_redirect=1"]
        {
            assert!(super::read(&link(BACK, &format!("response_type=code&{rest}"))).is_ok(), "{rest}");
        }
    }

    #[test]
    fn each_wrong_link_is_refused_with_wechats_number_where_it_has_one() {
        let long = format!("response_type=code&scope=snsapi_base&state={}", "a".repeat(129));
        let code = "response_type=code&scope=snsapi_base&state=1";
        let cases = [
            (format!("redirect_uri={BACK}&{code}"), Some(10012), "appid"),
            (format!("appid=&redirect_uri={BACK}&{code}"), Some(10012), "appid"),
            (format!("appid=wx1&{code}"), Some(10011), "redirect_uri"),
            (link(BACK, "response_type=code&state=1"), Some(10010), "scope"),
            (link(BACK, "response_type=code&scope=snsapi_base&state="), Some(10013), "state"),
            (link(BACK, "response_type=code&scope=snsapi_login&state=1"), Some(10005), "scope"),
            (link("%2Fback", code), Some(10003), "http or https"),
            (link("javascript%3Aalert(1)", code), Some(10003), "http or https"),
            (link("https://h5.example.com/", code), None, "bare ':'"),
            (link("https%3A%2F%2Fh5.example.com%2Fa+b", code), None, "bare '+'"),
            (link("https%3A%2F%2Fh5.example.com%2F%4", code), None, "percent-encoded wrongly"),
            (link(BACK, "scope=snsapi_base&response_type=code&state=1"), None, "the order is"),
            (link(BACK, "response_type=code&state=1&scope=snsapi_base"), None, "the order is"),
            (format!("redirect_uri={BACK}&appid=wx1&{code}"), None, "the order is"),
            (link(BACK, &format!("{code}&state=2")), None, "twice"),
            (link(BACK, &format!("{code}&forcePopup=true&forcePopup=true")), None, "twice"),
            (link(BACK, &format!("{code}&utm=1")), None, "no parameter"),
            (link(BACK, "scope=snsapi_base&state=1"), None, "response_type"),
            (link(BACK, "response_type=token&scope=snsapi_base&state=1"), None, "response_type"),
            (link(BACK, &long), None, "129 bytes"),
            (link(BACK, "response_type=code&scope=snsapi_base&state=a-b"), None, "'-'"),
        ];
        for (query, number, about) in cases {
            let wrong = read(&query).expect_err(&query);
            assert_eq!(wrong.number, number, "{query}: {}", wrong.why);
            assert!(wrong.why.contains(about), "{query}: {}", wrong.why);
        }
    }

    #[test]
    fn answer_is_appended_to_the_query_that_was_there_and_before_the_fragment() {
        let answered = |uri| with_answer(uri, Some("C"), Some("S"));
        assert_eq!(answered("http://a.example/b"), "http://a.example/b?code=C&state=S");
        assert_eq!(answered("http://a.example/b?x=1"), "http://a.example/b?x=1&code=C&state=S");
        assert_eq!(answered("http://a.example/b#/route?y"), "http://a.example/b?code=C&state=S#/route?y");
        assert_eq!(with_answer("http://a.example/", None, None), "http://a.example/?state=");
    }
}
