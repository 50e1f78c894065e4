//! A site: a directory with a configuration and secrets, for the daemon and for commands.
//!
//! Listeners have no fixed port: gRPC is a Unix socket in the site. Nothing of the test's
//! environment reaches a process of it but PATH.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::process::Command;
use zhongkong::client::{Client, Credentials};

use super::process::{Process, SECRET, TOKEN, binary, key};
use super::ran::{Ran, ran};
use super::record;

/// How long a `get` of a test waits for a value.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with everything that a daemon needs.
pub(crate) struct Site {
    dir: TempDir,
    /// The file's sections by name, in the order of the names; [`Site::write`] puts them out.
    sections: BTreeMap<String, String>,
    /// Environment variables of its processes.
    env: BTreeMap<String, String>,
}

impl Site {
    /// One client, "test", no account, WeChat at this address.
    pub(crate) fn new(wechat: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut site = Self { dir, sections: BTreeMap::new(), env: BTreeMap::new() };
        let socket = site.socket();
        site.section("daemon", "state_dir = \"state\"\n");
        site.section("wechat", &format!("api_base = \"{wechat}\"\n"));
        site.section("grpc", &format!("listen = [\"unix:{}\"]\n", socket.display()));
        site.section("admin", "listen = \"127.0.0.1:0\"\n");
        site.client("test", TOKEN);
        site
    }

    /// The same with one classic account, "wx1".
    pub(crate) fn classic(wechat: &str) -> Self {
        let mut site = Self::new(wechat);
        site.account("wx1", "token_mode = \"classic\"");
        site
    }

    /// Replaces the text of a section: `daemon`, `memcached`, …
    pub(crate) fn section(&mut self, name: &str, body: &str) {
        self.sections.insert(name.to_owned(), format!("[{name}]\n{body}\n"));
    }

    /// Adds an account with [`SECRET`], or changes it; `more` are lines of its section.
    pub(crate) fn account(&mut self, appid: &str, more: &str) {
        self.secret(appid, SECRET);
        let body = format!("[[account]]\nappid = \"{appid}\"\nsecret_file = \"{appid}.secret\"\n{more}\n\n");
        self.sections.insert(format!("x-account-{appid}"), body);
    }

    /// Takes an account out.
    pub(crate) fn without_account(&mut self, appid: &str) {
        self.sections.remove(&format!("x-account-{appid}")).expect("the site has the account");
    }

    /// Writes the secret file of an account.
    pub(crate) fn secret(&self, appid: &str, secret: &str) {
        record::secrets([secret]);
        self.file(&format!("{appid}.secret"), &format!("{secret}\n"));
    }

    /// Adds a client that may do everything.
    pub(crate) fn client(&mut self, name: &str, token: &str) {
        record::secrets([token]);
        let mut hash = String::new();
        for byte in Sha256::digest(token.as_bytes()) {
            write!(hash, "{byte:02x}").unwrap();
        }
        let body = format!(
            "[[client]]\nname = \"{name}\"\ntoken_sha256 = \"{hash}\"\naccounts = [\"*\"]\nactions = [\"read\", \
             \"complain\", \"force\", \"sign\", \"exchange\", \"status\", \"admin\"]\n\n"
        );
        self.sections.insert(format!("y-client-{name}"), body);
    }

    /// Takes a client out.
    pub(crate) fn without_client(&mut self, name: &str) {
        self.sections.remove(&format!("y-client-{name}")).expect("the site has the client");
    }

    /// Text that is not like the other sections, put at the end of the file.
    pub(crate) fn raw(&mut self, text: &str) {
        self.sections.insert("z".to_owned(), text.to_owned());
    }

    /// Sets an environment variable of the processes to come.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Unsets it.
    pub(crate) fn without_env(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// A file in the site that only its owner can read.
    pub(crate) fn file(&self, name: &str, text: &str) {
        if name.starts_with("seal") {
            record::secrets(text.lines().filter_map(|line| line.split(':').next_back()));
        }
        // Of a callback: its Token and keys, and what its programs' posts are signed with.
        if ["token", "key", "hmac"].iter().any(|secret| name.ends_with(secret)) {
            record::secrets([text]);
        }
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A path in the site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("state/ledger.db")
    }

    /// The gRPC socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("grpc.sock")
    }

    /// Puts the configuration out; every start and [`Process::reload`] need it.
    pub(crate) fn write(&self) -> PathBuf {
        let text: String = self.sections.values().map(String::as_str).collect();
        self.file("config.toml", &text);
        self.path("config.toml")
    }

    /// Starts the daemon and does not wait for it.
    pub(crate) fn spawn(&self) -> Process {
        let config = self.write();
        let mut command = self.command();
        command.arg("--config").arg(config).arg("run");
        Process::spawn(command)
    }

    /// Starts the daemon and waits until it runs.
    pub(crate) async fn start(&self) -> Process {
        let process = self.spawn();
        process.line("running accounts=").await;
        process
    }

    /// Starts the daemon and waits until every key has a value.
    pub(crate) async fn start_ready(&self) -> Process {
        let process = self.start().await;
        process.line("feed: ready").await;
        process
    }

    /// Runs the daemon, which must end by itself.
    pub(crate) async fn fails(&self) -> Ran {
        let mut process = self.spawn();
        let status = process.ended().await;
        Ran { code: status.code(), stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Runs a command as the client "test" of this site.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        ran(self.as_client(args)).await
    }

    /// Starts a command as the client "test" of this site and does not wait for its end.
    pub(crate) fn background(&self, args: &[&str]) -> Process {
        Process::spawn(self.as_client(args))
    }

    /// The address of the gRPC face.
    pub(crate) fn addr(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// A connection of the client "test".
    pub(crate) async fn connect(&self) -> Client {
        self.connect_as(TOKEN).await
    }

    /// A connection with a bearer token.
    pub(crate) async fn connect_as(&self, token: &str) -> Client {
        record::secrets([token]);
        let credentials = Credentials { token: Some(token.into()), ..Credentials::default() };
        Client::connect(&self.addr(), credentials).await.unwrap()
    }

    /// The value of an access token, waited for.
    pub(crate) async fn value(&self, appid: &str) -> String {
        let token = self.connect().await.get(&key(appid), PATIENCE).await.unwrap();
        token.value.expect("the client may read").expose().to_owned()
    }

    /// The same of a daemon that was only spawned, and that may log elsewhere.
    pub(crate) async fn value_when_up(&self, daemon: &Process) -> String {
        let credentials = || Credentials { token: Some(TOKEN.into()), ..Credentials::default() };
        while let Err(error) = Client::connect(&self.addr(), credentials()).await {
            assert!(daemon.runs(), "{error}: {}", daemon.stderr());
            tokio::task::yield_now().await;
        }
        self.value("wx1").await
    }

    fn as_client(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.env("ZHONGKONG_ADDR", self.addr()).env("ZHONGKONG_TOKEN", TOKEN);
        command.env("ZHONGKONG_CONFIG", self.path("config.toml")).args(args);
        command
    }

    /// The binary in the directory of the site, with its environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = binary();
        command.current_dir(self.dir.path()).envs(&self.env);
        command
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        record::logs(self.dir.path());
    }
}
