//! Whether a file is a sound ledger, which is found out by reading all of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::failure::Failure;
use super::open::{BUSY, Before, Settings, aside_within_a_day, migrate, migrations};
use super::rows::{self, Day};
use super::write::Write;
use crate::clock::Clock;
use crate::ledger::{Event, Record};
use crate::model::Key;

/// Migrates and reads everything once: what cannot be read is not a ledger.
pub(super) async fn check(
    conn: &mut SqliteConnection,
    settings: &Settings,
    clock: &Clock,
    before: Before,
    aside: Option<&Path>,
) -> Result<(HashMap<Key, Record>, bool), Failure> {
    // Both look at every page, so each has its own connection, which is a thread of its own.
    let (verdict, early) = tokio::join!(verdict(conn), read_early(settings, clock));
    let verdict = verdict?;
    if verdict != "ok" {
        return Err(Failure::unsound(verdict));
    }
    migrate(conn).await?;
    // A process may have died between setting a ledger aside and noting it in the new one.
    let earlier = match before {
        Before::Nothing => aside_within_a_day(&settings.path, clock.wall())?,
        Before::File => None,
    };
    let noted = aside.and_then(Path::file_name).map(OsStr::to_owned).or(earlier);
    if let Some(file) = &noted {
        note_set_aside(conn, settings, clock, &file.to_string_lossy()).await?;
    }
    let day = Day::until_now(clock);
    let records = match early {
        Some(records) if noted.is_none() => records,
        Some(_) | None => rows::load(conn, None, &day, &settings.seal).await.map_err(missing_is_unsound)?,
    };
    rows::events(conn, None, 1).await.map_err(missing_is_unsound)?;
    let set_aside_recently = rows::set_aside_since(conn, &day).await.map_err(missing_is_unsound)?;
    // The verdict went over every page, and those in the cache would stay there: megabytes that
    // nobody reads again.
    sqlx::raw_sql("PRAGMA shrink_memory").execute(conn).await?;
    Ok((records, set_aside_recently))
}

async fn verdict(conn: &mut SqliteConnection) -> Result<String, Failure> {
    Ok(sqlx::query("PRAGMA quick_check(1)").fetch_one(conn).await?.try_get(0)?)
}

/// Reads everything while the file is still being checked. Writes nothing, and any failure only
/// means that it is read again once it was: then it is known what the matter is.
async fn read_early(settings: &Settings, clock: &Clock) -> Option<HashMap<Key, Record>> {
    const NEWEST: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";
    let newest = migrations().iter().map(|migration| migration.version).max();
    let options = SqliteConnectOptions::new()
        .filename(&settings.path)
        .read_only(true)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .row_buffer_size(1_024)
        .disable_statement_logging();
    let mut conn = options.connect().await.ok()?;
    let read = async {
        let version: Option<i64> = sqlx::query(NEWEST).fetch_one(&mut conn).await?.try_get(0)?;
        if version != newest {
            return Ok(None);
        }
        rows::load(&mut conn, None, &Day::until_now(clock), &settings.seal).await.map(Some)
    };
    let records = read.await.unwrap_or_default();
    // Never the last connection, so that closing it writes nothing either.
    conn.close().await.ok()?;
    records
}

/// The migrations are all applied: when a table or a column is missing all the same, somebody
/// or something has changed the schema.
fn missing_is_unsound(failure: Failure) -> Failure {
    match failure {
        Failure::Other(source) if source.to_string().contains("no such ") => Failure::Corrupt(source),
        other => other,
    }
}

async fn note_set_aside(
    conn: &mut SqliteConnection,
    settings: &Settings,
    clock: &Clock,
    file: &str,
) -> Result<(), Failure> {
    let event = Event {
        at: clock.wall(),
        key: None,
        what: "ledger_set_aside".to_owned(),
        detail: format!("the ledger was corrupt and is kept as {file}; each value is fetched anew"),
    };
    let mut transaction = conn.begin().await?;
    rows::note_set_aside(&mut transaction, &clock.stamp(), file).await?;
    Write::Record(event).apply(&mut transaction, &settings.seal).await?;
    transaction.commit().await?;
    Ok(())
}
