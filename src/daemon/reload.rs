//! HUP: the configuration is read again and taken over, as far as it can change live.
//!
//! Everything is checked before anything is changed; a bad file changes nothing and says why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::admin::Recent;
use crate::config::{Config, ConfigError, Loaded, restart_needed};
use crate::grpc;
use crate::hub::Hub;
use crate::telemetry::metrics;

use super::{chain, check_layouts};

/// Takes a changed configuration over, as far as it can change live.
pub(super) struct Reloader<F> {
    pub(super) config: Config,
    pub(super) hub: Arc<Hub>,
    pub(super) control: grpc::Control,
    /// How long a stop may take, for whoever stops.
    pub(super) grace: watch::Sender<Duration>,
    /// Where the status page finds what happened.
    pub(super) recent: Recent,
    pub(super) load: F,
}

impl<F: Fn() -> Result<Loaded, ConfigError> + Send> Reloader<F> {
    /// Reads the configuration again whenever asked; asks that come together are one.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            let done = match self.reload().await {
                Ok(done) => done,
                Err(error) => {
                    tracing::error!(
                        "the configuration was not taken over, everything goes on as before: {error:#}"
                    );
                    metrics::Done::Failed
                }
            };
            if done == metrics::Done::Failed {
                self.recent.reload_failed(self.hub.clock().wall());
            }
            metrics::reload(done);
        }
    }

    /// All or nothing, but for what only a restart can change, which is named, and for a ledger
    /// that cannot be read.
    async fn reload(&mut self) -> anyhow::Result<metrics::Done> {
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
                tracing::error!(
                    error,
                    "clients and TLS files are taken over, but the accounts stay as they were"
                );
                return Ok(metrics::Done::Failed);
            }
        };
        self.grace.send_replace(config.daemon.grace);
        metrics::reloaded_at(self.hub.clock().wall());
        self.recent.reloaded(self.hub.clock().wall(), done);
        tracing::info!(
            added = done.added,
            changed = done.changed,
            removed = done.removed,
            "configuration taken over"
        );
        self.config = config;
        Ok(metrics::Done::Ok)
    }
}
