//! All credentials by key: built from the ledger and the configuration, supervised, looked up.
//!
//! Looking a key up is one atomic load and one hash: the table is immutable and replaced as
//! a whole by a reload. Which key is whose parent is known here and nowhere else. The
//! refreshers belong to [`Tasks`]; one that panics is restarted with what it knew, and an
//! account that is removed and comes back waits until its old refresher has ended (S1).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::clock::Clock;
use crate::ledger::{Event, LedgerError, Record};
use crate::model::{AppId, Key, Kind, TokenMode};
use crate::refresh::bell::Rung;
use crate::refresh::handle::{Feeds, Handle};
use crate::refresh::task::{Arrival, Refresher, Surroundings};
use crate::secret::Secret;
use crate::telemetry::metrics;

mod complaints;
pub mod exchange;
mod feed;
pub mod pulse;
mod stock;
mod survey;
mod tasks;

pub use complaints::Complaints;
pub use feed::{Change, Feed};
pub use stock::{Concern, Stock, Worst, stock};
pub use survey::survey;
pub use tasks::Tasks;

/// How many changes a slow watcher may be behind before it looks at every key again.
const FEED: usize = 4_096;
/// Reloads hand over new refreshers through a channel of this size.
const HANDOVER: usize = 64;
/// How long a reload waits for what the ledger knows of one key that comes.
const READING: Duration = Duration::from_secs(5);

/// One account, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its id.
    pub appid: AppId,
    /// What people call it.
    pub name: Option<String>,
    /// Its AppSecret.
    pub secret: Secret,
    /// Which token endpoint it uses.
    pub token_mode: TokenMode,
    /// The tickets that are kept besides the access token.
    pub tickets: Vec<Kind>,
    /// Upstream calls that WeChat grants per day and key (2000; sandbox accounts 200).
    pub daily_calls: u32,
}

impl AccountSettings {
    /// Whether the account has a key of this kind.
    fn keeps(&self, kind: Kind) -> bool {
        kind == Kind::AccessToken || self.tickets.contains(&kind)
    }
}

/// All credentials.
pub struct Hub {
    around: Arc<Surroundings>,
    accounts: ArcSwap<Accounts>,
    feeds: Arc<Feeds>,
    handover: mpsc::Sender<Box<Refresher>>,
    /// Asks whether [`Tasks::run`] still turns.
    pings: mpsc::Sender<oneshot::Sender<()>>,
    /// Held over a reload, so that two do not interleave.
    reloading: tokio::sync::Mutex<Ending>,
}

type Accounts = HashMap<AppId, Arc<Account>>;
/// Keys that were told to end, until they have.
type Ending = HashMap<Key, Handle>;

struct Account {
    settings: Arc<ArcSwap<AccountSettings>>,
    keys: [Option<Handle>; Kind::ALL.len()],
}

/// What a reload did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Accounts that came.
    pub added: usize,
    /// Accounts whose settings changed.
    pub changed: usize,
    /// Accounts that went.
    pub removed: usize,
}

impl Hub {
    /// Builds every key from what the ledger knows. No upstream call, no task yet.
    pub async fn build(
        around: Arc<Surroundings>,
        accounts: Vec<AccountSettings>,
    ) -> Result<(Arc<Self>, Tasks), LedgerError> {
        let begun = tokio::time::Instant::now();
        let mut records: HashMap<Key, Record> = around.ledger.load().await?.into_iter().collect();
        metrics::ledger_took(metrics::LedgerStep::Load, begun.elapsed());
        let (changes, plans) = (broadcast::channel(FEED).0, broadcast::channel(FEED).0);
        let rung = Arc::new(Rung::default());
        let feeds = Arc::new(Feeds { changes, plans, complaints: complaints::feed(), rung: rung.clone() });
        let (sender, handover) = mpsc::channel(HANDOVER);
        let (asking, pings) = mpsc::channel(1);
        let mut first = Vec::new();
        let mut table = Accounts::with_capacity(accounts.len());
        // What keys without rows have in common: perhaps a ledger that was set aside.
        let mut nothing: Option<Record> = None;
        for settings in accounts {
            let mut account = Account::new(settings);
            for kind in account.wanted() {
                let key = account.key(kind);
                let record = match (records.remove(&key), &nothing) {
                    (Some(record), _) => record,
                    (None, Some(nothing)) => nothing.clone(),
                    (None, None) => nothing.insert(around.ledger.load_key(&key).await?).clone(),
                };
                first.push(account.open(kind, record, Arrival::Start, &around, &feeds));
            }
            table.insert(account.appid(), Arc::new(account));
        }
        let clock = around.clock.clone();
        let hub = Self {
            around,
            accounts: ArcSwap::from_pointee(table),
            feeds,
            handover: sender,
            pings: asking,
            reloading: tokio::sync::Mutex::new(Ending::new()),
        };
        Ok((Arc::new(hub), Tasks { first, handover, pings, rung, clock }))
    }

    /// The clocks.
    pub fn clock(&self) -> &Clock {
        &self.around.clock
    }

    /// The key's handle, if the account is configured and has this kind.
    pub fn handle(&self, appid: &str, kind: Kind) -> Option<Handle> {
        let accounts = self.accounts.load();
        accounts.get(appid)?.keys[kind.index()].clone()
    }

    /// Runs `look` on the key's handle without cloning it: the path of `GetToken`.
    pub fn with_handle<T>(&self, appid: &str, kind: Kind, look: impl FnOnce(&Handle) -> T) -> Option<T> {
        let accounts = self.accounts.load();
        accounts.get(appid)?.keys[kind.index()].as_ref().map(look)
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<Handle> {
        let accounts = self.accounts.load();
        let mut handles: Vec<Handle> =
            accounts.values().flat_map(|account| account.keys.iter().flatten().cloned()).collect();
        handles.sort_by(|a, b| a.key().cmp(b.key()));
        handles
    }

    /// Whether the account is configured.
    pub fn account_exists(&self, appid: &str) -> bool {
        self.accounts.load().contains_key(appid)
    }

    /// What people call the account.
    pub fn account_name(&self, appid: &str) -> Option<String> {
        self.accounts.load().get(appid)?.settings.load().name.clone()
    }

    /// The account's settings.
    fn account(&self, appid: &str) -> Option<Arc<AccountSettings>> {
        Some(self.accounts.load().get(appid)?.settings.load_full())
    }

    /// Tells of every change from now on.
    pub fn subscribe(&self) -> Feed {
        Feed(self.feeds.changes.subscribe())
    }

    /// Like [`Hub::subscribe`], and also when the next attempt of a key moves.
    pub fn subscribe_plans(&self) -> Feed {
        Feed(self.feeds.plans.subscribe())
    }

    /// The latest events of one account or of all, newest first.
    pub async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError> {
        self.around.ledger.events(of, limit).await
    }

    /// Takes over a new set of accounts: added, changed and removed live.
    ///
    /// # Errors
    /// The ledger could not be read for a key that comes; nothing was changed.
    pub async fn reload(&self, wanted: Vec<AccountSettings>) -> Result<Reloaded, LedgerError> {
        let mut ending = self.reloading.lock().await;
        ending.retain(|_, key| !key.has_ended());
        let old = self.accounts.load_full();
        // First what can fail or take time, so that a failure changes nothing.
        let mut records = HashMap::new();
        for settings in &wanted {
            let known = old.get(&settings.appid);
            let runs = |kind: Kind| known.is_some_and(|account| account.keys[kind.index()].is_some());
            for kind in Kind::ALL.into_iter().filter(|kind| settings.keeps(*kind) && !runs(*kind)) {
                let key = Key::new(settings.appid.clone(), kind);
                if let Some(old) = ending.get(&key) {
                    old.ended().await;
                }
                let read = tokio::time::timeout(READING, self.around.ledger.load_key(&key)).await;
                let record = read.unwrap_or(Err(LedgerError::Slow))?;
                records.insert(key, record);
            }
        }
        let names: BTreeSet<&str> = wanted.iter().map(|account| account.appid.as_str()).collect();
        let mut done = Reloaded::default();
        for (appid, account) in old.iter().filter(|(appid, _)| !names.contains(appid.as_str())) {
            tracing::info!(app = %appid, "account {appid} removed");
            done.removed += 1;
            for key in account.keys.iter().flatten() {
                close(key, &mut ending);
            }
        }
        let mut table = Accounts::with_capacity(wanted.len());
        let mut new = Vec::new();
        for settings in wanted {
            let appid = settings.appid.clone();
            let mut account = if let Some(known) = old.get(&appid) {
                done.changed += usize::from(**known.settings.load() != settings);
                known.with(settings, &mut ending)
            } else {
                tracing::info!(app = %appid, "account {appid} added");
                done.added += 1;
                Account::new(settings)
            };
            for kind in account.wanted() {
                // Each of them was read above.
                let record = records.remove(&account.key(kind)).unwrap_or_default();
                new.push(account.open(kind, record, Arrival::Added, &self.around, &self.feeds));
            }
            table.insert(appid, Arc::new(account));
        }
        self.accounts.store(Arc::new(table));
        for refresher in new {
            let key = refresher.handle_key();
            // An error means that the daemon is stopping.
            let _ = self.handover.send(refresher).await;
            let _ = self.feeds.plans.send(key.clone());
            let _ = self.feeds.changes.send(key);
        }
        Ok(done)
    }
}

impl Account {
    fn new(settings: AccountSettings) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Self { settings, keys: [const { None }; Kind::ALL.len()] }
    }

    fn appid(&self) -> AppId {
        self.settings.load().appid.clone()
    }

    fn key(&self, kind: Kind) -> Key {
        Key::new(self.appid(), kind)
    }

    /// The configured kinds that have no refresher, parents first.
    fn wanted(&self) -> Vec<Kind> {
        let settings = self.settings.load();
        let missing = |kind: &Kind| settings.keeps(*kind) && self.keys[kind.index()].is_none();
        Kind::ALL.into_iter().filter(missing).collect()
    }

    /// The same account under new settings: what stays keeps its refresher, what is not wanted ends.
    fn with(&self, settings: AccountSettings, ending: &mut Ending) -> Self {
        let keys = Kind::ALL.map(|kind| {
            let key = self.keys[kind.index()].clone()?;
            if settings.keeps(kind) {
                return Some(key);
            }
            close(&key, ending);
            None
        });
        self.settings.store(Arc::new(settings));
        // Even if nothing changed: a reload says that something was mended somewhere.
        keys.iter().flatten().for_each(Handle::reconsider);
        Self { settings: self.settings.clone(), keys }
    }

    /// A refresher for one more of the account's keys.
    fn open(
        &mut self,
        kind: Kind,
        record: Record,
        arrival: Arrival,
        around: &Arc<Surroundings>,
        feeds: &Arc<Feeds>,
    ) -> Box<Refresher> {
        let parent = match kind {
            Kind::AccessToken => None,
            Kind::JsapiTicket | Kind::WxCardTicket => self.keys[Kind::AccessToken.index()].clone(),
        };
        let (refresher, handle) = Refresher::new(
            self.key(kind),
            record,
            arrival,
            around.clone(),
            self.settings.clone(),
            parent,
            feeds.clone(),
        );
        self.keys[kind.index()] = Some(handle);
        Box::new(refresher)
    }
}

/// Tells the key to end, and remembers that until it has.
fn close(key: &Handle, ending: &mut Ending) {
    key.remove();
    ending.insert(key.key().clone(), key.clone());
}
