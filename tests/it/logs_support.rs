//! What the tests of the log need: a daemon with mounts of its own, and a log file as it grows.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::support::process::{Process, Site, binary};

/// Starts the daemon of a site in a mount namespace of its own, after this shell script: what it
/// mounts is seen by the daemon alone and ends with it.
pub(crate) fn spawn_after(site: &Site, script: &str) -> Process {
    let mut command = Command::new("unshare");
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        command.arg("--map-root-user");
    }
    let daemon = binary();
    command.args(["--mount", "sh", "-ec", &format!("{script}\nexec \"$0\" \"$@\"")]);
    command.arg(daemon.as_std().get_program()).arg("--config").arg(site.write()).arg("run");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(site.path("")).kill_on_drop(true);
    Process::spawn(command)
}

/// A file as a process inside sees it.
pub(crate) fn inside(daemon: &Process, path: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", daemon.pid().as_raw_nonzero());
    Path::new(&root).join(path.strip_prefix("/").unwrap())
}

/// Follows a file by its name; its lines are what the process says on stdout.
pub(crate) fn follow(path: &Path) -> Process {
    let mut command = Command::new("tail");
    command.args(["-n", "+1", "-F"]).arg(path).kill_on_drop(true);
    Process::spawn(command)
}

/// A site whose daemon logs to `log/zk.log`, with these further lines of the section.
pub(crate) fn logging_to_a_file(wechat: &str, more: &str) -> Site {
    let mut site = Site::classic(wechat);
    std::fs::create_dir(site.path("log")).unwrap();
    site.section("daemon.log", &format!("file = \"log/zk.log\"\n{more}"));
    site
}
