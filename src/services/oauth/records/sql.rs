//! The notes in the database.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{RecordId, Records, RecordsError};
use crate::clock::{Clock, WallTime};
use crate::seal::{AtRest, KeyId, Keys};
use crate::services::database::{Database, DatabaseError, Statement};

/// Rows that one statement removes: others wait for it no longer than that takes.
const SWEPT_AT_ONCE: i64 = 500;
/// Between two statements that remove, so that logins go first.
const PACE: Duration = Duration::from_millis(50);
/// Between two looks for what has ended.
const SWEEP: Duration = Duration::from_secs(60);

/// Notes in the database's table `oauth_records`.
#[derive(Clone, Debug)]
pub struct SqlRecords {
    database: Database,
    keys: Keys,
    clock: Clock,
}

impl SqlRecords {
    /// In this database, sealed with these keys.
    pub fn new(database: Database, keys: Keys, clock: Clock) -> Self {
        Self { database, keys, clock }
    }

    /// Removes what has ended, a few rows at a time. Returns how many there were.
    ///
    /// Can be cancelled; what was removed stays removed.
    pub async fn sweep(&self) -> Result<u64, DatabaseError> {
        const SWEEP: &str = "DELETE FROM oauth_records WHERE (kind, id) IN
            (SELECT kind, id FROM oauth_records WHERE ends <= $1 ORDER BY ends LIMIT $2)";
        let mut swept = 0;
        loop {
            let mut conn = self.database.conn().await?;
            let now = self.clock.wall().0;
            let gone = conn.execute(sqlx::query(SWEEP).bind(now).bind(SWEPT_AT_ONCE)).await?;
            drop(conn);
            swept += gone;
            if i64::try_from(gone).unwrap_or(SWEPT_AT_ONCE) < SWEPT_AT_ONCE {
                return Ok(swept);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Sweeps every minute. Never returns; a database that fails has been logged.
    pub async fn keep_swept(self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            if let Ok(swept @ 1..) = self.sweep().await {
                tracing::debug!(swept, "{swept} ended logins and sessions were removed");
            }
        }
    }

    fn opened(&self, id: &RecordId, row: Option<AnyRow>) -> Result<Option<Vec<u8>>, RecordsError> {
        let Some(row) = row else { return Ok(None) };
        let sealed: Vec<u8> = row.try_get(0).map_err(DatabaseError::from)?;
        let key: Option<String> = row.try_get(1).map_err(DatabaseError::from)?;
        Ok(Some(self.keys.unseal(&id.bound_to(), &sealed, key.as_deref())?.to_vec()))
    }

    /// A statement with $1 kind, $2 id, $3 sealed, $4 key, $5 end.
    fn writing(&self, sql: &'static str, id: &RecordId, value: &[u8], ends: WallTime) -> Statement<'static> {
        let AtRest { bytes, key } = self.keys.seal(&id.bound_to(), value);
        let key = key.as_ref().map(KeyId::as_str).map(str::to_owned);
        named(sql, id).bind(bytes).bind(key).bind(ends.0)
    }

    async fn execute(&self, statement: Statement<'_>) -> Result<u64, RecordsError> {
        Ok(self.database.conn().await?.execute(statement).await?)
    }

    fn now(&self) -> i64 {
        self.clock.wall().0
    }
}

/// A statement with $1 kind and $2 id.
fn named(sql: &'static str, id: &RecordId) -> Statement<'static> {
    sqlx::query(sql).bind(id.kind.as_str()).bind(id.hash.to_vec())
}

#[async_trait]
impl Records for SqlRecords {
    async fn put(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<(), RecordsError> {
        const PUT: &str = "INSERT INTO oauth_records (kind, id, sealed, seal_key, ends)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (kind, id) DO UPDATE
            SET sealed = excluded.sealed, seal_key = excluded.seal_key, ends = excluded.ends";
        self.execute(self.writing(PUT, id, value, ends)).await.map(drop)
    }

    async fn add(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError> {
        // What has ended and was not swept yet is nothing.
        const ADD: &str = "INSERT INTO oauth_records (kind, id, sealed, seal_key, ends)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (kind, id) DO UPDATE
            SET sealed = excluded.sealed, seal_key = excluded.seal_key, ends = excluded.ends
            WHERE oauth_records.ends <= $6";
        Ok(self.execute(self.writing(ADD, id, value, ends).bind(self.now())).await? > 0)
    }

    async fn replace(&self, id: &RecordId, value: &[u8], ends: WallTime) -> Result<bool, RecordsError> {
        const REPLACE: &str = "UPDATE oauth_records SET sealed = $3, seal_key = $4, ends = $5
            WHERE kind = $1 AND id = $2 AND ends > $6";
        Ok(self.execute(self.writing(REPLACE, id, value, ends).bind(self.now())).await? > 0)
    }

    async fn get(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError> {
        const GET: &str =
            "SELECT sealed, seal_key FROM oauth_records WHERE kind = $1 AND id = $2 AND ends > $3";
        let row = self.database.conn().await?.optional(named(GET, id).bind(self.now())).await?;
        self.opened(id, row)
    }

    async fn take(&self, id: &RecordId) -> Result<Option<Vec<u8>>, RecordsError> {
        const TAKE: &str = "DELETE FROM oauth_records WHERE kind = $1 AND id = $2 AND ends > $3
            RETURNING sealed, seal_key";
        let row = self.database.conn().await?.optional(named(TAKE, id).bind(self.now())).await?;
        self.opened(id, row)
    }

    async fn remove(&self, id: &RecordId) -> Result<(), RecordsError> {
        const REMOVE: &str = "DELETE FROM oauth_records WHERE kind = $1 AND id = $2";
        self.execute(named(REMOVE, id)).await.map(drop)
    }
}
