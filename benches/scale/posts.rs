//! A closed loop of HTTP/1.1 requests over plain sockets: each request once, over 64 connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CONNECTIONS: usize = 64;
/// Of a good answer's body, in bytes.
const LEAST: usize = 300;

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
        let (head, body) = loop {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server hung up");
            if let Some(found) = head_of(&buffer)? {
                break found;
            }
        };
        while !body.is_whole(&buffer[head..]) {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server hung up");
        }
        let length = buffer.len() - head;
        anyhow::ensure!(length > LEAST, "that is no reply: {}", String::from_utf8_lossy(&buffer));
        took.push(sent.elapsed());
    }
    Ok(took)
}

/// How an answer says where its body ends.
enum Body {
    Length(usize),
    Chunks,
}

impl Body {
    /// Nothing follows it: the next request is not sent before.
    fn is_whole(&self, body: &[u8]) -> bool {
        match self {
            Self::Length(length) => body.len() >= *length,
            Self::Chunks => body.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// Where the head ends, and what the body is.
fn head_of(answer: &[u8]) -> anyhow::Result<Option<(usize, Body)>> {
    let mut headers = [httparse::EMPTY_HEADER; 24];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(answer)? else { return Ok(None) };
    anyhow::ensure!(parsed.code == Some(200), "{}", String::from_utf8_lossy(answer));
    let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = match length {
        Some(length) => Body::Length(str::from_utf8(length.value)?.parse()?),
        None => Body::Chunks,
    };
    Ok(Some((head, body)))
}
