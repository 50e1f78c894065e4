//! Forwarding to business programs over real sockets: what they are sent, what becomes of each
//! answer, and what a program that is slow, broken or gone costs.

mod example;
mod limits;
mod program;
mod troubles;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::forward::{ForwardError, Forwarder, Settings};
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler as _, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};

use program::{Program, Script, says};

use super::support::frozen::Guard;

/// What requests are signed with.
const SECRET: &str = "c0mmon s3cret";
/// Long enough for a loaded machine; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// 2023-11-14T22:13:20Z.
const NOW: WallTime = WallTime(1_700_000_000_123);

fn settings(url: &str) -> Settings {
    Settings {
        name: "crm".to_owned(),
        url: url.parse().unwrap(),
        secret: Some(SECRET.into()),
        timeout: PATIENCE,
        concurrency: 4,
    }
}

fn clock() -> Clock {
    Clock::manual(NOW, BootTime(0), "boot")
}

fn forwarder(url: &str) -> Forwarder {
    Forwarder::new(settings(url), clock()).unwrap()
}

/// A push with these fields beside those that all have.
fn incoming(fields: &[(&str, &str)]) -> Incoming {
    let mut all = Fields::default();
    let common = [("ToUserName", "gh_1"), ("FromUserName", "oUser"), ("CreateTime", "1700000000")];
    for (name, text) in common.iter().chain(fields) {
        all.push(*name, Value::Text((*text).into()));
    }
    Incoming {
        account: Arc::new(Account { appid: "wx0123456789abcdef".parse().unwrap(), path: "shop".into() }),
        message: Message::read(all).unwrap(),
        trace: Trace("7f3a".into()),
    }
}

fn text(content: &str) -> Incoming {
    incoming(&[("MsgType", "text"), ("Content", content), ("MsgId", "18446744073709551615")])
}

async fn ask(forwarder: &Forwarder) -> Result<Handled, HandlerError> {
    forwarder.handle(&text("你好")).await
}

/// The sentence of a failure.
async fn sentence(forwarder: &Forwarder) -> String {
    let error = ask(forwarder).await.unwrap_err();
    assert!(error.source.is_none());
    error.to_string()
}

fn replied(content: &str) -> Handled {
    Handled::Answer(Answer::Reply(Reply::Text { content: content.to_owned() }))
}

#[tokio::test]
async fn message_is_posted_once_as_signed_json_over_a_kept_connection() {
    // A text and a scan: every key is there, the id is whole, and the signature is over what came.
    let _guard = Guard::start();
    let program = Program::start(program::json(r#"{"reply":{"text":"hi"}}"#)).await;
    let forwarder = forwarder(&program.url());
    assert_eq!(ask(&forwarder).await.unwrap(), replied("hi"));
    let event = [("MsgType", "event"), ("Event", "subscribe"), ("EventKey", "qrscene_7"), ("Ticket", "T")];
    assert_eq!(forwarder.handle(&incoming(&event)).await.unwrap(), replied("hi"));

    let requests = program.requests();
    assert_eq!((requests.len(), program.connections()), (2, 1));
    let bodies: Vec<Json> =
        requests.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    let account = json!({ "appid": "wx0123456789abcdef", "path": "shop" });
    let fields = json!({
        "ToUserName": "gh_1", "FromUserName": "oUser", "CreateTime": "1700000000", "MsgType": "text",
        "Content": "你好", "MsgId": "18446744073709551615",
    });
    let message = json!({
        "type": "text", "event": null, "key": null, "scene": null, "from": "oUser", "to": "gh_1",
        "created": 1_700_000_000, "id": "18446744073709551615", "fields": fields,
    });
    assert_eq!(bodies[0], json!({ "account": account, "trace": "7f3a", "message": message }));
    let message = &bodies[1]["message"];
    assert_eq!(message["event"], "subscribe");
    assert_eq!(
        (&message["key"], &message["scene"], &message["id"]),
        (&json!("qrscene_7"), &json!("7"), &Json::Null)
    );

    for request in &requests {
        assert!(request.head.starts_with("POST /hook?source=wechat HTTP/1.1\r\n"), "{}", request.head);
        let header = |name| request.header(name).unwrap_or_else(|| panic!("{name}: {}", request.head));
        assert_eq!(header("content-type"), "application/json; charset=utf-8");
        assert_eq!(header("x-zhongkong-timestamp"), "1700000000");
        assert_eq!(header("x-zhongkong-trace"), "7f3a");
        assert_eq!(header("x-zhongkong-account"), "wx0123456789abcdef");
        assert!(header("x-zhongkong-signature").starts_with("v1="));
        assert!(header("user-agent").starts_with("zhongkong/"));
        assert!(request.header("accept-encoding").is_none());
    }
}

#[tokio::test]
async fn program_without_a_secret_is_sent_no_signature() {
    let _guard = Guard::start();
    let program = Program::start(Script::Says(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
    let unsigned = Settings { secret: None, ..settings(&program.url()) };
    let forwarder = Forwarder::new(unsigned, clock()).unwrap();
    assert_eq!(ask(&forwarder).await.unwrap(), Handled::Answer(Answer::Success));
    assert_eq!(program.requests()[0].header("x-zhongkong-signature"), None);
}

#[tokio::test]
async fn each_form_of_an_answer_becomes_what_it_means() {
    let _guard = Guard::start();
    let program = Program::start(program::json("{}")).await;
    let forwarder = forwarder(&program.url());
    let success = || Handled::Answer(Answer::Success);
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let cases = [
        (says("200 OK", "application/json", r#"{"reply":{"text":"你好"}}"#), replied("你好")),
        (says("201 Created", "text/plain; charset=utf-8", "hello\n"), replied("hello")),
        (chunked.as_bytes().to_vec(), replied("hello")),
        (says("200 OK", "text/html", "success"), success()),
        (says("200 OK", "text/html", ""), success()),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), success()),
        (says("200 OK", "application/json", r#"{"reply":"none"}"#), success()),
        (says("200 OK", "application/json", r#"{"reply":null,"pass":true}"#), Handled::Pass),
    ];
    for (bytes, handled) in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        program.set(Script::Says(bytes));
        assert_eq!(ask(&forwarder).await.unwrap(), handled, "{shown}");
    }
}

#[test]
fn settings_that_cannot_be_meant_are_refused_and_shown_without_secrets() {
    let refused = |settings: Settings| Forwarder::new(settings, Clock::system()).unwrap_err();
    let good = || settings("http://crm.example/hook?key=qu3ry");
    for url in ["ftp://crm.example/", "unix:/run/crm.sock", "data:text/plain,x"] {
        assert!(matches!(refused(settings(url)), ForwardError::Url), "{url}");
    }
    for url in ["http://me@crm.example/", "https://me:pw@crm.example/"] {
        assert!(matches!(refused(settings(url)), ForwardError::Credentials), "{url}");
    }
    assert!(matches!(refused(Settings { secret: Some("".into()), ..good() }), ForwardError::Secret));
    assert!(matches!(refused(Settings { timeout: Duration::ZERO, ..good() }), ForwardError::Timeout));
    for concurrency in [0, usize::MAX] {
        assert!(matches!(refused(Settings { concurrency, ..good() }), ForwardError::Concurrency));
    }
    let forwarder = Forwarder::new(good(), Clock::system()).unwrap();
    let shown = format!("{:?} {forwarder:?}", good());
    assert!(!shown.contains(SECRET) && !shown.contains("qu3ry"), "{shown}");
    assert!(shown.contains("http://crm.example/hook"), "{shown}");
}
