//! How a code is asked for: written down, asked, kept.

use std::time::Duration;

use crate::clock::WallTime;
use crate::failpoint;
use crate::model::{Key, Kind};
use crate::services::business::{Fate, Owner};
use crate::services::database::DatabaseError;
use crate::services::wechat_api::ApiError;

use super::code::{Code, Life, Spec};
use super::codes::{CodeError, Codes, How, Reserve};
use super::row::{Abandon, Claim, Claimed, Keep, Mine, Release, Row};

/// After so long a question has ended, however it did: a token, a call, a complaint and another
/// call, each with its own limit, take some 200 s at most.
const LONGEST_MS: u64 = 300_000;
/// Pauses before a code is written down once more.
const KEEP_AGAIN: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

impl Codes {
    pub(super) async fn create_permanent(
        &self,
        spec: &Spec,
        note: &str,
        reserve: Reserve,
    ) -> Result<(Code, How), CodeError> {
        // Most of a table that is read again is there, and needs no transaction.
        if let Some(code) = self.find(spec).await? {
            return Ok((code, How::Reused));
        }
        let at = self.clock.wall();
        let clock = self.clock.clone();
        let claim = Claim {
            appid: self.appid.clone(),
            spec: spec.clone(),
            note: note.to_owned(),
            limits: self.limits(),
            reserve,
            owner: Owner::this(&self.clock),
            at,
            lives: move |row: &Row| match row.owner.fate(&clock) {
                Fate::Died | Fate::Nobody => false,
                // A task of a process that goes on may have been dropped.
                Fate::Lives | Fate::Elsewhere => at.0.abs_diff(row.code.made.0) < LONGEST_MS,
            },
        };
        match self.database.transaction(claim).await? {
            // What was asked for is known after a loss of power, too. Where that fails, it is logged there.
            Claimed::Ours => drop(self.make_durable().await),
            Claimed::Exists(code) => return Ok((*code, How::Reused)),
            Claimed::UnderWay => return Err(CodeError::UnderWay),
            Claimed::Full(used) => return Err(CodeError::Full { used, limits: self.limits() }),
        }
        let _ = failpoint::hit("qrcode.asked", &self.key());
        let asked = self.ask(spec, note, at).await;
        let _ = failpoint::hit("qrcode.answered", &self.key());
        let mine =
            Mine { appid: self.appid.clone(), spec: spec.clone(), owner: Owner::this(&self.clock), at };
        let code = match asked {
            Ok(code) => code,
            Err(error @ (CodeError::Api(ApiError::Lost(_)) | CodeError::Answer(_))) => {
                // If this fails, too, the next one has to wait for a while.
                let _ = self.database.transaction(Abandon(mine)).await;
                return Err(error);
            }
            Err(error) => {
                // WeChat says that it did nothing, or has heard nothing. If this fails, the code counts, and
                // what WeChat said is what is told all the same.
                let _ = self.database.transaction(Release(mine)).await;
                return Err(error);
            }
        };
        self.keep(spec, &code).await?;
        let _ = self.make_durable().await;
        Ok((code, How::Made))
    }

    async fn make_durable(&self) -> Result<(), DatabaseError> {
        self.database.conn().await?.make_durable().await
    }

    pub(super) async fn create_temporary(
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

    /// Nobody else has the ticket, and WeChat tells it to nobody again: a database that is busy or
    /// away is asked several times.
    async fn keep(&self, spec: &Spec, code: &Code) -> Result<(), CodeError> {
        for pause in KEEP_AGAIN {
            let keep = Keep { appid: self.appid.clone(), spec: spec.clone(), code: code.clone() };
            match self.database.transaction(keep).await {
                Err(error) if error.passes() => tokio::time::sleep(pause).await,
                done => return Ok(done?),
            }
        }
        let keep = Keep { appid: self.appid.clone(), spec: spec.clone(), code: code.clone() };
        Ok(self.database.transaction(keep).await?)
    }

    fn key(&self) -> Key {
        Key::new(self.appid.clone(), Kind::AccessToken)
    }
}
