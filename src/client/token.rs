//! A value as the daemon handed it out.

use std::time::Duration;

use crate::clock::WallTime;
use crate::model::{Fingerprint, Generation, Key, Kind};
use crate::pb;
use crate::secret::Secret;

use super::error::{Error, answered};

/// A value and what is to be known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which credential.
    pub key: Key,
    /// The string. `None` if the caller may not read it or said that it knows it.
    pub value: Option<Secret>,
    /// Its name in logs and complaints.
    pub fingerprint: Fingerprint,
    /// Never go back to a lower one.
    pub generation: Generation,
    /// When it was asked for, on the daemon's wall clock.
    pub issued_at: WallTime,
    /// From when on it may be dead, on the daemon's wall clock.
    pub expires_at: WallTime,
    /// The span to `expires_at` when the daemon answered.
    pub remaining: Duration,
    /// How long it may be used without asking again.
    pub cache_for: Duration,
    /// What the daemon says about it.
    pub state: pb::TokenState,
    /// Set if it is degraded.
    pub degraded_reason: pb::DegradedReason,
}

pub(super) fn read(token: pb::Token) -> Result<Token, Error> {
    let (state, degraded_reason) = (token.state(), token.degraded_reason());
    Ok(Token {
        key: key(&token.appid, token.kind)?,
        value: (!token.value.is_empty()).then(|| Secret::from(token.value)),
        fingerprint: token.fingerprint.parse().map_err(|_| Error::Answer { field: "fingerprint" })?,
        generation: Generation(token.generation),
        issued_at: wall("issued_at", token.issued_at)?,
        expires_at: wall("expires_at", token.expires_at)?,
        remaining: span("remaining", token.remaining)?,
        cache_for: span("cache_for", token.cache_for)?,
        state,
        degraded_reason,
    })
}

pub(super) fn key(appid: &str, kind: i32) -> Result<Key, Error> {
    let appid = appid.parse().map_err(|_| Error::Answer { field: "appid" })?;
    let kind = match pb::Kind::try_from(kind) {
        Ok(pb::Kind::AccessToken) => Kind::AccessToken,
        Ok(pb::Kind::JsapiTicket) => Kind::JsapiTicket,
        Ok(pb::Kind::WxCardTicket) => Kind::WxCardTicket,
        Ok(pb::Kind::Unspecified) | Err(_) => return Err(Error::Answer { field: "kind" }),
    };
    Ok(Key::new(appid, kind))
}

pub(super) fn wall(field: &'static str, at: Option<prost_types::Timestamp>) -> Result<WallTime, Error> {
    let at = answered(field, at)?;
    let millis = at.seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(at.nanos) / 1_000_000));
    answered(field, millis.map(WallTime))
}

pub(super) fn span(field: &'static str, span: Option<prost_types::Duration>) -> Result<Duration, Error> {
    answered(field, span.and_then(|span| Duration::try_from(span).ok()))
}
