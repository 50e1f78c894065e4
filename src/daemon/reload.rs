//! HUP: the configuration is read again and taken over, as far as it can change live.
//!
//! Everything is checked before anything is changed; a bad file changes nothing and says why.
//! Whoever wants to know how a reload went follows [`ReloadOutcome`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::admin::Recent;
use crate::clock::WallTime;
use crate::config::{Config, ConfigError, Loaded, restart_needed};
use crate::grpc;
use crate::hub::{self, Hub};
use crate::telemetry::{self, metrics};

use super::{chain, check_layouts};

/// How the latest reload went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// How many reloads have begun.
    pub number: u64,
    /// Where the latest of them is.
    pub state: ReloadState,
}

/// Where a reload is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReloadState {
    /// There was none.
    #[default]
    Never,
    /// The file is being read and taken over.
    UnderWay,
    /// It was taken over.
    TakenOver {
        /// When.
        at: WallTime,
        /// What came of the accounts.
        done: hub::Reloaded,
        /// Settings that changed and need a restart.
        later: Vec<&'static str>,
    },
    /// Clients and TLS files were taken over, but the accounts stay as they were.
    Partly {
        /// When.
        at: WallTime,
        /// Why: one sentence without a secret.
        why: String,
    },
    /// It was refused, and everything goes on as before.
    Refused {
        /// When.
        at: WallTime,
        /// Why: what the log says, without a secret.
        why: String,
    },
}

impl ReloadState {
    /// Logs the end of a reload.
    fn say(&self) {
        match self {
            Self::Never | Self::UnderWay => {}
            Self::TakenOver { at: _, done: hub::Reloaded { added, changed, removed }, later: _ } => {
                tracing::info!(added, changed, removed, "configuration taken over");
            }
            Self::Partly { at: _, why } => tracing::error!(
                error = why.as_str(),
                "clients and TLS files are taken over, but the accounts stay as they were: {why}"
            ),
            Self::Refused { at: _, why } => tracing::error!(
                error = why.as_str(),
                "the configuration was not taken over, everything goes on as before: {why}"
            ),
        }
    }
}

impl ReloadOutcome {
    /// What people should know of it now: nothing, if all of it is in force.
    pub fn remark(&self) -> Option<String> {
        match &self.state {
            ReloadState::Never | ReloadState::UnderWay => None,
            ReloadState::TakenOver { at: _, done: _, later } if later.is_empty() => None,
            ReloadState::TakenOver { at: _, done: _, later } => {
                Some(format!("restart needed for changed {}", later.join(", ")))
            }
            ReloadState::Partly { at, why } => {
                Some(format!("accounts of the reload at {at} not taken over: {why}"))
            }
            ReloadState::Refused { at, why } => {
                Some(format!("reload refused at {at}, the old configuration is in force: {why}"))
            }
        }
    }
}

/// Takes a changed configuration over, as far as it can change live.
pub(super) struct Reloader<F> {
    pub(super) config: Config,
    pub(super) hub: Arc<Hub>,
    pub(super) control: grpc::Control,
    /// How long a stop may take, for whoever stops.
    pub(super) grace: watch::Sender<Duration>,
    pub(super) outcome: watch::Sender<ReloadOutcome>,
    /// Where the status page finds what happened.
    pub(super) recent: Recent,
    pub(super) load: F,
}

/// What was taken over.
enum Taken {
    Whole { done: hub::Reloaded, later: Vec<&'static str> },
    WithoutAccounts { why: String },
}

impl<F: Fn() -> Result<Loaded, ConfigError> + Send> Reloader<F> {
    /// Reads the configuration again whenever asked; asks that come together are one.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            self.outcome.send_modify(|outcome| {
                outcome.number += 1;
                outcome.state = ReloadState::UnderWay;
            });
            let reloaded = self.reload().await;
            let at = self.hub.clock().wall();
            let (done, state) = match reloaded {
                Ok(Taken::Whole { done, later }) => {
                    (metrics::Done::Ok, ReloadState::TakenOver { at, done, later })
                }
                Ok(Taken::WithoutAccounts { why }) => {
                    (metrics::Done::Failed, ReloadState::Partly { at, why })
                }
                Err(error) => (metrics::Done::Failed, ReloadState::Refused { at, why: format!("{error:#}") }),
            };
            match &state {
                ReloadState::TakenOver { at, done, later } => self.recent.reloaded(*at, *done, later),
                ReloadState::Partly { at, why } | ReloadState::Refused { at, why } => {
                    self.recent.reload_failed(*at, why);
                }
                ReloadState::Never | ReloadState::UnderWay => {}
            }
            metrics::reload(done);
            // Behind all that: who reads the line and looks must find it so.
            let said = state.clone();
            self.outcome.send_modify(|outcome| outcome.state = state);
            said.say();
        }
    }

    /// All or nothing, but for what only a restart can change, which is named, and for a ledger
    /// that cannot be read.
    async fn reload(&mut self) -> anyhow::Result<Taken> {
        let Loaded { mut config, warnings } = (self.load)()?;
        for warning in &warnings {
            tracing::warn!("configuration: {warning}");
        }
        check_layouts(&config)?;
        grpc::check(&config.grpc)?;
        let later = restart_needed(&self.config, &config);
        if !later.is_empty() {
            let keys = later.join(", ");
            tracing::warn!(keys, "these settings changed and need a restart: {keys}");
        }
        let accounts = self.hub.reload(std::mem::take(&mut config.accounts)).await;
        // Also if the ledger cannot be read for an account that came: whoever lost a grant must
        // not keep it because of a disk. Checked above, so that this cannot refuse.
        self.control.reload(&config.grpc)?;
        let done = match accounts {
            Ok(done) => done,
            Err(error) => {
                return Ok(Taken::WithoutAccounts { why: chain(&error) });
            }
        };
        self.grace.send_replace(config.daemon.grace);
        telemetry::change_filter(&config.daemon.log.filter)?;
        metrics::reloaded_at(self.hub.clock().wall());
        self.config = config;
        Ok(Taken::Whole { done, later })
    }
}
