//! Runs over a table that are killed, and several at once: no code is made twice, which WeChat counts.

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;
use zhongkong::simulator::{Endpoint, Fault};

use crate::cli_support::{Running, done};
use crate::qrcode_support::{Codes, table};
use crate::support::postgres::Postgres;

/// Runs over one table that are killed, and one that comes to its end.
async fn killed_and_gone_on_with(codes: &Codes) {
    let table = codes.file("tables.csv", &table(12));
    let images = codes.rig.path("images");
    let images = images.to_str().unwrap();
    let bulk = ["bulk", &table, "--permanent", "--images", images];
    // Between the answer and the row, between the row and the call, and in the middle of a call.
    for place in ["qrcode.answered=kill:3", "qrcode.asked=kill:2"] {
        let mut command = codes.rig.command(&codes.words(&bulk));
        command.env("ZHONGKONG_FAILPOINTS", place);
        assert_eq!(done(command).await.code, None, "killed at {place}");
    }
    codes.script(Fault::HoldAnswer);
    let mut running = Running::start(codes.rig.command(&codes.words(&bulk)));
    codes.rig.wechat.control.wait_held(1).await;
    running.child.start_kill().unwrap();
    running.child.wait().await.unwrap();

    let before = codes.made();
    assert!((1..12).contains(&before), "{before} were made before the last run");
    let finished = codes.run(&[&bulk[..], &["--json"]].concat()).await.ok().json();
    assert_eq!((&finished["lines"], &finished["failed"]), (&json!(12), &json!([])));
    assert!(finished["reused"].as_u64().unwrap() > 0, "{finished}");
    assert_eq!(codes.made(), 12, "each once");
    assert_eq!(codes.rig.wechat.control.permanent_codes("wx1").len(), 12);
    let asked = codes.asked();
    assert!(asked <= 12 + 3, "only those whose answer was not written down are asked for again: {asked}");
    let list = codes.list().await;
    assert_eq!((list["codes"].as_array().unwrap().len(), &list["permanent_unsure"]), (12, &json!(0)));
    let pictures: Vec<_> =
        std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(pictures.len(), 12, "{pictures:?}");
    // Once more changes nothing and asks nobody.
    codes.run(&bulk).await.ok();
    assert_eq!(codes.asked(), asked);
}

#[tokio::test]
async fn bulk_run_that_is_killed_at_any_moment_goes_on_and_makes_none_twice_in_sqlite() {
    killed_and_gone_on_with(&Codes::start().await).await;
}

#[tokio::test]
async fn bulk_run_that_is_killed_at_any_moment_goes_on_and_makes_none_twice_in_postgresql() {
    let server = Postgres::start();
    killed_and_gone_on_with(&Codes::in_postgres(&server).await).await;
}

#[tokio::test]
async fn count_is_no_less_than_what_wechat_made_even_if_it_makes_another_code_each_time() {
    // WeChat's pages do not say what asking for a permanent scene again does. Here it makes another.
    let codes = Codes::start().await;
    codes.rig.wechat.control.make_permanent_codes_anew();
    let table = codes.file("tables.csv", &table(6));
    let bulk = ["bulk", &table, "--permanent"];
    for place in ["qrcode.answered=kill:2", "qrcode.answered=kill", "qrcode.asked=kill"] {
        let mut command = codes.rig.command(&codes.words(&bulk));
        command.env("ZHONGKONG_FAILPOINTS", place);
        assert_eq!(done(command).await.code, None, "killed at {place}");
    }
    codes.run(&bulk).await.ok();
    let (made, used) = (codes.made(), codes.list().await["permanent_used"].as_u64().unwrap());
    assert_eq!(made, 8, "two answers were lost, and their scene was asked for again");
    assert!(made <= used, "{made} were made, and {used} are counted");
}

#[tokio::test]
async fn ten_at_once_get_their_codes_in_postgresql() {
    let server = Postgres::start();
    let codes = Codes::in_postgres(&server).await;
    codes.run(&["list"]).await.ok();
    let mut all = JoinSet::new();
    for nth in 0..10 {
        let scene = format!("table-{nth}");
        all.spawn(done(codes.rig.command(&codes.words(&["create", &scene, "--permanent"]))));
    }
    while let Some(one) = all.join_next().await {
        one.unwrap().ok();
    }
    assert_eq!((codes.made(), codes.list().await["permanent_used"].clone()), (10, json!(10)));
}

/// Two processes with the same table. The first waits for WeChat's answer about its first code
/// while the second comes to that line, leaves it for later, and does the others.
async fn at_once(codes: &Codes) {
    // The tables are made before, so that both begin with the codes.
    codes.run(&["list"]).await.ok();
    let file = codes.file("tables.csv", &table(20));
    let words = codes.words(&["bulk", &file, "--permanent", "--json"]);
    codes.script(Fault::HoldAnswer);
    let (first, second) = (running(codes.rig.command(&words)), async {
        codes.rig.wechat.control.wait_held(1).await;
        let second = running(codes.rig.command(&words));
        let release = async {
            // One is held, the others are the second's.
            codes.rig.wechat.control.wait_for(|log| log.count(Endpoint::QrcodeCreate, "wx1") >= 20).await;
            codes.rig.wechat.control.release();
        };
        tokio::join!(second, release).0
    });
    let (first, second) = tokio::join!(first, second);
    let all = |name: &str| first[name].as_u64().unwrap() + second[name].as_u64().unwrap();
    assert_eq!((&first["failed"], &second["failed"]), (&json!([]), &json!([])));
    assert_eq!((all("made"), all("reused")), (20, 20), "{first} {second}");
    assert!(second["made"].as_u64().unwrap() >= 1, "both worked: {first} {second}");
    assert_eq!((codes.asked(), codes.made()), (20, 20), "each was asked for once");
    assert_eq!(codes.list().await["permanent_used"], 20);
}

async fn running(command: Command) -> Value {
    done(command).await.ok().json()
}

#[tokio::test]
async fn two_runs_at_once_ask_for_each_code_once_in_sqlite() {
    at_once(&Codes::start().await).await;
}

#[tokio::test]
async fn two_runs_at_once_ask_for_each_code_once_in_postgresql() {
    let server = Postgres::start();
    at_once(&Codes::in_postgres(&server).await).await;
}
