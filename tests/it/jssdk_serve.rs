//! `zhongkong serve jssdk` as a process beside the daemon's: what it says of itself, what a reload
//! changes, and what is left when the daemon is gone.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhongkong::simulator::{Accounts, Settings};

use super::jssdk_support::encoded;
use super::support::frozen::Guard;
use super::support::process::{Process, Site, TOKEN, ran};
use super::support::simulated::Simulated;

const PAGE: &str = "https://h5.example.com/a?b=1";

async fn wechat() -> Simulated {
    Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await
}

/// A daemon with wx1 and both of its tickets, and a service for its pages.
fn site(wechat: &str) -> Site {
    let mut site = Site::new(wechat);
    site.account("wx1", "token_mode = \"stable\"\ntickets = [\"jsapi_ticket\", \"wx_card_ticket\"]");
    site.file("bearer.token", TOKEN);
    // Nobody before it: the tests are its browsers.
    let serve = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ntrusted_proxies = []\n";
    site.section("serve", serve);
    let daemon = site.addr();
    site.section(
        "jssdk",
        &format!("daemon = \"{daemon}\"\ntoken_file = \"bearer.token\"\npages = \"pages\"\n"),
    );
    fs::create_dir(site.path("pages")).unwrap();
    site.file("pages/index.html", "<h1>{{ account }}</h1>{{ wechat() }}");
    site.raw(&account("h5.example.com", "[\"pCard1\"]"));
    site
}

fn account(host: &str, cards: &str) -> String {
    format!(
        "[[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"{host}\"]\norigins = [\"https://{host}\"]\ncards = {cards}\n\
         verify_files = [\"MP_verify_aB3dE6gH9jK2mN5p.txt\"]\n"
    )
}

fn serve(site: &Site, more: &[&str]) -> tokio::process::Command {
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "jssdk"]).args(more);
    command
}

async fn start(site: &Site) -> (Process, SocketAddr) {
    let process = Process::spawn(serve(site, &[]));
    process.line("running: ").await;
    let line = process.line("listening http=").await;
    let http = line.split_once("http=").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    (process, http)
}

async fn get(to: SocketAddr, host: &str, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn config(to: SocketAddr, url: &str) -> (u16, Json) {
    let (status, body) = get(to, "wx.example.com", &format!("/jssdk/shop/config?url={}", encoded(url))).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

/// Waits until the service says that it is this ready.
async fn readyz(process: &Process, words: &str) -> String {
    loop {
        let (status, said) = process.page("/readyz").await;
        assert!(status.contains("200"), "{status}");
        if said.contains(words) {
            return said;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn service_signs_by_its_copy_also_when_the_daemon_is_killed_and_says_so() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = site(&wechat.base);
    let daemon = site.start_ready().await;
    let (service, http) = start(&site).await;
    assert!(service.line("running: ").await.contains("1 account, 1 page"));
    // The copy is filled a moment after the start; until then the daemon signs.
    readyz(&service, "ready\n").await;
    let (status, signed) = config(http, PAGE).await;
    assert_eq!((status, signed["appId"].as_str()), (200, Some("wx1")), "{signed}");
    assert_eq!(get(http, "x", "/jssdk/shop/card?card_id=pCard1").await.0, 200);
    let (status, page) = get(http, "h5.example.com", "/jssdk/shop/page/index").await;
    assert!(status == 200 && page.contains("<h1>shop</h1>") && page.contains("wx.config({"), "{page}");
    assert_eq!(get(http, "x", "/MP_verify_aB3dE6gH9jK2mN5p.txt").await, (200, "aB3dE6gH9jK2mN5p".to_owned()));
    let (status, script) = get(http, "x", "/jssdk/shop/zhongkong.js?debug").await;
    assert!(status == 200 && script.contains("\"shop\""), "{status}");
    assert_eq!(get(http, "x", "/jssdk/zhongkong.d.ts").await.0, 200);
    assert_eq!(get(http, "x", "/jssdk/nobody/zhongkong.js").await.0, 404);
    assert_eq!(get(http, "x", "/nothing").await.0, 404);

    daemon.signal(rustix::process::Signal::KILL);
    service.line("the daemon gives no ticket").await;
    let said = readyz(&service, "signed with those of the local copy").await;
    assert!(said.starts_with("ready, but "), "{said}");
    let (status, again) = config(http, PAGE).await;
    assert_eq!(status, 200, "{again}");
    assert_ne!(again["signature"], signed["signature"]);
    let (_, page) = service.page("/metrics").await;
    assert!(page.contains("zhongkong_jssdk_signatures_total{by=\"copy\"}"), "{page}");
    assert!(page.contains("zhongkong_daemon_reachable{service=\"jssdk\"} 0"), "{page}");
    let said = service.stop().await;
    for value in wechat.control.issued_values().iter().filter(|value| value.len() > 8) {
        assert!(!said.contains(value.as_str()), "{said}");
    }
}

#[tokio::test]
async fn service_starts_without_the_daemon_and_signs_when_it_comes() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = site(&wechat.base);
    let (service, http) = start(&site).await;
    let (status, told) = config(http, PAGE).await;
    assert_eq!((status, told["reason"].as_str()), (503, Some("no_ticket")), "{told}");
    readyz(&service, "no page can be signed").await;
    let line = service.line("a request to /jssdk/shop is refused").await;
    assert!(line.contains("reason=\"no_ticket\"") && line.contains("no jsapi_ticket of wx1"), "{line}");
    let daemon = site.start_ready().await;
    while config(http, PAGE).await.0 != 200 {
        tokio::task::yield_now().await;
    }
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn reload_changes_hosts_cards_and_pages_and_a_bad_page_leaves_everything() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = site(&wechat.base);
    let daemon = site.start_ready().await;
    let (service, http) = start(&site).await;
    readyz(&service, "ready\n").await;
    assert_eq!(config(http, PAGE).await.0, 200);
    site.raw(&account("other.example.com", "[]"));
    site.file("pages/more.html", "more");
    site.write();
    service.reload("configuration taken over").await;
    let (status, told) = config(http, PAGE).await;
    assert_eq!((status, told["reason"].as_str()), (403, Some("host")), "{told}");
    assert_eq!(config(http, "https://other.example.com/").await.0, 200);
    assert_eq!(get(http, "x", "/jssdk/shop/card?card_id=pCard1").await.0, 403);
    assert_eq!(get(http, "other.example.com", "/jssdk/shop/page/more").await.1, "more");

    site.file("pages/more.html", "{% if %}");
    site.raw(&account("third.example.com", "[]"));
    site.write();
    let line = service.reload("not taken over, everything goes on as before").await;
    assert!(line.contains("more.html:1: "), "{line}");
    assert_eq!(config(http, "https://other.example.com/").await.0, 200);
    assert_eq!(get(http, "other.example.com", "/jssdk/shop/page/more").await.1, "more");
    readyz(&service, "the pages on the disk are bad").await;
    site.file("pages/more.html", "more than before");
    site.section("jssdk", "daemon = \"unix:/elsewhere/grpc.sock\"\npages = \"pages\"\n");
    site.write();
    service.reload("configuration taken over").await;
    service.line("need a restart: jssdk.daemon, jssdk.token").await;
    assert_eq!(get(http, "third.example.com", "/jssdk/shop/page/more").await.1, "more than before");
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn check_says_what_would_be_served_and_a_mistake_is_exit_code_two() {
    let _guard = Guard::start();
    let mut site = site("http://127.0.0.1:1");
    let said = ran(serve(&site, &["--check"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let directory = site.path("pages");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "ok: 1 account, 1 page", "{said:?}");
    assert_eq!(
        lines[1],
        "account /jssdk/shop (wx1): pages of h5.example.com; asked by https://h5.example.com; signs cards"
    );
    assert_eq!(lines[2], format!("page index ({0}/index.html)", directory.display()));
    let mut command = serve(&site, &["--check"]);
    command.arg("--json");
    let document = ran(command).await.document();
    assert_eq!(document["jssdk"]["accounts"][0]["hosts"][0], "h5.example.com");
    assert_eq!(document["jssdk"]["pages"], serde_json::json!(["index"]));

    site.file("pages/index.html", "\n{{ nobody(");
    let said = ran(serve(&site, &["--check"])).await;
    assert!(said.code == Some(2) && said.stderr.contains("index.html:2: "), "{said:?}");
    let said = ran(serve(&site, &[])).await;
    assert!(said.code == Some(2) && said.stderr.contains("index.html:2: "), "{said:?}");
    site.file("pages/index.html", "x");
    site.raw(
        &account("https://h5.example.com", "[]")
            .replace("origins = [\"https://https://", "origins = [\"https://"),
    );
    let said = ran(serve(&site, &["--check"])).await;
    assert!(said.code == Some(2) && said.stderr.contains("written without its scheme"), "{said:?}");
}
