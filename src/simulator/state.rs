//! Everything the simulated WeChat knows, in one struct behind one lock.
//!
//! Sections under the lock are short and never wait; nobody holds it over an
//! await. Each change of the state rings one bell (`changes`), so that tests
//! wait for what happened and not for time. Nothing scans all accounts on a
//! call: ten thousand of them cost as much per call as one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::codes::Codes;
use super::custom::Sent;
use super::errcode::Refusal;
use super::faults::Faults;
use super::log::CallLog;
use super::menus::Menus;
use super::oauth::Oauth;
use super::settings::{Accounts, Callback, IpList, Settings};
use super::tokens::Line;
use super::values::{Kind, Values};
use super::web::{Shelf, Web};

/// The health of the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMode {
    /// Works.
    Up,
    /// Answers every call with -1, "system error".
    Busy,
    /// Does not listen: connections are refused, open ones are closed. Not
    /// available over HTTP, where nobody could end it.
    Refuses,
    /// Accepts connections and requests, and resets them without an answer.
    Closes,
    /// Accepts connections and requests, and never answers.
    Silent,
}

/// Whether an AppSecret may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Usable,
    /// Frozen by the admin in the console: 40243.
    Frozen,
}

/// One account as WeChat sees it.
pub(super) struct AccountState {
    /// `None`: any secret does.
    pub(super) secret: Option<String>,
    pub(super) standing: Standing,
    pub(super) ip_allowed: IpList,
    pub(super) classic_daily: Option<u32>,
    pub(super) callback: Callback,
    pub(super) web: Web,
    pub(super) classic: Line,
    pub(super) stable: Line,
    pub(super) jsapi: Option<Arc<str>>,
    pub(super) wx_card: Option<Arc<str>>,
    /// The last tickets of both kinds, oldest first: a new one ends none.
    pub(super) tickets: VecDeque<(Kind, Arc<str>)>,
    pub(super) classic_today: Counter,
    pub(super) stable_today: Counter,
    pub(super) stable_this_minute: Counter,
    pub(super) forced_today: Counter,
    pub(super) cleared_this_month: Counter,
    pub(super) last_forced: Option<Instant>,
}

impl AccountState {
    fn new(secret: Option<String>, ip_allowed: IpList, classic_daily: Option<u32>) -> Self {
        Self {
            secret,
            standing: Standing::Usable,
            ip_allowed,
            classic_daily,
            callback: Callback::Unset,
            web: Web::default(),
            classic: Line::default(),
            stable: Line::default(),
            jsapi: None,
            wx_card: None,
            tickets: VecDeque::new(),
            classic_today: Counter::default(),
            stable_today: Counter::default(),
            stable_this_minute: Counter::default(),
            forced_today: Counter::default(),
            cleared_this_month: Counter::default(),
            last_forced: None,
        }
    }
}

/// Counts within spans of fixed length that begin with the simulator's start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    span: u64,
    used: u32,
}

impl Counter {
    /// How much of the current span is used.
    pub(super) fn used(&self, age: Duration, length: Duration) -> u32 {
        if self.span == Self::span(age, length) { self.used } else { 0 }
    }

    /// Uses one more.
    pub(super) fn add(&mut self, age: Duration, length: Duration) {
        self.used = self.used(age, length).saturating_add(1);
        self.span = Self::span(age, length);
    }

    fn span(age: Duration, length: Duration) -> u64 {
        age.as_secs() / length.as_secs().max(1)
    }
}

/// Whether accounts that nobody listed exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strangers {
    Welcome,
    Unknown,
}

/// All of it.
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) started: Instant,
    strangers: Strangers,
    accounts: HashMap<String, AccountState>,
    pub(super) values: Values,
    pub(super) oauth: Oauth,
    pub(super) web: Shelf,
    pub(super) log: CallLog,
    pub(super) sent: Sent,
    pub(super) menus: Menus,
    pub(super) codes: Codes,
    pub(super) faults: Faults,
    pub(super) latency: Duration,
    /// How far the `Date` of answers is from the true time, in seconds.
    pub(super) date_offset: i64,
    /// Requests and answers that wait for a release, oldest first.
    pub(super) held: VecDeque<oneshot::Sender<()>>,
    /// Running `serve` calls, and how many of them hold their listener.
    pub(super) serving: usize,
    pub(super) listening: usize,
    /// AppSecrets ever valid or presented.
    pub(super) secrets: HashSet<String>,
}

impl State {
    pub(super) fn new(mut settings: Settings) -> Self {
        let mut accounts = HashMap::new();
        let mut secrets = HashSet::new();
        let listed = std::mem::replace(&mut settings.accounts, Accounts::Any);
        let strangers = match listed {
            Accounts::Any => Strangers::Welcome,
            Accounts::Listed(list) => {
                for account in list {
                    secrets.insert(account.secret.clone());
                    let state =
                        AccountState::new(Some(account.secret), account.ip_allowed, account.classic_daily);
                    accounts.insert(account.appid, state);
                }
                Strangers::Unknown
            }
        };
        Self {
            settings,
            started: Instant::now(),
            strangers,
            accounts,
            values: Values::default(),
            oauth: Oauth::default(),
            web: Shelf::default(),
            log: CallLog::default(),
            sent: Sent::default(),
            menus: Menus::default(),
            codes: Codes::default(),
            faults: Faults::default(),
            latency: Duration::ZERO,
            date_offset: 0,
            held: VecDeque::new(),
            serving: 0,
            listening: 0,
            secrets,
        }
    }

    /// Time since the simulator was made.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// The accounts that were named so far.
    pub(super) fn accounts(&self) -> &HashMap<String, AccountState> {
        &self.accounts
    }

    /// An account that exists, or comes to be because strangers are welcome.
    pub(super) fn account(&mut self, appid: &str) -> Option<&mut AccountState> {
        if !self.accounts.contains_key(appid) {
            match self.strangers {
                Strangers::Unknown => return None,
                Strangers::Welcome => self.open_account(appid),
            }
        }
        self.accounts.get_mut(appid)
    }

    /// An account, made if it does not exist: what the console of WeChat does.
    pub(super) fn account_or_new(&mut self, appid: &str) -> &mut AccountState {
        if !self.accounts.contains_key(appid) {
            self.open_account(appid);
        }
        self.accounts.get_mut(appid).expect("the account was put in the map two lines above")
    }

    fn open_account(&mut self, appid: &str) {
        let account = AccountState::new(None, IpList::Any, None);
        self.accounts.insert(appid.to_owned(), account);
    }

    /// Checks appid and AppSecret, as every endpoint that takes them does.
    pub(super) fn check_secret(&mut self, appid: &str, secret: &str) -> Result<(), Refusal> {
        if appid.is_empty() {
            return Err(Refusal::new(41002));
        }
        if secret.is_empty() {
            return Err(Refusal::new(41004));
        }
        if !self.secrets.contains(secret) {
            self.secrets.insert(secret.to_owned());
        }
        let account = self.account(appid).ok_or_else(|| Refusal::new(40013))?;
        if account.secret.as_deref().is_some_and(|right| right != secret) {
            return Err(Refusal::new(40125));
        }
        match account.standing {
            Standing::Usable => Ok(()),
            Standing::Frozen => Err(Refusal::new(40243)),
        }
    }

    /// Checks the caller's address against the account's IP list.
    pub(super) fn check_ip(&mut self, appid: &str, caller: IpAddr) -> Result<(), Refusal> {
        let account = self.account(appid).ok_or_else(|| Refusal::new(40013))?;
        match &account.ip_allowed {
            IpList::Any => Ok(()),
            IpList::Only(list) if list.contains(&caller.to_canonical()) => Ok(()),
            IpList::Only(_) => Err(Refusal::foreign_ip(caller)),
        }
    }
}

/// The state with its lock, its bell and the switch for the whole server.
pub(super) struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    pub(super) mode: watch::Sender<ServerMode>,
}

/// The state is full of live values, so none of it is ever printed.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            state: Mutex::new(State::new(settings)),
            changes: watch::Sender::new(0),
            mode: watch::Sender::new(ServerMode::Up),
        }
    }

    /// Reads the state.
    pub(super) fn look<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.lock())
    }

    /// Changes the state and rings the bell after the lock is let go.
    pub(super) fn change<R>(&self, write: impl FnOnce(&mut State) -> R) -> R {
        let result = write(&mut self.lock());
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        result
    }

    /// Waits until the state is so. Looks once, then after every change.
    pub(super) async fn until(&self, mut so: impl FnMut(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        while !self.look(&mut so) {
            if changes.changed().await.is_err() {
                // The sender is in `self`, which outlives this borrow.
                return;
            }
        }
    }

    /// A panic under the lock (only ever a test's predicate) leaves whole state behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
