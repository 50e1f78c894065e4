//! A thousand watchers: from the ledger's commit in one process to the message in another.
//!
//! The server is this program again, held on the first core; the watchers are on the second.
//! Both read CLOCK_MONOTONIC, which all processes of a machine share.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use zhongkong::clock::{Clock, Stamp};
use zhongkong::grpc::{Listener, Readiness, Server, settings};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{
    AuditEntry, AuditPage, AuditQuery, Call, CallEnd, Committed, Event, Ledger, LedgerError, Record,
    StoredValue,
};
use zhongkong::model::{AppId, Generation, Key, Kind, TokenMode};
use zhongkong::pb;
use zhongkong::pb::token_control_client::TokenControlClient;
use zhongkong::refresh::handle::Force;

use crate::grpc::{grpc_settings, request};
use crate::support::{Engine, Upstream, accounts, appid};
use crate::table::{quantile, row, spread, title};

const CONNECTIONS: usize = 16;
const WATCHERS: usize = 1_000;
const COMMITS: usize = 200;
const APART: Duration = Duration::from_millis(50);

/// The watchers' side.
pub(crate) fn run() -> anyhow::Result<()> {
    title("Watch: 1,000 watchers over 16 connections, 200 commits 50 ms apart");
    let mut server = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe()?)
        .arg("watch-server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("taskset, of util-linux, is needed")?;
    pin("1")?;
    let mut lines = BufReader::new(server.stdout.take().context("piped")?).lines();
    let addr = lines.next().context("the server said nothing")??;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut go = server.stdin.take().context("piped")?;
    let received =
        runtime.block_on(watch_all(&addr, || go.write_all(b"go\n").context("the server is gone")))?;
    let mut commits = HashMap::new();
    for line in lines {
        let line = line?;
        let (generation, at) = line.split_once(' ').context("a generation and a time")?;
        commits.insert(generation.parse::<u64>()?, at.parse::<u64>()?);
    }
    server.wait()?;

    let mut late: Vec<Duration> = Vec::with_capacity(received.len());
    let mut last: HashMap<u64, Duration> = HashMap::new();
    for (generation, at) in received {
        let Some(committed) = commits.get(&generation) else { continue };
        let span = Duration::from_nanos(at.saturating_sub(*committed));
        late.push(span);
        let latest = last.entry(generation).or_default();
        *latest = span.max(*latest);
    }
    row("commits, messages", format!("{}, {}", commits.len(), late.len()), "");
    row("commit to watcher", spread(&mut late), "p99 < 20 ms");
    let mut last: Vec<Duration> = last.into_values().collect();
    row("commit to the last of the watchers, median commit", format!("{:?}", quantile(&mut last, 0.5)), "");
    Ok(())
}

async fn watch_all(addr: &str, go: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(Endpoint::from_shared(addr.to_owned())?.connect().await?);
    }
    let (ready, mut watching) = watch::channel(0_usize);
    let mut watchers = JoinSet::new();
    for number in 0..WATCHERS {
        watchers.spawn(one(channels[number % CONNECTIONS].clone(), ready.clone()));
    }
    watching.wait_for(|count| *count == WATCHERS).await?;
    go()?;
    let mut received = Vec::with_capacity(WATCHERS * COMMITS);
    while let Some(seen) = watchers.join_next().await {
        received.extend(seen??);
    }
    Ok(received)
}

/// One watcher: the generations that it was told, and when. Ends with the server.
async fn one(channel: Channel, ready: watch::Sender<usize>) -> anyhow::Result<Vec<(u64, u64)>> {
    use pb::watch_tokens_response::Event;
    let key = pb::Key { appid: appid(0).to_string(), kind: pb::Kind::AccessToken.into() };
    let asked = pb::WatchTokensRequest { keys: vec![key], ..pb::WatchTokensRequest::default() };
    let mut events = TokenControlClient::new(channel).watch_tokens(request(asked)).await?.into_inner();
    let mut seen = Vec::with_capacity(COMMITS);
    let mut latest = 0;
    while let Ok(Some(message)) = events.message().await {
        match message.event {
            Some(Event::Token(token)) if token.generation > latest => {
                latest = token.generation;
                seen.push((latest, monotonic()));
            }
            Some(Event::SnapshotComplete(_)) => ready.send_modify(|count| *count += 1),
            _ => {}
        }
    }
    Ok(seen)
}

/// The server's side: prints its address, waits for a line, then each commit with its time.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = Upstream::start().await?;
        let clock = Clock::system();
        let ledger = Arc::new(Timed {
            ledger: MemoryLedger::new(clock.clone()),
            commits: std::sync::Mutex::default(),
        });
        let engine =
            Engine::start(&upstream.base, &clock, ledger.clone(), accounts(1, TokenMode::Classic, &[]))
                .await?;
        engine.warm().await?;
        let (_ready, readiness) = watch::channel(Readiness::Ready);
        let server = Server::new(&grpc_settings(), engine.hub.clone(), readiness)?;
        let listener = Listener::bind(&settings::Listen::Tcp(([127, 0, 0, 1], 0).into())).await?;
        let addr = listener.tcp_addr().context("a TCP listener")?;
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(server.run(vec![listener], stop.clone()));
        say(&format!("http://{addr}"));
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;

        ledger.commits().clear();
        let handle = engine.hub.handle(appid(0).as_str(), Kind::AccessToken).context("one account")?;
        let mut tick = tokio::time::interval(APART);
        for _ in 0..COMMITS {
            tick.tick().await;
            handle.force(Force::Once).await?;
        }
        // The last messages are on their way; what is not there then counts as lost.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        serving.join_all().await;
        for (generation, at) in ledger.commits().iter() {
            say(&format!("{generation} {at}"));
        }
        anyhow::Ok(())
    })
}

/// A ledger that notes when each commit was done.
struct Timed {
    ledger: MemoryLedger,
    commits: std::sync::Mutex<Vec<(u64, u64)>>,
}

impl Timed {
    fn commits(&self) -> std::sync::MutexGuard<'_, Vec<(u64, u64)>> {
        self.commits.lock().expect("nobody panics while holding it")
    }
}

#[async_trait]
impl Ledger for Timed {
    async fn load(&self) -> Result<Vec<(Key, Record)>, LedgerError> {
        self.ledger.load().await
    }

    async fn load_key(&self, key: &Key) -> Result<Record, LedgerError> {
        self.ledger.load_key(key).await
    }

    async fn begin(&self, intent: &Call) -> Result<(), LedgerError> {
        self.ledger.begin(intent).await
    }

    async fn commit(&self, call: &Call, value: &StoredValue) -> Result<Committed, LedgerError> {
        let done = self.ledger.commit(call, value).await;
        self.commits().push((value.generation.0, monotonic()));
        done
    }

    async fn finish(&self, call: &Call, end: CallEnd) -> Result<(), LedgerError> {
        self.ledger.finish(call, end).await
    }

    async fn settle(&self, key: &Key, through: Generation) -> Result<(), LedgerError> {
        self.ledger.settle(key, through).await
    }

    async fn withdraw(&self, key: &Key, generation: Generation) -> Result<(), LedgerError> {
        self.ledger.withdraw(key, generation).await
    }

    async fn pause(&self, key: &Key, until: Option<Stamp>) -> Result<(), LedgerError> {
        self.ledger.pause(key, until).await
    }

    async fn record(&self, event: &Event) -> Result<(), LedgerError> {
        self.ledger.record(event).await
    }

    async fn events(&self, of: Option<&AppId>, limit: u32) -> Result<Vec<Event>, LedgerError> {
        self.ledger.events(of, limit).await
    }

    async fn append_audit(&self, entries: &[AuditEntry], max_rows: u32) -> Result<(), LedgerError> {
        self.ledger.append_audit(entries, max_rows).await
    }

    async fn audit(&self, asked: &AuditQuery) -> Result<AuditPage, LedgerError> {
        self.ledger.audit(asked).await
    }
}

fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap_or(0)
}

/// A server of this bench as a process of its own on the first core, and the address that it prints.
pub(crate) fn spawn_on_first_core(server: &str, which: &str) -> anyhow::Result<(Child, String)> {
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe()?)
        .args([server, which])
        .stdout(Stdio::piped())
        .spawn()
        .context("taskset, of util-linux, is needed")?;
    let mut addr = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut addr)?;
    Ok((child, addr.trim().to_owned()))
}

/// Holds this process on one core.
pub(crate) fn pin(core: &str) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset").args(["-a", "-c", "-p", core, &pid]).stdout(Stdio::null()).status()?;
    anyhow::ensure!(done.success(), "taskset could not hold this process on core {core}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is how the two processes talk")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
