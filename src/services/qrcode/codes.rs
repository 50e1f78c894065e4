//! The codes of an account: asked for once, and kept.

use std::time::Duration;

use sqlx::Row as _;
use url::Url;

use crate::clock::{Clock, WallTime};
use crate::failpoint;
use crate::model::{AppId, Key, Kind};
use crate::services::business::{Fate, Owner};
use crate::services::database::{Database, DatabaseError};
use crate::services::wechat_api::{ApiError, WechatApi};

use super::code::{Code, Life, Spec};
use super::row::{COLUMNS, Claim, Claimed, Keep, Release, Row, find, row, used};

/// After so long a question of another machine has ended, however it did.
const LONGEST_MS: i64 = 60_000;
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
    /// Another process asks for it.
    #[error("another process is asking for this code: try again in a minute")]
    UnderWay,
}

/// The codes of an account. A clone is the same.
#[derive(Clone, Debug)]
pub struct Codes {
    api: WechatApi,
    appid: AppId,
    database: Database,
    clock: Clock,
    limits: Limits,
}

impl Codes {
    /// Of this account, in a database whose schema is
    /// [`SCHEMA`](crate::services::business::SCHEMA).
    pub fn new(api: WechatApi, appid: AppId, database: Database, clock: Clock, limits: Limits) -> Self {
        Self { api, appid, database, clock, limits }
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
        let select = format!(
            "SELECT {COLUMNS} FROM qr_codes WHERE appid = $1 AND state = 'kept' AND (ends IS NULL OR ends > $2)
             ORDER BY made DESC, scene LIMIT $3"
        );
        let after = match shown {
            Shown::Working => self.clock.wall().0,
            Shown::All => 0,
        };
        let query = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(self.appid.as_str().to_owned())
            .bind(after)
            .bind(i64::from(most.min(MOST)));
        let rows = self.database.conn().await?.all(query).await?;
        rows.iter().map(|it| Ok(row(it)?.code)).collect()
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
        let number = |row: Option<sqlx::any::AnyRow>| -> Result<u32, DatabaseError> {
            let count = row.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or_default();
            Ok(u32::try_from(count).unwrap_or(u32::MAX))
        };
        Ok(Count { permanent, unsure: number(unsure)?, temporary: number(working)? })
    }

    /// WeChat's own picture of a code, and its type.
    pub async fn picture(&self, base: &Url, code: &Code) -> Result<(Vec<u8>, String), CodeError> {
        let query = [("ticket", code.ticket.as_str())];
        Ok(self.api.picture(base, "/cgi-bin/showqrcode", &query).await?)
    }

    async fn create_permanent(
        &self,
        spec: &Spec,
        note: &str,
        reserve: Reserve,
    ) -> Result<(Code, How), CodeError> {
        let at = self.clock.wall();
        let clock = self.clock.clone();
        let claim = Claim {
            appid: self.appid.clone(),
            spec: spec.clone(),
            note: note.to_owned(),
            limits: self.limits,
            reserve,
            owner: Owner::this(&self.clock),
            at,
            lives: move |row: &Row| match row.owner.fate(&clock) {
                Fate::Lives => row.owner != Owner::this(&clock),
                Fate::Died => false,
                Fate::Elsewhere => at.0.saturating_sub(row.code.made.0) < LONGEST_MS,
            },
        };
        match self.database.transaction(claim).await? {
            Claimed::Ours => {}
            Claimed::Exists(code) => return Ok((*code, How::Reused)),
            Claimed::UnderWay => return Err(CodeError::UnderWay),
            Claimed::Full(used) => return Err(CodeError::Full { used, limits: self.limits }),
        }
        let _ = failpoint::hit("qrcode.asked", &self.key());
        let asked = self.ask(spec, note, at).await;
        let _ = failpoint::hit("qrcode.answered", &self.key());
        if let Err(CodeError::Api(error)) = &asked
            && !matches!(error, ApiError::Lost(_))
        {
            // WeChat says that it did nothing, or has heard nothing.
            self.database.transaction(Release { appid: self.appid.clone(), spec: spec.clone() }).await?;
        }
        let code = asked?;
        self.keep(spec, &code).await?;
        Ok((code, How::Made))
    }

    async fn create_temporary(
        &self,
        spec: &Spec,
        note: &str,
        life: Duration,
    ) -> Result<(Code, How), CodeError> {
        let now = self.clock.wall();
        if let Some(code) = self.find(spec).await? {
            let half = i64::try_from(life.as_millis() / 2).unwrap_or(i64::MAX);
            if code.ends.is_some_and(|ends| ends.0.saturating_sub(now.0) >= half) {
                return Ok((code, How::Reused));
            }
        }
        let code = self.ask(spec, note, now).await?;
        self.keep(spec, &code).await?;
        Ok((code, How::Made))
    }

    async fn ask(&self, spec: &Spec, note: &str, at: WallTime) -> Result<Code, CodeError> {
        let answer = self.api.post(&self.appid, "/cgi-bin/qrcode/create", &spec.body()).await?;
        let text = |name: &'static str| {
            let found = answer.get(name).and_then(serde_json::Value::as_str);
            found.filter(|text| !text.is_empty()).map(str::to_owned).ok_or(CodeError::Answer(name))
        };
        let ends = match spec.life() {
            Life::Permanent => None,
            Life::Temporary(wished) => {
                // What WeChat grants counts; an answer without it grants what was asked.
                let granted = answer.get("expire_seconds").and_then(serde_json::Value::as_u64);
                let life = granted.map_or(wished, Duration::from_secs);
                Some(WallTime(at.0.saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX))))
            }
        };
        Ok(Code {
            scene: spec.scene().clone(),
            life: spec.life(),
            ticket: text("ticket")?,
            url: text("url")?,
            note: note.to_owned(),
            made: at,
            ends,
        })
    }

    async fn keep(&self, spec: &Spec, code: &Code) -> Result<(), CodeError> {
        let keep = Keep { appid: self.appid.clone(), spec: spec.clone(), code: code.clone() };
        Ok(self.database.transaction(keep).await?)
    }

    fn key(&self) -> Key {
        Key::new(self.appid.clone(), Kind::AccessToken)
    }
}

impl CodeError {
    /// Whether the same question may be put again later with another outcome, while the next one
    /// would end in the same way now.
    pub fn ends_a_run(&self) -> bool {
        match self {
            Self::Api(_) | Self::Database(_) | Self::Full { .. } => true,
            Self::Answer(_) | Self::UnderWay => false,
        }
    }
}
