//! A simulated day of the real engine: real sockets, the simulator, a frozen clock.
//!
//! The clock moves second by second, and only when every refresher has done what was due. So few
//! keys that chance counts: what many would do is in `day`.

use std::sync::Arc;
use std::time::Duration;

use zhongkong::clock::{BootTime, Clock, WallTime};
use zhongkong::ledger::Ledger as _;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{CallMode, Key, Kind, TokenMode};
use zhongkong::refresh::handle::Handle;
use zhongkong::refresh::view::Next;
use zhongkong::simulator::Endpoint;

use crate::day::busiest;
use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::{Engine, LIFE, Upstream, accounts, appid, fraction, issued};

const KEYS: usize = 4_000;
const DAY: u32 = 86_400;

pub(crate) fn run() -> anyhow::Result<Findings> {
    let keys = effort::count(KEYS);
    let mut found =
        Findings::new("A day of the engine: upstream calls a minute (frozen clock, simulated WeChat)");
    for (mode, start) in [
        (TokenMode::Classic, Start::Spread),
        (TokenMode::Classic, Start::Cold),
        (TokenMode::Stable, Start::Spread),
        (TokenMode::Stable, Start::Cold),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let minutes = runtime.block_on(day(keys, mode, start))?;
        let (most, mean) = busiest(&minutes);
        let name = mode.as_str();
        let from = match start {
            Start::Spread => "from a spread ledger",
            Start::Cold => "after a cold start",
        };
        let times =
            |what: String, times: f64| Measurement::new(&what, Unit::Times).at(keys, "keys").ours([times]);
        found.add(match mode {
            TokenMode::Classic => {
                times(format!("{name}, {from}: busiest minute ÷ mean"), f64::from(most) / mean)
            }
            TokenMode::Stable => {
                #[expect(clippy::cast_precision_loss, reason = "4,000")]
                let share = f64::from(most) / keys as f64;
                times(format!("{name}, {from}: busiest minute ÷ keys"), share).goal(Bound::AtMost(0.35))
            }
        });
        let calls = f64::from(minutes.iter().sum::<u32>());
        let what = format!("{name}, {from}: calls in the day");
        found.add(Measurement::new(&what, Unit::Count).at(keys, "keys").ours([calls]));
    }
    Ok(found)
}

#[derive(Clone, Copy)]
enum Start {
    Spread,
    Cold,
}

/// Calls of each minute of a day, the first attempts of a cold start not counted.
async fn day(keys: usize, mode: TokenMode, start: Start) -> anyhow::Result<Vec<u32>> {
    tokio::time::pause();
    // A blocking task keeps tokio from moving the clock by itself while sockets are quiet.
    let (_no_jump, ended) = std::sync::mpsc::channel::<()>();
    drop(tokio::task::spawn_blocking(move || ended.recv()));

    let upstream = Upstream::start().await?;
    let clock = Clock::manual(WallTime(1_700_000_000_000), BootTime(1_000_000_000), "bench");
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    let (endpoint, call_mode) = match mode {
        TokenMode::Classic => (Endpoint::Token, CallMode::Classic),
        TokenMode::Stable => (Endpoint::StableToken, CallMode::Stable),
    };
    if let Start::Spread = start {
        for number in 0..keys {
            let age = LIFE.mul_f64(fraction(number) * 2.0 / 3.0);
            let (call, value) = issued(&clock, &Key::new(appid(number), Kind::AccessToken), call_mode, age);
            ledger.commit(&call, &value).await?;
        }
    }
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts(keys, mode, &[])).await?;
    let handles = engine.hub.keys();
    engine.warm().await?;
    settle(&clock, &handles).await;
    let mut seen = upstream.control.count_all(endpoint);
    let mut minutes = vec![0_u32; 24 * 60];
    for second in 0..DAY {
        tokio::time::advance(Duration::from_secs(1)).await;
        settle(&clock, &handles).await;
        let count = upstream.control.count_all(endpoint);
        minutes[usize::try_from(second / 60)?] += u32::try_from(count - seen)?;
        seen = count;
    }
    Ok(minutes)
}

/// Waits until nothing is due any more at this standstill of the clock.
async fn settle(clock: &Clock, handles: &[Handle]) {
    // tokio's timers round up to a millisecond: what is due in this one waits for the next second.
    let now = clock.boot() - Duration::from_millis(5);
    for handle in handles {
        loop {
            let view = handle.view();
            if !view.refreshing && matches!(view.next, Next::At(at) if at > now) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
