//! `[jssdk]`: the JS-SDK service as a whole.
//!
//! Checked by both readers of the file, but its secrets are read by its own process only
//! ([`Depth`]).

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::services::jssdk::account::Account;
use crate::services::jssdk::door::Preview;

use super::context::{Context, is_loopback};
use super::daemon::path;
use super::link::{self, DaemonLink, Keys};
use super::place::Place;
use super::raw;
use super::secrets::Depth;
use super::serve::ServeSettings;
use super::services::Service;

mod account;

/// Default of `rate_limit`: a page asks once when it is opened, and people behind one address are
/// some, not hundreds.
const RATE: u32 = 60;
const RATES: std::ops::RangeInclusive<u32> = 1..=100_000;

/// What the JS-SDK service needs.
#[derive(Clone, Debug)]
pub struct JssdkSettings {
    /// Where the tickets are.
    pub daemon: DaemonLink,
    /// The directory of templates.
    pub pages: Option<PathBuf>,
    /// Whether every page is a preview.
    pub preview: Preview,
    /// Requests a minute from one address, and as many at once.
    pub rate_limit: NonZeroU32,
    /// The accounts, in the order of the file; no path occurs twice.
    pub accounts: Vec<Account>,
}

/// Validates the section; without secrets its result is of no use but to look at.
pub(super) fn check(
    raw: raw::Jssdk,
    serve: &ServeSettings,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<JssdkSettings> {
    let table = Place::root().key("jssdk");
    let raw::Jssdk {
        daemon,
        token_file,
        token_credential,
        token_env,
        ca,
        cert,
        key,
        pages,
        preview,
        rate_limit,
        account,
    } = raw;
    let keys = Keys {
        daemon: daemon.as_deref(),
        token: [token_file.as_deref(), token_credential.as_deref(), token_env.as_deref()],
        ca: ca.as_deref(),
        pair: [cert.as_deref(), key.as_deref()],
    };
    let daemon = link::check(&keys, Service::Jssdk, depth, cx);
    let pages = pages.map(|text| path(&table.key("pages"), &text, cx));
    let preview = preview_of(preview, pages.is_some(), serve, &table, cx);
    let rate_limit = rate_limit.unwrap_or(RATE);
    let rate = NonZeroU32::new(rate_limit).filter(|rate| RATES.contains(&rate.get()));
    if rate.is_none() {
        let rule = format!("a number from {} to {} is needed: requests a minute", RATES.start(), RATES.end());
        cx.report.error(&table.key("rate_limit"), rule);
    }
    let accounts = account::check(account.unwrap_or_default(), depth, cx);
    Some(JssdkSettings { daemon: daemon?, pages, preview, rate_limit: rate?, accounts })
}

/// A preview shows pages to whoever comes, with no signature in them, so nobody may come but from here.
fn preview_of(
    raw: Option<bool>,
    has_pages: bool,
    serve: &ServeSettings,
    table: &Place,
    cx: &mut Context<'_>,
) -> Preview {
    if raw != Some(true) {
        return Preview::OnRequest;
    }
    let place = table.key("preview");
    if !is_loopback(serve.listen.ip()) {
        let rule =
            "a preview is for a developer on this machine: leave it out, or have serve.listen on 127.0.0.1";
        cx.report.error(&place, rule);
    } else if !has_pages {
        cx.report.warn(&place, "there are no pages to preview: set pages, or remove it");
    } else {
        cx.report
            .warn(&place, "every page is a preview, which WeChat cannot use: remove it where users come");
    }
    Preview::Always
}

impl JssdkSettings {
    /// As [`ServeConfig::restart_needed`](super::ServeConfig::restart_needed).
    pub(super) fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        // Without `..`: a new key must be put on one side or the other.
        let Self { daemon, pages: _, preview: _, rate_limit: _, accounts: _ } = self;
        let [addr, token, ca, cert] = daemon.differs(&new.daemon);
        let changed =
            [("jssdk.daemon", addr), ("jssdk.token", token), ("jssdk.ca", ca), ("jssdk.cert", cert)];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}
