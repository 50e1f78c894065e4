//! Calls of WeChat's business endpoints with the real daemon's tokens, whoever makes them.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use zhongkong::model::AppId;
use zhongkong::services::wechat_api::{ApiError, Settings, SetupError, WechatApi};
use zhongkong::simulator::{Endpoint, Kind, Outcome};

use super::messages_support::{Came, Says, Standin, api};
use super::support::frozen::Guard;
use super::support::process::{SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

fn wx1() -> AppId {
    "wx1".parse().unwrap()
}

#[tokio::test]
async fn answer_is_handed_on_whole_and_parameters_are_encoded() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let says = r#"{"total":23000,"next_openid":"o2","data":{"openid":["o1"]}}"#;
    let standin = Standin::start([Says::Text(says.to_owned())]).await;
    let api = api(site.connect().await, &standin.base);
    let answer = api.get(&wx1(), "/cgi-bin/user/get", &[("next_openid", "a&b=c 汉")]).await.unwrap();
    assert_eq!(answer, json!({ "total": 23000, "next_openid": "o2", "data": { "openid": ["o1"] } }));
    let token = site.value("wx1").await;
    let query = "next_openid=a%26b%3Dc+%E6%B1%89";
    assert_eq!(
        standin.came(),
        [Came {
            line: format!("GET /cgi-bin/user/get?access_token={token}&{query}"),
            content_type: String::new(),
            body: vec![],
        }]
    );
    daemon.stop().await;
}

#[tokio::test]
async fn many_calls_with_one_dead_token_cost_one_fetch_and_two_requests_each() {
    // Everybody gets 40001 at once. Each complains, the daemon fetches once, each tries once more.
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let api = api(site.connect().await, &wechat.base);
    let fetched = wechat.control.count(Endpoint::Token, "wx1");
    wechat.control.kill("wx1", Kind::Classic);
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let api = api.clone();
        let menu = json!({ "button": [{ "type": "click", "name": "a", "key": format!("k{number}") }] });
        calls.spawn(async move { api.post(&wx1(), "/cgi-bin/menu/create", &menu).await });
    }
    while let Some(answer) = calls.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(wechat.control.count(Endpoint::Token, "wx1"), fetched + 1);
    let calls = wechat.control.calls();
    let made: Vec<_> = calls.iter().filter(|call| call.path == "/cgi-bin/menu/create").collect();
    assert_eq!(made.iter().filter(|call| call.outcome == Outcome::Ok).count(), 20);
    assert!((21..=40).contains(&made.len()), "{} requests", made.len());
    daemon.stop().await;
}

#[tokio::test]
async fn base_or_proxy_that_leads_nowhere_is_refused_before_any_call() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let client = site.connect().await;
    for base in ["ftp://a.example", "data:text/plain,x"] {
        let settings = Settings {
            api_base: base.parse().unwrap(),
            connect_timeout: std::time::Duration::from_secs(3),
            timeout: std::time::Duration::from_secs(10),
            proxy: None,
            daemon: site.addr(),
        };
        let refused = WechatApi::new(client.clone(), settings.clone());
        assert!(matches!(refused, Err(SetupError::ApiBase)), "{base}");
        let api_base = wechat.base.parse().unwrap();
        let settings = Settings { api_base, proxy: Some(base.parse().unwrap()), ..settings };
        let refused = WechatApi::new(client.clone(), settings);
        assert!(matches!(refused, Err(SetupError::Proxy)), "{base}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn client_that_may_not_read_is_told_which_action_it_lacks() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let bearer = "a-token-without-read-AAAAAAAAAAAAAAAAAAAAAA";
    let hash = Sha256::digest(bearer).iter().fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
    site.raw(&format!(
        "[[client]]\nname = \"watcher\"\ntoken_sha256 = \"{hash}\"\naccounts = [\"*\"]\nactions = [\"complain\"]\n"
    ));
    let daemon = site.start_ready().await;
    let error = api(site.connect_as(bearer).await, &wechat.base)
        .post(&wx1(), "/cgi-bin/menu/create", &json!({}))
        .await
        .unwrap_err();
    let ApiError::NoToken { source, .. } = &error else { panic!("{error:?}") };
    assert!(error.to_string().contains("no access token of wx1"), "{error}");
    assert!(source.to_string().contains("read"), "{source}");
    assert!(wechat.control.calls().iter().all(|call| call.path != "/cgi-bin/menu/create"));
    daemon.stop().await;
}
