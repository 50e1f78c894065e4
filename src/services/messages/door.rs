//! The door: WeChat's requests in, its answers out, and nobody else's business done.
//!
//! ```text
//! GET  /wechat/{account}   the console's check of the URL
//! POST /wechat/{account}   a push
//! ```
//!
//! Owns the way of one request through the parts, the status of every refusal, and who hears of
//! it: the sender a sentence that tells nothing, the log the reason, at most once a minute for
//! each reason and account, the metrics all of them. Which accounts there are may change while it
//! is open ([`Door::change`]); a request is judged by one state from start to end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use crate::clock::Clock;
use crate::http::{self, Received, read_body};
use crate::telemetry::{Said, services as metrics};

use super::desk::{Answered, Desk, How};
use super::envelope::{Opened, Query};
use super::fields::{Fields, Format};
use super::handler::{Incoming, Trace};
use super::log::{Delivery, Entry, MessageLog, Outcome, Refused};
use super::message::Message;
use super::reply::{self, Answer};

mod refusal;
mod table;

pub use table::{Callback, Table, TableError};

use refusal::Refusal;
use table::Place;

/// The prefix of the accounts' addresses.
const PREFIX: &str = "/wechat/";
/// The longest path of a stranger that is said; ours are no longer.
const LONGEST_SAID: usize = 64;
/// Until WeChat's next try, if there is no room for a message now.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Lets pushes in and answers out.
pub struct Door {
    table: ArcSwap<Table>,
    desk: Arc<Desk>,
    log: MessageLog,
    clock: Clock,
    /// Of requests to no account.
    said: Said,
}

impl Door {
    /// A door to these accounts, behind which this desk answers.
    pub fn new(table: Table, desk: Arc<Desk>, log: MessageLog, clock: Clock) -> Self {
        Self { table: ArcSwap::from_pointee(table), desk, log, clock, said: Said::default() }
    }

    /// Other accounts from now on. Requests under way end as they began.
    pub fn change(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// Its paths; what is asked for besides is answered by whoever owns the listener.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().route("/wechat/{account}", get(check).post(push)).with_state(self)
    }

    /// The answer to a push, or why there is none.
    async fn push(
        &self,
        place: &Place,
        received: &Received,
        head: &Head,
        body: Body,
    ) -> Result<Response, Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let body = read_body(&head.headers, body, query.body_limit()).await?;
        let opened = place.envelope.open(&query, &body, self.clock.wall())?;
        place.heard_with(opened.key());
        let message = Message::read(Fields::parse(opened.format, &opened.plain)?)?;
        let trace = Trace(received.id.text().clone());
        let incoming = Arc::new(Incoming { account: place.account.clone(), message, trace });
        let answered = self.desk.answer(incoming.clone(), received.at).await?;
        let (text, misfit) = self.write(&answered, &incoming, opened.format, &place.said);
        self.note(&answered, misfit.as_deref(), &incoming, received);
        Ok(sent(&opened, &text, &self.clock))
    }

    /// The answer as WeChat reads it. One that it would not show is acknowledged instead: the user
    /// would see a fault of the account.
    fn write(
        &self,
        answered: &Answered,
        incoming: &Incoming,
        format: Format,
        said: &Said,
    ) -> (String, Option<String>) {
        let acknowledged = || "success".to_owned();
        let reply = match &*answered.answer {
            Answer::Success => return (acknowledged(), None),
            Answer::Empty => return (String::new(), None),
            Answer::Reply(reply) => reply,
        };
        match reply::passive(&incoming.message, reply, self.clock.wall(), format) {
            Ok(text) => (text, None),
            Err(error) => {
                if let Some(others) = said.turn("misfit") {
                    let handler = answered.by.as_deref().unwrap_or("another instance");
                    tracing::warn!(
                        trace = &*incoming.trace.0,
                        account = incoming.account.path,
                        handler,
                        others,
                        "the answer of {handler} is not sent, and the message only acknowledged: {error}; others like it in the next minute are only in the message log",
                    );
                }
                (acknowledged(), Some(error.to_string()))
            }
        }
    }

    fn note(&self, answered: &Answered, misfit: Option<&str>, incoming: &Incoming, received: &Received) {
        let outcome = match (answered.how, misfit, &answered.by) {
            (How::TooSlow, _, _) => Outcome::Deferred,
            (_, Some(misfit), _) => Outcome::Acknowledged(Some(misfit)),
            (How::Handled, None, None) => Outcome::Acknowledged(None),
            (How::Handled | How::Repeated, None, _) => Outcome::Answered(&answered.answer),
        };
        self.log.note(Entry {
            trace: &incoming.trace,
            account: &incoming.account,
            message: &incoming.message,
            delivery: match answered.how {
                How::Handled | How::TooSlow => Delivery::First,
                How::Repeated => Delivery::Repeat,
            },
            handler: answered.by.as_deref(),
            outcome,
            took: received.at.elapsed(),
        });
    }

    /// Tells who must know that a request was refused, and the sender as little as there is.
    fn refused(&self, refusal: &Refusal, asked: &Asked<'_>, received: &Received) -> Response {
        let (status, reason) = (refusal.status(), refusal.reason());
        metrics::push_refused(reason);
        let trace = Trace(received.id.text().clone());
        self.log.refuse(Refused {
            trace: &trace,
            account: asked.place.map(|place| &place.account),
            peer: Some(received.peer),
            reason,
            status: status.as_u16(),
        });
        let said = asked.place.map_or(&self.said, |place| &place.said);
        if let Some(others) = said.turn(reason) {
            tracing::warn!(
                trace = &*trace.0,
                account = asked.place.map(|place| &*place.account.path),
                peer = %received.peer,
                reason,
                others,
                "a request to /wechat/{} is refused: {refusal}; others like it in the next minute are only counted",
                asked.path,
            );
        }
        let mut answer = http::refusal(status, refusal.outside(), &received.id);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        answer
    }
}

/// `GET /wechat/{account}`.
async fn check(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load_full();
    let asked = Asked::of(&table, request.uri());
    let Some(place) = asked.place else {
        return door.refused(&Refusal::NoAccount, &asked, &received);
    };
    let query = Query::parse(request.uri().query().unwrap_or_default());
    match place.envelope.verify_url(&query, door.clock.wall()) {
        Ok(echo) => {
            tracing::info!(
                account = place.account.path,
                trace = &**received.id.text(),
                "WeChat has checked the URL of /wechat/{}, and the Token is right",
                place.account.path,
            );
            with_type(TEXT, echo)
        }
        Err(refusal) => door.refused(&refusal.into(), &asked, &received),
    }
}

/// `POST /wechat/{account}`.
async fn push(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load_full();
    let (head, body) = request.into_parts();
    let asked = Asked::of(&table, &head.uri);
    let Some(place) = asked.place else {
        return door.refused(&Refusal::NoAccount, &asked, &received);
    };
    match door.push(place, &received, &head, body).await {
        Ok(answer) => answer,
        Err(refusal) => door.refused(&refusal, &asked, &received),
    }
}

/// Whose callback a request is for.
struct Asked<'r> {
    /// For log lines: the account's, or what a stranger asked for as far as a log can bear it.
    path: &'r str,
    place: Option<&'r Place>,
}

impl<'r> Asked<'r> {
    /// Paths are plain, so an escaped one is nobody's.
    fn of(table: &'r Table, uri: &'r Uri) -> Self {
        let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let place = table.place(path);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
        let bearable = path.len() <= LONGEST_SAID && path.bytes().all(plain);
        Self { path: if place.is_some() || bearable { path } else { "…" }, place }
    }
}

/// The body that WeChat takes, in the format of its request.
fn sent(opened: &Opened, text: &str, clock: &Clock) -> Response {
    let sealed = opened.seal(text, clock.wall());
    // What is not written in the format is a bare word.
    let kind = match opened.format {
        _ if text.is_empty() || text == "success" => TEXT,
        Format::Xml => XML,
        Format::Json => JSON,
    };
    with_type(kind, sealed)
}

fn with_type(kind: HeaderValue, text: String) -> Response {
    let mut answer = Response::new(Body::from(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
