//! What the demo prints: everything that can be tried, to be pasted into another terminal.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use crate::launch::services::Addresses;
use crate::secret::Secret;

use super::ACCOUNTS;
use super::business::Home;

/// Where everything is.
pub(super) struct Guide<'a> {
    pub(super) grpc: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) serving: Addresses,
    pub(super) home: &'a Home,
    pub(super) token: &'a Secret,
}

impl Guide<'_> {
    /// Prints it.
    pub(super) fn print(&self) -> io::Result<()> {
        let Self { grpc, admin, upstream, serving: Addresses { http, admin: serving }, home, token } = self;
        let program = std::env::current_exe()
            .ok()
            .and_then(|path| path.to_str().map(str::to_owned))
            .unwrap_or_else(|| "zhongkong".to_owned());
        let [(shop, shop_path, _), (club, club_path, _)] = ACCOUNTS;
        let (rules, log) = (home.rules().display().to_string(), home.log().display().to_string());
        let (menu, tables) = (home.menu().display().to_string(), home.tables().display().to_string());
        let mut out = io::stdout().lock();
        writeln!(
        out,
        "zhongkong demo: a simulated WeChat on {upstream}, the daemon on {grpc}, the business services on {http}; Ctrl-C ends all.

In another terminal:

  export ZHONGKONG_ADDR=http://{grpc}
  export ZHONGKONG_TOKEN={}
  export ZHONGKONG_CONFIG={}
  alias zhongkong={program}

  zhongkong status                      every credential, its age, what comes next
  zhongkong get {shop}       the access token, for scripts
  zhongkong watch                       each rotation as it happens
  zhongkong explain {club}   why a credential is in its state

In a browser, live; to pause, resume or refresh there, sign in with the token above:

  http://{admin}/

Let a stranger kill a token, then report it as a program would that got 40001:

  curl -X POST http://{upstream}/_sim/foreign_fetch -H 'content-type: application/json' -d '{{\"appid\":\"{club}\"}}'
  curl -X POST http://{upstream}/_sim/kill -H 'content-type: application/json' -d '{{\"appid\":\"{club}\",\"kind\":\"classic\"}}'
  zhongkong refresh {club} --errcode 40001

Be WeChat, and bring the message service what users write; the last one has a forged signature:

  zhongkong messages send http://{http}/wechat/{shop_path} text Content=hello --account {shop_path}
  zhongkong messages send http://{http}/wechat/{club_path} event.subscribe --account {club_path}
  zhongkong messages send http://{http}/wechat/{shop_path} text --account {shop_path} --fault bad_msg_signature

Change what is answered, and send `hello` again two seconds later; then what came, and which rule answered:

  sed -i 's/Hello/Good morning,/' {rules}
  cat {log}
  curl http://{serving}/readyz

Give the account a menu, and its tables QR codes, of which a permanent one is never made twice:

  zhongkong menu show {menu}
  zhongkong menu push {menu} --account {shop_path} --yes --why trial
  zhongkong menu history --account {shop_path}
  zhongkong qrcode bulk {tables} --account {shop_path}
  zhongkong qrcode show table-1 --account {shop_path}
  zhongkong qrcode list --account {shop_path}

Log in at the simulated WeChat, on a page that is signed for the JS-SDK: open this in a browser

  http://{http}/jssdk/{shop_path}/page/demo

Be a business program: see what it may ask, push a menu, make a QR code and open its picture

  curl http://{http}/business/v1/openapi.json
  curl -X PUT http://{http}/business/v1/{shop}/menu -H \"authorization: Bearer $ZHONGKONG_TOKEN\" \\
       --json '{{\"button\":[{{\"type\":\"click\",\"name\":\"Songs\",\"key\":\"SONGS\"}}]}}'
  curl http://{http}/business/v1/{shop}/qrcodes -H \"authorization: Bearer $ZHONGKONG_TOKEN\" \\
       --json '{{\"scene\":\"table-7\",\"life\":\"permanent\"}}'
  curl http://{http}/business/v1/{shop}/qrcodes/table-7/image -H \"authorization: Bearer $ZHONGKONG_TOKEN\" -o table-7.png

What the simulated WeChat saw, and the daemon's health and metrics:

  curl http://{upstream}/_sim/log
  curl http://{admin}/readyz
  curl http://{admin}/metrics

Below, each change as it happens (values are only ever named by their fingerprints):
",
        token.expose(),
        home.config().display()
    )?;
        out.flush()
    }
}
