//! `[[messages.forward]]`: the business programs that messages are handed to.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

use super::super::context::Context;
use super::super::place::Place;
use super::super::raw;
use super::super::secrets::{Depth, Sources, shown};
use super::super::upstream::is_local;

/// What comes after the deadline is sent as a message of its own, so there is time.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// Enough for 300 messages a second to a program that takes 100 ms.
const CONCURRENCY: u32 = 32;
const MOST: u32 = 10_000;
/// Below it a secret is found by trying.
const SHORT_SECRET: usize = 16;

/// A business program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSettings {
    /// What rules and accounts call it.
    pub name: String,
    /// Where messages are posted.
    pub url: Url,
    /// What the posts are signed with.
    pub secret: Secret,
    /// For one post.
    pub timeout: Duration,
    /// Posts at once.
    pub concurrency: u32,
}

/// Validates every program.
pub(super) fn check(raw: Vec<raw::Forward>, depth: Depth, cx: &mut Context<'_>) -> Vec<ForwardSettings> {
    let list = Place::root().key("messages").key("forward");
    let mut forwards: Vec<ForwardSettings> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let place = list.index(index);
        let Some(settings) = forward(raw, depth, &place, cx) else { continue };
        if forwards.iter().any(|other| other.name == settings.name) {
            cx.report.error(&place.key("name"), format!("{} is used twice", shown(&settings.name)));
        }
        forwards.push(settings);
    }
    forwards
}

fn forward(raw: raw::Forward, depth: Depth, table: &Place, cx: &mut Context<'_>) -> Option<ForwardSettings> {
    let raw::Forward { name, url, secret_file, secret_credential, secret_env, timeout, concurrency } = raw;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = match name {
        Some(name) if !name.is_empty() && name.bytes().all(fits) => Some(name),
        Some(_) => {
            cx.report.error(&table.key("name"), "a name has letters, digits, dashes, underscores and dots");
            None
        }
        None => {
            cx.report.missing(table, &["name"], "a program needs a name, which rules and accounts use");
            None
        }
    };
    let url = url_of(table, url.as_deref(), cx);
    let sources = Sources {
        prefix: "secret",
        file: secret_file.as_deref(),
        credential: secret_credential.as_deref(),
        env: secret_env.as_deref(),
    };
    let secret = sources.load_to(depth, table, cx);
    if let (Depth::Secrets, Some(secret)) = (depth, &secret)
        && secret.expose().len() < SHORT_SECRET
    {
        cx.report.warn(table, "its secret is short: `openssl rand -hex 32` makes a good one");
    }
    let timeout = cx.duration(&table.key("timeout"), timeout.as_deref(), TIMEOUT, TIMEOUTS);
    let concurrency = concurrency.unwrap_or(CONCURRENCY);
    if !(1..=MOST).contains(&concurrency) {
        cx.report.error(&table.key("concurrency"), format!("a number from 1 to {MOST} is needed"));
    }
    Some(ForwardSettings { name: name?, url: url?, secret: secret?, timeout, concurrency })
}

/// The text is not repeated: it may hold a password.
fn url_of(table: &Place, text: Option<&str>, cx: &mut Context<'_>) -> Option<Url> {
    let Some(text) = text else {
        cx.report.missing(table, &["url"], "a program needs its url, like \"http://127.0.0.1:8080/wechat\"");
        return None;
    };
    let place = table.key("url");
    let rule = match Url::parse(text) {
        Err(_) => "this is no URL: write it like \"http://127.0.0.1:8080/wechat\"",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "only http:// and https:// are known",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "a URL with a user or a password is not taken: this file holds no secrets"
        }
        Ok(url) if url.fragment().is_some() => "what follows # never leaves a browser: remove it",
        Ok(url) => {
            if url.scheme() == "http" && !is_local(&url) {
                let odd = "http:// to another machine shows every message to the network: use https://";
                cx.report.warn(&place, odd);
            }
            return Some(url);
        }
    };
    cx.report.error(&place, rule);
    None
}
