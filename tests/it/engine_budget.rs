//! The rolling budget (S6): wars with other programs, restarts, pace; and readers all the while.

use std::time::Duration;

use zhongkong::hub::AccountSettings;
use zhongkong::model::TokenMode;
use zhongkong::refresh::handle::{NoValue, Outcome};
use zhongkong::simulator::{Call, Caller, Endpoint, Fault, Kind as Issued};

use crate::support::engine::{Engine, Setup, account};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The most calls of ours at the token endpoints in any 24 h.
fn densest_day(engine: &Engine) -> usize {
    let ours = |call: &Call| {
        matches!(call.endpoint, Endpoint::Token | Endpoint::StableToken) && call.caller == Caller::Client
    };
    let times: Vec<u64> = engine.log_since(0).into_iter().filter(ours).map(|call| call.at_ms).collect();
    let mut first = 0;
    let mut most = 0;
    for (last, at) in times.iter().enumerate() {
        while times[first] + 86_400_000 <= *at {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

fn sandbox(mode: TokenMode) -> AccountSettings {
    AccountSettings { daily_calls: 200, ..account("wx1", mode) }
}

/// Another program fetches every `every`, everybody complains at once, for `span`. Says for what
/// part of the time readers had a value that worked.
async fn war(engine: &Engine, every: Duration, span: Duration) -> f64 {
    let end = engine.now() + span;
    let (mut rounds, mut well) = (0_u32, 0_u32);
    while engine.now() < end {
        engine.wechat.control.foreign_fetch("wx1");
        let _ = engine.complain().await;
        engine.walk(every, every, |_| {}).await;
        rounds += 1;
        if let Ok(good) = engine.token().read() {
            well += u32::from(engine.alive(good.value.secret.expose()));
        }
    }
    f64::from(well) / f64::from(rounds)
}

#[tokio::test]
async fn war_with_a_foreign_fetcher_stays_within_the_days_calls() {
    // S6, peers C1.1, C2.13, C6.42: a program that fetches every 45 s for more than a day, and
    // callers who complain each time. Complaints cost 5 calls and then one per 90 s;
    // the deadlines' share is not touched; at the end of the war everything is well at once.
    let mut setup = Setup::new(vec![account("wx1", TokenMode::Classic)]);
    // WeChat's own quota is out of the way: this is about ours.
    setup.simulator.limits.classic_daily = 1_000_000;
    let engine = Engine::start(setup).await;
    engine.ready().await;
    war(&engine, SECOND * 45, HOUR * 25).await;
    let densest = densest_day(&engine);
    assert!(densest <= 1_000, "{densest} calls in a day");
    assert!(densest >= 700, "{densest} calls: the complaints' share is not used");
    assert!(engine.view().foreign.count > 500);
    assert!(engine.events("foreign_refresh_suspected").await.len() > 100);
    // The last foreign calls show in their time, and one more complaint ends it.
    engine.walk(SECOND * 400, SECOND * 10, |_| {}).await;
    let _ = engine.complain().await;
    engine.walk(SECOND * 100, SECOND, |_| {}).await;
    engine.walk(HOUR * 5, SECOND * 60, Engine::readers_are_well).await;
}

#[tokio::test]
async fn sandbox_account_of_two_hundred_calls_keeps_its_deadlines_in_a_war() {
    // S6: 200 calls a day. When the complaints have used up theirs, the schedule still calls
    // about once an hour, also on the second day, and all that within the limit.
    let mut setup = Setup::new(vec![sandbox(TokenMode::Classic)]);
    setup.simulator.limits.classic_daily = 1_000_000;
    let engine = Engine::start(setup).await;
    engine.ready().await;
    war(&engine, SECOND * 30, DAY).await;
    let first_day = engine.calls(Endpoint::Token);
    assert!(first_day >= 150, "{first_day}");
    // From now on tokens die only every three hours.
    let served = war(&engine, SECOND * 900, DAY).await;
    assert!(densest_day(&engine) <= 200, "{}", densest_day(&engine));
    assert!(served > 0.2, "served {served} of the time");
    engine.walk(HOUR * 2, SECOND * 60, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn budget_of_a_day_outlives_restarts() {
    // S6: a program that restarts the daemon and complains in a loop gets no fresh budget.
    let mut engine = Engine::start(Setup::new(vec![sandbox(TokenMode::Classic)])).await;
    engine.ready().await;
    for _ in 0..300 {
        engine.wechat.control.kill("wx1", Issued::Classic);
        let _ = engine.complain().await;
        engine.pass(SECOND * 120).await;
        engine = engine.restart().await;
        engine.settle().await;
    }
    let densest = densest_day(&engine);
    assert!(densest <= 200, "{densest} calls in ten hours");
    assert!(densest > 100, "{densest} calls");
    assert_eq!(u64::from(engine.view().budget.used), engine.calls(Endpoint::Token));
}

#[tokio::test]
async fn complaints_have_a_burst_of_five_calls_and_then_one_per_ninety_seconds() {
    // S6: five true complaints in a row are helped at once, the sixth is told when, and then is.
    let engine = Engine::classic().await;
    for _ in 0..5 {
        engine.wechat.control.kill("wx1", Issued::Classic);
        assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
        engine.pass(SECOND).await;
    }
    engine.wechat.control.kill("wx1", Issued::Classic);
    match engine.complain().await {
        Err(NoValue::Exhausted { retry_after, rule, .. }) => {
            assert!(retry_after > SECOND * 80 && retry_after <= SECOND * 90, "{retry_after:?}");
            assert!(!rule.is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert!(engine.token().read().is_err(), "a dead value is served");
    engine.walk(SECOND * 84, SECOND, |engine| assert_eq!(engine.calls(Endpoint::Token), 6)).await;
    engine.walk(SECOND * 7, SECOND, |_| {}).await;
    assert_eq!(engine.calls(Endpoint::Token), 7);
    engine.readers_are_well();
}

#[tokio::test]
async fn busy_wechat_is_asked_within_the_budget_for_two_days() {
    // S6, L3: WeChat answers -1 for two days; each such answer is a call that reached it. The
    // back-off keeps calls for the whole window, and at the end the key recovers by itself.
    let engine = Engine::start(Setup::new(vec![sandbox(TokenMode::Classic)])).await;
    engine.ready().await;
    engine.always(Endpoint::Token, Fault::errcode(-1));
    engine.walk(DAY * 2, SECOND * 600, |_| {}).await;
    let densest = densest_day(&engine);
    assert!((100..=200).contains(&densest), "{densest}");
    let times: Vec<u64> = engine.log_since(0).into_iter().map(|call| call.at_ms).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).skip(1).max().unwrap();
    assert!(longest <= 600_000, "{longest} ms without a look at whether WeChat is well");
    engine.wechat.control.clear_faults();
    engine.walk(SECOND * 1_800, SECOND * 10, |_| {}).await;
    engine.readers_are_well();
}
