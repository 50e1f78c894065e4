//! Notes of the OAuth service: sealed, ending by themselves, one winner.

use std::time::Duration;

use futures_util::future::join_all;
use zhongkong::clock::WallTime;
use zhongkong::services::oauth::records::{RecordId, Records};

use crate::oauth_support::{START, Stores};

const STATE: &str = "0123456789abcdef0123456789abcdef";

fn after(seconds: i64) -> WallTime {
    WallTime(START.0 + seconds * 1_000)
}

#[tokio::test]
async fn a_record_is_there_until_its_end_and_no_longer() {
    let stores = Stores::sqlite().await;
    let (records, id) = (&stores.records, RecordId::pending(STATE));
    assert_eq!(records.get(&id).await.unwrap(), None);
    records.put(&id, b"one", after(600)).await.unwrap();
    assert_eq!(records.get(&RecordId::done(STATE)).await.unwrap(), None, "another kind is another record");
    records.put(&id, b"two", after(600)).await.unwrap();
    assert_eq!(records.get(&id).await.unwrap().as_deref(), Some(&b"two"[..]));
    assert!(!records.add(&id, b"three", after(600)).await.unwrap());
    assert!(records.replace(&id, b"four", after(600)).await.unwrap());
    stores.pass(Duration::from_secs(590));
    assert_eq!(records.get(&id).await.unwrap().as_deref(), Some(&b"four"[..]));
    stores.pass(Duration::from_secs(10));
    assert_eq!(records.get(&id).await.unwrap(), None);
    assert_eq!(records.take(&id).await.unwrap(), None);
    assert!(!records.replace(&id, b"five", after(900)).await.unwrap());
    // What has ended and was not swept does not stand in the way.
    assert!(records.add(&id, b"six", after(900)).await.unwrap());
    assert_eq!(records.take(&id).await.unwrap().as_deref(), Some(&b"six"[..]));
    assert_eq!(records.take(&id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_take_or_add_a_record_one_wins() {
    let stores = Stores::sqlite().await;
    for round in 0..20 {
        let id = RecordId::pending(&format!("{round}"));
        stores.records.put(&id, b"login", after(600)).await.unwrap();
        let taken = join_all((0..8).map(|_| stores.records.take(&id))).await;
        assert_eq!(taken.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count(), 1);
        let added = join_all((0..8).map(|_| stores.records.add(&id, b"claim", after(60)))).await;
        assert_eq!(added.into_iter().filter(|added| *added.as_ref().unwrap()).count(), 1);
    }
}
