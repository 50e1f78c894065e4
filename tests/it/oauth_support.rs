//! The OAuth service's stores for tests: each kind that the product has, empty.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::http::{self, Limits};
use zhongkong::model::AppId;
use zhongkong::seal::Keys;
use zhongkong::secret::Secret;
use zhongkong::services::database::{Database, Place};
use zhongkong::services::oauth::SCHEMA;
use zhongkong::services::oauth::account::Scope;
use zhongkong::services::oauth::records::Records;
use zhongkong::services::oauth::records::sql::SqlRecords;
use zhongkong::services::oauth::sessions::{Login, SessionSettings, Sessions, Transport, Via};
use zhongkong::services::oauth::users::{OpenId, Profile, Seen, UnionId, User, Users};

use crate::support::postgres::Postgres;

/// Two seal keys; the first one seals.
pub(crate) const KEYS: &str = "2026:a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf\n\
    2025:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// When the tests begin.
pub(crate) const START: WallTime = WallTime(1_800_000_000_000);
pub(crate) const IDLE: Duration = Duration::from_secs(7 * 86_400);
pub(crate) const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// A database with everything that is kept in it.
pub(crate) struct Stores {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) records: SqlRecords,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    dir: TempDir,
}

impl Stores {
    /// In a new SQLite file.
    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(dir.path().join("oauth.db"));
        Self::at(&place, dir).await
    }

    /// In a new database of a PostgreSQL.
    pub(crate) async fn postgres(server: &Postgres, name: &str) -> Self {
        let place = Place::Postgres(Secret::from(server.database(name)));
        Self::at(&place, tempfile::tempdir().unwrap()).await
    }

    /// Each kind, with its name; and the server that must run meanwhile.
    pub(crate) async fn all() -> (Postgres, [(&'static str, Self); 2]) {
        let server = Postgres::start();
        let postgres = Self::postgres(&server, "oauth").await;
        (server, [("sqlite", Self::sqlite().await), ("postgresql", postgres)])
    }

    async fn at(place: &Place, dir: TempDir) -> Self {
        let database = Database::new(place, &SCHEMA).unwrap();
        database.prepare().await.unwrap();
        let clock = Clock::manual(START, BootTime(0), "boot");
        let keys = Keys::parse(KEYS).unwrap();
        let records = SqlRecords::new(database.clone(), keys.clone(), clock.clone());
        let users = Users::new(database.clone(), keys);
        let sessions = sessions(Arc::new(records.clone()), &users, &clock);
        Self { database, clock, records, users, sessions, dir }
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("oauth.db")
    }

    /// Everything that is in the SQLite file and beside it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// Somebody logs in: a user and what a session holds of it.
    pub(crate) async fn login(&self, appid: &str, openid: &str) -> Login {
        let user = self.users.seen(&seen(appid, openid, None)).await.unwrap();
        self.login_of(&user)
    }

    pub(crate) fn login_of(&self, user: &User) -> Login {
        Login {
            appid: user.appid.clone(),
            openid: user.openid.clone(),
            unionid: user.unionid.clone(),
            epoch: user.epoch,
            scope: Scope::Base,
            at: self.clock.wall(),
            via: Via::WeChat,
        }
    }

    /// Time goes on, for what is stored; no timer runs.
    pub(crate) fn pass(&self, span: Duration) {
        self.clock.step_wall(i64::try_from(span.as_millis()).unwrap());
    }
}

/// Sessions over these records.
pub(crate) fn sessions(records: Arc<dyn Records>, users: &Users, clock: &Clock) -> Sessions {
    let settings = SessionSettings { idle: IDLE, life: LIFE, transport: Transport::Https };
    Sessions::new(records, users.clone(), settings, clock.clone())
}

pub(crate) fn appid(text: &str) -> AppId {
    text.parse().unwrap()
}

pub(crate) fn openid(text: &str) -> OpenId {
    text.parse().unwrap()
}

pub(crate) fn unionid(text: &str) -> UnionId {
    text.parse().unwrap()
}

pub(crate) fn profile(nickname: &str) -> Profile {
    Profile { nickname: nickname.to_owned(), headimgurl: None }
}

pub(crate) fn seen(appid: &str, openid: &str, unionid: Option<&str>) -> Seen {
    Seen {
        appid: self::appid(appid),
        openid: self::openid(openid),
        unionid: unionid.map(self::unionid),
        profile: None,
        at: START,
    }
}

/// Some router on a socket, until it is dropped.
pub(crate) struct Listening {
    pub(crate) addr: SocketAddr,
    _served: JoinSet<()>,
}

/// Serves as the process of the services does.
pub(crate) async fn listening(router: Router) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let long = Duration::from_secs(3_600);
    let limits = Limits {
        listener: "test",
        connections: 1_024,
        head: long,
        body: long,
        buffer: 16 * 1_024,
        taking: long,
        drain: long,
    };
    let mut served = JoinSet::new();
    served.spawn(http::serve(listener, router, limits, CancellationToken::new()));
    Listening { addr, _served: served }
}
