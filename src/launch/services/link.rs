//! Whether the daemon hands out tokens: asked now and then, so that its absence is known before
//! an answer that is late needs one.
//!
//! Nothing waits for it. What is asked is what would be asked then: the token of an account. The
//! value is thrown away at once.

use std::time::Duration;

use tokio::sync::watch;

use crate::client::Client;
use crate::daemon::chain;
use crate::model::{AppId, Key, Kind};
use crate::telemetry::{ErrorTracker, Report, services};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(15);

/// Whether late answers could be sent.
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

/// Looks for ever. Without an account there is nothing to ask for.
pub(super) async fn watch(
    client: Client,
    daemon: String,
    mut appids: watch::Receiver<Vec<AppId>>,
    link: watch::Sender<Link>,
) {
    let mut trouble = ErrorTracker::default();
    loop {
        let first = appids.borrow_and_update().first().cloned();
        if let Some(appid) = first {
            let looked = client.get(&Key::new(appid.clone(), Kind::AccessToken), Duration::ZERO).await;
            let report = match &looked {
                Ok(_) => trouble.succeeded(),
                Err(_) => trouble.failed(),
            };
            let error = looked.err().map(|error| chain(&error)).unwrap_or_default();
            match report {
                Report::Warn(times) => tracing::warn!(
                    app = %appid,
                    daemon,
                    times,
                    error,
                    "the daemon gives no token, and answers that are late cannot be sent; messages are answered in time \
                     as before (is it running, does [messages] daemon name it, has it a [[client]] for this service?): \
                     {error}",
                ),
                Report::Debug(times) => {
                    tracing::debug!(app = %appid, daemon, times, error, "the daemon gives no token");
                }
                Report::Recovered(times) => tracing::info!(times, "the daemon gives tokens again"),
                Report::Nothing => {}
            }
            let now = if error.is_empty() { Link::Up } else { Link::Down };
            services::daemon_reachable(if now == Link::Up { 1.0 } else { 0.0 });
            link.send_if_modified(|link| std::mem::replace(link, now) != now);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = appids.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}
