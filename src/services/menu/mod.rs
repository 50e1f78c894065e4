//! The account's menu as a file: read, judged, drawn, compared with what is live, and pushed.
//!
//! A menu is read from `menu.toml` or from WeChat's own JSON ([`read()`]), by the same reader, so a
//! rule holds for both. What is read is a [`Menus`]: the default menu and the conditional ones, in
//! the order in which they are published (WeChat asks the last one first).
//!
//! **Invariant:** what [`check()`] finds nothing in, WeChat's own validation finds nothing in, as far
//! as its pages tell its rules. Lengths are bytes of UTF-8, as WeChat counts them.
//! **Invariant:** a mistake is named by the button's path in the writer's file, and one reading
//! finds as many as it can.
//! **Invariant:** what WeChat answers is never refused for being strange: it is shown, compared
//! and kept as it is ([`Action::Other`]).
//!
//! **Invariant:** a push that stops half-way leaves nobody without a menu, says exactly what was
//! done, and is finished by pushing the same file again ([`Plan`]).
//!
//! **Invariant:** of an account's pushes at most one is current, and one whose end nobody wrote down is
//! found by the next command ([`Pushes`]).
//!
//! Deliberately absent: the files themselves, and who may push.

mod account;
mod action;
mod answer;
mod button;
mod check;
mod diff;
mod draw;
mod fields;
mod history;
mod node;
mod problem;
mod push;
mod read;
mod selfmenu;
mod syntax;
mod toml;
mod wire;

#[cfg(test)]
mod tests;

pub use account::{AccountMenus, MenuError};
pub use answer::{AnswerError, Live, LiveConditional, Maker};
pub use button::{
    Action, ArticleKind, Button, Conditional, Does, Item, KeyKind, MatchField, MatchRule, MaterialKind, Menu,
    Menus,
};
pub use check::check;
pub use diff::{Change, Diff, FieldChange, How, Part};
pub use draw::{draw, width};
pub use history::{
    Entry, History, HistoryError, Kind, MOST, New, Number, PushError, Pushes, Seen, Settled, State, Verdict,
};
pub use problem::{Findings, Problem};
pub use push::{Plan, Step, Stopped};
pub use read::{Read, read};
pub use toml::to_toml;
