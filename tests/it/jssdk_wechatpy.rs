//! wechatpy, of PyPI, as an independent maker of the same signatures: of pages through the real
//! service, and of cards.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value as Json, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zhongkong::jsapi;
use zhongkong::model::Kind;
use zhongkong::secret::Secret;

use super::jssdk_support::Bench;

/// wechatpy's signature of each case.
async fn signed(cases: &[Json]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/wechatpy/bin/python");
    assert!(python.exists(), "wechatpy is not installed: run `make needs-wechatpy`");
    let mut peer = Command::new(python)
        .arg(root.join("tests/peers/wechatpy_jssdk.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    peer.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).await.unwrap();
    let said = peer.wait_with_output().await.unwrap();
    assert!(said.status.success());
    let signed: Vec<String> = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(signed.len(), cases.len());
    signed
}

#[tokio::test]
async fn wechatpy_signs_the_same_pages_and_cards() {
    let bench = Bench::start().await;
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for url in [
        "http://h5.example.com?params=value",
        "https://h5.example.com/",
        "https://h5.example.com/a/%E4%BD%A0?b=1&c=x+y%20z&from=singlemessage&isappinstalled=0",
        "https://h5.example.com/你?q=好",
        "https://a.b.shop.example/?a=&&b=='\"<>",
    ] {
        let answer = bench.config(&format!("{url}#/fragment")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let config = answer.json();
        cases.push(json!({ "page": [config["nonceStr"], bench.ticket(Kind::JsapiTicket), config["timestamp"], url] }));
        ours.push(config["signature"].as_str().unwrap().to_owned());
    }
    let ticket = bench.ticket(Kind::WxCardTicket);
    for query in ["card_id=pCard1", "card_id=pCard1&code=c1&openid=o1", "card_id=pCard1&code=%E4%BD%A0+z"] {
        let answer = bench.get(&format!("/jssdk/shop/card?{query}"), "").await;
        let ext: Json = serde_json::from_str(answer.json()["cardExt"].as_str().unwrap()).unwrap();
        let signed = ["timestamp", "nonce_str", "code", "openid"].map(|name| ext[name].clone());
        let values: Vec<Json> = signed.into_iter().chain([json!("pCard1"), json!(ticket)]).collect();
        cases.push(json!({ "values": values }));
        ours.push(ext["signature"].as_str().unwrap().to_owned());
    }
    let chosen = bench.get("/jssdk/shop/choose-card?card_type=GROUPON", "").await.json();
    cases.push(json!({ "choose": {
        "appid": "wx1", "ticket": ticket, "card_type": "GROUPON", "noncestr": chosen["nonceStr"],
        "timestamp": chosen["timestamp"].to_string(),
    }}));
    ours.push(chosen["cardSign"].as_str().unwrap().to_owned());
    // And the vector of WeChat's documentation, and of wechatpy's own tests.
    let vector = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
    let url = "http://mp.weixin.qq.com?params=value";
    cases.push(json!({ "page": ["Wm3WZYTPz0wzccnW", vector, 1_414_587_457, url] }));
    ours.push(jsapi::sign(&Secret::from(vector), "Wm3WZYTPz0wzccnW", 1_414_587_457, url));
    cases.push(json!({ "values": ["789", "456", "123"] }));
    ours.push(jsapi::sign_card(&Secret::from("789"), &["456", "123"]));
    assert_eq!(signed(&cases).await, ours);
    bench.end().await;
}
