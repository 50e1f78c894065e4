//! Pause, resume and refresh: done beside the request that asked for them.
//!
//! A refresh takes as long as WeChat does, and no page waits for that: the deed runs on with its
//! owner here, and its outcome is told to the session that asked. Dropping a deed at the stop
//! harms nothing: what the engine began, it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::audit::{self, Act};
use crate::refresh::handle::{Force, Handle, NoValue, Outcome};
use crate::refresh::view::Problem;

use super::remedies;
use super::render::span;
use super::row::Trouble;
use super::sessions::{Notice, SessionKey};
use super::site::Site;
use super::words::Lang;

/// Deeds at once. A person clicks one after the other.
const AT_ONCE: usize = 32;
/// Deeds that wait to begin.
pub(super) const WAITING: usize = 16;

/// What is to be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One forced refresh.
    Refresh,
    /// No attempts for so long.
    Pause(Duration),
    /// Attempts again.
    Resume,
}

impl What {
    /// Its name in forms and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Pause(_) => "pause",
            Self::Resume => "resume",
        }
    }

    /// What the audit calls it.
    pub(super) const fn act(self) -> Act {
        match self {
            Self::Refresh => Act::Force,
            Self::Pause(_) => Act::Pause,
            Self::Resume => Act::Resume,
        }
    }
}

/// A deed that was asked for by somebody who may.
pub(super) struct Deed {
    pub(super) what: What,
    pub(super) handle: Handle,
    pub(super) session: SessionKey,
    pub(super) client: String,
    /// Noted with its outcome; as left if the daemon stops before.
    pub(super) noted: audit::Deed,
    pub(super) lang: Lang,
    /// Told when it is done.
    pub(super) done: oneshot::Sender<()>,
}

/// Does what it is handed, until it is dropped.
pub(super) async fn run(site: Arc<Site>, mut deeds: mpsc::Receiver<Deed>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = running.join_next() => {}
            deed = deeds.recv(), if running.len() < AT_ONCE => match deed {
                Some(deed) => {
                    running.spawn(carry_out(site.clone(), deed));
                }
                None => return std::future::pending().await,
            },
        }
    }
}

async fn carry_out(site: Arc<Site>, deed: Deed) {
    let Deed { what, handle, session, client, noted, lang, done } = deed;
    let key = handle.key().clone();
    let w = lang.words();
    // For the log, which is in English whatever the visitor reads.
    let mut reason = None;
    let outcome: Result<&str, (String, String)> = match what {
        What::Refresh => match handle.force(Force::Once).await {
            Ok(answer) => {
                noted.end_with(answer.outcome.into(), answer.good.value.generation);
                Ok(match answer.outcome {
                    Outcome::Refreshed | Outcome::AlreadyReplaced => w.did_refreshed,
                    Outcome::StillValid | Outcome::Unchanged | Outcome::Unverified => w.did_unchanged,
                })
            }
            Err(why) => {
                noted.end((&why).into());
                reason = Some(why.to_string());
                Err(explain(&site, &handle, &why, lang))
            }
        },
        What::Pause(span) => {
            let paused = handle.pause(site.hub.clock().boot() + span).await;
            noted.end((&paused).into());
            reason = paused.as_ref().err().map(ToString::to_string);
            paused.map(|()| w.did_paused).map_err(|why| (why.to_string(), String::new()))
        }
        What::Resume => {
            let resumed = handle.resume().await;
            noted.end((&resumed).into());
            reason = resumed.as_ref().err().map(ToString::to_string);
            resumed.map(|()| w.did_resumed).map_err(|why| (why.to_string(), String::new()))
        }
    };
    let action = what.as_str();
    let (app, kind) = (&key.appid, key.kind);
    match reason {
        None => {
            tracing::info!(client, %app, %kind, action, "a client's {action} of {key} on the status page is done");
        }
        Some(reason) => {
            tracing::info!(client, %app, %kind, action, reason, "a client's {action} of {key} on the status page failed: {reason}");
        }
    }
    let notice = match outcome {
        Ok(text) => Notice::new("good", about(&site, &handle), text.to_owned(), String::new()),
        Err((text, hint)) => {
            Notice::new("bad", about(&site, &handle), format!("{}: {text}", w.did_not), hint)
        }
    };
    site.sessions.tell(session, notice);
    // Nobody may be waiting any more.
    let _ = done.send(());
}

/// How the page calls a key.
pub(super) fn about(site: &Site, handle: &Handle) -> String {
    let key = handle.key();
    let name = site.hub.account_name(key.appid.as_str()).unwrap_or_else(|| key.appid.to_string());
    format!("{name} {}", key.kind)
}

/// Why there is no new value, and what to do.
fn explain(site: &Site, handle: &Handle, why: &NoValue, lang: Lang) -> (String, String) {
    let w = lang.words();
    let again = |after: &Duration| {
        w.try_again.replace("{}", &span(i64::try_from(after.as_millis()).unwrap_or(i64::MAX), w))
    };
    let spoken = |problem: &Problem| {
        let mut trouble = Trouble::of(problem, handle.key().kind);
        remedies::speak(&mut trouble, lang);
        let number = trouble.errcode.map_or_else(String::new, |number| format!("{number} "));
        (format!("{number}{}", trouble.meaning), trouble.action)
    };
    match why {
        NoValue::NeedsOperator { problem, .. }
        | NoValue::Unavailable { problem: Some(problem), .. }
        | NoValue::Exhausted { problem: Some(problem), .. } => spoken(problem),
        NoValue::Exhausted { retry_after, rule, problem: None } => (rule.clone(), again(retry_after)),
        NoValue::Unavailable { retry_after, problem: None } => (why.to_string(), again(retry_after)),
        NoValue::Paused { until } => {
            let left = until.since(site.hub.clock().boot());
            (w.paused.to_owned(), format!("{} · {}", w.resume, again(&left)))
        }
        NoValue::Removed | NoValue::NotAComplaint { .. } | NoValue::FingerprintMissing => {
            (why.to_string(), String::new())
        }
    }
}
