//! The engine as a daemon builds it, over a simulator on a real port and a clock that only
//! the test moves.
//!
//! Nothing here sleeps. A test moves the clock ([`Engine::advance`], [`Engine::step`],
//! [`Engine::walk`]) and waits for what followed ([`Engine::until`], [`Engine::settle`]).
//! Views and the call log are looked at between two turns of the runtime, because a view
//! also changes where no reader could notice and so nobody is notified. A wait that does not
//! end within [`PATIENCE`] of real time fails and prints the views and the last calls.
//!
//! Left out: gRPC, configuration, files. A test that needs another ledger brings it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::hub::{AccountSettings, Hub};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{Event, Ledger};
use zhongkong::model::{ErrCode, Fingerprint, Kind, TokenMode};
use zhongkong::refresh::gate::{Gate, IN_FLIGHT};
use zhongkong::refresh::handle::{Answer, Handle, NoValue};
use zhongkong::refresh::task::Surroundings;
use zhongkong::refresh::view::View;
use zhongkong::secret::Secret;
use zhongkong::simulator::{self, Call, Endpoint, Fault, Script};
use zhongkong::wechat::{self, WeChat};

use super::frozen::Frozen;
use super::simulated::Simulated;

/// tokio's timers are rounded up to the next millisecond; this is past the rounding.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// The limit of one call.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The wall clock at the start of every engine.
pub(crate) const WALL: WallTime = WallTime(1_760_000_000_000);

/// What an engine is started with.
pub(crate) struct Setup {
    /// The configured accounts.
    pub(crate) accounts: Vec<AccountSettings>,
    /// The simulated WeChat.
    pub(crate) simulator: simulator::Settings,
    /// The ledger, if not a new one in memory.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    /// Calls in flight over all keys.
    pub(crate) in_flight: usize,
}

impl Setup {
    /// WeChat's own numbers and these accounts.
    pub(crate) fn new(accounts: Vec<AccountSettings>) -> Self {
        Self { accounts, simulator: simulator::Settings::default(), ledger: None, in_flight: IN_FLIGHT }
    }

    /// Tokens that live so long.
    pub(crate) fn life(self, life: Duration) -> Self {
        Self { simulator: simulator::Settings::with_life(life), ..self }
    }

    /// Another ledger. It must use a clock of [`manual_clock`]; see [`Engine::start_with`].
    pub(crate) fn ledger(self, ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger: Some(ledger), ..self }
    }
}

/// An account "wx…" with the secret "s" and no tickets.
pub(crate) fn account(appid: &str, token_mode: TokenMode) -> AccountSettings {
    AccountSettings {
        appid: appid.parse().unwrap(),
        name: None,
        secret: Secret::from("s".to_owned()),
        token_mode,
        tickets: Vec::new(),
        daily_calls: 2_000,
    }
}

/// The clock that engines start with. Make it after the clock is frozen.
pub(crate) fn manual_clock() -> Clock {
    Clock::manual(WALL, BootTime(1_000_000), "boot-a")
}

/// A running engine.
pub(crate) struct Engine {
    /// WeChat.
    pub(crate) wechat: Simulated,
    /// The engine's clocks.
    pub(crate) clock: Clock,
    /// All credentials.
    pub(crate) hub: Arc<Hub>,
    /// What is durable.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The gate before WeChat.
    pub(crate) gate: Gate,
    accounts: Vec<AccountSettings>,
    pub(super) in_flight: usize,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    pub(super) frozen: Frozen,
}

impl Engine {
    /// Freezes the clock and starts everything; no value has come yet.
    pub(crate) async fn start(setup: Setup) -> Self {
        let frozen = Frozen::start();
        Self::start_with(frozen, manual_clock(), setup).await
    }

    /// The same with a clock of one's own.
    pub(crate) async fn start_with(frozen: Frozen, clock: Clock, setup: Setup) -> Self {
        let Setup { accounts, simulator, ledger, in_flight } = setup;
        let wechat = Simulated::start(simulator).await;
        let ledger = ledger.unwrap_or_else(|| Arc::new(MemoryLedger::new(clock.clone())));
        let gate = Gate::new(in_flight);
        let parts = Parts { base: wechat.base.clone(), clock: &clock, ledger: &ledger, gate: &gate };
        let (hub, stop, tasks) = parts.run(accounts.clone()).await;
        Self { wechat, clock, hub, ledger, gate, accounts, in_flight, stop, tasks, frozen }
    }

    /// The same, with a WeChat that misbehaves from the first call on.
    pub(crate) async fn start_scripted(setup: Setup, scripts: impl IntoIterator<Item = Script>) -> Self {
        // Nothing runs before the first await of the test, so no call precedes the scripts.
        let engine = Self::start(setup).await;
        scripts.into_iter().for_each(|script| engine.wechat.control.script(script));
        engine
    }

    /// One classic account "wx1", with its first token.
    pub(crate) async fn classic() -> Self {
        Self::ready_with(TokenMode::Classic).await
    }

    /// One stable account "wx1", with its first token.
    pub(crate) async fn stable() -> Self {
        Self::ready_with(TokenMode::Stable).await
    }

    /// One account "wx1" with its first token.
    pub(crate) async fn ready_with(mode: TokenMode) -> Self {
        let engine = Self::start(Setup::new(vec![account("wx1", mode)])).await;
        engine.ready().await;
        engine
    }

    /// Waits until every key has a value.
    pub(crate) async fn ready(&self) {
        self.wait("every key has a value", |engine| {
            engine.hub.keys().iter().all(|handle| handle.read().is_ok())
        })
        .await;
        self.settle().await;
    }

    /// A key.
    pub(crate) fn handle(&self, appid: &str, kind: Kind) -> Handle {
        self.hub.handle(appid, kind).unwrap()
    }

    /// The access token of "wx1".
    pub(crate) fn token(&self) -> Handle {
        self.handle("wx1", Kind::AccessToken)
    }

    /// What is published of the access token of "wx1".
    pub(crate) fn view(&self) -> Arc<View> {
        self.token().view()
    }

    /// The access token of "wx1" as a reader gets it.
    pub(crate) fn value(&self) -> String {
        text(&self.token())
    }

    /// The fingerprint of the access token of "wx1".
    pub(crate) fn print(&self) -> Fingerprint {
        self.token().read().unwrap().value.fingerprint
    }

    /// A complaint about the access token of "wx1" as it is read now.
    pub(crate) async fn complain(&self) -> Result<Answer, NoValue> {
        let seen = self.token().read().ok().map(|good| good.value.fingerprint);
        self.token().complain(seen, ErrCode(40001)).await
    }

    /// The recorded events of this sort, newest first.
    pub(crate) async fn events(&self, what: &str) -> Vec<Event> {
        let events = self.ledger.events(None, 1_000).await.unwrap();
        events.into_iter().filter(|event| event.what == what).collect()
    }

    /// Lets every call of the endpoint fail in this way until the faults are cleared.
    pub(crate) fn always(&self, endpoint: Endpoint, fault: Fault) {
        self.wechat.control.script(Script::forever(endpoint, fault));
    }

    /// Lets the next call of the endpoint fail in this way.
    pub(crate) fn once(&self, endpoint: Endpoint, fault: Fault) {
        self.wechat.control.script(Script::once(endpoint, fault));
    }

    /// Whether WeChat accepts this value.
    pub(crate) fn alive(&self, value: &str) -> bool {
        self.wechat.control.alive(value)
    }

    /// Now, on the clock that lives are counted on.
    pub(crate) fn now(&self) -> BootTime {
        self.clock.boot()
    }

    /// How many calls "wx1" made at this endpoint.
    pub(crate) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.wechat.control.count(endpoint, "wx1")
    }

    /// Calls at both token endpoints and the probe's, by all accounts.
    pub(crate) fn tally(&self) -> Tally {
        let count = |endpoint| self.wechat.control.count_all(endpoint);
        Tally {
            classic: count(Endpoint::Token),
            stable: count(Endpoint::StableToken),
            forced: self.wechat.control.with_log(|log| log.calls().filter(|call| call.forced).count() as u64),
            probes: count(Endpoint::ApiDomainIp),
            tickets: count(Endpoint::Ticket),
        }
    }

    /// Every key has a value, and WeChat accepts what readers get.
    pub(crate) fn readers_are_well(&self) {
        for handle in self.hub.keys() {
            let good = handle.read().unwrap_or_else(|why| panic!("{why}: {}", self.report()));
            assert!(self.alive(good.value.secret.expose()), "a dead value is served: {}", self.report());
        }
    }

    /// The log after this sequence number.
    pub(crate) fn log_since(&self, seq: u64) -> Vec<Call> {
        self.wechat.control.with_log(|log| log.since(seq).cloned().collect())
    }

    /// The sequence number of the last call.
    pub(crate) fn last_seq(&self) -> u64 {
        self.wechat.control.with_log(simulator::CallLog::last_seq)
    }
}

/// How many calls there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) classic: u64,
    pub(crate) stable: u64,
    pub(crate) forced: u64,
    pub(crate) probes: u64,
    pub(crate) tickets: u64,
}

/// A value as a reader gets it.
pub(crate) fn text(handle: &Handle) -> String {
    handle
        .read()
        .unwrap_or_else(|why| panic!("{handle:?} has no value: {why}"))
        .value
        .secret
        .expose()
        .to_owned()
}

/// Lives and deaths of the daemon.
impl Engine {
    /// Stops in good order and starts again over the same ledger and WeChat.
    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Stops in good order: rounds under way are finished.
    pub(crate) async fn stop(mut self) -> Stopped {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        Stopped::of(self)
    }

    /// Ends for good and hands the clock on, for a test that goes through several engines.
    pub(crate) async fn end(self) -> Frozen {
        self.crash().await.frozen
    }

    /// Dies at once, whatever is under way.
    pub(crate) async fn crash(mut self) -> Stopped {
        self.tasks.shutdown().await;
        Stopped::of(self)
    }
}

/// An engine that does not run: what outlives the process, and the world around it.
pub(crate) struct Stopped {
    /// WeChat goes on.
    pub(crate) wechat: Simulated,
    /// The clocks of the next run. Replaced by those of another boot, if it was one.
    pub(crate) clock: Clock,
    /// What is durable.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The accounts of the next run.
    pub(crate) accounts: Vec<AccountSettings>,
    pub(super) in_flight: usize,
    pub(super) frozen: Frozen,
}

impl Stopped {
    fn of(engine: Engine) -> Self {
        let Engine { wechat, clock, hub: _, ledger, gate: _, accounts, in_flight, stop: _, tasks: _, frozen } =
            engine;
        Self { wechat, clock, ledger, accounts, in_flight, frozen }
    }

    /// Lets time pass without a daemon.
    pub(crate) async fn advance(&self, by: Duration) {
        self.frozen.advance(by).await;
    }

    /// Starts over the same ledger and WeChat.
    pub(crate) async fn start(self) -> Engine {
        let Self { wechat, clock, ledger, accounts, in_flight, frozen } = self;
        let gate = Gate::new(in_flight);
        let parts = Parts { base: wechat.base.clone(), clock: &clock, ledger: &ledger, gate: &gate };
        let (hub, stop, tasks) = parts.run(accounts.clone()).await;
        Engine { wechat, clock, hub, ledger, gate, accounts, in_flight, stop, tasks, frozen }
    }
}

/// What a hub is built from.
struct Parts<'a> {
    base: String,
    clock: &'a Clock,
    ledger: &'a Arc<dyn Ledger>,
    gate: &'a Gate,
}

impl Parts<'_> {
    async fn run(self, accounts: Vec<AccountSettings>) -> (Arc<Hub>, CancellationToken, JoinSet<()>) {
        let wechat = WeChat::new(&wechat::Settings {
            api_base: self.base.parse().unwrap(),
            connect_timeout: Duration::from_secs(3),
            timeout: CALL_TIMEOUT,
            proxy: None,
        });
        let around = Surroundings {
            clock: self.clock.clone(),
            wechat: wechat.unwrap(),
            ledger: self.ledger.clone(),
            gate: self.gate.clone(),
        };
        let (hub, refreshers) = Hub::build(Arc::new(around), accounts).await.unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(refreshers.run(stop.clone()));
        let clock = self.clock.clone();
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = clock.watch_for_suspend() => {}
                () = stopped.cancelled() => {}
            }
        });
        (hub, stop, tasks)
    }
}
