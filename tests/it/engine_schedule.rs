//! When the engine calls WeChat if nothing is wrong, and what readers get meanwhile (L1).

use std::time::Duration;

use zhongkong::clock::BootTime;
use zhongkong::model::{Kind, TokenMode};
use zhongkong::refresh::view::{Next, State};
use zhongkong::simulator::{Endpoint, ExpiresIn, Fault, Script, ServerMode};

use crate::support::engine::{Engine, Setup, TICK, Tally, account, manual_clock, text};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(7_200);

fn next_at(engine: &Engine) -> BootTime {
    match engine.view().next {
        Next::At(at) => at,
        other => panic!("no attempt is announced but {other:?}"),
    }
}

#[tokio::test]
async fn classic_token_is_renewed_in_its_window_over_days_with_one_call_each() {
    // L1: five simulated days. A classic token is renewed when a third of its life to ten
    // minutes are left, by exactly one call, and readers never see a gap or a dead value.
    // (peers A1: oligo, Leo-GAsss; C3.18 and C5.37: margins that survive any life.)
    let engine = Engine::classic().await;
    let (mut calls, end) = (1, engine.now() + DAY * 5);
    while engine.now() < end {
        let left = engine.view().dead_by.since(next_at(&engine));
        assert!(left >= Duration::from_secs(600) && left <= LIFE / 3, "renewed with {left:?} left");
        let old = engine.value();
        engine.step_to_next().await;
        calls += 1;
        assert_eq!(engine.tally(), Tally { classic: calls, ..Tally::default() }, "{}", engine.report());
        assert_ne!(engine.value(), old);
        engine.readers_are_well();
    }
    // A round is 4,800 to 6,600 s.
    assert!((66..=91).contains(&calls), "{calls} calls in five days");
}

#[tokio::test]
async fn stable_token_is_renewed_inside_the_window_in_which_wechat_rolls_over() {
    // L1: WeChat repeats a stable token until five minutes before its end, so each call before
    // that is wasted, and each of ours brings a new one. (peers A1: lawyerance kept a token with
    // 400 s left for 7,000 s; SDKs: silenceper's 300 − 300.)
    let engine = Engine::stable().await;
    let (mut calls, end) = (1, engine.now() + DAY * 5);
    while engine.now() < end {
        let left = engine.view().dead_by.since(next_at(&engine));
        assert!(left >= Duration::from_secs(90) && left < Duration::from_secs(300), "{left:?} left");
        let old = engine.value();
        engine.step_to_next().await;
        calls += 1;
        assert_eq!(engine.tally(), Tally { stable: calls, ..Tally::default() }, "{}", engine.report());
        assert_ne!(engine.value(), old);
        engine.readers_are_well();
    }
    assert!((61..=64).contains(&calls), "{calls} calls in five days");
}

#[tokio::test]
async fn short_lives_are_renewed_in_proportion() {
    // The demo's tokens live a minute: the margins shrink with the life, nobody sees a gap.
    let mut frozen = Frozen::start();
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        let setup = Setup::new(vec![account("wx1", mode)]).life(Duration::from_secs(60));
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        engine.walk(Duration::from_secs(1_200), SECOND * 5, Engine::readers_are_well).await;
        let calls = engine.calls(Endpoint::Token) + engine.calls(Endpoint::StableToken);
        assert!((20..=62).contains(&calls), "{mode:?}: {calls} calls in twenty minutes");
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn outage_of_ten_minutes_is_survived_by_a_classic_token() {
    // L1, L3: the network is gone from the moment of the renewal for ten minutes. Readers keep
    // the old value, and within the back-off's cap after its return a new one is there.
    // (peers A1: vinrexy, anyforever; C7.48 connect time-outs; B google #5809, #5864.)
    let engine = Engine::classic().await;
    engine.wechat.control.set_mode(ServerMode::Refuses).await;
    let due = next_at(&engine);
    engine.pass(due.since(engine.now()) + TICK).await;
    let old = engine.value();
    engine
        .walk(Duration::from_secs(585), SECOND, |engine| {
            engine.readers_are_well();
            assert_eq!(engine.value(), old);
        })
        .await;
    assert!(engine.view().failures > 3, "{}", engine.report());
    assert_eq!(engine.calls(Endpoint::Token), 1);
    // What never reached WeChat uses up no budget.
    assert_eq!(engine.view().budget.used, 1);
    engine.wechat.control.set_mode(ServerMode::Up).await;
    engine.walk(SECOND * 61, SECOND, Engine::readers_are_well).await;
    assert_ne!(engine.value(), old, "{}", engine.report());
    assert_eq!(engine.view().failures, 0);
    engine.readers_are_well();
}

#[tokio::test]
async fn wechat_down_at_the_start_is_recovered_from_within_a_minute() {
    // L3: the daemon starts while WeChat cannot be reached, for an hour.
    let mut frozen = Frozen::start();
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        for health in [ServerMode::Refuses, ServerMode::Busy, ServerMode::Closes] {
            let setup = Setup::new(vec![account("wx1", mode)]);
            let engine = Engine::start_with(frozen, manual_clock(), setup).await;
            engine.wechat.control.set_mode(health).await;
            engine.walk(HOUR, SECOND * 20, |_| {}).await;
            assert!(engine.token().read().is_err(), "{mode:?} {health:?}: WeChat was never up");
            engine.wechat.control.set_mode(ServerMode::Up).await;
            // Calls that reached WeChat are paced by what is left of the day's budget.
            engine.walk(SECOND * 50, SECOND, |_| {}).await;
            engine.readers_are_well();
            frozen = engine.end().await;
        }
    }
}

#[tokio::test]
async fn nearly_dead_answers_do_not_make_the_engine_spin() {
    // WeChat states lives of one second for an hour (peers C5.37, silenceper's TTL 0). Each
    // round has its floor, and the calls stay within what the schedule may use of the day.
    let mut frozen = Frozen::start();
    for (mode, endpoint) in
        [(TokenMode::Classic, Endpoint::Token), (TokenMode::Stable, Endpoint::StableToken)]
    {
        let setup = Setup::new(vec![account("wx1", mode)]);
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.wechat.control.script(Script::forever(endpoint, Fault::ExpiresIn(ExpiresIn::Value(1))));
        let (mut most, mut before) = (0, engine.last_seq());
        engine
            .walk(HOUR, SECOND * 10, |engine| {
                let now = engine.last_seq();
                most = most.max(now - before);
                before = now;
            })
            .await;
        let calls = engine.calls(endpoint);
        assert!(most <= 1, "{most} calls at once");
        assert!((30..=1_050).contains(&calls), "{mode:?}: {calls} calls in an hour");
        engine.wechat.control.clear_faults();
        engine.walk(SECOND * 100, SECOND, |_| {}).await;
        engine.readers_are_well();
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn stable_token_that_wechat_repeats_inside_the_window_is_not_asked_for_each_second() {
    // WeChat's rounding may differ from its page. Here it rolls over only ten seconds before the
    // end, so that our calls inside of the window bring the same string again.
    let mut setup = Setup::new(vec![account("wx1", TokenMode::Stable)]);
    setup.simulator.overlap = Duration::from_secs(10);
    let engine = Engine::start(setup).await;
    engine.ready().await;
    let generation = engine.token().read().unwrap().value.generation;
    engine.walk(LIFE - SECOND * 20, SECOND * 10, Engine::readers_are_well).await;
    assert_eq!(
        engine.token().read().unwrap().value.generation,
        generation,
        "the same string is the same generation"
    );
    engine.walk(SECOND * 60, SECOND, |_| {}).await;
    assert_ne!(engine.token().read().unwrap().value.generation, generation);
    assert!(engine.calls(Endpoint::StableToken) <= 12, "{}", engine.report());
}

#[tokio::test]
async fn readers_get_the_old_value_while_the_new_one_is_fetched() {
    // 10,000 readers during a refresh whose answer is held: each gets the good old value at once.
    let engine = Engine::classic().await;
    let old = engine.value();
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    engine.advance(next_at(&engine).since(engine.now()) + TICK).await;
    engine.wechat.control.wait_held(1).await;
    let token = engine.token();
    for _ in 0..10_000 {
        // No await in it: a read cannot wait.
        let good = token.read().unwrap();
        assert_eq!(good.value.secret.expose(), old);
        assert_eq!(good.state, State::Refreshing);
    }
    engine.wechat.control.release();
    engine.until("the new value is there", |view| !view.refreshing && view.version > 1).await;
    assert_ne!(engine.value(), old);
    engine.readers_are_well();
}

#[tokio::test]
async fn one_call_at_a_time_whatever_wakes_the_key() {
    // S1: while a renewal is under way, complaints, forced refreshes, a reload, a pause's end and
    // the next deadline come. None of them makes a second call before the first has ended.
    use zhongkong::model::ErrCode;
    use zhongkong::refresh::handle::Force;
    let mut frozen = Frozen::start();
    for (mode, endpoint) in
        [(TokenMode::Classic, Endpoint::Token), (TokenMode::Stable, Endpoint::StableToken)]
    {
        let setup = Setup::new(vec![account("wx1", mode)]);
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        engine.wechat.control.script(Script::once(endpoint, Fault::HoldAnswer));
        engine.advance(next_at(&engine).since(engine.now()) + TICK).await;
        engine.wechat.control.wait_held(1).await;
        let before = engine.last_seq();
        let (token, print) = (engine.token(), engine.print());
        let all = async {
            tokio::join!(
                token.complain(Some(print), ErrCode(40001)),
                token.force(Force::Once),
                token.resume(),
                engine.hub.reload(vec![account("wx1", mode)]),
                async {
                    engine.pass(SECOND * 5).await;
                    let during = engine.log_since(before);
                    assert!(during.is_empty(), "{during:?}");
                    engine.wechat.control.release();
                },
            )
        };
        let (complaint, forced, ..) = all.await;
        // The complaint was judged again after the attempt: its value had been replaced.
        assert_eq!(complaint.unwrap().outcome.as_str(), "already_replaced");
        forced.unwrap();
        engine.settle().await;
        engine.readers_are_well();
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn ten_accounts_do_not_share_anything_but_the_gate() {
    // peers C9.58 (one thread-local account, one Redis key for all), A1 oligo (one account's
    // network error takes all down): five accounts fail for ever, five are well, one call passes
    // the gate at a time.
    let accounts = (0..10).map(|n| account(&format!("wx{n}"), TokenMode::Classic)).collect();
    let engine = Engine::start(Setup { in_flight: 1, ..Setup::new(accounts) }).await;
    for n in 0..5 {
        engine
            .wechat
            .control
            .script(Script::forever(Endpoint::Token, Fault::errcode(40125)).only(format!("wx{n}")));
    }
    engine.settle().await;
    engine.walk(HOUR * 3, Duration::from_secs(60), |_| {}).await;
    let mut values = std::collections::HashSet::new();
    for n in 0..10 {
        let handle = engine.handle(&format!("wx{n}"), Kind::AccessToken);
        assert_eq!(handle.read().is_ok(), n >= 5, "wx{n}: {}", engine.report());
        if n >= 5 {
            assert!(engine.alive(&text(&handle)));
            assert!(values.insert(text(&handle)), "two accounts have one value");
        }
    }
    assert_eq!(values.len(), 5);
}
