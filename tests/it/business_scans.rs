//! A scan on its whole way: WeChat's push to the real message service, its rule, its signed POST to the
//! real service of codes, and the count; in one process, and as two.

use std::net::SocketAddr;

use serde_json::Value as Json;
use zhongkong::simulator::{Accounts, Settings};

use super::support::frozen::Guard;
use super::support::ports::Kept;
use super::support::process::{Process, Site, TOKEN};
use super::support::simulated::{Simulated, client_builder};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const RULES: &str = "[[rule]]\nname = \"scans\"\nwhen.event = [\"SCAN\", \"subscribe\"]\nforward = \"scans\"\ncontinue = true\n\
                     [[rule]]\nname = \"welcome\"\nwhen.event = [\"SCAN\", \"subscribe\"]\nreply = \"welcome\"\n";

/// An account with both services, of which that of codes listens here.
fn site(wechat: &str, codes: SocketAddr) -> Site {
    let mut site = Site::new(wechat);
    site.account("wx1", "token_mode = \"stable\"");
    site.file("bearer.token", TOKEN);
    site.file("callback.token", "AAAAA");
    site.file("callback.key", KEY);
    site.file("scans.hmac", SECRET);
    site.file("rules.toml", RULES);
    let daemon = site.addr();
    site.section(
        "business",
        &format!("database = \"business.db\"\ndaemon = \"{daemon}\"\nevents_secret_file = \"scans.hmac\"\n"),
    );
    site.section(
        "messages",
        &format!("daemon = \"{daemon}\"\ntoken_file = \"bearer.token\"\nrules = \"rules.toml\"\n"),
    );
    site.raw(&format!(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\ntoken_file = \"callback.token\"\n\
         aes_key_file = \"callback.key\"\n[[messages.forward]]\nname = \"scans\"\n\
         url = \"http://{codes}/business/events\"\nsecret_file = \"scans.hmac\"\n"
    ));
    site
}

async fn serve(site: &Site, services: &[&str]) -> (Process, SocketAddr) {
    let mut command = site.command();
    command.arg("--config").arg(site.write()).arg("serve").args(services);
    let process = Process::spawn(command);
    let line = process.line("listening http=").await;
    let http = line.split_once("http=").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    process.line("running: ").await;
    (process, http)
}

/// Plays WeChat to the message service, then looks until the codes' service has counted.
async fn scanned_and_counted(site: &Site, messages: SocketAddr, codes: SocketAddr) {
    let client = client_builder().build().unwrap();
    let at = |path: &str| format!("http://{codes}/business/v1/wx1{path}");
    let made = client.post(at("/qrcodes")).bearer_auth(TOKEN).body(r#"{"scene":"door","life":"1d"}"#);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let callback = format!("http://{messages}/wechat/shop");
    for (event, key) in [("event.SCAN", "door"), ("event.subscribe", "qrscene_door")] {
        let key = format!("EventKey={key}");
        let send = ["messages", "send", &callback, event, &key, "Ticket=", "--account", "shop"];
        let sent = site.run(&send).await;
        assert_eq!(sent.code, Some(0), "{sent:?}");
        assert!(sent.stdout.contains("welcome"), "told, and answered as ever: {sent:?}");
    }
    loop {
        let got = client.get(at("/qrcodes/door")).bearer_auth(TOKEN).send().await.unwrap();
        let code: Json = serde_json::from_slice(&got.bytes().await.unwrap()).unwrap();
        if code["scans"] == 2 {
            assert_eq!(code["follows"], 1, "{code}");
            break;
        }
        tokio::task::yield_now().await;
    }
}

async fn wechat() -> Simulated {
    Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await
}

#[tokio::test]
async fn scan_is_counted_by_way_of_both_services_as_two_processes() {
    let _guard = Guard::start();
    let (wechat, codes) = (wechat().await, Kept::new());
    let mut site = site(&wechat.base, codes.addr());
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    site.section("serve.business", &format!("listen = \"{}\"\n", codes.addr()));
    let daemon = site.start_ready().await;
    let (business, at) = serve(&site, &["business"]).await;
    assert_eq!(at, codes.addr());
    let (messages, callbacks) = serve(&site, &["messages"]).await;
    scanned_and_counted(&site, callbacks, at).await;
    messages.stop().await;
    business.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn scan_is_counted_where_both_services_are_one_process() {
    let _guard = Guard::start();
    let (wechat, both) = (wechat().await, Kept::new());
    let mut site = site(&wechat.base, both.addr());
    site.section("serve", &format!("listen = \"{}\"\nadmin = \"127.0.0.1:0\"\n", both.addr()));
    let daemon = site.start_ready().await;
    let (process, at) = serve(&site, &["messages", "business"]).await;
    scanned_and_counted(&site, at, at).await;
    let said = process.stop().await;
    assert!(!said.contains(SECRET) && !said.contains("is refused"), "{said}");
    daemon.stop().await;
}
