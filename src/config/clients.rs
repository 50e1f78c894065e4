//! `[[client]]`: who may call, and what for.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::{Action, Client, Grants, Identity, Scope};
use crate::clock::WallTime;
use crate::hub::AccountSettings;
use crate::model::{AppId, Kind};

use super::context::Context;
use super::place::Place;
use super::raw;
use super::secrets::shown;

const ACTIONS: [(&str, Action); 7] = [
    ("read", Action::Read),
    ("complain", Action::Complain),
    ("force", Action::Force),
    ("sign", Action::Sign),
    ("exchange", Action::Exchange),
    ("status", Action::Status),
    ("admin", Action::Admin),
];

/// Validates every client.
pub(super) fn check(
    raw: Vec<raw::Client>,
    accounts: &[AccountSettings],
    cx: &mut Context<'_>,
) -> Vec<Client> {
    let list = Place::root().key("client");
    let known: BTreeSet<_> = accounts.iter().map(|account| &account.appid).collect();
    let mut names = BTreeMap::new();
    let mut identities = BTreeMap::new();
    let mut clients = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = list.index(index);
        let Some(client) = client(raw, &place, &known, cx) else { continue };
        if let Some(first) = names.insert(client.name.clone(), index) {
            let message = format!("{:?} is also the name of client[{first}]: each client once", client.name);
            cx.report.error(&place.key("name"), message);
        }
        for identity in &client.identities {
            let (key, what) = describe(identity);
            if let Some(first) = identities.insert(what, index) {
                let message = if first == index {
                    "it is listed twice".to_owned()
                } else {
                    format!("client[{first}] has the same: a caller with it could be either")
                };
                cx.report.error(&place.key(key), message);
            }
        }
        clients.push(client);
    }
    clients
}

fn client(raw: raw::Client, table: &Place, known: &BTreeSet<&AppId>, cx: &mut Context<'_>) -> Option<Client> {
    let raw::Client { name, token_sha256, certificate, uid, accounts, kinds, actions, not_after } = raw;
    let name = name.filter(|name| !name.trim().is_empty());
    if name.is_none() {
        cx.report.missing(table, &["name"], "a client needs a name: it stands in logs and in the audit");
    }
    let mut identities = Vec::new();
    for text in texts(token_sha256.as_ref()) {
        match sha256(text) {
            Some(hash) => identities.push(Identity::TokenSha256(hash)),
            None => cx.report.error(
                &table.key("token_sha256"),
                "the SHA-256 of a token has 64 hex digits: `zhongkong new-client NAME` prints both",
            ),
        }
    }
    for text in texts(certificate.as_ref()) {
        if text.is_empty() {
            cx.report.error(&table.key("certificate"), "a name in the certificate is needed");
        }
        identities.push(Identity::Certificate(text.clone()));
    }
    identities.extend(uid.map(Identity::Uid));
    if texts(token_sha256.as_ref()).is_empty() && texts(certificate.as_ref()).is_empty() && uid.is_none() {
        let keys = ["token_sha256", "certificate", "uid"];
        cx.report.missing(
            table,
            &keys,
            "a client needs a proof of who it is: token_sha256, certificate or uid",
        );
    }
    let not_after = not_after.map(|raw::Date(text)| {
        let stamp = text.parse::<jiff::Timestamp>().ok();
        if stamp.is_none() {
            let rule = "a date and time with its offset is needed, like \"2027-01-31T00:00:00Z\"";
            cx.report.error(&table.key("not_after"), rule);
        }
        stamp.map_or(WallTime(0), |stamp| WallTime(stamp.as_millisecond()))
    });
    let grants = Grants {
        accounts: accounts_of(table, accounts.as_ref(), known, cx),
        kinds: kinds_of(table, kinds.as_ref(), cx),
        actions: actions_of(table, actions.as_ref(), cx),
    };
    Some(Client { name: name?, identities, grants, not_after })
}

fn accounts_of(
    table: &Place,
    raw: Option<&raw::OneOrMany>,
    known: &BTreeSet<&AppId>,
    cx: &mut Context<'_>,
) -> Scope<AppId> {
    let place = table.key("accounts");
    let listed = texts(raw);
    if listed.is_empty() {
        cx.report.missing(
            table,
            &["accounts"],
            "a client needs accounts: a list of appids, or [\"*\"] for all",
        );
    }
    scope(&place, listed, cx, |text, cx| match text.parse::<AppId>() {
        Ok(appid) => {
            if !known.contains(&appid) {
                cx.report.warn(&place, format!("no [[account]] has the appid {}", shown(appid.as_str())));
            }
            Some(appid)
        }
        Err(rule) => {
            cx.report.error(&place, rule.to_string());
            None
        }
    })
}

fn kinds_of(table: &Place, raw: Option<&raw::OneOrMany>, cx: &mut Context<'_>) -> Scope<Kind> {
    let place = table.key("kinds");
    let Some(raw) = raw else { return Scope::All };
    if raw.as_slice().is_empty() {
        cx.report.error(&place, "an empty list would allow nothing: name kinds, or [\"*\"] for all");
    }
    let words = Kind::ALL.map(|kind| (kind.as_str(), kind));
    scope(&place, raw.as_slice(), cx, |text, cx| cx.word(&place, text, &words))
}

fn actions_of(table: &Place, raw: Option<&raw::OneOrMany>, cx: &mut Context<'_>) -> BTreeSet<Action> {
    let listed = texts(raw);
    if listed.is_empty() {
        cx.report.missing(table, &["actions"], "a client needs actions, like [\"read\", \"complain\"]");
    }
    // No "*": what an action allows is decided one by one, and later ones may be added.
    listed.iter().filter_map(|text| cx.word(&table.key("actions"), text, &ACTIONS)).collect()
}

/// `["*"]`, or each element read by `parse`.
fn scope<T: Ord>(
    place: &Place,
    listed: &[String],
    cx: &mut Context<'_>,
    mut parse: impl FnMut(&str, &mut Context<'_>) -> Option<T>,
) -> Scope<T> {
    if !listed.iter().any(|text| text == "*") {
        return Scope::Only(listed.iter().filter_map(|text| parse(text, cx)).collect());
    }
    if listed.len() > 1 {
        cx.report.error(place, "\"*\" already means all: write it alone");
    }
    Scope::All
}

/// The key of an identity, and what must not occur twice. The kind stands before the text, so
/// that a certificate called `0` is not uid 0.
fn describe(identity: &Identity) -> (&'static str, String) {
    match identity {
        Identity::TokenSha256(hash) => ("token_sha256", format!("token {hash:?}")),
        Identity::Certificate(name) => ("certificate", format!("certificate {name}")),
        Identity::Uid(uid) => ("uid", format!("uid {uid}")),
    }
}

fn texts(raw: Option<&raw::OneOrMany>) -> &[String] {
    raw.map_or(&[], raw::OneOrMany::as_slice)
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
