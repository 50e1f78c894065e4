//! Answers that come too late: customer-service messages, with the real daemon's tokens.
//!
//! The daemon is the real process; WeChat is the simulator, or a stand-in where the bytes count.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::client::cache::Cache;
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::Clock;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::fields::{Fields, Value};
use zhongkong::services::messages::handler::{Incoming, Trace};
use zhongkong::services::messages::late::{Late, LateError};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{Article, Music, Reply, Video};
use zhongkong::services::wechat_api::{ApiError, LostKind, UnsentKind};
use zhongkong::simulator::{Call, Endpoint, Fault, Kind, Outcome, Script};

use super::messages_support::{Came, Says, Standin, api, api_within};
use super::support::frozen::{Frozen, Guard};
use super::support::ports::Kept;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::simulated::{Simulated, listed_with};

/// What a call to WeChat may take where it is not answered.
const LIMIT: Duration = Duration::from_secs(20);
const SEND: &str = "/cgi-bin/message/custom/send";

/// A daemon with the token of "wx1".
async fn daemon() -> (Simulated, Site, Process) {
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    (wechat, site, daemon)
}

/// What the user "oUser" wrote to "wx1".
fn incoming() -> Incoming {
    let mut fields = Fields::default();
    for (name, text) in [
        ("ToUserName", "gh_a"),
        ("FromUserName", "oUser"),
        ("CreateTime", "1"),
        ("MsgType", "text"),
        ("Content", "hi"),
        ("MsgId", "1"),
    ] {
        fields.push(name, Value::Text(text.into()));
    }
    Incoming {
        account: Arc::new(Account { appid: "wx1".parse().unwrap(), path: "shop".to_owned() }),
        message: Message::read(fields).unwrap(),
        trace: Trace("t-1".into()),
    }
}

fn text() -> Reply {
    Reply::Text { content: "你好 \"😀\"".to_owned() }
}

/// The calls that reached the simulator's endpoint, processed or not.
fn sends(wechat: &Simulated) -> Vec<Call> {
    wechat.control.calls().into_iter().filter(|call| call.path == SEND).collect()
}

async fn send(late: &Late) -> Result<(), LateError> {
    late.send(&incoming(), &text()).await
}

/// The sentence and those behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn late_answer_goes_to_the_sender_with_the_daemons_token_in_utf8() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = daemon().await;
    let standin = Standin::start([]).await;
    let late = Late::new(api(site.connect().await, &standin.base));
    send(&late).await.unwrap();
    let token = site.value("wx1").await;
    assert_eq!(
        standin.came(),
        [Came {
            line: format!("POST {SEND}?access_token={token}"),
            content_type: "application/json; charset=utf-8".to_owned(),
            body:
                r#"{"touser":"oUser","msgtype":"text","text":{"content":"你好 \"😀\""}}"#.as_bytes().to_vec(),
        }]
    );
    // What cannot be sent late does not reach WeChat.
    let transfer = Reply::TransferCustomerService { account: None };
    let error = late.send(&incoming(), &transfer).await.unwrap_err();
    assert!(matches!(error, LateError::Transfer), "{error}");
    assert_eq!(standin.came().len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn every_kind_of_reply_that_can_be_late_is_taken_by_wechat() {
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let late = Late::new(api(site.connect().await, &wechat.base));
    let id = || "M-1".to_owned();
    let web = || "https://a.example/x".to_owned();
    let article = Article { title: "题".to_owned(), description: String::new(), pic_url: web(), url: web() };
    let replies = [
        text(),
        Reply::Text { content: "汉\u{1}\u{ffff}".repeat(682) },
        Reply::Image { media_id: id() },
        Reply::Voice { media_id: id() },
        Reply::Video(Video { media_id: id(), ..Video::default() }),
        Reply::Music(Music { url: Some(web()), thumb_media_id: id(), ..Music::default() }),
        Reply::News { articles: vec![article] },
    ];
    for reply in &replies {
        late.send(&incoming(), reply).await.unwrap_or_else(|error| panic!("{reply:?}: {}", chain(&error)));
    }
    let taken = wechat.control.messages("wx1");
    assert!(taken.iter().all(|message| message.touser == "oUser"));
    let kinds: Vec<_> = taken.iter().map(|message| message.msgtype.as_str()).collect();
    assert_eq!(kinds, ["text", "text", "image", "voice", "video", "music", "news"]);
    daemon.stop().await;
}

#[tokio::test]
async fn dead_token_is_complained_about_and_the_answer_sent_once_with_the_next() {
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let late = Late::new(api(site.connect().await, &wechat.base));
    let old = site.value("wx1").await;
    wechat.control.kill("wx1", Kind::Classic);
    send(&late).await.unwrap();
    let new = site.value("wx1").await;
    assert_ne!(old, new);
    let delivered = wechat.control.messages("wx1");
    assert_eq!(delivered.len(), 1, "{delivered:?}");
    assert_eq!(delivered[0].body["text"]["content"], "你好 \"😀\"");
    let sends = sends(&wechat);
    let outcomes: Vec<_> = sends.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Errcode(40001), Outcome::Ok]);
    let used: Vec<_> = sends.iter().map(|call| call.token_fingerprint.clone().unwrap()).collect();
    assert_eq!(used, [&old, &new].map(|token| zhongkong::simulator::fingerprint(token)));
    daemon.stop().await;
}

#[tokio::test]
async fn token_that_is_refused_again_ends_in_an_error_after_two_calls() {
    // wechatpy recurses without end here; somebody else's fetches could feed it for ever.
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let late = Late::new(api(site.connect().await, &wechat.base));
    wechat.control.script(Script::forever(Endpoint::CustomSend, Fault::errcode(42001)));
    let error = send(&late).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::StillDead(_))), "{error:?}");
    assert!(chain(&error).contains("another program that fetches tokens"), "{}", chain(&error));
    assert_eq!(sends(&wechat).len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn refusal_that_is_not_about_the_token_is_told_and_not_repeated() {
    // -1 is in the list: what it stood for was sent twice by others.
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let late = Late::new(api(site.connect().await, &wechat.base));
    let fetches = wechat.control.count_all(Endpoint::Token);
    let cases = [
        (45015, "48 hours"),
        (45047, "five after a message"),
        (45002, "2048 bytes"),
        (40003, "not a follower"),
        (48001, "verified"),
        (42007, "errcode 42007"),
        (-1, "busy"),
    ];
    for (at, (errcode, words)) in cases.into_iter().enumerate() {
        wechat.control.script(Script::once(Endpoint::CustomSend, Fault::errcode(errcode)));
        let error = send(&late).await.unwrap_err();
        assert!(matches!(error, LateError::Api(ApiError::Refused(_))), "{errcode}: {error:?}");
        let text = chain(&error);
        assert!(text.contains(words) && text.contains(&errcode.to_string()), "{text}");
        assert_eq!(sends(&wechat).len(), at + 1, "{errcode} was sent once");
    }
    assert_eq!(wechat.control.count_all(Endpoint::Token), fetches, "no token was replaced");
    daemon.stop().await;
}

#[tokio::test]
async fn lost_answer_is_never_sent_again_whatever_lost_it() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = daemon().await;
    let cases = [
        (Says::Status(500), LostKind::Status(500)),
        (Says::Status(302), LostKind::Status(302)),
        (Says::Text("<html>".to_owned()), LostKind::NotJson),
        (Says::Text(String::new()), LostKind::NotJson),
        (Says::Long(1024 * 1024), LostKind::TooLarge),
    ];
    for (says, expected) in cases {
        let standin = Standin::start([says.clone()]).await;
        let late = Late::new(api(site.connect().await, &standin.base));
        let error = send(&late).await.unwrap_err();
        let LateError::Api(ApiError::Lost(kind)) = error else { panic!("{says:?}: {error:?}") };
        assert_eq!(kind, expected);
        assert_eq!(standin.came().len(), 1, "{says:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn answer_that_breaks_off_or_is_late_is_lost_after_one_call() {
    // The message was sent: the simulator processed it and only its answer got lost.
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let late = Late::new(api(site.connect().await, &wechat.base));
    for fault in [Fault::AnswerLost, Fault::TruncatedJson, Fault::TornConnection] {
        let before = sends(&wechat).len();
        wechat.control.script(Script::once(Endpoint::CustomSend, fault.clone()));
        let error = send(&late).await.unwrap_err();
        assert!(matches!(error, LateError::Api(ApiError::Lost(LostKind::Torn))), "{fault:?}: {error:?}");
        assert_eq!(sends(&wechat).len(), before + 1, "{fault:?}");
    }
    // A torn connection took the request with it; the others' messages were delivered, once.
    assert_eq!(wechat.control.messages("wx1").len(), 2);
    let mute = Standin::start([Says::Nothing]).await;
    let late = Late::new(api_within(site.connect().await, &mute.base, LIMIT));
    let frozen = Frozen::start();
    let passes = async {
        while mute.came().is_empty() {
            tokio::task::yield_now().await;
        }
        frozen.advance(LIMIT + Duration::from_millis(1)).await;
    };
    let (sent, ()) = tokio::join!(send(&late), passes);
    let error = sent.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::Lost(LostKind::TimedOut))), "{error:?}");
    assert_eq!(mute.came().len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn call_that_found_nobody_is_known_as_not_sent() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = daemon().await;
    let nobody = Kept::new();
    let base = format!("http://{}", nobody.addr());
    let late = Late::new(api(site.connect().await, &base));
    let error = send(&late).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::NotSent(UnsentKind::Connect))), "{error:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn daemon_that_is_away_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let standin = Standin::start([]).await;
    let nowhere = tempfile::tempdir().unwrap();
    let addr = format!("unix:{}", nowhere.path().join("grpc.sock").display());
    let credentials = Credentials { token: Some(TOKEN.into()), ..Credentials::default() };
    let late = Late::new(api(Client::lazy(&addr, credentials).unwrap(), &standin.base));
    let error = send(&late).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::DaemonAway { .. })), "{error:?}");
    let text = chain(&error);
    assert!(
        text.contains("unix:/run/zhongkong/grpc.sock") && text.contains("systemctl start zhongkong"),
        "{text}"
    );
    assert!(standin.came().is_empty());
}

#[tokio::test]
async fn daemon_that_admits_nobody_or_knows_no_such_account_is_told_apart_from_one_that_is_away() {
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let stranger =
        Late::new(api(site.connect_as("a-token-that-nobody-knows-AAAAAAAAAA").await, &wechat.base));
    let error = send(&stranger).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::NoToken { .. })), "{error:?}");
    let friend = Late::new(api(site.connect().await, &wechat.base));
    let mut foreign = incoming();
    foreign.account = Arc::new(Account { appid: "wx-unknown".parse().unwrap(), path: "x".to_owned() });
    let error = friend.send(&foreign, &text()).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::NoToken { .. })), "{error:?}");
    assert!(chain(&error).contains("wx-unknown"), "{}", chain(&error));
    assert!(sends(&wechat).is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn local_copy_is_used_while_the_daemon_is_away_and_a_dead_token_then_ends_in_a_sentence() {
    let _guard = Guard::start();
    let (wechat, site, daemon) = daemon().await;
    let client = site.connect().await;
    let (cache, mut feeder) = Cache::new(client.clone(), Clock::system(), vec![key("wx1")]);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut changes = cache.changes();
    let stopped = stop.clone();
    tasks.spawn(async move { feeder.run(stopped).await });
    while cache.get(&key("wx1")).is_none() {
        changes.changed().await.unwrap();
    }
    let late = Late::new(api(client, &wechat.base).with_cache(cache));
    daemon.kill().await;
    send(&late).await.unwrap();
    wechat.control.kill("wx1", Kind::Classic);
    let error = send(&late).await.unwrap_err();
    assert!(matches!(error, LateError::Api(ApiError::Complaint { .. })), "{error:?}");
    assert_eq!(sends(&wechat).len(), 2, "{}", chain(&error));
    stop.cancel();
}

#[tokio::test]
async fn no_error_shows_the_token_or_the_address_that_carries_it() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = daemon().await;
    let token = site.value("wx1").await;
    let echo = format!(r#"{{"errcode":48001,"errmsg":"api unauthorized {token}"}}"#);
    let unknown = format!(r#"{{"errcode":99999,"errmsg":"no such thing {token} rid: {token}"}}"#);
    let says = [Says::Text(echo), Says::Text(unknown), Says::Status(502), Says::Nothing];
    let standin = Standin::start(says).await;
    let api = api_within(site.connect().await, &standin.base, Duration::from_millis(200));
    let late = Late::new(api.clone());
    let mut texts = vec![format!("{api:?} {late:?}")];
    for _ in 0..4 {
        let error = send(&late).await.unwrap_err();
        texts.push(format!("{error:?} {}", chain(&error)));
    }
    for text in texts {
        assert!(!text.contains(&token) && !text.contains("access_token="), "{text}");
    }
    daemon.stop().await;
}
