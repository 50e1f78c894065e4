//! `[business]`: where menus and QR codes keep what was done, and their service over HTTP.
//!
//! The commands read the first part only ([`check`]); the service all of it ([`service`]).

use crate::secret::Secret;
use crate::services::database::Place as DatabasePlace;
use crate::services::qrcode::Limits;
use crate::wechat;

use super::context::Context;
use super::link::{self, DaemonLink};
use super::place::Place;
use super::raw;
use super::secrets::{Depth, Sources};
use super::services::Service;

/// The file of an installed package.
const DATABASE: &str = "/var/lib/zhongkong-business/business.db";

/// Permanent codes that WeChat makes for an account.
const CODES: u32 = 100_000;
/// A hundredth of them.
const RESERVE: u32 = 1_000;

/// What the service of menus and QR codes needs.
#[derive(Clone, Debug)]
pub struct BusinessSettings {
    /// The daemon that knows the callers; nothing is shown to it but what they show.
    pub daemon: DaemonLink,
    /// How WeChat is reached.
    pub wechat: wechat::Settings,
    /// Where pushes and codes are kept.
    pub database: DatabasePlace,
    /// How many permanent QR codes an account may have.
    pub codes: Limits,
    /// What the message service signs with; without one nobody can tell of scans.
    pub events_secret: Option<Secret>,
}

/// Validates the section for the service; without secrets its result is of no use but to look at.
pub(super) fn service(
    raw: &raw::Business,
    wechat: Option<wechat::Settings>,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<BusinessSettings> {
    let kept = check(raw, depth, cx);
    let daemon =
        link::check_for_callers(raw.daemon.as_deref(), raw.ca.as_deref(), Service::Business, depth, cx);
    let events = Sources {
        prefix: "events_secret",
        file: raw.events_secret_file.as_deref(),
        credential: raw.events_secret_credential.as_deref(),
        env: raw.events_secret_env.as_deref(),
    };
    let table = Place::root().key("business");
    let events_secret = if events.is_empty() { None } else { Some(events.load_to(depth, &table, cx)?) };
    let (database, codes) = kept?;
    Some(BusinessSettings { daemon: daemon?, wechat: wechat?, database, codes, events_secret })
}

impl BusinessSettings {
    /// As [`ServeConfig::restart_needed`](super::ServeConfig::restart_needed).
    pub(super) fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        // Without `..`: a new key must be put on one side or the other.
        let Self { daemon, wechat, database, codes: _, events_secret: _ } = self;
        let [addr, _, ca, _] = daemon.differs(&new.daemon);
        let wechat::Settings { api_base, connect_timeout, timeout, proxy } = wechat;
        let changed = [
            ("wechat.api_base", *api_base != new.wechat.api_base),
            ("wechat.connect_timeout", *connect_timeout != new.wechat.connect_timeout),
            ("wechat.timeout", *timeout != new.wechat.timeout),
            ("wechat.proxy", *proxy != new.wechat.proxy),
            ("business.daemon", addr),
            ("business.ca", ca),
            ("business.database", *database != new.database),
        ];
        changed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// Validates what the commands read of the section.
pub(super) fn check(
    raw: &raw::Business,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<(DatabasePlace, Limits)> {
    let table = Place::root().key("business");
    let raw::Business {
        database,
        database_url_file,
        database_url_credential,
        database_url_env,
        permanent_codes,
        permanent_reserve,
        daemon: _,
        ca: _,
        events_secret_file: _,
        events_secret_credential: _,
        events_secret_env: _,
    } = raw;
    let codes = limits(*permanent_codes, *permanent_reserve, &table, cx);
    let url = Sources {
        prefix: "database_url",
        file: database_url_file.as_deref(),
        credential: database_url_credential.as_deref(),
        env: database_url_env.as_deref(),
    };
    if url.is_empty() {
        return Some((DatabasePlace::Sqlite(cx.path(database.as_deref().unwrap_or(DATABASE))), codes));
    }
    if database.is_some() {
        let rule = "database_url_… beside it names another database: remove one of them";
        cx.report.error(&table.key("database"), rule);
        return None;
    }
    let place = DatabasePlace::Postgres(url.load_to(depth, &table, cx)?);
    if depth == Depth::Secrets && !place.is_sound() {
        let rule = "what database_url_… names is no address of a PostgreSQL: write it as \
                    postgres://user:password@host/database";
        cx.report.error(&table, rule);
        return None;
    }
    Some((place, codes))
}

fn limits(codes: Option<u32>, reserve: Option<u32>, table: &Place, cx: &mut Context<'_>) -> Limits {
    let permanent = codes.unwrap_or(CODES);
    if permanent > CODES {
        let rule = format!("an account has {CODES} permanent codes at most");
        cx.report.error(&table.key("permanent_codes"), rule);
    }
    // An account with few codes of its own has a small reserve.
    let reserve = reserve.unwrap_or(RESERVE.min(permanent / 10));
    if reserve > permanent {
        let rule = "the reserve is larger than what it is taken from: make it smaller than permanent_codes";
        cx.report.error(&table.key("permanent_reserve"), rule);
    }
    Limits { permanent, reserve }
}
