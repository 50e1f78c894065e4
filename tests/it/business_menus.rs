//! Menus over HTTP: what each operation does at WeChat and in the history, and how it is refused.

use reqwest::Method;
use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Fault, Kind, MenuUser, Script};

use super::business_support::{Bench, MENU};

/// A menu of one button with this key, and a conditional one.
fn menu(key: &str, conditional: Option<&str>) -> String {
    let button = |key: &str| json!([{ "type": "click", "name": "n", "key": key }]);
    let mut menus = json!({ "button": button(key) });
    if let Some(key) = conditional {
        menus["conditional"] = json!([{ "matchrule": { "tag_id": "2" }, "button": button(key) }]);
    }
    menus.to_string()
}

fn live_key(bench: &Bench) -> Value {
    bench.world.sim.control.menus("wx1").default.map_or(Value::Null, |menu| menu["button"][0]["key"].clone())
}

#[tokio::test]
async fn menu_is_pushed_shown_compared_gone_back_to_tried_and_removed() {
    let bench = Bench::start().await;
    let shown = bench.get("/menu").await.of(200);
    assert_eq!((&shown["made_by"], &shown["menus"]["button"]), (&json!("nobody"), &json!([])));
    let differs = bench.post("/menu/diff", MENU).await.of(200);
    assert_eq!((&differs["equal"], &differs["diff"]["parts"][0]["how"]), (&json!(false), &json!("added")));
    assert_eq!(bench.world.sim.control.count(Endpoint::MenuCreate, "wx1"), 0);

    let pushed = bench.put("/menu?who=lin&why=%E6%98%A5%E5%A4%A9+sale", menu("a", Some("vip"))).await.of(200);
    assert_eq!((&pushed["changed"], &pushed["number"]), (&json!(true), &json!(1)), "{pushed}");
    assert_eq!(pushed["done"], json!(["make the default menu", "add conditional[0] (tag_id = 2)"]));
    assert_eq!(pushed["unlike"], json!({ "parts": [] }));
    // The same once more is nothing.
    let again = bench.put("/menu", menu("a", Some("vip"))).await.of(200);
    assert_eq!((&again["changed"], &again["number"]), (&json!(false), &Value::Null));
    let toml = "[[button]]\nname = \"n\"\ntype = \"click\"\nkey = \"b\"\n";
    bench.put("/menu", toml).await.of(200);
    assert_eq!(live_key(&bench), "b");

    let history = bench.get("/menu/history").await.of(200);
    let rows = history["pushes"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{history}");
    let who = rows[1]["who"].as_str().unwrap();
    assert!(who.starts_with("lin (client ") && who.len() == "lin (client )".len() + 16, "{who}");
    assert_eq!((&rows[1]["why"], &rows[0]["current"]), (&json!("春天 sale"), &json!(true)));
    assert!(rows[0]["who"].as_str().unwrap().starts_with("client "));
    assert_eq!(bench.get("/menu/history?limit=1").await.of(200)["pushes"].as_array().unwrap().len(), 1);
    assert_eq!(
        bench.get("/menu/history/1").await.of(200)["menus"]["conditional"][0]["button"][0]["key"],
        "vip"
    );
    for number in ["9", "x", "-1"] {
        bench.get(&format!("/menu/history/{number}")).await.refused(404, "no_push");
    }

    let back = bench.post("/menu/rollback", r#"{"number":1,"why":"back"}"#).await.of(200);
    assert_eq!((&back["number"], live_key(&bench)), (&json!(3), json!("a")));
    bench.post("/menu/rollback", r#"{"number":9}"#).await.refused(404, "no_push");
    bench.world.sim.control.set_menu_user("wx1", "oSomebody", MenuUser::default());
    let tried = bench.post("/menu/try", r#"{"user":"oSomebody"}"#).await.of(200);
    assert_eq!((&tried["is_default"], &tried["menu"]["button"][0]["key"]), (&json!(true), &json!("a")));
    bench.post("/menu/try", r#"{"user":"oNobody"}"#).await.refused(422, "wechat_refused");

    let deleted = bench.ask("web", Method::DELETE, "/menu?why=over", "").await.of(200);
    assert_eq!((&deleted["deleted"], &deleted["number"]), (&json!(true), &json!(4)));
    assert_eq!(live_key(&bench), Value::Null);
    let nothing = bench.ask("web", Method::DELETE, "/menu", "").await.of(200);
    assert_eq!((&nothing["deleted"], &nothing["number"]), (&json!(false), &Value::Null));
    let told = bench.post("/menu/rollback", r#"{"number":4}"#).await.refused(422, "invalid");
    assert!(told["error"].as_str().unwrap().contains("no way back to push 4"), "{told}");
    bench.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_or_cannot_be_is_told_from_each_other_and_calls_nobody() {
    let bench = Bench::start().await;
    let before = bench.world.sim.control.calls().len();
    for (body, status, reason) in [
        (b"{\"button\":[{\"name\":\"\xb2\xcb\"}]}".to_vec(), 400, "not_text"),
        (b"{\"button\":".to_vec(), 400, "not_json"),
        (b"button = [".to_vec(), 400, "not_json"),
        (b"".to_vec(), 422, "invalid"),
        (menu(&"k".repeat(129), None).into_bytes(), 422, "invalid"),
        (vec![b' '; 256 * 1024 + 1], 413, "too_large"),
    ] {
        let told = bench.put("/menu", body.clone()).await.refused(status, reason);
        assert!(!told["error"].as_str().unwrap().is_empty());
        bench.post("/menu/diff", body).await.refused(status, reason);
    }
    let wrong = bench.put("/menu", menu(&"k".repeat(129), None)).await.json();
    assert_eq!(wrong["problems"][0]["place"], "button[0].key", "{wrong}");
    for (body, status, reason) in [
        (&b"{"[..], 400, "not_json"),
        (b"{\"number\":\"1\"}", 422, "invalid"),
        (b"{\"number\":1,\"force\":true}", 422, "invalid"),
        (b"{\"number\":1,\"why\":\"a\\nb\"}", 422, "invalid"),
        (b"\xff", 400, "not_text"),
    ] {
        bench.post("/menu/rollback", body).await.refused(status, reason);
    }
    for query in ["?wy=x", "?why=a&why=b", "?why=a%0Ab", &format!("?who={}", "x".repeat(501))] {
        bench.put(&format!("/menu{query}"), MENU).await.refused(422, "invalid");
    }
    bench.put("/menu?why=%FF", MENU).await.refused(400, "not_text");
    for query in ["?limit=0", "?limit=501", "?limit=x"] {
        bench.get(&format!("/menu/history{query}")).await.refused(422, "invalid");
    }
    let odd = bench.ask("web", Method::PATCH, "/menu", "").await;
    assert_eq!(odd.status, 405);
    assert_eq!(bench.world.sim.control.calls().len(), before);
    bench.end().await;
}

#[tokio::test]
async fn dead_token_is_complained_about_in_the_callers_name_and_the_call_made_once_more() {
    let bench = Bench::start().await;
    bench.world.sim.control.kill("wx1", Kind::Stable);
    bench.put("/menu", MENU).await.of(200);
    bench.world.sim.control.kill("wx1", Kind::Stable);
    // Who may not complain cannot heal it, and is told which right is missing.
    let told = bench.ask("mute", Method::GET, "/menu", "").await.refused(403, "may_not_complain");
    assert!(told["error"].as_str().unwrap().contains("`complain`"), "{told}");
    assert_eq!(told["errcode"], 40001, "{told}");
    bench.get("/menu").await.of(200);
    bench.end().await;
}

#[tokio::test]
async fn refusal_of_wechat_has_its_number_and_a_status_by_what_to_do() {
    let bench = Bench::start().await;
    for (errcode, status, reason) in [
        (45_009, 429, "quota"),
        (45_011, 429, "quota"),
        (-1, 503, "wechat_busy"),
        (48_001, 502, "wechat_refused"),
    ] {
        let script = Script::once(Endpoint::MenuGet, Fault::errcode(errcode));
        bench.world.sim.control.script(script);
        let got = bench.get("/menu").await;
        let told = got.refused(status, reason);
        assert_eq!(told["errcode"], errcode, "{told}");
        assert_eq!(got.header("retry-after").is_some(), status != 502, "{errcode}");
    }
    bench.world.sim.control.script(Script::once(Endpoint::MenuAddConditional, Fault::errcode(65_309)));
    let half = bench.put("/menu", menu("a", Some("vip"))).await.refused(422, "wechat_refused");
    assert_eq!(
        (&half["errcode"], &half["push"]["done"]),
        (&json!(65_309), &json!(["make the default menu"]))
    );
    assert_eq!(half["push"]["still_to_change"]["parts"][0]["how"], "added", "{half}");
    // Idempotent: the same again does what is left.
    let rest = bench.put("/menu", menu("a", Some("vip"))).await.of(200);
    assert_eq!(rest["done"], json!(["add conditional[0] (tag_id = 2)"]));
    bench.world.sim.control.script(Script::once(Endpoint::MenuGet, Fault::AnswerLost));
    bench.get("/menu").await.refused(502, "lost");
    bench.end().await;
}

#[tokio::test]
async fn second_push_is_refused_while_one_is_under_way_and_that_one_outlives_its_caller() {
    let bench = Bench::start().await;
    bench.put("/menu", menu("a", None)).await.of(200);
    bench.world.sim.control.script(Script::once(Endpoint::MenuCreate, Fault::HoldRequest));
    let first = bench.put("/menu", menu("b", None));
    let refused = async {
        bench.world.sim.control.wait_held(1).await;
        let other = bench.put("/menu", menu("c", None)).await;
        other.refused(409, "under_way");
        assert!(other.header("retry-after").is_some());
        bench.ask("web", Method::DELETE, "/menu", "").await.refused(409, "under_way");
        // Looking is no push.
        let rows = bench.get("/menu/history").await.of(200);
        assert_eq!(
            (&rows["pushes"][0]["state"], &rows["pushes"][1]["current"]),
            (&json!("open"), &json!(true))
        );
    };
    // The first one's caller hangs up meanwhile.
    tokio::select! {
        biased;
        () = refused => {}
        got = first => panic!("it was held: {got:?}"),
    }
    bench.world.sim.control.release();
    bench.world.sim.control.wait_for(|log| log.count(Endpoint::MenuCreate, "wx1") >= 2).await;
    loop {
        let rows = bench.get("/menu/history").await.of(200);
        if rows["pushes"][0]["state"] == "done" {
            let current: Vec<&Value> =
                rows["pushes"].as_array().unwrap().iter().filter(|row| row["current"] == true).collect();
            assert_eq!((current.len(), &current[0]["number"]), (1, &json!(2)), "{rows}");
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(live_key(&bench), "b");
    bench.end().await;
}
