//! Ten thousand callers at once: complaints about one dead token, and reads during a refresh.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{ErrCode, Kind, TokenMode};
use zhongkong::refresh::handle::{Force, Handle, Outcome};
use zhongkong::simulator::{self, Endpoint, Fault, Script};

use crate::support::{Engine, Upstream, accounts, appid};
use crate::table::{row, spread, title};

const CALLERS: usize = 10_000;

pub(crate) async fn run() -> anyhow::Result<()> {
    title("Stampede: 10,000 callers of one key");
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        complaints(mode).await?;
    }
    readers().await
}

struct One {
    upstream: Upstream,
    _engine: Engine,
    handle: Handle,
}

async fn one(mode: TokenMode) -> anyhow::Result<One> {
    let upstream = Upstream::start().await?;
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts(1, mode, &[])).await?;
    engine.warm().await?;
    let handle = engine.hub.handle(appid(0).as_str(), Kind::AccessToken).context("one account")?;
    Ok(One { upstream, _engine: engine, handle })
}

async fn complaints(mode: TokenMode) -> anyhow::Result<()> {
    let One { upstream, _engine, handle } = one(mode).await?;
    let (endpoint, kind) = match mode {
        TokenMode::Classic => (Endpoint::Token, simulator::Kind::Classic),
        TokenMode::Stable => (Endpoint::StableToken, simulator::Kind::Stable),
    };
    let dead = handle.read()?.value.fingerprint;
    let before = upstream.control.count_all(endpoint);
    let probes = upstream.control.count_all(Endpoint::ApiDomainIp);
    upstream.control.kill(appid(0).as_str(), kind);
    // WeChat's answer to the probe waits until every caller has complained.
    upstream.control.script(Script::once(Endpoint::ApiDomainIp, Fault::HoldAnswer));
    let complained = Arc::new(Semaphore::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (handle, complained) = (handle.clone(), complained.clone());
        callers.spawn(async move {
            complained.add_permits(1);
            handle.complain(Some(dead), ErrCode(40_001)).await
        });
    }
    let _all = complained.acquire_many(u32::try_from(CALLERS)?).await?;
    let begun = Instant::now();
    upstream.control.release();
    let (mut refreshed, mut replaced) = (0, 0);
    while let Some(answer) = callers.join_next().await {
        match answer??.outcome {
            Outcome::Refreshed => refreshed += 1,
            Outcome::AlreadyReplaced => replaced += 1,
            other => anyhow::bail!("a complaint ended as {other:?}"),
        }
    }
    let took = begun.elapsed();
    let name = mode.as_str();
    row(
        &format!("{name}: token calls for 10,000 complaints"),
        upstream.control.count_all(endpoint) - before,
        "1",
    );
    row(&format!("{name}: probes"), upstream.control.count_all(Endpoint::ApiDomainIp) - probes, "");
    row(
        &format!("{name}: all answered within, from the probe's answer"),
        format!("{took:?} ({refreshed} refreshed, {replaced} already replaced)"),
        "",
    );
    Ok(())
}

async fn readers() -> anyhow::Result<()> {
    let One { upstream, _engine, handle } = one(TokenMode::Classic).await?;
    upstream.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let refresh = {
        let handle = handle.clone();
        let mut refresh = JoinSet::new();
        refresh.spawn(async move { handle.force(Force::Once).await });
        refresh
    };
    upstream.control.wait_held(1).await;

    let mut readers = JoinSet::new();
    for _ in 0..CALLERS {
        let handle = handle.clone();
        readers.spawn(async move {
            let begun = Instant::now();
            let read = handle.read();
            (begun.elapsed(), read.is_ok())
        });
    }
    let mut took: Vec<Duration> = Vec::with_capacity(CALLERS);
    while let Some(read) = readers.join_next().await {
        let (span, good) = read?;
        anyhow::ensure!(good, "a reader got no value");
        took.push(span);
    }
    anyhow::ensure!(upstream.control.held() == 1, "the refresh ended too soon");
    upstream.control.release();
    refresh.join_all().await;
    row("readers during a refresh: time of read()", spread(&mut took), "none waits");
    Ok(())
}
