//! What is written in one transaction each.

use async_trait::async_trait;

use crate::clock::WallTime;
use crate::model::AppId;
use crate::services::business::Owner;
use crate::services::database::{Conn, DatabaseError, Work};

use super::{Ending, Kind, New, Number, State, of};

const OPEN: &str = "SELECT number FROM menu_pushes WHERE appid = $1 AND state = 'open' LIMIT 1";
pub(super) const LAST: &str = "SELECT coalesce(max(number), 0) FROM menu_pushes WHERE appid = $1";
const INSERT: &str = "INSERT INTO menu_pushes
    (appid, number, kind, back_to, state, is_current, menus, who, why, began, ended, outcome, owner)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', $12)";
const NONE_CURRENT: &str = "UPDATE menu_pushes SET is_current = 0 WHERE appid = $1 AND is_current = 1";
const END: &str = "UPDATE menu_pushes SET state = $3, ended = $4, outcome = $5
    WHERE appid = $1 AND number = $2 AND state = 'open'";
const CURRENT: &str = "UPDATE menu_pushes SET is_current = 1 WHERE appid = $1 AND number = $2";

/// What is in the way of a row: it would speak of menus that are not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A push is under way.
    UnderWay(Number),
    /// One was written down since somebody looked.
    Since(Number),
}

/// A push begins. Brings its number.
pub(super) struct Begin {
    pub(super) appid: AppId,
    /// The last row when somebody looked at what is live.
    pub(super) last: Number,
    pub(super) new: New,
    pub(super) menus: String,
    pub(super) owner: Owner,
    pub(super) at: WallTime,
}

/// Menus were live that we did not push.
pub(super) struct Found {
    pub(super) appid: AppId,
    /// As for one that begins.
    pub(super) last: Number,
    pub(super) menus: String,
    pub(super) why: String,
    pub(super) owner: Owner,
    pub(super) at: WallTime,
}

/// A push ended. Brings whether this row was open until now: of several that find a dead process's push,
/// one writes down its end, and none touches what was pushed since.
pub(super) struct End {
    pub(super) appid: AppId,
    pub(super) number: Number,
    pub(super) how: Ending,
    pub(super) at: WallTime,
}

pub(super) async fn number(
    conn: &mut Conn,
    select: &str,
    appid: &AppId,
) -> Result<Option<i64>, DatabaseError> {
    match conn.optional(of(select, appid)).await? {
        Some(row) => Ok(Some(sqlx::Row::try_get(&row, 0)?)),
        None => Ok(None),
    }
}

/// The number of the next row, if nothing has happened since this one.
async fn next(conn: &mut Conn, appid: &AppId, seen: Number) -> Result<Result<i64, Obstacle>, DatabaseError> {
    if let Some(open) = number(conn, OPEN, appid).await? {
        return Ok(Err(Obstacle::UnderWay(Number(open))));
    }
    let last = number(conn, LAST, appid).await?.unwrap_or_default();
    Ok(if Number(last) == seen { Ok(last + 1) } else { Err(Obstacle::Since(Number(last))) })
}

#[async_trait]
impl Work for Begin {
    type Made = Result<Number, Obstacle>;

    async fn on(&self, conn: &mut Conn) -> Result<Self::Made, DatabaseError> {
        let Self { appid, last, new, menus, owner, at } = self;
        let next = match next(conn, appid, *last).await? {
            Ok(next) => next,
            Err(obstacle) => return Ok(Err(obstacle)),
        };
        let New { kind, back_to, who, why } = new;
        let insert = of(INSERT, appid)
            .bind(next)
            .bind(kind.as_str())
            .bind(back_to.map(|number| number.0))
            .bind(State::Open.as_str())
            .bind(0_i64)
            .bind(menus.clone())
            .bind(who.clone())
            .bind(why.clone())
            .bind(at.0)
            .bind(None::<i64>)
            .bind(owner.as_str().to_owned());
        conn.execute(insert).await?;
        Ok(Ok(Number(next)))
    }
}

#[async_trait]
impl Work for Found {
    type Made = Result<Number, Obstacle>;

    async fn on(&self, conn: &mut Conn) -> Result<Self::Made, DatabaseError> {
        let Self { appid, last, menus, why, owner, at } = self;
        let next = match next(conn, appid, *last).await? {
            Ok(next) => next,
            Err(obstacle) => return Ok(Err(obstacle)),
        };
        conn.execute(of(NONE_CURRENT, appid)).await?;
        let insert = of(INSERT, appid)
            .bind(next)
            .bind(Kind::Found.as_str())
            .bind(None::<i64>)
            .bind(State::Done.as_str())
            .bind(1_i64)
            .bind(menus.clone())
            .bind("")
            .bind(why.clone())
            .bind(at.0)
            .bind(Some(at.0))
            .bind(owner.as_str().to_owned());
        conn.execute(insert).await?;
        Ok(Ok(Number(next)))
    }
}

#[async_trait]
impl Work for End {
    type Made = bool;

    async fn on(&self, conn: &mut Conn) -> Result<bool, DatabaseError> {
        let Self { appid, number, how, at } = self;
        let (state, outcome) = match how {
            Ending::Done => (State::Done, String::new()),
            Ending::Nothing(why) | Ending::HalfWay(why) => (State::Failed, why.clone()),
        };
        let end = of(END, appid).bind(number.0).bind(state.as_str()).bind(Some(at.0)).bind(outcome);
        if conn.execute(end).await? == 0 {
            return Ok(false);
        }
        match how {
            Ending::Nothing(_) => {}
            Ending::HalfWay(_) => {
                conn.execute(of(NONE_CURRENT, appid)).await?;
            }
            Ending::Done => {
                conn.execute(of(NONE_CURRENT, appid)).await?;
                conn.execute(of(CURRENT, appid).bind(number.0)).await?;
            }
        }
        Ok(true)
    }
}
