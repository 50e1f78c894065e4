//! Every push of a menu: what, who, when, why; and what is current.
//!
//! A push is a row before WeChat hears of it, and the row says how it ended. **At most one row of an
//! account is current, and at most one is open**: the tables themselves refuse a second. A row
//! that is open while its process is dead is a push whose end nobody wrote down: [`Pushes::settle`]
//! asks WeChat how it ended.

mod entry;
mod pushes;
mod work;

use sqlx::Row as _;

use crate::clock::{Clock, WallTime};
use crate::model::AppId;
use crate::services::business::{Fate, Owner};
use crate::services::database::{Database, DatabaseError, Statement};

pub use entry::{Entry, Kind, Number, State};
pub use pushes::{PushError, Pushes, Seen, Settled, Verdict};

use entry::{COLUMNS, entry};
use work::{Begin, End, Found, LAST, Obstacle, number};

/// After so long a push of another machine has ended, however it did: its longest has some forty
/// calls of some ten seconds.
const LONGEST_MS: i64 = 15 * 60 * 1000;
/// Most rows that are listed.
pub const MOST: u32 = 500;

/// What is to be written down of a push.
#[derive(Clone, Debug)]
pub struct New {
    /// What is done.
    pub kind: Kind,
    /// The number that a rollback goes back to.
    pub back_to: Option<Number>,
    /// Who does it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// Why the history did not do it.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database did not do it.
    #[error("the business database cannot be used")]
    Database(#[from] DatabaseError),
    /// Another push is under way.
    #[error("{} by {} is under way since {}: wait for its end", .0.number, .0.who, .0.began)]
    UnderWay(Box<Entry>),
    /// Another push was made since somebody looked at what is live.
    #[error("{} by {} came in between, {}: nothing was done; look at what would change now", .0.number, .0.who, .0.began)]
    Overtaken(Box<Entry>),
    /// A row that we did not write.
    #[error("the business database has a push that cannot be read: {0}")]
    Row(&'static str),
}

/// The history of all accounts. A clone is the same one.
#[derive(Clone, Debug)]
pub struct History {
    database: Database,
    clock: Clock,
    own: OwnRows,
}

/// What an open row of this very process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnRows {
    /// Its push is under way.
    UnderWay,
    /// Its end could not be written down.
    Abandoned,
}

impl History {
    /// In this database, whose schema is [`SCHEMA`](crate::services::business::SCHEMA).
    pub fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock, own: OwnRows::UnderWay }
    }

    /// For a process that goes on when a push has failed: its caller lets one push at a time of an
    /// account into this process, and settles before it. So an open row of the process itself is one
    /// whose end could not be written down, and not a push that must be waited for.
    #[must_use]
    pub fn one_at_a_time(self) -> Self {
        Self { own: OwnRows::Abandoned, ..self }
    }

    /// Makes the database, or says why it cannot be used.
    pub async fn prepare(&self) -> Result<(), HistoryError> {
        Ok(self.database.prepare().await?)
    }

    /// The last rows of an account, newest first.
    pub async fn list(&self, appid: &AppId, most: u32) -> Result<Vec<Entry>, HistoryError> {
        let select =
            format!("SELECT {COLUMNS} FROM menu_pushes WHERE appid = $1 ORDER BY number DESC LIMIT $2");
        let query = of(&select, appid).bind(i64::from(most.min(MOST)));
        let rows = self.database.conn().await?.all(query).await?;
        rows.iter().map(entry).collect()
    }

    /// One row.
    pub async fn entry(&self, appid: &AppId, number: Number) -> Result<Option<Entry>, HistoryError> {
        self.one("number = $2", appid, number.0).await
    }

    /// What is live, as far as we know; none where a push stopped half-way.
    pub async fn current(&self, appid: &AppId) -> Result<Option<Entry>, HistoryError> {
        self.one("is_current = $2", appid, 1).await
    }

    async fn one(&self, which: &str, appid: &AppId, value: i64) -> Result<Option<Entry>, HistoryError> {
        let select = format!("SELECT {COLUMNS} FROM menu_pushes WHERE appid = $1 AND {which}");
        let query = of(&select, appid).bind(value);
        self.database.conn().await?.optional(query).await?.as_ref().map(entry).transpose()
    }

    /// The push that is open.
    async fn open(&self, appid: &AppId) -> Result<Option<Entry>, HistoryError> {
        let select = format!("SELECT {COLUMNS} FROM menu_pushes WHERE appid = $1 AND state = 'open' LIMIT 1");
        self.database.conn().await?.optional(of(&select, appid)).await?.as_ref().map(entry).transpose()
    }

    /// Whether the process of an open push has ended.
    fn is_dead(&self, entry: &Entry) -> bool {
        match entry.owner.fate(&self.clock) {
            Fate::Lives => self.own == OwnRows::Abandoned && entry.owner == Owner::this(&self.clock),
            Fate::Died | Fate::Nobody => true,
            Fate::Elsewhere => self.clock.wall().0.saturating_sub(entry.began.0) > LONGEST_MS,
        }
    }

    /// The number of the last row; 0 where there is none.
    async fn last(&self, appid: &AppId) -> Result<Number, HistoryError> {
        let mut conn = self.database.conn().await?;
        Ok(Number(number(&mut conn, LAST, appid).await?.unwrap_or_default()))
    }

    /// Writes down that a push begins, and makes that outlive a loss of power.
    async fn begin(
        &self,
        appid: &AppId,
        last: Number,
        new: &New,
        menus: String,
    ) -> Result<Number, HistoryError> {
        let begin = Begin {
            appid: appid.clone(),
            last,
            new: new.clone(),
            menus,
            owner: Owner::this(&self.clock),
            at: self.clock.wall(),
        };
        match self.database.transaction(begin).await? {
            Ok(number) => {
                self.database.conn().await?.make_durable().await?;
                Ok(number)
            }
            Err(obstacle) => Err(self.in_the_way(appid, obstacle).await?),
        }
    }

    /// What is in the way, in words.
    async fn in_the_way(&self, appid: &AppId, obstacle: Obstacle) -> Result<HistoryError, HistoryError> {
        let (number, say): (_, fn(Box<Entry>) -> HistoryError) = match obstacle {
            Obstacle::UnderWay(number) => (number, HistoryError::UnderWay),
            Obstacle::Since(number) => (number, HistoryError::Overtaken),
        };
        let entry = self.entry(appid, number).await?;
        Ok(entry.map_or(HistoryError::Row("it has gone"), |entry| say(Box::new(entry))))
    }

    /// Writes down what was live before, and not by us.
    async fn found(
        &self,
        appid: &AppId,
        last: Number,
        menus: String,
        why: &str,
    ) -> Result<Number, HistoryError> {
        let found = Found {
            appid: appid.clone(),
            last,
            menus,
            why: why.to_owned(),
            owner: Owner::this(&self.clock),
            at: self.clock.wall(),
        };
        match self.database.transaction(found).await? {
            Ok(number) => Ok(number),
            Err(obstacle) => Err(self.in_the_way(appid, obstacle).await?),
        }
    }

    /// Writes down how a push ended, unless that is done: whether it was not.
    async fn end(&self, appid: &AppId, number: Number, how: Ending) -> Result<bool, HistoryError> {
        let end = End { appid: appid.clone(), number, how, at: self.clock.wall() };
        Ok(self.database.transaction(end).await?)
    }
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// It is live.
    Done,
    /// Nothing was changed; why.
    Nothing(String),
    /// What is live is neither it nor what was before; why.
    HalfWay(String),
}

/// A statement about an account.
fn of<'q>(text: &str, appid: &AppId) -> Statement<'q> {
    sqlx::query(sqlx::AssertSqlSafe(text.to_owned())).bind(appid.as_str().to_owned())
}

/// A column that we wrote.
fn column<'r, T>(row: &'r sqlx::any::AnyRow, name: &'static str) -> Result<T, HistoryError>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(name).map_err(|_| HistoryError::Row(name))
}

/// An instant of a row.
fn instant(row: &sqlx::any::AnyRow, name: &'static str) -> Result<WallTime, HistoryError> {
    column(row, name).map(WallTime)
}
