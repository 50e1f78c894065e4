//! Panics on purpose at every step of an attempt: the refresher is restarted, nobody hangs,
//! the key recovers by itself and no other key notices (L4).
//!
//! Fail-points are armed for the whole test process, so each test has accounts of its own.

use std::time::Duration;

use zhongkong::failpoint::{self, Action};
use zhongkong::hub::AccountSettings;
use zhongkong::model::{ErrCode, Kind, TokenMode};
use zhongkong::refresh::handle::{Force, Handle, NoValue, Outcome};
use zhongkong::refresh::view::Next;
use zhongkong::simulator::{self, Endpoint, Fault, Script};

use crate::support::engine::{Engine, Setup, TICK, account, text};

const SECOND: Duration = Duration::from_secs(1);

/// Every step of an attempt, with what a panic there does to a classic call: whether it was made.
const STEPS: [(&str, u64); 5] = [
    ("attempt.gated", 0),
    ("attempt.intent_stored", 0),
    ("attempt.answered", 1),
    ("attempt.committed", 1),
    ("attempt.published", 1),
];

/// Two accounts with their first tokens; the panics are the first one's.
async fn pair(name: &str, mode: TokenMode) -> (Engine, Handle) {
    let engine = Engine::start(Setup::new(vec![account(name, mode), account("wxother", mode)])).await;
    engine.ready().await;
    let handle = engine.handle(name, Kind::AccessToken);
    (engine, handle)
}

/// What the bystander has seen until now: its value and its version.
fn bystander(engine: &Engine) -> (String, u64) {
    let handle = engine.handle("wxother", Kind::AccessToken);
    (text(&handle), handle.view().version)
}

#[tokio::test]
async fn panic_at_any_step_of_a_classic_attempt_ends_no_refresher() {
    let name = "wxpanicclassic";
    let (engine, handle) = pair(name, TokenMode::Classic).await;
    for (step, made) in STEPS {
        let (old, calls, other) = (text(&handle), engine.tally().classic, bystander(&engine));
        failpoint::set(step, name, Action::Panic);
        let failed = handle.force(Force::Once).await.unwrap_err();
        assert!(matches!(failed, NoValue::Unavailable { .. }), "{step}: the caller hears of it: {failed:?}");
        engine.settle().await;
        assert_eq!(engine.tally().classic - calls, made, "{step}");
        // Whatever WeChat did, what readers get works, and lasts no longer than it is sure to.
        let read = handle.read().unwrap();
        assert!(engine.alive(read.value.secret.expose()), "{step}");
        if matches!(step, "attempt.intent_stored" | "attempt.answered" | "attempt.committed") {
            // WeChat's answer to the next call is held, so that what was made of this one is seen.
            engine.wechat.control.script(Script::once(Endpoint::ApiDomainIp, Fault::HoldAnswer).only(name));
            let rested = engine.now() + SECOND;
            engine
                .walk(3 * SECOND, SECOND / 4, |engine| {
                    let left = handle.read().unwrap().remaining;
                    let bounded = engine.now() <= rested + SECOND / 2 || left <= 300 * SECOND;
                    assert!(
                        bounded,
                        "{step}: the interrupted call is of unknown outcome: {}",
                        engine.report()
                    );
                })
                .await;
            engine.wechat.control.release();
        }
        engine.walk(10 * SECOND, SECOND / 4, |_| assert!(handle.read().is_ok(), "{step}")).await;
        let (read, view) = (handle.read().unwrap(), handle.view());
        assert!(engine.alive(read.value.secret.expose()), "{step}");
        assert!(read.remaining > 3_600 * SECOND, "{step}: recovered by itself: {}", engine.report());
        assert_eq!(view.failures, 0, "{step}");
        if step != "attempt.gated" {
            assert_ne!(text(&handle), old, "{step}");
        }
        assert!(engine.tally().classic - calls <= 2, "{step}: {}", engine.report());
        assert_eq!(bystander(&engine), other, "{step}");
        engine.pass(40 * SECOND).await;
    }
}

#[tokio::test]
async fn panic_at_any_step_of_a_stable_attempt_is_followed_by_the_same_question() {
    // A normal stable call is idempotent: asked again, WeChat gives the same token.
    let name = "wxpanicstable";
    let (engine, handle) = pair(name, TokenMode::Stable).await;
    for (step, _) in STEPS {
        failpoint::set(step, name, Action::Panic);
        let Next::At(due) = handle.view().next else { panic!("nothing is planned") };
        engine.walk(due.since(engine.now()) + TICK, 600 * SECOND, |_| drop(text(&handle))).await;
        engine.walk(10 * SECOND, SECOND / 2, |_| drop(text(&handle))).await;
        let read = handle.read().unwrap();
        assert!(engine.alive(read.value.secret.expose()), "{step}");
        assert!(read.remaining > 3_600 * SECOND, "{step}: {}", engine.report());
        assert_eq!(engine.tally().forced, 0);
    }
}

#[tokio::test]
async fn panic_at_any_step_of_a_ticket_leaves_ticket_and_parent() {
    let name = "wxpanicticket";
    let with_ticket =
        AccountSettings { tickets: vec![Kind::JsapiTicket], ..account(name, TokenMode::Classic) };
    let engine = Engine::start(Setup::new(vec![with_ticket])).await;
    engine.ready().await;
    let ticket = engine.handle(name, Kind::JsapiTicket);
    let (good, token) = (text(&ticket), text(&engine.handle(name, Kind::AccessToken)));
    for (step, _) in STEPS {
        failpoint::set(step, name, Action::Panic);
        let seen = ticket.read().unwrap().value.fingerprint;
        ticket.complain(Some(seen), ErrCode(0)).await.unwrap_err();
        engine.walk(10 * SECOND, SECOND, |_| assert_eq!(text(&ticket), good, "{step}")).await;
        assert_eq!(ticket.view().failures, 0, "{step}: {}", engine.report());
        engine.walk(60 * SECOND, 10 * SECOND, |_| {}).await;
    }
    assert_eq!(text(&engine.handle(name, Kind::AccessToken)), token);
}

#[tokio::test]
async fn panic_in_a_repair_withdraws_the_dead_value() {
    // WeChat called it dead, and the repair panicked before its call. It must not be served for
    // another hour because nobody remembers.
    let name = "wxpanicrepair";
    let (engine, handle) = pair(name, TokenMode::Stable).await;
    for step in ["attempt.gated", "attempt.answered"] {
        let dead = handle.read().unwrap();
        engine.wechat.control.kill(name, simulator::Kind::Stable);
        failpoint::set(step, name, Action::Panic);
        handle.complain(Some(dead.value.fingerprint), ErrCode(40_001)).await.unwrap_err();
        engine.walk(5 * SECOND, SECOND / 4, |_| {}).await;
        let read = handle.read().unwrap();
        assert_ne!(read.value.fingerprint, dead.value.fingerprint, "{step}: {}", engine.report());
        assert!(engine.alive(read.value.secret.expose()), "{step}");
    }
}

#[tokio::test]
async fn thousand_waiters_on_a_panic_all_get_an_error_and_the_next_ask_works() {
    let name = "wxpanicwaiters";
    let (engine, handle) = pair(name, TokenMode::Classic).await;
    let seen = handle.read().unwrap().value.fingerprint;
    engine.wechat.control.kill(name, simulator::Kind::Classic);
    failpoint::set("attempt.answered", name, Action::Panic);
    let waiters = (0..1_000).map(|_| handle.complain(Some(seen), ErrCode(40_001)));
    let answers = futures_util::future::join_all(waiters).await;
    assert_eq!(answers.len(), 1_000);
    assert!(answers.iter().all(|answer| matches!(answer, Err(NoValue::Unavailable { .. }))));
    assert_eq!(engine.tally().classic, 3, "one call for all of them, besides the first tokens");
    engine.walk(3 * SECOND, SECOND / 4, |_| {}).await;
    let answer = handle.complain(Some(seen), ErrCode(40_001)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::AlreadyReplaced);
    assert!(engine.alive(answer.good.value.secret.expose()));
}

#[tokio::test]
async fn panic_that_repeats_is_backed_off_from() {
    // A defect that strikes at every answer: WeChat is asked ever more slowly, not once a
    // second.
    let name = "wxpanicagain";
    let (engine, handle) = pair(name, TokenMode::Stable).await;
    let Next::At(due) = handle.view().next else { panic!("nothing is planned") };
    engine.walk(due.since(engine.now() + SECOND), 600 * SECOND, |_| {}).await;
    let before = engine.tally().stable;
    engine.walk(61 * SECOND, SECOND, |_| failpoint::set("attempt.answered", name, Action::Panic)).await;
    let calls = engine.tally().stable - before;
    assert!((3..=12).contains(&calls), "{calls} calls in a minute");
    failpoint::clear("attempt.answered", name);
    engine.walk(61 * SECOND, SECOND, |_| {}).await;
    assert!(engine.alive(&text(&handle)));
    assert_eq!(handle.view().failures, 0);
    assert!(engine.wechat.control.count(Endpoint::StableToken, "wxother") <= 3);
}

#[tokio::test]
async fn reader_and_status_work_while_the_refresher_is_down() {
    // In the second between a panic and the restart everything that only looks goes on: no lock
    // can be poisoned, because no lock is held over the work.
    let name = "wxpaniclook";
    let (engine, handle) = pair(name, TokenMode::Classic).await;
    failpoint::set("attempt.intent_stored", name, Action::Panic);
    handle.force(Force::Once).await.unwrap_err();
    assert!(handle.read().is_ok());
    assert_eq!(engine.hub.keys().len(), 2);
    assert!(!handle.view().value.as_ref().unwrap().fingerprint.to_string().is_empty());
    // A command of this second waits for the restart and is answered.
    let until = engine.now() + 60 * SECOND;
    let pause = handle.pause(until);
    let (paused, ()) = tokio::join!(pause, engine.pass(SECOND + TICK));
    paused.unwrap();
    assert_eq!(handle.view().next, Next::Paused(until));
}
