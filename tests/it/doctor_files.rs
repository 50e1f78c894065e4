//! `doctor` on a machine and a daemon that are not as they should be: modes, owners, a broken
//! configuration, a ledger without its daemon, a daemon that does not answer.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use rustix::process::Signal;
use zhongkong::clock::Clock;
use zhongkong::ledger::seal::Keys;
use zhongkong::ledger::sqlite::{Settings, SqliteLedger};
use zhongkong::ledger::{Call, CallEnd, Ledger as _};
use zhongkong::model::{CallMode, Cause, ErrCode, Generation};
use zhongkong::simulator::{Kind, ServerMode};

use crate::doctor_support::{doctor, wechat, well};
use crate::support::frozen::Guard;
use crate::support::process::{Process, Site, key};

/// Nobody: a user that every machine has and that owns nothing here.
const NOBODY: u32 = 65_534;

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Every file of the state directory with its size and its modification.
fn state(site: &Site) -> BTreeSet<(String, u64, std::time::SystemTime)> {
    let entries = std::fs::read_dir(site.path("state")).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            (entry.file_name().into_string().unwrap(), meta.len(), meta.modified().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn modes_that_let_others_in_are_named_with_the_chmod() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let site = well(&wechat.base);
    site.start_ready().await.stop().await;
    doctor(&site, &[]).await.code(0).only(&["answers"]);

    chmod(&site.path("state"), 0o777);
    chmod(&site.ledger(), 0o644);
    let said = doctor(&site, &[]).await;
    let dir = site.path("state").display().to_string();
    said.code(1).only(&["answers", "mode"]).says("fail", "mode", &[&format!("chmod go-w {dir}")]).says(
        "fail",
        "mode",
        &[&format!("chmod 600 {}", site.ledger().display())],
    );
    chmod(&site.path("state"), 0o700);
    chmod(&site.ledger(), 0o600);

    // A secret that others can read is refused by the configuration, and the rest is looked at.
    chmod(&site.path("wx1.secret"), 0o644);
    let said = doctor(&site, &[]).await;
    let fix = format!("chmod 600 {}", site.path("wx1.secret").display());
    said.code(2)
        .says("fail", "file", &[&fix])
        .says("fail", "mode", &[&fix])
        .says("warn", "unread", &["1 account"])
        .says("ok", "clock", &[])
        .says("ok", "disk", &[]);
    chmod(&site.path("wx1.secret"), 0o600);

    let config = site.path("config.toml");
    site.write();
    chmod(&config, 0o644);
    let said = site.run(&["doctor"]).await;
    assert!(said.stdout.contains(&format!("chmod o-r {}", config.display())), "{said:?}");
    assert_eq!(said.code, Some(0));
}

#[tokio::test]
async fn what_root_can_read_and_the_daemons_user_cannot_is_named_with_the_chown() {
    // Needs root, to have files of somebody else; without it there is nobody to be.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let site = well(&wechat.base);
    site.start_ready().await.stop().await;
    let root = site.path("");
    // From now on the state directory says that the daemon runs as nobody.
    chown(site.path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
    chmod(&root, 0o700);
    let said = doctor(&site, &[]).await;
    said.code(1).says("fail", "way", &["cannot get there", "chmod g+x"]);

    chmod(&root, 0o755);
    let said = doctor(&site, &[]).await;
    let secret = site.path("wx1.secret").display().to_string();
    said.code(1)
        .silent("way")
        .says("fail", "owner", &[&secret, "belongs to root", "chown nobody"])
        .says("fail", "owner", &[&site.ledger().display().to_string(), "chown nobody"])
        .says("fail", "unreadable", &["config.toml", "chgrp"]);
    for name in ["wx1.secret", "state/ledger.db"] {
        chown(site.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let said = doctor(&site, &[]).await;
    said.code(1).silent("owner").says("fail", "unreadable", &["config.toml"]);
}

#[tokio::test]
async fn a_broken_configuration_is_told_and_the_rest_is_looked_at() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    site.section("daemon", "state_dir = \"state\"\ngrace = \"1 fortnight\"\nstate_dirr = \"x\"");
    let said = doctor(&site, &[]).await;
    said.code(2)
        .says("fail", "file", &["daemon.grace", "line"])
        .says("fail", "file", &["daemon.state_dirr", "did you mean state_dir"])
        .says("ok", "secret", &["wx1"])
        .says("ok", "clock", &[]);
    assert_eq!(said.document["ok"], false);

    site.section("daemon", "state_dir = ");
    doctor(&site, &[]).await.code(2).says("fail", "file", &["not TOML"]).says(
        "warn",
        "answers",
        &["does not run"],
    );
    // A part of the daemon finds what the file alone hides.
    site.file("seal", "no key at all");
    site.section("daemon", "state_dir = \"state\"\nseal_keys_file = \"seal\"");
    doctor(&site, &[]).await.code(2).says("fail", "file", &["seal keys"]).says("ok", "clock", &[]);

    let none = site.run(&["doctor", "--json", "--config", "none.toml"]).await;
    assert_eq!(none.code, Some(2));
    assert!(none.stdout.contains("cannot read the configuration"), "{none:?}");
}

#[tokio::test]
async fn every_document_has_the_same_fields() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    let good = doctor(&site, &[]).await;
    site.section("daemon", "grace = 1");
    let broken = doctor(&site, &[]).await;
    for said in [good, broken] {
        let fields: Vec<_> = said.document.as_object().unwrap().keys().map(String::as_str).collect();
        let all = ["checked_at", "config", "findings", "ok", "seen_ip", "summary", "version"];
        assert_eq!(BTreeSet::from_iter(fields), BTreeSet::from(all));
        assert!(!said.findings().is_empty());
        for finding in said.findings() {
            let fields: BTreeSet<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, BTreeSet::from(["detail", "fix", "group", "level", "name", "subject"]));
            assert!(["ok", "warn", "fail"].contains(&finding["level"].as_str().unwrap()));
            assert!(finding["level"] == "ok" || finding["fix"].is_string(), "no fix: {finding}");
        }
        let summary = &said.document["summary"];
        let sum: u64 = ["ok", "warn", "fail"].iter().map(|level| summary[level].as_u64().unwrap()).sum();
        assert_eq!(sum, said.findings().len() as u64);
    }
}

#[tokio::test]
async fn budget_is_read_from_the_ledger_of_a_daemon_that_is_down_and_nothing_there_changes() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    let daemon = site.start_ready().await;
    // Killed: what it noted lies in the write-ahead log.
    daemon.kill().await;
    let before = state(&site);
    assert!(before.iter().any(|(name, length, _)| name == "ledger.db-wal" && *length > 0), "{before:?}");
    doctor(&site, &[]).await.code(0).says("ok", "budget", &["wx1 access_token: 1999 of 2000"]);
    let names = |state: &BTreeSet<(String, u64, std::time::SystemTime)>| {
        state.iter().filter(|(name, ..)| !name.ends_with("-shm")).cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(names(&state(&site)), names(&before), "a look changed the ledger");

    // Stopped in order: there is no log, and no file is made.
    site.start_ready().await.stop().await;
    let settings = Settings { path: site.ledger(), seal: Keys::none(), max_bytes: None };
    let clock = Clock::system();
    let ledger = SqliteLedger::open(settings, clock.clone()).await.unwrap().ledger;
    let calls = |count: u64| {
        let (ledger, clock) = (ledger.clone(), clock.clone());
        async move {
            for attempt in 0..count {
                let call = Call {
                    key: key("wx1"),
                    attempt: Generation(9_000_000_000 + attempt),
                    mode: CallMode::Stable,
                    cause: Cause::Deadline,
                    sent: clock.stamp(),
                };
                ledger.finish(&call, CallEnd::Refused(ErrCode(-1))).await.unwrap();
            }
        }
    };
    calls(18).await;
    ledger.clone().close().await.unwrap();
    let before = state(&site);
    // Nineteen or twenty calls of twenty: the first start's, perhaps a second one's, and ours.
    site.account("wx1", "daily_calls = 21");
    doctor(&site, &[]).await.code(0).says("warn", "budget", &["wx1 access_token", "of 21 calls are left"]);
    site.account("wx1", "daily_calls = 19");
    doctor(&site, &[]).await.code(1).says("fail", "budget", &["none of 19 calls"]);
    assert_eq!(state(&site), before, "a look changed the ledger");
}

#[tokio::test]
async fn a_daemon_that_is_down_mute_or_stuck_is_told_apart() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    doctor(&site, &[]).await.code(0).says("warn", "answers", &["it does not run", "systemctl start"]);
    let daemon = site.start_ready().await;
    doctor(&site, &[]).await.code(0).says("ok", "answers", &["process"]);

    // It does not know us.
    site.file("wrong", "a-t0ken-that-no-client-has-CCCCCCCCCCCCCCCCC");
    let said = doctor(&site, &["--token-file", "wrong"]).await;
    said.code(0).says("warn", "answers", &["runs and does not tell us", "--token-file"]);
    said.says("ok", "budget", &["1999 of 2000"]);
    // Our own credentials are no use.
    chmod(&site.path("wrong"), 0o644);
    let said = doctor(&site, &["--token-file", "wrong"]).await;
    said.code(0).says("warn", "answers", &["not asked", "chmod 600 wrong"]);
    // It listens elsewhere than the configuration says.
    let away = format!("unix:{}", site.path("other.sock").display());
    let pid = daemon.pid().as_raw_nonzero().to_string();
    let said = doctor(&site, &["--addr", &away]).await;
    said.code(1).says("fail", "answers", &[&format!("process {pid} holds"), "grpc.listen"]);
    // It is stuck: connections are accepted by the kernel, and nobody answers.
    daemon.signal(Signal::STOP);
    let said = doctor(&site, &[]).await;
    said.code(1).says("fail", "answers", &["journalctl"]);
    daemon.signal(Signal::CONT);
    doctor(&site, &[]).await.code(0).says("ok", "answers", &["process"]);
    site.account("wx1", "");
    daemon.stop().await;
}

#[tokio::test]
async fn keys_in_trouble_and_foreign_refreshes_are_told_by_the_daemon() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    site.account("wx2", "");
    let daemon = site.start().await;
    daemon.line("40013").await;
    site.value("wx1").await;
    let said = doctor(&site, &[]).await;
    said.code(1).says("fail", "key", &["wx2 access_token", "NO VALUE", "appid"]);
    // Somebody else refreshed: found when a caller complains.
    wechat.control.kill("wx1", Kind::Stable);
    site.run(&["refresh", "wx1", "--errcode", "40001"]).await.expect(0, &[]);
    let said = doctor(&site, &[]).await;
    said.says("warn", "foreign refresh", &["another program", "wx1"]);
    daemon.stop().await;
}

#[tokio::test]
async fn an_interrupt_ends_it_at_once() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let site = well(&wechat.base);
    wechat.control.set_mode(ServerMode::Silent).await;
    // A shell that starts the tests in the background would have it ignore interrupts.
    let mut command = tokio::process::Command::new("env");
    command.arg("--default-signal=INT").arg(env!("CARGO_BIN_EXE_zhongkong")).arg("--config");
    command.arg(site.write()).arg("doctor").kill_on_drop(true);
    let mut doctor = Process::spawn(command);
    wechat.control.wait_for(|log| log.calls().count() > 0).await;
    doctor.signal(Signal::INT);
    // Of the signal: it does not wait until WeChat has not answered, to end with what it found.
    assert_eq!(doctor.ended().await.signal(), Some(Signal::INT.as_raw()));
}
