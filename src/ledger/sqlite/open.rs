//! From a path to a sound, migrated, writable database; or to a new one beside a dated old one.
//!
//! Nothing is ever deleted: a file that is not a sound ledger is renamed with its WAL. A ledger
//! of a newer version and a seal key that does not fit are no corruption: they are refused.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _};

use super::check;
use super::failure::Failure;
use crate::clock::{Clock, WallTime};
use crate::ledger::lock::{FILE_MODE, StateDir};
use crate::ledger::seal::Keys;
use crate::ledger::{LedgerError, Record, WINDOW};
use crate::model::Key;

/// How long SQLite waits for somebody who reads the file with another program. Shorter than
/// the second that the engine gives a write.
pub(super) const BUSY: Duration = Duration::from_millis(500);

/// Where the ledger is and how its values are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database, `ledger.db` in the state directory.
    pub path: PathBuf,
    /// The keys that seal values.
    pub seal: Keys,
    /// Largest size of the database in bytes (its WAL is not counted); `None`: the disk decides.
    pub max_bytes: Option<u64>,
}

/// A database that was found sound.
pub(super) struct Sound {
    pub(super) conn: SqliteConnection,
    pub(super) records: HashMap<Key, Record>,
    pub(super) set_aside: Option<PathBuf>,
    pub(super) set_aside_recently: bool,
}

/// A database that was not, with its connection if there was one.
struct Unsound(Failure, Option<Box<SqliteConnection>>);

/// What was at the path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing, or an empty file, which is the same.
    Nothing,
    /// A file.
    File,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// To write, or to say why it cannot.
    Write,
    /// To read a file on a read-only file system.
    Read,
}

/// Opens the database, setting an unsound one aside. Looks at files without leaving the
/// thread: nothing else happens yet when a ledger is opened.
pub(super) async fn open(settings: &Settings, clock: &Clock) -> Result<Sound, Failure> {
    let path = &settings.path;
    let Unsound(failure, conn) = match try_open(settings, clock, None).await {
        Ok(sound) => return Ok(sound),
        Err(unsound) => unsound,
    };
    let aside = match &failure {
        Failure::Corrupt(_) => set_aside(path, clock.wall()).map_err(Failure::from),
        _ => Err(failure.clone()),
    };
    // Only after the renames: closing would write the WAL into the file and delete it.
    close(conn).await;
    let aside = aside.map_err(|failure| failure.look_closer(path))?;
    tracing::error!(
        path = %aside.display(),
        error = failure.source(),
        "the ledger was corrupt and is set aside as {}; a new one begins, every credential is fetched once, and \
         forced refreshes wait for 24 h",
        aside.display(),
    );
    match try_open(settings, clock, Some(aside)).await {
        Ok(sound) => Ok(sound),
        Err(Unsound(failure, conn)) => {
            close(conn).await;
            Err(failure.look_closer(path))
        }
    }
}

/// Drops the stored values, and nothing else: the deliberate way on when a seal key is lost.
/// Generations (the fence), calls, pauses and events stay. Says how many values there were.
///
/// # Errors
/// [`LedgerError::InUse`] while a daemon runs; a corrupt ledger is not set aside here.
pub async fn forget_values(settings: &Settings) -> Result<u64, LedgerError> {
    const FORGET: &str =
        "UPDATE stored_values SET value = NULL, fingerprint = NULL, seal_key = NULL, dead = 0
        WHERE value IS NOT NULL";
    let _lock = StateDir::lock(state_dir(&settings.path))?;
    prepare_file(&settings.path)?;
    let mut conn = connect(settings).await?;
    let forgotten = async {
        migrations().run_direct(None, &mut conn, false).await?;
        let done = sqlx::query(FORGET).execute(&mut conn).await?;
        Ok::<_, Failure>(done.rows_affected())
    };
    let forgotten = forgotten.await;
    conn.close().await.map_err(Failure::from)?;
    Ok(forgotten?)
}

/// A connection as the ledger wants it.
pub(super) async fn connect(settings: &Settings) -> Result<SqliteConnection, Failure> {
    match try_connect(settings).await {
        Ok(conn) => Ok(conn),
        Err(Unsound(failure, conn)) => {
            close(conn).await;
            Err(failure)
        }
    }
}

/// The directory of a ledger.
pub(super) fn state_dir(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

async fn try_open(settings: &Settings, clock: &Clock, aside: Option<PathBuf>) -> Result<Sound, Unsound> {
    let without = |failure| Unsound(failure, None);
    let before = prepare_file(&settings.path).map_err(without)?;
    let mut conn = try_connect(settings).await?;
    match check::check(&mut conn, settings, clock, before, aside.as_deref()).await {
        Ok((records, set_aside_recently)) => {
            Ok(Sound { conn, records, set_aside: aside, set_aside_recently })
        }
        Err(failure) => Err(Unsound(failure, Some(Box::new(conn)))),
    }
}

async fn close(conn: Option<Box<SqliteConnection>>) {
    if let Some(conn) = conn {
        // The failure before it is the news, not what closing says.
        let _ = conn.close().await;
    }
}

/// A connection to write with, or one to read with where nothing can be written.
async fn try_connect(settings: &Settings) -> Result<SqliteConnection, Unsound> {
    let without = |failure| Unsound(failure, None);
    let mut conn = establish(settings, Access::Write).await.map_err(without)?;
    match tune(&mut conn, settings).await {
        Ok(()) => Ok(conn),
        // SQLite cannot make the index of a WAL here. With no WAL the file is all there is, and
        // nobody can change it.
        Err(Failure::ReadOnly(_)) if !taken(&with_tail(&settings.path, "-wal")) => {
            close(Some(Box::new(conn))).await;
            establish(settings, Access::Read).await.map_err(without)
        }
        Err(failure) => Err(Unsound(failure, Some(Box::new(conn)))),
    }
}

async fn establish(settings: &Settings, access: Access) -> Result<SqliteConnection, Failure> {
    let read_only = match access {
        Access::Write => false,
        Access::Read => true,
    };
    let options = SqliteConnectOptions::new()
        .filename(&settings.path)
        .read_only(read_only)
        .immutable(read_only)
        .create_if_missing(false) // prepare_file did, with the right mode
        .busy_timeout(BUSY)
        .row_buffer_size(1_024)
        .foreign_keys(false) // the schema has none
        .disable_statement_logging();
    Ok(options.connect().await?)
}

async fn tune(conn: &mut SqliteConnection, settings: &Settings) -> Result<(), Failure> {
    let mode: String = sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut *conn).await?.try_get(0)?;
    if mode != "wal" {
        return Err(Failure::Other(Arc::new(io::Error::other(format!("the journal mode stays {mode}")))));
    }
    // FULL: a commit is on disk when it returns (S8). secure_delete: what was replaced or
    // forgotten is overwritten, not only unlinked.
    sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON").execute(&mut *conn).await?;
    if let Some(max_bytes) = settings.max_bytes {
        let page: i64 = sqlx::query("PRAGMA page_size").fetch_one(&mut *conn).await?.try_get(0)?;
        let pages = max_bytes / page.unsigned_abs().max(512);
        let pragma = AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages.max(1)));
        sqlx::raw_sql(pragma).execute(conn).await?;
    }
    Ok(())
}

/// Brings the tables up to date. A disk that is full or read-only must not keep an older ledger
/// from being served: without the audit's table the audit is dropped and counted, that is all.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<(), Failure> {
    const FIRST: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'set_asides'";
    let failure = match migrations().run_direct(None, &mut *conn, false).await.map_err(Failure::from) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let tables: i64 = match &failure {
        Failure::Full(_) | Failure::ReadOnly(_) | Failure::Io(_) => {
            sqlx::query(FIRST).fetch_one(conn).await?.try_get(0)?
        }
        _ => 0,
    };
    if tables == 0 {
        return Err(failure);
    }
    tracing::warn!(
        error = failure.source(),
        "the ledger's tables cannot be brought up to date, so there is no audit; make room, and start again"
    );
    Ok(())
}

pub(super) fn migrations() -> Migrator {
    // Migrator::run cannot take a connection that is borrowed across an await; run_direct can.
    let ledger = include_str!("../migrations/0001_ledger.sql").into_sql_str();
    let audit = include_str!("../migrations/0002_audit.sql").into_sql_str();
    Migrator::with_migrations(vec![
        Migration::new(1, "ledger".into(), MigrationType::Simple, ledger, false),
        Migration::new(2, "audit".into(), MigrationType::Simple, audit, false),
    ])
}

/// Makes the file, for the owner only, if there is none, and closes it to others if there is.
fn prepare_file(path: &Path) -> Result<Before, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let length = match options.open(path) {
        // On a read-only file system there is nothing to prepare: what is there is read.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            return if taken(path) { Ok(Before::File) } else { Err(error.into()) };
        }
        result => result?.metadata()?.len(),
    };
    // SQLite gives a WAL that it makes the mode of its database.
    let [wal, shm] = ["-wal", "-shm"].map(|tail| with_tail(path, tail));
    for file in [path, &wal, &shm] {
        match file.metadata() {
            Ok(meta) if meta.permissions().mode() & 0o777 != FILE_MODE => {
                std::fs::set_permissions(file, Permissions::from_mode(FILE_MODE))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    if length > 0 {
        return Ok(Before::File);
    }
    if wal.metadata().is_ok_and(|meta| meta.len() > 0) {
        // SQLite would take this for a new database and delete the WAL.
        return Err(Failure::unsound("the database is empty and its write-ahead log is not"));
    }
    File::open(state_dir(path))?.sync_all()?;
    Ok(Before::Nothing)
}

/// Renames the database, its WAL and its index to a dated name that nothing has yet.
fn set_aside(path: &Path, now: WallTime) -> io::Result<PathBuf> {
    let dated = with_tail(path, &format!(".corrupt-{}", date(now)));
    let mut aside = dated.clone();
    for number in 1.. {
        if ["", "-wal", "-shm"].iter().all(|tail| !taken(&with_tail(&aside, tail))) {
            break;
        }
        aside = with_tail(&dated, &format!("-{number}"));
    }
    for tail in ["", "-wal", "-shm"] {
        match std::fs::rename(with_tail(path, tail), with_tail(&aside, tail)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    File::open(state_dir(path))?.sync_all()?;
    Ok(aside)
}

/// The name of a ledger that was set aside less than a day ago.
pub(super) fn aside_within_a_day(path: &Path, now: WallTime) -> io::Result<Option<OsString>> {
    let since = date(WallTime(now.0.saturating_sub(i64::try_from(WINDOW.as_millis()).unwrap_or(0))));
    let prefix = with_tail(path, ".corrupt-");
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in std::fs::read_dir(state_dir(path))? {
        let name = entry?.file_name();
        // Dates in this form sort as text. A tail after the date makes no name smaller.
        if name.to_string_lossy().strip_prefix(&prefix).is_some_and(|dated| dated >= since.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn date(at: WallTime) -> String {
    let seconds = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
    seconds.strftime("%Y%m%dT%H%M%SZ").to_string()
}

pub(super) fn with_tail(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}
