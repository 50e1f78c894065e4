//! A raw TCP server that answers byte by byte as a test says, right or wrong.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a server does with each request.
#[derive(Clone)]
pub(super) enum Script {
    /// Answers with this JSON, and keeps the connection.
    Json(&'static str),
    /// Writes these bytes and closes.
    Raw(Vec<u8>),
    /// Refuses with all that it got, as it came and decoded, in its text.
    Echo,
    /// Never answers.
    Hang,
    /// Writes these bytes until the peer has enough.
    Flood(&'static str),
    /// Answers the first request with this JSON, reads the second one and closes.
    JsonOnce(&'static str),
}

/// A server for one test; its tasks end with it.
pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Server {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let record = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                record.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, script.clone(), Arc::clone(&record)));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Seen>>) {
    let mut served = 0;
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().requests.push(request.clone());
        served += 1;
        match &script {
            Script::Json(body) => stream.write_all(&ok(body)).await.unwrap(),
            Script::JsonOnce(body) if served == 1 => stream.write_all(&ok(body)).await.unwrap(),
            Script::JsonOnce(_) => return,
            Script::Raw(bytes) => {
                stream.write_all(bytes).await.unwrap();
                return;
            }
            Script::Echo => stream.write_all(&ok(&echo(&request))).await.unwrap(),
            Script::Hang => std::future::pending().await,
            Script::Flood(head) => {
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(b"4000\r\n").await.is_ok() {
                    let chunk = [&[b' '; 0x4000][..], b"\r\n"].concat();
                    if stream.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

/// A refusal whose text holds a request's line and body, and the line's parameters decoded.
fn echo(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap();
    let decoded: Vec<_> = url::form_urlencoded::parse(line.as_bytes()).collect();
    let errmsg = format!("{body} {decoded:?} {line} rid: 1-2");
    serde_json::json!({ "errcode": 40125, "errmsg": errmsg }).to_string()
}

/// A whole answer. Its content type is what WeChat's often is: not JSON's.
pub(super) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Head and body of a request; `None` at the end of the connection.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
            Ok(_) | Err(_) => return None,
        }
    }
}
