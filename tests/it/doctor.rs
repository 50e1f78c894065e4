//! `doctor` against a real daemon, a simulated WeChat and real memcached servers: all is well,
//! and each thing that is not.

use zhongkong::simulator::{Callback, Endpoint, IpList, ServerMode};

use crate::doctor_support::{Fixed, doctor, wechat, well};
use crate::support::frozen::Guard;
use crate::support::memcached::Memcached;
use crate::support::ports::Kept;

#[tokio::test]
async fn all_is_well_in_every_line_and_costs_one_stable_call() {
    let _guard = Guard::start();
    let (wechat, cache) = (wechat(&["wx1"]).await, Memcached::start());
    let callback = Fixed::start(403, "wrong signature").await;
    wechat.control.set_callback("wx1", Callback::Reachable);
    let mut site = well(&wechat.base);
    site.account("wx1", &format!("callback_url = \"{}/wx\"", callback.base));
    site.section("memcached", &format!("servers = [\"{}\"]", cache.addr()));
    let admin = Kept::new();
    site.section("admin", &format!("listen = \"{}\"", admin.addr()));
    let daemon = site.start_ready().await;
    let value = site.value("wx1").await;
    let budget = || async { site.run(&["status", "--json"]).await.document()["keys"][0]["budget"].clone() };
    let (before, calls) = (budget().await, wechat.control.count(Endpoint::StableToken, "wx1"));

    let said = doctor(&site, &[]).await;
    said.code(0);
    assert_eq!(said.faults(), Vec::<&serde_json::Value>::new(), "{}", said.lines());
    said.says("ok", "answers", &["it runs, process"])
        .says("ok", "ready", &[])
        .says("ok", "version", &[env!("CARGO_PKG_VERSION")])
        .says("ok", "keys", &["1 key: 1 fresh"])
        .says("ok", "budget", &["wx1 access_token: 1999 of 2000"])
        .says("ok", "modes", &["files as they should be"])
        .says("ok", "disk", &["free"])
        .says("ok", "open files", &[])
        .says("ok", "dns", &[])
        .says("ok", "tcp", &[])
        .says("ok", "https", &["WeChat answers"])
        .says("ok", "clock", &["within"])
        .says("ok", "secret", &["wx1", "accepts"])
        .says("ok", "server", &[&cache.addr(), "memcached 1."])
        .says("ok", "layouts", &["wrong AppSecret"])
        .says("ok", "from WeChat", &["wx1", "23.079ms"])
        .says("ok", "from here", &["wx1", "403"]);
    assert_eq!(said.document["ok"], true);

    // One call that killed nothing, and nothing that the daemon would count.
    assert_eq!(wechat.control.count(Endpoint::StableToken, "wx1"), calls + 1);
    assert_eq!(wechat.control.issued(Endpoint::StableToken, "wx1"), 1);
    assert!(wechat.control.alive(&value));
    assert_eq!(budget().await, before);
    // The copies are those of the daemon, and the doctor's own key is gone.
    assert!(cache.value("zhongkong:wx1:access_token").is_some());
    assert_eq!(cache.stat("curr_items"), cache.stat("total_items") - 1);

    // The page for people has the same lines, in one screen.
    let page = site.run(&["doctor"]).await;
    page.expect(0, &[]);
    assert!(
        page.stdout.contains("  ok    secret wx1 — ") && page.stdout.contains("0 fail: all is well"),
        "{page:?}"
    );
    assert!(page.stdout.lines().count() < 40 && !page.stdout.contains('\u{1b}'), "{}", page.stdout);
    for secret in wechat.control.issued_values() {
        let all = [&said.ran.stdout, &said.ran.stderr, &page.stdout, &page.stderr];
        assert!(all.iter().all(|text| !text.contains(&secret)), "a value or a secret was printed");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn refused_secrets_and_addresses_are_named_with_what_to_do() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1", "wx2", "wx3", "wx4"]).await;
    let mut site = well(&wechat.base);
    for appid in ["wx2", "wx3", "wx4"] {
        site.account(appid, "");
    }
    site.account("wx5", "");
    site.secret("wx2", "fedcba9876543210fedcba9876543210");
    wechat.control.freeze_secret("wx3");
    wechat.control.set_ip_allowed("wx4", IpList::Only(vec!["203.0.113.9".parse().unwrap()]));

    let said = doctor(&site, &[]).await;
    said.code(1)
        .only(&["secret", "answers", "state_dir"])
        .says("ok", "secret", &["wx1"])
        .says("fail", "secret", &["wx2", "errcode 40125", "AppSecret"])
        .says("fail", "secret", &["wx3", "errcode 40243", "unfreeze"])
        .says("fail", "secret", &["wx4", "errcode 40164", "WeChat saw 127.0.0.1", "IP whitelist"])
        .says("fail", "secret", &["wx5", "errcode 40013", "appid"]);
    assert_eq!(said.document["seen_ip"], "127.0.0.1");
    for secret in wechat.control.issued_values() {
        assert!(!said.ran.stdout.contains(&secret), "{}", said.lines());
    }
    // Asked about one account only, only that one is called for.
    let calls = wechat.control.count_all(Endpoint::StableToken);
    doctor(&site, &["--account", "wx1"]).await.code(0).says("ok", "chosen", &["1 of 5"]);
    assert_eq!(wechat.control.count_all(Endpoint::StableToken), calls + 1);
    doctor(&site, &["--no-secret-check"]).await.code(0).says("ok", "secret", &["not asked for"]);
    assert_eq!(wechat.control.count_all(Endpoint::StableToken), calls + 1);
    site.run(&["doctor", "--account", "wx9"]).await.expect(2, &["--account wx9", "no usable account"]);
}

#[tokio::test]
async fn of_many_accounts_twenty_are_asked_about_unless_all_are_wanted() {
    let _guard = Guard::start();
    let names: Vec<String> = (0..25).map(|nth| format!("wx{nth}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wechat = wechat(&names).await;
    let mut site = well(&wechat.base);
    for appid in &names {
        site.account(appid, "");
    }
    doctor(&site, &[]).await.code(0).says("ok", "chosen", &["20 of 25", "--all"]);
    assert_eq!(wechat.control.count_all(Endpoint::StableToken), 20);
    doctor(&site, &["--all"]).await.code(0).silent("chosen");
    assert_eq!(wechat.control.count_all(Endpoint::StableToken), 45);
    let page = site.run(&["doctor"]).await;
    assert!(page.stdout.contains("secret (20) — wx0, wx1, wx10 and 17 more"), "{}", page.stdout);
}

#[tokio::test]
async fn the_step_that_fails_on_the_way_to_wechat_is_named() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    wechat.control.set_mode(ServerMode::Refuses).await;
    let said = doctor(&site, &[]).await;
    said.code(1).says("fail", "tcp", &["connection refused", "firewall"]).says(
        "warn",
        "secret",
        &["not known"],
    );
    said.silent("https").silent("clock");
    wechat.control.set_mode(ServerMode::Closes).await;
    doctor(&site, &[]).await.code(1).says("ok", "tcp", &[]).says("fail", "https", &["broke off"]);
    wechat.control.set_mode(ServerMode::Up).await;

    // Plain HTTP where TLS is awaited; no such name; a portal; a proxy that is away.
    site.section("wechat", &format!("api_base = \"https://{}\"", wechat.addr));
    doctor(&site, &[]).await.code(1).says("ok", "tcp", &[]).says("fail", "tls", &["TLS", "certificate"]);
    site.section("wechat", "api_base = \"https://wechat.invalid\"");
    doctor(&site, &[]).await.code(1).says("fail", "dns", &["wechat.invalid", "resolv.conf"]).silent("tcp");
    let portal = Fixed::start(200, "<html>Sign in</html>").await;
    site.section("wechat", &format!("api_base = \"{}\"", portal.base));
    doctor(&site, &[]).await.code(1).says("fail", "https", &["not as WeChat does", "portal"]);
    let nobody = Kept::new();
    let proxy = format!("api_base = \"{}\"\nproxy = \"http://{}\"", wechat.base, nobody.addr());
    site.section("wechat", &proxy);
    doctor(&site, &[]).await.code(1).says("fail", "tcp", &["the proxy", "refused"]);
    assert_eq!(wechat.control.count_all(Endpoint::StableToken), 0, "no secret went out on a doubtful way");
}

#[tokio::test]
async fn a_wrong_clock_is_a_warning_and_a_very_wrong_one_a_failure() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let site = well(&wechat.base);
    wechat.control.set_date_offset(60);
    doctor(&site, &[]).await.code(0).says("warn", "clock", &["behind WeChat's", "set-ntp"]);
    wechat.control.set_date_offset(-3_600);
    doctor(&site, &[]).await.code(1).says("fail", "clock", &["59 min", "ahead of WeChat's"]);
}

#[tokio::test]
async fn a_memcached_that_is_down_is_named_beside_one_that_is_well() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (up, mut down) = (Memcached::start(), Memcached::start());
    let mut site = well(&wechat.base);
    site.section("memcached", &format!("servers = [\"{}\", \"{}\"]", down.addr(), up.addr()));
    doctor(&site, &[]).await.code(0);
    down.kill();
    let said = doctor(&site, &[]).await;
    said.code(1)
        .only(&["server", "answers", "state_dir"])
        .says("fail", "server", &[&down.addr(), "refused", "systemctl start memcached"])
        .says("ok", "server", &[&up.addr()]);
    assert_eq!(up.stat("curr_items"), 0, "no key stays behind");
    // Another service at the address is no memcached.
    let other = Fixed::start(400, "what?").await;
    let addr = other.base.trim_start_matches("http://").to_owned();
    site.section("memcached", &format!("servers = [\"{addr}\"]"));
    doctor(&site, &[]).await.code(1).says("fail", "server", &[&addr]);
}

#[tokio::test]
async fn a_callback_is_asked_from_both_sides() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let mut site = well(&wechat.base);
    for (status, body, mode, level, words) in [
        (403, "no", Callback::Reachable, "ok", "403"),
        (200, "{echostr}", Callback::Lost, "warn", "wrong signature for good"),
        (404, "", Callback::Unset, "warn", "nothing at this path"),
        (302, "", Callback::Reachable, "warn", "does not follow"),
        (502, "", Callback::Reachable, "fail", "502"),
    ] {
        let callback = Fixed::start(status, body).await;
        site.account("wx1", &format!("callback_url = \"{}/wx\"", callback.base));
        wechat.control.set_callback("wx1", mode);
        let said = doctor(&site, &[]).await;
        said.says(level, "from here", &[words]);
        match mode {
            Callback::Reachable => said.says("ok", "from WeChat", &["127.0.0.1"]),
            Callback::Lost => said.says("warn", "from WeChat", &["every ping is lost"]),
            Callback::Unset => said.says("warn", "from WeChat", &["40201"]),
        };
    }
    let nobody = Kept::new();
    site.account("wx1", &format!("callback_url = \"http://{}/wx\"", nobody.addr()));
    doctor(&site, &[]).await.code(1).says("fail", "from here", &["no connection", "web server"]);
    // TLS that is none.
    site.account("wx1", &format!("callback_url = \"https://{}/wx\"", wechat.addr));
    doctor(&site, &[]).await.code(1).says("fail", "from here", &["TLS", "openssl"]);
    // Without a token WeChat cannot be asked; that is said.
    doctor(&site, &["--no-secret-check"]).await.says("warn", "from WeChat", &["not asked", "read"]);
}
