//! The pid file tells the daemon from strangers: only the kernel's word counts.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::support::frozen::Guard;
use super::unix_support::{Classic, alive};

/// A process that is not ours: it must survive whatever is done.
struct Stranger {
    child: tokio::process::Child,
    pid: i32,
}

impl Stranger {
    fn start() -> Self {
        let child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        Self { child, pid }
    }

    /// It still answers.
    async fn lives(&mut self) {
        let mut lines = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
        self.child.stdin.as_mut().unwrap().write_all(b"alive\n").await.unwrap();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("alive"));
    }
}

#[tokio::test]
async fn foreign_process_in_a_pid_file_is_never_signalled() {
    // The daemon died, the machine gave its number to somebody else.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let mut stranger = Stranger::start();
    std::fs::create_dir(site.path("run")).unwrap();
    std::fs::write(site.pid_file(), format!("{}\n", stranger.pid)).unwrap();

    let pid = stranger.pid.to_string();
    let stop = site.run(&["stop", "--now"]).await;
    stop.expect(0, &[]);
    assert!(stop.stdout.contains("does not run") && stop.stdout.contains(&pid), "{stop:?}");
    site.run(&["reload"]).await.expect(1, &["does not run", &pid]);
    stranger.lives().await;

    let started = site.run(&["start"]).await;
    started.expect(0, &["note:", &pid, "did not end in order"]);
    let ours = site.pid().unwrap();
    assert_ne!(ours, stranger.pid);
    site.down().await;
    stranger.lives().await;
}

#[tokio::test]
async fn foreign_process_is_not_signalled_even_if_the_file_is_written_under_a_living_daemon() {
    // What stands in the file is for people: the lock says who it is.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let pid = site.up().await;
    let mut stranger = Stranger::start();
    std::fs::write(site.pid_file(), format!("{}\n", stranger.pid)).unwrap();
    assert_eq!(site.pid(), Some(pid));
    site.down().await;
    assert!(!alive(pid));
    stranger.lives().await;
}

#[tokio::test]
async fn stranger_that_locks_the_file_is_not_taken_for_the_daemon() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    std::fs::create_dir(site.path("run")).unwrap();
    let mut stranger = Stranger::start();
    let file = std::fs::File::create(site.pid_file()).unwrap();
    std::fs::write(site.pid_file(), format!("{}\n", stranger.pid)).unwrap();
    file.try_lock().unwrap();
    for command in ["start", "stop", "reload"] {
        site.run(&[command]).await.expect(1, &["locked by another process", "fuser -v"]);
    }
    stranger.lives().await;
}

#[tokio::test]
async fn pid_file_of_a_killed_daemon_is_found_stale() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let dead = site.up().await;
    site.kill();
    assert_eq!(std::fs::read_to_string(site.pid_file()).unwrap(), format!("{dead}\n"));
    let stop = site.run(&["stop"]).await;
    stop.expect(0, &[]);
    assert!(stop.stdout.contains(&format!("names process {dead}, which is not it")), "{stop:?}");
    let started = site.run(&["start"]).await;
    started.expect(0, &["note:", &format!("named process {dead}"), "The file is replaced"]);
    site.down().await;
}

#[tokio::test]
async fn of_several_starts_at_once_one_has_the_daemon() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let starts = [(); 4].map(|()| site.run(&["start"]));
    let ran = futures_util::future::join_all(starts).await;
    let won = ran.iter().filter(|ran| ran.code == Some(0)).count();
    assert_eq!(won, 1, "{ran:?}");
    for lost in ran.iter().filter(|ran| ran.code != Some(0)) {
        assert_eq!(lost.code, Some(1), "{lost:?}");
        let said = ["runs already", "locked by another process"].iter().any(|it| lost.stderr.contains(it));
        assert!(said, "{lost:?}");
    }
    site.down().await;
}
