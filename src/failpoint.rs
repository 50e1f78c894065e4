//! Places where a test can let the process die, panic, fail or stand still.
//!
//! Compiled out of release builds. A process under test reads `ZHONGKONG_FAILPOINTS`,
//! e.g. `attempt.intent_stored=kill;ledger.commit@wx1=error`; a test in the same process
//! calls [`set`]. Kill and panic fire once, an error or a block until it is cleared. `kill` is
//! a real SIGKILL: no destructor runs, no buffer is flushed.
//!
//! A number behind a colon lets so many passes go by first. `hub.block=block:3` is the hub that
//! gets stuck after it was well: its loop passes the place once for each question of the
//! watchdog (four in `WATCHDOG_USEC`), answers three of them and then nothing any more, so a
//! unit becomes ready first and is starved then.

/// A fail-point that was armed with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fail-point was reached")]
pub struct Reached;

#[cfg(debug_assertions)]
mod armed {
    use std::collections::HashMap;
    use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

    use crate::model::Key;

    use super::Reached;

    /// What happens at a fail-point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Action {
        /// SIGKILL to the own process.
        Kill,
        /// A panic.
        Panic,
        /// The step reports a failure.
        Error,
        /// Who passes goes no further; a place that is passed with [`pass`] blocks its task only,
        /// any other the thread.
        Block,
    }

    /// An action, and how many passes go by before it.
    #[derive(Clone, Copy)]
    struct Trap {
        action: Action,
        spared: u32,
    }

    type Armed = HashMap<String, Trap>;

    fn armed() -> MutexGuard<'static, Armed> {
        static ARMED: OnceLock<Mutex<Armed>> = OnceLock::new();
        let from_environment = || {
            let text = std::env::var("ZHONGKONG_FAILPOINTS").unwrap_or_default();
            let entries = text.split(';').filter_map(|entry| {
                let (place, action) = entry.split_once('=')?;
                let (action, spared) = action.split_once(':').unwrap_or((action, "0"));
                let action = match action {
                    "kill" => Action::Kill,
                    "panic" => Action::Panic,
                    "block" => Action::Block,
                    _ => Action::Error,
                };
                Some((place.to_owned(), Trap { action, spared: spared.parse().unwrap_or(0) }))
            });
            Mutex::new(entries.collect())
        };
        ARMED.get_or_init(from_environment).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arms a place for one account.
    pub fn set(place: &str, appid: &str, action: Action) {
        armed().insert(format!("{place}@{appid}"), Trap { action, spared: 0 });
    }

    /// Disarms it.
    pub fn clear(place: &str, appid: &str) {
        armed().remove(&format!("{place}@{appid}"));
    }

    /// Passes a place. `Err` if the step shall fail.
    pub fn hit(place: &str, key: &Key) -> Result<(), Reached> {
        match sprung(place, Some(key)) {
            None => Ok(()),
            Some(Action::Error) => Err(Reached),
            Some(Action::Panic) => panic!("fail-point {place}"),
            Some(Action::Kill) => {
                let _ =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                block_thread()
            }
            Some(Action::Block) => block_thread(),
        }
    }

    /// Passes a place where a task can be blocked without its thread. One without a key belongs to
    /// no account.
    pub async fn pass(place: &str, key: Option<&Key>) {
        if sprung(place, key) == Some(Action::Block) {
            std::future::pending::<()>().await;
        }
    }

    /// What is armed here, if it is its time.
    fn sprung(place: &str, key: Option<&Key>) -> Option<Action> {
        let mut armed = armed();
        if armed.is_empty() {
            return None;
        }
        let here = key.map(|key| format!("{place}@{}", key.appid));
        let name = here.filter(|here| armed.contains_key(here)).unwrap_or_else(|| place.to_owned());
        let trap = armed.get_mut(&name)?;
        if trap.spared > 0 {
            trap.spared -= 1;
            return None;
        }
        let action = trap.action;
        match action {
            Action::Error | Action::Block => {}
            Action::Kill | Action::Panic => {
                armed.remove(&name);
            }
        }
        Some(action)
    }

    fn block_thread() -> ! {
        loop {
            std::thread::park();
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{Action, clear, hit, pass, set};

/// Passes a place; release builds have none armed.
#[cfg(not(debug_assertions))]
#[inline]
pub fn hit(_place: &str, _key: &crate::model::Key) -> Result<(), Reached> {
    Ok(())
}

/// Passes a place; release builds have none armed.
#[cfg(not(debug_assertions))]
#[inline]
#[expect(clippy::unused_async, reason = "as in debug builds, where a task may be held here")]
pub async fn pass(_place: &str, _key: Option<&crate::model::Key>) {}
