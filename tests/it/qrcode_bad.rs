//! What is wrong with a code, a table, a file, the database or WeChat is said in a sentence, and costs
//! no code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;
use sqlx::Connection as _;
use zhongkong::simulator::{Endpoint, Fault, Kind};

use crate::cli_support::done;
use crate::qrcode_support::{Codes, read};

#[tokio::test]
async fn each_limit_holds_and_one_over_is_refused_before_wechat_hears_of_it() {
    let codes = Codes::start().await;
    let (longest, longer) = ("汉".repeat(64), "汉".repeat(65));
    for fits in [
        vec!["create", "100000", "--permanent"],
        vec!["create", "4294967295", "--for", "30d"],
        vec!["create", "1", "--for", "1s"],
        vec!["create", &longest, "--permanent"],
    ] {
        codes.run(&fits).await.ok();
    }
    let asked = codes.asked();
    for (over, says) in [
        (vec!["create", "100001", "--permanent"], "from 1 to 100000"),
        (vec!["create", &longer, "--permanent"], "1 to 64 characters: this one has 65"),
        (vec!["create", "1", "--for", "30days 1s"], "from 1 second to 30 days"),
        (vec!["create", "1", "--for", "0s"], "a span of zero is none"),
        (vec!["create", "", "--permanent"], "this one has 0"),
        (vec!["create", "a\u{7}", "--permanent"], "control character"),
    ] {
        let refused = codes.run(&over).await;
        assert!(refused.code == Some(2) && refused.err.contains(says), "{says}: {refused:?}");
    }
    // 4294967296 is no number that WeChat takes, and becomes a text.
    let text = codes.run(&["create", "4294967296", "--for", "1h", "--json"]).await.ok().json();
    assert_eq!(text["kind"], "str");
    let mut latin = codes.rig.command(&codes.words(&["create", "--permanent"]));
    latin.arg(OsStr::from_bytes(b"caf\xe9"));
    let latin = done(latin).await;
    assert!(latin.code == Some(2) && latin.err.contains("UTF-8"), "{latin:?}");
    assert_eq!(codes.asked(), asked + 1);
}

#[tokio::test]
async fn table_may_have_a_bom_and_both_kinds_of_a_scene_and_each_has_its_picture() {
    let codes = Codes::start().await;
    let table = codes.file("t.csv", "\u{feff}scene,kind\n1001,int\n1001,str\n门店/1,\n");
    let images = codes.rig.path("images");
    let bulk = ["bulk", &table, "--permanent", "--images", images.to_str().unwrap()];
    codes.run(&bulk).await.ok();
    assert_eq!(codes.rig.wechat.control.permanent_codes("wx1"), ["int 1001", "str 1001", "str 门店/1"]);
    let url = |name: &str| read(&std::fs::read(images.join(name)).unwrap()).0;
    let (int, text) = (url("1001.png"), url("1001.text.png"));
    assert_ne!(int, text);
    assert_eq!(codes.run(&["show", "1001", "--text", "--json"]).await.ok().json()["url"], text);
    url("门店%2F1.png");

    for (name, bytes, says) in [
        ("gbk", &b"scene\n\xb2\xcb\n"[..], "this is not UTF-8"),
        ("twice", b"scene\na\nb\na\n", "line 4: line 2 has the same code"),
        ("empty", b"", "scene"),
        ("both", b"scene,life\na,permanent\na,1h\n", "lines 2 and 3 have the same scene"),
    ] {
        let path = codes.rig.path(name);
        std::fs::write(&path, bytes).unwrap();
        let args = ["bulk", path.to_str().unwrap(), "--permanent", "--images", images.to_str().unwrap()];
        let wrong = codes.run(&args).await;
        assert!(wrong.code == Some(2) && wrong.err.contains(says), "{says}: {wrong:?}");
    }
    assert_eq!(codes.asked(), 3);
}

#[tokio::test]
async fn hundred_thousandth_code_is_made_and_the_next_one_never_asked_for() {
    let codes = Codes::start().await;
    codes.run(&["list"]).await.ok();
    codes
        .sql(
            "INSERT INTO qr_codes (appid, life, scene_kind, scene, state, asks, ticket, url, note, made, ends, owner)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 98999)
             SELECT 'wx1', 'permanent', 'str', 'shop ' || i, 'kept', 1, 't', 'u', '', 1, NULL, '' FROM n",
        )
        .await;
    codes.run(&["create", "the last free one", "--permanent"]).await.ok();
    let reserve = codes.run(&["create", "one more", "--permanent"]).await;
    assert!(reserve.code == Some(1) && reserve.err.contains("99000 of the account's 100000"), "{reserve:?}");
    codes.sql("UPDATE qr_codes SET asks = 1000 WHERE scene = 'shop 1'").await;
    codes.run(&["create", "number 100000", "--permanent", "--use-reserve"]).await.ok();
    let over = codes.run(&["create", "number 100001", "--permanent", "--use-reserve"]).await;
    assert!(over.code == Some(1) && over.err.contains("100000 of the account's 100000"), "{over:?}");
    assert!(over.err.contains("use a temporary one"), "{over:?}");
    assert_eq!(codes.asked(), 2);
    let list = codes.run(&["list", "--limit", "1"]).await.ok().out;
    assert!(list.contains("100000 of 100000 permanent codes are used"), "{list}");
}

#[tokio::test]
async fn expired_code_is_not_shown_and_is_made_anew_with_a_new_picture() {
    let codes = Codes::start().await;
    let table = codes.file("t.csv", "scene\nposter\n");
    let images = codes.rig.path("images");
    let bulk = ["bulk", &table, "--for", "1d", "--images", images.to_str().unwrap()];
    codes.run(&bulk).await.ok();
    let before = std::fs::read(images.join("poster.png")).unwrap();
    codes.sql("UPDATE qr_codes SET made = made - 86400001, ends = ends - 86400001").await;
    let gone = codes.run(&["show", "poster"]).await;
    assert!(
        gone.code == Some(2) && gone.err.contains("no code of the scene \"poster\" that works"),
        "{gone:?}"
    );
    assert_eq!(codes.list().await["codes"], json!([]));
    let all = codes.run(&["list", "--all", "--json"]).await.ok().json();
    assert_eq!(all["codes"][0]["works"], false);
    let again = codes.run(&[&bulk[..], &["--json"]].concat()).await.ok().json();
    assert_eq!(again["made"], 1);
    let after = std::fs::read(images.join("poster.png")).unwrap();
    let url = codes.run(&["show", "poster", "--json"]).await.ok().json()["url"].clone();
    assert_eq!((read(&after).0 == url, before == after), (true, false));
}

#[tokio::test]
async fn place_for_pictures_that_is_none_is_told_before_anything_is_made() {
    let codes = Codes::start().await;
    let table = codes.file("t.csv", "scene\na\n");
    let file = codes.file("a-file", "");
    let images = async |place: &str| codes.run(&["bulk", &table, "--permanent", "--images", place]).await;
    let refused = images(&file).await;
    assert!(refused.code == Some(2) && refused.err.contains("a-file"), "{refused:?}");
    assert_eq!(codes.asked(), 0);
    // Something is in the way of one picture: its code is made, kept, and not asked for again.
    let place = codes.rig.path("images");
    std::fs::create_dir_all(place.join("a.png")).unwrap();
    let refused = images(place.to_str().unwrap()).await;
    assert!(refused.code == Some(2) && refused.err.contains("the codes themselves are kept"), "{refused:?}");
    std::fs::remove_dir(place.join("a.png")).unwrap();
    images(place.to_str().unwrap()).await.ok();
    assert_eq!(codes.asked(), 1);
}

#[tokio::test]
async fn database_that_is_locked_or_full_keeps_wechat_from_being_asked() {
    let codes = Codes::start().await;
    codes.run(&["list"]).await.ok();
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", codes.rig.path("business.db").display());
    let mut holder = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let locked = codes.run(&["create", "a", "--permanent"]).await;
    assert!(locked.code == Some(1) && locked.err.contains("locked by another program"), "{locked:?}");
    holder.close().await.unwrap();

    // A disk of some pages, in a namespace of its own so that it goes with the command.
    let disk = codes.rig.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let config = std::fs::read_to_string(&codes.config).unwrap();
    std::fs::write(&codes.config, config.replace("\"business.db\"", "\"disk/business.db\"")).unwrap();
    let script =
        "mount -t tmpfs -o size=16k none \"$0\" && head -c 12288 /dev/zero >\"$0/full\"; exec \"$@\"";
    let own = codes.rig.command(&codes.words(&["create", "a", "--permanent"]));
    let mut unshare = tokio::process::Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&disk);
    unshare.arg(own.as_std().get_program()).args(own.as_std().get_args());
    unshare.env("ZHONGKONG_ADDR", codes.rig.addr()).env("ZHONGKONG_TOKEN", crate::cli_support::OPERATOR);
    let full = done(unshare).await;
    assert!(full.code == Some(1) && full.err.contains("disk is full"), "{full:?}");
    assert_eq!(codes.asked(), 0);
}

#[tokio::test]
async fn dead_token_is_complained_about_once_and_the_code_is_made_all_the_same() {
    let codes = Codes::start().await;
    let fetched = codes.rig.wechat.control.count(Endpoint::StableToken, "wx1");
    codes.rig.wechat.control.kill("wx1", Kind::Stable);
    codes.run(&["create", "a", "--permanent"]).await.ok();
    assert!(codes.rig.wechat.control.count(Endpoint::StableToken, "wx1") > fetched);
    assert_eq!((codes.asked(), codes.made()), (2, 1), "once refused, once made");
    assert_eq!(codes.list().await["permanent_used"], 1);
}

#[tokio::test]
async fn refusals_are_sentences_and_give_the_code_back() {
    let codes = Codes::start().await;
    for (errcode, says) in [
        (45_009, "midnight in Beijing"),
        (45_011, "the next minute brings new ones"),
        (40_052, "does not know this kind of QR code"),
        (40_053, "does not make such a QR code"),
        (48_001, "may not use this API"),
        (-1, "errcode -1"),
    ] {
        codes.script(Fault::errcode(errcode));
        let refused = codes.run(&["create", "a", "--permanent"]).await;
        assert!(refused.code == Some(1) && refused.err.contains(says), "{errcode}: {refused:?}");
        let list = codes.list().await;
        assert_eq!((&list["permanent_used"], &list["unanswered"]), (&json!(0), &json!([])), "{errcode}");
    }
    // An answer that says nothing may have made it: it counts, and is told by its scene.
    codes.script(Fault::EmptyBody);
    assert_eq!(codes.run(&["create", "a", "--permanent"]).await.code, Some(1));
    let list = codes.run(&["list"]).await.ok().out;
    assert!(list.contains("1 of 100000") && list.contains("No answer: scene a (str), asked for"), "{list}");
    codes.run(&["create", "a", "--permanent"]).await.ok();
    assert_eq!((codes.made(), codes.list().await["unanswered"].clone()), (1, json!([])));
}

#[tokio::test]
async fn refusal_of_one_code_does_not_stop_a_table_and_a_spent_minute_is_waited_for() {
    let codes = Codes::start().await;
    codes.run(&["create", "a", "--permanent"]).await.ok();
    let table = codes.file("t.csv", "scene\na\nb\nc\n");
    codes.script(Fault::errcode(40_053));
    let bulk = codes.run(&["bulk", &table, "--permanent", "--json"]).await;
    let document = bulk.json();
    assert_eq!(bulk.code, Some(1), "{bulk:?}");
    assert_eq!((&document["made"], &document["reused"]), (&json!(1), &json!(1)), "{document}");
    assert_eq!((&document["failed"][0]["line"], &document["failed"][0]["scene"]), (&json!(3), &json!("b")));

    codes.script(Fault::errcode(45_011));
    let waited = codes.run(&["bulk", &table, "--permanent", "--pause", "1s"]).await;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    assert!(waited.err.contains("calls of this minute are used up: going on in 1s"), "{waited:?}");
    assert!(waited.out.starts_with("1 made, 2 were there, of 3."), "{waited:?}");

    // What is refused again and again is no matter of single codes.
    let many = codes.file("many.csv", &crate::qrcode_support::table(30));
    for _ in 0..30 {
        codes.script(Fault::errcode(40_053));
    }
    let asked = codes.asked();
    let stopped = codes.run(&["bulk", &many, "--permanent"]).await;
    assert!(stopped.code == Some(1) && stopped.err.contains("0 of 30 are there"), "{stopped:?}");
    assert_eq!(codes.asked(), asked + 11);
}

#[tokio::test]
async fn table_that_cannot_go_on_at_the_limit_says_how_many_of_the_used_codes_are_not_sure() {
    let codes = Codes::start_with("permanent_codes = 1\npermanent_reserve = 0").await;
    codes.script(Fault::AnswerLost);
    assert_eq!(codes.run(&["create", "a", "--permanent"]).await.code, Some(1));
    let table = codes.file("t.csv", "scene\na\n");
    let refused = codes.run(&["bulk", &table, "--permanent"]).await;
    assert!(
        refused.code == Some(2)
            && refused.err.contains("1 of 1 are used, 1 of them perhaps not, because their answer was lost"),
        "{refused:?}"
    );
}
