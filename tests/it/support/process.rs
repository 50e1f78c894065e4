//! The real binary as a process: the daemon of a [`Site`], or a command.
//!
//! Nothing here waits for time: a daemon is waited for by the lines of its log
//! ([`Process::line`]) and by its end ([`Process::ended`]). The admin listener says in the log
//! which port it was given. A process dies with its value.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zhongkong::model::{Key, Kind};

use super::raw::raw_get;
use super::record;
use super::said::{More, Said, read, wait};

pub(crate) use super::ran::{Ran, ran};
pub(crate) use super::site::Site;

/// The bearer token of the client "test", which may do everything.
pub(crate) const TOKEN: &str = "t0ken-of-the-test-with-all-rights-AAAAAAAAAA";
/// The AppSecret of every account of a site that is not told otherwise.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The access token of an account.
pub(crate) fn key(appid: &str) -> Key {
    Key::new(appid.parse().unwrap(), Kind::AccessToken)
}

/// The binary, without the test's environment.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zhongkong"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    said: Said,
    readers: JoinSet<()>,
    args: Vec<OsString>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let args = self.args.iter().map(OsString::as_os_str);
        record::streams(args, self.stdout().as_bytes(), self.stderr().as_bytes());
    }
}

impl Process {
    /// Starts it and reads what it says.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self::spawn_with_stdout(command)
    }

    /// The same for a command whose stdout is the caller's business.
    pub(crate) fn spawn_with_stdout(mut command: Command) -> Self {
        let args = command.as_std().get_args().map(ToOwned::to_owned).collect();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stream = || watch::channel((Vec::new(), More::MayCome)).0;
        let said = Said { stdout: stream(), stderr: stream() };
        let mut readers = JoinSet::new();
        match child.stdout.take() {
            Some(stdout) => _ = readers.spawn(read(stdout, said.stdout.clone())),
            None => said.stdout.send_modify(|(_, more)| *more = More::Ended),
        }
        readers.spawn(read(child.stderr.take().unwrap(), said.stderr.clone()));
        Self { child, said, readers, args }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> Pid {
        let id = self.child.id().expect("it has not been waited for");
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    /// Whether its end was not waited for.
    pub(crate) fn runs(&self) -> bool {
        self.child.id().is_some()
    }

    /// The first line on stderr that contains this; panics if it ends without one.
    pub(crate) async fn line(&self, words: &str) -> String {
        self.line_after(0, words).await
    }

    /// The same among the lines from `mark` on; see [`Process::mark`].
    pub(crate) async fn line_after(&self, mark: usize, words: &str) -> String {
        wait(&self.said.stderr, mark, words).await
    }

    /// The first line on stdout that contains this, among those after the `mark` first ones.
    pub(crate) async fn out_line(&self, mark: usize, words: &str) -> String {
        wait(&self.said.stdout, mark, words).await
    }

    /// How many lines it has written to stderr.
    pub(crate) fn mark(&self) -> usize {
        self.said.stderr.borrow().0.len()
    }

    /// How many lines it has written to stdout.
    pub(crate) fn out_mark(&self) -> usize {
        self.said.stdout.borrow().0.len()
    }

    /// How many lines on stderr contain this.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.said.stderr.borrow().0.iter().filter(|line| line.contains(words)).count()
    }

    /// All that it wrote to stderr.
    pub(crate) fn stderr(&self) -> String {
        self.said.stderr.borrow().0.join("\n")
    }

    /// All that it wrote to stdout.
    pub(crate) fn stdout(&self) -> String {
        self.said.stdout.borrow().0.join("\n")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// HUP, and waits for what the log says about it.
    pub(crate) async fn reload(&self, words: &str) -> String {
        let mark = self.mark();
        self.signal(Signal::HUP);
        self.line_after(mark, words).await
    }

    /// Waits for its end and reads all that it said.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = self.child.wait().await.unwrap();
        while let Some(read) = self.readers.join_next().await {
            read.unwrap();
        }
        status
    }

    /// TERM, and an orderly end.
    pub(crate) async fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
        self.stderr()
    }

    /// KILL.
    pub(crate) async fn kill(mut self) {
        self.end_now().await;
    }

    /// KILL, and what it said stays to be read.
    pub(crate) async fn end_now(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// The gRPC face on TCP, of a site that listens there too.
    pub(crate) async fn tcp(&self) -> String {
        let line = self.line("listening").await;
        let (_, faces) = line.split_once("grpc=").expect("the line names the gRPC listeners");
        let faces = faces.split_whitespace().next().unwrap();
        let tcp = faces.split(',').find(|face| !face.starts_with("unix:")).expect("one is on TCP");
        format!("http://{tcp}")
    }

    /// Where the admin listener is.
    pub(crate) async fn admin(&self) -> SocketAddr {
        let line = self.line("listening").await;
        let (_, rest) = line.split_once("admin=").expect("the line names the admin listener");
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// `GET` of an admin page: status line and body.
    pub(crate) async fn page(&self, path: &str) -> (String, String) {
        let seen = raw_get(self.admin().await, path).await;
        record::output(path, &seen.bytes);
        let status = std::str::from_utf8(&seen.bytes).unwrap().lines().next().unwrap().to_owned();
        (status, seen.body().to_owned())
    }
}
