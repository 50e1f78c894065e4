//! S7 of the real process: no value, AppSecret, bearer token or seal key in anything that it
//! writes or shows, with every log on, through all that happens to a daemon.
//!
//! The simulator knows each string that it ever issued or was given; everything that came out
//! of the daemon and its commands is searched for all of them.

use std::path::Path;
use std::time::Duration;

use tonic::Request;
use tonic::transport::Channel;
use zhongkong::client::{Client, Event, Flow};
use zhongkong::pb;
use zhongkong::pb::token_control_client::TokenControlClient;
use zhongkong::simulator::{Account, Accounts, Endpoint, Fault, IpList, Kind, NewCode, Script, Settings};

use super::support::frozen::Guard;
use super::support::memcached::Memcached;
use super::support::process::{Process, Ran, SECRET, Site, TOKEN, key};
use super::support::simulated::Simulated;

const SEAL: &str = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";
/// What the daemon believes to be a secret and is none; it stays as secret as a right one.
const WRONG_SECRET: &str = "5ec1e75ec1e75ec1e75ec1e75ec1e75e";
const NEW_SECRET: &str = "fedcba9876543210fedcba9876543210";
const WRONG_TOKEN: &str = "a-t0ken-that-no-client-has-CCCCCCCCCCCCCCCCC";

/// What was written or shown, and where.
#[derive(Default)]
struct Written(Vec<(String, Vec<u8>)>);

impl Written {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// What a command said. It must have ended with this code, so that it did what it is here for.
    fn ran(&mut self, args: &[&str], ran: Ran, code: i32) {
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
        assert!(ran.stdout.len() + ran.stderr.len() > 1, "{args:?} said nothing");
        self.add(format!("stdout of {args:?}"), ran.stdout);
        self.add(format!("stderr of {args:?}"), ran.stderr);
    }

    /// Every file of a directory.
    fn files(&mut self, directory: &Path) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            self.add(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }

    /// Places where one of these strings is found.
    fn found(&self, secrets: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for (place, bytes) in &self.0 {
            for secret in secrets {
                if let Some(at) = bytes.windows(secret.len()).position(|window| window == secret.as_bytes()) {
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(120)..at]).into_owned();
                    found.push(format!("{place}: …{around}<here>"));
                }
            }
        }
        found
    }
}

fn wechat_settings() -> Settings {
    let account = |appid: &str| Account::new(appid, SECRET);
    let blocked = Account { ip_allowed: IpList::Only(vec!["192.0.2.1".parse().unwrap()]), ..account("wxip") };
    let accounts = ["wxclassic", "wxstable", "wxwrong", "wxecho"].map(account).into_iter().chain([blocked]);
    Settings { accounts: Accounts::Listed(accounts.collect()), ..Settings::with_life(Duration::from_secs(9)) }
}

/// Everything on, one account for each way in which WeChat refuses.
fn site(wechat: &Simulated, memcached: &Memcached) -> Site {
    let mut site = Site::new(&wechat.base);
    site.section("daemon", "state_dir = \"state\"\nseal_keys_file = \"seal\"");
    site.file("seal", &format!("k1:{SEAL}\n"));
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", site.socket().display());
    site.section("grpc", &listen);
    let layouts = "layouts = [\"zhongkong\", \"raw\", \"wechatpy\", \"silenceper\"]";
    site.section("memcached", &format!("servers = [\"{}\", \"127.0.0.1:9\"]\n{layouts}", memcached.addr()));
    site.account("wxclassic", "token_mode = \"classic\"\ntickets = [\"jsapi_ticket\", \"wx_card_ticket\"]");
    site.account("wxstable", "tickets = [\"jsapi_ticket\"]");
    site.account("wxwrong", "");
    site.secret("wxwrong", WRONG_SECRET);
    site.account("wxip", "token_mode = \"classic\"");
    site.account("wxecho", "");
    site.env("ZHONGKONG_LOG", "trace");
    site.env("ZHONGKONG_FAILPOINTS", "attempt.answered@wxstable=panic");
    site.env("RUST_BACKTRACE", "1");
    site
}

/// A call by a client library that does not mark its credentials as sensitive.
async fn careless_call(daemon: &Process, token: &str) -> Result<pb::GetTokenResponse, tonic::Status> {
    let channel = Channel::from_shared(daemon.tcp().await).unwrap().connect().await.unwrap();
    let asked = pb::GetTokenRequest { appid: "wxclassic".to_owned(), ..Default::default() };
    let mut request = Request::new(asked);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    TokenControlClient::new(channel).get_token(request).await.map(tonic::Response::into_inner)
}

/// Waits until a key has had so many values.
async fn rotated(client: &Client, appid: &str, times: usize) {
    let mut watch = client.watch(&[key(appid)], &[]).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < times {
        if let Event::Token(token) = watch.next().await.unwrap().unwrap() {
            seen.push(token.generation);
            seen.dedup();
        }
    }
}

#[tokio::test]
async fn no_secret_and_no_value_is_in_anything_that_the_daemon_or_a_command_writes() {
    let _guard = Guard::start();
    let wechat = Simulated::start(wechat_settings()).await;
    let echo = |code| Fault::Errcode {
        code,
        message: Some(format!("invalid appsecret, secret={SECRET} is not right rid: {SECRET}")),
    };
    wechat.control.script(Script::forever(Endpoint::StableToken, echo(40125)).only("wxecho"));
    let memcached = Memcached::start();
    let mut site = site(&wechat, &memcached);
    let mut written = Written::default();

    // Start: two accounts come up, one of them over a panic, three are refused.
    let daemon = site.start().await;
    let client = site.connect().await;
    for appid in ["wxclassic", "wxstable"] {
        client.get(&key(appid), Duration::from_secs(30)).await.unwrap();
    }
    daemon.line("the refresher of wxstable:access_token panicked").await;
    for (appid, says) in [("wxwrong", "40125"), ("wxip", "40164"), ("wxecho", "40125")] {
        let args = ["explain", appid];
        let ran = site.run(&args).await;
        assert!(ran.stdout.contains(says), "{ran:?}");
        written.ran(&args, ran, 0);
    }

    // Callers, right and wrong.
    careless_call(&daemon, TOKEN).await.unwrap();
    careless_call(&daemon, WRONG_TOKEN).await.unwrap_err();
    let code = wechat.control.mint_code(NewCode::web("wxclassic", "openid-1"));
    let exchanged =
        client.exchange_code(&"wxclassic".parse().unwrap(), &code.as_str().into(), Flow::Web).await.unwrap();
    written.add("Debug of a login", format!("{exchanged:?}"));
    let used = client.exchange_code(&"wxclassic".parse().unwrap(), &code.as_str().into(), Flow::Web).await;
    written.add("Debug of a refused login", format!("{:?}", used.unwrap_err()));
    client.sign_jsapi(&"wxclassic".parse().unwrap(), "https://example.com/a?b=c").await.unwrap();

    // Rotation, a foreign refresh and the complaint about it, a lost answer.
    rotated(&client, "wxclassic", 2).await;
    wechat.control.kill("wxclassic", Kind::Classic);
    for args in [
        &["refresh", "wxclassic", "--errcode", "40001", "--json"][..],
        &["refresh", "wxstable", "--force"],
        &["pause", "wxstable"],
        &["resume", "wxstable", "--json"],
    ] {
        written.ran(args, site.run(args).await, 0);
    }
    wechat.control.script(Script::once(Endpoint::Token, Fault::AnswerLost).only("wxclassic"));
    rotated(&client, "wxclassic", 2).await;

    // Reloads: a changed secret, and a file that is refused with secrets in the wrong place.
    wechat.control.set_secret("wxstable", NEW_SECRET);
    site.secret("wxstable", NEW_SECRET);
    daemon.reload("configuration taken over").await;
    site.raw(&format!(
        "[[account]]\nappid = \"{SECRET}\"\nsecret_file = \"{SECRET}\"\nsecret = \"{SECRET}\"\n"
    ));
    site.write();
    daemon.reload("was not taken over").await;
    for args in [&["check-config"][..], &["check-config", "--json"]] {
        written.ran(args, site.run(args).await, 2);
    }
    site.raw("");
    site.write();

    // Everything that can be asked.
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["explain", "wxclassic"],
        &["explain", "wxecho", "--json"],
        &["check-config"],
        &["check-config", "--json"],
    ] {
        written.ran(args, site.run(args).await, 0);
    }
    for args in [&["get", "wxwrong"][..], &["get", "wxip", "--json"], &["get", "wxecho"], &["get", "wxnone"]]
    {
        written.ran(args, site.run(args).await, 1);
    }
    for page in ["/metrics", "/readyz", "/healthz"] {
        let (status, body) = daemon.page(page).await;
        assert!(!body.is_empty(), "{page} is empty: {status}");
        written.add(page, format!("{status} {body}"));
    }
    let mut watch = site.background(&["watch", "--json"]);
    watch.out_line(0, "snapshot_complete").await;
    watch.end_now().await;
    written.add("stdout of watch", watch.stdout());
    assert!(watch.stdout().contains("fingerprint"), "{}", watch.stdout());
    let proc = Path::new("/proc").join(daemon.pid().as_raw_nonzero().to_string());
    written.add("/proc/PID/cmdline", std::fs::read(proc.join("cmdline")).unwrap());
    written.files(&site.path("state"));
    let ledger =
        written.0.iter().find(|(place, _)| place.ends_with("ledger.db")).expect("the ledger is read");
    assert!(ledger.1.starts_with(b"SQLite format 3"));

    // The search would find a value: `get` prints one.
    let printed = site.run(&["get", "wxclassic", "--wait", "20s"]).await;
    let mut secrets = wechat.control.issued_values();
    assert!(secrets.len() > 10, "there must be something to look for");
    let mut seen = Written::default();
    seen.ran(&["get"], printed, 0);
    assert!(!seen.found(&secrets).is_empty(), "the search is broken");

    let log = daemon.stop().await;
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the log is not at trace");
    assert!(log.contains("wxecho"), "the refusals are logged");
    written.add("stderr of the daemon", log);
    written.files(&site.path("state"));
    secrets.extend([TOKEN, SEAL, WRONG_SECRET, NEW_SECRET, WRONG_TOKEN, code.as_str()].map(str::to_owned));
    let found = written.found(&secrets);
    assert!(found.is_empty(), "{} secrets were written:\n{}", found.len(), found.join("\n"));
}
