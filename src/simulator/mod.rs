//! A stand-in for WeChat's servers, as its documentation says they behave.
//!
//! It issues tokens and tickets with WeChat's lives, overlaps, quotas and
//! refusals, fails on purpose when a script says so, and keeps a log of all
//! calls. Programs use it through its sockets, tests and the demo also through
//! [`Control`], people through `/_sim/`.
//!
//! It imports nothing of this crate: a misspelt field that both sides shared
//! would pass every test. All its time is tokio's, so a test's clock moves it.
//! Left out: TLS of its own.
//!
//! Map: `settings` → `state` (one lock) ← `tokens`, `tickets`, `oauth`, `values`, `custom`,
//! `menus`, `codes` act on it; `routes` turns requests into answers; `wire` and `serve` are the
//! sockets; `faults` and `log` the scripts and the record; `control` and
//! `control_http` the hand inside. `callback` is WeChat's other direction: pushes; `web` is WeChat
//! as a person's browser meets it.

pub mod callback;
mod codes;
mod control;
mod control_http;
mod control_menus;
mod custom;
mod errcode;
mod faults;
mod log;
mod menu_rules;
mod menus;
mod oauth;
mod routes;
mod serve;
mod settings;
mod state;
mod tickets;
mod tokens;
mod values;
mod web;
mod wire;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use control::Control;
pub use custom::{KEPT_MESSAGES, SentMessage};
pub use faults::{ExpiresIn, Fault, Script};
pub use log::{Call, CallLog, Caller, Endpoint, KEPT, Outcome, TokenMode, fingerprint};
pub use menus::{MenuUser, ShownMenus};
pub use oauth::{Flow, NewCode, Scope, Visitor};
pub use settings::{Account, Accounts, Callback, IpList, Limits, Settings, TicketRule};
pub use state::ServerMode;
pub use values::Kind;
pub use web::{
    AfterRefusal, Domains, JsCall, JsConfig, Person, Picture, Requested, SeenCode, Shown, Unionid, Visit, Web,
};

/// The simulated WeChat. Clones are the same WeChat: one may serve, stop, and
/// another serve again with all that was issued before.
#[derive(Clone, Debug)]
pub struct Simulator {
    shared: Arc<state::Shared>,
}

impl Simulator {
    /// A WeChat on which nothing has happened yet. Its days begin now.
    pub fn new(settings: Settings) -> Self {
        Self { shared: Arc::new(state::Shared::new(settings)) }
    }

    /// The hand inside.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }

    /// Answers on this listener until stopped; then every connection ends at
    /// once, answered or not. Dropping the future does the same.
    ///
    /// # Errors
    ///
    /// When no connection can be accepted although none is open, or the address
    /// was taken by another program during [`ServerMode::Refuses`].
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        serve::serve(self.shared, listener, stop).await
    }
}
