//! Calls that may have replaced the value although no answer came (S2, S3), classic mode.

use std::time::Duration;

use zhongkong::model::TokenMode;
use zhongkong::refresh::handle::{Force, NoValue, Outcome};
use zhongkong::refresh::view::{AttemptResult, Degraded, State};
use zhongkong::simulator::{Endpoint, Fault, ServerMode};

use crate::support::engine::{CALL_TIMEOUT, Engine, TICK, Tally};

const SECOND: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_mins(5);

/// A classic token, and a call made by an operator whose fate nobody knows. The renewal is far.
async fn after_an_unanswered_call(fault: Fault) -> Engine {
    let engine = Engine::classic().await;
    engine.once(Endpoint::Token, fault);
    let refused = engine.token().force(Force::Once).await;
    assert!(matches!(refused, Err(NoValue::Unavailable { .. })), "{refused:?}");
    engine
}

fn degraded(engine: &Engine) -> Option<Degraded> {
    match engine.token().read().unwrap().state {
        State::Degraded(why) => Some(why),
        State::Fresh | State::Refreshing => None,
    }
}

#[tokio::test]
async fn lost_classic_answer_bounds_the_value_and_the_retry_asks_first() {
    // S2: WeChat issued a token and its answer was lost. The old value lives five minutes at
    // most from the moment of that call; it is asked about, found alive, and fetched anew.
    // (peers consequence 1; A2 wechat-minapp; C3.17.)
    let engine = Engine::classic().await;
    let natural_end = engine.view().dead_by;
    let old = engine.value();
    engine.once(Endpoint::Token, Fault::AnswerLost);
    let sent = engine.now();
    assert!(engine.token().force(Force::Once).await.is_err());
    assert_eq!(engine.view().dead_by, sent + OVERLAP);
    assert!(engine.view().dead_by < natural_end);
    assert_eq!(degraded(&engine), Some(Degraded::UnknownOutcome));
    assert_eq!(engine.view().last.as_ref().unwrap().result, AttemptResult::Unknown);
    engine.readers_are_well();
    engine.walk(SECOND * 2, TICK * 100, Engine::readers_are_well).await;
    assert_eq!(engine.tally(), Tally { classic: 3, probes: 1, ..Tally::default() }, "{}", engine.report());
    assert_ne!(engine.value(), old);
    assert_eq!(degraded(&engine), None);
    // S3: and it is asked about once more when the lost call cannot be processed any later.
    engine.walk(SECOND * 305, SECOND, Engine::readers_are_well).await;
    assert_eq!(engine.tally().probes, 1);
    engine.walk(SECOND * 10, SECOND, Engine::readers_are_well).await;
    assert_eq!(engine.tally(), Tally { classic: 3, probes: 2, ..Tally::default() }, "{}", engine.report());
    assert_eq!(engine.events("foreign_refresh_suspected").await, []);
}

#[tokio::test]
async fn retries_never_move_the_bound() {
    // S2: call after call goes unanswered. The bound stays where the first one put it.
    let engine = after_an_unanswered_call(Fault::TornConnection).await;
    let bound = engine.view().dead_by;
    engine.always(Endpoint::Token, Fault::TornConnection);
    engine
        .walk(SECOND * 299, SECOND, |engine| {
            assert_eq!(engine.view().dead_by, bound);
            engine.readers_are_well();
        })
        .await;
    let tally = engine.tally();
    // Each further call but one (the last chance) had its probe before it.
    assert!(tally.classic > 6, "{tally:?}");
    assert!(tally.probes + 2 >= tally.classic - 1, "{tally:?}");
    engine.walk(SECOND * 2, SECOND, |_| {}).await;
    assert!(engine.token().read().is_err(), "served past its bound: {}", engine.report());
}

#[tokio::test]
async fn unanswered_probe_means_no_issuing_call_but_the_last_chance() {
    // S2: the path loses answers, also the probe's. A call that nobody hears of could only do
    // harm, so none is made until 60 s before the bound; then one, and no other.
    let engine = after_an_unanswered_call(Fault::TornConnection).await;
    engine.always(Endpoint::Token, Fault::TornConnection);
    engine.always(Endpoint::ApiDomainIp, Fault::TornConnection);
    let calls = engine.calls(Endpoint::Token);
    engine
        .walk(SECOND * 239, SECOND, |engine| {
            assert_eq!(engine.calls(Endpoint::Token), calls, "{}", engine.report());
        })
        .await;
    assert!(engine.tally().probes >= 5, "{:?}", engine.tally());
    engine.walk(SECOND * 2, SECOND, |_| {}).await;
    assert_eq!(engine.calls(Endpoint::Token), calls + 1, "the last chance: {}", engine.report());
    engine.walk(SECOND * 302, SECOND, |_| {}).await;
    assert_eq!(engine.calls(Endpoint::Token), calls + 1, "{}", engine.report());
    assert!(engine.token().read().is_err());
    // More than 300 s after the last call a probe is answered: no lost call replaced the value,
    // which is served to its natural end again, without a further call.
    engine.wechat.control.clear_faults();
    engine.walk(SECOND * 60, SECOND, |_| {}).await;
    assert_eq!(engine.calls(Endpoint::Token), calls + 1, "{}", engine.report());
    assert_eq!(degraded(&engine), None, "{}", engine.report());
    engine.readers_are_well();
}

#[tokio::test]
async fn value_that_lost_calls_killed_is_withdrawn_and_replaced() {
    // Two lost calls in a row: the value before them is dead at once. The probe finds that out.
    let engine = after_an_unanswered_call(Fault::AnswerLost).await;
    let old = engine.value();
    engine.once(Endpoint::Token, Fault::AnswerLost);
    engine.walk(SECOND + TICK * 2, TICK, |_| {}).await;
    assert!(!engine.alive(&old), "{}", engine.report());
    engine.walk(SECOND * 3, TICK * 50, |_| {}).await;
    assert_ne!(engine.value(), old);
    engine.readers_are_well();
    assert_eq!(engine.tally(), Tally { classic: 4, probes: 2, ..Tally::default() }, "{}", engine.report());
    // Our own calls explain it: nobody is accused.
    assert_eq!(engine.events("foreign_refresh_suspected").await, []);
    assert_eq!(engine.view().foreign.count, 0);
}

#[tokio::test]
async fn value_that_lost_calls_may_have_killed_near_its_end_is_served_with_that_warning() {
    // The 300 s after the first lost call reach past the value's own end, so they do not shorten
    // its life. Readers are warned all the same: the second lost call killed it. (Found by
    // `engine_random`, seed 1: it was served as `renewal_failing`, which says that it is good.)
    let engine = Engine::classic().await;
    let end = engine.view().dead_by;
    engine.always(Endpoint::Token, Fault::errcode(40164));
    let near = end - SECOND * 200;
    engine.walk(near.since(engine.now()), SECOND * 30, Engine::readers_are_well).await;
    assert_eq!(degraded(&engine), Some(Degraded::RenewalFailing));
    let old = engine.value();
    engine.wechat.control.clear_faults();
    engine.always(Endpoint::Token, Fault::GarbageJson);
    let warned = |engine: &Engine| {
        assert_eq!(engine.value(), old);
        assert_eq!(engine.view().dead_by, end, "nothing to shorten");
        assert_eq!(degraded(engine), Some(Degraded::UnknownOutcome), "{}", engine.report());
    };
    engine.token().resume().await.unwrap();
    engine.until("the first answer is lost", |view| view.failures == 1).await;
    warned(&engine);
    assert!(engine.alive(&old));
    engine.step_to_next().await;
    engine.until("the second answer is lost", |view| view.failures == 2).await;
    warned(&engine);
    assert!(!engine.alive(&old), "{}", engine.report());
}

#[tokio::test]
async fn death_that_a_lost_call_explains_accuses_nobody() {
    // A caller meets the dead value before the retry does.
    let engine = after_an_unanswered_call(Fault::AnswerLost).await;
    engine.wechat.control.kill("wx1", zhongkong::simulator::Kind::Classic);
    assert_eq!(engine.complain().await.unwrap().outcome, Outcome::Refreshed);
    assert_eq!(engine.events("foreign_refresh_suspected").await, []);
    assert_eq!(engine.view().foreign.count, 0);
}

#[tokio::test]
async fn late_request_that_replaces_a_newer_value_is_found_out() {
    // S3, peers C3.17 (lanrion #81, WxJava #1222, the 2015 blog): a request is on its way for
    // so long that it is processed after the one that followed it. The later answer is held,
    // and dies five minutes later; 310 s after the time-out it is asked about and fetched again.
    let engine = Engine::classic().await;
    engine.once(Endpoint::Token, Fault::HoldRequest);
    let token = engine.token();
    let (forced, ()) = tokio::join!(token.force(Force::Once), async {
        engine.wechat.control.wait_held(1).await;
        engine.pass(CALL_TIMEOUT + TICK).await;
    });
    assert!(forced.is_err());
    engine.walk(SECOND * 2, TICK * 50, Engine::readers_are_well).await;
    let second = engine.value();
    assert_eq!(engine.tally(), Tally { classic: 2, probes: 1, ..Tally::default() }, "{}", engine.report());
    engine.wechat.control.release();
    engine.settle().await;
    assert_eq!(engine.tally().classic, 3, "the late request was processed");
    // Its five minutes are over a little before the look; whoever complained would be helped.
    engine.walk(SECOND * 320, SECOND, |_| {}).await;
    assert_ne!(engine.value(), second);
    engine.readers_are_well();
    assert_eq!(engine.tally(), Tally { classic: 4, probes: 2, ..Tally::default() }, "{}", engine.report());
    assert_eq!(engine.events("foreign_refresh_suspected").await, []);
}

#[tokio::test]
async fn successor_of_a_value_to_be_verified_is_verified_too() {
    // S3: before the look at the value that followed a late request, an operator replaces it.
    // The late request can as well replace the newest one.
    let engine = Engine::classic().await;
    engine.once(Endpoint::Token, Fault::HoldRequest);
    let token = engine.token();
    let (forced, ()) = tokio::join!(token.force(Force::Once), async {
        engine.wechat.control.wait_held(1).await;
        engine.pass(CALL_TIMEOUT + TICK).await;
    });
    assert!(forced.is_err());
    engine.walk(SECOND * 2, TICK * 50, |_| {}).await;
    engine.token().force(Force::Once).await.unwrap();
    engine.wechat.control.release();
    engine.settle().await;
    let third = engine.value();
    engine.walk(SECOND * 320, SECOND, |_| {}).await;
    assert_ne!(engine.value(), third, "{}", engine.report());
    engine.readers_are_well();
}

#[tokio::test]
async fn bounded_value_is_looked_at_at_once_after_a_restart_a_resume_and_a_reload() {
    // L1: what a lost call bounded must not be left to its bound because the reason to retry was
    // forgotten: by a restart, or by an operator who resumed the key or sent HUP.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Restart,
        Crash,
        Resume,
        Reload,
    }
    let mut frozen = crate::support::frozen::Frozen::start();
    for event in [Event::Restart, Event::Crash, Event::Resume, Event::Reload] {
        use crate::support::engine::{Setup, account, manual_clock};
        let setup = Setup::new(vec![account("wx1", TokenMode::Classic)]);
        let mut engine = Engine::start_with(frozen, manual_clock(), setup).await;
        engine.ready().await;
        engine.always(Endpoint::Token, Fault::TornConnection);
        engine.always(Endpoint::ApiDomainIp, Fault::TornConnection);
        assert!(engine.token().force(Force::Once).await.is_err());
        engine.walk(SECOND * 100, SECOND, |_| {}).await;
        engine.wechat.control.clear_faults();
        match event {
            Event::Restart => engine = engine.restart().await,
            Event::Crash => engine = engine.crash().await.start().await,
            Event::Resume => engine.token().resume().await.unwrap(),
            Event::Reload => {
                engine.hub.reload(vec![account("wx1", TokenMode::Classic)]).await.unwrap();
            }
        }
        engine.walk(SECOND * 3, SECOND, Engine::readers_are_well).await;
        assert_eq!(degraded(&engine), None, "{event:?}: {}", engine.report());
        engine.walk(SECOND * 400, SECOND * 5, Engine::readers_are_well).await;
        frozen = engine.end().await;
    }
}

#[tokio::test]
async fn crash_in_the_middle_of_a_call_bounds_the_value() {
    // S8, S2: the process dies while a call is under way. The next start knows it by the open
    // intent: the value is bounded from the moment of that call, not from the start.
    let engine = Engine::classic().await;
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let token = engine.token();
    let sent = engine.now();
    tokio::select! {
        _ = token.force(Force::Once) => panic!("the answer was not held"),
        () = engine.wechat.control.wait_held(1) => {}
    }
    let stopped = engine.crash().await;
    stopped.advance(SECOND * 100).await;
    stopped.wechat.control.set_mode(ServerMode::Refuses).await;
    let engine = stopped.start().await;
    engine.settle().await;
    assert_eq!(engine.view().dead_by, sent + OVERLAP, "{}", engine.report());
    engine.readers_are_well();
    engine.walk(SECOND * 202, SECOND, |_| {}).await;
    assert!(engine.token().read().is_err());
    engine.wechat.control.set_mode(ServerMode::Up).await;
    engine.walk(SECOND * 31, SECOND, |_| {}).await;
    engine.readers_are_well();
}

#[tokio::test]
async fn complaint_during_a_lost_call_is_answered_with_a_working_value() {
    // peers A2 wechat-minapp (a waiter that starts listening just after the notice), C4.33: the
    // caller complains while a call is under way whose answer is then lost.
    let engine = Engine::classic().await;
    engine.once(Endpoint::Token, Fault::HoldAnswer);
    let token = engine.token();
    let print = engine.print();
    let (forced, complaint, ()) = tokio::join!(
        token.force(Force::Once),
        token.complain(Some(print), zhongkong::model::ErrCode(42001)),
        async {
            engine.wechat.control.wait_held(1).await;
            engine.pass(CALL_TIMEOUT + TICK).await;
        },
    );
    assert!(forced.is_err());
    // The old value still works, as WeChat itself said.
    let answer = complaint.unwrap();
    assert_eq!(answer.outcome, Outcome::StillValid);
    assert!(engine.alive(answer.good.value.secret.expose()));
}
