//! HTTP/1.1 by hand on one socket, because the answers have to be wrong at will.
//!
//! A server library guards its callers from sending half an answer, a false
//! length or a reset; this file is about being able to. Request heads are parsed
//! by `httparse`; bodies need a `Content-Length` or are chunked. Keep-alive works;
//! TLS, HTTP/2 and uploads of more than [`BODY_LIMIT`] are left out.

use std::io;
use std::net::IpAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::form_urlencoded;

/// Longest accepted request head.
const HEAD_LIMIT: usize = 64 * 1024;
/// Longest accepted request body.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Most header lines.
const HEADERS: usize = 100;

/// One request, read to its end.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) caller: IpAddr,
    pub(super) connection: Connection,
    /// The query as it came, which the authorize link is judged by.
    pub(super) raw_query: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The body, if it is JSON.
    pub(super) json: Option<Value>,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    KeepAlive,
    Close,
}

impl Request {
    /// A query parameter, empty when absent.
    pub(super) fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A header's value, empty when absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// A field of a posted form, empty when absent.
    pub(super) fn form(&self, name: &str) -> String {
        let fields = form_urlencoded::parse(&self.body);
        fields
            .into_iter()
            .find(|(key, _)| key == name)
            .map_or_else(String::new, |(_, value)| value.into_owned())
    }

    /// A field of the JSON body that is text, empty when absent.
    pub(super) fn field(&self, name: &str) -> &str {
        self.json.as_ref().and_then(|body| body.get(name)?.as_str()).unwrap_or("")
    }

    /// A parameter that callers put in the query or in the body.
    pub(super) fn either(&self, name: &str) -> &str {
        match self.query(name) {
            "" => self.field(name),
            found => found,
        }
    }
}

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the request is not HTTP/1.1 that this server reads")]
    Malformed,
    #[error("the request is too large")]
    TooLarge,
}

/// Reads requests off one connection; keeps what arrived of the next one.
pub(super) struct Reader {
    caller: IpAddr,
    buffer: Vec<u8>,
}

/// What the head says that the rest of the reading needs.
struct Head {
    len: usize,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    connection: Connection,
    body: BodyLength,
    expects_continue: bool,
}

enum BodyLength {
    Known(usize),
    Chunked,
}

impl Reader {
    pub(super) fn new(caller: IpAddr) -> Self {
        Self { caller, buffer: Vec::new() }
    }

    /// The next request, or `None` when the caller closed between requests.
    /// Cancel safe: what was read stays in the buffer.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Request>, ReadError> {
        let head = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(ReadError::TooLarge);
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Malformed) };
            }
        };
        if head.expects_continue && self.buffer.len() == head.len {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let (body, end) = loop {
            let rest = self.buffer.get(head.len..).unwrap_or_default();
            if let Some((body, used)) = split_body(rest, &head.body)? {
                break (body, head.len + used);
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ReadError::Malformed);
            }
        };
        self.buffer.drain(..end);
        let (path, query) = match head.target.split_once('?') {
            Some((path, query)) => (path, query),
            None => (head.target.as_str(), ""),
        };
        Ok(Some(Request {
            method: head.method,
            path: path.to_owned(),
            caller: self.caller,
            connection: head.connection,
            raw_query: query.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: head.headers,
            json: serde_json::from_slice(&body).ok(),
            body,
        }))
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let len = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ReadError::Malformed),
    };
    let mut head = Head {
        len,
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: Vec::new(),
        connection: match parsed.version {
            Some(1) => Connection::KeepAlive,
            Some(_) | None => Connection::Close,
        },
        body: BodyLength::Known(0),
        expects_continue: false,
    };
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim();
        head.headers.push((header.name.to_owned(), value.to_owned()));
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| ReadError::Malformed)?;
            if length > BODY_LIMIT {
                return Err(ReadError::TooLarge);
            }
            head.body = BodyLength::Known(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = BodyLength::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                head.connection = Connection::Close;
            }
        } else if header.name.eq_ignore_ascii_case("expect") {
            head.expects_continue = value.eq_ignore_ascii_case("100-continue");
        }
    }
    Ok(Some(head))
}

/// The body at the start of `bytes` and how many bytes it took, if all is there.
fn split_body(bytes: &[u8], length: &BodyLength) -> Result<Option<(Vec<u8>, usize)>, ReadError> {
    match *length {
        BodyLength::Known(length) => Ok(bytes.get(..length).map(|body| (body.to_vec(), length))),
        BodyLength::Chunked => split_chunks(bytes),
    }
}

pub(super) fn split_chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ReadError> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ReadError::Malformed),
        };
        let size = usize::try_from(size).map_err(|_| ReadError::TooLarge)?;
        if body.len().saturating_add(size) > BODY_LIMIT {
            return Err(ReadError::TooLarge);
        }
        // Trailers are not understood; the last chunk ends with an empty line.
        let Some(chunk) = rest.get(start..start + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        at += start + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// What goes back on the socket.
pub(super) enum Reply {
    /// A page in full.
    Whole(Page),
    /// Half of a page under the length of the whole, then the end.
    Half(Page),
    /// Nothing: the connection closes in good order.
    Close,
    /// Nothing: the connection is reset.
    Reset,
}

/// An answer.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    /// Further headers.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Page {
    /// JSON with the content type that WeChat sends.
    pub(super) fn json(body: &impl ToString) -> Self {
        Self {
            status: 200,
            content_type: "application/json; encoding=utf-8",
            location: None,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    /// Plain text.
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::of(status, "text/plain; charset=utf-8", body)
    }

    /// A page of some type.
    pub(super) fn of(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, location: None, headers: Vec::new(), body: body.into() }
    }
}

/// Sends a reply, with what its `Date` says. `Ok` says what the connection is still good for.
pub(super) async fn send(
    stream: &mut TcpStream,
    reply: Reply,
    wished: Connection,
    date: &str,
) -> io::Result<Connection> {
    match reply {
        Reply::Whole(page) => {
            let mut bytes = head(&page, wished, date);
            bytes.extend_from_slice(page.body.as_bytes());
            stream.write_all(&bytes).await?;
            Ok(wished)
        }
        Reply::Half(page) => {
            let mut bytes = head(&page, wished, date);
            let half = page.body.len() / 2;
            bytes.extend_from_slice(page.body.as_bytes().get(..half).unwrap_or_default());
            stream.write_all(&bytes).await?;
            Ok(Connection::Close)
        }
        Reply::Close => Ok(Connection::Close),
        Reply::Reset => {
            // With a linger of zero the close that follows is a reset.
            stream.set_zero_linger()?;
            Ok(Connection::Close)
        }
    }
}

fn head(page: &Page, connection: Connection, date: &str) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(page.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    let location = page
        .location
        .as_deref()
        .map(|to| format!("Location: {}\r\n", to.replace(['\r', '\n'], "")))
        .unwrap_or_default();
    let more = page.headers.iter().fold(String::new(), |more, (name, value)| {
        more + name + ": " + &value.replace(['\r', '\n'], "") + "\r\n"
    });
    let connection = match connection {
        Connection::KeepAlive => "keep-alive",
        Connection::Close => "close",
    };
    format!(
        "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nContent-Type: {}\r\n{location}{more}Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
        page.status,
        page.content_type,
        page.body.len(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_body_is_complete_only_with_its_last_chunk() {
        // Some SDKs post JSON in chunks; a part of it must not be taken for all.
        let whole = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET";
        for cut in 0..whole.len() - 3 {
            let part = split_chunks(whole.get(..cut).unwrap()).unwrap();
            assert!(part.is_none(), "complete after {cut} bytes");
        }
        let (body, used) = split_chunks(whole).unwrap().unwrap();
        assert_eq!((body.as_slice(), used), (&b"abcde"[..], whole.len() - 3));
    }

    #[test]
    fn head_with_an_oversized_length_is_refused_before_the_body() {
        // A length is a promise to buffer: it is checked first.
        let head = b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert!(matches!(parse_head(head), Err(ReadError::TooLarge)));
    }
}
