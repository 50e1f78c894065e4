//! `zhongkong messages test`, through the executable.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::cli_support::{Done, done, zhongkong};

fn example() -> String {
    format!("{}/examples/rules.toml", env!("CARGO_MANIFEST_DIR"))
}

/// A message of the project's samples.
fn sample(name: &str) -> String {
    format!("{}/tests/data/messages/{name}.xml", env!("CARGO_MANIFEST_DIR"))
}

fn write(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn text(content: &str) -> String {
    format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><CreateTime>1</CreateTime>\
         <MsgType>text</MsgType><Content><![CDATA[{content}]]></Content><MsgId>1</MsgId></xml>"
    )
}

async fn test(args: &[&str]) -> Done {
    done(zhongkong(&[&["messages", "test"], args].concat())).await
}

#[tokio::test]
async fn rule_that_fires_is_shown_with_its_captures_and_the_reply_as_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let message = write(&dir, "m.xml", &text("price apple pie"));
    let shown = test(&[&example(), &message]).await.ok();
    assert!(shown.out.contains("rule 1 \"shop\" (line 21): no: the message has no scene\n"), "{}", shown.out);
    assert!(shown.out.contains("\"price\" (line 92): fires and answers\n"), "{}", shown.out);
    assert!(shown.out.contains("  captures 1: \"apple pie\"\n"), "{}", shown.out);
    // To and From are swapped, and the user's text is in the reply.
    assert!(shown.out.contains("<ToUserName><![CDATA[oUser]]></ToUserName>"), "{}", shown.out);
    assert!(shown.out.contains("prices?of=apple pie]]></Content>"), "{}", shown.out);
    assert!(!shown.out.contains("human, by day"), "rules behind it are not asked: {}", shown.out);
}

#[tokio::test]
async fn message_may_come_from_stdin_as_json_and_the_result_be_a_document() {
    let mut command = zhongkong(&["messages", "test", "--json", &example(), "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let json = br#"{"ToUserName":"gh_1","FromUserName":"oUser","CreateTime":1,"MsgType":"event","Event":"SCAN","EventKey":"shop_12","Ticket":"T"}"#;
    child.stdin.take().unwrap().write_all(json).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["fired"], true);
    assert_eq!(document["answer"], "reply");
    assert_eq!(document["rules"][0]["verdict"], "replies");
    assert_eq!(document["rules"][0]["captures"]["shop"], "12");
    assert_eq!(document["rules"][0]["line"], 21);
    // The reply is in the message's format.
    let body: serde_json::Value = serde_json::from_str(document["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["ToUserName"], "oUser");
    assert_eq!(body["Content"], "Welcome to shop 12!");
}

#[tokio::test]
async fn hour_and_account_are_those_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let message = write(&dir, "m.xml", &text("human please"));
    let example = example();
    let fires = |shown: &Done| {
        shown
            .out
            .lines()
            .find(|line| line.contains("fires"))
            .map(|line| line.split(" (").next().unwrap().to_owned())
    };
    for (at, rule) in [
        ("2026-11-20 10:00", "rule 13 \"human, by day\""),
        ("2026-11-20T02:00:00Z", "rule 13 \"human, by day\""),
        ("2026-11-20 12:00", "rule 14 \"human, by night\""),
        ("2026-11-21 10:00", "rule 14 \"human, by night\""),
    ] {
        let shown = test(&[&example, &message, "--at", at]).await.ok();
        assert_eq!(fires(&shown).as_deref(), Some(rule), "{at}: {}", shown.out);
    }
    let rules =
        write(&dir, "r.toml", "[[rule]]\nwhen.account = ['main']\nreply = '{{ account }} {{ appid }}'");
    let shown = test(&[&rules, &message, "--account", "main:wx1"]).await.ok();
    assert!(shown.out.contains("main wx1"), "{}", shown.out);
    let shown = test(&[&rules, &message, "--account", "other:wx1"]).await;
    assert_eq!(shown.code, Some(1));
    assert!(shown.out.contains("no: account is other (wx1), not main"), "{}", shown.out);
}

#[tokio::test]
async fn program_is_named_and_a_reply_that_wechat_would_refuse_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let message = write(&dir, "m.xml", &text("hello"));
    let rules = write(&dir, "r.toml", "[[rule]]\nreply = '{{ Nothing }}'\n[[rule]]\nforward = 'anything'");
    let shown = test(&[&rules, &message]).await.ok();
    assert!(
        shown.out.contains("fires, but reply.text needs Nothing, which the message does not have"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("fires and hands the message to \"anything\""), "{}", shown.out);
    // Two articles to a message that a user wrote.
    let news = "[[rule]]\nreply.news = [{ title = 'a', url = 'https://a.example' }, { title = 'b', url = 'https://b.example' }]";
    let rules = write(&dir, "r.toml", news);
    let shown = test(&[&rules, &message]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(shown.out.contains("WeChat would not take this reply: "), "{}", shown.out);
}

#[tokio::test]
async fn program_that_is_only_told_is_named_and_answers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let message = write(&dir, "m.xml", &format!("\u{feff}{}", text("hello")));
    let told = "[[rule]]\nforward = 'log'\ncontinue = true\n";
    let rules = write(&dir, "r.toml", told);
    let shown = test(&["--json", &rules, &message]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    let document: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(document["fired"], false);
    assert_eq!(document["told"], serde_json::json!(["log"]));
    assert_eq!(document["rules"][0]["verdict"], "tells");
    let rules = write(&dir, "r.toml", &format!("{told}[[rule]]\nreply = 'hi'"));
    let shown = test(&[&rules, &message]).await.ok();
    assert!(
        shown.out.contains("fires and tells \"log\", whose answer does not count; continue = true\n"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("The answer:\n"), "{}", shown.out);
    let rules = write(&dir, "r.toml", &format!("{told}[[rule]]\nforward = 'crm'"));
    let document = test(&["--json", &rules, &message]).await.ok();
    let document: serde_json::Value = serde_json::from_str(&document.out).unwrap();
    assert_eq!((&document["fired"], &document["forwarded_to"]), (&true.into(), &"crm".into()));
}

#[tokio::test]
async fn nothing_that_fires_is_1_and_a_wrong_file_or_message_is_2() {
    let dir = tempfile::tempdir().unwrap();
    let message = write(&dir, "m.xml", &text("hello"));
    let rules = write(&dir, "r.toml", "[[rule]]\nwhen.type = 'voice'\nreply = 'a'");
    let shown = test(&[&rules, &message]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(shown.out.contains("rule 1 (line 1): no: type is text, not voice\n"), "{}", shown.out);
    assert!(shown.out.contains("No rule answers"), "{}", shown.out);

    let bad = write(&dir, "bad.toml", "[[rule]]\nwhen.typ = 'text'\nreply = '{{'");
    let failed = test(&[&bad, &message]).await;
    assert_eq!(failed.code, Some(2), "{failed:?}");
    for line in
        ["line 2: rule 1: when.typ: there is no such key: did you mean type?", "line 3: rule 1: reply: "]
    {
        assert!(failed.err.contains(line), "{}", failed.err);
    }
    let gone = dir.path().join("gone.toml");
    for (rules, message) in [
        (gone.to_str().unwrap(), message.as_str()),
        (rules.as_str(), gone.to_str().unwrap()),
        (rules.as_str(), bad.as_str()),
    ] {
        let failed = test(&[rules, message]).await;
        assert_eq!(failed.code, Some(2), "{failed:?}");
    }
    let encrypted = write(&dir, "e.xml", "<xml><ToUserName>gh_1</ToUserName><Encrypt>abc</Encrypt></xml>");
    let failed = test(&[&rules, &encrypted]).await;
    assert!(failed.code == Some(2) && failed.err.contains("it is encrypted"), "{failed:?}");
    let failed = test(&[&rules, &message, "--at", "noon"]).await;
    assert!(failed.code == Some(2) && failed.err.contains("--at 09:30"), "{failed:?}");
}

#[tokio::test]
async fn every_sample_of_a_push_can_be_asked_about() {
    // Whatever WeChat sends: rules say yes or no to it, and never fail at it.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".xml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 50, "{names:?}");
    // One process for each would be slow, and all take the same way.
    for name in names.iter().step_by(9) {
        let shown = test(&[&example(), &sample(name)]).await;
        assert!(matches!(shown.code, Some(0 | 1)), "{name}: {shown:?}");
    }
}
