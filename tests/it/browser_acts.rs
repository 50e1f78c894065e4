//! Steering keys in a real browser: sign in, pause, resume, refresh, and see what came of it.

use super::support::browser::{Chromium, DESK};
use super::support::process::{SECRET, Site, TOKEN};
use super::support::simulated::{Simulated, listed_with};

const LIVE: &str = "document.body.dataset.stream === 'on'";

/// The link of the account's action.
fn link(what: &str) -> String {
    format!("#k-0-wx1 a[href$='do={what}']")
}

#[tokio::test]
async fn client_signs_in_pauses_resumes_and_refreshes_and_sees_each_happen() {
    let browser = Chromium::start(DESK).await;
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    let daemon = site.start_ready().await;
    let base = format!("http://{}", daemon.admin().await);

    // Whoever has not said who they are is asked that first.
    browser.open(&base).await;
    browser.until(LIVE).await;
    browser.click(&link("pause")).await;
    browser.until("document.querySelector('form[action=\"/signin\"]')").await;
    assert_eq!(browser.eval("document.querySelectorAll('form[action=\"/act\"]').length").await, 0);
    browser.open(&base).await;
    browser.until(LIVE).await;
    browser.click(".who a").await;
    browser.until("document.querySelector('#token') === document.activeElement").await;
    browser.write("#token", "not-the-token\n").await;
    browser.until("document.querySelector('[role=alert]')?.innerText.includes('not known here')").await;
    // A refused token is all that the console has to say.
    for complaint in browser.complaints().await {
        assert!(complaint.contains("/signin") && complaint.contains("403"), "{complaint}");
    }
    browser.write("#token", TOKEN).await;
    browser.click("button.primary").await;
    browser.until(&format!("{LIVE} && document.querySelector('.client')?.innerText.includes('test')")).await;
    assert_eq!(browser.eval("document.querySelectorAll('[data-act]').length").await, 4);
    let shown = browser.text("document.documentElement.outerHTML").await;
    assert!(!shown.contains(TOKEN), "the token stays nowhere");

    // Second thoughts: nothing happens.
    browser.run("window.stayed = true").await;
    browser.click(&link("pause")).await;
    browser.until("document.querySelector('#ask[open] form')").await;
    browser.click("#ask [data-close]").await;
    browser.until("!document.querySelector('#ask[open]')").await;
    assert_eq!(browser.eval("document.querySelectorAll('.is-paused').length").await, 0);
    assert_eq!(browser.eval("window.stayed").await, true, "a question is no page of its own");

    browser.click(&link("pause")).await;
    browser.until("document.querySelector('#ask[open] form')").await;
    browser.click("#ask button.primary").await;
    browser.until(&format!("{LIVE} && document.querySelector('#k-0-wx1.is-paused')")).await;
    assert_eq!(browser.text("document.querySelector('#k-0-wx1 .badge').innerText").await, "Paused");
    browser.until("document.getElementById('notices').innerText.includes('paused')").await;

    // Another one ends the pause elsewhere: it is seen here.
    browser.run("window.stayed = true").await;
    site.run(&["resume", "wx1"]).await.expect(0, &[]);
    browser.until("document.querySelector('#k-0-wx1.is-fresh')").await;
    assert_eq!(browser.eval("window.stayed").await, true);
    site.run(&["pause", "wx1"]).await.expect(0, &[]);
    browser.until("document.querySelector('#k-0-wx1.is-paused')").await;
    browser.click(&link("resume")).await;
    browser.until("document.querySelector('#ask[open] form')").await;
    browser.click("#ask button.primary").await;
    browser.until(&format!("{LIVE} && document.querySelector('#k-0-wx1.is-fresh')")).await;

    // A refresh tells its outcome, and the new fingerprint is there.
    let print = "document.querySelector('#k-0-wx1 .prints code').textContent";
    let before = browser.text(print).await;
    browser.click(&link("refresh")).await;
    browser.until("document.querySelector('#ask[open] form')").await;
    browser.click("#ask button.primary").await;
    browser.until(&format!("document.getElementById('notices').innerText.includes('programs get a new value') && {print} !== '{before}'")).await;

    browser.was_quiet().await;
    browser.click(".who button").await;
    browser.until(&format!("{LIVE} && !document.querySelector('.client')")).await;
}
