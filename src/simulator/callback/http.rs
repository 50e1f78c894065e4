//! One request on one connection of its own, by hand: WeChat gives up in the middle, and so must we.
//!
//! No proxy, no redirect, no second try. Dropping the future closes the connection. With https the
//! certificate is checked as WeChat checks it: against the authorities of the system.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::request::{Pace, Request};
use crate::simulator::wire::split_chunks;

/// Longest answer that is read: a reply has some thousand bytes.
const LONGEST: usize = 1024 * 1024;
/// Most header lines.
const HEADERS: usize = 100;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// As the callback says.
    pub content_type: String,
    /// To the byte.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    #[error("the answer is longer than a million bytes")]
    TooLong,
}

/// Sends it and reads the answer, for as long as that takes.
pub(super) async fn exchange(request: &Request) -> Result<RawAnswer, HttpError> {
    let url = &request.url;
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await.map_err(HttpError::Connect)?;
    // One request, one answer: waiting to fill a packet only delays.
    let _ = stream.set_nodelay(true);
    match url.scheme() {
        "https" => {
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| HttpError::Tls(other(error)))?;
            let stream = connector()?.connect(name, stream).await.map_err(HttpError::Tls)?;
            converse(stream, request).await
        }
        _ => converse(stream, request).await,
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

fn connector() -> Result<TlsConnector, HttpError> {
    let tls = |error: rustls::Error| HttpError::Tls(other(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(rustls::ConfigBuilder::with_platform_verifier)
        .map_err(tls)?
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &Request,
) -> Result<RawAnswer, HttpError> {
    let body = match request.pace {
        Pace::AtOnce => request.body.as_slice(),
        Pace::Half => request.body.split_at(request.body.len() / 2).0,
    };
    let mut bytes = head(request).into_bytes();
    bytes.extend_from_slice(body);
    // Who refuses a large body may close before it has read all: its answer is there to be read.
    let sent = stream.write_all(&bytes).await;
    let flushed = stream.flush().await;
    let mut answer = Vec::new();
    loop {
        if let Some(found) = whole(&answer, More::MayCome)? {
            return Ok(found);
        }
        if answer.len() > LONGEST {
            return Err(HttpError::TooLong);
        }
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                sent.and(flushed).map_err(HttpError::Broken)?;
                return Err(HttpError::Broken(error));
            }
        }
    }
    if answer.is_empty() {
        sent.and(flushed).map_err(HttpError::Broken)?;
        return Err(HttpError::Broken(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "closed without an answer",
        )));
    }
    let torn = || HttpError::Broken(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within the answer"));
    whole(&answer, More::Ended)?.ok_or_else(torn)
}

fn head(request: &Request) -> String {
    let Request { method, url, content_type, body, pace: _ } = request;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let about_body = match *method {
        "GET" => String::new(),
        _ => format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()),
    };
    format!(
        "{method} {}{query} HTTP/1.1\r\nHost: {}{port}\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nPragma: \
         no-cache\r\nConnection: close\r\n{about_body}\r\n",
        url.path(),
        url.host_str().unwrap_or_default(),
    )
}

#[derive(Clone, Copy)]
enum More {
    MayCome,
    Ended,
}

/// The answer in these bytes, if all of it is there.
fn whole(mut bytes: &[u8], more: More) -> Result<Option<RawAnswer>, HttpError> {
    // Any number of `100 Continue` may come first: in a loop, because each is the callback's choice.
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(HttpError::NotHttp),
        };
        let status = parsed.code.ok_or(HttpError::NotHttp)?;
        let rest = bytes.get(length..).unwrap_or_default();
        if status != 100 {
            return body(&parsed, status, rest, more);
        }
        bytes = rest;
    }
}

/// The answer with this head, if these bytes are all of its body.
fn body(
    parsed: &httparse::Response<'_, '_>,
    status: u16,
    rest: &[u8],
    more: More,
) -> Result<Option<RawAnswer>, HttpError> {
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).trim().to_owned())
    };
    let body = if header("transfer-encoding").is_some() {
        split_chunks(rest).map_err(|_| HttpError::NotHttp)?.map(|(body, _)| body)
    } else if status == 204 || status == 304 {
        Some(Vec::new())
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| HttpError::NotHttp)?;
        if length > LONGEST {
            return Err(HttpError::TooLong);
        }
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        match more {
            More::MayCome => None,
            More::Ended => Some(rest.to_vec()),
        }
    };
    let content_type = header("content-type").unwrap_or_default();
    Ok(body.map(|body| RawAnswer { status, content_type, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_whole_by_its_length_its_chunks_or_the_end() {
        let body = |bytes: &[u8], more| whole(bytes, more).unwrap().map(|answer| answer.body);
        let known = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess";
        assert_eq!(body(known, More::MayCome).unwrap(), b"success");
        assert_eq!(body(known.split_last().unwrap().1, More::Ended), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(body(chunked, More::MayCome).unwrap(), b"abc");
        let open = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc";
        assert_eq!(body(open, More::MayCome), None);
        assert_eq!(whole(open, More::Ended).unwrap().unwrap().content_type, "text/plain");
        let late = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(whole(late, More::MayCome).unwrap().unwrap().status, 403);
        let many = [b"HTTP/1.1 100 Continue\r\n\r\n".repeat(40_000), known.to_vec()].concat();
        assert_eq!(body(&many, More::MayCome).unwrap(), b"success");
        assert!(matches!(whole(b"SSH-2.0-OpenSSH\r\n", More::MayCome), Err(HttpError::NotHttp)));
    }
}
