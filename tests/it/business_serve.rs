//! `zhongkong serve business` as a process beside the daemon's: what it says of itself, what a reload
//! changes, and what is left when the daemon is gone.

use std::net::SocketAddr;

use serde_json::Value as Json;
use zhongkong::simulator::{Accounts, Settings};

use super::support::frozen::Guard;
use super::support::process::{Process, Site, TOKEN, ran};
use super::support::simulated::{Simulated, client_builder};

async fn wechat() -> Simulated {
    Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await
}

/// A daemon with wx1, and the service beside it.
fn site(wechat: &str) -> Site {
    let mut site = Site::new(wechat);
    site.account("wx1", "token_mode = \"stable\"");
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    business(&mut site, "");
    site
}

fn business(site: &mut Site, more: &str) {
    let daemon = site.addr();
    site.section("business", &format!("database = \"business.db\"\ndaemon = \"{daemon}\"\n{more}"));
}

fn serve(site: &Site, more: &[&str]) -> tokio::process::Command {
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "business"]).args(more);
    command
}

async fn start(site: &Site) -> (Process, SocketAddr) {
    let process = Process::spawn(serve(site, &[]));
    process.line("running: menus and QR codes").await;
    let line = process.line("listening http=").await;
    let http = line.split_once("http=").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    (process, http)
}

async fn ask(to: SocketAddr, method: reqwest::Method, path: &str, body: &'static str) -> (u16, Json) {
    let client = client_builder().build().unwrap();
    let request = client.request(method, format!("http://{to}/business/v1/wx1{path}"));
    let answer = request.bearer_auth(TOKEN).body(body).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
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
async fn service_works_beside_the_commands_over_one_database_and_says_when_the_daemon_is_gone() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = site(&wechat.base);
    let daemon = site.start_ready().await;
    let (service, http) = start(&site).await;
    readyz(&service, "ready\n").await;
    assert_eq!(service.page("/services").await.1, "business\n");
    let menu = r#"{"button":[{"type":"click","name":"n","key":"k"}]}"#;
    let (status, pushed) = ask(http, reqwest::Method::PUT, "/menu?why=spring", menu).await;
    assert_eq!((status, &pushed["number"]), (200, &Json::from(1)), "{pushed}");
    // The commands see what the service did, and go back to it.
    let history = site.run(&["menu", "history", "--account", "wx1", "--json"]).await.document();
    assert_eq!(history["pushes"][0]["why"], "spring", "{history}");
    let removed = site.run(&["menu", "delete", "--account", "wx1", "--yes"]).await;
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let (status, back) = ask(http, reqwest::Method::POST, "/menu/rollback", r#"{"number":1}"#).await;
    assert_eq!((status, &back["number"]), (200, &Json::from(3)), "{back}");

    daemon.signal(rustix::process::Signal::KILL);
    service.line("the daemon does not serve, and no program is let in").await;
    let said = readyz(&service, "nobody is let in").await;
    assert!(said.starts_with("ready, but "), "{said}");
    let (status, told) = ask(http, reqwest::Method::GET, "/menu", "").await;
    assert_eq!((status, told["reason"].as_str()), (503, Some("daemon_away")), "{told}");
    let (_, page) = service.page("/metrics").await;
    for line in [
        "zhongkong_business_requests_total{operation=\"pushMenu\",result=\"ok\"} 1",
        "zhongkong_business_requests_total{operation=\"showMenu\",result=\"daemon_away\"} 1",
        "zhongkong_daemon_reachable{service=\"business\"} 0",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let said = service.stop().await;
    assert!(!said.contains(TOKEN), "{said}");
    for value in wechat.control.issued_values().iter().filter(|value| value.len() > 8) {
        assert!(!said.contains(value.as_str()), "{said}");
    }
}

#[tokio::test]
async fn service_starts_without_the_daemon_and_serves_when_it_comes() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = site(&wechat.base);
    let (service, http) = start(&site).await;
    readyz(&service, "nobody is let in").await;
    assert_eq!(ask(http, reqwest::Method::GET, "/menu", "").await.0, 503);
    let daemon = site.start_ready().await;
    while ask(http, reqwest::Method::GET, "/menu", "").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn reload_changes_the_numbers_of_codes_and_names_what_needs_a_restart() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = site(&wechat.base);
    let daemon = site.start_ready().await;
    let (service, http) = start(&site).await;
    let create = r#"{"scene":1,"life":"permanent"}"#;
    assert_eq!(ask(http, reqwest::Method::POST, "/qrcodes", create).await.0, 201);
    business(&mut site, "permanent_codes = 1\n");
    site.write();
    service.reload("configuration taken over").await;
    let other = r#"{"scene":2,"life":"permanent"}"#;
    let (status, told) = ask(http, reqwest::Method::POST, "/qrcodes", other).await;
    assert_eq!((status, told["reason"].as_str()), (409, Some("full")), "{told}");
    business(&mut site, "permanent_codes = 100001\n");
    site.write();
    let line = service.reload("not taken over, everything goes on as before").await;
    assert!(line.contains("business.permanent_codes"), "{line}");
    site.section("business", "database = \"other.db\"\ndaemon = \"unix:/elsewhere/grpc.sock\"\n");
    site.write();
    service.reload("configuration taken over").await;
    service.line("need a restart: business.daemon, business.database").await;
    assert_eq!(ask(http, reqwest::Method::POST, "/qrcodes", other).await.0, 201, "the old file, new numbers");
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn check_says_what_would_be_served_and_a_mistake_is_exit_code_two() {
    let _guard = Guard::start();
    let mut site = site("http://127.0.0.1:1");
    let said = ran(serve(&site, &["--check"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "ok: menus and QR codes", "{said:?}");
    assert!(lines[1].ends_with("business.db") && lines[2].contains(&site.addr()), "{said:?}");
    assert!(!site.path("business.db").exists(), "a check leaves nothing behind");
    let mut command = serve(&site, &["--check"]);
    command.arg("--json");
    assert_eq!(ran(command).await.document()["business"]["permanent_reserve"], 1_000);

    for (section, words) in [
        ("daemon = \"elsewhere\"\n", "business.daemon"),
        ("daemon = \"https://127.0.0.1:7780\"\n", "needs ca beside it"),
        ("token_file = \"x\"\n", "it asks the daemon with those of its callers"),
        ("permanent_codes = 5\npermanent_reserve = 6\n", "business.permanent_reserve"),
    ] {
        site.section("business", section);
        let said = ran(serve(&site, &["--check"])).await;
        assert!(said.code == Some(2) && said.stderr.contains(words), "{words}: {said:?}");
    }
}

#[tokio::test]
async fn service_shares_a_process_with_others_and_their_listener() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = site(&wechat.base);
    site.account("wx1", "token_mode = \"stable\"\ntickets = [\"jsapi_ticket\"]");
    site.file("bearer.token", TOKEN);
    let daemon = site.addr();
    site.section("jssdk", &format!("daemon = \"{daemon}\"\ntoken_file = \"bearer.token\"\n"));
    site.raw("[[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"localhost\"]\n");
    let daemon = site.start_ready().await;
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "business", "jssdk"]);
    let process = Process::spawn(command);
    let line = process.line("listening http=").await;
    let http: SocketAddr =
        line.split_once("http=").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    process.line("running: jssdk: 1 account, 0 pages; business: menus and QR codes").await;
    readyz(&process, "ready\n").await;
    assert_eq!(process.page("/services").await.1, "jssdk\nbusiness\n");
    assert_eq!(ask(http, reqwest::Method::GET, "/menu", "").await.0, 200);
    let client = client_builder().build().unwrap();
    let script = client.get(format!("http://{http}/jssdk/shop/zhongkong.js")).send().await.unwrap();
    assert_eq!(script.status(), 200);
    process.stop().await;
    daemon.stop().await;
}
