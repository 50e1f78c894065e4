//! The message log over a real file: what a line says under each setting, and what bad disks,
//! floods and rotations do to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::handler::Trace;
use zhongkong::services::messages::log::{
    ContentPolicy, Delivery, Entry, LogError, MessageLog, OpenIdPolicy, Outcome, Refused, Settings, Writer,
};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Answer, Reply};
use zhongkong::telemetry::file::Rotation;

use super::support::frozen::{Frozen, Guard};
use super::support::logged::Logged;

/// 2023-11-14T22:13:20.123Z.
const NOW: WallTime = WallTime(1_700_000_000_123);
/// A file is read while it grows; so often at most.
const LOOKS: usize = 100_000;

/// A log in a directory of its own, and the task that writes it.
struct Site {
    dir: TempDir,
    log: MessageLog,
    stop: CancellationToken,
    running: JoinSet<()>,
}

fn settings(path: PathBuf) -> Settings {
    let (content, openid) = (ContentPolicy::Full, OpenIdPolicy::Full);
    Settings { path, rotation: Rotation::default(), content, openid }
}

impl Site {
    fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path().join("messages.log"));
        change(&mut settings);
        let (log, writer) = MessageLog::new(settings, Clock::manual(NOW, BootTime(0), "boot")).unwrap();
        let mut site = Self { dir, log, stop: CancellationToken::new(), running: JoinSet::new() };
        site.write(writer);
        site
    }

    fn write(&mut self, writer: Writer) {
        self.running.spawn(writer.run(self.stop.clone()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Ends the writer and reads what it wrote.
    async fn end(mut self) -> Vec<Json> {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap();
        lines(&self.path("messages.log"))
    }

    /// The line of this push alone.
    async fn only(self, message: &Message, outcome: Outcome<'_>) -> Json {
        self.log.note(Entry { outcome, ..entry(&trace("7f3a"), &account(), message) });
        let mut lines = self.end().await;
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

fn lines(path: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until a file has a text.
async fn appears(path: &Path, words: &str) {
    for _ in 0..LOOKS {
        if std::fs::read_to_string(path).is_ok_and(|text| text.contains(words)) {
            return;
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    panic!("{words:?} never came to {}", path.display());
}

/// Waits until our code logs this.
async fn says(logged: &Logged, words: &str) {
    for _ in 0..LOOKS {
        if logged.lines().iter().any(|line| line.contains(words)) {
            return;
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    panic!("nobody says {words:?}: {:#?}", logged.lines());
}

fn trace(id: &str) -> Trace {
    Trace(id.into())
}

fn account() -> Arc<Account> {
    Arc::new(Account { appid: "wx0123456789abcdef".parse().unwrap(), path: "shop".into() })
}

fn message(fields: &[(&str, &str)]) -> Message {
    let mut all = Fields::default();
    let common = [("ToUserName", "gh_1"), ("FromUserName", "oUser"), ("CreateTime", "1700000000")];
    for (name, text) in common.iter().chain(fields) {
        all.push(*name, Value::Text((*text).into()));
    }
    Message::read(all).unwrap()
}

fn text() -> Message {
    message(&[("MsgType", "text"), ("Content", "我的地址"), ("MsgId", "18446744073709551615")])
}

fn entry<'a>(trace: &'a Trace, account: &'a Account, message: &'a Message) -> Entry<'a> {
    Entry {
        trace,
        account,
        message,
        delivery: Delivery::First,
        handler: Some("rules: address"),
        outcome: Outcome::Acknowledged(None),
        took: Duration::from_micros(12_900),
    }
}

fn reply(content: &str) -> Reply {
    Reply::Text { content: content.to_owned() }
}

#[tokio::test]
async fn line_of_a_push_says_who_what_and_how_it_was_answered() {
    let _guard = Guard::start();
    let answer = Answer::Reply(reply("好的"));
    let line = Site::start(|_| ()).only(&text(), Outcome::Answered(&answer)).await;
    let expected = json!({
        "time": "2023-11-14T22:13:20.123Z", "trace": "7f3a", "account": "shop", "appid": "wx0123456789abcdef",
        "type": "text", "from": "oUser", "id": "18446744073709551615", "created": 1_700_000_000,
        "delivery": "first", "handler": "rules: address", "outcome": "answered", "reply": "text", "took_ms": 12,
        "content": "我的地址", "content_bytes": 12, "answer": "好的", "answer_bytes": 6,
    });
    assert_eq!(line, expected);

    let scan = message(&[("MsgType", "event"), ("Event", "SCAN"), ("EventKey", "7")]);
    let line = Site::start(|_| ()).only(&scan, Outcome::Lost("WeChat says 45047")).await;
    assert_eq!((&line["event"], &line["key"], &line["id"]), (&json!("SCAN"), &json!("7"), &Json::Null));
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("lost"), &json!("WeChat says 45047")));
}

#[tokio::test]
async fn each_outcome_has_its_word() {
    let _guard = Guard::start();
    let late = reply("at last");
    let news = Answer::Reply(Reply::TransferCustomerService { account: None });
    let cases = [
        (Outcome::Answered(&news), "answered", json!("transfer"), Json::Null),
        (Outcome::Answered(&Answer::Success), "acknowledged", Json::Null, Json::Null),
        (Outcome::Answered(&Answer::Empty), "acknowledged", Json::Null, Json::Null),
        (Outcome::Acknowledged(None), "acknowledged", Json::Null, Json::Null),
        (Outcome::Acknowledged(Some("it failed")), "acknowledged", Json::Null, json!("it failed")),
        (Outcome::Deferred, "deferred", Json::Null, Json::Null),
        (Outcome::Late(&late), "late", json!("text"), Json::Null),
        (Outcome::Lost("refused"), "lost", Json::Null, json!("refused")),
    ];
    for (outcome, word, kind, reason) in cases {
        let line = Site::start(|_| ()).only(&text(), outcome).await;
        assert_eq!((&line["outcome"], &line["reply"], &line["reason"]), (&json!(word), &kind, &reason));
    }
}

#[tokio::test]
async fn words_and_openids_are_written_only_as_the_settings_allow() {
    let _guard = Guard::start();
    let answer = Answer::Reply(reply("private answer"));
    let spoken = message(&[("MsgType", "voice"), ("MediaId", "m"), ("Recognition", "private words")]);
    for (policy, bytes, shows) in [
        (ContentPolicy::None, Json::Null, false),
        (ContentPolicy::Length, json!(13), false),
        (ContentPolicy::Full, json!(13), true),
    ] {
        let site = Site::start(|settings| {
            settings.content = policy;
            settings.openid = OpenIdPolicy::Hash;
        });
        let line = site.only(&spoken, Outcome::Answered(&answer)).await;
        assert_eq!(line["content_bytes"], bytes, "{policy:?}");
        assert_eq!(line.to_string().contains("private"), shows, "{policy:?}");
        assert_eq!(line["answer"] == "private answer", shows, "{policy:?}");
        // printf oUser | sha256sum | cut -c1-16
        assert_eq!(line["from"], "2efc929a01273ce1");
        assert!(!line.to_string().contains("oUser"));
    }
}

#[tokio::test]
async fn long_words_are_cut_where_a_character_ends() {
    let _guard = Guard::start();
    let long = "中".repeat(3_000);
    let message = message(&[("MsgType", "event"), ("Event", &long), ("EventKey", &long), ("Content", &long)]);
    let line = Site::start(|_| ()).only(&message, Outcome::Lost(&long)).await;
    assert_eq!(line["content_bytes"], 9_000);
    for (name, bytes) in [("content", 4_095), ("event", 255), ("key", 255), ("reason", 255)] {
        assert_eq!(line[name].as_str().unwrap().len(), bytes, "{name}");
    }
}

#[tokio::test]
async fn file_is_rotated_by_its_size_and_nothing_is_lost_on_the_way() {
    let _guard = Guard::start();
    let mut site = Site::start(|settings| settings.rotation.max_bytes = 2_000);
    let mut writing = std::mem::take(&mut site.running);
    let (account, text) = (account(), text());
    for number in 0..20 {
        site.log.note(entry(&trace(&number.to_string()), &account, &text));
    }
    let path = |name: &str| site.path(name);
    site.stop.cancel();
    writing.join_next().await.unwrap().unwrap();
    let mut traces = Vec::new();
    for name in ["messages.log.4", "messages.log.3", "messages.log.2", "messages.log.1", "messages.log"] {
        if path(name).exists() {
            assert!(std::fs::metadata(path(name)).unwrap().len() <= 2_000, "{name}");
            traces.extend(lines(&path(name)).iter().map(|line| line["trace"].as_str().unwrap().to_owned()));
        }
    }
    assert!(path("messages.log.2").exists());
    assert_eq!(traces, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn file_that_was_put_aside_is_opened_anew_when_told() {
    // logrotate: rename, then the signal. The clock stands still, so nothing is noticed by itself.
    let _frozen = Frozen::start();
    let site = Site::start(|_| ());
    let (account, text) = (account(), text());
    site.log.note(entry(&trace("before"), &account, &text));
    appears(&site.path("messages.log"), "before").await;
    std::fs::rename(site.path("messages.log"), site.path("aside")).unwrap();
    site.log.note(entry(&trace("meanwhile"), &account, &text));
    appears(&site.path("aside"), "meanwhile").await;
    site.log.reopen();
    appears(&site.path("messages.log"), "").await;
    site.log.note(entry(&trace("after"), &account, &text));
    let traces: Vec<_> = site.end().await.iter().map(|line| line["trace"].clone()).collect();
    assert_eq!(traces, ["after"]);
}

#[tokio::test]
async fn flood_of_refused_pushes_has_a_few_lines_and_then_counts() {
    let frozen = Frozen::start();
    let site = Site::start(|_| ());
    let (shop, trace) = (account(), trace("t1"));
    let peer = Some("203.0.113.9".parse().unwrap());
    let refused = Refused { trace: &trace, account: Some(&shop), peer, reason: "signature", status: 403 };
    for _ in 0..100_000 {
        site.log.refuse(refused);
    }
    site.log.refuse(Refused { account: None, reason: "account", status: 404, ..refused });
    let path = site.path("messages.log");
    appears(&path, "t1").await;
    assert!(!std::fs::read_to_string(&path).unwrap().contains("\"count\""));
    // A bit more: timers are rounded up.
    frozen.advance(Duration::from_millis(60_010)).await;
    appears(&path, "\"account\",\"count\"").await;
    // A quiet minute later there is room again; the end writes what is still counted.
    for _ in 0..12 {
        site.log.refuse(refused);
    }
    let lines = site.end().await;
    let of = |name: &str, counted: bool| {
        let mine = |line: &&Json| line["reason"] == name && line["count"].is_null() != counted;
        lines.iter().filter(mine).cloned().collect::<Vec<_>>()
    };
    assert_eq!(lines.len(), 10 + 2 + 10 + 1, "{lines:#?}");
    let first = json!({
        "time": "2023-11-14T22:13:20.123Z", "trace": "t1", "account": "shop", "appid": "wx0123456789abcdef",
        "outcome": "refused", "reason": "signature", "status": 403, "peer": "203.0.113.9",
    });
    assert_eq!(of("signature", false)[0], first);
    let counted = json!({
        "time": "2023-11-14T22:14:20.133Z", "account": "shop", "appid": "wx0123456789abcdef",
        "outcome": "refused", "reason": "signature", "count": 99_990, "since": "2023-11-14T22:13:20.123Z",
    });
    assert_eq!(of("signature", true)[0], counted);
    assert_eq!(of("signature", true)[1]["count"], 2);
    assert_eq!(of("account", true)[0]["count"], 1);
}

#[tokio::test]
async fn lines_that_find_no_room_are_dropped_counted_and_told_in_the_file() {
    // Nobody writes yet, as with a disk that hangs: whoever notes is not held up.
    let _guard = Guard::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.log");
    let (log, writer) = MessageLog::new(settings(path.clone()), Clock::system()).unwrap();
    let (account, text) = (account(), text());
    let id = trace("7f3a");
    for _ in 0..20_000 {
        log.note(entry(&id, &account, &text));
    }
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(writer.run(stop.clone()));
    appears(&path, "missing").await;
    log.note(entry(&trace("afterwards"), &account, &text));
    appears(&path, "afterwards").await;
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
    let lines = lines(&path);
    let missing = lines[lines.len() - 2]["missing"].as_u64().unwrap();
    assert!(missing > 3_000, "{missing}");
    assert_eq!(lines.len() as u64 - 2 + missing, 20_000);
    assert!(std::fs::metadata(&path).unwrap().len() <= (4 << 20) + 1_000);
}

#[tokio::test]
async fn disk_that_takes_nothing_holds_nobody_up_and_the_gap_is_told_once_it_does() {
    // The directory goes and comes back, as with a mount.
    let frozen = Frozen::start();
    let (logged, _guard) = Logged::start();
    let mut site = Site::start(|settings| settings.path = settings.path.with_file_name("other"));
    let home = site.path("gone");
    std::fs::create_dir(&home).unwrap();
    let path = home.join("messages.log");
    let clock = Clock::manual(NOW, BootTime(0), "boot");
    let (log, writer) = MessageLog::new(settings(path.clone()), clock).unwrap();
    site.write(writer);
    let (account, text) = (account(), text());
    std::fs::remove_dir_all(&home).unwrap();
    // So late that the file looks where it is.
    frozen.advance_secs(2).await;
    for number in 0..3 {
        log.note(entry(&trace(&number.to_string()), &account, &text));
    }
    says(&logged, "cannot be written").await;
    std::fs::create_dir(&home).unwrap();
    log.note(entry(&trace("back"), &account, &text));
    appears(&path, "missing").await;
    says(&logged, "is written again; 3 lines are missing").await;
    let lines = lines(&path);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!((&lines[0]["trace"], &lines[1]["missing"]), (&json!("back"), &json!(3)));
    assert_eq!(logged.lines().len(), 2, "{:#?}", logged.lines());
}

#[test]
fn file_that_cannot_be_opened_is_refused_at_the_start() {
    let error = MessageLog::new(settings("/nonexistent/messages.log".into()), Clock::system()).unwrap_err();
    assert!(matches!(&error, LogError::Open { path, .. } if path.ends_with("messages.log")));
    assert!(error.to_string().contains("make its directory"), "{error}");
}
