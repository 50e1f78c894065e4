//! `zhongkong demo` as a visitor meets it, and `zhongkong simulate`.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;
use zhongkong::simulator::Person;

use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, binary, ran};
use super::support::raw::raw_get;
use super::support::simulated::client_builder;

/// The account that the guide shows a page of.
const SHOP: &str = "wxdemo0000000shop";

/// The binary in an empty directory that is its home and its temporary directory too.
fn in_nothing(dir: &TempDir) -> Command {
    let mut command = binary();
    command.current_dir(dir.path()).env("HOME", dir.path()).env("TMPDIR", dir.path());
    command
}

/// What the guide tells to export.
fn exported(guide: &str) -> BTreeMap<String, String> {
    let lines = guide.lines().filter_map(|line| line.trim().strip_prefix("export "));
    lines.filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// Every address of loopback in a text.
fn addresses(guide: &str) -> Vec<SocketAddr> {
    let parts = guide.split(|letter: char| !(letter.is_ascii_digit() || ".:".contains(letter)));
    let mut found: Vec<SocketAddr> = parts.filter_map(|part| part.parse().ok()).collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn the_demo_guides_rotates_answers_and_leaves_nothing_behind() {
    let _guard = Guard::start();
    let dir = tempfile::tempdir().unwrap();
    let mut command = in_nothing(&dir);
    command.args(["demo", "--free-ports", "--life", "6s"]);
    let mut demo = Process::spawn(command);
    demo.out_line(0, "Below, each change as it happens").await;
    let guide = demo.stdout();
    let exported = exported(&guide);
    let addresses = addresses(&guide);
    assert_eq!(addresses.len(), 5, "WeChat, gRPC and the services, and two for admins: {guide}");
    assert!(exported.contains_key("ZHONGKONG_ADDR") && exported.contains_key("ZHONGKONG_TOKEN"), "{guide}");

    // Two generations of one key: a rotation is seen.
    let first = demo.out_line(0, "club access_token").await;
    let generation =
        |line: &str| line.split_once("generation ").unwrap().1.split(' ').next().unwrap().to_owned();
    let mut mark = 0;
    loop {
        let line = demo.out_line(mark, "club access_token").await;
        if line.contains("generation") && generation(&line) != generation(&first) {
            break;
        }
        mark += 1;
    }

    // The commands of the guide work as they stand there.
    let run = async |args: &[&str]| {
        let mut command = in_nothing(&dir);
        command.envs(&exported).args(args);
        ran(command).await
    };
    let status = run(&["status", "--json"]).await.document();
    assert_eq!(status["keys"].as_array().unwrap().len(), 4, "{status}");
    for words in guide.lines().filter_map(|line| line.trim().strip_prefix("zhongkong ")) {
        let typed: Vec<&str> = words.split("  ").next().unwrap().split_whitespace().collect();
        if typed[0] == "watch" || typed[0] == "refresh" || typed[0].ends_with(':') {
            continue;
        }
        run(&typed).await.expect(0, &[]);
    }
    let club = "wxdemo0000000club";
    assert!(guide.contains(club), "{guide}");
    // The guide's story: somebody kills a token, a program reports it, and it heals.
    let (_, upstream) = guide.split_once("a simulated WeChat on ").unwrap();
    let upstream = upstream.split(',').next().unwrap();
    let kill = format!("http://{upstream}/_sim/kill");
    assert!(guide.contains(&kill), "{guide}");
    let client = client_builder().build().unwrap();
    let body = format!("{{\"appid\":\"{club}\",\"kind\":\"classic\"}}");
    loop {
        let post = client.post(&kill).header("content-type", "application/json");
        let killed = post.body(body.clone()).send().await.unwrap();
        assert!(killed.status().is_success(), "{killed:?}");
        let healed = run(&["refresh", club, "--errcode", "40001", "--json"]).await.document();
        // The token's own deadline may have come between the two.
        if healed["outcome"] == "refreshed" {
            break;
        }
    }
    demo.out_line(0, "(complaint)").await;
    let mut ready = 0;
    for addr in &addresses {
        ready += usize::from(raw_get(*addr, "/readyz").await.body().starts_with("ready"));
    }
    assert_eq!(ready, 2, "two of them are admin listeners");

    // A visitor changes what is answered, and what came is in the log with who answered it.
    let hello = guide.lines().find_map(|line| line.trim().strip_prefix("zhongkong messages ")).unwrap();
    let hello: Vec<&str> = ["messages"].into_iter().chain(hello.split_whitespace()).collect();
    let said = run(&hello).await;
    assert!(said.stdout.contains("the user sees: \"Hello "), "{said:?}");
    let home = Path::new(&exported["ZHONGKONG_CONFIG"]).parent().unwrap();
    let rules = std::fs::read_to_string(home.join("rules.toml")).unwrap();
    std::fs::write(home.join("rules.toml"), rules.replace("Hello", "Good morning,")).unwrap();
    while !run(&hello).await.stdout.contains("the user sees: \"Good morning, ") {}
    let log = std::fs::read_to_string(home.join("messages.log")).unwrap();
    for words in ["\"handler\":\"rules: hello\"", "\"handler\":\"rules: welcome\"", "\"outcome\":\"refused\""]
    {
        assert!(log.contains(words), "{words}: {log}");
    }

    demo.signal(Signal::INT);
    assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.stderr());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    for addr in addresses {
        TcpListener::bind(addr).unwrap_or_else(|error| panic!("{addr} is still in use: {error}"));
    }
    assert!(!demo.stderr().contains("ERROR") && !demo.stderr().contains("WARN"), "{}", demo.stderr());
}

/// A browser on this machine. Its cookies are of the host, as all browsers have it, and so of every
/// port.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        Self { client: client_builder().build().unwrap(), cookies: BTreeMap::new() }
    }

    /// Goes there, with a form if there is one, and wherever it is sent from there.
    async fn go(&mut self, to: &Url, form: Option<&'static str>) -> (Url, u16, String) {
        let mut at = to.clone();
        let mut request = match form {
            Some(form) => {
                let post = self.client.post(at.clone()).body(form);
                post.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
            None => self.client.get(at.clone()),
        };
        for _ in 0..10 {
            let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = answer.headers().get(LOCATION) else {
                return (at, answer.status().as_u16(), answer.text().await.unwrap());
            };
            at = at.join(next.to_str().unwrap()).unwrap();
            request = self.client.get(at.clone());
        }
        panic!("{to} leads in a circle, at last to {at}");
    }

    /// Shows the simulated WeChat what a page gives to `wx.config`, as its script does.
    async fn judged(&self, script: &Url, page: &Url, config: &Value) -> Value {
        let body = json!({
            "appid": config["appId"],
            "timestamp": config["timestamp"].to_string(),
            "nonceStr": config["nonceStr"],
            "signature": config["signature"],
            "jsApiList": config["jsApiList"],
            "openTagList": config["openTagList"],
            "url": page.as_str(),
            "href": page.as_str(),
        });
        let asked = self.client.post(script.join("config").unwrap()).body(body.to_string());
        serde_json::from_slice(&asked.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }
}

/// What stands between two texts.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("there is no {from}: {text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("there is no {to} behind {from}: {text}")).0
}

#[tokio::test]
async fn the_demos_page_is_signed_and_knows_who_has_logged_in_at_the_simulated_wechat() {
    let _guard = Guard::start();
    let dir = tempfile::tempdir().unwrap();
    let mut command = in_nothing(&dir);
    command.args(["demo", "--free-ports", "--life", "6s"]);
    let mut demo = Process::spawn(command);
    demo.out_line(0, "shop jsapi_ticket").await;
    let guide = demo.stdout();
    let page = guide.lines().find(|line| line.ends_with("/jssdk/shop/page/demo")).unwrap();
    let page: Url = page.trim().parse().unwrap();
    let mut browser = Browser::new();

    // The ticket's end may come between signature and judgement.
    let html = loop {
        let (_, status, html) = browser.go(&page, None).await;
        assert_eq!(status, 200, "{html}");
        let script = between(&html, "<script src=\"", "\"").replace("&#x2f;", "/").parse().unwrap();
        let (_, status, text) = browser.go(&script, None).await;
        assert!(status == 200 && text.contains("window.wx"), "{script}: {status} {text}");
        let mut asked = page.join("/jssdk/shop/config").unwrap();
        asked.query_pairs_mut().append_pair("url", page.as_str());
        let (_, status, answered) = browser.go(&asked, None).await;
        assert_eq!(status, 200, "{answered}");
        let mut verdicts = Vec::new();
        for config in [between(&html, "wx.config(", ");"), &answered] {
            let config: Value = serde_json::from_str(config).unwrap();
            assert_eq!(config["appId"], SHOP);
            verdicts.push(browser.judged(&script, &page, &config).await["errMsg"].clone());
        }
        if verdicts == ["config:ok", "config:ok"] {
            break html;
        }
        assert!(verdicts.contains(&json!("config:fail, invalid signature")), "{verdicts:?}");
    };

    let me = page.join("/oauth/me?account=shop").unwrap();
    let (_, status, nobody) = browser.go(&me, None).await;
    assert_eq!(status, 401, "{nobody}");
    let login = between(&html, "id=\"login\" href=\"", "\"").replace("&amp;", "&");
    let (consent, status, asks) = browser.go(&page.join(&login).unwrap(), None).await;
    assert!(status == 200 && asks.contains("name=\"decision\""), "{consent}: {asks}");
    let (back, status, html) = browser.go(&consent, Some("decision=allow&person=hong&mode=full")).await;
    assert_eq!((back.path(), back.query(), status), (page.path(), None, 200), "{html}");
    let (_, status, hong) = browser.go(&me, None).await;
    assert_eq!(status, 200, "{hong}");
    let hong: Value = serde_json::from_str(&hong).unwrap();
    assert_eq!((&hong["nickname"], &hong["debug"]), (&json!("小红"), &json!(false)), "{hong}");
    assert_eq!(hong["openid"], Person::new("hong", "").openid(SHOP));

    // A business program's menu and code, with the token that the guide gives it.
    let token = between(&guide, "export ZHONGKONG_TOKEN=", "\n");
    let program = client_builder().build().unwrap();
    let at = |path: &str| page.join(&format!("/business/v1/{SHOP}/{path}")).unwrap();
    assert!(guide.contains(at("menu").as_str()), "{guide}");
    let menu = r#"{"button":[{"type":"click","name":"Songs","key":"SONGS"}]}"#;
    let pushed = program.put(at("menu")).bearer_auth(token).body(menu).send().await.unwrap();
    assert_eq!(pushed.status(), 200, "{:?}", pushed.text().await);
    let code = r#"{"scene":"table-7","life":"permanent"}"#;
    let made = program.post(at("qrcodes")).bearer_auth(token).body(code).send().await.unwrap();
    assert_eq!(made.status(), 201, "{:?}", made.text().await);

    demo.signal(Signal::INT);
    assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.stderr());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!demo.stderr().contains("ERROR") && !demo.stderr().contains("WARN"), "{}", demo.stderr());
}

#[tokio::test]
async fn the_demo_takes_free_ports_when_the_documented_ones_are_taken() {
    // Two demos side by side, or one beside an installed daemon. Whoever has the documented
    // ports, the second demo cannot have them too.
    let _guard = Guard::start();
    let dir = tempfile::tempdir().unwrap();
    let start = async || {
        let mut command = in_nothing(&dir);
        command.args(["demo", "--life", "30s"]);
        let demo = Process::spawn(command);
        demo.out_line(0, "shop access_token").await;
        demo
    };
    let demos = [start().await, start().await];
    let [first, second] = demos.each_ref().map(|demo| addresses(&demo.stdout()));
    assert!(first.iter().all(|addr| !second.contains(addr)), "{first:?} {second:?}");
    for mut demo in demos {
        demo.signal(Signal::TERM);
        assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.stderr());
    }
}

#[tokio::test]
async fn the_simulator_runs_on_its_own_and_a_daemon_uses_it_as_its_guide_says() {
    let _guard = Guard::start();
    let dir = tempfile::tempdir().unwrap();
    let mut command = in_nothing(&dir);
    command.args(["simulate", "--listen", "127.0.0.1:0", "--account", &format!("wx1:{SECRET}"), "--json"]);
    let mut simulator = Process::spawn(command);
    let started = simulator.out_line(0, "api_base").await;
    let started: Value = serde_json::from_str(&started).unwrap();
    let site = Site::classic(started["api_base"].as_str().unwrap());
    let daemon = site.start_ready().await;
    assert!(!site.value("wx1").await.is_empty());
    daemon.stop().await;

    let mut command = binary();
    let addr = started["api_base"].as_str().unwrap().trim_start_matches("http://");
    command.args(["simulate", "--listen", addr]);
    ran(command).await.expect(1, &["cannot listen on", addr, "--listen"]);
    simulator.signal(Signal::INT);
    assert_eq!(simulator.ended().await.code(), Some(0), "{}", simulator.stderr());
}
