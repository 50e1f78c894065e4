//! Pages of templates over HTTP: the address that is signed, what a stranger's link can do to one,
//! and who sees a preview.

use std::fs;

use tempfile::TempDir;
use zhongkong::services::jssdk::door::{Preview, Table};
use zhongkong::services::jssdk::pages::{Looked, Pages, Watcher};

use super::jssdk_support::{Answer, Bench, PLENTY, Setup, account};

const INDEX: &str =
    "<title>{{ query.t }}</title>{{ wechat() }}{{ share(title=\"T\", desc=query.d) }}<p>{{ url }}</p>";

struct Site {
    bench: Bench,
    pages: Pages,
    watcher: Watcher,
    directory: TempDir,
}

impl Site {
    async fn start(files: &[(&str, &str)], preview: Preview) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let (pages, watcher) = Pages::open(directory.path()).unwrap();
        let bench = Bench::with(Setup { pages: Some(pages.clone()), preview, ..Setup::default() }).await;
        Self { bench, pages, watcher, directory }
    }

    /// As a browser that is at this host, with further header lines.
    async fn get(&self, host: &str, target: &str, headers: &str) -> Answer {
        self.bench
            .send(&format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"))
            .await
    }
}

/// What wx.config is called with.
fn config(answer: &Answer) -> serde_json::Value {
    let (_, rest) = answer.body.split_once("wx.config(").unwrap_or_else(|| panic!("{answer:?}"));
    serde_json::from_str(rest.split_once(");</script>").unwrap().0).unwrap()
}

#[tokio::test]
async fn page_signs_the_very_address_that_its_browser_shows() {
    let site = Site::start(&[("index.html", INDEX)], Preview::OnRequest).await;
    for target in [
        "/jssdk/shop/page/index",
        "/jssdk/shop/page/index?t=1&d=a+b%20c&from=singlemessage&isappinstalled=0",
        "/jssdk/shop/page/index?x=%e4%BD%a0&y='|{}^`\\&&=",
        "/jssdk/shop/page/index?",
    ] {
        let answer = site.get("h5.example.com", target, "").await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let url = format!("http://h5.example.com{target}");
        let config = config(&answer);
        let signature = zhongkong::jsapi::sign(
            &site.bench.ticket(zhongkong::model::Kind::JsapiTicket).as_str().into(),
            config["nonceStr"].as_str().unwrap(),
            config["timestamp"].as_i64().unwrap(),
            &url,
        );
        assert_eq!(config["signature"], signature, "{target}");
    }
    // Another host than the account's: a page that says so, and no signature.
    let foreign = site.get("evil.example", "/jssdk/shop/page/index", "accept-language: en\r\n").await;
    assert_eq!(foreign.status, 403);
    assert!(
        foreign.body.contains("evil.example is none of the account") && !foreign.body.contains("wx.config"),
        "{foreign:?}"
    );
    assert!(foreign.header("content-security-policy").unwrap().contains("default-src 'none'"));
    for host in
        ["h5.example.com@evil.example", "h5.example.com:8443", "h5.example.com.", "", "h5.example.com/x"]
    {
        let answer = site.get(host, "/jssdk/shop/page/index", "").await;
        assert!(answer.status >= 400 && !answer.body.contains("wx.config"), "{host}: {answer:?}");
    }
    site.bench.end().await;
}

#[tokio::test]
async fn page_behind_a_proxy_of_ours_is_signed_by_the_scheme_and_host_that_it_names() {
    let site = Site::start(&[("index.html", INDEX)], Preview::OnRequest).await;
    let target = "/jssdk/shop/page/index?a=1";
    let request = |headers: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: h5.example.com\r\nconnection: close\r\n{headers}\r\n")
    };
    let proxy = std::net::Ipv4Addr::new(127, 0, 0, 9);
    let named = request("x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\n");
    let answer = site.bench.send_from(proxy, &named).await;
    assert!(answer.body.contains("<p>https:&#x2f;&#x2f;h5.example.com&#x2f;"), "{answer:?}");
    let other = request("x-forwarded-proto: https\r\nx-forwarded-host: a.shop.example\r\n");
    let answer = site.bench.send_from(proxy, &other).await;
    assert!(answer.body.contains("<p>https:&#x2f;&#x2f;a.shop.example&#x2f;"), "{answer:?}");
    // A stranger's word is not taken, and a proxy that says nothing makes no wrong signature.
    let answer = site.bench.send(&named).await;
    assert!(answer.body.contains("<p>http:&#x2f;&#x2f;h5.example.com&#x2f;"), "{answer:?}");
    let answer = site.bench.send_from(proxy, &request("accept-language: en\r\n")).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains("X-Forwarded-Proto") && !answer.body.contains("wx.config"), "{answer:?}");
    // Nobody sees a preview through it, whatever it is called there.
    let local = format!(
        "GET {target}&preview HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx-forwarded-proto: http\r\n\r\n"
    );
    assert!(!site.bench.send_from(proxy, &local).await.body.contains("zhongkong-preview"));
    site.bench.end().await;
}

#[tokio::test]
async fn link_of_a_stranger_puts_nothing_into_a_page_but_text() {
    let site = Site::start(&[("index.html", INDEX)], Preview::OnRequest).await;
    let evil = "%3C/title%3E%3Cscript%3Ealert(1)%3C/script%3E%22%27%E2%80%A8{{7*7}}";
    let target = format!("/jssdk/shop/page/index?t={evil}&d={evil}&%3Cscript%3E=1&'{{}}`\\//");
    for (host, more) in [("h5.example.com", ""), ("127.0.0.1", "&preview")] {
        let answer = site.get(host, &format!("{target}{more}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains("<script>alert"), "{answer:?}");
        assert!(answer.body.contains("{{7*7}}"), "a value is no template: {answer:?}");
        let (opened, closed) =
            (answer.body.matches("<script").count(), answer.body.matches("</script").count());
        assert_eq!((opened, closed), (3, 3), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    site.bench.end().await;
}

#[tokio::test]
async fn page_that_is_not_there_and_one_that_fails_say_so_in_the_readers_language() {
    let site = Site::start(
        &[("index.html", "x"), ("_part.html", "p"), ("bad.html", "1\n{{ query.x + 1 }}")],
        Preview::OnRequest,
    )
    .await;
    for target in ["nobody", "_part", "index.html", "INDEX", "..%2findex", "%69ndex", ""] {
        let answer = site
            .get("h5.example.com", &format!("/jssdk/shop/page/{target}"), "accept-language: en-US\r\n")
            .await;
        assert_eq!(answer.status, 404, "{target}: {answer:?}");
        if !target.is_empty() {
            assert!(answer.body.contains("There is no such page"), "{target}: {answer:?}");
        }
    }
    let chinese =
        site.get("h5.example.com", "/jssdk/shop/page/nobody", "accept-language: zh-CN,zh\r\n").await;
    assert!(chinese.body.contains("页面不存在") && chinese.body.contains("lang=\"zh-CN\""), "{chinese:?}");

    let failed = site.get("h5.example.com", "/jssdk/shop/page/bad?x=5ecret", "accept-language: en\r\n").await;
    assert_eq!(failed.status, 500);
    assert!(failed.body.contains("cannot be shown") && !failed.body.contains("bad.html"), "{failed:?}");
    // Its developer gets the line and the reason, as text.
    let shown = site.get("127.0.0.1", "/jssdk/shop/page/bad?x=%3Cb%3E&preview", "").await;
    assert!(shown.status == 500 && shown.body.contains("bad.html:2"), "{shown:?}");
    assert!(!shown.body.contains("<b>"), "{shown:?}");
    site.bench.end().await;
}

#[tokio::test]
async fn preview_needs_neither_wechat_nor_a_ticket_and_is_shown_on_this_machine_only() {
    let mut site = Site::start(&[("index.html", INDEX)], Preview::OnRequest).await;
    let target = "/jssdk/shop/page/index?preview&t=1";
    for host in ["127.0.0.1", "localhost:7790", "[::1]:80", "LOCALHOST"] {
        let answer = site.get(host, target, "").await;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
        assert!(
            answer.body.contains("zhongkong-preview") && !answer.body.contains("res.wx.qq.com"),
            "{answer:?}"
        );
        assert_eq!(config(&answer)["signature"], "0".repeat(40));
        assert!(answer.body.contains("This address would not be signed: "), "{answer:?}");
    }
    // From elsewhere, by a name of a stranger's that leads here, or through a proxy: no preview.
    for (host, headers) in [
        ("evil.example", ""),
        ("127.0.0.1.evil.example", ""),
        ("127.0.0.1", "x-forwarded-for: 192.0.2.1\r\n"),
        ("127.0.0.1", "forwarded: for=192.0.2.1\r\n"),
        ("127.0.0.1", "via: 1.1 proxy\r\n"),
    ] {
        let answer = site.get(host, target, headers).await;
        assert_eq!(answer.status, 403, "{host} {headers}: {answer:?}");
        assert!(!answer.body.contains("zhongkong-preview"), "{answer:?}");
    }
    // A live page of the listed host is live although it is asked for from here.
    assert!(!site.get("h5.example.com", target, "").await.body.contains("zhongkong-preview"));

    // Where the service says so every page is one, and a dead ticket is no trouble.
    site.bench
        .door
        .change(Table::new([account()], Some(site.pages.clone()), Preview::Always).unwrap(), PLENTY);
    site.bench.daemon_ends().await;
    site.bench.world.frozen.advance_secs(8_000).await;
    let answer = site.get("h5.example.com", "/jssdk/shop/page/index", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.body.contains("http://h5.example.com/jssdk/shop/page/index would be signed."),
        "{answer:?}"
    );
    site.bench
        .door
        .change(Table::new([account()], Some(site.pages.clone()), Preview::OnRequest).unwrap(), PLENTY);
    let without = site.get("h5.example.com", "/jssdk/shop/page/index", "accept-language: en\r\n").await;
    assert_eq!((without.status, without.header("retry-after")), (503, Some("5")), "{without:?}");
    assert!(without.body.contains("not available now"), "{without:?}");
    site.bench.end().await;
}

#[tokio::test]
async fn changed_page_is_shown_after_two_looks_and_a_bad_one_never() {
    let mut site = Site::start(&[("index.html", "one {{ account }}")], Preview::OnRequest).await;
    let text = |answer: Answer| answer.body;
    let target = "/jssdk/shop/page/index";
    assert_eq!(text(site.get("h5.example.com", target, "").await), "one shop");
    let path = site.directory.path().join("index.html");
    fs::write(&path, "two, and longer").unwrap();
    assert!(matches!(site.watcher.look().await, Looked::Unsettled));
    assert_eq!(text(site.get("h5.example.com", target, "").await), "one shop");
    assert!(matches!(site.watcher.look().await, Looked::Taken(1)));
    assert_eq!(text(site.get("h5.example.com", target, "").await), "two, and longer");
    fs::write(&path, "{% if").unwrap();
    assert!(matches!(site.watcher.look().await, Looked::Unsettled));
    let Looked::Refused(error) = site.watcher.look().await else { panic!("it is bad") };
    assert!(error.to_string().contains("index.html:1: "), "{error}");
    assert_eq!(text(site.get("h5.example.com", target, "").await), "two, and longer");
    site.bench.end().await;
}
