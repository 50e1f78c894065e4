//! An account whose pages are served here: what everybody in the service may know of it.

use std::fmt;
use std::str::FromStr;

use url::{Host, Origin as Parsed, Url};

use crate::model::{AppId, Key, Kind};

use super::site::HostRule;

/// What a page that says nothing of it may call: the two of the share menu.
pub const DEFAULT_APIS: [&str; 2] = ["updateAppMessageShareData", "updateTimelineShareData"];
/// Any card, among [`Account::cards`].
pub const ANY_CARD: &str = "*";

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its appid, which pages give to `wx.config`.
    pub appid: AppId,
    /// Its name in addresses: `/jssdk/{path}/config`.
    pub path: String,
    /// Whose pages are signed for.
    pub hosts: Vec<HostRule>,
    /// Whose pages may ask from another host: CORS.
    pub origins: Vec<Origin>,
    /// `jsApiList` of every configuration.
    pub apis: Vec<String>,
    /// `openTagList`.
    pub open_tags: Vec<String>,
    /// The cards that whoever asks may put into their wallet, by id, or [`ANY_CARD`].
    pub cards: Vec<String>,
}

impl Account {
    /// The tickets that it takes: of pages, and of cards if there are any.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        let cards = (!self.cards.is_empty()).then_some(Kind::WxCardTicket);
        let appid = self.appid.clone();
        [Some(Kind::JsapiTicket), cards].into_iter().flatten().map(move |kind| Key::new(appid.clone(), kind))
    }
}

/// Scheme, host and port of a page, as browsers write it: `https://h5.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme and a host as browsers write them, without a path: https://h5.example.com")]
pub struct OriginError;

impl Origin {
    /// As in a browser's `Origin` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError)?;
        let web = matches!(url.scheme(), "http" | "https");
        let Parsed::Tuple(_, host, _) = url.origin() else { return Err(OriginError) };
        let origin = url.origin().ascii_serialization();
        // A browser never sends another spelling, so another one would never match.
        let as_sent = web && origin == text && !matches!(host, Host::Domain(name) if name.contains('*'));
        if as_sent { Ok(Self(origin)) } else { Err(OriginError) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_written_as_browsers_send_it_and_nothing_else_is_one() {
        for text in
            ["https://h5.example.com", "http://127.0.0.1:8080", "https://[::1]:1", "https://xn--fsq.example"]
        {
            assert_eq!(text.parse::<Origin>().map(|origin| origin.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "*",
            "null",
            "h5.example.com",
            "https://h5.example.com/",
            "https://h5.example.com/a",
            "https://H5.example.com",
            "https://h5.example.com:443",
            "https://user@h5.example.com",
            "https://*.example.com",
            "file:///a",
            "https://例.example",
            "https://h5.example.com?",
            "chrome-extension://abc",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }

    #[test]
    fn card_ticket_is_only_asked_for_where_cards_are_signed() {
        let mut account = Account {
            appid: "wx1".parse().unwrap(),
            path: "shop".to_owned(),
            hosts: Vec::new(),
            origins: Vec::new(),
            apis: Vec::new(),
            open_tags: Vec::new(),
            cards: Vec::new(),
        };
        let kinds = |account: &Account| account.keys().map(|key| key.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&account), [Kind::JsapiTicket]);
        account.cards.push("p1".to_owned());
        assert_eq!(kinds(&account), [Kind::JsapiTicket, Kind::WxCardTicket]);
    }
}
