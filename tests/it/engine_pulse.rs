//! The pulse that the watchdog asks: what is stuck is found and named, and what is only slow,
//! down, paused or asleep is not taken for it.
//!
//! Fail-points are armed for the whole test process, so each account here has its own name.

use std::time::Duration;

use zhongkong::failpoint::{self, Action};
use zhongkong::hub::pulse::{Pulse, Stuck};
use zhongkong::model::{Key, Kind, TokenMode};
use zhongkong::refresh::gate::{Permit, Rank};
use zhongkong::refresh::handle::Handle;
use zhongkong::refresh::view::Next;
use zhongkong::simulator::{Endpoint, Fault};

use super::support::ailing::{AilingLedger, Ailment};
use super::support::engine::{Engine, Setup, account, manual_clock};
use super::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
/// A quarter of the unit's watchdog limit of a minute.
const BEAT: Duration = Duration::from_secs(15);

/// One beat, while the clock goes on in steps that are long for an answer.
async fn beat(engine: &Engine, pulse: &mut Pulse) -> Result<(), Stuck> {
    let mut taken = Box::pin(pulse.beat(BEAT));
    loop {
        // The answers come from the same thread: give them a chance before time passes.
        for _ in 0..100 {
            let polled = futures_util::poll!(&mut taken);
            if let std::task::Poll::Ready(result) = polled {
                return result;
            }
            tokio::task::yield_now().await;
        }
        engine.advance(Duration::from_millis(100)).await;
    }
}

/// Beats for so long, one every [`BEAT`]; the first that is not good.
async fn beats(engine: &Engine, pulse: &mut Pulse, span: Duration) -> Option<Stuck> {
    let end = engine.now() + span;
    while engine.now() < end {
        if let Err(stuck) = beat(engine, pulse).await {
            return Some(stuck);
        }
        engine.walk(BEAT, SECOND, |_| {}).await;
    }
    None
}

fn key(appid: &str) -> Key {
    Key::new(appid.parse().unwrap(), Kind::AccessToken)
}

fn token(engine: &Engine, appid: &str) -> Handle {
    engine.handle(appid, Kind::AccessToken)
}

async fn one(appid: &str) -> (Engine, Pulse) {
    let engine = Engine::start(Setup::new(vec![account(appid, TokenMode::Classic)])).await;
    engine.ready().await;
    let pulse = Pulse::new(engine.hub.clone());
    (engine, pulse)
}

/// Everything that may be in flight, held by the test: nobody is let in any more.
async fn close_gate(engine: &Engine) -> Vec<Permit> {
    let mut permits = Vec::new();
    while engine.gate.free() > 0 {
        permits.push(engine.gate.enter(Rank::NoValue).await);
    }
    permits
}

#[tokio::test]
async fn healthy_hub_answers_over_whole_lives_of_its_values() {
    // Four hours: several rotations, and every key is rung again and again.
    let accounts = (0..40).map(|n| account(&format!("wxpulse{n}"), TokenMode::Stable)).collect();
    let engine = Engine::start(Setup::new(accounts)).await;
    engine.ready().await;
    let mut pulse = Pulse::new(engine.hub.clone());
    let calls = engine.tally().stable;
    for _ in 0..16 {
        assert_eq!(beat(&engine, &mut pulse).await, Ok(()), "{}", engine.report());
        engine.walk(900 * SECOND, 300 * SECOND, |_| {}).await;
    }
    assert!(engine.tally().stable > calls, "values were rotated meanwhile");
}

#[tokio::test]
async fn hub_whose_loop_is_not_run_is_stuck() {
    let (engine, mut pulse) = one("wxpulseloop").await;
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()));
    let stopped = engine.crash().await;
    // Its tasks are gone, and with them the loop's end of the channel.
    assert_eq!(pulse.beat(BEAT).await, Err(Stuck::Hub(BEAT)));
    drop(stopped);
}

#[tokio::test]
async fn refresher_that_lost_its_wake_ups_is_named() {
    // It sits in its place and hears neither bell nor clock.
    let name = "wxpulsedeaf";
    let (engine, mut pulse) = one(name).await;
    failpoint::set("refresher.wait", name, Action::Block);
    // The first ring moves it into the trap, which is still an answer.
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()));
    let deaf = Stuck::Refresher { key: key(name), waited: BEAT };
    assert_eq!(beat(&engine, &mut pulse).await, Err(deaf));
    failpoint::clear("refresher.wait", name);
}

#[tokio::test]
async fn refresher_that_sleeps_past_its_attempt_is_named() {
    // Among others, so that the sample alone would not come to it in every beat; and once it is
    // overdue it is not rung, because a ring would wake it and hide that its timer is lost.
    let name = "wxpulseoverdue";
    let (engine, mut pulse) = one(name).await;
    failpoint::set("refresher.wait", name, Action::Block);
    token(&engine, name).ring();
    engine.settle().await;
    let Next::At(due) = token(&engine, name).view().next else { panic!("an attempt is announced") };
    engine.advance(due.since(engine.now()) + SECOND).await;
    let stuck = beats(&engine, &mut pulse, 300 * SECOND).await;
    match stuck {
        Some(Stuck::Overdue { key: stuck, since }) => {
            assert_eq!(stuck, key(name));
            assert!(since > 60 * SECOND && since < 120 * SECOND, "{since:?}");
        }
        other => panic!("{other:?}"),
    }
    failpoint::clear("refresher.wait", name);
}

#[tokio::test]
async fn round_that_never_ends_is_named() {
    let name = "wxpulseround";
    let (engine, mut pulse) = one(name).await;
    failpoint::set("refresher.work", name, Action::Block);
    token(&engine, name).ring();
    engine.settle().await;
    let begun = engine.now();
    let stuck = beats(&engine, &mut pulse, 600 * SECOND).await;
    assert!(matches!(&stuck, Some(Stuck::Round { key: stuck, .. }) if *stuck == key(name)), "{stuck:?}");
    // Twelve calls of ten seconds and the slack: no honest round takes so long.
    assert!(engine.now().since(begun) > 180 * SECOND);
    failpoint::clear("refresher.work", name);
}

#[tokio::test]
async fn gate_that_lets_nobody_in_is_stuck_and_well_again_when_it_does() {
    let (engine, mut pulse) = one("wxpulsegate").await;
    let permits = close_gate(&engine).await;
    // Closed without anybody who waits: nothing is wrong yet.
    assert_eq!(beats(&engine, &mut pulse, 120 * SECOND).await, None);
    let Next::At(due) = token(&engine, "wxpulsegate").view().next else { panic!() };
    engine.advance(due.since(engine.now()) + SECOND).await;
    let begun = engine.now();
    let stuck = beats(&engine, &mut pulse, 600 * SECOND).await;
    assert!(matches!(stuck, Some(Stuck::Gate { waiting: 1, .. })), "{stuck:?}");
    assert!(engine.now().since(begun) > 70 * SECOND, "a call of ten seconds and the slack");
    drop(permits);
    engine.settle().await;
    assert_eq!(beats(&engine, &mut pulse, 60 * SECOND).await, None);
    engine.readers_are_well();
}

#[tokio::test]
async fn queue_that_is_long_but_moves_is_no_standstill() {
    // Two calls at once, WeChat answers none of them until each times out: most of these keys
    // wait longer than any round may last.
    let accounts = (0..120).map(|n| account(&format!("wxpulseq{n}"), TokenMode::Stable)).collect();
    let setup = Setup { in_flight: 2, ..Setup::new(accounts) };
    let engine = Engine::start(setup).await;
    engine.always(Endpoint::StableToken, Fault::HoldAnswer);
    let mut pulse = Pulse::new(engine.hub.clone());
    assert_eq!(beats(&engine, &mut pulse, 400 * SECOND).await, None, "{:?}", engine.gate.queue());
    assert!(engine.gate.queue().waiting > 0, "it was long");
}

#[tokio::test]
async fn slow_wechat_dead_ledger_and_paused_key_do_not_starve_the_watchdog() {
    let frozen = Frozen::start();
    let clock = manual_clock();
    let ledger = AilingLedger::new(clock.clone());
    let accounts = vec![account("wx1", TokenMode::Classic), account("wx2", TokenMode::Classic)];
    let setup = Setup::new(accounts).ledger(std::sync::Arc::new(ledger.clone()));
    let engine = Engine::start_with(frozen, clock, setup).await;
    engine.ready().await;
    let mut pulse = Pulse::new(engine.hub.clone());
    engine.handle("wx2", Kind::AccessToken).pause(engine.now() + 86_400 * SECOND).await.unwrap();
    ledger.set(Ailment::Hangs);
    engine.always(Endpoint::Token, Fault::HoldAnswer);
    let lost = engine.tally().classic;
    // Past the life of the value: every renewal of two hours times out.
    for _ in 0..30 {
        assert_eq!(beats(&engine, &mut pulse, 60 * SECOND).await, None, "{}", engine.report());
        engine.walk(240 * SECOND, 30 * SECOND, |_| {}).await;
    }
    assert!(engine.tally().classic > lost + 2, "it was tried: {}", engine.report());
}

#[tokio::test]
async fn suspended_machine_is_not_stuck_when_it_wakes_up() {
    // An hour under the lid: every key is overdue at once, and tokio's clock has not moved.
    let (engine, mut pulse) = one("wxpulselid").await;
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()));
    engine.clock.suspend(7_000 * SECOND);
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()));
    assert_eq!(beats(&engine, &mut pulse, 120 * SECOND).await, None);
    engine.readers_are_well();
}

#[tokio::test]
async fn process_that_was_stopped_for_long_is_not_accused_at_its_first_beat() {
    // SIGSTOP for an hour in the middle of a round: tokio's clock has run on, and nothing else
    // had a chance to. Only a round that further beats find in the same place is stuck.
    let name = "wxpulsestop";
    let (engine, mut pulse) = one(name).await;
    failpoint::set("refresher.work", name, Action::Block);
    token(&engine, name).ring();
    engine.settle().await;
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()));
    engine.advance(3_600 * SECOND).await;
    assert_eq!(beat(&engine, &mut pulse).await, Ok(()), "the first beat after it");
    let stuck = beat(&engine, &mut pulse).await;
    assert!(matches!(stuck, Err(Stuck::Round { .. })), "{stuck:?}");
    failpoint::clear("refresher.work", name);
}
