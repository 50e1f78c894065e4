//! `[[account]]`.

use std::collections::BTreeMap;

use crate::hub::AccountSettings;
use crate::model::{AppId, Kind, TokenMode};

use super::context::Context;
use super::place::Place;
use super::raw;
use super::secrets::{Sources, shown};

/// WeChat's grant for an account of the ordinary kind.
const DAILY_CALLS: u32 = 2000;
/// Below it the deadlines of one day would not fit (12 for a life of two hours and a retry).
const FEWEST_DAILY_CALLS: u32 = 10;
/// An AppSecret as WeChat makes them: 32 hex digits.
const SECRET_DIGITS: usize = 32;

/// Validates every account.
pub(super) fn check(raw: Vec<raw::Account>, cx: &mut Context<'_>) -> Vec<AccountSettings> {
    let list = Place::root().key("account");
    if raw.is_empty() {
        cx.report.warn(&Place::root(), "there is no [[account]]: the daemon will run and have nothing to do");
    }
    let mut first_of = BTreeMap::new();
    let mut accounts = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = list.index(index);
        let Some(account) = account(raw, &place, cx) else { continue };
        if let Some(first) = first_of.get(&account.appid) {
            let message = format!(
                "{} is also the appid of account[{first}]: each account once",
                shown(account.appid.as_str())
            );
            cx.report.error(&place.key("appid"), message);
        } else {
            first_of.insert(account.appid.clone(), index);
        }
        accounts.push(account);
    }
    accounts
}

fn account(raw: raw::Account, table: &Place, cx: &mut Context<'_>) -> Option<AccountSettings> {
    let raw::Account {
        appid,
        name,
        secret_file,
        secret_credential,
        secret_env,
        token_mode,
        tickets,
        daily_calls,
        callback_url,
    } = raw;
    let appid = appid_of(table, appid, cx);
    let sources = Sources {
        prefix: "secret",
        file: secret_file.as_deref(),
        credential: secret_credential.as_deref(),
        env: secret_env.as_deref(),
    };
    let secret = sources.load(table, cx);
    if let Some(secret) = &secret {
        let text = secret.expose();
        if text.len() != SECRET_DIGITS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            cx.report.warn(table, "its secret does not look like an AppSecret, which has 32 hex digits");
        }
    }
    let modes = [TokenMode::Stable, TokenMode::Classic].map(|mode| (mode.as_str(), mode));
    let token_mode = match token_mode {
        Some(text) => cx.word(&table.key("token_mode"), &text, &modes),
        None => Some(TokenMode::Stable),
    };
    let tickets = tickets_of(table, tickets.as_ref(), cx);
    // Valid or not, the daemon has no use for it: the survey hands it to `doctor`.
    if let Some(Err(rule)) = callback_url.as_deref().map(super::callback::callback_url) {
        cx.report.error(&table.key("callback_url"), rule);
    }
    let daily_calls = daily_calls.unwrap_or(DAILY_CALLS);
    if daily_calls < FEWEST_DAILY_CALLS {
        let rule = format!("at least {FEWEST_DAILY_CALLS} calls a day are needed to keep a token alive");
        cx.report.error(&table.key("daily_calls"), rule);
    }
    Some(AccountSettings {
        appid: appid?,
        name,
        secret: secret?,
        token_mode: token_mode?,
        tickets,
        daily_calls,
    })
}

fn appid_of(table: &Place, text: Option<String>, cx: &mut Context<'_>) -> Option<AppId> {
    let Some(text) = text else {
        cx.report.missing(table, &["appid"], "an account needs its appid");
        return None;
    };
    match text.parse() {
        Ok(appid) => Some(appid),
        Err(rule) => {
            cx.report.error(&table.key("appid"), rule.to_string());
            None
        }
    }
}

fn tickets_of(table: &Place, raw: Option<&raw::OneOrMany>, cx: &mut Context<'_>) -> Vec<Kind> {
    let place = table.key("tickets");
    let words = [Kind::JsapiTicket, Kind::WxCardTicket].map(|kind| (kind.as_str(), kind));
    let mut tickets = Vec::new();
    for text in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        if text == Kind::AccessToken.as_str() {
            cx.report.error(&place, "access_token is no ticket and is always kept: remove it");
            continue;
        }
        let Some(kind) = cx.word(&place, text, &words) else { continue };
        if tickets.contains(&kind) {
            cx.report.error(&place, format!("{kind} is listed twice"));
        } else {
            tickets.push(kind);
        }
    }
    tickets
}
