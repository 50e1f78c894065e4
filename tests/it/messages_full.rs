//! The door before a real desk: an answer that cannot be written, a desk that is full, and a flood
//! of either.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::http::{self, Limits};
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::desk::{self, Desk, LateSender};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode};
use zhongkong::services::messages::door::{Callback, Door, Table};
use zhongkong::services::messages::envelope;
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};
use zhongkong::services::messages::log::{MessageLog, OpenIdPolicy};
use zhongkong::services::messages::reply::{Answer, Reply};

use crate::support::logged::Logged;

const TOKEN: &str = "AAAAA";
const PATIENT: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    listener: "http",
    connections: 100,
    head: PATIENT,
    body: PATIENT,
    buffer: 64 * 1_024,
    taking: PATIENT,
    drain: PATIENT,
};

/// Answers with nothing but white space, which WeChat would not show, or never.
struct Misfit;

#[async_trait]
impl MessageHandler for Misfit {
    fn name(&self) -> &'static str {
        "misfit"
    }

    fn matches(&self, _incoming: &Incoming) -> bool {
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        if incoming.message.fields().text("Content") == Some("never") {
            std::future::pending::<()>().await;
        }
        Ok(Handled::Answer(Answer::Reply(Reply::Text { content: " \n".to_owned() })))
    }
}

#[async_trait]
impl LateSender for Misfit {
    async fn send(
        &self,
        _incoming: &Incoming,
        _reply: &Reply,
        _by: Option<&str>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

/// A door to one account in plain mode.
struct Open {
    addr: String,
    _serving: JoinSet<()>,
}

async fn open(settings: desk::Settings) -> Open {
    let callback = Callback {
        account: Account { appid: "wx1".parse().unwrap(), path: "shop".to_owned() },
        envelope: envelope::Settings {
            token: TOKEN.into(),
            aes_key: None,
            previous_aes_key: None,
            receive_id: "wx1".to_owned(),
            mode: envelope::Mode::Plain,
            window: Duration::from_secs(600),
        },
    };
    let desk =
        Desk::new(settings, Dispatcher::new(Mode::FirstAnswers, vec![Arc::new(Misfit)]), Arc::new(Misfit));
    let log = MessageLog::without_file(OpenIdPolicy::Hash, Clock::system());
    let door = Door::new(Table::new(vec![callback]).unwrap(), Arc::new(desk), log, Clock::system());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    let router = Arc::new(door).router();
    serving.spawn(async move {
        http::serve(listener, router, LIMITS, CancellationToken::new()).await;
    });
    Open { addr, _serving: serving }
}

/// Pushes a text; the whole answer.
async fn push(open: &Open, content: &str, id: u64) -> String {
    let timestamp = Clock::system().wall().seconds().to_string();
    let mut parts = [TOKEN, timestamp.as_str(), "n0nce"];
    parts.sort_unstable();
    let signature = hex::encode(Sha1::digest(parts.concat().as_bytes()));
    let body = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oSomebody</FromUserName><CreateTime>1</CreateTime>\
         <MsgType>text</MsgType><Content>{content}</Content><MsgId>{id}</MsgId></xml>"
    );
    let request = format!(
        "POST /wechat/shop?signature={signature}&timestamp={timestamp}&nonce=n0nce HTTP/1.1\r\nhost: x\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&open.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The warnings, none of which tells who spoke.
fn warnings(logged: &Logged) -> Vec<String> {
    let lines: Vec<_> = logged.lines().into_iter().filter(|line| line.contains(" WARN ")).collect();
    for line in &lines {
        assert!(!line.contains("oSomebody"), "{line}");
    }
    lines
}

#[tokio::test]
async fn answer_that_cannot_be_written_is_acknowledged_and_said_once_a_minute() {
    let (logged, _log) = Logged::start();
    let open = open(desk::Settings { deadline: PATIENT, ..desk::Settings::default() }).await;
    for id in 0..10 {
        for _retry in 0..2 {
            let answer = push(&open, "hi", id).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nsuccess"), "{answer}");
        }
    }
    let warnings = warnings(&logged);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let words = "the answer of misfit is not sent, and the message only acknowledged: ";
    assert!(warnings[0].contains(words) && warnings[0].contains("account=\"shop\""), "{}", warnings[0]);
}

#[tokio::test]
async fn desk_that_is_full_is_503_with_the_time_to_come_again_and_one_line_for_a_flood() {
    let (logged, _log) = Logged::start();
    let settings = desk::Settings {
        deadline: Duration::from_millis(50),
        in_flight: 1,
        queue: 0,
        ..desk::Settings::default()
    };
    let open = open(settings).await;
    assert!(push(&open, "never", 0).await.ends_with("\r\n\r\nsuccess"), "in time, whatever the handler does");
    for id in 1..10 {
        let answer = push(&open, "hi", id).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 5\r\n"), "{answer}");
        assert!(answer.contains("there is no room now") && !answer.contains("instance"), "{answer}");
    }
    assert!(push(&open, "never", 0).await.ends_with("\r\n\r\nsuccess"), "a retry needs no room");
    let warnings = warnings(&logged);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let words = ["reason=\"busy\"", "WeChat sends it again", "start another instance"];
    assert!(words.iter().all(|word| warnings[0].contains(word)), "{}", warnings[0]);
}
