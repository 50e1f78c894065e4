//! HUP: the configuration is read again and taken over, as far as it can change live.
//!
//! Everything is checked before anything is changed; a bad file changes nothing and says why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::config::{Config, ConfigError, Loaded, restart_needed};
use crate::grpc;
use crate::hub::Hub;
use crate::telemetry::metrics;

use super::{chain, check_layouts};

/// What came of the last reload: nothing yet, at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// How many there were.
    pub count: u64,
    /// What was taken over, or why not all of it was: sentences for a person, without a secret.
    pub last: Option<Result<String, String>>,
}

/// Takes a changed configuration over, as far as it can change live.
pub(super) struct Reloader<F> {
    pub(super) config: Config,
    pub(super) hub: Arc<Hub>,
    pub(super) control: grpc::Control,
    /// How long a stop may take, for whoever stops.
    pub(super) grace: watch::Sender<Duration>,
    pub(super) reloads: watch::Sender<Reloaded>,
    pub(super) load: F,
}

impl<F: Fn() -> Result<Loaded, ConfigError> + Send> Reloader<F> {
    /// Reads the configuration again whenever asked; asks that come together are one.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            let told = match self.reload().await {
                Ok(told) => told,
                Err(error) => {
                    let text = format!(
                        "the configuration was not taken over, everything goes on as before: {error:#}"
                    );
                    tracing::error!("{text}");
                    Err(text)
                }
            };
            metrics::reload(if told.is_ok() { metrics::Done::Ok } else { metrics::Done::Failed });
            self.reloads.send_modify(|reloaded| {
                reloaded.count += 1;
                reloaded.last = Some(told);
            });
        }
    }

    /// All or nothing, but for what only a restart can change, which is named, and for a ledger
    /// that cannot be read: that is the inner error.
    async fn reload(&mut self) -> anyhow::Result<Result<String, String>> {
        let Loaded { config, warnings } = (self.load)()?;
        for warning in &warnings {
            tracing::warn!("configuration: {warning}");
        }
        check_layouts(&config)?;
        grpc::check(&config.grpc)?;
        let later = restart_needed(&self.config, &config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these settings changed and need a restart");
        }
        let accounts = self.hub.reload(config.accounts.clone()).await;
        // Also if the ledger cannot be read for an account that came: whoever lost a grant must
        // not keep it because of a disk. Checked above, so that this cannot refuse.
        self.control.reload(&config.grpc)?;
        let done = match accounts {
            Ok(done) => done,
            Err(error) => {
                let error = chain(&error);
                let text = "clients and TLS files are taken over, but the accounts stay as they were";
                tracing::error!(error, "{text}");
                return Ok(Err(format!("{text}: {error}")));
            }
        };
        self.grace.send_replace(config.daemon.grace);
        metrics::reloaded_at(self.hub.clock().wall());
        tracing::info!(
            added = done.added,
            changed = done.changed,
            removed = done.removed,
            "configuration taken over"
        );
        self.config = config;
        let mut text = format!(
            "configuration taken over: {} added, {} changed, {} removed",
            done.added, done.changed, done.removed
        );
        if !later.is_empty() {
            text.push_str("; a restart is needed for ");
            text.push_str(&later.join(", "));
        }
        Ok(Ok(text))
    }
}
