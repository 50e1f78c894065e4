//! How the services are, in the one line that `systemctl status` and `/readyz` show.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::process::notify::{Notifier, NotifyState, Told, more_time};

use super::answerers::RulesSeat;
use super::build::summary;
use super::link::Link;

/// The rules change without anybody being told.
const LOOK: Duration = Duration::from_secs(5);
/// What a stop gets beyond its grace before systemd kills: for the last lines.
const SLACK: Duration = Duration::from_secs(5);
/// A sign of life is sent four times in the manager's limit.
const BEATS_IN_LIMIT: u32 = 4;

/// What a reload leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) accounts: usize,
    pub(super) programs: usize,
    /// What people should know of the last reload.
    pub(super) remark: Option<String>,
    /// How the rules' file is on the disk.
    pub(super) file: RulesFile,
}

/// The rules' file on the disk beside the rules in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RulesFile {
    /// Its rules are in force, or there is none.
    #[default]
    InForce,
    /// It was changed and is bad: the rules before are in force.
    Refused,
}

/// What is wrong though messages are answered, in sentences with what to do; empty if nothing is.
pub(super) fn trouble(standing: &Standing, link: Link) -> String {
    let Standing { accounts, programs: _, remark, file } = standing;
    let mut wrong = Vec::new();
    if *accounts == 0 {
        wrong.push("there is no [[messages.account]], and every message is refused");
    }
    match link {
        Link::Unknown | Link::Up => {}
        Link::Down => wrong.push("the daemon gives no token: late answers cannot be sent"),
    }
    match file {
        RulesFile::InForce => {}
        RulesFile::Refused => {
            wrong.push(
                "the rules file is bad, and the rules before it are in force: the log names each mistake",
            );
        }
    }
    wrong.extend(remark.as_deref());
    wrong.join("; ")
}

/// Tells the service manager how it goes.
pub(super) struct Reporter {
    pub(super) notifier: Notifier,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) link: watch::Receiver<Link>,
    pub(super) rules: Arc<RulesSeat>,
    pub(super) grace: watch::Receiver<Duration>,
}

impl Reporter {
    /// READY, then the line when it changes or a reload has put another in its place, then STOPPING.
    pub(super) async fn run(mut self, stopping: CancellationToken, last: CancellationToken) {
        let mut said = self.line();
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
                () = changed(&mut self.standing) => true,
                () = changed(&mut self.link) => false,
                () = tokio::time::sleep(LOOK) => false,
            };
            let line = self.line();
            if (replaced || line != said)
                && self.notifier.tell(&[NotifyState::Status(&line)]).await == Told::Heard
            {
                said = line;
            }
        }
        let grace = *self.grace.borrow();
        let line = format!("stopping; messages under way are answered, for {} s at most", grace.as_secs());
        let states = [NotifyState::Stopping, more_time(grace + SLACK), NotifyState::Status(&line)];
        self.notifier.tell(&states).await;
        last.cancelled().await;
    }

    fn line(&self) -> String {
        // Not marked as seen: a change that comes just now is noticed once more.
        let standing = self.standing.borrow().clone();
        line(&standing, self.rules.count(), *self.link.borrow())
    }
}

fn line(standing: &Standing, rules: Option<usize>, link: Link) -> String {
    let what = summary(standing.accounts, rules, standing.programs);
    match trouble(standing, link) {
        wrong if wrong.is_empty() => what,
        wrong => format!("{what}; {wrong}"),
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

    #[test]
    fn line_names_what_is_served_and_what_is_wrong() {
        let well = Standing { accounts: 1, ..Standing::default() };
        assert_eq!(line(&well, Some(5), Link::Up), "1 account, 5 rules, 0 programs");
        let wrong =
            Standing { remark: Some("reload refused: x".to_owned()), file: RulesFile::Refused, ..well };
        assert_eq!(
            line(&wrong, Some(5), Link::Down),
            "1 account, 5 rules, 0 programs; the daemon gives no token: late answers cannot be sent; the rules file is bad, \
             and the rules before it are in force: the log names each mistake; reload refused: x"
        );
        let none = trouble(&Standing::default(), Link::Unknown);
        assert_eq!(none, "there is no [[messages.account]], and every message is refused");
    }
}
