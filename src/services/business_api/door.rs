//! The door: the way of one request, from its token to its answer.
//!
//! ```text
//! who asks (callers) → what is asked (asked) → the body, up to its limit → the work → JSON
//! ```
//!
//! A body is read only of somebody who may. The work is a task of the door's, so that a caller who
//! hangs up does not leave a push half done; [`Api::close`] waits for what is under way.
//! The caller is told all that is wrong, the log what is ours to mend, once a minute for each
//! reason, the metrics how many.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, on, post};
use axum::{Extension, Router};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::client::Client;
use crate::clock::Clock;
use crate::http::{Received, read_body};
use crate::model::AppId;
use crate::secret::Secret;
use crate::services::business::SCHEMA;
use crate::services::database::Database;
use crate::services::menu::{AccountMenus, History, Pushes};
use crate::services::qrcode::{Codes, Limits};
use crate::services::wechat_api::WechatApi;
use crate::telemetry::{Said, services as metrics};

use super::asked::Query;
use super::callers::{Caller, Callers};
use super::events;
use super::operations::{OPERATIONS, Operation};
use super::problem::Problem;
use super::turns::{Turn, Turns};

/// What it serves, for programs and for people who write them.
const DESCRIPTION: &str = include_str!("../../../docs/business.openapi.json");

/// What a reload may change.
#[derive(Clone, Debug)]
pub struct Live {
    /// How many permanent codes an account may have.
    pub codes: Limits,
    /// What the message service signs with; without one it has nothing to say here.
    pub events: Option<Secret>,
}

/// What the answers stand on.
pub struct Parts {
    /// The daemon; what the client shows of its own is never used.
    pub daemon: Client,
    /// WeChat.
    pub api: WechatApi,
    /// Where WeChat draws codes.
    pub pictures: Url,
    /// Where pushes and codes are kept: of [`SCHEMA`].
    pub database: Database,
    /// Now.
    pub clock: Clock,
}

/// The business services' menus and codes, behind one door. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Core>);

pub(super) struct Core {
    live: ArcSwap<Live>,
    callers: Callers,
    api: WechatApi,
    pub(super) pictures: Url,
    database: Database,
    history: History,
    pub(super) clock: Clock,
    /// One push of an account at a time.
    pushes: Turns<AppId>,
    /// One question for a code at a time.
    pub(super) codes: Turns<(AppId, String)>,
    /// Pictures that are drawn at once: each takes a processor for some milliseconds, and memory.
    pub(super) drawing: tokio::sync::Semaphore,
    /// Of which accounts scans were told.
    scans: Mutex<HashMap<AppId, Codes>>,
    work: TaskTracker,
    pub(super) said: Said,
}

/// Pictures at once.
const DRAWING: usize = 2;

/// A request of somebody who may.
pub(super) struct Call {
    pub(super) core: Arc<Core>,
    pub(super) caller: Caller,
    pub(super) query: Query,
    pub(super) body: Bytes,
    path: HashMap<String, String>,
}

impl Api {
    /// Opens nothing.
    pub fn new(live: Live, parts: Parts) -> Self {
        let Parts { daemon, api, pictures, database, clock } = parts;
        let history = History::new(database.clone(), clock.clone()).one_at_a_time();
        Self(Arc::new(Core {
            live: ArcSwap::from_pointee(live),
            callers: Callers::new(daemon, clock.clone()),
            api,
            pictures,
            database,
            history,
            clock,
            pushes: Turns::default(),
            codes: Turns::default(),
            drawing: tokio::sync::Semaphore::new(DRAWING),
            scans: Mutex::default(),
            work: TaskTracker::new(),
            said: Said::default(),
        }))
    }

    /// The tables that its database must have.
    pub fn schema() -> &'static crate::services::database::Schema {
        &SCHEMA
    }

    /// Other limits from now on.
    pub fn change(&self, live: Live) {
        self.0.live.store(Arc::new(live));
    }

    /// What a listener serves, beside what is not here.
    pub fn router(&self) -> Router {
        let mut router = Router::new()
            .route("/business/v1/openapi.json", get(description))
            .route("/business/events", post(events::events));
        for operation in OPERATIONS {
            let handler = move |State(core): State<Arc<Core>>,
                                Extension(received): Extension<Received>,
                                path: Result<Path<HashMap<String, String>>, PathRejection>,
                                request: Request| async move {
                core.serve(operation, &received, path, request).await
            };
            router = router.route(operation.path, on(operation.filter(), handler));
        }
        router.with_state(self.0.clone())
    }

    /// Waits for what is under way, and returns how much of it was not done at `end`.
    pub async fn close(&self, end: Instant) -> usize {
        self.0.work.close();
        // What is left goes with the runtime; the next start finds it.
        let _ = timeout_at(end, self.0.work.wait()).await;
        let left = self.0.work.len();
        self.0.database.close().await;
        left
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

impl Core {
    async fn serve(
        self: Arc<Self>,
        operation: &'static Operation,
        received: &Received,
        path: Result<Path<HashMap<String, String>>, PathRejection>,
        request: Request,
    ) -> Response {
        let done = match Self::call(&self, operation, received, path, request).await {
            Err(problem) => Err(problem),
            Ok(call) => {
                let work = self.work.spawn((operation.run)(call));
                // It panicked, and the log has the place.
                work.await.unwrap_or_else(|_| Err(Problem::internal()))
            }
        };
        metrics::business_asked(
            operation.name,
            done.as_ref().map_or_else(|problem| problem.reason, |_| "ok"),
        );
        let mut answer = done.unwrap_or_else(|problem| {
            self.note(operation, &problem, received);
            problem.answer(&received.id)
        });
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn call(
        core: &Arc<Self>,
        operation: &'static Operation,
        received: &Received,
        path: Result<Path<HashMap<String, String>>, PathRejection>,
        request: Request,
    ) -> Result<Call, Problem> {
        let (head, body) = request.into_parts();
        let path = path.map(|Path(path)| path).unwrap_or_default();
        // What is no appid is no account either.
        let appid = path.get("account").and_then(|text| text.parse().ok());
        let caller = core.callers.admit(&head.headers, received.peer, appid).await?;
        let query = Query::read(head.uri.query().unwrap_or_default(), operation.query)?;
        let body = read_body(&head.headers, body, operation.body).await?;
        Ok(Call { core: core.clone(), caller, query, body, path })
    }

    /// Tells who must know that a request brought nothing.
    fn note(&self, operation: &Operation, problem: &Problem, received: &Received) {
        let Some(others) = self.said.turn(problem.reason) else { return };
        let (reason, operation) = (problem.reason, operation.name);
        if problem.is_ours() {
            let why = problem.said();
            tracing::warn!(
                request = &**received.id.text(),
                peer = %received.peer,
                operation,
                reason,
                others,
                "{operation} of the business service brought nothing: {why}; others like it in the next minute are only counted",
            );
        } else {
            tracing::info!(
                request = &**received.id.text(),
                peer = %received.peer,
                operation,
                reason,
                others,
                "{operation} of the business service is refused ({reason}); others like it in the next minute are only counted",
            );
        }
    }

    fn limits(&self) -> Limits {
        self.live.load().codes
    }

    /// What events are signed with.
    pub(super) fn events_secret(&self) -> Option<Secret> {
        self.live.load().events.clone()
    }

    /// Where scans of an account are counted: in nobody's name, for it asks WeChat nothing. One for
    /// each account, which remembers when old scans were added up.
    pub(super) fn scans_of(&self, appid: &AppId) -> Codes {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.entry(appid.clone()).or_insert_with(|| self.codes_with(self.api.clone(), appid)).clone()
    }

    fn codes_with(&self, api: WechatApi, appid: &AppId) -> Codes {
        Codes::new(api, appid.clone(), self.database.clone(), self.clock.clone(), self.limits())
    }
}

impl Call {
    pub(super) fn appid(&self) -> &AppId {
        &self.caller.appid
    }

    /// A parameter of the path; one that the router has always put there.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The account's menus, in the caller's name.
    pub(super) fn pushes(&self) -> Pushes {
        let api = self.core.api.for_client(self.caller.client.clone());
        Pushes::new(AccountMenus::new(api, self.appid().clone()), self.core.history.clone())
    }

    /// The account's codes, in the caller's name.
    pub(super) fn codes(&self) -> Codes {
        let api = self.core.api.for_client(self.caller.client.clone());
        self.core.codes_with(api, self.appid())
    }

    /// The turn to change the account's menus.
    pub(super) fn turn(&self) -> Option<Turn> {
        self.core.pushes.now(self.appid().clone())
    }

    /// Who did it, for the history: whom the caller names, and the caller.
    pub(super) fn who(&self, named: &str) -> String {
        let client = &self.caller.name;
        if named.is_empty() { client.clone() } else { format!("{named} ({client})") }
    }
}

async fn description() -> ([(header::HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}
