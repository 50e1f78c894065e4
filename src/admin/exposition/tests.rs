//! A page over a hub that is built and does nothing.

use std::collections::BTreeSet;
use std::ptr;

use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::clock::{BootTime, Clock, WallTime};
use crate::hub::AccountSettings;
use crate::ledger::memory::MemoryLedger;
use crate::ledger::{Call, Ledger, StoredValue};
use crate::model::{AppId, CallMode, Cause, Fingerprint, Generation, Key, Kind, TokenMode};
use crate::refresh::gate::{Gate, IN_FLIGHT};
use crate::refresh::task::Surroundings;
use crate::secret::Secret;
use crate::wechat::{self, WeChat};

use super::*;
use crate::admin::Server;

/// The wall clock when the hub is built.
const WALL: WallTime = WallTime(1_760_000_000_000);
/// What stands in the ledger as a value.
const VALUE: &str = "99_the-value-itself";

/// A page over a hub that was built with these accounts and does nothing. "wx1" has a value that
/// was fetched ten seconds ago; the others have none.
async fn exposition(appids: &[&str], per_key: u32) -> Exposition {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::manual(WALL, BootTime(50_000), "boot");
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    let sent = clock.stamp_of(BootTime(40_000));
    let key = Key::new("wx1".parse().unwrap(), Kind::AccessToken);
    let attempt = Generation(7);
    let value = Secret::from(VALUE);
    let stored = StoredValue {
        fingerprint: Fingerprint::of(&value),
        value,
        generation: attempt,
        mode: CallMode::Stable,
        issued: sent.clone(),
        confirmed: sent.clone(),
        life: Duration::from_secs(7_200),
        verify_at: None,
        age_known: true,
        dead: false,
    };
    let call = Call { key, attempt, mode: CallMode::Stable, cause: Cause::Deadline, sent };
    ledger.commit(&call, &stored).await.unwrap();
    let settings = wechat::Settings {
        api_base: "http://127.0.0.1:9".parse().unwrap(),
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
    };
    let around = Surroundings {
        clock: clock.clone(),
        wechat: WeChat::new(&settings).unwrap(),
        ledger,
        gate: Gate::new(IN_FLIGHT),
    };
    let account = |appid: &&str| AccountSettings {
        appid: appid.parse::<AppId>().unwrap(),
        name: None,
        secret: Secret::from("an-app-secret"),
        token_mode: TokenMode::Stable,
        tickets: Vec::new(),
        daily_calls: 2_000,
    };
    let accounts = appids.iter().map(account).collect();
    let (hub, _) = Hub::build(Arc::new(around), accounts).await.unwrap();
    let down = Server {
        name: "odd\"host:11211".to_owned(),
        connected: false,
        pending: 0,
        written: 0,
        rewrites: 0,
        failures: 0,
        last_success: None,
        error: None,
        error_at: None,
    };
    Exposition::new(Sources {
        recorded: PrometheusBuilder::new().build_recorder().handle(),
        hub,
        readiness: watch::channel(Readiness::Ready).1,
        servers: Arc::new(move || vec![down.clone()]),
        ledger: None,
        per_key,
    })
}

async fn page(appids: &[&str], per_key: u32) -> String {
    exposition(appids, per_key).await.page().await.unwrap().text.clone()
}

fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|seen| seen == *line), "{line} is not in\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_has_each_key_while_they_are_few_and_their_sums_always() {
    let few = page(&["wx1", "wx2"], 2).await;
    assert_lines(
        &few,
        &[
            "zhongkong_per_key_series 1",
            // Sent 10 s before the wall clock's reading, to live for two hours.
            r#"zhongkong_key_expiry_timestamp_seconds{appid="wx1",kind="access_token"} 1760007190.000"#,
            r#"zhongkong_key_last_success_timestamp_seconds{appid="wx1",kind="access_token"} 1759999990.000"#,
            r#"zhongkong_key_has_value{appid="wx1",kind="access_token"} 1"#,
            r#"zhongkong_key_has_value{appid="wx2",kind="access_token"} 0"#,
            r#"zhongkong_key_budget_left{appid="wx1",kind="access_token"} 1999"#,
            r#"zhongkong_key_failures{appid="wx2",kind="access_token"} 0"#,
            r#"zhongkong_key_needs_operator{appid="wx2",kind="access_token"} 0"#,
        ],
    );
    // What is not known is absent, and not zero: that would be 1970.
    assert!(!few.contains(r#"zhongkong_key_expiry_timestamp_seconds{appid="wx2""#), "{few}");
    assert!(!few.contains(r#"zhongkong_soonest_expiry_timestamp_seconds{kind="jsapi_ticket"}"#), "{few}");

    let many = page(&["wx1", "wx2", "wx3"], 2).await;
    assert!(!many.contains("appid="), "one key over the limit, and none is shown:\n{many}");
    assert_lines(
        &many,
        &[
            "zhongkong_per_key_series 0",
            r#"zhongkong_keys{kind="access_token",state="fresh"} 1"#,
            r#"zhongkong_keys{kind="access_token",state="no_value"} 2"#,
            r#"zhongkong_keys{kind="jsapi_ticket",state="no_value"} 0"#,
            r#"zhongkong_soonest_expiry_timestamp_seconds{kind="access_token"} 1760007190.000"#,
            r#"zhongkong_oldest_success_timestamp_seconds{kind="access_token"} 1759999990.000"#,
            r#"zhongkong_least_budget_left{kind="access_token"} 1999"#,
            r#"zhongkong_least_budget_left_ratio{kind="access_token"} 0.9995"#,
            r#"zhongkong_keys_needing_operator{kind="access_token"} 0"#,
        ],
    );
    assert!(page(&["wx1"], 0).await.contains("zhongkong_per_key_series 0"));
}

#[tokio::test(start_paused = true)]
async fn an_expiry_stands_still_but_for_a_clock_that_was_set() {
    let exposition = exposition(&["wx1"], 10).await;
    let clock = exposition.origin.sources.hub.clock().clone();
    let mut expiries = Vec::new();
    // Two clocks that are read a little apart, and an administrator.
    for step in [0, 2, -3, 60_000] {
        clock.step_wall(step);
        let page = exposition.page().await.unwrap();
        let line = page.text.lines().find(|line| line.starts_with("zhongkong_key_expiry_timestamp_seconds{"));
        expiries.push(line.unwrap().rsplit_once(' ').unwrap().1.to_owned());
    }
    assert_eq!(expiries, ["1760007190.000", "1760007190.000", "1760007190.000", "1760007249.999"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_no_secret_and_a_strange_server_name_stays_one_label() {
    let page = page(&["wx1"], 10).await;
    assert!(!page.contains(VALUE) && !page.contains("an-app-secret"), "{page}");
    assert_lines(&page, &[r#"zhongkong_mirror_up{server="odd\"host:11211"} 0"#, "zhongkong_ready 0"]);
}

#[tokio::test]
async fn scrapes_that_come_together_share_a_page_and_a_later_one_gets_a_new_one() {
    let exposition = exposition(&["wx1"], 10).await;
    // All have asked before the second page can begin, so the second is for all that are left; with
    // more of them tokio would put some off to its next round.
    let pages = join_all((0..20).map(|_| exposition.page())).await;
    let pages: Vec<Arc<Page>> = pages.into_iter().flatten().collect();
    assert_eq!(pages.len(), 20);
    let distinct: BTreeSet<*const Page> = pages.iter().map(Arc::as_ptr).collect();
    assert!(distinct.len() <= 2, "{} pages were made", distinct.len());
    let later = exposition.page().await.unwrap();
    assert!(
        pages.iter().all(|page| !ptr::eq(page.as_ref(), later.as_ref())),
        "a page from before the question"
    );
    // Nobody sends them any more: nothing is kept.
    drop((pages, later));
    assert!(exposition.latest.lock().await.upgrade().is_none());
}
