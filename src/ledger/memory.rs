//! A ledger that forgets with the process: for the demo, and for tests of the engine.
//!
//! Owns the same rows as the file and gives the same answers (one suite of tests runs over
//! both), so what passes here fails there only for the sake of a disk.
//!
//! Deliberately absent: bytes at rest, so nothing is sealed and nothing can be full.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    AuditEntry, AuditPage, AuditQuery, AuditRow, AuditShare, Call, CallEnd, Committed, Event, Ledger,
    LedgerError, MAX_EVENTS, PastCall, Record, StoredValue, WINDOW,
};
use crate::clock::{Clock, Stamp};
use crate::model::{AppId, Generation, Key};

/// A ledger in memory. A clone is the same ledger.
#[derive(Clone)]
pub struct MemoryLedger {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: HashMap<Key, Rows>,
    events: VecDeque<Event>,
    audit: Audit,
}

/// The audit's rows, oldest first.
#[derive(Default)]
struct Audit {
    rows: VecDeque<AuditRow>,
    last: u64,
}

#[derive(Default)]
struct Rows {
    value: Option<StoredValue>,
    /// The highest attempt whose value was stored.
    committed: Generation,
    calls: BTreeMap<Generation, PastCall>,
    paused_until: Option<Stamp>,
}

impl MemoryLedger {
    /// An empty ledger. The clock tells which calls are older than a day.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every section leaves the rows whole at each step, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has grown too old and changes the rows of a key.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Rows) -> T) -> T {
        let mut state = self.state();
        let rows = state.rows.entry(key.clone()).or_default();
        rows.calls.retain(|_, past| self.keeps(past));
        change(rows)
    }

    fn keeps(&self, past: &PastCall) -> bool {
        past.matters() || self.clock.resolve(&past.call.sent).at + WINDOW > self.clock.boot()
    }

    fn record_of(&self, rows: &Rows) -> Record {
        let calls: Vec<_> = rows.calls.values().filter(|past| self.keeps(past)).cloned().collect();
        let generation = rows.value.as_ref().map(|value| value.generation).unwrap_or_default();
        let last_call = calls.last().map(|past| past.call.attempt).unwrap_or_default();
        Record {
            value: rows.value.clone(),
            calls: calls.into(),
            last_attempt: last_call.max(rows.committed).max(generation),
            paused_until: rows.paused_until.clone(),
            set_aside: false,
        }
    }
}

impl Rows {
    fn row(&mut self, call: &Call) -> &mut PastCall {
        self.calls.entry(call.attempt).or_insert_with(|| PastCall { call: call.clone(), end: None })
    }

    /// Settles what is open or unknown before (not at) this number.
    fn settle_before(&mut self, number: Generation) {
        for past in self.calls.range_mut(..number).map(|(_, past)| past) {
            match past.end {
                None | Some(CallEnd::Unknown) => past.end = Some(CallEnd::Settled),
                Some(CallEnd::Issued | CallEnd::Refused(_) | CallEnd::NeverSent | CallEnd::Settled) => {}
            }
        }
    }

    fn commit(&mut self, call: &Call, new: &StoredValue) -> Committed {
        match &mut self.value {
            Some(stored) if stored.fingerprint == new.fingerprint => {
                stored.confirmed = new.confirmed.clone();
                stored.life = new.life;
                stored.verify_at.clone_from(&new.verify_at);
                stored.age_known = new.age_known;
            }
            Some(_) if self.committed >= call.attempt => {
                self.finish(call, CallEnd::Settled);
                return Committed::Fenced(self.committed);
            }
            Some(_) | None => self.value = Some(new.clone()),
        }
        self.committed = self.committed.max(call.attempt);
        self.row(call).end = Some(CallEnd::Issued);
        self.settle_before(call.attempt);
        Committed::Stored
    }

    fn finish(&mut self, call: &Call, end: CallEnd) {
        let outdone = end == CallEnd::Unknown && call.attempt < self.committed;
        let end = if outdone { CallEnd::Settled } else { end };
        let past = self.row(call);
        match past.end {
            Some(CallEnd::Issued | CallEnd::Settled) => return,
            None | Some(CallEnd::Refused(_) | CallEnd::NeverSent | CallEnd::Unknown) => past.end = Some(end),
        }
        if end == CallEnd::NeverSent {
            self.calls.retain(|number, past| *number >= call.attempt || past.end != Some(CallEnd::NeverSent));
        }
    }
}

impl Audit {
    fn append(&mut self, entry: &AuditEntry) {
        // An open row is at most an hour old, so it is near the end.
        if let Some(row) = self.rows.iter_mut().rev().find(|row| entry.adds_to(&row.entry)) {
            row.entry.count += entry.count;
            row.entry.first = row.entry.first.min(entry.first);
            row.entry.last = row.entry.last.max(entry.last);
            return;
        }
        self.last += 1;
        self.rows.push_back(AuditRow { id: self.last, entry: entry.clone() });
    }

    fn bound(&mut self, share: AuditShare, max_rows: u32) {
        let kept = share.rows(max_rows) as usize;
        let mut beyond =
            self.rows.iter().filter(|row| row.entry.share() == share).count().saturating_sub(kept);
        self.rows.retain(|row| {
            let goes = beyond > 0 && row.entry.share() == share;
            beyond -= usize::from(goes);
            !goes
        });
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn load(&self) -> Result<Vec<(Key, Record)>, LedgerError> {
        let state = self.state();
        let records = state.rows.iter().map(|(key, rows)| (key.clone(), self.record_of(rows)));
        Ok(records.filter(|(_, record)| *record != Record::default()).collect())
    }

    async fn load_key(&self, key: &Key) -> Result<Record, LedgerError> {
        Ok(self.state().rows.get(key).map(|rows| self.record_of(rows)).unwrap_or_default())
    }

    async fn begin(&self, intent: &Call) -> Result<(), LedgerError> {
        self.change(&intent.key, |rows| {
            rows.row(intent);
        });
        Ok(())
    }

    async fn commit(&self, call: &Call, value: &StoredValue) -> Result<Committed, LedgerError> {
        Ok(self.change(&call.key, |rows| rows.commit(call, value)))
    }

    async fn finish(&self, call: &Call, end: CallEnd) -> Result<(), LedgerError> {
        self.change(&call.key, |rows| rows.finish(call, end));
        Ok(())
    }

    async fn settle(&self, key: &Key, through: Generation) -> Result<(), LedgerError> {
        self.change(key, |rows| rows.settle_before(Generation(through.0.saturating_add(1))));
        Ok(())
    }

    async fn withdraw(&self, key: &Key, generation: Generation) -> Result<(), LedgerError> {
        self.change(key, |rows| {
            if let Some(value) = rows.value.as_mut().filter(|value| value.generation == generation) {
                value.dead = true;
            }
        });
        Ok(())
    }

    async fn pause(&self, key: &Key, until: Option<Stamp>) -> Result<(), LedgerError> {
        self.change(key, |rows| rows.paused_until = until);
        Ok(())
    }

    async fn record(&self, event: &Event) -> Result<(), LedgerError> {
        let mut state = self.state();
        state.events.push_front(event.clone());
        state.events.truncate(MAX_EVENTS as usize);
        Ok(())
    }

    async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError> {
        let about = |event: &&Event| of.is_none() || event.key.as_ref().map(|key| &key.appid) == of;
        Ok(self.state().events.iter().filter(about).take(limit as usize).cloned().collect())
    }

    async fn append_audit(&self, entries: &[AuditEntry], max_rows: u32) -> Result<(), LedgerError> {
        let mut state = self.state();
        for entry in entries {
            state.audit.append(entry);
        }
        for share in AuditShare::ALL {
            state.audit.bound(share, max_rows);
        }
        Ok(())
    }

    async fn audit(&self, asked: &AuditQuery) -> Result<AuditPage, LedgerError> {
        let state = self.state();
        let wanted =
            |row: &&AuditRow| asked.before.is_none_or(|before| row.id < before) && asked.wants(&row.entry);
        Ok(AuditPage { rows: state.audit.rows.iter().rev().filter(wanted).cloned().collect(), next: None })
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLedger({} keys)", self.state().rows.len())
    }
}
