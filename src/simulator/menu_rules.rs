//! What WeChat checks of a menu before it takes it, and the errcode of each refusal.
//!
//! The first mistake decides, as WeChat's own answer names one only. Lengths are bytes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use url::Url;

use super::custom::escapes_beyond_ascii;
use super::errcode::Refusal;
use super::wire::Request;

/// The numbers for the two levels of buttons.
struct Codes {
    count: i64,
    kind: i64,
    name: i64,
    key: i64,
    url: i64,
    domain: i64,
}

const FOOT: Codes = Codes { count: 40016, kind: 40017, name: 40018, key: 40019, url: 40020, domain: 40055 };
const LIST: Codes = Codes { count: 40023, kind: 40024, name: 40025, key: 40026, url: 40027, domain: 40054 };

/// Mini programs that may be opened; any where nobody has listed some.
type Linked<'a> = Option<&'a BTreeSet<String>>;

/// The JSON object of a request.
pub(super) fn body(request: &Request) -> Result<&Map<String, Value>, Refusal> {
    if request.body.is_empty() {
        return Err(Refusal::new(44002));
    }
    if escapes_beyond_ascii(&request.body) {
        return Err(Refusal::new(40033));
    }
    match &request.json {
        Some(Value::Object(body)) => Ok(body),
        Some(_) | None => Err(Refusal::new(47001)),
    }
}

/// The buttons of a default menu.
pub(super) fn default_menu(body: &Map<String, Value>, linked: Linked<'_>) -> Result<Vec<Value>, Refusal> {
    let list = body.get("button").and_then(Value::as_array).ok_or_else(|| Refusal::new(40016))?;
    buttons(list, linked)?;
    Ok(list.clone())
}

/// Buttons and rule of a conditional menu.
pub(super) fn conditional_menu(
    body: &Map<String, Value>,
    linked: Linked<'_>,
) -> Result<(Vec<Value>, Map<String, Value>), Refusal> {
    let list = body.get("button").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Refusal::new(65307))?;
    let untyped = |button: &Value| {
        let has = |name: &str| button.get(name).is_some();
        !has("type") && !has("sub_button")
    };
    if list.iter().any(untyped) {
        return Err(Refusal::new(65308));
    }
    buttons(list, linked)?;
    let rule = body.get("matchrule").and_then(Value::as_object).ok_or_else(|| Refusal::new(65304))?;
    let rule: Map<String, Value> = rule.iter().filter(|(_, value)| filled(value)).map(clone).collect();
    match_rule(&rule)?;
    let mut hosts = BTreeSet::new();
    collect_hosts(list, &mut hosts)?;
    if hosts.len() > 3 { Err(Refusal::new(65316)) } else { Ok((list.clone(), rule)) }
}

fn clone((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn filled(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

fn match_rule(rule: &Map<String, Value>) -> Result<(), Refusal> {
    let known = ["tag_id", "client_platform_type", "sex", "country", "province", "city", "language"];
    if !known.iter().any(|name| rule.contains_key(*name)) {
        return Err(Refusal::new(65304));
    }
    let has = |name: &str| rule.contains_key(name);
    if has("province") && !has("country") {
        return Err(Refusal::new(65310));
    }
    if has("city") && !has("province") {
        return Err(Refusal::new(65311));
    }
    for (name, code) in [("country", 65312), ("province", 65313), ("city", 65314)] {
        if rule.get(name).is_some_and(|value| !value.is_string()) {
            return Err(Refusal::new(code));
        }
    }
    let text = |name: &str| rule.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
    let tag = text("tag_id").is_none_or(|tag| tag.parse::<u32>().is_ok());
    let platform = text("client_platform_type").is_none_or(|kind| ["1", "2", "3"].contains(&kind.as_str()));
    if tag && platform { Ok(()) } else { Err(Refusal::new(40035)) }
}

fn collect_hosts(list: &[Value], hosts: &mut BTreeSet<String>) -> Result<(), Refusal> {
    for button in list {
        if let Some(items) = button.get("sub_button").and_then(Value::as_array) {
            collect_hosts(items, hosts)?;
        }
        if button.get("type").and_then(Value::as_str) == Some("view") {
            let url = button.get("url").and_then(Value::as_str).unwrap_or_default();
            let url = Url::parse(url).map_err(|_| Refusal::new(65317))?;
            hosts.extend(url.host_str().filter(|host| *host != "mp.weixin.qq.com").map(str::to_owned));
        }
    }
    Ok(())
}

fn buttons(list: &[Value], linked: Linked<'_>) -> Result<(), Refusal> {
    if list.is_empty() || list.len() > 3 {
        return Err(Refusal::new(FOOT.count));
    }
    for button in list {
        let items = button.get("sub_button").and_then(Value::as_array).filter(|items| !items.is_empty());
        let Some(items) = items else {
            one(button, 16, &FOOT, linked)?;
            continue;
        };
        name(button, 16, &FOOT)?;
        if items.len() > 5 {
            return Err(Refusal::new(LIST.count));
        }
        for item in items {
            if item.get("sub_button").and_then(Value::as_array).is_some_and(|deeper| !deeper.is_empty()) {
                return Err(Refusal::new(40022));
            }
            one(item, 60, &LIST, linked)?;
        }
    }
    Ok(())
}

fn name(button: &Value, longest: usize, codes: &Codes) -> Result<(), Refusal> {
    text(button, "name", longest).map(|_| ()).ok_or_else(|| Refusal::new(codes.name))
}

/// A field that is text, not empty, and not too long.
fn text<'a>(button: &'a Value, field: &str, longest: usize) -> Option<&'a str> {
    let text = button.get(field)?.as_str()?;
    (!text.is_empty() && text.len() <= longest).then_some(text)
}

fn one(button: &Value, longest: usize, codes: &Codes, linked: Linked<'_>) -> Result<(), Refusal> {
    name(button, longest, codes)?;
    let refused = |code: i64| move || Refusal::new(code);
    let medium = |field: &str| text(button, field, 1024).map(|_| ()).ok_or_else(refused(40007));
    let url = || {
        let url = text(button, "url", 1024).ok_or_else(refused(codes.url))?;
        let good = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if Url::parse(url).is_ok_and(|url| good(&url)) { Ok(()) } else { Err(Refusal::new(codes.domain)) }
    };
    match button.get("type").and_then(Value::as_str).unwrap_or_default() {
        "click" | "scancode_push" | "scancode_waitmsg" | "pic_sysphoto" | "pic_photo_or_album"
        | "pic_weixin" | "location_select" => {
            text(button, "key", 128).map(|_| ()).ok_or_else(refused(codes.key))
        }
        "view" => url(),
        "miniprogram" => {
            url()?;
            let appid = text(button, "appid", 64).ok_or_else(refused(40013))?;
            if linked.is_some_and(|linked| !linked.contains(appid)) {
                return Err(Refusal::new(45064));
            }
            text(button, "pagepath", 1024).map(|_| ()).ok_or_else(refused(40035))
        }
        "media_id" | "view_limited" => medium("media_id"),
        "article_id" | "article_view_limited" => medium("article_id"),
        _ => Err(Refusal::new(codes.kind)),
    }
}
