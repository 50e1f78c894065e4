//! A row of the history.

use std::fmt;

use sqlx::any::AnyRow;

use crate::clock::WallTime;
use crate::services::business::Owner;

use super::super::answer::AnswerError;
use super::super::button::Menus;
use super::{HistoryError, column, instant};

/// The number of a push: 1, 2, 3 … of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub i64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "push {}", self.0)
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Menus of a file.
    Push,
    /// Menus of an earlier row.
    Rollback,
    /// All menus were removed.
    Delete,
    /// Nothing: it was live, made in WeChat's console or by another program.
    Found,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Push, Self::Rollback, Self::Delete, Self::Found];

    /// `push`, `rollback`, `delete`, `found`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Rollback => "rollback",
            Self::Delete => "delete",
            Self::Found => "found",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It began, and nobody has written down how it ended.
    Open,
    /// It was live then.
    Done,
    /// It was not, or not whole.
    Failed,
}

impl State {
    const ALL: [Self; 3] = [Self::Open, Self::Done, Self::Failed];

    /// `open`, `done`, `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A push, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: Number,
    /// What was done.
    pub kind: Kind,
    /// The row that a rollback went back to.
    pub back_to: Option<Number>,
    /// How it ended.
    pub state: State,
    /// Whether it is what is live, as far as we know.
    pub is_current: bool,
    /// All menus; none for a deletion.
    pub menus: Menus,
    /// Who did it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub began: WallTime,
    /// When it ended.
    pub ended: Option<WallTime>,
    /// Why it failed.
    pub outcome: String,
    pub(super) owner: Owner,
}

/// The columns of a row, as [`entry`] reads them.
pub(super) const COLUMNS: &str =
    "number, kind, back_to, state, is_current, menus, who, why, began, ended, outcome, owner";

pub(super) fn entry(row: &AnyRow) -> Result<Entry, HistoryError> {
    let text = |name| column::<String>(row, name);
    let kind = text("kind")?;
    let state = text("state")?;
    let menus = Menus::stored(&text("menus")?).map_err(|AnswerError(_)| HistoryError::Row("menus"))?;
    Ok(Entry {
        number: Number(column(row, "number")?),
        kind: Kind::ALL.into_iter().find(|it| it.as_str() == kind).ok_or(HistoryError::Row("kind"))?,
        back_to: column::<Option<i64>>(row, "back_to")?.map(Number),
        state: State::ALL.into_iter().find(|it| it.as_str() == state).ok_or(HistoryError::Row("state"))?,
        is_current: column::<i64>(row, "is_current")? == 1,
        menus,
        who: text("who")?,
        why: text("why")?,
        began: instant(row, "began")?,
        ended: column::<Option<i64>>(row, "ended")?.map(WallTime),
        outcome: text("outcome")?,
        owner: Owner::written(text("owner")?),
    })
}
