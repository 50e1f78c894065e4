//! systemd/: every unit is understood by systemd, and none may do more than it must.
//!
//! Needs systemd-analyze, which `make test` installs; what the units do when they run is
//! asked by `make test-systemd`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The most that a unit may be exposed, on systemd-analyze's scale from 0 to 10.
const MOST_EXPOSED: f64 = 1.5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// Every unit's name and text.
fn units() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "service" || kind == "socket") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "zhongkong-business.service",
            "zhongkong-jssdk.service",
            "zhongkong-messages.service",
            "zhongkong-oauth.service",
            "zhongkong.service",
            "zhongkong.socket"
        ]
    );
    found
}

/// Copies of the units whose executable is there: the one under test.
fn installed() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in units() {
        let text = text.replace("/usr/bin/zhongkong", env!("CARGO_BIN_EXE_zhongkong"));
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// What systemd-analyze says, and whether it is content.
fn analyze(args: &[&str], unit: &Path) -> (bool, String) {
    let done = Command::new("systemd-analyze").args(args).arg("--no-pager").arg(unit).output();
    let done = done.expect("systemd-analyze, of Debian's package systemd, is needed");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_any_unit() {
    let dir = installed();
    for name in units().keys() {
        let (content, said) = analyze(&["verify", "--man=no"], &dir.path().join(name));
        assert!(content && said.is_empty(), "{name}: {said}");
    }
    // It does complain about a unit with a misspelt line.
    let wrong = units()["zhongkong.service"].replace("PrivateTmp=", "PrivateTemp=");
    let path = dir.path().join("wrong.service");
    fs::write(&path, wrong).unwrap();
    let (_, said) = analyze(&["verify", "--man=no"], &path);
    assert!(said.contains("PrivateTemp"), "{said}");
}

#[test]
fn no_service_is_exposed_more_than_it_must_be() {
    let dir = installed();
    let mut scores = BTreeMap::new();
    for name in units().keys().filter(|name| name.ends_with(".service")) {
        let (_, said) = analyze(&["security", "--offline=yes"], &dir.path().join(name));
        let score = said.lines().rev().find_map(|line| line.split_once("exposure level for "));
        let score =
            score.and_then(|(_, rest)| rest.split_whitespace().nth(1)).unwrap_or_else(|| panic!("{said}"));
        let score: f64 = score.parse().unwrap();
        assert!(score <= MOST_EXPOSED, "{name} has {score}:\n{said}");
        assert!(score > 0.0, "{name}: nothing with a network has {score}:\n{said}");
        scores.insert(name.clone(), score);
    }
    assert_eq!(scores.len(), 5, "{scores:?}");
}

#[test]
fn service_that_notes_its_boot_can_read_which_one_it_is() {
    // Without it every start would be on another machine, and an own push of before be waited for.
    let hides = |unit: &str| units()[unit].lines().any(|line| line == "ProcSubset=pid");
    assert!(hides("zhongkong-jssdk.service"), "who notes none need not see it");
    assert!(!hides("zhongkong-business.service"));
}

#[test]
fn sockets_are_the_addresses_of_the_packaged_configuration() {
    // The daemon knows a socket by its address: one that it does not listen on would accept
    // callers whom nobody answers.
    let example = fs::read_to_string(folder().parent().unwrap().join("config.toml")).unwrap();
    let socket = &units()["zhongkong.socket"];
    let opened: Vec<_> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    assert_eq!(opened, ["127.0.0.1:7780", "127.0.0.1:7781", "/run/zhongkong/grpc.sock"]);
    let both = "#: listen = [\"127.0.0.1:7780\", \"unix:/run/zhongkong/grpc.sock\"]";
    assert!(example.contains(both), "packaging/stage.sh makes this line real");
    for line in ["#: user = \"zhongkong\"", "#format = \"text\""] {
        assert!(example.lines().any(|it| it == line), "this one too: {line}");
    }
    assert!(example.contains("#listen = \"127.0.0.1:7781\""));
}
