//! The operator's commands against a running daemon: what they print, and how they end.

use serde_json::Value;
use zhongkong::model::Fingerprint;
use zhongkong::secret::Secret;
use zhongkong::simulator::Kind;

use crate::cli_support::{OPERATOR, READER, Rig, Running, done, terminate, zhongkong};

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {document}"))
}

#[tokio::test]
async fn status_shows_every_key_and_says_once_what_to_do() {
    // One account is well, one has a wrong secret and a ticket that waits for its token.
    let rig = Rig::start().await;
    rig.settled().await;
    let page = rig.run(&["status"]).await.ok().out;
    assert!(page.starts_with("ACCOUNT  NAME"), "{page}");
    assert!(!page.contains('\x1b'), "no colour in a pipe: {page}");
    let row = |key: &str| {
        let has = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(key);
        page.lines().find(has).unwrap_or_else(|| panic!("{key}: {page}"))
    };
    assert!(row("wx1 shop access_token fresh").trim_end().ends_with('-'));
    assert!(row("wx2 access_token NO VALUE").ends_with("40125"));
    assert!(row("wx2 jsapi_ticket NO VALUE").contains("waits"));
    assert_eq!(page.matches("the AppSecret is invalid").count(), 1, "{page}");
    assert!(page.contains("    do   compare the account's AppSecret"), "{page}");
    assert!(page.ends_with("5 keys: 3 fresh, 1 without a value, 1 needs an operator\n"), "{page}");

    let document = rig.run(&["status", "--json"]).await.ok().json();
    assert_eq!(document["keys"].as_array().unwrap().len(), 5);
    assert_eq!(text(&document, "/keys/0/state"), "fresh");
    assert_eq!(text(&document, "/keys/0/last_attempt/result"), "issued");
    assert_eq!(text(&document, "/keys/2/problem/class"), "operator");
    assert_eq!(text(&document, "/keys/3/hold/reason"), "parent_missing");
    assert_eq!(document["summary"]["needs_operator"], 1);
    assert!(document["keys"][0]["hold"].is_null(), "what does not apply is null, not missing");

    let few = rig.run(&["status", "--problems", "--kind", "access_token", "--json"]).await.ok().json();
    assert_eq!(few["keys"].as_array().unwrap().len(), 1);
    assert_eq!(rig.run(&["status", "wx1", "--problems"]).await.ok().out, "No problems.\n");
}

#[tokio::test]
async fn get_prints_the_value_and_nothing_else() {
    let rig = Rig::start().await;
    let value = rig.run(&["get", "wx1", "--wait", "30s"]).await.ok();
    let current = rig.wechat.control.current("wx1", Kind::Stable).unwrap();
    assert_eq!((value.out, value.err.as_str()), (format!("{current}\n"), ""));

    rig.run(&["get", "wx1", "jsapi_ticket", "--wait", "30s"]).await.ok();
    let document = rig.run(&["get", "wx1", "jsapi_ticket", "--json"]).await.ok().json();
    let value = Secret::from(text(&document, "/value"));
    assert_eq!(text(&document, "/fingerprint"), Fingerprint::of(&value).to_string());
    assert_eq!(text(&document, "/state"), "fresh");
    assert!(document["remaining_seconds"].as_f64().unwrap() > 7_000.0);

    // The token may come from a file, which is for its owner only.
    let file = rig.path("token");
    let mut command = rig.command(&["get", "wx1", "--token-file", file.to_str().unwrap()]);
    command.env_remove("ZHONGKONG_TOKEN");
    done(command).await.ok();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = rig.run(&["get", "wx1", "--token-file", file.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("chmod 600"), "{refused:?}");
}

#[tokio::test]
async fn failure_names_errcode_meaning_action_and_when() {
    let rig = Rig::start().await;
    rig.settled().await;
    let refused = rig.run(&["get", "wx2"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    for said in [
        "error: wx2:access_token: an operator must act: the AppSecret is invalid",
        "\n  WeChat's errcode: 40125\n",
        "\n  WeChat's request id: ",
        "\n  what to do: compare the account's AppSecret",
        "\n  try again: in ",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    let document = rig.run(&["get", "wx2", "--json"]).await;
    assert_eq!((document.code, document.out.as_str()), (Some(1), ""));
    let document: Value = serde_json::from_str(&document.err).unwrap();
    assert_eq!(document["error"]["errcode"], 40_125);
    assert_eq!(text(&document, "/error/code"), "FAILED_PRECONDITION");
    assert_eq!(text(&document, "/error/reason"), "WECHAT_40125");
}

#[tokio::test]
async fn caller_who_may_not_is_told_what_is_missing() {
    let rig = Rig::start().await;
    let unknown = rig.run(&["get", "wx9"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("no account wx9") && unknown.err.contains("zhongkong status"),
        "{unknown:?}"
    );

    let wrong = rig.run_with("guessed", &["status"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("--token-file FILE or in ZHONGKONG_TOKEN"), "{wrong:?}");
    assert!(!wrong.err.contains("guessed"), "{wrong:?}");

    let cases: [(&[&str], &str); 5] = [
        (&["status"], "status"),
        (&["explain", "wx1"], "status"),
        (&["pause", "wx1"], "admin"),
        (&["refresh", "wx1", "--force"], "force"),
        (&["refresh", "wx1", "--seen", "0123456789abcdef"], "complain"),
    ];
    for (args, action) in cases {
        let denied = rig.run_with(READER, args).await;
        assert_eq!(denied.code, Some(1), "{denied:?}");
        assert!(denied.err.contains(&format!("needs the action \"{action}\"")), "{args:?} {denied:?}");
    }
}

#[tokio::test]
async fn daemon_that_is_not_there_is_named_with_what_to_do() {
    let nowhere = ["unix:/nonexistent/grpc.sock", "http://127.0.0.1:1"];
    for addr in nowhere {
        for args in [["status", "--addr", addr], ["watch", "--addr", addr]] {
            let failed = done(zhongkong(&args)).await;
            assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""), "{failed:?}");
            assert!(failed.err.contains(&format!("cannot be reached at {addr}")), "{failed:?}");
            assert!(failed.err.contains("is the daemon running"), "{failed:?}");
        }
    }
}

#[tokio::test]
async fn port_that_speaks_something_else_is_told() {
    // The simulator answers plain HTTP: a mistyped port.
    let rig = Rig::start().await;
    let failed = rig.run(&["status", "--addr", &rig.wechat.base]).await;
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("broke") && failed.err.contains("grpc.listen"), "{failed:?}");
}

#[tokio::test]
async fn refresh_keeps_a_value_that_works_and_replaces_a_dead_one() {
    let rig = Rig::start().await;
    rig.settled().await;
    let first = rig.run(&["get", "wx1", "--json"]).await.ok().json();
    let first = text(&first, "/fingerprint");
    let kept = rig.run(&["refresh", "wx1", "--errcode", "40001"]).await.ok();
    assert!(kept.out.starts_with("WeChat says that it works") && kept.out.contains(first), "{kept:?}");

    rig.wechat.control.kill("wx1", Kind::Stable);
    let replaced = rig.run(&["refresh", "wx1"]).await.ok();
    assert!(replaced.out.starts_with("Replaced: the access_token of wx1 is now "), "{replaced:?}");
    assert!(!replaced.out.contains(first), "{replaced:?}");

    let late = rig.run(&["refresh", "wx1", "--seen", first, "--json"]).await.ok().json();
    assert_eq!(text(&late, "/outcome"), "already_replaced");
    assert!(late["token"].get("value").is_none(), "a refresh never prints a value");

    let ticket = rig.run(&["refresh", "wx1", "jsapi_ticket"]).await.ok();
    assert!(ticket.out.starts_with("WeChat gave the same ticket again"), "{ticket:?}");
    rig.run(&["refresh", "wx3", "--force"]).await.ok();
    rig.run(&["refresh", "wx3", "--leaked", "--yes"]).await.ok();
}

#[tokio::test]
async fn refresh_asks_at_once_when_the_operator_has_mended_the_cause() {
    // The secret was wrong; without this command the daemon would ask again in half a minute.
    let rig = Rig::start().await;
    rig.settled().await;
    let still = rig.run(&["refresh", "wx2"]).await;
    assert_eq!(still.code, Some(1), "{still:?}");
    rig.wechat.control.set_secret("wx2", "s");
    let mended = rig.run(&["refresh", "wx2"]).await.ok();
    assert!(mended.out.starts_with("Replaced: the access_token of wx2"), "{mended:?}");
}

#[tokio::test]
async fn watch_prints_changes_and_survives_a_restart_of_the_daemon() {
    let mut rig = Rig::start().await;
    rig.settled().await;
    let mut watch = Running::start(rig.command(&["watch", "wx1", "wx3", "--json"]));
    let event = async |watch: &mut Running| -> Value { serde_json::from_str(&watch.line().await).unwrap() };
    let mut first = Vec::new();
    let mut first_generation = Value::Null;
    for _ in 0..3 {
        let event = event(&mut watch).await;
        assert_eq!(event["event"], "token");
        assert!(event.get("value").is_none(), "values are not shown unless asked for");
        first_generation = event["generation"].clone();
        first.push((text(&event, "/appid").to_owned(), text(&event, "/kind").to_owned()));
    }
    let expected = [("wx1", "access_token"), ("wx1", "jsapi_ticket"), ("wx3", "access_token")];
    assert_eq!(first, expected.map(|(appid, kind)| (appid.to_owned(), kind.to_owned())));
    assert_eq!(event(&mut watch).await["event"], "snapshot_complete");

    rig.stop_daemon().await;
    assert!(watch.err_line().await.contains("trying again"));
    rig.start_daemon().await;
    assert!(watch.err_line().await.contains("connected again"));
    rig.run(&["refresh", "wx3", "--force"]).await.ok();
    // What did not change over the restart is not told again.
    assert_eq!(event(&mut watch).await["event"], "snapshot_complete");
    loop {
        let event = event(&mut watch).await;
        assert_eq!(event["appid"], "wx3", "{event}");
        if event["state"] == "fresh" && event["generation"] != first_generation {
            break;
        }
    }
    drop(watch);

    let mut shown = Running::start(rig.command(&["watch", "wx3", "--show-values"]));
    let current = rig.wechat.control.current("wx3", Kind::Classic).unwrap();
    let line = shown.line().await;
    assert!(line.contains("fresh") && line.ends_with(&current), "{line}");
}

#[tokio::test]
async fn pause_and_resume_say_what_is_served_meanwhile() {
    let rig = Rig::start().await;
    rig.settled().await;
    let paused = rig.run(&["pause", "wx1", "--for", "2h"]).await.ok().out;
    assert_eq!(paused.lines().count(), 2, "{paused}");
    assert!(paused.contains("the access_token of wx1 is not fetched until the pause ends in"), "{paused}");
    assert!(paused.contains("its value is served for another 1 h 5"), "{paused}");
    let status = rig.run(&["status", "wx1"]).await.ok().out;
    assert!(status.contains("`zhongkong resume wx1 access_token`"), "{status}");
    assert!(status.ends_with("2 keys: 2 paused\n"), "{status}");
    let refused = rig.run(&["refresh", "wx1"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("the key is paused") && refused.err.contains("try again"), "{refused:?}");

    let one = rig.run(&["resume", "wx1", "access_token", "--json"]).await.ok().json();
    assert_eq!(one["keys"].as_array().unwrap().len(), 1);
    assert!(one["keys"][0]["hold"].is_null());
    let too_long = rig.run(&["pause", "wx1", "--for", "60d"]).await;
    assert!(too_long.code == Some(1) && too_long.err.contains("30 days"), "{too_long:?}");
}

#[tokio::test]
async fn explain_tells_the_story_of_a_whole_account() {
    let rig = Rig::start().await;
    rig.settled().await;
    let story = rig.run(&["explain", "wx2"]).await.ok().out;
    for said in [
        "access_token of wx2",
        "jsapi_ticket of wx2",
        "no retry brings one until somebody acts",
        "  do      Compare",
    ] {
        assert!(story.contains(said), "{said}: {story}");
    }
    let document = rig.run(&["explain", "wx1", "access_token", "--json"]).await.ok().json();
    assert_eq!(document["keys"].as_array().unwrap().len(), 1);
    assert_eq!(text(&document, "/keys/0/explanation/todo"), "Nothing.");
    assert_eq!(text(&document, "/keys/0/status/state"), "fresh");
    let absent = rig.run(&["explain", "wx3", "jsapi_ticket"]).await;
    assert_eq!(absent.code, Some(1));
    assert!(absent.err.contains("the account has: access_token"), "{absent:?}");
}

#[tokio::test]
async fn forgetting_values_needs_a_stopped_daemon_and_a_yes() {
    let mut rig = Rig::start().await;
    rig.settled().await;
    let config = rig.config();
    let forget = ["ledger", "forget-values", "--config", &config, "--yes"];
    let running = rig.run(&forget).await;
    assert_eq!(running.code, Some(1));
    assert!(
        running.err.contains("in use by process") && running.err.contains("stop the daemon"),
        "{running:?}"
    );
    rig.stop_daemon().await;
    let unasked = rig.run(&forget[..4]).await;
    assert!(unasked.code == Some(2) && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(
        rig.run(&forget).await.ok().out,
        "Forgot 3 values. Start the daemon: it fetches what it needs.\n"
    );
    let again = [&forget[..], &["--json"]].concat();
    assert_eq!(rig.run(&again).await.ok().json()["forgotten"], 0);
}

#[tokio::test]
async fn simulate_serves_until_it_is_told_to_stop() {
    let args = ["simulate", "--listen", "127.0.0.1:0", "--life", "30s", "--account", "wx1:s", "--json"];
    let mut simulate = Running::start(zhongkong(&args));
    let started: Value = serde_json::from_str(&simulate.line().await).unwrap();
    let client = crate::support::simulated::client_builder().build().unwrap();
    let path = crate::support::simulated::classic_path("wx1");
    let answer = client.get(format!("{}{path}", text(&started, "/api_base"))).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["expires_in"], 30, "{answer}");
    let taken = text(&started, "/api_base").trim_start_matches("http://");
    let second = done(zhongkong(&["simulate", "--listen", taken])).await;
    assert!(
        second.code == Some(1) && second.err.contains(taken) && second.err.contains("--listen"),
        "{second:?}"
    );
    terminate(&simulate.child);
    assert_eq!(simulate.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn token_of_the_environment_stands_in_no_output_of_help() {
    let mut help = zhongkong(&["get", "--help"]);
    help.env("ZHONGKONG_TOKEN", OPERATOR);
    let help = done(help).await.ok();
    assert!(help.out.contains("ZHONGKONG_TOKEN") && !help.out.contains(OPERATOR), "{help:?}");
}
