//! `zhongkong start`: back when the daemon is ready, else with the daemon's own words.

use std::net::TcpListener;
use std::path::Path;

use zhongkong::simulator::{Endpoint, Fault, Script};

use super::support::frozen::Guard;
use super::support::manager::Manager;
use super::support::process::{binary, ran};
use super::unix_support::{Classic, mode, root, status};

const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn start_stop_restart_and_reload_do_what_they_say() {
    // A day of an administrator: up, again by mistake, a new account, a restart, down, again.
    let _guard = Guard::start();
    let (mut site, wechat) = Classic::with_wechat().await;
    let first = site.up().await;
    let value = site.value("wx1").await;
    assert!(wechat.control.alive(&value));
    assert_eq!(std::fs::read_to_string(site.pid_file()).unwrap(), format!("{first}\n"));

    let again = site.run(&["start"]).await;
    again.expect(1, &[&format!("runs already, as process {first}"), "z.pid"]);
    assert_eq!(site.pid(), Some(first));

    site.account("wx2", "");
    site.section("memcached", "timeout = \"2s\"");
    site.write();
    let reload = site.run(&["reload"]).await;
    reload.expect(0, &[]);
    assert!(reload.stdout.contains("1 added, 0 changed, 0 removed"), "{reload:?}");
    assert!(reload.stdout.contains("a restart is needed for memcached.timeout"), "{reload:?}");
    assert!(!site.value("wx2").await.is_empty());

    let restart = site.run(&["restart"]).await;
    restart.expect(0, &[&format!("has ended (process {first})")]);
    let second = site.pid().expect("it runs");
    assert_ne!(first, second);
    assert_eq!(site.value("wx1").await, value, "the ledger survives");

    site.down().await;
    assert!(!site.pid_file().exists(), "an orderly end leaves no pid file");
    let nobody = site.run(&["stop"]).await;
    nobody.expect(0, &[]);
    assert!(nobody.stdout.contains("does not run by the pid file"), "{nobody:?}");
    assert!(nobody.stdout.contains("one that systemd runs"), "it may run all the same: {nobody:?}");
    site.run(&["reload"]).await.expect(1, &["does not run", "zhongkong start", "systemctl reload"]);

    // A restart of nothing is a start.
    site.run(&["restart"]).await.expect(0, &["does not run"]);
    assert!(site.pid().is_some());
    site.down().await;
}

#[tokio::test]
async fn detached_daemon_has_neither_terminal_nor_session_of_its_starter() {
    // Started in a pseudo-terminal that is closed when start is back, which hangs up on all that
    // belongs to it.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let config = site.path("config.toml");
    let mut script = tokio::process::Command::new("script");
    script
        .args(["-qec", &format!("{} --config {} start", env!("CARGO_BIN_EXE_zhongkong"), config.display())]);
    script.arg("/dev/null").env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let started = ran(script).await;
    started.expect(0, &[]);
    assert!(started.stdout.contains("is ready"), "{started:?}");

    let pid = site.pid().expect("it runs after its terminal");
    assert!(!site.value("wx1").await.is_empty());
    // Not by getsid(2): the session of this test may be led by a process outside its pid namespace,
    // as in a container, and is then told as 0, which is no pid.
    let (session, terminal) = session_and_terminal(&pid.to_string());
    assert_ne!(session, session_and_terminal("self").0, "a session of its own");
    assert_eq!(terminal, "0", "no controlling terminal");
    // The process is not dumpable, so that only root sees its files.
    if root() {
        let fd = |fd: u32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert_eq!(fd(0), Path::new("/dev/null"));
        assert_eq!((fd(1), fd(2)), (site.path("log/z.err"), site.path("log/z.err")));
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    }
    site.down().await;
}

#[tokio::test]
async fn manager_of_the_unit_that_ran_start_hears_nothing_of_the_daemon() {
    // A deployment under systemd runs `start`: the daemon is none of that unit's, and outlives it.
    let _guard = Guard::start();
    let (mut site, _wechat) = Classic::with_wechat().await;
    let path = site.path("notify.sock");
    let mut manager = Manager::at(&path);
    site.env("NOTIFY_SOCKET", path.to_str().unwrap());
    site.up().await;
    site.run(&["reload"]).await.expect(0, &[]);
    site.down().await;
    assert_eq!(manager.heard(), [""; 0], "it heard of a daemon");
}

/// The session and the controlling terminal of a process, as its `stat` has them: `0` is none.
fn session_and_terminal(process: &str) -> (String, String) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[3].to_owned(), fields[4].to_owned())
}

#[tokio::test]
async fn detached_daemon_holds_no_lock_of_its_starter_and_hears_signals_that_it_had_blocked() {
    // A deploy script with a lock, started by a supervisor that had blocked TERM and HUP: both are
    // inherited, and would last as long as the daemon does.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let lock = std::fs::File::create(site.path("deploy.lock")).unwrap();
    let script = "exec 9>\"$0\"; flock 9; exec env --block-signal=TERM,HUP \"$@\"";
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", script]).arg(site.path("deploy.lock")).arg(env!("CARGO_BIN_EXE_zhongkong"));
    shell.arg("--config").arg(site.path("config.toml")).arg("start");
    ran(shell).await.expect(0, &[]);
    lock.try_lock().expect("the script has ended, and its lock with it");
    assert_eq!(status(site.pid().unwrap(), "SigBlk"), ["0000000000000000"]);
    site.run(&["reload"]).await.expect(0, &[]);
    site.down().await;
}

#[tokio::test]
async fn link_where_the_outcome_of_a_reload_is_noted_leads_nobody_to_another_file() {
    // The pid file's directory may be one in which others can write, like /tmp.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    std::fs::create_dir(site.path("run")).unwrap();
    site.file("victim", "precious");
    for name in ["run/z.reload", "run/z.reload-new"] {
        std::os::unix::fs::symlink(site.path("victim"), site.path(name)).unwrap();
    }
    site.up().await;
    let reload = site.run(&["reload"]).await;
    reload.expect(0, &[]);
    assert!(reload.stdout.contains("taken over"), "{reload:?}");
    assert_eq!(std::fs::read_to_string(site.path("victim")).unwrap(), "precious");
    site.down().await;
}

#[tokio::test]
async fn files_of_the_daemon_are_closed_to_others_whatever_the_umask_of_its_starter() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let mut shell = tokio::process::Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_zhongkong");
    let config = site.path("config.toml");
    shell.args(["-c", &format!("umask 0; exec {binary} --config {} start", config.display())]);
    ran(shell).await.expect(0, &[]);
    assert_eq!(status(site.pid().unwrap(), "Umask"), ["0077"]);
    let expected = [
        ("run", 0o755),
        ("run/z.pid", 0o644),
        ("run/z.reload", 0o600),
        ("log", 0o750),
        ("log/z.err", 0o640),
        ("state", 0o700),
        ("state/ledger.db", 0o600),
        // Who may connect is asked by uid or token besides.
        ("grpc.sock", 0o660),
    ];
    for (name, bits) in expected {
        assert_eq!(mode(&site.path(name)), bits, "{name}");
    }
    assert_eq!(mode(&site.path("log/z.log")) & 0o027, 0);
    site.down().await;
}

#[tokio::test]
async fn start_that_fails_says_what_the_daemon_says_and_exits_as_it_does() {
    let _guard = Guard::start();
    let mut site = Classic::new(NOWHERE);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let socket = format!("listen = [\"unix:{}\"]", site.socket().display());

    site.section("grpc", &format!("listen = [\"{addr}\"]"));
    site.write();
    site.refused(1, &[&addr, "[grpc] listen", "in use"]).await;
    site.section("grpc", &socket);

    site.section("admin", &format!("listen = \"{addr}\""));
    site.write();
    site.refused(1, &[&addr, "[admin] listen", "in use"]).await;
    site.section("admin", "listen = \"127.0.0.1:0\"");

    site.section("wechat", "api_base = \"nonsense\"");
    site.write();
    site.refused(2, &["wechat.api_base"]).await;
    site.section("wechat", &format!("api_base = \"{NOWHERE}\""));

    // After the detaching, from the depth of the build: the mode of the state directory.
    std::fs::create_dir(site.path("state")).unwrap();
    chmod(&site.path("state"), 0o777);
    site.write();
    site.refused(1, &["state", "chmod"]).await;
    chmod(&site.path("state"), 0o700);

    // The log cannot be made where a file stands.
    site.file("nolog", "");
    site.section("daemon.log", "file = \"nolog/z.log\"");
    site.write();
    site.refused(1, &["nolog"]).await;
    assert!(!site.pid_file().exists(), "no start that failed leaves a pid file");
}

#[tokio::test]
async fn start_whose_daemon_is_killed_says_how_it_died_and_where_its_log_is() {
    // The failpoint is a real SIGKILL between the intent and the call: nobody can say a word.
    let _guard = Guard::start();
    let (mut site, _wechat) = Classic::with_wechat().await;
    site.env("ZHONGKONG_FAILPOINTS", "attempt.intent_stored=kill");
    let log = site.path("log/z.log").display().to_string();
    site.refused(1, &["died before it was ready", "signal: 9 (SIGKILL)", &log, "z.err"]).await;
    // What it left behind does not hinder the next.
    site.without_env("ZHONGKONG_FAILPOINTS");
    let started = site.run(&["start"]).await;
    started.expect(0, &["note:", "did not end in order"]);
    site.down().await;
}

#[tokio::test]
async fn start_that_is_not_ready_in_time_says_how_it_stands_and_leaves_the_daemon_alone() {
    let _guard = Guard::start();
    let (site, wechat) = Classic::with_wechat().await;
    wechat.control.script(Script::once(Endpoint::Token, Fault::HoldAnswer));
    let started = site.run(&["start", "--wait", "1s"]).await;
    let pid = site.pid().expect("it goes on").to_string();
    started.expect(1, &["not ready within 1s", "wx1 is being fetched", "in the background", &pid, "z.log"]);
    wechat.control.release();
    assert!(!site.value("wx1").await.is_empty());
    site.down().await;
}

#[tokio::test]
async fn log_on_a_full_disk_is_told_by_start_and_does_not_keep_the_daemon_from_serving() {
    // A file system of one page that is full, in a namespace of its own so that it goes with the
    // daemon.
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    let log = site.path("log");
    std::fs::create_dir(&log).unwrap();
    let script = "mount -t tmpfs -o size=4k none \"$0\" && head -c 4096 /dev/zero >\"$0/full\"; exec \"$@\"";
    let mut unshare = tokio::process::Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&log);
    unshare.arg(env!("CARGO_BIN_EXE_zhongkong")).arg("--config").arg(site.path("config.toml")).arg("start");
    let started = ran(unshare).await;
    started.expect(0, &["warning: nothing can be written to", "No space left", "free space", "z.log"]);
    assert!(!site.value("wx1").await.is_empty());
    site.down().await;
}

#[tokio::test]
async fn pid_file_that_cannot_be_made_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let mut site = Classic::new(NOWHERE);
    for (path, says) in [("/proc/z.pid", "pid file /proc/z.pid"), ("/proc/none/z.pid", "/proc/none")] {
        site.section("daemon", &format!("state_dir = \"state\"\npid_file = \"{path}\""));
        site.write();
        let ran = site.run(&["start"]).await;
        ran.expect(1, &[says]);
    }
    // A link could lead root, who writes in a directory of the daemon's user, to any file.
    site.daemon("");
    std::fs::create_dir(site.path("run")).unwrap();
    site.file("victim", "precious");
    std::os::unix::fs::symlink(site.path("victim"), site.pid_file()).unwrap();
    site.run(&["start"]).await.expect(1, &["a symbolic link", "[daemon] pid_file"]);
    std::fs::remove_file(site.pid_file()).unwrap();
    std::fs::hard_link(site.path("victim"), site.pid_file()).unwrap();
    site.run(&["start"]).await.expect(1, &["several names", "[daemon] pid_file"]);
    assert_eq!(std::fs::read_to_string(site.path("victim")).unwrap(), "precious");
    std::fs::remove_file(site.pid_file()).unwrap();
}

#[tokio::test]
async fn start_without_a_configuration_is_a_wrong_configuration() {
    let _guard = Guard::start();
    let mut command = binary();
    command.args(["--config", "/nonexistent/zhongkong.toml", "start"]);
    ran(command).await.expect(2, &["cannot read the configuration /nonexistent/zhongkong.toml"]);
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
