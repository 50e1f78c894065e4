//! What the benches stand on: a simulated WeChat, accounts, and a hub without its rim.
//!
//! Everything is the real thing over real sockets, but for WeChat. Lives are WeChat's own.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod callback;
pub(crate) mod jssdk;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{Clock, Stamp};
use zhongkong::hub::{AccountSettings, Hub};
use zhongkong::ledger::{Call, Ledger, StoredValue};
use zhongkong::model::{AppId, CallMode, Cause, Fingerprint, Generation, Key, Kind, TokenMode};
use zhongkong::refresh::gate::{Gate, IN_FLIGHT};
use zhongkong::refresh::task::Surroundings;
use zhongkong::secret::Secret;
use zhongkong::simulator::{self, Control, Limits, Simulator};
use zhongkong::wechat::{self, WeChat};

/// What WeChat says of a token's life.
pub(crate) const LIFE: Duration = Duration::from_secs(7_200);

/// How many keys the scenarios of scale are run with. `ZHONGKONG_BENCH_KEYS=1000,10000` takes
/// others; a quick run leaves the large ones out.
pub(crate) fn sizes() -> Vec<usize> {
    const ALL: [usize; 4] = [1_000, 10_000, 100_000, 200_000];
    match std::env::var("ZHONGKONG_BENCH_KEYS") {
        Ok(text) => text.split(',').filter_map(|size| size.trim().parse().ok()).collect(),
        Err(_) if std::env::var_os("ZHONGKONG_BENCH_QUICK").is_some_and(|value| value != "0") => {
            ALL[..2].to_vec()
        }
        Err(_) => ALL.to_vec(),
    }
}

/// A simulated WeChat that grants any number of calls, on a free port of this machine.
pub(crate) struct Upstream {
    pub(crate) control: Control,
    pub(crate) base: String,
    _serving: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let limits = Limits {
            classic_daily: u32::MAX,
            stable_daily: u32::MAX,
            stable_per_minute: u32::MAX,
            ..Limits::default()
        };
        let simulator = Simulator::new(simulator::Settings { limits, ..simulator::Settings::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let control = simulator.control();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = simulator.serve(listener, CancellationToken::new()).await {
                eprint_line(&format!("the simulator ended: {error}"));
            }
        });
        Ok(Self { control, base, _serving: serving })
    }
}

/// A hub with its refreshers running.
pub(crate) struct Engine {
    pub(crate) hub: Arc<Hub>,
    pub(crate) running: JoinSet<()>,
    pub(crate) stop: CancellationToken,
}

impl Engine {
    /// The refreshers of these accounts, knowing what the ledger knows.
    pub(crate) async fn start(
        base: &str,
        clock: &Clock,
        ledger: Arc<dyn Ledger>,
        accounts: Vec<AccountSettings>,
    ) -> anyhow::Result<Self> {
        let around = surroundings(base, clock, ledger)?;
        let (hub, tasks) = Hub::build(around, accounts).await?;
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(tasks.run(stop.clone()));
        Ok(Self { hub, running, stop })
    }

    /// Waits until every key has a value.
    pub(crate) async fn warm(&self) -> anyhow::Result<()> {
        for handle in self.hub.keys() {
            handle.wait(Duration::from_secs(60)).await.with_context(|| format!("{}", handle.key()))?;
        }
        Ok(())
    }
}

/// What the refreshers share.
pub(crate) fn surroundings(
    base: &str,
    clock: &Clock,
    ledger: Arc<dyn Ledger>,
) -> anyhow::Result<Arc<Surroundings>> {
    let settings = wechat::Settings {
        api_base: base.parse()?,
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        proxy: None,
    };
    let wechat = WeChat::new(&settings)?;
    Ok(Arc::new(Surroundings { clock: clock.clone(), wechat, ledger, gate: Gate::new(IN_FLIGHT) }))
}

/// The appid with this number.
pub(crate) fn appid(number: usize) -> AppId {
    format!("wx{number:016x}").parse().expect("hexadecimal digits make an appid")
}

/// So many accounts of one mode, with these tickets.
pub(crate) fn accounts(count: usize, token_mode: TokenMode, tickets: &[Kind]) -> Vec<AccountSettings> {
    let account = |number| AccountSettings {
        appid: appid(number),
        name: None,
        secret: Secret::from("0123456789abcdef0123456789abcdef".to_owned()),
        token_mode,
        tickets: tickets.to_vec(),
        // The benches ask more often than any day allows.
        daily_calls: 10_000_000,
    };
    (0..count).map(account).collect()
}

/// What an issuing call of this age leaves in the ledger: the call and its value.
pub(crate) fn issued(clock: &Clock, key: &Key, mode: CallMode, age: Duration) -> (Call, StoredValue) {
    let call = call(clock, key, mode, age);
    // As long as real ones.
    let value = Secret::from(format!("{:0>136}", format!("{}{}", key.appid, key.kind)));
    let stored = StoredValue {
        fingerprint: Fingerprint::of(&value),
        value,
        generation: call.attempt,
        mode,
        issued: call.sent.clone(),
        confirmed: call.sent.clone(),
        life: LIFE,
        verify_at: None,
        age_known: true,
        dead: false,
    };
    (call, stored)
}

/// An upstream call of this age.
pub(crate) fn call(clock: &Clock, key: &Key, mode: CallMode, age: Duration) -> Call {
    let sent: Stamp = clock.stamp_of(clock.boot() - age);
    let attempt = Generation(u64::try_from(sent.wall.seconds()).unwrap_or(1));
    Call { key: key.clone(), attempt, mode, cause: Cause::Deadline, sent }
}

/// A number in 0..1 that looks random and is the same in every run.
pub(crate) fn fraction(number: usize) -> f64 {
    // The golden ratio spreads consecutive numbers evenly.
    #[expect(clippy::cast_precision_loss, reason = "numbers of keys are small")]
    let turned = number as f64 * 0.618_033_988_749_894_9;
    turned.fract()
}

#[expect(clippy::print_stderr, reason = "a bench talks to a terminal")]
fn eprint_line(line: &str) {
    eprintln!("{line}");
}
