//! The numbers of a real daemon move when something happens, and only then.

use zhongkong::model::ErrCode;
use zhongkong::pb::Outcome;
use zhongkong::simulator::Kind;

use super::support::frozen::Guard;
use super::support::memcached::Memcached;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::scrape::Scrape;
use super::support::simulated::{Simulated, listed_with};

async fn wechat() -> Simulated {
    Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await
}

/// Kills the token of "wx1" at WeChat and reports it, as a program would that got 40001.
async fn dies_and_is_reported(wechat: &Simulated, site: &Site) {
    wechat.control.kill("wx1", Kind::Classic);
    let client = site.connect().await;
    let seen = client.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap().fingerprint;
    let answer = client.complain(&key("wx1"), Some(seen), ErrCode(40001)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Refreshed);
}

const EXPIRY: &str = r#"zhongkong_key_expiry_timestamp_seconds{appid="wx1",kind="access_token"}"#;
const SUCCESS: &str = r#"zhongkong_key_last_success_timestamp_seconds{appid="wx1",kind="access_token"}"#;
const BUDGET: &str = r#"zhongkong_key_budget_left{appid="wx1",kind="access_token"}"#;
const FIRST: &str = r#"zhongkong_attempts_total{kind="access_token",cause="deadline",result="issued"}"#;
const REPAIRED: &str = r#"zhongkong_attempts_total{kind="access_token",cause="complaint",result="issued"}"#;
const COMPLAINED: &str = r#"zhongkong_complaints_total{kind="access_token",outcome="refreshed"}"#;
const FOREIGN: &str = r#"zhongkong_foreign_refreshes_total{kind="access_token"}"#;
const SERVED: &str = r#"zhongkong_reads_total{result="served"}"#;
const STEPS: [&str; 2] =
    [r#"zhongkong_ledger_seconds_count{step="begin"}"#, r#"zhongkong_ledger_seconds_count{step="commit"}"#];

#[tokio::test]
async fn a_rotation_and_a_complaint_move_what_is_counted_and_what_is_said_of_the_key() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let before = Scrape::of(&daemon).await;
    assert_eq!([FIRST, REPAIRED, COMPLAINED, FOREIGN].map(|series| before.count(series)), [1, 0, 0, 0]);
    assert_eq!(STEPS.map(|step| before.count(step)), [1, 1]);
    assert_eq!((before.count(SERVED), before.count("zhongkong_read_seconds_count")), (0, 0));
    assert_eq!(before.count("zhongkong_ready"), 1);
    let now = before.value("zhongkong_wall_clock_timestamp_seconds");
    let left = before.value(EXPIRY) - now;
    assert!((7_000.0..=7_200.0).contains(&left), "two hours, and not {left}");
    assert!(
        (0.0..100.0).contains(&(now - before.value(SUCCESS))),
        "just now, and not {}",
        before.value(SUCCESS)
    );

    dies_and_is_reported(&wechat, &site).await;
    let after = Scrape::of(&daemon).await;
    assert_eq!([FIRST, REPAIRED, COMPLAINED, FOREIGN].map(|series| after.count(series)), [1, 1, 1, 1]);
    assert_eq!(STEPS.map(|step| after.count(step)), [2, 2]);
    assert_eq!(after.count(r#"zhongkong_probes_total{verdict="dead"}"#), 1);
    assert!(after.value(EXPIRY) > before.value(EXPIRY), "the new value lives longer");
    assert!(after.value(SUCCESS) > before.value(SUCCESS));
    assert_eq!(before.count(BUDGET) - after.count(BUDGET), 1);
    // One read was ours; all that were served were measured.
    assert_eq!((after.count(SERVED), after.count("zhongkong_read_seconds_count")), (1, 1));
    assert_eq!(after.count(r#"zhongkong_read_seconds_bucket{le="+Inf"}"#), 1);
    assert!(after.value("zhongkong_read_seconds_sum") > 0.0);
    daemon.stop().await;
}

#[tokio::test]
async fn callers_are_counted_while_they_watch_and_when_they_are_not_let_in() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let stranger = site.connect_as("not-a-token-of-anybody").await;
    stranger.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap_err();
    let client = site.connect().await;
    client.get(&key("wx2"), std::time::Duration::ZERO).await.unwrap_err();
    let watch = client.watch(&[], &[]).await.unwrap();
    let seen = Scrape::of(&daemon).await;
    assert_eq!(seen.count(r#"zhongkong_calls_refused_total{reason="unauthenticated"}"#), 1);
    assert_eq!(seen.count(r#"zhongkong_reads_total{result="refused"}"#), 1);
    assert_eq!(seen.count("zhongkong_watchers"), 1);
    drop(watch);
    Scrape::until(&daemon, |seen| seen.count("zhongkong_watchers") == 0).await;
    daemon.stop().await;
}

/// The counters that went back, of those that were there before.
fn went_back(before: &Scrape, after: &Scrape) -> Vec<String> {
    let lower = |(series, value): &(&str, f64)| after.find(series).is_none_or(|now| now < *value);
    before.growing().filter(lower).map(|(series, _)| series.to_owned()).collect()
}

#[tokio::test]
async fn a_reload_brings_and_takes_keys_and_no_counter_goes_back() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    dies_and_is_reported(&wechat, &site).await;
    let one = Scrape::of(&daemon).await;
    assert!(!one.text.contains("wx2"), "{}", one.text);
    assert!(one.value("zhongkong_last_reload_timestamp_seconds") > 1.7e9, "the start counts too");

    site.account("wx2", "token_mode = \"stable\"\ntickets = [\"jsapi_ticket\"]");
    site.write();
    daemon.reload("configuration taken over").await;
    let ticket = r#"zhongkong_key_has_value{appid="wx2",kind="jsapi_ticket"}"#;
    let taken_over = r#"zhongkong_reloads_total{result="ok"}"#;
    let two =
        Scrape::until(&daemon, |seen| seen.find_count(ticket) == Some(1) && seen.count(taken_over) == 1)
            .await;
    assert_eq!(two.count(r#"zhongkong_keys{kind="access_token",state="fresh"}"#), 2);
    assert_eq!(went_back(&one, &two), Vec::<String>::new());

    // A file that is refused changes one number, until it is mended.
    site.account("wx2", "tickits = []");
    site.write();
    daemon.reload("was not taken over").await;
    let failed = r#"zhongkong_reloads_total{result="failed"}"#;
    let refused = Scrape::until(&daemon, |seen| seen.count(failed) == 1).await;
    assert_eq!(refused.count("zhongkong_last_reload_successful"), 0);
    assert_eq!(refused.count(ticket), 1, "everything goes on as before");

    site.without_account("wx2");
    site.write();
    daemon.reload("configuration taken over").await;
    let gone = Scrape::until(&daemon, |seen| seen.count("zhongkong_last_reload_successful") == 1).await;
    assert!(!gone.text.contains("wx2"), "a key that is gone has no series:\n{}", gone.text);
    assert_eq!(gone.count(r#"zhongkong_keys{kind="jsapi_ticket",state="fresh"}"#), 0);
    assert_eq!(went_back(&two, &gone), Vec::<String>::new());
    daemon.stop().await;
}

#[tokio::test]
async fn a_memcached_that_dies_is_down_and_one_that_comes_back_empty_is_written_anew() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut memcached = Memcached::start();
    let addr = memcached.addr();
    let of = |name: &str| format!("zhongkong_mirror_{name}{{server=\"{addr}\"}}");
    let (up, pending, rewrites) = (of("up"), of("pending_keys"), of("rewrites_total"));
    let mut site = Site::classic(&wechat.base);
    site.section("memcached", &format!("servers = [\"{addr}\"]"));
    let daemon = site.start_ready().await;
    let well = |seen: &Scrape| seen.count(&up) == 1 && seen.count(&pending) == 0;
    let first = Scrape::until(&daemon, |seen| well(seen) && seen.count(&rewrites) == 1).await;
    assert!(first.value(&of("written_keys_total")) >= 1.0);
    assert!(first.value(&of("last_success_timestamp_seconds")) > 1.7e9);

    memcached.kill();
    dies_and_is_reported(&wechat, &site).await;
    let down = Scrape::until(&daemon, |seen| seen.count(&up) == 0 && seen.count(&pending) == 1).await;
    assert_eq!(down.count("zhongkong_ready"), 1, "a mirror is nobody's source");
    memcached.restart();
    let back = Scrape::until(&daemon, |seen| well(seen) && seen.count(&rewrites) == 2).await;
    assert_eq!(back.count(COMPLAINED), 1);
    daemon.stop().await;
}

async fn with_limit(wechat: &Simulated, limit: u32) -> (Site, Process) {
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    site.section("admin", &format!("listen = \"127.0.0.1:0\"\nmetrics_per_key = {limit}\n"));
    let daemon = site.start_ready().await;
    (site, daemon)
}

#[tokio::test]
async fn keys_beyond_the_limit_are_summed_up_and_not_listed() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    for (limit, listed) in [(2, 1), (1, 0), (0, 0)] {
        let (_site, daemon) = with_limit(&wechat, limit).await;
        let seen = Scrape::of(&daemon).await;
        assert_eq!(seen.count("zhongkong_per_key_series"), listed, "with a limit of {limit}");
        assert_eq!(seen.text.contains("appid="), listed == 1, "with a limit of {limit}:\n{}", seen.text);
        assert_eq!(seen.count(r#"zhongkong_keys{kind="access_token",state="fresh"}"#), 2);
        assert!(seen.value(r#"zhongkong_soonest_expiry_timestamp_seconds{kind="access_token"}"#) > 1.7e9);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_secret_shows_as_a_key_that_needs_an_operator_and_is_in_no_number() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    let wrong = "ffffffffffffffffffffffffffffffff";
    site.secret("wx2", wrong);
    let daemon = site.start().await;
    let needs = |appid| format!("zhongkong_key_needs_operator{{appid=\"{appid}\",kind=\"access_token\"}}");
    let fresh = r#"zhongkong_key_has_value{appid="wx1",kind="access_token"}"#;
    let seen = Scrape::until(&daemon, |seen| seen.count(&needs("wx2")) == 1 && seen.count(fresh) == 1).await;
    assert_eq!(seen.count(&needs("wx1")), 0);
    assert_eq!(seen.count(r#"zhongkong_keys_needing_operator{kind="access_token"}"#), 1);
    assert_eq!(seen.count(r#"zhongkong_keys_failing{kind="access_token"}"#), 1);
    assert_eq!(seen.count(r#"zhongkong_keys{kind="access_token",state="no_value"}"#), 1);
    assert_eq!(seen.find(r#"zhongkong_key_expiry_timestamp_seconds{appid="wx2",kind="access_token"}"#), None);
    assert!(seen.value(r#"zhongkong_key_failures{appid="wx2",kind="access_token"}"#) >= 1.0);

    // S7: nothing that WeChat issued, and nothing that anybody must prove who he is with.
    let issued = wechat.control.issued_values();
    assert!(!issued.is_empty());
    for secret in issued.iter().map(String::as_str).chain([SECRET, wrong, TOKEN]) {
        assert!(!seen.text.contains(secret), "a secret is in\n{}", seen.text);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_ledger_that_fails_and_a_refresher_that_panics_are_counted_from_the_first_time() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    site.env("ZHONGKONG_FAILPOINTS", "ledger.commit@wx1=error;attempt.answered@wx2=panic");
    let daemon = site.start_ready().await;
    let failed = r#"zhongkong_ledger_errors_total{step="commit",reason="failed"}"#;
    let panicked = r#"zhongkong_refresher_restarts_total{kind="access_token"}"#;
    let seen = Scrape::until(&daemon, |seen| seen.value(failed) >= 1.0 && seen.count(panicked) == 1).await;
    assert_eq!(seen.count(r#"zhongkong_ledger_errors_total{step="begin",reason="failed"}"#), 0);
    assert!(
        seen.value(r#"zhongkong_keys{kind="access_token",state="degraded"}"#) >= 1.0,
        "wx1 is not stored"
    );
    assert!(seen.value("zhongkong_ledger_size_bytes") > 4_096.0);
    daemon.stop().await;
}
