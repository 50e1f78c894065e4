//! The hand inside the simulator: tests, the demo and `/_sim/` act through it.
//!
//! Every act takes effect at once and in the order of the calls; what needs the
//! network to have noticed is an async method that returns when it has. Methods
//! that name an account open it if nobody did, as WeChat's console would.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::custom::SentMessage;
use super::faults::Script;
use super::log::{Call, CallLog, Endpoint};
use super::oauth::NewCode;
use super::settings::{Callback, IpList};
use super::state::{ServerMode, Shared, Standing, State};
use super::values::{Kind, Verdict};
use super::web::{JsCall, JsConfig, Person, SeenCode, Visit, Web};

/// A handle on a [`super::Simulator`]; cheap to clone, good for its whole life.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
}

/// What is seen.
impl Control {
    /// The kept calls, oldest first. For a few values prefer [`Self::with_log`].
    pub fn calls(&self) -> Vec<Call> {
        self.with_log(|log| log.calls().cloned().collect())
    }

    /// Looks at the log without copying it. The simulator stands still meanwhile.
    pub fn with_log<R>(&self, look: impl FnOnce(&CallLog) -> R) -> R {
        self.shared.look(|state| look(&state.log))
    }

    /// How many calls this account made at this endpoint.
    pub fn count(&self, endpoint: Endpoint, appid: &str) -> u64 {
        self.with_log(|log| log.count(endpoint, appid))
    }

    /// How many calls were made at this endpoint.
    pub fn count_all(&self, endpoint: Endpoint) -> u64 {
        self.with_log(|log| log.count_all(endpoint))
    }

    /// How many calls of this account at this endpoint issued something new.
    pub fn issued(&self, endpoint: Endpoint, appid: &str) -> u64 {
        self.with_log(|log| log.issued(endpoint, appid))
    }

    /// How many calls at this endpoint issued something new.
    pub fn issued_all(&self, endpoint: Endpoint) -> u64 {
        self.with_log(|log| log.issued_all(endpoint))
    }

    /// Waits until the log is so; looks once at once, then after every change.
    pub async fn wait_for(&self, mut so: impl FnMut(&CallLog) -> bool) {
        self.shared.until(|state| so(&state.log)).await;
    }

    /// The customer-service messages that this account sent, oldest first.
    pub fn messages(&self, appid: &str) -> Vec<SentMessage> {
        self.shared.look(|state| state.sent.of(appid, 0).cloned().collect())
    }

    /// Waits until this account has sent so many customer-service messages, and returns them.
    pub async fn wait_messages(&self, appid: &str, at_least: usize) -> Vec<SentMessage> {
        self.shared.until(|state| state.sent.of(appid, 0).count() >= at_least).await;
        self.messages(appid)
    }

    /// Every `wx.config` of this account's pages, oldest first.
    pub fn js_configs(&self, appid: &str) -> Vec<JsConfig> {
        self.shared.look(|state| state.web.configs(appid))
    }

    /// Every other call of the JS-SDK by this account's pages, oldest first.
    pub fn js_calls(&self, appid: &str) -> Vec<JsCall> {
        self.shared.look(|state| state.web.calls(appid))
    }

    /// Whether WeChat would accept this token or ticket now.
    pub fn alive(&self, value: &str) -> bool {
        let now = Instant::now();
        self.shared.look(|state| state.values.verdict(value, now) == Verdict::Alive)
    }

    /// The newest value of this credential, dead or alive.
    pub fn current(&self, appid: &str, kind: Kind) -> Option<String> {
        self.shared.look(|state| state.current(appid, kind).map(|value| value.to_string()))
    }

    /// Every value that was ever issued (tokens, tickets, codes, user tokens,
    /// session keys) and every AppSecret that was ever valid or presented: what
    /// must be found nowhere else.
    pub fn issued_values(&self) -> Vec<String> {
        self.shared.look(|state| {
            let secrets = state.secrets.iter().map(String::as_str);
            let all = state.values.all().chain(state.oauth.all()).chain(secrets);
            all.map(str::to_owned).collect()
        })
    }
}

/// Faults.
impl Control {
    /// Adds a scripted fault behind those that wait.
    pub fn script(&self, script: Script) {
        self.shared.change(|state| state.faults.add(script));
    }

    /// Forgets all scripted faults. What is held stays held.
    pub fn clear_faults(&self) {
        self.shared.change(|state| state.faults.clear());
    }

    /// How many requests and answers are held.
    pub fn held(&self) -> usize {
        self.shared.look(held)
    }

    /// Waits until at least so many are held.
    pub async fn wait_held(&self, at_least: usize) {
        self.shared.until(|state| held(state) >= at_least).await;
    }

    /// Waits until at most so many are held: callers went, or were released.
    pub async fn wait_held_at_most(&self, at_most: usize) {
        self.shared.until(|state| held(state) <= at_most).await;
    }

    /// Lets everything go on that is held, oldest first.
    pub fn release(&self) {
        self.shared.change(|state| {
            for held in state.held.drain(..) {
                // A caller that is gone has given up its place.
                let _ = held.send(());
            }
        });
    }

    /// Lets the oldest go on that is held.
    pub fn release_next(&self) {
        self.shared.change(|state| {
            while let Some(held) = state.held.pop_front() {
                if held.send(()).is_ok() {
                    return;
                }
            }
        });
    }

    /// Makes every answer later by this much.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.change(|state| state.latency = latency);
    }

    /// Makes WeChat's clock, as the `Date` of answers shows it, wrong by so many seconds.
    pub fn set_date_offset(&self, seconds: i64) {
        self.shared.change(|state| state.date_offset = seconds);
    }

    /// Changes the health of the whole server. Returns when it listens, or does
    /// not, as the mode says; at once when nobody serves.
    pub async fn set_mode(&self, mode: ServerMode) {
        self.switch_mode(mode);
        let applied = |state: &State| match mode {
            ServerMode::Refuses => state.listening == 0,
            ServerMode::Up | ServerMode::Busy | ServerMode::Closes | ServerMode::Silent => {
                state.listening == state.serving
            }
        };
        self.shared.until(applied).await;
    }
}

/// What happens at WeChat or in its console.
impl Control {
    /// Ends the current value as a foreign program would. Classic: as by two
    /// foreign fetches. Stable: as by a foreign forced refresh, so that a normal
    /// call brings the successor. Tickets: the next fetch brings a new string.
    pub fn kill(&self, appid: &str, kind: Kind) {
        let now = Instant::now();
        self.shared.change(|state| state.kill(appid, kind, now));
    }

    /// Ends the current value, while normal calls go on handing the dead string
    /// out: the case in which only a forced refresh helps.
    pub fn kill_in_place(&self, appid: &str, kind: Kind) {
        let now = Instant::now();
        self.shared.change(|state| state.kill_in_place(appid, kind, now));
    }

    /// Somebody else fetches with the AppSecret in classic mode: quota and
    /// overlap as for any fetch, logged as [`super::Caller::Foreign`]. `None`
    /// when WeChat refused (quota, unknown account).
    pub fn foreign_fetch(&self, appid: &str) -> Option<String> {
        self.shared.change(|state| state.fetch_foreign(appid))
    }

    /// A person's consent: a code to exchange.
    pub fn mint_code(&self, new: NewCode) -> String {
        self.shared.change(|state| {
            let expires_at = Instant::now() + state.settings.code_life;
            state.oauth.mint(new, expires_at)
        })
    }

    /// Changes the account's IP list.
    pub fn set_ip_allowed(&self, appid: &str, list: IpList) {
        self.shared.change(|state| state.account_or_new(appid).ip_allowed = list);
    }

    /// Changes what WeChat's check finds of the account's callback.
    pub fn set_callback(&self, appid: &str, callback: Callback) {
        self.shared.change(|state| state.account_or_new(appid).callback = callback);
    }

    /// The account's settings for web pages.
    pub fn web(&self, appid: &str) -> Web {
        let account = |state: &State| state.accounts().get(appid).map(|account| account.web.clone());
        self.shared.look(account).unwrap_or_default()
    }

    /// Changes them.
    pub fn set_web(&self, appid: &str, web: Web) {
        self.shared.change(|state| state.account_or_new(appid).web = web);
    }

    /// Replaces the people who may sit at a browser.
    pub fn set_people(&self, people: Vec<Person>) {
        self.shared.change(|state| state.web.set_people(people));
    }

    /// Says whose the next authorization is, behind those that were said before.
    pub fn next_visitor(&self, visit: Visit) {
        self.shared.change(|state| state.web.expect(visit));
    }

    /// The codes of web authorization that this account was sent, those that end first in front.
    pub fn codes(&self, appid: &str) -> Vec<SeenCode> {
        self.shared.look(|state| state.seen_codes(appid))
    }

    /// Resets the account's AppSecret; from now on only this one is right.
    pub fn set_secret(&self, appid: &str, secret: &str) {
        self.shared.change(|state| {
            state.secrets.insert(secret.to_owned());
            state.account_or_new(appid).secret = Some(secret.to_owned());
        });
    }

    /// Freezes the account's AppSecret: 40243 wherever it is used.
    pub fn freeze_secret(&self, appid: &str) {
        self.shared.change(|state| state.account_or_new(appid).standing = Standing::Frozen);
    }

    /// Ends that.
    pub fn unfreeze_secret(&self, appid: &str) {
        self.shared.change(|state| state.account_or_new(appid).standing = Standing::Usable);
    }
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn look<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        self.shared.look(read)
    }

    pub(super) fn act<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.shared.change(change)
    }

    pub(super) fn mode(&self) -> ServerMode {
        *self.shared.mode.borrow()
    }

    /// Changes the mode without waiting for the listener.
    pub(super) fn switch_mode(&self, mode: ServerMode) {
        self.shared.mode.send_replace(mode);
    }
}

/// Those whose caller is gone do not count.
fn held(state: &State) -> usize {
    state.held.iter().filter(|held| !held.is_closed()).count()
}
