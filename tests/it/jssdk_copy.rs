//! The local copy of tickets: what it is worth while the daemon is away, and how soon it follows.

use std::time::Duration;

use zhongkong::access::Action;
use zhongkong::client::Force;
use zhongkong::model::{Key, Kind};

use super::grpc_support::{ALL, client};
use super::jssdk_support::{Bench, Setup};

const PAGE: &str = "https://h5.example.com/";

fn key() -> Key {
    Key::new("wx1".parse().unwrap(), Kind::JsapiTicket)
}

#[tokio::test]
async fn signatures_go_on_without_the_daemon_until_the_ticket_ends_and_not_longer() {
    let mut bench = Bench::start().await;
    let ends = bench.copy.to_its_end(&key()).unwrap().ends;
    bench.daemon_ends().await;
    // Nobody vouches for the copy any more; a ticket lives on all the same.
    bench.world.frozen.advance_secs(120).await;
    assert!(!bench.copy.is_vouched() && bench.copy.get(&key()).is_none());
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    let rest = ends.since(bench.world.clock.boot());
    assert!(rest > Duration::from_secs(3_600), "{rest:?}");
    bench.world.frozen.advance(rest - Duration::from_millis(1)).await;
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    bench.world.frozen.advance(Duration::from_millis(1)).await;
    let refused = bench.config(PAGE).await;
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("no_ticket")), "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let card = bench.get("/jssdk/shop/card?card_id=pCard1", "").await;
    assert_eq!((card.status, card.header("retry-after")), (503, Some("5")));
    bench.end().await;
}

#[tokio::test]
async fn new_ticket_signs_as_soon_as_the_daemon_has_it() {
    let bench = Bench::start().await;
    let first = bench.ticket(Kind::JsapiTicket);
    let mut changes = bench.copy.changes();
    let fresh = bench.world.client("operator").force(&key(), Force::Once).await.unwrap().token;
    while bench.copy.get(&key()).unwrap().generation < fresh.generation {
        changes.changed().await.unwrap();
    }
    assert_ne!(bench.ticket(Kind::JsapiTicket), first);
    assert_eq!(
        Some(bench.ticket(Kind::JsapiTicket).as_str()),
        fresh.value.as_ref().map(zhongkong::secret::Secret::expose)
    );
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    bench.end().await;
}

#[tokio::test]
async fn client_that_may_only_sign_has_the_daemon_sign_each_page() {
    let mut bench = Bench::with(Setup { actions: vec![Action::Sign], ..Setup::default() }).await;
    let answer = bench.config(PAGE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let config = answer.json();
    assert_eq!((config["appId"].as_str(), config["url"].as_str()), (Some("wx1"), Some(PAGE)));
    // By WeChat's ticket, which the service has never seen.
    let ticket = bench.world.sim.control.current("wx1", zhongkong::simulator::Kind::JsapiTicket).unwrap();
    let own = zhongkong::jsapi::sign(
        &ticket.as_str().into(),
        config["nonceStr"].as_str().unwrap(),
        config["timestamp"].as_i64().unwrap(),
        PAGE,
    );
    assert_eq!(config["signature"], own);
    // A foreign page is not even sent to the daemon, which would sign it.
    assert_eq!(bench.config("https://evil.example/").await.status, 403);
    // Without the daemon there is nothing; cards are signed by the copy only.
    assert_eq!(bench.get("/jssdk/shop/card?card_id=pCard1", "").await.status, 503);
    bench.daemon_ends().await;
    assert_eq!(bench.config(PAGE).await.status, 503);
    bench.end().await;
}

#[tokio::test]
async fn client_that_is_taken_out_forgets_the_tickets_that_it_held() {
    let bench = Bench::start().await;
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    let mut changes = bench.copy.changes();
    bench.world.reload(vec![client("operator", &ALL)]);
    while bench.copy.to_its_end(&key()).is_some() {
        // The watch ends at once, and is refused when the service comes again.
        bench.world.frozen.advance_secs(1).await;
        tokio::select! {
            changed = changes.changed() => changed.unwrap(),
            () = tokio::task::yield_now() => {}
        }
    }
    let refused = bench.config(PAGE).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    bench.end().await;
}
