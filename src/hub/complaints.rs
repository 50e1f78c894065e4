//! Complaints as they are judged, for whoever shows them.
//!
//! What a reader could notice is told by [`Hub::subscribe`]; a complaint that changed nothing is
//! told here. Whoever is slow misses some: this is news, not an account.

use tokio::sync::broadcast;

use crate::refresh::handle::Complaint;

use super::Hub;

/// How many complaints somebody who listens may be behind. Equal ones are one.
const FEED: usize = 256;

/// Tells of complaints.
pub struct Complaints(broadcast::Receiver<Complaint>);

pub(super) fn feed() -> broadcast::Sender<Complaint> {
    broadcast::channel(FEED).0
}

impl Hub {
    /// Tells of every complaint that is judged from now on.
    pub fn subscribe_complaints(&self) -> Complaints {
        Complaints(self.feeds.complaints.subscribe())
    }
}

impl Complaints {
    /// Waits for the next complaint; for ever once the hub has gone. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Complaint {
        loop {
            match self.0.recv().await {
                Ok(complaint) => return complaint,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
