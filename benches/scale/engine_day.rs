//! A simulated day of the real engine: 4,000 keys, real sockets, the simulator, a frozen clock.
//!
//! The clock moves second by second, and only when every refresher has done what was due.

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
use crate::support::{Engine, LIFE, Upstream, accounts, appid, fraction, issued};
use crate::table::{row, title};

const KEYS: usize = 4_000;
const DAY: u32 = 86_400;

pub(crate) fn run() -> anyhow::Result<()> {
    title("A day of the engine, 4,000 keys (frozen clock, simulated WeChat)");
    for (mode, spread) in [
        (TokenMode::Classic, true),
        (TokenMode::Classic, false),
        (TokenMode::Stable, true),
        (TokenMode::Stable, false),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let minutes = runtime.block_on(day(mode, if spread { Start::Spread } else { Start::Cold }))?;
        let (most, mean) = busiest(&minutes);
        let start = if spread { "from a spread ledger" } else { "after a cold start" };
        let name = mode.as_str();
        match mode {
            TokenMode::Classic => row(
                &format!("{name}, {start}: busiest minute / mean"),
                format!("{:.2} ({most} / {mean:.2})", f64::from(most) / mean),
                "",
            ),
            TokenMode::Stable => row(
                &format!("{name}, {start}: busiest minute / keys"),
                format!("{:.3} ({most}, mean {mean:.2})", f64::from(most) / 4_000.0),
                "<= 0.350",
            ),
        }
        row("  calls in the day", minutes.iter().sum::<u32>(), "");
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Start {
    Spread,
    Cold,
}

/// Calls of each minute of a day, the first attempts of a cold start not counted.
async fn day(mode: TokenMode, start: Start) -> anyhow::Result<Vec<u32>> {
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
        for number in 0..KEYS {
            let age = LIFE.mul_f64(fraction(number) * 2.0 / 3.0);
            let (call, value) = issued(&clock, &Key::new(appid(number), Kind::AccessToken), call_mode, age);
            ledger.commit(&call, &value).await?;
        }
    }
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts(KEYS, mode, &[])).await?;
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
