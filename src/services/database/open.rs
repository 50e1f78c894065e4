//! From an address to connections with the tables up to date.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _};
use url::Url;

use super::{Backend, CONNECT, DatabaseError, Place, Schema};
use crate::secret::Secret;

/// Only the service's user.
const FILE_MODE: u32 = 0o600;
/// SQLite has one writer at a time and as many readers as connections.
const SQLITE_CONNECTIONS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 10;
/// A connection that nobody needed for so long is ended.
const IDLE: Duration = Duration::from_mins(5);

/// Per connection: wait for a program that holds the file, overwrite what is deleted, and leave
/// syncing to checkpoints.
const SQLITE_TUNING: &str =
    "PRAGMA busy_timeout = 2000; PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL";
/// Per connection: the server gives up before we do, and says so.
const POSTGRES_TUNING: &str = "SET statement_timeout = 4500; SET lock_timeout = 4000";

/// Where the database is.
pub(super) struct Address {
    kind: Kind,
    shown: String,
}

enum Kind {
    Sqlite(PathBuf),
    Postgres(Secret),
}

/// What a missing file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The first start: it is made.
    IsMade,
    /// It was there before.
    IsALoss,
}

/// Which file it is, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// What a look at a database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// How many migrations were applied.
    pub migrations: i64,
    /// The seal keys that something kept for long needs.
    pub seal_keys: Vec<String>,
}

/// An open database with its tables.
pub(super) struct Opened {
    pub(super) pool: AnyPool,
    pub(super) file: Option<FileId>,
}

impl Address {
    pub(super) fn of(place: &Place) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        Ok(match place {
            Place::Sqlite(path) => {
                Self { kind: Kind::Sqlite(path.clone()), shown: path.display().to_string() }
            }
            Place::Postgres(url) => {
                let shown = shown(url.expose())
                    .ok_or_else(|| other("the address is not postgres://user@host/database"))?;
                Self { kind: Kind::Postgres(url.clone()), shown }
            }
        })
    }

    pub(super) fn backend(&self) -> Backend {
        match self.kind {
            Kind::Sqlite(_) => Backend::Sqlite,
            Kind::Postgres(_) => Backend::Postgres,
        }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Which file it is now.
    pub(super) fn file(&self) -> Result<Option<FileId>, DatabaseError> {
        match &self.kind {
            Kind::Sqlite(path) => {
                let meta = path.metadata()?;
                Ok(Some(FileId(meta.dev(), meta.ino())))
            }
            Kind::Postgres(_) => Ok(None),
        }
    }

    pub(super) async fn look(&self, schema: &Schema) -> Result<Looked, DatabaseError> {
        let url = match &self.kind {
            Kind::Sqlite(path) => {
                path.metadata()?;
                let mut url = sqlite_url(path)?;
                // Without a log there is nothing but the file, and SQLite need make none, which the
                // service's user could perhaps not open.
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                let quiet = !Path::new(&log).exists();
                url.set_query(Some(if quiet { "mode=ro&immutable=1" } else { "mode=ro" }));
                url
            }
            Kind::Postgres(url) => Url::parse(url.expose()).map_err(|error| other(&error.to_string()))?,
        };
        let mut conn = AnyConnectOptions::from_url(&url)?.disable_statement_logging().connect().await?;
        let version = format!("SELECT count(*) FROM {}", schema.migrations);
        let version = sqlx::query(AssertSqlSafe(version)).fetch_one(&mut conn).await?.try_get(0)?;
        let rows = match schema.seal_keys {
            Some(keys) => sqlx::query(keys).fetch_all(&mut conn).await?,
            None => Vec::new(),
        };
        let seal_keys = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        conn.close().await?;
        Ok(Looked { migrations: version, seal_keys })
    }

    pub(super) async fn open(&self, missing: Missing, schema: &Schema) -> Result<Opened, DatabaseError> {
        let (url, tuning, connections) = match &self.kind {
            Kind::Sqlite(path) => {
                prepare_file(path, missing)?;
                (sqlite_url(path)?, SQLITE_TUNING, SQLITE_CONNECTIONS)
            }
            Kind::Postgres(url) => {
                let url = Url::parse(url.expose()).map_err(|error| other(&error.to_string()))?;
                (url, POSTGRES_TUNING, POSTGRES_CONNECTIONS)
            }
        };
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT)
            .idle_timeout(IDLE)
            .test_before_acquire(self.backend() == Backend::Postgres)
            .after_connect(move |conn, _| {
                Box::pin(async move {
                    // What fails here fails at the first statement, too, and is told there; an error
                    // of this would only be tried again and again.
                    let _ = sqlx::raw_sql(tuning).execute(conn).await;
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        match self.migrate(&pool, schema).await {
            Ok(()) => Ok(Opened { pool, file: self.file()? }),
            Err(error) => {
                pool.close().await;
                Err(error)
            }
        }
    }

    async fn migrate(&self, pool: &AnyPool, schema: &Schema) -> Result<(), DatabaseError> {
        let mut conn = pool.acquire().await?;
        let texts = match self.backend() {
            Backend::Sqlite => {
                sqlx::query("PRAGMA journal_mode = WAL").fetch_optional(&mut *conn).await?;
                schema.sqlite
            }
            Backend::Postgres => schema.postgres,
        };
        let migration = |(number, text): (i64, &&'static str)| {
            let name = format!("{number:04}").into();
            Migration::new(number, name, MigrationType::Simple, text.into_sql_str(), false)
        };
        let mut migrator = Migrator::with_migrations((1..).zip(texts).map(migration).collect());
        migrator.dangerous_set_table_name(schema.migrations);
        // Migrator::run cannot take a connection that is borrowed across an await; this can.
        migrator.run_direct(None, &mut *conn, false).await?;
        Ok(())
    }
}

/// The address without user and password.
fn shown(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return None;
    }
    let query = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
    let host = query.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("postgres://{}{port}{}", host.replace("%2F", "/"), url.path()))
}

fn sqlite_url(path: &Path) -> Result<Url, DatabaseError> {
    let path = std::path::absolute(path)?;
    let mut url = Url::from_file_path(path).map_err(|()| other("the path cannot be named in an address"))?;
    url.set_query(Some("mode=rw"));
    // sqlx reads what follows `sqlite:` as a path.
    let url = format!("sqlite:{}", &url.as_str()["file:".len()..]);
    Url::parse(&url).map_err(|error| other(&error.to_string()))
}

/// Makes the file for the service's user only, or closes it to others.
fn prepare_file(path: &Path, missing: Missing) -> Result<(), DatabaseError> {
    let create = match missing {
        Missing::IsMade => true,
        Missing::IsALoss => false,
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(FILE_MODE);
    let file = options.open(path).map_err(|error| no_directory(error, path, missing))?;
    if file.metadata()?.permissions().mode() & 0o777 != FILE_MODE {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn no_directory(error: io::Error, path: &Path, missing: Missing) -> DatabaseError {
    match (error.kind(), missing) {
        (ErrorKind::NotFound, Missing::IsMade) => {
            let directory = path.parent().unwrap_or(path).display();
            other(&format!("there is no directory {directory}; make it, for the service's user"))
        }
        _ => error.into(),
    }
}

fn other(why: &str) -> DatabaseError {
    DatabaseError::Other(Arc::new(io::Error::other(why.to_owned())))
}
