//! The door: pages ask here for their configuration, and get it, or a sentence that says what to do.
//!
//! ```text
//! GET, POST  /jssdk/{account}/config        what wx.config is given, for ?url= or a form
//! GET        /jssdk/{account}/card          what wx.addCard is given
//! GET        /jssdk/{account}/choose-card   what wx.chooseCard is given
//! GET        /jssdk/{account}/page/{name}   a page with the configuration inside
//! GET        /jssdk/{account}/zhongkong.js  the script that asks for pages; ?debug is readable
//! GET        /jssdk/zhongkong.d.ts          its types
//! OPTIONS    the first three                a browser's question whether a page may ask
//! ```
//!
//! Owns the way of one request through the parts, the status of every refusal, and who hears of it:
//! the page all of it, the log once a minute for each reason and account, the metrics how many.
//! A page of another origin may read the answer if its origin is listed (CORS); there are no
//! cookies here, so nothing else hangs on it. Accounts, pages and the limit may change while the
//! door is open ([`Door::change`]); a request is judged by one state from start to end.

use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

use crate::clock::Clock;
use crate::http::{Limit, Received, Via, read_body};
use crate::telemetry::{Said, services as metrics};

use super::asked;
use super::card;
use super::configuration::Configuration;
use super::script::{self, Form};
use super::sign::Signer;
use super::site::judge;

mod page;
mod refusal;
mod table;

pub use table::{Preview, Table, TableError};

use refusal::{Blame, Refusal, chain};
use table::Place;

/// Longest body, in bytes: a URL in base64, each letter of it percent-encoded.
const LONGEST_BODY: usize = 16 * 1024;
/// How long a browser may remember what a page may ask, in seconds: an origin that is taken out is
/// out after that.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");

/// Who asked, as a proxy says.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Lets pages in and signatures out.
pub struct Door {
    table: ArcSwap<Table>,
    limit: ArcSwap<Limit>,
    signer: Signer,
    clock: Clock,
    /// Of requests to no account.
    said: Said,
}

/// What a page is told that gets nothing.
#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    reason: &'static str,
    request: &'a str,
}

impl Door {
    /// A door to these accounts, with so many requests a minute for each address.
    pub fn new(table: Table, a_minute: NonZeroU32, signer: Signer, clock: Clock) -> Self {
        let limit = ArcSwap::from_pointee(Limit::new(a_minute, clock.clone()));
        Self { table: ArcSwap::from_pointee(table), limit, signer, clock, said: Said::default() }
    }

    /// Other accounts, pages and another limit from now on. Requests under way end as they began; who
    /// was counted is counted on, unless the limit is another.
    pub fn change(&self, table: Table, a_minute: NonZeroU32) {
        self.table.store(Arc::new(table));
        if self.limit.load().a_minute() != a_minute {
            self.limit.store(Arc::new(Limit::new(a_minute, self.clock.clone())));
        }
    }

    /// What a listener serves, beside what is not here.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/jssdk/{account}/config", get(config).post(config).options(preflight))
            .route("/jssdk/{account}/card", get(add_card).options(preflight))
            .route("/jssdk/{account}/choose-card", get(choose_card).options(preflight))
            .route("/jssdk/{account}/page/{name}", get(page::show))
            .route("/jssdk/{account}/zhongkong.js", get(zhongkong))
            .route("/jssdk/zhongkong.d.ts", get(async |headers: HeaderMap| script::types(&headers)))
            .with_state(self)
    }

    fn admit(&self, received: &Received, headers: &HeaderMap) -> Result<(), Refusal> {
        // A proxy of ours that names nobody has all its callers counted as one.
        let unnamed = received.via == Via::Proxy && !headers.contains_key(FORWARDED_FOR);
        let refusal = if unnamed { Refusal::TooManyUnnamed } else { Refusal::TooMany };
        self.limit.load().take(received.peer).map_err(refusal)
    }

    /// The configuration for the URL that a request names, as JSON.
    async fn configure(
        &self,
        place: &Place,
        received: &Received,
        head: &Head,
        body: Body,
    ) -> Result<Vec<u8>, Refusal> {
        self.admit(received, &head.headers)?;
        let bytes;
        let url = if head.method == Method::POST {
            bytes = read_body(&head.headers, body, LONGEST_BODY).await?;
            if is_json(&head.headers) {
                asked::in_json(&bytes)?.into()
            } else {
                asked::in_form(str::from_utf8(&bytes).map_err(|_| asked::Unclear::NotText)?)?.into()
            }
        } else {
            asked::in_query(head.uri.query().unwrap_or_default())?
        };
        let account = &place.account;
        let page = judge(&account.hosts, &url)?;
        let signature = self.signer.page(&account.appid, page).await?;
        Ok(json(&Configuration::of(account, signature, page)))
    }

    /// Tells who must know that a request was refused.
    fn note(&self, refusal: &Refusal, place: Option<&Place>, received: &Received) {
        let reason = refusal.reason();
        metrics::jssdk_refused(reason);
        let Some(others) = place.map_or(&self.said, |place| &place.said).turn(reason) else { return };
        let account = place.map(|place| &*place.account.path);
        let whose = account.unwrap_or("…");
        let why = chain(refusal);
        match refusal.blame() {
            Blame::Operator => tracing::warn!(
                trace = &**received.id.text(),
                account,
                peer = %received.peer,
                reason,
                others,
                "a request to /jssdk/{whose} is refused: {why}; others like it in the next minute are only counted",
            ),
            Blame::Page => tracing::info!(
                trace = &**received.id.text(),
                account,
                peer = %received.peer,
                reason,
                others,
                "a request to /jssdk/{whose} is refused: {why}; others like it in the next minute are only counted",
            ),
        }
    }

    fn refused(&self, refusal: &Refusal, place: Option<&Place>, received: &Received) -> Response {
        self.note(refusal, place, received);
        let told = Told { error: &refusal.outside(), reason: refusal.reason(), request: received.id.text() };
        let mut answer = answer(refusal.status(), json(&told));
        if let Some(seconds) = refusal.retry_after() {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}

/// `GET` and `POST /jssdk/{account}/config`.
async fn config(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load_full();
    let Some(place) = place(&table, request.uri()) else {
        return door.refused(&Refusal::NoAccount, None, &received);
    };
    let (head, body) = request.into_parts();
    let done = match door.configure(place, &received, &head, body).await {
        Ok(body) => answer(StatusCode::OK, body),
        Err(refusal) => door.refused(&refusal, Some(place), &received),
    };
    share(done, place, &head.headers)
}

/// `GET /jssdk/{account}/card`.
async fn add_card(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    signed_card(&door, &received, &request, |place, query| {
        Ok(json(&card::add(&place.account, &door.signer, query)?))
    })
}

/// `GET /jssdk/{account}/choose-card`.
async fn choose_card(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    signed_card(&door, &received, &request, |place, query| {
        Ok(json(&card::choose(&place.account, &door.signer, query)?))
    })
}

fn signed_card(
    door: &Door,
    received: &Received,
    request: &Request,
    sign: impl FnOnce(&Place, &str) -> Result<Vec<u8>, Refusal>,
) -> Response {
    let table = door.table.load();
    let Some(place) = place(&table, request.uri()) else {
        return door.refused(&Refusal::NoAccount, None, received);
    };
    let query = request.uri().query().unwrap_or_default();
    let done = match door.admit(received, request.headers()).and_then(|()| sign(place, query)) {
        Ok(body) => answer(StatusCode::OK, body),
        Err(refusal) => door.refused(&refusal, Some(place), received),
    };
    share(done, place, request.headers())
}

/// `GET /jssdk/{account}/zhongkong.js`. It is of public knowledge and kept by browsers, so that it
/// does not count.
async fn zhongkong(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load();
    let Some(place) = place(&table, request.uri()) else {
        return door.refused(&Refusal::NoAccount, None, &received);
    };
    script::script(&place.account.path, Form::of(request.uri().query()), request.headers())
}

/// `OPTIONS`: may a page of this origin ask, by these methods and with a body of any type?
async fn preflight(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load();
    let Some(place) = place(&table, request.uri()) else {
        return door.refused(&Refusal::NoAccount, None, &received);
    };
    let origin = request.headers().get(header::ORIGIN);
    let mut done = if origin.is_none_or(|origin| is_listed(place, origin)) {
        let mut done = Response::new(Body::empty());
        *done.status_mut() = StatusCode::NO_CONTENT;
        let headers = done.headers_mut();
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
        }
        done
    } else {
        door.refused(&Refusal::Origin, Some(place), &received)
    };
    done.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    done
}

/// Lets a page of a listed origin read the answer, and says that another may not.
fn share(mut answer: Response, place: &Place, headers: &HeaderMap) -> Response {
    answer.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = headers.get(header::ORIGIN) else { return answer };
    if is_listed(place, origin) {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    } else if !is_own(origin, headers)
        && let Some(others) = place.said.turn("unread")
    {
        metrics::jssdk_refused("origin");
        let path = &place.account.path;
        tracing::warn!(
            account = path.as_str(),
            origin = said(origin),
            others,
            "a page of {} asks for /jssdk/{path}, and its browser will not let it read the answer: add the origin to \
             origins of the account's [[jssdk.account]]",
            said(origin),
        );
    }
    answer
}

/// Paths are plain, so an escaped one is nobody's.
fn place<'t>(table: &'t Table, uri: &Uri) -> Option<&'t Place> {
    table.place(segment(uri, 1))
}

/// A segment of the path as it was sent: `jssdk` is the first, number 0.
fn segment(uri: &Uri, nth: usize) -> &str {
    uri.path().split('/').nth(nth + 1).unwrap_or_default()
}

fn is_listed(place: &Place, origin: &HeaderValue) -> bool {
    place.account.origins.iter().any(|listed| listed.as_str().as_bytes() == origin.as_bytes())
}

/// A page of the very host that it asks needs no leave.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.zip(host).is_some_and(|((_, own), host)| own.eq_ignore_ascii_case(host))
}

/// An origin as far as a log can bear it.
fn said(origin: &HeaderValue) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/[]".contains(&byte);
    let bearable = |origin: &&str| origin.len() <= 128 && origin.bytes().all(plain);
    origin.to_str().ok().filter(bearable).unwrap_or("a strange origin")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Numbers, texts and lists of them always have a JSON form.
fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

fn answer(status: StatusCode, body: Vec<u8>) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    answer
}
