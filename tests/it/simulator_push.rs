//! The simulator's pushes as a library and over HTTP: times, retries, faults.

use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use zhongkong::simulator::Settings;
use zhongkong::simulator::callback::{
    Ending, Fault, Flaw, Format, Identity, KINDS, Mode, Owes, Push, Sender, Trial, WAIT,
};

use super::callback_support::{AES_KEY, APPID, Callback, Seen, TOKEN, identity, reply, right, sealed};
use super::support::frozen::{Frozen, Guard};
use super::support::simulated::Simulated;

fn sender(callback: &Callback, mode: Mode) -> Sender {
    Sender::new(&callback.url, identity(mode, Format::Xml)).unwrap()
}

#[tokio::test]
async fn message_without_an_answer_is_sent_three_times_five_seconds_apart() {
    // The clock is the test's; each attempt ends when its five seconds are over and not before.
    let clock = Frozen::start();
    let callback = Callback::start(|_| None).await;
    let sender = sender(&callback, Mode::Safe).at(Duration::from_secs(1_700_000_000));
    let push = Push::new("text").unwrap();
    let time = async {
        for attempt in 1..=3 {
            callback.wait(attempt).await;
            clock.advance(WAIT.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(callback.seen().len(), attempt, "given up too early");
            clock.advance(Duration::from_millis(2)).await;
        }
    };
    let (delivery, ()) = tokio::join!(sender.push(&push), time);
    assert!(matches!(delivery.shown.flaw(), Some(Flaw::Silent(_, 3))), "{:?}", delivery.shown);
    let seen = callback.seen();
    assert_eq!(seen.len(), 3);
    for (number, again) in seen.iter().enumerate() {
        assert!(again.signed());
        assert_eq!(again.message(), seen[0].message(), "the message stays, MsgId and CreateTime too");
        let sent: u64 = again.of("timestamp").parse().unwrap();
        assert_eq!(sent, 1_700_000_000 + 5 * u64::try_from(number).unwrap(), "the query is fresh");
    }
    assert_ne!(seen[0].of("nonce"), seen[1].of("nonce"));
    assert_ne!(seen[0].of("msg_signature"), seen[1].of("msg_signature"));
}

#[tokio::test]
async fn answer_of_a_later_attempt_is_the_one_that_is_shown() {
    let clock = Frozen::start();
    let asked = Mutex::new(0);
    let callback = Callback::start(move |seen| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        (*asked > 1).then(|| (StatusCode::OK, right(seen, "second")))
    })
    .await;
    let sender = sender(&callback, Mode::Plain);
    let push = Push::new("text").unwrap();
    let time = async {
        callback.wait(1).await;
        clock.advance(WAIT + Duration::from_millis(1)).await;
    };
    let (delivery, ()) = tokio::join!(sender.push(&push), time);
    assert_eq!(delivery.shown.answer().unwrap().fields.get("Content"), Some("second"));
    assert_eq!(delivery.attempts.len(), 2);
    assert_eq!(delivery.attempts[0].ending, Ending::Silent);
}

#[tokio::test]
async fn every_kind_arrives_and_its_answer_comes_back_in_every_mode_and_format() {
    let _guard = Guard::start();
    let callback = Callback::echoing("ok").await;
    for mode in Mode::ALL {
        for format in Format::ALL {
            let sender = Sender::new(&callback.url, identity(mode, format)).unwrap();
            for kind in KINDS {
                let delivery = sender.push(&Push::new(kind.name).unwrap()).await;
                assert!(delivery.ok(), "{mode:?} {format:?} {}: {:?}", kind.name, delivery.shown);
                assert_eq!(delivery.shown.answer().unwrap().fields.get("Content"), Some("ok"));
            }
        }
    }
    let seen = callback.seen();
    assert_eq!(seen.len(), 6 * KINDS.len());
    assert!(seen.iter().all(|seen| seen.signed() && seen.field("MsgType").is_some()));
}

/// Refuses what must be refused, and answers one message once.
fn strict(mode: Mode) -> impl Fn(&Seen) -> Option<(StatusCode, String)> {
    move |seen| {
        let now = 1_700_000_000_i64;
        let time: i64 = seen.of("timestamp").parse().unwrap_or(0);
        if !seen.signed()
            || (time - now).abs() > 600
            || (mode == Mode::Safe && seen.of("encrypt_type") != "aes")
        {
            return Some((StatusCode::FORBIDDEN, String::new()));
        }
        let whole = |text: &String| text.starts_with("<xml>") && text.ends_with("</xml>");
        match seen.message().filter(whole) {
            Some(_) => Some((StatusCode::OK, right(seen, "once"))),
            None => Some((StatusCode::BAD_REQUEST, String::new())),
        }
    }
}

#[tokio::test]
async fn strict_callback_withstands_every_fault_in_every_mode() {
    let _guard = Guard::start();
    for mode in Mode::ALL {
        let callback = Callback::start(strict(mode)).await;
        let sender = sender(&callback, mode).at(Duration::from_secs(1_700_000_000));
        for fault in Fault::ALL {
            // A body that stops is given up by the sender here; a real service has its own limit.
            let sender = match fault {
                Fault::SlowBody => sender.clone().wait(Duration::from_millis(300)),
                _ => sender.clone(),
            };
            let delivery = sender.push(&Push::new("text").unwrap().fault(fault)).await;
            let trial = delivery.trial.clone().unwrap();
            assert!(matches!(trial, Trial::Withstood(_)), "{mode:?} {fault:?}: {trial:?} {delivery:?}");
        }
    }
}

#[tokio::test]
async fn credulous_callback_falls_for_every_fault_that_is_owed_a_refusal() {
    // It answers whatever comes, and so must be told about each forgery.
    let _guard = Guard::start();
    let callback = Callback::start(|_| Some((StatusCode::OK, "success".to_owned()))).await;
    let mut owed = 0;
    for mode in Mode::ALL {
        for fault in Fault::ALL.into_iter().filter(|fault| fault.owes(mode) == Owes::Refusal) {
            let delivery = sender(&callback, mode).push(&Push::new("text").unwrap().fault(fault)).await;
            assert!(matches!(delivery.trial, Some(Trial::Fell(_))), "{mode:?} {fault:?}");
            assert!(!delivery.ok());
            owed += 1;
        }
    }
    assert!(owed > 15, "{owed}");
}

#[tokio::test]
async fn callback_that_handles_a_message_twice_falls_for_replay_and_duplicate() {
    let _guard = Guard::start();
    let count = Mutex::new(0);
    let callback = Callback::start(move |seen| {
        let mut count = count.lock().unwrap();
        *count += 1;
        Some((StatusCode::OK, sealed(seen, &reply(seen, &format!("answer {count}")))))
    })
    .await;
    for fault in [Fault::Replay, Fault::Duplicate] {
        let delivery = sender(&callback, Mode::Safe).push(&Push::new("text").unwrap().fault(fault)).await;
        assert!(matches!(&delivery.trial, Some(Trial::Fell(why)) if why.contains("twice")), "{fault:?}");
        let [one, other] = &delivery.attempts[..] else { panic!("two attempts") };
        assert_eq!(one.request.body == other.request.body, fault == Fault::Replay);
    }
    let ids: Vec<_> = callback.seen().iter().map(|seen| seen.field("MsgId")).collect();
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2], "{ids:?}");
}

#[tokio::test]
async fn sender_cannot_be_made_without_what_its_mode_needs() {
    let keyless = Identity { aes_key: None, ..identity(Mode::Safe, Format::Xml) };
    assert!(Sender::new("http://127.0.0.1/", keyless).unwrap_err().to_string().contains("EncodingAESKey"));
    let wrong = Identity { aes_key: Some("short".to_owned()), ..identity(Mode::Safe, Format::Xml) };
    assert!(Sender::new("http://127.0.0.1/", wrong).unwrap_err().to_string().contains("43 characters"));
    assert!(Sender::new("ftp://127.0.0.1/", identity(Mode::Plain, Format::Xml)).is_err());
}

#[tokio::test]
async fn push_can_be_ordered_over_http_by_any_program() {
    let _guard = Guard::start();
    let callback = Callback::echoing("over http").await;
    let wechat = Simulated::start(Settings::default()).await;
    let order = json!({
        "url": callback.url, "type": "event.CLICK", "fields": { "EventKey": "K", "CreateTime": 12 },
        "token": TOKEN, "aes_key": AES_KEY, "appid": APPID, "format": "json",
    });
    let done = wechat.post("/_sim/push", &order).await;
    assert_eq!(
        (&done["ok"], &done["shown"]["fields"]["Content"]),
        (&json!(true), &json!("over http")),
        "{done}"
    );
    let seen = callback.seen().pop().unwrap();
    assert_eq!(
        (seen.field("EventKey").as_deref(), seen.field("CreateTime").as_deref()),
        (Some("K"), Some("12"))
    );
    let verify = json!({ "url": callback.url, "type": "verify", "token": TOKEN });
    assert_eq!(wechat.post("/_sim/push", &verify).await["ok"], true);
    let message = json!({ "url": callback.url, "message": "<xml><ToUserName>a</ToUserName><FromUserName>b\
        </FromUserName></xml>", "token": TOKEN });
    assert_eq!(wechat.post("/_sim/push", &message).await["ok"], true);
    let forged = json!({ "url": callback.url, "type": "text", "token": TOKEN, "fault": "bad_signature" });
    let done = wechat.post("/_sim/push", &forged).await;
    assert_eq!((&done["ok"], &done["trial"]["withstood"]), (&json!(false), &json!(false)), "{done}");

    for (wrong, words) in [
        (json!({ "url": callback.url, "type": "txt", "token": "t" }), "is text meant?"),
        (json!({ "url": callback.url, "type": "text", "token": "t", "mode": "secret" }), "mode"),
        (json!({ "url": callback.url, "type": "text", "token": "t", "fault": "none" }), "fault"),
        (json!({ "url": callback.url, "token": "t" }), "either type or message"),
        (json!({ "url": callback.url, "type": "text", "token": "t", "wait_ms": 0 }), "wait_ms"),
        (json!({ "url": callback.url, "type": "text", "tokn": "t" }), "tokn"),
    ] {
        let request = wechat.client().post(wechat.url("/_sim/push")).body(wrong.to_string());
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
        let said = refused.text().await.unwrap();
        assert!(said.contains(words), "{wrong}: {said}");
    }
    // The page names every fault that can be ordered.
    let help = wechat.try_get("/_sim/").await.unwrap().text().await.unwrap();
    for fault in Fault::ALL {
        assert!(help.contains(fault.name()), "{} is not on the page", fault.name());
    }
}
