//! What pages get at the door of the JS-SDK service, and what strangers do not.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sha1::{Digest as _, Sha1};
use zhongkong::model::Kind;
use zhongkong::services::jssdk::door::Preview;
use zhongkong::services::jssdk::door::Table;

use super::jssdk_support::{Bench, PLENTY, Setup, account, encoded};

const PAGE: &str = "https://h5.example.com/a/%E4%BD%A0?b=1&c=x+y%20z";

#[tokio::test]
async fn page_gets_what_wechat_computes_too_and_all_that_it_gives_to_wx_config() {
    let bench = Bench::start().await;
    let answer = bench.config(PAGE).await;
    bench.is_signed(&answer, PAGE);
    let config = answer.json();
    assert_eq!(config["jsApiList"], json!(["updateAppMessageShareData", "updateTimelineShareData"]));
    assert_eq!(config["openTagList"], json!(["wx-open-launch-weapp"]));
    assert_eq!(config["timestamp"], bench.world.clock.wall().seconds());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // Each time another nonce, so another signature.
    let again = bench.config(PAGE).await;
    bench.is_signed(&again, PAGE);
    assert_ne!(again.json()["nonceStr"], config["nonceStr"]);
    assert_eq!(config["nonceStr"].as_str().unwrap().len(), 32);
    // Cut at its fragment, and otherwise untouched: no slash is added to this one.
    bench.is_signed(&bench.config(&format!("{PAGE}#/route?x=1")).await, PAGE);
    bench.is_signed(
        &bench.config("http://h5.example.com?params=value#x").await,
        "http://h5.example.com?params=value",
    );
    bench.end().await;
}

#[tokio::test]
async fn pages_of_the_seeds_post_their_url_in_base64_however_it_suffers_on_the_way() {
    let bench = Bench::start().await;
    let url = "https://h5.example.com/?a=>>>???~~~&b=~1";
    let text = STANDARD.encode(url);
    assert!(text.contains('+') && text.contains('/') && text.ends_with('='), "{text}");
    let form = "application/x-www-form-urlencoded";
    for body in [
        format!("wechaturl={text}"),
        format!("wechaturl={}", text.replace('+', " ")),
        format!("wechaturl={}", text.trim_end_matches('=')),
        format!("wechaturl={}&x=1", encoded(&text)),
        format!("url={}", text.replace('+', "-").replace('/', "_")),
        format!("url={}", encoded(url)),
    ] {
        bench.is_signed(&bench.post("/jssdk/shop/config", form, &body).await, url);
    }
    let body = json!({ "url": format!("{url}#top") }).to_string();
    bench.is_signed(&bench.post("/jssdk/shop/config", "application/json; charset=utf-8", &body).await, url);
    for (kind, body, reason) in [
        (form, "wechaturl=%%%", "unreadable"),
        (form, "", "no_url"),
        ("application/json", "{", "unreadable"),
        ("application/json", "{\"wechaturl\":\"x\"}", "unreadable"),
        (form, "url=https://h5.example.com/?a=1&b=2", "not_encoded"),
    ] {
        let answer = bench.post("/jssdk/shop/config", kind, body).await;
        assert_eq!((answer.status, &answer.json()["reason"]), (400, &json!(reason)), "{answer:?}");
    }
    let long = format!("url={}", "a".repeat(17 * 1_024));
    let answer = bench.post("/jssdk/shop/config", form, &long).await;
    assert_eq!((answer.status, &answer.json()["reason"]), (413, &json!("too_large")));
    bench.end().await;
}

#[tokio::test]
async fn foreign_hosts_get_no_signature_in_whatever_spelling() {
    let bench = Bench::start().await;
    for (url, status, reason) in [
        ("https://evil.example/", 403, "host"),
        ("https://h5.example.com.evil.example/", 403, "host"),
        ("https://h5.example.com./", 403, "host"),
        ("https://shop.example/", 403, "host"),
        ("https://evil.example/?https://h5.example.com/", 403, "host"),
        ("https://h5.example.com@evil.example/", 403, "userinfo"),
        ("https://h5.example.com:x@evil.example/", 403, "userinfo"),
        ("https://evil.example\\@h5.example.com/", 403, "spelling"),
        ("https://evil.example\\.h5.example.com/", 403, "spelling"),
        ("https:\\\\evil.example/", 403, "spelling"),
        ("https:////evil.example/", 403, "spelling"),
        ("https://evil\t.example/", 403, "spelling"),
        ("https://h5.example.com/\r\n", 403, "spelling"),
        ("https://h5%2Eexample.com/", 403, "spelling"),
        ("https://h5。example.com/", 403, "spelling"),
        ("https://h5.example.com:8443/", 403, "port"),
        ("https://example.com/wx/../admin", 403, "path"),
        ("javascript:alert(1)//h5.example.com/", 403, "scheme"),
        ("weixin://h5.example.com/", 403, "scheme"),
        ("//h5.example.com/", 400, "not_a_url"),
        ("https://h5.example.com%00.evil.example/", 400, "not_a_url"),
        ("", 400, "no_url"),
    ] {
        let answer = bench.config(url).await;
        let told = answer.json();
        assert_eq!((answer.status, told["reason"].as_str()), (status, Some(reason)), "{url}: {answer:?}");
        assert_eq!(told["request"].as_str(), answer.header("x-request-id"), "{answer:?}");
        assert!(told.get("signature").is_none() && !answer.body.contains("nonceStr"), "{answer:?}");
    }
    let said = bench.config("https://evil.example/<script>").await;
    let told = said.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains("evil.example") && told.contains("hosts of its [[jssdk.account]]"), "{told}");
    assert!(!said.body.contains("script") && !said.body.contains("h5.example.com"), "{said:?}");
    // The page has sent its URL as it is, and it ends at its own `&`.
    let cut = bench.get("/jssdk/shop/config?url=https://h5.example.com/?a=1&b=2", "").await;
    assert_eq!(cut.json()["reason"], "not_encoded");
    for target in [
        "/jssdk/nobody/config?url=x",
        "/jssdk/sho%70/config?url=x",
        "/jssdk/nobody/card",
        "/jssdk/nobody/page/x",
    ] {
        assert_eq!(bench.get(target, "").await.status, 404, "{target}");
    }
    bench.end().await;
}

#[tokio::test]
async fn page_of_a_listed_origin_may_read_the_answer_and_no_other() {
    let bench = Bench::start().await;
    let target = format!("/jssdk/shop/config?url={}", encoded(PAGE));
    let from = |origin: &str| format!("origin: {origin}\r\n");
    let listed = bench.get(&target, &from("https://h5.example.com")).await;
    bench.is_signed(&listed, PAGE);
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://h5.example.com"));
    assert_eq!(listed.header("access-control-allow-credentials"), None);
    assert!(listed.header("vary").unwrap().contains("Origin"));
    for origin in [
        "https://evil.example",
        "null",
        "http://h5.example.com",
        "https://h5.example.com:8443",
        "https://H5.example.com",
        "https://h5.example.com.evil.example",
    ] {
        let answer = bench.get(&target, &from(origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert!(answer.header("vary").unwrap().contains("Origin"), "{origin}");
    }
    // A refusal can be read too: it says what to do.
    let refused = bench.get("/jssdk/shop/config?url=x", &from("https://h5.example.com")).await;
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (400, Some("https://h5.example.com"))
    );

    let preflight = |origin: &'static str| {
        let bench = &bench;
        async move {
            bench
                .send(&format!(
                    "OPTIONS /jssdk/shop/config HTTP/1.1\r\nhost: wx.example.com\r\nconnection: close\r\norigin: {origin}\r\n\
                     access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n"
                ))
                .await
        }
    };
    let granted = preflight("https://h5.example.com").await;
    assert_eq!((granted.status, granted.body.as_str()), (204, ""));
    assert_eq!(granted.header("access-control-allow-origin"), Some("https://h5.example.com"));
    assert_eq!(granted.header("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(granted.header("access-control-allow-headers"), Some("content-type"));
    assert_eq!(granted.header("access-control-max-age"), Some("600"));
    let denied = preflight("https://evil.example").await;
    assert_eq!((denied.status, denied.header("access-control-allow-origin")), (403, None));
    assert!(denied.json()["error"].as_str().unwrap().contains("origins of the account's [[jssdk.account]]"));
    bench.end().await;
}

#[tokio::test]
async fn address_that_asks_too_often_is_told_when_to_come_again() {
    let a_minute = NonZeroU32::new(6).unwrap();
    let bench = Bench::with(Setup { a_minute, ..Setup::default() }).await;
    for _ in 0..6 {
        bench.is_signed(&bench.config(PAGE).await, PAGE);
    }
    let refused = bench.config(PAGE).await;
    assert_eq!((refused.status, &refused.json()["reason"]), (429, &json!("too_many")));
    assert_eq!(refused.header("retry-after"), Some("10"));
    // Every address of the service counts, and so does what is refused; another caller is not slowed.
    assert_eq!(bench.get("/jssdk/shop/card?card_id=pCard1", "").await.status, 429);
    let request = format!(
        "GET /jssdk/shop/config?url={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        encoded(PAGE)
    );
    let other = bench.send_from(Ipv4Addr::new(127, 0, 0, 2), &request).await;
    bench.is_signed(&other, PAGE);
    bench.world.frozen.advance(Duration::from_millis(9_999)).await;
    assert_eq!(bench.config(PAGE).await.status, 429);
    bench.world.frozen.advance(Duration::from_millis(1)).await;
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    assert_eq!(bench.config(PAGE).await.status, 429);
    // A proxy that names nobody is told so, and one that names its callers has each counted.
    let proxy = Ipv4Addr::new(127, 0, 0, 9);
    for _ in 0..6 {
        bench.is_signed(&bench.send_from(proxy, &request).await, PAGE);
    }
    let refused = bench.send_from(proxy, &request).await;
    assert!(refused.status == 429 && refused.body.contains("let it set X-Forwarded-For"), "{refused:?}");
    let named = request.replace("host: x\r\n", "host: x\r\nx-forwarded-for: 192.0.2.7\r\n");
    bench.is_signed(&bench.send_from(proxy, &named).await, PAGE);
    // A reload that leaves the limit alone forgives nobody; another limit begins anew.
    bench.door.change(Table::new([account()], None, Preview::OnRequest).unwrap(), a_minute);
    assert_eq!(bench.config(PAGE).await.status, 429);
    bench.door.change(Table::new([account()], None, Preview::OnRequest).unwrap(), PLENTY);
    bench.is_signed(&bench.config(PAGE).await, PAGE);
    bench.end().await;
}

/// As WeChat signs cards: sorted values, joined by nothing.
fn card_signature(values: &[&str]) -> String {
    let mut values = values.to_vec();
    values.sort_unstable();
    hex::encode(Sha1::digest(values.concat()))
}

#[tokio::test]
async fn cards_that_are_listed_are_signed_and_no_others() {
    let bench = Bench::start().await;
    let ticket = bench.ticket(Kind::WxCardTicket);
    let added = bench.get("/jssdk/shop/card?card_id=pCard1&code=c%2B1&openid=o1&outer_str=poster", "").await;
    assert_eq!(added.status, 200, "{added:?}");
    let card = added.json();
    assert_eq!(card["cardId"], "pCard1");
    // A text with JSON in it, as wx.addCard takes it.
    let ext: Json = serde_json::from_str(card["cardExt"].as_str().unwrap()).unwrap();
    let text = |name: &str| ext[name].as_str().unwrap_or_else(|| panic!("{name}: {ext}"));
    assert_eq!((text("code"), text("openid"), text("outer_str")), ("c+1", "o1", "poster"));
    let signed = [ticket.as_str(), text("timestamp"), text("nonce_str"), "pCard1", "c+1", "o1"];
    assert_eq!(text("signature"), card_signature(&signed));
    assert_eq!(added.header("cache-control"), Some("no-store"));

    let chosen = bench.get("/jssdk/shop/choose-card?card_type=GROUPON", "").await.json();
    let text = |name: &str| chosen[name].as_str().unwrap_or_else(|| panic!("{name}: {chosen}"));
    let time = chosen["timestamp"].as_i64().unwrap().to_string();
    assert_eq!(text("cardSign"), card_signature(&[&ticket, "wx1", &time, text("nonceStr"), "GROUPON"]));
    assert_eq!(
        (text("signType"), text("cardType"), text("cardId"), text("shopId")),
        ("SHA1", "GROUPON", "", "")
    );

    let long = format!("/jssdk/shop/card?card_id=pCard1&code={}", "a".repeat(129));
    for (target, status, reason) in [
        ("/jssdk/shop/card?card_id=pCard2", 403, "card"),
        ("/jssdk/shop/choose-card?card_id=pCard2", 403, "card"),
        ("/jssdk/shop/card", 400, "card_parameter"),
        ("/jssdk/shop/card?card_id=pCard1&openId=o1", 400, "card_parameter"),
        ("/jssdk/shop/card?card_id=pCard1&card_id=pCard1", 400, "card_parameter"),
        ("/jssdk/shop/card?card_id=pCard1&code=%00", 400, "card_parameter"),
        (&long, 400, "card_parameter"),
    ] {
        let answer = bench.get(target, "").await;
        assert_eq!(
            (answer.status, answer.json()["reason"].as_str()),
            (status, Some(reason)),
            "{target}: {answer:?}"
        );
    }
    let mut closed = account();
    closed.cards.clear();
    bench.change(vec![closed]);
    let answer = bench.get("/jssdk/shop/card?card_id=pCard1", "").await;
    assert!(answer.status == 403 && answer.body.contains("cards of its [[jssdk.account]]"), "{answer:?}");
    bench.end().await;
}
