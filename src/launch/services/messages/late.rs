//! Sends what was not ready in time, and notes what came of it.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, WallTime};
use crate::daemon::chain;
use crate::services::messages::desk::{LateSender, Sent};
use crate::services::messages::handler::Incoming;
use crate::services::messages::late::Late;
use crate::services::messages::log::{Delivery, Entry, MessageLog, Outcome};
use crate::services::messages::reply::Reply;

/// The sender of late answers with the message log beside it.
pub(super) struct NotedLate {
    pub(super) late: Late,
    pub(super) log: MessageLog,
    pub(super) clock: Clock,
}

#[async_trait]
impl LateSender for NotedLate {
    async fn send(&self, incoming: &Incoming, reply: &Reply, by: Option<&str>) -> Sent {
        let sent = self.late.send(incoming, reply).await;
        let why = sent.as_ref().err().map(|error| chain(error));
        self.log.note(Entry {
            trace: &incoming.trace,
            account: &incoming.account,
            message: &incoming.message,
            delivery: Delivery::First,
            handler: by,
            outcome: why.as_deref().map_or(Outcome::Late(reply), Outcome::Lost),
            took: since(incoming.message.created(), self.clock.wall()),
        });
        Ok(sent?)
    }
}

/// How long the user has waited, by WeChat's clock and ours: the request is long over.
fn since(created: u64, now: WallTime) -> Duration {
    Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0).saturating_sub(created))
}
