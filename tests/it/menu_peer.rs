//! wechatpy, of PyPI, as an independent reader and maker of menus.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zhongkong::services::menu::{Live, Maker, Menus, read};
use zhongkong::simulator::Settings;

use crate::support::simulated::{Simulated, errcode, text};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python() -> PathBuf {
    let python = root().join("target/wechatpy/bin/python");
    assert!(python.exists(), "wechatpy is not installed: run `make needs-wechatpy`");
    python
}

/// What wechatpy says after doing this about menus at a WeChat, with this token of an account.
pub(crate) async fn wechatpy(base: &str, appid: &str, token: &str, act: &[&str], input: &str) -> Value {
    said("wechatpy_menu.py", base, appid, token, act, input).await
}

/// The same of another program among the peers.
pub(crate) async fn said(
    program: &str,
    base: &str,
    appid: &str,
    token: &str,
    act: &[&str],
    input: &str,
) -> Value {
    let mut peer = Command::new(python())
        .arg(root().join("tests/peers").join(program))
        .args([base, appid, token])
        .args(act)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    peer.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let done = peer.wait_with_output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Menus with every kind of button and what JSON is particular about.
pub(crate) fn menus() -> Menus {
    let text = r#"
[[button]]
name = "今日\"歌曲"
type = "click"
key = "V1001 \\ & < 😀"
[[button]]
name = "菜单"
[[button.sub_button]]
name = "搜索"
type = "view"
url = "http://www.soso.com/?a=1&b=%E6%B1%89"
[[button.sub_button]]
name = "小程序"
type = "miniprogram"
url = "http://mp.weixin.qq.com"
appid = "wx286b93c14bbf93aa"
pagepath = "pages/lunar/index?x=1"
[[button.sub_button]]
name = "图文"
type = "view_limited"
media_id = "MEDIA_ID2"
[[button.sub_button]]
name = "发文章"
type = "article_view_limited"
article_id = "ARTICLE_ID2"
[[button.sub_button]]
name = "扫码"
type = "scancode_waitmsg"
key = "rselfmenu_0_0"
[[conditional]]
matchrule = { tag_id = "2" }
[[conditional.button]]
name = "会员"
type = "view"
url = "https://h5.example.com/vip"
[[conditional]]
matchrule = { tag_id = "2", client_platform_type = "1" }
[[conditional.button]]
name = "iOS"
type = "location_select"
key = "where"
"#;
    read(text.as_bytes()).unwrap().menus
}

/// wechatpy's two answers as ours.
pub(crate) fn live(said: &Value) -> Live {
    Live::of(&said["info"], said["get"].is_object().then_some(&said["get"])).unwrap()
}

#[tokio::test]
async fn what_we_write_is_what_wechatpy_reads_and_the_other_way_round() {
    let wechat = Simulated::start(Settings::default()).await;
    let token = text(&wechat.stable("wx1").await, "access_token").to_owned();
    let post = async |path: &str, body: String| {
        let path = format!("/cgi-bin/menu/{path}?access_token={token}");
        let answer = wechat.client().post(wechat.url(&path)).body(body).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(errcode(&answer), 0, "{answer}");
    };
    let ours = menus();
    post("create", serde_json::to_string(&ours.default).unwrap()).await;
    for conditional in &ours.conditional {
        post("addconditional", serde_json::to_string(conditional).unwrap()).await;
    }
    let said = wechatpy(&wechat.base, "wx1", &token, &["read"], "").await;
    assert_eq!(said["get"]["menu"]["button"][0]["name"], "今日\"歌曲");
    assert_eq!(said["get"]["menu"]["button"][0]["key"], "V1001 \\ & < 😀");
    let read = live(&said);
    assert_eq!((read.maker, &read.menus()), (Maker::Program, &ours));

    // The other way: wechatpy makes them, with its own JSON, and we read.
    let other = text(&wechat.stable("wx2").await, "access_token").to_owned();
    let made = wechatpy(&wechat.base, "wx2", &other, &["make"], &serde_json::to_string(&ours).unwrap()).await;
    assert_eq!(made["menuids"].as_array().unwrap().len(), 2);
    let get = wechat.get(&format!("/cgi-bin/menu/get?access_token={other}")).await;
    let info = wechat.get(&format!("/cgi-bin/get_current_selfmenu_info?access_token={other}")).await;
    assert_eq!(Live::of(&info, Some(&get)).unwrap().menus(), ours);

    // Who sees which, by wechatpy.
    let user = |fields: Value| serde_json::from_value(fields).unwrap();
    wechat.control.set_menu_user("wx1", "oVip", user(json!({ "tag_id": "2", "client_platform_type": "2" })));
    wechat.control.set_menu_user("wx1", "oOther", user(json!({})));
    for (who, first) in [("oVip", "会员"), ("oOther", "今日\"歌曲")] {
        let said = wechatpy(&wechat.base, "wx1", &token, &["match", who], "").await;
        assert_eq!(Live::matched(&said).unwrap().buttons[0].name, first);
    }
}
