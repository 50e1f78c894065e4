//! What is different in stable mode: idempotent calls, forced ones, leaks, isolation.

use std::time::Duration;

use zhongkong::model::TokenMode;
use zhongkong::refresh::handle::{Force, NoValue, Outcome};
use zhongkong::simulator::{Endpoint, Fault, Kind as Issued};

use crate::support::engine::{Engine, Setup, TICK, Tally, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn lost_stable_answer_costs_nothing_and_is_asked_for_again() {
    // peers consequence 1: the normal stable call is idempotent. Its answers are lost five times
    // in a row at the renewal: no bound, no probe, no forced call.
    let engine = Engine::stable().await;
    let natural_end = engine.view().dead_by;
    engine.step(Duration::from_secs(6_890)).await;
    engine
        .wechat
        .control
        .script(zhongkong::simulator::Script::once(Endpoint::StableToken, Fault::AnswerLost).times(5));
    engine
        .walk(Duration::from_secs(280), SECOND, |engine| {
            engine.readers_are_well();
            assert!(engine.view().dead_by >= natural_end);
        })
        .await;
    assert_eq!(engine.tally(), Tally { stable: 7, ..Tally::default() }, "{}", engine.report());
    assert_eq!(engine.view().failures, 0);
}

#[tokio::test]
async fn forced_call_is_made_only_when_the_normal_one_repeats_the_dead_string() {
    // A token dies and WeChat goes on handing it out: only then one of the day's twenty forced
    // calls is spent (peers consequence 2; A2 easywechat: "may return the same token").
    let engine = Engine::stable().await;
    engine.wechat.control.kill("wx1", Issued::Stable);
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    assert_eq!(engine.tally(), Tally { stable: 2, probes: 1, ..Tally::default() });
    engine.pass(SECOND * 40).await;
    engine.wechat.control.kill_in_place("wx1", Issued::Stable);
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    assert_eq!(engine.tally(), Tally { stable: 4, forced: 1, probes: 2, ..Tally::default() });
    engine.readers_are_well();
    // Both deaths were somebody else's.
    assert_eq!(engine.events("foreign_refresh_suspected").await.len(), 2);
}

#[tokio::test]
async fn forced_calls_keep_their_distance_and_say_when() {
    // WeChat silently ignores forced calls closer than 30 s. A second death right after the first
    // is not met with a wasted call; the complainer is told when.
    let engine = Engine::stable().await;
    engine.wechat.control.kill_in_place("wx1", Issued::Stable);
    engine.complain().await.unwrap();
    engine.pass(SECOND * 10).await;
    engine.wechat.control.kill_in_place("wx1", Issued::Stable);
    match engine.complain().await {
        Err(NoValue::Exhausted { retry_after, .. }) => {
            assert!(retry_after > SECOND * 19 && retry_after <= SECOND * 21, "{retry_after:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.tally().forced, 1);
    assert!(engine.token().read().is_err(), "a dead value is served");
    // It heals by itself as soon as the spacing allows, with nobody complaining.
    engine.walk(SECOND * 19, SECOND, |engine| assert_eq!(engine.tally().forced, 1)).await;
    engine.walk(SECOND * 4, SECOND, |_| {}).await;
    assert_eq!(engine.tally().forced, 2, "{}", engine.report());
    engine.readers_are_well();
}

#[tokio::test]
async fn forced_call_that_brings_the_dead_string_says_when_to_come_again() {
    // Somebody else forced a moment ago, so WeChat ignores ours without a word.
    let engine = Engine::stable().await;
    let forced = engine.wechat.forced("wx1").await;
    assert!(forced.get("access_token").is_some());
    // Now a value of ours that is dead and repeated: take over the newest one, then kill it.
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    engine.wechat.control.kill_in_place("wx1", Issued::Stable);
    match engine.complain().await {
        Err(NoValue::Exhausted { retry_after, .. }) => assert_eq!(retry_after, SECOND * 31),
        other => panic!("{other:?}"),
    }
    engine.walk(SECOND * 35, SECOND, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn twenty_forced_calls_a_day_with_four_kept_for_operators() {
    // S6: tokens die in place all day. Complaints get sixteen forced calls, never the twentieth;
    // operators still have theirs.
    let engine = Engine::stable().await;
    let end = engine.now() + HOUR * 20;
    while engine.now() < end {
        engine.wechat.control.kill_in_place("wx1", Issued::Stable);
        let _ = engine.complain().await;
        engine.walk(SECOND * 600, SECOND * 100, |_| {}).await;
    }
    assert_eq!(engine.view().budget.forced_used, 16, "{}", engine.report());
    for _ in 0..4 {
        engine.token().force(Force::Leaked).await.ok();
        engine.walk(SECOND * 40, SECOND, |_| {}).await;
    }
    assert_eq!(engine.view().budget.forced_used, 20, "{}", engine.report());
    let forced = engine.log_since(0).into_iter().filter(|call| call.forced);
    let times: Vec<u64> = forced.map(|call| call.at_ms).collect();
    assert_eq!(times.len(), 20);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 30_000), "{times:?}");
}

#[tokio::test]
async fn unknown_forced_call_withdraws_the_value_until_a_normal_one_is_answered() {
    // S2: a forced call kills the old token at once, so after one without an answer the old value
    // is not served for another moment; the normal call brings what WeChat has now.
    let engine = Engine::stable().await;
    engine.pass(SECOND * 60).await;
    engine.once(Endpoint::StableToken, Fault::AnswerLost);
    let forced = engine.token().force(Force::Once).await;
    assert!(forced.is_err());
    assert!(engine.token().read().is_err(), "served after a forced call of unknown outcome");
    engine.walk(SECOND * 3, TICK * 20, |_| {}).await;
    engine.readers_are_well();
    assert_eq!(engine.tally(), Tally { stable: 3, forced: 1, ..Tally::default() });
}

#[tokio::test]
async fn operator_forces_once_and_a_leak_is_answered_by_two_calls_in_both_modes() {
    // A leaked token works on in its overlap after one call; after two it is dead for certain.
    // The operator is answered after the first, the event is recorded after the second.
    let mut frozen = Frozen::start();
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        let setup = Setup::new(vec![account("wx1", mode)]);
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        let first = engine.value();
        assert_eq!(engine.token().force(Force::Once).await.unwrap().outcome, Outcome::Refreshed);
        assert_ne!(engine.value(), first);
        engine.pass(SECOND * 40).await;
        let (leaked, print) = (engine.value(), engine.print());
        let before = engine.last_seq();
        let answer = engine.token().force(Force::Leaked).await.unwrap();
        assert_ne!(answer.good.value.secret.expose(), leaked);
        assert_eq!(engine.log_since(before).len(), 1);
        assert_eq!(engine.events("leak_contained").await, []);
        engine.step(SECOND * 31).await;
        let calls = engine.log_since(before);
        assert_eq!(calls.len(), 2, "{mode:?}");
        assert!(calls[1].at_ms - calls[0].at_ms >= 30_000);
        assert!(!engine.alive(&leaked));
        let events = engine.events("leak_contained").await;
        assert_eq!(events.len(), 1);
        assert!(events[0].detail.contains(&print.to_string()));
        assert_eq!(engine.events("foreign_refresh_suspected").await, []);
        engine.readers_are_well();
        engine.walk(HOUR, SECOND * 30, Engine::readers_are_well).await;
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn second_call_after_a_leak_is_repeated_until_it_succeeds() {
    // The operator was promised a dead value: a failure of the second call does not end it.
    let engine = Engine::classic().await;
    let leaked = engine.value();
    engine.token().force(Force::Leaked).await.unwrap();
    engine.once(Endpoint::Token, Fault::errcode(-1));
    engine.walk(SECOND * 80, SECOND, Engine::readers_are_well).await;
    assert!(!engine.alive(&leaked));
    assert_eq!(engine.events("leak_contained").await.len(), 1);
}

#[tokio::test]
async fn stable_token_is_immune_to_classic_fetches_of_others() {
    // peers C2.14: classic calls cannot kill a stable token. The same war that takes a classic
    // account apart does not touch this one.
    let engine = Engine::stable().await;
    engine
        .walk(HOUR * 24, SECOND * 60, |engine| {
            engine.wechat.control.foreign_fetch("wx1");
            engine.readers_are_well();
        })
        .await;
    assert!(engine.tally().stable <= 14, "{:?}", engine.tally());
    assert_eq!(engine.tally().probes, 0);
}

#[tokio::test]
async fn mode_change_serves_the_old_value_until_the_new_modes_first_one() {
    // Reload from classic to stable while the stable endpoint is out of order: the classic token
    // goes on being served, unbounded by stable calls of unknown outcome.
    let engine = Engine::classic().await;
    let classic = engine.value();
    let end = engine.view().dead_by;
    engine.always(Endpoint::StableToken, Fault::AnswerLost);
    engine.hub.reload(vec![account("wx1", TokenMode::Stable)]).await.unwrap();
    engine.walk(SECOND * 600, SECOND * 5, |engine| assert_eq!(engine.value(), classic)).await;
    assert_eq!(engine.view().dead_by, end);
    engine.wechat.control.clear_faults();
    engine.walk(SECOND * 61, SECOND, Engine::readers_are_well).await;
    assert_ne!(engine.value(), classic);
    assert_eq!(engine.calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn slow_answer_within_the_time_out_is_taken_and_its_life_counts_from_before_the_call() {
    // peers C7.52 (wechat-oauth PR #28): the life is counted from before the request.
    let engine = Engine::stable().await;
    engine.step(Duration::from_secs(6_890)).await;
    engine.once(Endpoint::StableToken, Fault::Slow(SECOND * 9));
    let mut sent = None;
    engine
        .walk(Duration::from_secs(250), SECOND, |engine| {
            if engine.view().refreshing {
                sent.get_or_insert(engine.now());
            }
        })
        .await;
    let (sent, view) = (sent.unwrap(), engine.view());
    assert!(view.dead_by <= sent + Duration::from_hours(2), "{view:?}");
    assert!(view.dead_by >= sent + Duration::from_secs(7_198));
    engine.readers_are_well();
}
