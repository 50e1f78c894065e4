//! What SQLite and the file system say, sorted into what the daemon says.
//!
//! A failure can be cloned, because one failed transaction answers all of its callers.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::MigrateError;

use crate::ledger::LedgerError;
use crate::ledger::seal::OpenError;

type Source = Arc<dyn Error + Send + Sync>;

/// [`LedgerError`] before it is handed out.
#[derive(Clone, Debug)]
pub(in crate::ledger) enum Failure {
    /// No room.
    Full(Source),
    /// Not writable.
    ReadOnly(Source),
    /// Not a sound database.
    Corrupt(Source),
    /// SQLite says no more than "I/O error": [`Failure::look_closer`] finds out.
    Io(Source),
    /// A seal key is missing.
    SealKeyMissing(String),
    /// A seal key does not open what names it.
    SealKeyWrong(String),
    /// Anything else.
    Other(Source),
}

impl Failure {
    /// A database that is well-formed for SQLite but not for us.
    pub(super) fn unsound(why: impl Into<String>) -> Self {
        Self::Corrupt(Box::<dyn Error + Send + Sync>::from(why.into()).into())
    }

    /// A bound of our own is reached.
    pub(super) fn no_room(why: &str) -> Self {
        Self::Full(Box::<dyn Error + Send + Sync>::from(why).into())
    }

    /// SQLite hides the errno of a failed write; the same directory shows it again. Blocks.
    pub(super) fn look_closer(self, db: &Path) -> Self {
        match self {
            Self::Io(source) => match try_write(db).map_err(Self::from) {
                Err(Self::Full(_)) => Self::Full(source),
                Err(Self::ReadOnly(_)) => Self::ReadOnly(source),
                Ok(()) | Err(_) => Self::Io(source),
            },
            known => known,
        }
    }

    /// What to show of it in a log.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Full(source)
            | Self::ReadOnly(source)
            | Self::Corrupt(source)
            | Self::Io(source)
            | Self::Other(source) => source.to_string(),
            Self::SealKeyMissing(id) | Self::SealKeyWrong(id) => id.clone(),
        }
    }

    /// The error for one caller.
    pub(super) fn to_error(&self) -> LedgerError {
        match self.clone() {
            Self::Full(source) => LedgerError::Full(Box::new(source)),
            Self::ReadOnly(source) => LedgerError::ReadOnly(Box::new(source)),
            Self::Corrupt(source) => LedgerError::Corrupt(Box::new(source)),
            Self::Io(source) | Self::Other(source) => LedgerError::Other(Box::new(source)),
            Self::SealKeyMissing(id) => LedgerError::SealKeyMissing(id),
            Self::SealKeyWrong(id) => LedgerError::SealKeyWrong(id),
        }
    }
}

/// Opens the database for writing and puts a page beside it.
fn try_write(db: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(db)?;
    let probe = db.with_extension("probe");
    let result = std::fs::write(&probe, [0; 4096]);
    // Nothing depends on the removal: the next probe overwrites it.
    let _ = std::fs::remove_file(&probe);
    result
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        failure.to_error()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        let source = Arc::new(error);
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full(source),
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly(source),
            _ => Self::Other(source),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        // Result codes of SQLite, https://www.sqlite.org/rescode.html; the low byte is the class.
        const PERM: i32 = 3;
        const READONLY: i32 = 8;
        const IOERR: i32 = 10;
        const CORRUPT: i32 = 11;
        const FULL: i32 = 13;
        const CANTOPEN: i32 = 14;
        const NOTADB: i32 = 26;
        /// A checksum of the VFS does not match.
        const IOERR_DATA: i32 = IOERR | 32 << 8;
        /// The file system itself is corrupt.
        const IOERR_CORRUPTFS: i32 = IOERR | 33 << 8;

        let code = match &error {
            sqlx::Error::Database(database) => database.code().and_then(|code| code.parse::<i32>().ok()),
            // A column of ours that holds something else.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Some(CORRUPT),
            _ => None,
        };
        let source = Arc::new(error);
        match (code.unwrap_or(0), code.unwrap_or(0) & 0xff) {
            (IOERR_DATA | IOERR_CORRUPTFS, _) | (_, CORRUPT | NOTADB) => Self::Corrupt(source),
            (_, IOERR) => Self::Io(source),
            (_, FULL) => Self::Full(source),
            (_, READONLY | CANTOPEN | PERM) => Self::ReadOnly(source),
            _ => Self::Other(source),
        }
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::from(error),
            // A ledger of a newer zhongkong is sound: refuse it, set nothing aside.
            other => Self::Other(Arc::new(other)),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Missing(id) => Self::SealKeyMissing(id),
            OpenError::Wrong(id) => Self::SealKeyWrong(id),
            OpenError::NotText => Self::unsound("a stored value is not text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_file_system_are_sorted_by_what_an_operator_must_do() {
        let reason = |errno: rustix::io::Errno| Failure::from(io::Error::from(errno)).to_error().reason();
        for (errno, word) in [
            (rustix::io::Errno::NOSPC, "full"),
            (rustix::io::Errno::FBIG, "full"),
            (rustix::io::Errno::DQUOT, "full"),
            (rustix::io::Errno::ROFS, "read_only"),
            (rustix::io::Errno::ACCESS, "read_only"),
            (rustix::io::Errno::PERM, "read_only"),
            (rustix::io::Errno::IO, "failed"),
        ] {
            assert_eq!(reason(errno), word, "{errno}");
        }
    }
}
