//! The rows of codes, and what is written in one transaction each.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::clock::WallTime;
use crate::model::AppId;
use crate::services::business::Owner;
use crate::services::database::{Conn, DatabaseError, Statement, Work};

use super::code::{Code, Life, Scene, Spec};
use super::codes::{Limits, Reserve};

pub(super) const COLUMNS: &str = "life, scene_kind, scene, state, asks, ticket, url, note, made, ends, owner";
const ONE: &str = "appid = $1 AND life = $2 AND scene_kind = $3 AND scene = $4";
const USED: &str =
    "SELECT CAST(coalesce(sum(asks), 0) AS BIGINT) FROM qr_codes WHERE appid = $1 AND life = 'permanent'";
const ASKING: &str = "INSERT INTO qr_codes
    (appid, life, scene_kind, scene, state, asks, ticket, url, note, made, ends, owner)
    VALUES ($1, $2, $3, $4, 'asking', 1, '', '', $5, $6, NULL, $7)
    ON CONFLICT (appid, life, scene_kind, scene) DO UPDATE
    SET asks = qr_codes.asks + 1, note = excluded.note, made = excluded.made, owner = excluded.owner";
const KEEP: &str = "INSERT INTO qr_codes
    (appid, life, scene_kind, scene, state, asks, ticket, url, note, made, ends, owner)
    VALUES ($1, $2, $3, $4, 'kept', 1, $5, $6, $7, $8, $9, '')
    ON CONFLICT (appid, life, scene_kind, scene) DO UPDATE
    SET state = 'kept', ticket = excluded.ticket, url = excluded.url, note = excluded.note,
        made = excluded.made, ends = excluded.ends, owner = ''";

/// A row, whole or not.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) code: Code,
    /// Whether the answer was written down.
    pub(super) kept: bool,
    pub(super) owner: Owner,
}

pub(super) fn row(row: &AnyRow) -> Result<Row, DatabaseError> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let (made, ends) = (row.try_get::<i64, _>("made")?, row.try_get::<Option<i64>, _>("ends")?);
    let scene = scene_of(&text("scene_kind")?, text("scene")?);
    let span = |ends: i64| Duration::from_millis(u64::try_from(ends.saturating_sub(made)).unwrap_or(0));
    let life = match (text("life")?.as_str(), ends) {
        ("permanent", _) => Life::Permanent,
        (_, ends) => Life::Temporary(ends.map(span).unwrap_or_default()),
    };
    let code = Code {
        scene,
        life,
        ticket: text("ticket")?,
        url: text("url")?,
        note: text("note")?,
        made: WallTime(made),
        ends: ends.map(WallTime),
    };
    Ok(Row { code, kept: text("state")? == "kept", owner: Owner::written(text("owner")?) })
}

/// A scene as it is written down.
pub(super) fn scene_of(kind: &str, text: String) -> Scene {
    if kind == "int" { Scene::of(&text) } else { Scene::Text(text) }
}

/// A statement about one code.
fn about(text: &str, appid: &AppId, spec: &Spec) -> Statement<'static> {
    sqlx::query(sqlx::AssertSqlSafe(text.to_owned()))
        .bind(appid.as_str().to_owned())
        .bind(spec.life().as_str())
        .bind(spec.scene().kind())
        .bind(spec.scene().to_string())
}

/// The row of a code.
pub(super) async fn find(conn: &mut Conn, appid: &AppId, spec: &Spec) -> Result<Option<Row>, DatabaseError> {
    let select = format!("SELECT {COLUMNS} FROM qr_codes WHERE {ONE}");
    conn.optional(about(&select, appid, spec)).await?.as_ref().map(row).transpose()
}

/// How many permanent codes WeChat may have made.
pub(super) async fn used(conn: &mut Conn, appid: &AppId) -> Result<u32, DatabaseError> {
    let sum = sqlx::query(USED).bind(appid.as_str().to_owned());
    let Some(row) = conn.optional(sum).await? else { return Ok(0) };
    let used = row.try_get::<i64, _>(0)?;
    Ok(u32::try_from(used).unwrap_or(u32::MAX))
}

/// What came of a wish to ask for a permanent code.
pub(super) enum Claimed {
    /// It is ours to ask for.
    Ours,
    /// It exists.
    Exists(Box<Code>),
    /// Another process asks for it.
    UnderWay,
    /// So many are used: the limit is reached, or the reserve would be touched.
    Full(u32),
}

/// Writes down that a permanent code will be asked for.
pub(super) struct Claim<F> {
    pub(super) appid: AppId,
    pub(super) spec: Spec,
    pub(super) note: String,
    pub(super) limits: Limits,
    pub(super) reserve: Reserve,
    pub(super) owner: Owner,
    pub(super) at: WallTime,
    /// Whether whoever asks for this still does.
    pub(super) lives: F,
}

#[async_trait]
impl<F: Fn(&Row) -> bool + Sync> Work for Claim<F> {
    type Made = Claimed;

    async fn on(&self, conn: &mut Conn) -> Result<Claimed, DatabaseError> {
        let Self { appid, spec, note, limits, reserve, owner, at, lives } = self;
        match find(conn, appid, spec).await? {
            Some(row) if row.kept => return Ok(Claimed::Exists(Box::new(row.code))),
            Some(row) if lives(&row) => return Ok(Claimed::UnderWay),
            Some(_) | None => {}
        }
        let used = used(conn, appid).await?;
        let most = match reserve {
            Reserve::Kept => limits.permanent.saturating_sub(limits.reserve),
            Reserve::Used => limits.permanent,
        };
        if used >= most {
            return Ok(Claimed::Full(used));
        }
        let asking = about(ASKING, appid, spec).bind(note.clone()).bind(at.0).bind(owner.as_str().to_owned());
        conn.execute(asking).await?;
        Ok(Claimed::Ours)
    }
}

/// A claim that was made: nothing is written about another one of the same code.
pub(super) struct Mine {
    pub(super) appid: AppId,
    pub(super) spec: Spec,
    pub(super) owner: Owner,
    pub(super) at: WallTime,
}

impl Mine {
    fn statement(&self, text: &str) -> Statement<'static> {
        let Self { appid, spec, owner, at } = self;
        let text = format!("{text} WHERE {ONE} AND state = 'asking' AND owner = $5 AND made = $6");
        about(&text, appid, spec).bind(owner.as_str().to_owned()).bind(at.0)
    }
}

/// Writes down that WeChat made nothing of a claim.
pub(super) struct Release(pub(super) Mine);

#[async_trait]
impl Work for Release {
    type Made = ();

    async fn on(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        let Self(mine) = self;
        if conn.execute(mine.statement("UPDATE qr_codes SET asks = asks - 1, owner = ''")).await? > 0 {
            let none = format!("DELETE FROM qr_codes WHERE {ONE} AND state = 'asking' AND asks <= 0");
            conn.execute(about(&none, &mine.appid, &mine.spec)).await?;
        }
        Ok(())
    }
}

/// Writes down that nobody asks any more, and nobody knows what WeChat did.
pub(super) struct Abandon(pub(super) Mine);

#[async_trait]
impl Work for Abandon {
    type Made = ();

    async fn on(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        let Self(mine) = self;
        conn.execute(mine.statement("UPDATE qr_codes SET owner = ''")).await?;
        Ok(())
    }
}

/// Writes down a code.
pub(super) struct Keep {
    pub(super) appid: AppId,
    pub(super) spec: Spec,
    pub(super) code: Code,
}

#[async_trait]
impl Work for Keep {
    type Made = ();

    async fn on(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        let Self { appid, spec, code } = self;
        let keep = about(KEEP, appid, spec)
            .bind(code.ticket.clone())
            .bind(code.url.clone())
            .bind(code.note.clone())
            .bind(code.made.0)
            .bind(code.ends.map(|ends| ends.0));
        conn.execute(keep).await?;
        Ok(())
    }
}
