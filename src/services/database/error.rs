//! What SQLite, PostgreSQL and the file system say, sorted by what to do next.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError as SqlError;
use sqlx::migrate::MigrateError;

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why the database did not do it. A clone is the same failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, or the connection broke. It is tried again with the next request.
    #[error("the database cannot be reached")]
    Away(#[source] Source),
    /// It did not answer in time; what was asked may have been done.
    #[error("the database did not answer within {0:?}")]
    Slow(Duration),
    /// Somebody else holds it for too long.
    #[error("the database is locked by another program")]
    Busy(#[source] Source),
    /// There is no room.
    #[error("the database's disk is full; make room")]
    Full(#[source] Source),
    /// It may be read only.
    #[error("the database cannot be written; make its disk and files writable for the service's user")]
    ReadOnly(#[source] Source),
    /// It is damaged.
    #[error("the database is damaged; stop the service and bring back a backup")]
    Corrupt(#[source] Source),
    /// The file that was there is gone. Nothing is put in its place, which would hide the loss.
    #[error("the database's file is gone; bring it back, or stop the service to begin with an empty one")]
    Gone,
    /// It does not let the service in, or not do this.
    #[error("the database refuses the service: check user, password, database name and its rights")]
    Refused(#[source] Source),
    /// Its tables are not of this release.
    #[error("the database's tables are of another release; install the newest release that wrote to it")]
    Tables(#[source] Source),
    /// Anything else.
    #[error("the database failed")]
    Other(#[source] Source),
}

impl DatabaseError {
    /// The error's name in logs, metrics and status.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Slow(_) => "slow",
            Self::Busy(_) => "busy",
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read_only",
            Self::Corrupt(_) => "corrupt",
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::Tables(_) => "tables",
            Self::Other(_) => "failed",
        }
    }

    /// Whether it may pass by itself. What does not is for the operator, and no reason to start.
    pub fn passes(&self) -> bool {
        match self {
            Self::Away(_) | Self::Slow(_) | Self::Busy(_) => true,
            Self::Full(_)
            | Self::ReadOnly(_)
            | Self::Corrupt(_)
            | Self::Gone
            | Self::Refused(_)
            | Self::Tables(_)
            | Self::Other(_) => false,
        }
    }

    /// Whether the same transaction may be tried again at once: another one was in its way.
    pub(super) fn collided(&self) -> bool {
        match self {
            Self::Busy(source) => source
                .downcast_ref::<sqlx::Error>()
                .and_then(sqlx::Error::as_database_error)
                .and_then(SqlError::code)
                // SQLite has waited already.
                .is_some_and(|code| code.len() == SQLSTATE),
            _ => false,
        }
    }

    /// The sentence and what is behind it, for one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        text
    }
}

/// Characters of a code of PostgreSQL's; SQLite's have fewer.
const SQLSTATE: usize = 5;

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(SqlError::code).map(|code| code.to_string());
        let unique = error.as_database_error().is_some_and(SqlError::is_unique_violation);
        match (&error, code) {
            // Two at once wrote the same; the second try finds what the other has written.
            (_, Some(code)) if unique && code.len() == SQLSTATE => Self::Busy(Arc::new(error)),
            (_, Some(code)) => match code.parse::<i32>() {
                Ok(number) if code.len() < SQLSTATE => of_sqlite(number)(Arc::new(error)),
                Ok(_) | Err(_) => of_postgres(&code)(Arc::new(error)),
            },
            (sqlx::Error::Io(io), None) => match io.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(Arc::new(error)),
                _ => Self::Away(Arc::new(error)),
            },
            (
                sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_),
                None,
            ) => Self::Away(Arc::new(error)),
            // A column that holds something else than we write.
            (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_), None) => {
                Self::Corrupt(Arc::new(error))
            }
            _ => Self::Other(Arc::new(error)),
        }
    }
}

/// Result codes of SQLite, <https://www.sqlite.org/rescode.html>; the low byte is the class.
fn of_sqlite(code: i32) -> fn(Source) -> DatabaseError {
    match code & 0xff {
        5 | 6 => DatabaseError::Busy,
        3 | 8 | 14 => DatabaseError::ReadOnly,
        11 | 26 => DatabaseError::Corrupt,
        13 => DatabaseError::Full,
        _ => DatabaseError::Other,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_postgres(code: &str) -> fn(Source) -> DatabaseError {
    match code {
        // Serialisation failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => DatabaseError::Busy,
        // Shutting down, crashed, starting, too many connections.
        "57P01" | "57P02" | "57P03" | "53300" => DatabaseError::Away,
        "53100" => DatabaseError::Full,
        "25006" => DatabaseError::ReadOnly,
        "42501" | "3D000" => DatabaseError::Refused,
        "XX001" | "XX002" => DatabaseError::Corrupt,
        _ if code.starts_with("08") => DatabaseError::Away,
        _ if code.starts_with("28") => DatabaseError::Refused,
        _ => DatabaseError::Other,
    }
}

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::from(error),
            other => Self::Tables(Arc::new(other)),
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(Arc::new(error)),
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly(Arc::new(error)),
            ErrorKind::NotFound => Self::Gone,
            _ => Self::Other(Arc::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_databases_say_is_sorted_by_what_an_operator_must_do() {
        let source = || -> Source { Arc::new(sqlx::Error::PoolClosed) };
        for (code, reason) in [
            (5, "busy"),
            (517, "busy"), // SQLITE_BUSY_SNAPSHOT
            (8, "read_only"),
            (1032, "read_only"), // SQLITE_READONLY_DBMOVED
            (14, "read_only"),
            (11, "corrupt"),
            (26, "corrupt"),
            (13, "full"),
            (1, "failed"),
        ] {
            assert_eq!(of_sqlite(code)(source()).reason(), reason, "{code}");
        }
        for (code, reason) in [
            ("08006", "away"),
            ("57P03", "away"),
            ("53300", "away"),
            ("40001", "busy"),
            ("53100", "full"),
            ("25006", "read_only"),
            ("28P01", "refused"),
            ("3D000", "refused"),
            ("42501", "refused"),
            ("XX001", "corrupt"),
            ("42P01", "failed"),
        ] {
            assert_eq!(of_postgres(code)(source()).reason(), reason, "{code}");
        }
    }
}
