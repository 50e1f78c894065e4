//! Tickets: fetched with their account's token, and otherwise with a life of their own.

use std::time::Duration;

use zhongkong::hub::AccountSettings;
use zhongkong::model::{Cause, ErrCode, Kind, TokenMode};
use zhongkong::refresh::gate::IN_FLIGHT;
use zhongkong::refresh::handle::{Handle, NoValue, Outcome};
use zhongkong::refresh::view::{Degraded, Next, ProblemClass, State};
use zhongkong::simulator::{self, Endpoint, Fault, Script, TicketRule};

use crate::support::engine::{Engine, Setup, TICK, account, text};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn with_ticket(appid: &str, mode: TokenMode) -> AccountSettings {
    AccountSettings { tickets: vec![Kind::JsapiTicket], ..account(appid, mode) }
}

fn setup(mode: TokenMode, rule: TicketRule) -> Setup {
    let simulator = simulator::Settings { ticket_rule: rule, ..simulator::Settings::default() };
    Setup { simulator, ..Setup::new(vec![with_ticket("wx1", mode)]) }
}

async fn ready(rule: TicketRule) -> Engine {
    let engine = Engine::start(setup(TokenMode::Classic, rule)).await;
    engine.ready().await;
    engine
}

fn ticket(engine: &Engine) -> Handle {
    engine.handle("wx1", Kind::JsapiTicket)
}

/// The cause of the ticket's latest attempt.
fn cause(engine: &Engine) -> Option<Cause> {
    ticket(engine).view().last.as_ref().map(|last| last.cause)
}

#[tokio::test]
async fn ticket_waits_for_its_parent_and_is_fetched_at_once_when_that_comes() {
    // WeChat holds the token back: nothing can be asked with. The moment it comes, the ticket
    // is fetched, not at the next look a minute later.
    let setup = setup(TokenMode::Classic, TicketRule::SameStringWithinLife);
    let engine = Engine::start_scripted(setup, [Script::once(Endpoint::Token, Fault::HoldAnswer)]).await;
    engine.wechat.control.wait_held(1).await;
    engine.settle().await;
    assert_eq!(ticket(&engine).view().next, Next::ParentMissing);
    assert_eq!(engine.calls(Endpoint::Ticket), 0);
    engine.wechat.control.release();
    engine.ready().await;
    assert_eq!(engine.calls(Endpoint::Ticket), 1);
    assert_eq!(cause(&engine), Some(Cause::Parent));
}

#[tokio::test]
async fn new_parent_does_not_make_a_ticket_old() {
    // The token is replaced after a complaint and by the schedule, and even goes missing for a
    // while: the ticket, which is not due, is not fetched again for any of that.
    let engine = ready(TicketRule::SameStringWithinLife).await;
    let dated = text(&ticket(&engine));
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    let answer = engine.token().complain(Some(engine.print()), ErrCode(40001)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Refreshed);
    engine.settle().await;
    assert_eq!(engine.calls(Endpoint::Ticket), 1);
    // Dead, and WeChat busy: the parent is missing until it recovers.
    engine.wechat.control.kill("wx1", simulator::Kind::Classic);
    engine.wechat.control.script(Script::once(Endpoint::Token, Fault::errcode(-1)));
    engine.token().complain(Some(engine.print()), ErrCode(40001)).await.unwrap_err();
    engine.settle().await;
    assert_eq!(ticket(&engine).view().next, Next::ParentMissing);
    assert_eq!(text(&ticket(&engine)), dated, "a ticket is served without its parent");
    engine.pass(Duration::from_secs(5)).await;
    assert!(engine.token().read().is_ok());
    assert_eq!(engine.calls(Endpoint::Ticket), 1, "{}", engine.report());
}

#[tokio::test]
async fn ticket_refused_for_its_parent_is_a_complaint_to_the_parent_and_one_retry() {
    // Somebody else fetched a token, so the daemon's is dead and nobody has noticed. The
    // ticket's fetch notices: the token is replaced and the ticket comes, in one go.
    let engine = ready(TicketRule::NewEachCall).await;
    for (round, errcode) in (1..).zip([40_001, 40_014, 42_001]) {
        let before = engine.tally();
        engine.wechat.control.kill("wx1", simulator::Kind::Classic);
        engine.wechat.control.script(Script::once(Endpoint::Ticket, Fault::errcode(errcode)));
        let seen = ticket(&engine).read().unwrap().value.fingerprint;
        let answer = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Refreshed, "{errcode}");
        let after = engine.tally();
        assert_eq!(after.tickets - before.tickets, 2);
        assert_eq!(after.probes - before.probes, 1, "the parent is asked about before it is given up");
        assert_eq!(after.classic - before.classic, 1);
        assert_eq!(engine.token().view().foreign.count, round);
        engine.pass(MINUTE).await;
    }
}

#[tokio::test]
async fn ticket_refused_while_its_parent_is_alive_needs_an_operator() {
    // WeChat accepts the token elsewhere and refuses it for tickets, again and again: the
    // account lacks a permission. No token is burnt for that, and the retries are slow.
    let engine = ready(TicketRule::SameStringWithinLife).await;
    let good = text(&ticket(&engine));
    engine.wechat.control.script(Script::forever(Endpoint::Ticket, Fault::errcode(40_001)));
    let seen = ticket(&engine).read().unwrap().value.fingerprint;
    let refused = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap_err();
    engine.settle().await;
    let view = ticket(&engine).view();
    let problem = view.problem.clone().unwrap();
    assert_eq!(problem.class, ProblemClass::Operator, "{refused:?}");
    assert!(problem.action.contains("permission"), "{}", problem.action);
    assert_eq!(engine.tally().classic, 1);
    assert_eq!(text(&ticket(&engine)), good, "the good one is not hidden");
    let tickets = engine.tally().tickets;
    engine.walk(HOUR, MINUTE, |_| {}).await;
    let asked = engine.tally().tickets - tickets;
    assert!((4..=30).contains(&asked), "{asked} fetches in an hour");
    assert_eq!(engine.tally().classic, 1);
    // The permission comes back: no operator has to tell the daemon.
    engine.wechat.control.clear_faults();
    engine.walk(Duration::from_secs(610), MINUTE, |_| {}).await;
    assert!(ticket(&engine).view().problem.is_none());
}

#[tokio::test]
async fn failing_ticket_keeps_the_good_one_and_is_retried_within_a_minute() {
    // ZhihaoJun waits for the next token after one failure; silenceper signs with an empty
    // string. Here each bad answer leaves the good ticket, and the retry comes by itself.
    let bad = [
        Fault::errcode(-1),
        Fault::EmptyToken,
        Fault::MissingToken,
        Fault::GarbageJson,
        Fault::TornConnection,
        Fault::HttpStatus(502),
        Fault::ExpiresIn(simulator::ExpiresIn::Zero),
    ];
    let engine = ready(TicketRule::NewEachCall).await;
    for fault in bad {
        let name = fault.name();
        let calls = engine.calls(Endpoint::Ticket);
        let good = text(&ticket(&engine));
        engine.wechat.control.script(Script::once(Endpoint::Ticket, fault));
        let Next::At(due) = ticket(&engine).view().next else { panic!("{name}: nothing is planned") };
        while engine.now() < due {
            engine.walk(due.since(engine.now()) + TICK, HOUR, |_| {}).await;
        }
        assert_eq!(engine.calls(Endpoint::Ticket), calls + 1, "{name}");
        let read = ticket(&engine).read().unwrap();
        assert_eq!(read.value.secret.expose(), good, "{name}");
        assert_eq!(read.state, State::Degraded(Degraded::RenewalFailing), "{name}");
        engine.walk(Duration::from_secs(2), Duration::from_secs(1), |_| {}).await;
        assert_eq!(engine.calls(Endpoint::Ticket), calls + 2, "{name}");
        assert_ne!(text(&ticket(&engine)), good, "{name}");
        assert_eq!(ticket(&engine).read().unwrap().state, State::Fresh, "{name}");
    }
    assert_eq!(engine.tally().probes, 0, "no failure of a ticket was taken for one of the token");
}

#[tokio::test]
async fn ticket_that_wechat_repeats_with_an_overstated_life_keeps_the_earlier_end() {
    // WeChat says 7200 s at every repeat. Believed, the ticket would never end.
    let engine = ready(TicketRule::SameStringOverstated).await;
    let end = ticket(&engine).view().dead_by;
    let first = text(&ticket(&engine));
    let mut asked = vec![engine.calls(Endpoint::Ticket)];
    for _ in 0..6 {
        engine.walk(10 * MINUTE, 10 * MINUTE, |_| {}).await;
        asked.push(engine.calls(Endpoint::Ticket));
    }
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 1 && pair[1] - pair[0] <= 2), "{asked:?}");
    assert_eq!(text(&ticket(&engine)), first);
    assert_eq!(ticket(&engine).view().dead_by, end);
}

#[tokio::test]
async fn ticket_that_does_not_rotate_is_prolonged_by_five_minutes_and_asked_for_each_minute() {
    // The stated end comes and WeChat still repeats the string: it is served on, with a
    // warning, never more than five minutes ahead, until the string changes.
    let engine = Engine::start(Setup {
        simulator: simulator::Settings {
            ticket_rule: TicketRule::SameStringOverstated,
            ticket_life: 4 * HOUR,
            ..simulator::Settings::default()
        },
        ..Setup::new(vec![with_ticket("wx1", TokenMode::Classic)])
    })
    .await;
    // WeChat states two hours, and means four.
    engine
        .wechat
        .control
        .script(Script::forever(Endpoint::Ticket, Fault::ExpiresIn(simulator::ExpiresIn::Value(7_200))));
    engine.ready().await;
    let first = text(&ticket(&engine));
    let stated = ticket(&engine).view().dead_by;
    engine
        .walk(stated.since(engine.now()), 5 * MINUTE, |engine| assert_eq!(text(&ticket(engine)), first))
        .await;
    let read = ticket(&engine).read().unwrap();
    assert_eq!(read.state, State::Degraded(Degraded::TicketNotRotated));
    let before = engine.calls(Endpoint::Ticket);
    engine
        .walk(HOUR, MINUTE, |engine| {
            let read = ticket(engine).read().unwrap();
            assert_eq!(read.value.secret.expose(), first);
            assert!(read.remaining <= Duration::from_secs(300));
            assert_eq!(read.state, State::Degraded(Degraded::TicketNotRotated));
        })
        .await;
    let asked = engine.calls(Endpoint::Ticket) - before;
    assert!((55..=75).contains(&asked), "{asked} in an hour");
    // It rotates: fresh again.
    engine.walk(HOUR + 10 * MINUTE, MINUTE, |engine| drop(text(&ticket(engine)))).await;
    assert_ne!(text(&ticket(&engine)), first);
    assert_eq!(ticket(&engine).read().unwrap().state, State::Fresh);
}

#[tokio::test]
async fn ticket_repeated_to_its_last_second_is_never_served_dead() {
    // Two simulated days, looked at in the middle of every minute. WeChat repeats the string
    // until it dies, so the next one can only be had at that instant.
    let engine = ready(TicketRule::SameStringWithinLife).await;
    walk_two_days(&engine).await;
    let calls = engine.calls(Endpoint::Ticket);
    assert!(calls < 500, "{calls} calls in two days");
}

#[tokio::test]
async fn ticket_that_is_new_at_each_call_is_never_missing_or_dead() {
    // Two simulated days of a WeChat that issues a ticket whenever it is asked.
    let engine = ready(TicketRule::NewEachCall).await;
    walk_two_days(&engine).await;
    let calls = engine.calls(Endpoint::Ticket);
    assert!(calls < 60, "{calls} calls in two days: a dated ticket is asked for once in its life");
}

/// There is always a ticket that WeChat accepts, but for the round trip at its end.
async fn walk_two_days(engine: &Engine) {
    let mut looks = 0;
    engine
        .walk(48 * HOUR, MINUTE, |engine| {
            if let Ok(good) = ticket(engine).read() {
                looks += 1;
                assert!(engine.alive(good.value.secret.expose()), "dead: {}", engine.report());
            } else {
                let due = matches!(ticket(engine).view().next, Next::At(at) if at <= engine.now());
                assert!(due || engine.gate.free() < IN_FLIGHT, "nobody asks: {}", engine.report());
            }
        })
        .await;
    assert!(looks > 5_000, "{looks}");
}

#[tokio::test]
async fn complaints_about_a_ticket_cause_one_call_a_minute_and_say_whether_it_changed() {
    // Nobody can ask WeChat whether a ticket works. One more getticket says whether there is a
    // newer one.
    let engine = ready(TicketRule::SameStringWithinLife).await;
    let seen = ticket(&engine).read().unwrap().value.fingerprint;
    let answer = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Unchanged);
    let refused = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap_err();
    let NoValue::Exhausted { retry_after, .. } = refused else { panic!("{refused:?}") };
    assert!(retry_after <= MINUTE && retry_after + TICK > MINUTE, "{retry_after:?}");
    assert_eq!(engine.calls(Endpoint::Ticket), 2);
    engine.pass(MINUTE).await;
    engine.wechat.control.kill("wx1", simulator::Kind::JsapiTicket);
    let answer = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Refreshed);
    assert!(engine.alive(answer.good.value.secret.expose()));
    let late = ticket(&engine).complain(Some(seen), ErrCode(0)).await.unwrap();
    assert_eq!(late.outcome, Outcome::AlreadyReplaced);
    assert_eq!(engine.calls(Endpoint::Ticket), 3);
}

#[tokio::test]
async fn many_tickets_complaining_to_their_parents_through_a_narrow_gate_do_not_deadlock() {
    // 64 accounts whose tokens died, two calls in flight at most. A ticket that kept its permit
    // while its parent needs one would stop everything.
    let names: Vec<String> = (0..64).map(|number| format!("wx{number}")).collect();
    let accounts = names.iter().map(|name| with_ticket(name, TokenMode::Classic)).collect();
    let engine = Engine::start(Setup { in_flight: 2, ..Setup::new(accounts) }).await;
    engine.ready().await;
    for name in &names {
        engine.wechat.control.kill(name, simulator::Kind::Classic);
    }
    let complaints = names.iter().map(|name| {
        let handle = engine.handle(name, Kind::JsapiTicket);
        let seen = handle.read().unwrap().value.fingerprint;
        async move { handle.complain(Some(seen), ErrCode(0)).await }
    });
    for answer in futures_util::future::join_all(complaints).await {
        assert_eq!(answer.unwrap().outcome, Outcome::Unchanged);
    }
    assert_eq!(engine.tally().classic, 128);
    assert_eq!(engine.tally().tickets, 64 * 3);
}

#[tokio::test]
async fn stored_ticket_is_served_after_a_restart_without_a_call() {
    // C5: neither fetched at every start nor cached for ever.
    let engine = ready(TicketRule::SameStringWithinLife).await;
    let before = (text(&ticket(&engine)), ticket(&engine).view().dead_by, engine.tally());
    let engine = engine.restart().await;
    engine.settle().await;
    assert_eq!((text(&ticket(&engine)), ticket(&engine).view().dead_by, engine.tally()), before);
    assert!(ticket(&engine).view().last.is_none(), "no attempt was made");
}
