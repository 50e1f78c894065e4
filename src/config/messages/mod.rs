//! `[messages]`: the message service as a whole.
//!
//! Checked by both readers of the file, but its secrets are read by its own process only
//! ([`Depth`]).

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::client::Credentials;
use crate::services::messages::log::{self, ContentPolicy, OpenIdPolicy};
use crate::wechat;

use super::context::{Context, is_host_port};
use super::daemon::{check_rotation, path};
use super::place::Place;
use super::raw;
use super::secrets::{Depth, Privacy, Sources, read, shown};
use super::upstream::is_local;

mod account;
mod forward;

pub use account::{CallbackSettings, VerifyFile};

use account::Answered;
pub use forward::ForwardSettings;

/// The socket of an installed daemon, where a caller is known by its uid.
const DAEMON: &str = "unix:/run/zhongkong/grpc.sock";
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

/// The daemon, as a client sees it.
#[derive(Clone, Debug)]
pub struct DaemonLink {
    /// As [`Client::lazy`](crate::client::Client::lazy) takes it.
    pub addr: String,
    /// What the service shows there.
    pub credentials: Credentials,
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
        rules,
        deadline,
        replay_window,
        memcached,
        log,
        account,
        forward,
    } = raw;
    let token = Sources {
        prefix: "token",
        file: token_file.as_deref(),
        credential: token_credential.as_deref(),
        env: token_env.as_deref(),
    };
    let daemon = link(daemon.as_deref().unwrap_or(DAEMON), &token, ca.as_deref(), depth, &table, cx);
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
    pub(super) fn restart_needed(&self, new: &Self) -> impl Iterator<Item = &'static str> + use<> {
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
        let DaemonLink { addr, credentials: Credentials { token, ca, identity: _, server_name: _ } } = daemon;
        let wechat::Settings { api_base, connect_timeout, timeout, proxy } = wechat;
        let shown = &new.daemon.credentials;
        let changed = [
            ("wechat.api_base", *api_base != new.wechat.api_base),
            ("wechat.connect_timeout", *connect_timeout != new.wechat.connect_timeout),
            ("wechat.timeout", *timeout != new.wechat.timeout),
            ("wechat.proxy", *proxy != new.wechat.proxy),
            ("messages.daemon", *addr != new.daemon.addr),
            ("messages.token", *token != shown.token),
            ("messages.ca", *ca != shown.ca),
            ("messages.deadline", *deadline != new.deadline),
            ("messages.replay_window", *replay_window != new.replay_window),
            ("messages.memcached", *memcached != new.memcached),
            ("messages.log", *log != new.log),
        ];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key)
    }
}

/// Who the daemon is and what it is shown.
fn link(
    addr: &str,
    token: &Sources<'_>,
    ca: Option<&str>,
    depth: Depth,
    table: &Place,
    cx: &mut Context<'_>,
) -> Option<DaemonLink> {
    let place = table.key("daemon");
    let unix = addr.starts_with("unix:");
    let token = if token.is_empty() {
        if !unix {
            cx.report.error(
                table,
                "over TCP the daemon knows its callers by a token: `zhongkong new-client messages` makes one; name its file with token_file, or use unix:/run/zhongkong/grpc.sock",
            );
        }
        None
    } else {
        Some(token.load_to(depth, table, cx)?)
    };
    let ca_place = table.key("ca");
    let ca = match (ca, depth) {
        (None, _) => None,
        (Some(_), Depth::Form) => Some(Vec::new()),
        (Some(text), Depth::Secrets) => {
            let file = cx.path(text);
            Some(read(&ca_place, &file, Privacy::Public, cx)?.as_bytes().to_vec())
        }
    };
    if let Err(rule) = daemon_addr(addr, ca.is_some()) {
        cx.report.error(&place, rule);
    } else if addr.starts_with("http://") && Url::parse(addr).is_ok_and(|url| !is_local(&url)) {
        cx.report.warn(
            &place,
            "http:// to another machine shows every token to the network: use https:// with ca beside it",
        );
    }
    Some(DaemonLink {
        addr: addr.to_owned(),
        credentials: Credentials { token, ca, identity: None, server_name: None },
    })
}

/// The forms that the client takes. The text is not repeated: it may hold a password.
fn daemon_addr(addr: &str, has_ca: bool) -> Result<(), &'static str> {
    const FORM: &str =
        "an address is written as \"unix:/path\", \"http://127.0.0.1:7780\" or \"https://host:7780\"";
    if let Some(path) = addr.strip_prefix("unix:") {
        return if path.starts_with('/') { Ok(()) } else { Err(FORM) };
    }
    let url = Url::parse(addr).map_err(|_| FORM)?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if !bare || url.port_or_known_default().is_none() => Err(FORM),
        "https" if !has_ca => Err(
            "https:// needs ca beside it: the PEM file of the authority that signed the daemon's certificate",
        ),
        "http" | "https" => Ok(()),
        _ => Err(FORM),
    }
}

fn servers(raw: Option<&raw::OneOrMany>, place: &Place, cx: &mut Context<'_>) -> Vec<String> {
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
