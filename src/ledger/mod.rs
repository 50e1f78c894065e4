//! What is durable: values, upstream calls of the last day, pauses, events, the audit.
//!
//! Owns the [`Ledger`] trait and its rows; [`sqlite`] is the file that the daemon uses,
//! [`memory`] the one for the demo and for tests of the engine. A method that returned
//! `Ok` is on disk (S8). There is one row per upstream call, and it has three uses:
//! - before the call, for a call that can kill a value, it is the *intent*;
//! - open or `unknown` and later than the value's commit, it bounds the value's life (S2);
//! - counted over 24 h it is the budget (S6).
//!
//! Every write but the audit's may be repeated: a second time changes nothing. Ages go by
//! [`Clock::resolve`](crate::clock::Clock::resolve), so a stepped clock drops no row.
//!
//! Deliberately absent: any schedule or decision, and any read while the daemon runs: rows
//! are loaded when a key starts, and from then on the key's task knows better.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Stamp, WallTime};
use crate::model::{AppId, CallMode, Cause, ErrCode, Fingerprint, Generation, Key};
use crate::secret::Secret;

mod audit;
mod calls;
pub mod lock;
pub mod memory;
pub mod seal;
pub mod sqlite;

pub use audit::{AuditAction, AuditEntry, AuditForm, AuditPage, AuditQuery, AuditRow, AuditShare, NoAction};
pub use calls::Calls;

/// How long a call counts in the budgets, and how long shares stay empty after the ledger was
/// set aside (S6).
pub const WINDOW: Duration = Duration::from_hours(24);
/// How many events are kept: months of a healthy daemon, a megabyte or two of a sick one.
pub const MAX_EVENTS: u32 = 10_000;

/// The durable side of the engine. One writer per ledger; every method may be slow.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Everything that is known, one record a key, in no particular order.
    async fn load(&self) -> Result<Vec<(Key, Record)>, LedgerError>;

    /// What is known of one key; an empty record when that is nothing.
    async fn load_key(&self, key: &Key) -> Result<Record, LedgerError>;

    /// Makes an intent durable, before the call that it announces. A number that has a row
    /// already keeps it, so a repeated `begin` never moves the moment of the first.
    async fn begin(&self, intent: &Call) -> Result<(), LedgerError>;

    /// Stores a value and, in the same transaction, the end of the call that brought it and of
    /// every earlier call of the key. Refused ([`Committed::Fenced`]) unless the call's number is
    /// greater than the stored generation and than every call that confirmed it, or the string is
    /// the stored one (then the stored generation stays and only its expiry moves: `confirmed`, `life`, `verify_at`, `age_known`;
    /// a dead string stays dead). The call's row is added if `begin` was not called or failed. A
    /// fenced call is noted as settled: it counts, and the newer value has made it harmless.
    async fn commit(&self, call: &Call, value: &StoredValue) -> Result<Committed, LedgerError>;

    /// Notes how a call ended that brought no value. Adds the row if there is none. A row that
    /// is `Issued` or `Settled` stays so; an unknown end of a call that is earlier than a commit
    /// is settled at once; and of the calls that were never sent only the latest is kept, because nothing
    /// counts them and an outage would fill the disk with them.
    async fn finish(&self, call: &Call, end: CallEnd) -> Result<(), LedgerError>;

    /// Notes that the key's calls up to this number did not kill the stored value: a probe found
    /// it alive later than the last of them could have killed it.
    async fn settle(&self, key: &Key, through: Generation) -> Result<(), LedgerError>;

    /// Notes that the stored value of this generation is dead. Its row stays as the fence.
    async fn withdraw(&self, key: &Key, generation: Generation) -> Result<(), LedgerError>;

    /// Stores or lifts the key's pause.
    async fn pause(&self, key: &Key, until: Option<Stamp>) -> Result<(), LedgerError>;

    /// Adds an event; the oldest beyond [`MAX_EVENTS`] are dropped.
    async fn record(&self, event: &Event) -> Result<(), LedgerError>;

    /// The latest events, newest first, of one account or of all.
    async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError>;

    /// Adds entries to the audit, and drops the oldest beyond `max_rows` ([`AuditShare`]), some
    /// thousand at a time. All of them or none. The one write that is *not* to be repeated: a
    /// second time counts twice.
    async fn append_audit(&self, entries: &[AuditEntry], max_rows: u32) -> Result<(), LedgerError>;

    /// Rows of the audit, newest first.
    async fn audit(&self, asked: &AuditQuery) -> Result<AuditPage, LedgerError>;
}

/// What the ledger knows of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The stored value, even if it is dead or past its end: its generation is the fence.
    pub value: Option<StoredValue>,
    /// The upstream calls of the last 24 h, and every older one whose outcome still matters
    /// ([`PastCall::matters`]); oldest first.
    pub calls: Calls,
    /// The highest attempt number of any row, zero if there is none. It covers the generation
    /// of a value that was forgotten, so that the fence holds without the value.
    pub last_attempt: Generation,
    /// Until when the key is paused.
    pub paused_until: Option<Stamp>,
    /// Whether the ledger was set aside less than 24 h ago, so that these rows may be too few:
    /// the shares of complaints and of forced calls start empty (S6).
    pub set_aside: bool,
}

/// A value with what is needed to judge it after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// The string.
    pub value: Secret,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The number of the attempt that brought the string first.
    pub generation: Generation,
    /// Which call brought it.
    pub mode: CallMode,
    /// When the call was sent that brought the string first.
    pub issued: Stamp,
    /// When the call was sent that fixed the expiry: `confirmed + life` is the natural end.
    pub confirmed: Stamp,
    /// Life counted from `confirmed`, in whole milliseconds.
    pub life: Duration,
    /// When to ask WeChat once whether it is still the latest (S3).
    pub verify_at: Option<Stamp>,
    /// Tickets: whether the age is known, i.e. the string was seen to change.
    pub age_known: bool,
    /// Whether it was found dead. Never served again.
    pub dead: bool,
}

/// One upstream call of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose call.
    pub key: Key,
    /// Its number.
    pub attempt: Generation,
    /// Which endpoint and form.
    pub mode: CallMode,
    /// Why it is made.
    pub cause: Cause,
    /// When it is sent.
    pub sent: Stamp,
}

/// A call as the ledger remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCall {
    /// The call.
    pub call: Call,
    /// How it ended; `None` is an open intent, so the process died in it.
    pub end: Option<CallEnd>,
}

impl PastCall {
    /// Whether the call may have killed a value and nothing has settled that yet: it can be open
    /// or unknown only while it is later than the value's commit, and is kept however old it is.
    pub fn matters(&self) -> bool {
        let unsettled = match self.end {
            None | Some(CallEnd::Unknown) => true,
            Some(CallEnd::Issued | CallEnd::Refused(_) | CallEnd::NeverSent | CallEnd::Settled) => false,
        };
        unsettled && self.call.mode.is_issuing()
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It brought a value, which was stored.
    Issued,
    /// WeChat answered with an errcode: nothing was issued.
    Refused(ErrCode),
    /// It did not reach WeChat (DNS, connect, TLS). Not counted in any budget.
    NeverSent,
    /// Nobody knows whether WeChat issued.
    Unknown,
    /// It was unknown, and a later commit or probe made that harmless.
    Settled,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Stored.
    Stored,
    /// Not stored: the ledger holds what this attempt brought or confirmed, which is not older (S3).
    Fenced(Generation),
}

/// Something that an operator may want to look up later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: WallTime,
    /// About which key; `None` for the daemon as a whole.
    pub key: Option<Key>,
    /// What kind of event, in `snake_case`: `foreign_refresh_suspected`, `leak_contained`, …
    pub what: String,
    /// One sentence with the facts. Never a value.
    pub detail: String,
}

/// Why the ledger could not do it. Nothing was stored; after `Slow` or `Other` it may yet have
/// been, or be soon, so what is repeated is the same write.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system has no room, or the ledger reached its size limit.
    #[error("the ledger's disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file or its file system cannot be written.
    #[error("the ledger is read-only")]
    ReadOnly(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file is not a sound database any more.
    #[error("the ledger is corrupt")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not answer within the time that the caller has.
    #[error("the ledger did not answer in time")]
    Slow,
    /// Another process holds the ledger.
    #[error(
        "the state directory is in use by process {0}: stop that daemon, or give this one a state_dir of its own"
    )]
    InUse(i32),
    /// Other users may replace files in the state directory.
    #[error("the state directory can be written by others; run: chmod go-w {}", .0.display())]
    StateDirWritable(PathBuf),
    /// A value is sealed with a key that is not configured.
    #[error(
        "a stored value is sealed with key `{0}`, which is not among the configured seal keys: add it again, or give up \
             the stored values with `zhongkong ledger forget-values`"
    )]
    SealKeyMissing(String),
    /// A value cannot be opened with the key that it names.
    #[error(
        "a stored value does not open with seal key `{0}`: bring back the key that had this id, or give up the stored \
             values with `zhongkong ledger forget-values`"
    )]
    SealKeyWrong(String),
    /// The writer has stopped.
    #[error("the ledger is closed")]
    Closed,
    /// Anything else.
    #[error("the ledger failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LedgerError {
    /// A word for logs, metrics and the state of a key: `full`, `read_only`, …
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read_only",
            Self::Corrupt(_) => "corrupt",
            Self::Slow => "slow",
            Self::InUse(_) => "in_use",
            Self::StateDirWritable(_) => "state_dir_writable",
            Self::SealKeyMissing(_) => "seal_key_missing",
            Self::SealKeyWrong(_) => "seal_key_wrong",
            Self::Closed => "closed",
            Self::Other(_) => "failed",
        }
    }
}
