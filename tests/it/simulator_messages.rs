//! Customer-service messages at the simulator: what is taken, what is refused and how.

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Fault, Kind, Outcome, Script, Settings};

use super::support::frozen::Guard;
use super::support::simulated::{Simulated, errcode, text};

async fn started() -> (Simulated, String) {
    let wechat = Simulated::start(Settings::default()).await;
    let token = text(&wechat.stable("wx1").await, "access_token").to_owned();
    (wechat, format!("/cgi-bin/message/custom/send?access_token={token}"))
}

fn hello(openid: &str) -> Value {
    json!({ "touser": openid, "msgtype": "text", "text": { "content": "你好" } })
}

#[tokio::test]
async fn accepted_messages_are_kept_logged_and_readable_by_tests_and_over_http() {
    let _guard = Guard::start();
    let (wechat, path) = started().await;
    assert_eq!(wechat.post(&path, &hello("o1")).await, json!({ "errcode": 0, "errmsg": "ok" }));
    let kept = wechat.control.wait_messages("wx1", 1).await;
    assert_eq!((kept[0].touser.as_str(), kept[0].msgtype.as_str()), ("o1", "text"));
    assert_eq!(kept[0].body, hello("o1"));
    wechat.post(&path, &hello("o2")).await;
    assert!(wechat.control.messages("wx2").is_empty());

    let page = wechat.get("/_sim/messages?appid=wx1").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2, "{page}");
    assert_eq!(page["messages"][1]["body"]["text"]["content"], "你好");
    assert_eq!(wechat.get("/_sim/messages?since=1").await["messages"][0]["touser"], "o2");
    assert_eq!(wechat.get("/_sim/messages?appid=wx2").await["messages"], json!([]));
    assert_eq!(wechat.control.count(Endpoint::CustomSend, "wx1"), 2);
    let call = wechat.control.calls().pop().unwrap();
    assert_eq!((call.endpoint, call.outcome), (Endpoint::CustomSend, Outcome::Ok));
}

#[tokio::test]
async fn every_type_of_message_is_taken() {
    let _guard = Guard::start();
    let (wechat, path) = started().await;
    let parts = [
        ("text", json!({ "content": "a" })),
        ("image", json!({ "media_id": "m" })),
        ("voice", json!({ "media_id": "m" })),
        ("video", json!({ "media_id": "m", "thumb_media_id": "t", "title": "a", "description": "b" })),
        ("music", json!({ "musicurl": "u", "hqmusicurl": "u", "thumb_media_id": "t" })),
        ("news", json!({ "articles": [{ "title": "a", "url": "u" }] })),
        ("mpnews", json!({ "media_id": "m" })),
        ("mpnewsarticle", json!({ "article_id": "m" })),
        (
            "msgmenu",
            json!({ "head_content": "a", "list": [{ "id": "1", "content": "b" }], "tail_content": "c" }),
        ),
        ("wxcard", json!({ "card_id": "c" })),
        ("miniprogrampage", json!({ "title": "a", "appid": "wx2", "pagepath": "p", "thumb_media_id": "t" })),
        ("link", json!({ "title": "a", "url": "u" })),
    ];
    for (msgtype, part) in &parts {
        let body = json!({ "touser": "o1", "msgtype": msgtype, *msgtype: part,
            "customservice": { "kf_account": "a@b" } });
        assert_eq!(errcode(&wechat.post(&path, &body).await), 0, "{body}");
    }
    assert_eq!(wechat.control.messages("wx1").len(), parts.len());
}

#[tokio::test]
async fn messages_that_wechat_refuses_get_its_errcode_and_are_not_kept() {
    let _guard = Guard::start();
    let (wechat, path) = started().await;
    let said =
        |part: Value| json!({ "touser": "o1", "msgtype": part["t"], part["t"].as_str().unwrap(): part["p"] });
    let cases = [
        (json!([]), 47001),
        (json!({ "msgtype": "text", "text": { "content": "a" } }), 40003),
        (hello("no openid"), 40003),
        (json!({ "touser": "o1" }), 40008),
        (said(json!({ "t": "template", "p": {} })), 40008),
        (json!({ "touser": "o1", "msgtype": "text", "content": "a" }), 47001),
        (said(json!({ "t": "text", "p": { "content": "" } })), 44004),
        (said(json!({ "t": "text", "p": { "content": "中".repeat(683) } })), 45002),
        (said(json!({ "t": "image", "p": { "media_id": "" } })), 40007),
        (said(json!({ "t": "voice", "p": { "media_id": "a b" } })), 40007),
        (said(json!({ "t": "music", "p": {} })), 40007),
        (said(json!({ "t": "news", "p": { "articles": [{}, {}] } })), 45008),
        (said(json!({ "t": "news", "p": { "articles": [] } })), 44003),
        (said(json!({ "t": "msgmenu", "p": { "list": [{ "id": 1 }] } })), 47001),
    ];
    for (body, code) in cases {
        let answer = wechat.post(&path, &body).await;
        assert_eq!(errcode(&answer), code, "{body}: {answer}");
        assert!(!text(&answer, "errmsg").starts_with("error"), "{answer}");
    }
    let raw = async |body: &'static str| {
        let answer = wechat.client().post(wechat.url(&path)).body(body).send().await.unwrap();
        errcode(&serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    };
    assert_eq!(raw("").await, 44002);
    assert_eq!(raw("{").await, 47001);
    let escaped = r#"{"touser":"o1","msgtype":"text","text":{"content":"\u4f60"}}"#;
    assert_eq!(raw(escaped).await, 40033, "WeChat shows escapes to users as they are");
    assert_eq!(errcode(&wechat.get(&path).await), 43002);
    assert!(wechat.control.messages("").is_empty());
}

#[tokio::test]
async fn dead_tokens_and_scripted_refusals_are_as_at_other_endpoints() {
    let _guard = Guard::start();
    let (wechat, path) = started().await;
    wechat.control.script(Script::once(Endpoint::CustomSend, Fault::errcode(45015)));
    let late = wechat.post(&path, &hello("o1")).await;
    assert_eq!(errcode(&late), 45015);
    assert!(text(&late, "errmsg").contains("time limit"), "{late}");
    let lost = Script::once(Endpoint::CustomSend, Fault::AnswerLost);
    wechat.control.script(lost);
    let broken = wechat.client().post(wechat.url(&path)).body(hello("o1").to_string()).send().await;
    assert!(broken.is_err());
    assert_eq!(wechat.control.messages("wx1").len(), 1, "delivered, though nobody was told");
    wechat.control.kill("wx1", Kind::Stable);
    assert_eq!(errcode(&wechat.post(&path, &hello("o1")).await), 40001);
    assert_eq!(errcode(&wechat.post("/cgi-bin/message/custom/send", &hello("o1")).await), 41001);
    assert_eq!(wechat.control.messages("wx1").len(), 1);
}
