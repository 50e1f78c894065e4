//! The statements: one write applied, everything read.
//!
//! Owns the mapping between the contract's rows and the columns. Every table is read with one
//! query, and the calls of a key arrive as one text: sqlx copies each column of each row, and
//! a day of 20,000 keys has a few hundred thousand calls.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Row as _, Sqlite};

use super::failure::Failure;
use super::peek::Spent;
use crate::clock::{BootId, BootTime, Clock, Stamp, WallTime};
use crate::ledger::seal::{self, Keys};
use crate::ledger::{Call, CallEnd, Calls, Event, PastCall, Record, StoredValue, WINDOW};
use crate::model::{AppId, ErrCode, Generation, Key, Kind, WordError};

/// A query with its arguments.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Separates the fields of a call and the calls of a key in one text. No word of ours and no
/// boot id holds a control character.
const FIELD: char = '\u{1f}';
const CALL: char = '\u{1e}';

/// A query over all keys, and the same over one.
macro_rules! per_key {
    ($select:literal, $and:literal, $tail:literal) => {
        (
            concat!($select, " WHERE ", $and, $tail),
            concat!($select, " WHERE appid = ?4 AND kind = ?5 AND ", $and, $tail),
        )
    };
}

const VALUES: (&str, &str) = per_key!(
    "SELECT appid, kind, generation, fingerprint, value, seal_key, mode, issued_wall, issued_boot,
        issued_boot_id, confirmed_wall, confirmed_boot, confirmed_boot_id, life_ms, verify_wall,
        verify_boot, verify_boot_id, age_known, dead, committed
     FROM stored_values",
    "?1 IS NOT NULL", // every query takes the same arguments
    ""
);

/// Only what is younger than a day or still matters, like [`PastCall::matters`]. ?1 is this
/// boot, ?2 and ?3 a day ago on its clock and on the wall.
const CALLS: (&str, &str) = per_key!(
    "SELECT appid, kind, group_concat(concat_ws(char(31), attempt, mode, cause, sent_wall, sent_boot,
        sent_boot_id, coalesce(ended, ''), coalesce(errcode, '')), char(30))
     FROM calls",
    "(CASE sent_boot_id WHEN ?1 THEN sent_boot > ?2 ELSE sent_wall > ?3 END
       OR (coalesce(ended, 'unknown') = 'unknown' AND mode IN ('classic', 'stable_forced')))",
    " GROUP BY appid, kind"
);

const PAUSES: (&str, &str) =
    per_key!("SELECT appid, kind, until_wall, until_boot, until_boot_id FROM pauses", "?1 IS NOT NULL", "");

/// Where the last day begins, as the queries want it.
pub(super) struct Day {
    boot_id: BootId,
    boot: i64,
    wall: i64,
}

impl Day {
    pub(super) fn until_now(clock: &Clock) -> Self {
        let Stamp { wall, boot, boot_id } = clock.stamp();
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        Self { boot_id, boot: (boot - WINDOW).0, wall: wall.0.saturating_sub(window) }
    }

    fn bind<'q>(&self, sql: &'static str) -> Statement<'q> {
        sqlx::query(sql).bind(self.boot_id.0.to_string()).bind(self.boot).bind(self.wall)
    }
}

/// Calls that one slice of a prune looks at, or all of one account's if those are more. A day of
/// 100,000 keys has five million of them, and the engine's writes wait for no more than a slice.
const SLICE: i64 = 4_000;

/// Drops what counts no more, of the accounts after this one in the order of their names. Says
/// after which to go on; `None` when that was the last. Keeps the bound of [`CALLS`].
pub(super) async fn prune(
    conn: &mut SqliteConnection,
    day: &Day,
    after: Option<&str>,
) -> Result<Option<String>, Failure> {
    const THROUGH: &str = "SELECT appid FROM calls WHERE appid > ? ORDER BY appid LIMIT 1 OFFSET ?";
    const OLD_CALLS: &str = "DELETE FROM calls WHERE appid > ?4 AND appid <= ?5
        AND CASE sent_boot_id WHEN ?1 THEN sent_boot <= ?2 ELSE sent_wall <= ?3 END
        AND NOT (coalesce(ended, 'unknown') = 'unknown' AND mode IN ('classic', 'stable_forced'))";
    /// After every appid.
    const LAST: &str = "\u{7f}";
    let after = after.unwrap_or_default().to_owned();
    let row = sqlx::query(THROUGH).bind(after.clone()).bind(SLICE).fetch_optional(&mut *conn).await?;
    let through = row.map(|row| row.try_get::<String, _>(0)).transpose()?;
    day.bind(OLD_CALLS).bind(after).bind(through.clone().unwrap_or(LAST.to_owned())).execute(conn).await?;
    Ok(through)
}

/// How many calls of each key count in its budget.
pub(super) async fn spent(conn: &mut SqliteConnection, day: &Day) -> Result<Vec<Spent>, Failure> {
    const SPENT: &str = "SELECT appid, kind, count(*), sum(mode = 'stable_forced') FROM calls
        WHERE coalesce(ended, '') <> 'never_sent'
            AND CASE sent_boot_id WHEN ?1 THEN sent_boot > ?2 ELSE sent_wall > ?3 END
        GROUP BY appid, kind ORDER BY appid, kind";
    let mut spent = Vec::new();
    for row in day.bind(SPENT).fetch_all(conn).await? {
        let key = Key::new(word(row.try_get(0)?)?, word(row.try_get(1)?)?);
        let count = |column: usize| -> Result<u32, Failure> {
            Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
        };
        spent.push(Spent { used: count(2)?, forced: count(3)?, key });
    }
    Ok(spent)
}

/// Whether a ledger was set aside within the day.
pub(super) async fn set_aside_since(conn: &mut SqliteConnection, day: &Day) -> Result<bool, Failure> {
    const RECENT: &str = "SELECT 1 FROM set_asides
        WHERE CASE at_boot_id WHEN ?1 THEN at_boot > ?2 ELSE at_wall > ?3 END LIMIT 1";
    Ok(day.bind(RECENT).fetch_optional(conn).await?.is_some())
}

/// Notes that a ledger was set aside under this name.
pub(super) async fn note_set_aside(
    conn: &mut SqliteConnection,
    at: &Stamp,
    file: &str,
) -> Result<(), Failure> {
    const NOTE: &str = "INSERT INTO set_asides (at_wall, at_boot, at_boot_id, file) VALUES (?, ?, ?, ?)";
    bind_stamp(sqlx::query(NOTE), Some(at)).bind(file.to_owned()).execute(conn).await?;
    Ok(())
}

/// Everything, or everything of one key.
pub(super) async fn load(
    conn: &mut SqliteConnection,
    only: Option<&Key>,
    day: &Day,
    keys: &Keys,
) -> Result<HashMap<Key, Record>, Failure> {
    let mut reader = Reader::default();
    let mut records: HashMap<Key, Record> = HashMap::new();
    let pick = |(all, one): (&'static str, &'static str)| match only {
        None => day.bind(all),
        Some(key) => day.bind(one).bind(key.appid.to_string()).bind(key.kind.as_str()),
    };

    let mut values = pick(VALUES).fetch(&mut *conn);
    while let Some(row) = values.try_next().await? {
        let key = reader.key(&row)?;
        let generation = generation(row.try_get(2)?)?;
        let value = reader.value(&row, &key, generation, keys)?;
        let last_attempt = self::generation(row.try_get(19)?)?.max(generation);
        let record = Record { value, last_attempt, ..Record::default() };
        records.insert(key, record);
    }
    drop(values);

    let (mut past, mut parts) = (Vec::new(), Vec::new());
    let mut calls = pick(CALLS).fetch(&mut *conn);
    while let Some(row) = calls.try_next().await? {
        let key = reader.key(&row)?;
        let text: &str = row.try_get(2)?;
        let from = past.len();
        for fields in text.split(CALL) {
            past.push(reader.call(fields, &key)?);
        }
        // They come in the order of the primary key, which SQL does not promise; a look costs less
        // than to have SQLite sort each key's.
        past[from..].sort_by_key(|past: &PastCall| past.call.attempt);
        parts.push((key, from..past.len()));
    }
    drop(calls);
    for (key, calls) in Calls::parts(past, parts) {
        let record = records.entry(key).or_default();
        let last = calls.last().map(|past| past.call.attempt).unwrap_or_default();
        record.last_attempt = record.last_attempt.max(last);
        record.calls = calls;
    }

    let mut pauses = pick(PAUSES).fetch(&mut *conn);
    while let Some(row) = pauses.try_next().await? {
        let key = reader.key(&row)?;
        records.entry(key).or_default().paused_until = reader.stamp(&row, 2)?;
    }
    drop(pauses);

    if set_aside_since(conn, day).await? {
        for record in records.values_mut() {
            record.set_aside = true;
        }
        if let Some(key) = only {
            records.entry(key.clone()).or_default().set_aside = true;
        }
    }
    Ok(records)
}

/// The latest events, newest first.
pub(super) async fn events(
    conn: &mut SqliteConnection,
    of: Option<&AppId>,
    limit: u32,
) -> Result<Vec<Event>, Failure> {
    const ALL: &str = "SELECT appid, kind, at_wall, what, detail FROM events ORDER BY id DESC LIMIT ?1";
    const OF_ONE: &str =
        "SELECT appid, kind, at_wall, what, detail FROM events WHERE appid = ?2 ORDER BY id DESC LIMIT ?1";
    let query = match of {
        None => sqlx::query(ALL).bind(limit),
        Some(appid) => sqlx::query(OF_ONE).bind(limit).bind(appid.to_string()),
    };
    let mut reader = Reader::default();
    let mut events = Vec::new();
    for row in query.fetch_all(conn).await? {
        let key = match row.try_get::<Option<&str>, _>(0)? {
            None => None,
            Some(_) => Some(reader.key(&row)?),
        };
        let at = WallTime(row.try_get(2)?);
        events.push(Event { at, key, what: row.try_get(3)?, detail: row.try_get(4)? });
    }
    Ok(events)
}

/// Binds the three columns of a stamp.
pub(super) fn bind_stamp<'q>(query: Statement<'q>, stamp: Option<&Stamp>) -> Statement<'q> {
    query
        .bind(stamp.map(|stamp| stamp.wall.0))
        .bind(stamp.map(|stamp| stamp.boot.0))
        .bind(stamp.map(|stamp| stamp.boot_id.0.to_string()))
}

/// How an end is stored.
pub(super) fn end_word(end: CallEnd) -> (&'static str, Option<i64>) {
    match end {
        CallEnd::Issued => ("issued", None),
        CallEnd::Refused(code) => ("refused", Some(code.0)),
        CallEnd::NeverSent => ("never_sent", None),
        CallEnd::Unknown => ("unknown", None),
        CallEnd::Settled => ("settled", None),
    }
}

/// Turns columns into words. Texts that repeat from row to row are shared.
#[derive(Default)]
struct Reader {
    appid: Option<AppId>,
    boot_id: Option<BootId>,
}

impl Reader {
    /// The key in the first two columns.
    fn key(&mut self, row: &SqliteRow) -> Result<Key, Failure> {
        let appid: &str = row.try_get(0)?;
        let appid = match &self.appid {
            Some(last) if last.as_str() == appid => last.clone(),
            Some(_) | None => self.appid.insert(word(appid)?).clone(),
        };
        Ok(Key::new(appid, word::<Kind>(row.try_get(1)?)?))
    }

    /// The value from the third column on; `None` when it was forgotten.
    fn value(
        &mut self,
        row: &SqliteRow,
        key: &Key,
        generation: Generation,
        keys: &Keys,
    ) -> Result<Option<StoredValue>, Failure> {
        let (Some(fingerprint), Some(bytes)) =
            (row.try_get::<Option<&str>, _>(3)?, row.try_get::<Option<&[u8]>, _>(4)?)
        else {
            return Ok(None);
        };
        let missing = || Failure::unsound("a stored value has no time");
        let life =
            u64::try_from(row.try_get::<i64, _>(13)?).map_err(|_| Failure::unsound("a life is negative"))?;
        Ok(Some(StoredValue {
            value: seal::open(keys, key, generation, bytes, row.try_get(5)?)?,
            fingerprint: word(fingerprint)?,
            generation,
            mode: word(row.try_get(6)?)?,
            issued: self.stamp(row, 7)?.ok_or_else(missing)?,
            confirmed: self.stamp(row, 10)?.ok_or_else(missing)?,
            life: Duration::from_millis(life),
            verify_at: self.stamp(row, 14)?,
            age_known: row.try_get(17)?,
            dead: row.try_get(18)?,
        }))
    }

    fn stamp(&mut self, row: &SqliteRow, first: usize) -> Result<Option<Stamp>, Failure> {
        let Some(wall) = row.try_get::<Option<i64>, _>(first)? else { return Ok(None) };
        let boot = BootTime(row.try_get(first + 1)?);
        let boot_id = self.boot_id(row.try_get(first + 2)?);
        Ok(Some(Stamp { wall: WallTime(wall), boot, boot_id }))
    }

    fn boot_id(&mut self, text: &str) -> BootId {
        match &self.boot_id {
            Some(last) if *last.0 == *text => last.clone(),
            Some(_) | None => self.boot_id.insert(BootId(Arc::from(text))).clone(),
        }
    }

    fn call(&mut self, fields: &str, key: &Key) -> Result<PastCall, Failure> {
        let mut fields = fields.split(FIELD);
        let mut next = || fields.next().ok_or_else(|| Failure::unsound("a call lacks a column"));
        let attempt = generation(number(next()?)?)?;
        let (mode, cause) = (word(next()?)?, word(next()?)?);
        let (wall, boot) = (WallTime(number(next()?)?), BootTime(number(next()?)?));
        let boot_id = self.boot_id(next()?);
        let end = match (next()?, next()?) {
            ("", _) => None,
            ("issued", _) => Some(CallEnd::Issued),
            ("refused", code) => Some(CallEnd::Refused(ErrCode(number(code)?))),
            ("never_sent", _) => Some(CallEnd::NeverSent),
            ("unknown", _) => Some(CallEnd::Unknown),
            ("settled", _) => Some(CallEnd::Settled),
            _ => return Err(Failure::unsound("a call ended in no known way")),
        };
        let sent = Stamp { wall, boot, boot_id };
        Ok(PastCall { call: Call { key: key.clone(), attempt, mode, cause, sent }, end })
    }
}

fn generation(number: i64) -> Result<Generation, Failure> {
    u64::try_from(number).map(Generation).map_err(|_| Failure::unsound("an attempt's number is negative"))
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::unsound("a number is not one"))
}

fn word<T: FromStr<Err = WordError>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: WordError| Failure::Corrupt(Arc::new(error)))
}
