//! Sockets that somebody else bound and keeps, as systemd does: they outlive the daemon.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhongkong::client::{Client, Credentials};

use super::support::frozen::Guard;
use super::support::process::{Process, SECRET, Site, TOKEN, key};
use super::support::raw::raw_get;
use super::support::simulated::{Simulated, listed_with};

const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon with one or two sockets as file descriptors 3 and 4: they travel as stdin and stdout,
/// so that no descriptor of the test leaks into what other tests start.
fn spawn(site: &Site, names: &str, first: impl Into<OwnedFd>, second: Option<OwnedFd>) -> Process {
    let config = site.write();
    let count = if second.is_some() { 2 } else { 1 };
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >/dev/null; [ {count} = 2 ] || exec 4<&-; \
         LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names} exec \"$0\" --config \"$1\" run"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_zhongkong")]).arg(config);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).kill_on_drop(true);
    command.stdin(Stdio::from(first.into()));
    command.stdout(second.map_or_else(Stdio::null, Stdio::from));
    Process::spawn_with_stdout(command)
}

fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Connects again and again; every connection that is refused is counted.
struct Caller {
    made: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Caller {
    fn start(addr: SocketAddr, unix: std::path::PathBuf) -> Self {
        let (made, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        let (counted, lost, until) = (made.clone(), refused.clone(), stop.clone());
        task.spawn(async move {
            // The backlog is finite, and nobody accepts while the daemon is away.
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while !until.is_cancelled() {
                let tcp = TcpStream::connect(addr).await.is_ok();
                let unix = UnixStream::connect(&unix).await.is_ok();
                if !(tcp && unix) {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                counted.fetch_add(1, Ordering::Relaxed);
                pace.tick().await;
            }
        });
        Self { made, refused, stop, task }
    }

    /// Waits for this many connections more.
    async fn more(&self, count: usize) {
        let enough = self.made.load(Ordering::Relaxed) + count;
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while self.made.load(Ordering::Relaxed) < enough {
            looks.tick().await;
        }
    }

    async fn end(mut self) -> usize {
        self.stop.cancel();
        while let Some(ended) = self.task.join_next().await {
            ended.unwrap();
        }
        self.refused.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn restart_with_inherited_sockets_refuses_no_connection() {
    let _guard = Guard::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET)])).await;
    let mut site = Site::classic(&wechat.base);
    let (listener, addr) = tcp();
    let unix = UnixListener::bind(site.socket()).unwrap();
    let addresses = format!("listen = [\"{addr}\", \"unix:{}\"]", site.socket().display());
    site.section("grpc", &addresses);
    let start = || {
        let second = unix.try_clone().unwrap().into();
        // Names that say nothing: the addresses are enough.
        spawn(&site, "zhongkong.socket:zhongkong.socket", listener.try_clone().unwrap(), Some(second))
    };
    let credentials = || Credentials { token: Some(TOKEN.into()), ..Credentials::default() };

    let daemon = start();
    let inherited = daemon.line("inherited").await;
    assert!(inherited.contains(&addr.to_string()) && inherited.contains("grpc.sock"), "{inherited}");
    let value = site.value("wx1").await;
    let caller = Caller::start(addr, site.socket());
    caller.more(5).await;
    daemon.stop().await;
    assert!(site.socket().exists(), "an inherited socket's file is not the daemon's to remove");

    // Nobody is there, and whoever calls now is answered by the next daemon.
    caller.more(5).await;
    let base = format!("http://{addr}");
    let early = async {
        let client = Client::connect(&base, credentials()).await.unwrap();
        client.get(&key("wx1"), PATIENCE).await.unwrap().value.unwrap().expose().to_owned()
    };
    let later = async {
        caller.more(5).await;
        start()
    };
    let (early, daemon) = tokio::join!(early, later);
    assert_eq!(early, value);
    caller.more(5).await;
    assert_eq!(caller.end().await, 0, "connections were refused");
    daemon.stop().await;
    assert!(site.socket().exists());
}

#[tokio::test]
async fn inherited_sockets_find_their_place_by_name_where_the_address_is_another() {
    // The configuration lists addresses that are taken; were they bound, the start would fail.
    let _guard = Guard::start();
    let mut site = Site::new("http://127.0.0.1:1");
    let (grpc, grpc_addr) = tcp();
    let (admin, admin_addr) = tcp();
    let (_taken, taken) = tcp();
    site.section("grpc", &format!("listen = [\"{taken}\"]"));
    site.section("admin", &format!("listen = \"{taken}\""));
    let daemon = spawn(&site, "admin:grpc", admin, Some(grpc.into()));
    let line = daemon.line("listening").await;
    assert!(line.contains(&format!("grpc={grpc_addr}")), "{line}");
    assert!(line.contains(&format!("admin={admin_addr}")), "{line}");
    assert_eq!(raw_get(admin_addr, "/healthz").await.body(), "ok\n");
    daemon.stop().await;
}

#[tokio::test]
async fn inherited_socket_that_belongs_to_nobody_is_refused_by_its_name() {
    // Its callers would wait for ever.
    let _guard = Guard::start();
    let site = Site::new("http://127.0.0.1:1");
    let (stranger, addr) = tcp();
    let mut daemon = spawn(&site, "web", stranger, None);
    assert_eq!(daemon.ended().await.code(), Some(2));
    let said = daemon.stderr();
    assert!(said.contains("`web`") && said.contains(&addr.to_string()), "{said}");
    assert!(said.contains("FileDescriptorName="), "{said}");

    // The admin socket twice, and one that does not listen.
    let mut daemon = spawn(&site, "admin:admin", tcp().0, Some(tcp().0.into()));
    assert_eq!(daemon.ended().await.code(), Some(2), "{}", daemon.stderr());
    let (deaf, _) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut daemon = spawn(&site, "grpc-unix", deaf, None);
    assert_eq!(daemon.ended().await.code(), Some(2));
    assert!(daemon.stderr().contains("no listening TCP or Unix socket"), "{}", daemon.stderr());
}

#[tokio::test]
async fn inherited_socket_that_other_machines_reach_needs_its_line_in_the_configuration() {
    // Else a socket unit could open what the configuration's rule about TLS keeps closed.
    let _guard = Guard::start();
    let mut site = Site::new("http://127.0.0.1:1");
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let addr = open.local_addr().unwrap();
    let mut daemon = spawn(&site, "grpc", open.try_clone().unwrap(), None);
    assert_eq!(daemon.ended().await.code(), Some(2));
    let said = daemon.stderr();
    assert!(said.contains("other machines reach") && said.contains("[grpc] listen"), "{said}");
    site.section("grpc", &format!("listen = [\"{addr}\"]\ninsecure = true"));
    let daemon = spawn(&site, "grpc", open, None);
    daemon.line("running accounts=").await;
    daemon.stop().await;
}

#[tokio::test]
async fn descriptors_that_were_passed_to_another_process_are_left_alone() {
    let _guard = Guard::start();
    let mut site = Site::new("http://127.0.0.1:1");
    site.env("LISTEN_PID", "1");
    site.env("LISTEN_FDS", "3");
    let daemon = site.start().await;
    assert_eq!(daemon.count("inherited"), 0);
    daemon.stop().await;
}
