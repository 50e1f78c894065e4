//! Budgets out of a ledger that another process may own: a look that changes nothing.
//!
//! SQLite makes files beside a database that it reads with a write-ahead log; made by root they
//! would lock the daemon's user out. So a ledger without a log is read as immutable, and one
//! with a log only where nothing needs to be made, or by the user whose it is.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::failure::Failure;
use super::open::{BUSY, with_tail};
use super::rows::{self, Day};
use crate::clock::Clock;
use crate::ledger::LedgerError;
use crate::model::Key;

/// The calls of one key in the last 24 h.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Whose.
    pub key: Key,
    /// Calls that reached WeChat, or may have.
    pub used: u32,
    /// Forced ones among them.
    pub forced: u32,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum PeekError {
    /// There is no ledger.
    #[error("there is no ledger yet")]
    NoLedger,
    /// Looking would make files that the owner could not write.
    #[error("it has a write-ahead log, which only its owner can read without harm")]
    NotOurs,
    /// It cannot be read.
    #[error("it cannot be read")]
    Ledger(#[from] LedgerError),
}

/// The calls of each key that has some, by key.
pub async fn peek(path: &Path, clock: &Clock) -> Result<Vec<Spent>, PeekError> {
    let Ok(meta) = path.metadata() else { return Err(PeekError::NoLedger) };
    let log = with_tail(path, "-wal").metadata().is_ok_and(|log| log.len() > 0);
    let indexed = with_tail(path, "-shm").exists();
    if log && !indexed && meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(PeekError::NotOurs);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!log)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let read = async {
        let mut conn = options.connect().await?;
        let spent = rows::spent(&mut conn, &Day::until_now(clock)).await;
        conn.close().await?;
        spent
    };
    read.await.map_err(|failure: Failure| PeekError::Ledger(failure.into()))
}
