//! A watch as its client sees it.

use std::time::Duration;

use tokio::time::timeout;
use tonic::Streaming;

use crate::clock::WallTime;
use crate::model::Key;
use crate::pb;

use super::error::{Error, answered};
use super::token::{self, Token};

/// Three heartbeats.
const SILENCE: Duration = Duration::from_secs(45);

/// An open watch. Ends with the first error; open another one then, with what is known.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<pb::WatchTokensResponse>,
}

/// One message of a watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// The key has this value now.
    Token(Token),
    /// The key has no value that may be used: drop what you hold.
    Withdrawn {
        /// Which key.
        key: Key,
        /// Why.
        reason: pb::WithdrawnReason,
        /// When to expect a change, if that is known.
        retry_after: Option<Duration>,
        /// What is wrong, if anything is.
        problem: Option<pb::Problem>,
    },
    /// Every current key was told; one that was not is withdrawn.
    SnapshotComplete,
    /// Nothing happened, and what is held may be used for another `cache_for`.
    Heartbeat {
        /// The daemon's wall clock.
        server_time: WallTime,
    },
}

impl Watch {
    pub(super) fn new(stream: Streaming<pb::WatchTokensResponse>) -> Self {
        Self { stream }
    }

    /// The next message; `None` when the daemon closed the stream without saying why. May
    /// be dropped while it waits: no message is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let message = timeout(SILENCE, self.stream.message()).await.map_err(|_| Error::Silent)??;
        message.map(|message| read(answered("event", message.event)?)).transpose()
    }
}

fn read(event: pb::watch_tokens_response::Event) -> Result<Event, Error> {
    use pb::watch_tokens_response::Event as From;
    Ok(match event {
        From::Token(token) => Event::Token(token::read(token)?),
        From::Withdrawn(gone) => Event::Withdrawn {
            key: token::key(&gone.appid, gone.kind)?,
            reason: gone.reason(),
            retry_after: gone.retry_after.and_then(|span| Duration::try_from(span).ok()),
            problem: gone.problem,
        },
        From::SnapshotComplete(pb::SnapshotComplete {}) => Event::SnapshotComplete,
        From::Heartbeat(pb::Heartbeat { server_time }) => {
            Event::Heartbeat { server_time: token::wall("server_time", server_time)? }
        }
    })
}
