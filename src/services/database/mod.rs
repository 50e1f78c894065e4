//! A service's one database: a SQLite file or a PostgreSQL server, spoken to in one SQL.
//!
//! Owns the connections; the tables are the service's ([`Schema`]). It guarantees that every request ends within
//! a limit, that a connection which anything was odd with is not used again, and that a database
//! that comes back is used again without a restart. A file that is gone is not replaced by an
//! empty one. A failure is logged here, three times and its end once; callers only answer.
//!
//! SQLite commits without waiting for the disk: after a loss of power the last rows may be gone.
//! What must survive one, or be gone for good, is made so by [`Conn::make_durable`].

mod conn;
mod error;
mod open;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use crate::secret::Secret;
use crate::telemetry::{ErrorTracker, Report};

pub use conn::{Conn, Statement};
pub use error::DatabaseError;
pub use open::Looked;

/// For one statement. A page that waits longer has lost its reader.
const LIMIT: Duration = Duration::from_secs(5);
/// For a connection, a new one included.
const CONNECT: Duration = Duration::from_secs(2);
/// For bringing the tables up to date.
const MIGRATE: Duration = Duration::from_secs(30);
/// Failures in a row after which it is left alone, and for how long: so many requests at once do
/// not each wait for a server that does not answer.
const PATIENCE: u64 = 3;
const REST: Duration = Duration::from_secs(1);
/// Transactions that others may get in the way of, in a row, before it is a failure.
const COLLISIONS: u8 = 8;
/// Longest pause after the first collision: about what a transaction takes. After each further one
/// it is twice as long, up to [`LONGEST_PAUSE`], so that as many as like find turns of their own.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What is done in one transaction. Not a closure: the future of one that borrows is not known to
/// be `Send`, and a task could not wait for it.
#[async_trait]
pub trait Work: Sync {
    /// What it brings.
    type Made: Send;

    /// Does it. May be called several times; only the last one counts.
    async fn on(&self, conn: &mut Conn) -> Result<Self::Made, DatabaseError>;
}

/// The tables of a service, as the steps that make them, oldest first. A step that was released is
/// never changed: there are databases that took it.
#[derive(Debug)]
pub struct Schema {
    /// The table that notes which steps were taken; another program may share the database.
    pub migrations: &'static str,
    /// The steps in SQLite's words.
    pub sqlite: &'static [&'static str],
    /// The same in PostgreSQL's.
    pub postgres: &'static [&'static str],
    /// A statement that names the seal keys which rows need; none where nothing is sealed.
    pub seal_keys: Option<&'static str>,
}

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, made if there is none.
    Sqlite(PathBuf),
    /// A server, by its `postgres://` address, which holds a password.
    Postgres(Secret),
}

impl Place {
    /// Whether it can be the place of a database, as far as its form goes.
    pub fn is_sound(&self) -> bool {
        open::Address::of(self).is_ok()
    }
}

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The database. A clone is the same one.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    place: open::Address,
    schema: &'static Schema,
    /// One opens at a time, and the others wait for it.
    opening: tokio::sync::Mutex<()>,
    opened: Mutex<Option<open::Opened>>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    tracker: ErrorTracker,
    rests: Option<(Instant, DatabaseError)>,
}

impl Database {
    /// Touches nothing yet: [`Database::prepare`] does, or the first request.
    ///
    /// # Errors
    /// The address is none of PostgreSQL's.
    pub fn new(place: &Place, schema: &'static Schema) -> Result<Self, DatabaseError> {
        Ok(Self(Arc::new(Inner {
            place: open::Address::of(place)?,
            schema,
            opening: tokio::sync::Mutex::default(),
            opened: Mutex::default(),
            trouble: Mutex::default(),
        })))
    }

    /// Opens it, makes what is missing and brings the tables up to date.
    ///
    /// # Errors
    /// What [`passes`](DatabaseError::passes) is no reason not to start.
    pub async fn prepare(&self) -> Result<(), DatabaseError> {
        self.conn().await.map(drop)
    }

    /// Whose SQL it speaks.
    pub fn backend(&self) -> Backend {
        self.0.place.backend()
    }

    /// Where it is, without a password.
    pub fn shown(&self) -> &str {
        self.0.place.shown()
    }

    /// A connection for one or a few statements.
    pub async fn conn(&self) -> Result<Conn, DatabaseError> {
        self.not_resting()?;
        let pool = self.pool().await?;
        match pool.acquire().await {
            Ok(conn) => Ok(Conn::new(self.clone(), conn)),
            Err(error) => Err(self.failed(error.into())),
        }
    }

    /// Whether it was left alone a moment ago, for what.
    fn not_resting(&self) -> Result<(), DatabaseError> {
        match &self.trouble().rests {
            Some((until, error)) if Instant::now() < *until => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// What is there, without changing anything: for somebody who only looks, as whatever user.
    pub async fn look(&self) -> Result<Looked, DatabaseError> {
        let look = self.0.place.look(self.0.schema);
        timeout(CONNECT, look).await.unwrap_or(Err(DatabaseError::Slow(CONNECT)))
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        self.conn().await?.optional(sqlx::query("SELECT 1")).await.map(drop)
    }

    /// Does it in one transaction, again when another one was in its way.
    ///
    /// # Errors
    /// Nothing was done, unless it is [`DatabaseError::Slow`] or [`DatabaseError::Away`]: then
    /// nobody knows.
    pub async fn transaction<W: Work>(&self, work: W) -> Result<W::Made, DatabaseError> {
        for nth in 0..COLLISIONS {
            match self.attempt(&work).await {
                Err(error) if error.collided() => {
                    tokio::time::sleep(pause(nth, rand::random())).await;
                }
                result => return result,
            }
        }
        match self.attempt(&work).await {
            Err(error) if error.collided() => Err(self.failed(error)),
            result => result,
        }
    }

    async fn attempt<W: Work>(&self, work: &W) -> Result<W::Made, DatabaseError> {
        let mut conn = self.conn().await?;
        conn.begin().await?;
        let value = work.on(&mut conn).await?;
        conn.commit().await?;
        Ok(value)
    }

    /// Ends its connections.
    pub async fn close(&self) {
        let opened = self.opened().take();
        if let Some(opened) = opened {
            // A connection that is in use is cut off with the process.
            let _ = timeout(CONNECT, opened.pool.close()).await;
        }
    }

    /// The open database. Failures have been taken note of.
    async fn pool(&self) -> Result<sqlx::AnyPool, DatabaseError> {
        if let Some(pool) = self.current().map_err(|error| self.failed(error))? {
            return Ok(pool);
        }
        let one = timeout(CONNECT, self.0.opening.lock()).await;
        let _one = one.map_err(|_| self.failed(DatabaseError::Slow(CONNECT)))?;
        // Who was before may have learnt that it does not answer: that need not be learnt again.
        self.not_resting()?;
        self.open().await.map_err(|error| self.failed(error))
    }

    /// Opens it, for one at a time.
    async fn open(&self) -> Result<sqlx::AnyPool, DatabaseError> {
        if let Some(pool) = self.current()? {
            return Ok(pool);
        }
        let before = self.opened().take();
        let missing = if before.is_some() { open::Missing::IsALoss } else { open::Missing::IsMade };
        if let Some(before) = &before {
            let _ = timeout(CONNECT, before.pool.close()).await;
        }
        match timeout(MIGRATE, self.0.place.open(missing, self.0.schema))
            .await
            .unwrap_or(Err(DatabaseError::Slow(MIGRATE)))
        {
            Ok(opened) => Ok(self.opened().insert(opened).pool.clone()),
            Err(error) => {
                // Remembered, so that the next try does not make an empty file either.
                *self.opened() = before;
                Err(error)
            }
        }
    }

    /// The open database, unless its file was exchanged for another.
    fn current(&self) -> Result<Option<sqlx::AnyPool>, DatabaseError> {
        let opened = self.opened();
        let Some(opened) = opened.as_ref() else { return Ok(None) };
        let same = opened.file == self.0.place.file()?;
        Ok((same && !opened.pool.is_closed()).then(|| opened.pool.clone()))
    }

    fn succeeded(&self) {
        let report = {
            let mut trouble = self.trouble();
            trouble.rests = None;
            trouble.tracker.succeeded()
        };
        if let Report::Recovered(failures) = report {
            let database = self.shown();
            tracing::info!(
                database,
                failures,
                "the database {database} works again after {failures} failures"
            );
        }
    }

    /// Takes note of a failure and hands it on.
    fn failed(&self, error: DatabaseError) -> DatabaseError {
        let report = {
            let mut trouble = self.trouble();
            let report = trouble.tracker.failed();
            let waits = matches!(error, DatabaseError::Away(_) | DatabaseError::Slow(_));
            if waits && trouble.tracker.in_a_row() >= PATIENCE {
                trouble.rests = Some((Instant::now() + REST, error.clone()));
            }
            report
        };
        let (database, reason, chain) = (self.shown(), error.reason(), error.chain());
        match report {
            Report::Warn(failures) => tracing::warn!(
                database,
                reason,
                failures,
                error = chain,
                "the database {database} failed; after the third time in a row at debug: {chain}",
            ),
            Report::Debug(failures) => {
                tracing::debug!(
                    database,
                    reason,
                    failures,
                    error = chain,
                    "the database {database}: {chain}"
                );
            }
            Report::Recovered(_) | Report::Nothing => {}
        }
        error
    }

    fn opened(&self) -> MutexGuard<'_, Option<open::Opened>> {
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shown()).finish()
    }
}

/// How long who collided for so many times before waits, at this place in 0..1 of the span.
fn pause(nth: u8, place: f64) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << nth.min(16)).min(LONGEST_PAUSE).mul_f64(place)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    static SCHEMA: Schema =
        Schema { migrations: "migrations", sqlite: &["SELECT 1"], postgres: &["SELECT 1"], seal_keys: None };

    /// A server that takes connections and says nothing.
    fn silent() -> (std::net::TcpListener, Database) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://x@{}/x", listener.local_addr().unwrap());
        let database = Database::new(&Place::Postgres(Secret::from(url)), &SCHEMA).unwrap();
        (listener, database)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_in_a_row_for_a_server_that_says_nothing() {
        let (_listener, database) = silent();
        let begun = Instant::now();
        let all = join_all((0..20).map(|_| database.conn())).await;
        assert!(all.iter().all(|conn| matches!(conn, Err(DatabaseError::Away(_) | DatabaseError::Slow(_)))));
        let took = begun.elapsed();
        assert!((CONNECT..=CONNECT * 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_while_it_was_found_to_be_away_does_not_try_again() {
        let (_listener, database) = silent();
        for _ in 1..PATIENCE {
            assert!(database.conn().await.is_err());
        }
        let first = database.conn();
        let second = async {
            tokio::time::sleep(CONNECT / 2).await;
            let begun = Instant::now();
            assert!(database.conn().await.is_err());
            begun.elapsed()
        };
        let (first, waited) = tokio::join!(first, second);
        assert!(first.is_err());
        assert!(waited <= CONNECT / 2 + Duration::from_millis(10), "{waited:?}");
        assert_eq!(database.trouble().tracker.in_a_row(), PATIENCE, "nothing new was learnt");
    }

    #[test]
    fn pauses_grow_to_an_end_and_are_anywhere_below() {
        assert_eq!(pause(0, 1.0), FIRST_PAUSE);
        assert_eq!(pause(3, 0.5), FIRST_PAUSE * 4);
        for nth in [6, 16, 17, u8::MAX] {
            assert_eq!(pause(nth, 1.0), LONGEST_PAUSE, "{nth}");
        }
        assert_eq!(pause(u8::MAX, 0.0), Duration::ZERO);
    }
}
