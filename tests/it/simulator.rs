//! The simulator issues, overlaps, counts and refuses as WeChat's pages say.

use std::time::Duration;

use serde_json::json;
use zhongkong::simulator::{Account, Accounts, Endpoint, IpList, Limits, Settings, fingerprint};

use crate::support::frozen::{Frozen, Guard};
use crate::support::simulated::{Simulated, classic_path, client_builder, errcode, listed, number, text};

// ---- classic tokens ----

#[tokio::test]
async fn classic_fetch_leaves_the_token_before_it_five_minutes() {
    // Each fetch brings a new token; during the overlap both work.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let first = wechat.classic("wx1").await;
    assert_eq!(number(&first, "expires_in"), 7200);
    assert!(first.get("errcode").is_none(), "success has no errcode");
    clock.advance_secs(1000).await;
    let second = wechat.classic("wx1").await;
    let (first, second) = (text(&first, "access_token"), text(&second, "access_token"));
    assert_ne!(first, second);
    clock.advance(Duration::from_millis(299_999)).await;
    assert_eq!(wechat.probe(first).await, 0);
    clock.advance(Duration::from_millis(1)).await;
    assert_eq!(wechat.probe(first).await, 40001);
    assert_eq!(wechat.probe(second).await, 0);
}

#[tokio::test]
async fn third_last_classic_token_is_dead_at_once() {
    // Two fetches inside one overlap: only the last two values are good.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let answer = wechat.classic("wx1").await;
        tokens.push(text(&answer, "access_token").to_owned());
    }
    let [first, second, third] = tokens.as_slice() else { panic!("three fetches, three tokens") };
    assert_eq!(wechat.probe(first).await, 40001);
    assert_eq!(wechat.probe(second).await, 0);
    assert_eq!(wechat.probe(third).await, 0);
}

#[tokio::test]
async fn token_past_its_life_is_refused_as_expired() {
    // 42001 and 40001 are told apart: expired is not the same as replaced.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let answer = wechat.classic("wx1").await;
    let token = text(&answer, "access_token");
    clock.advance(Duration::from_millis(7_199_999)).await;
    assert_eq!(wechat.probe(token).await, 0);
    assert!(wechat.control.alive(token));
    clock.advance(Duration::from_millis(1)).await;
    assert_eq!(wechat.probe(token).await, 42001);
    assert!(!wechat.control.alive(token));
}

#[tokio::test]
async fn overlap_does_not_prolong_a_token_past_its_own_end() {
    // A refresh ten seconds before the end leaves ten seconds, not five minutes.
    let clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let answer = wechat.classic("wx1").await;
    let token = text(&answer, "access_token");
    clock.advance_secs(7190).await;
    wechat.classic("wx1").await;
    clock.advance_secs(10).await;
    assert_eq!(wechat.probe(token).await, 42001);
}

#[tokio::test]
async fn classic_quota_is_spent_after_its_number_and_comes_back_the_next_day() {
    // 45009 until midnight, or until an operator clears the quota.
    let clock = Frozen::start();
    let mut settings = listed();
    settings.limits = Limits { classic_daily: 3, ..Limits::default() };
    let wechat = Simulated::start(settings).await;
    let mut token = String::new();
    for _ in 0..3 {
        let answer = wechat.classic("wx1").await;
        token = text(&answer, "access_token").to_owned();
    }
    let refused = wechat.classic("wx1").await;
    assert_eq!(errcode(&refused), 45009);
    assert_eq!(wechat.probe(&token).await, 0, "a refusal kills nothing");
    assert_eq!(errcode(&wechat.classic("wx2").await), 0);

    clock.advance_secs(86_399).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), 45009);
    clock.advance_secs(1).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
}

#[tokio::test]
async fn cleared_quota_allows_calls_again_ten_times_a_month() {
    // Both forms of clear_quota share one allowance.
    let _clock = Frozen::start();
    let mut settings = listed();
    settings.limits.classic_daily = 1;
    let wechat = Simulated::start(settings).await;
    let answer = wechat.classic("wx1").await;
    let token = text(&answer, "access_token");
    let v1 = format!("/cgi-bin/clear_quota?access_token={token}");
    let v2 = "/cgi-bin/clear_quota/v2?appid=wx1&appsecret=s";
    assert_eq!(errcode(&wechat.post(&v1, &json!({ "appid": "wx2" })).await), 40013);
    assert_eq!(errcode(&wechat.classic("wx1").await), 45009);
    assert_eq!(errcode(&wechat.post(&v1, &json!({ "appid": "wx1" })).await), 0);
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
    for _ in 0..9 {
        assert_eq!(errcode(&wechat.post(v2, &json!({})).await), 0);
    }
    assert_eq!(errcode(&wechat.post(v2, &json!({})).await), 48006);
}

#[tokio::test]
async fn quota_api_tells_what_was_used() {
    // The figures that an operator compares with the daemon's own counting.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let answer = wechat.classic("wx1").await;
    let path = format!("/cgi-bin/openapi/quota/get?access_token={}", text(&answer, "access_token"));
    let quota = wechat.post(&path, &json!({ "cgi_path": "/cgi-bin/token" })).await;
    assert_eq!(quota.get("quota"), Some(&json!({ "daily_limit": 2000, "used": 1, "remain": 1999 })));
    for (cgi_path, code) in [("token", 76003), ("/cgi-bin/nothing", 76021), ("/sns/auth", 76022)] {
        let refused = wechat.post(&path, &json!({ "cgi_path": cgi_path })).await;
        assert_eq!(errcode(&refused), code, "{cgi_path}");
    }
}

// ---- refusals ----

#[tokio::test]
async fn token_endpoint_refuses_each_wrong_parameter_by_its_number() {
    // One wrong thing at a time, with a request id at the end of the message.
    let wechat = Simulated::start(listed()).await;
    let cases = [
        ("grant_type=x&appid=wx1&secret=s", 40002),
        ("grant_type=client_credential&secret=s", 41002),
        ("grant_type=client_credential&appid=wx1", 41004),
        ("grant_type=client_credential&appid=wx9&secret=s", 40013),
        ("grant_type=client_credential&appid=wx1&secret=t", 40125),
    ];
    for (query, code) in cases {
        let refused = wechat.get(&format!("/cgi-bin/token?{query}")).await;
        assert_eq!(errcode(&refused), code, "{query}");
        let (_, rid) = text(&refused, "errmsg").split_once(" rid: ").unwrap();
        let parts: Vec<usize> = rid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 8, 8], "{rid}");
    }
    assert_eq!(wechat.control.issued_all(Endpoint::Token), 0);
}

#[tokio::test]
async fn stable_endpoint_refuses_get_and_bodies_that_are_not_json() {
    // 43002 is what a program gets that took the classic call's shape along.
    let wechat = Simulated::start(listed()).await;
    let query = "/cgi-bin/stable_token?grant_type=client_credential&appid=wx1&secret=s";
    assert_eq!(errcode(&wechat.get(query).await), 43002);
    let form = wechat.client().post(wechat.url("/cgi-bin/stable_token")).body("appid=wx1");
    let answer: serde_json::Value =
        serde_json::from_str(&form.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(errcode(&answer), 47001);
}

#[tokio::test]
async fn call_from_outside_the_ip_list_is_told_the_address_that_was_seen() {
    // 40164 carries what the operator has to add to the list.
    let wechat = Simulated::start(listed()).await;
    let elsewhere = IpList::Only(vec!["10.0.0.1".parse().unwrap()]);
    wechat.control.set_ip_allowed("wx1", elsewhere);
    let refused = wechat.classic("wx1").await;
    assert_eq!(errcode(&refused), 40164);
    let message = text(&refused, "errmsg");
    let wanted = "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: ";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(errcode(&wechat.stable("wx1").await), 40164);

    let here = IpList::Only(vec!["127.0.0.1".parse().unwrap()]);
    wechat.control.set_ip_allowed("wx1", here);
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
}

#[tokio::test]
async fn frozen_or_reset_secret_is_refused_until_it_is_right_again() {
    // What an admin does in the console while we run.
    let wechat = Simulated::start(Settings::default()).await;
    assert_eq!(errcode(&wechat.classic("wx1").await), 0);
    wechat.control.freeze_secret("wx1");
    assert_eq!(errcode(&wechat.classic("wx1").await), 40243);
    wechat.control.unfreeze_secret("wx1");
    wechat.control.set_secret("wx1", "other");
    assert_eq!(errcode(&wechat.stable("wx1").await), 40125);
    wechat.control.set_secret("wx1", "s");
    assert_eq!(errcode(&wechat.stable("wx1").await), 0);
}

#[tokio::test]
async fn business_call_is_judged_by_its_token_alone() {
    // Any API: missing, foreign and good tokens.
    let wechat = Simulated::start(listed()).await;
    let answer = wechat.stable("wx1").await;
    let token = text(&answer, "access_token");
    let path = "/cgi-bin/user/get?access_token=";
    assert_eq!(errcode(&wechat.get("/cgi-bin/user/get").await), 41001);
    let refused = wechat.get(&format!("{path}nonsense")).await;
    assert_eq!(errcode(&refused), 40001);
    let message = text(&refused, "errmsg");
    assert!(message.starts_with("invalid credential, access_token is invalid or not latest"));
    assert_eq!(errcode(&wechat.get(&format!("{path}{token}")).await), 0);

    let last = wechat.control.calls().pop().unwrap();
    assert_eq!((last.endpoint, last.appid.as_str()), (Endpoint::Business, "wx1"));
    assert_eq!(last.path, "/cgi-bin/user/get");
    assert_eq!(last.token_fingerprint, Some(fingerprint(token)));
}

// ---- short lives, the log, scale ----

#[tokio::test]
async fn short_life_scales_the_overlap_and_stays_in_whole_seconds() {
    // A demo's tokens live for a minute; a normal stable call rolls at 40 s.
    let clock = Frozen::start();
    let wechat = Simulated::start(Settings::with_life(Duration::from_mins(1))).await;
    let first = wechat.stable("wx1").await;
    assert_eq!(number(&first, "expires_in"), 60);
    clock.advance(Duration::from_millis(39_500)).await;
    let same = wechat.stable("wx1").await;
    assert_eq!(number(&same, "expires_in"), 20);
    clock.advance(Duration::from_millis(500)).await;
    let second = wechat.stable("wx1").await;
    assert_ne!(text(&second, "access_token"), text(&first, "access_token"));
}

#[tokio::test]
async fn tokens_have_the_length_asked_for() {
    // Storage has to bear 512 characters.
    for len in [136, 512] {
        let settings = Settings { token_len: len, ..Settings::default() };
        let wechat = Simulated::start(settings).await;
        let answer = wechat.classic("wx1").await;
        assert_eq!(text(&answer, "access_token").len(), len);
    }
}

#[tokio::test]
async fn log_names_values_by_fingerprint_and_never_shows_a_secret() {
    // What people and programs read of it over HTTP.
    let clock = Frozen::start();
    let settings = Settings {
        accounts: Accounts::Listed(vec![Account::new("wx1", "verysecret")]),
        ..Settings::default()
    };
    let wechat = Simulated::start(settings).await;
    let path = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=verysecret";
    clock.advance(Duration::from_millis(1500)).await;
    let token = wechat.get(path).await;
    let token = text(&token, "access_token");
    wechat.ticket(token, "jsapi").await;
    wechat.get(path).await;

    let log = wechat.get("/_sim/log?since=1&appid=wx1").await;
    let state = wechat.get("/_sim/state").await;
    assert_eq!(log["calls"].as_array().map(Vec::len), Some(2));
    assert_eq!(log["last_seq"], 3);
    assert_eq!(log["calls"][0]["at_ms"], 1500);
    assert_eq!(log["calls"][0]["endpoint"], "ticket");
    assert_eq!(log["calls"][0]["outcome"], "issued");
    assert_eq!(log["calls"][0]["token_fingerprint"], fingerprint(token));
    assert_eq!(state["accounts"]["wx1"]["jsapi_ticket"]["standing"], "alive");

    let shown = format!("{log}{state}{:?}{:?}", wechat.control.calls(), wechat.simulator);
    let secrets = wechat.control.issued_values();
    assert_eq!(secrets.len(), 4, "two tokens, a ticket, an AppSecret");
    let debug_of_settings = format!("{:?}", Account::new("wx1", "verysecret"));
    for secret in secrets {
        assert!(!log.to_string().contains(&secret));
        assert!(!shown.contains(&secret), "shown: {secret}");
        assert!(!debug_of_settings.contains(&secret));
    }
}

#[tokio::test]
async fn waiting_for_the_log_ends_with_the_call_that_was_waited_for() {
    // Tests wait for events, never for time.
    let _clock = Frozen::start();
    let wechat = Simulated::start(listed()).await;
    let seen = wechat.control.wait_for(|log| log.count(Endpoint::Token, "wx1") == 2);
    let calls = async {
        wechat.classic("wx1").await;
        wechat.classic("wx2").await;
        wechat.classic("wx1").await;
    };
    tokio::join!(seen, calls);
    assert_eq!(wechat.control.count_all(Endpoint::Token), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_of_ten_thousand_accounts_are_answered() {
    // Issuing calls come on fresh connections; none may be left behind.
    let _guard = Guard::start();
    let wechat = Simulated::start(Settings::default()).await;
    let client = client_builder().pool_max_idle_per_host(0).build().unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for part in 0..20 {
        let client = client.clone();
        let base = wechat.base.clone();
        clients.spawn(async move {
            for n in 0..500 {
                let url = format!("{base}{}", classic_path(&format!("wx{part}_{n}")));
                let answer = client.get(url).send().await.unwrap().text().await.unwrap();
                assert!(answer.contains("access_token"), "{answer}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(wechat.control.issued_all(Endpoint::Token), 10_000);
    wechat.stop().await;
}
