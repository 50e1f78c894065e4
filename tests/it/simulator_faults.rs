//! Each scripted fault is really seen on the socket, and really did or did not
//! leave a token behind.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhongkong::simulator::{
    Endpoint, ExpiresIn, Fault, Kind, Outcome, Script, ServerMode, Settings,
};

use crate::support::frozen::Frozen;
use crate::support::simulated::{Simulated, classic_path, errcode, text};

/// What a bare socket saw of an answer.
struct Seen {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The server closed in good order.
    Closed,
    /// The server reset the connection.
    Reset,
}

impl Seen {
    fn body(&self) -> &str {
        let whole = std::str::from_utf8(&self.bytes).unwrap();
        whole.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn content_length(&self) -> usize {
        let whole = std::str::from_utf8(&self.bytes).unwrap();
        let (_, rest) = whole.split_once("Content-Length: ").unwrap();
        rest.split_once("\r\n").unwrap().0.parse().unwrap()
    }
}

/// One `GET` on a bare socket, read until its end.
async fn raw_get(addr: SocketAddr, path: &str) -> Seen {
    let mut stream = send_get(addr, path).await;
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes).await {
        Ok(_) => End::Closed,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            End::Reset
        }
    };
    Seen { bytes, end }
}

async fn send_get(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

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
    let own_words = Fault::Errcode {
        code: 40164,
        message: Some("invalid ip 9.9.9.9".to_owned()),
    };
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
    let faults = [
        (Fault::GarbageJson, 200),
        (Fault::EmptyBody, 200),
        (Fault::HttpStatusAfter(504), 504),
    ];
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
    wechat
        .control
        .script(Script::once(Endpoint::Ticket, Fault::MissingToken));
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
        wechat
            .control
            .wait_for(|log| log.issued(Endpoint::Token, "wx1") == 1)
            .await;
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
        wechat
            .control
            .wait_for(|log| log.issued(Endpoint::Token, "wx1") == 1)
            .await;
        wechat.control.release();
    };
    let (answer, ()) = tokio::join!(wechat.classic("wx1"), release);
    assert_eq!(
        wechat.control.current("wx1", Kind::Classic).as_deref(),
        Some(text(&answer, "access_token"))
    );
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
    wechat
        .control
        .wait_for(|log| log.issued(Endpoint::Token, "wx1") == 2)
        .await;
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
        wechat
            .control
            .wait_for(|log| log.count(Endpoint::Token, appid) == 1)
            .await;
    }
    let order: Vec<_> = wechat
        .control
        .calls()
        .into_iter()
        .map(|c| c.appid)
        .collect();
    assert_eq!(order, ["wx1", "wx2"]);
}

// ---- the whole server ----

#[tokio::test]
async fn busy_server_says_minus_one_to_every_endpoint() {
    // WeChat's own way of being down.
    let wechat = start().await;
    let token = wechat.stable("wx1").await;
    wechat.control.set_mode(ServerMode::Busy).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), -1);
    assert_eq!(errcode(&wechat.stable("wx1").await), -1);
    assert_eq!(wechat.probe(text(&token, "access_token")).await, -1);
    wechat.control.set_mode(ServerMode::Up).await;
    assert_eq!(wechat.probe(text(&token, "access_token")).await, 0);
}

#[tokio::test]
async fn refusing_server_is_a_connect_error_and_comes_back_on_the_same_port() {
    // Never sent: the one failure after which a caller may be sure.
    let wechat = start().await;
    wechat.classic("wx1").await;
    wechat.control.set_mode(ServerMode::Refuses).await;
    let error = TcpStream::connect(wechat.addr).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(wechat.try_get("/_sim/").await.unwrap_err().is_connect());
    wechat.control.set_mode(ServerMode::Up).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 2);
    wechat.stop().await;
}

#[tokio::test]
async fn closing_server_resets_every_call_and_still_obeys_its_control_page() {
    // Set and ended over HTTP, as a person does with curl.
    let wechat = start().await;
    wechat
        .post("/_sim/mode", &json!({ "mode": "closes" }))
        .await;
    let seen = raw_get(wechat.addr, &classic_path("wx1")).await;
    assert_eq!((seen.bytes.len(), seen.end), (0, End::Reset));
    wechat.post("/_sim/mode", &json!({ "mode": "up" })).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
}

#[tokio::test]
async fn silent_server_takes_calls_and_never_answers() {
    // Only the caller's own time-out ends this.
    let _clock = Frozen::start();
    let wechat = start().await;
    wechat.control.set_mode(ServerMode::Silent).await;
    let mut stream = send_get(wechat.addr, &classic_path("wx1")).await;
    wechat
        .control
        .wait_for(|log| log.count(Endpoint::Token, "wx1") == 1)
        .await;
    // A whole round trip of the control page later there is still nothing.
    wechat.get("/_sim/state").await;
    let mut byte = [0];
    let nothing = stream.try_read(&mut byte).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    wechat.control.set_mode(ServerMode::Up).await;
    assert_eq!(
        stream.read(&mut byte).await.unwrap(),
        0,
        "closed unanswered"
    );
    assert_eq!(wechat.control.current("wx1", Kind::Classic), None);
}

#[tokio::test]
async fn latency_delays_every_answer() {
    // A far-away WeChat.
    let clock = Frozen::start();
    let wechat = start().await;
    wechat.control.set_latency(Duration::from_millis(200));
    let time = async {
        wechat
            .control
            .wait_for(|log| log.count_all(Endpoint::Token) == 1)
            .await;
        clock.advance(Duration::from_millis(201)).await;
    };
    let before = tokio::time::Instant::now();
    tokio::join!(wechat.classic("wx1"), time);
    assert!(before.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn stopped_simulator_serves_again_elsewhere_with_all_it_knew() {
    // WeChat does not forget its tokens when a test moves it.
    let wechat = start().await;
    let token = wechat.classic("wx1").await;
    let same = wechat.simulator.clone();
    wechat.stop().await;
    let wechat = Simulated::resume(same).await;
    assert_eq!(wechat.probe(text(&token, "access_token")).await, 0);
}

// ---- over HTTP ----

#[tokio::test]
async fn every_fault_can_be_scripted_over_http_under_the_name_in_the_log() {
    // The page's list, the parser and the log agree on the names.
    let wechat = start().await;
    let scripts = [
        json!({ "fault": "errcode", "errcode": -1 }),
        json!({ "fault": "http_status", "status": 500 }),
        json!({ "fault": "http_status_after", "status": 502 }),
        json!({ "fault": "html_page" }),
        json!({ "fault": "truncated_json" }),
        json!({ "fault": "garbage_json" }),
        json!({ "fault": "empty_body" }),
        json!({ "fault": "slow", "ms": 1 }),
        json!({ "fault": "torn_connection" }),
        json!({ "fault": "answer_lost" }),
        json!({ "fault": "expires_in", "expires_in": "soon" }),
        json!({ "fault": "empty_token" }),
        json!({ "fault": "missing_token" }),
        json!({ "fault": "redirect", "location": "/" }),
        json!({ "fault": "hold_answer" }),
        json!({ "fault": "hold_request" }),
    ];
    let help = wechat
        .try_get("/_sim/")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for (done, mut script) in scripts.into_iter().enumerate() {
        let name = text(&script, "fault").to_owned();
        assert!(help.contains(&name), "{name} is on the page");
        script["endpoint"] = json!("token");
        script["appid"] = json!("wx1");
        wechat.post("/_sim/faults", &script).await;
        let listed = wechat.get("/_sim/faults").await;
        assert_eq!(listed["faults"][0]["fault"], name);
        let mut stream = send_get(wechat.addr, &classic_path("wx1")).await;
        if name.starts_with("hold") {
            wechat.control.wait_held(1).await;
            wechat.post("/_sim/release", &json!({})).await;
        }
        let mut rest = Vec::new();
        // Reset or closed: here only the log's line matters.
        let _ = stream.read_to_end(&mut rest).await;
        let calls = wechat.control.calls();
        assert_eq!(calls.len(), done + 1);
        assert_eq!(calls[done].fault, Some(name.as_str()));
    }
}

#[tokio::test]
async fn wrong_control_request_is_told_what_is_wrong() {
    // A sentence that names the field, never a silent nothing.
    let wechat = start().await;
    let cases = [
        (
            "faults",
            json!({ "endpoint": "tokens", "fault": "slow" }),
            "tokens",
        ),
        (
            "faults",
            json!({ "endpoint": "token", "fault": "slow" }),
            "ms",
        ),
        (
            "faults",
            json!({ "endpoint": "token", "fault": "boom" }),
            "boom",
        ),
        (
            "faults",
            json!({ "endpoint": "token", "fault": "slow", "sec": 1 }),
            "sec",
        ),
        (
            "faults",
            json!({ "endpoint": "token", "fault": "html_page", "times": 0 }),
            "times",
        ),
        ("kill", json!({ "appid": "wx1", "kind": "token" }), "token"),
        ("mode", json!({ "mode": "refuses" }), "refuses"),
    ];
    for (path, body, named) in cases {
        let url = wechat.url(&format!("/_sim/{path}"));
        let answer = wechat.client().post(url).body(body.to_string());
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let sentence = answer.text().await.unwrap();
        assert!(sentence.contains(named), "{sentence}");
    }
    assert_eq!(wechat.get("/_sim/faults").await, json!({ "faults": [] }));
    let answer = wechat.try_get("/_sim/nothing").await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn tokens_are_killed_and_stolen_over_http_without_being_shown() {
    // The demo's "kill a token and see it heal".
    let _clock = Frozen::start();
    let wechat = start().await;
    let stable = wechat.stable("wx1").await;
    let stable = text(&stable, "access_token");
    let body = json!({ "appid": "wx1", "kind": "stable", "in_place": true });
    wechat.post("/_sim/kill", &body).await;
    assert_eq!(wechat.probe(stable).await, 40001);
    assert_eq!(
        wechat.control.current("wx1", Kind::Stable).as_deref(),
        Some(stable)
    );
    let body = json!({ "appid": "wx1", "kind": "stable" });
    wechat.post("/_sim/kill", &body).await;
    assert_ne!(
        wechat.control.current("wx1", Kind::Stable).as_deref(),
        Some(stable)
    );

    let stolen = wechat
        .post("/_sim/foreign_fetch", &json!({ "appid": "wx1" }))
        .await;
    let value = wechat.control.current("wx1", Kind::Classic).unwrap();
    assert_eq!(stolen["ok"], true);
    assert!(!stolen.to_string().contains(&value));

    wechat
        .control
        .script(Script::forever(Endpoint::Token, Fault::EmptyBody));
    let request = wechat.client().delete(wechat.url("/_sim/faults"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
}

// ---- the wire ----

#[tokio::test]
async fn requests_in_pieces_in_chunks_and_in_a_row_are_read_right() {
    // One connection: a chunked POST byte by byte, then two calls at once.
    let _clock = Frozen::start();
    let wechat = start().await;
    let mut stream = TcpStream::connect(wechat.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let body = r#"{"grant_type":"client_credential","appid":"wx1","secret":"s"}"#;
    let post = format!(
        "POST /cgi-bin/stable_token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for byte in post.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    wechat
        .control
        .wait_for(|log| log.issued(Endpoint::StableToken, "wx1") == 1)
        .await;
    let path = classic_path("wx1");
    let one = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream
        .write_all(format!("{one}{last}").as_bytes())
        .await
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(wechat.control.issued(Endpoint::Token, "wx1"), 2);
}

#[tokio::test]
async fn what_is_not_http_is_told_so_and_closed() {
    // A TLS client on the plain port, for one.
    let wechat = start().await;
    let mut stream = TcpStream::connect(wechat.addr).await.unwrap();
    stream
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
}
