//! Many watchers: from the ledger's commit in one process to the message in another.
//!
//! The server is this program again, held on the first core; the watchers are on the second.
//! Both read CLOCK_MONOTONIC, which all processes of a machine share. A message's time is that at
//! which its last byte was read from the socket.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::{Clock, Stamp};
use zhongkong::grpc::{Listener, Readiness, Server, settings};
use zhongkong::ledger::memory::MemoryLedger;
use zhongkong::ledger::{
    AuditEntry, AuditPage, AuditQuery, Call, CallEnd, Committed, Event, Ledger, LedgerError, Record,
    StoredValue,
};
use zhongkong::model::{AppId, Generation, Key, Kind, TokenMode};
use zhongkong::pb;
use zhongkong::refresh::handle::Force;

use crate::caller::Talk as _;
use crate::grpc::{TOKEN, grpc_settings};
use crate::h2::{Grpc, frames};
use crate::pinned::{self, Pinned, say};
use crate::report::{Bound, Findings, Measurement, Plot, Unit, effort};
use crate::support::{Engine, Upstream, accounts, appid};
use crate::table::at_share;

const CONNECTIONS: usize = 16;
/// Watchers, commits of a round, milliseconds between two, and the most that the p99 may be.
const SIZES: [(usize, usize, u64, f64); 2] = [(1_000, 40, 50, 0.015), (10_000, 10, 400, 0.150)];
const ROUNDS: usize = 7;
const TO_ONE: &str = "p99 of the messages";
const TO_LAST: &str = "to the last of the watchers, median commit";

/// A generation and when it was there.
type Seen = (u64, u64);

/// The watchers' side.
pub(crate) fn run() -> anyhow::Result<Findings> {
    let runtime = pinned::load()?;
    let mut found = Findings::new("From a commit to its watchers, over 16 connections");
    for (watchers, commits, apart, most) in SIZES {
        let rounds = effort::rounds(ROUNDS);
        let arguments = [(commits * rounds).to_string(), apart.to_string()];
        let (mut server, addr) = Pinned::server("watch-server", &[&arguments[0], &arguments[1]])?;
        let (mut go, lines) = server.talk()?;
        let received = runtime
            .block_on(watch_all(&addr, watchers, || go.write_all(b"go\n").context("the server is gone")))?;
        let committed = lines
            .map(|line| {
                let line = line?;
                let (generation, at) = line.split_once(' ').context("a generation and a time")?;
                Ok((generation.parse()?, at.parse()?))
            })
            .collect::<anyhow::Result<Vec<Seen>>>()?;
        anyhow::ensure!(committed.len() == commits * rounds, "{} commits", committed.len());
        let mut late: HashMap<u64, Vec<Duration>> = HashMap::new();
        let times: HashMap<u64, u64> = committed.iter().copied().collect();
        for (generation, at) in received {
            let Some(then) = times.get(&generation) else { continue };
            late.entry(generation).or_default().push(Duration::from_nanos(at.saturating_sub(*then)));
        }
        let (mut p50s, mut p99s, mut lasts, mut arrived) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for round in committed.chunks(commits) {
            let messages: Vec<&Vec<Duration>> =
                round.iter().filter_map(|(generation, _)| late.get(generation)).collect();
            let mut last: Vec<Duration> =
                messages.iter().filter_map(|each| each.iter().max().copied()).collect();
            let mut all: Vec<Duration> = messages.into_iter().flatten().copied().collect();
            all.sort_unstable();
            last.sort_unstable();
            arrived += all.len();
            p50s.push(at_share(&all, 0.5).as_secs_f64());
            p99s.push(at_share(&all, 0.99).as_secs_f64());
            lasts.push(at_share(&last, 0.5).as_secs_f64());
        }
        let missing = commits * rounds * watchers - arrived;
        if missing > 0 {
            found.note(format!(
                "{missing} messages did not arrive at {watchers} watchers: the times are of those that did, and are too short."
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "below a million")]
        let missing = missing as f64;
        let measured =
            |what, rounds| Measurement::new(what, Unit::Seconds).at(watchers, "watchers").ours(rounds);
        found.add(measured("p50 of the messages", p50s));
        found.add(measured(TO_ONE, p99s).goal(Bound::Below(most)));
        found.add(measured(TO_LAST, lasts));
        found.add(
            Measurement::new("messages that did not arrive", Unit::Count)
                .at(watchers, "watchers")
                .ours([missing])
                .goal(Bound::Exactly(0.0)),
        );
    }
    found.plot(Plot::bars("watch", "From a commit to its watchers", [TO_ONE, TO_LAST]));
    Ok(found)
}

async fn watch_all(
    addr: &str,
    watchers: usize,
    go: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Seen>> {
    let (ready, mut watching) = watch::channel(0_usize);
    let mut connections = JoinSet::new();
    for number in 0..CONNECTIONS {
        let share = watchers / CONNECTIONS + usize::from(number < watchers % CONNECTIONS);
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        connections.spawn(connection(stream, share, ready.clone()));
    }
    drop(ready);
    watching.wait_for(|count| *count == watchers).await.context("a connection ended")?;
    go()?;
    let mut received = Vec::new();
    while let Some(seen) = connections.join_next().await {
        received.append(&mut seen??);
    }
    Ok(received)
}

/// So many watches of one connection: the generations that each was told, and when. Ends with the
/// server.
async fn connection(
    mut stream: TcpStream,
    watches: usize,
    ready: watch::Sender<usize>,
) -> anyhow::Result<Vec<Seen>> {
    use pb::watch_tokens_response::Event;
    let key = pb::Key { appid: appid(0).to_string(), kind: pb::Kind::AccessToken.into() };
    let asked = pb::WatchTokensRequest { keys: vec![key], ..pb::WatchTokensRequest::default() };
    let mut talk = Grpc::new("/zhongkong.v1.TokenControl/WatchTokens", TOKEN, asked.encode_to_vec(), 0);
    let (mut input, mut out) = (Vec::with_capacity(1 << 20), Vec::new());
    talk.hello(&mut out);
    for _ in 0..watches {
        talk.call(&mut out);
    }
    let mut parts: HashMap<u32, (Vec<u8>, u64)> = HashMap::new();
    let mut seen = Vec::new();
    loop {
        stream.write_all(&out).await?;
        out.clear();
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return Ok(seen),
            Ok(_) => {}
        }
        let now = monotonic();
        let mut ended = false;
        let whole = frames(&input, &mut out, |frame| {
            let (bytes, latest) = parts.entry(frame.stream).or_default();
            bytes.extend_from_slice(frame.data());
            while let Some(message) = message(bytes)? {
                match message.event {
                    Some(Event::Token(token)) if token.generation > *latest => {
                        *latest = token.generation;
                        seen.push((token.generation, now));
                    }
                    Some(Event::SnapshotComplete(_)) => ready.send_modify(|count| *count += 1),
                    _ => {}
                }
            }
            ended |= frame.is_last();
            Ok(())
        })?;
        input.drain(..whole);
        // The server stops; whatever else was on its way has come before.
        if ended {
            return Ok(seen);
        }
    }
}

/// Takes a whole message from the front.
fn message(bytes: &mut Vec<u8>) -> anyhow::Result<Option<pb::WatchTokensResponse>> {
    const HEAD: usize = 5;
    let Some([0, a, b, c, d]) = bytes.get(..HEAD) else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d]))?;
    let Some(text) = bytes.get(HEAD..HEAD + length) else { return Ok(None) };
    let message = pb::WatchTokensResponse::decode(text)?;
    bytes.drain(..HEAD + length);
    Ok(Some(message))
}

/// The server's side: prints its address, waits for a line, then each commit with its time.
pub(crate) fn serve(commits: usize, apart: Duration) -> anyhow::Result<()> {
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
        say(&addr.to_string());
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;

        ledger.commits().clear();
        let handle = engine.hub.handle(appid(0).as_str(), Kind::AccessToken).context("one account")?;
        let mut tick = tokio::time::interval(apart);
        for _ in 0..commits {
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
