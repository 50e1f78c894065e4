//! Who asks, as the business services see it behind proxies: at the sockets of the process.
//!
//! The rules of the header are in `http::proxy`; here is that the process goes by them, and which
//! proxies it believes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Process, Site};

/// A message service that logs every request, with these lines of `[serve]`.
async fn start(serve: &str) -> (Site, Process, SocketAddr) {
    let mut site = Site::new("http://127.0.0.1:1");
    site.section("serve", &format!("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{serve}"));
    site.section("serve.log", "filter = \"debug\"");
    let log = site.path("messages.log").display().to_string();
    site.section("messages", "daemon = \"unix:/nonexistent/grpc.sock\"\n");
    site.section("messages.log", &format!("file = \"{log}\"\n"));
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "messages"]);
    let process = Process::spawn(command);
    let line = process.line("listening http=").await;
    let (_, rest) = line.split_once("http=").unwrap();
    let http = rest.split_whitespace().next().unwrap().parse().unwrap();
    process.line("running: ").await;
    (site, process, http)
}

/// Asks for a path with these header lines; what the log says of the request.
async fn seen(process: &Process, http: SocketAddr, path: &str, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let lines = [&["host: x", "connection: close"], lines].concat().join("\r\n");
    let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));
    process.line(&format!("path=\"{path}\"")).await
}

#[tokio::test]
async fn proxy_on_this_machine_says_who_asks_and_nobody_it_has_not_seen() {
    let (site, process, http) = start("").await;
    for (path, lines, peer) in [
        ("/none", &[][..], "127.0.0.1"),
        ("/one", &["x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
        // The caller wrote the first; the proxy added whom it really saw.
        ("/spoofed", &["x-forwarded-for: 127.0.0.1, 192.0.2.1"], "192.0.2.1"),
        ("/lines", &["X-Forwarded-For: 203.0.113.9", "x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
        ("/six", &["x-forwarded-for: [2001:db8::1]:4711"], "2001:db8::1"),
        ("/garbage", &["x-forwarded-for: 192.0.2.1, <script>"], "127.0.0.1"),
        // What is no text hides nobody who was added behind it.
        ("/binary", &["x-forwarded-for: \u{e9}, 192.0.2.1"], "192.0.2.1"),
        ("/empty", &["x-forwarded-for:"], "127.0.0.1"),
        ("/standard", &["forwarded: for=192.0.2.1"], "127.0.0.1"),
    ] {
        let line = seen(&process, http, path, lines).await;
        assert!(line.contains(&format!("peer={peer} ")), "{path}: {line}");
    }
    // As many as a head holds.
    let many = format!("x-forwarded-for: {}192.0.2.1", "203.0.113.9, ".repeat(1_000));
    assert!(seen(&process, http, "/many", &[&many]).await.contains("peer=192.0.2.1 "));

    // What is refused is the browser's, too, in the log and in the message log.
    let refused = seen(&process, http, "/wechat/nobody", &["x-forwarded-for: 192.0.2.77"]);
    let (_, line) = tokio::join!(refused, process.line("is refused: no [[messages.account]]"));
    assert!(line.contains("peer=192.0.2.77 "), "{line}");
    process.stop().await;
    let log = std::fs::read_to_string(site.path("messages.log")).unwrap();
    assert!(log.contains("\"peer\":\"192.0.2.77\""), "{log}");
}

#[tokio::test]
async fn who_is_not_listed_is_not_believed() {
    for serve in ["trusted_proxies = []\n", "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n"] {
        let (_site, process, http) = start(serve).await;
        let line = seen(&process, http, "/spoofed", &["x-forwarded-for: 192.0.2.1"]).await;
        assert!(line.contains("peer=127.0.0.1 "), "{serve}: {line}");
        process.stop().await;
    }
    // A network of ours: the list is followed through it.
    let (_site, process, http) = start("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n").await;
    let line = seen(&process, http, "/chain", &["x-forwarded-for: 203.0.113.9, 192.0.2.1, 10.1.2.3"]).await;
    assert!(line.contains("peer=192.0.2.1 "), "{line}");
    process.stop().await;
}
