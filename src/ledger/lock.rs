//! One daemon per state directory.
//!
//! Owns `zhongkong.lock`: a file that is locked with `flock` while a process lives, whose
//! content is that process's id. The kernel lifts the lock at any death, so what the file
//! says after a crash hinders nobody.
//!
//! Deliberately absent: waiting. Who comes second is told who is there, and leaves.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::LedgerError;
use super::sqlite::Failure;

/// The file that is locked.
const LOCK_FILE: &str = "zhongkong.lock";
/// The owner only.
pub(super) const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The directory of everything durable.
#[derive(Debug)]
pub struct StateDir;

/// Holds the state directory until it is dropped.
#[derive(Debug)]
pub struct StateLock {
    _locked: File,
}

impl StateDir {
    /// Takes the directory for this process; makes it, for the owner only, if there is none.
    /// [`SqliteLedger::open`](super::sqlite::SqliteLedger::open) does this itself.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] with the other's process id, [`LedgerError::StateDirWritable`],
    /// and what the file system says.
    pub fn lock(dir: &Path) -> Result<StateLock, LedgerError> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(Failure::from)?;
        let mode = dir.metadata().map_err(Failure::from)?.permissions().mode();
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(LedgerError::StateDirWritable(dir.to_owned()));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let path = dir.join(LOCK_FILE);
        let mut file = match options.open(&path) {
            // A read-only ledger is still read, by one process.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                File::open(&path).or(Err(error))
            }
            result => result,
        }
        .map_err(Failure::from)?;
        match file.try_lock() {
            Ok(()) => {}
            // Zero: the other has the lock and has not written its number yet.
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::InUse(read_pid(&mut file).unwrap_or(0)));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::from(error).into()),
        }
        write_pid(&mut file).map_err(Failure::from)?;
        Ok(StateLock { _locked: file })
    }
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    let written = file
        .set_permissions(Permissions::from_mode(FILE_MODE))
        .and_then(|()| file.set_len(0))
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    match written.as_ref().map_err(io::Error::kind) {
        // The lock is what counts: such a disk must not keep the daemon from its ledger.
        Err(io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem) => Ok(()),
        Ok(()) | Err(_) => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_number_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        let first = StateDir::lock(&state).unwrap();
        let second = StateDir::lock(&state).unwrap_err();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(second, LedgerError::InUse(pid) if pid == own), "{second:?}");
        assert_eq!(state.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(first);
        StateDir::lock(&state).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_in_the_file_hinders_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(LOCK_FILE);
        std::fs::write(&file, "4194304999 or whatever was here before\n").unwrap();
        let _lock = StateDir::lock(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused_with_the_chmod_to_run() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o707, 0o1777] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let error = StateDir::lock(dir.path()).unwrap_err();
            assert!(error.to_string().ends_with(&format!("chmod go-w {}", dir.path().display())), "{error}");
        }
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        StateDir::lock(dir.path()).unwrap();
    }
}
