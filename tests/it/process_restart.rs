//! The real process on bad days: WeChat or memcached is down, it is killed and started again,
//! the ledger is full.

use std::time::Duration;

use sqlx::{Connection as _, Row as _, SqliteConnection};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zhongkong::client::{Event, Target};
use zhongkong::model::{Key, Kind};
use zhongkong::pb::WithdrawnReason as Reason;
use zhongkong::simulator::{Call, Endpoint as Api, Fault, Script, ServerMode, Settings};

use super::support::frozen::Guard;
use super::support::memcached::Memcached;
use super::support::process::{Process, SECRET, Site, key};
use super::support::simulated::{Simulated, listed_with};

/// What the daemon's health service says about this service.
async fn health(daemon: &Process, service: &str) -> ServingStatus {
    let channel = Endpoint::from_shared(daemon.tcp().await).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let asked = HealthCheckRequest { service: service.to_owned() };
    client.check(asked).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn with_wechat_down_the_daemon_starts_says_not_ready_and_recovers_by_itself() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    wechat.control.set_mode(ServerMode::Refuses).await;
    let mut site = Site::classic(&wechat.base);
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", site.socket().display());
    site.section("grpc", &listen);
    let daemon = site.start().await;

    // The first attempt has failed as soon as the key says why it has no value.
    let mut watch = site.connect().await.watch(&[], &[]).await.unwrap();
    loop {
        if let Event::Withdrawn { problem: Some(problem), .. } = watch.next().await.unwrap().unwrap() {
            assert!(problem.meaning.contains("cannot be reached"), "{problem:?}");
            break;
        }
    }
    for service in ["", "zhongkong.v1.TokenControl"] {
        assert_eq!(health(&daemon, service).await, ServingStatus::NotServing);
    }
    let (status, _) = daemon.page("/healthz").await;
    assert!(status.contains("200"), "it lives: {status}");
    let (status, body) = daemon.page("/readyz").await;
    assert!(status.contains("503") && body.starts_with("not ready: 1 of 1 keys"), "{status} {body}");
    assert!(!body.contains("wx1"), "the page has no password: {body}");
    // It looks at the reason once a second.
    while !daemon.page("/readyz").await.1.contains("WeChat cannot be reached") {}
    let ran = site.run(&["get", "wx1"]).await;
    ran.expect(1, &["WeChat cannot be reached", "what to do", "try again"]);
    site.run(&["explain", "wx1"]).await.expect(0, &[]);

    wechat.control.set_mode(ServerMode::Up).await;
    daemon.line("feed: ready").await;
    let (status, _) = daemon.page("/readyz").await;
    assert!(status.contains("200"), "{status}");
    assert_eq!(health(&daemon, "zhongkong.v1.TokenControl").await, ServingStatus::Serving);
    assert!(wechat.control.alive(&site.value("wx1").await));
    assert_eq!(wechat.control.count(Api::Token, "wx1"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_watcher_without_a_value_is_told_each_time_that_the_reason_changes() {
    // It waits for a value that does not come; "it comes by itself" must not be its last word.
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    site.secret("wx1", "5ec1e75ec1e75ec1e75ec1e75ec1e75e");
    wechat.control.script(Script::once(Api::Token, Fault::HoldAnswer));
    let daemon = site.start().await;
    wechat.control.wait_held(1).await;
    let client = site.connect().await;
    let mut watch = client.watch(&[key("wx1")], &[]).await.unwrap();
    let first = watch.next().await.unwrap().unwrap();
    assert!(
        matches!(first, Event::Withdrawn { reason: Reason::Unavailable, problem: None, .. }),
        "{first:?}"
    );
    assert!(matches!(watch.next().await.unwrap().unwrap(), Event::SnapshotComplete));

    wechat.control.release();
    let refused = watch.next().await.unwrap().unwrap();
    let Event::Withdrawn { reason: Reason::NeedsOperator, problem: Some(problem), .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(problem.errcode, Some(40125));
    client.pause(Target::Key(key("wx1")), None).await.unwrap();
    let paused = watch.next().await.unwrap().unwrap();
    assert!(matches!(paused, Event::Withdrawn { reason: Reason::Paused, .. }), "{paused:?}");

    site.secret("wx1", SECRET);
    daemon.reload("configuration taken over").await;
    client.resume(Target::Key(key("wx1"))).await.unwrap();
    while !matches!(watch.next().await.unwrap().unwrap(), Event::Token(_)) {}
    daemon.stop().await;
}

#[tokio::test]
async fn with_memcached_down_the_daemon_serves_and_catches_it_up_when_it_comes() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut memcached = Memcached::start();
    memcached.kill();
    let mut site = Site::classic(&wechat.base);
    site.section(
        "memcached",
        &format!("servers = [\"{}\"]\nlayouts = [\"raw\", \"zhongkong\"]", memcached.addr()),
    );
    let daemon = site.start_ready().await;
    let value = site.value("wx1").await;
    daemon.line("is not being mirrored to").await;

    memcached.restart();
    daemon.line("recovered after").await;
    let stored = memcached.value("zhongkong:wx1:access_token").expect("the value is mirrored");
    assert!(stored.contains(&value), "another value is mirrored");
    assert_eq!(wechat.control.count(Api::Token, "wx1"), 1, "a store's outage calls nobody");
    daemon.stop().await;
}

#[tokio::test]
async fn a_killed_daemon_starts_with_the_same_values_and_without_one_upstream_call() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
    let mut site = Site::new(&wechat.base);
    let tickets = "tickets = [\"jsapi_ticket\", \"wx_card_ticket\"]";
    site.account("wx1", &format!("token_mode = \"classic\"\n{tickets}"));
    site.account("wx2", tickets);
    let first = site.start_ready().await;
    let before = everything(&site).await;
    assert_eq!(before.len(), 6);
    let calls = wechat.control.calls().len();
    first.kill().await;

    let second = site.start_ready().await;
    assert_eq!(everything(&site).await, before);
    second.stop().await;
    let third = site.start_ready().await;
    assert_eq!(everything(&site).await, before);
    assert_eq!(wechat.control.calls().len(), calls, "{:?}", wechat.control.calls());
    third.stop().await;
}

/// Every key with fingerprint, generation and value.
async fn everything(site: &Site) -> Vec<(Key, u64, String)> {
    let client = site.connect().await;
    let mut all = Vec::new();
    for appid in ["wx1", "wx2"] {
        for kind in Kind::ALL {
            let key = Key::new(appid.parse().unwrap(), kind);
            let token = client.get(&key, Duration::from_secs(30)).await.unwrap();
            all.push((key, token.generation.0, token.value.unwrap().expose().to_owned()));
        }
    }
    all
}

/// Puts filler into a ledger until so many pages are left below a limit.
async fn fill(site: &Site, limit: u64, left: i64) {
    let mut conn = SqliteConnection::connect(&format!("sqlite:{}", site.ledger().display())).await.unwrap();
    let page: i64 = sqlx::query("PRAGMA page_size").fetch_one(&mut conn).await.unwrap().get(0);
    let limit = i64::try_from(limit).unwrap() / page;
    loop {
        let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut conn).await.unwrap().get(0);
        if pages + left >= limit {
            break;
        }
        let filler = "INSERT INTO events (at_wall, what, detail) VALUES (unixepoch() * 1000, 'filler', printf('%.3000c', 'x'))";
        sqlx::query(filler).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
}

#[tokio::test]
async fn with_a_full_ledger_every_account_is_served_and_refreshed_and_wechat_is_not_called_more() {
    // SQLite itself refuses: the file may not grow, as on a full disk. Some values fit, the
    // others live in memory.
    let _guard = Guard::start();
    let appids: Vec<String> = (0..60).map(|number| format!("wx{number:02}")).collect();
    let listed: Vec<_> = appids.iter().map(|appid| (appid.as_str(), SECRET)).collect();
    let settings = Settings { token_len: 512, ..Settings::with_life(Duration::from_secs(12)) };
    let wechat = Simulated::start(Settings { accounts: listed_with(&listed).accounts, ..settings }).await;
    let mut site = Site::new(&wechat.base);
    site.start().await.stop().await;
    fill(&site, 1 << 20, 0).await;

    site.section("daemon", "state_dir = \"state\"\nledger_max_size = \"1MiB\"");
    for appid in &appids {
        site.account(appid, "token_mode = \"classic\"");
    }
    let daemon = site.start_ready().await;
    for appid in &appids {
        assert!(wechat.control.alive(&site.value(appid).await), "{appid}");
    }
    let degraded = ailing(&site).await;
    assert!(!degraded.is_empty(), "the ledger was never full: {}", daemon.stderr());
    daemon.line("the ledger's disk is full").await;

    // One that is only in memory is refreshed all the same, as often as its life asks for.
    let ill = &degraded[0];
    let ill_key = key(ill);
    let mut watch = site.connect().await.watch(std::slice::from_ref(&ill_key), &[]).await.unwrap();
    let mut generations = Vec::new();
    while generations.len() < 3 {
        match watch.next().await.unwrap().unwrap() {
            Event::Token(token) => {
                assert!(wechat.control.alive(token.value.as_ref().unwrap().expose()));
                generations.push(token.generation);
                generations.dedup();
            }
            Event::Withdrawn { .. } => panic!("it was not refreshed in time: {}", daemon.stderr()),
            Event::SnapshotComplete | Event::Heartbeat { .. } => {}
        }
    }
    assert_eq!(wechat.control.count(Api::Token, ill), 3, "three values, three calls");
    let calls = wechat.control.with_log(|log| log.calls().map(endpoint_of).collect::<Vec<_>>());
    let most = appids.iter().map(|appid| calls.iter().filter(|(_, of)| of == appid).count()).max();
    assert!(most <= Some(4), "a full ledger must not loop on WeChat: {calls:?}");
    let ran = site.run(&["explain", ill.as_str()]).await;
    assert!(ran.stdout.contains("ledger"), "{ran:?}");
    daemon.stop().await;
}

fn endpoint_of(call: &Call) -> (Api, String) {
    (call.endpoint, call.appid.clone())
}

/// The accounts whose value the ledger does not have.
async fn ailing(site: &Site) -> Vec<String> {
    let status = site.run(&["status", "--json"]).await.document();
    let keys = status["keys"].as_array().expect("status has keys");
    assert!(!keys.is_empty());
    let ailing = keys.iter().filter(|key| key["degraded_reason"] == "ledger");
    ailing.map(|key| key["appid"].as_str().unwrap().to_owned()).collect()
}
