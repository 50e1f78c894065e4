//! The ledger as a SQLite file.
//!
//! Owns the file, its lock and one task that writes it ([`writer`]): WAL with full
//! synchronisation, so a write that returned `Ok` survives a loss of power. A handle is
//! cheap; the task ends with the last one or with [`SqliteLedger::close`].
//!
//! A full disk, a read-only one or a corrupt file are errors of one write. Nothing is
//! remembered of them: the next write finds out whether the cause is gone.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::lock::StateDir;
use super::{
    AuditEntry, AuditPage, AuditQuery, Call, CallEnd, Committed, Event, Ledger, LedgerError, Record,
    StoredValue,
};
use crate::clock::{Clock, Stamp};
use crate::model::{AppId, Generation, Key};
use write::Write;
use writer::{Op, QUEUE, Reply, Writer};

mod audit;
mod check;
mod failure;
mod open;
mod peek;
mod rows;
mod write;
mod writer;

pub(super) use failure::Failure;
pub use open::{Settings, forget_values};
pub use peek::{PeekError, Spent, peek};

/// A handle of the ledger. A clone is the same ledger.
#[derive(Clone)]
pub struct SqliteLedger {
    queue: mpsc::Sender<Op>,
    // Aborts the task with the last handle. Nobody waits for an answer then, and a transaction
    // that is cut off is rolled back.
    _task: Arc<JoinSet<()>>,
}

/// What [`SqliteLedger::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The ledger.
    pub ledger: SqliteLedger,
    /// Where the corrupt ledger is that was there, if one was. A new one has begun.
    pub set_aside: Option<PathBuf>,
    /// Whether a ledger was set aside within the last 24 h, now or by an earlier process. Then
    /// keys without rows are no new keys either ([`Record::set_aside`]).
    pub set_aside_recently: bool,
}

impl SqliteLedger {
    /// Takes the state directory, opens the file or makes it, and reads everything once, so
    /// that the first [`Ledger::load`] costs nothing.
    ///
    /// # Errors
    /// [`LedgerError::InUse`], [`LedgerError::StateDirWritable`], [`LedgerError::SealKeyMissing`]
    /// and [`LedgerError::SealKeyWrong`] are for the operator; nothing was changed. A corrupt
    /// file is no error ([`Opened::set_aside`]).
    pub async fn open(settings: Settings, clock: Clock) -> Result<Opened, LedgerError> {
        let lock = StateDir::lock(open::state_dir(&settings.path))?;
        let open::Sound { conn, records, set_aside, set_aside_recently } =
            open::open(&settings, &clock).await?;
        let (queue, ops) = mpsc::channel(QUEUE);
        let (conn, loaded) = (Some(conn), Some(records));
        let writer = Writer { settings, clock, conn, loaded, pruned: None, pruning: None, lock };
        let mut task = JoinSet::new();
        task.spawn(writer.run(ops));
        let ledger = Self { queue, _task: Arc::new(task) };
        Ok(Opened { ledger, set_aside, set_aside_recently })
    }

    /// Finishes what is queued, empties the WAL into the file and lets the directory go. Other
    /// handles get [`LedgerError::Closed`] from then on.
    pub async fn close(self) -> Result<(), LedgerError> {
        self.ask(Op::Close).await
    }

    /// Dropping it while it waits is harmless: what is queued is done, what is not is not.
    async fn ask<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(op(reply)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    async fn write(&self, write: Write) -> Result<Committed, LedgerError> {
        let write = write.check()?;
        self.ask(|reply| Op::Write(write, reply)).await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn load(&self) -> Result<Vec<(Key, Record)>, LedgerError> {
        self.ask(Op::Load).await
    }

    async fn load_key(&self, key: &Key) -> Result<Record, LedgerError> {
        self.ask(|reply| Op::LoadKey(key.clone(), reply)).await
    }

    async fn begin(&self, intent: &Call) -> Result<(), LedgerError> {
        self.write(Write::Begin(intent.clone())).await.map(drop)
    }

    async fn commit(&self, call: &Call, value: &StoredValue) -> Result<Committed, LedgerError> {
        self.write(Write::Commit(call.clone(), Box::new(value.clone()))).await
    }

    async fn finish(&self, call: &Call, end: CallEnd) -> Result<(), LedgerError> {
        self.write(Write::Finish(call.clone(), end)).await.map(drop)
    }

    async fn settle(&self, key: &Key, through: Generation) -> Result<(), LedgerError> {
        self.write(Write::Settle(key.clone(), through)).await.map(drop)
    }

    async fn withdraw(&self, key: &Key, generation: Generation) -> Result<(), LedgerError> {
        self.write(Write::Withdraw(key.clone(), generation)).await.map(drop)
    }

    async fn pause(&self, key: &Key, until: Option<Stamp>) -> Result<(), LedgerError> {
        self.write(Write::Pause(key.clone(), until)).await.map(drop)
    }

    async fn record(&self, event: &Event) -> Result<(), LedgerError> {
        self.write(Write::Record(event.clone())).await.map(drop)
    }

    async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError> {
        self.ask(|reply| Op::Events(of.cloned(), limit, reply)).await
    }

    async fn append_audit(&self, entries: &[AuditEntry], max_rows: u32) -> Result<(), LedgerError> {
        self.ask(|reply| Op::Audit(entries.to_vec(), max_rows, reply)).await
    }

    async fn audit(&self, asked: &AuditQuery) -> Result<AuditPage, LedgerError> {
        self.ask(|reply| Op::AuditPage(asked.clone(), reply)).await
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteLedger")
    }
}
