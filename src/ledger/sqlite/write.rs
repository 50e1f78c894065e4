//! The writes, and the statements that each of them is.
//!
//! Each is whole by itself and may be repeated. They run inside the writer's transaction.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::failure::Failure;
use super::rows::{Statement, bind_stamp, end_word};
use crate::clock::Stamp;
use crate::ledger::seal::{self, AtRest, KeyId, Keys};
use crate::ledger::{Call, CallEnd, Committed, Event, MAX_EVENTS, StoredValue};
use crate::model::{Generation, Key};

/// What the trait's methods ask for, to be queued.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Begin(Call),
    Commit(Call, Box<StoredValue>),
    Finish(Call, CallEnd),
    Settle(Key, Generation),
    Withdraw(Key, Generation),
    Pause(Key, Option<Stamp>),
    Record(Event),
}

impl Write {
    /// Refuses what no column holds, before it could fail the others of its transaction.
    pub(super) fn check(self) -> Result<Self, Failure> {
        let number = match &self {
            Self::Begin(call) | Self::Finish(call, _) => call.attempt,
            Self::Commit(call, value) => call.attempt.max(value.generation),
            Self::Settle(_, through) => *through,
            Self::Withdraw(_, generation) => *generation,
            Self::Pause(..) | Self::Record(_) => Generation::default(),
        };
        match i64::try_from(number.0) {
            Ok(_) => Ok(self),
            Err(error) => Err(Failure::Other(Arc::new(error))),
        }
    }

    /// Does it. What is not a commit is always [`Committed::Stored`].
    pub(super) async fn apply(&self, conn: &mut SqliteConnection, keys: &Keys) -> Result<Committed, Failure> {
        match self {
            Self::Begin(call) => begin(conn, call).await?,
            Self::Commit(call, value) => return commit(conn, call, value, keys).await,
            Self::Finish(call, end) => finish(conn, call, *end).await?,
            Self::Settle(key, through) => settle_before(conn, key, Generation(through.0 + 1)).await?,
            Self::Withdraw(key, generation) => withdraw(conn, key, *generation).await?,
            Self::Pause(key, until) => pause(conn, key, until.as_ref()).await?,
            Self::Record(event) => record(conn, event).await?,
        }
        Ok(Committed::Stored)
    }
}

const INSERT_CALL: &str = "INSERT INTO calls
    (appid, kind, attempt, mode, cause, sent_wall, sent_boot, sent_boot_id, ended, errcode)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, NULL) ON CONFLICT DO NOTHING";
/// A repeated or late end changes no row that is final; see `Ledger::finish`.
const FINISH_CALL: &str = "INSERT INTO calls
    (appid, kind, attempt, mode, cause, sent_wall, sent_boot, sent_boot_id, ended, errcode)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
        CASE WHEN ?9 = 'unknown' AND EXISTS (SELECT 1 FROM stored_values
            WHERE appid = ?1 AND kind = ?2 AND committed > ?3) THEN 'settled' ELSE ?9 END,
        ?10)
    ON CONFLICT DO UPDATE SET ended = excluded.ended, errcode = excluded.errcode
    WHERE ended IS NULL OR ended NOT IN ('issued', 'settled')";
const ISSUE_CALL: &str = "INSERT INTO calls
    (appid, kind, attempt, mode, cause, sent_wall, sent_boot, sent_boot_id, ended, errcode)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'issued', NULL)
    ON CONFLICT DO UPDATE SET ended = 'issued', errcode = NULL";

async fn begin(conn: &mut SqliteConnection, call: &Call) -> Result<(), Failure> {
    bind_call(sqlx::query(INSERT_CALL), call).execute(conn).await?;
    Ok(())
}

async fn finish(conn: &mut SqliteConnection, call: &Call, end: CallEnd) -> Result<(), Failure> {
    const ONLY_THE_LATEST: &str =
        "DELETE FROM calls WHERE appid = ? AND kind = ? AND attempt < ? AND ended = 'never_sent'";
    let (word, code) = end_word(end);
    let query = bind_call(sqlx::query(FINISH_CALL), call).bind(word).bind(code);
    let noted = query.execute(&mut *conn).await?.rows_affected() > 0;
    if noted && end == CallEnd::NeverSent {
        bind_key(sqlx::query(ONLY_THE_LATEST), &call.key).bind(column(call.attempt)).execute(conn).await?;
    }
    Ok(())
}

async fn commit(
    conn: &mut SqliteConnection,
    call: &Call,
    new: &StoredValue,
    keys: &Keys,
) -> Result<Committed, Failure> {
    const STORED: &str = "SELECT committed, fingerprint FROM stored_values WHERE appid = ? AND kind = ?";
    let stored = bind_key(sqlx::query(STORED), &call.key).fetch_optional(&mut *conn).await?;
    let stored = match stored {
        None => None,
        Some(row) => Some((row.try_get::<i64, _>(0)?, row.try_get::<Option<String>, _>(1)?)),
    };
    match stored {
        Some((_, Some(print))) if print == new.fingerprint.to_string() => confirm(conn, call, new).await?,
        Some((committed, _)) if committed >= column(call.attempt) => {
            finish(conn, call, CallEnd::Settled).await?;
            return Ok(Committed::Fenced(Generation(committed.unsigned_abs())));
        }
        Some(_) | None => replace(conn, call, new, keys).await?,
    }
    bind_call(sqlx::query(ISSUE_CALL), call).execute(&mut *conn).await?;
    settle_before(conn, &call.key, call.attempt).await?;
    Ok(Committed::Stored)
}

/// The stored string came again: only its expiry moves.
async fn confirm(conn: &mut SqliteConnection, call: &Call, new: &StoredValue) -> Result<(), Failure> {
    const CONFIRM: &str = "UPDATE stored_values SET confirmed_wall = ?3, confirmed_boot = ?4,
        confirmed_boot_id = ?5, verify_wall = ?6, verify_boot = ?7, verify_boot_id = ?8, life_ms = ?9,
        age_known = ?10, committed = max(committed, ?11) WHERE appid = ?1 AND kind = ?2";
    let query = bind_stamp(bind_key(sqlx::query(CONFIRM), &call.key), Some(&new.confirmed));
    let query = bind_stamp(query, new.verify_at.as_ref());
    let query = query.bind(life_ms(new)).bind(new.age_known).bind(column(call.attempt));
    query.execute(conn).await?;
    Ok(())
}

async fn replace(
    conn: &mut SqliteConnection,
    call: &Call,
    new: &StoredValue,
    keys: &Keys,
) -> Result<(), Failure> {
    const REPLACE: &str = "INSERT OR REPLACE INTO stored_values
        (appid, kind, generation, committed, fingerprint, value, seal_key, mode, issued_wall, issued_boot,
         issued_boot_id, confirmed_wall, confirmed_boot, confirmed_boot_id, verify_wall, verify_boot,
         verify_boot_id, life_ms, age_known, dead)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let AtRest { bytes, key } = seal::seal(keys, &call.key, new.generation, &new.value);
    let query = bind_key(sqlx::query(REPLACE), &call.key)
        .bind(column(new.generation))
        .bind(column(call.attempt))
        .bind(new.fingerprint.to_string())
        .bind(bytes)
        .bind(key.as_ref().map(KeyId::to_string))
        .bind(new.mode.as_str());
    let query = bind_stamp(query, Some(&new.issued));
    let query = bind_stamp(query, Some(&new.confirmed));
    let query = bind_stamp(query, new.verify_at.as_ref());
    query.bind(life_ms(new)).bind(new.age_known).bind(new.dead).execute(conn).await?;
    Ok(())
}

/// Settles what is open or unknown before (not at) this number.
async fn settle_before(conn: &mut SqliteConnection, key: &Key, number: Generation) -> Result<(), Failure> {
    const SETTLE: &str = "UPDATE calls SET ended = 'settled'
        WHERE appid = ? AND kind = ? AND attempt < ? AND coalesce(ended, 'unknown') = 'unknown'";
    bind_key(sqlx::query(SETTLE), key).bind(column(number)).execute(conn).await?;
    Ok(())
}

async fn withdraw(conn: &mut SqliteConnection, key: &Key, generation: Generation) -> Result<(), Failure> {
    const WITHDRAW: &str =
        "UPDATE stored_values SET dead = 1 WHERE appid = ? AND kind = ? AND generation = ?";
    bind_key(sqlx::query(WITHDRAW), key).bind(column(generation)).execute(conn).await?;
    Ok(())
}

async fn pause(conn: &mut SqliteConnection, key: &Key, until: Option<&Stamp>) -> Result<(), Failure> {
    const LIFT: &str = "DELETE FROM pauses WHERE appid = ? AND kind = ?";
    const PAUSE: &str = "INSERT OR REPLACE INTO pauses (appid, kind, until_wall, until_boot, until_boot_id)
        VALUES (?, ?, ?, ?, ?)";
    let query = match until {
        None => bind_key(sqlx::query(LIFT), key),
        Some(_) => bind_stamp(bind_key(sqlx::query(PAUSE), key), until),
    };
    query.execute(conn).await?;
    Ok(())
}

async fn record(conn: &mut SqliteConnection, event: &Event) -> Result<(), Failure> {
    const RECORD: &str = "INSERT INTO events (at_wall, appid, kind, what, detail) VALUES (?, ?, ?, ?, ?)";
    // Ids have no gaps, because nothing else inserts and a transaction that fails gives its ids back.
    const BOUND: &str = "DELETE FROM events WHERE id <= ?";
    let inserted = sqlx::query(RECORD)
        .bind(event.at.0)
        .bind(event.key.as_ref().map(|key| key.appid.to_string()))
        .bind(event.key.as_ref().map(|key| key.kind.as_str()))
        .bind(event.what.clone())
        .bind(event.detail.clone())
        .execute(&mut *conn)
        .await?;
    let last_dropped = inserted.last_insert_rowid() - i64::from(MAX_EVENTS);
    sqlx::query(BOUND).bind(last_dropped).execute(conn).await?;
    Ok(())
}

fn bind_key<'q>(query: Statement<'q>, key: &Key) -> Statement<'q> {
    query.bind(key.appid.to_string()).bind(key.kind.as_str())
}

fn bind_call<'q>(query: Statement<'q>, call: &Call) -> Statement<'q> {
    let query = bind_key(query, &call.key)
        .bind(column(call.attempt))
        .bind(call.mode.as_str())
        .bind(call.cause.as_str());
    bind_stamp(query, Some(&call.sent))
}

/// [`Write::check`] has refused what does not fit; one more than that is no number of a row.
fn column(number: Generation) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
}

fn life_ms(value: &StoredValue) -> i64 {
    i64::try_from(value.life.as_millis()).unwrap_or(i64::MAX)
}
