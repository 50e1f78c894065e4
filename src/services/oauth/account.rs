//! Accounts that people log in with, and the applications that they log in to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::model::AppId;

/// An account that asks WeChat who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its appid.
    pub appid: AppId,
    /// Its name in paths, logs and applications: `/oauth/{path}/login`.
    pub path: String,
}

/// An application: pages at some origins that send people to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in the configuration and in `app=`.
    pub name: String,
    /// The paths of its accounts; `None` is all of them.
    pub accounts: Option<Vec<String>>,
    /// Where its pages are.
    pub origins: Vec<Origin>,
    /// The most that it may ask for, and what it asks for when it says nothing.
    pub scope: Scope,
    /// How a login comes home to another origin.
    pub assertion: AssertionMode,
}

impl App {
    /// Whether it may use this account.
    pub fn serves(&self, account: &Account) -> bool {
        self.accounts.as_ref().is_none_or(|paths| paths.contains(&account.path))
    }
}

/// What an application asks for. Ordered: the greater one tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Only who it is, without a page of WeChat's.
    #[serde(rename = "snsapi_base")]
    Base,
    /// Name and picture too, after the person's consent.
    #[serde(rename = "snsapi_userinfo")]
    UserInfo,
}

impl Scope {
    /// As WeChat and the configuration write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::UserInfo => "snsapi_userinfo",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        [Self::Base, Self::UserInfo].into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

/// Neither `snsapi_base` nor `snsapi_userinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is snsapi_base or snsapi_userinfo")]
pub struct UnknownScope;

/// How a login comes home to an application at another origin, whose cookies are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionMode {
    /// Its pages ask `/oauth/me` or `/oauth/assertion`.
    None,
    /// The address that a login returns to carries an assertion in its fragment.
    Fragment,
}

/// Scheme, host and port, as a browser compares them: `https://h5.example.com`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// The origin of an address; `None` if it is not of http or https.
    pub fn of(url: &Url) -> Option<Self> {
        let origin = url.origin();
        (matches!(url.scheme(), "http" | "https") && origin.is_tuple())
            .then(|| Self(origin.ascii_serialization().into()))
    }

    /// As text, and as a browser writes it into `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    /// Takes an origin and nothing more, so that a path is not thought to mean something.
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let url = Url::parse(text).map_err(|_| NoOrigin)?;
        let origin = Self::of(&url).ok_or(NoOrigin)?;
        let bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
        // `*` is allowed in a host by the standard, and would be thought a pattern.
        let nothing_more = url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
        let nothing_more = nothing_more && !text.contains('*');
        if bare && nothing_more { Ok(origin) } else { Err(NoOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// More or less than an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is http:// or https://, a host and perhaps a port, without a path or a slash at its end")]
pub struct NoOrigin;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_as_a_browser_does_and_has_no_path() {
        let origin = |text: &str| text.parse::<Origin>();
        assert_eq!(origin("https://H5.example.com:443"), origin("https://h5.example.com"));
        assert_ne!(origin("https://h5.example.com:8443"), origin("https://h5.example.com"));
        assert_eq!(origin("http://[::1]:80").unwrap().as_str(), "http://[::1]");
        for bad in [
            "https://h5.example.com/",
            "https://h5.example.com/a",
            "https://h5.example.com?",
            "https://h5.example.com#",
            "https://user@h5.example.com",
            "h5.example.com",
            "//h5.example.com",
            "https://*.example.com",
            "ftp://h5.example.com",
            "data:text/html",
            "null",
            "",
        ] {
            assert_eq!(origin(bad), Err(NoOrigin), "{bad}");
        }
    }

    #[test]
    fn an_app_without_accounts_serves_them_all() {
        let account = |path: &str| Account { appid: "wx1".parse().unwrap(), path: path.into() };
        let mut app = App {
            name: "shop".into(),
            accounts: None,
            origins: Vec::new(),
            scope: Scope::Base,
            assertion: AssertionMode::None,
        };
        assert!(app.serves(&account("a")));
        app.accounts = Some(vec!["b".into()]);
        assert!(!app.serves(&account("a")));
        assert!(app.serves(&account("b")));
    }
}
