//! Giving up root. As root the real user `nobody` is become; a developer who is not root sees the
//! refusal instead.

use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::{Gid, User};

use super::support::frozen::Guard;
use super::support::process::ran;
use super::unix_support::{Classic, root, status};

fn nobody() -> User {
    User::from_name("nobody").unwrap().expect("Debian has nobody")
}

fn give(path: &Path, user: &User) {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

/// A site in which `nobody` can run a daemon that root starts.
async fn site_of_nobody() -> (Classic, super::support::simulated::Simulated) {
    let (mut site, wechat) = Classic::with_wechat().await;
    site.daemon("user = \"nobody\"");
    give(&site.path(""), &nobody());
    give(&site.path("config.toml"), &nobody());
    give(&site.path("wx1.secret"), &nobody());
    (site, wechat)
}

/// All four ids of a process are these, and so are all its groups.
fn is_nobody(pid: i32) {
    let user = nobody();
    assert_eq!(status(pid, "Uid"), vec![user.uid.to_string(); 4]);
    assert_eq!(status(pid, "Gid"), vec![user.gid.to_string(); 4]);
    let name = std::ffi::CString::new(user.name.as_str()).unwrap();
    let own = nix::unistd::getgrouplist(&name, user.gid).unwrap();
    let groups: Vec<String> = own.iter().map(Gid::to_string).collect();
    assert_eq!(status(pid, "Groups"), groups, "none of root's groups is left");
    assert_eq!(status(pid, "CapEff"), ["0000000000000000"]);
    assert_eq!(status(pid, "CapPrm"), ["0000000000000000"]);
    // Every thread, not only the first.
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(text.contains(&format!("Uid:\t{}\t", user.uid)), "{text}");
    }
}

#[tokio::test]
async fn root_becomes_the_configured_user_with_all_it_opens_later() {
    let _guard = Guard::start();
    if !root() {
        return refused_without_root().await;
    }
    let (site, _wechat) = site_of_nobody().await;
    // Root with groups that nobody has not.
    let mut setpriv = tokio::process::Command::new("setpriv");
    setpriv.args(["--groups=0,4,27", env!("CARGO_BIN_EXE_zhongkong"), "--config"]);
    setpriv.arg(site.path("config.toml")).arg("start");
    ran(setpriv).await.expect(0, &[]);
    let pid = site.pid().unwrap();
    is_nobody(pid);
    for name in ["state", "state/ledger.db", "log", "log/z.log", "log/z.err", "grpc.sock", "run"] {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::symlink_metadata(site.path(name)).unwrap();
        assert_eq!(meta.uid(), nobody().uid.as_raw(), "{name}");
    }
    assert!(!site.value("wx1").await.is_empty());
    let reload = site.run(&["reload"]).await;
    reload.expect(0, &[]);
    assert!(reload.stdout.contains("taken over"), "{reload:?}");
    site.down().await;
    assert!(!site.pid_file().exists());
}

#[tokio::test]
async fn foreground_daemon_gives_up_root_too() {
    let _guard = Guard::start();
    if !root() {
        return refused_without_root().await;
    }
    let (mut site, _wechat) = site_of_nobody().await;
    site.section("daemon.log", "");
    let daemon = site.start_ready().await;
    is_nobody(daemon.pid().as_raw_nonzero().get());
    assert!(!site.value("wx1").await.is_empty());
    assert_eq!(daemon.count("stays root"), 0);
    daemon.stop().await;
}

#[tokio::test]
async fn what_only_root_can_read_is_refused_at_the_start_and_not_at_a_later_reload() {
    let _guard = Guard::start();
    if !root() {
        return refused_without_root().await;
    }
    let (site, _wechat) = site_of_nobody().await;
    let secret = site.path("wx1.secret");
    chown(&secret, Some(0), Some(0)).unwrap();
    let fix = format!("chown nobody {}", secret.display());
    site.refused(2, &["`nobody`", "account[0].secret_file", &fix]).await;
    // The same from check-config, and so from a restart, before anything is touched.
    give(&secret, &nobody());
    let pid = site.up().await;
    chown(&secret, Some(0), Some(0)).unwrap();
    site.run(&["check-config"]).await.expect(2, &["`nobody`", &fix]);
    site.run(&["restart"]).await.expect(2, &["`nobody`", &fix, "was not touched"]);
    assert_eq!(site.pid(), Some(pid));
    give(&secret, &nobody());
    site.run(&["check-config"]).await.expect(0, &[]);
    site.down().await;

    let config = site.path("config.toml");
    chown(&config, Some(0), Some(0)).unwrap();
    site.refused(2, &["`nobody`", "config.toml", "chown"]).await;
    give(&config, &nobody());

    let state = site.path("state");
    chown(&state, Some(0), Some(0)).unwrap();
    site.refused(1, &["`nobody`", &format!("chown -R nobody: {}", state.display())]).await;
    give(&state, &nobody());
    chown(state.join("ledger.db"), Some(0), Some(0)).unwrap();
    site.refused(1, &["ledger.db", &format!("chown -R nobody: {}", state.display())]).await;
}

#[tokio::test]
async fn log_directory_that_the_user_cannot_write_is_named_with_what_to_do() {
    let _guard = Guard::start();
    if !root() {
        return refused_without_root().await;
    }
    let (site, _wechat) = site_of_nobody().await;
    std::fs::create_dir(site.path("log")).unwrap();
    site.refused(1, &["z.err", "chown", "[daemon.log] file"]).await;
    // The directory is theirs, and root has logged there before.
    give(&site.path("log"), &nobody());
    site.file("log/z.log", "");
    site.refused(1, &["z.log", "let the daemon's user write", "daemon.log.file"]).await;
}

#[tokio::test]
async fn user_or_group_that_does_not_exist_is_a_wrong_configuration() {
    let _guard = Guard::start();
    let (mut site, _wechat) = Classic::with_wechat().await;
    site.daemon("user = \"no-such-user\"");
    site.refused(2, &["no user `no-such-user`", "useradd --system no-such-user"]).await;
    site.run(&["check-config"]).await.expect(2, &["no user `no-such-user`"]);
    site.daemon("user = \"nobody\"\ngroup = \"no-such-group\"");
    site.refused(2, &["no group `no-such-group`", "groupadd"]).await;
    site.daemon("group = \"nogroup\"");
    site.refused(2, &["daemon.group", "set user"]).await;
}

#[tokio::test]
async fn root_that_stays_root_is_warned_about() {
    let _guard = Guard::start();
    let (site, _wechat) = Classic::with_wechat().await;
    site.up().await;
    assert_eq!(site.log().contains("this process stays root: set [daemon] user"), root(), "{}", site.log());
    site.down().await;
}

/// What a developer sees: another user cannot be become.
async fn refused_without_root() {
    let (mut site, _wechat) = Classic::with_wechat().await;
    site.daemon("user = \"root\"");
    site.refused(2, &["cannot become another user", "start as root", "sudo -u root"]).await;
    let mut command = site.command();
    command.arg("--config").arg(site.path("config.toml")).arg("run");
    ran(command).await.expect(2, &["cannot become another user"]);
}
