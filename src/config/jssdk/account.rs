//! `[[jssdk.account]]`: whose pages are signed for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::services::jssdk::account::{ANY_CARD, Account, DEFAULT_APIS, Origin};
use crate::services::jssdk::site::HostRule;

use super::super::context::Context;
use super::super::messages::{appid_of, path_of};
use super::super::place::Place;
use super::super::raw;
use super::super::secrets::{Depth, shown};
use super::super::verify;

/// Validates every account.
pub(super) fn check(raw: Vec<raw::JssdkAccount>, depth: Depth, cx: &mut Context<'_>) -> Vec<Account> {
    let list = Place::root().key("jssdk").key("account");
    if raw.is_empty() && depth == Depth::Secrets {
        let odd = "there is no [[jssdk.account]]: the service will run and sign for nobody";
        cx.report.warn(&Place::root(), odd);
    }
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    let mut accounts = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = list.index(index);
        let Some(account) = account(raw, &place, cx) else { continue };
        if depth == Depth::Secrets {
            odd(&account, &place, cx);
        }
        let path = &account.path;
        if let Some(first) = paths.get(path) {
            let path = shown(path);
            let rule = format!("/jssdk/{path} is also the path of jssdk.account[{first}]: each path once");
            cx.report.error(&place.key("path"), rule);
        } else {
            paths.insert(path.clone(), index);
        }
        accounts.push(account);
    }
    accounts
}

/// What works, and is probably not meant. Told to who runs the service.
fn odd(account: &Account, place: &Place, cx: &mut Context<'_>) {
    if account.cards.iter().any(|card| card == ANY_CARD) {
        cx.report.warn(
            &place.key("cards"),
            "whoever asks gets every card of the account signed, and so into the own wallet: list the cards that are for everybody",
        );
    }
    // Any page of the web could be such a one.
    for origin in account.origins.iter().filter(|origin| origin.as_str().starts_with("http://")) {
        let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if !loopback.iter().any(|own| origin.as_str().starts_with(own)) {
            cx.report.warn(
                &place.key("origins"),
                format!("whoever is on the way can change a page of {origin}: let it have https"),
            );
        }
    }
}

fn account(raw: raw::JssdkAccount, table: &Place, cx: &mut Context<'_>) -> Option<Account> {
    let raw::JssdkAccount { appid, path, hosts, origins, apis, open_tags, cards, verify_files } = raw;
    let appid = appid_of(table, appid, cx);
    let path = path_of(table, path, appid.as_ref(), cx);
    if hosts.as_ref().is_none_or(|hosts| hosts.as_slice().is_empty()) {
        cx.report.missing(
            table,
            &["hosts"],
            "an account needs the hosts of its pages, like [\"h5.example.com\"]: those of JS接口安全域名 in WeChat's console",
        );
    }
    let hosts: Vec<HostRule> = parsed(hosts.as_ref(), &table.key("hosts"), cx);
    let origins: Vec<Origin> = parsed(origins.as_ref(), &table.key("origins"), cx);
    let apis = match apis {
        Some(apis) => words(Some(&apis), &table.key("apis"), API, cx),
        None => DEFAULT_APIS.map(str::to_owned).to_vec(),
    };
    let open_tags = words(open_tags.as_ref(), &table.key("open_tags"), TAG, cx);
    verify::check(table, verify_files.as_ref(), appid.as_ref(), cx);
    let cards = words(cards.as_ref(), &table.key("cards"), CARD, cx);
    Some(Account { appid: appid?, path: path?, hosts, origins, apis, open_tags, cards })
}

/// Lines that parse, each once; what is wrong is reported with the line.
fn parsed<T: FromStr<Err: Display> + PartialEq>(
    raw: Option<&raw::OneOrMany>,
    place: &Place,
    cx: &mut Context<'_>,
) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for text in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        match text.parse() {
            Ok(one) if found.contains(&one) => {
                cx.report.error(place, format!("{} is listed twice", shown(text)));
            }
            Ok(one) => found.push(one),
            Err(rule) => cx.report.error(place, format!("{}: {rule}", shown(text))),
        }
    }
    found
}

/// What a word of WeChat's has to look like.
#[derive(Clone, Copy)]
struct Form {
    fits: fn(&str) -> bool,
    rule: &'static str,
}

const API: Form = Form {
    fits: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    rule: "the name of a JS-SDK interface has letters and digits, like \"updateAppMessageShareData\"",
};
const TAG: Form = Form {
    fits: |text| {
        text.starts_with("wx-open-") && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    },
    rule: "an open tag begins with wx-open-, like \"wx-open-launch-weapp\"",
};
const CARD: Form = Form {
    fits: |text| {
        text == ANY_CARD
            || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    },
    rule: "the id of a card has letters, digits, - and _, like \"pFS7Fjg8kV1IdDz01r4SQwMkuCKc\"",
};
/// Longest word.
const LONGEST: usize = 64;

fn words(raw: Option<&raw::OneOrMany>, place: &Place, form: Form, cx: &mut Context<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        if text.is_empty() || text.len() > LONGEST || !(form.fits)(text) {
            cx.report.error(place, form.rule);
        } else if found.contains(text) {
            cx.report.error(place, format!("{} is listed twice", shown(text)));
        } else {
            found.push(text.clone());
        }
    }
    found
}
