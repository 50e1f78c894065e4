//! HTTP on a bare socket, for what a client library would hide.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a bare socket saw of an answer.
pub(crate) struct Seen {
    /// All that came.
    pub(crate) bytes: Vec<u8>,
    /// How it ended.
    pub(crate) end: End,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server closed in good order.
    Closed,
    /// The server reset the connection.
    Reset,
}

impl Seen {
    /// What came after the head.
    pub(crate) fn body(&self) -> &str {
        let whole = std::str::from_utf8(&self.bytes).unwrap();
        whole.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// What the head promised.
    pub(crate) fn content_length(&self) -> usize {
        let whole = std::str::from_utf8(&self.bytes).unwrap();
        let (_, rest) = whole.split_once("Content-Length: ").unwrap();
        rest.split_once("\r\n").unwrap().0.parse().unwrap()
    }
}

/// One `GET` on a bare socket, read until its end.
pub(crate) async fn raw_get(addr: SocketAddr, path: &str) -> Seen {
    let mut stream = send_get(addr, path).await;
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes).await {
        Ok(_) => End::Closed,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            End::Reset
        }
    };
    Seen { bytes, end }
}

/// Sends one `GET` and leaves the answer to the caller.
pub(crate) async fn send_get(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
