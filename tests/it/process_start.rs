//! Starts that must fail: each names the thing, the rule and the fix, and shows no secret.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::support::frozen::Guard;
use super::support::process::{Ran, SECRET, Site, TOKEN, key};
use super::support::simulated::{Simulated, listed_with};

/// No start that fails makes an upstream call.
const NOWHERE: &str = "http://127.0.0.1:9";
const SEAL: &str = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";
const OTHER_SEAL: &str = "0000000000000000111111111111111122222222222222223333333333333333";

/// It ended with this code, says all this, and shows none of what must stay secret.
fn refused(ran: &Ran, code: i32, says: &[&str]) {
    ran.expect(code, says);
    for secret in [SECRET, TOKEN, SEAL, OTHER_SEAL] {
        assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:?}");
    }
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_its_line_and_the_nearest_right_one() {
    // A misspelt key must not silently be a default.
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.section("daemon", "state_dir = \"state\"\ngrase = \"3s\"");
    refused(
        &site.fails().await,
        2,
        &["config.toml is not valid", "line ", "daemon.grase", "did you mean grace?"],
    );
    assert!(!site.path("state").exists(), "a refused configuration makes no state directory");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_refused_with_the_type_that_is_right() {
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.account("wx1", "daily_calls = \"many\"");
    refused(&site.fails().await, 2, &["line ", "account[0].daily_calls", "number"]);
    site.account("wx1", "");
    site.section("daemon", "state_dir = \"state\"\ngrace = 3");
    refused(&site.fails().await, 2, &["line ", "daemon.grace", "text is needed"]);
}

#[tokio::test]
async fn a_file_that_is_no_toml_is_refused_with_its_line_and_none_of_its_text() {
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.raw(&format!("secret = {SECRET} oops\n"));
    refused(&site.fails().await, 2, &["config.toml is not valid", "line "]);
}

#[tokio::test]
async fn an_appid_that_occurs_twice_is_refused_with_both_places() {
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.raw("[[account]]\nappid = \"wx1\"\nsecret_file = \"wx1.secret\"\n");
    refused(&site.fails().await, 2, &["account[1].appid", "wx1", "account[0]"]);
}

#[tokio::test]
async fn a_missing_secret_file_is_refused_with_its_path() {
    let _guard = Guard::start();
    let site = Site::classic(NOWHERE);
    std::fs::remove_file(site.path("wx1.secret")).unwrap();
    refused(&site.fails().await, 2, &["account[0].secret_file", "there is no file", "wx1.secret"]);
}

#[tokio::test]
async fn a_secret_file_that_others_can_read_is_refused_with_the_chmod_to_run() {
    let _guard = Guard::start();
    let site = Site::classic(NOWHERE);
    for mode in [0o644, 0o640, 0o604] {
        chmod(&site.path("wx1.secret"), mode);
        let fix = format!("chmod 600 {}", site.path("wx1.secret").display());
        refused(&site.fails().await, 2, &["account[0].secret_file", &format!("mode {mode:o}"), &fix]);
    }
}

#[tokio::test]
async fn a_missing_configuration_is_refused_with_its_path() {
    let _guard = Guard::start();
    let mut command = super::support::process::binary();
    command.args(["--config", "/nonexistent/zhongkong.toml", "run"]);
    let ran = super::support::process::ran(command).await;
    refused(&ran, 2, &["cannot read the configuration /nonexistent/zhongkong.toml"]);
}

#[tokio::test]
async fn a_taken_grpc_port_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let mut site = Site::classic(NOWHERE);
    site.section("grpc", &format!("listen = [\"{addr}\"]"));
    refused(&site.fails().await, 1, &[&addr.to_string(), "[grpc] listen", "in use"]);
}

#[tokio::test]
async fn a_taken_admin_port_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let mut site = Site::classic(NOWHERE);
    site.section("admin", &format!("listen = \"{addr}\""));
    refused(&site.fails().await, 1, &[&addr.to_string(), "[admin] listen", "in use"]);
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_goes_on() {
    // On the same state directory by the ledger's lock, on another one by the socket; and a
    // socket's file that a killed daemon left behind hinders nobody.
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let first = site.start_ready().await;
    let value = site.value("wx1").await;

    let pid = first.pid().as_raw_nonzero().to_string();
    refused(&site.fails().await, 1, &["state", &format!("in use by process {pid}"), "state_dir"]);
    site.section("daemon", "state_dir = \"another\"");
    let socket = site.socket().display().to_string();
    refused(&site.fails().await, 1, &["another process listens on unix:", &socket, "stop it first"]);
    assert_eq!(site.value("wx1").await, value);

    first.kill().await;
    assert!(site.socket().exists(), "nobody removes the socket's file after a kill");
    site.section("daemon", "state_dir = \"state\"");
    let second = site.start_ready().await;
    assert_eq!(site.value("wx1").await, value);
    second.stop().await;
    assert!(!site.socket().exists(), "an orderly end removes the socket's file");
}

#[tokio::test]
async fn a_lost_or_wrong_seal_key_is_named_and_forgetting_the_values_is_the_way_on() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let sealed = "state_dir = \"state\"\nseal_keys_file = \"seal\"";
    site.section("daemon", sealed);
    site.file("seal", &format!("k2026:{SEAL}\n"));
    site.start_ready().await.stop().await;
    let calls = wechat.control.calls().len();

    // Lost: no key at all, or only others.
    site.section("daemon", "state_dir = \"state\"");
    refused(&site.fails().await, 2, &["`k2026`", "zhongkong ledger forget-values"]);
    site.section("daemon", sealed);
    site.file("seal", &format!("k2027:{OTHER_SEAL}\n"));
    refused(&site.fails().await, 2, &["`k2026`", "zhongkong ledger forget-values"]);
    // Wrong: another key under the same id.
    site.file("seal", &format!("k2026:{OTHER_SEAL}\n"));
    refused(&site.fails().await, 2, &["does not open", "`k2026`", "zhongkong ledger forget-values"]);
    assert_eq!(wechat.control.calls().len(), calls, "a start that fails calls nobody");

    // Nothing is forgotten without a yes; then everything is, and the daemon starts.
    let asked = site.run(&["ledger", "forget-values"]).await;
    refused(&asked, 2, &["--yes"]);
    refused(&site.fails().await, 2, &["does not open"]);
    let forgotten = site.run(&["ledger", "forget-values", "--yes", "--json"]).await.document();
    assert_eq!(forgotten["forgotten"], 1);
    let daemon = site.start_ready().await;
    assert!(wechat.control.alive(&site.value("wx1").await));
    let refused_while_running = site.run(&["ledger", "forget-values", "--yes"]).await;
    refused(&refused_while_running, 1, &["in use by process", "stop the daemon first"]);
    daemon.stop().await;
}

#[tokio::test]
async fn seal_keys_of_another_form_are_refused_without_being_shown() {
    let _guard = Guard::start();
    let mut site = Site::classic(NOWHERE);
    site.section("daemon", "state_dir = \"state\"\nseal_keys_file = \"seal\"");
    site.file("seal", &format!("{SEAL}\n"));
    refused(&site.fails().await, 2, &["seal keys", "line 1", "id:64 hex digits"]);
    site.file("seal", &format!("k1:{}\n", &SEAL[..60]));
    let ran = site.fails().await;
    refused(&ran, 2, &["k1"]);
    assert!(!ran.stderr.contains(&SEAL[..60]), "{ran:?}");
}

#[tokio::test]
async fn a_corrupt_ledger_is_set_aside_under_a_dated_name_and_the_daemon_serves() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let site = Site::classic(&wechat.base);
    site.start_ready().await.stop().await;
    let garbage = vec![b'?'; 20_000];
    std::fs::write(site.ledger(), &garbage).unwrap();

    let daemon = site.start_ready().await;
    let said = daemon.line("the ledger was corrupt and is set aside").await;
    assert!(said.contains("ERROR"), "an operator must hear of it: {said}");
    let names: Vec<String> = std::fs::read_dir(site.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("ledger.db.corrupt-"))
        .collect();
    let [name] = names.as_slice() else { panic!("one ledger is set aside: {names:?}") };
    assert_eq!(std::fs::read(site.path("state").join(name)).unwrap(), garbage, "it is kept as it was");
    let client = site.connect().await;
    let token = client.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap();
    assert!(wechat.control.alive(token.value.unwrap().expose()));
    daemon.stop().await;
}

#[tokio::test]
async fn a_state_directory_that_others_can_write_is_refused_with_the_chmod_to_run() {
    let _guard = Guard::start();
    let site = Site::classic(NOWHERE);
    std::fs::create_dir(site.path("state")).unwrap();
    chmod(&site.path("state"), 0o777);
    let fix = format!("chmod go-w {}", site.path("state").display());
    refused(&site.fails().await, 1, &["can be written by others", &fix]);
    chmod(&site.path("state"), 0o700);
}
