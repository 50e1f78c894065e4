//! What a program that is slow or down costs: a bounded number of messages a bounded time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use zhongkong::services::messages::forward::{Forwarder, Settings};
use zhongkong::services::messages::handler::MessageHandler as _;

use super::super::support::frozen::Frozen;
use super::super::support::logged::Logged;
use super::program::{Program, Script, json, says};
use super::{ask, clock, replied, sentence, settings, text};

/// When the answer to WeChat has to leave.
const DEADLINE: Duration = Duration::from_millis(4_500);
/// What makes a timer that is due now due: tokio rounds them up.
const A_BIT: Duration = Duration::from_millis(10);

fn with(program: &Program, timeout: Duration, concurrency: usize) -> Arc<Forwarder> {
    let settings = Settings { timeout, concurrency, ..settings(&program.url()) };
    Arc::new(Forwarder::new(settings, clock()).unwrap())
}

#[tokio::test]
async fn answer_after_the_deadline_still_comes_from_the_one_request() {
    // The desk gives up waiting at 4.5 s and says success; the handler goes on beside it.
    let frozen = Frozen::start();
    let program = Program::start(Script::Stalls(Vec::new())).await;
    let forwarder = with(&program, Duration::from_secs(20), 1);
    let mut running = JoinSet::new();
    running.spawn(async move { forwarder.handle(&text("slow")).await });
    program.got(1).await;
    let (waited, ()) = tokio::join!(timeout(DEADLINE, running.join_next()), frozen.advance(DEADLINE + A_BIT));
    assert!(waited.is_err(), "it answered in time");
    frozen.advance(Duration::from_secs(10)).await;
    assert!(running.try_join_next().is_none(), "it gave up before its own limit");
    frozen.advance(Duration::from_secs(6)).await;
    let error = running.join_next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the program \"crm\" did not begin to answer within 20s");
    assert_eq!(program.requests().len(), 1);
}

#[tokio::test]
async fn messages_beyond_the_places_wait_at_most_their_time_and_only_so_many() {
    let frozen = Frozen::start();
    let program = Program::start(Script::Stalls(Vec::new())).await;
    let forwarder = with(&program, Duration::from_secs(10), 2);
    let mut running = JoinSet::new();
    let mut start = |count| {
        for _ in 0..count {
            let forwarder = forwarder.clone();
            running.spawn(async move { forwarder.handle(&text("x")).await.unwrap_err().to_string() });
        }
    };
    start(2);
    program.got(2).await;
    frozen.advance(Duration::from_secs(1)).await;
    start(16);
    // They stand in line once they have been polled.
    tokio::task::yield_now().await;
    let crowded = sentence(&forwarder).await;
    let end = "was not asked: all its 2 places are taken, and as many wait as may; raise its concurrency, or make it faster";
    assert_eq!(crowded, format!("the program \"crm\" {end}"));

    // The first ones' time is up and two others go, who get one second more than they waited.
    frozen.advance(Duration::from_secs(9) + A_BIT).await;
    program.got(4).await;
    frozen.advance(Duration::from_secs(1)).await;
    let mut ends = running.join_all().await;
    ends.sort();
    let limit = |end: &str| format!("the program \"crm\" {end}");
    let mut expected = vec![limit("did not begin to answer within 10s"); 4];
    expected.extend(vec![limit("was not asked within 10s: all its 2 places were taken"); 14]);
    assert_eq!(ends, expected);
    assert_eq!(program.requests().len(), 4);
}

#[tokio::test]
async fn message_whose_turn_comes_in_time_is_asked_about() {
    let _frozen = Frozen::start();
    let program = Program::start(json(r#"{"reply":{"text":"hi"}}"#)).await;
    let forwarder = with(&program, Duration::from_secs(10), 1);
    let mut running = JoinSet::new();
    for _ in 0..9 {
        let forwarder = forwarder.clone();
        running.spawn(async move { forwarder.handle(&text("x")).await.unwrap() });
    }
    assert_eq!(running.join_all().await, vec![replied("hi"); 9]);
    assert_eq!(program.connections(), 1);
}

#[tokio::test]
async fn program_that_fails_in_a_row_is_left_alone_and_found_again_by_itself() {
    // An outage of some minutes under load: two lines in the log, one request in five seconds.
    let frozen = Frozen::start();
    let (logged, _guard) = Logged::start();
    let program = Program::start(Script::Says(says("500 Oops", "text/plain", "private"))).await;
    let forwarder = with(&program, Duration::from_secs(10), 4);
    for _ in 0..5 {
        assert_eq!(sentence(&forwarder).await, "the program \"crm\" answered with HTTP status 500");
    }
    let resting = |failures| {
        format!(
            "the program \"crm\" was not asked: it failed {failures} times in a row, and is tried again within seconds"
        )
    };
    for round in 0..20 {
        for _ in 0..100 {
            assert_eq!(sentence(&forwarder).await, resting(5 + round));
        }
        frozen.advance(Duration::from_secs(5)).await;
        assert!(sentence(&forwarder).await.contains("status 500"));
    }
    assert_eq!(program.requests().len(), 25);

    program.set(json(r#"{"reply":{"text":"back"}}"#));
    assert_eq!(sentence(&forwarder).await, resting(25));
    frozen.advance(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(ask(&forwarder).await.unwrap(), replied("back"));
    }
    let lines = logged.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("failed 5 times in a row"), "{lines:#?}");
    assert!(lines[0].contains("the last time it answered with HTTP status 500"), "{lines:#?}");
    assert!(lines[1].contains("INFO") && lines[1].contains("recovered after 25 failures"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("private") || line.contains("hook")), "{lines:#?}");
}

#[tokio::test]
async fn try_whose_message_is_given_up_leaves_the_next_try_to_another() {
    let frozen = Frozen::start();
    let program = Program::start(Script::Says(says("503 Busy", "text/plain", ""))).await;
    let forwarder = with(&program, Duration::from_secs(10), 4);
    for _ in 0..5 {
        assert!(sentence(&forwarder).await.contains("503"));
    }
    frozen.advance(Duration::from_secs(5)).await;
    program.set(Script::Stalls(Vec::new()));
    let mut running = JoinSet::new();
    let asker = forwarder.clone();
    running.spawn(async move { asker.handle(&text("x")).await });
    program.got(6).await;
    assert!(sentence(&forwarder).await.contains("was not asked"));
    running.shutdown().await;
    program.set(json(r#"{"reply":{"text":"back"}}"#));
    assert_eq!(ask(&forwarder).await.unwrap(), replied("back"));
}

#[tokio::test]
async fn program_that_answers_wrongly_is_up_and_is_asked_every_time() {
    let _frozen = Frozen::start();
    let program = Program::start(json("{}")).await;
    let forwarder = with(&program, Duration::from_secs(10), 4);
    for _ in 0..20 {
        assert!(sentence(&forwarder).await.contains("it has no reply"));
    }
    assert_eq!(program.requests().len(), 20);
}
