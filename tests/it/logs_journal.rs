//! The log in the systemd journal: by its native protocol, over a real socket that stands in
//! for journald's; and what happens where there is none.

use std::collections::BTreeMap;

use tokio::net::UnixDatagram;
use tokio::process::Command;

use super::logs_support::spawn_after;
use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, binary};
use super::support::simulated::{Simulated, listed_with};

/// An entry: field, value.
type Entry = BTreeMap<String, String>;

/// One datagram of systemd's native protocol: `NAME=value` or `NAME`, length, value.
fn parse(mut datagram: &[u8]) -> Entry {
    let mut entry = Entry::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&datagram[..end], &datagram[end + 1..]);
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            entry.insert(text(&line[..equals]), text(&line[equals + 1..]));
            datagram = rest;
        } else {
            let (length, rest) = rest.split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            entry.insert(text(line), text(&rest[..length]));
            datagram = &rest[length + 1..];
        }
    }
    entry
}

async fn entry(journal: &UnixDatagram, message: &str) -> Entry {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = journal.recv(&mut buffer).await.unwrap();
        let entry = parse(&buffer[..length]);
        if entry.get("MESSAGE").is_some_and(|text| text.contains(message)) {
            return entry;
        }
    }
}

fn journald(site: &mut Site) {
    site.section("daemon.log", "format = \"journald\"");
}

#[tokio::test]
async fn an_event_in_the_journal_has_its_fields_priority_and_name() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    journald(&mut site);
    std::fs::create_dir(site.path("journal")).unwrap();
    let journal = UnixDatagram::bind(site.path("journal/socket")).unwrap();
    let mounts = format!(
        "mkdir -p journal-mount\nmount --bind {} journal-mount\nmount -t tmpfs none /run\n\
         mkdir -p /run/systemd/journal\nmount --move journal-mount /run/systemd/journal",
        site.path("journal").display()
    );
    let daemon = spawn_after(&site, &mounts);
    // WeChat does not know wx2, so that both kinds of entries come.
    let mut refreshed = None;
    let mut refused = None;
    while refreshed.is_none() || refused.is_none() {
        let event = entry(&journal, "re").await;
        match event["MESSAGE"].as_str() {
            "refreshed wx1:access_token" => refreshed = Some(event),
            message if message.starts_with("could not refresh wx2:access_token: ") => refused = Some(event),
            _ => {}
        }
    }
    let (refreshed, refused) = (refreshed.unwrap(), refused.unwrap());
    for (field, value) in [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "zhongkong"),
        ("TARGET", "zhongkong::refresh::attempt"),
        ("CODE_FILE", "src/refresh/attempt.rs"),
        ("ZHONGKONG_APP", "wx1"),
        ("ZHONGKONG_KIND", "access_token"),
        ("ZHONGKONG_MODE", "classic"),
    ] {
        assert_eq!(refreshed.get(field).map(String::as_str), Some(value), "{field}: {refreshed:?}");
    }
    for (field, value) in [("PRIORITY", "4"), ("ZHONGKONG_APP", "wx2"), ("ZHONGKONG_FAILURES", "1")] {
        assert_eq!(refused.get(field).map(String::as_str), Some(value), "{field}: {refused:?}");
    }
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(entry(&journal, "stopping").await["ZHONGKONG_GRACE_SECONDS"], "15");
    assert_eq!(daemon.stderr(), "", "nothing is said twice");
}

#[tokio::test]
async fn without_a_journal_the_log_is_text_on_stderr_and_says_so() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    journald(&mut site);
    let daemon = spawn_after(&site, "mount -t tmpfs none /run");
    let said = daemon.line("the journal cannot be reached").await;
    assert!(said.contains("WARN") && said.contains("No such file"), "{said}");
    daemon.line("feed: ready").await;
    daemon.stop().await;
}

#[tokio::test]
async fn text_on_a_stderr_that_is_the_journal_has_priorities_and_no_time_of_its_own() {
    // systemd says in JOURNAL_STREAM which file it gave us; one of another process is not ours.
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    site.section("daemon.log", "filter = \"info,zhongkong::grpc=debug\"");
    let config = site.write();
    let start = |stream: &str| {
        let script = format!("export JOURNAL_STREAM=\"{stream}\"\nexec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-ec", &script]).arg(binary().as_std().get_program());
        command.arg("--config").arg(&config).arg("run");
        command.current_dir(site.path("")).kill_on_drop(true);
        Process::spawn(command)
    };
    let daemon = start("$(stat -L -c %d:%i /proc/self/fd/2)");
    let line = daemon.line("feed: ready").await;
    assert!(line.starts_with("<6> INFO zhongkong::"), "{line}");
    let said = daemon.stop().await;
    assert!(said.lines().all(|line| line.starts_with('<')), "{said}");

    let daemon = start("1:1");
    let line = daemon.line("feed: ready").await;
    assert!(line.starts_with("20"), "{line}");
    daemon.stop().await;
}
