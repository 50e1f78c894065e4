//! A closed loop over plain sockets: so many connections, so many calls in flight on each.
//!
//! Leaner than any client library, so that on equal cores the server is what is measured. A protocol
//! is told by a [`Talk`]: what is written for a call, and how many calls what was read has answered.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Not counted at the beginning of a round.
const WARM_UP: Duration = Duration::from_millis(200);

/// One connection's side of a protocol.
pub(crate) trait Talk: Send + 'static {
    /// What is written first, before any call.
    fn hello(&mut self, out: &mut Vec<u8>);
    /// Writes one call.
    fn call(&mut self, out: &mut Vec<u8>);
    /// Takes whole answers from the front of `input`; how many calls they end, in order. What has
    /// to be said to the server beside calls goes to `out`.
    fn take(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<usize>;
}

/// What a round of calls said.
pub(crate) struct Round {
    /// Calls a second.
    pub(crate) rate: f64,
    /// How long calls took, sorted.
    pub(crate) took: Vec<Duration>,
    /// With those of the warm-up.
    pub(crate) calls: usize,
}

/// Calls for so long over so many connections to `host:port` or `unix:/path`.
pub(crate) async fn calls<T: Talk>(
    addr: &str,
    talk: impl Fn() -> T,
    (connections, in_flight): (usize, usize),
    round: Duration,
) -> anyhow::Result<Round> {
    let begun = Instant::now() + WARM_UP;
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        if let Some(path) = addr.strip_prefix("unix:") {
            let stream = UnixStream::connect(path).await.context("the socket's file")?;
            callers.spawn(caller(stream, talk(), in_flight, begun, round));
        } else {
            let stream = TcpStream::connect(addr).await.with_context(|| addr.to_owned())?;
            stream.set_nodelay(true)?;
            callers.spawn(caller(stream, talk(), in_flight, begun, round));
        }
    }
    let (mut took, mut calls) = (Vec::new(), 0);
    while let Some(done) = callers.join_next().await {
        let (mut spans, all) = done??;
        took.append(&mut spans);
        calls += all;
    }
    took.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand calls")]
    let rate = took.len() as f64 / round.as_secs_f64();
    Ok(Round { rate, took, calls })
}

async fn caller(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    mut talk: impl Talk,
    in_flight: usize,
    begun: Instant,
    round: Duration,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let end = begun + round;
    let (mut took, mut calls) = (Vec::with_capacity(1 << 12), 0);
    let (mut input, mut out) = (Vec::with_capacity(1 << 16), Vec::with_capacity(1 << 12));
    let mut sent = VecDeque::with_capacity(in_flight);
    talk.hello(&mut out);
    let now = Instant::now();
    for _ in 0..in_flight {
        talk.call(&mut out);
        sent.push_back(now);
    }
    while !sent.is_empty() {
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        anyhow::ensure!(stream.read_buf(&mut input).await? > 0, "the server hung up");
        let done = talk.take(&mut input, &mut out)?;
        let now = Instant::now();
        for _ in 0..done {
            let sent = sent.pop_front().context("an answer to no call")?;
            calls += 1;
            if sent >= begun && now < end {
                took.push(now - sent);
            }
        }
        if now < end {
            for _ in 0..done {
                talk.call(&mut out);
                sent.push_back(now);
            }
        }
    }
    Ok((took, calls))
}

/// A text protocol in which all calls are the same and so are all answers: memcached's and Redis'.
pub(crate) struct Fixed {
    pub(crate) call: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Talk for Fixed {
    fn hello(&mut self, _: &mut Vec<u8>) {}

    fn call(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.call);
    }

    fn take(&mut self, input: &mut Vec<u8>, _: &mut Vec<u8>) -> anyhow::Result<usize> {
        let whole = input.len() / self.answer.len();
        for answer in input.chunks_exact(self.answer.len()) {
            anyhow::ensure!(answer == self.answer, "another answer: {}", String::from_utf8_lossy(answer));
        }
        input.drain(..whole * self.answer.len());
        Ok(whole)
    }
}
