//! `[messages]`: the message service as a whole.
//!
//! Checked by both readers of the file, but its secrets are read by its own process only
//! ([`Depth`]).

use std::path::PathBuf;
use std::time::Duration;

use crate::services::messages::log::{self, ContentPolicy, OpenIdPolicy};
use crate::wechat;

use super::context::{Context, is_host_port};
use super::daemon::{check_rotation, path};
use super::link::{self, DaemonLink};
use super::place::Place;
use super::raw;
use super::secrets::{Depth, shown};
use super::services::Service;

mod account;
mod forward;

pub use account::CallbackSettings;

pub(super) use account::{appid_of, path_of};

use account::Answered;
pub use forward::ForwardSettings;

/// WeChat waits five seconds; the answer has a way to go, so it never leaves later than this.
const DEADLINE: Duration = Duration::from_millis(4_500);
const DEADLINES: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=DEADLINE;
/// WeChat names no window; its retries take 15 s, and clocks are minutes off at worst.
const WINDOW: Duration = Duration::from_mins(10);
const WINDOWS: std::ops::RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_hours(24);

/// What the message service needs.
#[derive(Clone, Debug)]
pub struct MessagesSettings {
    /// Where the tokens are.
    pub daemon: DaemonLink,
    /// How WeChat's business endpoints are reached, for answers that are late.
    pub wechat: wechat::Settings,
    /// The file of rules.
    pub rules: Option<PathBuf>,
    /// How long after a push's arrival its answer leaves at the latest.
    pub deadline: Duration,
    /// How far a push's time may be from ours.
    pub replay_window: Duration,
    /// `host:port` of the servers through which several instances share what they have seen.
    pub memcached: Vec<String>,
    /// The message log, if there is one.
    pub log: Option<log::Settings>,
    /// The accounts, in the order of the file; no path occurs twice.
    pub accounts: Vec<CallbackSettings>,
    /// The business programs, in the order of the file; no name occurs twice.
    pub forwards: Vec<ForwardSettings>,
}

/// Validates the section; without secrets its result is of no use.
pub(super) fn check(
    raw: raw::Messages,
    wechat: Option<wechat::Settings>,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<MessagesSettings> {
    let table = Place::root().key("messages");
    let raw::Messages {
        daemon,
        token_file,
        token_credential,
        token_env,
        ca,
        cert,
        key,
        rules,
        deadline,
        replay_window,
        memcached,
        log,
        account,
        forward,
    } = raw;
    let keys = link::Keys {
        daemon: daemon.as_deref(),
        token: [token_file.as_deref(), token_credential.as_deref(), token_env.as_deref()],
        ca: ca.as_deref(),
        pair: [cert.as_deref(), key.as_deref()],
    };
    let daemon = link::check(&keys, Service::Messages, depth, cx);
    let rules = rules.map(|text| path(&table.key("rules"), &text, cx));
    let deadline = cx.duration(&table.key("deadline"), deadline.as_deref(), DEADLINE, DEADLINES);
    let replay_window = cx.duration(&table.key("replay_window"), replay_window.as_deref(), WINDOW, WINDOWS);
    let memcached = servers(memcached.as_ref(), &table.key("memcached"), cx);
    let log = message_log(log.unwrap_or_default(), &table.key("log"), cx);
    let forwards = forward::check(forward.unwrap_or_default(), depth, cx);
    let answered = if rules.is_some() { Answered::ByRules } else { Answered::ByForwardsOnly };
    let accounts = account::check(account.unwrap_or_default(), &forwards, answered, depth, cx);
    Some(MessagesSettings {
        daemon: daemon?,
        wechat: wechat?,
        rules,
        deadline,
        replay_window,
        memcached,
        log,
        accounts,
        forwards,
    })
}

impl MessagesSettings {
    /// As [`ServeConfig::restart_needed`](super::serve::ServeConfig::restart_needed).
    pub(super) fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            daemon,
            wechat,
            rules: _,
            deadline,
            replay_window,
            memcached,
            log,
            accounts: _,
            forwards: _,
        } = self;
        let [addr, token, ca, cert] = daemon.differs(&new.daemon);
        let wechat::Settings { api_base, connect_timeout, timeout, proxy } = wechat;
        let changed = [
            ("wechat.api_base", *api_base != new.wechat.api_base),
            ("wechat.connect_timeout", *connect_timeout != new.wechat.connect_timeout),
            ("wechat.timeout", *timeout != new.wechat.timeout),
            ("wechat.proxy", *proxy != new.wechat.proxy),
            ("messages.daemon", addr),
            ("messages.token", token),
            ("messages.ca", ca),
            ("messages.cert", cert),
            ("messages.deadline", *deadline != new.deadline),
            ("messages.replay_window", *replay_window != new.replay_window),
            ("messages.memcached", *memcached != new.memcached),
            ("messages.log", *log != new.log),
        ];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

pub(super) fn servers(raw: Option<&raw::OneOrMany>, place: &Place, cx: &mut Context<'_>) -> Vec<String> {
    let mut servers: Vec<String> = Vec::new();
    for server in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        if !is_host_port(server) {
            cx.report.error(place, "a server is written as \"host:port\", like \"127.0.0.1:11211\"");
        } else if servers.contains(server) {
            cx.report.error(place, format!("{} is listed twice", shown(server)));
        }
        servers.push(server.clone());
    }
    servers
}

fn message_log(raw: raw::MessageLog, table: &Place, cx: &mut Context<'_>) -> Option<log::Settings> {
    let raw::MessageLog { file, max_size, max_age, keep, content, openid } = raw;
    let rotation = check_rotation(max_size.as_deref(), max_age.as_deref(), keep, table, cx);
    let contents =
        [("none", ContentPolicy::None), ("length", ContentPolicy::Length), ("full", ContentPolicy::Full)];
    let content = content.and_then(|text| cx.word(&table.key("content"), &text, &contents));
    let openids = [("hash", OpenIdPolicy::Hash), ("full", OpenIdPolicy::Full)];
    let openid = openid.and_then(|text| cx.word(&table.key("openid"), &text, &openids));
    let file = path(&table.key("file"), &file?, cx);
    Some(log::Settings {
        path: file,
        rotation,
        content: content.unwrap_or(ContentPolicy::None),
        openid: openid.unwrap_or(OpenIdPolicy::Hash),
    })
}
