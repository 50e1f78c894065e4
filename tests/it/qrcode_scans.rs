//! Scans that the message service tells: counted once each, by code, and shown.

use serde_json::json;
use tokio::task::JoinSet;
use zhongkong::client::{Client, Credentials};
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::services::business::SCHEMA;
use zhongkong::services::database::{Database, Place};
use zhongkong::services::qrcode::{Code, Codes, Life, Limits, Scan, Scans, Scene, Told};

use crate::messages_support::api;
use crate::qrcode_support;
use crate::support::postgres::Postgres;

/// 2026-11-21, in seconds.
const NOW: i64 = 1_795_219_200;
const WEEK: i64 = 7 * 24 * 3600;

fn codes(place: &Place, clock: &Clock) -> Codes {
    let credentials = Credentials { token: None, ca: None, identity: None, server_name: None };
    let client = Client::lazy("http://127.0.0.1:1", credentials).unwrap();
    let database = Database::new(place, &SCHEMA).unwrap();
    let limits = Limits { permanent: 100_000, reserve: 1_000 };
    let api = api(client, "http://127.0.0.1:1");
    Codes::new(api, "wx1".parse().unwrap(), database, clock.clone(), limits)
}

fn clock(seconds: i64) -> Clock {
    Clock::manual(WallTime(seconds * 1_000), BootTime(0), "boot")
}

fn scan(event: &str, scene: &str, user: &str, at: i64) -> Scan {
    Scan::of(event, Some(scene), user, at, None, Some("no-ticket")).unwrap()
}

/// A code by which scans are asked for.
fn code(scene: Scene, life: Life) -> Code {
    let (ticket, url, note) = (String::new(), String::new(), String::new());
    Code { scene, life, ticket, url, note, made: WallTime(0), ends: None }
}

fn seconds(scans: Scans) -> (u64, u64, i64, i64) {
    let Scans { count, follows, first, last } = scans;
    (count, follows, first.unwrap().seconds(), last.unwrap().seconds())
}

/// In whichever database: told twice, late, by several at once, and a week later.
async fn story(place: &Place) {
    let clock = clock(NOW);
    let own = codes(place, &clock);
    for (event, user, at, told) in [
        ("SCAN", "o1", NOW - 10, Told::Counted),
        ("SCAN", "o1", NOW - 10, Told::Before),
        ("subscribe", "o2", NOW - 30, Told::Counted),
        ("scan", "o2", NOW - 5, Told::Counted),
        ("SCAN", "o2", NOW - 5, Told::Before),
        ("SCAN", "o3", NOW - WEEK - 1, Told::TooLate),
    ] {
        assert_eq!(own.scanned(&scan(event, "7", user, at)).await.unwrap(), told, "{event} {user} {at}");
    }
    // WeChat tells several instances at once; each of them the same scans.
    let mut instances = JoinSet::new();
    for instance in 0..4 {
        let codes = codes(place, &clock);
        instances.spawn(async move {
            let mut counted = 0;
            for nth in 0..25 {
                // In another order in each.
                let nth = (nth * 7 + instance * 5) % 25;
                let scan = scan("SCAN", "busy", &format!("o{nth}"), NOW - nth);
                counted += u64::from(codes.scanned(&scan).await.unwrap() == Told::Counted);
            }
            counted
        });
    }
    assert_eq!(instances.join_all().await.iter().sum::<u64>(), 25);
    let strays = own.scans().await.unwrap().strays(10);
    let told: Vec<_> = strays.iter().map(|it| (it.scene.as_str(), seconds(it.scans))).collect();
    assert_eq!(told, [("7", (3, 1, NOW - 30, NOW - 5)), ("busy", (25, 0, NOW - 24, NOW))]);

    // Eight days later the old ones are added up, and count as before, with the new ones.
    let later = self::clock(NOW + 8 * 24 * 3600);
    let own = codes(place, &later);
    let new = scan("SCAN", "7", "o1", NOW + WEEK);
    assert_eq!(own.scanned(&new).await.unwrap(), Told::Counted);
    let strays = own.scans().await.unwrap().strays(10);
    let told: Vec<_> = strays.iter().map(|it| (it.scene.as_str(), seconds(it.scans))).collect();
    assert_eq!(told, [("7", (4, 1, NOW - 30, NOW + WEEK)), ("busy", (25, 0, NOW - 24, NOW))]);
    // What was added up is not counted again.
    assert_eq!(own.scanned(&scan("SCAN", "7", "o1", NOW - 10)).await.unwrap(), Told::TooLate);
}

#[tokio::test]
async fn scans_are_counted_once_each_in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("business.db");
    story(&Place::Sqlite(file.clone())).await;
    let all = ["", "-wal"].map(|end| std::fs::read(format!("{}{end}", file.display())).unwrap_or_default());
    let kept = |text: &[u8]| all.concat().windows(text.len()).any(|bytes| bytes == text);
    assert!(kept(b"busy") && !kept(b"o24"), "the scene is there, and nobody's openid");
}

#[tokio::test]
async fn scans_are_counted_once_each_in_postgresql() {
    let server = Postgres::start();
    story(&Place::Postgres(server.database("business").into())).await;
}

#[tokio::test]
async fn scan_belongs_to_the_code_of_its_ticket_and_the_list_shows_it() {
    let rig = qrcode_support::Codes::start().await;
    let number = rig.run(&["create", "1001", "--permanent", "--json"]).await.ok().json();
    let text = rig.run(&["create", "1001", "--text", "--permanent", "--json"]).await.ok().json();
    rig.run(&["create", "table-7", "--permanent"]).await.ok();
    let now = Clock::system().wall().seconds();
    let own = codes(&Place::Sqlite(rig.rig.path("business.db")), &Clock::system());
    let tell = async |event: &str, scene: &str, user: &str, ticket: Option<&str>| {
        let scan = Scan::of(event, Some(scene), user, now - 60, None, ticket).unwrap();
        assert_eq!(own.scanned(&scan).await.unwrap(), Told::Counted);
    };
    tell("SCAN", "1001", "o1", number["ticket"].as_str()).await;
    tell("SCAN", "1001", "o2", number["ticket"].as_str()).await;
    tell("subscribe", "1001", "o3", text["ticket"].as_str()).await;
    // Without a ticket: one scene has one code, the other has two.
    tell("SCAN", "table-7", "o4", None).await;
    tell("SCAN", "1001", "o5", Some("another")).await;
    tell("SCAN", "elsewhere", "o6", None).await;
    let of = own.scans().await.unwrap();
    let count = |scene: Scene| of.of(&code(scene, Life::Permanent)).count;
    assert_eq!(count(Scene::Number(1001)), 2);
    assert_eq!(count(Scene::Text("1001".to_owned())), 1);
    let list = rig.list().await;
    let told = list["codes"].as_array().unwrap();
    let row = |kind: &str| told.iter().find(|code| code["scene"] == "1001" && code["kind"] == kind).unwrap();
    assert_eq!((&row("int")["scans"], &row("int")["follows"]), (&json!(2), &json!(0)));
    assert_eq!((&row("str")["scans"], &row("str")["follows"]), (&json!(1), &json!(1)));
    assert!(row("str")["first_scan"].is_string() && row("str")["last_scan"] == row("str")["first_scan"]);
    let others = list["other_scans"].as_array().unwrap();
    let others: Vec<_> = others.iter().map(|it| (it["scene"].as_str().unwrap(), &it["scans"])).collect();
    assert_eq!(others, [("1001", &json!(1)), ("elsewhere", &json!(1))]);
    let shown = rig.run(&["list"]).await.ok().out;
    assert!(shown.contains("Of a code that is not kept here: scene elsewhere, scanned 1 time"), "{shown}");
    let shown = rig.run(&["show", "table-7"]).await.ok().out;
    assert!(shown.contains("scanned 1 time, 0 of them to follow, the last one 1 min"), "{shown}");
}
