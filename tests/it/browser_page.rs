//! The status page of the real daemon in a real browser: what happens appears by itself, and
//! the reader is left in peace; what to do when WeChat refuses; the daemon restarted under the
//! page; a browser without JavaScript.

use std::net::{IpAddr, Ipv4Addr};

use zhongkong::simulator::IpList;

use super::support::browser::{Chromium, DESK};
use super::support::process::{Process, SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

/// A daemon with ten accounts, wx0 … wx9, all fetched.
async fn ten() -> (Simulated, Site, Process) {
    let appids: Vec<String> = (0..10).map(|number| format!("wx{number}")).collect();
    let listed: Vec<(&str, &str)> = appids.iter().map(|appid| (appid.as_str(), SECRET)).collect();
    let wechat = Simulated::start(listed_with(&listed)).await;
    let mut site = Site::new(&wechat.base);
    for appid in &appids {
        site.account(appid, "token_mode = \"classic\"");
    }
    let daemon = site.start_ready().await;
    (wechat, site, daemon)
}

async fn address(daemon: &Process) -> String {
    format!("http://{}/?sort=name", daemon.admin().await)
}

const LIVE: &str = "document.body.dataset.stream === 'on'";
const PRINT: &str = "document.querySelector('#k-0-wx4 .prints code').textContent";
const ISSUED: &str = "document.querySelector('#k-0-wx4 svg.bar').dataset.from";

#[tokio::test]
async fn rotation_appears_without_a_reload_and_leaves_the_reader_where_they_are() {
    // Somebody reads in the middle of the page and has begun to type when a token rotates.
    let browser = Chromium::start(DESK).await;
    let (_wechat, site, daemon) = ten().await;
    browser.open(&address(&daemon).await).await;
    browser.until(LIVE).await;
    browser.write(".find input[type=search]", "half a wo").await;
    browser
        .run(
            "document.getElementById('k-0-wx4').scrollIntoView();
             window.before = { row: document.getElementById('k-0-wx4'), at: scrollY, moved: [], others: [] };
             new MutationObserver((seen) => {
               for (const one of seen) {
                 const row = one.target.nodeType === 1 ? one.target.closest('.key') : one.target.parentElement?.closest('.key');
                 for (const node of [...one.addedNodes, ...one.removedNodes])
                   if (node.nodeType === 1 && node.matches('.key')) before.moved.push(node.id);
                 if (row && row !== before.row && !one.target.closest?.('time, svg')) before.others.push(row.id);
               }
             }).observe(document.getElementById('keys'), { subtree: true, childList: true, attributes: true });",
        )
        .await;
    let (print, issued) = (browser.text(PRINT).await, browser.text(ISSUED).await);

    let forced = site.run(&["refresh", "wx4", "--force"]).await;
    forced.expect(0, &[]);
    browser.until(&format!("{PRINT} !== '{print}'")).await;
    let now = browser.text(PRINT).await;
    let status = site.run(&["status", "--json"]).await.document().to_string();
    assert!(status.contains(&now) && !status.contains(&print), "{now} is the daemon's: {status}");
    // The bar begins anew.
    assert!(issued.parse::<i64>().unwrap() < browser.text(ISSUED).await.parse::<i64>().unwrap());
    browser.until(&format!("document.getElementById('events').innerText.includes('{now}')")).await;

    // The row is the same one, none came or went, the others were not touched.
    assert_eq!(browser.eval("before.row === document.getElementById('k-0-wx4')").await, true);
    assert_eq!(browser.eval("before.moved.concat(before.others)").await, serde_json::json!([]));
    // Nor the reader's place and words.
    assert_eq!(browser.eval("scrollY > 200 && scrollY === before.at").await, true);
    assert_eq!(browser.text("document.activeElement.value").await, "half a wo");
    browser.was_quiet().await;
}

#[tokio::test]
async fn refusal_appears_with_its_number_its_meaning_and_what_to_do() {
    // The machine got another address, which is not on the account's list.
    let browser = Chromium::start(DESK).await;
    let (wechat, site, daemon) = ten().await;
    browser.open(&format!("http://{}/", daemon.admin().await)).await;
    browser.until(LIVE).await;
    wechat.control.set_ip_allowed("wx7", IpList::Only(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]));
    site.run(&["refresh", "wx7", "--force"]).await;
    browser.until("document.querySelector('#k-0-wx7.is-operator .todo')").await;

    let trouble = browser.find("#k-0-wx7 .trouble").await;
    assert!(trouble.is_displayed().await.unwrap());
    let says = trouble.text().await.unwrap();
    for words in ["40164", "not in the account's IP whitelist", "What to do", "127.0.0.1", "mp.weixin.qq.com"]
    {
        assert!(says.contains(words), "{words}: {says}");
    }
    let headline = browser.text("document.querySelector('.verdict h1').innerText").await;
    assert!(headline.starts_with("1 needs an operator"), "{headline}");
    // It is the first, and the chip finds it.
    assert_eq!(browser.text("document.querySelector('#keys .key').id").await, "k-0-wx7");
    browser.click(".chip.operator").await;
    browser
        .until("location.search.includes('operator') && document.querySelectorAll('#keys .key').length === 1")
        .await;

    // The address is added to the list: the row says so by itself.
    browser.open(&format!("http://{}/", daemon.admin().await)).await;
    wechat.control.set_ip_allowed("wx7", IpList::Any);
    site.run(&["refresh", "wx7", "--force"]).await;
    browser.until("document.querySelector('#k-0-wx7.is-fresh') && !document.querySelector('.trouble')").await;
    browser.was_quiet().await;
}

#[tokio::test]
async fn restarted_daemon_is_missed_and_found_again_by_the_open_page() {
    let browser = Chromium::start(DESK).await;
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let addr = daemon.admin().await;
    browser.open(&format!("http://{addr}/")).await;
    browser.until(LIVE).await;
    browser.run("window.stayed = true").await;
    daemon.stop().await;
    browser.until("document.querySelector('#live.off')?.innerText.includes('reconnecting')").await;
    assert_eq!(browser.eval("document.querySelectorAll('.key').length").await, 1, "what was known stays");

    site.section("admin", &format!("listen = \"{addr}\"\n"));
    let _daemon = site.start_ready().await;
    browser.until(&format!("{LIVE} && document.querySelector('#live.on')?.innerText === 'live'")).await;
    browser.until("document.getElementById('events').innerText.includes('daemon started')").await;
    assert_eq!(browser.eval("window.stayed").await, true, "it was not loaded anew");
    // That nobody answered is all that the console has to say.
    for complaint in browser.complaints().await {
        assert!(complaint.contains("/events") && complaint.contains("ERR_"), "{complaint}");
    }
}

#[tokio::test]
async fn page_without_javascript_is_a_snapshot_that_says_so() {
    let browser = Chromium::start(DESK).await;
    let (_wechat, _site, daemon) = ten().await;
    browser.without_scripts().await;
    browser.open(&address(&daemon).await).await;
    assert_eq!(browser.eval("document.body.dataset.stream ?? 'none'").await, "none", "no script has run");
    let shown = browser.text("document.body.innerText").await;
    for words in ["Every credential is fresh", "wx9", "left", "Without JavaScript this page is a snapshot"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // Search and filters are forms and links.
    browser.write(".find input[type=search]", "wx3\n").await;
    browser
        .until("location.search.includes('q=wx3') && document.querySelectorAll('.key').length === 1")
        .await;
}
