//! The executable against a simulated WeChat: a daemon on a Unix socket, and commands.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinSet;
use zhongkong::config::new_client::token_sha256;
use zhongkong::secret::Secret;
use zhongkong::simulator::{Account, Accounts, Endpoint, Settings};

use crate::support::frozen::Guard;
use crate::support::record;
use crate::support::simulated::Simulated;

/// The token of a client with every right.
pub(crate) const OPERATOR: &str = "operators-token";
/// The token of a client that may only read `wx1`.
pub(crate) const READER: &str = "readers-token";

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The document that it printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts success, for the rest of a sentence.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(!self.err.contains("error"), "{self:?}");
        self
    }
}

/// The executable with these arguments and none of our environment.
pub(crate) fn zhongkong(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zhongkong"));
    command.args(args).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn done(mut command: Command) -> Done {
    let output = command.output().await.unwrap();
    record::streams(command.as_std().get_args(), &output.stdout, &output.stderr);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A simulated WeChat, a daemon, and a place for files.
pub(crate) struct Rig {
    pub(crate) wechat: Simulated,
    dir: TempDir,
    daemon: Option<(Child, JoinSet<()>)>,
    _guard: Guard,
}

impl Rig {
    /// Accounts: `wx1` ("shop", stable, with a jsapi_ticket), `wx2` (its secret is wrong, with a
    /// jsapi_ticket), `wx3` (classic).
    pub(crate) async fn start() -> Self {
        let guard = Guard::start();
        let known = vec![Account::new("wx1", "s"), Account::new("wx2", "other"), Account::new("wx3", "s")];
        let settings = Settings { accounts: Accounts::Listed(known), ..Settings::default() };
        let wechat = Simulated::start(settings).await;
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("config.toml"), config(&wechat.base, dir.path())).unwrap();
        record::secrets([OPERATOR]);
        private(&dir.path().join("secret"), "s");
        private(&dir.path().join("token"), &format!("{OPERATOR}\n"));
        let mut rig = Self { wechat, dir, daemon: None, _guard: guard };
        rig.start_daemon().await;
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.path("config.toml").to_str().unwrap().to_owned()
    }

    /// Where the daemon listens.
    pub(crate) fn addr(&self) -> String {
        format!("unix:{}", self.path("socket").display())
    }

    pub(crate) async fn start_daemon(&mut self) {
        let mut command = zhongkong(&["run", "--config", &self.config()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        loop {
            let line = log.next_line().await.unwrap().unwrap_or_else(|| panic!("no daemon: {seen}"));
            if line.contains("running accounts=") {
                break;
            }
            seen.push_str(&line);
        }
        // Read on, so that it never waits for a full pipe.
        let mut drain = JoinSet::new();
        drain.spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                seen.push_str(&line);
            }
            record::output("stderr of the daemon", seen.as_bytes());
        });
        self.daemon = Some((child, drain));
    }

    /// Stops it as systemd does, and waits for its end.
    pub(crate) async fn stop_daemon(&mut self) {
        let (mut child, mut drain) = self.daemon.take().unwrap();
        terminate(&child);
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        while drain.join_next().await.is_some() {}
    }

    /// An operator's command, not started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = zhongkong(args);
        command.env("ZHONGKONG_ADDR", self.addr()).env("ZHONGKONG_TOKEN", OPERATOR);
        command
    }

    /// An operator's command, run to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Done {
        done(self.command(args)).await
    }

    /// The same by a client with another token.
    pub(crate) async fn run_with(&self, token: &str, args: &[&str]) -> Done {
        let mut command = self.command(args);
        command.env("ZHONGKONG_TOKEN", token);
        done(command).await
    }

    /// Waits until every key that can have a value has one, and `wx2` was refused.
    pub(crate) async fn settled(&self) {
        for key in [["wx1", "access_token"], ["wx1", "jsapi_ticket"], ["wx3", "access_token"]] {
            self.run(&["get", key[0], key[1], "--wait", "30s"]).await.ok();
        }
        // No wait ends with a refusal, so the daemon is asked until it knows of it.
        self.wechat.control.wait_for(|log| log.count(Endpoint::StableToken, "wx2") > 0).await;
        while self.run(&["status", "wx2", "--json"]).await.ok().json()["keys"][0]["problem"].is_null() {}
    }
}

/// A command that goes on, read line by line.
pub(crate) struct Running {
    pub(crate) child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// The next line of stdout.
    pub(crate) async fn line(&mut self) -> String {
        self.out.next_line().await.unwrap().expect("a line")
    }

    /// The next line of stderr.
    pub(crate) async fn err_line(&mut self) -> String {
        self.err.next_line().await.unwrap().expect("a line")
    }
}

/// Sends TERM.
pub(crate) fn terminate(child: &Child) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// A file that only its owner can read.
pub(crate) fn private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn config(api_base: &str, dir: &Path) -> String {
    let operator = token_sha256(&Secret::from(OPERATOR));
    let reader = token_sha256(&Secret::from(READER));
    let dir = dir.display();
    format!(
        r#"
        [daemon]
        state_dir = "{dir}/state"
        [wechat]
        api_base = "{api_base}"
        [grpc]
        listen = ["unix:{dir}/socket"]
        [admin]
        listen = "127.0.0.1:0"
        [business]
        database = "business.db"
        [[account]]
        appid = "wx1"
        name = "shop"
        secret_file = "secret"
        tickets = ["jsapi_ticket"]
        [[account]]
        appid = "wx2"
        secret_file = "secret"
        tickets = ["jsapi_ticket"]
        [[account]]
        appid = "wx3"
        secret_file = "secret"
        token_mode = "classic"
        [[client]]
        name = "operator"
        token_sha256 = "{operator}"
        accounts = ["*"]
        actions = ["read", "complain", "force", "status", "admin"]
        [[client]]
        name = "reader"
        token_sha256 = "{reader}"
        accounts = ["wx1"]
        actions = ["read"]
        "#
    )
}
