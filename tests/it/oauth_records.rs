//! Notes of the OAuth service: sealed, ending by themselves, one winner; in every kind of store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Row as _;
use zhongkong::clock::WallTime;
use zhongkong::seal::Keys;
use zhongkong::services::oauth::records::memcached::MemcachedRecords;
use zhongkong::services::oauth::records::sql::SqlRecords;
use zhongkong::services::oauth::records::{RecordId, Records};

use crate::oauth_support::{KEYS, START, Stores};
use crate::support::memcached::Memcached;

const STATE: &str = "0123456789abcdef0123456789abcdef";
const LIMIT: Duration = Duration::from_secs(5);

fn after(seconds: i64) -> WallTime {
    WallTime(START.0 + seconds * 1_000)
}

/// A memcached's records on the clock of these stores.
fn in_memcached(server: &Memcached, stores: &Stores, keys: &str) -> MemcachedRecords {
    let keys = Keys::parse(keys).unwrap();
    MemcachedRecords::new(vec![server.addr()], LIMIT, keys, stores.clock.clone()).unwrap()
}

#[tokio::test]
async fn a_record_is_there_until_its_end_and_no_longer() {
    let (_server, all) = Stores::all().await;
    let memcached = Memcached::start();
    let mut stores: Vec<(&str, &Stores, Arc<dyn Records>)> = Vec::new();
    for (name, each) in &all {
        stores.push((name, each, Arc::new(each.records.clone())));
    }
    let third = Stores::sqlite().await;
    stores.push(("memcached", &third, Arc::new(in_memcached(&memcached, &third, KEYS))));
    for (name, stores, records) in stores {
        let id = RecordId::pending(STATE);
        assert_eq!(records.get(&id).await.unwrap(), None, "{name}");
        assert!(!records.replace(&id, b"none", after(600)).await.unwrap(), "{name}");
        records.put(&id, b"one", after(600)).await.unwrap();
        assert_eq!(records.get(&RecordId::done(STATE)).await.unwrap(), None, "{name}: kinds are apart");
        records.put(&id, b"two", after(600)).await.unwrap();
        assert_eq!(records.get(&id).await.unwrap().as_deref(), Some(&b"two"[..]), "{name}");
        assert!(!records.add(&id, b"three", after(600)).await.unwrap(), "{name}");
        assert!(records.replace(&id, b"four", after(600)).await.unwrap(), "{name}");
        stores.pass(Duration::from_secs(590));
        assert_eq!(records.get(&id).await.unwrap().as_deref(), Some(&b"four"[..]), "{name}");
        stores.pass(Duration::from_secs(10));
        assert_eq!(records.get(&id).await.unwrap(), None, "{name}");
        assert_eq!(records.take(&id).await.unwrap(), None, "{name}");
        // It may only be put again: what has ended is nothing.
        records.put(&id, b"five", after(900)).await.unwrap();
        assert_eq!(records.take(&id).await.unwrap().as_deref(), Some(&b"five"[..]), "{name}");
        assert_eq!(records.take(&id).await.unwrap(), None, "{name}");
        assert!(records.add(&id, b"six", after(900)).await.unwrap(), "{name}");
        records.remove(&id).await.unwrap();
        records.remove(&id).await.unwrap();
        assert_eq!(records.get(&id).await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn what_has_ended_and_was_not_swept_does_not_stand_in_the_way() {
    let (_server, all) = Stores::all().await;
    for (name, stores) in &all {
        let id = RecordId::done(STATE);
        assert!(stores.records.add(&id, b"claim", after(60)).await.unwrap(), "{name}");
        stores.pass(Duration::from_secs(60));
        assert!(!stores.records.replace(&id, b"late", after(120)).await.unwrap(), "{name}");
        assert!(stores.records.add(&id, b"next", after(120)).await.unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_take_or_add_a_record_one_wins() {
    let (_server, all) = Stores::all().await;
    let memcached = Memcached::start();
    let third = Stores::sqlite().await;
    let stores: [(&str, Arc<dyn Records>); 3] = [
        ("sqlite", Arc::new(all[0].1.records.clone())),
        ("postgresql", Arc::new(all[1].1.records.clone())),
        ("memcached", Arc::new(in_memcached(&memcached, &third, KEYS))),
    ];
    for (name, records) in stores {
        for round in 0..20 {
            let id = RecordId::pending(&format!("{round}"));
            records.put(&id, b"login", after(600)).await.unwrap();
            let taken = join_all((0..8).map(|_| records.take(&id))).await;
            let winners = taken.into_iter().filter(|taken| taken.as_ref().unwrap().is_some());
            assert_eq!(winners.count(), 1, "{name}, round {round}");
            let added = join_all((0..8).map(|_| records.add(&id, b"claim", after(60)))).await;
            let winners = added.into_iter().filter(|added| *added.as_ref().unwrap());
            assert_eq!(winners.count(), 1, "{name}, round {round}");
        }
    }
}

#[tokio::test]
async fn a_record_is_sealed_and_does_not_open_under_another_name_or_in_clear() {
    let (_server, all) = Stores::all().await;
    for (name, stores) in &all {
        let (id, other) = (RecordId::session("mine"), RecordId::session("theirs"));
        stores.records.put(&id, b"openid-of-somebody", after(600)).await.unwrap();
        stores.records.put(&other, b"other", after(600)).await.unwrap();
        let mut conn = stores.database.conn().await.unwrap();
        let rows = conn.all(sqlx::query("SELECT id, sealed, seal_key FROM oauth_records")).await.unwrap();
        assert_eq!(rows.len(), 2, "{name}");
        for row in rows {
            let (hash, sealed): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
            assert_eq!(row.get::<String, _>(2), "2026", "{name}: the first key seals");
            assert_eq!(hash.len(), 32, "{name}");
            let shows = |what: &[u8]| sealed.windows(what.len()).any(|window| window == what);
            assert!(!shows(b"openid") && !shows(b"mine"), "{name}");
        }
        // Somebody who can write the table exchanges two rows' contents, and then forges one.
        let swap = "UPDATE oauth_records SET sealed = (SELECT sealed FROM oauth_records AS o
            WHERE o.id <> oauth_records.id)";
        conn.execute(sqlx::query(swap)).await.unwrap();
        drop(conn);
        assert!(stores.records.get(&id).await.is_err(), "{name}");
        let mut conn = stores.database.conn().await.unwrap();
        let forge = "UPDATE oauth_records SET sealed = $1, seal_key = NULL";
        conn.execute(sqlx::query(forge).bind(b"forged".to_vec())).await.unwrap();
        drop(conn);
        assert!(stores.records.get(&id).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn keys_of_memcached_are_hashes_and_its_values_are_sealed() {
    let server = Memcached::start();
    let stores = Stores::sqlite().await;
    let records = in_memcached(&server, &stores, KEYS);
    records.put(&RecordId::session("mine"), b"one", after(600)).await.unwrap();
    // SHA-256 of `mine`, by another program.
    let key = "zhongkong:oauth:session:3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff";
    assert!(server.ttl(key).is_some());
    // Whoever can write to memcached cannot forge a session.
    server.set(key, "\u{1}\u{0}forged");
    assert!(records.get(&RecordId::session("mine")).await.is_err());
    server.set(key, "garbage");
    assert!(records.get(&RecordId::session("mine")).await.is_err());
    // It ends there by itself, too.
    records.put(&RecordId::session("mine"), b"two", after(600)).await.unwrap();
    assert!((599..=600).contains(&server.ttl(key).unwrap()));
}

#[tokio::test]
async fn an_old_seal_key_opens_what_it_sealed_until_it_is_taken_away() {
    let (_server, all) = Stores::all().await;
    let memcached = Memcached::start();
    let (old, new) = (KEYS.lines().nth(1).unwrap(), KEYS.lines().next().unwrap());
    for (name, stores) in &all {
        let id = RecordId::session(name);
        let with = |keys: &str| -> [Arc<dyn Records>; 2] {
            let sql = Keys::parse(keys).unwrap();
            let sql = SqlRecords::new(stores.database.clone(), sql, stores.clock.clone());
            [Arc::new(sql), Arc::new(in_memcached(&memcached, stores, keys))]
        };
        for (before, (both, after_all)) in with(old).iter().zip(with(KEYS).iter().zip(with(new).iter())) {
            before.put(&id, b"one", after(600)).await.unwrap();
            assert_eq!(both.get(&id).await.unwrap().as_deref(), Some(&b"one"[..]), "{name}");
            assert!(after_all.get(&id).await.is_err(), "{name}");
            both.put(&id, b"two", after(600)).await.unwrap();
            assert_eq!(after_all.get(&id).await.unwrap().as_deref(), Some(&b"two"[..]), "{name}");
        }
    }
}

#[tokio::test]
async fn a_sweep_removes_what_has_ended_and_nothing_else() {
    let (_server, all) = Stores::all().await;
    for (name, stores) in &all {
        for number in 0..600 {
            let ends = if number % 3 == 0 { after(600) } else { after(60) };
            stores.records.put(&RecordId::pending(&format!("{number}")), b"x", ends).await.unwrap();
        }
        assert_eq!(stores.records.sweep().await.unwrap(), 0, "{name}");
        stores.pass(Duration::from_secs(60));
        assert_eq!(stores.records.sweep().await.unwrap(), 400, "{name}");
        assert!(stores.records.get(&RecordId::pending("3")).await.unwrap().is_some(), "{name}");
        stores.pass(Duration::from_secs(540));
        assert_eq!(stores.records.sweep().await.unwrap(), 200, "{name}");
    }
}
