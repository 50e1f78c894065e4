//! The status page's first paint: what it shows, to whom, in which language, and what it never
//! shows. A frozen clock, real sockets, a real engine.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HOST;
use zhongkong::access::Action;
use zhongkong::admin::{Readiness, Server, Settings};
use zhongkong::clock::WallTime;
use zhongkong::hub::AccountSettings;
use zhongkong::ledger::Event;
use zhongkong::model::{Kind, TokenMode};
use zhongkong::refresh::handle::Force;
use zhongkong::simulator::{Endpoint, Fault};

use super::admin_support::{Desk, for_clients, open_to_all};
use super::grpc_support::{client, client_of_wx1};
use super::support::ailing::{AilingLedger, Ailment};
use super::support::engine::{Engine, Setup, TICK, account, manual_clock, text};
use super::support::frozen::Frozen;

fn named(appid: &str, name: &str) -> AccountSettings {
    AccountSettings {
        name: Some(name.to_owned()),
        tickets: vec![Kind::JsapiTicket],
        ..account(appid, TokenMode::Classic)
    }
}

/// Two accounts with tickets, all fetched.
async fn two_accounts() -> Engine {
    let engine = Engine::start(Setup::new(vec![named("wx1", "shop"), named("wx2", "club")])).await;
    engine.ready().await;
    engine
}

#[tokio::test]
async fn first_paint_has_every_key_with_its_figures_and_no_value() {
    // An administrator opens the page without signing in, on the machine itself.
    let engine = two_accounts().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let page = desk.browser().get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.keys().len(), 4, "{:?}", page.keys());
    assert!(page.body.contains("Every credential is fresh"), "{}", page.body);

    let token = page.key("k-0-wx1");
    let print = engine.print().to_string();
    for words in ["shop", "wx1", "access token", "Fresh", "left", &print, "next attempt", "1<span", "2,000"] {
        assert!(token.contains(words), "{words}: {token}");
    }
    for handle in engine.hub.keys() {
        assert!(!page.body.contains(&text(&handle)), "a value is on the page");
    }
    assert!(!page.body.contains("style="), "the page's policy forbids inline styles");
    assert!(!page.body.contains("<script>"), "and inline scripts");
}

#[tokio::test]
async fn trouble_is_shown_with_what_to_do_in_both_languages() {
    // Somebody took the machine's address off the whitelist.
    let engine = Engine::classic().await;
    engine.always(Endpoint::Token, Fault::errcode(40_164));
    // The address is unknown to WeChat, so every attempt is refused.
    let _ = engine.token().force(Force::Once).await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    let page = browser.get("/").await;
    let key = page.key("k-0-wx1");
    for words in
        ["Needs operator", "40164", "What to do", "127.0.0.1", "IP whitelist", "failures in a row: 1"]
    {
        assert!(key.contains(words), "{words}: {key}");
    }
    assert!(page.body.contains("1 needs an operator"), "{}", page.body);

    let page = browser.get("/?lang=zh").await;
    let key = page.key("k-0-wx1");
    for words in ["需人工处理", "40164", "处理办法", "127.0.0.1", "IP白名单", "连续失败"] {
        assert!(key.contains(words), "{words}: {key}");
    }
    assert!(!key.contains("whitelist"), "{key}");
}

#[tokio::test]
async fn language_is_the_browsers_until_another_is_chosen() {
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let mut browser = desk.browser();
    let page = browser.get_with("/", "accept-language", "zh-CN,zh;q=0.9,en;q=0.5").await;
    assert!(
        page.body.contains("<html lang=\"zh-CN\">") && page.body.contains("全部凭证正常"),
        "{}",
        page.body
    );
    let page = browser.get_with("/?lang=en", "accept-language", "zh-CN").await;
    assert!(page.body.contains("Every credential is fresh"), "{}", page.body);
    // The choice is remembered, for pages without it in their address.
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    browser.cookies.push(cookie);
    let page = browser.get_with("/", "accept-language", "zh-CN").await;
    assert!(page.body.contains("<html lang=\"en\">"), "{}", page.body);
}

#[tokio::test]
async fn text_from_outside_is_shown_as_text_whatever_it_contains() {
    let nasty = "<script>alert(1)</script>\"'&";
    let engine = Engine::start(Setup::new(vec![named("wx1", nasty)])).await;
    engine.ready().await;
    let event = Event {
        at: WallTime(1_760_000_000_000),
        key: None,
        what: "<b>later</b>".to_owned(),
        detail: "<img src=x>".to_owned(),
    };
    engine.ledger.record(&event).await.unwrap();
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    desk.readiness.send_replace(Readiness::NotReady("<i>no</i>".to_owned()));
    let page = desk.browser().get("/?q=%3Cscript%3E").await;
    assert_eq!(page.keys().len(), 2, "the search finds it");
    for raw in ["<script>alert", "<b>later", "<img", "<i>no", "\"<script"] {
        assert!(!page.body.contains(raw), "{raw}: {}", page.body);
    }
    assert!(page.body.contains("&lt;script&gt;alert(1)"), "{}", page.body);
    assert!(page.body.contains("&lt;b&gt;later") && page.body.contains("&lt;i&gt;no"), "{}", page.body);
}

#[tokio::test]
async fn filters_search_and_order_are_the_servers_and_stay_in_the_address() {
    let engine = two_accounts().await;
    // One key is paused, so it comes first, and is a problem.
    let paused = engine.handle("wx2", Kind::JsapiTicket);
    paused.pause(engine.now() + Duration::from_secs(3_600)).await.unwrap();
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    let keys = async |path: &str| browser.get(path).await.keys();
    assert_eq!(keys("/").await[0], "k-1-wx2");
    assert_eq!(keys("/?sort=name").await, ["k-0-wx1", "k-1-wx1", "k-0-wx2", "k-1-wx2"]);
    assert_eq!(keys("/?show=problems").await, ["k-1-wx2"]);
    assert_eq!(keys("/?show=paused").await, ["k-1-wx2"]);
    assert_eq!(keys("/?show=no_value").await, [""; 0]);
    assert_eq!(keys("/?show=fresh&sort=name&kind=access_token").await, ["k-0-wx1", "k-0-wx2"]);
    assert_eq!(keys("/?q=CLUB&sort=name").await, ["k-0-wx2", "k-1-wx2"]);
    assert_eq!(keys("/?q=wx1&kind=jsapi_ticket").await, ["k-1-wx1"]);
    assert_eq!(keys("/?q=nobody").await, [""; 0]);
    // The filters keep the rest of the address.
    let page = browser.get("/?q=club&sort=name&lang=en").await;
    assert!(page.body.contains("show=paused&amp;q=club&amp;sort=name&amp;lang=en"), "{}", page.body);
}

#[tokio::test]
async fn page_for_clients_shows_each_only_what_it_was_granted() {
    let engine = two_accounts().await;
    let clients = [
        client("all", &[Action::Status]),
        client_of_wx1("one", &[Action::Status]),
        client("reader", &[Action::Read]),
        client("admin", &[Action::Admin]),
    ];
    let desk = Desk::start(&engine.hub, for_clients(), &clients).await;
    let page = desk.browser().get("/?show=problems").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location.as_deref(), Some("/signin?back=show%3Dproblems"));
    assert_eq!(desk.browser().get("/events").await.status, StatusCode::FORBIDDEN);

    assert_eq!(desk.signed_in("all").await.get("/").await.keys().len(), 4);
    let page = desk.signed_in("one").await.get("/").await;
    assert_eq!(page.keys().len(), 2, "{:?}", page.keys());
    assert!(!page.body.contains("wx2") && !page.body.contains("club"), "{}", page.body);
    // Its totals do not count what it may not see.
    assert!(page.body.contains("<b>2</b>") && !page.body.contains("<b>4</b>"), "{}", page.body);
    let refused = desk.browser().sign_in("reader").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("action status or admin"), "{}", refused.body);
    // May steer, but not look: is asked for another token, without a loop.
    let page = desk.signed_in("admin").await.get("/").await;
    assert!(page.location.is_some_and(|to| to.starts_with("/signin")));
}

#[tokio::test]
async fn every_answer_forbids_framing_sniffing_storing_and_foreign_sources() {
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    for path in ["/", "/signin", "/nowhere", "/act", "/assets/page.js"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        let kept = path.starts_with("/assets/");
        assert_eq!(answer.header("cache-control") == "no-store", !kept, "{path}");
    }
}

#[tokio::test]
async fn page_asked_for_under_a_strangers_name_is_not_shown() {
    // DNS rebinding: the browser runs evil.example's script, whose name now points here.
    let engine = Engine::classic().await;
    let settings = Settings { hosts: vec!["status.example".to_owned()], ..open_to_all() };
    let desk = Desk::start(&engine.hub, settings, &[]).await;
    let browser = desk.browser();
    for path in ["/", "/events", "/signin"] {
        let answer = browser.get_with(path, HOST.as_str(), "evil.example").await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert!(answer.body.contains("[admin] hosts") && !answer.body.contains("wx1"), "{}", answer.body);
    }
    for host in ["localhost:7781", "status.example", "192.0.2.7"] {
        assert_eq!(browser.get_with("/", HOST.as_str(), host).await.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn servers_and_the_ledgers_events_stand_beside_the_keys() {
    let engine = Engine::classic().await;
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    desk.servers.send_replace(vec![Server {
        name: "cache.example:11211".to_owned(),
        connected: false,
        pending: 3,
        written: 1_200,
        rewrites: 1,
        failures: 4,
        last_success: None,
        error: Some("connection refused".to_owned()),
        error_at: Some(engine.clock.wall()),
    }]);
    let event = Event {
        at: engine.clock.wall(),
        key: Some(engine.token().key().clone()),
        what: "foreign_refresh_suspected".to_owned(),
        detail: "it died early".to_owned(),
    };
    engine.ledger.record(&event).await.unwrap();
    let page = desk.browser().get("/").await;
    for words in ["cache.example:11211", "away", "pending 3", "written 1,200", "connection refused"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    for words in ["foreign refresh suspected", "it died early", "daemon started"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
}

#[tokio::test]
async fn page_is_shown_without_old_events_when_the_ledger_does_not_answer() {
    let frozen = Frozen::start();
    let clock = manual_clock();
    let ledger = AilingLedger::new(clock.clone());
    let setup = Setup::new(vec![account("wx1", TokenMode::Classic)]).ledger(Arc::new(ledger.clone()));
    let engine = Engine::start_with(frozen, clock, setup).await;
    engine.ready().await;
    ledger.set(Ailment::Mute);
    let desk = Desk::start(&engine.hub, open_to_all(), &[]).await;
    let browser = desk.browser();
    let time = async {
        engine.wait("the ledger is asked", |_| ledger.asked() > 0).await;
        engine.advance(Duration::from_millis(400) + TICK).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        page = browser.get("/") => {
            assert!(page.body.contains("The ledger does not answer"), "{}", page.body);
            assert_eq!(page.keys(), ["k-0-wx1"]);
        }
        () = time => {}
    }
}
