//! The audit of the real process: over TCP and a Unix socket, over restarts and kill -9, on the
//! command line, and with nothing secret in its rows.

use std::time::Duration;

use serde_json::Value;
use zhongkong::client::{Client, Credentials, Flow, Force, Target};
use zhongkong::model::ErrCode;
use zhongkong::simulator::NewCode;

use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::simulated::{Simulated, listed_with};

const NOW: Duration = Duration::ZERO;
const OTHER: &str = "t0ken-of-another-client-BBBBBBBBBBBBBBBBBBBB";

/// A daemon on a Unix socket and on TCP, with the clients "test" and "other".
async fn running() -> (Simulated, Site, Process) {
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let socket = site.socket();
    site.section("grpc", &format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\n", socket.display()));
    site.client("other", OTHER);
    let daemon = site.start_ready().await;
    (wechat, site, daemon)
}

/// The entries that `zhongkong audit --json` prints.
async fn entries(site: &Site, more: &[&str]) -> Vec<Value> {
    let args: Vec<_> = ["audit", "--json", "--limit", "0"].iter().chain(more).copied().collect();
    let document = site.run(&args).await.document();
    assert_eq!(document["more"], Value::Bool(false));
    document["entries"].as_array().unwrap().clone()
}

/// How often the client "other" has read, as far as the audit knows.
async fn reads(site: &Site) -> u64 {
    let entries = entries(site, &["--client", "other", "--action", "read"]).await;
    entries.iter().map(|entry| entry["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn audit_names_client_and_origin_of_both_listeners_and_holds_no_secret() {
    // Over TCP and over the Unix socket, with a bearer token; a login code and a stranger too.
    let _guard = Guard::start();
    let (wechat, site, daemon) = running().await;
    let uid = rustix::process::getuid().as_raw();
    let tcp = |token: &str| Credentials { token: Some(token.into()), ..Credentials::default() };
    let remote = Client::connect(&daemon.tcp().await, tcp(OTHER)).await.unwrap();
    let value = remote.get(&key("wx1"), NOW).await.unwrap();
    let code = wechat.control.mint_code(NewCode::web("wx1", "openid"));
    remote.exchange_code(&"wx1".parse().unwrap(), &code.as_str().into(), Flow::Web).await.unwrap();
    remote.complain(&key("wx1"), Some(value.fingerprint), ErrCode(40_001)).await.unwrap();
    let local = site.connect().await;
    local.force(&key("wx1"), Force::Once).await.unwrap();
    local.pause(Target::Key(key("wx1")), None).await.unwrap();
    local.resume(Target::Key(key("wx1"))).await.unwrap();
    let stranger = Client::connect(&daemon.tcp().await, tcp("a-wr0ng-token-DDDDDDDDDDDDD")).await.unwrap();
    stranger.get(&key("wx1"), NOW).await.unwrap_err();

    let mut seen: Vec<_> = entries(&site, &[])
        .await
        .iter()
        .map(|it| {
            format!("{} {} {} {} {}", it["client"], it["origin"], it["action"], it["appid"], it["outcome"])
        })
        .map(|line| line.replace('"', ""))
        .collect();
    seen.sort();
    let mut expected = vec![
        "- 127.0.0.1 refused null unauthenticated".to_owned(),
        "other 127.0.0.1 complain wx1 still_valid".to_owned(),
        "other 127.0.0.1 exchange wx1 done".to_owned(),
        "other 127.0.0.1 read wx1 served".to_owned(),
        format!("test uid {uid} force wx1 refreshed"),
        format!("test uid {uid} pause wx1 done"),
        format!("test uid {uid} resume wx1 done"),
    ];
    expected.sort();
    assert_eq!(seen, expected);
    // For people the same as a table, and what cannot be asked is wrong usage.
    let table = site.run(&["audit", "--account", "wx1", "--since", "1h"]).await;
    table.expect(0, &[]);
    for word in ["WHEN (UTC)", "127.0.0.1", &format!("uid {uid}"), "force", "still_valid"] {
        assert!(table.stdout.contains(word), "{table:?}");
    }
    site.run(&["audit", "--action", "steal"]).await.expect(2, &["steal", "an action is one of read"]);
    let two = site.run(&["audit", "--limit", "2"]).await;
    assert_eq!(two.stdout.lines().count(), 4, "{two:?}");
    assert!(two.stdout.contains("There are older ones"), "{two:?}");

    daemon.stop().await;
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(site.path("state")).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("still_valid"), "the search finds what is there");
    for secret in [TOKEN, OTHER, SECRET, code.as_str(), "a-wr0ng-token-DDDDDDDDDDDDD"] {
        assert!(!holds(secret), "{secret}");
    }
    // Values are stored as such, once, and nowhere else.
    let current = wechat.control.issued_values();
    for value in current.iter().map(String::as_str) {
        let times = bytes.windows(value.len()).filter(|window| *window == value.as_bytes()).count();
        assert!(times <= 1, "{times} times");
    }
}

#[tokio::test]
async fn stop_loses_nothing_and_kill_only_what_was_not_yet_carried() {
    let _guard = Guard::start();
    let (_wechat, mut site, daemon) = running().await;
    let other = site.connect_as(OTHER).await;
    let read = async |client: &Client, times: u64| {
        for _ in 0..times {
            client.get(&key("wx1"), NOW).await.unwrap();
        }
    };
    read(&other, 100).await;
    other.pause(Target::Key(key("wx1")), None).await.unwrap();
    // An orderly stop carries all of it, although nobody asked.
    daemon.stop().await;
    let daemon = site.start().await;
    assert_eq!(reads(&site).await, 100);
    assert_eq!(entries(&site, &["--action", "pause"]).await.len(), 1);
    // The client is gone from the configuration, its rows are not.
    site.without_client("other");
    site.write();
    daemon.reload("configuration taken over").await;
    assert_eq!(reads(&site).await, 100);
    site.client("other", OTHER);
    site.write();
    daemon.reload("configuration taken over").await;
    // Whoever looks has everything carried; what comes after that is lost by a kill.
    let other = site.connect_as(OTHER).await;
    read(&other, 50).await;
    assert_eq!(reads(&site).await, 150);
    read(&other, 30).await;
    daemon.kill().await;
    let daemon = site.start().await;
    let kept = reads(&site).await;
    assert!((150..=180).contains(&kept), "{kept}");
    daemon.stop().await;
}

#[tokio::test]
async fn reads_are_left_out_if_the_configuration_says_so_and_refusals_are_not() {
    let _guard = Guard::start();
    let (_wechat, mut site, daemon) = running().await;
    daemon.stop().await;
    site.section("audit", "reads = false\nmax_rows = 1000\n");
    let daemon = site.start().await;
    let client = site.connect().await;
    client.get(&key("wx1"), Duration::from_secs(20)).await.unwrap();
    client.get(&key("wx9"), NOW).await.unwrap_err();
    client.pause(Target::Key(key("wx1")), None).await.unwrap();
    let seen: Vec<_> = entries(&site, &["--client", "test"])
        .await
        .iter()
        .map(|it| format!("{} {} {}", it["action"], it["appid"], it["outcome"]).replace('"', ""))
        .collect();
    assert_eq!(seen, ["read wx9 not_found", "pause wx1 done"], "deeds are carried before what is added up");
    // A change takes a restart, and a bound that makes no sense is refused with the rule.
    site.section("audit", "max_rows = 2000\n");
    site.write();
    let line = daemon.reload("these settings changed and need a restart").await;
    assert!(line.contains("audit.max_rows, audit.reads"), "{line}");
    site.section("audit", "max_rows = 10\n");
    site.write();
    daemon.reload("not taken over").await;
    site.run(&["check-config"]).await.expect(2, &["audit.max_rows", "from 1000 to 5000000"]);
    daemon.stop().await;
}
