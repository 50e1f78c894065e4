//! The audit in both ledgers: what is added up, what is bounded, what is found again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use zhongkong::clock::{Clock, WallTime};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::sqlite::{Settings, SqliteLedger};
use zhongkong::ledger::{
    AuditAction, AuditEntry, AuditForm, AuditQuery, AuditRow, AuditShare, Ledger, LedgerError,
};
use zhongkong::model::{Fingerprint, Generation, Kind};

use crate::ledger_support::{StateDir, WALL, clock, key, store};

const HOUR: i64 = 470_000;
/// Far more than any test of these writes.
const ALL: u32 = 1_000_000;

/// A read of an account, added up.
fn read(appid: &str, at: i64) -> AuditEntry {
    AuditEntry {
        form: AuditForm::Hourly(HOUR, AuditShare::Reads),
        client: "web".into(),
        origin: "192.0.2.1".into(),
        action: AuditAction::Read,
        appid: Some(appid.parse().unwrap()),
        kind: Some(Kind::AccessToken),
        outcome: "served".into(),
        fingerprint: None,
        generation: None,
        count: 1,
        first: WallTime(at),
        last: WallTime(at),
    }
}

/// An operator's deed.
fn pause(appid: &str, at: i64) -> AuditEntry {
    AuditEntry {
        form: AuditForm::Single,
        action: AuditAction::Pause,
        outcome: "done".into(),
        ..read(appid, at)
    }
}

/// A complaint about a value.
fn complaint(at: i64) -> AuditEntry {
    AuditEntry {
        form: AuditForm::Hourly(HOUR, AuditShare::Calls),
        action: AuditAction::Complain,
        outcome: "refreshed".into(),
        fingerprint: Some(Fingerprint::of(&"value".into())),
        generation: Some(Generation(7)),
        ..read("wx1", at)
    }
}

/// Every row that is asked for, page by page.
async fn found(ledger: &dyn Ledger, mut asked: AuditQuery) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    loop {
        let page = ledger.audit(&asked).await.unwrap();
        rows.extend(page.rows);
        match page.next {
            Some(before) => asked.before = Some(before),
            None => return rows,
        }
    }
}

async fn entries(ledger: &dyn Ledger) -> Vec<AuditEntry> {
    found(ledger, AuditQuery::default()).await.into_iter().map(|row| row.entry).collect()
}

macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                super::$name(&MemoryLedger::new(clock())).await;
            })+
        }
        mod in_a_file {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let dir = StateDir::new();
                super::$name(&dir.open(&clock()).await.ledger).await;
            })+
        }
    };
}

over_both!(
    what_is_the_same_within_an_hour_is_one_row_and_a_deed_is_always_one,
    rows_beyond_the_bound_are_the_oldest_of_their_share,
    rows_are_found_by_each_part_of_the_question,
    order_is_that_of_coming_whatever_the_clock_says,
    pages_hang_together_while_rows_arrive,
);

async fn what_is_the_same_within_an_hour_is_one_row_and_a_deed_is_always_one(ledger: &dyn Ledger) {
    // Three batches: reads of one key that belong together, and each thing that sets one apart.
    ledger.append_audit(&[read("wx1", 20), pause("wx1", 20)], ALL).await.unwrap();
    ledger.append_audit(&[read("wx1", 10), pause("wx1", 20), complaint(20)], ALL).await.unwrap();
    ledger
        .append_audit(&[AuditEntry { count: 5, last: WallTime(40), ..read("wx1", 30) }], ALL)
        .await
        .unwrap();
    let sum = AuditEntry { count: 7, first: WallTime(10), last: WallTime(40), ..read("wx1", 0) };
    assert_eq!(entries(ledger).await, [complaint(20), pause("wx1", 20), pause("wx1", 20), sum]);
    let other = [
        read("wx2", 50),
        AuditEntry { kind: Some(Kind::JsapiTicket), ..read("wx1", 50) },
        AuditEntry { kind: None, ..read("wx1", 50) },
        AuditEntry { client: "shop".into(), ..read("wx1", 50) },
        AuditEntry { origin: "uid 7".into(), ..read("wx1", 50) },
        AuditEntry { action: AuditAction::Watch, ..read("wx1", 50) },
        AuditEntry { outcome: "denied".into(), ..read("wx1", 50) },
        AuditEntry { form: AuditForm::Hourly(HOUR + 1, AuditShare::Reads), ..read("wx1", 50) },
        AuditEntry { fingerprint: None, ..complaint(50) },
        AuditEntry { generation: None, ..complaint(50) },
    ];
    ledger.append_audit(&other, ALL).await.unwrap();
    let mut rows = entries(ledger).await;
    rows.truncate(other.len());
    rows.reverse();
    assert_eq!(rows, other);
}

async fn rows_beyond_the_bound_are_the_oldest_of_their_share(ledger: &dyn Ledger) {
    // Three times as many reads and refusals as there is room for, and a few deeds before them.
    let max_rows = 40;
    let deeds: Vec<_> = (0..5).map(|at| pause("wx1", at)).collect();
    ledger.append_audit(&deeds, max_rows).await.unwrap();
    for number in 0..max_rows * 3 {
        let reader = read(&format!("wx{number}"), i64::from(number));
        let refused = AuditEntry {
            form: AuditForm::Hourly(HOUR, AuditShare::Calls),
            action: AuditAction::Refused,
            ..reader.clone()
        };
        ledger.append_audit(&[reader, refused], max_rows).await.unwrap();
        assert!(entries(ledger).await.len() <= max_rows as usize);
    }
    let rows = entries(ledger).await;
    let of = |action| rows.iter().filter(|entry| entry.action == action).collect::<Vec<_>>();
    assert_eq!(of(AuditAction::Pause).len(), 5, "nobody else pushes an operator's deed out");
    let kept = |action| of(action).iter().map(|entry| entry.first.0).collect::<Vec<_>>();
    assert_eq!(kept(AuditAction::Read), (100..120).rev().collect::<Vec<_>>());
    assert_eq!(kept(AuditAction::Refused), (110..120).rev().collect::<Vec<_>>());
    // A smaller bound is reached with the next entries.
    ledger.append_audit(&[read("wx1", 1)], 8).await.unwrap();
    let rows = entries(ledger).await;
    assert_eq!(rows.iter().filter(|entry| entry.action == AuditAction::Pause).count(), 2);
    assert_eq!(rows.len(), 8);
}

async fn rows_are_found_by_each_part_of_the_question(ledger: &dyn Ledger) {
    let strange = AuditEntry {
        client: "-".into(),
        action: AuditAction::Refused,
        appid: None,
        kind: None,
        ..read("wx1", 500)
    };
    let late = AuditEntry { first: WallTime(100), last: WallTime(900), ..read("wx2", 0) };
    let all = [read("wx1", 100), pause("wx1", 200), complaint(300), late.clone(), strange.clone()];
    ledger.append_audit(&all, ALL).await.unwrap();
    let ask = async |asked: AuditQuery| -> Vec<AuditEntry> {
        found(ledger, asked).await.into_iter().map(|row| row.entry).collect()
    };
    let any = AuditQuery::default;
    assert_eq!(ask(AuditQuery { client: Some("-".into()), ..any() }).await, std::slice::from_ref(&strange));
    assert_eq!(
        ask(AuditQuery { appid: Some("wx2".parse().unwrap()), ..any() }).await,
        std::slice::from_ref(&late)
    );
    assert_eq!(ask(AuditQuery { kind: Some(Kind::JsapiTicket), ..any() }).await, []);
    assert_eq!(ask(AuditQuery { kind: Some(Kind::AccessToken), ..any() }).await.len(), 4);
    let actions = vec![AuditAction::Pause, AuditAction::Complain];
    assert_eq!(ask(AuditQuery { actions, ..any() }).await, [complaint(300), pause("wx1", 200)]);
    // What went on at that time, so also what began before and ended later.
    assert_eq!(ask(AuditQuery { since: Some(WallTime(400)), ..any() }).await, [strange, late.clone()]);
    assert_eq!(ask(AuditQuery { until: Some(WallTime(200)), ..any() }).await, [late, read("wx1", 100)]);
}

async fn order_is_that_of_coming_whatever_the_clock_says(ledger: &dyn Ledger) {
    // The wall clock is set back by a day between two deeds.
    ledger.append_audit(&[pause("wx1", 90_000_000)], ALL).await.unwrap();
    ledger.append_audit(&[pause("wx1", 3_600_000)], ALL).await.unwrap();
    let rows = found(ledger, AuditQuery::default()).await;
    assert_eq!(rows.iter().map(|row| row.entry.first.0).collect::<Vec<_>>(), [3_600_000, 90_000_000]);
    assert!(rows[0].id > rows[1].id);
}

async fn pages_hang_together_while_rows_arrive(ledger: &dyn Ledger) {
    // More rows than a page, and others come after each page.
    let first: Vec<_> = (0..1_200).map(|at| pause("wx1", at)).collect();
    ledger.append_audit(&first, ALL).await.unwrap();
    let mut asked = AuditQuery::default();
    let mut seen = Vec::new();
    loop {
        let page = ledger.audit(&asked).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.entry.first.0));
        ledger.append_audit(&[pause("wx1", 1_000_000)], ALL).await.unwrap();
        match page.next {
            Some(before) => asked.before = Some(before),
            None => break,
        }
    }
    assert_eq!(seen, (0..1_200).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_that_are_far_apart_are_found_in_parts_and_none_is_left_out() {
    // One deed below 45,000 others: one question looks at 20,000 rows, so this takes three.
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    ledger.append_audit(&[pause("wx7", 1)], ALL).await.unwrap();
    let others: Vec<_> = (0..45_000).map(|at| pause("wx1", at)).collect();
    ledger.append_audit(&others, ALL).await.unwrap();
    let asked = AuditQuery { appid: Some("wx7".parse().unwrap()), ..AuditQuery::default() };
    let first = ledger.audit(&asked).await.unwrap();
    assert_eq!((first.rows.len(), first.next.is_some()), (0, true));
    assert_eq!(found(&ledger, asked).await.len(), 1);
    // A bound that became much smaller is reached in steps of some thousand.
    let kept = async || found(&ledger, AuditQuery::default()).await.len();
    ledger.append_audit(&[], 4_000).await.unwrap();
    assert_eq!(kept().await, 43_001);
    for _ in 0..22 {
        ledger.append_audit(&[], 4_000).await.unwrap();
    }
    assert_eq!(kept().await, 1_000);
}

#[tokio::test]
async fn rows_survive_a_restart_and_are_added_to_within_the_hour() {
    let (dir, clock) = (StateDir::new(), clock());
    let ledger = dir.open(&clock).await.ledger;
    ledger.append_audit(&[read("wx1", 10), pause("wx1", 11), complaint(12)], ALL).await.unwrap();
    let before = found(&ledger, AuditQuery::default()).await;
    // A power cut, and not a close: what was answered is on the disk.
    let dir = dir.after_a_crash();
    drop(ledger);
    let ledger = dir.open(&clock).await.ledger;
    assert_eq!(found(&ledger, AuditQuery::default()).await, before);
    ledger.append_audit(&[read("wx1", 20)], ALL).await.unwrap();
    let after = found(&ledger, AuditQuery::default()).await;
    assert_eq!((after.len(), after[2].entry.count), (3, 2));
}

/// A ledger as the version before the audit made it, with a value in it.
async fn ledger_without_audit(clock: &Clock) -> StateDir {
    let dir = StateDir::new();
    let ledger = dir.open(clock).await.ledger;
    store(&ledger, &key("wx1"), 5, "value", clock).await;
    ledger.close().await.unwrap();
    // Undoes the second migration, and leaves no free page.
    let mut conn = SqliteConnectOptions::new().filename(dir.db()).connect().await.unwrap();
    let undo = "DROP TABLE audit; DELETE FROM _sqlx_migrations WHERE version > 1; VACUUM";
    sqlx::raw_sql(undo).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    dir
}

#[tokio::test]
async fn ledger_of_the_version_before_is_taken_over_with_its_values() {
    let clock = clock();
    let dir = ledger_without_audit(&clock).await;
    let opened = dir.open(&clock).await;
    assert_eq!(opened.set_aside, None);
    let record = opened.ledger.load_key(&key("wx1")).await.unwrap();
    assert_eq!(record.value.unwrap().generation, Generation(5));
    opened.ledger.append_audit(&[pause("wx1", 1)], ALL).await.unwrap();
    assert_eq!(entries(&opened.ledger).await, [pause("wx1", 1)]);
}

#[tokio::test]
async fn old_ledger_that_is_full_is_served_without_an_audit() {
    // No page is left for the audit's table. The values must be served all the same, and what
    // is noted is refused without harm.
    let clock = clock();
    let dir = ledger_without_audit(&clock).await;
    let size = dir.db().metadata().unwrap().len();
    let settings = Settings { max_bytes: Some(size / 2), ..dir.settings() };
    let opened = SqliteLedger::open(settings, clock.clone()).await.unwrap();
    assert_eq!(opened.set_aside, None);
    assert!(opened.ledger.load_key(&key("wx1")).await.unwrap().value.is_some());
    assert!(opened.ledger.append_audit(&[pause("wx1", 1)], ALL).await.is_err());
    assert!(opened.ledger.audit(&AuditQuery::default()).await.is_err());
    opened.ledger.withdraw(&key("wx1"), Generation(5)).await.unwrap();
    assert!(opened.ledger.load_key(&key("wx1")).await.unwrap().value.unwrap().dead);
    opened.ledger.close().await.unwrap();
    // With room again the next start has one.
    let opened = dir.open(&clock).await;
    opened.ledger.append_audit(&[pause("wx1", 1)], ALL).await.unwrap();
}

#[tokio::test]
async fn audit_leaves_a_quarter_of_a_small_ledger_to_the_engine() {
    // 1 MiB is the smallest ledger that can be configured. Far more is noted than it can hold;
    // the newest of it stays, and the engine's writes go on.
    let clock = Clock::manual(WALL, zhongkong::clock::BootTime(500_000_000), "boot");
    let dir = StateDir::new();
    let settings = Settings { max_bytes: Some(1 << 20), ..dir.settings() };
    let ledger = SqliteLedger::open(settings, clock.clone()).await.unwrap().ledger;
    for round in 0..200 {
        let batch: Vec<_> = (0..128).map(|at| pause("wx1", round * 1_000 + at)).collect();
        ledger.append_audit(&batch, ALL).await.unwrap();
    }
    let rows = entries(&ledger).await;
    assert!((500..20_000).contains(&rows.len()), "{} rows", rows.len());
    assert_eq!(rows[0], pause("wx1", 199_127));
    // The engine takes what it needs; when it alone needs all but a quarter, the audit is gone and
    // says that there is no room.
    let mut refused = None;
    for number in 0..2_000 {
        store(&ledger, &key(&format!("wx{number}")), 5, &"v".repeat(512), &clock).await;
        refused = ledger.append_audit(&[pause("wx1", 1)], ALL).await.err();
        if refused.is_some() {
            break;
        }
    }
    assert!(matches!(refused, Some(LedgerError::Full(_))), "{refused:?}");
    assert_eq!(entries(&ledger).await, []);
    store(&ledger, &key("wx-last"), 5, "value", &clock).await;
}
