//! The login service's parts from a configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::clock::Clock;
use crate::config::oauth::{OAuthSettings, SessionsIn};
use crate::services::database::Database;
use crate::services::oauth::SCHEMA;
use crate::services::oauth::assertion::Assertions;
use crate::services::oauth::flow::{self, Flow};
use crate::services::oauth::identity::{self, Identity};
use crate::services::oauth::records::Records;
use crate::services::oauth::records::memcached::MemcachedRecords;
use crate::services::oauth::records::sql::SqlRecords;
use crate::services::oauth::sessions::{SessionSettings, Sessions, Transport};
use crate::services::oauth::users::Users;
use crate::services::wechat_api::{self, UserApi};

use super::Live;
use super::error::OAuthError;

/// For an exchange with memcached, which takes a millisecond; somebody waits for it.
const MEMCACHED_LIMIT: Duration = Duration::from_secs(1);

/// Everything that stays.
pub(super) struct Built {
    pub(super) flow: Flow,
    pub(super) identity: Identity,
    pub(super) client: Client,
    pub(super) database: Database,
    pub(super) records: Arc<dyn Records>,
    pub(super) sweep: Option<SqlRecords>,
}

/// Makes them and opens the database.
pub(super) async fn build(settings: &OAuthSettings, live: Live, clock: &Clock) -> Result<Built, OAuthError> {
    let client = Client::lazy(&settings.daemon.addr, settings.daemon.credentials.clone())?;
    let api = UserApi::new(&wechat_api::Settings {
        api_base: settings.wechat.api_base.clone(),
        connect_timeout: settings.wechat.connect_timeout,
        timeout: settings.wechat.timeout,
        proxy: settings.wechat.proxy.clone(),
        daemon: settings.daemon.addr.clone(),
    })?;
    let database = Database::new(&settings.database, &SCHEMA)?;
    match database.prepare().await {
        Ok(()) => {}
        // It has said so in the log, and is tried again with each request.
        Err(error) if error.passes() => {}
        Err(error) => return Err(error.into()),
    }
    let sql = SqlRecords::new(database.clone(), settings.seal.clone(), clock.clone());
    let (records, sweep): (Arc<dyn Records>, _) = match memcached(settings, clock) {
        Some(records) => (Arc::new(records), None),
        None => (Arc::new(sql.clone()), Some(sql)),
    };
    let users = Users::new(database.clone(), settings.seal.clone());
    let base = settings.site.base().clone();
    let transport = if base.is_https() { Transport::Https } else { Transport::Http };
    let lives = SessionSettings { idle: settings.session_idle, life: settings.session_life, transport };
    let sessions = Sessions::new(records.clone(), users.clone(), lives, clock.clone());
    let assertions = Assertions::new(
        database.clone(),
        settings.seal.clone(),
        base,
        settings.assertion_life,
        clock.clone(),
    );
    let identity = Identity::new(
        live.identity,
        identity::Parts {
            records: records.clone(),
            users: users.clone(),
            sessions: sessions.clone(),
            assertions: assertions.clone(),
            clock: clock.clone(),
        },
    );
    let flow = Flow::new(
        flow::Settings {
            daemon: settings.daemon.addr.clone(),
            debug: settings.debug_login,
            ..flow::Settings::default()
        },
        live.flow,
        flow::Parts {
            records: records.clone(),
            users,
            sessions,
            assertions,
            client: client.clone(),
            api,
            clock: clock.clone(),
        },
    );
    Ok(Built { flow, identity, client, database, records, sweep })
}

fn memcached(settings: &OAuthSettings, clock: &Clock) -> Option<MemcachedRecords> {
    match &settings.sessions {
        SessionsIn::Database => None,
        SessionsIn::Memcached(servers) => {
            MemcachedRecords::new(servers.clone(), MEMCACHED_LIMIT, settings.seal.clone(), clock.clone())
        }
    }
}
