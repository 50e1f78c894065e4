//! Pushes in safe mode over HTTP, beside a bare axum handler that does only the crypto.
//!
//! Servers are processes of their own on the first core, the load is on the second, and the two
//! are measured alternately. Every push is another message; they are made before a round, so that
//! making them costs no round anything.
//!
//! What a push costs a server's process in CPU time is told, too: on a machine that does other
//! things as well, a rate is what those leave.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhongkong::clock::Clock;
use zhongkong::http::{self, Limits};

use crate::support::callback::{Bare, Push, Service};
use crate::table::{row, spread, title};
use crate::watchers::{pin, say, spawn_on_first_core};

const ROUNDS: usize = 7;
const PUSHES: usize = 100_000;
const CONNECTIONS: usize = 64;

pub(crate) fn run() -> anyhow::Result<()> {
    title("Pushes in safe mode over HTTP, server and load on a core each");
    let (mut bare, bare_addr) = spawn_on_first_core("callback-server", "bare")?;
    let (mut ours, our_addr) = spawn_on_first_core("callback-server", "ours")?;
    pin("1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let crypto = Bare::new()?;
    let (mut ratios, mut cheaper, mut number) = (Vec::new(), Vec::new(), 0);
    let (mut rates, mut costs): ([Vec<f64>; 2], [Vec<f64>; 2]) = Default::default();
    let mut spans: [Vec<Duration>; 2] = Default::default();
    for round in 0..ROUNDS {
        let (mut both, mut cost) = ([0.0; 2], [0.0; 2]);
        // Each goes first in every other round.
        for index in [round % 2, (round + 1) % 2] {
            let now = Clock::system().wall().seconds();
            let requests: Vec<Vec<u8>> =
                (number..).take(PUSHES).map(|number| request(&crypto.push(number, now))).collect();
            number += PUSHES as u64;
            let server = [&bare, &ours][index];
            let before = cpu(server)?;
            let (took, mut each) = runtime.block_on(load([&bare_addr, &our_addr][index], requests))?;
            #[expect(clippy::cast_precision_loss, reason = "a hundred thousand")]
            let pushes = each.len() as f64;
            both[index] = pushes / took.as_secs_f64();
            cost[index] = cpu(server)?.saturating_sub(before).as_secs_f64() * 1e6 / pushes;
            rates[index].push(both[index]);
            costs[index].push(cost[index]);
            spans[index].append(&mut each);
        }
        ratios.push(both[1] / both[0]);
        cheaper.push(cost[0] / cost[1]);
    }
    for (index, name) in ["axum with bare crypto", "zhongkong"].into_iter().enumerate() {
        let ([_, rate, _], [_, cost, _]) = (middle(&mut rates[index]), middle(&mut costs[index]));
        row(
            &format!("{name}, {CONNECTIONS} connections"),
            format!("{rate:.0} /s  {}", spread(&mut spans[index])),
            "",
        );
        row("  CPU time of its process a push", format!("{cost:.1} µs"), "");
    }
    for (name, mut ratios) in [("rate, zhongkong / bare", ratios), ("CPU time, bare / zhongkong", cheaper)] {
        let [low, middle, high] = middle(&mut ratios);
        row(&format!("  {name}"), format!("{middle:.2} ({low:.2} to {high:.2})"), "0.80");
    }
    for child in [&mut bare, &mut ours] {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// The least, the middle one and the greatest.
fn middle(rounds: &mut [f64]) -> [f64; 3] {
    rounds.sort_unstable_by(f64::total_cmp);
    [0, ROUNDS / 2, ROUNDS - 1].map(|place| rounds[place])
}

/// The CPU time of a process so far, of all its threads.
fn cpu(process: &Child) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", process.id()))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn request(push: &Push) -> Vec<u8> {
    let head = format!(
        "POST /wechat/shop?{} HTTP/1.1\r\nHost: wx.example.com\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        push.query,
        push.body.len()
    );
    [head.as_bytes(), &push.body].concat()
}

/// Sends every request once; how long all of them took, and each.
pub(crate) async fn load(addr: &str, requests: Vec<Vec<u8>>) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let requests = Arc::new(requests);
    let mut callers = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begun = Instant::now();
    for (first, stream) in streams.into_iter().enumerate() {
        callers.spawn(caller(stream, requests.clone(), first));
    }
    let mut all = Vec::new();
    while let Some(took) = callers.join_next().await {
        all.append(&mut took??);
    }
    Ok((begun.elapsed(), all))
}

async fn caller(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut buffer = Vec::with_capacity(4_096);
    for request in requests.iter().skip(first).step_by(CONNECTIONS) {
        let sent = Instant::now();
        stream.write_all(request).await?;
        buffer.clear();
        let (head, length) = loop {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server hung up");
            if let Some(found) = head_of(&buffer)? {
                break found;
            }
        };
        while buffer.len() < head + length {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server hung up");
        }
        anyhow::ensure!(length > 300, "that is no reply: {}", String::from_utf8_lossy(&buffer));
        took.push(sent.elapsed());
    }
    Ok(took)
}

/// Where the head ends, and how long the body is.
fn head_of(answer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(answer)? else { return Ok(None) };
    anyhow::ensure!(parsed.code == Some(200), "{}", String::from_utf8_lossy(answer));
    let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without a length")?;
    Ok(Some((head, str::from_utf8(length.value)?.parse()?)))
}

/// A server as a process of its own; prints its address and serves until it is killed.
pub(crate) fn serve(which: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.to_string());
        if which == "bare" {
            let crypto = Arc::new(Bare::new()?);
            let answer = move |RawQuery(query): RawQuery, body: Bytes| {
                let answer = crypto.answer(&query.unwrap_or_default(), &body);
                std::future::ready(match answer {
                    Some(answer) => {
                        ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], answer).into_response()
                    }
                    None => StatusCode::FORBIDDEN.into_response(),
                })
            };
            let router = Router::new().route("/wechat/shop", post(answer));
            axum::serve(listener, router).await?;
            return Ok(());
        }
        let clock = Clock::system();
        let service = Service::new(&clock)?;
        let limits = Limits {
            listener: "bench",
            connections: 1_024,
            head: Duration::from_secs(60),
            body: Duration::from_secs(5),
            buffer: 64 * 1_024,
            taking: Duration::from_secs(30),
            drain: Duration::from_secs(1),
        };
        http::serve(listener, service.door(&clock)?.router(), limits, CancellationToken::new()).await;
        Ok(())
    })
}
