//! The simulator as a server: its modes, its control page, its HTTP.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhongkong::simulator::{Endpoint, Fault, Kind, Script, ServerMode, Settings};

use crate::support::frozen::Frozen;
use crate::support::raw::{End, raw_get, send_get};
use crate::support::simulated::{Simulated, classic_path, errcode, text};

async fn start() -> Simulated {
    Simulated::start(Settings::default()).await
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
    wechat.post("/_sim/mode", &json!({ "mode": "closes" })).await;
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
    wechat.control.wait_for(|log| log.count(Endpoint::Token, "wx1") == 1).await;
    // A whole round trip of the control page later there is still nothing.
    wechat.get("/_sim/state").await;
    let mut byte = [0];
    let nothing = stream.try_read(&mut byte).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    wechat.control.set_mode(ServerMode::Up).await;
    assert_eq!(stream.read(&mut byte).await.unwrap(), 0, "closed unanswered");
    assert_eq!(wechat.control.current("wx1", Kind::Classic), None);
}

#[tokio::test]
async fn latency_delays_every_answer() {
    // A far-away WeChat.
    let clock = Frozen::start();
    let wechat = start().await;
    wechat.control.set_latency(Duration::from_millis(200));
    let time = async {
        wechat.control.wait_for(|log| log.count_all(Endpoint::Token) == 1).await;
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
    let help = wechat.try_get("/_sim/").await.unwrap().text().await.unwrap();
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
        ("faults", json!({ "endpoint": "tokens", "fault": "slow" }), "tokens"),
        ("faults", json!({ "endpoint": "token", "fault": "slow" }), "ms"),
        ("faults", json!({ "endpoint": "token", "fault": "boom" }), "boom"),
        ("faults", json!({ "endpoint": "token", "fault": "slow", "sec": 1 }), "sec"),
        ("faults", json!({ "endpoint": "token", "fault": "html_page", "times": 0 }), "times"),
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
    assert_eq!(wechat.control.current("wx1", Kind::Stable).as_deref(), Some(stable));
    let body = json!({ "appid": "wx1", "kind": "stable" });
    wechat.post("/_sim/kill", &body).await;
    assert_ne!(wechat.control.current("wx1", Kind::Stable).as_deref(), Some(stable));

    let stolen = wechat.post("/_sim/foreign_fetch", &json!({ "appid": "wx1" })).await;
    let value = wechat.control.current("wx1", Kind::Classic).unwrap();
    assert_eq!(stolen["ok"], true);
    assert!(!stolen.to_string().contains(&value));

    wechat.control.script(Script::forever(Endpoint::Token, Fault::EmptyBody));
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
    wechat.control.wait_for(|log| log.issued(Endpoint::StableToken, "wx1") == 1).await;
    let path = classic_path("wx1");
    let one = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{one}{last}").as_bytes()).await.unwrap();
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
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}
