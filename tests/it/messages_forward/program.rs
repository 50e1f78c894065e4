//! A business program on a bare socket, which answers byte by byte as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What it does with a request.
#[derive(Clone)]
pub(super) enum Script {
    /// Writes these bytes and keeps the connection.
    Says(Vec<u8>),
    /// Writes these bytes and closes.
    Closes(Vec<u8>),
    /// Writes these bytes and then nothing, for ever.
    Stalls(Vec<u8>),
    /// Writes this head and then chunks until the peer has enough.
    Floods(&'static str),
}

/// The program; it ends with its test.
pub(super) struct Program {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    requests: watch::Sender<Vec<Request>>,
    connections: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

impl Program {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script));
        let (requests, connections) = (watch::Sender::new(Vec::new()), watch::Sender::new(0));
        let mut tasks = JoinSet::new();
        let (own, seen, came) = (script.clone(), requests.clone(), connections.clone());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                came.send_modify(|count| *count += 1);
                open.spawn(serve(stream, own.clone(), seen.clone()));
            }
        });
        Self { address, script, requests, connections, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?source=wechat", self.address)
    }

    /// Does this from now on.
    pub(super) fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until it got so many requests.
    pub(super) async fn got(&self, count: usize) {
        self.requests.subscribe().wait_for(|requests| requests.len() >= count).await.unwrap();
    }
}

impl Request {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, requests: watch::Sender<Vec<Request>>) {
    while let Some(request) = read(&mut stream).await {
        requests.send_modify(|requests| requests.push(request));
        let script = script.lock().unwrap().clone();
        match script {
            Script::Says(bytes) => stream.write_all(&bytes).await.unwrap(),
            Script::Closes(bytes) => return stream.write_all(&bytes).await.unwrap(),
            Script::Stalls(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                std::future::pending().await
            }
            Script::Floods(head) => {
                stream.write_all(head.as_bytes()).await.unwrap();
                let chunk = [&b"4000\r\n"[..], &[b' '; 0x4000], b"\r\n"].concat();
                while stream.write_all(&chunk).await.is_ok() {}
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut text = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
            Ok(_) | Err(_) => return None,
        }
        let Some(end) = text.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(text[..end].to_vec()).unwrap();
        let body = text[end + 4..].to_vec();
        let mut request = Request { head, body: String::new() };
        if body.len() >= request.header("content-length").unwrap().parse().unwrap() {
            request.body = String::from_utf8(body).unwrap();
            return Some(request);
        }
    }
}

/// A whole answer of this type.
pub(super) fn says(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A whole answer in JSON.
pub(super) fn json(body: &str) -> Script {
    Script::Says(says("200 OK", "application/json", body))
}
