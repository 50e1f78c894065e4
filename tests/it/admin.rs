//! The admin listener, asked over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::admin::{Admin, Readiness};
use zhongkong::model::{Cause, Kind};
use zhongkong::telemetry::metrics::{self, AttemptResult};

use super::admin_support::{empty, exposition, open_to_all};
use super::support::frozen::Frozen;
use super::support::record;

struct Running {
    addr: SocketAddr,
    readiness: watch::Sender<Readiness>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

async fn start() -> Running {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        metrics::attempt(Kind::AccessToken, Cause::Deadline, AttemptResult::Issued);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let sources = empty().await;
    let (readiness, seen) = watch::channel(Readiness::NotReady("no account has a token yet".to_owned()));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let exposition = exposition(handle, seen.clone(), sources.hub.clone());
    tasks.spawn(Admin::new(listener, seen, exposition, open_to_all(), sources).run(stop.clone()));
    Running { addr, readiness, stop, tasks }
}

async fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    record::output(path, answer.as_bytes());
    answer
}

#[tokio::test]
async fn readiness_follows_the_daemon_and_a_daemon_that_vanished_is_not_ready() {
    let Running { addr, readiness, stop: _stop, tasks: _tasks } = start().await;
    assert!(get(addr, "/healthz").await.starts_with("HTTP/1.1 200 "));
    let answer = get(addr, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no account has a token yet"), "{answer}");
    readiness.send_replace(Readiness::Ready);
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 200 "));
    drop(readiness);
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn metrics_are_rendered_as_prometheus_reads_them() {
    let running = start().await;
    let answer = get(running.addr, "/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let line = r#"zhongkong_attempts_total{kind="access_token",cause="deadline",result="issued"} 1"#;
    assert!(answer.contains(line), "{answer}");
}

#[tokio::test]
async fn a_stop_ends_the_listener_although_a_caller_keeps_its_connection() {
    let mut running = start().await;
    // A caller that asked once and stays connected, as a scraper does.
    let mut idle = TcpStream::connect(running.addr).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    running.stop.cancel();
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(running.addr).await.is_err());
}

#[tokio::test]
async fn a_caller_that_never_ends_its_request_does_not_hold_up_a_stop() {
    let frozen = Frozen::start();
    let mut running = start().await;
    let mut slow = TcpStream::connect(running.addr).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    // Who comes later is accepted later.
    get(running.addr, "/healthz").await;
    running.stop.cancel();
    let ended = frozen.until(running.tasks.join_next(), 10).await;
    ended.expect("the listener ends within its drain").unwrap().unwrap();
    drop(slow);
}

#[tokio::test]
async fn a_caller_that_never_ends_its_request_is_cut_off_after_twenty_seconds() {
    // Before, such callers were kept for ever.
    let frozen = Frozen::start();
    let running = start().await;
    let mut slow = TcpStream::connect(running.addr).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    get(running.addr, "/healthz").await;
    let begun = tokio::time::Instant::now();
    let mut rest = Vec::new();
    // An answer that says so or none: what counts is the end.
    let cut_off = frozen.until(slow.read_to_end(&mut rest), 60).await;
    assert!(cut_off.is_some() && begun.elapsed() >= Duration::from_secs(19), "{:?}", begun.elapsed());
    assert!(get(running.addr, "/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_caller_that_never_ends_its_form_is_cut_off_after_ten_seconds() {
    let frozen = Frozen::start();
    let running = start().await;
    let mut slow = TcpStream::connect(running.addr).await.unwrap();
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\ntoken=x";
    slow.write_all(format!("POST /signin HTTP/1.1\r\nhost: 127.0.0.1\r\n{form}").as_bytes()).await.unwrap();
    get(running.addr, "/healthz").await;
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let ended = frozen.until(slow.read_to_end(&mut answer), 60).await;
    ended.expect("the connection is closed").unwrap();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&begun.elapsed()));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn connection_accepted_just_before_the_stop_is_answered() {
    // A restart behind an inherited socket: whoever the old process has accepted is its business.
    let running = start().await;
    let mut early = TcpStream::connect(running.addr).await.unwrap();
    // Accepted after the early one, and answered.
    assert!(get(running.addr, "/healthz").await.starts_with("HTTP/1.1 200 "));
    running.stop.cancel();
    early.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
}
