//! `[wechat]`.

use std::time::Duration;

use url::{Host, Url};

use crate::wechat::Settings;

use super::context::{Context, is_loopback};
use super::place::Place;
use super::raw;

/// WeChat's general host. The others differ in place, not in what they answer.
const API_BASE: &str = "https://api.weixin.qq.com";
/// Name, TCP and TLS together take well under a second from inside China.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// WeChat itself waits five seconds for an answer of ours; twice that for one of theirs.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Below it a call would end before most answers, above it one call would outlast an overlap.
const TIMEOUT_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(1);

/// Validates the section.
pub(super) fn check(raw: raw::WeChat, cx: &mut Context<'_>) -> Option<Settings> {
    let table = Place::root().key("wechat");
    let raw::WeChat { api_base, insecure, connect_timeout, timeout, proxy } = raw;
    let given = api_base.is_some();
    let api_base = url(&table.key("api_base"), api_base.as_deref().unwrap_or(API_BASE), cx);
    if let Some(url) = &api_base {
        let exposed = url.scheme() == "http" && !is_local(url);
        if exposed && insecure != Some(true) {
            let rule = "http:// to another machine shows every AppSecret to the network: \
                        use https://, or set insecure = true beside it";
            cx.report.error(&table.key("api_base"), rule);
        }
        if insecure == Some(true) && !(given && exposed) {
            cx.report.warn(&table.key("insecure"), "it changes nothing here: remove it");
        }
    }
    let connect_timeout = cx.duration(
        &table.key("connect_timeout"),
        connect_timeout.as_deref(),
        CONNECT_TIMEOUT,
        TIMEOUT_BOUNDS,
    );
    let timeout = cx.duration(&table.key("timeout"), timeout.as_deref(), TIMEOUT, TIMEOUT_BOUNDS);
    if connect_timeout >= timeout {
        let rule = "it must be shorter than timeout: else a call that never left could not be told from one without an answer";
        cx.report.error(&table.key("connect_timeout"), rule);
    }
    let proxy = match proxy {
        Some(text) => Some(url(&table.key("proxy"), &text, cx)?),
        None => None,
    };
    Some(Settings { api_base: api_base?, connect_timeout, timeout, proxy })
}

/// Scheme, host and port, nothing else. The text is not repeated: it may hold a password.
fn url(place: &Place, text: &str, cx: &mut Context<'_>) -> Option<Url> {
    let rule = match Url::parse(text) {
        Err(_) => "this is no URL: write scheme and host, like \"https://api.weixin.qq.com\"",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "only http:// and https:// are known",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "a URL with a user or a password is not taken: this file holds no secrets"
        }
        Ok(url) if url.path() != "/" => "only scheme, host and port are wanted: remove the path",
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "only scheme, host and port are wanted: remove what follows the host"
        }
        Ok(url) => return Some(url),
    };
    cx.report.error(place, rule);
    None
}

pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => is_loopback(ip.into()),
        Some(Host::Ipv6(ip)) => is_loopback(ip.into()),
        None => false,
    }
}
