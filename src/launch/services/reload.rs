//! HUP: the configuration and the rules are read again and taken over, as far as they can change
//! live. Everything is made before anything is swapped; a bad file changes nothing and says why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::clock::Clock;
use crate::config::serve::LoadedServe;
use crate::config::{ConfigError, ServeConfig};
use crate::daemon::chain;
use crate::model::AppId;
use crate::process::notify::{Notifier, NotifyState};
use crate::services::messages::door::Door;
use crate::services::messages::rules::{Beside, Watcher};
use crate::telemetry::{self, metrics};

use super::answerers::{ProgramSeat, RulesSeat};
use super::build::{Forwarders, Live};
use super::error::ServicesError;
use super::status::Standing;

/// Reads the configuration again.
pub(super) type Load = Arc<dyn Fn() -> Result<LoadedServe, ConfigError> + Send + Sync>;

/// Takes a changed configuration over.
pub(super) struct Reloader {
    pub(super) config: ServeConfig,
    pub(super) load: Load,
    pub(super) swap: Swap,
    pub(super) grace: watch::Sender<Duration>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) notifier: Notifier,
    pub(super) clock: Clock,
}

/// Where what a reload makes goes.
pub(super) struct Swap {
    pub(super) door: Arc<Door>,
    pub(super) rules: Arc<RulesSeat>,
    pub(super) programs: Arc<ProgramSeat>,
    pub(super) watchers: mpsc::Sender<Option<Watcher>>,
    pub(super) beside: Beside,
    pub(super) appids: watch::Sender<Vec<AppId>>,
    pub(super) forwarders: Forwarders,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Services(#[from] ServicesError),
    #[error("the reading of the configuration panicked")]
    Panicked,
}

impl Swap {
    /// Puts rules and programs in, which have been made for the same configuration as the table.
    pub(super) async fn take_over(&mut self, live: Live, appids: Vec<AppId>) {
        let Live { table, rules, forwarders, programs } = live;
        let (rules, watcher) = rules.unzip();
        self.rules.fill(rules);
        self.programs.fill(programs);
        self.door.change(table);
        self.forwarders = forwarders;
        self.appids.send_replace(appids);
        // Its reader ends with the process only.
        let _ = self.watchers.send(watcher).await;
    }
}

impl Reloader {
    /// Reads again whenever asked; asks that come together are one.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            // An error is a kernel without CLOCK_MONOTONIC; systemd asks for it in the same message.
            if let Ok(now) = NotifyState::monotonic_usec_now() {
                let line = NotifyState::Status("reloading: the configuration is read");
                self.notifier.tell(&[NotifyState::Reloading, now, line]).await;
            }
            let (done, remark) = match self.reload().await {
                Ok(later) if later.is_empty() => (metrics::Done::Ok, None),
                Ok(later) => {
                    (metrics::Done::Ok, Some(format!("restart needed for changed {}", later.join(", "))))
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(
                        error = error.as_str(),
                        "the configuration was not taken over, everything goes on as before: {error}"
                    );
                    let at = self.clock.wall();
                    (
                        metrics::Done::Failed,
                        Some(format!("reload refused at {at}, the old configuration is in force: {error}")),
                    )
                }
            };
            metrics::reload(done);
            self.notifier.tell(&[NotifyState::Ready]).await;
            self.standing.send_modify(|standing| standing.remark = remark);
        }
    }

    async fn reload(&mut self) -> Result<Vec<&'static str>, ReloadError> {
        let (load, before, clock) = (self.load.clone(), self.swap.forwarders.clone(), self.clock.clone());
        let (beside, window) = (self.swap.beside.clone(), self.config.messages.replay_window);
        let read = tokio::task::spawn_blocking(move || {
            let LoadedServe { mut config, warnings } = load()?;
            // What the desk remembers is as long as the window; both change with a restart.
            let wanted = std::mem::replace(&mut config.messages.replay_window, window);
            let live = Live::new(&config.messages, &before, &beside, &clock)?;
            config.messages.replay_window = wanted;
            Ok::<_, ReloadError>((config, warnings, live))
        });
        let (config, warnings, live) = read.await.map_err(|_| ReloadError::Panicked)??;
        for warning in &warnings {
            tracing::warn!("configuration: {warning}");
        }
        let later = self.config.restart_needed(&config);
        if !later.is_empty() {
            let keys = later.join(", ");
            tracing::warn!(keys, "these settings changed and need a restart: {keys}");
        }
        let (accounts, programs) = (live.table.accounts(), live.forwarders.len());
        self.swap.take_over(live, appids(&config)).await;
        self.grace.send_replace(config.serve.grace);
        if let Err(error) = telemetry::change_filter(&config.serve.log.filter) {
            // It was valid when it was read.
            tracing::debug!(%error, "the log filter stays as it was");
        }
        metrics::reloaded_at(self.clock.wall());
        tracing::info!(accounts, programs, "configuration taken over");
        self.standing.send_modify(|standing| (standing.accounts, standing.programs) = (accounts, programs));
        // Compared with what is in force, which of these keys is the old value.
        self.config.serve.grace = config.serve.grace;
        Ok(later)
    }
}

/// Whose messages arrive.
pub(super) fn appids(config: &ServeConfig) -> Vec<AppId> {
    config.messages.accounts.iter().map(|account| account.account.appid.clone()).collect()
}
