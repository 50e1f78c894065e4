//! What the desk says and counts: the lines that tell an administrator what to do, once and not
//! for each message, and the numbers.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::{Instant, sleep};
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::dedup::DedupKey;
use zhongkong::services::messages::desk::{Answered, Busy, Desk, How, LateSender, Settings};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode};
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler, Trace};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};

use crate::support::frozen::Guard;
use crate::support::logged::Logged;
use crate::support::memcached::Memcached;

/// Does what the text of the message says.
struct Obedient;

#[async_trait]
impl MessageHandler for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        assert_ne!(content(incoming), "panic over the question");
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        match content(incoming) {
            "late" => sleep(Duration::from_secs(6)).await,
            "never" => std::future::pending().await,
            "fail" => return Err(HandlerError { what: "the shop's stock is down".to_owned(), source: None }),
            "success" => return Ok(Handled::Answer(Answer::Success)),
            "pass" => return Ok(Handled::Pass),
            _ => {}
        }
        Ok(Handled::Answer(Answer::Reply(Reply::Text { content: "a private answer".to_owned() })))
    }
}

/// WeChat refuses the late answers of "wx2".
struct Late;

#[async_trait]
impl LateSender for Late {
    async fn send(
        &self,
        incoming: &Incoming,
        _reply: &Reply,
        _by: Option<&str>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        if incoming.account.appid.as_str() == "wx2" { Err("errcode 48001".into()) } else { Ok(()) }
    }
}

fn content(incoming: &Incoming) -> &str {
    incoming.message.fields().text("Content").unwrap_or_default()
}

fn desk(settings: Settings) -> Desk {
    Desk::new(settings, Dispatcher::new(Mode::FirstAnswers, vec![Arc::new(Obedient)]), Arc::new(Late))
}

fn incoming(appid: &str, kind: &str, content: &str, id: &str) -> Arc<Incoming> {
    let mut fields = Fields::default();
    for (name, text) in [
        ("ToUserName", "gh_1"),
        ("FromUserName", "oSomebody"),
        ("CreateTime", "1700000000"),
        ("MsgType", kind),
        ("Content", content),
        ("MsgId", id),
    ] {
        fields.push(name, Value::Text(text.into()));
    }
    Arc::new(Incoming {
        account: Arc::new(Account { appid: appid.parse().unwrap(), path: "a".into() }),
        message: Message::read(fields).unwrap(),
        trace: Trace(format!("trace-{id}").into()),
    })
}

async fn ask(desk: &Desk, appid: &str, content: &str, id: &str) -> Result<Answered, Busy> {
    desk.answer(incoming(appid, "text", content, id), Instant::now()).await
}

/// The lines with these words. None tells who spoke, or what was said.
fn lines(logged: &Logged, words: &str) -> Vec<String> {
    let lines = logged.lines();
    for line in &lines {
        assert!(!line.contains("oSomebody") && !line.contains("a private answer"), "{line}");
    }
    lines.into_iter().filter(|line| line.contains(words)).collect()
}

#[tokio::test(start_paused = true)]
async fn late_answers_that_fail_are_said_three_times_for_an_account_whatever_the_others_do() {
    let (logged, _log) = Logged::start();
    let desk = desk(Settings::default());
    for number in 0..6 {
        // One account may send such messages, the other may not.
        for appid in ["wx1", "wx2"] {
            ask(&desk, appid, "late", &number.to_string()).await.unwrap();
            sleep(Duration::from_secs(10)).await;
        }
    }
    assert_eq!(desk.close(Duration::from_secs(9)).await, 0);
    let failed = lines(&logged, "could not be sent");
    assert_eq!(failed.len(), 3, "{failed:#?}");
    for line in &failed {
        assert!(line.contains(" WARN ") && line.contains("a late answer of wx2"), "{line}");
        assert!(line.contains("its user gets none; let the handlers answer within the deadline"), "{line}");
        assert!(line.contains("errcode 48001") && line.contains("trace=\"trace-"), "{line}");
    }
    assert!(lines(&logged, "can be sent again").is_empty(), "nothing has recovered");
}

#[tokio::test(start_paused = true)]
async fn handlers_that_never_end_and_a_grace_that_is_too_short_say_what_to_do() {
    let (logged, _log) = Logged::start();
    let desk = desk(Settings { handler_timeout: Duration::from_secs(30), ..Settings::default() });
    ask(&desk, "wx1", "never", "1").await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let given_up = lines(&logged, "took longer than 30s and are given up");
    assert_eq!(given_up.len(), 1, "{given_up:#?}");
    assert!(given_up[0].contains("find out what they wait for"), "{}", given_up[0]);
    assert!(given_up[0].contains("trace=\"trace-1\""), "{}", given_up[0]);
    for id in ["2", "3"] {
        ask(&desk, "wx1", "never", id).await.unwrap();
    }
    assert_eq!(desk.close(Duration::from_secs(1)).await, 2);
    let left = lines(&logged, "2 messages were still being handled at the end of the grace");
    assert_eq!(left.len(), 1, "{:#?}", logged.lines());
    assert!(left[0].contains("handlers are slow, or the grace is short"), "{}", left[0]);
}

#[tokio::test(start_paused = true)]
async fn flood_of_refusals_costs_no_line_each_and_the_refusal_says_what_to_do() {
    // The door says it once a minute; a line for each would be the attacker's, not ours.
    let (logged, _log) = Logged::start();
    let desk = desk(Settings { in_flight: 1, queue: 0, ..Settings::default() });
    ask(&desk, "wx1", "never", "1").await.unwrap();
    for number in 2..50 {
        let busy = ask(&desk, "wx1", "hi", &number.to_string()).await.unwrap_err();
        assert!(busy.to_string().contains("start another instance"), "{busy}");
    }
    assert_eq!(logged.lines().len(), 0, "{:#?}", logged.lines());
}

#[tokio::test(start_paused = true)]
async fn full_table_is_said_once_with_its_size() {
    let (logged, _log) = Logged::start();
    let desk = desk(Settings { remembered: 3, ..Settings::default() });
    for number in 0..20 {
        ask(&desk, "wx1", "hi", &number.to_string()).await.unwrap();
    }
    let full = lines(&logged, "more messages come than are remembered");
    assert_eq!(full.len(), 1, "{full:#?}");
    assert!(full[0].contains("count=3") && full[0].contains("a flood, or too many accounts"), "{}", full[0]);
    // The oldest is forgotten, the youngest is not.
    assert_eq!(ask(&desk, "wx1", "hi", "19").await.unwrap().how, How::Repeated);
    assert_eq!(ask(&desk, "wx1", "hi", "0").await.unwrap().how, How::Handled);
}

#[tokio::test]
async fn what_nobody_of_ours_wrote_into_memcached_is_said_once() {
    let _guard = Guard::start();
    let (logged, _log) = Logged::start();
    let memcached = Memcached::start();
    let settings = Settings {
        memcached: vec![memcached.addr()],
        memcached_timeout: Duration::from_secs(60),
        deadline: Duration::from_secs(60),
        ..Settings::default()
    };
    let desk = desk(settings);
    for id in ["1", "2", "3", "4", "5"] {
        let incoming = incoming("wx1", "text", "hi", id);
        memcached.set(&DedupKey::of(&incoming.account, &incoming.message).name(), "working for somebody");
        let answered = desk.answer(incoming, Instant::now()).await.unwrap();
        assert_eq!(answered.how, How::Handled, "it costs no message");
    }
    assert_eq!(desk.close(Duration::from_secs(60)).await, 0);
    let garbage = lines(&logged, "that this release has not written");
    assert_eq!(garbage.len(), 1, "{:#?}", logged.lines());
    assert!(garbage[0].contains("a memcached that nobody else writes to"), "{}", garbage[0]);
    assert!(garbage[0].contains(&memcached.addr()), "{}", garbage[0]);
    assert!(lines(&logged, "recovered").is_empty(), "{:#?}", logged.lines());
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_message_is_counted_once_under_its_family() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let desk = ::metrics::with_local_recorder(&recorder, || {
        desk(Settings {
            in_flight: 2,
            queue: 0,
            handler_timeout: Duration::from_secs(30),
            ..Settings::default()
        })
    });
    let push = async |appid: &str, kind: &str, content: &str, id: &str| {
        let answered = desk.answer(incoming(appid, kind, content, id), Instant::now()).await;
        // Whatever still runs ends before the next one comes.
        sleep(Duration::from_secs(40)).await;
        answered
    };
    push("wx1", "text", "hi", "1").await.unwrap();
    push("wx1", "text", "hi", "1").await.unwrap();
    push("wx1", "text", "pass", "2").await.unwrap();
    push("wx1", "text", "success", "3").await.unwrap();
    push("wx1", "image", "fail", "4").await.unwrap();
    push("wx1", "video", "panic over the question", "5").await.unwrap();
    push("wx1", "event", "late", "6").await.unwrap();
    push("wx2", "event", "late", "7").await.unwrap();
    push("wx1", "location", "never", "8").await.unwrap();
    for id in ["9", "10"] {
        ask(&desk, "wx1", "never", id).await.unwrap();
    }
    ask(&desk, "wx1", "hi", "11").await.unwrap_err();
    assert_eq!(desk.close(Duration::from_secs(60)).await, 0);
    let page = handle.render();
    let mut counted: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("zhongkong_messages_total{family=\""))
        .filter(|line| !line.ends_with(" 0"))
        .map(|line| line.replace("\",outcome=\"", " ").replace("\"}", ""))
        .collect();
    counted.sort_unstable();
    let expected = [
        "event acknowledged 2",
        "event late 1",
        "event late_failed 1",
        "media acknowledged 2",
        "media failed 2",
        "other acknowledged 1",
        "other failed 1",
        // Two of them never ended.
        "text acknowledged 3",
        "text answered 2",
        "text failed 2",
        "text refused_busy 1",
        "text repeated 1",
    ];
    assert_eq!(counted, expected, "{page}");
    assert!(page.contains("zhongkong_message_handler_seconds_count 10"), "{page}");
}
