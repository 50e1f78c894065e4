//! The one task that holds the file.
//!
//! Takes what waits in the queue, applies it in one transaction and answers everybody: 64
//! concurrent attempts cost one fsync. After a failure it rolls back, drops its connection
//! and takes a new one for the next write, so it recovers as soon as the cause is gone.
//!
//! A caller that left changes nothing: what is queued is applied whole, or failed whole.
//!
//! Deliberately absent: retries. The engine knows what is still worth repeating.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::audit;
use super::failure::Failure;
use super::open::{self, Settings};
use super::rows::{self, Day};
use super::write::Write;
use crate::clock::{BootTime, Clock};
use crate::ledger::lock::StateLock;
use crate::ledger::{AuditEntry, AuditPage, AuditQuery, Committed, Event, LedgerError, Record};
use crate::model::{AppId, Key};

/// Writes that share a transaction at most; bounds how long the first waits for the last.
const BATCH: usize = 256;
/// How many operations wait in the queue before their callers do.
pub(super) const QUEUE: usize = 1_024;
/// How often rows that count no more are dropped, slice by slice within writes that are made anyway.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What is asked of the writer.
pub(super) enum Op {
    Write(Write, Reply<Committed>),
    Load(Reply<Vec<(Key, Record)>>),
    LoadKey(Key, Reply<Record>),
    Events(Option<AppId>, u32, Reply<Vec<Event>>),
    Audit(Vec<AuditEntry>, u32, Reply<()>),
    AuditPage(AuditQuery, Reply<AuditPage>),
    Close(Reply<()>),
}

/// The task's state.
pub(super) struct Writer {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    /// `None` after a failure, until the next operation.
    pub(super) conn: Option<SqliteConnection>,
    /// What was read to check the file at open; the first `load` takes it.
    pub(super) loaded: Option<HashMap<Key, Record>>,
    /// When the last prune was over; `None` before the first.
    pub(super) pruned: Option<BootTime>,
    /// After which account the prune that is under way goes on with the next write.
    pub(super) pruning: Option<String>,
    /// Held as long as the connection is.
    pub(super) lock: StateLock,
}

impl Writer {
    /// Works until every handle is gone or one of them closes the ledger.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Op>) {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut closers = Vec::new();
        while queue.recv_many(&mut waiting, BATCH).await > 0 {
            let mut batch = Vec::new();
            // Behind everything that the engine waits for.
            let mut audits = Vec::new();
            for op in waiting.drain(..) {
                match op {
                    Op::Write(write, reply) => batch.push((write, reply)),
                    Op::Load(reply) => {
                        self.write(std::mem::take(&mut batch)).await;
                        answer(reply, self.load().await);
                    }
                    Op::LoadKey(key, reply) => {
                        self.write(std::mem::take(&mut batch)).await;
                        answer(reply, self.load_key(&key).await);
                    }
                    Op::Events(of, limit, reply) => {
                        self.write(std::mem::take(&mut batch)).await;
                        answer(reply, self.events(of.as_ref(), limit).await);
                    }
                    Op::Audit(entries, max_rows, reply) => audits.push((entries, max_rows, reply)),
                    Op::AuditPage(asked, reply) => {
                        self.write(std::mem::take(&mut batch)).await;
                        answer(reply, self.audit_page(&asked).await);
                    }
                    Op::Close(reply) => {
                        // What was queued before and meanwhile is still done.
                        queue.close();
                        closers.push(reply);
                    }
                }
            }
            self.write(batch).await;
            for (entries, max_rows, reply) in audits {
                answer(reply, self.append_audit(&entries, max_rows).await);
            }
        }
        let Self { conn, lock, settings: _, clock: _, loaded: _, pruned: _, pruning: _ } = self;
        let closed = match conn {
            // Closing the last connection empties the WAL into the file.
            Some(conn) => conn.close().await.map_err(Failure::from),
            None => Ok(()),
        };
        drop(lock);
        for reply in closers {
            answer(reply, closed.clone());
        }
    }

    async fn write(&mut self, batch: Vec<(Write, Reply<Committed>)>) {
        if batch.is_empty() {
            return;
        }
        self.loaded = None;
        let (writes, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match self.transact(&writes).await {
            Ok(done) => {
                for (reply, done) in replies.into_iter().zip(done) {
                    answer(reply, Ok(done));
                }
            }
            Err(failure) => {
                let failure = self.recover(failure).await;
                for reply in replies {
                    answer(reply, Err(failure.clone()));
                }
            }
        }
    }

    async fn transact(&mut self, writes: &[Write]) -> Result<Vec<Committed>, Failure> {
        let now = self.clock.boot();
        let prune = self.pruning.is_some() || self.pruned.is_none_or(|pruned| pruned + PRUNE_EVERY <= now);
        let day = Day::until_now(&self.clock);
        let conn = connection(&mut self.conn, &self.settings).await?;
        let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
        if prune {
            // On to the next slice also if this transaction fails: what is full may have rows to
            // drop there.
            self.pruning = rows::prune(&mut transaction, &day, self.pruning.as_deref()).await?;
        }
        let mut done = Vec::with_capacity(writes.len());
        for write in writes {
            done.push(write.apply(&mut transaction, &self.settings.seal).await?);
        }
        transaction.commit().await?;
        if prune && self.pruning.is_none() {
            self.pruned = Some(now);
        }
        Ok(done)
    }

    async fn load(&mut self) -> Result<Vec<(Key, Record)>, Failure> {
        let records = match self.loaded.take() {
            Some(records) => records,
            None => self.read(None).await?,
        };
        Ok(records.into_iter().collect())
    }

    async fn load_key(&mut self, key: &Key) -> Result<Record, Failure> {
        Ok(self.read(Some(key)).await?.remove(key).unwrap_or_default())
    }

    async fn read(&mut self, only: Option<&Key>) -> Result<HashMap<Key, Record>, Failure> {
        let day = Day::until_now(&self.clock);
        let conn = connection(&mut self.conn, &self.settings).await?;
        match rows::load(conn, only, &day, &self.settings.seal).await {
            Ok(records) => Ok(records),
            Err(failure) => Err(self.recover(failure).await),
        }
    }

    async fn events(&mut self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, Failure> {
        let conn = connection(&mut self.conn, &self.settings).await?;
        match rows::events(conn, of, limit).await {
            Ok(events) => Ok(events),
            Err(failure) => Err(self.recover(failure).await),
        }
    }

    /// In a transaction of its own: its failure fails no write of the engine.
    async fn append_audit(&mut self, entries: &[AuditEntry], max_rows: u32) -> Result<(), Failure> {
        let max_bytes = self.settings.max_bytes;
        let conn = connection(&mut self.conn, &self.settings).await?;
        let appended = async {
            let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
            let room = audit::append(&mut transaction, entries, max_rows, max_bytes).await?;
            transaction.commit().await?;
            Ok(room)
        };
        match appended.await {
            Ok(audit::Room::Found) => Ok(()),
            Ok(audit::Room::None) => {
                Err(Failure::no_room("the audit leaves a quarter of ledger_max_size to the engine"))
            }
            Err(failure) => Err(self.recover(failure).await),
        }
    }

    async fn audit_page(&mut self, asked: &AuditQuery) -> Result<AuditPage, Failure> {
        let conn = connection(&mut self.conn, &self.settings).await?;
        match audit::page(conn, asked).await {
            Ok(page) => Ok(page),
            Err(failure) => Err(self.recover(failure).await),
        }
    }

    /// Gives the connection up, which also rolls back, and finds out what the matter is.
    async fn recover(&mut self, failure: Failure) -> Failure {
        // A full ledger may have rows to drop.
        self.pruned = None;
        if let Some(conn) = self.conn.take() {
            // What closing says is no news after a failure.
            let _ = conn.close().await;
        }
        let (unclear, path) = (failure.clone(), self.settings.path.clone());
        tokio::task::spawn_blocking(move || unclear.look_closer(&path)).await.unwrap_or(failure)
    }
}

/// The connection, a new one if the last was given up.
async fn connection<'c>(
    conn: &'c mut Option<SqliteConnection>,
    settings: &Settings,
) -> Result<&'c mut SqliteConnection, Failure> {
    let fresh = match conn.take() {
        Some(conn) => conn,
        None => open::connect(settings).await?,
    };
    Ok(conn.insert(fresh))
}

/// A caller that left is told nothing.
fn answer<T>(reply: Reply<T>, result: Result<T, Failure>) {
    let _ = reply.send(result.map_err(LedgerError::from));
}
