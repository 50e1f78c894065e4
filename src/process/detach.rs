//! Leaving the terminal: fork, session, fork, by `daemonize`.
//!
//! Must happen while the process has one thread: a fork copies no other. Working directory `/`,
//! umask 0077, stdin from /dev/null. Deliberately not left to that crate: its pid file has one
//! lock and no answer to "who", and it changes the user without the user's groups
//! ([`pid_file`](super::pid_file), [`privileges`](super::privileges)). stdout and stderr stay
//! until the daemon has become its user and can open its own file ([`redirect`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use daemonize::{Daemonize, Outcome, Stdio};
use rustix::fs::OFlags;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// For the owner and the group: administrators read logs.
const FILE_MODE: u32 = 0o640;

/// Why the process cannot detach.
#[derive(Debug, thiserror::Error)]
#[error("the daemon cannot be detached from the terminal")]
pub struct DetachError(#[source] daemonize::Error);

/// In which process the call returned.
#[derive(Debug)]
pub enum Detached {
    /// In the one that was started.
    Starter(Result<(), DetachError>),
    /// In the detached one; with an error it is not (fully) detached and must end.
    Daemon(Result<(), DetachError>),
}

/// Closes what was left open by whoever started the process, but for stdin, stdout, stderr and the
/// sockets that were passed after them: a daemon that kept a script's lock file or pipe would hold
/// the lock, or keep the pipe's reader waiting, for as long as it runs. First thing in the process.
pub fn close_inherited(passed: usize) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<RawFd> = open.flatten().filter_map(|fd| fd.file_name().to_str()?.parse().ok()).collect();
    for number in
        numbers.into_iter().filter(|number| usize::try_from(*number).is_ok_and(|it| it >= 3 + passed))
    {
        // The directory's own is among them and closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Forks; both processes go on from here.
pub fn detach() -> Detached {
    let outcome = Daemonize::new()
        .working_directory("/")
        .umask(0o077)
        .stdout(Stdio::keep())
        .stderr(Stdio::keep())
        .execute();
    match outcome {
        Outcome::Parent(forked) => Detached::Starter(forked.map(|_| ()).map_err(DetachError)),
        Outcome::Child(detached) => Detached::Daemon(detached.map(|_| ()).map_err(DetachError)),
    }
}

/// A file to which lines are added; made for owner and group if there is none.
pub fn open_for_adding(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file =
        OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(no_follow).open(path)?;
    // The umask took the group's bit from a new file; an administrator may have given more or less
    // to an old one.
    if file.metadata()?.len() == 0 && file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(FILE_MODE))?;
    }
    Ok(file)
}

/// Lets stdout and stderr, and so a panic, go to this file.
pub fn redirect(file: &File) -> io::Result<()> {
    dup2_stdout(file)?;
    Ok(dup2_stderr(file)?)
}
