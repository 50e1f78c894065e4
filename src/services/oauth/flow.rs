//! The login flow as one part: its routes, what it stands on, its end.
//!
//! ```text
//! GET  /oauth/{account}/login      to WeChat's page, or straight back
//! GET  /oauth/{account}/callback   from WeChat, with a code
//! GET  /oauth/{account}/snapshot   what the virtual user of a snapshot page is to do
//! POST /oauth/{account}/debug      the made-up logins, if they are on
//! ```
//!
//! Guarantees: state and browser are right before a code is spent; a code is spent once, also when
//! it arrives twice and at two instances; an arrival goes on when its browser has gone. Absent: what
//! is asked later (`me`, `auth`, `logout`) and how the configuration is read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::time::Instant;

use crate::client::Client;
use crate::clock::Clock;
use crate::http::Received;
use crate::services::wechat_api::UserApi;
use crate::telemetry::{ErrorTracker, Said, services as metrics};

use super::account::Origin;
use super::arrivals::Arrivals;
use super::assertion::Assertions;
use super::callback::{self, Outcome};
use super::debug;
use super::exchange::Exchange;
use super::login;
use super::page::{Page, Pages, What, guarded};
use super::records::Records;
use super::sessions::Sessions;
use super::site::Site;
use super::throng::Throng;
use super::users::Users;

pub use super::page::DebugLogin;

/// Arrivals whose codes are exchanged at the same time. The daemon and WeChat take what a few hundred
/// connections carry; beyond that a queue would only grow.
const IN_FLIGHT: usize = 1_024;

/// What stays while the process lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The daemon's address, for the log.
    pub daemon: String,
    /// Whether logins may be made up. Only where nobody but the developer can come.
    pub debug: DebugLogin,
    /// Logins that have begun and not ended; each is a record of at most some kilobytes for ten minutes.
    pub most_pending: usize,
}

/// What a reload may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Accounts, applications, our own address.
    pub site: Site,
    /// Where WeChat has its page.
    pub authorize_at: Origin,
}

/// What the flow stands on.
pub struct Parts {
    /// Pending logins and what came of them.
    pub records: Arc<dyn Records>,
    /// Who has logged in.
    pub users: Users,
    /// Who is logged in.
    pub sessions: Sessions,
    /// What logins come home with.
    pub assertions: Assertions,
    /// The daemon.
    pub client: Client,
    /// WeChat, for profiles.
    pub api: UserApi,
    /// Now.
    pub clock: Clock,
}

/// The login flow. Dropping it cuts arrivals off; see [`Flow::close`].
pub struct Flow(Arc<Core>);

/// What handlers and arrivals share.
pub(super) struct Core {
    pub(super) live: ArcSwap<Live>,
    pub(super) debug: DebugLogin,
    pub(super) records: Arc<dyn Records>,
    pub(super) users: Users,
    pub(super) sessions: Sessions,
    pub(super) assertions: Assertions,
    pub(super) exchange: Exchange,
    pub(super) api: UserApi,
    pub(super) clock: Clock,
    pub(super) throng: Throng,
    /// One for all accounts: they are asked of one WeChat.
    pub(super) profiles: std::sync::Mutex<ErrorTracker>,
    pub(super) arrivals: Arrivals<Outcome>,
    pages: Pages,
    said: Said,
}

impl Default for Settings {
    fn default() -> Self {
        Self { daemon: String::new(), debug: DebugLogin::Off, most_pending: 100_000 }
    }
}

impl Flow {
    /// Opens nothing.
    pub fn new(settings: Settings, live: Live, parts: Parts) -> Self {
        let Settings { daemon, debug, most_pending } = settings;
        let Parts { records, users, sessions, assertions, client, api, clock } = parts;
        if debug == DebugLogin::On {
            tracing::warn!(
                "DEBUG LOGIN IS ON: whoever reaches this service logs in as whom they like; take debug_login out of \
                 [oauth] before anybody but you can"
            );
        }
        Self(Arc::new(Core {
            live: ArcSwap::from_pointee(live),
            debug,
            records,
            users,
            sessions,
            assertions,
            exchange: Exchange::new(client, daemon),
            api,
            throng: Throng::new(most_pending, clock.clone()),
            clock,
            profiles: std::sync::Mutex::default(),
            arrivals: Arrivals::new(IN_FLIGHT),
            pages: Pages::new(debug),
            said: Said::default(),
        }))
    }

    /// Other accounts and applications from now on. Logins under way end by the new rules.
    pub fn change(&self, live: Live) {
        self.0.live.store(Arc::new(live));
    }

    /// What a listener serves.
    pub fn router(&self) -> Router {
        let router = Router::new()
            .route("/oauth/{account}/login", get(login::login))
            .route("/oauth/{account}/snapshot", get(login::snapshot))
            .route("/oauth/{account}/callback", get(callback::callback));
        let router = match self.0.debug {
            DebugLogin::Off => router,
            DebugLogin::On => router.route("/oauth/{account}/debug", post(debug::debug)),
        };
        router.with_state(Arc::clone(&self.0))
    }

    /// Waits for the logins that are being completed, but not longer than this; what is left is given
    /// up and logged. Returns how much that was.
    pub async fn close(&self, grace: Duration) -> usize {
        let begun = Instant::now();
        let left = self.0.arrivals.close(grace).await;
        if left > 0 {
            tracing::warn!(
                count = left,
                seconds = begun.elapsed().as_secs_f64(),
                "{left} logins were still waiting for the daemon or WeChat at the end of the grace and are given up; \
                 their users log in once more"
            );
        }
        left
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("debug", &self.0.debug).finish_non_exhaustive()
    }
}

/// A request, so far as every handler needs it.
pub(super) struct Visit {
    pub(super) live: Arc<Live>,
    /// The account's path as it was asked for.
    pub(super) account: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) received: Received,
}

impl FromRequestParts<Arc<Core>> for Visit {
    type Rejection = StatusCode;

    async fn from_request_parts(head: &mut Head, core: &Arc<Core>) -> Result<Self, StatusCode> {
        // Put there by our own listener.
        let received = head.extensions.get::<Received>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        // Paths of accounts are plain, so an escaped one is nobody's.
        let rest = head.uri.path().strip_prefix("/oauth/").unwrap_or_default();
        Ok(Self {
            live: core.live.load_full(),
            account: rest.split('/').next().unwrap_or_default().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            received,
        })
    }
}

impl Core {
    /// A page, counted, and said once a minute if it may be for an administrator.
    pub(super) fn shown(&self, page: &Page, visit: &Visit, remark: &str) -> Response {
        let reason = page.what.reason();
        metrics::login(reason);
        let request = &**visit.received.id.text();
        if let Some(about) = about(page.what)
            && let Some(others) = self.said.turn(reason)
        {
            let account = visit.live.site.account(&visit.account).map_or("…", |account| &account.path);
            tracing::warn!(
                account,
                request,
                peer = %visit.received.peer,
                reason,
                others,
                "a login at /oauth/{account}/ is refused: {about}{remark}; others like it in the next minute are only \
                 counted",
            );
        }
        self.pages.show(page, &visit.headers, request)
    }

    /// The form of the made-up logins.
    pub(super) fn form(&self, form: &super::page::Form, visit: &Visit) -> Response {
        self.pages.ask(form, &visit.headers, visit.received.id.text())
    }
}

/// What an administrator, or whoever writes pages, has to know of a page that somebody was shown. What
/// users do, and what has been said elsewhere, is nothing.
fn about(what: What) -> Option<String> {
    Some(match what {
        What::NoAccount => "no [[oauth.account]] has this path".to_owned(),
        What::ReturnTo(refused) => format!("return_to: {refused}"),
        What::Unlisted(unlisted) => format!("return_to: {unlisted}"),
        What::NoScope => "scope= is neither snsapi_base nor snsapi_userinfo".to_owned(),
        What::TooMuch => "it asks for more than its [[oauth.app]] has as `scope`".to_owned(),
        What::OtherBrowser => {
            "its state is another browser's: somebody was sent a foreign login, or keeps no cookies"
                .to_owned()
        }
        What::OtherCode => "a second code came for a state that has one".to_owned(),
        What::Busy => "too many have begun and not ended; a flood, or WeChat answers nobody".to_owned(),
        What::UserRefused
        | What::Over
        | What::Snapshot
        | What::Stopped(_)
        | What::Away(_)
        | What::Storage
        | What::Broken => return None,
    })
}

/// Sends a browser on. The address is checked text, or our own.
pub(super) fn redirect(status: StatusCode, location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => guarded((status, [(header::LOCATION, location)]).into_response()),
        // Addresses are checked to be visible ASCII before they come here.
        Err(_) => guarded(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}
