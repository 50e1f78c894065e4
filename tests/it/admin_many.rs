//! The status page of 10,000 keys.

use std::collections::BTreeSet;
use std::time::Duration;

use zhongkong::clock::Clock;
use zhongkong::hub::AccountSettings;
use zhongkong::model::TokenMode;

use super::admin_support::{Desk, asleep, open_to_all};
use super::support::engine::account;

const MANY: usize = 10_000;

fn accounts() -> Vec<AccountSettings> {
    let named = |number: usize| AccountSettings {
        name: Some(format!("shop {number}")),
        ..account(&format!("wx{number:05}"), TokenMode::Classic)
    };
    (0..MANY).map(named).collect()
}

#[tokio::test]
async fn ten_thousand_keys_are_paged_filtered_and_searched_on_the_server() {
    // The first second of a large daemon: no key has a value yet.
    let hub = asleep(accounts()).await;
    let desk = Desk::start(&hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    let clock = Clock::system();
    let begun = clock.boot();
    let first = browser.get("/?sort=name").await;
    // A tenth of this is the aim for an optimised build on a quiet machine; see the benches.
    let took = clock.boot().since(begun);
    assert!(took < Duration::from_secs(2), "the first paint took {took:?}");
    assert_eq!(first.keys().len(), 50);
    assert_eq!(first.keys()[0], "k-0-wx00000");
    assert!(first.body.contains("10,000 keys · Page 1 of 200"), "{}", first.body);
    assert!(first.body.len() < 300_000, "the page has {} bytes", first.body.len());

    // The pages hang together: nothing twice, nothing left out, at a few seams and the end.
    let mut seen: BTreeSet<String> = first.keys().into_iter().collect();
    for page in [2, 3, 100, 200] {
        let keys = browser.get(&format!("/?sort=name&page={page}")).await.keys();
        assert_eq!(keys[0], format!("k-0-wx{:05}", (page - 1) * 50));
        assert!(keys.is_sorted() && keys.len() == 50, "{keys:?}");
        seen.extend(keys);
    }
    assert_eq!(seen.len(), 250);
    // Beyond the last page is the last page.
    assert_eq!(browser.get("/?sort=name&page=999").await.keys()[49], "k-0-wx09999");

    assert_eq!(browser.get("/?q=wx04711").await.keys(), ["k-0-wx04711"]);
    assert_eq!(browser.get("/?q=shop+4711").await.keys(), ["k-0-wx04711"]);
    assert!(browser.get("/?q=shop+47").await.body.contains("111 keys"));
    assert!(browser.get("/?show=fresh").await.keys().is_empty());
    assert!(browser.get("/?show=no_value").await.body.contains("Page 1 of 200"));

    // A live page has its own keys and the totals, not the ten thousand.
    let mut live = browser.live("/events?sort=name&page=2").await;
    let message = live.next().await.unwrap();
    assert_eq!(message.data["order"].as_array().unwrap().len(), 50);
    assert!(message.data.to_string().len() < 300_000);
}
