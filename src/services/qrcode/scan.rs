//! Scans: counted once each, whatever is told twice, late or in another order.
//!
//! A scan is one row of a log, named by its message, so that telling it again changes nothing; rows
//! that are older than anything that is told again are added up. Nobody waits for anybody: one
//! statement writes the row.
//!
//! Deliberately absent: who scanned. To count people one would have to keep something of each. The
//! row has a hash of the message, from which nobody can tell an openid; who knows one, and the second, can
//! tell that it scanned. After a week that is gone, too.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::clock::WallTime;
use crate::model::AppId;
use crate::services::database::{Conn, Database, DatabaseError, Statement, Work};

use super::code::{LONGEST_SCENE, Scene};

/// So long a scan may be told again. WeChat does so within a minute; the rest is for whoever tells
/// it later than WeChat, from a log for example.
const TOLD_AGAIN: Duration = Duration::from_hours(7 * 24);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanEvent {
    /// Somebody who follows the account scanned.
    Scan,
    /// Somebody scanned and followed.
    Follow,
}

/// A scan, as WeChat's event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The scene, without `qrscene_`.
    pub scene: String,
    /// Of the code, if the event has it: it tells codes of the same scene apart.
    pub ticket: String,
    /// What happened.
    pub event: ScanEvent,
    /// When, by WeChat's clock.
    pub at: WallTime,
    message: String,
}

/// What came of telling a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is counted.
    Counted,
    /// It was counted before.
    Before,
    /// It is so old that nobody can say whether it was counted before. It was not counted now.
    TooLate,
}

/// How often a code was scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scans {
    /// All of them.
    pub count: u64,
    /// Of these, the ones that made somebody follow the account.
    pub follows: u64,
    /// The first one.
    pub first: Option<WallTime>,
    /// The last one.
    pub last: Option<WallTime>,
}

/// Whose scans: life and kind as they are written down, and the scene. Both are empty where
/// nobody knows which code it was.
pub(super) type Whose = (String, String, String);

impl Scan {
    /// The scan that a message of WeChat's tells; none if it is another message. `created` are its
    /// Unix seconds; `id` is its `MsgId`, which events mostly lack; `user`, its sender, is only
    /// hashed, to tell messages apart.
    pub fn of(
        event: &str,
        scene: Option<&str>,
        user: &str,
        created: i64,
        id: Option<&str>,
        ticket: Option<&str>,
    ) -> Option<Self> {
        let scene = scene.filter(|scene| (1..=LONGEST_SCENE).contains(&scene.chars().count()))?;
        let (event, name) = match event {
            _ if event.eq_ignore_ascii_case("SCAN") => (ScanEvent::Scan, "scan"),
            _ if event.eq_ignore_ascii_case("subscribe") => (ScanEvent::Follow, "subscribe"),
            _ => return None,
        };
        // WeChat's rule: a message is its MsgId, an event its sender and its time.
        let told = match id {
            Some(id) => format!("id\n{id}"),
            None => format!("event\n{user}\n{created}\n{name}\n{scene}"),
        };
        let message = hex::encode(&Sha256::digest(told)[..16]);
        let at = WallTime(created.saturating_mul(1_000));
        Some(Self {
            scene: scene.to_owned(),
            ticket: ticket.unwrap_or_default().to_owned(),
            event,
            at,
            message,
        })
    }
}

/// Writes down a scan.
pub(super) async fn tell(
    database: &Database,
    appid: &AppId,
    scan: &Scan,
    now: WallTime,
) -> Result<Told, DatabaseError> {
    const INSERT: &str = "INSERT INTO qr_scan_log (appid, message, life, scene_kind, scene, follow, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (appid, message) DO NOTHING";
    let Scan { scene, ticket, event, at, message } = scan;
    if *at <= edge(now) {
        return Ok(Told::TooLate);
    }
    let mut conn = database.conn().await?;
    let (life, kind) = which(&mut conn, appid, scene, ticket).await?;
    let follow = match event {
        ScanEvent::Scan => 0_i64,
        ScanEvent::Follow => 1,
    };
    let insert = sqlx::query(INSERT)
        .bind(appid.as_str().to_owned())
        .bind(message.clone())
        .bind(life)
        .bind(kind)
        .bind(scene.clone())
        .bind(follow)
        .bind(at.0);
    Ok(if conn.execute(insert).await? == 0 { Told::Before } else { Told::Counted })
}

/// Life and kind of the code: by its ticket, or because its scene has no other.
async fn which(
    conn: &mut Conn,
    appid: &AppId,
    scene: &str,
    ticket: &str,
) -> Result<(String, String), DatabaseError> {
    const CODES: &str =
        "SELECT life, scene_kind, ticket FROM qr_codes WHERE appid = $1 AND scene = $2 LIMIT 4";
    let codes = sqlx::query(CODES).bind(appid.as_str().to_owned()).bind(scene.to_owned());
    let rows = conn.all(codes).await?;
    let own = rows.iter().find(|row| {
        let found = row.try_get::<String, _>("ticket");
        !ticket.is_empty() && found.is_ok_and(|found| found == ticket)
    });
    match (own, rows.as_slice()) {
        (Some(row), _) | (None, [row]) => Ok((row.try_get("life")?, row.try_get("scene_kind")?)),
        (None, _) => Ok((String::new(), String::new())),
    }
}

/// What is told of this time or before is not counted any more.
fn edge(now: WallTime) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(TOLD_AGAIN.as_millis()).unwrap_or(i64::MAX)))
}

/// Scans by code: of all codes, or of those with this scene.
pub(super) async fn scans(
    database: &Database,
    appid: &AppId,
    scene: Option<&str>,
) -> Result<BTreeMap<Whose, Scans>, DatabaseError> {
    let which = scene.map_or("", |_| " AND scene = $2");
    let text = format!(
        "SELECT life, scene_kind, scene, CAST(sum(n) AS BIGINT) AS n,
            CAST(sum(f) AS BIGINT) AS f, min(a) AS a, max(z) AS z
        FROM (
            SELECT life, scene_kind, scene, scans AS n, follows AS f, first_at AS a, last_at AS z
            FROM qr_scans WHERE appid = $1{which}
            UNION ALL
            SELECT life, scene_kind, scene, count(*), CAST(sum(follow) AS BIGINT), min(at), max(at)
            FROM qr_scan_log WHERE appid = $1{which} GROUP BY life, scene_kind, scene
        ) AS both_tables GROUP BY life, scene_kind, scene LIMIT 1000000"
    );
    let mut select: Statement<'_> = sqlx::query(sqlx::AssertSqlSafe(text)).bind(appid.as_str().to_owned());
    if let Some(scene) = scene {
        select = select.bind(scene.to_owned());
    }
    let rows = database.conn().await?.all(select).await?;
    rows.iter()
        .map(|row| {
            let whose = (row.try_get("life")?, row.try_get("scene_kind")?, row.try_get("scene")?);
            Ok((whose, read(row)?))
        })
        .collect()
}

fn read(row: &AnyRow) -> Result<Scans, DatabaseError> {
    let count =
        |name| Ok::<_, DatabaseError>(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or_default());
    let at = |name| Ok::<_, DatabaseError>(Some(WallTime(row.try_get::<i64, _>(name)?)));
    Ok(Scans { count: count("n")?, follows: count("f")?, first: at("a")?, last: at("z")? })
}

/// By which scans of a code are found.
pub(super) fn whose(life: &str, scene: &Scene) -> Whose {
    (life.to_owned(), scene.kind().to_owned(), scene.to_string())
}

/// Adds up what is old. May be done at any time, by whoever.
pub(super) async fn add_up(database: &Database, now: WallTime) -> Result<(), DatabaseError> {
    database.transaction(AddUp { until: edge(now) }).await
}

struct AddUp {
    until: WallTime,
}

#[async_trait]
impl Work for AddUp {
    type Made = ();

    async fn on(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        const ADD: &str = "INSERT INTO qr_scans
            (appid, life, scene_kind, scene, scans, follows, first_at, last_at)
            SELECT appid, life, scene_kind, scene, count(*), CAST(sum(follow) AS BIGINT), min(at), max(at)
            FROM qr_scan_log WHERE at <= $1 GROUP BY appid, life, scene_kind, scene
            ON CONFLICT (appid, life, scene_kind, scene) DO UPDATE SET
                scans = qr_scans.scans + excluded.scans,
                follows = qr_scans.follows + excluded.follows,
                first_at = CASE WHEN excluded.first_at < qr_scans.first_at
                    THEN excluded.first_at ELSE qr_scans.first_at END,
                last_at = CASE WHEN excluded.last_at > qr_scans.last_at
                    THEN excluded.last_at ELSE qr_scans.last_at END";
        let Self { until } = self;
        let statement = |text: &'static str| -> Statement<'static> { sqlx::query(text).bind(until.0) };
        conn.execute(statement(ADD)).await?;
        conn.execute(statement("DELETE FROM qr_scan_log WHERE at <= $1")).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event: &str, scene: Option<&str>, user: &str, at: i64, id: Option<&str>) -> Option<Scan> {
        Scan::of(event, scene, user, at, id, None)
    }

    #[test]
    fn scan_is_an_event_with_a_scene_and_named_by_what_wechat_repeats() {
        let scan = of("SCAN", Some("7"), "o1", 1_700_000_000, None).unwrap();
        assert_eq!((scan.event, scan.at), (ScanEvent::Scan, WallTime(1_700_000_000_000)));
        assert_eq!(of("scan", Some("7"), "o1", 1_700_000_000, None), Some(scan.clone()), "told again");
        let others = [
            of("SCAN", Some("7"), "o2", 1_700_000_000, None),
            of("SCAN", Some("7"), "o1", 1_700_000_001, None),
            of("SCAN", Some("8"), "o1", 1_700_000_000, None),
            of("subscribe", Some("7"), "o1", 1_700_000_000, None),
            of("SCAN", Some("7"), "o1", 1_700_000_000, Some("5")),
        ];
        for other in &others {
            assert_ne!(other.as_ref().unwrap().message, scan.message, "{other:?}");
        }
        assert!(!format!("{others:?}").contains("o2"), "nobody's openid is in it");
        for (event, scene) in [("CLICK", Some("7")), ("subscribe", None), ("SCAN", Some(""))] {
            assert_eq!(of(event, scene, "o1", 1, None), None, "{event}");
        }
        assert!(of("SCAN", Some(&"汉".repeat(64)), "o1", 1, None).is_some());
        assert_eq!(of("SCAN", Some(&"汉".repeat(65)), "o1", 1, None), None);
    }
}
