//! `POST /business/events`: scans that the message service forwards are counted once each, and what is
//! not genuine is not taken.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use super::business_support::{Bench, EVENTS, Got};

/// What the message service sends of an event, as docs/forward.md says.
fn event(name: &str, scene: Option<&str>, from: &str, created: i64) -> Value {
    json!({
        "account": { "appid": "wx1", "path": "shop" },
        "trace": "01JD3V6T8QZ",
        "message": {
            "type": "event", "event": name, "key": scene, "scene": scene, "from": from, "to": "gh_1",
            "created": created, "id": null, "fields": { "FromUserName": from, "EventKey": scene },
        },
    })
}

async fn tell(bench: &Bench, secret: &str, at: i64, body: &str) -> Got {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
    let at = at.to_string();
    let headers = [("x-zhongkong-timestamp", at.as_str()), ("x-zhongkong-signature", signature.as_str())];
    bench.send(Method::POST, "/business/events", &headers, body).await
}

#[tokio::test]
async fn scan_is_counted_once_however_often_it_is_told() {
    let bench = Bench::start().await;
    let now = bench.world.clock.wall().seconds();
    bench.post("/qrcodes", r#"{"scene":"door","life":"permanent"}"#).await.of(201);
    for told in [
        event("SCAN", Some("door"), "oA", now),
        event("SCAN", Some("door"), "oA", now),
        event("subscribe", Some("door"), "oB", now),
        event("SCAN", Some("elsewhere"), "oA", now),
        // A plain follow, a tap and a text are no scans.
        event("subscribe", None, "oC", now),
        event("CLICK", None, "oC", now),
        json!({ "account": { "appid": "wx1", "path": "shop" }, "trace": "t",
            "message": { "type": "text", "event": null, "key": null, "scene": null, "from": "oA", "to": "gh_1",
                "created": now, "id": "7", "fields": { "Content": "hello" } } }),
    ] {
        assert_eq!(tell(&bench, EVENTS, now, &told.to_string()).await.status, 204, "{told}");
    }
    let code = bench.get("/qrcodes/door").await.of(200);
    assert_eq!((&code["scans"], &code["follows"]), (&json!(2), &json!(1)), "{code}");
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!(list["codes"][0]["scans"], 2, "{list}");
    assert_eq!(list["other_scans"][0]["scene"], "elsewhere", "{list}");
    bench.end().await;
}

#[tokio::test]
async fn what_is_not_signed_is_old_or_is_no_event_counts_nothing() {
    let bench = Bench::start().await;
    let now = bench.world.clock.wall().seconds();
    let body = event("SCAN", Some("door"), "oA", now).to_string();
    let nothing = bench.send(Method::POST, "/business/events", &[], body.clone()).await;
    assert_eq!(nothing.status, 401, "{nothing:?}");
    for (secret, at, body, status) in [
        ("another secret", now, body.as_str(), 401),
        (EVENTS, now - 301, &body, 401),
        (EVENTS, now + 301, &body, 401),
        (EVENTS, now, "{", 400),
        (EVENTS, now, "{}", 400),
        (EVENTS, now, &"x".repeat(256 * 1024 + 1), 413),
    ] {
        let got = tell(&bench, secret, at, body).await;
        assert_eq!(got.status, status, "{got:?}");
        assert!(!String::from_utf8_lossy(&got.bytes).contains(EVENTS));
    }
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!(list["other_scans"], json!([]));
    // Without a secret there is nobody to tell it.
    bench.api.change(zhongkong::services::business_api::Live {
        codes: super::business_support::CODES,
        events: None,
    });
    assert_eq!(tell(&bench, EVENTS, now, &body).await.status, 404);
    assert_eq!(bench.send(Method::GET, "/business/events", &[], "").await.status, 405);
    bench.end().await;
}
