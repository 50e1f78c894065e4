//! Complaints: coalesced, proven, budgeted, answered (L2, S1, S6), classic mode and both.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use zhongkong::model::{ErrCode, TokenMode};
use zhongkong::refresh::handle::{NoValue, Outcome};
use zhongkong::refresh::view::{Degraded, State};
use zhongkong::simulator::{Endpoint, Fault, Kind as Issued, Script};

use crate::support::engine::{CALL_TIMEOUT, Engine, Setup, TICK, Tally, account, manual_clock};
use crate::support::frozen::Frozen;

const SECOND: Duration = Duration::from_secs(1);

/// Ends the token of "wx1" as another program would.
fn kill(engine: &Engine, mode: TokenMode) {
    engine.wechat.control.kill(
        "wx1",
        match mode {
            TokenMode::Classic => Issued::Classic,
            TokenMode::Stable => Issued::Stable,
        },
    );
}

#[tokio::test]
async fn ten_thousand_complaints_about_one_dead_token_make_one_call() {
    // L2, S1: everybody gets 40001 at once (peers C1.1, C3.18, C3.19, C6.42). One probe and one
    // call follow, and all get the same new value.
    let mut frozen = Frozen::start();
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        let setup = Setup::new(vec![account("wx1", mode)]);
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        let before = engine.tally();
        kill(&engine, mode);
        let (token, print) = (engine.token(), engine.print());
        let mut callers = JoinSet::new();
        for _ in 0..10_000 {
            let token = token.clone();
            callers.spawn(async move { token.complain(Some(print), ErrCode(40001)).await.unwrap() });
        }
        let mut answers = Vec::new();
        while let Some(answer) = callers.join_next().await {
            answers.push(answer.unwrap());
        }
        assert_eq!(answers.len(), 10_000);
        let now = engine.value();
        for answer in &answers {
            assert_eq!(answer.good.value.secret.expose(), now);
            assert_eq!(answer.outcome, Outcome::Refreshed);
        }
        let expected = match mode {
            TokenMode::Classic => Tally { classic: before.classic + 1, probes: 1, ..before },
            TokenMode::Stable => Tally { stable: before.stable + 1, probes: 1, ..before },
        };
        assert_eq!(engine.tally(), expected);
        engine.readers_are_well();
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn complaint_about_a_good_token_changes_nothing() {
    // S5: the caller was wrong (peers C6.42: a wrong key elsewhere brought refresh after refresh).
    let engine = Engine::classic().await;
    let old = engine.value();
    for errcode in [40001, 40014, 42001, 0] {
        let answer = engine.token().complain(Some(engine.print()), ErrCode(errcode)).await.unwrap();
        assert_eq!(answer.outcome, Outcome::StillValid);
    }
    assert_eq!(engine.value(), old);
    assert_eq!(engine.tally(), Tally { classic: 1, probes: 4, ..Tally::default() });
    assert_eq!(engine.token().read().unwrap().state, State::Fresh);
}

#[tokio::test]
async fn complaint_about_another_value_is_answered_without_asking_wechat() {
    // peers C3.19 (WxJava #1300): a burst of complaints about the value before this one.
    let engine = Engine::classic().await;
    let old = engine.print();
    kill(&engine, TokenMode::Classic);
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    let before = engine.last_seq();
    for _ in 0..100 {
        let answer = engine.token().complain(Some(old), ErrCode(40001)).await.unwrap();
        assert_eq!(answer.outcome, Outcome::AlreadyReplaced);
        assert_eq!(answer.good.value.secret.expose(), engine.value());
    }
    assert_eq!(engine.log_since(before).len(), 0);
}

#[tokio::test]
async fn what_is_no_complaint_is_refused_with_its_meaning() {
    // 45009 or 48001 from a business call says nothing about the token (peers C6.43, C6.45).
    let engine = Engine::classic().await;
    let before = engine.last_seq();
    for errcode in [45009, 48001, -1, 40013, 123_456] {
        match engine.token().complain(Some(engine.print()), ErrCode(errcode)).await {
            Err(NoValue::NotAComplaint { errcode: said, meaning, action }) => {
                assert_eq!(said, ErrCode(errcode));
                assert!(!meaning.is_empty() && !action.is_empty());
            }
            other => panic!("{errcode}: {other:?}"),
        }
    }
    let nameless = engine.token().complain(None, ErrCode(40001)).await;
    assert_eq!(nameless.unwrap_err(), NoValue::FingerprintMissing);
    assert_eq!(engine.log_since(before).len(), 0);
}

#[tokio::test]
async fn dead_value_is_served_with_a_warning_until_its_repair_ends() {
    // The probe said dead; the repair takes a while. Readers do not wait, and know (peers A1
    // vinrexy: deleted first). Then the repair fails, and the value is withdrawn.
    let engine = Engine::classic().await;
    kill(&engine, TokenMode::Classic);
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let (answer, ()) = tokio::join!(engine.complain(), async {
        engine.wechat.control.wait_held(1).await;
        assert_eq!(
            engine.token().read().unwrap().state,
            State::Degraded(Degraded::ReportedDead),
            "{}",
            engine.report()
        );
        engine.wechat.control.release();
    });
    assert_eq!(answer.unwrap().outcome, Outcome::Refreshed);
    kill(&engine, TokenMode::Classic);
    engine.once(Endpoint::Token, Fault::errcode(-1));
    let failed = engine.complain().await;
    assert!(matches!(failed, Err(NoValue::Unavailable { .. })), "{failed:?}");
    assert!(engine.token().read().is_err(), "a dead value is served");
    engine.walk(SECOND * 2, TICK * 50, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn complainer_that_goes_away_changes_nothing_for_the_others() {
    // peers A2 wechat-minapp: the future that led the refresh is dropped (a client hangs up),
    // and nobody ever refreshes again. House facts: OnceCell, cancelled leader.
    let engine = Engine::classic().await;
    kill(&engine, TokenMode::Classic);
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let mut callers = JoinSet::new();
    let (token, print) = (engine.token(), engine.print());
    let leader = {
        let token = token.clone();
        callers.spawn(async move { token.complain(Some(print), ErrCode(40001)).await })
    };
    tokio::task::yield_now().await;
    for _ in 0..100 {
        let token = token.clone();
        callers.spawn(async move { token.complain(Some(print), ErrCode(40001)).await });
    }
    engine.wechat.control.wait_held(1).await;
    leader.abort();
    engine.settle().await;
    engine.wechat.control.release();
    let (mut answered, mut gone) = (0, 0);
    while let Some(ended) = callers.join_next().await {
        match ended {
            Ok(answer) => {
                answer.unwrap();
                answered += 1;
            }
            Err(error) => {
                assert!(error.is_cancelled());
                gone += 1;
            }
        }
    }
    assert_eq!((answered, gone), (100, 1));
    assert_eq!(engine.tally(), Tally { classic: 2, probes: 1, ..Tally::default() });
    // And if all have gone, the repair is finished all the same.
    kill(&engine, TokenMode::Classic);
    engine.once(Endpoint::ApiDomainIp, Fault::HoldAnswer);
    tokio::select! {
        _ = engine.complain() => panic!("the probe was not held"),
        () = engine.wechat.control.wait_held(1) => {}
    }
    engine.wechat.control.release();
    engine.settle().await;
    engine.readers_are_well();
}

#[tokio::test]
async fn unanswered_probe_is_unavailable_and_makes_no_issuing_call() {
    // A path that loses answers must not cost the value: torn, slow, 5xx, a portal's page, -1.
    let faults = [
        Fault::TornConnection,
        Fault::AnswerLost,
        Fault::HttpStatus(502),
        Fault::HtmlPage,
        Fault::TruncatedJson,
        Fault::GarbageJson,
        Fault::EmptyBody,
        Fault::errcode(-1),
        Fault::Slow(CALL_TIMEOUT * 2),
        Fault::Redirect("http://127.0.0.1:1/".to_owned()),
    ];
    let engine = Engine::classic().await;
    let old = engine.value();
    let count = faults.len();
    for fault in faults {
        let slow = matches!(fault, Fault::Slow(_));
        engine.once(Endpoint::ApiDomainIp, fault.clone());
        let (answer, ()) = tokio::join!(engine.complain(), async {
            if slow {
                engine.settle().await;
                engine.pass(CALL_TIMEOUT + TICK).await;
            }
        });
        match answer {
            Err(NoValue::Unavailable { retry_after, problem: Some(_) }) => assert!(retry_after >= SECOND),
            other => panic!("{fault:?}: {other:?}"),
        }
        assert_eq!(engine.value(), old);
        engine.pass(SECOND * 10).await;
    }
    assert_eq!(count, 10);
    assert_eq!(engine.calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn probe_without_a_verdict_lets_classic_fetch_and_stable_ask_normally() {
    // WeChat refuses the probe for another reason (48001 here). Classic replaces the value within
    // the complaints' share; stable asks, gets the same string, and says UNVERIFIED.
    let mut frozen = Frozen::start();
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        let setup = Setup::new(vec![account("wx1", mode)]);
        let engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        engine.always(Endpoint::ApiDomainIp, Fault::errcode(48001));
        let old = engine.value();
        let answer = engine.complain().await.unwrap();
        match mode {
            TokenMode::Classic => {
                assert_eq!(answer.outcome, Outcome::Refreshed);
                assert_ne!(engine.value(), old);
                for _ in 0..4 {
                    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
                }
                // The share is used up; the value stays and is not withdrawn.
                assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Unverified);
                assert_eq!(engine.tally().classic, 6);
            }
            TokenMode::Stable => {
                assert_eq!(answer.outcome, Outcome::Unverified);
                assert_eq!(engine.tally(), Tally { stable: 2, probes: 1, ..Tally::default() });
            }
        }
        engine.readers_are_well();
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn probes_of_a_key_come_in_a_burst_of_ten_and_then_one_per_six_seconds() {
    // A caller that complains without end about a good value costs WeChat little.
    let engine = Engine::classic().await;
    let mut probes = 0;
    for _ in 0..50 {
        match engine.complain().await {
            Ok(answer) => {
                assert_eq!(answer.outcome, Outcome::StillValid);
                probes += 1;
            }
            Err(NoValue::Exhausted { retry_after, .. }) => assert!(retry_after <= SECOND * 6),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((probes, engine.tally().probes), (10, 10));
    for _ in 0..60 {
        engine.pass(SECOND).await;
        let _ = engine.complain().await;
    }
    assert_eq!(engine.tally().probes, 20);
    assert_eq!(engine.calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn complaint_is_answered_in_two_round_trips_for_a_thousand_waiters() {
    // L2: with 200 ms per answer, 1,000 waiters have a working value after two of them.
    let engine = Engine::classic().await;
    kill(&engine, TokenMode::Classic);
    let round_trip = Duration::from_millis(200);
    engine.wechat.control.set_latency(round_trip);
    let begun = engine.now();
    let (token, print) = (engine.token(), engine.print());
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let token = token.clone();
        callers.spawn(async move { token.complain(Some(print), ErrCode(40001)).await.unwrap() });
    }
    let value = Arc::new(tokio::sync::OnceCell::new());
    while !callers.is_empty() {
        tokio::select! {
            biased;
            Some(answer) = callers.join_next() => {
                let _ = value.set(answer.unwrap().good.value.secret.expose().to_owned());
            }
            () = engine.pass(TICK) => {}
        }
    }
    let took = engine.now().since(begun);
    assert!(took <= round_trip * 2 + Duration::from_millis(100), "{took:?}");
    assert!(engine.alive(value.get().unwrap()));
}

#[tokio::test]
async fn foreign_refresh_is_recorded_and_the_operator_told() {
    // peers C1.4, C1.10, C2.12, C2.15: hours are lost before "a colleague's project uses the same
    // account". Two foreign fetches kill ours; the first complaint finds it out.
    let engine = Engine::classic().await;
    engine.pass(Duration::from_mins(10)).await;
    engine.wechat.control.foreign_fetch("wx1").unwrap();
    engine.wechat.control.foreign_fetch("wx1").unwrap();
    let dead = engine.print();
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    let events = engine.events("foreign_refresh_suspected").await;
    assert_eq!(events.len(), 1);
    assert!(
        events[0].detail.contains("stable") && events[0].detail.contains(&dead.to_string()),
        "{events:?}"
    );
    assert_eq!(engine.view().foreign.count, 1);
    assert_eq!(engine.view().foreign.latest, Some(engine.now()));
    engine.readers_are_well();
}

#[tokio::test]
async fn complaints_without_a_value_wait_for_the_attempt_that_is_due_and_bring_none_forward() {
    // There is no value, because an operator must act. A hundred complaints make no further call,
    // and each is told what to do.
    let engine = Engine::start(Setup::new(vec![account("wx1", TokenMode::Classic)])).await;
    engine.wechat.control.script(Script::forever(Endpoint::Token, Fault::errcode(40125)));
    engine.wait("refused", |engine| engine.calls(Endpoint::Token) > 0).await;
    engine.settle().await;
    let calls = engine.calls(Endpoint::Token);
    for _ in 0..100 {
        let refused = engine.token().complain(None, ErrCode(0)).await;
        assert!(matches!(refused, Err(NoValue::NeedsOperator { .. })), "{refused:?}");
    }
    assert_eq!(engine.calls(Endpoint::Token), calls);
}
