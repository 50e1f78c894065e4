//! The keys of assertions: made here, kept sealed, in use by a schedule that is a pure function.

use std::time::Duration;

use async_trait::async_trait;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use zeroize::Zeroizing;

use super::{AssertionError, FRESH, KEPT};
use crate::clock::WallTime;
use crate::seal::{AtRest, KeyId, Keys};
use crate::services::database::{Conn, Database, DatabaseError, Statement, Work};

/// How long a key is published before it signs: twice what readers may keep, and the minute in which
/// other instances find it.
const AHEAD: Duration = Duration::from_secs(2 * KEPT.as_secs() + FRESH.as_secs());
/// How far a reader's clock may be behind ours.
const LEEWAY: Duration = Duration::from_secs(300);
/// Keys that one statement reads. More than a few are there only if somebody rotates in a loop.
const MOST: i64 = 100;

/// A key that signs or has signed.
pub(super) struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    made: WallTime,
}

/// What happens to the keys that were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoke {
    /// They go when the last assertion under them has ended.
    InTime,
    /// They go now: what they have signed is worth nothing. Readers may refuse good assertions
    /// for as long as they keep `jwks.json`.
    Now,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The new key.
    pub kid: String,
    /// From when on it signs.
    pub signs_from: WallTime,
    /// How many old ones were dropped.
    pub dropped: u64,
}

/// Which of the keys, oldest first, do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// This one signs.
    pub(super) signer: usize,
    /// From this one on they are published.
    pub(super) published: usize,
}

/// The newest key that was published long enough signs; the first one, if none was. A key that it
/// replaced is published until the last assertion under it has ended.
pub(super) fn standing(keys: &[SigningKey], now: WallTime, life: Duration) -> Standing {
    let made: Vec<WallTime> = keys.iter().map(|key| key.made).collect();
    of(&made, now, life)
}

fn of(made: &[WallTime], now: WallTime, life: Duration) -> Standing {
    let passed = |since: WallTime, span: Duration| {
        u128::try_from(now.0.saturating_sub(since.0)).is_ok_and(|passed| passed >= span.as_millis())
    };
    let signer = made.iter().rposition(|made| passed(*made, AHEAD)).unwrap_or(0);
    let over = |at: &usize| made.get(at + 1).is_some_and(|next| passed(*next, AHEAD + life + LEEWAY));
    let published = (0..signer).take_while(over).count();
    Standing { signer, published }
}

impl SigningKey {
    pub(super) fn make(random: &SystemRandom, now: WallTime) -> Result<Self, AssertionError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random)
            .map_err(|_| AssertionError::Key)?;
        Self::of(pkcs8.as_ref(), random, now)
    }

    fn of(pkcs8: &[u8], random: &SystemRandom, made: WallTime) -> Result<Self, AssertionError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, random)
            .map_err(|_| AssertionError::Key)?;
        let kid = hex::encode(&Sha256::digest(pair.public_key().as_ref())[..8]);
        Ok(Self { kid, pair, pkcs8: Zeroizing::new(pkcs8.to_vec()), made })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// r and s, 32 bytes each.
    pub(super) fn sign(&self, random: &SystemRandom, what: &[u8]) -> Result<Vec<u8>, AssertionError> {
        let signature = self.pair.sign(random, what).map_err(|_| AssertionError::Key)?;
        Ok(signature.as_ref().to_vec())
    }

    /// x and y.
    pub(super) fn point(&self) -> (&[u8], &[u8]) {
        // Uncompressed: 4, then 32 bytes each.
        self.pair.public_key().as_ref()[1..].split_at(32)
    }

    fn read(row: &AnyRow, seal: &Keys) -> Result<Self, AssertionError> {
        let get = || -> Result<(String, Vec<u8>, Option<String>, i64), sqlx::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        let (kid, sealed, key, made) = get().map_err(DatabaseError::from)?;
        let pkcs8 = seal.unseal(&bound_to(&kid), &sealed, key.as_deref())?;
        let read = Self::of(&pkcs8, &SystemRandom::new(), WallTime(made))?;
        if read.kid == kid { Ok(read) } else { Err(AssertionError::Key) }
    }
}

/// What a sealed key is bound to.
fn bound_to(kid: &str) -> Vec<u8> {
    format!("signing-key\0{kid}").into_bytes()
}

/// The keys that are there, or the first one.
pub(super) async fn load_or_make(
    database: &Database,
    seal: &Keys,
    make: impl FnOnce() -> Result<SigningKey, AssertionError>,
) -> Result<Vec<SigningKey>, AssertionError> {
    let rows = database.conn().await?.all(select()).await?;
    if !rows.is_empty() {
        return rows.iter().map(|row| SigningKey::read(row, seal)).collect();
    }
    let rows = database.transaction(First(Row::of(&make()?, seal))).await?;
    rows.iter().map(|row| SigningKey::read(row, seal)).collect()
}

/// Adds a key, and drops what nobody needs.
pub(super) async fn rotate(
    database: &Database,
    seal: &Keys,
    new: SigningKey,
    life: Duration,
    revoke: Revoke,
) -> Result<Rotated, AssertionError> {
    let (kid, made) = (new.kid.clone(), new.made);
    let (dropped, alone) = database.transaction(Rotation { new: Row::of(&new, seal), life, revoke }).await?;
    let ahead = if alone { 0 } else { i64::try_from(AHEAD.as_millis()).unwrap_or(0) };
    Ok(Rotated { kid, signs_from: WallTime(made.0.saturating_add(ahead)), dropped })
}

/// Seals those with the first seal key that are sealed with another.
pub(super) async fn reseal(database: &Database, seal: &Keys) -> Result<u64, AssertionError> {
    const RESEAL: &str = "UPDATE oauth_keys SET sealed = $2, seal_key = $3 WHERE kid = $1 AND seal_key <> $3";
    let mut conn = database.conn().await?;
    let mut sealed = 0;
    for row in conn.all(select()).await? {
        let Row { kid, sealed: bytes, seal_key, made: _ } = Row::of(&SigningKey::read(&row, seal)?, seal);
        sealed += conn.execute(sqlx::query(RESEAL).bind(kid).bind(bytes).bind(seal_key)).await?;
    }
    Ok(sealed)
}

/// A key as it is stored.
struct Row {
    kid: String,
    sealed: Vec<u8>,
    seal_key: Option<String>,
    made: WallTime,
}

impl Row {
    fn of(key: &SigningKey, seal: &Keys) -> Self {
        let AtRest { bytes, key: seal_key } = seal.seal(&bound_to(&key.kid), &key.pkcs8);
        let seal_key = seal_key.as_ref().map(KeyId::as_str).map(str::to_owned);
        Self { kid: key.kid.clone(), sealed: bytes, seal_key, made: key.made }
    }

    async fn insert(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        const INSERT: &str = "INSERT INTO oauth_keys (kid, sealed, seal_key, made) VALUES ($1, $2, $3, $4)";
        let Self { kid, sealed, seal_key, made } = self;
        let insert = sqlx::query(INSERT).bind(kid.clone()).bind(sealed.clone()).bind(seal_key.clone());
        conn.execute(insert.bind(made.0)).await.map(drop)
    }
}

fn select() -> Statement<'static> {
    sqlx::query("SELECT kid, sealed, seal_key, made FROM oauth_keys ORDER BY made, kid LIMIT $1").bind(MOST)
}

/// Adds the first key unless another instance was faster.
struct First(Row);

#[async_trait]
impl Work for First {
    type Made = Vec<AnyRow>;

    async fn on(&self, conn: &mut Conn) -> Result<Vec<AnyRow>, DatabaseError> {
        let rows = conn.all(select()).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        self.0.insert(conn).await?;
        conn.all(select()).await
    }
}

struct Rotation {
    new: Row,
    life: Duration,
    revoke: Revoke,
}

#[async_trait]
impl Work for Rotation {
    /// How many were dropped, and whether the new one is alone.
    type Made = (u64, bool);

    async fn on(&self, conn: &mut Conn) -> Result<(u64, bool), DatabaseError> {
        let mut kids = Vec::new();
        let mut made = Vec::new();
        for row in conn.all(select()).await? {
            kids.push(row.try_get::<String, _>(0)?);
            made.push(WallTime(row.try_get(3)?));
        }
        let gone = match self.revoke {
            Revoke::Now => kids.len(),
            Revoke::InTime => of(&made, self.new.made, self.life).published,
        };
        let mut dropped = 0;
        for kid in kids.iter().take(gone) {
            let delete = sqlx::query("DELETE FROM oauth_keys WHERE kid = $1").bind(kid.clone());
            dropped += conn.execute(delete).await?;
        }
        self.new.insert(conn).await?;
        Ok((dropped, gone == kids.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_assertion_has_ended() {
        const LIFE: Duration = Duration::from_secs(60);
        let at = |seconds: i64| WallTime(1_800_000_000_000 + seconds * 1_000);
        let made = [at(0), at(10_000), at(20_000)];
        let standing = |keys: usize, seconds: i64| of(&made[..keys], at(seconds), LIFE);
        // The first one signs at once: there is no other.
        assert_eq!(standing(1, 0), Standing { signer: 0, published: 0 });
        assert_eq!(standing(2, 10_659), Standing { signer: 0, published: 0 });
        assert_eq!(standing(2, 10_660), Standing { signer: 1, published: 0 });
        assert_eq!(standing(2, 11_019), Standing { signer: 1, published: 0 });
        assert_eq!(standing(2, 11_020), Standing { signer: 1, published: 1 });
        assert_eq!(standing(3, 20_000), Standing { signer: 1, published: 1 });
        assert_eq!(standing(3, 30_000), Standing { signer: 2, published: 2 });
        // A clock that was stepped back: the oldest signs, and all stay published.
        assert_eq!(standing(3, -5_000), Standing { signer: 0, published: 0 });
    }
}
