//! A real nginx before a protected page: it asks the service, as docs/oauth.md tells it to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use zhongkong::seal::Keys;
use zhongkong::services::oauth::account::Account;
use zhongkong::services::oauth::assertion::Assertions;
use zhongkong::services::oauth::identity::{Identity, Live, Parts};
use zhongkong::services::oauth::site::Site;

use crate::oauth_support::{KEYS, Stores, listening};
use crate::support::nginx::Nginx;
use crate::support::simulated::client_builder;

/// The page says who it thinks is there.
async fn page(headers: HeaderMap) -> String {
    let all = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        values.join("+")
    };
    format!("{}|{}|{}", all("x-wechat-appid"), all("x-wechat-openid"), all("x-wechat-unionid"))
}

/// Stands for the login, which tests of its own are about: says where it would return to.
async fn login(headers: HeaderMap) -> String {
    format!("login, then {}", headers["x-return-to"].to_str().unwrap())
}

/// The lines of docs/oauth.md, with the addresses of this test.
fn server(oauth: &str, app: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/oauth.md")).unwrap();
    let (_, rest) = page.split_once("```nginx\n").expect("the page shows nginx's lines");
    let (lines, _) = rest.split_once("```").unwrap();
    lines.replace("http://127.0.0.1:7792", oauth).replace("http://127.0.0.1:8080", app)
}

#[tokio::test]
async fn page_behind_nginx_knows_who_is_there_and_nobody_can_pretend_to_be_another() {
    let stores = Stores::sqlite().await;
    let base = "https://wx.example.com".parse().unwrap();
    let accounts = vec![Account { appid: "wx1".parse().unwrap(), path: "shop".into() }];
    let site = Site::new(base, accounts, Vec::new());
    let assertions = Assertions::new(
        stores.database.clone(),
        Keys::parse(KEYS).unwrap(),
        site.base().clone(),
        Duration::from_secs(60),
        stores.clock.clone(),
    );
    let parts = Parts {
        records: Arc::new(stores.records.clone()),
        users: stores.users.clone(),
        sessions: stores.sessions.clone(),
        assertions,
        clock: stores.clock.clone(),
    };
    let identity = Identity::new(Live { site, events: None }, parts).router();
    let oauth = listening(identity.route("/oauth/shop/login", get(login))).await;
    let app = listening(Router::new().route("/private/page", get(page))).await;
    let (oauth_at, app_at) = (format!("http://{}", oauth.addr), format!("http://{}", app.addr));
    let nginx = Nginx::start(&server(&oauth_at, &app_at));
    let client = client_builder().build().unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = client.get(format!("http://{}/private/page?a=b&c=%2F", nginx.addr));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().text().await.unwrap()
    };

    // Nobody: the login, which returns to just what was asked for.
    let forged = [("x-wechat-appid", "wx1"), ("x-wechat-openid", "victim"), ("x-wechat-unionid", "u")];
    for headers in [&[][..], &forged] {
        let said = ask(headers).await;
        assert!(said.starts_with("login, then ") && said.ends_with("/private/page?a=b&c=%2F"), "{said}");
    }
    let login = stores.login("wx1", "o1").await;
    let id = stores.sessions.log_in(None, login).await.unwrap();
    let cookie = format!("__Host-zk_session={id}");
    assert_eq!(ask(&[("cookie", &cookie)]).await, "wx1|o1|");
    // Somebody who is logged in says to be another: their words are overwritten, also where the
    // service has none of its own.
    let pretending = [&forged[..], &[("cookie", &*cookie)]].concat();
    assert_eq!(ask(&pretending).await, "wx1|o1|");
}
