//! `[oauth]`: the login service as a whole.
//!
//! Checked by both readers of the file, but its secrets are read by its own process only
//! ([`Depth`]).

use std::net::SocketAddr;
use std::time::Duration;

use crate::seal::Keys;
use crate::secret::Secret;
use crate::services::database::Place as DatabasePlace;
use crate::services::oauth::account::Origin;
use crate::services::oauth::flow::DebugLogin;
use crate::services::oauth::site::Site;
use crate::wechat;

use super::context::{Context, is_loopback};
use super::daemon::path;
use super::link::{self, DaemonLink};
use super::messages::servers;
use super::place::Place;
use super::raw;
use super::secrets::{Depth, Sources};
use super::services::Service;

mod site;

/// Where the unit keeps it.
const DATABASE: &str = "/var/lib/zhongkong-oauth/oauth.db";
/// WeChat's page, of which there is one.
const AUTHORIZE: &str = "https://open.weixin.qq.com";
const IDLE: Duration = Duration::from_hours(7 * 24);
const LIFE: Duration = Duration::from_hours(30 * 24);
/// A session shorter than a form takes helps nobody; browsers keep no cookie longer than 400 days.
const SESSIONS: std::ops::RangeInclusive<Duration> = Duration::from_mins(5)..=Duration::from_hours(400 * 24);
/// Long enough for a page to load over a bad network.
const ASSERTION: Duration = Duration::from_mins(1);
const ASSERTIONS: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_mins(10);

/// What the login service needs.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// Who exchanges codes.
    pub daemon: DaemonLink,
    /// How WeChat is reached, for profiles.
    pub wechat: wechat::Settings,
    /// Where WeChat has its page.
    pub authorize_base: Origin,
    /// The one database.
    pub database: DatabasePlace,
    /// Where sessions and logins under way are.
    pub sessions: SessionsIn,
    /// What seals all of it; never without a key where secrets were read.
    pub seal: Keys,
    /// Ends a session that is not used.
    pub session_idle: Duration,
    /// Ends a login.
    pub session_life: Duration,
    /// Ends an assertion.
    pub assertion_life: Duration,
    /// Whether people may be made up.
    pub debug_login: DebugLogin,
    /// What the message service signs with.
    pub events_secret: Option<Secret>,
    /// Our address, the accounts, the applications.
    pub site: Site,
}

/// Where sessions and logins under way are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsIn {
    /// In the database.
    Database,
    /// On these servers, `host:port` each.
    Memcached(Vec<String>),
}

/// Validates the section; without secrets its result is of no use.
pub(super) fn check(
    raw: raw::OAuth,
    listen: SocketAddr,
    wechat: Option<wechat::Settings>,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<OAuthSettings> {
    let table = Place::root().key("oauth");
    if depth == Depth::Form && raw.base_url.is_none() && raw.account.is_none() {
        // The packaged file has the section, and nobody has filled it in.
        return None;
    }
    let raw::OAuth {
        daemon,
        token_file,
        token_credential,
        token_env,
        ca,
        cert,
        key,
        base_url,
        authorize_base,
        database,
        database_url_file,
        database_url_credential,
        database_url_env,
        sessions,
        memcached,
        seal_keys_file,
        seal_keys_credential,
        seal_keys_env,
        session_idle,
        session_life,
        assertion_life,
        debug_login,
        events_secret_file,
        events_secret_credential,
        events_secret_env,
        account,
        app,
    } = raw;
    let keys = link::Keys {
        daemon: daemon.as_deref(),
        token: [token_file.as_deref(), token_credential.as_deref(), token_env.as_deref()],
        ca: ca.as_deref(),
        pair: [cert.as_deref(), key.as_deref()],
    };
    let daemon = link::check(&keys, Service::OAuth, depth, cx);
    let base = base_of(base_url.as_deref(), &table, cx);
    let authorize_base = authorize_of(authorize_base.as_deref(), &table, cx);
    let url = [&database_url_file, &database_url_credential, &database_url_env];
    let url = sources("database_url", url);
    let database = database_of(database.as_deref(), &url, depth, &table, cx);
    let sessions = sessions_in(sessions.as_deref(), memcached.as_ref(), &table, cx);
    let seal = sources("seal_keys", [&seal_keys_file, &seal_keys_credential, &seal_keys_env]);
    let seal = seal_keys(&seal, depth, &table, cx);
    let idle_place = table.key("session_idle");
    let session_idle = cx.duration(&idle_place, session_idle.as_deref(), IDLE, SESSIONS);
    let session_life = cx.duration(&table.key("session_life"), session_life.as_deref(), LIFE, SESSIONS);
    if session_idle > session_life {
        cx.report
            .error(&idle_place, "it is longer than session_life, which ends every login: make it shorter");
    }
    let assertion_life =
        cx.duration(&table.key("assertion_life"), assertion_life.as_deref(), ASSERTION, ASSERTIONS);
    let debug_login = debug_of(debug_login, listen, base.as_ref(), &table, cx);
    let events = [&events_secret_file, &events_secret_credential, &events_secret_env];
    let events = sources("events_secret", events);
    let events_secret = if events.is_empty() { None } else { Some(events.load_to(depth, &table, cx)?) };
    let accounts = site::accounts(account.unwrap_or_default(), depth, cx);
    let apps = site::apps(app.unwrap_or_default(), &accounts, cx);
    Some(OAuthSettings {
        daemon: daemon?,
        wechat: wechat?,
        authorize_base: authorize_base?,
        database: database?,
        sessions: sessions?,
        seal: seal?,
        session_idle,
        session_life,
        assertion_life,
        debug_login,
        events_secret,
        site: Site::new(base?, accounts, apps),
    })
}

impl OAuthSettings {
    /// As [`ServeConfig::restart_needed`](super::serve::ServeConfig::restart_needed).
    pub(super) fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            daemon,
            wechat,
            authorize_base: _,
            database,
            sessions,
            seal,
            session_idle,
            session_life,
            assertion_life,
            debug_login,
            events_secret: _,
            site,
        } = self;
        let [addr, token, ca, cert] = daemon.differs(&new.daemon);
        let wechat::Settings { api_base, connect_timeout, timeout, proxy } = wechat;
        let changed = [
            ("wechat.api_base", *api_base != new.wechat.api_base),
            ("wechat.connect_timeout", *connect_timeout != new.wechat.connect_timeout),
            ("wechat.timeout", *timeout != new.wechat.timeout),
            ("wechat.proxy", *proxy != new.wechat.proxy),
            ("oauth.daemon", addr),
            ("oauth.token", token),
            ("oauth.ca", ca),
            ("oauth.cert", cert),
            ("oauth.base_url", site.base() != new.site.base()),
            ("oauth.database", *database != new.database),
            ("oauth.sessions", *sessions != new.sessions),
            ("oauth.seal_keys", *seal != new.seal),
            ("oauth.session_idle", *session_idle != new.session_idle),
            ("oauth.session_life", *session_life != new.session_life),
            ("oauth.assertion_life", *assertion_life != new.assertion_life),
            ("oauth.debug_login", *debug_login != new.debug_login),
        ];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

fn sources<'r>(prefix: &'static str, [file, credential, env]: [&'r Option<String>; 3]) -> Sources<'r> {
    Sources { prefix, file: file.as_deref(), credential: credential.as_deref(), env: env.as_deref() }
}

fn base_of(text: Option<&str>, table: &Place, cx: &mut Context<'_>) -> Option<Origin> {
    let place = table.key("base_url");
    let Some(text) = text else {
        let rule = "it is needed: where browsers reach the service, like \"https://wx.example.com\"";
        cx.report.missing(table, &["base_url"], format!("base_url: {rule}"));
        return None;
    };
    let origin: Origin = origin(text, &place, cx)?;
    if !origin.is_https() && !origin.is_loopback() {
        let rule = "http:// shows every login to the network: write https://, and put a proxy with TLS before the service";
        cx.report.error(&place, rule);
        return None;
    }
    Some(origin)
}

fn authorize_of(text: Option<&str>, table: &Place, cx: &mut Context<'_>) -> Option<Origin> {
    let place = table.key("authorize_base");
    let origin = origin(text.unwrap_or(AUTHORIZE), &place, cx)?;
    if !origin.is_https() && !origin.is_loopback() {
        cx.report.error(&place, "http:// is for a simulator on this machine: write https://");
        return None;
    }
    Some(origin)
}

fn origin(text: &str, place: &Place, cx: &mut Context<'_>) -> Option<Origin> {
    match text.parse() {
        Ok(origin) => Some(origin),
        Err(rule) => {
            let rule: crate::services::oauth::account::NoOrigin = rule;
            cx.report.error(place, rule.to_string());
            None
        }
    }
}

fn database_of(
    file: Option<&str>,
    url: &Sources<'_>,
    depth: Depth,
    table: &Place,
    cx: &mut Context<'_>,
) -> Option<DatabasePlace> {
    if url.is_empty() {
        let file = path(&table.key("database"), file.unwrap_or(DATABASE), cx);
        return Some(DatabasePlace::Sqlite(file));
    }
    if file.is_some() {
        let rule = "database_url… beside it names another database: remove one of them";
        cx.report.error(&table.key("database"), rule);
        return None;
    }
    let text = url.load_to(depth, table, cx)?;
    let place = DatabasePlace::Postgres(text);
    if depth == Depth::Secrets && !place.is_sound() {
        let rule =
            "what database_url… names is no address of a PostgreSQL: postgres://user:password@host/database";
        cx.report.error(table, rule);
        return None;
    }
    Some(place)
}

fn sessions_in(
    text: Option<&str>,
    memcached: Option<&raw::OneOrMany>,
    table: &Place,
    cx: &mut Context<'_>,
) -> Option<SessionsIn> {
    let place = table.key("memcached");
    let servers = servers(memcached, &place, cx);
    let kinds = ["database", "memcached"].map(|kind| (kind, kind));
    let kind = text.map_or(Some("database"), |text| cx.word(&table.key("sessions"), text, &kinds))?;
    match (kind, servers.is_empty()) {
        ("memcached", false) => Some(SessionsIn::Memcached(servers)),
        ("memcached", true) => {
            let rule = "sessions = \"memcached\" needs memcached beside it, like [\"127.0.0.1:11211\"]";
            cx.report.error(&table.key("sessions"), rule);
            None
        }
        (_, true) => Some(SessionsIn::Database),
        (_, false) => {
            cx.report.warn(&place, "nothing uses it: write sessions = \"memcached\", or remove it");
            Some(SessionsIn::Database)
        }
    }
}

fn seal_keys(sources: &Sources<'_>, depth: Depth, table: &Place, cx: &mut Context<'_>) -> Option<Keys> {
    let text = sources.load_to(depth, table, cx)?;
    if depth == Depth::Form {
        return Some(Keys::none());
    }
    match Keys::parse(text.expose()) {
        Ok(keys) if keys.active().is_some() => Some(keys),
        Ok(_) => {
            cx.report.error(table, "what seal_keys… names has no key in it: one `id:64 hex digits` a line");
            None
        }
        Err(error) => {
            cx.report.error(table, format!("seal_keys…: {error}"));
            None
        }
    }
}

/// Whoever reaches the service would be anybody.
fn debug_of(
    wanted: Option<bool>,
    listen: SocketAddr,
    base: Option<&Origin>,
    table: &Place,
    cx: &mut Context<'_>,
) -> DebugLogin {
    if wanted != Some(true) {
        return DebugLogin::Off;
    }
    let place = table.key("debug_login");
    if !is_loopback(listen.ip()) {
        let rule = format!(
            "[serve] listen = \"{listen}\" is not on loopback, and there anybody could log in as anybody"
        );
        cx.report.error(&place, rule);
    }
    if base.is_some_and(|base| !base.is_loopback()) {
        let rule = "base_url is not on loopback, so that others come through it and could log in as anybody: remove it";
        cx.report.error(&place, rule);
    }
    cx.report.warn(&place, "anybody on this machine logs in as whom they like: remove it before others come");
    DebugLogin::On
}
