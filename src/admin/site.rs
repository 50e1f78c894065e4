//! What the pages are made from, and who asks for them.
//!
//! Every handler begins with a [`Visit`]: the host is checked, the language and the session are
//! found, and what the visitor may see is decided, before anything is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query as Params};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::access::{Action, Gate};
use crate::audit::Recorder;
use crate::clock::{BootTime, WallTime};
use crate::http::Received;
use crate::hub::Hub;

use super::archive::Archive;
use super::deeds::Deed;
use super::doors::{self, Tries};
use super::listing::Eyes;
use super::query::{Query, Raw};
use super::recent::Recent;
use super::refusal::Refusal;
use super::render::{Scene, Templates};
use super::sessions::{Look, Sessions, SignedIn};
use super::words::Lang;
use super::{Audience, Readiness, Servers, Settings};

/// Status pages that are live at once. Each looks at every key once a second.
pub(super) const STREAMS: usize = 32;
/// The cookie with a session's id.
pub(super) const SESSION: &str = "zk_session";
/// The cookie with the language that was chosen.
const LANGUAGE: &str = "zk_lang";

/// What the pages are made from.
pub(super) struct Site {
    pub(super) hub: Arc<Hub>,
    pub(super) gate: Gate,
    pub(super) audit: Recorder,
    pub(super) settings: Settings,
    pub(super) recent: Recent,
    pub(super) servers: Servers,
    pub(super) readiness: watch::Receiver<Readiness>,
    pub(super) templates: Templates,
    pub(super) sessions: Sessions,
    pub(super) tries: Tries,
    pub(super) archive: Archive,
    pub(super) streams: Arc<Semaphore>,
    pub(super) deeds: mpsc::Sender<Deed>,
    pub(super) started: BootTime,
    pub(super) stop: CancellationToken,
}

/// Who looks, and what they see.
#[derive(Clone)]
pub(super) struct Viewer {
    pub(super) signed: Option<SignedIn>,
    pub(super) eyes: Eyes,
}

impl Site {
    /// What a visitor with this session sees; `None` if they must sign in first.
    pub(super) fn viewer(&self, signed: Option<SignedIn>) -> Option<Viewer> {
        let eyes = match (self.settings.view, &signed) {
            (Audience::Anyone, _) => Eyes::Everything,
            (Audience::Clients, Some(signed)) if signed.caller.may_anywhere(Action::Status) => {
                Eyes::Granted(signed.caller.clone())
            }
            (Audience::Clients, Some(_) | None) => return None,
        };
        Some(Viewer { signed, eyes })
    }

    /// Now, for a template.
    pub(super) fn scene(&self, lang: Lang) -> Scene {
        let clock = self.hub.clock();
        let (BootTime(now), WallTime(wall)) = (clock.boot(), clock.wall());
        Scene { now, wall, lang }
    }

    /// Pages that are live.
    pub(super) fn open_streams(&self) -> usize {
        STREAMS.saturating_sub(self.streams.available_permits())
    }
}

/// A request for a page, so far as every page needs it.
pub(super) struct Visit {
    pub(super) site: Arc<Site>,
    pub(super) query: Query,
    pub(super) lang: Lang,
    pub(super) signed: Option<SignedIn>,
    pub(super) peer: IpAddr,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Head, site: &Arc<Site>) -> Result<Self, Response> {
        let site = site.clone();
        let raw = Params::<Raw>::from_request_parts(head, &()).await;
        let query = raw.map_or_else(|_| Raw::default(), |Params(raw)| raw).read();
        let headers = head.headers.clone();
        let lang = language(&query, &headers);
        if !doors::host_is_ours(&headers, &site.settings.hosts) {
            return Err(Refusal::ForeignHost.answer(&site, lang));
        }
        // A page that is kept current is no sign of a person.
        let look = if head.uri.path() == "/events" { Look::Watch } else { Look::Use };
        let received = head.extensions.get::<Received>();
        let peer = received.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |received| received.peer);
        let signed = doors::cookie(&headers, SESSION).and_then(|id| site.sessions.find(id, look));
        // From where this request comes, which need not be where the session began.
        let signed = signed.map(|signed| signed.calling_from(peer.into()));
        Ok(Self { site, query, lang, signed, peer, headers })
    }
}

/// What the address says, else what was chosen before, else what the browser prefers.
fn language(query: &Query, headers: &HeaderMap) -> Lang {
    let chosen = || doors::cookie(headers, LANGUAGE).and_then(Lang::parse);
    let preferred = headers.get(header::ACCEPT_LANGUAGE).and_then(|text| text.to_str().ok());
    query.lang.or_else(chosen).unwrap_or_else(|| Lang::accepted(preferred.unwrap_or_default()))
}

impl Visit {
    /// Has the browser remember a language that the address names.
    pub(super) fn remember_language(&self, answer: &mut Response) {
        if let Some(lang) = self.query.lang {
            let text = format!("{LANGUAGE}={}; Path=/; Max-Age=31536000; SameSite=Lax", lang.as_str());
            if let Ok(value) = HeaderValue::try_from(text) {
                answer.headers_mut().append(header::SET_COOKIE, value);
            }
        }
    }
}
