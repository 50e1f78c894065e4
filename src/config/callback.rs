//! `callback_url` of an account: the address in WeChat's console, for `zhongkong doctor` alone.

use url::Url;

/// Reads it.
///
/// # Errors
/// The rule and the fix. The text is not repeated: it may hold a password.
pub(super) fn callback_url(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Err(_) => {
            Err("this is no URL: write it as in WeChat's console, like \"https://wx.example.com/callback\"")
        }
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err("WeChat calls http:// and https:// addresses only")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a URL with a user or a password is not taken: this file holds no secrets")
        }
        // WeChat calls no other: the console refuses them.
        Ok(url) if url.port().is_some_and(|port| port != 80 && port != 443) && !is_local(&url) => {
            Err("WeChat calls port 80 (http) and 443 (https) only")
        }
        Ok(url) => Ok(url),
    }
}

/// A trial on one machine is not WeChat's business.
fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_wechat_could_not_call_is_refused_with_the_rule() {
        for (text, rule) in [
            ("wx.example.com/callback", "no URL"),
            ("ftp://wx.example.com/", "http://"),
            ("https://user:pass@wx.example.com/", "password"),
            ("https://wx.example.com:8443/", "443"),
        ] {
            let said = callback_url(text).unwrap_err();
            assert!(said.contains(rule), "{text}: {said}");
        }
        for good in
            ["https://wx.example.com/callback?x=1", "http://wx.example.com/", "http://127.0.0.1:7790/"]
        {
            assert!(callback_url(good).is_ok(), "{good}");
        }
    }
}
