//! The pid file: who the detached daemon is, by the kernel's word.
//!
//! Two locks on one file. The `flock` belongs to the open file, goes through the fork with it,
//! and so keeps a second `start` out from the first moment to the daemon's death. The POSIX lock
//! belongs to the daemon's process alone; asked who holds it (F_GETLK), the kernel names the
//! process. The number in the file is for people: no signal is ever sent because of it, so the
//! file of a dead daemon, whose number a stranger has now, hurts nobody.
//!
//! Signals go through a pidfd that was opened while the lock was held, so that a daemon that ends
//! in between is missed, never mistaken.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{
    Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, pidfd_open, pidfd_send_signal,
};

/// Anybody may read who the daemon is.
const MODE: u32 = 0o644;
/// Looks at a lock that is held by nobody known, and the pause between them: a `start` on its
/// way, or another command's look, is over by then.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// Why the pid file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// It cannot be made, read or locked.
    #[error("the pid file {} cannot be used; name another one in [daemon] pid_file, or see that this user may write it", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something else in its place.
    #[error("{} is not a pid file but {what}; remove it, or name another one in [daemon] pid_file", path.display())]
    Strange {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The daemon runs.
    #[error("zhongkong runs already, as process {pid} (pid file {})", path.display())]
    Running {
        /// Its id.
        pid: i32,
        /// Which pid file says so.
        path: PathBuf,
    },
    /// Somebody has it who is no daemon that can be seen from here.
    #[error("the pid file {} is locked by another process: zhongkong is being started, or runs in another container; look with `fuser -v {}`", path.display(), path.display())]
    Held {
        /// Which.
        path: PathBuf,
    },
}

/// The locked pid file. Dropping it closes it; the lock stays while a forked process has it too.
#[derive(Debug)]
pub struct PidFile {
    file: File,
    path: PathBuf,
    id: (u64, u64),
}

/// A pid file that was locked, and what stood in it.
#[derive(Debug)]
pub struct Locked {
    /// The lock.
    pub file: PidFile,
    /// The number that a daemon left behind that did not end in order.
    pub stale: Option<String>,
}

/// Who runs by the pid file.
#[derive(Debug)]
pub enum Seen {
    /// Nobody.
    Nobody {
        /// The number that a daemon left behind that did not end in order.
        stale: Option<String>,
    },
    /// The daemon.
    Running(Running),
}

/// A running daemon.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    fd: OwnedFd,
}

/// Whether a process ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did.
    Yes,
    /// It still runs.
    NotYet,
}

impl PidFile {
    /// Locks the file for this process and those that it forks; makes it if there is none.
    pub fn lock(path: &Path) -> Result<Locked, PidFileError> {
        let failed = |source| PidFileError::Io { path: path.to_owned(), source };
        let mut looks = 0;
        loop {
            let mut file = open(path, Access::Write)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {
                    if let Some(pid) = holder(&file).map_err(failed)? {
                        let pid = pid.as_raw_nonzero().get();
                        return Err(PidFileError::Running { pid, path: path.to_owned() });
                    }
                    looks += 1;
                    if looks > LOOKS {
                        return Err(PidFileError::Held { path: path.to_owned() });
                    }
                    pause(PAUSE).map_err(failed)?;
                    continue;
                }
            }
            let id = identity(&file.metadata().map_err(failed)?);
            // A daemon that ended has removed it between the opening and the lock.
            if std::fs::symlink_metadata(path).map(|there| identity(&there)).ok() != Some(id) {
                continue;
            }
            let stale = content(&mut file).map_err(failed)?;
            file.set_len(0).map_err(failed)?;
            file.set_permissions(Permissions::from_mode(MODE)).map_err(failed)?;
            return Ok(Locked { file: Self { file, path: path.to_owned(), id }, stale });
        }
    }

    /// Says that this process is the daemon: from now on it is sent signals.
    pub fn claim(&mut self) -> Result<(), PidFileError> {
        let failed = |source| PidFileError::Io { path: self.path.clone(), source };
        fcntl_lock(&self.file, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
        let text = format!("{}\n", std::process::id());
        let written = self.file.rewind().and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(failed)
    }

    /// The end of the daemon: the file goes, or, where this user may not remove it, is empty.
    pub fn release(self) {
        // What cannot be tidied up is found stale by the next start.
        let _ = self.file.set_len(0);
        if std::fs::symlink_metadata(&self.path).is_ok_and(|there| identity(&there) == self.id) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Seen {
    /// Looks who runs.
    pub fn look(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError::Io { path: path.to_owned(), source };
        for _ in 0..LOOKS {
            let mut file = match open(path, Access::Read) {
                Ok(file) => file,
                Err(PidFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self::Nobody { stale: None });
                }
                Err(other) => return Err(other),
            };
            if let Some(pid) = holder(&file).map_err(failed)? {
                match pidfd_open(pid, PidfdFlags::empty()) {
                    // Asked again: the id belonged to the holder when the pidfd was opened, or
                    // the pidfd is of one that is gone, and a signal through it goes nowhere.
                    Ok(fd) if holder(&file).map_err(failed)? == Some(pid) => {
                        return Ok(Self::Running(Running { pid, fd }));
                    }
                    Ok(_) | Err(Errno::SRCH) => continue,
                    Err(other) => return Err(failed(other.into())),
                }
            }
            // A reading lock is enough to see whether somebody has the writing one.
            match file.try_lock_shared() {
                Ok(()) => return Ok(Self::Nobody { stale: content(&mut file).map_err(failed)? }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => pause(PAUSE).map_err(failed)?,
            }
        }
        Err(PidFileError::Held { path: path.to_owned() })
    }
}

impl Running {
    /// The process id, for people.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to this process and no other. One that has ended meanwhile gets none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// Waits for its end, at most this long.
    pub fn wait(&self, at_most: Duration) -> io::Result<Ended> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(at_most))) {
            Ok(0) | Err(Errno::INTR) => Ok(Ended::NotYet),
            Ok(_) => Ok(Ended::Yes),
            Err(other) => Err(other.into()),
        }
    }

    /// What it does, by the kernel's letter (`S` sleeps, `T` is stopped, `D` waits for a disk).
    pub fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The name in brackets may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

/// A span for the kernel.
pub(crate) fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

fn pause(span: Duration) -> io::Result<()> {
    match poll(&mut [], Some(&timespec(span))) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// Opens the file, and nothing that only looks like it: root may open it in a directory that
/// belongs to the daemon's user, who must not lead root to another file.
fn open(path: &Path, access: Access) -> Result<File, PidFileError> {
    let failed = |source| PidFileError::Io { path: path.to_owned(), source };
    let strange = |what| PidFileError::Strange { path: path.to_owned(), what };
    let no_follow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.read(true).mode(MODE).custom_flags(no_follow);
    match access {
        Access::Read => {}
        Access::Write => {
            options.write(true).create(true).truncate(false);
        }
    }
    let file = match options.open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(strange("a symbolic link"));
        }
        opened => opened.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(strange("no regular file"));
    }
    if meta.nlink() > 1 {
        return Err(strange("a file with several names"));
    }
    Ok(file)
}

/// Who holds the daemon's lock, by the kernel.
fn holder(file: &File) -> io::Result<Option<Pid>> {
    let wanted = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    Ok(fcntl_getlk(file, &wanted)?.and_then(|held| held.pid))
}

fn content(file: &mut File) -> io::Result<Option<String>> {
    let mut text = String::new();
    // A pid is short; what is longer is not shown to anybody.
    file.take(64).read_to_string(&mut text)?;
    let text: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
    Ok((!text.is_empty()).then_some(text))
}

fn identity(meta: &std::fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}
