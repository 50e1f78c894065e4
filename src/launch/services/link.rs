//! Whether the daemon gives a service what it needs: asked now and then, so that its absence is
//! known before somebody waits for it.
//!
//! Nothing waits for it. What is asked is what would be asked then, for an account of the service;
//! the answer's value is thrown away at once.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::client::Error;
use crate::config::Service;
use crate::daemon::chain;
use crate::model::AppId;
use crate::telemetry::{ErrorTracker, Report, services};

use super::served::Bell;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(15);

/// Whether the service could have what it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// The daemon answers.
    Up,
    /// It does not, or not to this service.
    Down,
}

/// One service's look at its daemon.
pub(super) struct Watched {
    pub(super) service: Service,
    /// The daemon's address, for the log.
    pub(super) daemon: String,
    /// Accounts to ask for; the first is. Without one there is nothing to ask.
    pub(super) appids: watch::Receiver<Vec<AppId>>,
    /// The question.
    pub(super) ask: Ask,
    pub(super) words: Words,
    pub(super) link: watch::Sender<Link>,
    pub(super) bell: Bell,
}

/// Asks the daemon for what the service needs of this account.
pub(super) type Ask = Box<dyn Fn(AppId) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// How the log speaks of it.
pub(super) struct Words {
    /// What is asked for: `token`.
    pub(super) thing: &'static str,
    /// What does not work without it, and what does all the same.
    pub(super) without: &'static str,
}

/// Looks for ever.
pub(super) async fn watch(watched: Watched) {
    let Watched { service, daemon, mut appids, ask, words: Words { thing, without }, link, bell } = watched;
    let mut trouble = ErrorTracker::default();
    loop {
        let first = appids.borrow_and_update().first().cloned();
        if let Some(appid) = first {
            let looked = ask(appid.clone()).await;
            let report = match &looked {
                Ok(()) => trouble.succeeded(),
                Err(_) => trouble.failed(),
            };
            let error = looked.err().map(|error| chain(&error)).unwrap_or_default();
            let now = if error.is_empty() { Link::Up } else { Link::Down };
            services::daemon_reachable(service.as_str(), if now == Link::Up { 1.0 } else { 0.0 });
            if link.send_if_modified(|link| std::mem::replace(link, now) != now) {
                bell.ring();
            }
            // Behind the state: who reads the line and looks must find it so.
            match report {
                Report::Warn(times) => tracing::warn!(
                    service = service.as_str(),
                    app = %appid,
                    daemon,
                    times,
                    error,
                    "the daemon gives no {thing}, and {without} (is it running, does [{service}] daemon name it, has it a \
                     [[client]] for this service?): {error}",
                ),
                Report::Debug(times) => {
                    tracing::debug!(
                        service = service.as_str(),
                        app = %appid,
                        daemon,
                        times,
                        error,
                        "the daemon gives no {thing}"
                    );
                }
                Report::Recovered(times) => {
                    tracing::info!(service = service.as_str(), times, "the daemon gives {thing}s again");
                }
                Report::Nothing => {}
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = appids.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}
