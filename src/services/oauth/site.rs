//! What the service is for: its address, its accounts, its applications, as of one configuration.
//!
//! Owns the answer to "which application does this address belong to", which is asked when a login
//! begins and once more when it ends, so that a reload in between counts. Absent: what an address
//! looks like ([`return_to`](super::return_to)).

use url::{Host, Url};

use super::account::{Account, App, AssertionMode, Origin, Scope};
use super::return_to::Home;

/// The accounts and applications of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    base: Origin,
    accounts: Vec<Account>,
    apps: Vec<App>,
    /// The application of our own pages, if none claims them.
    own: App,
}

/// Why an address may not be returned to, although it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unlisted {
    /// `app=` names none.
    #[error("no [[oauth.app]] of this account has the name that the link gives in app=")]
    App,
    /// No application has the origin.
    #[error("its origin is not in `origins` of an [[oauth.app]] of this account")]
    Origin,
}

impl Site {
    /// Accounts and applications behind this address. That names are used once and lists are not
    /// empty is the configuration's business; of two that claim the same, the first one has it.
    pub fn new(base: Origin, accounts: Vec<Account>, apps: Vec<App>) -> Self {
        let own = App {
            name: String::new(),
            accounts: None,
            origins: vec![base.clone()],
            scope: Scope::UserInfo,
            assertion: AssertionMode::None,
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

    /// Where WeChat sends the browser: `redirect_uri`.
    pub fn callback(&self, account: &Account) -> String {
        format!("{}/oauth/{}/callback", self.base, account.path)
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

impl Origin {
    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.as_str().starts_with("https://")
    }

    /// Whether it is on this machine: by number or by the name of RFC 6761.
    pub fn is_loopback(&self) -> bool {
        let Ok(url) = Url::parse(self.as_str()) else { return false };
        match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

impl Scope {
    /// The most of what WeChat says was granted: several words, separated by commas.
    pub fn granted(list: &str) -> Self {
        let full = list.split(',').any(|word| word.trim() == Self::UserInfo.as_str());
        if full { Self::UserInfo } else { Self::Base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
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
        let app = |name: &str, accounts: Option<&[&str]>, origins: &[&str], scope| App {
            name: name.into(),
            accounts: accounts.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect()),
            origins: origins.iter().map(|text| origin(text)).collect(),
            scope,
            assertion: AssertionMode::None,
        };
        let apps = vec![
            app("h5", Some(&["shop"]), &["https://h5.example"], Scope::Base),
            app("game", None, &["https://game.example", "https://h5.example"], Scope::UserInfo),
        ];
        let site = Site::new(origin("https://wx.example"), vec![shop.clone(), club.clone()], apps);
        assert_eq!(site.callback(&shop), "https://wx.example/oauth/shop/callback");
        assert_eq!((site.account("club"), site.account("x")), (Some(&club), None));
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
    }
}
