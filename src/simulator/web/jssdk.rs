//! The JS-SDK's other end: whether a page's signature is right, and what pages then did.
//!
//! The hash is made here, over the tickets that this simulator issued and that are alive, and
//! the address as the client has it. Verdicts use WeChat's texts; for a person, `/_sim/jssdk` says
//! besides what a wrong signature does fit. The last [`KEPT`] verdicts and calls are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tokio::time::Instant;
use url::Url;

use super::super::state::State;
use super::super::values::{Kind, Verdict};

/// How many verdicts, and how many calls, are kept.
const KEPT: usize = 1000;

/// One `wx.config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsConfig {
    /// For which account.
    pub appid: String,
    /// The address that the client judged by.
    pub url: String,
    /// The page's address at that time, with its fragment.
    pub href: String,
    /// What the page was told: `config:ok` or why not.
    pub verdict: String,
    /// What a wrong signature does fit, if anything that is often taken for the right thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<String>,
    /// What the page wanted to use.
    pub js_api_list: Vec<String>,
    /// Which tags.
    pub open_tag_list: Vec<String>,
}

/// One call of another function of the JS-SDK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsCall {
    /// Of which account.
    pub appid: String,
    /// From which page, as the client has it.
    pub url: String,
    /// Which one.
    pub name: String,
    /// What it was given, without its functions.
    pub params: Value,
    /// What the page was told: `scanQRCode:ok` or why not.
    pub verdict: String,
}

/// What `wx.config` sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigBody {
    appid: String,
    timestamp: String,
    nonce_str: String,
    signature: String,
    js_api_list: Vec<String>,
    open_tag_list: Vec<String>,
    url: String,
    href: String,
}

/// What every other function sends; its verdict is the script's, but for cards.
#[derive(Deserialize)]
pub(super) struct CallBody {
    appid: String,
    name: String,
    params: Value,
    #[serde(rename = "errMsg")]
    verdict: String,
    url: String,
}

/// What pages did, oldest first.
#[derive(Default)]
pub(super) struct Record {
    pub(super) configs: VecDeque<JsConfig>,
    pub(super) calls: VecDeque<JsCall>,
}

fn keep<T>(list: &mut VecDeque<T>, new: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(new);
}

impl State {
    /// Judges a configuration as WeChat does; the answer for the script.
    pub(super) fn configure(&mut self, body: ConfigBody) -> Value {
        let (verdict, fits) = match self.judge(&body) {
            Ok(()) => ("config:ok".to_owned(), None),
            Err((why, fits)) => (format!("config:fail, {why}"), fits),
        };
        let account = self.accounts().get(&body.appid);
        let denied = account.map(|account| account.web.denied_apis.clone()).unwrap_or_default();
        let answer = json!({ "errMsg": verdict, "denied": denied });
        let ConfigBody { appid, url, href, js_api_list, open_tag_list, .. } = body;
        let seen = JsConfig { appid, url, href, verdict, fits, js_api_list, open_tag_list };
        keep(&mut self.web.js.configs, seen);
        answer
    }

    fn judge(&mut self, body: &ConfigBody) -> Result<(), (&'static str, Option<String>)> {
        let account = self.account(&body.appid).ok_or(("invalid appid", None))?;
        let known = Url::parse(&body.url).is_ok_and(|url| account.web.js_domains.cover(&url));
        if !known {
            return Err(("invalid url domain", None));
        }
        if body.js_api_list.is_empty() {
            return Err(("param is empty", None));
        }
        let signs = |ticket: &str, url: &str| page_signature(ticket, body, url) == body.signature;
        if self.living(&body.appid, Kind::JsapiTicket).iter().any(|ticket| signs(ticket, &body.url)) {
            return Ok(());
        }
        Err(("invalid signature", self.fits(body)))
    }

    /// The tickets of an account that WeChat takes now.
    fn living(&self, appid: &str, kind: Kind) -> Vec<Arc<str>> {
        let now = Instant::now();
        let all = self.tickets_of(appid, kind);
        all.filter(|ticket| self.values.verdict(ticket, now) == Verdict::Alive).cloned().collect()
    }

    fn tickets_of(&self, appid: &str, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        let account = self.accounts().get(appid).into_iter();
        account
            .flat_map(|account| &account.tickets)
            .filter(move |(of, _)| *of == kind)
            .map(|(_, ticket)| ticket)
    }

    /// Which of the usual mistakes explains a wrong signature.
    fn fits(&self, body: &ConfigBody) -> Option<String> {
        let signs = |ticket: &str, url: &str| page_signature(ticket, body, url) == body.signature;
        let mut tickets = self.tickets_of(&body.appid, Kind::JsapiTicket);
        if tickets.any(|ticket| signs(ticket, &body.url)) {
            return Some("a ticket that is dead".to_owned());
        }
        let mut cards = self.tickets_of(&body.appid, Kind::WxCardTicket);
        if cards.any(|ticket| signs(ticket, &body.url)) {
            return Some("the ticket of wx_card".to_owned());
        }
        let mut foreign = self.accounts().keys().filter(|appid| **appid != body.appid);
        let theirs = |appid: &&String| {
            self.tickets_of(appid, Kind::JsapiTicket).any(|ticket| signs(ticket, &body.url))
        };
        if let Some(other) = foreign.find(theirs) {
            return Some(format!("the ticket of {other}"));
        }
        let origin = Url::parse(&body.url).ok()?.origin().ascii_serialization();
        let cut = body.href.split('#').next().unwrap_or_default();
        let others = [
            body.href.clone(),
            cut.to_owned(),
            body.url.split('?').next().unwrap_or_default().to_owned(),
            body.url.replace('&', "&amp;"),
            url::form_urlencoded::byte_serialize(body.url.as_bytes()).collect(),
            body.url.replacen("http://", "https://", 1),
            body.url.replacen("https://", "http://", 1),
            format!("{origin}/"),
            origin,
        ];
        let mine: Vec<&Arc<str>> = self.tickets_of(&body.appid, Kind::JsapiTicket).collect();
        let fitting = others.into_iter().find(|url| mine.iter().any(|ticket| signs(ticket, url)));
        fitting.map(|url| format!("the URL {url}"))
    }

    /// Takes note of a call; the answer for the script. Cards are signed, and looked at.
    pub(super) fn called(&mut self, body: CallBody) -> Value {
        let CallBody { appid, name, params, mut verdict, url } = body;
        let good = match name.as_str() {
            _ if verdict != format!("{name}:ok") => true,
            "addCard" => self.good_cards(&appid, &params),
            "chooseCard" => self.good_choice(&appid, &params),
            _ => true,
        };
        if !good {
            verdict = format!("{name}:fail, invalid signature");
        }
        let answer = json!({ "errMsg": verdict });
        keep(&mut self.web.js.calls, JsCall { appid, url, name, params, verdict });
        answer
    }

    fn good_cards(&self, appid: &str, params: &Value) -> bool {
        let tickets = self.living(appid, Kind::WxCardTicket);
        let good = |card: &Value| {
            let ext = card.get("cardExt").and_then(Value::as_str).unwrap_or_default();
            let Ok(ext) = serde_json::from_str::<Value>(ext) else { return false };
            let mut values: Vec<String> =
                ["code", "openid", "timestamp", "nonce_str"].iter().map(|name| said(&ext, name)).collect();
            values.push(said(card, "cardId"));
            let signature = said(&ext, "signature");
            tickets.iter().any(|ticket| card_signature(ticket, &values) == signature)
        };
        let cards = params.get("cardList").and_then(Value::as_array);
        cards.is_some_and(|cards| !cards.is_empty() && cards.iter().all(good))
    }

    fn good_choice(&self, appid: &str, params: &Value) -> bool {
        let names = ["shopId", "timestamp", "nonceStr", "cardId", "cardType"];
        let mut values: Vec<String> = names.iter().map(|name| said(params, name)).collect();
        values.push(appid.to_owned());
        let signature = said(params, "cardSign");
        self.living(appid, Kind::WxCardTicket)
            .iter()
            .any(|ticket| card_signature(ticket, &values) == signature)
    }
}

/// A value as its text; numbers come as either.
fn said(object: &Value, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn page_signature(ticket: &str, body: &ConfigBody, url: &str) -> String {
    let ConfigBody { nonce_str, timestamp, .. } = body;
    hex::encode(Sha1::digest(format!(
        "jsapi_ticket={ticket}&noncestr={nonce_str}&timestamp={timestamp}&url={url}"
    )))
}

/// The values alone, sorted and joined.
fn card_signature(ticket: &str, values: &[String]) -> String {
    let mut values: Vec<&str> = values.iter().map(String::as_str).chain([ticket]).collect();
    values.sort_unstable();
    hex::encode(Sha1::digest(values.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_vectors_of_wechats_documentation_and_of_wechatpy() {
        let body = ConfigBody {
            appid: String::new(),
            timestamp: "1414587457".to_owned(),
            nonce_str: "Wm3WZYTPz0wzccnW".to_owned(),
            signature: String::new(),
            js_api_list: Vec::new(),
            open_tag_list: Vec::new(),
            url: String::new(),
            href: String::new(),
        };
        let ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
        let signature = page_signature(ticket, &body, "http://mp.weixin.qq.com?params=value");
        assert_eq!(signature, "0f9de62fce790f9a083d5c99e95740ceb90c27ed");
        let card = card_signature("789", &["456".to_owned(), "123".to_owned(), String::new()]);
        assert_eq!(card, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    }
}
