//! Several services beside one file: each in a process of its own, as the packaged units run them, or
//! all in one.

use std::net::SocketAddr;

use crate::doctor_support::{client, doctor, wechat, well};
use crate::support::frozen::Guard;
use crate::support::ports::Kept;
use crate::support::process::{Process, Site, TOKEN, ran};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The message service and the JS-SDK service, whose admin listeners are here.
fn site(base: &str, together: &Kept, jssdk: &Kept) -> Site {
    let mut site = well(base);
    site.account("wx1", "tickets = [\"jsapi_ticket\"]");
    site.file("bearer.token", TOKEN);
    site.file("callback.token", "AAAAA");
    site.file("callback.key", KEY);
    site.file("rules.toml", "[[rule]]\nwhen.content = \"hello\"\nreply = \"hi\"\n");
    site.section("serve", &format!("listen = \"127.0.0.1:0\"\nadmin = \"{}\"\n", together.addr()));
    site.section("serve.jssdk", &format!("admin = \"{}\"\n", jssdk.addr()));
    let daemon = format!("daemon = \"{}\"\ntoken_file = \"bearer.token\"\n", site.addr());
    site.section("messages", &format!("{daemon}rules = \"rules.toml\"\n"));
    site.section("jssdk", &daemon);
    site.raw(&format!(
        "{}[[messages.account]]\nappid = \"wx1\"\npath = \"shop\"\ntoken_file = \"callback.token\"\n\
         aes_key_file = \"callback.key\"\nverify_files = [\"MP_verify_aB3dE6gH9jK2mN5p.txt\"]\n\
         [[jssdk.account]]\nappid = \"wx1\"\npath = \"shop\"\nhosts = [\"localhost\"]\n\
         verify_files = [\"MP_verify_aB3dE6gH9jK2mN5p.txt\", \"MP_verify_0123456789abcdef.txt\"]\n",
        client()
    ));
    site
}

fn command(site: &Site, args: &[&str]) -> tokio::process::Command {
    let mut command = site.command();
    command.arg("--config").arg(site.write()).arg("serve").args(args);
    command
}

/// Runs these services, and says where their listeners are: business and admin.
async fn serve(site: &Site, services: &[&str]) -> (Process, [SocketAddr; 2]) {
    let process = Process::spawn(command(site, services));
    let line = process.line("listening http=").await;
    let addr =
        |key: &str| line.split_once(key).unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    let listeners = [addr("http="), addr("admin=")];
    process.line("running: ").await;
    (process, listeners)
}

async fn status(http: SocketAddr, path: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{http}{path}")).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn services_of_one_file_run_beside_each_other_and_each_is_found() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (together, own) = (Kept::new(), Kept::new());
    let site = site(&wechat.base, &together, &own);
    let daemon = site.start_ready().await;
    let (messages, [callbacks, messages_admin]) = serve(&site, &["messages"]).await;
    assert_eq!(messages_admin, together.addr());
    // Only one of them runs: the other is not taken for it.
    doctor(&site, &[]).await.says("ok", "runs", &["it answers messages"]).says(
        "warn",
        "runs",
        &["it does not run", "systemctl start zhongkong-jssdk"],
    );
    let (jssdk, [pages, jssdk_admin]) = serve(&site, &["jssdk"]).await;
    assert_eq!(jssdk_admin, own.addr());
    assert_eq!(messages.page("/services").await.1, "messages\n");
    assert_eq!(jssdk.page("/services").await.1, "jssdk\n");
    doctor(&site, &[]).await.says("ok", "runs", &["it answers messages"]).says(
        "ok",
        "runs",
        &["it signs pages"],
    );
    // Each has its own paths, and its own accounts' files.
    assert_eq!(status(callbacks, "/jssdk/shop/zhongkong.js").await, 404);
    assert_eq!(status(pages, "/jssdk/shop/zhongkong.js").await, 200);
    assert_eq!(status(callbacks, "/MP_verify_0123456789abcdef.txt").await, 404);
    assert_eq!(status(pages, "/MP_verify_0123456789abcdef.txt").await, 200);
    // A third has no place, and is told whose.
    let said = ran(command(&site, &["jssdk"])).await;
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("change [serve.jssdk] admin"), "{}", said.stderr);
    messages.stop().await;
    jssdk.stop().await;
    daemon.stop().await;
}

#[tokio::test]
async fn services_in_one_process_share_its_listener_its_check_and_its_reload() {
    let _guard = Guard::start();
    let wechat = wechat(&["wx1"]).await;
    let (together, own) = (Kept::new(), Kept::new());
    let mut site = site(&wechat.base, &together, &own);
    let daemon = site.start_ready().await;
    let checked = ran(command(&site, &["jssdk", "messages", "--check"])).await;
    let summary = checked.stdout.lines().next().unwrap_or_default();
    assert!(
        summary.starts_with("ok: messages: 1 account, 1 rule, 0 programs; jssdk: 1 account"),
        "{checked:?}"
    );
    assert!(checked.stdout.contains("answered by the rules"), "{checked:?}");

    let (process, [http, admin]) = serve(&site, &["messages", "jssdk"]).await;
    assert_eq!(admin, together.addr());
    assert_eq!(process.page("/services").await.1, "messages\njssdk\n");
    doctor(&site, &[]).await.says("ok", "runs", &["it answers messages"]).says(
        "ok",
        "runs",
        &["it signs pages"],
    );
    for (path, expected) in [
        ("/jssdk/shop/zhongkong.js", 200),
        ("/wechat/shop", 403),
        ("/MP_verify_aB3dE6gH9jK2mN5p.txt", 200),
        ("/MP_verify_0123456789abcdef.txt", 200),
        ("/nothing", 404),
    ] {
        assert_eq!(status(http, path).await, expected, "{path}");
    }

    // The message service could take this file, the JS-SDK service could not: neither does.
    site.file("callback.token", "BBBBB");
    site.section("jssdk", "daemon = \"unix:/nonexistent/grpc.sock\"\npages = \"none\"\n");
    site.write();
    process.reload("not taken over, everything goes on as before").await;
    let trouble = process.page("/readyz").await.1;
    assert!(trouble.starts_with("ready, but ") && trouble.contains("reload refused at"), "{trouble}");
    process.stop().await;
    daemon.stop().await;
}
