//! What a simulator is told when it is built: lives, limits, accounts.
//!
//! Every default is a number of WeChat's documentation; the comment beside it
//! says so. Lives can be short, so that a person sees a rotation in a minute;
//! `expires_in` on the wire stays whole seconds, and never below 1.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A token's life as WeChat's pages give it: `expires_in` 7200.
const TOKEN_LIFE: Duration = Duration::from_hours(2);
/// How long the token before the last one still works.
const OVERLAP: Duration = Duration::from_mins(5);
/// A simulated day. Counters start again at its end, as WeChat's do at midnight.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// The span of the allowance for `clear_quota`.
pub(super) const MONTH: Duration = Duration::from_hours(30 * 24);

/// How the simulated WeChat behaves. Start from [`Settings::with_life`] or
/// `Settings::default()` and change fields.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Life of access tokens (classic, stable and user-level ones).
    pub life: Duration,
    /// How long old and new token both work; also the last stretch of a stable
    /// token's life, in which a normal call brings a new one.
    pub overlap: Duration,
    /// Life of `jsapi` and `wx_card` tickets.
    pub ticket_life: Duration,
    /// What asking for a ticket again brings.
    pub ticket_rule: TicketRule,
    /// Life of an OAuth or mini-program login code that is not used (5 minutes).
    pub code_life: Duration,
    /// Who may call.
    pub accounts: Accounts,
    /// Quotas and spacings.
    pub limits: Limits,
    /// Length of issued tokens and tickets in characters, kept within 32 … 512.
    pub token_len: usize,
}

impl Settings {
    /// Settings for tokens that live so long, with the overlap in proportion:
    /// five minutes, or a third of the life where that is less.
    pub fn with_life(life: Duration) -> Self {
        Self {
            life,
            overlap: OVERLAP.min(life / 3),
            ticket_life: life,
            ticket_rule: TicketRule::SameStringWithinLife,
            code_life: Duration::from_mins(5),
            accounts: Accounts::Any,
            limits: Limits::default(),
            // Real tokens of the last years have 110 to 160 characters.
            token_len: 136,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::with_life(TOKEN_LIFE)
    }
}

/// Quotas and spacings, with WeChat's documented numbers as defaults.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Calls of `/cgi-bin/token` per account and day (sandbox accounts: 200).
    pub classic_daily: u32,
    /// Calls of `/cgi-bin/stable_token` per account and day.
    pub stable_daily: u32,
    /// Calls of `/cgi-bin/stable_token` per account and minute.
    pub stable_per_minute: u32,
    /// Forced refreshes of the stable token per account and day.
    pub forced_daily: u32,
    /// Forced refreshes closer together than this bring the current token.
    pub forced_spacing: Duration,
    /// Menus created, and deleted, per account and day, each.
    pub menu_changes_daily: u32,
    /// `menu/get` per account and day.
    pub menu_reads_daily: u32,
    /// Conditional menus added and deleted per account and day, together.
    pub conditional_changes_daily: u32,
    /// Conditional menus that an account keeps. Not in WeChat's pages; seen by others.
    pub conditional_menus: usize,
    /// QR codes asked for per account and day.
    pub codes_daily: u32,
    /// Permanent QR codes that an account may have.
    pub permanent_codes: usize,
    /// Quota resets per account and month, all three ways together.
    pub clears_per_month: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            classic_daily: 2000,
            stable_daily: 500_000,
            stable_per_minute: 10_000,
            forced_daily: 20,
            forced_spacing: Duration::from_secs(30),
            menu_changes_daily: 1000,
            menu_reads_daily: 10_000,
            conditional_changes_daily: 2000,
            conditional_menus: 20,
            codes_daily: 100_000,
            permanent_codes: 100_000,
            clears_per_month: 10,
        }
    }
}

/// Whom the simulator knows.
#[derive(Clone, Debug)]
pub enum Accounts {
    /// Any appid with any secret; an account comes to be when it is first named.
    Any,
    /// These and no others: 40013 and 40125 are answered as WeChat does.
    Listed(Vec<Account>),
}

/// One account of [`Accounts::Listed`].
#[derive(Clone)]
pub struct Account {
    /// The account's id.
    pub appid: String,
    /// Its AppSecret.
    pub secret: String,
    /// From where it may be used.
    pub ip_allowed: IpList,
    /// Its own limit of classic token calls per day, where it differs from
    /// [`Limits::classic_daily`] (sandbox accounts).
    pub classic_daily: Option<u32>,
}

impl Account {
    /// An account that may be used from anywhere, with the common limits.
    pub fn new(appid: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { appid: appid.into(), secret: secret.into(), ip_allowed: IpList::Any, classic_daily: None }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("appid", &self.appid)
            .field("ip_allowed", &self.ip_allowed)
            .finish_non_exhaustive()
    }
}

/// An account's IP list in WeChat's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpList {
    /// Not switched on.
    Any,
    /// Token calls from elsewhere get 40164.
    Only(Vec<IpAddr>),
}

/// The callback of an account in WeChat's console, as WeChat's own check finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// None is set.
    Unset,
    /// Name and ping are good.
    Reachable,
    /// The name is good, every ping is lost.
    Lost,
}

/// What a second `getticket` within a ticket's life brings. WeChat's pages do
/// not say; these are the behaviours seen or to be feared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketRule {
    /// The same string with its true remaining life.
    SameStringWithinLife,
    /// The same string, and `expires_in` always claims the whole life.
    SameStringOverstated,
    /// A new string each time; older ones live to their end.
    NewEachCall,
}
