//! What "started" means when values do not come, under a clock that the test moves: the whole
//! daemon in this process, with a real notify socket.

use std::path::Path;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use zhongkong::clock::Clock;
use zhongkong::config::{Config, Environment, Loaded};
use zhongkong::daemon::{Daemon, Phase, Store};
use zhongkong::process::notify::Notifier;
use zhongkong::process::sockets::{Inherited, Sockets};
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::support::engine::manual_clock;
use super::support::frozen::Frozen;
use super::support::manager::{Manager, READY, value};
use super::support::process::{SECRET, Site};
use super::support::simulated::{Simulated, listed_with};

const SECOND: Duration = Duration::from_secs(1);

async fn build(site: &Site, clock: Clock) -> Daemon {
    let loaded = Config::load(&site.write(), &Environment::default()).unwrap();
    let counters = PrometheusBuilder::new().build_recorder().handle();
    let sockets = Sockets::collect(&loaded.config, Inherited::default()).unwrap();
    Daemon::build(loaded.config, sockets, clock, Store::Memory, counters).await.unwrap()
}

/// Runs the daemon while the story is told.
async fn during(daemon: Daemon, path: &Path, story: impl Future<Output = ()>) {
    let env = Environment::from_iter([("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let load = || -> Result<Loaded, _> { unreachable!("nobody reloads") };
    tokio::select! {
        ended = daemon.run(std::future::pending, load, Notifier::from_env(&env)) => panic!("{ended:?}"),
        () = story => {}
    }
}

/// Moves the clock in steps in which everything has time to follow.
async fn pass(frozen: &Frozen, span: Duration) {
    for _ in 0..span.as_secs() * 5 {
        frozen.advance(SECOND / 5).await;
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn account_that_wechat_refuses_holds_the_start_up_for_the_grace_only() {
    // The IP list of one account was forgotten. The other one's callers are served after 30 s,
    // and the line says which account needs whom to do what.
    let frozen = Frozen::start();
    let wechat = Simulated::start(listed_with(&[("wx1", SECRET), ("wx2", SECRET)])).await;
    wechat.control.script(Script::forever(Endpoint::Token, Fault::errcode(40_164)).only("wx2"));
    let mut site = Site::classic(&wechat.base);
    site.account("wx2", "token_mode = \"classic\"");
    let path = site.path("notify.sock");
    let mut manager = Manager::at(&path);
    let daemon = build(&site, manual_clock()).await;
    let standing = daemon.standing();
    let story = async {
        wechat.control.wait_for(|log| log.calls().count() == 2).await;
        pass(&frozen, SECOND).await;
        let said = manager.until("wx2 40164").await;
        assert!(said.contains("STATUS=starting: 1 key fresh, 1 needs operator: wx2 40164: "), "{said}");
        pass(&frozen, 27 * SECOND).await;
        assert_eq!(manager.count(READY), 0, "{:?}", manager.heard());
        assert_eq!(standing.borrow().phase, Phase::Starting);
        // A start that takes longer than systemd's limit is not ended: it asks for time.
        let asked = manager.heard().iter().filter(|said| said.contains("EXTEND_TIMEOUT_USEC")).count();
        assert!((4..=6).contains(&asked), "{:?}", manager.heard());
        pass(&frozen, 3 * SECOND).await;
        let said = manager.until(READY).await;
        let status = value(&said, "STATUS");
        assert!(
            status.starts_with("1 key fresh, 1 needs operator: wx2 40164: WeChat saw the address"),
            "{status}"
        );
        assert_eq!(standing.borrow().phase, Phase::Ready);
    };
    during(daemon, &path, story).await;
}

#[tokio::test]
async fn outage_of_wechat_does_not_let_systemd_kill_the_start() {
    // WeChat is down for ten minutes. The start is finished after the grace, with a warning in
    // the line; /readyz and gRPC health say "not ready" all the while.
    let frozen = Frozen::start();
    let mut site = Site::classic("http://127.0.0.1:9");
    site.account("wx2", "token_mode = \"stable\"");
    let path = site.path("notify.sock");
    let mut manager = Manager::at(&path);
    let daemon = build(&site, manual_clock()).await;
    let standing = daemon.standing();
    let story = async {
        pass(&frozen, 29 * SECOND).await;
        assert_eq!(manager.count(READY), 0, "{:?}", manager.heard());
        pass(&frozen, 3 * SECOND).await;
        let said = manager.until(READY).await;
        let status = value(&said, "STATUS");
        assert!(
            status.starts_with("not ready: 0 keys fresh, 2 without a value: wx1: WeChat cannot be reached"),
            "{status}"
        );
        pass(&frozen, 600 * SECOND).await;
        assert_eq!(standing.borrow().phase, Phase::NotReady);
        assert_eq!(manager.count(READY), 1, "and it is said once");
        let asked = manager.heard().last().unwrap();
        assert!(!asked.contains("EXTEND"), "a finished start asks for nothing: {asked}");
    };
    during(daemon, &path, story).await;
}
