//! Places where a test can let the process die, panic or fail.
//!
//! Compiled out of release builds. A process under test reads `ZHONGKONG_FAILPOINTS`,
//! e.g. `attempt.intent_stored=kill;ledger.commit@wx1=error`; a test in the same process
//! calls [`set`]. Kill and panic fire once, an error until it is cleared. `kill` is a real
//! SIGKILL: no destructor runs, no buffer is flushed.

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
    }

    type Armed = HashMap<String, Action>;

    fn armed() -> MutexGuard<'static, Armed> {
        static ARMED: OnceLock<Mutex<Armed>> = OnceLock::new();
        let from_environment = || {
            let text = std::env::var("ZHONGKONG_FAILPOINTS").unwrap_or_default();
            let entries = text.split(';').filter_map(|entry| {
                let (place, action) = entry.split_once('=')?;
                let action = match action {
                    "kill" => Action::Kill,
                    "panic" => Action::Panic,
                    _ => Action::Error,
                };
                Some((place.to_owned(), action))
            });
            Mutex::new(entries.collect())
        };
        ARMED.get_or_init(from_environment).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arms a place for one account.
    pub fn set(place: &str, appid: &str, action: Action) {
        armed().insert(format!("{place}@{appid}"), action);
    }

    /// Disarms it.
    pub fn clear(place: &str, appid: &str) {
        armed().remove(&format!("{place}@{appid}"));
    }

    /// Passes a place. `Err` if the step shall fail.
    pub fn hit(place: &str, key: &Key) -> Result<(), Reached> {
        let action = {
            let mut armed = armed();
            if armed.is_empty() {
                return Ok(());
            }
            let here = format!("{place}@{}", key.appid);
            let name = if armed.contains_key(&here) { here } else { place.to_owned() };
            match armed.get(&name).copied() {
                Some(Action::Error) => Some(Action::Error),
                _ => armed.remove(&name),
            }
        };
        match action {
            None => Ok(()),
            Some(Action::Error) => Err(Reached),
            Some(Action::Panic) => panic!("fail-point {place}"),
            Some(Action::Kill) => {
                let _ =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{Action, clear, hit, set};

/// Passes a place; release builds have none armed.
#[cfg(not(debug_assertions))]
#[inline]
pub fn hit(_place: &str, _key: &crate::model::Key) -> Result<(), Reached> {
    Ok(())
}
