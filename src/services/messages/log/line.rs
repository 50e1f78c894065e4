//! How a push reads in the log. What it does not have is left out.
//!
//! Everything that a stranger can make long is cut, so that a line is at most some ten KiB.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::super::message::Message;
use super::super::reply::Reply;
use super::entry::{Entry, Refused};
use super::{ContentPolicy, OpenIdPolicy};
use crate::clock::WallTime;

/// The most bytes of a name or a reason.
const LONGEST_NAME: usize = 256;
/// The most bytes of what was said; WeChat takes no longer text.
const LONGEST_TEXT: usize = 4_096;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    trace: &'a str,
    account: &'a str,
    appid: &'a str,
    #[serde(rename = "type")]
    msg_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    created: u64,
    delivery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
}

#[derive(Serialize)]
struct RefusedLine<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<&'a str>,
    outcome: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Serialize)]
struct Gap {
    time: String,
    missing: u64,
}

/// The line of a push.
pub(super) fn of(
    entry: &Entry<'_>,
    now: WallTime,
    content: ContentPolicy,
    openid: OpenIdPolicy,
) -> Box<[u8]> {
    let &Entry { trace, account, message, delivery, handler, outcome, took } = entry;
    let said = words(message);
    let replied = outcome.reply().and_then(spoken);
    let (lengths, texts) = match content {
        ContentPolicy::None => (false, false),
        ContentPolicy::Length => (true, false),
        ContentPolicy::Full => (true, true),
    };
    let bytes = |text: Option<&str>| text.filter(|_| lengths).map(str::len);
    line(&Line {
        time: now.to_string(),
        trace: &trace.0,
        account: &account.path,
        appid: account.appid.as_str(),
        msg_type: name(message.msg_type()),
        event: message.event().map(name),
        key: message.event_key().map(name),
        from: user(message, openid),
        id: message.id().map(|id| id.to_string()),
        created: message.created(),
        delivery: delivery.as_str(),
        handler: handler.map(name),
        outcome: outcome.as_str(),
        reply: outcome.reply().map(kind),
        reason: outcome.reason().map(name),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        content_bytes: bytes(said),
        content: said.filter(|_| texts).map(|text| cut(text, LONGEST_TEXT)),
        answer_bytes: bytes(replied),
        answer: replied.filter(|_| texts).map(|text| cut(text, LONGEST_TEXT)),
    })
}

/// The line of one refusal.
pub(super) fn of_refused(refused: &Refused<'_>, now: WallTime) -> Box<[u8]> {
    let &Refused { trace, account, peer, reason, status } = refused;
    line(&RefusedLine {
        time: now.to_string(),
        trace: Some(&trace.0),
        account: account.map(|account| account.path.as_str()),
        appid: account.map(|account| account.appid.as_str()),
        outcome: "refused",
        reason,
        status: Some(status),
        peer: peer.map(|peer| peer.to_string()),
        count: None,
        since: None,
    })
}

/// The line of refusals that have none of their own.
pub(super) fn of_counted(counted: &super::refusals::Counted, now: WallTime) -> Box<[u8]> {
    line(&RefusedLine {
        time: now.to_string(),
        trace: None,
        account: counted.account.as_ref().map(|account| account.path.as_str()),
        appid: counted.account.as_ref().map(|account| account.appid.as_str()),
        outcome: "refused",
        reason: counted.reason,
        status: None,
        peer: None,
        count: Some(counted.count),
        since: Some(counted.since.to_string()),
    })
}

/// The line that stands for lines that are missing before it.
pub(super) fn of_gap(missing: u64, now: WallTime) -> Box<[u8]> {
    line(&Gap { time: now.to_string(), missing })
}

fn line(line: &impl Serialize) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, line).expect("texts and numbers are always JSON");
    bytes.push(b'\n');
    bytes.into_boxed_slice()
}

/// Says it in the service's own log, without its words.
pub(super) fn say(entry: &Entry<'_>, openid: OpenIdPolicy) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let &Entry { trace, account, message, delivery, handler, outcome, took } = entry;
    let (msg_type, outcome_is) = (name(message.msg_type()), outcome.as_str());
    tracing::debug!(
        trace = &*trace.0,
        app = account.appid.as_str(),
        account = account.path,
        msg_type,
        event = message.event().map(name),
        key = message.event_key().map(name),
        from = user(message, openid),
        delivery = delivery.as_str(),
        handler = handler.map(name),
        outcome = outcome_is,
        reply = outcome.reply().map(kind),
        reason = outcome.reason().map(name),
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "a push ({msg_type}) to {} was {outcome_is}",
        account.path
    );
}

/// The same for a refusal.
pub(super) fn say_refused(refused: &Refused<'_>) {
    let &Refused { trace, account, peer, reason, status } = refused;
    tracing::debug!(
        trace = &*trace.0,
        app = account.map(|account| account.appid.as_str()),
        account = account.map(|account| account.path.as_str()),
        peer = peer.map(tracing::field::display),
        reason,
        status,
        "a push was refused ({reason})"
    );
}

fn user(message: &Message, openid: OpenIdPolicy) -> String {
    match openid {
        OpenIdPolicy::Full => name(message.from()).to_owned(),
        OpenIdPolicy::Hash => hex::encode(&Sha256::digest(message.from().as_bytes())[..8]),
    }
}

/// What the user said, by hand or by mouth.
fn words(message: &Message) -> Option<&str> {
    let field = |name| message.fields().text(name).filter(|text| !text.is_empty());
    field("Content").or_else(|| field("Recognition"))
}

/// What a reply says in words.
fn spoken(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::Text { content } => Some(content),
        Reply::Image { .. }
        | Reply::Voice { .. }
        | Reply::Video(_)
        | Reply::Music(_)
        | Reply::News { .. }
        | Reply::TransferCustomerService { .. } => None,
    }
}

fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Text { .. } => "text",
        Reply::Image { .. } => "image",
        Reply::Voice { .. } => "voice",
        Reply::Video(_) => "video",
        Reply::Music(_) => "music",
        Reply::News { .. } => "news",
        Reply::TransferCustomerService { .. } => "transfer",
    }
}

fn name(text: &str) -> &str {
    cut(text, LONGEST_NAME)
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
