//! The status page in a real browser, of the real daemon.

use super::support::browser::{Chromium, DESK};
use super::support::process::{SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

#[tokio::test]
async fn rotation_appears_without_a_reload_and_leaves_the_reader_where_they_are() {
    let browser = Chromium::start(DESK).await;
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
browser.open(&format!("http://{}/", daemon.admin().await)).await;
    browser.until("document.body.dataset.stream === 'on'").await;
    let print = browser.text("document.querySelector('#k-0-wx1 .prints code').textContent").await;
    eprintln!("{:?}", site.run(&["refresh", "wx1", "--force", "--yes"]).await); browser.run("setTimeout(() => location.reload(), 300)").await; browser.until("window.never").await;
    browser.until(&format!("document.querySelector('#k-0-wx1 .prints code').textContent !== '{print}'")).await;
    browser.was_quiet().await;
}
