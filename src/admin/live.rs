//! The page kept current: server-sent events, at most one a second.
//!
//! Every second the page's parts are looked at as for a first paint, compared with what was
//! sent last, and only what differs is sent. So a stream misses nothing, needs no queue, and a
//! reader that does not read costs one message; the kernel drops it after half a minute. Streams
//! are counted; they end at the daemon's stop, and when their session does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::pages;
use super::parts::Parts;
use super::query::Query;
use super::refusal::Refusal;
use super::render::Scene;
use super::sessions::{Look, SessionKey};
use super::site::{Site, Visit};
use super::words::Lang;

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);
/// Without a change, this says that the daemon is still there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// When a browser whose stream broke comes back.
const AGAIN: Duration = Duration::from_secs(2);

/// What an open stream knows.
struct Stream {
    site: Arc<Site>,
    query: Query,
    lang: Lang,
    session: Option<SessionKey>,
    sent: Option<Parts>,
    /// When to look again; the first look is at once.
    due: Option<Instant>,
    heartbeat: Instant,
    ended: Ended,
    _counted: OwnedSemaphorePermit,
}

/// Whether the last message was said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

/// One message.
#[derive(Serialize)]
struct Update {
    now: i64,
    wall: i64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parts: Map<String, Value>,
    /// The page's keys in their order, if it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    rows: Map<String, Value>,
}

/// `GET /events`, with the same parameters as the page.
pub(super) async fn events(visit: Visit) -> Response {
    let Visit { site, query, lang, signed, peer: _, headers: _ } = visit;
    let session = signed.as_ref().map(|signed| signed.key);
    if site.viewer(signed).is_none() {
        return Refusal::NotGranted.answer(&site, lang);
    }
    let Ok(counted) = site.streams.clone().try_acquire_owned() else {
        return Refusal::TooManyPages.answer(&site, lang);
    };
    let now = Instant::now();
    let stream = Stream {
        site,
        query,
        lang,
        session,
        sent: None,
        due: None,
        heartbeat: now,
        ended: Ended::No,
        _counted: counted,
    };
    let events = stream::unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut answer = Sse::new(events).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For nginx before us: a message that is held back is no news.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
}

impl Stream {
    /// The next message; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if self.ended == Ended::Yes {
            return None;
        }
        loop {
            tokio::select! {
                () = self.site.stop.cancelled() => return None,
                () = until(self.due) => {}
            }
            self.due = Some(Instant::now() + PACE);
            let signed = match self.session {
                Some(key) => match self.site.sessions.look_up(key, Look::Watch) {
                    Some(signed) => Some(signed),
                    // The session ended: the page says so by being loaded again.
                    None => return Some(self.end()),
                },
                None => None,
            };
            let Some(viewer) = self.site.viewer(signed) else { return Some(self.end()) };
            let parts = Parts::of(&self.site, &viewer, &self.query, self.lang).await;
            let update = match self.update(&parts) {
                Ok(update) => update,
                Err(error) => {
                    tracing::error!(%error, "a status page cannot be kept current; please report this as a bug");
                    return None;
                }
            };
            let first = self.sent.replace(parts).is_none();
            let quiet = update.parts.is_empty() && update.order.is_none() && update.rows.is_empty();
            if quiet && !first && Instant::now() < self.heartbeat {
                continue;
            }
            self.heartbeat = Instant::now() + HEARTBEAT;
            let event = Event::default().event("update").retry(AGAIN).json_data(&update);
            // Numbers and text always make JSON.
            return event.ok();
        }
    }

    /// Tells the page to load itself again; then the stream ends.
    fn end(&mut self) -> Event {
        self.ended = Ended::Yes;
        Event::default().event("reload").data("session")
    }

    /// What differs from what was sent. The first message repeats all: between the first paint
    /// and the stream something may have changed.
    fn update(&self, new: &Parts) -> Result<Update, minijinja::Error> {
        let scene = self.site.scene(self.lang);
        let old = self.sent.as_ref();
        let mut parts = Map::new();
        self.part(&mut parts, scene, "summary", &new.summary, old.map(|old| &old.summary))?;
        self.part(&mut parts, scene, "notices", &new.notices, old.map(|old| &old.notices))?;
        self.part(&mut parts, scene, "pager", &new.pager, old.map(|old| &old.pager))?;
        self.part(&mut parts, scene, "events", &new.events, old.map(|old| &old.events))?;
        self.part(&mut parts, scene, "side", &new.side, old.map(|old| &old.side))?;
        let ids = |parts: &Parts| parts.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        let order = ids(new);
        let order = (old.map(ids).as_ref() != Some(&order)).then_some(order);
        let mut rows = Map::new();
        for row in &new.rows {
            if !old.is_some_and(|old| old.rows.contains(row)) {
                rows.insert(row.id.clone(), pages::row(&self.site.templates, scene, row)?.into());
            }
        }
        let Scene { now, wall, lang: _ } = scene;
        Ok(Update { now, wall, parts, order, rows })
    }

    fn part<T: Serialize + PartialEq>(
        &self,
        parts: &mut Map<String, Value>,
        scene: Scene,
        name: &str,
        new: &T,
        old: Option<&T>,
    ) -> Result<(), minijinja::Error> {
        if old != Some(new) {
            let html = self.site.templates.render(&format!("{name}.html"), scene, new)?;
            parts.insert(name.to_owned(), html.into());
        }
        Ok(())
    }
}
