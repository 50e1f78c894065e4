//! How the services are, in the one line that `systemctl status` and `/readyz` show.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::process::notify::{Notifier, NotifyState, Told, more_time};

use super::served::{Bell, Served, Standing};

/// Some of it changes without anybody being told: rules in a file.
const LOOK: Duration = Duration::from_secs(5);
/// What a stop gets beyond its grace before systemd kills: for the last lines.
const SLACK: Duration = Duration::from_secs(5);
/// A sign of life is sent four times in the manager's limit.
const BEATS_IN_LIMIT: u32 = 4;

/// The services, and what people should know of the last reload.
#[derive(Clone)]
pub(super) struct Board {
    pub(super) served: Arc<[Arc<dyn Served>]>,
    pub(super) remark: watch::Receiver<Option<String>>,
}

impl Board {
    /// The services' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.served.iter().map(|one| one.service().as_str())
    }

    /// What is served.
    pub(super) fn summary(&self) -> String {
        summary(&self.standings())
    }

    /// What is wrong though requests are answered, in sentences with what to do; empty if nothing is.
    pub(super) fn trouble(&self) -> String {
        trouble(&self.standings(), self.remark.borrow().as_deref())
    }

    fn line(&self) -> String {
        // Not marked as seen: a change that comes just now is noticed once more.
        let remark = self.remark.borrow().clone();
        line(&self.standings(), remark.as_deref())
    }

    fn standings(&self) -> Vec<Named> {
        self.served.iter().map(|one| (one.service().as_str(), one.standing())).collect()
    }
}

/// A service's standing by its name.
type Named = (&'static str, Standing);

/// The summaries; of several services each with its name.
pub(super) fn summary(standings: &[Named]) -> String {
    match standings {
        [(_, only)] => only.summary.clone(),
        several => {
            let one = |(name, standing): &Named| format!("{name}: {}", standing.summary);
            several.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

fn trouble(standings: &[Named], remark: Option<&str>) -> String {
    let named = standings.len() > 1;
    let of = |(name, standing): &Named| -> Vec<String> {
        let wrong = standing.wrong.iter();
        wrong.map(|wrong| if named { format!("{name}: {wrong}") } else { wrong.clone() }).collect()
    };
    let wrong = standings.iter().flat_map(of).chain(remark.map(str::to_owned));
    wrong.collect::<Vec<_>>().join("; ")
}

fn line(standings: &[Named], remark: Option<&str>) -> String {
    let what = summary(standings);
    match trouble(standings, remark) {
        wrong if wrong.is_empty() => what,
        wrong => format!("{what}; {wrong}"),
    }
}

/// Tells the service manager how it goes.
pub(super) struct Reporter {
    pub(super) notifier: Notifier,
    pub(super) board: Board,
    pub(super) bell: Bell,
    pub(super) grace: watch::Receiver<Duration>,
}

impl Reporter {
    /// READY, then the line when it changes or a reload has put another in its place, then STOPPING.
    pub(super) async fn run(mut self, stopping: CancellationToken, last: CancellationToken) {
        let mut rings = self.bell.listen();
        let mut said = self.board.line();
        while self.notifier.tell(&[NotifyState::Ready, NotifyState::Status(&said)]).await == Told::Lost {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        loop {
            let replaced = tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                () = changed(&mut self.board.remark) => true,
                () = changed(&mut rings) => false,
                () = tokio::time::sleep(LOOK) => false,
            };
            let line = self.board.line();
            if (replaced || line != said)
                && self.notifier.tell(&[NotifyState::Status(&line)]).await == Told::Heard
            {
                said = line;
            }
        }
        let grace = *self.grace.borrow();
        let line = format!("stopping; requests under way are answered, for {} s at most", grace.as_secs());
        let states = [NotifyState::Stopping, more_time(grace + SLACK), NotifyState::Status(&line)];
        self.notifier.tell(&states).await;
        last.cancelled().await;
    }
}

/// Feeds the manager's watchdog for as long as the runtime runs tasks.
pub(super) async fn feed_watchdog(notifier: Notifier, limit: Duration) {
    loop {
        notifier.tell(&[NotifyState::Watchdog]).await;
        tokio::time::sleep(limit / BEATS_IN_LIMIT).await;
    }
}

/// Waits for a change; for ever, if whoever makes them has gone, which ends the process anyway.
async fn changed<T>(of: &mut watch::Receiver<T>) {
    if of.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(summary: &str, wrong: &[&str]) -> Standing {
        Standing { summary: summary.to_owned(), wrong: wrong.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn line_names_what_is_served_and_what_is_wrong() {
        let well = [("messages", standing("1 account", &[]))];
        assert_eq!(line(&well, None), "1 account");
        let wrong = [("messages", standing("1 account", &["the daemon is away", "the rules file is bad"]))];
        assert_eq!(
            line(&wrong, Some("reload refused: x")),
            "1 account; the daemon is away; the rules file is bad; reload refused: x"
        );
    }

    #[test]
    fn several_services_are_told_apart_by_their_names() {
        let both = [("messages", standing("1 account", &["a", "b"])), ("oauth", standing("2 apps", &["c"]))];
        assert_eq!(
            line(&both, Some("restart needed")),
            "messages: 1 account; oauth: 2 apps; messages: a; messages: b; oauth: c; restart needed"
        );
    }
}
