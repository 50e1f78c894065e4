//! The login service as it is deployed: its process beside the daemon's, WeChat's pages from the
//! simulator, an application on another origin, and a person in a real browser.

use std::net::TcpListener;
use std::process::Stdio;

use tokio::process::Command;
use zhongkong::simulator::{Accounts, Fault, Requested, Script, Settings, Web};

use crate::oauth_support::KEYS;
use crate::support::browser::{Chromium, PHONE};
use crate::support::process::{Process, Site, TOKEN as BEARER};
use crate::support::simulated::Simulated;

/// The page of an application: it asks who is there and shows it.
const PAGE: &str = "<!doctype html><meta charset=utf-8><title>app</title><link rel=icon href='data:,'>
<pre id=me></pre>
<script>
const ask = async () => {
  const answer = await fetch('SERVICE/oauth/me', { credentials: 'include' });
  document.getElementById('me').textContent = answer.status + ' ' + JSON.stringify(await answer.json());
};
const leave = async () => {
  await fetch('SERVICE/oauth/logout', { method: 'POST', credentials: 'include' });
  await ask();
};
ask();
</script>";

/// Serves that page at every path; where.
async fn application(service: &str) -> (String, tokio::task::JoinSet<()>) {
    let page = PAGE.replace("SERVICE", service);
    let router = axum::Router::new().fallback(async move || axum::response::Html(page));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, serving)
}

/// The service on this socket, as systemd would pass it.
fn serve(site: &Site, listener: &TcpListener) -> Process {
    let config = site.write();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec \"$0\" --config \
                  \"$1\" serve oauth";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_zhongkong")]).arg(config);
    command.current_dir(site.path("")).kill_on_drop(true);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener.try_clone().unwrap())));
    Process::spawn(command)
}

#[tokio::test]
async fn person_logs_in_is_known_by_the_page_and_logs_out_with_every_part_in_its_own_process() {
    let browser = Chromium::start(PHONE).await;
    let wechat = Simulated::start(Settings { accounts: Accounts::Any, ..Settings::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (app, _serving) = application(&base).await;

    let mut site = Site::classic(&wechat.base);
    site.file("bearer", BEARER);
    site.file("seal-keys", KEYS);
    site.section(
        "serve",
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[serve.log]\nfilter = \"debug\"\n",
    );
    site.section(
        "oauth",
        &format!(
            "daemon = \"{}\"\ntoken_file = \"bearer\"\nbase_url = \"{base}\"\nauthorize_base = \"{}\"\n\
             database = \"oauth.db\"\nseal_keys_file = \"seal-keys\"\n",
            site.addr(),
            wechat.base
        ),
    );
    site.raw(&format!(
        "[[oauth.account]]\nappid = \"wx1\"\npath = \"shop\"\n\
         [[oauth.app]]\nname = \"h5\"\norigins = [\"{app}\"]\nscope = \"snsapi_userinfo\"\n"
    ));
    let daemon = site.start_ready().await;
    let service = serve(&site, &listener);
    service.line("running").await;

    // Nobody is there; the link; WeChat asks the person; back on the page with all that it had.
    let home = format!("{app}/cart?id=7&next=%2Fpay%3Fa%3D1%26b%3D2#/item?x=1");
    browser.open(&home).await;
    browser.until("document.getElementById('me').textContent.startsWith('401')").await;
    let link = format!("'{base}/oauth/shop/login?return_to=' + encodeURIComponent(location.href)");
    browser.run(&format!("location.href = {link}")).await;
    browser.until("document.querySelector('input[value=hong]')").await;
    browser.click("input[value=hong]").await;
    browser.click("button.go").await;
    browser.until("document.getElementById('me').textContent.startsWith('200')").await;
    assert_eq!(browser.text("location.href").await, home);
    let me = browser.text("document.getElementById('me').textContent").await;
    let openid = wechat.control.codes("wx1")[0].openid.clone();
    for part in [
        format!("\"openid\":\"{openid}\""),
        "\"nickname\":\"小红\"".to_owned(),
        "\"appid\":\"wx1\"".to_owned(),
    ] {
        assert!(me.contains(&part), "no {part} in {me}");
    }
    // A second visit comes straight back.
    let exchanges = wechat.control.count(zhongkong::simulator::Endpoint::OauthToken, "wx1");
    browser.run(&format!("location.href = {link}.replace('cart', 'again')")).await;
    browser.until(&format!("location.href === '{}'", home.replace("cart", "again"))).await;
    assert_eq!(wechat.control.count(zhongkong::simulator::Endpoint::OauthToken, "wx1"), exchanges);

    // Out, and in again through a WeChat that asks twice and whose first answer is lost.
    browser.until("document.getElementById('me').textContent.startsWith('200')").await;
    browser.run("leave()").await;
    browser.until("document.getElementById('me').textContent.startsWith('401')").await;
    wechat.control.set_web("wx1", Web { callback: Requested::TwiceAtOnce, ..Web::default() });
    wechat.control.script(Script::once(zhongkong::simulator::Endpoint::OauthToken, Fault::AnswerLost));
    browser.run(&format!("location.href = {link} + '&scope=snsapi_base'")).await;
    browser.until("document.getElementById('me').textContent.startsWith('200')").await;
    // What was told at the first login is known still.
    assert!(browser.text("document.getElementById('me').textContent").await.contains("小红"));

    let said = service.stop().await;
    assert!(said.contains("DEBUG"), "the most talkative log is looked through: {said}");
    let secrets = wechat.control.issued_values();
    for secret in secrets.iter().chain([&openid]).filter(|secret| secret.len() > 8) {
        assert!(!said.contains(secret), "the log has {secret}");
    }
    daemon.stop().await;
}
