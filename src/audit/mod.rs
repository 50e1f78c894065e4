//! Who did what with which key, from where, when: noted beside the call, written behind it.
//!
//! Both faces note into a [`Recorder`]: into memory, some hundred nanoseconds, never waiting,
//! never failing. A [`Writer`] carries it into the ledger, what operators do within seconds,
//! what programs do all day once a minute, added up per hour; a crash loses what is not yet
//! carried. Memory is bounded: beyond it callers are added up under `overflow`. What the
//! ledger does not take is dropped, counted, and said in an entry of its own.
//!
//! Guarantees that nothing here delays or fails a call, and that no value, code, token or
//! secret can get in: an entry is made of words, names, appids, addresses and fingerprints.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::access::{Caller, Origin};
use crate::clock::{Clock, WallTime};
use crate::ledger::{AuditShare, Ledger};
use crate::model::{AppId, Fingerprint, Generation, Key, Kind};

mod list;
mod outcome;
mod tally;
mod writer;

pub use crate::ledger::{
    AuditAction as Act, AuditEntry as Entry, AuditPage as Page, AuditQuery as Query, AuditRow as Row,
};
pub use list::ListError;
pub use outcome::Outcome;
pub use writer::Writer;

use tally::{Subject, Tallies};
use writer::Asked;

/// Rows that are kept if the configuration does not say: some 30 MiB, months of a daemon with a
/// few accounts.
pub const MAX_ROWS: u32 = 100_000;
/// Different subjects between two carries, a quarter of a KiB each: three readers of each of
/// 10,000 keys.
const SLOW_SUBJECTS: usize = 32_768;
/// The same of what is carried within seconds.
const QUICK_SUBJECTS: usize = 4_096;
/// Who asks for the audit waits for a carry; so many may wait.
const ASKING: usize = 16;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many rows at most, in the shares of [`AuditShare`].
    pub max_rows: u32,
    /// Whether successful reads are among them.
    pub reads: Reads,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_rows: MAX_ROWS, reads: Reads::Kept }
    }
}

/// What becomes of successful reads, watches, signatures and looks at states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// They are added up per caller, key and hour.
    Kept,
    /// They are not noted. What was refused is, all the same.
    Ignored,
}

/// Notes what callers do. A clone notes into the same audit.
#[derive(Clone)]
pub struct Recorder(Option<Arc<Noted>>);

/// What was noted and not yet carried.
struct Noted {
    slow: Tallies,
    quick: Tallies,
    reads: Reads,
    clock: Clock,
    ledger: Arc<dyn Ledger>,
    asking: mpsc::Sender<Asked>,
}

/// What a deed is about.
#[derive(Clone, Debug, Default)]
pub struct On {
    appid: Option<AppId>,
    kind: Option<Kind>,
    fingerprint: Option<Fingerprint>,
    generation: Option<Generation>,
}

impl On {
    /// A key.
    pub fn key(key: &Key) -> Self {
        Self { appid: Some(key.appid.clone()), kind: Some(key.kind), ..Self::default() }
    }

    /// What a caller named, as far as it can be read: text that is no appid is left out.
    pub fn named(appid: &str, kind: Option<Kind>) -> Self {
        Self { appid: appid.parse().ok(), kind, ..Self::default() }
    }

    /// The same, about the value with this fingerprint.
    #[must_use]
    pub fn value(self, fingerprint: Option<Fingerprint>) -> Self {
        Self { fingerprint, ..self }
    }

    /// What is added up: this, done so by whom.
    fn subject(self, client: Option<Arc<str>>, origin: Origin, act: Act, outcome: Outcome) -> Subject {
        let Self { appid, kind, fingerprint, generation } = self;
        Subject { client, origin, act, appid, kind, outcome, fingerprint, generation }
    }
}

/// Where an entry goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Carried within seconds, a row of its own.
    Single,
    /// Carried within seconds, added up per hour.
    Quick,
    /// Carried once a minute, added up per hour.
    Slow(AuditShare),
}

fn lane(act: Act, outcome: Outcome) -> Lane {
    match act {
        Act::Read | Act::Watch | Act::Sign | Act::Status | Act::Audit if outcome == Outcome::Served => {
            Lane::Slow(AuditShare::Reads)
        }
        // Whoever is refused can repeat it as often as they like.
        _ if outcome.is_refusal() => Lane::Slow(AuditShare::Calls),
        Act::Read | Act::Watch | Act::Sign | Act::Status | Act::Audit | Act::Exchange | Act::Refused => {
            Lane::Slow(AuditShare::Calls)
        }
        Act::Complain => Lane::Quick,
        Act::Force | Act::Leak | Act::Pause | Act::Resume | Act::SignIn | Act::SignOut | Act::Lost => {
            Lane::Single
        }
    }
}

/// The audit of a daemon: what notes, and the task that carries.
pub fn new(settings: &Settings, ledger: Arc<dyn Ledger>, clock: Clock) -> (Recorder, Writer) {
    let (asking, asked) = mpsc::channel(ASKING);
    let noted = Arc::new(Noted {
        slow: Tallies::new(SLOW_SUBJECTS),
        quick: Tallies::new(QUICK_SUBJECTS),
        reads: settings.reads,
        clock,
        ledger,
        asking,
    });
    (Recorder(Some(noted.clone())), Writer::new(noted, asked, settings.max_rows))
}

impl Recorder {
    /// Notes nothing: for parts that are built without a ledger.
    pub fn off() -> Self {
        Self(None)
    }

    /// Notes what a caller did. For what takes time, [`Recorder::begin`].
    pub fn record(&self, caller: &Caller, act: Act, on: On, outcome: Outcome) {
        self.note(on.subject(Some(caller.shared_name()), caller.origin(), act, outcome), Clock::wall);
    }

    /// The same, for who has just looked at the clock.
    pub fn record_at(&self, at: WallTime, caller: &Caller, act: Act, on: On, outcome: Outcome) {
        self.note(on.subject(Some(caller.shared_name()), caller.origin(), act, outcome), |_| at);
    }

    /// Notes that somebody showed no proof, or one that is not known or not valid any more: to a
    /// call ([`Act::Refused`]) or to a form ([`Act::SignIn`]).
    pub fn refused(&self, origin: Origin, act: Act, outcome: Outcome) {
        self.note(On::default().subject(None, origin, act, outcome), Clock::wall);
    }

    /// Notes a deed at its end; also if whoever waits for it goes away before.
    pub fn begin(&self, caller: &Caller, act: Act, on: On) -> Deed {
        Deed {
            recorder: self.clone(),
            client: caller.shared_name(),
            origin: caller.origin(),
            act,
            on,
            end: Some(Outcome::Left),
        }
    }

    fn note(&self, subject: Subject, at: impl FnOnce(&Clock) -> WallTime) {
        let Some(noted) = &self.0 else { return };
        let lane = lane(subject.act, subject.outcome);
        if lane == Lane::Slow(AuditShare::Reads) && noted.reads == Reads::Ignored {
            return;
        }
        let tallies = match lane {
            Lane::Single | Lane::Quick => &noted.quick,
            Lane::Slow(_) => &noted.slow,
        };
        tallies.add(subject, at(&noted.clock));
    }
}

/// Something that a caller has begun. Dropped without an end it is noted as
/// [`Outcome::Left`]: what the caller asked for goes on without it.
#[must_use = "the deed is noted as left when this is dropped"]
pub struct Deed {
    recorder: Recorder,
    client: Arc<str>,
    origin: Origin,
    act: Act,
    on: On,
    end: Option<Outcome>,
}

impl Deed {
    /// It ended so.
    pub fn end(mut self, outcome: Outcome) {
        self.end = Some(outcome);
    }

    /// It ended so, and left this generation.
    pub fn end_with(mut self, outcome: Outcome, generation: Generation) {
        self.on.generation = Some(generation);
        self.end = Some(outcome);
    }
}

impl Drop for Deed {
    fn drop(&mut self) {
        if let Some(outcome) = self.end.take() {
            let (client, on) = (self.client.clone(), std::mem::take(&mut self.on));
            self.recorder.note(on.subject(Some(client), self.origin, self.act, outcome), Clock::wall);
        }
    }
}
