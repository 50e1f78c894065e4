//! Servers as processes of their own, mostly on the first core, and this process, the load, on the second.
//!
//! Two programs that share a core measure the scheduler. Servers end with their [`Pinned`], and with
//! this process however it ends.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const LOAD: &str = "1";
/// How long a peer may take to listen: interpreters load their libraries first.
const LISTENS: Duration = Duration::from_secs(20);

/// Where a server may run.
#[derive(Clone, Copy)]
pub(crate) enum Cores {
    /// The first, which is a server's alone.
    First,
    /// All, which it shares with the load.
    All,
}

/// A process, held on its cores.
pub(crate) struct Pinned {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Pinned {
    /// A server of this bench, which is this program with other arguments, and the address that it
    /// prints first.
    pub(crate) fn server(which: &str, arguments: &[&str]) -> anyhow::Result<(Self, String)> {
        Self::server_on(Cores::First, which, arguments)
    }

    pub(crate) fn server_on(cores: Cores, which: &str, arguments: &[&str]) -> anyhow::Result<(Self, String)> {
        let mut command = held(cores, &std::env::current_exe()?);
        let command = command.arg(which).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("taskset and setpriv, of util-linux, are needed")?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let mut this = Self { child, lines: None };
        let addr = lines.next().with_context(|| format!("{which} {arguments:?} ended at once"))??;
        this.lines = Some(lines);
        Ok((this, addr))
    }

    /// A program of somebody else's.
    pub(crate) fn peer(
        cores: Cores,
        program: &Path,
        set_up: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let mut command = held(cores, program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        set_up(&mut command);
        Ok(Self { child: command.spawn()?, lines: None })
    }

    /// Waits until this is so of it, such as that it listens.
    pub(crate) fn until(&mut self, mut so: impl FnMut() -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !so() {
            if let Some(ended) = self.child.try_wait()? {
                anyhow::bail!("it ended before it listened: {ended}");
            }
            anyhow::ensure!(begun.elapsed() < LISTENS, "it did not listen within {LISTENS:?}");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// What the server says after its address, and how it is told something.
    pub(crate) fn talk(&mut self) -> anyhow::Result<(ChildStdin, Lines<BufReader<ChildStdout>>)> {
        let input = self.child.stdin.take().context("piped, and taken once")?;
        Ok((input, self.lines.take().context("taken once")?))
    }

    /// The CPU time so far of it and of its children, of all their threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.child.id())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The first signal is one that a server with workers hands on to them.
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn held(cores: Cores, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    match cores {
        Cores::First => command.args(["taskset", "-c", "0"]),
        Cores::All => &mut command,
    };
    command.arg(program);
    command
}

fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end while it is looked at.
        let path = thread?.path();
        let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>().unwrap_or_default();
        let children = std::fs::read_to_string(path.join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all += cpu_of(child.parse()?).unwrap_or_default();
        }
    }
    Ok(all + Duration::from_nanos(nanos))
}

/// Holds this process on the second core, and gives it a runtime of one thread.
pub(crate) fn load() -> anyhow::Result<Runtime> {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset").args(["-a", "-c", "-p", LOAD, &pid]).stdout(Stdio::null()).status();
    let done = done.context("taskset, of util-linux, is needed")?;
    anyhow::ensure!(done.success(), "taskset could not hold this process on core {LOAD}");
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Holds the calling thread on a core.
pub(crate) fn hold_this_thread(core: usize) -> anyhow::Result<()> {
    let thread = std::fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().context("a thread has a number")?;
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", "-p", &core.to_string()]).arg(thread).stdout(Stdio::null());
    let done = taskset.status().context("taskset, of util-linux, is needed")?;
    anyhow::ensure!(done.success(), "taskset could not hold a thread on core {core}");
    Ok(())
}

/// What a server says to who started it.
#[expect(clippy::print_stdout, reason = "this is how the two processes talk")]
pub(crate) fn say(line: &str) {
    println!("{line}");
    // What is printed into a pipe waits for more of it.
    let _ = std::io::stdout().flush();
}
