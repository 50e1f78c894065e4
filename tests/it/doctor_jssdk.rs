//! `doctor` and the JS-SDK service: a real service and its daemon, and each thing that is not as it
//! should be.

use std::fs;

use serde_json::Value as Json;

use crate::doctor_support::{client, doctor, wechat, well};
use crate::support::frozen::Guard;
use crate::support::ports::Kept;
use crate::support::process::{Process, Site, TOKEN};

fn served(base: &str) -> (Site, Kept) {
    let mut site = well(base);
    let kept = Kept::new();
    let port = kept.port();
    site.account("wx1", "tickets = [\"jsapi_ticket\"]");
    site.file("jssdk.token", TOKEN);
    fs::create_dir(site.path("pages")).unwrap();
    site.file("pages/index.html", "{{ wechat() }}");
    site.section("serve", &format!("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:{port}\""));
    let daemon = site.addr();
    site.section("jssdk", &format!("daemon = \"{daemon}\"\ntoken_file = \"jssdk.token\"\npages = \"pages\""));
    accounts(&mut site, "localhost", "[]");
    (site, kept)
}

fn accounts(site: &mut Site, host: &str, cards: &str) {
    site.raw(&format!(
        "{}[[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"{host}\", \"*.example.com\"]\ncards = {cards}\n",
        client()
    ));
}

#[tokio::test]
async fn jssdk_service_that_is_well_says_so_in_every_line() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (site, _port) = served(&wechat.base);
    let daemon = site.start_ready().await;
    let mut command = site.command();
    command.arg("--config").arg(site.write()).args(["serve", "jssdk"]);
    let service = Process::spawn(command);
    service.line("running: ").await;
    let said = doctor(&site, &[]).await;
    said.code(0)
        .says("ok", "daemon", &["the jsapi ticket of wx1"])
        .says("ok", "pages", &["pages", "1 page"])
        .says("ok", "hosts", &["1 name"])
        .says("ok", "runs", &["it signs pages"]);
    assert_eq!(said.faults(), Vec::<&Json>::new(), "{}", said.lines());
    let page = site.run(&["doctor"]).await;
    assert!(page.stdout.contains("JS-SDK service\n"), "{}", page.stdout);
    assert!(!page.stdout.contains(TOKEN));
    service.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_keeps_pages_from_being_signed_is_named_with_its_fix() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (mut site, _port) = served(&wechat.base);
    let daemon = site.start_ready().await;
    site.file("pages/index.html", "1\n{% if %}");
    accounts(&mut site, "no-such-host.invalid", "[\"pCard1\"]");
    doctor(&site, &[])
        .await
        .code(1)
        .says("fail", "tickets", &["keeps no wx_card_ticket of wx1", "add \\\"wx_card_ticket\\\" to tickets"])
        .says("fail", "pages", &["index.html:2: "])
        .says("warn", "hosts", &["no-such-host.invalid", "has no address"])
        .says("warn", "runs", &["zhongkong-jssdk"]);
    // A client without read cannot have tickets.
    site.file("pages/index.html", "1");
    let without = client().replace("\"read\", ", "");
    site.raw(&format!("{without}[[jssdk.account]]\nappid = \"wx1\"\nhosts = [\"localhost\"]\n"));
    doctor(&site, &[]).await.says(
        "fail",
        "daemon",
        &["lacks read", "no page can be signed while the daemon is away"],
    );
    daemon.stop().await;
}

#[tokio::test]
async fn client_that_may_sign_in_place_of_reading_is_as_good() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (mut site, _port) = served(&wechat.base);
    let may_sign = client().replace("\"read\", ", "\"sign\", ");
    site.raw(&format!("{may_sign}[[jssdk.account]]\nappid = \"wx1\"\nhosts = [\"localhost\"]\n"));
    let daemon = site.start_ready().await;
    doctor(&site, &[]).await.says("ok", "daemon", &["signs the pages of wx1 for the service"]);
    daemon.stop().await;
}
