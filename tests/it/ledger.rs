//! What every ledger guarantees: one suite, run over the one in memory and the one in a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use zhongkong::clock::{Clock, WallTime};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{CallEnd, Committed, Ledger, MAX_EVENTS, PastCall, Record};
use zhongkong::model::{CallMode, ErrCode, Generation};

use crate::ledger_support::{HOUR, StateDir, call, clock, event, key, later, store, value};

/// Each function of this module as a test over both ledgers.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let clock = clock();
                super::$name(&MemoryLedger::new(clock.clone()), &clock).await;
            })+
        }
        mod in_a_file {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let (dir, clock) = (StateDir::new(), clock());
                super::$name(&dir.open(&clock).await.ledger, &clock).await;
            })+
        }
    };
}

over_both!(
    a_key_without_rows_has_an_empty_record,
    a_committed_value_is_loaded_as_it_was_stored,
    a_commit_that_is_not_newer_is_fenced_and_changes_nothing_but_counts,
    the_same_string_keeps_its_generation_and_moves_its_expiry,
    a_late_answer_does_not_replace_a_value_that_was_confirmed_since,
    the_same_string_stays_dead,
    a_commit_settles_every_earlier_call_and_no_later_one,
    a_repeated_begin_keeps_the_first,
    ends_are_noted_and_final_ones_stay,
    an_unknown_end_before_a_later_value_is_harmless,
    of_calls_never_sent_only_the_latest_is_kept,
    settle_ends_doubt_up_to_its_number,
    withdraw_kills_only_the_value_that_it_names,
    a_pause_is_stored_and_lifted,
    calls_are_kept_a_day_and_doubts_for_good,
    a_stepped_wall_clock_drops_no_call,
    events_come_newest_first_of_one_account_or_all,
    events_beyond_the_bound_are_the_oldest_to_go,
    load_and_load_key_agree,
);

fn ends(record: &Record) -> Vec<(u64, Option<CallEnd>)> {
    record.calls.iter().map(|past| (past.call.attempt.0, past.end)).collect()
}

async fn a_key_without_rows_has_an_empty_record(ledger: &dyn Ledger, _: &Clock) {
    assert_eq!(ledger.load().await.unwrap(), []);
    assert_eq!(ledger.load_key(&key("wx1")).await.unwrap(), Record::default());
    // Writes that found nothing to change leave nothing behind.
    ledger.settle(&key("wx1"), Generation(9)).await.unwrap();
    ledger.withdraw(&key("wx1"), Generation(9)).await.unwrap();
    ledger.pause(&key("wx1"), None).await.unwrap();
    assert_eq!(ledger.load().await.unwrap(), []);
}

async fn a_committed_value_is_loaded_as_it_was_stored(ledger: &dyn Ledger, clock: &Clock) {
    let call = call(&key("wx1"), 7, clock);
    let mut stored = value("token", &call);
    stored.verify_at = Some(later(&call.sent, Duration::from_secs(310)));
    stored.confirmed = later(&call.sent, Duration::from_millis(7));
    stored.life = Duration::from_millis(7_199_999);
    stored.age_known = true;
    assert_eq!(ledger.commit(&call, &stored).await.unwrap(), Committed::Stored);
    let record = ledger.load_key(&call.key).await.unwrap();
    assert_eq!(record.value, Some(stored));
    assert_eq!(record.calls, [PastCall { call, end: Some(CallEnd::Issued) }]);
    assert_eq!(record.last_attempt, Generation(7));
}

async fn a_commit_that_is_not_newer_is_fenced_and_changes_nothing_but_counts(
    ledger: &dyn Ledger,
    clock: &Clock,
) {
    // The answer of attempt 6 arrives after attempt 7 has stored its own.
    let key = key("wx1");
    store(ledger, &key, 7, "newer", clock).await;
    for (late, text) in [(6, "older"), (7, "another of the same number")] {
        let late = call(&key, late, clock);
        let fenced = ledger.commit(&late, &value(text, &late)).await.unwrap();
        assert_eq!(fenced, Committed::Fenced(Generation(7)));
    }
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(record.value.as_ref().unwrap().value.expose(), "newer");
    assert_eq!(ends(&record), [(6, Some(CallEnd::Settled)), (7, Some(CallEnd::Issued))]);
}

async fn the_same_string_keeps_its_generation_and_moves_its_expiry(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    let first = call(&key, 7, clock);
    ledger.commit(&first, &value("token", &first)).await.unwrap();
    clock.suspend(HOUR);
    // Also when an older number brings it: it is a confirmation, not another value.
    for (number, minutes) in [(9, 5), (5, 6)] {
        let mut again = call(&key, number, clock);
        again.mode = CallMode::Stable;
        let mut same = value("token", &again);
        same.life = Duration::from_secs(minutes * 60);
        same.verify_at = Some(again.sent.clone());
        same.age_known = true;
        assert_eq!(ledger.commit(&again, &same).await.unwrap(), Committed::Stored);
        let record = ledger.load_key(&key).await.unwrap();
        let stored = record.value.unwrap();
        assert_eq!((stored.generation, stored.mode), (Generation(7), CallMode::Classic));
        assert_eq!((&stored.issued, &stored.confirmed), (&first.sent, &again.sent));
        assert_eq!((stored.life, stored.verify_at, stored.age_known), (same.life, same.verify_at, true));
        assert_eq!(record.last_attempt, Generation(9));
    }
}

async fn a_late_answer_does_not_replace_a_value_that_was_confirmed_since(ledger: &dyn Ledger, clock: &Clock) {
    // The disk was full when attempt 8 brought its string, and 9 brought the one of 7 again.
    let key = key("wx1");
    store(ledger, &key, 7, "token", clock).await;
    store(ledger, &key, 9, "token", clock).await;
    let late = call(&key, 8, clock);
    let fenced = ledger.commit(&late, &value("late", &late)).await.unwrap();
    assert_eq!(fenced, Committed::Fenced(Generation(9)));
    assert_eq!(ledger.load_key(&key).await.unwrap().value.unwrap().generation, Generation(7));
}

async fn the_same_string_stays_dead(ledger: &dyn Ledger, clock: &Clock) {
    // After a restart WeChat's stable endpoint hands out the string that it called dead before.
    let key = key("wx1");
    store(ledger, &key, 7, "token", clock).await;
    ledger.withdraw(&key, Generation(7)).await.unwrap();
    store(ledger, &key, 8, "token", clock).await;
    assert!(ledger.load_key(&key).await.unwrap().value.unwrap().dead);
    store(ledger, &key, 9, "another", clock).await;
    assert!(!ledger.load_key(&key).await.unwrap().value.unwrap().dead);
}

async fn a_commit_settles_every_earlier_call_and_no_later_one(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    for attempt in [1, 2, 3, 4, 6] {
        ledger.begin(&call(&key, attempt, clock)).await.unwrap();
    }
    ledger.finish(&call(&key, 2, clock), CallEnd::Unknown).await.unwrap();
    ledger.finish(&call(&key, 3, clock), CallEnd::Refused(ErrCode(-1))).await.unwrap();
    let before = ledger.load_key(&key).await.unwrap();
    assert_eq!(before.calls.iter().filter(|past| past.matters()).count(), 4, "{before:?}");
    // The fifth was never begun: its row is made by the commit.
    let fifth = call(&key, 5, clock);
    ledger.commit(&fifth, &value("token", &fifth)).await.unwrap();
    assert_eq!(
        ends(&ledger.load_key(&key).await.unwrap()),
        [
            (1, Some(CallEnd::Settled)),
            (2, Some(CallEnd::Settled)),
            (3, Some(CallEnd::Refused(ErrCode(-1)))),
            (4, Some(CallEnd::Settled)),
            (5, Some(CallEnd::Issued)),
            (6, None),
        ]
    );
}

async fn a_repeated_begin_keeps_the_first(ledger: &dyn Ledger, clock: &Clock) {
    let first = call(&key("wx1"), 7, clock);
    ledger.begin(&first).await.unwrap();
    clock.suspend(HOUR);
    ledger.begin(&call(&key("wx1"), 7, clock)).await.unwrap();
    ledger.finish(&call(&key("wx1"), 7, clock), CallEnd::Unknown).await.unwrap();
    ledger.begin(&first).await.unwrap();
    let record = ledger.load_key(&key("wx1")).await.unwrap();
    assert_eq!(record.calls, [PastCall { call: first, end: Some(CallEnd::Unknown) }]);
}

async fn ends_are_noted_and_final_ones_stay(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    let other = [CallEnd::Refused(ErrCode(45_009)), CallEnd::NeverSent, CallEnd::Unknown];
    for (attempt, end) in (1..).zip(other.into_iter().chain([CallEnd::Issued, CallEnd::Settled])) {
        // Twice, with and without an intent: a write may be repeated.
        ledger.finish(&call(&key, attempt, clock), end).await.unwrap();
        ledger.finish(&call(&key, attempt, clock), end).await.unwrap();
        let record = ledger.load_key(&key).await.unwrap();
        assert_eq!(record.calls.last().unwrap().end, Some(end));
    }
    for final_one in [4, 5] {
        ledger.finish(&call(&key, final_one, clock), CallEnd::Unknown).await.unwrap();
    }
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(ends(&record)[3..], [(4, Some(CallEnd::Issued)), (5, Some(CallEnd::Settled))]);
}

async fn an_unknown_end_before_a_later_value_is_harmless(ledger: &dyn Ledger, clock: &Clock) {
    // The disk was full when attempt 3 timed out; its end is noted only after attempt 5's value.
    let key = key("wx1");
    store(ledger, &key, 5, "token", clock).await;
    ledger.finish(&call(&key, 3, clock), CallEnd::Unknown).await.unwrap();
    ledger.finish(&call(&key, 6, clock), CallEnd::Unknown).await.unwrap();
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(
        ends(&record),
        [(3, Some(CallEnd::Settled)), (5, Some(CallEnd::Issued)), (6, Some(CallEnd::Unknown))]
    );
}

async fn of_calls_never_sent_only_the_latest_is_kept(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    ledger.begin(&call(&key, 1, clock)).await.unwrap();
    for attempt in 1..=50 {
        ledger.finish(&call(&key, attempt, clock), CallEnd::NeverSent).await.unwrap();
    }
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(ends(&record), [(50, Some(CallEnd::NeverSent))]);
    assert_eq!(record.last_attempt, Generation(50));
}

async fn settle_ends_doubt_up_to_its_number(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    store(ledger, &key, 1, "token", clock).await;
    for attempt in [2, 3, 4] {
        ledger.begin(&call(&key, attempt, clock)).await.unwrap();
    }
    ledger.finish(&call(&key, 2, clock), CallEnd::Unknown).await.unwrap();
    ledger.settle(&key, Generation(3)).await.unwrap();
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(ends(&record)[1..], [(2, Some(CallEnd::Settled)), (3, Some(CallEnd::Settled)), (4, None)]);
}

async fn withdraw_kills_only_the_value_that_it_names(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    store(ledger, &key, 7, "token", clock).await;
    for (generation, dead) in [(6, false), (8, false), (7, true)] {
        ledger.withdraw(&key, Generation(generation)).await.unwrap();
        let record = ledger.load_key(&key).await.unwrap();
        assert_eq!(record.value.unwrap().dead, dead, "after withdrawing {generation}");
    }
    // The row is still the fence.
    let late = call(&key, 6, clock);
    let fenced = ledger.commit(&late, &value("older", &late)).await.unwrap();
    assert_eq!(fenced, Committed::Fenced(Generation(7)));
}

async fn a_pause_is_stored_and_lifted(ledger: &dyn Ledger, clock: &Clock) {
    let until = later(&clock.stamp(), HOUR);
    ledger.pause(&key("wx1"), Some(clock.stamp())).await.unwrap();
    ledger.pause(&key("wx1"), Some(until.clone())).await.unwrap();
    assert_eq!(ledger.load_key(&key("wx1")).await.unwrap().paused_until, Some(until));
    assert_eq!(ledger.load_key(&key("wx2")).await.unwrap().paused_until, None);
    ledger.pause(&key("wx1"), None).await.unwrap();
    assert_eq!(ledger.load().await.unwrap(), []);
}

async fn calls_are_kept_a_day_and_doubts_for_good(ledger: &dyn Ledger, clock: &Clock) {
    let key = key("wx1");
    store(ledger, &key, 1, "token", clock).await;
    ledger.finish(&call(&key, 2, clock), CallEnd::Refused(ErrCode(-1))).await.unwrap();
    ledger.begin(&call(&key, 3, clock)).await.unwrap();
    ledger.finish(&call(&key, 4, clock), CallEnd::Unknown).await.unwrap();
    // A lost answer of an idempotent call is no doubt: it only counted.
    let mut stable = call(&key, 5, clock);
    stable.mode = CallMode::Stable;
    ledger.finish(&stable, CallEnd::Unknown).await.unwrap();
    clock.suspend(HOUR * 23);
    assert_eq!(ends(&ledger.load_key(&key).await.unwrap()).len(), 5);
    clock.suspend(HOUR);
    let doubts = [(3, None), (4, Some(CallEnd::Unknown))];
    assert_eq!(ends(&ledger.load_key(&key).await.unwrap()), doubts);
    // A write, in which old rows are dropped, changes nothing of that; nor does a year.
    ledger.begin(&call(&key, 6, clock)).await.unwrap();
    ledger.finish(&call(&key, 6, clock), CallEnd::Refused(ErrCode(-1))).await.unwrap();
    clock.suspend(HOUR * 24 * 365);
    ledger.pause(&key, None).await.unwrap();
    let record = ledger.load_key(&key).await.unwrap();
    assert_eq!(ends(&record), doubts);
    assert_eq!(record.value.unwrap().generation, Generation(1));
}

async fn a_stepped_wall_clock_drops_no_call(ledger: &dyn Ledger, clock: &Clock) {
    // An administrator steps the clock by days, both ways; by the boot clock no time has passed.
    let key = key("wx1");
    let day = 86_400_000;
    for (attempt, step) in [(1, 3 * day), (2, -6 * day), (3, 3 * day)] {
        ledger.finish(&call(&key, attempt, clock), CallEnd::Refused(ErrCode(-1))).await.unwrap();
        clock.step_wall(step);
    }
    ledger.pause(&key, None).await.unwrap();
    assert_eq!(ends(&ledger.load_key(&key).await.unwrap()).len(), 3);
}

async fn events_come_newest_first_of_one_account_or_all(ledger: &dyn Ledger, _: &Clock) {
    let (one, two) = (key("wx1"), key("wx2"));
    // The order is that of recording, whatever the wall clock says.
    let all = [
        event(WallTime(30), Some(&one), "a"),
        event(WallTime(10), None, "b"),
        event(WallTime(20), Some(&two), "c"),
        event(WallTime(5), Some(&one), "d"),
    ];
    for event in &all {
        ledger.record(event).await.unwrap();
    }
    let details = async |of, limit| {
        let events = ledger.events(of, limit).await.unwrap();
        events.iter().map(|event| event.detail.clone()).collect::<String>()
    };
    assert_eq!(details(None, 10).await, "dcba");
    assert_eq!(details(None, 2).await, "dc");
    assert_eq!(details(Some(&one.appid), 10).await, "da");
    assert_eq!(details(Some(&one.appid), 1).await, "d");
    assert_eq!(details(Some(&key("wx3").appid), 10).await, "");
    assert_eq!(ledger.events(None, 10).await.unwrap()[3], all[0]);
}

async fn events_beyond_the_bound_are_the_oldest_to_go(ledger: &dyn Ledger, _: &Clock) {
    for number in 0..10 {
        ledger.record(&event(WallTime(0), None, &format!("old {number}"))).await.unwrap();
    }
    let new = event(WallTime(0), None, "new");
    let records = (1..MAX_EVENTS).map(|_| ledger.record(&new));
    for recorded in futures_util::future::join_all(records).await {
        recorded.unwrap();
    }
    let events = ledger.events(None, u32::MAX).await.unwrap();
    let (oldest, newer) = events.split_last().unwrap();
    assert_eq!(oldest.detail, "old 9");
    assert_eq!(newer.len() + 1, MAX_EVENTS as usize);
    assert!(newer.iter().all(|event| event.detail == "new"));
}

async fn load_and_load_key_agree(ledger: &dyn Ledger, clock: &Clock) {
    let (one, two, three) = (key("wx1"), key("wx2"), key("ww1/1000002"));
    store(ledger, &one, 7, "token", clock).await;
    ledger.begin(&call(&two, 8, clock)).await.unwrap();
    ledger.pause(&three, Some(clock.stamp())).await.unwrap();
    let mut loaded = ledger.load().await.unwrap();
    loaded.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut alone = Vec::new();
    for key in [three, one, two] {
        let record = ledger.load_key(&key).await.unwrap();
        alone.push((key, record));
    }
    assert_eq!(loaded, alone);
}
