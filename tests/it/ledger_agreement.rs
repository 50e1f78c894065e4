//! Random histories: the ledger in a file and the one in memory give the same answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::HashMap;

use proptest::prelude::*;
use zhongkong::clock::Clock;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{
    AuditAction, AuditEntry, AuditForm, AuditQuery, AuditShare, Call, CallEnd, Committed, Ledger, Record,
    StoredValue, WINDOW,
};
use zhongkong::model::{CallMode, Cause, ErrCode, Generation, Key};

use crate::ledger_support::{HOUR, StateDir, call, clock, event, key, later, value};

/// What can happen to a ledger, with small numbers so that things meet.
#[derive(Clone, Debug)]
enum Step {
    Begin(Who),
    Commit(Who, u8),
    Finish(Who, CallEnd),
    Settle(Who),
    Withdraw(Who),
    Pause(Who, Option<u32>),
    Record(Who),
    Audit(Vec<(u8, u8)>, u32),
    Hours(u32),
    Wall(i64),
}

#[derive(Clone, Debug)]
struct Who {
    key: u8,
    attempt: u64,
    mode: CallMode,
}

fn who() -> impl Strategy<Value = Who> {
    let mode = prop::sample::select(CallMode::ALL.to_vec());
    (0..3_u8, 1..12_u64, mode).prop_map(|(key, attempt, mode)| Who { key, attempt, mode })
}

fn end() -> impl Strategy<Value = CallEnd> {
    prop_oneof![
        Just(CallEnd::Issued),
        any::<i64>().prop_map(|code| CallEnd::Refused(ErrCode(code))),
        Just(CallEnd::NeverSent),
        Just(CallEnd::Unknown),
        Just(CallEnd::Settled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => who().prop_map(Step::Begin),
        4 => (who(), 0..4_u8).prop_map(|(who, text)| Step::Commit(who, text)),
        4 => (who(), end()).prop_map(|(who, end)| Step::Finish(who, end)),
        1 => who().prop_map(Step::Settle),
        2 => who().prop_map(Step::Withdraw),
        1 => (who(), prop::option::of(0..40_u32)).prop_map(|(who, hours)| Step::Pause(who, hours)),
        1 => who().prop_map(Step::Record),
        2 => (prop::collection::vec((0..6_u8, 0..3_u8), 0..6), 8..40_u32)
            .prop_map(|(entries, bound)| Step::Audit(entries, bound)),
        2 => (1..30_u32).prop_map(Step::Hours),
        1 => (-100_000_000..100_000_000_i64).prop_map(Step::Wall),
    ]
}

fn key_of(who: &Who) -> Key {
    key(&format!("wx{}", who.key))
}

/// An entry of one of a few forms and clients, so that some are added up.
fn audited(form: u8, who: u8, clock: &Clock) -> AuditEntry {
    let now = clock.wall();
    let hour = |share| AuditForm::Hourly(now.0 / 3_600_000, share);
    let (form, action) = match form {
        0 | 1 => (hour(AuditShare::Reads), AuditAction::Read),
        2 | 3 => (hour(AuditShare::Calls), AuditAction::Complain),
        _ => (AuditForm::Single, AuditAction::Pause),
    };
    AuditEntry {
        form,
        client: format!("client{who}").into(),
        origin: "-".into(),
        action,
        appid: (who > 0).then(|| "wx1".parse().unwrap()),
        kind: None,
        outcome: "done".into(),
        fingerprint: None,
        generation: (who > 1).then_some(Generation(who.into())),
        count: 1,
        first: now,
        last: now,
    }
}

/// Everything that can be asked.
async fn all_of(ledger: &dyn Ledger) -> (Vec<(Key, Record)>, Vec<Record>, usize, Vec<AuditEntry>) {
    let mut loaded = ledger.load().await.unwrap();
    loaded.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut alone = Vec::new();
    for number in 0..3 {
        alone.push(ledger.load_key(&key(&format!("wx{number}"))).await.unwrap());
    }
    let audit = ledger.audit(&AuditQuery::default()).await.unwrap();
    let audit = audit.rows.into_iter().map(|row| row.entry).collect();
    (loaded, alone, ledger.events(None, u32::MAX).await.unwrap().len(), audit)
}

async fn agree(steps: Vec<Step>) {
    let (dir, clock) = (StateDir::new(), clock());
    let memory = MemoryLedger::new(clock.clone());
    let file = dir.open(&clock).await.ledger;
    // A number is given to one call only: whatever says it again means that call, and no call
    // lasts a day.
    let mut calls: HashMap<(u8, u64), Call> = HashMap::new();
    let mut call_of = |who: &Who| {
        let new = || Call { mode: who.mode, cause: Cause::Parent, ..call(&key_of(who), who.attempt, &clock) };
        let call = calls.entry((who.key, who.attempt)).or_insert_with(new).clone();
        (clock.resolve(&call.sent).at + WINDOW > clock.boot()).then_some(call)
    };
    let mut highest = [Generation::default(); 3];
    for step in steps {
        match &step {
            Step::Begin(who) => {
                let Some(call) = call_of(who) else { continue };
                memory.begin(&call).await.unwrap();
                file.begin(&call).await.unwrap();
            }
            Step::Commit(who, text) => {
                let Some(call) = call_of(who) else { continue };
                let value =
                    StoredValue { verify_at: Some(call.sent.clone()), ..value(&text.to_string(), &call) };
                let committed: Committed = memory.commit(&call, &value).await.unwrap();
                assert_eq!(committed, file.commit(&call, &value).await.unwrap(), "{step:?}");
            }
            Step::Finish(who, end) => {
                let Some(call) = call_of(who) else { continue };
                memory.finish(&call, *end).await.unwrap();
                file.finish(&call, *end).await.unwrap();
            }
            Step::Settle(who) => {
                memory.settle(&key_of(who), Generation(who.attempt)).await.unwrap();
                file.settle(&key_of(who), Generation(who.attempt)).await.unwrap();
            }
            Step::Withdraw(who) => {
                memory.withdraw(&key_of(who), Generation(who.attempt)).await.unwrap();
                file.withdraw(&key_of(who), Generation(who.attempt)).await.unwrap();
            }
            Step::Pause(who, hours) => {
                let until = hours.map(|hours| later(&clock.stamp(), HOUR * hours));
                memory.pause(&key_of(who), until.clone()).await.unwrap();
                file.pause(&key_of(who), until).await.unwrap();
            }
            Step::Record(who) => {
                let event = event(clock.wall(), Some(&key_of(who)), "x");
                memory.record(&event).await.unwrap();
                file.record(&event).await.unwrap();
            }
            Step::Audit(entries, bound) => {
                let entries: Vec<_> =
                    entries.iter().map(|(form, who)| audited(*form, *who, &clock)).collect();
                memory.append_audit(&entries, *bound).await.unwrap();
                file.append_audit(&entries, *bound).await.unwrap();
            }
            Step::Hours(hours) => clock.suspend(HOUR * *hours),
            Step::Wall(ms) => clock.step_wall(*ms),
        }
        let (expected, found) = (all_of(&memory).await, all_of(&file).await);
        assert_eq!(found, expected, "after {step:?}");
        // The fence only rises (S3).
        for (highest, record) in highest.iter_mut().zip(&found.1) {
            let generation = record.value.as_ref().map(|value| value.generation).unwrap_or_default();
            assert!(generation >= *highest, "the generation fell from {highest} to {generation}");
            *highest = generation;
        }
    }
    // And it is the same after the process is gone.
    let before = all_of(&file).await;
    file.close().await.unwrap();
    assert_eq!(all_of(&dir.open(&clock).await.ledger).await, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_and_the_memory_tell_the_same_history(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(agree(steps));
    }
}
