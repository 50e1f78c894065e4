//! `zhongkong jssdk check`, the real binary, with the real daemon: each usual mistake is made on
//! purpose and must be named.

use zhongkong::jsapi;
use zhongkong::model::{Key, Kind};
use zhongkong::secret::Secret;
use zhongkong::simulator::{Accounts, Settings};

use super::support::frozen::Guard;
use super::support::process::{Ran, Site, TOKEN};
use super::support::simulated::Simulated;

const URL: &str = "https://h5.example.com/a/%E4%BD%A0?b=1+2&from=singlemessage#/route";
const NONCE: &str = "Wm3WZYTPz0wzccnW";

struct Bench {
    site: Site,
    wechat: Simulated,
    daemon: super::support::process::Process,
    ticket: Secret,
}

impl Bench {
    async fn start() -> Self {
        let wechat = Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await;
        let mut site = Site::new(&wechat.base);
        for appid in ["wx1", "wx2"] {
            site.account(appid, "token_mode = \"stable\"\ntickets = [\"jsapi_ticket\"]");
        }
        site.file("bearer.token", TOKEN);
        let daemon = site.addr();
        site.section("jssdk", &format!("daemon = \"{daemon}\"\ntoken_file = \"bearer.token\"\n"));
        site.raw(
            "[[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"h5.example.com\"]\n\
             [[jssdk.account]]\nappid = \"wx2\"\npath = \"club\"\nhosts = [\"club.example.com\"]\n",
        );
        let daemon = site.start_ready().await;
        let key = Key::new("wx1".parse().unwrap(), Kind::JsapiTicket);
        let client = site.connect_as(TOKEN).await;
        let ticket = client.get(&key, std::time::Duration::from_secs(30)).await.unwrap().value.unwrap();
        Self { site, wechat, daemon, ticket }
    }

    /// `jssdk check` with these arguments; nothing of WeChat's is ever shown.
    async fn check(&self, args: &[&str]) -> Ran {
        let mut all = vec!["jssdk", "check"];
        all.extend(args);
        let ran = self.site.run(&all).await;
        for value in self.wechat.control.issued_values().iter().filter(|value| value.len() > 8) {
            assert!(!ran.stdout.contains(value.as_str()) && !ran.stderr.contains(value.as_str()), "{ran:?}");
        }
        ran
    }
}

#[tokio::test]
async fn mistake_that_made_the_signature_invalid_is_named() {
    let _guard = Guard::start();
    let bench = Bench::start().await;
    let cut = URL.split('#').next().unwrap();
    let sign = |url: &str| jsapi::digest(&bench.ticket, NONCE, &"1414587457", url);
    for (signed, code, verdict, finding) in [
        (cut.to_owned(), 0, "right", None),
        (URL.to_owned(), 1, "explained", Some("with_fragment")),
        (cut.replace("%E4%BD%A0", "你"), 1, "explained", Some("decoded")),
        (cut.replace('&', "&amp;"), 1, "explained", Some("html_escaped")),
        (cut.replace("https", "http"), 1, "explained", Some("other_scheme")),
        (cut.split('?').next().unwrap().to_owned(), 1, "explained", Some("without_query")),
        (cut.replace("&from=singlemessage", ""), 1, "explained", Some("without_added")),
        (cut.replace('+', " "), 1, "explained", Some("blanks")),
        ("https://h5.example.com/landing".to_owned(), 1, "explained", Some("landing")),
        ("https://elsewhere.example/".to_owned(), 1, "unexplained", None),
    ] {
        let signature = sign(&signed);
        let args = [
            URL,
            "--signature",
            &signature,
            "--timestamp",
            "1414587457",
            "--nonce",
            NONCE,
            "--landing",
            "https://h5.example.com/landing",
            "--json",
        ];
        let ran = bench.check(&args).await;
        assert_eq!(ran.code, Some(code), "{signed}: {ran:?}");
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(document["verdict"], verdict, "{signed}: {document}");
        assert_eq!(document["findings"][0]["name"].as_str(), finding, "{signed}: {document}");
        assert_eq!((document["appid"].as_str(), document["signed"].as_str()), (Some("wx1"), Some(cut)));
        assert_eq!(document["host"]["listed"], true);
    }
    // The other account's ticket, and a time in milliseconds; in words.
    let client = bench.site.connect_as(TOKEN).await;
    let key = Key::new("wx2".parse().unwrap(), Kind::JsapiTicket);
    let other = client.get(&key, std::time::Duration::from_secs(30)).await.unwrap().value.unwrap();
    let foreign = jsapi::digest(&other, NONCE, &"1414587457", cut);
    let ran =
        bench.check(&[URL, "--signature", &foreign, "--timestamp", "1414587457", "--nonce", NONCE]).await;
    assert!(ran.code == Some(1) && ran.stdout.contains("signed with the jsapi_ticket of wx2"), "{ran:?}");
    let right = sign(cut);
    let ran =
        bench.check(&[URL, "--signature", &right, "--timestamp", "1414587457000", "--nonce", NONCE]).await;
    assert!(ran.stdout.contains("the time that was signed is 1414587457:"), "{ran:?}");
    bench.daemon.stop().await;
}

#[tokio::test]
async fn url_alone_is_judged_by_the_hosts_and_by_what_it_shows() {
    let _guard = Guard::start();
    let bench = Bench::start().await;
    let ran = bench.check(&[URL]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for words in
        ["nothing was compared", "among the account's hosts", "the URL has a #", "shared links", "--landing"]
    {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let ran = bench.check(&["https://evil.example/", "--account", "shop"]).await;
    assert!(ran.code == Some(1) && ran.stdout.contains("evil.example is none of"), "{ran:?}");
    // Whose page it is, is told by its host, or must be said.
    let ran = bench.check(&["https://club.example.com/", "--json"]).await;
    assert_eq!(ran.document()["appid"], "wx2");
    let ran = bench.check(&["https://evil.example/"]).await;
    assert!(
        ran.code == Some(2)
            && ran.stderr.contains("--account PATH|APPID")
            && ran.stderr.contains("shop, club"),
        "{ran:?}"
    );
    let ran = bench.check(&[URL, "--account", "nobody"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = bench.check(&[URL, "--signature", "x"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // A service that does not run.
    let ran = bench.check(&[URL, "--service", "http://127.0.0.1:1"]).await;
    assert!(ran.code == Some(2) && ran.stderr.contains("cannot be reached"), "{ran:?}");
    bench.daemon.stop().await;
}
