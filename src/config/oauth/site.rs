//! `[[oauth.account]]` and `[[oauth.app]]`: who can be asked for, and where logins may go.

use std::collections::BTreeMap;

use crate::services::oauth::account::{Account, App, AssertionMode, NoOrigin, Origin, Scope};

use super::super::context::Context;
use super::super::messages::{appid_of, path_of};
use super::super::place::Place;
use super::super::raw;
use super::super::secrets::{Depth, shown};
use super::super::verify;

/// A name is a word in links.
const LONGEST_NAME: usize = 64;
/// What stands where an account's path does in our own addresses.
const RESERVED: [&str; 6] = ["me", "auth", "assertion", "jwks.json", "logout", "events"];

/// Validates every account.
pub(super) fn accounts(raw: Vec<raw::OAuthAccount>, depth: Depth, cx: &mut Context<'_>) -> Vec<Account> {
    let list = Place::root().key("oauth").key("account");
    if raw.is_empty() && depth == Depth::Secrets {
        let odd = "there is no [[oauth.account]]: the service will run and nobody can log in";
        cx.report.warn(&Place::root(), odd);
    }
    let mut accounts: Vec<Account> = Vec::with_capacity(raw.len());
    let (mut paths, mut appids) = (BTreeMap::new(), BTreeMap::new());
    for (index, raw) in raw.into_iter().enumerate() {
        let table = list.index(index);
        let raw::OAuthAccount { appid, path, verify_files } = raw;
        let appid = appid_of(&table, appid, cx);
        let path = path_of(&table, path, appid.as_ref(), cx);
        verify::check(&table, verify_files.as_ref(), appid.as_ref(), cx);
        let (Some(appid), Some(path)) = (appid, path) else { continue };
        if RESERVED.contains(&path.as_str()) {
            let rule = format!("/oauth/{path} is an address of the service's own: use another path");
            cx.report.error(&table.key("path"), rule);
        }
        if let Some(first) = paths.get(&path) {
            let path = shown(&path);
            let rule = format!("/oauth/{path} is also the path of oauth.account[{first}]: each path once");
            cx.report.error(&table.key("path"), rule);
        }
        // A session has one login for each appid.
        if let Some(first) = appids.get(&appid) {
            let rule = format!("oauth.account[{first}] has the same appid: each account once");
            cx.report.error(&table.key("appid"), rule);
        }
        paths.entry(path.clone()).or_insert(index);
        appids.entry(appid.clone()).or_insert(index);
        accounts.push(Account { appid, path });
    }
    accounts
}

/// Validates every application.
pub(super) fn apps(raw: Vec<raw::OAuthApp>, accounts: &[Account], cx: &mut Context<'_>) -> Vec<App> {
    let list = Place::root().key("oauth").key("app");
    let mut apps: Vec<App> = Vec::with_capacity(raw.len());
    let mut names = BTreeMap::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let table = list.index(index);
        let Some(app) = app(raw, &table, accounts, cx) else { continue };
        if let Some(first) = names.get(&app.name) {
            let rule = format!("oauth.app[{first}] has the same name: each name once");
            cx.report.error(&table.key("name"), rule);
        }
        names.entry(app.name.clone()).or_insert(index);
        apps.push(app);
    }
    apps
}

fn app(raw: raw::OAuthApp, table: &Place, accounts: &[Account], cx: &mut Context<'_>) -> Option<App> {
    let raw::OAuthApp { name, account, origins, scope, assertion } = raw;
    let name = name_of(name, table, cx);
    let paths = account.map(|paths| {
        let place = table.key("account");
        for path in paths.as_slice() {
            if !accounts.iter().any(|account| account.path == *path) {
                let rule = format!("no [[oauth.account]] has the path {}", shown(path));
                cx.report.error(&place, rule);
            }
        }
        if paths.as_slice().is_empty() {
            cx.report.error(&place, "an empty list is no account at all: leave it out for all of them");
        }
        paths.as_slice().to_vec()
    });
    let origins = origins_of(origins.as_ref(), table, cx);
    let scopes = [("snsapi_base", Scope::Base), ("snsapi_userinfo", Scope::UserInfo)];
    let scope = match scope {
        None => Some(Scope::Base),
        Some(text) => cx.word(&table.key("scope"), &text, &scopes),
    };
    let modes = [("none", AssertionMode::None), ("fragment", AssertionMode::Fragment)];
    let assertion = match assertion {
        None => Some(AssertionMode::None),
        Some(text) => cx.word(&table.key("assertion"), &text, &modes),
    };
    Some(App { name: name?, accounts: paths, origins, scope: scope?, assertion: assertion? })
}

fn name_of(name: Option<String>, table: &Place, cx: &mut Context<'_>) -> Option<String> {
    let Some(name) = name else {
        cx.report.missing(table, &["name"], "an application needs a name, which links can say in app=");
        return None;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
        let rule = "a name has 1 to 64 letters, digits, dashes and underscores";
        cx.report.error(&table.key("name"), rule);
        return None;
    }
    Some(name)
}

fn origins_of(raw: Option<&raw::OneOrMany>, table: &Place, cx: &mut Context<'_>) -> Vec<Origin> {
    let place = table.key("origins");
    let mut origins: Vec<Origin> = Vec::new();
    for text in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        let origin: Result<Origin, NoOrigin> = text.parse();
        match origin {
            Err(rule) if text.contains('*') => {
                cx.report.error(&place, format!("{rule}; each host is listed, there are no patterns"));
            }
            Err(rule) => cx.report.error(&place, rule.to_string()),
            Ok(origin) if !origin.is_https() && !origin.is_loopback() => {
                let rule = format!("{origin}: http:// to another machine shows who logs in: write https://");
                cx.report.error(&place, rule);
            }
            Ok(origin) if origins.contains(&origin) => {
                cx.report.error(&place, format!("{origin} is listed twice"));
            }
            Ok(origin) => origins.push(origin),
        }
    }
    if origins.is_empty() && raw.is_none_or(|raw| raw.as_slice().is_empty()) {
        let rule = "an application needs origins, like [\"https://h5.example.com\"]: where its pages are";
        cx.report.missing(table, &["origins"], rule);
    }
    origins
}
