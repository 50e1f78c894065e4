//! Everybody, a page at a time: however many there are, a page is what is in memory.

use serde::Serialize;

use super::{Freshness, User, Users, UsersError, user_where};
use crate::model::AppId;
use crate::services::oauth::users::OpenId;

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
