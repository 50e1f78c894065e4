//! `zhongkong qrcode` against a daemon and a simulated WeChat: codes are made once, kept, counted,
//! drawn.

use serde_json::{Value, json};
use zhongkong::simulator::Fault;

use crate::qrcode_support::{Codes, read, table};

#[tokio::test]
async fn permanent_code_is_asked_for_once_and_handed_out_ever_after() {
    let codes = Codes::start().await;
    let first = codes.run(&["create", "7", "--permanent", "--note", "door", "--json"]).await.ok().json();
    assert_eq!(
        (&first["reused"], &first["kind"], &first["ends"]),
        (&json!(false), &json!("int"), &Value::Null)
    );
    let again = codes.run(&["create", "7", "--permanent", "--json"]).await.ok().json();
    assert_eq!(
        (&again["reused"], &again["url"], &again["note"]),
        (&json!(true), &first["url"], &json!("door"))
    );
    assert_eq!(codes.asked(), 1);
    // The same digits as a text are another code.
    codes.run(&["create", "7", "--text", "--permanent"]).await.ok();
    assert_eq!(codes.rig.wechat.control.permanent_codes("wx1"), ["int 7", "str 7"]);
    let shown = codes.run(&["list"]).await.ok().out;
    assert!(shown.contains("2 of 100000 permanent codes are used; the last 1000 are a reserve."), "{shown}");
    assert!(shown.contains("door"), "{shown}");
}

#[tokio::test]
async fn temporary_code_knows_its_end_and_is_used_again_while_half_of_it_is_left() {
    let codes = Codes::start().await;
    let made = codes.run(&["create", "shop", "--for", "1h", "--json"]).await.ok().json();
    assert_eq!(
        (&made["kind"], &made["life"], &made["works"]),
        (&json!("str"), &json!("temporary"), &json!(true))
    );
    let again = codes.run(&["create", "shop", "--for", "1h", "--json"]).await.ok().json();
    assert_eq!((&again["reused"], &again["ticket"]), (&json!(true), &made["ticket"]));
    // One for much longer is another wish.
    let longer = codes.run(&["create", "shop", "--for", "30d", "--json"]).await.ok().json();
    assert_eq!(longer["reused"], json!(false));
    assert_ne!(longer["ticket"], made["ticket"]);
    assert_eq!(codes.asked(), 2);
    let list = codes.list().await;
    assert_eq!((&list["temporary"], &list["permanent_used"]), (&json!(1), &json!(0)));
    let longest = codes.run(&["create", "shop", "--for", "31d"]).await;
    assert!(longest.code == Some(2) && longest.err.contains("from 1 second to 30 days"), "{longest:?}");
    let high = codes.run(&["create", "100001", "--permanent"]).await;
    assert!(high.code == Some(2) && high.err.contains("from 1 to 100000"), "{high:?}");
    let neither = codes.run(&["create", "shop"]).await;
    assert!(neither.code == Some(2) && neither.err.contains("--permanent"), "{neither:?}");
}

#[tokio::test]
async fn count_is_guarded_with_a_reserve_and_the_last_one_more_is_never_asked_for() {
    let codes = Codes::start_with("permanent_codes = 3\npermanent_reserve = 1").await;
    codes.run(&["create", "a", "--permanent"]).await.ok();
    codes.run(&["create", "b", "--permanent"]).await.ok();
    let kept = codes.run(&["create", "c", "--permanent"]).await;
    assert_eq!(kept.code, Some(1));
    assert!(
        kept.err.contains("2 of the account's 3 permanent codes are used")
            && kept.err.contains("--use-reserve"),
        "{kept:?}"
    );
    codes.run(&["create", "c", "--permanent", "--use-reserve"]).await.ok();
    let over = codes.run(&["create", "d", "--permanent", "--use-reserve"]).await;
    assert!(over.code == Some(1) && over.err.contains("3 of the account's 3"), "{over:?}");
    // What exists is there all the same, and temporary ones do not count.
    codes.run(&["create", "a", "--permanent"]).await.ok();
    codes.run(&["create", "d", "--for", "1h"]).await.ok();
    assert_eq!(codes.asked(), 4);
    let table = codes.file("more.csv", "scene\na\nx\n");
    let bulk = codes.run(&["bulk", &table, "--permanent", "--use-reserve"]).await;
    assert!(
        bulk.code == Some(2) && bulk.err.contains("needs 1 new permanent codes, and 0 can be made"),
        "{bulk:?}"
    );
    assert_eq!(codes.asked(), 4, "nothing is begun that cannot be finished");
}

#[tokio::test]
async fn refusal_gives_the_code_back_and_a_lost_answer_counts() {
    let codes = Codes::start().await;
    codes.script(Fault::errcode(45_029));
    let refused = codes.run(&["create", "a", "--permanent"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("100000 permanent codes") && refused.err.contains("errcode 45029"),
        "{refused:?}"
    );
    assert_eq!(codes.list().await["permanent_used"], 0);

    codes.script(Fault::AnswerLost);
    let lost = codes.run(&["create", "a", "--permanent"]).await;
    assert!(lost.code == Some(1) && lost.err.contains("may have been carried out"), "{lost:?}");
    let list = codes.list().await;
    assert_eq!((&list["permanent_used"], &list["permanent_unsure"]), (&json!(1), &json!(1)));
    codes.run(&["create", "a", "--permanent"]).await.ok();
    let list = codes.list().await;
    assert_eq!((&list["permanent_used"], &list["permanent_unsure"]), (&json!(2), &json!(0)), "at most two");
    assert_eq!(codes.made(), 1, "WeChat has made one");
}

#[tokio::test]
async fn table_that_is_wrong_is_named_line_by_line_and_nothing_is_made() {
    let codes = Codes::start().await;
    let table = codes.file("bad.csv", "scene,life\n1,permanent\n1,permanent\nx,soon\n");
    let wrong = codes.run(&["bulk", &table]).await;
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err.contains("\n  line 3: line 2 has the same code\n  line 4: \"soon\" is no life"),
        "{wrong:?}"
    );
    assert_eq!(codes.asked(), 0);
}

#[tokio::test]
async fn run_that_wechat_stops_says_how_far_it_came() {
    let codes = Codes::start().await;
    let table = codes.file("tables.csv", &table(3));
    codes.run(&["create", "1", "--permanent"]).await.ok();
    codes.script(Fault::errcode(45_009));
    let stopped = codes.run(&["bulk", &table, "--permanent"]).await;
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.err.contains("1 of 3 are there, 0 of them made now"), "{stopped:?}");
    assert!(stopped.err.contains("midnight in Beijing"), "{stopped:?}");
    let on = codes.run(&["bulk", &table, "--permanent"]).await.ok();
    assert!(on.out.starts_with("2 made, 1 were there, of 3."), "{on:?}");
}

#[tokio::test]
async fn code_is_drawn_in_the_terminal_as_png_as_svg_and_by_wechat() {
    let codes = Codes::start().await;
    let made = codes.run(&["create", "table/7", "--permanent", "--json"]).await.ok().json();
    let url = made["url"].as_str().unwrap();
    let shown = codes.run(&["show", "table/7"]).await.ok().out;
    assert!(shown.contains('▀') && shown.contains(url), "{shown}");

    let path = |name: &str| codes.rig.path(name).to_str().unwrap().to_owned();
    let png = path("code.png");
    codes.run(&["image", "table/7", "--out", &png, "--size", "300"]).await.ok();
    assert_eq!(read(&std::fs::read(&png).unwrap()), (url.to_owned(), 300));
    let logo = path("with.png");
    codes.run(&["image", "table/7", "--out", &logo, "--logo", &png]).await.ok();
    assert_eq!(read(&std::fs::read(&logo).unwrap()), (url.to_owned(), 430));
    let svg = path("code.svg");
    codes.run(&["image", "table/7", "--out", &svg]).await.ok();
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg "));
    let own = path("wechats");
    codes.run(&["image", "table/7", "--out", &own, "--wechat"]).await.ok();
    assert!(std::fs::read_to_string(&own).unwrap().contains(url), "WeChat draws the same address");

    for (args, says) in [
        (vec!["image", "table/7", "--out", &png], "it exists, and is not replaced"),
        (vec!["image", "table/7", "--out", "code.gif"], ".png or .svg"),
        (vec!["image", "table/7", "--out", "small.png", "--size", "20"], "cannot hold the code"),
        (vec!["image", "table/7", "--out", "x.png", "--logo", &svg], "no PNG"),
        (vec!["show", "nowhere"], "no code of the scene \"nowhere\""),
    ] {
        let refused = codes.run(&args).await;
        assert!(refused.code == Some(2) && refused.err.contains(says), "{says}: {refused:?}");
    }
}
