//! The audit's statements: a batch appended in a transaction of its own, a page read.
//!
//! Never in one transaction with what the engine writes, so that no failure here fails an
//! intent or a commit. Where the ledger's size is limited, the audit leaves a quarter of it to
//! the engine: beyond that its oldest rows make room, and when there is none left it is full.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::failure::Failure;
use super::rows::Statement;
use crate::clock::WallTime;
use crate::ledger::{AuditAction, AuditEntry, AuditForm, AuditPage, AuditQuery, AuditRow, AuditShare};
use crate::model::{AppId, Fingerprint, Generation, Kind};

/// Rows that one transaction drops at most, so that a bound made smaller is reached in steps.
/// More than a batch adds.
const CHUNK: i64 = 2_000;
/// Fewer dropped rows than this may not have freed a page: twice the daemon's batch.
const BATCH: usize = 256;
/// Rows that are dropped where the size leaves no room.
const ROOM: i64 = 512;
/// Rows that one question looks at; the engine's writes wait for no longer than that.
const SCAN: i64 = 20_000;
/// Rows that one question brings.
const PAGE: i64 = 500;

/// Whether there was room for the entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// They are added.
    Found,
    /// They are not; what was dropped to make room stays dropped.
    None,
}

/// Adds the entries and drops what is beyond the bound.
pub(super) async fn append(
    conn: &mut SqliteConnection,
    entries: &[AuditEntry],
    max_rows: u32,
    max_bytes: Option<u64>,
) -> Result<Room, Failure> {
    if let Some(max_bytes) = max_bytes
        && make_room(conn, max_bytes, entries.len()).await? == Room::None
    {
        return Ok(Room::None);
    }
    for entry in entries {
        let added = match entry.form {
            AuditForm::Single => false,
            AuditForm::Hourly(..) => add(conn, entry).await?,
        };
        if !added {
            insert(conn, entry).await?;
        }
    }
    for share in AuditShare::ALL {
        bound(conn, share, max_rows).await?;
    }
    Ok(Room::Found)
}

async fn add(conn: &mut SqliteConnection, entry: &AuditEntry) -> Result<bool, Failure> {
    const ADD: &str = "UPDATE audit SET count = count + ?11, first_wall = min(first_wall, ?12),
        last_wall = max(last_wall, ?13)
        WHERE hour >= 0 AND hour = ?2 AND client = ?3 AND origin = ?4 AND appid = ?6 AND kind = ?7 AND share = ?1
            AND action = ?5 AND outcome = ?8 AND fingerprint = ?9 AND generation = ?10";
    Ok(bind(sqlx::query(ADD), entry).execute(conn).await?.rows_affected() > 0)
}

async fn insert(conn: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), Failure> {
    const INSERT: &str = "INSERT INTO audit (seq, share, hour, client, origin, action, appid, kind, outcome,
            fingerprint, generation, count, first_wall, last_wall)
        VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM audit WHERE share = ?1),
            ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    bind(sqlx::query(INSERT), entry).execute(conn).await?;
    Ok(())
}

async fn bound(conn: &mut SqliteConnection, share: AuditShare, max_rows: u32) -> Result<(), Failure> {
    const BOUND: &str = "DELETE FROM audit WHERE share = ?1
        AND seq <= (SELECT max(seq) FROM audit WHERE share = ?1) - ?2
        AND seq < (SELECT min(seq) FROM audit WHERE share = ?1) + ?3";
    sqlx::query(BOUND)
        .bind(share.as_str())
        .bind(i64::from(share.rows(max_rows)))
        .bind(CHUNK)
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the oldest rows where the ledger's size leaves none, whatever their share.
async fn make_room(conn: &mut SqliteConnection, max_bytes: u64, wanted: usize) -> Result<Room, Failure> {
    const OLDEST: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?)";
    let used = number(conn, "PRAGMA page_count").await? - number(conn, "PRAGMA freelist_count").await?;
    let used = used.saturating_mul(number(conn, "PRAGMA page_size").await?);
    if used.unsigned_abs() <= max_bytes / 4 * 3 {
        return Ok(Room::Found);
    }
    let dropped = sqlx::query(OLDEST).bind(ROOM).execute(conn).await?.rows_affected();
    // As many rows as are to come, or more: the file does not grow by them.
    Ok(if usize::try_from(dropped).is_ok_and(|dropped| dropped >= wanted.max(BATCH)) {
        Room::Found
    } else {
        Room::None
    })
}

async fn number(conn: &mut SqliteConnection, pragma: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query(pragma).fetch_one(conn).await?.try_get(0)?)
}

/// The newest rows that are asked for, among the next ones to be looked at.
pub(super) async fn page(conn: &mut SqliteConnection, asked: &AuditQuery) -> Result<AuditPage, Failure> {
    const ENDS: &str = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM audit";
    const ROWS: &str = "SELECT id, share, hour, client, origin, action, appid, kind, outcome, fingerprint,
            generation, count, first_wall, last_wall
        FROM audit
        WHERE id < ?1 AND id >= ?2 AND (?3 IS NULL OR client = ?3) AND (?4 IS NULL OR appid = ?4)
            AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR instr(?6, ',' || action || ',') > 0)
            AND (?7 IS NULL OR last_wall >= ?7) AND (?8 IS NULL OR first_wall < ?8)
        ORDER BY id DESC LIMIT ?9";
    let ends = sqlx::query(ENDS).fetch_one(&mut *conn).await?;
    let (oldest, newest): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
    let before = asked.before.map_or(i64::MAX, column).min(newest.saturating_add(1));
    let from = before.saturating_sub(SCAN);
    let AuditQuery { client, appid, kind, actions, since, until, before: _ } = asked;
    let actions: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
    let found = sqlx::query(ROWS)
        .bind(before)
        .bind(from)
        .bind(client.clone())
        .bind(appid.as_ref().map(AppId::to_string))
        .bind(kind.map(Kind::as_str))
        .bind((!actions.is_empty()).then(|| format!(",{},", actions.join(","))))
        .bind(since.map(|at| at.0))
        .bind(until.map(|at| at.0))
        .bind(PAGE)
        .fetch_all(conn)
        .await?;
    let last = match found.last() {
        Some(row) if i64::try_from(found.len()) == Ok(PAGE) => row.try_get(0)?,
        Some(_) | None => from,
    };
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        rows.extend(read(row)?);
    }
    Ok(AuditPage { rows, next: (last > oldest).then_some(last.unsigned_abs()) })
}

/// A row; none if a newer version wrote an action that this one does not know.
fn read(row: &SqliteRow) -> Result<Option<AuditRow>, Failure> {
    let Ok(action) = row.try_get::<&str, _>(5)?.parse::<AuditAction>() else { return Ok(None) };
    let share = row.try_get::<&str, _>(1)?;
    let Some(share) = AuditShare::ALL.into_iter().find(|known| known.as_str() == share) else {
        return Ok(None);
    };
    let form = match row.try_get::<i64, _>(2)? {
        -1 => AuditForm::Single,
        hour => AuditForm::Hourly(hour, share),
    };
    let generation: i64 = row.try_get(10)?;
    let entry = AuditEntry {
        form,
        client: row.try_get::<&str, _>(3)?.into(),
        origin: row.try_get::<&str, _>(4)?.into(),
        action,
        appid: word::<AppId>(row.try_get(6)?)?,
        kind: word::<Kind>(row.try_get(7)?)?,
        outcome: row.try_get::<String, _>(8)?.into(),
        fingerprint: word::<Fingerprint>(row.try_get(9)?)?,
        generation: u64::try_from(generation).ok().map(Generation),
        count: row.try_get::<i64, _>(11)?.unsigned_abs(),
        first: WallTime(row.try_get(12)?),
        last: WallTime(row.try_get(13)?),
    };
    Ok(Some(AuditRow { id: row.try_get::<i64, _>(0)?.unsigned_abs(), entry }))
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| Failure::unsound(error.to_string()))
}

fn bind<'q>(query: Statement<'q>, entry: &AuditEntry) -> Statement<'q> {
    let hour = match entry.form {
        AuditForm::Single => -1,
        AuditForm::Hourly(hour, _) => hour,
    };
    query
        .bind(entry.share().as_str())
        .bind(hour)
        .bind(entry.client.to_string())
        .bind(entry.origin.to_string())
        .bind(entry.action.as_str())
        .bind(entry.appid.as_ref().map(AppId::to_string).unwrap_or_default())
        .bind(entry.kind.map(Kind::as_str).unwrap_or_default())
        .bind(entry.outcome.to_string())
        .bind(entry.fingerprint.map(|print| print.to_string()).unwrap_or_default())
        .bind(entry.generation.map_or(-1, |generation| column(generation.0)))
        .bind(column(entry.count))
        .bind(entry.first.0)
        .bind(entry.last.0)
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
