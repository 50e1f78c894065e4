//! The file: durable at every answer, one process at a time, sealed, closed to others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::os::unix::fs::PermissionsExt as _;

use futures_util::future::join_all;
use zhongkong::ledger::lock::StateDir as Lock;
use zhongkong::ledger::sqlite::{Settings, SqliteLedger, forget_values};
use zhongkong::ledger::{CallEnd, Committed, Ledger, LedgerError, seal};
use zhongkong::model::{ErrCode, Generation};

use crate::ledger_support::{
    HOUR, StateDir, call, clock, clock_of_boot, event, holds, key, later, store, value,
};

const OLD: &str = "old:1111111111111111111111111111111111111111111111111111111111111111\n";
const NEW: &str = "new:2222222222222222222222222222222222222222222222222222222222222222\n";
const OLD_CHANGED: &str = "old:3333333333333333333333333333333333333333333333333333333333333333\n";

fn sealed_with(dir: &StateDir, keys: &str) -> Settings {
    Settings { seal: seal::Keys::parse(keys).unwrap(), ..dir.settings() }
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_without_a_close() {
    // kill -9 right after an answer: the files as they stand then are all that is left.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
    ledger.begin(&call(&key("wx1"), 8, &clock)).await.unwrap();
    ledger.pause(&key("wx2"), Some(later(&clock.stamp(), HOUR))).await.unwrap();
    ledger.record(&event(clock.wall(), None, "fact")).await.unwrap();
    let left = dir.after_a_crash();
    let opened = left.open(&clock).await;
    assert!(opened.set_aside.is_none() && !opened.set_aside_recently);
    for key in [key("wx1"), key("wx2")] {
        assert_eq!(opened.ledger.load_key(&key).await.unwrap(), ledger.load_key(&key).await.unwrap());
    }
    let record = opened.ledger.load_key(&key("wx1")).await.unwrap();
    assert_eq!(record.calls.last().unwrap().end, None, "the open intent is known");
    assert_eq!(record.last_attempt, Generation(8));
    assert_eq!(opened.ledger.events(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_commits_at_once_are_all_answered_and_all_durable() {
    // 600 attempts end at the same time, more than a transaction takes.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    let commits = (0..600).map(|number| {
        let call = call(&key(&format!("wx{number}")), 7, &clock);
        let value = value(&format!("token {number}"), &call);
        let ledger = &ledger;
        async move { ledger.commit(&call, &value).await.unwrap() }
    });
    assert!(join_all(commits).await.iter().all(|committed| *committed == Committed::Stored));
    let left = dir.after_a_crash().open(&clock).await.ledger.load().await.unwrap();
    assert_eq!(left.len(), 600);
    for (key, record) in left {
        let number = &key.appid.as_str()[2..];
        assert_eq!(record.value.unwrap().value.expose(), format!("token {number}"));
    }
}

#[tokio::test]
async fn rows_of_many_accounts_that_count_no_more_are_dropped_a_slice_with_each_write() {
    // 9,000 calls of yesterday: looking at all of them would hold up the write that does it.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    let calls = (0..300).flat_map(|number| (1..=30).map(move |attempt| (format!("wx{number:03}"), attempt)));
    let ends = calls.map(|(appid, attempt)| {
        let call = call(&key(&appid), attempt, &clock);
        let ledger = &ledger;
        async move { ledger.finish(&call, CallEnd::Refused(ErrCode(1))).await.unwrap() }
    });
    join_all(ends).await;
    let doubt = call(&key("wx150"), 31, &clock);
    ledger.begin(&doubt).await.unwrap();
    clock.suspend(25 * HOUR);
    let mut left = Vec::new();
    for _ in 0..4 {
        ledger.record(&event(clock.wall(), None, "a write")).await.unwrap();
        left.push(dir.rows("calls").await);
    }
    assert_eq!(left[3], 1, "{left:?}");
    assert!(left.windows(2).all(|pair| pair[0] - pair[1] <= 4_100) && left[0] > 4_900, "{left:?}");
    let kept = ledger.load_key(&key("wx150")).await.unwrap().calls;
    assert_eq!(kept.first().map(|past| past.call.attempt), Some(Generation(31)), "a doubt is kept");
}

#[tokio::test]
async fn a_caller_that_leaves_spoils_nothing_for_the_others() {
    // The engine's second is over: it drops its future, queued or not.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    let calls: Vec<_> = (1..=100).map(|attempt| call(&key("wx1"), attempt, &clock)).collect();
    let mut waiting: Vec<_> = calls.iter().map(|call| ledger.begin(call)).collect();
    for begin in &mut waiting {
        assert!(futures_util::poll!(begin).is_pending());
    }
    let stay = waiting.split_off(50);
    drop(waiting);
    join_all(stay).await.into_iter().collect::<Result<(), _>>().unwrap();
    let record = ledger.load_key(&key("wx1")).await.unwrap();
    assert_eq!(record.calls.len(), 100, "what was queued was applied");
}

#[tokio::test]
async fn a_second_daemon_is_refused_with_the_process_of_the_first() {
    let (dir, clock) = (StateDir::new(), clock());
    let first = dir.open(&clock).await.ledger;
    let own = i32::try_from(std::process::id()).unwrap();
    let refused = SqliteLedger::open(dir.settings(), clock.clone()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::InUse(pid) if pid == own), "{refused:?}");
    let refused = forget_values(&dir.settings()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::InUse(_)), "{refused:?}");
    // A close lets the directory go, and other handles are told.
    let other = first.clone();
    first.close().await.unwrap();
    let closed = other.load_key(&key("wx1")).await.unwrap_err();
    assert!(matches!(closed, LedgerError::Closed), "{closed:?}");
    dir.open(&clock).await;
}

#[tokio::test]
async fn a_close_finishes_what_is_queued_and_leaves_one_file() {
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    let intent = call(&key("wx1"), 7, &clock);
    let (begun, closed) = tokio::join!(ledger.begin(&intent), ledger.clone().close());
    begun.unwrap();
    closed.unwrap();
    assert_eq!(dir.names("ledger.db"), ["ledger.db"]);
    let ledger = dir.open(&clock).await.ledger;
    assert_eq!(ledger.load_key(&key("wx1")).await.unwrap().calls.len(), 1);
}

#[tokio::test]
async fn the_last_handle_ends_the_writer_and_frees_the_directory() {
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    drop(ledger.clone());
    ledger.pause(&key("wx1"), None).await.unwrap();
    drop(ledger);
    // The task is gone as soon as the runtime has dropped it.
    while let Err(LedgerError::InUse(_)) = Lock::lock(dir.path()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn its_files_are_for_the_owner_only() {
    let (dir, clock) = (StateDir::new(), clock());
    // Somebody restored a backup with the wrong mode.
    std::fs::write(dir.db(), "").unwrap();
    std::fs::set_permissions(dir.db(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ledger = dir.open(&clock).await.ledger;
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
    let names = dir.names("");
    assert_eq!(names, ["ledger.db", "ledger.db-shm", "ledger.db-wal", "zhongkong.lock"]);
    for name in names {
        let mode = dir.path().join(&name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[tokio::test]
async fn calls_of_an_earlier_boot_age_by_wall_time() {
    let (dir, before) = (StateDir::new(), clock());
    let ledger = dir.open(&before).await.ledger;
    ledger.finish(&call(&key("wx1"), 1, &before), CallEnd::Refused(ErrCode(-1))).await.unwrap();
    before.suspend(HOUR * 20);
    ledger.finish(&call(&key("wx1"), 2, &before), CallEnd::Refused(ErrCode(-1))).await.unwrap();
    ledger.close().await.unwrap();
    // The machine was restarted; its boot clock says nothing about these rows.
    for (hours, left) in [(-1, 2), (1, 2), (25, 1), (45, 0)] {
        let after = clock_of_boot("boot-b");
        after.step_wall(hours * 3_600_000);
        let ledger = dir.open(&after).await.ledger;
        let record = ledger.load_key(&key("wx1")).await.unwrap();
        assert_eq!(record.calls.len(), left, "{hours} h after the first");
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn sealed_values_stand_nowhere_in_the_files() {
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = SqliteLedger::open(sealed_with(&dir, OLD), clock.clone()).await.unwrap().ledger;
    store(&ledger, &key("wx1"), 7, "a-token-in-the-file", &clock).await;
    store(&ledger, &key("wx1"), 8, "another-token", &clock).await;
    for bytes in [dir.bytes(), {
        ledger.close().await.unwrap();
        dir.bytes()
    }] {
        assert!(holds(&bytes, "wx1") && holds(&bytes, "old"), "the row is there");
        assert!(!holds(&bytes, "a-token-in-the-file") && !holds(&bytes, "another-token"));
    }
    // The proof that it would be found: the same in clear.
    let dir = StateDir::new();
    let ledger = dir.open(&clock).await.ledger;
    store(&ledger, &key("wx1"), 7, "a-token-in-the-file", &clock).await;
    assert!(holds(&dir.bytes(), "a-token-in-the-file"));
}

#[tokio::test]
async fn a_changed_seal_key_opens_old_rows_and_seals_new_ones() {
    let (dir, clock) = (StateDir::new(), clock());
    for (number, keys) in [(1, ""), (2, OLD), (3, &format!("{NEW}{OLD}"))] {
        let ledger = SqliteLedger::open(sealed_with(&dir, keys), clock.clone()).await.unwrap().ledger;
        for (key, record) in ledger.load().await.unwrap() {
            let text = format!("token of {}", key.appid);
            assert_eq!(record.value.unwrap().value.expose(), text);
        }
        let appid = format!("wx{number}");
        store(&ledger, &key(&appid), 7, &format!("token of {appid}"), &clock).await;
        ledger.close().await.unwrap();
    }
    // wx2 is sealed with the old key, wx3 with the new one: neither may be missing.
    for (keys, missing) in [(OLD, "new"), (NEW, "old")] {
        let refused = SqliteLedger::open(sealed_with(&dir, keys), clock.clone()).await.unwrap_err();
        assert!(matches!(&refused, LedgerError::SealKeyMissing(id) if id == missing), "{refused:?}");
    }
}

#[tokio::test]
async fn a_lost_seal_key_refuses_the_start_and_leaves_the_rows() {
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = SqliteLedger::open(sealed_with(&dir, OLD), clock.clone()).await.unwrap().ledger;
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
    ledger.begin(&call(&key("wx1"), 8, &clock)).await.unwrap();
    ledger.pause(&key("wx1"), Some(clock.stamp())).await.unwrap();
    ledger.record(&event(clock.wall(), None, "fact")).await.unwrap();
    let before = ledger.load_key(&key("wx1")).await.unwrap();
    ledger.close().await.unwrap();

    let wrong = SqliteLedger::open(sealed_with(&dir, OLD_CHANGED), clock.clone()).await.unwrap_err();
    assert!(matches!(&wrong, LedgerError::SealKeyWrong(id) if id == "old"), "{wrong:?}");
    let missing = SqliteLedger::open(dir.settings(), clock.clone()).await.unwrap_err();
    assert!(matches!(&missing, LedgerError::SealKeyMissing(id) if id == "old"), "{missing:?}");

    // The key was only mislaid: everything is still there.
    let ledger = SqliteLedger::open(sealed_with(&dir, OLD), clock.clone()).await.unwrap().ledger;
    assert_eq!(ledger.load_key(&key("wx1")).await.unwrap(), before);
    ledger.close().await.unwrap();

    // It is gone for good: only the value goes with it.
    assert_eq!(forget_values(&dir.settings()).await.unwrap(), 1);
    assert_eq!(forget_values(&dir.settings()).await.unwrap(), 0);
    let ledger = dir.open(&clock).await.ledger;
    let after = ledger.load_key(&key("wx1")).await.unwrap();
    assert_eq!(after.value, None);
    assert_eq!((&after.calls, &after.paused_until), (&before.calls, &before.paused_until));
    assert_eq!((after.last_attempt, after.set_aside), (Generation(8), false));
    assert_eq!(ledger.events(None, 9).await.unwrap().len(), 1);
    // The fence holds, even for the forgotten string, and the next attempt passes it.
    let late = call(&key("wx1"), 7, &clock);
    let fenced = ledger.commit(&late, &value("token", &late)).await.unwrap();
    assert_eq!(fenced, Committed::Fenced(Generation(7)));
    store(&ledger, &key("wx1"), 9, "token", &clock).await;
    let stored = ledger.load_key(&key("wx1")).await.unwrap().value.unwrap();
    assert_eq!((stored.generation, stored.value.expose()), (Generation(9), "token"));
}
