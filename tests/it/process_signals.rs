//! Signals to the real process: TERM and INT drain, a second one ends at once, HUP reloads.

use rustix::process::Signal;
use zhongkong::client::{Code, Error, Event, Watch};
use zhongkong::pb::{Outcome, WithdrawnReason};
use zhongkong::simulator::{Endpoint, Fault, Kind, Script};

use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::scrape::Scrape;
use super::support::simulated::{Simulated, listed_with};

const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";
const OTHER_TOKEN: &str = "another-t0ken-of-the-test-BBBBBBBBBBBBBBBBBB";

async fn two_accounts() -> Simulated {
    Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await
}

/// A daemon in the middle of its first call: WeChat has issued, and holds its answer back.
async fn held(wechat: &Simulated, site: &Site) -> Process {
    wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let daemon = site.start().await;
    wechat.control.wait_held(1).await;
    daemon
}

/// Waits for the end of a watch and says why it ended.
async fn end_of(mut watch: Watch) -> Option<Error> {
    loop {
        match watch.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

async fn drains(signal: Signal) {
    let wechat = two_accounts().await;
    let site = Site::classic(&wechat.base);
    let mut daemon = held(&wechat, &site).await;
    let watch = site.connect().await.watch(&[], &[]).await.unwrap();

    daemon.signal(signal);
    daemon.line("stopping; attempts under way are finished").await;
    // Callers go first: the watch ends while the call is still under way.
    let end = end_of(watch).await.expect("the stream says why it ends");
    assert_eq!(end.code(), Some(Code::Unavailable), "{end}");
    wechat.control.release();
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.stderr());

    // The answer was not lost: the next start has it, and asks for nothing.
    let daemon = site.start_ready().await;
    assert!(wechat.control.alive(&site.value("wx1").await));
    assert_eq!(wechat.control.calls().len(), 1, "{:?}", wechat.control.calls());
    daemon.stop().await;
}

#[tokio::test]
async fn term_finishes_and_commits_the_call_under_way_before_the_end() {
    let _guard = Guard::start();
    drains(Signal::TERM).await;
}

#[tokio::test]
async fn int_finishes_and_commits_the_call_under_way_before_the_end() {
    let _guard = Guard::start();
    drains(Signal::INT).await;
}

#[tokio::test]
async fn a_second_term_ends_the_process_at_once_and_the_next_start_knows_what_was_under_way() {
    // The held answer never comes, so only the second signal can be what ends it.
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let site = Site::classic(&wechat.base);
    let mut daemon = held(&wechat, &site).await;
    daemon.signal(Signal::TERM);
    daemon.line("stopping").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.stderr());
    assert!(daemon.stderr().contains("told to stop at once"), "{}", daemon.stderr());

    wechat.control.release();
    let daemon = site.start_ready().await;
    assert!(wechat.control.alive(&site.value("wx1").await));
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_that_outlasts_the_grace_fails_and_a_reload_has_changed_the_grace() {
    // With the grace of its start (15 s) the call's own limit (10 s) would end in order.
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let mut site = Site::classic(&wechat.base);
    let mut daemon = held(&wechat, &site).await;
    site.section("daemon", "state_dir = \"state\"\ngrace = \"1s\"");
    site.write();
    daemon.reload("configuration taken over").await;
    assert_eq!(daemon.count("need a restart"), 0, "the grace changes live: {}", daemon.stderr());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1), "{}", daemon.stderr());
    assert!(daemon.stderr().contains("before every attempt had ended"), "{}", daemon.stderr());
}

#[tokio::test]
async fn hup_adds_changes_and_removes_accounts_live() {
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let one = site.value("wx1").await;
    let mut watch = site.connect().await.watch(&[], &[]).await.unwrap();

    site.account("wx2", "token_mode = \"classic\"");
    site.write();
    let said = daemon.reload("configuration taken over").await;
    assert!(said.contains("added=1") && said.contains("removed=0"), "{said}");
    let two = site.value("wx2").await;
    assert!(wechat.control.alive(&two));
    assert_eq!(site.value("wx1").await, one, "the other account is left alone");

    // Changed: a call in the new mode at once.
    site.account("wx2", "token_mode = \"stable\"");
    site.write();
    daemon.reload("configuration taken over").await;
    wechat.control.wait_for(|log| log.issued(Endpoint::StableToken, "wx2") == 1).await;

    // Removed: its open watch hears of it, and a call finds nothing.
    site.without_account("wx2");
    site.write();
    let said = daemon.reload("configuration taken over").await;
    assert!(said.contains("removed=1"), "{said}");
    loop {
        match watch.next().await.unwrap().unwrap() {
            Event::Withdrawn { key: gone, reason: WithdrawnReason::NotFound, .. } if gone == key("wx2") => {
                break;
            }
            Event::Withdrawn { .. } | Event::Token(_) | Event::SnapshotComplete | Event::Heartbeat { .. } => {
            }
        }
    }
    let client = site.connect().await;
    let gone = client.get(&key("wx2"), std::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(gone.code(), Some(Code::NotFound), "{gone}");
    assert_eq!(site.value("wx1").await, one);
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 1, "nothing of wx1 was touched");
    daemon.stop().await;
}

#[tokio::test]
async fn hup_lets_clients_in_and_throws_removed_ones_out_of_their_open_watches() {
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let early = site.connect_as(OTHER_TOKEN).await;
    let refused = early.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated), "{refused}");

    site.client("second", OTHER_TOKEN);
    site.write();
    daemon.reload("configuration taken over").await;
    early.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap();
    let mut watch = early.watch(&[], &[]).await.unwrap();
    while !matches!(watch.next().await.unwrap().unwrap(), Event::SnapshotComplete) {}
    let mut stays = site.connect_as(TOKEN).await.watch(&[], &[]).await.unwrap();
    while !matches!(stays.next().await.unwrap().unwrap(), Event::SnapshotComplete) {}

    site.without_client("second");
    site.write();
    daemon.reload("configuration taken over").await;
    let end = end_of(watch).await.expect("the stream says why it ends");
    assert_eq!(end.code(), Some(Code::Unauthenticated), "{end}");
    let refused = early.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated), "{refused}");

    // The one that stays hears the next change over the stream that it had.
    wechat.control.kill("wx1", Kind::Classic);
    let client = site.connect().await;
    let seen = client.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap().fingerprint;
    let answer = client.complain(&key("wx1"), Some(seen), zhongkong::model::ErrCode(40001)).await.unwrap();
    loop {
        if let Event::Token(token) = stays.next().await.unwrap().unwrap()
            && token.fingerprint == answer.token.fingerprint
        {
            break;
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn hup_with_a_bad_file_changes_nothing_and_says_why() {
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let value = site.value("wx1").await;

    // Half of the file is good news: a new account and no client "test" any more.
    site.account("wx2", "token_mode = \"classic\"\ntickits = []");
    site.without_client("test");
    site.client("second", OTHER_TOKEN);
    site.write();
    let said = daemon.reload("was not taken over").await;
    assert!(said.contains("ERROR") && said.contains("everything goes on as before"), "{said}");
    daemon.line("account[1].tickits: there is no such key: did you mean tickets?").await;
    assert_eq!(site.value("wx1").await, value, "the client is still known");
    let client = site.connect().await;
    let unknown = client.get(&key("wx2"), std::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(unknown.code(), Some(Code::NotFound), "{unknown}");

    // A secret that has become readable to others refuses the reload just as it refuses a start.
    site.without_account("wx2");
    site.client("test", TOKEN);
    site.write();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(site.path("wx1.secret"), open).unwrap();
    daemon.reload("was not taken over").await;
    daemon.line("run `chmod 600").await;
    let failed = r#"zhongkong_reloads_total{result="failed"}"#;
    Scrape::until(&daemon, |seen| seen.count(failed) == 2).await;

    // Mended, it is taken over.
    site.secret("wx1", SECRET);
    daemon.reload("configuration taken over").await;
    assert_eq!(site.value("wx1").await, value);
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn hup_with_a_changed_secret_keeps_the_living_value_and_uses_the_new_secret() {
    let _guard = Guard::start();
    let wechat = two_accounts().await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let value = site.value("wx1").await;

    wechat.control.set_secret("wx1", OTHER_SECRET);
    site.secret("wx1", OTHER_SECRET);
    let said = daemon.reload("configuration taken over").await;
    assert!(said.contains("changed=1"), "{said}");
    wechat.control.wait_for(|log| log.count(Endpoint::ApiDomainIp, "wx1") == 1).await;
    assert_eq!(site.value("wx1").await, value, "a living value is kept");
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), 1);

    // The next call shows that the new secret is in use.
    wechat.control.kill("wx1", Kind::Classic);
    let client = site.connect().await;
    let seen = client.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap().fingerprint;
    let answer = client.complain(&key("wx1"), Some(seen), zhongkong::model::ErrCode(40001)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Refreshed);
    assert!(wechat.control.alive(&site.value("wx1").await));
    daemon.stop().await;
}
