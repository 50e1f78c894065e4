//! One connection in use: statements within a limit, transactions that end.

use std::mem;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};
use tokio::time::{Instant, timeout};

use super::{Backend, Database, DatabaseError, LIMIT};
use crate::telemetry::services as metrics;

/// As the pool lends it.
pub(super) type Pooled = PoolConnection<Any>;
/// A statement with its arguments.
pub type Statement<'q> = Query<'q, Any, AnyArguments>;

/// A connection. Dropped in the middle of anything, it is closed and not used again, which also
/// rolls back what was not committed.
pub struct Conn {
    database: Database,
    inner: Pooled,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Ready for another user.
    Idle,
    /// In a transaction.
    Transaction,
    /// A statement was begun and has not ended well.
    Odd,
}

impl Conn {
    pub(super) fn new(database: Database, inner: Pooled) -> Self {
        Self { database, inner, standing: Standing::Idle }
    }

    /// Runs a statement and says how many rows it changed.
    pub async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, DatabaseError> {
        self.guard(async |conn| statement.execute(conn).await.map(|done| done.rows_affected())).await
    }

    /// The row of a statement, if there is one.
    pub async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<AnyRow>, DatabaseError> {
        self.guard(async |conn| statement.fetch_optional(conn).await).await
    }

    /// The rows of a statement that has a `LIMIT`.
    pub async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<AnyRow>, DatabaseError> {
        self.guard(async |conn| statement.fetch_all(conn).await).await
    }

    /// Begins a transaction that no other one can interleave with.
    pub async fn begin(&mut self) -> Result<(), DatabaseError> {
        self.execute(sqlx::query(match self.database.backend() {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }))
        .await?;
        self.standing = Standing::Transaction;
        Ok(())
    }

    /// Commits it.
    pub async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.execute(sqlx::query("COMMIT")).await?;
        self.standing = Standing::Idle;
        Ok(())
    }

    /// Lets what was committed survive a loss of power, and what was deleted be overwritten.
    pub async fn make_durable(&mut self) -> Result<(), DatabaseError> {
        match self.database.backend() {
            // A busy reader keeps a part of the log; the next one takes it along.
            Backend::Sqlite => self.optional(sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")).await.map(drop),
            // It always does.
            Backend::Postgres => Ok(()),
        }
    }

    async fn guard<T, F>(&mut self, work: F) -> Result<T, DatabaseError>
    where
        F: AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    {
        let before = mem::replace(&mut self.standing, Standing::Odd);
        let begun = Instant::now();
        let result = match timeout(LIMIT, work(&mut self.inner)).await {
            Ok(result) => result.map_err(DatabaseError::from),
            Err(_) => Err(DatabaseError::Slow(LIMIT)),
        };
        metrics::store_took("database", begun.elapsed());
        match result {
            Ok(value) => {
                self.standing = before;
                self.database.succeeded();
                Ok(value)
            }
            Err(error) if error.collided() => Err(error),
            Err(error) => Err(self.database.failed(error)),
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.standing != Standing::Idle {
            self.inner.close_on_drop();
        }
    }
}
