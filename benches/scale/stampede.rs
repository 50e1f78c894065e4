//! Ten thousand callers at once: complaints about one dead token, readers when a value ends while its
//! renewal hangs, and reads during a refresh.
//!
//! A caller holds a dead token when what it was given is one that WeChat, which is the simulator,
//! does not take.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::grpc::settings::Listen;
use zhongkong::grpc::{Listener, Readiness, Server};
use zhongkong::ledger::Ledger as _;
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::model::{CallMode, ErrCode, Key, Kind, TokenMode};
use zhongkong::pb;
use zhongkong::pb::token_control_client::TokenControlClient;
use zhongkong::refresh::handle::{Force, Handle, Outcome};
use zhongkong::simulator::{self, Endpoint, Fault, Script};

use crate::grpc::{grpc_settings, request};
use crate::report::{Bound, Findings, Measurement, Unit, effort};
use crate::support::{Engine, LIFE, Upstream, accounts, appid, issued};
use crate::table::quantile;

const CALLERS: usize = 10_000;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;
/// Readers come this long before a value ends.
const BEFORE: Duration = Duration::from_secs(2);

pub(crate) async fn run() -> anyhow::Result<Findings> {
    let mut found = Findings::new("10,000 callers of one key at once");
    for mode in [TokenMode::Classic, TokenMode::Stable] {
        let rounds = several(async || complaints(mode).await).await?;
        let name = format!("complaints about a dead {} token", mode.as_str());
        tell(&mut found, &name, "WeChat's answer to the probe", &rounds);
    }
    let rounds = several(expiry).await?;
    tell(&mut found, "readers over gRPC when a value ends", "WeChat's answer", &rounds);
    let rounds = several(readers).await?;
    let of = |share| {
        rounds.iter().map(|took| quantile(&mut took.clone(), share).as_secs_f64()).collect::<Vec<_>>()
    };
    for (what, share) in [("p50", 0.5), ("p99.9", 0.999), ("the slowest", 1.0)] {
        let what = format!("readers during a refresh, time of a read: {what}");
        found.add(Measurement::new(&what, Unit::Seconds).ours(of(share)));
    }
    Ok(found)
}

async fn several<T>(one: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let mut rounds = Vec::new();
    for _ in 0..effort::rounds(ROUNDS) {
        rounds.push(one().await?);
    }
    Ok(rounds)
}

/// What ten thousand callers led to.
struct Stampede {
    issuing_calls: u64,
    probes: u64,
    hold_a_dead_token: usize,
    all_answered: Duration,
}

fn tell(found: &mut Findings, name: &str, from: &str, rounds: &[Stampede]) {
    #[expect(clippy::cast_precision_loss, reason = "ten thousand")]
    let count =
        |of: &dyn Fn(&Stampede) -> u64| rounds.iter().map(|round| of(round) as f64).collect::<Vec<_>>();
    let add = |found: &mut Findings, what: &str, rounds: Vec<f64>, goal: Option<Bound>| {
        let measurement = Measurement::new(&format!("{name}: {what}"), Unit::Count).ours(rounds);
        found.add(if let Some(goal) = goal { measurement.goal(goal) } else { measurement });
    };
    add(found, "calls that issue a token", count(&|round| round.issuing_calls), Some(Bound::Exactly(1.0)));
    add(
        found,
        "callers that hold a dead token afterwards",
        count(&|round| round.hold_a_dead_token as u64),
        Some(Bound::Exactly(0.0)),
    );
    add(found, "probes", count(&|round| round.probes), None);
    let spans: Vec<f64> = rounds.iter().map(|round| round.all_answered.as_secs_f64()).collect();
    let what = format!("{name}: all answered, from {from}");
    found.add(Measurement::new(&what, Unit::Seconds).ours(spans));
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

async fn complaints(mode: TokenMode) -> anyhow::Result<Stampede> {
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
    let mut given = Vec::with_capacity(CALLERS);
    while let Some(answer) = callers.join_next().await {
        let answer = answer??;
        match answer.outcome {
            Outcome::Refreshed | Outcome::AlreadyReplaced => given.push(answer.good.value.secret.clone()),
            other => anyhow::bail!("a complaint ended as {other:?}"),
        }
    }
    let all_answered = begun.elapsed();
    Ok(Stampede {
        issuing_calls: upstream.control.count_all(endpoint) - before,
        probes: upstream.control.count_all(Endpoint::ApiDomainIp) - probes,
        hold_a_dead_token: given.iter().filter(|value| !upstream.control.alive(value.expose())).count(),
        all_answered,
    })
}

/// A value that ends while WeChat does not answer, with ten thousand calls waiting for the next.
async fn expiry() -> anyhow::Result<Stampede> {
    let upstream = Upstream::start().await?;
    upstream.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let clock = Clock::system();
    let ledger = Arc::new(MemoryLedger::new(clock.clone()));
    let key = Key::new(appid(0), Kind::AccessToken);
    let (call, stored) = issued(&clock, &key, CallMode::Classic, LIFE.saturating_sub(BEFORE));
    ledger.commit(&call, &stored).await?;
    let ends = Instant::now() + BEFORE;
    let engine = Engine::start(&upstream.base, &clock, ledger, accounts(1, TokenMode::Classic, &[])).await?;
    upstream.control.wait_held(1).await;

    let (_ready, readiness) = watch::channel(Readiness::Ready);
    let server = Server::new(&grpc_settings(), engine.hub.clone(), readiness)?;
    let listener = Listener::bind(&Listen::Tcp(([127, 0, 0, 1], 0).into())).await?;
    let addr = format!("http://{}", listener.tcp_addr().context("a TCP listener")?);
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(server.run(vec![listener], stop.clone()));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(TokenControlClient::connect(addr.clone()).await?);
    }
    let old = handle_of(&engine)?.read().context("the value has not ended yet")?.value.fingerprint;

    tokio::time::sleep_until(ends).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let mut client = clients[number % CONNECTIONS].clone();
        callers.spawn(async move {
            let asked = pb::GetTokenRequest {
                appid: appid(0).to_string(),
                kind: pb::Kind::AccessToken.into(),
                max_wait: Some(prost_types::Duration { seconds: 25, nanos: 0 }),
            };
            let answer = client.get_token(request(asked)).await?.into_inner();
            anyhow::Ok(answer.token.context("an empty answer")?.value)
        });
    }
    // The last of them are on their way to the server, which nobody but a clock can tell.
    tokio::time::sleep(Duration::from_secs(1)).await;
    anyhow::ensure!(callers.try_join_next().is_none(), "a reader was answered with nothing to answer");
    let begun = Instant::now();
    upstream.control.release();
    let mut given = Vec::with_capacity(CALLERS);
    while let Some(answer) = callers.join_next().await {
        given.push(answer??);
    }
    let all_answered = begun.elapsed();
    stop.cancel();
    anyhow::ensure!(handle_of(&engine)?.read()?.value.fingerprint != old, "nothing was replaced");
    Ok(Stampede {
        issuing_calls: upstream.control.count_all(Endpoint::Token),
        probes: upstream.control.count_all(Endpoint::ApiDomainIp),
        hold_a_dead_token: given.iter().filter(|value| !upstream.control.alive(value)).count(),
        all_answered,
    })
}

fn handle_of(engine: &Engine) -> anyhow::Result<Handle> {
    engine.hub.handle(appid(0).as_str(), Kind::AccessToken).context("one account")
}

/// How long each of ten thousand reads took while a refresh was under way.
async fn readers() -> anyhow::Result<Vec<Duration>> {
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
    Ok(took)
}
