//! What pages, proxies and back ends are told of who is logged in, over a real socket.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use zhongkong::seal::Keys;
use zhongkong::secret::Secret;
use zhongkong::services::oauth::account::{Account, App, AssertionMode, Scope};
use zhongkong::services::oauth::assertion::{Assertions, Revoke};
use zhongkong::services::oauth::identity::{Identity, Live, Parts};
use zhongkong::services::oauth::sessions::Via;
use zhongkong::services::oauth::site::Site;
use zhongkong::services::oauth::users::{Freshness, Profile, Seen};

use crate::oauth_support::{KEYS, Listening, START, Stores, appid, listening, openid, profile, seen};
use crate::support::simulated::client_builder;

const BASE: &str = "https://wx.example.com";
const H5: &str = "https://h5.example.com";
const EVENTS: &str = "hmac-secret-of-the-message-service";

struct Bench {
    stores: Stores,
    assertions: Assertions,
    at: Listening,
    client: reqwest::Client,
}

fn site() -> Site {
    let account = |appid: &str, path: &str| Account { appid: appid.parse().unwrap(), path: path.into() };
    let h5 = App {
        name: "h5".into(),
        accounts: Some(vec!["shop".into()]),
        origins: vec![H5.parse().unwrap()],
        scope: Scope::UserInfo,
        assertion: AssertionMode::Fragment,
    };
    Site::new(BASE.parse().unwrap(), vec![account("wx1", "shop"), account("wx2", "club")], vec![h5])
}

impl Bench {
    async fn start() -> Self {
        let stores = Stores::sqlite().await;
        let keys = Keys::parse(KEYS).unwrap();
        let life = Duration::from_secs(60);
        let (database, clock) = (stores.database.clone(), stores.clock.clone());
        let assertions = Assertions::new(database, keys, BASE.parse().unwrap(), life, clock.clone());
        let parts = Parts {
            records: Arc::new(stores.records.clone()),
            users: stores.users.clone(),
            sessions: stores.sessions.clone(),
            assertions: assertions.clone(),
            clock,
        };
        let live = Live { site: site(), events: Some(Secret::from(EVENTS)) };
        let at = listening(Identity::new(live, parts).router()).await;
        let client = client_builder().build().unwrap();
        Self { stores, assertions, at, client }
    }

    /// Somebody logs in with `wx1`; their cookie.
    async fn cookie(&self, openid: &str) -> String {
        let told = Seen {
            profile: Some(Profile {
                headimgurl: Some("https://p.example/0".into()),
                ..profile("\u{661f} a")
            }),
            ..seen("wx1", openid, Some("u1"))
        };
        let user = self.stores.users.seen(&told).await.unwrap();
        let id = self.stores.sessions.log_in(None, self.stores.login_of(&user)).await.unwrap();
        format!("__Host-zk_session={id}")
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.get(format!("http://{}{path}", self.at.addr));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = self.client.post(format!("http://{}{path}", self.at.addr)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// What the message service would post now, or so many seconds later.
    async fn event(&self, event: &str, appid: &str, openid: &str, trace: &str, offset: i64) -> u16 {
        let body = event_body(event, appid, openid, trace);
        let timestamp = (self.stores.clock.wall().seconds() + offset).to_string();
        let signature = signature(EVENTS, &timestamp, &body);
        let headers = [("x-zhongkong-timestamp", &*timestamp), ("x-zhongkong-signature", &*signature)];
        self.post("/oauth/events", &headers, &body).await.status().as_u16()
    }
}

fn event_body(event: &str, appid: &str, openid: &str, trace: &str) -> String {
    json!({"account": {"appid": appid, "path": "shop"}, "trace": trace,
        "message": {"type": "event", "event": event, "key": null, "scene": null, "from": "gh_1", "to": "gh_1",
            "created": 1, "id": null, "fields": {"OpenID": openid, "AppID": appid}}})
    .to_string()
}

fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{body}").as_bytes());
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn page_is_told_who_is_logged_in_and_another_origins_page_only_what_is_its_business() {
    let bench = Bench::start().await;
    let nobody = bench.get("/oauth/me", &[]).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    let said: Value = nobody.json().await.unwrap();
    assert_eq!(said["login"], "https://wx.example.com/oauth/shop/login");

    let cookie = bench.cookie("o1").await;
    let me = bench.get("/oauth/me?account=shop", &[("cookie", &cookie)]).await;
    assert_eq!(header(&me, "cache-control"), Some("no-store"));
    let said: Value = me.json().await.unwrap();
    let expected = json!({"appid": "wx1", "account": "shop", "openid": "o1", "unionid": "u1", "nickname": "\u{661f} a",
        "headimgurl": "https://p.example/0", "profile_stale": false, "scope": "snsapi_base",
        "logged_in_at": said["logged_in_at"], "debug": false});
    assert_eq!(said, expected);
    assert!(said["logged_in_at"].as_str().unwrap().starts_with("2027-01-15T08:00:"), "{said}");

    // A page at an origin that an application lists may read it; any other learns nothing.
    let listed = bench.get("/oauth/me", &[("cookie", &cookie), ("origin", H5)]).await;
    assert_eq!(listed.status(), StatusCode::OK);
    assert_eq!(header(&listed, "access-control-allow-origin"), Some(H5));
    assert_eq!(header(&listed, "access-control-allow-credentials"), Some("true"));
    for foreign in
        ["https://evil.example", "https://h5.example.com.evil.example", "null", "http://h5.example.com"]
    {
        let answer = bench.get("/oauth/me", &[("cookie", &cookie), ("origin", foreign)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{foreign}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{foreign}");
        assert!(!answer.text().await.unwrap().contains("o1"), "{foreign}");
    }
    // Its application does not serve the club.
    let club = bench.get("/oauth/me?account=club", &[("cookie", &cookie), ("origin", H5)]).await;
    assert_eq!(club.status(), StatusCode::BAD_REQUEST);
    let own = bench.get("/oauth/me?account=club", &[("cookie", &cookie)]).await;
    assert_eq!(own.status(), StatusCode::UNAUTHORIZED);
    // A cookie that means nothing is nobody's.
    for bad in ["__Host-zk_session=", "__Host-zk_session=garbage", "__Host-zk_session=AAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_eq!(
            bench.get("/oauth/me", &[("cookie", bad)]).await.status(),
            StatusCode::UNAUTHORIZED,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn proxy_is_told_in_headers_and_led_to_the_login_when_nobody_is_there() {
    let bench = Bench::start().await;
    let cookie = bench.cookie("o1").await;
    let passed = bench
        .get("/oauth/auth?assertion=h5", &[("cookie", &cookie), ("origin", "https://any.example")])
        .await;
    assert_eq!(passed.status(), StatusCode::OK);
    for (name, value) in [
        ("x-wechat-appid", Some("wx1")),
        ("x-wechat-openid", Some("o1")),
        ("x-wechat-unionid", Some("u1")),
        ("x-wechat-nickname", Some("%E6%98%9F%20a")),
        ("x-wechat-debug", None),
    ] {
        assert_eq!(header(&passed, name), value, "{name}");
    }
    assert_eq!(header(&passed, "x-wechat-assertion").unwrap().split('.').count(), 3);
    assert_eq!(bench.get("/oauth/auth", &[]).await.status(), StatusCode::UNAUTHORIZED);
    // Caddy says what was asked for, and takes the answer as it is.
    let asked = |host: &'static str, uri: &'static str| {
        [("x-forwarded-proto", "https"), ("x-forwarded-host", host), ("x-forwarded-uri", uri)]
    };
    let own = bench.get("/oauth/auth?login=shop", &asked("wx.example.com", "/a?b=c&d=%2F")).await;
    let login = "https://wx.example.com/oauth/shop/login?return_to=";
    assert_eq!(own.status(), StatusCode::FOUND);
    assert_eq!(header(&own, "location").unwrap(), format!("{login}%2Fa%3Fb%3Dc%26d%3D%252F"));
    let other = bench.get("/oauth/auth?login=shop", &asked("h5.example.com", "/a")).await;
    assert_eq!(header(&other, "location").unwrap(), format!("{login}https%3A%2F%2Fh5.example.com%2Fa"));
    for (host, uri) in [("evil.example", "/a"), ("wx.example.com", "//evil.example"), ("a@b", "/")] {
        let refused = bench.get("/oauth/auth?login=shop", &asked(host, uri)).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{host} {uri}");
    }
    // Somebody made up is marked.
    let user = bench.stores.users.seen(&seen("wx1", "oDEBUG", None)).await.unwrap();
    let login =
        zhongkong::services::oauth::sessions::Login { via: Via::Debug, ..bench.stores.login_of(&user) };
    let id = bench.stores.sessions.log_in(None, login).await.unwrap();
    let cookie = format!("__Host-zk_session={id}");
    let debug = bench.get("/oauth/auth", &[("cookie", &cookie)]).await;
    assert_eq!(header(&debug, "x-wechat-debug"), Some("1"));
}

#[tokio::test]
async fn foreign_page_logs_nobody_out_and_ones_own_takes_the_cookie_away() {
    let bench = Bench::start().await;
    let cookie = bench.cookie("o1").await;
    let there = async || bench.get("/oauth/me", &[("cookie", &cookie)]).await.status() == StatusCode::OK;
    for proof in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[],
    ] {
        let headers = [&[("cookie", &*cookie)], proof].concat();
        assert_eq!(
            bench.post("/oauth/logout", &headers, "").await.status(),
            StatusCode::FORBIDDEN,
            "{proof:?}"
        );
    }
    let own = [("cookie", &*cookie), ("origin", BASE)];
    for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let answer = bench.post("/oauth/logout", &own, &format!("return_to={bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    assert!(there().await, "nothing has ended it so far");
    let other = bench.cookie("o1").await;
    let out = bench.post("/oauth/logout", &own, "return_to=%2Fbye%3Fa%3Db").await;
    assert_eq!((out.status(), header(&out, "location")), (StatusCode::SEE_OTHER, Some("/bye?a=b")));
    let gone = header(&out, "set-cookie").unwrap();
    assert!(
        gone.starts_with("__Host-zk_session=;") && gone.contains("Max-Age=0") && gone.contains("Secure"),
        "{gone}"
    );
    assert!(!there().await);
    assert_eq!(bench.get("/oauth/me", &[("cookie", &other)]).await.status(), StatusCode::OK);
    let third = bench.cookie("o1").await;
    let headers = [("cookie", &*third), ("sec-fetch-site", "same-origin")];
    let everywhere = bench.post("/oauth/logout", &headers, "everywhere=1").await;
    assert_eq!(everywhere.status(), StatusCode::NO_CONTENT);
    assert_eq!(bench.get("/oauth/me", &[("cookie", &other)]).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_withdraws_the_authorization_is_forgotten_and_logged_out() {
    let bench = Bench::start().await;
    let find = async || bench.stores.users.find(&appid("wx1"), &openid("o1")).await.unwrap();
    for (nth, event) in
        ["user_authorization_revoke", "user_authorization_cancellation"].into_iter().enumerate()
    {
        let cookie = bench.cookie("o1").await;
        // What is not about us, or not of an account of ours, is taken and left.
        assert_eq!(bench.event("subscribe", "wx1", "o1", &format!("a{nth}"), 0).await, 204);
        assert_eq!(bench.event(event, "wx9", "o1", &format!("b{nth}"), 0).await, 204);
        assert!(find().await.is_some());
        assert_eq!(bench.event(event, "wx1", "o1", &format!("c{nth}"), 0).await, 204);
        assert!(find().await.is_none(), "{event}");
        assert_eq!(bench.get("/oauth/me", &[("cookie", &cookie)]).await.status(), StatusCode::UNAUTHORIZED);
        // Whoever has overheard it cannot delete them once more after they came back.
        bench.cookie("o1").await;
        assert_eq!(bench.event(event, "wx1", "o1", &format!("c{nth}"), 0).await, 204);
        assert!(find().await.is_some(), "{event}");
    }
    assert_eq!(bench.event("user_info_modified", "wx1", "o1", "d", 0).await, 204);
    assert_eq!(find().await.unwrap().freshness, Freshness::Stale);
}

#[tokio::test]
async fn event_that_is_not_signed_with_the_common_secret_now_is_refused() {
    let bench = Bench::start().await;
    bench.cookie("o1").await;
    for offset in [-301, 301] {
        assert_eq!(bench.event("user_authorization_revoke", "wx1", "o1", "t1", offset).await, 401);
    }
    let body = event_body("user_authorization_revoke", "wx1", "o1", "t2");
    let now = START.seconds().to_string();
    let (right, wrong) = (signature(EVENTS, &now, &body), signature("another", &now, &body));
    for (timestamp, given) in [
        (&*now, &*wrong),
        (&now, ""),
        (&now, "v1="),
        (&now, &right[3..]),
        ("0", &right),
        ("+1800000000", &signature(EVENTS, "+1800000000", &body)),
    ] {
        let headers = [("x-zhongkong-timestamp", timestamp), ("x-zhongkong-signature", given)];
        let status = bench.post("/oauth/events", &headers, &body).await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{timestamp} {given}");
    }
    assert_eq!(bench.post("/oauth/events", &[], &body).await.status(), StatusCode::UNAUTHORIZED);
    assert!(bench.stores.users.find(&appid("wx1"), &openid("o1")).await.unwrap().is_some());
    // Another scheme may stand beside the one that is known.
    let both = format!("v2=abc, {right}");
    let headers = [("x-zhongkong-timestamp", &*now), ("x-zhongkong-signature", &*both)];
    assert_eq!(bench.post("/oauth/events", &headers, &body).await.status(), StatusCode::NO_CONTENT);
}

/// What PyJWT makes of an assertion.
async fn read_by_pyjwt(asked: &[Value]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut peer = Command::new(root.join("target/wechatpy/bin/python"))
        .arg(root.join("tests/peers/jwt_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("run `make needs-wechatpy`");
    let mut stdin = peer.stdin.take().unwrap();
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let mut answers = Vec::new();
    for question in asked {
        stdin.write_all(format!("{question}\n").as_bytes()).await.unwrap();
        let line = lines.next_line().await.unwrap().expect("PyJWT is installed: `make needs-wechatpy`");
        answers.push(serde_json::from_str(&line).unwrap());
    }
    answers
}

#[tokio::test]
async fn assertion_is_genuine_to_another_reader_for_its_audience_and_time_only() {
    let bench = Bench::start().await;
    let cookie = bench.cookie("o1").await;
    let path = "/oauth/assertion?app=h5&account=shop&nonce=n-1";
    assert_eq!(bench.get(path, &[]).await.status(), StatusCode::UNAUTHORIZED);
    let strange = bench.get("/oauth/assertion?app=none", &[("cookie", &cookie)]).await;
    assert_eq!(strange.status(), StatusCode::BAD_REQUEST);
    let made: Value = bench.get(path, &[("cookie", &cookie), ("origin", H5)]).await.json().await.unwrap();
    assert_eq!(made["expires_in"], 60);
    let assertion = made["assertion"].as_str().unwrap();
    let answer = bench.get("/oauth/jwks.json", &[]).await;
    assert_eq!(header(&answer, "cache-control"), Some("public, max-age=300"));
    let jwks: Value = answer.json().await.unwrap();
    let now = bench.stores.clock.wall().seconds();
    let ask = |assertion: &str, jwks: &Value, issuer: &str, audience: &str, now: i64| json!({"assertion": assertion, "jwks": jwks, "issuer": issuer, "audience": audience, "now": now});
    let (head, tail) = assertion.rsplit_once('.').unwrap();
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{head}.{other}{}", &tail[1..]);

    // A new key is published at once and does not sign yet; after a revocation it is the only one.
    bench.assertions.rotate(Revoke::InTime).await.unwrap();
    let both: Value = serde_json::from_str(&bench.assertions.jwks().await.unwrap()).unwrap();
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    bench.assertions.rotate(Revoke::Now).await.unwrap();
    let new: Value = serde_json::from_str(&bench.assertions.jwks().await.unwrap()).unwrap();
    assert_eq!(new["keys"].as_array().unwrap().len(), 1);
    let fresh: Value = bench.get(path, &[("cookie", &cookie)]).await.json().await.unwrap();
    let fresh = fresh["assertion"].as_str().unwrap();

    let said = read_by_pyjwt(&[
        ask(assertion, &jwks, BASE, H5, now),
        ask(assertion, &both, BASE, H5, now),
        ask(fresh, &new, BASE, H5, now),
        ask(assertion, &jwks, BASE, "https://evil.example", now),
        ask(assertion, &jwks, "https://evil.example", H5, now),
        ask(assertion, &jwks, BASE, H5, now + 70),
        ask(&forged, &jwks, BASE, H5, now),
        ask(assertion, &new, BASE, H5, now),
    ])
    .await;
    let claims = &said[0]["claims"];
    for (name, value) in [("sub", "o1"), ("appid", "wx1"), ("unionid", "u1"), ("nonce", "n-1"), ("aud", H5)] {
        assert_eq!(claims[name], value, "{name}: {claims}");
    }
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    assert!(said[1]["claims"].is_object() && said[2]["claims"].is_object(), "{said:?}");
    let errors: Vec<_> = said[3..].iter().map(|said| said["error"].as_str().unwrap()).collect();
    let expected = [
        "InvalidAudienceError",
        "InvalidIssuerError",
        "ExpiredSignatureError",
        "InvalidSignatureError",
        "UnknownKey",
    ];
    assert_eq!(errors, expected);
}
