//! Clocks that jump: steps of the wall clock, suspended machines, other boots (S2, L1).

use std::time::Duration;

use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::model::TokenMode;
use zhongkong::simulator::Endpoint;

use crate::support::engine::{Engine, Setup, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: i64 = 3_600_000;
/// ±1 h and ±1 day.
const STEPS: [i64; 4] = [HOUR_MS, -HOUR_MS, 24 * HOUR_MS, -24 * HOUR_MS];
const MODES: [(TokenMode, Endpoint); 2] =
    [(TokenMode::Classic, Endpoint::Token), (TokenMode::Stable, Endpoint::StableToken)];

async fn started(frozen: Frozen, mode: TokenMode) -> Engine {
    let engine = Engine::start_with(frozen, manual_clock(), Setup::new(vec![account("wx1", mode)])).await;
    engine.ready().await;
    engine
}

#[tokio::test]
async fn stepped_wall_clock_changes_nothing_while_the_daemon_runs() {
    // peers C7.52: lives are not counted on a clock that somebody can set. Steps come every hour
    // for a day; the calls are those of an undisturbed day.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        let engine = started(frozen, mode).await;
        for hour in 0..24 {
            engine.clock.step_wall(STEPS[hour % 4]);
            let end = engine.view().dead_by;
            engine.settle().await;
            assert_eq!(engine.view().dead_by, end);
            engine.walk(HOUR, SECOND * 60, Engine::readers_are_well).await;
        }
        let calls = engine.calls(endpoint);
        assert!((12..=19).contains(&calls), "{mode:?}: {calls} calls in a day");
        assert_eq!(engine.tally().probes, 0);
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn restart_in_the_same_boot_ignores_a_stepped_wall_clock() {
    // S2, S8: the wall clock was stepped while the daemon did not run. The boot clock knows better.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        for step in STEPS {
            let engine = started(frozen, mode).await;
            let (value, end) = (engine.value(), engine.view().dead_by);
            engine.pass(SECOND * 600).await;
            let stopped = engine.stop().await;
            stopped.clock.step_wall(step);
            stopped.advance(SECOND * 60).await;
            let engine = stopped.start().await;
            engine.settle().await;
            assert_eq!((engine.value(), engine.view().dead_by), (value, end), "{mode:?} {step}");
            assert_eq!((engine.calls(endpoint), engine.tally().probes), (1, 0));
            engine.walk(HOUR * 4, SECOND * 60, Engine::readers_are_well).await;
            frozen = engine.end().await;
        }
    }
}

/// The machine reboots: the boot clock starts again, the wall clock went on, plus a step.
async fn reboot(engine: Engine, down: Duration, step: i64) -> Engine {
    let wall = engine.clock.wall();
    let mut stopped = engine.crash().await;
    stopped.advance(down).await;
    let passed = i64::try_from(down.as_millis()).unwrap();
    stopped.clock = Clock::manual(WallTime(wall.0 + passed + step), BootTime(20_000), "boot-b");
    stopped.start().await
}

#[tokio::test]
async fn reboot_with_a_true_wall_clock_keeps_the_value_and_its_end() {
    // Ten minutes without power, and a value with an hour left: no call is needed.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        let engine = started(frozen, mode).await;
        let value = engine.value();
        engine.pass(SECOND * 2_000).await;
        let left = engine.token().read().unwrap().remaining;
        let engine = reboot(engine, SECOND * 600, 0).await;
        engine.settle().await;
        let good = engine.token().read().unwrap();
        assert_eq!(good.value.secret.expose(), value);
        assert_eq!(good.remaining + SECOND * 600, left);
        assert_eq!(engine.calls(endpoint), 1);
        engine.walk(HOUR * 4, SECOND * 60, Engine::readers_are_well).await;
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn reboot_with_a_wall_clock_set_back_serves_nothing_unproven_and_nothing_past_its_life() {
    // kubelet's rule (peers B): issued in the future → do not believe it. The stored row says
    // "issued in an hour"; nobody knows how much of its life is over. It is probed before anybody
    // gets it, and replaced at once, so that its true end cannot be reached. One probe, one call.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        for step in [-HOUR_MS, -24 * HOUR_MS] {
            let engine = started(frozen, mode).await;
            engine.pass(SECOND * 60).await;
            // Forty minutes before the true end.
            let down = SECOND * 4_680;
            let engine = reboot(engine, down, step - 4_680_000).await;
            assert!(engine.token().read().is_err(), "served before it was proven");
            engine.walk(SECOND * 5, SECOND, |_| {}).await;
            engine.readers_are_well();
            engine.walk(HOUR * 4, SECOND * 20, Engine::readers_are_well).await;
            let calls = engine.calls(endpoint);
            assert!((3..=12).contains(&calls), "{mode:?} {step}: {calls} calls");
            assert!(engine.tally().probes <= 2, "{:?}", engine.tally());
            frozen = engine.end().await;
        }
    }
}

#[tokio::test]
async fn reboot_with_a_wall_clock_set_forward_fetches_once() {
    // By the rows the value is over. One call brings another; nothing loops.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        for step in [3 * HOUR_MS, 24 * HOUR_MS] {
            let engine = started(frozen, mode).await;
            engine.pass(SECOND * 60).await;
            let engine = reboot(engine, SECOND * 30, step).await;
            engine.ready().await;
            engine.readers_are_well();
            assert_eq!(engine.calls(endpoint), 2);
            // The clock is set right again while the daemon runs: nothing happens.
            engine.clock.step_wall(-step);
            engine.walk(HOUR, SECOND * 60, Engine::readers_are_well).await;
            assert_eq!(engine.calls(endpoint), 2);
            frozen = engine.end().await;
        }
    }
}

#[tokio::test]
async fn open_intent_stamped_in_the_future_leaves_no_overlap() {
    // S2: the process died in a classic call, the machine rebooted with its clock set back. How
    // much of the five minutes is over cannot be told, so the old value is not served.
    use zhongkong::refresh::handle::Force;
    use zhongkong::simulator::{Fault, ServerMode};
    let engine = Engine::classic().await;
    engine.pass(HOUR / 2).await;
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let token = engine.token();
    tokio::select! {
        _ = token.force(Force::Once) => panic!("the answer was not held"),
        () = engine.wechat.control.wait_held(1) => {}
    }
    engine.wechat.control.set_mode(ServerMode::Refuses).await;
    // Set back by ten minutes: the value's row is of the past, the intent's of the future.
    let engine = reboot(engine, SECOND * 290, -600_000).await;
    engine.settle().await;
    assert!(engine.token().read().is_err(), "{}", engine.report());
    engine.wechat.control.set_mode(ServerMode::Up).await;
    engine.walk(SECOND * 31, SECOND, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn suspended_machine_serves_nothing_past_its_end_and_renews_on_waking() {
    // A lid closed for three hours: tokio's timers stood still. The very first read after it must
    // not give the old value, and the schedule is looked at again within seconds.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in MODES {
        let engine = started(frozen, mode).await;
        let old = engine.value();
        engine.clock.suspend(HOUR * 3);
        assert!(engine.token().read().is_err(), "read past its end after a suspend");
        // WeChat's clock went on too.
        engine.wechat.control.kill(
            "wx1",
            match mode {
                TokenMode::Classic => zhongkong::simulator::Kind::Classic,
                TokenMode::Stable => zhongkong::simulator::Kind::Stable,
            },
        );
        engine.walk(SECOND * 7, SECOND, |_| {}).await;
        assert_ne!(engine.value(), old, "{}", engine.report());
        assert_eq!(engine.calls(endpoint), 2);
        engine.readers_are_well();
        // Twenty short naps: no call is brought forward or multiplied.
        for _ in 0..20 {
            engine.clock.suspend(SECOND * 30);
            engine.walk(SECOND * 30, SECOND * 5, Engine::readers_are_well).await;
        }
        assert_eq!(engine.calls(endpoint), 2);
        frozen = engine.end().await;
    }
}
