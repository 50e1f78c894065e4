//! `zhongkong serve messages` as a process with two accounts, and bare requests to it.

use std::net::SocketAddr;

use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhongkong::clock::Clock;

use crate::support::process::{Process, Ran, Site, ran};

pub(crate) const TOKEN: &str = "AAAAA";
pub(crate) const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
pub(crate) const RULES: &str =
    "[[rule]]\nwhen = { type = \"text\", content = \"hello\" }\nreply = \"hello yourself\"\n";

/// Two accounts, one in plain and one in safe mode, and a daemon that does not exist.
pub(crate) fn site() -> Site {
    let mut site = Site::new("http://127.0.0.1:1");
    site.file("token", TOKEN);
    site.file("key", KEY);
    site.file("rules.toml", RULES);
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    site.section("messages", "daemon = \"unix:/nonexistent/grpc.sock\"\nrules = \"rules.toml\"\n");
    site.raw(
        "[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\nmode = \"plain\"\ntoken_file = \"token\"\n\
         verify_files = [\"MP_verify_aB3dE6gH9jK2mN5p.txt\"]\n\
         [[messages.account]]\nappid = \"wx2\"\ntoken_file = \"token\"\naes_key_file = \"key\"\n",
    );
    site
}

pub(crate) fn command(site: &Site, args: &[&str]) -> tokio::process::Command {
    let config = site.write();
    let mut command = site.command();
    command.arg("--config").arg(config).args(args);
    command
}

pub(crate) async fn start(site: &Site) -> Process {
    let process = Process::spawn(command(site, &["serve", "messages"]));
    process.line("running: ").await;
    process
}

pub(crate) async fn fails(site: &Site) -> Ran {
    ran(command(site, &["serve", "messages"])).await
}

pub(crate) async fn http(process: &Process) -> SocketAddr {
    let line = process.line("listening http=").await;
    let (_, rest) = line.split_once("http=").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The query that WeChat would sign now, or so many seconds later.
pub(crate) fn query(offset: i64) -> String {
    let timestamp = (Clock::system().wall().seconds() + offset).to_string();
    let mut parts = [TOKEN, timestamp.as_str(), "n0nce"];
    parts.sort_unstable();
    let signature = hex::encode(Sha1::digest(parts.concat().as_bytes()));
    format!("signature={signature}&timestamp={timestamp}&nonce=n0nce")
}

pub(crate) fn text(content: &str, id: u64) -> String {
    let now = Clock::system().wall().seconds();
    format!(
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>\
         <CreateTime>{now}</CreateTime><MsgType><![CDATA[text]]></MsgType>\
         <Content><![CDATA[{content}]]></Content><MsgId>{id}</MsgId></xml>"
    )
}

/// Sends a request as it is; the answer's status and its whole text.
pub(crate) async fn send(to: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // What was not read may be answered by a reset, behind the answer.
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
    let text = String::from_utf8(bytes).unwrap();
    let status = text.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {text}")).parse().unwrap();
    (status, text)
}

pub(crate) async fn get(to: SocketAddr, target: &str) -> (u16, String) {
    send(to, &format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

pub(crate) async fn post(to: SocketAddr, target: &str, body: &str) -> (u16, String) {
    let length = body.len();
    send(
        to,
        &format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
    .await
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
