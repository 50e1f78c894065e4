//! Each scripted fault is really seen on the socket, and really did or did not
//! leave a token behind.

use std::time::Duration;

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, ExpiresIn, Fault, Kind, Outcome, Script, Settings};

use crate::support::frozen::Frozen;
use crate::support::raw::{End, raw_get, send_get};
use crate::support::simulated::{Simulated, classic_path, errcode, text};

async fn start() -> Simulated {
    Simulated::start(Settings::default()).await
}

fn script_token(wechat: &Simulated, fault: Fault) {
    wechat.control.script(Script::once(Endpoint::Token, fault));
}

// ---- before WeChat did anything ----

#[tokio::test]
async fn refusal_comes_as_often_as_scripted_and_kills_nothing() {
    // Twice for one account; the other account is not touched.
    let _clock = Frozen::start();
    let wechat = start().await;
    let old = wechat.classic("wx1").await;
    let busy = Script::once(Endpoint::Token, Fault::errcode(-1));
    wechat.control.script(busy.times(2).only("wx1"));
    assert_eq!(errcode(&wechat.classic("wx2").await), 0);
    for _ in 0..2 {
        let refused = wechat.classic("wx1").await;
        assert_eq!(errcode(&refused), -1);
        assert!(text(&refused, "errmsg").starts_with("system error rid: "));
    }
    assert!(wechat.control.alive(text(&old, "access_token")));
    assert_eq!(wechat.control.issued(Endpoint::Token, "wx1"), 1);
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
}

#[tokio::test]
async fn scripted_40164_names_the_callers_address_or_the_scripts_words() {
    // The address has to be the one that the daemon will show its operator.
    let wechat = start().await;
    script_token(&wechat, Fault::errcode(40164));
    let own_words = Fault::Errcode { code: 40164, message: Some("invalid ip 9.9.9.9".to_owned()) };
    script_token(&wechat, own_words);
    let first = wechat.classic("wx1").await;
    assert!(text(&first, "errmsg").starts_with("invalid ip 127.0.0.1 ipv6 "));
    let second = wechat.classic("wx1").await;
    assert!(text(&second, "errmsg").starts_with("invalid ip 9.9.9.9 rid: "));
}

#[tokio::test]
async fn gateway_faults_are_seen_as_status_page_and_redirect_and_issue_nothing() {
    // Things between us and WeChat answer in its place.
    let wechat = start().await;
    script_token(&wechat, Fault::HttpStatus(502));
    script_token(&wechat, Fault::HtmlPage);
    script_token(&wechat, Fault::Redirect("http://127.0.0.1:1/x".to_owned()));
    let path = classic_path("wx1");
    let answer = wechat.try_get(&path).await.unwrap();
    assert_eq!(answer.status(), 502);
    let answer = wechat.try_get(&path).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let answer = wechat.try_get(&path).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "http://127.0.0.1:1/x");
    assert_eq!(wechat.control.current("wx1", Kind::Classic), None);
    let outcomes: Vec<_> = wechat.control.calls().iter().map(|c| c.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotProcessed; 3]);
}

#[tokio::test]
async fn torn_connection_is_a_reset_and_the_call_was_not_processed() {
    // The request arrived; whether it was processed the caller cannot know.
    let wechat = start().await;
    script_token(&wechat, Fault::TornConnection);
    let seen = raw_get(wechat.addr, &classic_path("wx1")).await;
    assert_eq!((seen.bytes.len(), seen.end), (0, End::Reset));
    assert_eq!(wechat.control.current("wx1", Kind::Classic), None);
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 1);
    assert_eq!(wechat.control.calls()[0].fault, Some("torn_connection"));
}

// ---- after WeChat did its work ----

#[tokio::test]
async fn lost_answer_issued_a_token_and_began_the_overlap_of_the_old_one() {
    // The worst case of classic mode: the caller has the old token and no news.
    let clock = Frozen::start();
    let wechat = start().await;
    let old = wechat.classic("wx1").await;
    let old = text(&old, "access_token");
    script_token(&wechat, Fault::AnswerLost);
    let seen = raw_get(wechat.addr, &classic_path("wx1")).await;
    assert_eq!((seen.bytes.len(), seen.end), (0, End::Closed));
    let lost = wechat.control.current("wx1", Kind::Classic).unwrap();
    assert_ne!(lost, old);
    assert_eq!(wechat.control.calls()[1].outcome, Outcome::Issued);
    assert!(wechat.control.alive(old));
    clock.advance_secs(300).await;
    assert!(!wechat.control.alive(old));
    assert!(wechat.control.alive(&lost));
}

#[tokio::test]
async fn truncated_answer_promises_more_bytes_than_it_sends() {
    // A client has to notice by the length, not by the close.
    let wechat = start().await;
    script_token(&wechat, Fault::TruncatedJson);
    let seen = raw_get(wechat.addr, &classic_path("wx1")).await;
    assert!(seen.body().starts_with("{\"access_token\":\""));
    assert!(!seen.body().is_empty() && seen.body().len() < seen.content_length());
    assert_eq!(seen.end, End::Closed);

    script_token(&wechat, Fault::TruncatedJson);
    let answer = wechat.try_get(&classic_path("wx1")).await.unwrap();
    assert!(answer.text().await.is_err(), "reqwest notices too");
    assert_eq!(wechat.control.issued(Endpoint::Token, "wx1"), 2);
}

#[tokio::test]
async fn unreadable_answers_came_after_a_token_was_issued() {
    // Garbage, nothing, and a gateway's 504: the token exists all the same.
    let wechat = start().await;
    let faults = [(Fault::GarbageJson, 200), (Fault::EmptyBody, 200), (Fault::HttpStatusAfter(504), 504)];
    for (number, (fault, status)) in (1..).zip(faults) {
        script_token(&wechat, fault.clone());
        let answer = wechat.try_get(&classic_path("wx1")).await.unwrap();
        assert_eq!(answer.status(), status);
        let body = answer.text().await.unwrap();
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert_eq!(wechat.control.issued(Endpoint::Token, "wx1"), number);
        assert_eq!(body.is_empty(), fault == Fault::EmptyBody);
    }
}

#[tokio::test]
async fn odd_fields_stand_in_answers_that_are_otherwise_good() {
    // Every form of expires_in and of the token that a parser may stumble over.
    let wechat = start().await;
    let lives = [
        (ExpiresIn::Zero, Some(json!(0))),
        (ExpiresIn::Negative, Some(json!(-1))),
        (ExpiresIn::Huge, Some(json!(9_999_999_999_u64))),
        (ExpiresIn::Missing, None),
        (ExpiresIn::NotANumber, Some(json!("soon"))),
        (ExpiresIn::Text("7200".to_owned()), Some(json!("7200"))),
        (ExpiresIn::Value(86_401), Some(json!(86_401))),
    ];
    for (instead, wanted) in lives {
        script_token(&wechat, Fault::ExpiresIn(instead));
        let answer = wechat.classic("wx1").await;
        assert_eq!(answer.get("expires_in"), wanted.as_ref());
        assert!(wechat.control.alive(text(&answer, "access_token")));
    }
    script_token(&wechat, Fault::EmptyToken);
    let answer = wechat.classic("wx1").await;
    assert_eq!(answer.get("access_token"), Some(&json!("")));
    script_token(&wechat, Fault::MissingToken);
    let answer = wechat.classic("wx1").await;
    assert_eq!(answer.get("access_token"), None);

    let token = wechat.stable("wx1").await;
    let token = text(&token, "access_token");
    wechat.control.script(Script::once(Endpoint::Ticket, Fault::MissingToken));
    let answer = wechat.ticket(token, "jsapi").await;
    assert_eq!((errcode(&answer), answer.get("ticket")), (0, None));
}

#[tokio::test]
async fn slow_answer_comes_after_its_time_and_was_processed_before() {
    // What a client's time-out meets: issued at once, answered in three seconds.
    let clock = Frozen::start();
    let wechat = start().await;
    script_token(&wechat, Fault::Slow(Duration::from_secs(3)));
    let answered = std::cell::Cell::new(false);
    let call = async {
        wechat.classic("wx1").await;
        answered.set(true);
    };
    let time = async {
        wechat.control.wait_for(|log| log.issued(Endpoint::Token, "wx1") == 1).await;
        clock.advance(Duration::from_millis(2999)).await;
        // Another round trip: the slow answer had every chance to come.
        wechat.stable("wx2").await;
        assert!(!answered.get());
        clock.advance(Duration::from_millis(2)).await;
    };
    tokio::join!(call, time);
    assert!(answered.get());
}

// ---- held ----

#[tokio::test]
async fn held_answer_comes_when_it_is_released() {
    // The token exists at WeChat; its answer is on its way for as long as we like.
    let _clock = Frozen::start();
    let wechat = start().await;
    script_token(&wechat, Fault::HoldAnswer);
    let release = async {
        wechat.control.wait_held(1).await;
        wechat.control.wait_for(|log| log.issued(Endpoint::Token, "wx1") == 1).await;
        wechat.control.release();
    };
    let (answer, ()) = tokio::join!(wechat.classic("wx1"), release);
    assert_eq!(wechat.control.current("wx1", Kind::Classic).as_deref(), Some(text(&answer, "access_token")));
    assert_eq!(wechat.control.held(), 0);
}

#[tokio::test]
async fn held_answer_is_dropped_when_its_caller_goes() {
    // A client that timed out leaves nothing behind in the simulator.
    let _clock = Frozen::start();
    let wechat = start().await;
    script_token(&wechat, Fault::HoldAnswer);
    let stream = send_get(wechat.addr, &classic_path("wx1")).await;
    wechat.control.wait_held(1).await;
    drop(stream);
    wechat.control.wait_held_at_most(0).await;
}

#[tokio::test]
async fn held_request_is_processed_on_release_even_when_its_caller_has_gone() {
    // Swapped answers: our second call is served first, then WeChat gets to the
    // first one, which replaces the token that we hold.
    let _clock = Frozen::start();
    let wechat = start().await;
    script_token(&wechat, Fault::HoldRequest);
    let stream = send_get(wechat.addr, &classic_path("wx1")).await;
    wechat.control.wait_held(1).await;
    assert_eq!(wechat.control.current("wx1", Kind::Classic), None);
    // Not only gone: reset, the rudest way to go.
    stream.set_zero_linger().unwrap();
    drop(stream);
    let ours = wechat.classic("wx1").await;
    let ours = text(&ours, "access_token");
    wechat.control.release();
    wechat.control.wait_for(|log| log.issued(Endpoint::Token, "wx1") == 2).await;
    let late = wechat.control.current("wx1", Kind::Classic).unwrap();
    assert_ne!(late, ours);
    assert!(wechat.control.alive(ours), "in its overlap");
    let last = wechat.control.calls().pop().unwrap();
    assert_eq!(last.fault, Some("hold_request"));
}

#[tokio::test]
async fn held_requests_are_released_one_by_one_in_their_order() {
    // A test can decide what WeChat sees first.
    let _clock = Frozen::start();
    let wechat = start().await;
    let hold = Script::once(Endpoint::Token, Fault::HoldRequest);
    wechat.control.script(hold.times(2));
    let _first = send_get(wechat.addr, &classic_path("wx1")).await;
    wechat.control.wait_held(1).await;
    let _second = send_get(wechat.addr, &classic_path("wx2")).await;
    wechat.control.wait_held(2).await;
    for appid in ["wx1", "wx2"] {
        wechat.control.release_next();
        wechat.control.wait_for(|log| log.count(Endpoint::Token, appid) == 1).await;
    }
    let order: Vec<_> = wechat.control.calls().into_iter().map(|c| c.appid).collect();
    assert_eq!(order, ["wx1", "wx2"]);
}
