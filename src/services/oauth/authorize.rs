//! The address of WeChat's page, on which a user agrees to log in.
//!
//! WeChat checks it against a strict pattern: this order of parameters and this fragment, or the
//! page does not open. Nothing in it is decided here.

use std::fmt::Write as _;

use crate::model::AppId;

use super::account::{Origin, Scope};

/// The page with a code for this state to come to this address of ours. `at` is where WeChat has
/// its page.
pub fn authorize_url(at: &Origin, appid: &AppId, redirect_uri: &str, scope: Scope, state: &str) -> String {
    format!(
        "{at}/connect/oauth2/authorize?appid={}&redirect_uri={}&response_type=code&scope={}&state={}#wechat_redirect",
        escaped(appid.as_str()),
        escaped(redirect_uri),
        scope.as_str(),
        escaped(state),
    )
}

/// A text as the value of a parameter: `encodeURIComponent`, and the few marks too that it leaves
/// alone. A space is `%20`; `+`, which forms have for it, would be taken for itself.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_wechats_order_and_encoding_to_the_letter() {
        let url = authorize_url(
            &"https://open.weixin.qq.com".parse().unwrap(),
            &"wx0123456789abcdef".parse().unwrap(),
            "https://wx.example.com/oauth/shop/callback",
            Scope::UserInfo,
            "0123456789abcdef0123456789abcdef",
        );
        assert_eq!(
            url,
            "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx0123456789abcdef\
             &redirect_uri=https%3A%2F%2Fwx.example.com%2Foauth%2Fshop%2Fcallback&response_type=code\
             &scope=snsapi_userinfo&state=0123456789abcdef0123456789abcdef#wechat_redirect"
        );
    }

    #[test]
    fn escaped_text_is_read_back_by_every_reader_of_addresses() {
        assert_eq!(escaped("a b+c&d=e#f?é/\u{1f600}"), "a%20b%2Bc%26d%3De%23f%3F%C3%A9%2F%F0%9F%98%80");
        for text in ["", "-._~", "!*'()", "100%", "\u{0}\n"] {
            let escaped = escaped(text);
            let back = url::form_urlencoded::parse(escaped.as_bytes()).next();
            assert_eq!(back.map_or_else(String::new, |(name, _)| name.into_owned()), text);
        }
    }
}
