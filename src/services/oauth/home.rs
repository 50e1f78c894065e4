//! The way home of a login: the address as it was checked, and, for an application on another origin
//! that wants it, an assertion behind it.
//!
//! The assertion goes into the fragment, which no server, log or Referer sees. It says who is logged
//! in to that origin and no other, and ends within a minute.

use super::account::{App, AssertionMode, Origin};
use super::assertion::{AssertionError, Assertions};
use super::return_to::{Home, ReturnTo};
use super::sessions::Login;
use super::site::Site;

/// Under which name a page finds it.
const NAME: &str = "zk_assertion";

/// Where a login goes, and with what.
pub(super) struct Way<'w> {
    return_to: &'w ReturnTo,
    /// To whom the assertion is; `None` without one.
    audience: Option<&'w Origin>,
    nonce: Option<&'w str>,
}

impl<'w> Way<'w> {
    /// Pages on our own origin see our cookie, and need no assertion.
    pub(super) fn new(site: &Site, app: &App, return_to: &'w ReturnTo, nonce: Option<&'w str>) -> Self {
        let audience = match (app.assertion, return_to.home()) {
            (AssertionMode::Fragment, Home::At(origin)) if origin != site.base() => Some(origin),
            (AssertionMode::Fragment | AssertionMode::None, Home::Own | Home::At(_)) => None,
        };
        Self { return_to, audience, nonce }
    }

    /// The address for the browser.
    pub(super) async fn address(
        &self,
        assertions: &Assertions,
        login: &Login,
    ) -> Result<String, AssertionError> {
        let text = self.return_to.as_str();
        let Some(audience) = self.audience else { return Ok(text.to_owned()) };
        let token = assertions.sign(audience, login, self.nonce).await?;
        Ok(behind(text, &token))
    }
}

/// The page's own fragment stays in front.
fn behind(text: &str, token: &str) -> String {
    let glue = match text.split_once('#') {
        None => "#",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{text}{glue}{NAME}={token}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::oauth::account::Scope;

    #[test]
    fn assertion_stands_behind_the_pages_own_fragment() {
        for (text, with) in [
            ("https://h5.example", "https://h5.example#zk_assertion=j.w.t"),
            ("https://h5.example/?a=1", "https://h5.example/?a=1#zk_assertion=j.w.t"),
            ("https://h5.example/#", "https://h5.example/#zk_assertion=j.w.t"),
            ("https://h5.example/#/x?y=1", "https://h5.example/#/x?y=1&zk_assertion=j.w.t"),
        ] {
            assert_eq!(behind(text, "j.w.t"), with);
        }
    }

    #[test]
    fn only_an_application_that_wants_it_on_another_origin_gets_an_assertion() {
        let base: Origin = "https://wx.example".parse().unwrap();
        let site = Site::new(base, Vec::new(), Vec::new());
        let app = |assertion| App {
            name: "h5".into(),
            accounts: None,
            origins: Vec::new(),
            scope: Scope::Base,
            assertion,
        };
        let audience = |assertion, text: &str| {
            let return_to = ReturnTo::check(text.as_bytes()).unwrap();
            let app = app(assertion);
            Way::new(&site, &app, &return_to, None).audience.map(|origin| origin.as_str().to_owned())
        };
        let fragment = AssertionMode::Fragment;
        assert_eq!(audience(fragment, "https://h5.example/x").as_deref(), Some("https://h5.example"));
        assert_eq!(audience(fragment, "/x"), None);
        assert_eq!(audience(fragment, "https://wx.example/x"), None);
        assert_eq!(audience(AssertionMode::None, "https://h5.example/x"), None);
    }
}
