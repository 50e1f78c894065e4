//! `run`, `start`, `stop`, `restart`, `reload` as they are typed.

use std::time::Duration;

use clap::Args;

use crate::launch::{Order, Stop, Urgency};

use super::words::parse_span;

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// How long to wait until the daemon is ready; it goes on in the background after that
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_span)]
    wait: Duration,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// How long to wait for the end [default: daemon.grace and 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    wait: Option<Duration>,
    /// Cut off attempts under way; the next start knows what was under way
    #[arg(long)]
    now: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestartArgs {
    /// How long to wait until the new daemon is ready
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_span)]
    wait: Duration,
    /// Cut off attempts under way; the next start knows what was under way
    #[arg(long)]
    now: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// How long to wait for what comes of it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_span)]
    wait: Duration,
}

fn urgency(now: bool) -> Urgency {
    if now { Urgency::Now } else { Urgency::Grace }
}

impl From<StartArgs> for Order {
    fn from(StartArgs { wait }: StartArgs) -> Self {
        Self::Start(wait)
    }
}

impl From<StopArgs> for Order {
    fn from(StopArgs { wait, now }: StopArgs) -> Self {
        Self::Stop(Stop { wait, urgency: urgency(now) })
    }
}

impl From<RestartArgs> for Order {
    fn from(RestartArgs { wait, now }: RestartArgs) -> Self {
        Self::Restart(Stop { wait: None, urgency: urgency(now) }, wait)
    }
}

impl From<ReloadArgs> for Order {
    fn from(ReloadArgs { wait }: ReloadArgs) -> Self {
        Self::Reload(wait)
    }
}
