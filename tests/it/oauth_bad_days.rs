//! Days on which the OAuth service's stores fail: clear errors, nothing lost, no hang, and all is
//! well again without a restart.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sqlx::Connection as _;
use zhongkong::seal::Keys;
use zhongkong::secret::Secret;
use zhongkong::services::database::{Database, DatabaseError, Place};
use zhongkong::services::oauth::SCHEMA;
use zhongkong::services::oauth::records::memcached::MemcachedRecords;
use zhongkong::services::oauth::records::{RecordId, Records, RecordsError};

use crate::oauth_support::{KEYS, START, Stores, appid, openid};
use crate::support::memcached::Memcached;
use crate::support::postgres::Postgres;

fn ends() -> zhongkong::clock::WallTime {
    zhongkong::clock::WallTime(START.0 + 3_600_000)
}

/// What comes of a write, by its name; `fine` if it works.
async fn write(stores: &Stores) -> &'static str {
    match stores.records.put(&RecordId::session("s"), &[7; 4_096], ends()).await {
        Ok(()) => "fine",
        Err(RecordsError::Database(error)) => error.reason(),
        Err(other) => panic!("{other}"),
    }
}

/// Tries again until it is fine: the way of every next request. Bounded by the test's guard.
async fn until_fine(stores: &Stores) {
    while write(stores).await != "fine" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn locked_database_is_busy_and_works_when_it_is_let_go() {
    let stores = Stores::sqlite().await;
    let file = stores.file();
    let url = format!("sqlite:{}", file.display());
    let mut holder = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    assert_eq!(write(&stores).await, "busy");
    // Readers go on.
    assert!(stores.users.find(&appid("wx1"), &openid("o1")).await.unwrap().is_none());
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    assert_eq!(write(&stores).await, "fine");
}

#[tokio::test]
async fn file_that_is_gone_is_not_replaced_by_an_empty_one_and_is_used_when_it_is_back() {
    let stores = Stores::sqlite().await;
    let (file, aside) = (stores.file(), stores.file().with_extension("aside"));
    stores.login("wx1", "o2").await;
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(write(&stores).await, "gone");
    assert!(!file.exists(), "an empty one would hide the loss");
    std::fs::rename(&aside, &file).unwrap();
    until_fine(&stores).await;
    assert!(stores.users.find(&appid("wx1"), &openid("o2")).await.unwrap().is_some());
}

#[tokio::test]
async fn damaged_file_and_one_that_is_none_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("oauth.db");
    let garbage = "not a database. ".repeat(1_000);
    std::fs::write(&path, &garbage).unwrap();
    let database = Database::new(&Place::Sqlite(path.clone()), &SCHEMA).unwrap();
    let error = database.prepare().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Corrupt(_)) && !error.passes(), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
    let missing = Database::new(&Place::Sqlite(dir.path().join("none/oauth.db")), &SCHEMA).unwrap();
    let error = missing.prepare().await.unwrap_err();
    assert!(error.chain().contains("there is no directory"), "{}", error.chain());
}

#[tokio::test]
async fn database_is_its_users_only_and_what_is_deleted_is_overwritten() {
    let stores = Stores::sqlite().await;
    assert_eq!(stores.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    stores.login("wx1", "oAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    let shows = || stores.bytes().windows(20).any(|window| window == b"oAAAAAAAAAAAAAAAAAAA");
    assert!(shows());
    assert!(stores.users.delete(&appid("wx1"), &openid("oAAAAAAAAAAAAAAAAAAAAAAAAAA")).await.unwrap());
    assert!(!shows(), "nothing of them is left in the file or its log");
}

#[tokio::test]
async fn postgresql_that_crashes_costs_no_restart_and_loses_nothing() {
    let mut server = Postgres::start();
    let stores = Stores::postgres(&server, "oauth").await;
    stores.login("wx1", "o1").await;
    assert_eq!(write(&stores).await, "fine");
    server.kill();
    assert_eq!(write(&stores).await, "away");
    assert_eq!(write(&stores).await, "away");
    server.resume();
    until_fine(&stores).await;
    assert!(stores.users.find(&appid("wx1"), &openid("o1")).await.unwrap().is_some());
}

#[tokio::test]
async fn postgresql_that_hangs_is_given_up_in_seconds() {
    let server = Postgres::start();
    let stores = Stores::postgres(&server, "oauth").await;
    assert_eq!(write(&stores).await, "fine");
    server.signal("-STOP");
    assert!(["slow", "away"].contains(&write(&stores).await));
    server.signal("-CONT");
    until_fine(&stores).await;
}

#[tokio::test]
async fn postgresql_that_knows_no_such_database_says_so() {
    let server = Postgres::start();
    let place = Place::Postgres(Secret::from(server.url("none")));
    let error = Database::new(&place, &SCHEMA).unwrap().prepare().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Refused(_)) && !error.passes(), "{error:?}");
    server.sql("postgres", "CREATE DATABASE ro");
    let place = Place::Postgres(Secret::from(server.url("ro")));
    Database::new(&place, &SCHEMA).unwrap().prepare().await.unwrap();
    server.sql("postgres", "ALTER DATABASE ro SET default_transaction_read_only = on");
    let error = Database::new(&place, &SCHEMA).unwrap().prepare().await.unwrap_err();
    assert!(matches!(error, DatabaseError::ReadOnly(_)), "{error:?}");
}

#[tokio::test]
async fn postgresql_over_tls_must_show_a_certificate_of_the_authority() {
    let mut authority = None;
    let server = Postgres::start_with(|dir| {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        let only_owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(dir.join("key.pem"), only_owner).unwrap();
        authority = Some(dir.join("cert.pem"));
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        vec![
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", cert.display()),
            format!("ssl_key_file={}", key.display()),
        ]
    });
    server.database("oauth");
    let strict = format!("{}?sslmode=verify-full", server.tcp_url("oauth"));
    let unknown = Database::new(&Place::Postgres(Secret::from(strict.as_str())), &SCHEMA).unwrap();
    let error = unknown.prepare().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Away(_)), "{error:?}");
    let known = format!("{strict}&sslrootcert={}", authority.unwrap().display());
    let known = Database::new(&Place::Postgres(Secret::from(known)), &SCHEMA).unwrap();
    known.prepare().await.unwrap();
    let mut conn = known.conn().await.unwrap();
    let row =
        conn.optional(sqlx::query("SELECT CAST(ssl AS TEXT) FROM pg_stat_ssl WHERE pid = pg_backend_pid()"));
    assert_eq!(sqlx::Row::get::<String, _>(&row.await.unwrap().unwrap(), 0), "true");
}

#[tokio::test]
async fn memcached_that_is_killed_or_hangs_is_an_error_in_time_and_used_again_when_it_is_back() {
    let stores = Stores::sqlite().await;
    let mut server = Memcached::start();
    let limit = Duration::from_millis(300);
    let keys = Keys::parse(KEYS).unwrap();
    let records = MemcachedRecords::new(vec![server.addr()], limit, keys, stores.clock.clone()).unwrap();
    let id = RecordId::session("s");
    records.put(&id, b"one", ends()).await.unwrap();
    server.kill();
    let error = records.get(&id).await.unwrap_err();
    assert!(matches!(error, RecordsError::Memcached(_)), "{error:?}");
    server.restart();
    while records.put(&id, b"two", ends()).await.is_err() {
        tokio::task::yield_now().await;
    }
    server.signal("-STOP");
    assert!(records.get(&id).await.is_err());
    server.signal("-CONT");
    loop {
        match records.get(&id).await {
            Ok(value) => break assert_eq!(value.as_deref(), Some(&b"two"[..])),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
