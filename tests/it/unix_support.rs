//! A daemon as administrators have it without systemd: started with `start`, found by its pid
//! file, ended with its value.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use zhongkong::process::pid_file::{Running, Seen};

use super::support::process::{Ran, SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

/// Longer than any end takes.
const LONG: Duration = Duration::from_mins(1);

/// A site whose daemon is detached.
pub(crate) struct Classic(Site);

impl Classic {
    /// One classic account "wx1" at this WeChat.
    pub(crate) fn new(wechat: &str) -> Self {
        let mut site = Self(Site::classic(wechat));
        site.daemon("");
        site.section("daemon.log", "file = \"log/z.log\"");
        site.write();
        site
    }

    /// The same, with a WeChat.
    pub(crate) async fn with_wechat() -> (Self, Simulated) {
        let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
        (Self::new(&wechat.base), wechat)
    }

    /// Writes `[daemon]`, with these lines more.
    pub(crate) fn daemon(&mut self, more: &str) {
        self.section("daemon", &format!("state_dir = \"state\"\npid_file = \"run/z.pid\"\n{more}"));
        self.write();
    }

    /// `zhongkong start`, which must succeed.
    pub(crate) async fn up(&self) -> i32 {
        let ran = self.run(&["start"]).await;
        ran.expect(0, &[]);
        assert!(ran.stdout.contains("runs and is ready"), "{ran:?}");
        self.pid().expect("it runs")
    }

    /// `zhongkong stop`, which must succeed.
    pub(crate) async fn down(&self) {
        self.run(&["stop"]).await.expect(0, &[]);
        assert_eq!(self.pid(), None);
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path("run/z.pid")
    }

    /// The daemon by the lock on its pid file.
    pub(crate) fn seen(&self) -> Option<Running> {
        match Seen::look(&self.pid_file()).unwrap() {
            Seen::Running(running) => Some(running),
            Seen::Nobody { .. } => None,
        }
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        self.seen().map(|running| running.pid())
    }

    /// A signal to the daemon.
    pub(crate) fn signal(&self, signal: Signal) {
        self.seen().expect("it runs").signal(signal).unwrap();
    }

    /// KILL, and its end.
    pub(crate) fn kill(&self) {
        if let Some(running) = self.seen() {
            running.signal(Signal::KILL).unwrap();
            running.wait(LONG).unwrap();
        }
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log/z.log")).unwrap_or_default()
    }

    /// `start` fails with this code and these words, and leaves no daemon behind.
    pub(crate) async fn refused(&self, code: i32, says: &[&str]) -> Ran {
        let ran = self.run(&["start", "--wait", "30s"]).await;
        ran.expect(code, says);
        assert_eq!(ran.stdout, "", "{ran:?}");
        let said = ran.stderr.lines().filter(|line| line.starts_with("zhongkong: ")).count();
        assert_eq!(said, 1, "said once: {ran:?}");
        assert_eq!(self.pid(), None);
        ran
    }
}

impl Deref for Classic {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl DerefMut for Classic {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.0
    }
}

impl Drop for Classic {
    fn drop(&mut self) {
        // Also of a test that fails: nobody else would end a detached process.
        if let Ok(Seen::Running(running)) = Seen::look(&self.pid_file()) {
            let _ = running.signal(Signal::KILL);
            let _ = running.wait(LONG);
        }
    }
}

/// A line of `/proc/PID/status`, its fields.
pub(crate) fn status(pid: i32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether the tests run as root.
pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a process runs; one that has ended and is not yet reaped does not.
pub(crate) fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
