//! The ledger's events as the page shows them: read at most every two seconds, by one at a time,
//! and never waited for longer than [`PATIENCE`]. A slow ledger makes the list old, not the page.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::{BootTime, WallTime};
use crate::hub::Hub;
use crate::model::Key;

/// A page is there within half a second, whatever the ledger does.
const PATIENCE: Duration = Duration::from_millis(400);
/// How old the list may be.
const AGE: Duration = Duration::from_secs(2);
/// Events that are read.
const READ: u32 = 100;

/// An event of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filed {
    pub(super) at: WallTime,
    pub(super) key: Option<Key>,
    pub(super) what: String,
    pub(super) detail: String,
}

/// The latest events, newest first.
#[derive(Clone, Default)]
pub(super) struct Files {
    pub(super) events: Arc<[Filed]>,
    /// Whether the ledger did not answer when it was last asked.
    pub(super) slow: bool,
}

/// The last reading.
#[derive(Default)]
pub(super) struct Archive {
    last: Mutex<Option<(BootTime, Files)>>,
    reading: tokio::sync::Mutex<()>,
}

impl Archive {
    /// What is known; reads the ledger if that is too old and nobody else is doing so.
    pub(super) async fn files(&self, hub: &Hub) -> Files {
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = hub.clock().boot();
        let known = match known {
            Some((at, files)) if now.since(at) < AGE => return files,
            Some((_, files)) => files,
            None => Files::default(),
        };
        let Ok(_turn) = self.reading.try_lock() else { return known };
        let files = match timeout(PATIENCE, hub.events(None, READ)).await {
            Ok(Ok(events)) => {
                let events = events.into_iter();
                let events = events.map(|event| Filed {
                    at: event.at,
                    key: event.key,
                    what: event.what,
                    detail: event.detail,
                });
                Files { events: events.collect(), slow: false }
            }
            Ok(Err(_)) | Err(_) => Files { slow: true, ..known },
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, files.clone()));
        files
    }
}
