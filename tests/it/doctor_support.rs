//! A site that is as it should be, a callback that answers as a test says, and what `doctor` said.

use std::fmt::Write as _;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use zhongkong::simulator::{Account, Accounts, Settings};

use crate::support::process::{Ran, SECRET, Site, TOKEN};
use crate::support::simulated::Simulated;

/// A client as it should be: it has an end, and may look and not act.
pub(crate) fn client() -> String {
    let hash = zhongkong::config::new_client::token_sha256(&TOKEN.into());
    format!(
        "[[client]]\nname = \"doctor\"\ntoken_sha256 = \"{hash}\"\naccounts = [\"*\"]\nactions = [\"read\", \
         \"complain\", \"status\"]\nnot_after = \"2199-12-31T00:00:00Z\"\n"
    )
}

/// A WeChat that knows these accounts, all with [`SECRET`].
pub(crate) async fn wechat(appids: &[&str]) -> Simulated {
    let accounts = appids.iter().map(|appid| Account::new(*appid, SECRET)).collect();
    Simulated::start(Settings { accounts: Accounts::Listed(accounts), ..Settings::default() }).await
}

/// A site about which there is nothing to say, with one account in the stable mode.
pub(crate) fn well(base: &str) -> Site {
    let mut site = Site::new(base);
    site.without_client("test");
    site.raw(&client());
    site.account("wx1", "");
    site
}

/// What `doctor` said, as text and as document: it is run once.
pub(crate) struct Said {
    pub(crate) ran: Ran,
    pub(crate) document: Value,
}

/// Runs `doctor --json` with more arguments.
pub(crate) async fn doctor(site: &Site, more: &[&str]) -> Said {
    site.write();
    let ran = site.run(&[&["doctor", "--json"], more].concat()).await;
    let document = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    Said { ran, document }
}

impl Said {
    pub(crate) fn code(&self, code: i32) -> &Self {
        assert_eq!(self.ran.code, Some(code), "{}", self.lines());
        self
    }

    /// There is a line of this check and level with these words in detail or fix.
    pub(crate) fn says(&self, level: &str, name: &str, words: &[&str]) -> &Self {
        let fits = |finding: &&Value| {
            let told = format!("{} {} {}", finding["subject"], finding["detail"], finding["fix"]);
            finding["level"] == level
                && finding["name"] == name
                && words.iter().all(|word| told.contains(word))
        };
        let found = self.findings().iter().find(fits);
        assert!(found.is_some(), "no {level} {name} with {words:?}:\n{}", self.lines());
        self
    }

    /// There is no line of this check.
    pub(crate) fn silent(&self, name: &str) -> &Self {
        assert!(self.findings().iter().all(|finding| finding["name"] != name), "{}", self.lines());
        self
    }

    /// The lines that are not ok.
    pub(crate) fn faults(&self) -> Vec<&Value> {
        self.findings().iter().filter(|finding| finding["level"] != "ok").collect()
    }

    pub(crate) fn findings(&self) -> &[Value] {
        self.document["findings"].as_array().expect("there are findings")
    }

    /// No line but those of these checks is anything but ok.
    pub(crate) fn only(&self, names: &[&str]) -> &Self {
        let known = |finding: &&Value| names.iter().any(|name| finding["name"] == *name);
        assert!(self.faults().iter().all(known), "{}", self.lines());
        self
    }

    pub(crate) fn lines(&self) -> String {
        let mut text = format!("exit {:?} {}\n", self.ran.code, self.ran.stderr);
        for finding in self.findings() {
            writeln!(text, "{finding}").unwrap();
        }
        text
    }
}

/// An HTTP server that gives one answer to everything; `{echostr}` in it is what it was sent.
pub(crate) struct Fixed {
    pub(crate) base: String,
    _tasks: JoinSet<()>,
}

impl Fixed {
    pub(crate) async fn start(status: u16, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let echo = request.split("echostr=").nth(1).and_then(|rest| rest.split([' ', '&']).next());
                let body = body.replace("{echostr}", echo.unwrap_or(""));
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nLocation: /\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                // A caller that is gone wants no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { base, _tasks: tasks }
    }
}
