//! The message service as it is deployed: its process beside the daemon's, a business program
//! behind it, and a WeChat on both sides: the simulator takes late answers, its sender pushes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zhongkong::clock::Clock;
use zhongkong::simulator::callback::{Format, Identity, Mode, Push, Request, Sender, Shown};
use zhongkong::simulator::{Accounts, Settings};

use super::support::process::{Process, Site, TOKEN as BEARER};
use super::support::record;
use super::support::simulated::Simulated;

/// The Token of every account.
pub(crate) const TOKEN: &str = "callback-t0ken-of-every-account";
/// The EncodingAESKey of every account; its last two bits are set and mean nothing.
pub(crate) const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
/// The one before it.
pub(crate) const OLD_KEY: &str = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvut";
/// What the program's requests are signed with.
pub(crate) const HMAC: &str = "hmac-secret-of-the-program-0123456789";
/// The six ways in which pushes come.
pub(crate) const WAYS: [(Mode, Format); 6] = [
    (Mode::Plain, Format::Xml),
    (Mode::Plain, Format::Json),
    (Mode::Compatible, Format::Xml),
    (Mode::Compatible, Format::Json),
    (Mode::Safe, Format::Xml),
    (Mode::Safe, Format::Json),
];

/// A machine on which everything is installed and nothing runs but WeChat and the program.
pub(crate) struct Bench {
    pub(crate) wechat: Simulated,
    pub(crate) program: Program,
    pub(crate) site: Site,
    messages: String,
    accounts: String,
}

impl Bench {
    /// Without accounts and rules, and with this deadline.
    pub(crate) async fn new(deadline: &str) -> Self {
        let wechat = Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await;
        let program = Program::start().await;
        let mut site = Site::new(&wechat.base);
        record::secrets([TOKEN, KEY, OLD_KEY, HMAC]);
        let files =
            [("token", TOKEN), ("key", KEY), ("old-key", OLD_KEY), ("hmac", HMAC), ("bearer", BEARER)];
        for (name, text) in files {
            site.file(name, text);
        }
        site.file("rules.toml", "# None yet.\n");
        site.section("serve", "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
        let messages = format!(
            "daemon = \"{}\"\ntoken_file = \"bearer\"\nrules = \"rules.toml\"\ndeadline = \"{deadline}\"\n",
            site.addr()
        );
        site.section("messages.log", "file = \"messages.log\"\n");
        let mut bench = Self { wechat, program, site, messages, accounts: String::new() };
        bench.setting("");
        bench
    }

    /// Adds a line to `[messages]`.
    pub(crate) fn setting(&mut self, line: &str) {
        self.messages.extend([line, "\n"]);
        self.site.section("messages", &self.messages);
    }

    /// Adds the account of [`appid`] at this path, whose messages go to the program if no rule
    /// answers; `more` are lines of its section.
    pub(crate) fn account(&mut self, path: &str, mode: Mode, more: &str) {
        let keys = match mode {
            Mode::Plain => "",
            Mode::Compatible | Mode::Safe => "aes_key_file = \"key\"\n",
        };
        write!(
            self.accounts,
            "[[messages.account]]\nappid = \"{}\"\npath = \"{path}\"\nmode = \"{}\"\ntoken_file = \"token\"\n\
             forward = \"program\"\n{keys}{more}\n",
            appid(path),
            mode.as_str()
        )
        .unwrap();
        self.site.account(&appid(path), "token_mode = \"classic\"");
        self.put_accounts();
    }

    /// Takes all accounts out.
    pub(crate) fn without_accounts(&mut self) {
        self.accounts.clear();
    }

    /// An account for each of [`WAYS`], at the path [`way`].
    pub(crate) fn accounts_of_all_ways(&mut self) {
        for (mode, format) in WAYS {
            self.account(&way(mode, format), mode, "");
        }
    }

    fn put_accounts(&mut self) {
        let forward = format!(
            "[[messages.forward]]\nname = \"program\"\nurl = \"{}\"\nsecret_file = \"hmac\"\ntimeout = \"1m\"\n\
             concurrency = 512\n",
            self.program.url
        );
        self.site.raw(&[self.accounts.as_str(), &forward].concat());
    }

    /// The command that serves messages.
    pub(crate) fn command(&self) -> tokio::process::Command {
        let config = self.site.write();
        let mut command = self.site.command();
        command.arg("--config").arg(config).args(["serve", "messages"]);
        command
    }

    /// Starts the service and waits until it runs.
    pub(crate) async fn serve(&self) -> Service {
        Service::of(Process::spawn(self.command())).await
    }

    /// All whole lines of the message log.
    pub(crate) fn log(&self) -> Vec<Json> {
        let text = std::fs::read_to_string(self.site.path("messages.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A running service.
pub(crate) struct Service {
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
}

impl Service {
    /// Waits until it runs.
    pub(crate) async fn of(process: Process) -> Self {
        process.line("running: ").await;
        let line = process.line("listening http=").await;
        let (_, rest) = line.split_once("http=").unwrap();
        let http = rest.split_whitespace().next().unwrap().parse().unwrap();
        Self { process, http }
    }

    /// WeChat, which pushes to the account at this path in this way.
    pub(crate) fn sender(&self, path: &str, mode: Mode, format: Format) -> Sender {
        self.sender_with(path, mode, format, KEY)
    }

    /// The same with another EncodingAESKey.
    pub(crate) fn sender_with(&self, path: &str, mode: Mode, format: Format, key: &str) -> Sender {
        let identity = Identity {
            token: TOKEN.to_owned(),
            aes_key: Some(key.to_owned()),
            appid: appid(path),
            original_id: "gh_1".to_owned(),
            mode,
            format,
        };
        Sender::new(&format!("http://{}/wechat/{path}", self.http), identity).unwrap()
    }
}

/// The path of the account that [`Bench::accounts_of_all_ways`] makes.
pub(crate) fn way(mode: Mode, format: Format) -> String {
    format!("{}-{}", mode.as_str(), format.as_str())
}

/// The appid of the account at this path: two of them would be one account.
pub(crate) fn appid(path: &str) -> String {
    format!("wx-{path}")
}

/// A text that was written now; the same value is the same message, however often it is pushed.
pub(crate) fn text(content: &str) -> Push {
    let now = Clock::system().wall().seconds().to_string();
    Push::new("text").unwrap().set("Content", content).unwrap().set("CreateTime", &now).unwrap()
}

/// The text that the user sees.
pub(crate) fn shown_text(shown: &Shown) -> Option<&str> {
    shown.answer().and_then(|answer| answer.fields.get("Content"))
}

/// A program that numbers what it is asked and answers when its gate is open.
pub(crate) struct Program {
    url: String,
    desk: Desk,
    _served: JoinSet<()>,
}

#[derive(Clone)]
struct Desk {
    seen: watch::Sender<Vec<Json>>,
    open: watch::Sender<bool>,
}

impl Program {
    async fn start() -> Self {
        let desk = Desk { seen: watch::Sender::new(Vec::new()), open: watch::Sender::new(true) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(answer)).with_state(desk.clone());
        let mut served = JoinSet::new();
        served.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, _served: served }
    }

    /// What it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Json> {
        self.desk.seen.borrow().clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn got(&self, times: usize) {
        self.desk.seen.subscribe().wait_for(|seen| seen.len() >= times).await.unwrap();
    }

    /// Answers nothing from now on.
    pub(crate) fn hold(&self) {
        self.desk.open.send_replace(false);
    }

    /// Answers all that waits, and whatever comes.
    pub(crate) fn open(&self) {
        self.desk.open.send_replace(true);
    }
}

async fn answer(State(desk): State<Desk>, body: String) -> ([(&'static str, &'static str); 1], String) {
    let asked: Json = serde_json::from_str(&body).unwrap();
    let about = asked["message"]["fields"]["Content"].as_str().map(str::to_owned);
    let mut number = 0;
    desk.seen.send_modify(|seen| {
        seen.push(asked);
        number = seen.len();
    });
    desk.open.subscribe().wait_for(|open| *open).await.unwrap();
    let content = format!("{number} answers {}", about.as_deref().unwrap_or("that"));
    ([("content-type", "application/json")], json!({ "reply": { "text": content } }).to_string())
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends these bytes and reads to the end.
pub(crate) async fn exchange(to: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // An answer that comes before the end of a large request is there all the same.
    let _ = stream.write_all(request).await;
    answered(&mut stream).await
}

/// Reads an answer to the end of its connection.
pub(crate) async fn answered(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request of the sender's, byte by byte.
pub(crate) fn wire(request: &Request) -> Vec<u8> {
    let target = &request.url[url::Position::BeforePath..];
    head("POST", target, &format!("content-length: {}\r\n", request.body.len()), &request.body)
}

/// A request with these headers and this body.
pub(crate) fn head(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}
