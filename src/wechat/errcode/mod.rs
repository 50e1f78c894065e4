//! What WeChat's errcodes mean, and what to do next.
//!
//! Owns one table: (endpoint, number) → reaction, meaning, action, Tencent's page. The same
//! number means different things at different endpoints: 40001 is a wrong AppSecret where
//! tokens are fetched and a dead token elsewhere. Pure functions, total over all numbers.
//!
//! **Unknown numbers** get `NeedsOperator`, the cautious class: its slow lane never hammers, it
//! recovers by itself if the cause passes, and a person is told the number to look up.
//! [`is_known`] lets the caller count them.

mod token;
mod user;

use std::time::Duration;

use super::Refusal;
use crate::model::ErrCode;

/// Which family of endpoints answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/cgi-bin/token` and `/cgi-bin/stable_token`: called with the AppSecret.
    Token,
    /// `/cgi-bin/ticket/getticket`: called with the account's token.
    Ticket,
    /// `/sns/*`: codes of users, called with the AppSecret or a user's token.
    Sns,
    /// Everything else that is called with the account's token.
    Business,
}

impl Endpoint {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Token, Self::Ticket, Self::Sns, Self::Business];
}

/// What to do next after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It passes by itself: again with back-off.
    RetrySoon,
    /// Again, but not before this time is over, counted from now.
    RetryLater(Duration),
    /// The account's token is dead: complain about it, then once more with the new one.
    RefreshParent,
    /// The day's calls are used up: again after 1, 2, 4 … minutes, as an operator may clear the count.
    QuotaSpent,
    /// No retry helps until a person has changed something: slowly again, and tell them.
    NeedsOperator,
}

/// What to do next after this refusal.
pub fn reaction(endpoint: Endpoint, errcode: ErrCode) -> Reaction {
    row(endpoint, errcode).reaction
}

/// What the number means there, in a sentence.
pub fn meaning(endpoint: Endpoint, errcode: ErrCode) -> &'static str {
    row(endpoint, errcode).meaning
}

/// What a person should do about it, in a sentence.
pub fn action(endpoint: Endpoint, refusal: &Refusal) -> String {
    let action = row(endpoint, refusal.errcode).action;
    match refusal.seen_ip {
        Some(ip) if is_about_address(refusal.errcode) => format!("WeChat saw the address {ip}: {action}"),
        Some(_) | None => action.to_owned(),
    }
}

/// Tencent's page about it.
pub fn page(endpoint: Endpoint, errcode: ErrCode) -> &'static str {
    row(endpoint, errcode).page
}

/// Whether the table has this number.
pub fn is_known(errcode: ErrCode) -> bool {
    Endpoint::ALL.into_iter().any(|endpoint| find(endpoint, errcode).is_some())
}

/// Whether an answer with this number to a call with a token says that the token is dead.
pub fn says_dead(ErrCode(number): ErrCode) -> bool {
    matches!(number, 40001 | 40014 | 42001)
}

/// Whether a refusal on `/sns/*` is about the user or the code, so that the user's next
/// authorization may work and no operator is needed.
pub fn is_users(ErrCode(number): ErrCode) -> bool {
    matches!(
        number,
        40003
            | 40029
            | 40030
            | 40163
            | 40226
            | 41003
            | 41008
            | 41009
            | 42002
            | 42003
            | 42007
            | 43004
            | 43019
            | 50001
            | 50005
    )
}

/// Whether the refusal is about the address that the call came from.
pub(super) fn is_about_address(ErrCode(number): ErrCode) -> bool {
    matches!(number, 40164 | 40187 | 45035 | 61004 | 89501..=89507)
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    reaction: Reaction,
    page: &'static str,
    meaning: &'static str,
    action: &'static str,
}

fn row(endpoint: Endpoint, errcode: ErrCode) -> Row {
    find(endpoint, errcode).unwrap_or(UNKNOWN)
}

fn find(endpoint: Endpoint, ErrCode(number): ErrCode) -> Option<Row> {
    token::row(endpoint, number).or_else(|| user::row(number))
}

const UNKNOWN: Row = operator(
    GLOBAL,
    "WeChat refused with a number that this version does not know",
    "look the number up on WeChat's page of return codes; with the request id (rid), the console's \
     development tools and Tencent's support can say more",
);

// The forms of a line; the arguments are page, meaning, action.

const fn soon(page: &'static str, meaning: &'static str, action: &'static str) -> Row {
    Row { reaction: Reaction::RetrySoon, page, meaning, action }
}

const fn later(seconds: u64, page: &'static str, meaning: &'static str, action: &'static str) -> Row {
    Row { reaction: Reaction::RetryLater(Duration::from_secs(seconds)), page, meaning, action }
}

const fn parent(page: &'static str, meaning: &'static str, action: &'static str) -> Row {
    Row { reaction: Reaction::RefreshParent, page, meaning, action }
}

const fn quota(page: &'static str, meaning: &'static str, action: &'static str) -> Row {
    Row { reaction: Reaction::QuotaSpent, page, meaning, action }
}

const fn operator(page: &'static str, meaning: &'static str, action: &'static str) -> Row {
    Row { reaction: Reaction::NeedsOperator, page, meaning, action }
}

/// A page of Tencent's documentation of official accounts.
macro_rules! page {
    ($path:literal) => {
        concat!("https://developers.weixin.qq.com/doc/offiaccount/", $path)
    };
}

/// The list of all return codes.
const GLOBAL: &str = page!("Getting_Started/Global_Return_Code.html");
/// `/cgi-bin/token`.
const TOKEN: &str = page!("Basic_Information/Get_access_token.html");
/// `/cgi-bin/stable_token`.
const STABLE: &str = page!("Basic_Information/getStableAccessToken.html");
/// Daily limits, and how to clear them.
const LIMITS: &str = page!("Message_Management/API_Call_Limits.html");
/// Authorization by a page: codes, users' tokens.
const AUTHORIZATION: &str = page!("OA_Web_Apps/Wechat_webpage_authorization.html");
/// The menu under a conversation, and menus by condition.
const MENUS: &str = page!("Custom_Menus/Creating_Custom-Defined_Menu.html");

#[cfg(test)]
mod tests;
