//! One memcached: three commands, each within a limit, and no answer taken for another.
//!
//! A connection is used for one exchange at a time and dropped when anything is odd. What must
//! happen once (an add, a delete) goes over a new connection: over one that the server has closed
//! meanwhile it would have to be sent again, and nobody could tell whose it was that succeeded.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memcache::exp::{
    AsyncMetaConnection, DeleteOptions, Error as ClientError, GetOptions, MetaCommand, MetaResponse,
    ReturnCode, SetMode, SetOptions, build_delete, build_get, build_set,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::telemetry::{ErrorTracker, Report, services as metrics};

/// Failures in a row after which the server is left alone, and for how long, so that it does not
/// hold up every page.
const PATIENCE: u64 = 3;
const REST: Duration = Duration::from_secs(1);
/// Connections kept for the next exchange.
const IDLE: usize = 16;

/// How to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// In any case.
    Set,
    /// If there is nothing.
    Add,
    /// If there is something.
    Replace,
}

/// What is there.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    /// The number of its version.
    pub(super) cas: u64,
}

/// A memcached.
pub(super) struct Server {
    addr: String,
    /// For a whole exchange, connecting included.
    limit: Duration,
    idle: Mutex<Vec<AsyncMetaConnection>>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    tracker: ErrorTracker,
    rests_until: Option<Instant>,
}

/// Over which connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// One that is there; the command may run twice.
    Idle,
    /// A new one.
    New,
}

/// Why memcached did not do it.
#[derive(Debug, thiserror::Error)]
pub enum MemcachedError {
    /// It is slow.
    #[error("memcached {server} did not answer within {limit:?}")]
    Slow {
        /// Which.
        server: String,
        /// The limit.
        limit: Duration,
    },
    /// It is not there.
    #[error("memcached {server} cannot be reached")]
    Unreachable {
        /// Which.
        server: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It went away.
    #[error("the connection to memcached {server} broke")]
    Broken {
        /// Which.
        server: String,
    },
    /// It is full, or the value too large.
    #[error("memcached {server} refused; give it more memory (-m)")]
    Refused {
        /// Which.
        server: String,
    },
    /// It is something else.
    #[error("the answer of {server} is not memcached's (1.6 or later)")]
    Garbled {
        /// Which.
        server: String,
    },
    /// It failed a moment ago.
    #[error("memcached {server} failed a moment ago and is left alone")]
    Rests {
        /// Which.
        server: String,
    },
}

impl Server {
    pub(super) fn new(addr: String, limit: Duration) -> Self {
        Self { addr, limit, idle: Mutex::default(), trouble: Mutex::default() }
    }

    /// Stores a value; tells whether it did.
    pub(super) async fn store(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: u32,
        how: Store,
    ) -> Result<bool, MemcachedError> {
        let mut options = SetOptions::default();
        options.ttl = Some(ttl);
        let over = match how {
            Store::Set => Over::Idle,
            Store::Add => {
                options.mode = SetMode::Add;
                Over::New
            }
            Store::Replace => {
                options.mode = SetMode::Replace;
                Over::Idle
            }
        };
        self.ask(build_set(key, value, &options), over, |answer| match answer.rc() {
            ReturnCode::Hd => Some(true),
            ReturnCode::Ns | ReturnCode::Ex | ReturnCode::Nf => Some(false),
            _ => None,
        })
        .await
    }

    /// What is there.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Item>, MemcachedError> {
        let mut options = GetOptions::default();
        options.return_cas = true;
        self.ask(build_get(key, &options), Over::Idle, |answer| match answer.rc() {
            ReturnCode::Va => Some(Some(Item { value: answer.value()?.to_vec(), cas: cas(answer)? })),
            ReturnCode::En => Some(None),
            _ => None,
        })
        .await
    }

    /// Deletes what is there, or only that version; tells whether it did.
    pub(super) async fn delete(&self, key: &str, version: Option<u64>) -> Result<bool, MemcachedError> {
        let mut options = DeleteOptions::default();
        options.compare_cas = version;
        let over = if version.is_some() { Over::New } else { Over::Idle };
        self.ask(build_delete(key, &options), over, |answer| match answer.rc() {
            ReturnCode::Hd => Some(true),
            ReturnCode::Nf | ReturnCode::Ex | ReturnCode::Ns => Some(false),
            _ => None,
        })
        .await
    }

    async fn ask<T>(
        &self,
        command: Result<MetaCommand, ClientError>,
        over: Over,
        understand: impl FnOnce(&MetaResponse) -> Option<T>,
    ) -> Result<T, MemcachedError> {
        let server = || self.addr.clone();
        if self.trouble().rests_until.is_some_and(|until| Instant::now() < until) {
            return Err(MemcachedError::Rests { server: server() });
        }
        let talk = async {
            let garbled = || MemcachedError::Garbled { server: server() };
            let command = command.map_err(|_| garbled())?;
            let answer = self.exchange(&command, over).await?;
            understand(&answer).ok_or_else(garbled)
        };
        let begun = Instant::now();
        let slow = || Err(MemcachedError::Slow { server: server(), limit: self.limit });
        let result = timeout(self.limit, talk).await.unwrap_or_else(|_| slow());
        metrics::store_took("memcached", begun.elapsed());
        match &result {
            Ok(_) => self.succeeded(),
            Err(error) => self.failed(error),
        }
        result
    }

    async fn exchange(&self, command: &MetaCommand, over: Over) -> Result<MetaResponse, MemcachedError> {
        let idle = match over {
            Over::Idle => self.idle().pop(),
            Over::New => None,
        };
        if let Some(mut connection) = idle {
            match connection.execute(command).await {
                Ok(answer) => {
                    self.put_back(connection);
                    return Ok(answer);
                }
                // Closed meanwhile; then none of them is any good.
                Err(ClientError::Io(_)) => self.idle().clear(),
                Err(error) => return Err(self.sort(&error)),
            }
        }
        let unreachable = |source| MemcachedError::Unreachable { server: self.addr.clone(), source };
        let stream = TcpStream::connect(&self.addr).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = AsyncMetaConnection::from_stream(stream);
        let answer = connection.execute(command).await.map_err(|error| self.sort(&error))?;
        self.put_back(connection);
        Ok(answer)
    }

    fn put_back(&self, connection: AsyncMetaConnection) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    /// The crate's texts can quote what the other side sent, and are not repeated.
    fn sort(&self, error: &ClientError) -> MemcachedError {
        let server = self.addr.clone();
        match error {
            ClientError::Io(_) => MemcachedError::Broken { server },
            ClientError::Server(_) => MemcachedError::Refused { server },
            // The enum is open: what it may hold later is no answer that we know.
            _ => MemcachedError::Garbled { server },
        }
    }

    fn succeeded(&self) {
        let report = {
            let mut trouble = self.trouble();
            trouble.rests_until = None;
            trouble.tracker.succeeded()
        };
        if let Report::Recovered(failures) = report {
            let server = &self.addr;
            tracing::info!(
                server,
                failures,
                "memcached {server} recovered after {failures} failures; people can log in again"
            );
        }
    }

    fn failed(&self, error: &MemcachedError) {
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
                error = %error,
                "sessions cannot be kept, so nobody can log in or be recognised; after the third time in a row at debug: {error}",
            ),
            Report::Debug(failures) => {
                tracing::debug!(server, failures, error = %error, "sessions cannot be kept: {error}");
            }
            Report::Recovered(_) | Report::Nothing => {}
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<AsyncMetaConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the version.
fn cas(answer: &MetaResponse) -> Option<u64> {
    let flag = answer.flags().find_map(|flag| flag.strip_prefix(b"c"))?;
    std::str::from_utf8(flag).ok()?.parse().ok()
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.addr).finish()
    }
}
