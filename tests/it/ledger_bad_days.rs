//! Corrupt, full and read-only: each is said, nothing is lost, and it ends when its cause ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr};
use zhongkong::clock::Clock;
use zhongkong::ledger::sqlite::{Settings, SqliteLedger};
use zhongkong::ledger::{CallEnd, Ledger, LedgerError};
use zhongkong::model::ErrCode;

use crate::ledger_support::{HOUR, StateDir, call, clock, clock_of_boot, event, key, later, store};

/// A closed ledger with rows on many pages.
async fn filled(clock: &Clock) -> StateDir {
    let dir = StateDir::new();
    let ledger = dir.open(clock).await.ledger;
    store(&ledger, &key("wx1"), 7, "token", clock).await;
    for number in 0..100 {
        ledger.record(&event(clock.wall(), None, &format!("{number} {}", "x".repeat(500)))).await.unwrap();
    }
    ledger.close().await.unwrap();
    dir
}

/// Changes the database as another program would.
async fn meddle(db: &Path, sql: impl SqlSafeStr) {
    let mut conn = SqliteConnectOptions::new().filename(db).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

fn overwrite(db: &Path, at: usize, with: &[u8]) {
    let mut bytes = std::fs::read(db).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    std::fs::write(db, bytes).unwrap();
}

type Damage = fn(&Path);

#[tokio::test]
async fn a_corrupt_ledger_is_set_aside_unchanged_and_a_new_one_works() {
    let clock = clock();
    let damages: [(&str, Damage); 5] = [
        ("random bytes", |db| {
            let noise: Vec<u8> =
                (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
            std::fs::write(db, noise).unwrap();
        }),
        ("a text", |db| std::fs::write(db, "this is no database\n").unwrap()),
        ("a broken header", |db| overwrite(db, 0, b"SQLite format 9")),
        ("a broken page in the middle", |db| overwrite(db, 5 * 4096, &[0xa5; 3 * 4096])),
        ("a truncated file", |db| {
            let length = db.metadata().unwrap().len();
            std::fs::OpenOptions::new().write(true).open(db).unwrap().set_len(length / 2).unwrap();
        }),
    ];
    for (damage, inflict) in damages {
        let dir = filled(&clock).await;
        inflict(&dir.db());
        let bytes = std::fs::read(dir.db()).unwrap();
        let opened = dir.open(&clock).await;
        let aside = opened.set_aside.unwrap_or_else(|| panic!("{damage} was not seen"));
        // The clock runs on while the files are written, so the seconds are not asserted.
        let name = aside.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("ledger.db.corrupt-20231114T2213") && name.ends_with('Z'), "{name}");
        assert_eq!(std::fs::read(&aside).unwrap(), bytes, "{damage}");
        assert!(opened.set_aside_recently);
        let ledger = opened.ledger;
        assert_eq!(ledger.load().await.unwrap(), [], "{damage}");
        assert!(ledger.load_key(&key("wx1")).await.unwrap().set_aside, "{damage}");
        assert_eq!(ledger.events(None, 9).await.unwrap()[0].what, "ledger_set_aside");
        store(&ledger, &key("wx1"), 9, "new", &clock).await;
        assert!(ledger.load().await.unwrap()[0].1.set_aside);
    }
}

#[tokio::test]
async fn a_ledger_whose_tables_are_gone_is_set_aside() {
    let clock = clock();
    let dir = filled(&clock).await;
    meddle(&dir.db(), "DROP TABLE calls").await;
    assert!(dir.open(&clock).await.set_aside.is_some());
}

#[tokio::test]
async fn a_row_that_is_no_word_of_ours_sets_the_ledger_aside() {
    let clock = clock();
    for sql in [
        "UPDATE stored_values SET mode = 'x'",
        "UPDATE calls SET ended = 'x'",
        "UPDATE calls SET attempt = -1",
    ] {
        let dir = filled(&clock).await;
        meddle(&dir.db(), sql).await;
        assert!(dir.open(&clock).await.set_aside.is_some(), "{sql}");
    }
}

#[tokio::test]
async fn an_empty_file_is_a_new_ledger() {
    let (dir, clock) = (StateDir::new(), clock());
    std::fs::write(dir.db(), "").unwrap();
    let opened = dir.open(&clock).await;
    assert!(opened.set_aside.is_none() && !opened.set_aside_recently);
    store(&opened.ledger, &key("wx1"), 7, "token", &clock).await;
}

#[tokio::test]
async fn a_write_ahead_log_without_its_database_is_kept() {
    // Somebody moved ledger.db away from under a crashed daemon: what the log holds is all there is.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
    let left = dir.after_a_crash();
    std::fs::remove_file(left.db()).unwrap();
    let log = std::fs::read(left.path().join("ledger.db-wal")).unwrap();
    let aside = left.open(&clock).await.set_aside.unwrap();
    let kept = aside.with_file_name(format!("{}-wal", aside.file_name().unwrap().to_str().unwrap()));
    assert_eq!(std::fs::read(kept).unwrap(), log);
}

#[tokio::test]
async fn a_corrupt_database_keeps_its_write_ahead_log() {
    // The crash left a log that holds the latest rows; setting aside must not merge or delete it.
    let clock = clock();
    let dir = filled(&clock).await;
    let ledger = dir.open(&clock).await.ledger;
    store(&ledger, &key("wx1"), 9, "token", &clock).await;
    let left = dir.after_a_crash();
    let log = std::fs::read(left.path().join("ledger.db-wal")).unwrap();
    assert!(!log.is_empty());
    overwrite(&left.db(), 10 * 4096, &[0xa5; 3 * 4096]);
    let aside = left.open(&clock).await.set_aside.unwrap();
    let kept = aside.with_file_name(format!("{}-wal", aside.file_name().unwrap().to_str().unwrap()));
    assert_eq!(std::fs::read(kept).unwrap(), log);
}

#[tokio::test]
async fn no_ledger_that_was_set_aside_is_ever_overwritten() {
    // Three in the same second, by the frozen words of a wall clock.
    let (dir, clock) = (StateDir::new(), clock());
    for round in 0..3 {
        std::fs::write(dir.db(), format!("garbage {round}")).unwrap();
        dir.open(&clock).await.ledger.close().await.unwrap();
    }
    let names = dir.names("ledger.db.corrupt");
    let contents: Vec<_> =
        names.iter().map(|name| std::fs::read_to_string(dir.path().join(name)).unwrap()).collect();
    assert_eq!(contents, ["garbage 0", "garbage 1", "garbage 2"], "{names:?}");
}

#[tokio::test]
async fn a_ledger_set_aside_is_remembered_for_a_day() {
    let (dir, before) = (StateDir::new(), clock());
    std::fs::write(dir.db(), "garbage").unwrap();
    let ledger = dir.open(&before).await.ledger;
    assert!(ledger.load_key(&key("new")).await.unwrap().set_aside);
    before.suspend(HOUR * 25);
    assert!(!ledger.load_key(&key("new")).await.unwrap().set_aside);
    ledger.close().await.unwrap();
    for (hours, recently) in [(23, true), (25, false)] {
        let after = clock_of_boot("boot-b");
        after.step_wall(hours * 3_600_000);
        let opened = dir.open(&after).await;
        assert_eq!((opened.set_aside, opened.set_aside_recently), (None, recently), "{hours} h later");
        assert_eq!(opened.ledger.load_key(&key("new")).await.unwrap().set_aside, recently);
        opened.ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_death_between_setting_aside_and_noting_it_forgets_nothing() {
    let (dir, clock) = (StateDir::new(), clock());
    std::fs::write(dir.path().join("ledger.db.corrupt-20231114T120000Z"), "garbage").unwrap();
    assert!(dir.open(&clock).await.set_aside_recently);
    let dir = StateDir::new();
    std::fs::write(dir.path().join("ledger.db.corrupt-20231112T120000Z"), "garbage").unwrap();
    assert!(!dir.open(&clock).await.set_aside_recently, "that was two days ago");
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_and_left_alone() {
    let clock = clock();
    let dir = filled(&clock).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'from the future', 1, x'00', 0)";
    meddle(&dir.db(), newer).await;
    let refused = SqliteLedger::open(dir.settings(), clock).await.unwrap_err();
    assert_eq!(refused.reason(), "failed");
    assert_eq!(dir.names("ledger.db.corrupt"), Vec::<String>::new());
}

#[tokio::test]
async fn corruption_while_running_is_an_error_of_the_write_and_not_the_end() {
    // A disk loses a page under the running daemon.
    let clock = clock();
    let dir = filled(&clock).await;
    let ledger = dir.open(&clock).await.ledger;
    // Another connection's write makes SQLite forget the pages that it still holds in memory.
    meddle(&dir.db(), "PRAGMA user_version = 1").await;
    let length = dir.db().metadata().unwrap().len();
    std::fs::write(dir.db(), "x".repeat(usize::try_from(length).unwrap())).unwrap();
    let failed = ledger.begin(&call(&key("wx1"), 8, &clock)).await.unwrap_err();
    assert!(matches!(failed, LedgerError::Corrupt(_)), "{failed:?}");
    assert!(matches!(ledger.load().await.unwrap_err(), LedgerError::Corrupt(_)));
    ledger.close().await.unwrap();
    assert!(dir.open(&clock).await.set_aside.is_some(), "the next start sets it aside");
}

#[tokio::test]
async fn a_full_ledger_says_so_and_works_again_when_there_is_room() {
    let (dir, clock) = (StateDir::new(), clock());
    let settings = Settings { max_bytes: Some(200_000), ..dir.settings() };
    let ledger = SqliteLedger::open(settings, clock.clone()).await.unwrap().ledger;
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
    let nearly_a_day_ago = later(&clock.stamp_of(clock.boot() - HOUR * 24), Duration::from_mins(5));
    let mut stored = 0;
    let full = loop {
        let mut call = call(&key(&format!("wx-with-a-long-name-{stored}")), 1, &clock);
        call.sent = nearly_a_day_ago.clone();
        match ledger.finish(&call, CallEnd::Refused(ErrCode(-1))).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "it never got full");
    };
    assert!(matches!(full, LedgerError::Full(_)), "{full:?}");
    assert!(dir.db().metadata().unwrap().len() <= 200_000);
    // It still reads, and it is still full for whoever asks again.
    assert_eq!(ledger.load().await.unwrap().len(), stored + 1);
    let big = event(clock.wall(), None, &"x".repeat(9_000));
    assert!(matches!(ledger.record(&big).await.unwrap_err(), LedgerError::Full(_)));
    // Soon the calls count no more, and they make room without waiting for the usual time.
    clock.suspend(Duration::from_mins(6));
    ledger.record(&big).await.unwrap();
    store(&ledger, &key("wx2"), 8, "token", &clock).await;
    assert_eq!(ledger.load().await.unwrap().len(), 2);
}

#[tokio::test]
async fn one_failed_transaction_answers_all_of_its_callers() {
    let (dir, clock) = (StateDir::new(), clock());
    let settings = Settings { max_bytes: Some(100_000), ..dir.settings() };
    let ledger = SqliteLedger::open(settings, clock.clone()).await.unwrap().ledger;
    let big = event(clock.wall(), None, &"x".repeat(9_000));
    let results = futures_util::future::join_all((0..100).map(|_| ledger.record(&big))).await;
    assert!(results.iter().all(|result| matches!(result, Err(LedgerError::Full(_)))));
    assert_eq!(ledger.events(None, 9).await.unwrap(), [], "whole or not at all");
    store(&ledger, &key("wx1"), 7, "token", &clock).await;
}

#[tokio::test]
async fn a_read_only_ledger_says_so_and_is_still_read() {
    // A write version above 2 in the header makes a database read-only for this SQLite.
    let clock = clock();
    let dir = filled(&clock).await;
    overwrite(&dir.db(), 18, &[3]);
    let opened = dir.open(&clock).await;
    assert!(opened.set_aside.is_none());
    let ledger = opened.ledger;
    assert_eq!(ledger.load().await.unwrap()[0].1.value.as_ref().unwrap().value.expose(), "token");
    let refused = ledger.begin(&call(&key("wx1"), 8, &clock)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::ReadOnly(_)), "{refused:?}");
    assert_eq!(refused.to_string(), "the ledger is read-only");
    // It becomes writable under the running daemon.
    overwrite(&dir.db(), 18, &[2]);
    ledger.begin(&call(&key("wx1"), 8, &clock)).await.unwrap();
    assert_eq!(ledger.load_key(&key("wx1")).await.unwrap().calls.len(), 2);
}
