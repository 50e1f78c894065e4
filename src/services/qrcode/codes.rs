//! The codes of an account: asked for once, and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use tokio::time::Instant;
use url::Url;

use crate::clock::{Clock, WallTime};
use crate::model::{AppId, ErrCode};
use crate::services::database::{Database, DatabaseError};
use crate::services::wechat_api::{ApiError, WechatApi};

use super::code::{Code, Life, Scene, Spec};
use super::row::{COLUMNS, find, row, scene_of, used};
use super::scan::{self, Scan, Scans, Told};

/// How often old scans are added up.
const ADD_UP: Duration = Duration::from_hours(1);
/// What WeChat says about one code and no other: a wrong parameter, kind, scene.
const THIS_CODE: [ErrCode; 3] = [ErrCode(40_035), ErrCode(40_052), ErrCode(40_053)];
/// The calls of the minute are used up.
const NEXT_MINUTE: ErrCode = ErrCode(45_011);
/// Most codes that are listed at once.
const MOST: u32 = 200_000;

/// How many permanent codes there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All of them.
    pub permanent: u32,
    /// Of these the last so many are only made for who asks for them expressly.
    pub reserve: u32,
}

/// Whether the reserve may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// It may not.
    Kept,
    /// It may.
    Used,
}

/// Where a code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// WeChat made it.
    Made,
    /// It was there.
    Reused,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Permanent ones that WeChat may have made: what was kept, and questions without an answer.
    pub permanent: u32,
    /// Of these, questions whose answer was never written down.
    pub unsure: u32,
    /// Temporary ones that work now.
    pub temporary: u32,
}

/// Which codes are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Those that work.
    Working,
    /// Those that have ended, too.
    All,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// WeChat or the daemon.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The database.
    #[error("the business database cannot be used")]
    Database(#[from] DatabaseError),
    /// WeChat answered something else.
    #[error("WeChat's answer has no {0}: it may have made the code all the same")]
    Answer(&'static str),
    /// There are too many.
    #[error(
        "{used} of the account's {} permanent codes are used, and the last {} are a reserve",
        limits.permanent, limits.reserve
    )]
    Full {
        /// So many are used.
        used: u32,
        /// How many there may be.
        limits: Limits,
    },
    /// Another process, or another task of this one, asks for it.
    #[error("somebody else is asking for this code: try again in five minutes")]
    UnderWay,
}

/// The codes of an account. A clone is the same.
#[derive(Clone, Debug)]
pub struct Codes {
    pub(super) api: WechatApi,
    pub(super) appid: AppId,
    pub(super) database: Database,
    pub(super) clock: Clock,
    limits: Limits,
    /// When old scans were added up, as far as this process did it.
    added_up: Arc<Mutex<Option<Instant>>>,
}

/// Scans of a scene of which nobody knows the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// What the event says.
    pub scene: String,
    /// How often.
    pub scans: Scans,
}

/// Scans by code.
#[derive(Clone, Debug, Default)]
pub struct Counted(BTreeMap<scan::Whose, Scans>);

impl Counted {
    /// Of this code.
    pub fn of(&self, code: &Code) -> Scans {
        self.0.get(&scan::whose(code.life.as_str(), &code.scene)).copied().unwrap_or_default()
    }

    /// Those of codes that are not kept here, or cannot be told apart.
    ///
    /// So many at most, by their scenes.
    pub fn strays(&self, most: u32) -> Vec<Stray> {
        let nobodys = self.0.iter().filter(|((life, _, _), _)| life.is_empty());
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        nobodys
            .take(most)
            .map(|((_, _, scene), scans)| Stray { scene: scene.clone(), scans: *scans })
            .collect()
    }
}

impl Codes {
    /// Of this account, in a database whose schema is
    /// [`SCHEMA`](crate::services::business::SCHEMA).
    pub fn new(api: WechatApi, appid: AppId, database: Database, clock: Clock, limits: Limits) -> Self {
        Self { api, appid, database, clock, limits, added_up: Arc::default() }
    }

    /// Makes the database, or says why it cannot be used.
    pub async fn prepare(&self) -> Result<(), CodeError> {
        Ok(self.database.prepare().await?)
    }

    /// How many permanent ones there may be.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A code of this scene and life: the one that exists, or a new one. A temporary one is used
    /// again while at least half of the wished life is left.
    ///
    /// # Errors
    /// After [`ApiError::Lost`] and [`CodeError::Answer`] a permanent one may exist, and counts.
    pub async fn create(&self, spec: &Spec, note: &str, reserve: Reserve) -> Result<(Code, How), CodeError> {
        match spec.life() {
            Life::Permanent => self.create_permanent(spec, note, reserve).await,
            Life::Temporary(life) => self.create_temporary(spec, note, life).await,
        }
    }

    /// The code that is kept, working or not.
    pub async fn find(&self, spec: &Spec) -> Result<Option<Code>, CodeError> {
        let mut conn = self.database.conn().await?;
        let row = find(&mut conn, &self.appid, spec).await?;
        Ok(row.filter(|row| row.kept).map(|row| row.code))
    }

    /// The codes that are kept, the newest first.
    pub async fn list(&self, shown: Shown, most: u32) -> Result<Vec<Code>, CodeError> {
        let after = match shown {
            Shown::Working => self.clock.wall(),
            Shown::All => WallTime(0),
        };
        self.rows("kept", after, most).await
    }

    /// Permanent codes that were asked for without an answer that was written down, the newest
    /// first: WeChat may have made them. Among them are those that are asked for just now.
    pub async fn unanswered(&self, most: u32) -> Result<Vec<Code>, CodeError> {
        self.rows("asking", WallTime(0), most).await
    }

    async fn rows(&self, state: &'static str, after: WallTime, most: u32) -> Result<Vec<Code>, CodeError> {
        let select = format!(
            "SELECT {COLUMNS} FROM qr_codes WHERE appid = $1 AND state = '{state}' AND (ends IS NULL OR ends > $2)
             ORDER BY made DESC, scene LIMIT $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(self.appid.as_str().to_owned())
            .bind(after.0)
            .bind(i64::from(most.min(MOST)));
        let rows = self.database.conn().await?.all(query).await?;
        rows.iter().map(|it| Ok(row(it)?.code)).collect()
    }

    /// The scenes whose permanent code is kept.
    pub async fn permanent(&self) -> Result<BTreeSet<Scene>, CodeError> {
        const SCENES: &str = "SELECT scene_kind, scene FROM qr_codes
            WHERE appid = $1 AND life = 'permanent' AND state = 'kept' LIMIT 1000000";
        let scenes = sqlx::query(SCENES).bind(self.appid.as_str().to_owned());
        let rows = self.database.conn().await?.all(scenes).await?;
        let scene = |row: &AnyRow| -> Result<Scene, CodeError> {
            let text = |name| row.try_get::<String, _>(name).map_err(DatabaseError::from);
            Ok(scene_of(&text("scene_kind")?, text("scene")?))
        };
        rows.iter().map(scene).collect()
    }

    /// How many there are.
    pub async fn count(&self) -> Result<Count, CodeError> {
        const UNSURE: &str =
            "SELECT count(*) FROM qr_codes WHERE appid = $1 AND life = 'permanent' AND state = 'asking'";
        const WORKING: &str =
            "SELECT count(*) FROM qr_codes WHERE appid = $1 AND life = 'temporary' AND ends > $2";
        let mut conn = self.database.conn().await?;
        let appid = self.appid.as_str();
        let permanent = used(&mut conn, &self.appid).await?;
        let unsure = conn.optional(sqlx::query(UNSURE).bind(appid.to_owned())).await?;
        let working = sqlx::query(WORKING).bind(appid.to_owned()).bind(self.clock.wall().0);
        let working = conn.optional(working).await?;
        let number = |row: Option<AnyRow>| -> Result<u32, DatabaseError> {
            let count = row.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or_default();
            Ok(u32::try_from(count).unwrap_or(u32::MAX))
        };
        Ok(Count { permanent, unsure: number(unsure)?, temporary: number(working)? })
    }

    /// Counts a scan: once, however often and in whatever order scans are told.
    ///
    /// # Errors
    /// The database's only. Whoever told it may tell it again.
    pub async fn scanned(&self, scan: &Scan) -> Result<Told, CodeError> {
        let told = scan::tell(&self.database, &self.appid, scan, self.clock.wall()).await?;
        if self.is_time_to_add_up() {
            // What fails here is logged there, and done the next time.
            let _ = scan::add_up(&self.database, self.clock.wall()).await;
        }
        Ok(told)
    }

    fn is_time_to_add_up(&self) -> bool {
        let mut last = self.added_up.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= ADD_UP);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// How often each code was scanned.
    pub async fn scans(&self) -> Result<Counted, CodeError> {
        Ok(Counted(scan::scans(&self.database, &self.appid, None).await?))
    }

    /// How often this code was scanned.
    pub async fn scans_of(&self, code: &Code) -> Result<Scans, CodeError> {
        let scene = code.scene.to_string();
        let counted = Counted(scan::scans(&self.database, &self.appid, Some(&scene)).await?);
        Ok(counted.of(code))
    }

    /// WeChat's own picture of a code, and its type.
    pub async fn picture(&self, base: &Url, code: &Code) -> Result<(Vec<u8>, String), CodeError> {
        let query = [("ticket", code.ticket.as_str())];
        Ok(self.api.picture(base, "/cgi-bin/showqrcode", &query).await?)
    }
}

impl CodeError {
    /// Whether the same question may be put again later with another outcome, while the next one
    /// would end in the same way now.
    pub fn ends_a_run(&self) -> bool {
        match self {
            Self::Api(ApiError::Refused(refusal)) => !THIS_CODE.contains(&refusal.errcode),
            Self::Api(_) | Self::Database(_) | Self::Full { .. } => true,
            Self::Answer(_) | Self::UnderWay => false,
        }
    }

    /// Whether WeChat asks for a pause until the next minute.
    pub fn asks_for_a_pause(&self) -> bool {
        matches!(self, Self::Api(ApiError::Refused(refusal)) if refusal.errcode == NEXT_MINUTE)
    }
}
