//! The real daemon and its service manager, over a real notify socket.

use std::path::PathBuf;

use rustix::process::Signal;
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::support::frozen::Guard;
use super::support::manager::{Manager, READY, value};
use super::support::process::{SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

const WATCHDOG: &str = "WATCHDOG=1";

async fn wechat() -> Simulated {
    Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await
}

/// A site whose daemon is told where this manager listens.
fn managed(site: &mut Site) -> (Manager, PathBuf) {
    let path = site.path("notify.sock");
    site.env("NOTIFY_SOCKET", path.to_str().unwrap());
    (Manager::at(&path), path)
}

#[tokio::test]
async fn ready_comes_with_the_last_required_value_and_not_before() {
    // WeChat answers for one account at once and makes the other one wait.
    let _guard = Guard::start();
    let wechat = wechat().await;
    wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer).only("wx2"));
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    let (mut manager, _) = managed(&mut site);
    let daemon = site.start().await;
    let said = manager.until("1 key fresh").await;
    assert!(said.contains("STATUS=starting: 1 key fresh, 1 without a value: wx2 is being fetched"), "{said}");
    assert_eq!(manager.count(READY), 0, "{:?}", manager.heard());
    wechat.control.release();
    let said = manager.until(READY).await;
    assert_eq!(value(&said, "STATUS"), "2 keys fresh");
    daemon.stop().await;
    assert_eq!(manager.count(READY), 1);
}

#[tokio::test]
async fn status_follows_a_failed_rotation_and_its_recovery() {
    // The value is still good, so the daemon stays ready; the line says who must do what.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    let daemon = site.start_ready().await;
    manager.until("STATUS=1 key fresh\n").await;

    wechat.control.script(Script::once(Endpoint::Token, Fault::errcode(40_164)).only("wx1"));
    site.run(&["refresh", "wx1", "--force"]).await;
    let said = manager.until("40164").await;
    assert!(said.contains("STATUS=0 keys fresh, 1 needs operator: wx1 40164: "), "{said}");
    assert!(said.contains("127.0.0.1"), "what to do names the address that WeChat saw: {said}");

    site.run(&["refresh", "wx1", "--force"]).await.expect(0, &[]);
    manager.until("STATUS=1 key fresh\n").await;
    assert_eq!(manager.count(READY), 1, "{:?}", manager.heard());
    daemon.stop().await;
}

#[tokio::test]
async fn reload_is_announced_and_ended_whether_the_file_is_good_or_not() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    let daemon = site.start_ready().await;
    manager.until(READY).await;

    site.account("wx2", "token_mode = \"classic\"");
    site.write();
    daemon.signal(Signal::HUP);
    let said = manager.until("RELOADING=1").await;
    let first: u128 = value(&said, "MONOTONIC_USEC").parse().unwrap();
    assert!(!value(&manager.until(READY).await, "STATUS").contains("refused"));
    manager.until("STATUS=2 keys fresh\n").await;

    // A file that was broken by hand, with a secret in the wrong place.
    site.raw(&format!("secret = {SECRET} oops\n"));
    site.write();
    daemon.signal(Signal::HUP);
    let said = manager.until("RELOADING=1").await;
    assert!(value(&said, "MONOTONIC_USEC").parse::<u128>().unwrap() > first);
    let said = manager.until(READY).await;
    let status = value(&said, "STATUS");
    assert!(status.starts_with("2 keys fresh; reload refused at 20"), "{status}");
    assert!(
        status.contains("the old configuration is in force") && status.contains("config.toml"),
        "{status}"
    );
    assert!(!manager.heard().iter().any(|message| message.contains(SECRET)));

    // Mended: nothing is left of it.
    site.raw("");
    site.write();
    daemon.signal(Signal::HUP);
    manager.until("RELOADING=1").await;
    assert_eq!(value(&manager.until(READY).await, "STATUS"), "2 keys fresh");
    daemon.stop().await;
    assert_eq!((manager.count("RELOADING=1"), manager.count(READY)), (3, 4));
}

#[tokio::test]
async fn reload_during_the_start_does_not_end_the_start() {
    // systemd would take the READY=1 of a reload for the start's.
    let _guard = Guard::start();
    let wechat = wechat().await;
    wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    let daemon = site.start().await;
    wechat.control.wait_held(1).await;
    site.section("daemon", "state_dir = \"state\"\ngrase = \"3s\"");
    site.write();
    daemon.signal(Signal::HUP);
    let said = manager.until("reload refused").await;
    assert!(said.starts_with("STATUS=starting: "), "{said}");
    assert_eq!(manager.count(READY) + manager.count("RELOADING=1"), 0, "{:?}", manager.heard());
    wechat.control.release();
    assert!(manager.until(READY).await.contains("reload refused"));
    daemon.stop().await;
}

#[tokio::test]
async fn stop_is_announced_with_the_time_that_it_may_take() {
    // The call under way holds the stop up: the manager hears of it before that ends.
    let _guard = Guard::start();
    let wechat = wechat().await;
    wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    let mut daemon = site.start().await;
    wechat.control.wait_held(1).await;
    daemon.signal(Signal::TERM);
    let said = manager.until("STOPPING=1").await;
    assert_eq!(value(&said, "EXTEND_TIMEOUT_USEC"), "20000000", "the grace of 15 s and a little");
    assert!(
        value(&said, "STATUS").starts_with("stopping; attempts under way are finished, for 15 s"),
        "{said}"
    );
    wechat.control.release();
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.stderr());
    assert_eq!(manager.heard().last(), Some(&said), "nothing contradicts it");
}

#[tokio::test]
async fn stop_of_an_idle_daemon_is_announced_too() {
    // It takes a few milliseconds, and the message must not be lost among them.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    site.start_ready().await.stop().await;
    assert_eq!(manager.count("STOPPING=1"), 1, "{:?}", manager.heard());
}

#[tokio::test]
async fn start_that_fails_says_why() {
    // Somebody put a file where the state directory belongs.
    let _guard = Guard::start();
    let mut site = Site::classic("http://127.0.0.1:9");
    site.file("state", "");
    let (mut manager, _) = managed(&mut site);
    site.fails().await.expect(1, &["the ledger in"]);
    let said = manager.until("STATUS=did not start: ").await;
    assert!(said.contains("the ledger in") && said.contains("cannot be used"), "{said}");

    // Somebody has the port, and then the file is wrong: before there is a runtime.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    site.section("admin", &format!("listen = \"{addr}\""));
    site.fails().await.expect(1, &[&addr]);
    let said = manager.until("STATUS=did not start: the admin listener").await;
    assert!(said.contains(&addr) && said.contains("in use"), "{said}");
    site.section("admin", "listen = \"nonsense\"");
    site.fails().await.expect(2, &["admin.listen"]);
    assert!(manager.until("STATUS=did not start: ").await.contains("admin.listen"));
    assert_eq!(manager.count(READY), 0);
}

#[tokio::test]
async fn notify_socket_that_vanishes_is_one_warning_and_found_again_when_it_is_back() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, path) = managed(&mut site);
    let daemon = site.start_ready().await;
    manager.until(READY).await;
    drop(manager);
    std::fs::remove_file(&path).unwrap();

    // Two messages go nowhere.
    for _ in 0..2 {
        site.write();
        daemon.reload("configuration taken over").await;
    }
    daemon.line("the service manager cannot be told").await;
    assert!(wechat.control.alive(&site.value("wx1").await), "the daemon goes on");

    let mut manager = Manager::at(&path);
    daemon.signal(Signal::HUP);
    manager.until(READY).await;
    daemon.line("the service manager listens again").await;
    assert_eq!(daemon.count("the service manager cannot be told"), 1, "{}", daemon.stderr());
    daemon.stop().await;
}

#[tokio::test]
async fn abstract_socket_is_a_way_too_and_nonsense_is_warned_of() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let name = format!("zhongkong-{}-process", std::process::id());
    let mut manager = Manager::abstract_at(&name);
    site.env("NOTIFY_SOCKET", &format!("@{name}"));
    let daemon = site.start().await;
    manager.until(READY).await;
    daemon.stop().await;

    site.env("NOTIFY_SOCKET", "notify.sock");
    let daemon = site.start_ready().await;
    let said = daemon.line("NOTIFY_SOCKET cannot be used").await;
    assert!(said.contains("neither a path nor an abstract socket"), "{said}");
    daemon.stop().await;
}

#[tokio::test]
async fn watchdog_is_fed_while_all_is_well_and_starves_when_the_hub_is_stuck() {
    // The hub's loop answers twice and then never again: of everything else nothing is wrong,
    // callers are served and messages go out.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    site.env("WATCHDOG_USEC", "2000000");
    let daemon = site.start_ready().await;
    for _ in 0..4 {
        manager.until(WATCHDOG).await;
    }
    assert_eq!(daemon.count("watchdog"), 0, "{}", daemon.stderr());
    daemon.stop().await;

    site.env("WATCHDOG_USEC", "1000000");
    site.env("ZHONGKONG_FAILPOINTS", "hub.block=block:2");
    let before = manager.count(WATCHDOG);
    let daemon = site.start().await;
    manager.until(READY).await;
    let said = daemon.line("the watchdog is not fed").await;
    assert!(said.contains("the hub's loop did not answer within 250 ms"), "{said}");
    // The limit passes twice over.
    daemon.line("missed=5").await;
    assert_eq!(manager.count(WATCHDOG) - before, 2, "{:?}", manager.heard());
    assert!(wechat.control.alive(&site.value("wx1").await));
    // What systemd sends is an ABRT; a TERM cannot end the loop, but the grace does.
    daemon.kill().await;
}

#[tokio::test]
async fn watchdog_of_another_process_is_not_fed() {
    // systemd names the main process; a wrapper that kept its variables is not that.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let (mut manager, _) = managed(&mut site);
    site.env("WATCHDOG_USEC", "400000");
    site.env("WATCHDOG_PID", "1");
    let daemon = site.start_ready().await;
    manager.until(READY).await;
    daemon.stop().await;
    assert_eq!(manager.count(WATCHDOG), 0, "{:?}", manager.heard());
}
