//! The status page kept current: what its stream says, when, and when it ends.

use std::time::Duration;

use reqwest::StatusCode;
use zhongkong::access::Action;
use zhongkong::model::{Kind, TokenMode};
use zhongkong::refresh::handle::Force;
use zhongkong::simulator::{Endpoint, Fault};

use super::admin_support::{Desk, HEARTBEAT, Message, for_clients, keys, open_to_all};
use super::grpc_support::{client, client_of_wx1};
use super::support::engine::{Engine, Setup, account, text};

async fn two_accounts() -> Engine {
    let accounts = vec![account("wx1", TokenMode::Classic), account("wx2", TokenMode::Classic)];
    let engine = Engine::start(Setup::new(accounts)).await;
    engine.ready().await;
    engine
}

fn changed(message: &Message, id: &str) -> bool {
    !message.row(id).is_empty()
}

#[tokio::test]
async fn rotation_appears_as_the_changed_key_and_an_event_and_no_value() {
    let engine = two_accounts().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events?sort=name").await;
    let first = live.next().await.unwrap();
    assert_eq!(first.event, "update");
    // Between the first paint and the stream something may have changed, so all is said once.
    assert_eq!(first.data["order"], serde_json::json!(["k-0-wx1", "k-0-wx2"]));
    assert!(changed(&first, "k-0-wx1") && changed(&first, "k-0-wx2"));

    engine.token().force(Force::Once).await.unwrap();
    let print = engine.print().to_string();
    let seen = live.until(&engine, |message| message.row("k-0-wx1").contains(&print)).await;
    assert!(!changed(&seen, "k-0-wx2"), "what did not change is not sent: {seen:?}");
    assert!(seen.data.get("order").is_none(), "{seen:?}");
    let told = |message: &Message| message.part("events").contains(&print);
    let events = if told(&seen) { seen } else { live.until(&engine, told).await };
    assert!(events.part("events").contains("by command"), "{events:?}");
    assert!(!format!("{events:?}").contains(&text(&engine.token())), "a value is in the stream");
}

#[tokio::test]
async fn trouble_and_its_end_appear_and_move_the_key_to_the_front_and_back() {
    let engine = two_accounts().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events").await;
    live.next().await.unwrap();
    engine.always(Endpoint::Token, Fault::errcode(40_125));
    let wx2 = engine.handle("wx2", Kind::AccessToken);
    wx2.force(Force::Once).await.unwrap_err();
    let seen = live.until(&engine, |message| message.row("k-0-wx2").contains("40125")).await;
    assert!(seen.row("k-0-wx2").contains("What to do"), "{seen:?}");
    assert!(seen.part("summary").contains("1 needs an operator"), "{seen:?}");
    assert_eq!(seen.data["order"][0], "k-0-wx2", "{seen:?}");
    engine.wechat.control.clear_faults();
    wx2.force(Force::Once).await.unwrap();
    let seen = live.until(&engine, |message| changed(message, "k-0-wx2")).await;
    assert!(!seen.row("k-0-wx2").contains("40125"), "{seen:?}");
}

#[tokio::test]
async fn value_that_ends_by_time_alone_appears_without_any_other_news() {
    // WeChat does not answer any more. Nothing happens when the value's life is over, but a
    // reader gets none from then on, and the page must say so.
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events").await;
    live.next().await.unwrap();
    engine.always(Endpoint::Token, Fault::HttpStatus(502));
    engine.always(Endpoint::ApiDomainIp, Fault::HttpStatus(502));
    engine.pass(Duration::from_secs(7_300)).await;
    let seen = live.until(&engine, |message| message.row("k-0-wx1").contains("is-no_value")).await;
    assert!(seen.part("summary").contains("1 without a value"), "{seen:?}");
}

#[tokio::test]
async fn account_that_a_reload_removes_vanishes_and_one_that_it_adds_appears() {
    let engine = two_accounts().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events?sort=name").await;
    live.next().await.unwrap();
    let wanted = vec![account("wx1", TokenMode::Classic), account("wx3", TokenMode::Classic)];
    let done = engine.hub.reload(wanted).await.unwrap();
    desk.recent.reloaded(engine.clock.wall(), done, &[]);
    let seen = live.until(&engine, |message| message.data["order"].is_array()).await;
    assert_eq!(seen.data["order"], serde_json::json!(["k-0-wx1", "k-0-wx3"]), "{seen:?}");
    assert!(changed(&seen, "k-0-wx3"), "{seen:?}");
    let told = |message: &Message| {
        let events = message.part("events");
        events.contains("configuration reloaded") && events.contains("+1 ~0 −1") && events.contains("removed")
    };
    if !told(&seen) {
        live.until(&engine, told).await;
    }
}

#[tokio::test]
async fn stream_has_only_what_its_page_shows() {
    let engine = two_accounts().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events?q=wx2").await;
    let first = live.next().await.unwrap();
    assert_eq!(first.data["order"], serde_json::json!(["k-0-wx2"]));
    assert!(keys(first.part("summary")).is_empty());
    engine.token().force(Force::Once).await.unwrap();
    let next =
        live.until(&engine, |message| message.part("events").contains(&engine.print().to_string())).await;
    assert!(!changed(&next, "k-0-wx1"), "{next:?}");
}

#[tokio::test]
async fn quiet_stream_says_every_ten_seconds_that_it_is_there() {
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events").await;
    live.next().await.unwrap();
    // The number of open pages counts this one from the first message on; then nothing changes.
    for _ in 0..3 {
        engine.advance(HEARTBEAT).await;
        let beat = live.next().await.unwrap();
        assert!(beat.data["now"].is_number() && beat.data.get("rows").is_none(), "{beat:?}");
    }
}

#[tokio::test]
async fn stream_ends_when_its_client_is_removed_and_narrows_when_it_loses_a_grant() {
    let engine = two_accounts().await;
    let clients = [client("web", &[Action::Status]), client("gone", &[Action::Status])];
    let desk = Desk::start(&engine.hub, for_clients(), &clients).await;
    let mut web = desk.signed_in("web").await.live("/events?sort=name").await;
    let gone = desk.signed_in("gone").await;
    let mut stream = gone.live("/events").await;
    assert_eq!(web.next().await.unwrap().data["order"].as_array().unwrap().len(), 2);
    stream.next().await.unwrap();

    desk.reload(&[client_of_wx1("web", &[Action::Status])]);
    let seen = web.until(&engine, |message| message.data["order"].is_array()).await;
    assert_eq!(seen.data["order"], serde_json::json!(["k-0-wx1"]), "{seen:?}");
    let end = stream.until(&engine, |message| message.event == "reload").await;
    assert_eq!(end.event, "reload");
    assert!(stream.next().await.is_none());
    assert_eq!(gone.get("/").await.status, StatusCode::SEE_OTHER, "the session is over");
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(browser.live("/events").await);
    }
    let refused = browser.get("/events").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "60");
    // The page itself is still shown.
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    // The server notices a lost reader at the next message.
    drop(open);
    let mut again = browser.get("/signin").await.status;
    for _ in 0..200 {
        engine.advance(HEARTBEAT).await;
        engine.settle().await;
        let request = browser.http.get(format!("{}/events", browser.base));
        again = browser.ask(request).send().await.unwrap().status();
        if again == StatusCode::OK {
            break;
        }
    }
    assert_eq!(again, StatusCode::OK);
}

#[tokio::test]
async fn stop_ends_open_streams_at_once() {
    let engine = Engine::classic().await;
    let mut desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut live = desk.browser().live("/events").await;
    live.next().await.unwrap();
    desk.stop.cancel();
    // The clock stands still, so no drain could run out.
    assert!(live.next().await.is_none());
    desk.tasks.join_next().await.unwrap().unwrap();
}
