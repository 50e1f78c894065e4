//! One memcached as the instances' common memory: three commands, each within a limit.
//!
//! A connection is used for one exchange at a time and dropped when anything is odd; an exchange
//! that is cancelled takes its connection with it. A server that fails again and again is left
//! alone for a second, so that it holds up a message now and then and not every one. Trouble is said
//! three times, and its end once; what nobody of ours has written, once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memcache::exp::{
    AsyncMetaConnection, Error as ClientError, GetOptions, MetaCommand, MetaResponse, ReturnCode, SetMode,
    SetOptions, build_get, build_set,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::telemetry::{ErrorTracker, Report};

/// Failures in a row after which the server is left alone, and for how long.
const PATIENCE: u64 = 3;
const REST: Duration = Duration::from_secs(1);
/// Connections kept for the next exchange.
const IDLE: usize = 16;

/// It did not do it, or nobody knows; it has been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Down;

/// How to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// If there is nothing.
    Add,
    /// In place of the version that has this number.
    Replace(u64),
    /// In any case.
    Set,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is there, in a version of this number.
    Yes(u64),
    /// Something else is there.
    Other,
    /// Nothing is there.
    Nothing,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    /// The number of its version.
    pub(super) cas: u64,
}

/// A memcached.
#[derive(Debug)]
pub(super) struct Server {
    addr: String,
    /// For a whole exchange, connecting included.
    limit: Duration,
    idle: Mutex<Vec<Connection>>,
    trouble: Mutex<Trouble>,
    garbage: AtomicBool,
}

struct Connection(AsyncMetaConnection);

#[derive(Debug, Default)]
struct Trouble {
    tracker: ErrorTracker,
    rests_until: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("it did not answer within {0:?}")]
    Slow(Duration),
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("the connection broke")]
    Broken,
    #[error("it refused")]
    Refused,
    #[error("its answer is not memcached's (1.6 or later)")]
    Garbled,
}

impl Server {
    pub(super) fn new(addr: String, limit: Duration) -> Self {
        Self {
            addr,
            limit,
            idle: Mutex::default(),
            trouble: Mutex::default(),
            garbage: AtomicBool::new(false),
        }
    }

    /// Stores a value for so many seconds.
    pub(super) async fn store(&self, key: &str, value: &[u8], ttl: u32, how: Store) -> Result<Stored, Down> {
        let mut options = SetOptions::default();
        options.ttl = Some(ttl);
        options.return_cas = true;
        match how {
            Store::Add => options.mode = SetMode::Add,
            Store::Replace(cas) => options.compare_cas = Some(cas),
            Store::Set => {}
        }
        let command = build_set(key, value, &options);
        self.ask(command, |answer| match answer.rc() {
            ReturnCode::Hd => Some(Stored::Yes(cas(answer)?)),
            ReturnCode::Ns | ReturnCode::Ex => Some(Stored::Other),
            ReturnCode::Nf => Some(Stored::Nothing),
            _ => None,
        })
        .await
    }

    /// What is there.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Item>, Down> {
        let mut options = GetOptions::default();
        options.return_cas = true;
        let command = build_get(key, &options);
        self.ask(command, |answer| match answer.rc() {
            ReturnCode::Va => Some(Some(Item { value: answer.value()?.to_vec(), cas: cas(answer)? })),
            ReturnCode::En => Some(None),
            _ => None,
        })
        .await
    }

    /// Says that what is there is nothing of ours.
    pub(super) fn holds_garbage(&self) {
        if !self.garbage.swap(true, Ordering::Relaxed) {
            let server = &self.addr;
            tracing::warn!(
                server,
                "memcached {server} holds something under zhongkong:msg: that this release has not written; it is left alone, and such a message may be handled twice; said once: give the service a memcached that nobody else writes to, and the same release to all instances",
            );
        }
    }

    async fn ask<T>(
        &self,
        command: Result<MetaCommand, ClientError>,
        understand: impl FnOnce(&MetaResponse) -> Option<T>,
    ) -> Result<T, Down> {
        if self.trouble().rests_until.is_some_and(|until| Instant::now() < until) {
            return Err(Down);
        }
        let talk = async {
            let command = command.map_err(|_| WireError::Garbled)?;
            let answer = self.exchange(&command).await?;
            understand(&answer).ok_or(WireError::Garbled)
        };
        match timeout(self.limit, talk).await.unwrap_or(Err(WireError::Slow(self.limit))) {
            Ok(understood) => {
                self.succeeded();
                Ok(understood)
            }
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    async fn exchange(&self, command: &MetaCommand) -> Result<MetaResponse, WireError> {
        // One that was idle may have been closed meanwhile; then none of them is any good. Should
        // it have executed the command all the same, the owner's name in the value shows it.
        let idle = self.idle().pop();
        if let Some(Connection(mut connection)) = idle {
            match connection.execute(command).await {
                Ok(answer) => {
                    self.put_back(connection);
                    return Ok(answer);
                }
                Err(ClientError::Io(_)) => self.idle().clear(),
                Err(error) => return Err(sort(&error)),
            }
        }
        let stream = TcpStream::connect(&self.addr).await.map_err(WireError::Unreachable)?;
        stream.set_nodelay(true).map_err(WireError::Unreachable)?;
        let mut connection = AsyncMetaConnection::from_stream(stream);
        let answer = connection.execute(command).await.map_err(|error| sort(&error))?;
        self.put_back(connection);
        Ok(answer)
    }

    fn put_back(&self, connection: AsyncMetaConnection) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(Connection(connection));
        }
    }

    fn succeeded(&self) {
        let report = {
            let mut trouble = self.trouble();
            trouble.rests_until = None;
            trouble.tracker.succeeded()
        };
        if let Report::Recovered(failures) = report {
            tracing::info!(
                server = self.addr,
                failures,
                "memcached {} recovered after {failures} failures; instances agree about messages again",
                self.addr,
            );
        }
    }

    fn failed(&self, error: &str) -> Down {
        let report = {
            let mut trouble = self.trouble();
            let report = trouble.tracker.failed();
            if trouble.tracker.in_a_row() >= PATIENCE {
                trouble.rests_until = Some(Instant::now() + REST);
            }
            report
        };
        let server = &self.addr;
        match report {
            Report::Warn(failures) => tracing::warn!(
                server,
                failures,
                error,
                "memcached {server} cannot be asked whether another instance has a message, so a retry that comes to another one may be handled twice; after the third time in a row at debug: {error}",
            ),
            Report::Debug(failures) => {
                tracing::debug!(server, failures, error, "memcached {server}: {error}");
            }
            Report::Recovered(_) | Report::Nothing => {}
        }
        Down
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the version, which every command here asks for.
fn cas(answer: &MetaResponse) -> Option<u64> {
    let flag = answer.flags().find_map(|flag| flag.strip_prefix(b"c"))?;
    std::str::from_utf8(flag).ok()?.parse().ok()
}

/// The crate's texts can quote what the other side sent, and are not repeated.
fn sort(error: &ClientError) -> WireError {
    match error {
        ClientError::Io(_) => WireError::Broken,
        ClientError::Server(_) => WireError::Refused,
        // The enum is open: what it may hold later is no answer that we know.
        _ => WireError::Garbled,
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
