//! Who may ask about menus and codes: whom the daemon knows, and for how long after it no longer does.

use std::net::Ipv4Addr;

use reqwest::Method;
use zhongkong::access::Action;
use zhongkong::services::business_api::{OPERATIONS, REMEMBERED};
use zhongkong::simulator::{Endpoint, Fault, Kind, Script};

use super::business_support::{Bench, Got, MENU, clients};
use super::grpc_support::client;

/// A path of the operation with something in place of each parameter.
fn filled(path: &str, account: &str) -> String {
    path.replace("{account}", account).replace("{number}", "1").replace("{scene}", "7")
}

#[tokio::test]
async fn no_operation_is_there_for_strangers_and_they_learn_nothing() {
    let bench = Bench::start().await;
    assert!(OPERATIONS.len() > 10);
    let before = bench.world.sim.control.calls().len();
    for operation in OPERATIONS {
        // wx9 does not exist: a stranger is told the same of both.
        for account in ["wx1", "wx9"] {
            let path = filled(operation.path, account);
            let nothing = bench.send(operation.method.clone(), &path, &[], "").await;
            let told = nothing.refused(401, "no_credentials");
            assert!(told["error"].as_str().unwrap().contains("Bearer TOKEN"), "{told}");
            assert_eq!(nothing.header("www-authenticate"), Some("Bearer"));
            let basic = [("authorization", "Basic d2ViOg==")];
            bench.send(operation.method.clone(), &path, &basic, "").await.refused(401, "no_credentials");
        }
        let path = filled(operation.path, "wx2");
        let bearer = [("authorization", "Bearer shop")];
        bench.send(operation.method.clone(), &path, &bearer, "").await.refused(403, "forbidden");
        // It may sign and see states, but not read the token: then nothing of this.
        let bearer = [("authorization", "Bearer signer")];
        bench.send(operation.method.clone(), &path, &bearer, "").await.refused(403, "forbidden");
    }
    assert_eq!(bench.world.sim.control.calls().len(), before, "WeChat hears of none of them");
    assert!(!bench.dir.path().join("business.db").exists(), "nor does the database");
    bench.end().await;
}

#[tokio::test]
async fn account_outside_the_grants_looks_the_same_whether_it_exists_or_not() {
    let bench = Bench::start().await;
    let ask = async |account: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let path = format!("/business/v1/{account}/menu/history");
        bench.send(Method::GET, &path, &[("authorization", &bearer)], "").await
    };
    let told = |got: Got| {
        let mut document = got.json();
        document["request"].take();
        (got.status, document.to_string())
    };
    let (exists, not) = (told(ask("wx2", "shop").await), told(ask("wx9", "shop").await));
    assert_eq!(exists, not);
    assert_eq!(exists.0, 403);
    // Who may everything is told, as by the daemon, and what cannot be an appid is none.
    ask("wx9", "web").await.refused(404, "no_account");
    ask("wx%209", "web").await.refused(404, "no_account");
    // Also of that a stranger learns nothing, and the daemon says who is one.
    ask("wx%209", "guess").await.refused(401, "unknown_token");
    ask("wx%209", "shop").await.refused(403, "forbidden");
    ask("wx1", "shop").await.of(200);
    bench.end().await;
}

#[tokio::test]
async fn client_that_is_taken_out_is_out_after_the_time_that_is_said_and_at_wechat_at_once() {
    let bench = Bench::start().await;
    bench.ask("shop", Method::GET, "/menu/history", "").await.of(200);
    bench.world.reload(vec![client("web", &[Action::Read, Action::Complain])]);
    // What was decided holds for a moment, but no longer for what needs WeChat.
    bench.ask("shop", Method::GET, "/menu/history", "").await.of(200);
    bench.ask("shop", Method::GET, "/menu", "").await.refused(401, "unknown_token");
    bench.world.frozen.advance(REMEMBERED).await;
    let told = bench.ask("shop", Method::GET, "/menu/history", "").await.refused(401, "unknown_token");
    assert!(told["error"].as_str().unwrap().contains("the daemon does not know this token"), "{told}");
    bench.world.reload(clients());
    bench.ask("shop", Method::GET, "/menu/history", "").await.of(200);
    bench.end().await;
}

#[tokio::test]
async fn address_that_guesses_tokens_is_not_heard_for_a_while_and_its_neighbours_are() {
    let bench = Bench::start().await;
    let (here, there) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    bench.from(here, "web", "/menu/history").await.of(200);
    let mut asked = 0;
    let waits = loop {
        let got = bench.from(here, &format!("guess{asked}"), "/menu").await;
        if got.status == 429 {
            got.refused(429, "too_many");
            break got.header("retry-after").unwrap().parse::<u64>().unwrap();
        }
        got.refused(401, "unknown_token");
        asked += 1;
        assert!(asked < 100, "nobody stops it");
    };
    assert!(asked > 10 && (1..=60).contains(&waits), "{asked} {waits}");
    // A program that is known is served there too, also when what was decided of it is old; one
    // that nobody has seen there must wait.
    bench.from(here, "web", "/menu/history").await.of(200);
    // Whatever account it asks about: the program is known, and not the question.
    let headers = [("authorization", "Bearer web"), ("x-forwarded-for", "192.0.2.1")];
    bench.send(Method::GET, "/business/v1/wx2/menu/history", &headers, "").await.of(200);
    bench.send(Method::GET, "/business/v1/wx9/menu/history", &headers, "").await.refused(404, "no_account");
    bench.from(here, "shop", "/menu/history").await.refused(429, "too_many");
    bench.from(there, "shop", "/menu/history").await.of(200);
    bench.world.frozen.advance_secs(waits).await;
    bench.from(here, "guess", "/menu").await.refused(401, "unknown_token");
    bench.end().await;
}

#[tokio::test]
async fn daemon_that_is_away_is_said_so_with_when_to_come_again() {
    let mut bench = Bench::start().await;
    bench.get("/menu/history").await.of(200);
    bench.world.ended().await;
    // What was decided holds, and what needs no WeChat is served.
    bench.get("/menu/history").await.of(200);
    let away = bench.get("/menu").await;
    away.refused(503, "daemon_away");
    assert_eq!(away.header("retry-after"), Some("5"));
    let away = bench.ask("shop", Method::GET, "/menu/history", "").await;
    away.refused(503, "daemon_away");
    assert_eq!(away.header("retry-after"), Some("5"));
    bench.end().await;
}

#[tokio::test]
async fn nothing_that_is_answered_has_a_token_in_it() {
    let bench = Bench::start().await;
    let control = &bench.world.sim.control;
    let mut said = Vec::new();
    let mut note = |got: Got| {
        said.push(format!("{:?} {}", got.headers, String::from_utf8_lossy(&got.bytes)));
        got.status
    };
    for path in ["/menu", "/menu/history", "/qrcodes"] {
        assert_eq!(note(bench.get(path).await), 200, "{path}");
    }
    for path in ["/qrcodes/7", "/menu/history/x"] {
        assert_eq!(note(bench.get(path).await), 404, "{path}");
    }
    // The errors of the way to WeChat, whose address has the token in it, and what WeChat says itself.
    for fault in [
        Fault::AnswerLost,
        Fault::GarbageJson,
        Fault::HttpStatus(500),
        Fault::errcode(48_001),
        Fault::errcode(45_009),
    ] {
        control.script(Script::once(Endpoint::MenuGet, fault));
        assert!(note(bench.get("/menu").await) >= 400);
    }
    control.script(Script::once(Endpoint::QrcodeCreate, Fault::AnswerLost));
    assert!(note(bench.post("/qrcodes", r#"{"scene":7,"life":"permanent"}"#).await) >= 400);
    control.script(Script::once(Endpoint::MenuCreate, Fault::errcode(40_018)));
    assert!(note(bench.put("/menu", MENU).await) >= 400);
    control.kill("wx1", Kind::Stable);
    assert!(note(bench.ask("mute", Method::GET, "/menu", "").await) >= 400);
    let mut values = control.issued_values();
    values.retain(|value| value.len() > 8);
    assert!(values.len() >= 2 && said.len() >= 13);
    for said in said {
        assert!(values.iter().all(|value| !said.contains(value.as_str())), "{said}");
    }
    bench.end().await;
}
