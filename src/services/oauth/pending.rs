//! A login that has begun: its state, and the browser that it is bound to.
//!
//! The state goes through WeChat and back, so it may be seen; what it is worth is in a record, and
//! only together with the cookie of the browser that began. One value of the cookie serves all
//! logins of a browser, so that two tabs do not lose each other's.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::WallTime;

use super::account::{Origin, Scope};
use super::query;

/// How long a login may take, from its first page on. WeChat's own code lives for five minutes.
pub(super) const LIFE: Duration = Duration::from_mins(10);
/// How often WeChat is asked again by itself, when its code was not good.
pub(super) const RESTARTS: u8 = 2;
/// How long a browser keeps its binding, from its last login on. Longer than a login, so that a late
/// one is told that it is late, and not that it is another browser's.
const BINDING_LIFE: Duration = Duration::from_hours(1);
/// The cookie of the binding, and the same where only https sees it and no other host can set it.
const BINDING: &str = "zk_login";
const BINDING_SECURE: &str = "__Host-zk_login";

/// The name of a login: 128 bits of the operating system's, as 32 hex digits. WeChat takes letters and
/// digits, at most 128.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State(String);

/// What a browser proves with that it began a login: the same form, in a cookie.
#[derive(Clone)]
pub(super) struct Binding(String);

/// The mark of a binding, for a record: whoever reads it there cannot make the cookie.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BindingMark([u8; 32]);

/// What is kept of a login while the user is with WeChat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The path of its account.
    pub(super) account: String,
    /// The name of its application, if the link had one.
    pub(super) app: Option<String>,
    /// What is asked for.
    pub(super) scope: Scope,
    /// Where it goes back to, checked.
    pub(super) return_to: String,
    /// The browser that began.
    pub(super) browser: BindingMark,
    /// What the application wants to find in its assertion.
    pub(super) nonce: Option<String>,
    /// How often WeChat was asked again.
    pub(super) restarts: u8,
    /// When it began, in milliseconds of the wall clock; a restart does not change it.
    pub(super) begun: i64,
}

impl State {
    /// One that nobody can guess.
    pub(super) fn new() -> Self {
        Self(hex::encode(rand::random::<[u8; 16]>()))
    }

    /// A text that could be one; anything else never was.
    pub(super) fn parse(text: &str) -> Option<Self> {
        is_ours(text).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever reads it in a log within ten minutes has half of a login.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State(..)")
    }
}

impl Binding {
    /// What this browser has, if it has one.
    pub(super) fn of(headers: &HeaderMap, base: &Origin) -> Option<Self> {
        query::cookie(headers, name(base)).filter(|text| is_ours(text)).map(|text| Self(text.to_owned()))
    }

    /// For a browser that has none.
    pub(super) fn new() -> Self {
        Self(State::new().0)
    }

    pub(super) fn mark(&self) -> BindingMark {
        BindingMark(Sha256::digest(&self.0).into())
    }

    /// `Set-Cookie`. Not taken away at the end: another tab's login may still need it, and it opens
    /// nothing by itself.
    pub(super) fn cookie(&self, base: &Origin) -> HeaderValue {
        let secure = if base.is_https() { "; Secure" } else { "" };
        let text = format!(
            "{}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            name(base),
            self.0,
            BINDING_LIFE.as_secs(),
        );
        HeaderValue::try_from(text).expect("hex digits and the words here are visible ASCII")
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(..)")
    }
}

impl BindingMark {
    /// Whether a login is this browser's.
    pub(super) fn is_of(&self, browser: Option<&Binding>) -> bool {
        browser.is_some_and(|browser| bool::from(self.0.ct_eq(&browser.mark().0)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for BindingMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindingMark(..)")
    }
}

impl Pending {
    /// When its state is worth nothing any more.
    pub(super) fn ends(&self) -> WallTime {
        let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
        WallTime(self.begun.saturating_add(life))
    }
}

fn name(base: &Origin) -> &'static str {
    if base.is_https() { BINDING_SECURE } else { BINDING }
}

fn is_ours(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn state_has_128_bits_in_wechats_alphabet_and_only_its_own_form_is_read() {
        let states: HashSet<String> = (0..1_000).map(|_| State::new().0).collect();
        assert_eq!(states.len(), 1_000);
        for state in &states {
            assert_eq!(State::parse(state).unwrap().as_str(), state);
            assert_eq!(hex::decode(state).unwrap().len() * 8, 128);
        }
        let upper = "A".repeat(32);
        for bad in ["", "0", &"0".repeat(31), &"0".repeat(33), &upper, "../../../../../../etc/passwd____"] {
            assert!(State::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn binding_is_a_lax_cookie_that_only_https_sees_where_there_is_https() {
        let (https, http) = ("https://wx.example".parse().unwrap(), "http://127.0.0.1:1".parse().unwrap());
        let binding = Binding::new();
        let cookie = |base| binding.cookie(base).to_str().unwrap().to_owned();
        let value = &binding.0;
        assert_eq!(
            cookie(&https),
            format!("__Host-zk_login={value}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure")
        );
        assert_eq!(cookie(&http), format!("zk_login={value}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"));
        let sent = |text: &str| HeaderMap::from_iter([(COOKIE, text.parse().unwrap())]);
        let mark = binding.mark();
        let is_of = |text: &str, base| mark.is_of(Binding::of(&sent(text), base).as_ref());
        assert!(is_of(&format!("a=b; __Host-zk_login={value}"), &https));
        // Without the prefix another host of the domain may have set it.
        assert!(!is_of(&format!("zk_login={value}"), &https));
        assert!(is_of(&format!("zk_login={value}"), &http));
        assert!(!is_of(&format!("zk_login={}", Binding::new().0), &http));
        assert!(!is_of("zk_login=", &http) && !mark.is_of(None));
    }

    #[test]
    fn nothing_that_opens_a_login_is_shown() {
        let (state, binding) = (State::new(), Binding::new());
        let shown = format!("{state:?} {binding:?} {:?}", binding.mark());
        assert_eq!(shown, "State(..) Binding(..) BindingMark(..)");
    }
}
