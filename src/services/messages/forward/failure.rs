//! Why a program gave no answer that can be used, in sentences for its author.
//!
//! Each follows "the program NAME". None shows what was answered: a user's words may be in it.

use std::time::Duration;

use humantime::format_duration;

/// No answer, or none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("was not asked: it failed {failures} times in a row, and is tried again within seconds")]
    Resting { failures: u64 },
    #[error(
        "was not asked: all its {places} places are taken, and as many wait as may; raise its concurrency, or make it faster"
    )]
    Crowded { places: usize },
    #[error("was not asked within {}: all its {places} places were taken", format_duration(*.timeout))]
    Waited { places: usize, timeout: Duration },
    #[error("cannot be reached: the host of its url is not known to DNS")]
    UnknownHost,
    #[error("cannot be reached: nobody listens at the address of its url")]
    NobodyListens,
    #[error("cannot be reached: the network says no")]
    Unreachable,
    #[error("took no connection within {}", format_duration(*.0))]
    ConnectTimedOut(Duration),
    #[error("cannot be reached by https: its certificate is not trusted, or it does not speak TLS")]
    Tls,
    #[error("did not begin to answer within {}", format_duration(*.0))]
    TimedOut(Duration),
    #[error("did not end its answer within {}", format_duration(*.0))]
    UnfinishedInTime(Duration),
    #[error("broke its answer off, or answered with something that is not HTTP")]
    Torn,
    #[error("answered with more than {} KiB", .0 / 1024)]
    TooLarge(usize),
    #[error("answered with the redirect {0}, which is not followed; put the final address into its url")]
    Redirect(u16),
    #[error("answered with HTTP status {status}{}", hint(*.status))]
    Status { status: u16 },
    #[error("answered in a way that is not understood: {0}")]
    Unreadable(String),
}

/// What a status most often means here.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; does it have the same secret, and is its clock right?",
        404 | 405 => "; does its url lead to what takes POSTs?",
        429 => "; it asks for less at once: lower its concurrency",
        502..=504 => "; a proxy in front of it cannot reach it",
        _ => "",
    }
}

/// Whether the program, or the way to it, is at fault, and not this one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, if only with nonsense.
    Up,
    /// It did not.
    Down,
    /// It was not asked.
    Unknown,
}

impl Failure {
    pub(super) fn health(&self) -> Health {
        match self {
            Self::Resting { .. } | Self::Crowded { .. } | Self::Waited { .. } => Health::Unknown,
            Self::UnknownHost
            | Self::NobodyListens
            | Self::Unreachable
            | Self::ConnectTimedOut(_)
            | Self::Tls
            | Self::TimedOut(_)
            | Self::UnfinishedInTime(_)
            | Self::Torn => Health::Down,
            Self::Status { status } if *status >= 500 || *status == 429 => Health::Down,
            Self::TooLarge(_) | Self::Redirect(_) | Self::Status { .. } | Self::Unreadable(_) => Health::Up,
        }
    }
}
