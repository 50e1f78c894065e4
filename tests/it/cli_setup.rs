//! Commands that need no daemon, wrong usage, and a reader who goes away.

use std::process::Stdio;

use tempfile::TempDir;

use crate::cli_support::{done, zhongkong};

#[tokio::test]
async fn wrong_usage_is_exit_2_and_says_what_is_right() {
    let cases: [(&[&str], &str); 14] = [
        (&[], "Usage"),
        (&["stauts"], "status"),
        (&["get"], "<APPID>"),
        (&["get", "wx 1"], "an appid has 1 to 128 characters"),
        (&["get", "wx1", "token"], "access_token"),
        (&["get", "wx1", "--wait", "5"], "a number and a unit"),
        (&["get", "wx1", "--wait", "31s"], "longer than 30 s"),
        (&["refresh", "wx1", "--seen", "abc"], "16 hex digits"),
        (&["refresh", "wx1", "--force", "--errcode", "40001"], "cannot be used with"),
        (&["refresh", "wx1", "--leaked"], "--yes"),
        (&["status", "--addr", "ftp://daemon"], "http://HOST:PORT"),
        (&["status", "--addr", "https://127.0.0.1:1"], "--ca FILE"),
        (&["simulate", "--account", "wx1"], "APPID:SECRET"),
        (&["status", "--token-file", "/nonexistent"], "/nonexistent"),
    ];
    for (args, said) in cases {
        let wrong = done(zhongkong(args)).await;
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""), "{args:?} {wrong:?}");
        assert!(wrong.err.contains(said), "{args:?} {wrong:?}");
    }
}

#[tokio::test]
async fn check_config_counts_what_is_right_and_lists_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.toml");
    let args = ["check-config", "--config", path.to_str().unwrap()];
    let json = [&args[..], &["--json"]].concat();

    let missing = done(zhongkong(&args)).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("cannot read") && missing.err.contains("ZHONGKONG_CONFIG"), "{missing:?}");

    std::fs::write(&path, "").unwrap();
    assert_eq!(done(zhongkong(&args)).await.ok().out, "ok: 0 accounts, 0 clients\n");
    assert_eq!(done(zhongkong(&json)).await.ok().json()["ok"], true);

    std::fs::write(&path, "[grpc]\nlisten = \"127.0.0.1\"\n[deamon]\n").unwrap();
    let wrong = done(zhongkong(&args)).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""));
    assert!(wrong.err.contains("line 2: grpc.listen") && wrong.err.contains("deamon"), "{wrong:?}");
    let document = done(zhongkong(&json)).await;
    assert_eq!(document.code, Some(2));
    let document = document.json();
    assert_eq!((&document["ok"], document["problems"].as_array().unwrap().len()), (&false.into(), 2));
    assert_eq!(document["problems"][0]["line"], 2);

    // The environment names the file too; a part of the daemon finds what the file alone hides.
    crate::cli_support::private(&dir.path().join("seal"), "no key at all");
    std::fs::write(&path, "[daemon]\nseal_keys_file = \"seal\"\n").unwrap();
    let mut command = zhongkong(&["check-config"]);
    command.env("ZHONGKONG_CONFIG", &path);
    let wrong = done(command).await;
    assert!(wrong.code == Some(2) && wrong.err.contains("seal keys"), "{wrong:?}");
}

#[tokio::test]
async fn stanza_of_a_new_client_is_a_valid_configuration_without_the_token() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.toml");
    let made = done(zhongkong(&["new-client", "web", "--json"])).await.ok().json();
    let (token, stanza) = (made["token"].as_str().unwrap(), made["stanza"].as_str().unwrap());
    assert!(!stanza.contains(token));
    std::fs::write(&path, stanza).unwrap();
    let checked = done(zhongkong(&["check-config", "--config", path.to_str().unwrap()])).await.ok();
    assert_eq!(checked.out, "ok: 0 accounts, 1 client\n");

    let shown = done(zhongkong(&["new-client", "web"])).await.ok().out;
    assert!(shown.contains("shown this once") && shown.contains("[[client]]"), "{shown}");
    assert_eq!(done(zhongkong(&["new-client", " "])).await.code, Some(2));
}

#[tokio::test]
async fn completions_are_generated_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = done(zhongkong(&["completions", shell])).await.ok().out;
        for word in ["check-config", "forget-values", "jsapi_ticket"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[tokio::test]
async fn reader_who_has_seen_enough_is_no_failure() {
    // The pipe is closed before anything is written into it, as `| head -0` does it.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = zhongkong(&["completions", "bash"]);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
    // A full disk is one.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = zhongkong(&["completions", "bash"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot write the result"));
}
