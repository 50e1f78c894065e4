//! The status page of the real process: signed in with the token of the configuration, a key is
//! refreshed, a reload is told, and nothing that is secret is shown.

use rustix::process::Signal;
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::admin_support::{Browser, Live, Message};
use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN};
use super::support::simulated::{Simulated, client_builder, listed_with};

async fn browser(daemon: &Process) -> Browser {
    let base = format!("http://{}", daemon.admin().await);
    Browser { base, http: client_builder().build().unwrap(), cookies: Vec::new() }
}

async fn until(live: &mut Live, wanted: impl Fn(&Message) -> bool) -> Message {
    loop {
        let message = live.next().await.expect("the stream goes on");
        if wanted(&message) {
            return message;
        }
    }
}

#[tokio::test]
async fn page_of_the_daemon_follows_a_refresh_a_reload_and_the_end() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let mut daemon = site.start_ready().await;
    let first = site.value("wx1").await;
    let mut browser = browser(&daemon).await;
    let page = browser.get("/").await;
    assert_eq!(page.keys(), ["k-0-wx1"]);
    assert!(page.body.contains("ready"), "{}", page.body);
    browser.sign_in(TOKEN).await;
    let mut live = browser.live("/events").await;

    browser.act("refresh", "wx1", "access_token").await;
    until(&mut live, |message| message.part("notices").contains("programs get a new value")).await;
    let second = site.value("wx1").await;
    assert_ne!(first, second);

    // A reload with an account more, then one with a broken file: both are told, with the reason.
    site.account("wx2", "token_mode = \"classic\"");
    site.write();
    daemon.reload("configuration taken over").await;
    until(&mut live, |message| message.part("events").contains("configuration reloaded")).await;
    wechat.control.script(Script::forever(Endpoint::Token, Fault::errcode(40_125)));
    site.raw("[nonsense]\n");
    site.write();
    daemon.reload("everything goes on as before").await;
    let told = until(&mut live, |message| message.part("events").contains("reload failed")).await;
    assert!(told.part("events").contains("nonsense"), "{told:?}");

    // The audit of the same daemon knows who that was, and has no token.
    let audit = site.run(&["audit", "--json", "--limit", "0"]).await.document();
    let noted = |action: &str, outcome: &str| {
        let entries = audit["entries"].as_array().unwrap().iter();
        entries
            .filter(|it| it["action"] == action && it["outcome"] == outcome && it["client"] == "test")
            .count()
    };
    assert_eq!((noted("sign_in", "done"), noted("force", "refreshed")), (1, 1), "{audit}");
    assert!(!audit.to_string().contains(TOKEN));

    let page = browser.get("/").await;
    for secret in [&first, &second, TOKEN, SECRET] {
        assert!(!page.body.contains(secret), "a secret is on the page");
        assert!(!format!("{told:?}").contains(secret), "a secret is in the stream");
        assert!(!daemon.stderr().contains(secret), "a secret is in the log");
    }
    daemon.signal(Signal::TERM);
    while live.next().await.is_some() {}
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.stderr());
}
