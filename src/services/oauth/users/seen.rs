//! Somebody logged in: who is it, and with whom are they one person?

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{
    Conn, DatabaseError, Epoch, FIND, PersonId, Seen, UnionId, User, Users, UsersError, Work, about,
};

/// Where an identity belongs before it is written.
struct Found {
    person: i64,
    unionid: Option<String>,
}

/// A sealed profile, and with which key.
type Sealed = (Vec<u8>, Option<String>);

struct Sighting<'s> {
    seen: &'s Seen,
    profile: Option<Sealed>,
}

#[async_trait]
impl Work for Sighting<'_> {
    type Made = Option<AnyRow>;

    async fn on(&self, conn: &mut Conn) -> Result<Option<AnyRow>, DatabaseError> {
        let Self { seen, profile } = self;
        let before = before(conn, seen).await?;
        let person = person(conn, seen, before.as_ref()).await?;
        write(conn, seen, person, profile.clone()).await?;
        if let Some(before) = before
            && before.person != person
        {
            super::forget_if_lonely(conn, before.person).await?;
        }
        conn.optional(about(FIND, &seen.appid, &seen.openid)).await
    }
}

impl Users {
    /// Takes note that somebody logged in: a new identity, or a known one with perhaps a new
    /// profile or a unionid that was not known. Identities that turn out to be one person become
    /// one; their sessions go on.
    pub async fn seen(&self, seen: &Seen) -> Result<User, UsersError> {
        let profile = seen.profile.as_ref().map(|profile| self.sealed(&seen.appid, &seen.openid, profile));
        let row = self.database.transaction(Sighting { seen, profile }).await?;
        self.user(&row.ok_or(UsersError::Row)?)
    }
}

async fn before(conn: &mut Conn, seen: &Seen) -> Result<Option<Found>, DatabaseError> {
    const BEFORE: &str = "SELECT person, unionid FROM oauth_identities
        JOIN oauth_people ON oauth_people.id = person WHERE appid = $1 AND openid = $2";
    let Some(row) = conn.optional(about(BEFORE, &seen.appid, &seen.openid)).await? else { return Ok(None) };
    Ok(Some(Found { person: row.try_get(0)?, unionid: row.try_get(1)? }))
}

/// Whose identity it is from now on.
async fn person(conn: &mut Conn, seen: &Seen, before: Option<&Found>) -> Result<i64, DatabaseError> {
    const NAMED: &str = "SELECT id FROM oauth_people WHERE unionid = $1";
    const NAME: &str = "UPDATE oauth_people SET unionid = $2 WHERE id = $1";
    match (&seen.unionid, before) {
        // A login that tells no unionid takes nothing away: WeChat tells it only sometimes.
        (None, Some(before)) => Ok(before.person),
        (None, None) => make(conn, None).await,
        (Some(unionid), Some(before)) if before.unionid.as_deref() == Some(unionid.as_str()) => {
            Ok(before.person)
        }
        (Some(unionid), before) => {
            let named = sqlx::query(NAMED).bind(unionid.as_str().to_owned());
            if let Some(row) = conn.optional(named).await? {
                return Ok(row.try_get(0)?);
            }
            match before {
                Some(Found { person, unionid: None }) => {
                    let name = sqlx::query(NAME).bind(*person).bind(unionid.as_str().to_owned());
                    conn.execute(name).await?;
                    Ok(*person)
                }
                // The account went to another open platform, which names everybody anew. Who comes
                // from there is one person under the new name; the others keep the old one.
                Some(Found { unionid: Some(_), .. }) | None => make(conn, Some(unionid)).await,
            }
        }
    }
}

async fn make(conn: &mut Conn, unionid: Option<&UnionId>) -> Result<i64, DatabaseError> {
    const MAKE: &str = "INSERT INTO oauth_people (id, unionid) VALUES ($1, $2)";
    let PersonId(id) = PersonId::random();
    conn.execute(sqlx::query(MAKE).bind(id).bind(unionid.map(|id| id.as_str().to_owned()))).await?;
    Ok(id)
}

async fn write(
    conn: &mut Conn,
    seen: &Seen,
    person: i64,
    profile: Option<Sealed>,
) -> Result<(), DatabaseError> {
    // Times only grow: instances' clocks differ a little.
    const WRITE: &str = "INSERT INTO oauth_identities
            (appid, openid, person, epoch, stale, first_seen, last_seen)
        VALUES ($1, $2, $3, $4, 0, $5, $5)
        ON CONFLICT (appid, openid) DO UPDATE SET person = excluded.person,
            last_seen = CASE WHEN excluded.last_seen > oauth_identities.last_seen
                THEN excluded.last_seen ELSE oauth_identities.last_seen END";
    const PROFILE: &str = "UPDATE oauth_identities
        SET profile = $3, seal_key = $4, profile_at = $5, stale = 0 WHERE appid = $1 AND openid = $2";
    let write = about(WRITE, &seen.appid, &seen.openid).bind(person).bind(Epoch::random().0).bind(seen.at.0);
    conn.execute(write).await?;
    if let Some((sealed, key)) = profile {
        let profile = about(PROFILE, &seen.appid, &seen.openid).bind(sealed).bind(key).bind(seen.at.0);
        conn.execute(profile).await?;
    }
    Ok(())
}
