//! wechatpy, of PyPI, as WeChat's side and as the business program: an independent reader and
//! writer of everything that the message service speaks.
//!
//! tests/peers/wechatpy_peer.py pushes every sample of tests/data/messages, compares what our
//! program is told with its own reading, and reads our replies of every kind and length.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::support::process::{Process, Site};

const TOKEN: &str = "pamtest";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const APPID: &str = "wxb11529c136998cb6";
/// What the peer wishes for, and what it must read then; both are in its `REPLIES`.
const RULES: &str = r#"
[[rule]]
when.content = "wish text"
reply = "你好 ]]> <b>&amp; 😀\nzweite"
[[rule]]
when.content = "wish image"
reply.image = "MEDIA-1"
[[rule]]
when.content = "wish voice"
reply.voice = "MEDIA-2"
[[rule]]
when.content = "wish video"
reply.video = { media_id = "MEDIA-3", title = "t", description = "d" }
[[rule]]
when.content = "wish music"
reply.music = { thumb_media_id = "MEDIA-4", title = "t", description = "d", url = "https://m.example/a?b=1&c=2", hq_url = "https://m.example/hq" }
[[rule]]
when.content = "wish news"
reply.news = [{ title = "标题", description = "d", pic_url = "https://p.example/1.jpg", url = "https://n.example/1?a=1&b=2" }]
[[rule]]
when.key = "wish more news"
reply.news = [
    { title = "标题", description = "d", pic_url = "https://p.example/1.jpg", url = "https://n.example/1?a=1&b=2" },
    { title = "second", description = "d", pic_url = "https://p.example/1.jpg", url = "https://n.example/1?a=1&b=2" },
]
[[rule]]
when.content = "wish transfer"
reply.transfer = true
[[rule]]
when.content = { prefix = "echo" }
reply = "{{ Content }}"
[fallback]
forward = "peer"
"#;

/// A line of the peer: what was compared, and what differs.
#[derive(Debug, Deserialize)]
struct Compared {
    what: String,
    differs: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python() -> PathBuf {
    let python = root().join("target/wechatpy/bin/python");
    assert!(python.exists(), "wechatpy is not installed: run `make needs-wechatpy`");
    python
}

/// Has wechatpy talk to a service in this mode; what it compared.
async fn compared(mode: &str) -> Vec<Compared> {
    let mut peer = Command::new(python())
        .arg(root().join("tests/peers/wechatpy_peer.py"))
        .arg(root().join("tests/data/messages"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(peer.stdout.take().unwrap()).lines();
    let program = said.next_line().await.unwrap().expect("the peer has died");

    let mut site = Site::new("http://127.0.0.1:1");
    site.file("token", TOKEN);
    site.file("key", KEY);
    site.file("hmac", "a-secret-of-the-program-behind");
    site.file("rules.toml", RULES);
    site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    site.section("messages", "daemon = \"unix:/nonexistent/grpc.sock\"\nrules = \"rules.toml\"\n");
    site.raw(&format!(
        "[[messages.account]]\nappid = \"{APPID}\"\npath = \"shop\"\nmode = \"{mode}\"\ntoken_file = \"token\"\n\
         aes_key_file = \"key\"\n\
         [[messages.forward]]\nname = \"peer\"\nurl = \"{program}\"\nsecret_file = \"hmac\"\n"
    ));
    let config = site.write();
    let mut command = site.command();
    command.arg("--config").arg(config).args(["serve", "messages"]);
    let service = Process::spawn(command);
    let line = service.line("listening http=").await;
    let http = line.split_once("http=").unwrap().1.split_whitespace().next().unwrap();

    let url = format!("http://{http}/wechat/shop");
    let order = json!({ "url": url, "token": TOKEN, "aes_key": KEY, "appid": APPID, "mode": mode });
    let mut stdin = peer.stdin.take().unwrap();
    stdin.write_all(format!("{order}\n").as_bytes()).await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = said.next_line().await.unwrap() {
        if let Ok(compared) = serde_json::from_str::<Compared>(&line) {
            all.push(compared);
        }
    }
    let wrong: Vec<&Compared> = all.iter().filter(|compared| !compared.differs.is_empty()).collect();
    assert!(wrong.is_empty(), "{mode}: {wrong:#?}\n{}", service.stderr());
    assert!(peer.wait().await.unwrap().success(), "{mode}");
    service.stop().await;
    all
}

#[tokio::test]
async fn wechatpy_and_the_service_read_each_other_in_every_mode() {
    for mode in ["safe", "compatible", "plain"] {
        let all = compared(mode).await;
        let has = |what: &str| all.iter().filter(|compared| compared.what.starts_with(what)).count();
        // Every sample, every kind of reply, replies of every padding, and the list of wechatpy's types.
        assert_eq!(has("wish "), 8, "{mode}: {all:?}");
        assert_eq!(has("echo of "), 102, "{mode}");
        assert_eq!(has("every type that wechatpy knows"), 1, "{mode}");
        assert!(has("event.") > 60 && has("text.xml") == 1, "{mode}: {all:?}");
    }
}
