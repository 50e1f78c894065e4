//! Who is there: sessions on the server, their cookie, and the logins in them.
//!
//! A session is tower-sessions'; here is where it is kept, how long, and what is in it: one login for
//! each account. Guarantees: a login gets a new id, so an id that somebody else chose is worth
//! nothing; a session that was removed is not brought back by a request that still runs; a login
//! counts only while its identity has the epoch it began in. A session ends when it was not used for
//! the idle time, and with its last login's life.
//!
//! Absent: tower-sessions' middleware. A login is written by a task that its browser may have left,
//! and the cookie that the middleware takes away lacks `Secure`, so that with the prefix `__Host-` no
//! browser obeys.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_sessions::cookie::{self, Cookie, SameSite};
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session, SessionStore, session, session_store};

use super::account::Scope;
use super::records::{RecordId, Records, RecordsError};
use super::users::{Epoch, OpenId, UnionId, User, Users, UsersError};
use crate::clock::{Clock, WallTime};
use crate::model::AppId;

/// Under which name a session holds its logins.
const LOGINS: &str = "logins";
/// A session's last use is written down again after this part of its idle time: a session may end
/// this much early, and a page with many requests costs one write.
const COARSE: i64 = 20;

/// How sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Ends a session that was not used for so long.
    pub idle: Duration,
    /// Ends a login, used or not.
    pub life: Duration,
    /// Whether browsers come by https.
    pub transport: Transport,
}

/// How browsers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By https: the cookie is `Secure` and bound to the host.
    Https,
    /// By http, on loopback, while pages are developed.
    Http,
}

impl Transport {
    /// The session cookie's name.
    pub const fn session_cookie(self) -> &'static str {
        match self {
            // Browsers take it with this prefix from this very host only, never from a sub-domain.
            Self::Https => "__Host-zk_session",
            Self::Http => "zk_session",
        }
    }

    const fn is_secure(self) -> bool {
        matches!(self, Self::Https)
    }
}

/// A person's login with one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The account, as its appid is written.
    #[serde(with = "appid_text")]
    pub appid: AppId,
    /// The person there.
    pub openid: OpenId,
    /// The person everywhere, as far as the login told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unionid: Option<UnionId>,
    /// The identity's epoch when it began.
    pub epoch: Epoch,
    /// What the person consented to.
    pub scope: Scope,
    /// When.
    #[serde(with = "wall_ms")]
    pub at: WallTime,
    /// Who says so.
    pub via: Via,
}

/// Who says that it is this person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// WeChat.
    WeChat,
    /// A developer, who made the person up.
    Debug,
}

/// The sessions. A clone is the same.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    users: Users,
}

/// Where sessions are kept, as tower-sessions wants it.
#[derive(Clone)]
pub struct Store {
    records: Arc<dyn Records>,
    settings: SessionSettings,
    clock: Clock,
}

/// A session as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    data: HashMap<String, Value>,
    /// When its last login was.
    #[serde(with = "wall_ms")]
    born: WallTime,
    /// When it was used last, coarsely.
    #[serde(with = "wall_ms")]
    used: WallTime,
}

impl Sessions {
    /// Kept in these records, of these users.
    pub fn new(records: Arc<dyn Records>, users: Users, settings: SessionSettings, clock: Clock) -> Self {
        Self { store: Store { records, settings, clock }, users }
    }

    /// What a [`Session`] is made with.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Logs somebody in: a new session with this login and what else was in the browser's earlier
    /// one, which ends. For a task that the browser may have left; the cookie is [`Sessions::cookie`].
    ///
    /// Dropping it may leave a new session that nobody knows.
    pub async fn log_in(&self, earlier: Option<Id>, login: Login) -> Result<Id, SessionsError> {
        let store = Arc::new(self.store.clone());
        let mut logins = match earlier {
            Some(id) => read(&Session::new(Some(id), Arc::clone(&store), None)).await?,
            None => BTreeMap::new(),
        };
        logins.insert(login.appid.to_string(), login);
        let session = Session::new(None, store, None);
        session.insert(LOGINS, &logins).await?;
        session.save().await?;
        if let Some(id) = earlier {
            // Last: a failure before it leaves the browser as it was.
            self.store.records.remove(&record(id)).await?;
        }
        Ok(session.id().expect("a session that was saved has an id"))
    }

    /// The logins that count of who sent these headers, by account.
    pub async fn logins_of(&self, headers: &HeaderMap) -> Result<Vec<Login>, SessionsError> {
        self.logins(&self.session_in(headers)).await
    }

    /// The logins of a session that count, by account.
    pub async fn logins(&self, session: &Session) -> Result<Vec<Login>, SessionsError> {
        let mut alive = Vec::new();
        for login in read(session).await?.into_values() {
            if self.is_alive(&login).await? {
                alive.push(login);
            }
        }
        Ok(alive)
    }

    /// The newest login of a session that counts and is with one of these accounts, and what is
    /// known of its person.
    pub async fn newest(
        &self,
        session: &Session,
        accounts: impl Fn(&AppId) -> bool,
    ) -> Result<Option<(Login, User)>, SessionsError> {
        let mut logins: Vec<Login> = read(session).await?.into_values().collect();
        logins.retain(|login| accounts(&login.appid) && self.is_young(login));
        logins.sort_by_key(|login| std::cmp::Reverse(login.at));
        for login in logins {
            if let Some(user) = self.users.find(&login.appid, &login.openid).await?
                && user.epoch == login.epoch
            {
                return Ok(Some((login, user)));
            }
        }
        Ok(None)
    }

    /// The login of a session with this account, if it counts.
    pub async fn login(&self, session: &Session, appid: &AppId) -> Result<Option<Login>, SessionsError> {
        let Some(login) = read(session).await?.remove(appid.as_str()) else { return Ok(None) };
        Ok(self.is_alive(&login).await?.then_some(login))
    }

    /// Ends a session.
    pub async fn log_out(&self, session: &Session) -> Result<(), SessionsError> {
        Ok(session.flush().await?)
    }

    /// Ends it, and every other session of the people in it.
    pub async fn log_out_everywhere(&self, session: &Session) -> Result<(), SessionsError> {
        for login in self.logins(session).await? {
            self.users.log_out_everywhere(&login.appid, &login.openid).await?;
        }
        self.log_out(session).await
    }

    /// The session of a request.
    pub fn session_in(&self, headers: &HeaderMap) -> Session {
        Session::new(self.id_in(headers), Arc::new(self.store.clone()), None)
    }

    /// The session that a request's cookie names, whether it is alive or not.
    pub fn id_in(&self, headers: &HeaderMap) -> Option<Id> {
        let name = self.store.settings.transport.session_cookie();
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| Cookie::split_parse(text.to_owned())).flatten();
        cookies.find(|cookie| cookie.name() == name)?.value().parse().ok()
    }

    /// The `Set-Cookie` of a session.
    pub fn cookie(&self, id: Id) -> HeaderValue {
        self.set_cookie(&id.to_string(), signed(self.store.settings.life))
    }

    /// The `Set-Cookie` that takes a session's cookie away.
    pub fn no_cookie(&self) -> HeaderValue {
        self.set_cookie("", cookie::time::Duration::ZERO)
    }

    /// Browsers ignore one with the prefix `__Host-` that is not `Secure`, for a path or a domain.
    fn set_cookie(&self, value: &str, age: cookie::time::Duration) -> HeaderValue {
        let transport = self.store.settings.transport;
        let cookie = Cookie::build((transport.session_cookie(), value))
            .http_only(true)
            .secure(transport.is_secure())
            .same_site(SameSite::Lax)
            .path("/")
            .max_age(age);
        HeaderValue::from_str(&cookie.to_string()).expect("an id and our own words are ASCII")
    }

    fn is_young(&self, login: &Login) -> bool {
        self.store.clock.wall() < later(login.at, self.store.settings.life)
    }

    async fn is_alive(&self, login: &Login) -> Result<bool, SessionsError> {
        if !self.is_young(login) {
            return Ok(false);
        }
        Ok(self.users.epoch(&login.appid, &login.openid).await? == Some(login.epoch))
    }
}

async fn read(session: &Session) -> Result<BTreeMap<String, Login>, SessionsError> {
    Ok(session.get(LOGINS).await?.unwrap_or_default())
}

fn record(id: Id) -> RecordId {
    RecordId::session(&id.to_string())
}

impl Store {
    fn ends(&self, kept: &Kept) -> WallTime {
        later(kept.used, self.settings.idle).min(later(kept.born, self.settings.life))
    }

    async fn get(&self, id: Id) -> session_store::Result<Option<Kept>> {
        let Some(bytes) = self.records.get(&record(id)).await.map_err(|error| backend(&error))? else {
            return Ok(None);
        };
        let kept: Kept = serde_json::from_slice(&bytes)
            .map_err(|_| session_store::Error::Decode("a session of another release".to_owned()))?;
        // What a store keeps longer than it was told has ended all the same.
        Ok(Some(kept).filter(|kept| self.clock.wall() < self.ends(kept)))
    }
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let now = self.clock.wall();
        let kept = Kept { data: record.data.clone(), born: now, used: now };
        let ends = self.ends(&kept);
        // 128 random bits: nothing is there.
        self.records.put(&self::record(record.id), &bytes(&kept), ends).await.map_err(|error| backend(&error))
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let Some(before) = self.get(record.id).await? else { return Ok(()) };
        let kept = Kept { data: record.data.clone(), used: self.clock.wall(), ..before };
        let ends = self.ends(&kept);
        // If somebody logged out meanwhile, that stands.
        self.records
            .replace(&self::record(record.id), &bytes(&kept), ends)
            .await
            .map(drop)
            .map_err(|error| backend(&error))
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(mut kept) = self.get(*id).await? else { return Ok(None) };
        let now = self.clock.wall();
        let coarse = millis(self.settings.idle) / COARSE;
        if now.0.saturating_sub(kept.used.0) >= coarse {
            kept.used = now;
            let ends = self.ends(&kept);
            if !self
                .records
                .replace(&record(*id), &bytes(&kept), ends)
                .await
                .map_err(|error| backend(&error))?
            {
                return Ok(None);
            }
        }
        // Its end is not tower-sessions' business.
        Ok(Some(Record { id: *id, data: kept.data, expiry_date: cookie::time::OffsetDateTime::UNIX_EPOCH }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.records.remove(&record(*id)).await.map_err(|error| backend(&error))
    }
}

fn bytes(kept: &Kept) -> Vec<u8> {
    serde_json::to_vec(kept).expect("a session can be written as JSON")
}

fn backend(error: &RecordsError) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

fn later(at: WallTime, span: Duration) -> WallTime {
    WallTime(at.0.saturating_add(millis(span)))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn signed(span: Duration) -> cookie::time::Duration {
    span.try_into().unwrap_or(cookie::time::Duration::MAX)
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// Why a session could not be had. The page answers 503; the stores have logged it.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// Its store failed.
    #[error("the session cannot be read or written")]
    Session(#[from] session::Error),
    /// Its record could not be removed.
    #[error("the session cannot be ended")]
    Records(#[from] RecordsError),
    /// Whether its people are still users is not known.
    #[error("the session's users cannot be read")]
    Users(#[from] UsersError),
}

/// Appids as text.
mod appid_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::model::AppId;

    pub(super) fn serialize<S: Serializer>(appid: &AppId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(appid.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AppId, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Wall times as milliseconds.
mod wall_ms {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::clock::WallTime;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(at: &WallTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
        i64::deserialize(from).map(WallTime)
    }
}
