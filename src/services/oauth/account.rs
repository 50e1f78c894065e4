//! Whom the service logs in for: accounts of WeChat, and the company's applications.
//!
//! Owns the answer to "which application does this address belong to, and what may it ask for",
//! which is asked when a login begins and once more when it ends, so that a reload in between
//! counts. Absent: what an address looks like ([`return_to`](super::return_to)).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::model::AppId;

use super::return_to::{Home, is_plain_authority};

/// Where a page lives, as browsers compare it: scheme, host and port. The default port is left out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Arc<str>);

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It has none of the two schemes.
    #[error("an origin begins with https:// or http://")]
    Scheme,
    /// The host is no plain name or number.
    #[error("an origin has a host, written in a-z 0-9 - . (xn--… for other letters), and at most a port")]
    Host,
    /// Something follows.
    #[error("an origin ends after host and port: no path, no query")]
    Rest,
}

/// How much of a user a login asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The openid, silently.
    #[serde(rename = "snsapi_base")]
    Base,
    /// Name and picture too; WeChat asks the user.
    #[serde(rename = "snsapi_userinfo")]
    UserInfo,
}

/// How a login comes home to an application on another origin, where our cookie is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homecoming {
    /// The page asks for it.
    Plain,
    /// With an assertion in the fragment of the return address.
    Fragment,
}

/// An account of WeChat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its appid.
    pub appid: AppId,
    /// Its name in addresses: `/oauth/{path}/login`.
    pub path: String,
}

/// An application: pages that log users in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in `app=`.
    pub name: String,
    /// The paths of the accounts it logs in with; all if there are none.
    pub accounts: Vec<String>,
    /// Where its pages live.
    pub origins: Vec<Origin>,
    /// The most it may ask for, and what it asks for if a link does not say.
    pub scope: Scope,
    /// How its logins come home.
    pub homecoming: Homecoming,
}

/// The accounts and applications of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    base: Origin,
    accounts: Vec<Account>,
    apps: Vec<App>,
    own: App,
}

/// Why an address may not be returned to, although it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlisted {
    /// `app=` names none.
    #[error("no [[oauth.app]] of this account has the name that the link gives in app=")]
    App,
    /// No application has the origin.
    #[error("its origin is not in `origins` of an [[oauth.app]] of this account")]
    Origin,
}

impl Origin {
    /// As a browser says it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of an address that has host and scheme.
    pub(super) fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization().into())
    }

    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it is on this machine: by number or by the name of RFC 6761.
    pub fn is_loopback(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return false };
        match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.ok_or(OriginError::Scheme)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::Rest);
        }
        if !is_plain_authority(authority) {
            return Err(OriginError::Host);
        }
        let url = Url::parse(text).map_err(|_| OriginError::Host)?;
        Ok(Self::of(&url))
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

impl Scope {
    /// WeChat's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::UserInfo => "snsapi_userinfo",
        }
    }

    /// From WeChat's word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Base, Self::UserInfo].into_iter().find(|scope| scope.as_str() == text)
    }

    /// The most of what WeChat says was granted: several words, separated by commas.
    pub fn granted(list: &str) -> Self {
        let full = list.split(',').any(|word| word.trim() == Self::UserInfo.as_str());
        if full { Self::UserInfo } else { Self::Base }
    }
}

impl Site {
    /// Accounts and applications behind this address. That names are used once and lists are not
    /// empty is the configuration's business; of two that claim the same, the first one has it.
    pub fn new(base: Origin, accounts: Vec<Account>, apps: Vec<App>) -> Self {
        let own = App {
            name: String::new(),
            accounts: Vec::new(),
            origins: vec![base.clone()],
            scope: Scope::UserInfo,
            homecoming: Homecoming::Plain,
        };
        Self { base, accounts, apps, own }
    }

    /// Where browsers reach the service.
    pub fn base(&self) -> &Origin {
        &self.base
    }

    /// The accounts, in the order of the file.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The applications, in the order of the file.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The account with this path.
    pub fn account(&self, path: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.path == path)
    }

    /// Whose page an address is. One on our own origin is everybody's, and under nobody's rules
    /// but its own if no application claims it.
    ///
    /// # Errors
    /// It is nobody's: never go there.
    pub fn app(&self, account: &Account, name: Option<&str>, home: &Home) -> Result<&App, Unlisted> {
        let origin = match home {
            Home::Own => &self.base,
            Home::At(origin) => origin,
        };
        let own = *origin == self.base;
        let serving = || self.apps.iter().filter(|app| app.serves(account));
        let Some(name) = name else {
            let found = serving().find(|app| app.origins.contains(origin));
            return found.or(own.then_some(&self.own)).ok_or(Unlisted::Origin);
        };
        let app = serving().find(|app| app.name == name).ok_or(Unlisted::App)?;
        if own || app.origins.contains(origin) { Ok(app) } else { Err(Unlisted::Origin) }
    }
}

impl App {
    /// Whether it logs in with this account.
    pub fn serves(&self, account: &Account) -> bool {
        self.accounts.is_empty() || self.accounts.contains(&account.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn origin_is_the_same_in_every_spelling_that_a_browser_takes_for_the_same() {
        for same in ["https://a.example", "https://a.example/", "https://A.Example:443"] {
            assert_eq!(origin(same).as_str(), "https://a.example", "{same}");
        }
        assert_eq!(origin("http://[::1]:8080").as_str(), "http://[::1]:8080");
        for (other, is) in [
            ("http://a.example", "http://a.example"),
            ("https://a.example.", "https://a.example."),
            ("https://a.example:444", "https://a.example:444"),
        ] {
            assert_eq!(origin(other).as_str(), is);
            assert_ne!(origin(other), origin("https://a.example"));
        }
    }

    #[test]
    fn text_with_more_or_less_than_an_origin_is_refused_by_rule() {
        use OriginError::{Host, Rest, Scheme};
        for (text, error) in [
            ("a.example", Scheme),
            ("ftp://a.example", Scheme),
            ("javascript://a.example", Scheme),
            ("https://", Host),
            ("https://*.a.example", Host),
            ("https://u@a.example", Host),
            ("https://bücher.example", Host),
            ("https://a.example:", Host),
            ("https://a.example:99999", Host),
            ("https://a.example/x", Rest),
            ("https://a.example?x", Rest),
            ("https://a.example#x", Rest),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }

    #[test]
    fn loopback_is_a_number_or_the_name_for_it_and_nothing_that_looks_like_it() {
        for yes in ["http://127.0.0.1:7790", "http://[::1]", "http://localhost:5173", "http://a.localhost"] {
            assert!(origin(yes).is_loopback(), "{yes}");
        }
        for no in ["http://localhost.example", "http://127.0.0.1.example", "https://10.0.0.1"] {
            assert!(!origin(no).is_loopback(), "{no}");
        }
    }

    #[test]
    fn address_belongs_to_the_application_that_lists_its_origin_for_the_account() {
        let shop = Account { appid: "wx1".parse().unwrap(), path: "shop".into() };
        let club = Account { appid: "wx2".parse().unwrap(), path: "club".into() };
        let app = |name: &str, accounts: &[&str], origins: &[&str], scope| App {
            name: name.into(),
            accounts: accounts.iter().map(|path| (*path).to_owned()).collect(),
            origins: origins.iter().map(|text| origin(text)).collect(),
            scope,
            homecoming: Homecoming::Plain,
        };
        let apps = vec![
            app("h5", &["shop"], &["https://h5.example"], Scope::Base),
            app("game", &[], &["https://game.example", "https://h5.example"], Scope::UserInfo),
        ];
        let site = Site::new(origin("https://wx.example"), vec![shop.clone(), club.clone()], apps);
        let at = |text: &str| Home::At(origin(text));
        let name = |account, name, home: &Home| site.app(account, name, home).map(|app| app.name.as_str());
        assert_eq!(name(&shop, None, &at("https://h5.example")), Ok("h5"));
        assert_eq!(name(&club, None, &at("https://h5.example")), Ok("game"));
        assert_eq!(name(&shop, Some("game"), &at("https://h5.example")), Ok("game"));
        assert_eq!(name(&shop, Some("h5"), &at("https://game.example")), Err(Unlisted::Origin));
        assert_eq!(name(&club, Some("h5"), &at("https://h5.example")), Err(Unlisted::App));
        assert_eq!(name(&shop, None, &at("http://h5.example")), Err(Unlisted::Origin));
        // The service's own pages are nobody's, and anybody's by name.
        assert_eq!(name(&shop, None, &Home::Own), Ok(""));
        assert_eq!(name(&shop, None, &at("https://wx.example")), Ok(""));
        assert_eq!(name(&shop, Some("h5"), &Home::Own), Ok("h5"));
        assert_eq!(site.app(&shop, None, &Home::Own).unwrap().scope, Scope::UserInfo);
    }

    #[test]
    fn granted_scope_is_the_most_of_the_list() {
        for (list, scope) in [
            ("snsapi_base", Scope::Base),
            ("snsapi_base,snsapi_userinfo", Scope::UserInfo),
            ("snsapi_userinfo", Scope::UserInfo),
            ("", Scope::Base),
            ("snsapi_userinfo_x", Scope::Base),
        ] {
            assert_eq!(Scope::granted(list), scope, "{list}");
        }
        assert!(Scope::Base < Scope::UserInfo);
        assert_eq!(Scope::parse("snsapi_login"), None);
    }
}
