//! The log of the real daemon: forms of a line, a file that others move, bad days, live filter.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use super::logs_support::{follow, inside, logging_to_a_file, spawn_after};
use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::simulated::{Simulated, listed_with};

const WRONG_TOKEN: &str = "a-t0ken-that-no-client-has-CCCCCCCCCCCCCCCCC";

async fn wechat() -> Simulated {
    Simulated::start(listed_with(&[("wx1", SECRET)])).await
}

/// Something that the daemon logs at `info`.
async fn pause(site: &Site) {
    site.run(&["pause", "wx1"]).await.expect(0, &[]);
}

/// Something that it logs at `debug`.
async fn be_refused(site: &Site) {
    site.connect_as(WRONG_TOKEN).await.get(&key("wx1"), std::time::Duration::ZERO).await.unwrap_err();
}

#[tokio::test]
async fn a_json_log_is_one_object_a_line_whatever_is_logged() {
    // With every log on, also those of the libraries.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = logging_to_a_file(&wechat.base, "format = \"json\"\nfilter = \"trace\"");
    site.env("ZHONGKONG_FAILPOINTS", "attempt.answered@wx1=panic");
    let daemon = site.spawn();
    site.value_when_up(&daemon).await;
    pause(&site).await;
    let stderr = daemon.stop().await;
    assert_eq!(stderr, "", "all of it is in the file");

    let text = fs::read_to_string(site.path("log/zk.log")).unwrap();
    let mut refreshed = None;
    let mut panicked = 0;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "target"] {
            assert!(event[field].is_string(), "no {field} in {line}");
        }
        // A library may log fields without any message; we do not.
        let Some(message) = event["message"].as_str() else {
            assert!(!event["target"].as_str().unwrap().starts_with("zhongkong"), "{line}");
            continue;
        };
        panicked += usize::from(message.starts_with("the daemon panicked at"));
        if message.starts_with("refreshed wx1:access_token") {
            refreshed = Some(event);
        }
    }
    let refreshed = refreshed.expect("a value was fetched");
    assert_eq!((&refreshed["app"], &refreshed["kind"]), (&"wx1".into(), &"access_token".into()));
    assert_eq!((&refreshed["level"], &refreshed["mode"]), (&"INFO".into(), &"classic".into()));
    assert_eq!(panicked, 1, "a panic is logged like everything else, and once");
    let mode = fs::metadata(site.path("log/zk.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the umask of the daemon keeps others out");
}

#[tokio::test]
async fn a_panic_is_logged_with_its_place_and_without_its_text() {
    // A text that was formatted may quote a value.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    site.env("ZHONGKONG_FAILPOINTS", "attempt.answered@wx1=panic");
    let daemon = site.start_ready().await;
    let line = daemon.line("the daemon panicked at src/failpoint.rs:").await;
    assert!(line.contains("ERROR") && line.contains("not logged"), "{line}");
    daemon.line("the refresher of wx1:access_token panicked; it is restarted").await;
    let stderr = daemon.stop().await;
    assert!(!stderr.contains("fail-point"), "{stderr}");
}

#[tokio::test]
async fn after_a_move_and_usr1_or_hup_the_new_file_is_written_and_no_line_is_lost() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = logging_to_a_file(&wechat.base, "");
    let daemon = site.spawn();
    let file = site.path("log/zk.log");
    let tail = follow(&file);
    tail.out_line(0, "feed: ready").await;
    for (signal, aside) in [(Signal::USR1, "log/first"), (Signal::HUP, "log/second")] {
        pause(&site).await;
        fs::rename(&file, site.path(aside)).unwrap();
        pause(&site).await;
        let mark = tail.out_mark();
        daemon.signal(signal);
        tail.out_line(mark, "the log file is opened anew").await;
        if signal == Signal::HUP {
            tail.out_line(mark, "configuration taken over").await;
        }
    }
    pause(&site).await;
    daemon.stop().await;
    let texts =
        ["log/first", "log/second", "log/zk.log"].map(|name| fs::read_to_string(site.path(name)).unwrap());
    assert!(texts[0].contains("listening") && texts[2].contains("stopping"), "{texts:?}");
    let paused: usize =
        texts.iter().map(|text| text.matches("a client paused wx1:access_token").count()).sum();
    assert_eq!(paused, 5, "{texts:?}");
}

#[tokio::test]
async fn a_small_log_file_is_put_aside_by_the_running_daemon_and_keeps_no_more_than_told() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = logging_to_a_file(&wechat.base, "max_size = \"4KiB\"\nkeep = 2\nfilter = \"trace\"");
    let daemon = site.spawn();
    site.value_when_up(&daemon).await;
    pause(&site).await;
    daemon.stop().await;
    let mut sizes: Vec<_> = fs::read_dir(site.path("log"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .collect();
    sizes.sort();
    let names: Vec<_> = sizes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["zk.log", "zk.log.1", "zk.log.2"]);
    assert!(sizes.iter().all(|(_, size)| *size <= 4096), "{sizes:?}");
}

#[tokio::test]
async fn a_full_log_disk_stops_no_service_and_is_said_once_and_is_over_when_there_is_room() {
    // A disk with one page left, and a daemon that logs everything. What is freed later is far more
    // than may wait to be written: the disk must not be full again before that is said in it.
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = logging_to_a_file(&wechat.base, "filter = \"trace\"");
    let log = site.path("log");
    let mount =
        format!("mount -t tmpfs -o size=8m none {0}\nhead -c 8384512 /dev/zero > {0}/filler", log.display());
    let daemon = spawn_after(&site, &mount);
    site.value_when_up(&daemon).await;
    daemon.line("cannot be written (No space left on device").await;
    let value = site.value("wx1").await;
    assert!(wechat.control.alive(&value), "it serves");
    pause(&site).await;
    site.run(&["resume", "wx1"]).await.expect(0, &[]);

    fs::remove_file(inside(&daemon, &log.join("filler"))).unwrap();
    be_refused(&site).await;
    let said = daemon.line("is written again").await;
    assert!(!said.contains(" 0 lines"), "{said}");
    let tail = follow(&inside(&daemon, &log.join("zk.log")));
    tail.out_line(0, "the log file could not be written for a while").await;
    for line in tail.stdout().lines() {
        assert!(line.starts_with("20"), "a line is torn: {line}");
    }
    let stderr = daemon.stop().await;
    assert_eq!(stderr.matches("cannot be written").count(), 1, "{stderr}");
}

#[tokio::test]
async fn a_log_directory_that_vanishes_stops_no_service_and_is_taken_up_when_it_is_back() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let site = logging_to_a_file(&wechat.base, "");
    let daemon = site.spawn();
    let value = site.value_when_up(&daemon).await;
    fs::remove_dir_all(site.path("log")).unwrap();
    // HUP has it looked at once.
    daemon.signal(Signal::HUP);
    let said = daemon.line("log/zk.log cannot be written (No such file or directory").await;
    assert!(said.contains("give back its directory"), "{said}");
    assert_eq!(site.value("wx1").await, value);
    fs::create_dir(site.path("log")).unwrap();
    pause(&site).await;
    daemon.line("log/zk.log is written again").await;
    daemon.stop().await;
    let text = fs::read_to_string(site.path("log/zk.log")).unwrap();
    assert!(text.contains("lines are missing") && text.contains("stopping"), "{text}");
}

#[tokio::test]
async fn a_log_file_that_cannot_be_made_is_refused_with_what_to_do() {
    let _guard = Guard::start();
    let mut site = Site::classic("http://127.0.0.1:9");
    site.section("daemon.log", "file = \"nowhere/zk.log\"");
    let says = ["nowhere/zk.log cannot be written", "make its directory", "daemon.log.file", "No such file"];
    // Not 2, after which systemd would not try again: the disk of the log may only come late.
    site.fails().await.expect(1, &says);
    assert!(!site.path("nowhere").exists() && !site.path("state").exists(), "nothing was touched");
}

#[tokio::test]
async fn the_filter_changes_on_a_reload_and_the_file_needs_a_restart() {
    let _guard = Guard::start();
    let wechat = wechat().await;
    let mut site = Site::classic(&wechat.base);
    let daemon = site.start_ready().await;
    let refusals = |daemon: &Process| daemon.count("a caller was refused");
    be_refused(&site).await;
    assert_eq!(refusals(&daemon), 0);

    site.section("daemon.log", "filter = \"info,zhongkong::grpc=debug\"");
    site.write();
    daemon.reload("configuration taken over").await;
    be_refused(&site).await;
    daemon.line("a caller was refused").await;
    assert_eq!(daemon.count("need a restart"), 0, "{}", daemon.stderr());

    site.section("daemon.log", "filter = \"info\"\nfile = \"zk.log\"");
    site.write();
    daemon.reload("need a restart: daemon.log.file").await;
    daemon.line_after(daemon.mark() - 1, "configuration taken over").await;
    be_refused(&site).await;
    pause(&site).await;
    daemon.line("a client paused").await;
    assert_eq!(refusals(&daemon), 1);
    assert!(!daemon.stop().await.contains(TOKEN));
}
