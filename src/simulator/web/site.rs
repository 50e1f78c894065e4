//! What WeChat's console holds about an account's web pages, and how its clients behave there.

use serde::{Deserialize, Serialize};
use url::Url;

/// The web settings of an account. By default any domain is good, so that a page on a developer's
/// machine works at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// 网页授权域名: to which hosts a code may be sent.
    pub oauth_domains: Domains,
    /// JS接口安全域名: on which hosts the JS-SDK works. An entry may have a path.
    pub js_domains: Domains,
    /// JS-SDK names that the account has no right to: `permission denied`.
    pub denied_apis: Vec<String>,
    /// Whether users of this account have a unionid.
    pub unionid: Unionid,
    /// What happens after a refusal; WeChat's pages do not say.
    pub refusal: AfterRefusal,
    /// How often the client asks for the address that it was sent to.
    pub callback: Requested,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            oauth_domains: Domains::Any,
            js_domains: Domains::Any,
            denied_apis: Vec::new(),
            unionid: Unionid::Bound,
            refusal: AfterRefusal::Returns,
            callback: Requested::Once,
        }
    }
}

/// Domains as the console has them; `null` and a list in JSON. A port is compared where an entry
/// has one: on a developer's machine the port is never 80.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub enum Domains {
    /// None is checked.
    Any,
    /// These and no others; none of their sub-domains.
    Only(Vec<String>),
}

impl From<Option<Vec<String>>> for Domains {
    fn from(list: Option<Vec<String>>) -> Self {
        list.map_or(Self::Any, Self::Only)
    }
}

impl From<Domains> for Option<Vec<String>> {
    fn from(domains: Domains) -> Self {
        match domains {
            Domains::Any => None,
            Domains::Only(list) => Some(list),
        }
    }
}

/// Whether an account is bound to an open-platform account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unionid {
    /// Its users have one, the same at every such account.
    Bound,
    /// They have none.
    Unbound,
}

/// Where a user is who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterRefusal {
    /// Back at the page, without a code.
    Returns,
    /// On WeChat's page.
    Stays,
}

/// How often an address with a code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requested {
    /// As browsers do.
    Once,
    /// Once more before the page is opened, and answered by then.
    TwiceInTurn,
    /// Both at the same time.
    TwiceAtOnce,
}

impl Domains {
    /// Whether the host of this address is one of them.
    pub(super) fn hold(&self, url: &Url) -> bool {
        self.any(|entry| host_of(entry) == entry && same_host(entry, url))
    }

    /// The same where an entry may name a directory, which covers what is in it.
    pub(super) fn cover(&self, url: &Url) -> bool {
        self.any(|entry| {
            let host = host_of(entry);
            let folder = entry.get(host.len()..).unwrap_or_default().trim_end_matches('/');
            let inside =
                url.path().strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            same_host(host, url) && inside
        })
    }

    fn any(&self, so: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.iter().any(|entry| so(entry)),
        }
    }
}

fn host_of(entry: &str) -> &str {
    entry.split('/').next().unwrap_or(entry)
}

fn same_host(entry: &str, url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    entry.eq_ignore_ascii_case(host) || with_port.is_some_and(|full| entry.eq_ignore_ascii_case(&full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(entry: &str) -> Domains {
        Domains::Only(vec![entry.to_owned()])
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn domain_covers_itself_and_neither_sub_domains_nor_look_alikes() {
        let domains = only("example.com");
        for good in ["https://example.com/a", "http://EXAMPLE.com:8080/"] {
            assert!(domains.hold(&url(good)) && domains.cover(&url(good)), "{good}");
        }
        for bad in [
            "https://h5.example.com/",
            "https://example.com.evil.example/",
            "https://example.com@evil.example/",
        ] {
            assert!(!domains.hold(&url(bad)) && !domains.cover(&url(bad)), "{bad}");
        }
        assert!(only("example.com:8080").hold(&url("http://example.com:8080/")));
        assert!(!only("example.com:8080").hold(&url("http://example.com/")));
    }

    #[test]
    fn entry_with_a_path_covers_that_directory_of_the_js_sdk_only() {
        let domains = only("example.com/shop/");
        for (address, inside) in [("/shop", true), ("/shop/a?b", true), ("/shopping", false), ("/", false)] {
            let address = url(&format!("https://example.com{address}"));
            assert_eq!(domains.cover(&address), inside, "{address}");
            assert!(!domains.hold(&address), "a code goes to a host, and its setting has no path");
        }
    }
}
