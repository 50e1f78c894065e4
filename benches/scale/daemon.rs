//! A `zhongkong run` process: started, watched through /proc, stopped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// A directory with a configuration, to start daemons from.
pub(crate) struct Configured {
    dir: PathBuf,
    accounts: String,
}

pub(crate) struct Daemon {
    child: Child,
    pid: u32,
    /// From its start to ready.
    pub(crate) took: Duration,
}

impl Configured {
    pub(crate) fn new(dir: &Path, accounts: String) -> Self {
        Self { dir: dir.to_owned(), accounts }
    }

    /// Starts a daemon, with WeChat at `base`, and waits until it is ready.
    pub(crate) async fn start(&self, base: &str) -> anyhow::Result<Daemon> {
        let (grpc, admin) = (free_port().await?, free_port().await?);
        let text = format!(
            "[daemon]\nstate_dir = \"{}\"\n[wechat]\napi_base = {base:?}\n\
             [grpc]\nlisten = [\"127.0.0.1:{grpc}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n{}",
            self.dir.join("state").display(),
            self.accounts,
        );
        let config = self.dir.join("config.toml");
        std::fs::write(&config, text)?;
        // A build of another profile can be measured in its place.
        let program = std::env::var("ZHONGKONG_BIN").unwrap_or(env!("CARGO_BIN_EXE_zhongkong").to_owned());
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(["run".as_ref(), "--config".as_ref(), config.as_os_str()])
            // As its unit file says.
            .env("MALLOC_ARENA_MAX", "2")
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        while !ready(admin).await {
            anyhow::ensure!(child.try_wait()?.is_none(), "the daemon ended before it was ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Daemon { child, pid, took: begun.elapsed() })
    }
}

impl Daemon {
    /// CPU time of all its threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.pid)
    }

    /// Bytes of its resident memory.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
        let kib: f64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
        Ok(kib * 1_024.0)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        self.child.wait().await?;
        Ok(())
    }
}

/// CPU time of all threads of a process, also of those that have ended.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // After the name: utime is the 12th, stime the 13th, in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

async fn ready(port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    asked.await.unwrap_or(false)
}

async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
