//! Who has logged in: people, and the account under which each was met.
//!
//! WeChat knows a person by one openid in each account and, where the accounts are bound to an open
//! platform, by one unionid in all of them. Openids with the same unionid are one person, also when
//! the unionid becomes known later. An openid is needed in clear to be found; name and picture are
//! sealed, bound to their row.
//!
//! An identity's epoch is random. A session remembers the one it began in, so that changing it ends
//! every session, and deleting an identity ends them for good.

mod export;
mod ids;
mod seen;

use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use crate::clock::WallTime;
use crate::model::AppId;
use crate::seal::{AtRest, KeyId, Keys, OpenError};
use crate::services::database::{Conn, Database, DatabaseError, Statement, Work};

pub use ids::{Epoch, NoId, OpenId, PersonId, UnionId};

/// The users' part of the database. A clone is the same.
#[derive(Clone, Debug)]
pub struct Users {
    database: Database,
    keys: Keys,
}

/// Somebody whom WeChat has named.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In this account,
    pub appid: AppId,
    /// by this openid,
    pub openid: OpenId,
    /// and in all accounts of an open platform by this, if there is one.
    pub unionid: Option<UnionId>,
    /// What WeChat told of the person; `None` leaves what is known.
    pub profile: Option<Profile>,
    /// Now.
    pub at: WallTime,
}

/// What a person shows of themselves. Sex and region are not here: WeChat tells them no more.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The name, any text.
    pub nickname: String,
    /// The picture's address, if there is a picture. It dies when the person changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headimgurl: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profile(..)")
    }
}

/// A person as met in one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The person, who may have other identities.
    pub person: PersonId,
    /// The account.
    pub appid: AppId,
    /// The person there.
    pub openid: OpenId,
    /// The person everywhere.
    pub unionid: Option<UnionId>,
    /// The profile, if it was ever told.
    pub profile: Option<Profile>,
    /// When it was told.
    pub profile_at: Option<WallTime>,
    /// Whether WeChat has said since that it changed.
    pub freshness: Freshness,
    /// What the sessions of this identity must have begun in.
    pub epoch: Epoch,
    /// First login.
    pub first_seen: WallTime,
    /// Last login.
    pub last_seen: WallTime,
}

/// Whether a profile is what WeChat would tell now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As far as we know.
    Current,
    /// It changed; the next login with consent brings the new one.
    Stale,
}

/// What is deleted, by which statement.
struct Erasure<'e> {
    sql: &'static str,
    appid: &'e AppId,
    openid: &'e OpenId,
}

#[async_trait]
impl Work for Erasure<'_> {
    type Made = u64;

    async fn on(&self, conn: &mut Conn) -> Result<u64, DatabaseError> {
        const WHO: &str = "SELECT person FROM oauth_identities WHERE appid = $1 AND openid = $2";
        let Self { sql, appid, openid } = *self;
        let Some(row) = conn.optional(about(WHO, appid, openid)).await? else { return Ok(0) };
        let person: i64 = row.try_get(0)?;
        let gone = conn.execute(about(sql, appid, openid)).await?;
        forget_if_lonely(conn, person).await?;
        Ok(gone)
    }
}

impl Users {
    /// In this database, profiles sealed with these keys.
    pub fn new(database: Database, keys: Keys) -> Self {
        Self { database, keys }
    }

    /// The person with this openid.
    pub async fn find(&self, appid: &AppId, openid: &OpenId) -> Result<Option<User>, UsersError> {
        let statement = about(FIND, appid, openid);
        let row = self.database.conn().await?.optional(statement).await?;
        row.map(|row| self.user(&row)).transpose()
    }

    /// The epoch of an identity; `None` when it was deleted or never was.
    pub async fn epoch(&self, appid: &AppId, openid: &OpenId) -> Result<Option<Epoch>, UsersError> {
        const EPOCH: &str = "SELECT epoch FROM oauth_identities WHERE appid = $1 AND openid = $2";
        let statement = about(EPOCH, appid, openid);
        let row = self.database.conn().await?.optional(statement).await?;
        Ok(row.map(|row| row.try_get(0).map(Epoch)).transpose().map_err(DatabaseError::from)?)
    }

    /// Ends every session of the person with this openid, in all accounts. Returns how many
    /// identities that were.
    pub async fn log_out_everywhere(&self, appid: &AppId, openid: &OpenId) -> Result<u64, UsersError> {
        const EVERYWHERE: &str = "UPDATE oauth_identities SET epoch = $3 WHERE person =
            (SELECT person FROM oauth_identities WHERE appid = $1 AND openid = $2)";
        let statement = about(EVERYWHERE, appid, openid).bind(Epoch::random().0);
        Ok(self.database.conn().await?.execute(statement).await?)
    }

    /// Notes that WeChat said that the profile changed. Returns whether there is such an identity.
    pub async fn mark_stale(&self, appid: &AppId, openid: &OpenId) -> Result<bool, UsersError> {
        const STALE: &str = "UPDATE oauth_identities SET stale = 1 WHERE appid = $1 AND openid = $2";
        let statement = about(STALE, appid, openid);
        Ok(self.database.conn().await?.execute(statement).await? > 0)
    }

    /// Deletes what is known of an openid, for good, and with it its sessions; the person too, if
    /// it was their last. Returns whether there was anything.
    pub async fn delete(&self, appid: &AppId, openid: &OpenId) -> Result<bool, UsersError> {
        const IDENTITY: &str = "DELETE FROM oauth_identities WHERE appid = $1 AND openid = $2";
        Ok(self.erase(IDENTITY, appid, openid).await? > 0)
    }

    /// Deletes the whole person with this openid, in all accounts. Returns how many identities
    /// there were.
    pub async fn delete_person(&self, appid: &AppId, openid: &OpenId) -> Result<u64, UsersError> {
        const PERSON: &str = "DELETE FROM oauth_identities WHERE person =
            (SELECT person FROM oauth_identities WHERE appid = $1 AND openid = $2)";
        self.erase(PERSON, appid, openid).await
    }

    async fn erase(&self, sql: &'static str, appid: &AppId, openid: &OpenId) -> Result<u64, UsersError> {
        let gone = self.database.transaction(Erasure { sql, appid, openid }).await?;
        if gone > 0 {
            self.database.conn().await?.make_durable().await?;
        }
        Ok(gone)
    }

    fn user(&self, row: &AnyRow) -> Result<User, UsersError> {
        let row = Columns(row);
        let (appid, openid): (AppId, OpenId) = (row.word(0)?, row.word(1)?);
        let profile = match row.get::<Option<Vec<u8>>>(4)? {
            None => None,
            Some(sealed) => {
                let key: Option<String> = row.get(5)?;
                let clear = self.keys.unseal(&bound_to(&appid, &openid), &sealed, key.as_deref())?;
                Some(serde_json::from_slice(&clear).map_err(|_| UsersError::Row)?)
            }
        };
        Ok(User {
            person: PersonId(row.get(2)?),
            unionid: row.get::<Option<String>>(3)?.map(|text| word(&text)).transpose()?,
            profile,
            profile_at: row.get::<Option<i64>>(6)?.map(WallTime),
            freshness: if row.get::<i64>(7)? == 0 { Freshness::Current } else { Freshness::Stale },
            epoch: Epoch(row.get(8)?),
            first_seen: WallTime(row.get(9)?),
            last_seen: WallTime(row.get(10)?),
            appid,
            openid,
        })
    }

    fn sealed(&self, appid: &AppId, openid: &OpenId, profile: &Profile) -> (Vec<u8>, Option<String>) {
        let json = serde_json::to_vec(profile).expect("texts can be written as JSON");
        let AtRest { bytes, key } = self.keys.seal(&bound_to(appid, openid), &json);
        (bytes, key.as_ref().map(KeyId::as_str).map(str::to_owned))
    }
}

/// Reads the columns that [`Users::user`] wants.
macro_rules! user_where {
    ($which:literal) => {
        concat!(
            "SELECT appid, openid, person, unionid, profile, seal_key, profile_at, stale, epoch, first_seen,
                last_seen
             FROM oauth_identities JOIN oauth_people ON oauth_people.id = person WHERE ",
            $which
        )
    };
}
use user_where;

const FIND: &str = user_where!("appid = $1 AND openid = $2");

/// A statement about $1 appid and $2 openid.
fn about(sql: &'static str, appid: &AppId, openid: &OpenId) -> Statement<'static> {
    sqlx::query(sql).bind(appid.as_str().to_owned()).bind(openid.as_str().to_owned())
}

/// Removes a person who has no identity any more.
async fn forget_if_lonely(conn: &mut Conn, person: i64) -> Result<(), DatabaseError> {
    const LONELY: &str = "DELETE FROM oauth_people WHERE id = $1
        AND NOT EXISTS (SELECT 1 FROM oauth_identities WHERE person = $1)";
    conn.execute(sqlx::query(LONELY).bind(person)).await.map(drop)
}

/// What a sealed profile is bound to. Neither id holds a NUL.
fn bound_to(appid: &AppId, openid: &OpenId) -> Vec<u8> {
    format!("profile\0{appid}\0{openid}").into_bytes()
}

/// The columns of a row, as our words.
struct Columns<'r>(&'r AnyRow);

impl Columns<'_> {
    fn get<T>(&self, column: usize) -> Result<T, UsersError>
    where
        T: for<'r> Decode<'r, Any> + Type<Any>,
    {
        Ok(self.0.try_get(column).map_err(DatabaseError::from)?)
    }

    fn word<T: FromStr>(&self, column: usize) -> Result<T, UsersError> {
        word(&self.get::<String>(column)?)
    }
}

fn word<T: FromStr>(text: &str) -> Result<T, UsersError> {
    text.parse().map_err(|_| UsersError::Row)
}

/// Why the users did not do it. The page answers 503; the database has logged its failures.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UsersError {
    /// The database did not.
    #[error("the users cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A profile does not open.
    #[error("a user's profile does not open")]
    Sealed(#[from] OpenError),
    /// A row that this service did not write.
    #[error("a user's row holds what this service does not write")]
    Row,
}
