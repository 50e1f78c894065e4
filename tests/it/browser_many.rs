//! The status page of 10,000 keys in a real browser, on the worst morning: the daemon has just
//! started and is still fetching them.

use super::support::browser::{Chromium, DESK};
use super::support::process::{SECRET, Site};
use super::support::simulated::Simulated;

const MANY: usize = 10_000;
const ROWS: &str = "document.querySelectorAll('#keys .key').length";
const LIVE: &str = "document.body.dataset.stream === 'on'";

#[tokio::test]
async fn ten_thousand_keys_are_searched_paged_and_kept_current_one_page_at_a_time() {
    let browser = Chromium::start(DESK).await;
    let wechat = Simulated::start(zhongkong::simulator::Settings::default()).await;
    let mut site = Site::new(&wechat.base);
    site.file("all.secret", SECRET);
    let accounts = (0..MANY).map(|number| {
        format!("[[account]]\nappid = \"wx{number:05}\"\nname = \"shop {number}\"\nsecret_file = \"all.secret\"\ntoken_mode = \"classic\"\n")
    });
    site.raw(&accounts.collect::<String>());
    let daemon = site.start().await;
    let base = format!("http://{}", daemon.admin().await);

    browser.open(&format!("{base}/?sort=name")).await;
    browser.until(&format!("{LIVE} && {ROWS} === 50")).await;
    browser.until("document.querySelector('.pager').innerText.includes('10,000 keys · Page 1 of 200')").await;
    browser.click(".pager a[rel=next]").await;
    browser.until("document.querySelector('#keys .key').id === 'k-0-wx00050'").await;
    assert_eq!(browser.eval(ROWS).await, 50);

    // The numbers go on by themselves while values come in, and the list stays one page.
    browser.until(LIVE).await;
    let fresh = "Number(document.querySelector('.chip.fresh b').innerText.replaceAll(',', ''))";
    let before = browser.eval(fresh).await;
    browser.run("window.stayed = true").await;
    browser.until(&format!("{fresh} > {before}")).await;
    assert_eq!(browser.eval("window.stayed").await, true);
    assert_eq!(browser.eval(ROWS).await, 50);
    let nodes = browser.eval("document.querySelectorAll('*').length").await;
    assert!(nodes.as_u64().unwrap() < 6_000, "the document has {nodes} elements");

    // One of ten thousand is found, and followed.
    browser.write(".find input[type=search]", "shop 4711\n").await;
    browser.until(&format!("location.search.includes('4711') && {LIVE} && {ROWS} === 1")).await;
    browser.until("document.querySelector('#k-0-wx04711.is-fresh')").await;
    let print = "document.querySelector('#k-0-wx04711 .prints code').textContent";
    let before = browser.text(print).await;
    site.run(&["refresh", "wx04711", "--force"]).await.expect(0, &[]);
    browser.until(&format!("{print} !== '{before}'")).await;
    browser.was_quiet().await;
}
