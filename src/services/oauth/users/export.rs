//! Everybody, a page at a time: however many there are, a page is what is in memory.

use serde::Serialize;

use super::{Columns, Freshness, OpenId, User, Users, UsersError, about, user_where};
use crate::clock::WallTime;
use crate::model::AppId;

/// Identities that one statement reads.
const PAGE: i64 = 500;

/// The name of an identity, by which a page begins after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    appid: AppId,
    openid: OpenId,
}

impl Users {
    /// The next identities, ordered by appid and openid; and where to go on, if that was not all.
    pub async fn page(&self, after: Option<&After>) -> Result<(Vec<User>, Option<After>), UsersError> {
        const PAGES: &str = user_where!("(appid, openid) > ($1, $2) ORDER BY appid, openid LIMIT $3");
        let (appid, openid) = after.map_or(("", ""), |after| (after.appid.as_str(), after.openid.as_str()));
        let statement = sqlx::query(PAGES).bind(appid.to_owned()).bind(openid.to_owned()).bind(PAGE);
        let rows = self.database.conn().await?.all(statement).await?;
        let users = rows.iter().map(|row| self.user(row)).collect::<Result<Vec<_>, _>>()?;
        let full = i64::try_from(users.len()).is_ok_and(|read| read == PAGE);
        let next = users.last().filter(|_| full);
        let next = next.map(|user| After { appid: user.appid.clone(), openid: user.openid.clone() });
        Ok((users, next))
    }
}

impl Users {
    /// How many identities each account has, and when somebody logged in there last.
    pub async fn counts(&self) -> Result<Vec<(String, u64, WallTime)>, UsersError> {
        const COUNTS: &str = "SELECT appid, count(*), max(last_seen) FROM oauth_identities
            GROUP BY appid ORDER BY appid LIMIT 10000";
        let rows = self.database.conn().await?.all(sqlx::query(COUNTS)).await?;
        let rows = rows.iter().map(Columns).map(|row| {
            let count = u64::try_from(row.get::<i64>(1)?).unwrap_or(0);
            Ok((row.get(0)?, count, WallTime(row.get(2)?)))
        });
        rows.collect()
    }

    /// Seals every profile with the first seal key that is not. Returns how many there were. One
    /// that a login changes meanwhile is sealed so by that.
    pub async fn reseal(&self) -> Result<u64, UsersError> {
        const RESEAL: &str = "UPDATE oauth_identities SET profile = $3, seal_key = $4
            WHERE appid = $1 AND openid = $2 AND profile_at = $5 AND seal_key <> $4";
        let mut sealed = 0;
        let mut after = None;
        loop {
            let (users, next) = self.page(after.as_ref()).await?;
            for user in users {
                let Some(profile) = &user.profile else { continue };
                let (bytes, key) = self.sealed(&user.appid, &user.openid, profile);
                let statement = about(RESEAL, &user.appid, &user.openid).bind(bytes).bind(key);
                let statement = statement.bind(user.profile_at.map(|at| at.0));
                sealed += self.database.conn().await?.execute(statement).await?;
            }
            if next.is_none() {
                return Ok(sealed);
            }
            after = next;
        }
    }
}

/// A user as a line of the export.
#[derive(Serialize)]
struct Line<'a> {
    appid: &'a str,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headimgurl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_at: Option<String>,
    profile_stale: bool,
    first_seen: String,
    last_seen: String,
}

impl User {
    /// All that is known of an identity, as one line of JSON without its end.
    pub fn to_json(&self) -> String {
        let line = Line {
            appid: self.appid.as_str(),
            openid: self.openid.as_str(),
            unionid: self.unionid.as_ref().map(super::UnionId::as_str),
            nickname: self.profile.as_ref().map(|profile| profile.nickname.as_str()),
            headimgurl: self.profile.as_ref().and_then(|profile| profile.headimgurl.as_deref()),
            profile_at: self.profile_at.map(|at| at.to_string()),
            profile_stale: self.freshness == Freshness::Stale,
            first_seen: self.first_seen.to_string(),
            last_seen: self.last_seen.to_string(),
        };
        serde_json::to_string(&line).expect("texts can be written as JSON")
    }
}
