//! What the audit keeps: who did what with which key, from where, when, and how it ended.
//!
//! Owns the rows and the questions that may be asked about them; the two ledgers store them
//! alike. A row stands for one deed, or for all that was the same within an hour and is then
//! added up. No column can hold a value or a secret: everything is a word of ours, a name out
//! of the configuration, an appid, an address or a fingerprint.
//!
//! The bound has three shares, so that no crowd of readers and no flood of refusals can push
//! out who forced and paused. In each of them the oldest rows go first.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::WallTime;
use crate::model::{AppId, Fingerprint, Generation, Kind};

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditAction {
    /// Read a value.
    Read,
    /// Was sent a value on a watch.
    Watch,
    /// Had a signature made.
    Sign,
    /// Looked at states.
    Status,
    /// Looked at the audit.
    Audit,
    /// Exchanged a login code.
    Exchange,
    /// Reported a value as dead.
    Complain,
    /// Forced a refresh.
    Force,
    /// Forced one because the value leaked.
    Leak,
    /// Paused a key.
    Pause,
    /// Resumed it.
    Resume,
    /// Signed in to the status page.
    SignIn,
    /// Signed out of it.
    SignOut,
    /// Showed no proof that is known here.
    Refused,
    /// Nobody's deed: so many entries are missing here.
    Lost,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 15] = [
        Self::Read,
        Self::Watch,
        Self::Sign,
        Self::Status,
        Self::Audit,
        Self::Exchange,
        Self::Complain,
        Self::Force,
        Self::Leak,
        Self::Pause,
        Self::Resume,
        Self::SignIn,
        Self::SignOut,
        Self::Refused,
        Self::Lost,
    ];

    /// The action's name in the ledger and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Watch => "watch",
            Self::Sign => "sign",
            Self::Status => "status",
            Self::Audit => "audit",
            Self::Exchange => "exchange",
            Self::Complain => "complain",
            Self::Force => "force",
            Self::Leak => "leak",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an action is one of read, watch, sign, status, audit, exchange, complain, force, leak, pause, resume, sign_in, \
     sign_out, refused, lost"
)]
pub struct NoAction;

impl FromStr for AuditAction {
    type Err = NoAction;

    fn from_str(text: &str) -> Result<Self, NoAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(NoAction)
    }
}

/// Which part of the bound a row counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditShare {
    /// What programs do all day with success: half of the rows.
    Reads,
    /// Complaints, logins, and whatever was refused: a quarter.
    Calls,
    /// What operators do, each by itself: a quarter.
    Deeds,
}

impl AuditShare {
    /// Every share.
    pub const ALL: [Self; 3] = [Self::Reads, Self::Calls, Self::Deeds];

    /// The share's name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Calls => "calls",
            Self::Deeds => "deeds",
        }
    }

    /// How many rows of it are kept where `max_rows` are kept of all.
    pub const fn rows(self, max_rows: u32) -> u32 {
        match self {
            Self::Reads => max_rows / 2,
            Self::Calls | Self::Deeds => max_rows / 4,
        }
    }
}

/// How an entry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditForm {
    /// A row of its own, in [`AuditShare::Deeds`].
    Single,
    /// Added to the row of this hour since 1970 that is the same in every other respect, or to a
    /// new one in this share.
    Hourly(i64, AuditShare),
}

/// Who did what, from where, when, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// How it is kept.
    pub form: AuditForm,
    /// The client's name; `-` where nobody known was there.
    pub client: Arc<str>,
    /// The address of the caller's machine, or `uid N` on a Unix socket, or `-`.
    pub origin: Arc<str>,
    /// What.
    pub action: AuditAction,
    /// With whose credential.
    pub appid: Option<AppId>,
    /// With which of them.
    pub kind: Option<Kind>,
    /// How it ended, in one word.
    pub outcome: Cow<'static, str>,
    /// The value that it was about.
    pub fingerprint: Option<Fingerprint>,
    /// The generation that it led to.
    pub generation: Option<Generation>,
    /// How many times.
    pub count: u64,
    /// The first of them.
    pub first: WallTime,
    /// The last of them.
    pub last: WallTime,
}

impl AuditEntry {
    /// The share that it counts in.
    pub fn share(&self) -> AuditShare {
        match self.form {
            AuditForm::Single => AuditShare::Deeds,
            AuditForm::Hourly(_, share) => share,
        }
    }

    /// Whether both are of the same row.
    pub(super) fn adds_to(&self, row: &Self) -> bool {
        self.form != AuditForm::Single
            && (self.form, &self.client, &self.origin, self.action, &self.appid, self.kind)
                == (row.form, &row.client, &row.origin, row.action, &row.appid, row.kind)
            && (&self.outcome, self.fingerprint, self.generation)
                == (&row.outcome, row.fingerprint, row.generation)
    }
}

/// An entry with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows with each new row, whatever the wall clock does.
    pub id: u64,
    /// What the row says.
    pub entry: AuditEntry,
}

/// Which rows are asked for. All of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this client's.
    pub client: Option<String>,
    /// Only this account's.
    pub appid: Option<AppId>,
    /// Only this kind's.
    pub kind: Option<Kind>,
    /// Only these actions; all of them if there are none.
    pub actions: Vec<AuditAction>,
    /// Only what went on at this time or later.
    pub since: Option<WallTime>,
    /// Only what began before this time.
    pub until: Option<WallTime>,
    /// Only rows with a smaller number than this.
    pub before: Option<u64>,
}

impl AuditQuery {
    /// Whether the entry is asked for, whatever its number.
    pub(super) fn wants(&self, entry: &AuditEntry) -> bool {
        self.client.as_deref().is_none_or(|client| *client == *entry.client)
            && self.appid.as_ref().is_none_or(|appid| entry.appid.as_ref() == Some(appid))
            && self.kind.is_none_or(|kind| entry.kind == Some(kind))
            && (self.actions.is_empty() || self.actions.contains(&entry.action))
            && self.since.is_none_or(|since| entry.last >= since)
            && self.until.is_none_or(|until| entry.first < until)
    }
}

/// Rows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows. There may be fewer than wanted, or none, and yet more to come.
    pub rows: Vec<AuditRow>,
    /// What to ask for next ([`AuditQuery::before`]); `None` at the end.
    pub next: Option<u64>,
}
