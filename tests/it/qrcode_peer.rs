//! wechatpy, of PyPI, and codes: the same scene is the same code for both, and what it finds in
//! WeChat's picture is what a reader finds in ours.

use serde_json::{Value, json};

use crate::menu_peer::said;
use crate::qrcode_support::{Codes, read};

#[tokio::test]
async fn code_that_we_made_is_the_one_that_wechatpy_gets_and_its_picture_says_the_same() {
    let codes = Codes::start().await;
    let token = codes.rig.run(&["get", "wx1"]).await.ok().out;
    let peer = async |act: &[&str], input: Value| {
        let base = &codes.rig.wechat.base;
        said("wechatpy_qrcode.py", base, "wx1", token.trim(), act, &input.to_string()).await
    };
    for (scene, name, body) in [
        ("123", "QR_LIMIT_SCENE", json!({ "scene_id": 123 })),
        ("门店 1+2/3", "QR_LIMIT_STR_SCENE", json!({ "scene_str": "门店 1+2/3" })),
    ] {
        let made = codes.run(&["create", scene, "--permanent", "--json"]).await.ok().json();
        let asked = json!({ "action_name": name, "action_info": { "scene": body } });
        let theirs = peer(&["create"], asked).await;
        assert_eq!((&theirs["ticket"], &theirs["url"]), (&made["ticket"], &made["url"]), "{scene}");
        let picture = peer(&["show", made["ticket"].as_str().unwrap()], Value::Null).await;
        let url = made["url"].as_str().unwrap();
        assert!(picture["status"] == 200 && picture["text"].as_str().unwrap().contains(url), "{picture}");
        let png = codes.rig.path(name).with_extension("png");
        codes.run(&["image", scene, "--out", png.to_str().unwrap()]).await.ok();
        assert_eq!(read(&std::fs::read(&png).unwrap()).0, url);
    }
    assert_eq!(codes.made(), 2, "wechatpy was given what we had made");
    // A temporary one lives as long as both say.
    let body = json!({ "expire_seconds": 3600, "action_name": "QR_STR_SCENE", "action_info": { "scene": { "scene_str": "t" } } });
    assert_eq!(peer(&["create"], body).await["expire_seconds"], 3600);
    let ours = codes.run(&["create", "t", "--for", "1h", "--json"]).await.ok().json();
    assert_eq!((&ours["works"], &ours["life"]), (&json!(true), &json!("temporary")));
}
