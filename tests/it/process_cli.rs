//! The commands as a person or a script runs them: exit codes, what goes to which stream,
//! documents, limits.

use serde_json::Value;
use zhongkong::client::{Code, Error};
use zhongkong::pb;

use super::support::frozen::Guard;
use super::support::process::{Ran, SECRET, Site, TOKEN, binary, ran};
use super::support::simulated::{Simulated, listed_with};

const NOWHERE: &str = "http://127.0.0.1:9";

async fn running() -> (Simulated, Site, super::support::process::Process) {
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    (wechat, site, daemon)
}

/// The error document on stderr.
fn error_of(ran: &Ran) -> Value {
    assert_eq!(ran.stdout, "", "a failure has no result");
    let document: Value =
        serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert!(document["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    document["error"].clone()
}

#[tokio::test]
async fn an_unknown_account_or_kind_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = running().await;
    // An account that is not there, a kind that this account does not keep.
    site.run(&["get", "wx9"]).await.expect(1, &["there is no", "wx9", "what to do", "zhongkong status"]);
    site.run(&["get", "wx1", "jsapi_ticket"]).await.expect(1, &["there is no jsapi_ticket of account wx1"]);
    for command in ["refresh", "pause", "resume", "explain"] {
        site.run(&[command, "wx9"]).await.expect(1, &["there is no", "wx9", "what to do"]);
    }
    // What cannot be one at all is wrong usage, and nothing is asked.
    site.run(&["get", "wx1", "jsapi"]).await.expect(2, &["jsapi", "jsapi_ticket"]);
    site.run(&["get", "wx 1"]).await.expect(2, &["APPID"]);
    site.run(&["get"]).await.expect(2, &["APPID"]);
    site.run(&["gett"]).await.expect(2, &["get"]);
    site.run(&["pause", "wx1", "--for", "0s"]).await.expect(2, &["zero"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = running().await;
    let client = site.connect().await;
    // 64 KiB is the limit of a request; this one has some 200.
    let appids = (0..10_000).map(|number| format!("wx{number:016}")).collect();
    let asked = pb::ListStatusRequest { appids, ..Default::default() };
    let refused = client.status_page(asked).await.unwrap_err();
    let Error::Refused(refusal) = &refused else { panic!("{refused:?}") };
    assert!(matches!(refusal.code, Code::OutOfRange | Code::ResourceExhausted), "{refusal:?}");
    assert!(refusal.message.contains("65536"), "it names the limit: {refusal:?}");
    let status = client.status(pb::ListStatusRequest::default()).await.unwrap();
    assert_eq!(status.len(), 1);

    // Within the size, but more accounts than a filter may have.
    let appids = (0..2_000).map(|number| format!("wx{number}")).collect();
    let asked = pb::ListStatusRequest { appids, ..Default::default() };
    let refused = client.status_page(asked).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::InvalidArgument), "{refused}");
    daemon.stop().await;
}

#[tokio::test]
async fn wrong_credentials_and_a_missing_daemon_fail_with_what_to_do() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = running().await;
    let wrong = "a-t0ken-that-no-client-has-CCCCCCCCCCCCCCCCC";
    site.file("wrong", wrong);
    let ran = site.run(&["get", "wx1", "--token-file", "wrong"]).await;
    ran.expect(1, &["what to do", "--token-file", "new-client"]);
    assert!(!ran.stderr.contains(wrong) && !ran.stderr.contains(TOKEN), "{ran:?}");
    site.run(&["get", "wx1", "--token-file", "none"]).await.expect(2, &["cannot use none"]);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(site.path("wrong"), open).unwrap();
    site.run(&["get", "wx1", "--token-file", "wrong"]).await.expect(2, &["chmod 600 wrong"]);
    daemon.stop().await;

    site.run(&["status"]).await.expect(1, &["cannot be reached", "is the daemon running", "--addr"]);
    site.run(&["status", "--addr", "ftp://x"]).await.expect(2, &["http://HOST:PORT"]);
}

#[tokio::test]
async fn json_failures_are_documents_with_the_same_fields_for_every_command() {
    let _guard = Guard::start();
    let (_wechat, site, daemon) = running().await;
    for (args, code) in [
        (&["get", "wx9", "--json"][..], "NOT_FOUND"),
        (&["refresh", "wx9", "--json"], "NOT_FOUND"),
        (&["refresh", "wx1", "--errcode", "48001", "--json"], "INVALID_ARGUMENT"),
        (&["pause", "wx9", "--json"], "NOT_FOUND"),
    ] {
        let ran = site.run(args).await;
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
        let error = error_of(&ran);
        assert_eq!(error["code"], code, "{args:?}: {error}");
        for field in ["message", "causes", "reason", "errcode", "action", "retry_after_seconds", "advice"] {
            assert!(error.get(field).is_some(), "{args:?}: no {field} in {error}");
        }
    }
    daemon.stop().await;
    for args in [&["status", "--json"][..], &["get", "wx1", "--json"], &["watch", "--json"]] {
        let ran = site.run(args).await;
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
        let error = error_of(&ran);
        assert!(error["code"].is_null() && error["advice"].is_string(), "{args:?}: {error}");
    }
    let ran = site.run(&["ledger", "forget-values", "--json"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    error_of(&ran);
}

#[tokio::test]
async fn results_are_documents_with_json_and_text_without() {
    let _guard = Guard::start();
    let (wechat, site, daemon) = running().await;
    let plain = site.run(&["get", "wx1"]).await;
    plain.expect(0, &[]);
    assert!(wechat.control.alive(plain.stdout.trim_end()), "the value and nothing else: {plain:?}");
    let token = site.run(&["get", "wx1", "--json"]).await.document();
    assert_eq!(token["value"], plain.stdout.trim_end());

    let status = site.run(&["status", "--json"]).await.document();
    assert_eq!(status["keys"][0]["fingerprint"], token["fingerprint"]);
    assert_eq!(status["keys"][0]["state"], "fresh");
    let table = site.run(&["status"]).await;
    table.expect(0, &[]);
    assert!(table.stdout.contains("wx1") && table.stdout.contains("fresh"), "{table:?}");
    assert!(!table.stdout.contains('\u{1b}'), "no colour where no terminal is: {table:?}");
    let answer = site.run(&["refresh", "wx1", "--json"]).await.document();
    assert_eq!(answer["outcome"], "still_valid");

    // A pause and its end.
    site.run(&["pause", "wx1", "--for", "10m", "--json"]).await.document();
    let explained = site.run(&["explain", "wx1"]).await;
    assert!(explained.stdout.contains("until the pause ends in 9 min"), "{explained:?}");
    site.run(&["resume", "wx1", "--json"]).await.document();
    let explained = site.run(&["explain", "wx1"]).await;
    assert!(!explained.stdout.contains("pause"), "{explained:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn check_config_says_what_is_right_and_what_is_wrong() {
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.write();
    let ran = site.run(&["check-config"]).await;
    ran.expect(0, &[]);
    assert_eq!(ran.stdout, "ok: 1 account, 1 client\n");
    let document = site.run(&["check-config", "--json"]).await.document();
    assert_eq!((&document["ok"], &document["accounts"]), (&Value::Bool(true), &Value::from(1)));

    site.section("daemon", "state_dirr = \"x\"\ngrace = \"1 fortnight\"");
    site.write();
    site.run(&["check-config"])
        .await
        .expect(2, &["daemon.state_dirr", "did you mean state_dir", "daemon.grace"]);
    let ran = site.run(&["check-config", "--json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(2), ""), "{ran:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["ok"], false);
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{document}");
    assert!(problems.iter().all(|problem| problem["line"].is_u64() && problem["key"].is_string()));
    // Looking changes nothing on the disk.
    assert!(!site.path("state").exists());
}

#[tokio::test]
async fn completions_generate_for_every_shell_and_know_the_commands() {
    let _guard = Guard::start();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = binary();
        command.args(["completions", shell]);
        let script = ran(command).await;
        script.expect(0, &[]);
        for word in ["check-config", "forget-values", "serve", "aes-key-file", "wx_card_ticket"] {
            let offers_values = word != "wx_card_ticket" || ["bash", "zsh", "fish"].contains(&shell);
            assert!(!offers_values || script.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    let mut command = binary();
    command.args(["completions", "tcsh"]);
    ran(command).await.expect(2, &["tcsh", "bash"]);
}

#[tokio::test]
async fn a_new_clients_section_lets_it_in_after_a_reload() {
    // What new-client prints is what an operator pastes.
    let _guard = Guard::start();
    let (_wechat, mut site, daemon) = running().await;
    let made = site.run(&["new-client", "web", "--json"]).await.document();
    let token = made["token"].as_str().unwrap();
    site.raw(made["stanza"].as_str().unwrap());
    site.write();
    daemon.reload("configuration taken over").await;
    site.file("web", token);
    let ran = site.run(&["get", "wx1", "--token-file", "web"]).await;
    ran.expect(0, &[]);
    // It may read and complain, and no more.
    site.run(&["status", "--token-file", "web"])
        .await
        .expect(1, &["no grant for the action `status`", "\"status\""]);
    daemon.stop().await;
}
