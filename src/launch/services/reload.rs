//! HUP: the configuration and the files that it names are read again and taken over, as far as they
//! can change live. Everything is made, for every service, before anything is swapped; a bad file
//! changes nothing and says why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::config::serve::LoadedServe;
use crate::config::{ConfigError, ServeConfig};
use crate::daemon::chain;
use crate::process::notify::{Notifier, NotifyState};
use crate::telemetry::{self, metrics};

use super::error::ServicesError;
use super::files::Files;
use super::served::TakeOver;
use super::status::Board;

/// Reads the configuration again.
pub(super) type Load = Arc<dyn Fn() -> Result<LoadedServe, ConfigError> + Send + Sync>;

/// Takes a changed configuration over.
pub(super) struct Reloader {
    pub(super) config: ServeConfig,
    pub(super) load: Load,
    pub(super) board: Board,
    pub(super) files: Arc<Files>,
    pub(super) grace: watch::Sender<Duration>,
    pub(super) remark: watch::Sender<Option<String>>,
    pub(super) notifier: Notifier,
    pub(super) clock: Clock,
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
            let reloaded = self.reload().await.map_err(|error| chain(&error));
            let (done, remark) = match &reloaded {
                Ok(later) if later.is_empty() => (metrics::Done::Ok, None),
                Ok(later) => {
                    (metrics::Done::Ok, Some(format!("restart needed for changed {}", later.join(", "))))
                }
                Err(error) => {
                    let at = self.clock.wall();
                    let remark =
                        format!("reload refused at {at}, the old configuration is in force: {error}");
                    (metrics::Done::Failed, Some(remark))
                }
            };
            metrics::reload(done);
            self.notifier.tell(&[NotifyState::Ready]).await;
            self.remark.send_replace(remark);
            // Behind the state: who reads the line and looks must find it so.
            match reloaded {
                Ok(_) => tracing::info!("configuration taken over: {}", self.board.summary()),
                Err(error) => tracing::error!(
                    error = error.as_str(),
                    "the configuration was not taken over, everything goes on as before: {error}"
                ),
            }
        }
    }

    async fn reload(&mut self) -> Result<Vec<&'static str>, ReloadError> {
        let (load, served) = (self.load.clone(), self.board.served.clone());
        let read = tokio::task::spawn_blocking(move || {
            let LoadedServe { config, warnings } = load()?;
            let made = served.iter().map(|one| one.remake(&config));
            let made = made.collect::<Result<Vec<TakeOver>, ServicesError>>()?;
            Ok::<_, ReloadError>((config, warnings, made))
        });
        let (config, warnings, made) = read.await.map_err(|_| ReloadError::Panicked)??;
        for warning in &warnings {
            tracing::warn!("configuration: {warning}");
        }
        let later = self.config.restart_needed(&config);
        if !later.is_empty() {
            let keys = later.join(", ");
            tracing::warn!(keys, "these settings changed and need a restart: {keys}");
        }
        for take_over in made {
            take_over.await;
        }
        self.files.change(&config.verify_files);
        self.grace.send_replace(config.serve.grace);
        if let Err(error) = telemetry::change_filter(&config.serve.log.filter) {
            // It was valid when it was read.
            tracing::debug!(%error, "the log filter stays as it was");
        }
        metrics::reloaded_at(self.clock.wall());
        // Compared with what is in force, which of these keys is the old value.
        self.config.serve.grace = config.serve.grace;
        Ok(later)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use axum::Router;
    use tokio::time::Instant;

    use super::super::messages::MessagesError;
    use super::super::served::{Served, Standing, Stops};
    use super::*;
    use crate::config::{Environment, Service, ServiceSet};
    use crate::daemon::parts::Parts;
    use crate::services::messages::door::TableError;

    /// Counts what is taken over, and refuses when told to.
    #[derive(Default)]
    struct Counting {
        taken: Arc<AtomicUsize>,
        refuses: AtomicBool,
    }

    #[async_trait]
    impl Served for Counting {
        fn service(&self) -> Service {
            Service::Messages
        }

        fn router(&self) -> Router {
            Router::new()
        }

        fn start(&mut self, _: &mut Parts, _: &Stops) {}

        fn standing(&self) -> Standing {
            Standing::default()
        }

        fn remake(&self, _: &ServeConfig) -> Result<TakeOver, ServicesError> {
            if self.refuses.load(Ordering::Relaxed) {
                let refused = TableError::Twice { path: "shop".to_owned() };
                return Err(MessagesError::Table(refused).into());
            }
            let taken = self.taken.clone();
            Ok(Box::pin(async move {
                taken.fetch_add(1, Ordering::Relaxed);
            }))
        }

        fn reopen(&self) {}

        async fn close(&self, _: Instant) -> usize {
            0
        }
    }

    #[tokio::test]
    async fn nothing_of_any_service_is_taken_over_if_one_refuses() {
        let (first, second) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "").unwrap();
        let load = move || ServeConfig::load(&path, &Environment::default(), &ServiceSet::new());
        let (remark, remarks) = watch::channel(None);
        let mut reloader = Reloader {
            config: load().unwrap().config,
            load: Arc::new(load),
            board: Board { served: Arc::new([first.clone(), second.clone()]), remark: remarks },
            files: Arc::default(),
            grace: watch::Sender::default(),
            remark,
            notifier: Notifier::default(),
            clock: Clock::system(),
        };
        let taken = || (first.taken.load(Ordering::Relaxed), second.taken.load(Ordering::Relaxed));
        assert_eq!(reloader.reload().await.unwrap(), Vec::<&str>::new());
        assert_eq!(taken(), (1, 1));
        second.refuses.store(true, Ordering::Relaxed);
        assert!(chain(&reloader.reload().await.unwrap_err()).contains("shop"));
        assert_eq!(taken(), (1, 1));
    }
}
