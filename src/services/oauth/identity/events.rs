//! `POST /oauth/events`: what the message service forwards (docs/forward.md), as far as it is about
//! people here.
//!
//! Somebody who withdraws an authorization, or closes the WeChat account, is forgotten; somebody who
//! changed name or picture has a profile that is stale. Everything else is acknowledged and left.
//! Genuine is what is signed with the common secret, not older than five minutes, and new.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::super::records::RecordId;
use super::super::users::OpenId;
use super::{Asked, Core};
use crate::clock::WallTime;
use crate::http::{self, read_body};
use crate::model::AppId;
use crate::services::forwarded::{NotGenuine, genuine};
use crate::telemetry::services as metrics;

/// The largest push of WeChat's, as JSON, and some.
const LARGEST: usize = 256 * 1024;
/// How long is remembered what was told: longer than it stays genuine.
const REMEMBERED: Duration = Duration::from_secs(660);

/// The part of the body that matters; docs/forward.md has the rest.
#[derive(Deserialize)]
struct Told {
    account: Account,
    trace: String,
    message: Message,
}

#[derive(Deserialize)]
struct Account {
    appid: String,
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    from: String,
    #[serde(default)]
    fields: Fields,
}

#[derive(Default, Deserialize)]
struct Fields {
    /// Whom it is about. `from` is the same person in most accounts.
    #[serde(rename = "OpenID")]
    openid: Option<String>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Forget,
    MarkStale,
}

/// Why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// No secret is configured.
    Closed,
    Unsigned,
    Old,
    Body,
    Json,
    Storage,
}

/// `POST /oauth/events`.
pub(super) async fn events(State(core): State<Arc<Core>>, asked: Asked, body: Body) -> Response {
    let result = take(&core, &asked, body).await;
    metrics::identity_asked("events", result.as_ref().map_or_else(|refusal| refusal.reason(), |()| "ok"));
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => core.refused(refusal, &asked),
    }
}

async fn take(core: &Core, asked: &Asked, body: Body) -> Result<(), Refusal> {
    let secret = asked.live.events.as_ref().ok_or(Refusal::Closed)?;
    let body = read_body(&asked.headers, body, LARGEST).await.map_err(|_| Refusal::Body)?;
    genuine(&asked.headers, secret, core.clock.wall(), &body)?;
    let told: Told = serde_json::from_slice(&body).map_err(|_| Refusal::Json)?;
    let act = match told.message.event.as_deref() {
        Some("user_authorization_revoke" | "user_authorization_cancellation") => Act::Forget,
        Some("user_info_modified") => Act::MarkStale,
        Some(_) | None => return Ok(()),
    };
    let appid: AppId = told.account.appid.parse().map_err(|_| Refusal::Json)?;
    let openid = told.message.fields.openid.as_ref().unwrap_or(&told.message.from);
    let openid: OpenId = openid.parse().map_err(|_| Refusal::Json)?;
    if !asked.site().accounts().iter().any(|account| account.appid == appid) {
        return Ok(());
    }
    let seen = RecordId::event(&format!("{appid} {}", told.trace));
    let ends = WallTime(core.clock.wall().0.saturating_add(millis(REMEMBERED)));
    let new = core.records.add(&seen, b"", ends).await.map_err(|_| Refusal::Storage);
    let done = match (new, act) {
        (Err(refusal), _) => Err(refusal),
        // Somebody has overheard it and tells it again.
        (Ok(false), _) => return Ok(()),
        (Ok(true), Act::Forget) => core.users.delete(&appid, &openid).await.map_err(|_| Refusal::Storage),
        (Ok(true), Act::MarkStale) => {
            core.users.mark_stale(&appid, &openid).await.map_err(|_| Refusal::Storage)
        }
    };
    match (done, act) {
        (Ok(true), Act::Forget) => {
            tracing::info!(
                appid = appid.as_str(),
                trace = told.trace,
                "somebody has withdrawn the authorization of {appid}; what was known of them there is deleted, and \
                 they are logged out"
            );
            Ok(())
        }
        (Ok(_), _) => Ok(()),
        (Err(refusal), Act::Forget) => {
            // It is told once, so that somebody has to do it: an openid is what they need for it.
            tracing::error!(
                appid = appid.as_str(),
                openid = openid.as_str(),
                trace = told.trace,
                "somebody has withdrawn the authorization of {appid} and could not be deleted; when the database \
                 works again, run: zhongkong oauth delete {appid} {openid}"
            );
            Err(refusal)
        }
        (Err(refusal), Act::MarkStale) => Err(refusal),
    }
}

impl From<NotGenuine> for Refusal {
    fn from(not: NotGenuine) -> Self {
        match not {
            NotGenuine::Unsigned => Self::Unsigned,
            NotGenuine::Old => Self::Old,
        }
    }
}

impl Core {
    fn refused(&self, refusal: Refusal, asked: &Asked) -> Response {
        let (status, outside, inside) = refusal.sentences();
        if let Some(others) = self.said.turn(refusal.reason()) {
            tracing::warn!(
                request = &**asked.received.id.text(),
                peer = %asked.received.peer,
                reason = refusal.reason(),
                others,
                "a POST to /oauth/events is refused: {inside}; others like it in the next minute are only counted",
            );
        }
        http::refusal(status, outside, &asked.received.id)
    }
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unsigned => "unsigned",
            Self::Old => "old",
            Self::Body => "body",
            Self::Json => "json",
            Self::Storage => "storage",
        }
    }

    /// Status, what the sender is told, what the log says.
    fn sentences(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Closed => (
                StatusCode::NOT_FOUND,
                "there is nothing here",
                "[oauth] has no events_secret, so that nobody can tell the service anything",
            ),
            Self::Unsigned => (
                StatusCode::UNAUTHORIZED,
                "the signature is missing or wrong",
                "its signature is missing or wrong: events_secret of [oauth] and the secret of the \
                 [[messages.forward]] must be the same",
            ),
            Self::Old => (
                StatusCode::UNAUTHORIZED,
                "its time is more than 300 s from ours",
                "its time is more than 300 s from ours: look at both clocks; or somebody has overheard it",
            ),
            Self::Body => {
                (StatusCode::BAD_REQUEST, "the body cannot be read", "its body is too large, late or broken")
            }
            Self::Json => (
                StatusCode::BAD_REQUEST,
                "the body is not what docs/forward.md says",
                "its body is not what docs/forward.md says",
            ),
            Self::Storage => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the service cannot store it at the moment",
                "the database or memcached does not take it",
            ),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
