//! A ledger that cannot be written: the daemon goes on from memory and never loops on WeChat.

use std::sync::Arc;
use std::time::Duration;

use zhongkong::failpoint::{self, Action};
use zhongkong::ledger::Ledger as _;
use zhongkong::model::{ErrCode, Kind, TokenMode};
use zhongkong::refresh::handle::{Force, NoValue, Outcome, PauseError};
use zhongkong::refresh::view::{Degraded, Next, State};
use zhongkong::simulator::{self, Endpoint, Fault, Script};

use crate::support::ailing::{AilingLedger, Ailment};
use crate::support::engine::{Engine, Setup, TICK, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// Accounts of their own for the fail-points, which are armed for the whole test process.
const FAILS_TO_COMMIT: &str = "wxcommit";
const FAILS_TO_BEGIN: &str = "wxbegin";

/// One account with its first token, over a ledger that the test can spoil.
async fn over(mode: TokenMode) -> (Engine, AilingLedger) {
    let frozen = Frozen::start();
    let clock = manual_clock();
    let ledger = AilingLedger::new(clock.clone());
    let setup = Setup::new(vec![account("wx1", mode)]).ledger(Arc::new(ledger.clone()));
    let engine = Engine::start_with(frozen, clock, setup).await;
    engine.ready().await;
    (engine, ledger)
}

/// Lets the ledger's seconds run out while this goes on.
async fn patiently<T>(engine: &Engine, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    for _ in 0..100 {
        for _ in 0..40 {
            if let std::task::Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
                return done;
            }
            tokio::task::yield_now().await;
        }
        engine.settle().await;
        if let std::task::Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
            return done;
        }
        engine.advance(SECOND / 4).await;
    }
    panic!("not done after 25 s: {}", engine.report());
}

#[tokio::test]
async fn deadline_is_kept_without_an_intent_and_says_so() {
    // The disk is full when the renewal is due. Not renewing would be worse than a lost intent.
    let (engine, ledger) = over(TokenMode::Classic).await;
    for ailment in [Ailment::Full, Ailment::ReadOnly, Ailment::Corrupt, Ailment::Hangs, Ailment::Late] {
        let (old, calls) = (engine.value(), engine.tally().classic);
        ledger.set(ailment);
        let Next::At(due) = engine.view().next else { panic!("nothing is planned") };
        engine.pass(due.since(engine.now()) + TICK).await;
        engine.walk(4 * SECOND, SECOND / 2, |engine| drop(engine.value())).await;
        assert_ne!(engine.value(), old, "{ailment:?}: {}", engine.report());
        assert_eq!(engine.tally().classic, calls + 1, "{ailment:?}");
        let state = engine.token().read().unwrap().state;
        assert_eq!(state, State::Degraded(Degraded::Ledger), "{ailment:?}");
        ledger.set(Ailment::None);
        engine.walk(35 * SECOND, SECOND, |_| {}).await;
        assert_eq!(engine.token().read().unwrap().state, State::Fresh, "{ailment:?}");
        assert_eq!(engine.tally().classic, calls + 1, "{ailment:?}: storing it needs no call");
        let stored = ledger.load_key(engine.token().key()).await.unwrap().value.unwrap();
        assert_eq!(stored.value.expose(), engine.value(), "{ailment:?}");
    }
}

#[tokio::test]
async fn commit_that_fails_is_published_and_repeated_without_a_call() {
    let name = FAILS_TO_COMMIT;
    let engine = Engine::start(Setup::new(vec![account(name, TokenMode::Classic)])).await;
    failpoint::set("ledger.commit", name, Action::Error);
    engine.ready().await;
    let handle = engine.handle(name, Kind::AccessToken);
    let first = handle.read().unwrap();
    assert_eq!(first.state, State::Degraded(Degraded::Ledger));
    engine.walk(300 * SECOND, SECOND, |_| assert!(handle.read().is_ok())).await;
    assert!(engine.ledger.load_key(handle.key()).await.unwrap().value.is_none());
    assert_eq!(handle.read().unwrap().state, State::Degraded(Degraded::Ledger));
    assert_eq!(engine.tally().classic, 1);
    failpoint::clear("ledger.commit", name);
    engine.walk(31 * SECOND, SECOND, |_| {}).await;
    assert_eq!(handle.read().unwrap().state, State::Fresh);
    assert_eq!(engine.tally().classic, 1);
    // What was stored late is what is served after a restart.
    let engine = engine.restart().await;
    engine.settle().await;
    let handle = engine.handle(name, Kind::AccessToken);
    assert_eq!(handle.read().unwrap().value, first.value);
    assert_eq!(engine.tally().classic, 1);
}

#[tokio::test]
async fn value_that_died_before_it_could_be_stored_is_never_stored_as_alive() {
    // Fetched, not stored, killed by somebody, and the repair fails. Then the ledger recovers
    // and the daemon restarts: the dead value must not rise.
    let (engine, ledger) = over(TokenMode::Classic).await;
    ledger.set(Ailment::Full);
    engine.step_to_next().await;
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    let dead = engine.value();
    engine.always(Endpoint::Token, Fault::errcode(-1));
    engine.complain().await.unwrap_err();
    ledger.set(Ailment::None);
    engine.walk(40 * SECOND, SECOND, |_| {}).await;
    let engine = engine.restart().await;
    assert!(engine.token().read().is_err(), "{dead} is served again");
    engine.wechat.control.clear_faults();
    engine.walk(31 * SECOND, SECOND, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn complaint_makes_no_call_without_an_intent_unless_the_value_is_dead() {
    // S4: a complaint about a living value never leads to a call, and least of all now.
    let (engine, ledger) = over(TokenMode::Classic).await;
    ledger.set(Ailment::ReadOnly);
    let answer = engine.complain().await.unwrap();
    assert_eq!(answer.outcome, Outcome::StillValid);
    assert_eq!(engine.tally().classic, 1);
    // WeChat will not say: replacing it is not worth a call without an intent.
    engine.once(Endpoint::ApiDomainIp, Fault::errcode(48_001));
    let answer = engine.complain().await.unwrap();
    assert_eq!(answer.outcome, Outcome::Unverified);
    assert_eq!(engine.tally().classic, 1);
    // Dead: nothing can be lost by a call.
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    assert_eq!(engine.tally().classic, 2);
}

#[tokio::test]
async fn hanging_ledger_costs_a_second_a_write_and_no_reader_anything() {
    let (engine, ledger) = over(TokenMode::Classic).await;
    ledger.set(Ailment::Hangs);
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    let (dead, begun) = (engine.value(), engine.now());
    let complaint = async { engine.complain().await };
    let mut reads = 0;
    let watched = async {
        loop {
            assert_eq!(engine.value(), dead, "the old value is served until there is a new one");
            reads += 1;
            tokio::task::yield_now().await;
            if engine.tally().classic == 2 {
                return;
            }
        }
    };
    let (answer, ()) = tokio::join!(patiently(&engine, complaint), watched);
    assert_eq!(answer.unwrap().outcome, Outcome::Refreshed);
    assert!(reads > 10, "{reads}");
    let took = engine.now().since(begun);
    // The event of the foreign refresh, the death, the intent and the commit: a second each.
    assert!(took <= 5 * SECOND, "{took:?}");
}

#[tokio::test]
async fn ledger_that_stays_broken_never_loops_on_wechat() {
    // A simulated day with a broken ledger, and complaints about a living value all along: no
    // call but those of the schedule.
    let (engine, ledger) = over(TokenMode::Classic).await;
    for ailment in [Ailment::Full, Ailment::ReadOnly, Ailment::Corrupt] {
        ledger.set(ailment);
        let before = engine.tally().classic;
        for _ in 0..24 {
            engine.walk(HOUR, 300 * SECOND, |engine| drop(engine.value())).await;
            assert_eq!(engine.complain().await.unwrap().outcome, Outcome::StillValid);
        }
        let calls = engine.tally().classic - before;
        assert!((12..=20).contains(&calls), "{ailment:?}: {calls} calls in a day");
        let state = engine.token().read().unwrap().state;
        assert_eq!(state, State::Degraded(Degraded::Ledger), "{ailment:?}");
    }
}

#[tokio::test]
async fn pause_outlasts_a_restart_and_serves_the_value_to_its_end() {
    let (engine, _ledger) = over(TokenMode::Classic).await;
    let (value, end) = (engine.value(), engine.view().dead_by);
    let until = engine.now() + 3 * HOUR;
    engine.token().pause(until).await.unwrap();
    let engine = engine.restart().await;
    assert_eq!(engine.view().next, Next::Paused(until));
    let paused = NoValue::Paused { until };
    assert_eq!(engine.complain().await.unwrap_err(), paused);
    assert_eq!(engine.token().force(Force::Once).await.unwrap_err(), paused);
    engine
        .walk(end.since(engine.now() + SECOND), 300 * SECOND, |engine| assert_eq!(engine.value(), value))
        .await;
    engine.pass(2 * SECOND).await;
    assert_eq!(engine.token().read().unwrap_err(), paused, "past its end it is not served");
    assert_eq!(engine.token().complain(None, ErrCode(0)).await.unwrap_err(), paused);
    engine.walk(until.since(engine.now() + SECOND), 300 * SECOND, |_| {}).await;
    assert_eq!((engine.tally().classic, engine.tally().probes), (1, 0), "paused is paused");
    engine.walk(2 * SECOND, SECOND, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn resume_tries_at_once_what_was_missed() {
    let (engine, _ledger) = over(TokenMode::Classic).await;
    engine.token().pause(engine.now() + 24 * HOUR).await.unwrap();
    engine.walk(3 * HOUR, 300 * SECOND, |_| {}).await;
    assert!(engine.token().read().is_err());
    engine.token().resume().await.unwrap();
    engine.settle().await;
    engine.readers_are_well();
    let engine = engine.restart().await;
    engine.settle().await;
    assert!(matches!(engine.view().next, Next::At(_)), "a resume is as durable as a pause");
}

#[tokio::test]
async fn pause_that_cannot_be_stored_is_refused_and_changes_nothing() {
    let (engine, ledger) = over(TokenMode::Classic).await;
    for (ailment, reason) in [(Ailment::Full, "full"), (Ailment::ReadOnly, "read_only")] {
        ledger.set(ailment);
        let refused = engine.token().pause(engine.now() + HOUR).await.unwrap_err();
        assert_eq!(refused, PauseError::Ledger(reason));
        assert!(matches!(engine.view().next, Next::At(_)));
    }
    ledger.set(Ailment::None);
    engine.token().pause(engine.now() + HOUR).await.unwrap();
    ledger.set(Ailment::Corrupt);
    assert_eq!(engine.token().resume().await.unwrap_err(), PauseError::Ledger("corrupt"));
    assert!(matches!(engine.view().next, Next::Paused(_)));
}

#[tokio::test]
async fn lost_answer_without_an_intent_still_bounds_the_value() {
    // Both at once: no intent could be stored, and the answer of the call is lost. Memory knows.
    let name = FAILS_TO_BEGIN;
    let engine = Engine::start(Setup::new(vec![account(name, TokenMode::Classic)])).await;
    engine.ready().await;
    let handle = engine.handle(name, Kind::AccessToken);
    failpoint::set("ledger.begin", name, Action::Error);
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::AnswerLost));
    let Next::At(due) = handle.view().next else { panic!("nothing is planned") };
    engine.pass(due.since(engine.now()) + TICK).await;
    let read = handle.read().unwrap();
    assert!(read.remaining <= 300 * SECOND, "{read:?}");
    failpoint::clear("ledger.begin", name);
    engine.walk(10 * SECOND, SECOND, |_| {}).await;
    assert!(engine.alive(handle.read().unwrap().value.secret.expose()));
    assert_eq!(handle.read().unwrap().state, State::Fresh);
}
