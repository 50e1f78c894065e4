//! A real `zhongkong run` process with 10,000 accounts: start, memory, idle CPU, cold start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sqlx::{Connection as _, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::ledger::{Ledger as _, seal, sqlite};
use zhongkong::model::{CallMode, Key, Kind};

use crate::support::{LIFE, Upstream, appid, fraction, issued};
use crate::table::{row, title};

const ACCOUNTS: usize = 10_000;
/// How long the idle process is looked at.
const IDLE: Duration = Duration::from_secs(32);
/// Calls of the last day: a token is renewed every 6,600 s at the latest; a ticket that WeChat
/// repeats to its end is asked for about seven times in each of its lives.
const CALLS: [(&str, u32); 2] = [("access_token", 14), ("jsapi_ticket", 84)];
const STARTS: usize = 3;

pub(crate) async fn run() -> anyhow::Result<()> {
    title("10,000 accounts with access_token and jsapi_ticket: a daemon of its own");
    let dir = tempfile::tempdir()?;
    let begun = Instant::now();
    let rows = fill(&dir.path().join("state/ledger.db")).await?;
    row(
        "ledger filled",
        format!("{rows} calls, {} MB, in {:?}", size(dir.path())? >> 20, begun.elapsed()),
        "",
    );
    from_ledger(dir.path()).await?;
    let cold = tempfile::tempdir()?;
    from_nothing(cold.path()).await
}

/// Starts from the full ledger; WeChat is a listener that counts who comes.
async fn from_ledger(dir: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let calls = Arc::new(AtomicUsize::new(0));
    let mut counting = JoinSet::new();
    let seen = calls.clone();
    counting.spawn(async move {
        while listener.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    for start in 1..=STARTS {
        let daemon = Daemon::start(dir, &base).await?;
        row(&format!("start {start}: ready within"), format!("{:?}", daemon.took), "< 1.5 s");
        row("  of that on the CPU", format!("{:?}", daemon.cpu()?), "");
        if start == STARTS {
            tokio::time::sleep(Duration::from_secs(3)).await;
            row(
                "resident",
                format!("{} MB (peak {} MB)", daemon.kib("VmRSS")? >> 10, daemon.kib("VmHWM")? >> 10),
                "< 80 MB",
            );
            for which in ["first", "second"] {
                let before = daemon.cpu()?;
                tokio::time::sleep(IDLE).await;
                let used = daemon.cpu()?.saturating_sub(before).as_secs_f64() / IDLE.as_secs_f64();
                row(
                    &format!("idle CPU, {which} half minute"),
                    format!("{:.2} % of a core", used * 100.0),
                    "< 3 %",
                );
            }
            row("resident at the end", format!("{} MB", daemon.kib("VmRSS")? >> 10), "< 80 MB");
        }
        daemon.stop().await?;
    }
    row("upstream calls in all of that", calls.load(Ordering::Relaxed), "0");
    Ok(())
}

/// Starts with no ledger at all; WeChat is the simulator.
async fn from_nothing(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(dir.join("state"))?;
    let upstream = Upstream::start().await?;
    let daemon = Daemon::start(dir, &upstream.base).await?;
    let calls: u64 = upstream.control.with_log(|log| {
        zhongkong::simulator::Endpoint::ALL.into_iter().map(|endpoint| log.count_all(endpoint)).sum()
    });
    row("cold start: every key has a value within", format!("{:?} ({calls} calls)", daemon.took), "");
    row("  of that on the CPU", format!("{:?}", daemon.cpu()?), "");
    row("  resident", format!("{} MB", daemon.kib("VmRSS")? >> 10), "");
    daemon.stop().await
}

struct Daemon {
    child: Child,
    pid: u32,
    took: Duration,
}

impl Daemon {
    async fn start(dir: &Path, base: &str) -> anyhow::Result<Self> {
        let (grpc, admin) = (free_port().await?, free_port().await?);
        let config = configuration(dir, base, grpc, admin)?;
        // A build of another profile can be measured in its place.
        let program = std::env::var("ZHONGKONG_BIN").unwrap_or(env!("CARGO_BIN_EXE_zhongkong").to_owned());
        let begun = Instant::now();
        let child = Command::new(program)
            .args(["run".as_ref(), "--config".as_ref(), config.as_os_str()])
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        while !ready(admin).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { child, pid, took: begun.elapsed() })
    }

    /// CPU time of all its threads.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // After the name: utime is the 12th, stime the 13th, in hundredths of a second.
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    fn kib(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        Ok(line.split_whitespace().nth(1).unwrap_or_default().parse()?)
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        self.child.wait().await?;
        Ok(())
    }
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

fn configuration(dir: &Path, base: &str, grpc: u16, admin: u16) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = dir.join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef")?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let mut text = format!(
        "[daemon]\nstate_dir = \"{}\"\n[wechat]\napi_base = {base:?}\n[grpc]\nlisten = [\"127.0.0.1:{grpc}\"]\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n",
        dir.join("state").display(),
    );
    for number in 0..ACCOUNTS {
        writeln!(
            text,
            "[[account]]\nappid = \"{}\"\nname = \"shop {number}\"\nsecret_file = \"{}\"\n\
             token_mode = \"classic\"\ntickets = [\"jsapi_ticket\"]",
            appid(number),
            secret.display()
        )?;
    }
    let path = dir.join("config.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// A ledger as a running system's: nothing due soon, and a day of calls.
async fn fill(path: &Path) -> anyhow::Result<u64> {
    if let Some(state_dir) = path.parent() {
        std::fs::create_dir(state_dir)?;
    }
    let clock = Clock::system();
    let settings = sqlite::Settings { path: path.to_owned(), seal: seal::Keys::none(), max_bytes: None };
    let ledger = sqlite::SqliteLedger::open(settings, clock.clone()).await?.ledger;
    let keys = (0..ACCOUNTS).flat_map(|number| {
        [(number, Kind::AccessToken, CallMode::Classic), (number, Kind::JsapiTicket, CallMode::Ticket)]
    });
    let commits = keys.map(|(number, kind, mode)| {
        // The first renewals are due at two thirds of a life.
        let age = LIFE.mul_f64(fraction(number) * 0.55);
        let (call, value) = issued(&clock, &Key::new(appid(number), kind), mode, age);
        let ledger = &ledger;
        async move { ledger.commit(&call, &value).await }
    });
    let mut commits = stream::iter(commits).buffer_unordered(512);
    while let Some(done) = commits.next().await {
        done?;
    }
    drop(commits);
    ledger.close().await?;

    // The calls before these, at equal distances through the day.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut conn = sqlx::SqliteConnection::connect_with(&options).await?;
    for (kind, calls) in CALLS {
        let apart = 82_000 / calls;
        sqlx::query(
            "WITH RECURSIVE earlier(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM earlier WHERE n + 1 < ?2)
             INSERT INTO calls SELECT appid, kind, attempt - n * ?3, mode, cause, sent_wall - n * ?3 * 1000,
                 sent_boot - n * ?3 * 1000, sent_boot_id, ended, errcode FROM calls, earlier WHERE kind = ?1",
        )
        .bind(kind)
        .bind(calls)
        .bind(apart)
        .execute(&mut conn)
        .await?;
    }
    let rows: i64 = sqlx::query("SELECT count(*) FROM calls").fetch_one(&mut conn).await?.try_get(0)?;
    conn.close().await?;
    Ok(rows.unsigned_abs())
}

fn size(dir: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(dir.join("state/ledger.db"))?.len())
}
