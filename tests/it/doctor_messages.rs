//! `doctor` and the message service: a real service and its daemon, and each thing that is not as
//! it should be.

use crate::doctor_support::{Said, client, doctor, wechat, well};
use crate::support::frozen::Guard;
use crate::support::memcached::Memcached;
use crate::support::ports::Kept;
use crate::support::process::{Process, Site, TOKEN};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const RULES: &str = "[[rule]]\nname = \"hello\"\nwhen.content = \"hello\"\nreply = \"hi\"\n";

/// A site about which there is nothing to say, with a message service for its account.
fn served(base: &str, memcached: &str, admin: &Kept) -> Site {
    let mut site = well(base);
    site.file("messages.token", TOKEN);
    site.file("callback.token", "AAAAA");
    site.file("callback.key", KEY);
    site.file("rules.toml", RULES);
    site.section("serve", &format!("listen = \"127.0.0.1:0\"\nadmin = \"{}\"", admin.addr()));
    let daemon = site.addr();
    site.section(
        "messages",
        &format!(
            "daemon = \"{daemon}\"\ntoken_file = \"messages.token\"\nrules = \"rules.toml\"\nmemcached = [\"{memcached}\"]"
        ),
    );
    known(&mut site, &client());
    site
}

/// The service's account, and this client of the daemon's.
fn known(site: &mut Site, client: &str) {
    site.raw(&format!(
        "{client}[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\ntoken_file = \"callback.token\"\n\
         aes_key_file = \"callback.key\"\n"
    ));
}

async fn start(site: &Site) -> Process {
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "messages"]);
    let process = Process::spawn(command);
    process.line("running: ").await;
    process
}

/// No secret of the service is in what was said.
fn keeps_secrets(said: &Said) {
    for secret in [KEY, "AAAAA", TOKEN] {
        assert!(!said.ran.stdout.contains(secret) && !said.ran.stderr.contains(secret), "{}", said.lines());
    }
}

#[tokio::test]
async fn message_service_that_is_well_says_so_in_every_line() {
    let _guard = Guard::start();
    let (wechat, cache) = (wechat(&["wx1"]).await, Memcached::start());
    let admin = Kept::new();
    let site = served(&wechat.base, &cache.addr(), &admin);
    let daemon = site.start_ready().await;
    let service = start(&site).await;
    let said = doctor(&site, &[]).await;
    said.code(0)
        .says("ok", "secrets", &["1 account", "EncodingAESKey"])
        .says("ok", "rules", &["rules.toml", "1 rule"])
        .says("ok", "daemon", &["the access token of wx1", "[[client]] doctor has complain"])
        .says("ok", "memcached", &[&cache.addr()])
        .says("ok", "runs", &["answers messages"]);
    assert_eq!(said.faults(), Vec::<&serde_json::Value>::new(), "{}", said.lines());
    keeps_secrets(&said);
    let page = site.run(&["doctor"]).await;
    assert!(page.stdout.contains("Message service\n  ok    secrets — 1 account"), "{}", page.stdout);
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn each_fault_of_the_message_service_is_named_with_what_to_do() {
    let _guard = Guard::start();
    let (wechat, mut cache) = (wechat(&["wx1"]).await, Memcached::start());
    let admin = Kept::new();
    let mut site = served(&wechat.base, &cache.addr(), &admin);
    // Neither of them runs: one is a warning, because that may be meant.
    let said = doctor(&site, &[]).await;
    said.code(0).says("warn", "runs", &["it does not run", "systemctl start zhongkong-messages"]).says(
        "warn",
        "daemon",
        &["cannot be reached", "systemctl start zhongkong"],
    );

    let daemon = site.start_ready().await;
    let service = start(&site).await;
    site.file("rules.toml", "[[rule]]\nwehn = 1\n");
    cache.kill();
    let said = doctor(&site, &[]).await;
    said.code(1)
        .only(&["rules", "memcached", "runs"])
        .says("fail", "rules", &["rules.toml", "line 2", "when", "[messages] rules"])
        .says("fail", "memcached", &[&cache.addr(), "what the others have handled"]);
    // What the service itself says about it comes with its next look.
    while doctor(&site, &[]).await.lines().contains("it answers messages") {}
    doctor(&site, &[]).await.says("warn", "runs", &["the rules before it are in force"]);
    site.file("rules.toml", RULES);

    site.file("callback.key", "short");
    doctor(&site, &[]).await.code(1).says("fail", "secrets", &["EncodingAESKey", "serve messages --check"]);
    site.file("callback.key", KEY);

    // A client that may only read: found in the daemon's configuration, without a complaint.
    let before = client();
    known(&mut site, &before.replace("\"complain\", ", ""));
    doctor(&site, &[]).await.code(1).says("fail", "daemon", &["lacks complain", "reload the daemon"]);
    known(&mut site, &before);
    // A token that nobody knows.
    site.file("messages.token", "another-token-that-nobody-knows-0123456789a");
    let said = doctor(&site, &[]).await;
    said.code(1).says("fail", "daemon", &["does not know the service", "new-client messages"]);
    assert!(!said.ran.stdout.contains("another-token"), "{}", said.lines());
    site.file("messages.token", TOKEN);

    // What only a running unit has.
    let text = site.write();
    let config = std::fs::read_to_string(&text).unwrap();
    let of_systemd = config.replace("token_file = \"callback.token\"", "token_credential = \"shop-token\"");
    std::fs::write(&text, of_systemd).unwrap();
    let ran = site.run(&["doctor", "--json"]).await;
    assert_eq!(ran.code, Some(1), "of memcached: {ran:?}");
    assert!(ran.stdout.contains("systemd has credentials only while the service runs"), "{}", ran.stdout);
    service.stop().await;
    daemon.stop().await;
}
