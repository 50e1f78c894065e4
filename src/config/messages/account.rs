//! `[[messages.account]]`: whose callbacks arrive, and how they are proved and encrypted.

use std::collections::BTreeMap;

use crate::model::AppId;
use crate::secret::Secret;
use crate::services::messages::account::Account;
use crate::services::messages::envelope::Mode;

use super::super::context::Context;
use super::super::place::Place;
use super::super::raw;
use super::super::secrets::{Depth, Sources, shown};
use super::super::verify;
use super::ForwardSettings;

/// What the console makes and takes.
const AES_KEY_LENGTH: usize = 43;
/// The console's rule for a Token.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 3..=32;
/// A path is typed into a console by hand.
const LONGEST_PATH: usize = 64;

/// An account whose messages arrive.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// Its appid and its path.
    pub account: Account,
    /// As in WeChat's console.
    pub mode: Mode,
    /// What pushes are signed with.
    pub token: Secret,
    /// The EncodingAESKey; always there unless the mode is plain.
    pub aes_key: Option<Secret>,
    /// The one before it.
    pub previous_aes_key: Option<Secret>,
    /// What an encrypted push must end with.
    pub receive_id: String,
    /// Who gets what no rule answers: the name of one of the forwards.
    pub forward: Option<String>,
}

/// Who answers the messages of an account that forwards none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// There is a file of rules.
    ByRules,
    /// Nobody.
    ByForwardsOnly,
}

/// Validates every account.
pub(super) fn check(
    raw: Vec<raw::MessagesAccount>,
    forwards: &[ForwardSettings],
    answered: Answered,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Vec<CallbackSettings> {
    let list = Place::root().key("messages").key("account");
    if raw.is_empty() && depth == Depth::Secrets {
        let odd = "there is no [[messages.account]]: the service will run and refuse every message";
        cx.report.warn(&Place::root(), odd);
    }
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    let mut accounts = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = list.index(index);
        let Some(settings) = account(raw, forwards, depth, &place, cx) else { continue };
        odd(&settings, answered, depth, &place, cx);
        let path = &settings.account.path;
        if let Some(first) = paths.get(path) {
            let path = shown(path);
            let rule =
                format!("/wechat/{path} is also the path of messages.account[{first}]: each path once");
            cx.report.error(&place.key("path"), rule);
        } else {
            paths.insert(path.clone(), index);
        }
        accounts.push(settings);
    }
    accounts
}

/// What works, and is probably not meant. Told to who runs the service.
fn odd(settings: &CallbackSettings, answered: Answered, depth: Depth, place: &Place, cx: &mut Context<'_>) {
    let CallbackSettings { mode, forward, .. } = settings;
    match (depth, answered, forward) {
        (Depth::Secrets, Answered::ByForwardsOnly, None) => cx.report.warn(
            place,
            "nobody answers its messages, which are only acknowledged: set [messages] rules, or its forward",
        ),
        (Depth::Secrets | Depth::Form, _, _) => {}
    }
    match (depth, mode) {
        (Depth::Secrets, Mode::Plain) => cx.report.warn(
            &place.key("mode"),
            "in plain mode nothing proves what a message says, and everybody on the way can read it: use safe mode, in WeChat's \
             console first",
        ),
        (Depth::Secrets, Mode::Compatible | Mode::Safe) | (Depth::Form, _) => {}
    }
}

fn account(
    raw: raw::MessagesAccount,
    forwards: &[ForwardSettings],
    depth: Depth,
    table: &Place,
    cx: &mut Context<'_>,
) -> Option<CallbackSettings> {
    let raw::MessagesAccount {
        appid,
        path,
        mode,
        token_file,
        token_credential,
        token_env,
        aes_key_file,
        aes_key_credential,
        aes_key_env,
        previous_aes_key_file,
        previous_aes_key_credential,
        previous_aes_key_env,
        receive_id,
        verify_files,
        forward,
    } = raw;
    let token = sources("token", [&token_file, &token_credential, &token_env]);
    let key = sources("aes_key", [&aes_key_file, &aes_key_credential, &aes_key_env]);
    let previous = [&previous_aes_key_file, &previous_aes_key_credential, &previous_aes_key_env];
    let previous = sources("previous_aes_key", previous);

    let appid = appid_of(table, appid, cx);
    let path = path_of(table, path, appid.as_ref(), cx);
    let modes = [("safe", Mode::Safe), ("compatible", Mode::Compatible), ("plain", Mode::Plain)];
    let mode = mode.map_or(Some(Mode::Safe), |text| cx.word(&table.key("mode"), &text, &modes));
    let token = token.load_to(depth, table, cx);
    if let (Depth::Secrets, Some(token)) = (depth, &token)
        && !TOKEN_LENGTHS.contains(&token.expose().len())
    {
        cx.report.warn(
            table,
            "its token does not look like one of WeChat's console, which has 3 to 32 letters and digits",
        );
    }
    let aes_key = match mode {
        _ if !key.is_empty() => Some(aes_key_of(&key, depth, table, cx)?),
        Some(Mode::Safe | Mode::Compatible) => {
            cx.report.missing(
                table,
                &["aes_key_file", "aes_key_credential", "aes_key_env"],
                "the modes safe and compatible need the EncodingAESKey: name it with one of aes_key_file, aes_key_credential and aes_key_env",
            );
            return None;
        }
        Some(Mode::Plain) | None => None,
    };
    let previous_aes_key =
        if previous.is_empty() { None } else { Some(aes_key_of(&previous, depth, table, cx)?) };
    if previous_aes_key.is_some() && aes_key.is_none() {
        cx.report
            .error(table, "a previous key without a current one: name that with aes_key_file or its like");
    }
    if depth == Depth::Secrets && aes_key.is_some() && aes_key == previous_aes_key {
        cx.report.warn(table, "its previous key is the current one: remove previous_aes_key");
    }
    verify::check(table, verify_files.as_ref(), appid.as_ref(), cx);
    if let Some(name) = &forward
        && !forwards.iter().any(|known| known.name == *name)
    {
        let rule = format!("no [[messages.forward]] has the name {}", shown(name));
        cx.report.error(&table.key("forward"), rule);
    }
    let receive_id = receive_id_of(table, receive_id, appid.as_ref(), cx);
    Some(CallbackSettings {
        account: Account { appid: appid?, path: path? },
        mode: mode?,
        token: token?,
        aes_key,
        previous_aes_key,
        receive_id: receive_id?,
        forward,
    })
}

fn sources<'r>(prefix: &'static str, [file, credential, env]: [&'r Option<String>; 3]) -> Sources<'r> {
    Sources { prefix, file: file.as_deref(), credential: credential.as_deref(), env: env.as_deref() }
}

fn aes_key_of(sources: &Sources<'_>, depth: Depth, table: &Place, cx: &mut Context<'_>) -> Option<Secret> {
    let key = sources.load_to(depth, table, cx)?;
    let text = key.expose();
    // 43 digits of base64: the console makes letters and digits only, other programs all of them.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if depth == Depth::Secrets && (text.len() != AES_KEY_LENGTH || !text.bytes().all(fits)) {
        let prefix = sources.prefix;
        let rule = format!(
            "what {prefix} names is no EncodingAESKey, which has {AES_KEY_LENGTH} letters and digits: copy it from WeChat's console"
        );
        cx.report.error(table, rule);
        return None;
    }
    Some(key)
}

pub(in crate::config) fn appid_of(
    table: &Place,
    text: Option<String>,
    cx: &mut Context<'_>,
) -> Option<AppId> {
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

/// What stands in an address without being escaped, and is nobody's idea of a directory.
pub(in crate::config) fn path_of(
    table: &Place,
    text: Option<String>,
    appid: Option<&AppId>,
    cx: &mut Context<'_>,
) -> Option<String> {
    let fits = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST_PATH).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
    };
    let rule = "a path has 1 to 64 letters, digits, dashes, underscores and dots, and begins with no dot";
    match text {
        Some(text) if fits(&text) => Some(text),
        Some(_) => {
            cx.report.error(&table.key("path"), rule);
            None
        }
        None => {
            let text = appid?.as_str();
            if fits(text) {
                return Some(text.to_owned());
            }
            cx.report.error(table, format!("its appid cannot be its path, so path is needed: {rule}"));
            None
        }
    }
}

fn receive_id_of(
    table: &Place,
    text: Option<String>,
    appid: Option<&AppId>,
    cx: &mut Context<'_>,
) -> Option<String> {
    let Some(text) = text else { return Some(appid?.as_str().to_owned()) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = "what WeChat puts behind a message is needed: an appid, of a third-party platform its component appid";
        cx.report.error(&table.key("receive_id"), rule);
        return None;
    }
    Some(text)
}
