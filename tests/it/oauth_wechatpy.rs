//! wechatpy, an independent client of WeChat's web authorization, against ours on the same inputs.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use zhongkong::services::oauth::account::Scope;
use zhongkong::services::oauth::authorize::authorize_url;
use zhongkong::simulator::NewCode;

use crate::oauth_world::{Around, callback};

/// The other one, which answers a line for each line.
struct Peer {
    child: Child,
    said: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Peer {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/wechatpy/bin/python");
        assert!(python.exists(), "wechatpy is not installed: run `make needs-wechatpy`");
        let mut child = Command::new(python)
            .arg(root.join("tests/peers/wechatpy_oauth.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    async fn ask(&mut self, question: &Value) -> Value {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{question}\n").as_bytes()).await.unwrap();
        let line = self.said.next_line().await.unwrap().expect("the peer has died");
        serde_json::from_str(&line).unwrap()
    }
}

#[tokio::test]
async fn wechatpy_writes_the_same_address_of_wechats_page() {
    let mut peer = Peer::start();
    let mut compared = 0;
    for at in ["https://open.weixin.qq.com", "http://127.0.0.1:7770"] {
        for redirect_uri in [
            "https://wx.example.com/oauth/shop/callback",
            "https://wx.example.com/oauth/wx0123456789abcdef/callback",
            "http://127.0.0.1:7790/oauth/a-b_c/callback",
            "http://[::1]:7790/oauth/shop/callback?a=b&c=d e+f%20#g~!*'()",
            "https://wx.example.com/店/callback",
        ] {
            for scope in [Scope::Base, Scope::UserInfo] {
                for state in ["0123456789abcdef0123456789abcdef", "A"] {
                    let appid = "wx0123456789abcdef";
                    let ours = authorize_url(
                        &at.parse().unwrap(),
                        &appid.parse().unwrap(),
                        redirect_uri,
                        scope,
                        state,
                    );
                    let question = json!({
                        "do": "authorize", "at": at, "appid": appid, "redirect_uri": redirect_uri,
                        "scope": scope.as_str(), "state": state,
                    });
                    assert_eq!(peer.ask(&question).await, Value::from(ours));
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 40);
}

#[tokio::test]
async fn wechatpy_and_the_service_learn_the_same_of_a_user() {
    // Two codes of one person: one for wechatpy, which has the secret, one for us.
    let around = Around::start().await;
    let instance = around.instance().await;
    let code = || {
        let full = NewCode::web("wx1", "oSamePerson").scope(zhongkong::simulator::Scope::UserInfo);
        around.mint(full.unionid("uSamePerson"))
    };
    let question =
        json!({ "do": "login", "api": around.world.sim.base, "appid": "wx1", "secret": "s", "code": code() });
    let theirs = Peer::start().ask(&question).await;

    let mut browser = instance.browser();
    let authorize = browser.begin("/oauth/shop/login").await;
    browser.go(&callback(&authorize, &code())).await;
    let ours = around.user("oSamePerson").await.unwrap();
    assert_eq!(theirs["openid"], ours.openid.as_str());
    assert_eq!(theirs["unionid"], ours.unionid.unwrap().as_str());
    let profile = ours.profile.unwrap();
    assert_eq!(theirs["profile"]["nickname"], profile.nickname);
    assert_eq!(theirs["profile"]["headimgurl"], profile.headimgurl.unwrap_or_default());
}
