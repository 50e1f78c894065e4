//! A ledger that fails as the test says: refused writes, or no answer at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use zhongkong::clock::{Clock, Stamp};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{
    AuditEntry, AuditPage, AuditQuery, Call, CallEnd, Committed, Event, Ledger, LedgerError, Record,
    StoredValue,
};
use zhongkong::model::{AppId, Generation, Key};

/// What is wrong with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// Nothing.
    None,
    /// The disk is full.
    Full,
    /// The file system was mounted read-only after an error.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// Writes hang, as on a network disk that went away, and nothing is written.
    Hangs,
    /// Everything is written, and the answer never comes.
    Late,
    /// Everything is written, and events cannot be read: no answer.
    Mute,
}

/// A ledger in memory under a hand. A clone is the same ledger.
#[derive(Clone)]
pub(crate) struct AilingLedger {
    inner: MemoryLedger,
    ailment: Arc<Mutex<Ailment>>,
    asked: Arc<AtomicUsize>,
}

impl AilingLedger {
    /// A sound one.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            inner: MemoryLedger::new(clock),
            ailment: Arc::new(Mutex::new(Ailment::None)),
            asked: Arc::default(),
        }
    }

    /// From now on this is wrong with it.
    pub(crate) fn set(&self, ailment: Ailment) {
        *self.ailment.lock().unwrap() = ailment;
    }

    /// How often it was asked for events that it did not tell.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Runs a write as the ailment has it.
    async fn write<T>(&self, write: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        let ailment = *self.ailment.lock().unwrap();
        match ailment {
            Ailment::None | Ailment::Mute => write.await,
            Ailment::Full => Err(LedgerError::Full("full".into())),
            Ailment::ReadOnly => Err(LedgerError::ReadOnly("read-only".into())),
            Ailment::Corrupt => Err(LedgerError::Corrupt("malformed".into())),
            Ailment::Hangs => std::future::pending().await,
            Ailment::Late => {
                let _ = write.await;
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Ledger for AilingLedger {
    async fn load(&self) -> Result<Vec<(Key, Record)>, LedgerError> {
        self.inner.load().await
    }

    async fn load_key(&self, key: &Key) -> Result<Record, LedgerError> {
        // A full or read-only disk can still be read, a damaged file or a lost disk cannot.
        let ailment = *self.ailment.lock().unwrap();
        match ailment {
            Ailment::Corrupt | Ailment::Hangs => self.write(self.inner.load_key(key)).await,
            Ailment::None | Ailment::Full | Ailment::ReadOnly | Ailment::Late | Ailment::Mute => {
                self.inner.load_key(key).await
            }
        }
    }

    async fn begin(&self, intent: &Call) -> Result<(), LedgerError> {
        self.write(self.inner.begin(intent)).await
    }

    async fn commit(&self, call: &Call, value: &StoredValue) -> Result<Committed, LedgerError> {
        self.write(self.inner.commit(call, value)).await
    }

    async fn finish(&self, call: &Call, end: CallEnd) -> Result<(), LedgerError> {
        self.write(self.inner.finish(call, end)).await
    }

    async fn settle(&self, key: &Key, through: Generation) -> Result<(), LedgerError> {
        self.write(self.inner.settle(key, through)).await
    }

    async fn withdraw(&self, key: &Key, generation: Generation) -> Result<(), LedgerError> {
        self.write(self.inner.withdraw(key, generation)).await
    }

    async fn pause(&self, key: &Key, until: Option<Stamp>) -> Result<(), LedgerError> {
        self.write(self.inner.pause(key, until)).await
    }

    async fn record(&self, event: &Event) -> Result<(), LedgerError> {
        self.write(self.inner.record(event)).await
    }

    async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError> {
        if *self.ailment.lock().unwrap() == Ailment::Mute {
            self.asked.fetch_add(1, Ordering::SeqCst);
            return std::future::pending().await;
        }
        self.inner.events(of, limit).await
    }
    async fn append_audit(&self, entries: &[AuditEntry], max_rows: u32) -> Result<(), LedgerError> {
        self.write(self.inner.append_audit(entries, max_rows)).await
    }

    async fn audit(&self, asked: &AuditQuery) -> Result<AuditPage, LedgerError> {
        self.inner.audit(asked).await
    }
}
