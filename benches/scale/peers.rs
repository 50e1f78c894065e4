//! Programs of others that are measured beside ours: stores of values, and message services.
//!
//! Which is not there is missing, with what would bring it; nothing fails for it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Context as _;

use crate::caller::Fixed;
use crate::grpc::VALUE;
use crate::pinned::{Cores, Pinned};

const KEY: &str = "zhongkong:access_token:wx0000000000000000";

/// A store of values, over TCP and over a Unix socket, that holds the one value.
pub(crate) struct Store {
    /// Over each; where one process does both, it is the same time twice.
    pub(crate) servers: [Rc<Pinned>; 2],
    pub(crate) addrs: [String; 2],
    call: Vec<u8>,
    answer: Vec<u8>,
}

impl Store {
    /// The calls of a connection.
    pub(crate) fn calls(&self) -> Fixed {
        Fixed { call: self.call.clone(), answer: self.answer.clone() }
    }
}

/// Debian's memcached, twice: one that listens on a Unix socket listens on nothing else.
pub(crate) fn memcached(dir: &Path) -> anyhow::Result<Store> {
    let program = installed("/usr/bin/memcached", "not installed (make needs-memcached)")?;
    let (port, socket) = (free_port()?, dir.join("memcached"));
    let common = ["-U", "0", "-m", "16", "-t", "1", "-u", "root"];
    let addr = format!("127.0.0.1:{port}");
    let mut tcp = Pinned::peer(Cores::First, &program, |command| {
        command.args(["-l", "127.0.0.1", "-p", &port.to_string()]).args(common);
    })?;
    let mut unix = Pinned::peer(Cores::First, &program, |command| {
        command.arg("-s").arg(&socket).args(common);
    })?;
    tcp.until(|| TcpStream::connect(&addr).is_ok())?;
    unix.until(|| UnixStream::connect(&socket).is_ok())?;
    let value = "T".repeat(VALUE);
    let set = format!("set {KEY} 0 0 {VALUE}\r\n{value}\r\n");
    said(TcpStream::connect(&addr)?, &set, "STORED\r\n")?;
    said(UnixStream::connect(&socket)?, &set, "STORED\r\n")?;
    Ok(Store {
        servers: [tcp.into(), unix.into()],
        addrs: [addr, format!("unix:{}", socket.display())],
        call: format!("get {KEY}\r\n").into_bytes(),
        answer: format!("VALUE {KEY} 0 {VALUE}\r\n{value}\r\nEND\r\n").into_bytes(),
    })
}

/// Debian's Redis, with nothing written to a disk.
pub(crate) fn redis(dir: &Path) -> anyhow::Result<Store> {
    let program = installed("/usr/bin/redis-server", "not installed (make needs-redis)")?;
    let (port, socket) = (free_port()?, dir.join("redis"));
    let addr = format!("127.0.0.1:{port}");
    let mut server = Pinned::peer(Cores::First, &program, |command| {
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(dir);
    })?;
    server.until(|| TcpStream::connect(&addr).is_ok() && UnixStream::connect(&socket).is_ok())?;
    let value = "T".repeat(VALUE);
    let length = KEY.len();
    let set = format!("*3\r\n$3\r\nSET\r\n${length}\r\n{KEY}\r\n${VALUE}\r\n{value}\r\n");
    said(TcpStream::connect(&addr)?, &set, "+OK\r\n")?;
    let server = Rc::new(server);
    Ok(Store {
        servers: [server.clone(), server],
        addrs: [addr, format!("unix:{}", socket.display())],
        call: format!("*2\r\n$3\r\nGET\r\n${length}\r\n{KEY}\r\n").into_bytes(),
        answer: format!("${VALUE}\r\n{value}\r\n").into_bytes(),
    })
}

fn said(mut stream: impl std::io::Read + std::io::Write, call: &str, wanted: &str) -> anyhow::Result<()> {
    stream.write_all(call.as_bytes())?;
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer)?;
    anyhow::ensure!(answer == wanted.as_bytes(), "it says {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// The program, or why it is missing.
fn installed(program: &str, otherwise: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(program);
    anyhow::ensure!(path.exists(), "{otherwise}");
    Ok(path)
}

/// Free when this looked.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a port on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// A message service, and where it listens.
pub(crate) struct Peer {
    pub(crate) process: Pinned,
    pub(crate) addr: String,
}

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/python/bin");
const NODE_MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/node/node_modules");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
/// As two cores have them.
const WORKERS: &str = "2";

/// wechatpy under Flask, served by gunicorn, with threads because only those keep connections.
pub(crate) fn flask() -> anyhow::Result<Peer> {
    let program = installed(&format!("{PYTHON}/gunicorn"), NO_PYTHON)?;
    service(&program, |command, port| {
        command.current_dir(format!("{HERE}/wechatpy")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["--workers", WORKERS, "--worker-class", "gthread", "--threads", "4"]);
        command.args(["--keep-alive", "60", "--bind", &format!("127.0.0.1:{port}"), "with_flask:app"]);
    })
}

/// wechatpy under FastAPI, served by uvicorn.
pub(crate) fn fastapi() -> anyhow::Result<Peer> {
    let program = installed(&format!("{PYTHON}/uvicorn"), NO_PYTHON)?;
    service(&program, |command, port| {
        command.current_dir(format!("{HERE}/wechatpy")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["--workers", WORKERS, "--no-access-log", "--log-level", "error"]);
        command.args(["--port", &port.to_string(), "with_fastapi:app"]);
    })
}

/// npm's wechat under express, or co-wechat under koa.
pub(crate) fn node(which: &str) -> anyhow::Result<Peer> {
    installed(&format!("{NODE_MODULES}/{which}"), "not installed (make needs-bench-node)")?;
    service(Path::new("node"), |command, port| {
        command.env("NODE_PATH", NODE_MODULES).env("NODE_ENV", "production");
        command.arg(format!("{HERE}/express/server.js")).arg(which).arg(port.to_string());
    })
}

const NO_PYTHON: &str = "not installed (make needs-bench-python)";

fn service(program: &Path, set_up: impl FnOnce(&mut Command, u16)) -> anyhow::Result<Peer> {
    let port = free_port()?;
    let addr = format!("127.0.0.1:{port}");
    let mut process = Pinned::peer(Cores::All, program, |command| set_up(command, port))?;
    process.until(|| TcpStream::connect(&addr).is_ok())?;
    Ok(Peer { process, addr })
}
