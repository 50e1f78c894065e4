//! `/_sim/push`: the sender for programs that are not ours, in any language.
//!
//! The answer comes when the delivery is over: after fifteen seconds at most, or as many as were
//! asked for. The address is whatever the caller says: the simulator is for a developer's machine.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::compose::Push;
use super::deliver::{ATTEMPTS, Sender, WAIT};
use super::fault::Fault;
use super::identity::{Format, Identity, Mode};
use crate::simulator::wire::{Page, Request};

/// Most attempts of one push.
const MOST_ATTEMPTS: usize = 10;
/// Longest wait for one answer.
const LONGEST_WAIT: u64 = 60_000;

/// What is to be sent to whom.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    url: String,
    /// A name of the catalogue, or `verify`.
    r#type: Option<String>,
    /// Overrides: path and text or number.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    /// A message as it was written down, instead of a type.
    message: Option<String>,
    token: String,
    aes_key: Option<String>,
    #[serde(default = "default_appid")]
    appid: String,
    #[serde(default = "default_original_id")]
    original_id: String,
    mode: Option<String>,
    format: Option<String>,
    fault: Option<String>,
    attempts: Option<usize>,
    wait_ms: Option<u64>,
}

fn default_appid() -> String {
    "wx0123456789abcdef".to_owned()
}

fn default_original_id() -> String {
    "gh_0123456789ab".to_owned()
}

/// Does it.
pub(in crate::simulator) async fn answer(request: &Request) -> Page {
    let done = async {
        let body = request.json.clone().ok_or("the body is not JSON")?;
        let order: Order = serde_json::from_value(body).map_err(|error| error.to_string())?;
        order.run().await
    };
    match done.await {
        Ok(document) => Page::json(&document),
        Err(sentence) => Page::text(400, format!("{sentence}\n")),
    }
}

impl Order {
    async fn run(self) -> Result<Value, String> {
        let Self { url, r#type, fields, message, token, aes_key, appid, original_id, .. } = self;
        let fault = named("fault", self.fault, Fault::of)?;
        let default_mode = if aes_key.is_some() { Mode::Safe } else { Mode::Plain };
        let mode = named("mode", self.mode, Mode::of)?.unwrap_or(default_mode);
        let format = named("format", self.format, Format::of)?.unwrap_or(Format::Xml);
        let identity = Identity { token, aes_key, appid, original_id, mode, format };
        let attempts = self.attempts.unwrap_or(ATTEMPTS);
        if !(1..=MOST_ATTEMPTS).contains(&attempts) {
            return Err(format!("attempts: {attempts} is not 1 to {MOST_ATTEMPTS}"));
        }
        let wait = match self.wait_ms {
            None => WAIT,
            Some(ms) if (1..=LONGEST_WAIT).contains(&ms) => Duration::from_millis(ms),
            Some(ms) => return Err(format!("wait_ms: {ms} is not 1 to {LONGEST_WAIT}")),
        };
        let sender = Sender::new(&url, identity).map_err(|error| error.to_string())?;
        let sender = sender.attempts(attempts).wait(wait);
        let mut push = match (r#type.as_deref(), message) {
            (Some("verify"), None) => return Ok(sender.verify_spoilt(fault).await.document()),
            (Some(name), None) => Push::new(name),
            (None, Some(text)) => Push::from_text(&text),
            (Some(_), Some(_)) | (None, None) => return Err("give either type or message".to_owned()),
        }
        .map_err(|error| error.to_string())?;
        for (path, value) in fields {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                other => return Err(format!("fields: {path} is {other}, and must be a text or a number")),
            };
            push = push.set(&path, &text).map_err(|error| error.to_string())?;
        }
        if let Some(fault) = fault {
            push = push.fault(fault);
        }
        Ok(sender.push(&push).await.document())
    }
}

fn named<T>(field: &str, text: Option<String>, of: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    let Some(text) = text else { return Ok(None) };
    let found = of(&text).ok_or_else(|| format!("{field}: {text:?} is none; GET /_sim/ lists them"))?;
    Ok(Some(found))
}
