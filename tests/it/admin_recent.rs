//! Complaints and foreign refreshes among the recent events of the status page.

use std::time::Duration;

use tokio::task::JoinSet;
use zhongkong::model::ErrCode;

use super::admin_support::{Desk, HEARTBEAT, Live, Message, open_to_all};
use super::support::engine::Engine;

const DEAD: ErrCode = ErrCode(40_001);

/// So many callers report the current value at the same time.
async fn complain(engine: &Engine, callers: usize) {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let (handle, seen) = (engine.token(), engine.print());
        all.spawn(async move { handle.complain(Some(seen), DEAD).await });
    }
    while let Some(verdict) = all.join_next().await {
        verdict.unwrap().unwrap();
    }
}

/// The entries of an update's or a page's events.
fn events(html: &str) -> Vec<&str> {
    html.split("<li id=\"e-").skip(1).map(|entry| entry.split("</li>").next().unwrap()).collect()
}

fn complaints(message: &Message) -> Vec<String> {
    let told = events(message.part("events")).into_iter().filter(|event| event.contains(" complaint <"));
    told.map(ToOwned::to_owned).collect()
}

/// The complaints of the first update that has so many of them.
async fn told(live: &mut Live, engine: &Engine, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    complaints(&live.until(engine, |message| wanted(&complaints(message))).await)
}

#[tokio::test]
async fn complaint_that_changes_nothing_is_told_once_for_all_who_make_it() {
    // WeChat says that the value works: nothing of the key changes, and yet somebody should look
    // at the program that complains.
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events?lang=en").await;
    assert!(complaints(&live.next().await.unwrap()).is_empty());
    complain(&engine, 5).await;
    let first = told(&mut live, &engine, |all| !all.is_empty()).await;
    assert_eq!(first.len(), 1, "{first:?}");
    for words in ["WeChat says it works", "callers: 5", &engine.print().to_string(), "wx1"] {
        assert!(first[0].contains(words), "{words}: {first:?}");
    }
    // The next ones within a minute are added to it.
    complain(&engine, 2).await;
    let more = told(&mut live, &engine, |all| all.iter().any(|event| event.contains("callers: 7"))).await;
    assert_eq!(more.len(), 1, "{more:?}");
    // After it they are another event.
    engine.pass(Duration::from_secs(60)).await;
    complain(&engine, 1).await;
    let later = told(&mut live, &engine, |all| all.len() == 2).await;
    assert!(!later[0].contains("callers"), "one needs no number: {later:?}");
    let page = desk.browser().get("/?lang=zh").await;
    assert!(page.body.contains("投诉失效") && page.body.contains("微信确认仍有效"), "{}", page.body);
}

#[tokio::test]
async fn foreign_refresh_is_told_with_the_complaint_that_found_it_and_the_rotation_after_it() {
    // Another program with this AppSecret fetches twice, which kills our value.
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    // Also the sign that the page follows the keys by now.
    desk.browser().live("/events").await.next().await.unwrap();
    let old = engine.print().to_string();
    engine.wechat.control.foreign_fetch("wx1").unwrap();
    engine.wechat.control.foreign_fetch("wx1").unwrap();
    complain(&engine, 3).await;
    engine.advance(HEARTBEAT).await;
    let page = desk.browser().get("/?lang=en").await;
    let told = page.body.split("<ol class=\"events\">").nth(1).unwrap().split("</ol>").next().unwrap();
    for words in
        ["foreign refresh suspected", "rotated", "after a complaint", "dead, replaced", "callers: 3", &old]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
}
