//! Signals as intents.
//!
//! The one place that knows what a signal means; the daemon sees [`Intent`]s. From
//! [`Intents::install`] on no listed signal ends the process by itself.

use std::io;

use futures_util::StreamExt;
use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;

/// What somebody outside wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// TERM or INT: finish what runs, within the grace, and end.
    Stop,
    /// TERM or INT again: end at once.
    StopNow,
    /// HUP: read the configuration again, and open the log file anew.
    Reload,
    /// USR1: open the log file anew.
    ReopenLog,
}

/// The intents of this process's signals, in order of arrival; equal ones that arrive
/// together are one.
pub struct Intents {
    signals: Signals,
    stopping: Stopping,
}

/// Whether the process was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    NotYet,
    Asked,
}

/// Lets every signal through. Whoever started us may have blocked some, and a mask is inherited:
/// such a daemon could not be stopped but by KILL. Before there is a second thread, which would
/// inherit it, too.
///
/// # Errors
/// The kernel refused.
pub fn unblock() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

impl Intents {
    /// Takes the signals over. Needs a running tokio runtime.
    ///
    /// # Errors
    /// The kernel refused a handler or the pipe behind it: the process cannot be run safely.
    pub fn install() -> io::Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        Ok(Self { signals, stopping: Stopping::NotYet })
    }

    /// The next intent. Cancel safe: dropped before it is ready, it has taken nothing.
    pub async fn next(&mut self) -> Intent {
        loop {
            match self.signals.next().await {
                Some(signal) => {
                    if let Some(intent) = intent(signal, &mut self.stopping) {
                        return intent;
                    }
                }
                // Nobody closes the handle; were it closed, no signal would come any more.
                None => std::future::pending().await,
            }
        }
    }
}

fn intent(signal: i32, stopping: &mut Stopping) -> Option<Intent> {
    match (signal, *stopping) {
        (SIGHUP, Stopping::NotYet) => Some(Intent::Reload),
        (SIGUSR1, _) => Some(Intent::ReopenLog),
        (SIGTERM | SIGINT, Stopping::NotYet) => {
            *stopping = Stopping::Asked;
            Some(Intent::Stop)
        }
        (SIGTERM | SIGINT, Stopping::Asked) => Some(Intent::StopNow),
        // A reload of what is about to end; no other signal is asked for.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_stop_of_either_kind_stops_at_once() {
        let mut stopping = Stopping::NotYet;
        let signals = [SIGHUP, SIGUSR1, SIGTERM, SIGHUP, SIGUSR1, SIGINT, SIGTERM];
        let said = signals.map(|signal| intent(signal, &mut stopping));
        let reopen = Some(Intent::ReopenLog);
        let stops = [Some(Intent::StopNow); 2];
        let expected = [Some(Intent::Reload), reopen, Some(Intent::Stop), None, reopen, stops[0], stops[1]];
        assert_eq!(said, expected);
    }
}
