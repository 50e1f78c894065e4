//! `POST /business/events`: what the message service forwards (docs/forward.md), as far as somebody
//! has scanned a code.
//!
//! Each scan is counted once, whoever tells it again; everything else is acknowledged and left.
//! Genuine is what is signed with the common secret and not older than five minutes.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::http::{self, BodyError, Received, read_body};
use crate::model::AppId;
use crate::services::forwarded::{NotGenuine, genuine};
use crate::services::qrcode::Scan;
use crate::telemetry::services as metrics;

use super::door::Core;

/// The largest push of WeChat's, as JSON, and some.
const LARGEST: usize = 256 * 1024;

/// The part of the body that matters; docs/forward.md has the rest.
#[derive(Deserialize)]
struct Told {
    account: Account,
    message: Message,
}

#[derive(Deserialize)]
struct Account {
    appid: String,
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    scene: Option<String>,
    from: String,
    created: i64,
    id: Option<String>,
    #[serde(default)]
    fields: Fields,
}

#[derive(Default, Deserialize)]
struct Fields {
    /// Of which code, where a scene has several.
    #[serde(rename = "Ticket")]
    ticket: Option<String>,
}

/// Why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// No secret is configured.
    Closed,
    Unsigned,
    Old,
    TooLarge,
    Body,
    Json,
    Storage,
}

impl From<NotGenuine> for Refusal {
    fn from(not: NotGenuine) -> Self {
        match not {
            NotGenuine::Unsigned => Self::Unsigned,
            NotGenuine::Old => Self::Old,
        }
    }
}

/// `POST /business/events`.
pub(super) async fn events(
    State(core): State<Arc<Core>>,
    Extension(received): Extension<Received>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let result = take(&core, &headers, body).await;
    metrics::business_asked("tellEvents", result.as_ref().map_or_else(|refusal| refusal.reason(), |()| "ok"));
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(&core, refusal, &received),
    }
}

async fn take(core: &Core, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    let secret = core.events_secret().ok_or(Refusal::Closed)?;
    let body = read_body(headers, body, LARGEST).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => Refusal::TooLarge,
        BodyError::Late | BodyError::Broken => Refusal::Body,
    })?;
    genuine(headers, &secret, core.clock.wall(), &body)?;
    let Told { account, message } = serde_json::from_slice(&body).map_err(|_| Refusal::Json)?;
    let Message { event, scene, from, created, id, fields: Fields { ticket } } = message;
    let event = event.unwrap_or_default();
    let scan = Scan::of(&event, scene.as_deref(), &from, created, id.as_deref(), ticket.as_deref());
    let Some(scan) = scan else { return Ok(()) };
    let appid: AppId = account.appid.parse().map_err(|_| Refusal::Json)?;
    // Counted now or before, or too old to be counted: telling it again changes none of these.
    core.scans_of(&appid).scanned(&scan).await.map(drop).map_err(|_| Refusal::Storage)
}

fn refused(core: &Core, refusal: Refusal, received: &Received) -> Response {
    let (status, outside, inside) = refusal.sentences();
    let reason = refusal.reason();
    if let Some(others) = core.said.turn(reason) {
        tracing::warn!(
            request = &**received.id.text(),
            peer = %received.peer,
            reason,
            others,
            "a POST to /business/events is refused: {inside}; others like it in the next minute are only counted",
        );
    }
    http::refusal(status, outside, &received.id)
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unsigned => "unsigned",
            Self::Old => "old",
            Self::TooLarge => "too_large_event",
            Self::Body => "body",
            Self::Json => "json",
            Self::Storage => "event_storage",
        }
    }

    /// Status, what the sender is told, what the log says.
    fn sentences(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Closed => (
                StatusCode::NOT_FOUND,
                "there is nothing here",
                "[business] has no events_secret, so that nobody can tell the service of scans",
            ),
            Self::Unsigned => (
                StatusCode::UNAUTHORIZED,
                "the signature is missing or wrong",
                "its signature is missing or wrong: events_secret of [business] and the secret of the \
                 [[messages.forward]] must be the same",
            ),
            Self::Old => (
                StatusCode::UNAUTHORIZED,
                "its time is more than 300 s from ours",
                "its time is more than 300 s from ours: look at both clocks; or somebody has overheard it",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 262144 bytes",
                "its body is larger than 262144 bytes, which no push of WeChat's is",
            ),
            Self::Body => (StatusCode::BAD_REQUEST, "the body cannot be read", "its body is late or broken"),
            Self::Json => (
                StatusCode::BAD_REQUEST,
                "the body is not what docs/forward.md says",
                "its body is not what docs/forward.md says",
            ),
            Self::Storage => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the service cannot store it at the moment",
                "the database does not take it",
            ),
        }
    }
}
