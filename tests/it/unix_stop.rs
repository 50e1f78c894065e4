//! `stop`, `restart` and `reload` on bad days: a wrong file, a daemon that hangs or disagrees.

use rustix::process::Signal;
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::support::frozen::Guard;
use super::unix_support::{Classic, alive};

#[tokio::test]
async fn wrong_file_takes_no_daemon_down_and_keeps_nobody_from_stopping_it() {
    let _guard = Guard::start();
    let (mut site, _wechat) = Classic::with_wechat().await;
    let pid = site.up().await;
    let value = site.value("wx1").await;
    site.raw("[[account]]\nappid = \"wx1\"\n");
    site.write();

    site.run(&["restart"]).await.expect(2, &["account[1]", "secret_file", "was not touched"]);
    site.run(&["reload"]).await.expect(2, &["account[1]", "secret_file", "goes on as before"]);
    assert_eq!(site.pid(), Some(pid));
    assert_eq!(site.value("wx1").await, value);
    assert!(!site.log().contains("not taken over"), "it was not even told: {}", site.log());

    site.down().await;
}

#[tokio::test]
async fn reload_says_why_the_daemon_itself_refused() {
    // The variable is set where reload runs, and was not where the daemon was started.
    let _guard = Guard::start();
    let (mut site, _wechat) = Classic::with_wechat().await;
    let pid = site.up().await;
    site.raw("[[account]]\nappid = \"wx2\"\nsecret_env = \"WX2_SECRET\"\n");
    site.env("WX2_SECRET", "0123456789abcdef0123456789abcdef");
    site.write();
    let reload = site.run(&["reload"]).await;
    reload.expect(1, &["everything goes on as before", "WX2_SECRET is not set"]);
    assert_eq!(reload.stdout, "");
    assert_eq!(site.pid(), Some(pid));
    site.down().await;
}

#[tokio::test]
async fn stop_of_a_daemon_that_hangs_says_so_with_what_to_do_and_does_not_kill_it() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let pid = site.up().await;
    site.signal(Signal::STOP);
    let stop = site.run(&["stop", "--wait", "200ms"]).await;
    stop.expect(
        1,
        &["still runs after 200ms", "suspended", &format!("kill -CONT {pid}"), &format!("kill -9 {pid}")],
    );
    let reload = site.run(&["reload", "--wait", "200ms"]).await;
    reload.expect(1, &["has not said within 200ms", &format!("kill -CONT {pid}")]);
    assert!(alive(pid));
    // It was told, and ends as soon as it can.
    site.signal(Signal::CONT);
    site.down().await;
}

#[tokio::test]
async fn stop_now_cuts_off_a_call_under_way_and_stop_waits_for_it() {
    let _guard = Guard::start();
    let (site, wechat) = Classic::with_wechat().await;
    let hold = || wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    hold();
    site.run(&["start", "--wait", "200ms"]).await.expect(1, &["not ready"]);
    wechat.control.wait_held(1).await;
    // The answer never comes, so that only the second signal can end it within the test's time.
    let stop = site.run(&["stop", "--wait", "300ms"]).await;
    stop.expect(1, &["still runs", "stop --now"]);
    site.run(&["stop", "--now"]).await.expect(0, &[]);
    assert_eq!(site.pid(), None);
    wechat.control.release();
}
