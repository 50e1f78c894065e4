//! `zhongkong menu` against a daemon and a simulated WeChat: what it changes, prints, and how it ends.

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Fault, Kind, Script};

use crate::cli_support::{Done, READER, Rig, done, zhongkong};
use crate::menu_peer::{live, wechatpy};

const MENU: &str = r#"
[[button]]
name = "今日歌曲"
type = "click"
key = "V1"
[[button]]
name = "菜单"
[[button.sub_button]]
name = "搜索"
type = "view"
url = "http://www.soso.com/"
[[conditional]]
matchrule = { tag_id = "2" }
[[conditional.button]]
name = "会员"
type = "click"
key = "VIP"
[[conditional]]
matchrule = { client_platform_type = "1" }
[[conditional.button]]
name = "iOS"
type = "click"
key = "IOS"
"#;

/// A rig with a file in it, and its menu commands.
struct Menus {
    rig: Rig,
    config: String,
    file: String,
}

impl Menus {
    async fn start() -> Self {
        let rig = Rig::start().await;
        rig.run(&["get", "wx1", "--wait", "30s"]).await.ok();
        let (config, file) = (rig.config(), rig.path("menu.toml").to_str().unwrap().to_owned());
        let menus = Self { rig, config, file };
        menus.write(MENU);
        menus
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    /// `menu` with these words; `FILE` is the file.
    async fn run(&self, words: &[&str]) -> Done {
        let mut args = vec!["menu"];
        args.extend(words.iter().map(|word| if *word == "FILE" { &self.file } else { *word }));
        args.extend(["--config", &self.config]);
        self.rig.run(&args).await
    }

    async fn push(&self) -> Done {
        self.run(&["push", "FILE", "--account", "shop", "--yes"]).await
    }

    fn script(&self, endpoint: Endpoint, fault: Fault) {
        self.rig.wechat.control.script(Script::once(endpoint, fault));
    }

    fn count(&self, endpoint: Endpoint) -> u64 {
        self.rig.wechat.control.count(endpoint, "wx1")
    }

    /// The rules and first names of the conditional menus that WeChat has.
    fn conditional(&self) -> Vec<(Value, String)> {
        let menus = self.rig.wechat.control.menus("wx1").conditional;
        let name = |menu: &Value| menu["button"][0]["name"].as_str().unwrap().to_owned();
        menus.iter().map(|menu| (menu["matchrule"].clone(), name(menu))).collect()
    }
}

#[tokio::test]
async fn file_is_judged_without_a_daemon_and_every_mistake_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("good.toml"), MENU).unwrap();
    let bad = MENU.replace("今日歌曲", "今日歌曲今日歌曲").replace("http://www", "www");
    std::fs::write(path("bad.toml"), &bad).unwrap();
    let validate = async |words: &[&str]| {
        let args = [&["menu", "validate"], words].concat();
        done(zhongkong(&args)).await
    };
    let good = validate(&[&path("good.toml")]).await.ok();
    assert_eq!(good.out, "ok: 2 buttons, 2 conditional menus\n");
    let told = validate(&[&path("bad.toml")]).await;
    assert_eq!((told.code, told.out.as_str()), (Some(2), ""), "{told:?}");
    for said in ["\n  button[0].name (line 3): ", "24 bytes", "\n  button[1].sub_button[0].url (line 11): "] {
        assert!(told.err.contains(said), "{said}: {}", told.err);
    }
    let document = validate(&[&path("bad.toml"), "--json"]).await;
    assert_eq!(document.code, Some(2));
    assert_eq!(document.json()["ok"], false);
    assert_eq!(document.json()["problems"][1]["place"], "button[1].sub_button[0].url");
    std::fs::write(path("gbk.toml"), b"[[button]]\nname = \"\xb2\xcb\"").unwrap();
    let gbk = validate(&[&path("gbk.toml")]).await;
    assert!(gbk.code == Some(2) && gbk.err.contains("line 2: this is not UTF-8"), "{gbk:?}");
    let missing = validate(&[&path("none.toml")]).await;
    assert!(missing.code == Some(2) && missing.err.contains("none.toml"), "{missing:?}");
    let drawn = done(zhongkong(&["menu", "show", &path("good.toml")])).await.ok();
    assert!(drawn.out.contains("│      今日歌曲       │       ≡ 菜单        │"), "{}", drawn.out);
    assert!(drawn.out.contains("conditional[1]: client_platform_type = 1\n"), "{}", drawn.out);
}

#[tokio::test]
async fn menu_is_pushed_compared_pulled_tried_and_removed() {
    let menus = Menus::start().await;
    let none = menus.run(&["pull", "--account", "shop"]).await;
    assert!(none.code == Some(1) && none.err.contains("shop (wx1) has no menu"), "{none:?}");

    let pushed = menus.push().await.ok();
    assert!(pushed.out.starts_with("Pushed to shop (wx1) in 3 calls, as push 1."), "{pushed:?}");
    assert!(
        pushed.err.contains("default menu (new)\n  + button[0] \"今日歌曲\"  type = \"click\", key = \"V1\"")
    );
    assert_eq!(menus.conditional().len(), 2);
    let again = menus.push().await.ok();
    assert!(again.out.starts_with("Nothing to push"), "{again:?}");
    assert_eq!(menus.count(Endpoint::MenuCreate), 1);

    // wechatpy, as another program with the same account, reads what the file says.
    let token = menus.rig.run(&["get", "wx1"]).await.ok().out;
    let said = wechatpy(&menus.rig.wechat.base, "wx1", token.trim(), &["read"], "").await;
    let read = zhongkong::services::menu::read(MENU.as_bytes()).unwrap().menus;
    assert_eq!(live(&said).menus(), read);

    let equal = menus.run(&["diff", "FILE", "--account", "wx1"]).await.ok();
    assert_eq!(equal.out, "The live menus of shop (wx1) are those of the file.\n");
    menus.write(&MENU.replace("\"V1\"", "\"V2\"").replace("\"IOS\"", "\"IPHONE\""));
    let differs = menus.run(&["diff", "FILE", "--account", "wx1"]).await;
    assert_eq!(differs.code, Some(1));
    assert_eq!(
        differs.out,
        "default menu\n  ~ button[0] \"今日歌曲\"  key: \"V1\" → \"V2\"\n\
         conditional menu for client_platform_type = 1\n  ~ conditional[1].button[0] \"iOS\"  key: \"IOS\" → \"IPHONE\"\n"
    );
    let document = menus.run(&["diff", "FILE", "--account", "wx1", "--json"]).await.json();
    assert_eq!(document["equal"], false);
    assert_eq!(document["diff"]["parts"][1]["changes"][0]["fields"][0]["file"], "IPHONE");

    // Only the menu that changed is made anew, and the one before it stays as it is.
    let pushed = menus.run(&["push", "FILE", "-a", "shop", "--yes", "--json"]).await.ok().json();
    assert_eq!(pushed["done"].as_array().unwrap().len(), 3, "{pushed}");
    assert!(pushed["done"][2].as_str().unwrap().starts_with("remove the old conditional menu"), "{pushed}");
    assert_eq!(pushed["unlike"]["parts"], json!([]));
    assert_eq!(menus.conditional()[1], (json!({ "client_platform_type": "1" }), "iOS".to_owned()));

    let shown = menus.run(&["show", "--account", "shop"]).await.ok().out;
    assert!(shown.starts_with("shop (wx1): live, made by a program\n\n"), "{shown}");
    assert!(shown.contains("conditional[0]: tag_id = 2, number 2083"), "{shown}");
    let pulled = menus.run(&["pull", "--account", "shop"]).await.ok().out;
    menus.write(&pulled);
    menus.run(&["diff", "FILE", "--account", "shop"]).await.ok();
    let pulled = menus.run(&["pull", "--account", "shop", "--json"]).await.ok().out;
    menus.write(&pulled);
    menus.run(&["diff", "FILE", "--account", "shop"]).await.ok();
    let taken = menus.run(&["pull", "--account", "shop", "--out", "FILE"]).await;
    assert!(taken.code == Some(2) && taken.err.contains("it exists, and is not replaced"), "{taken:?}");

    let user = |fields: Value| serde_json::from_value(fields).unwrap();
    menus.rig.wechat.control.set_menu_user("wx1", "oVip", user(json!({ "tag_id": "2" })));
    menus.rig.wechat.control.set_menu_user("wx1", "oNew", user(json!({})));
    let vip = menus.run(&["try", "oVip", "--account", "shop"]).await.ok().out;
    assert!(vip.starts_with("oVip sees conditional[0] (tag_id = 2, number "), "{vip}");
    let new = menus.run(&["try", "oNew", "--account", "shop", "--json"]).await.ok().json();
    assert_eq!((&new["is_default"], &new["button"][0]["key"]), (&json!(true), &json!("V2")));
    let stranger = menus.run(&["try", "oStranger", "--account", "shop"]).await;
    assert!(stranger.code == Some(1) && stranger.err.contains("openid of a follower"), "{stranger:?}");

    let unasked = menus.run(&["delete", "--account", "shop"]).await;
    assert!(
        unasked.code == Some(2) && unasked.err.contains("and 2 conditional menus of shop (wx1)"),
        "{unasked:?}"
    );
    assert_eq!(
        menus.run(&["delete", "-a", "shop", "--yes"]).await.ok().out,
        "Removed all menus of shop (wx1). The way back: `zhongkong menu rollback 2`.\n"
    );
    assert_eq!(menus.run(&["delete", "-a", "shop", "--yes"]).await.ok().out, "shop (wx1) has no menu.\n");
}

#[tokio::test]
async fn account_is_found_by_appid_or_name_and_asked_for_where_there_are_several() {
    let menus = Menus::start().await;
    let several = menus.run(&["show"]).await;
    assert_eq!(several.code, Some(2));
    assert!(several.err.contains("--account: shop (wx1), wx2, wx3"), "{several:?}");
    let unknown = menus.run(&["show", "--account", "shopp"]).await;
    assert!(unknown.code == Some(2) && unknown.err.contains("no account \"shopp\""), "{unknown:?}");
    // Who may read and not list names the account by its appid.
    let shown =
        menus.rig.run_with(READER, &["menu", "show", "-a", "wx1", "--config", &menus.config]).await.ok();
    assert!(shown.out.starts_with("wx1: no menu is live"), "{shown:?}");
    let unnamed = menus.rig.run_with(READER, &["menu", "show", "--config", &menus.config]).await;
    assert!(unnamed.code == Some(2) && unnamed.err.contains("named by its appid"), "{unnamed:?}");
    let broken = menus.run(&["show", "--account", "wx2"]).await;
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.err.contains("has no access token of wx2") && broken.err.contains("AppSecret"),
        "{broken:?}"
    );
}

#[tokio::test]
async fn nothing_is_pushed_unasked_or_unvalidated() {
    let menus = Menus::start().await;
    let unasked = menus.run(&["push", "FILE", "--account", "shop"]).await;
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.err.contains("+ button[0]") && unasked.err.contains("add --yes"), "{unasked:?}");
    menus.write(&MENU.replace("菜单", "菜单菜单菜单"));
    let wrong = menus.push().await;
    assert!(wrong.code == Some(2) && wrong.err.contains("button[1].name (line 7)"), "{wrong:?}");
    assert_eq!(menus.count(Endpoint::MenuCreate), 0);
    assert_eq!(menus.rig.wechat.control.menus("wx1").default, None);
}

#[tokio::test]
async fn push_that_stops_half_way_says_what_is_live_and_is_finished_by_another() {
    let menus = Menus::start().await;
    menus.script(Endpoint::MenuAddConditional, Fault::errcode(65_309));
    let stopped = menus.push().await;
    assert_eq!((stopped.code, stopped.out.as_str()), (Some(1), ""));
    for said in [
        "error: the push to shop (wx1) stopped: it could not add conditional[0] (tag_id = 2): WeChat refused the call: conditional menus are switched off",
        "\n  done before it: make the default menu\n",
        "\n  not done: add conditional[1] (client_platform_type = 1)\n",
        "\n  live now is the file's, but for this:\n    conditional menu for tag_id = 2 (new)\n",
        "\n  what to do: push the same file again",
    ] {
        assert!(stopped.err.contains(said), "{said}: {}", stopped.err);
    }
    let pushed = menus.run(&["push", "FILE", "-a", "shop", "--yes", "--json"]).await.ok().json();
    assert_eq!(
        pushed["done"],
        json!(["add conditional[0] (tag_id = 2)", "add conditional[1] (client_platform_type = 1)"])
    );

    // The old conditional menu goes last, so its users were never without one.
    menus.write(&MENU.replace("\"VIP\"", "\"GOLD\""));
    menus.script(Endpoint::MenuDelConditional, Fault::errcode(-1));
    let stopped = menus.run(&["push", "FILE", "-a", "shop", "--yes", "--json"]).await;
    let document: Value = serde_json::from_str(&stopped.err).unwrap();
    assert_eq!((stopped.code, &document["error"]["errcode"]), (Some(1), &json!(-1)));
    assert!(
        document["error"]["details"][0].as_str().unwrap().starts_with("done before it: add conditional[0]")
    );
    assert_eq!(menus.conditional().len(), 4, "old and new ones");
    menus.push().await.ok();
    let names: Vec<String> = menus.conditional().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["会员", "iOS"]);
}

#[tokio::test]
async fn lost_answers_and_dead_tokens_are_no_reason_to_push_twice() {
    let menus = Menus::start().await;
    menus.rig.wechat.control.kill("wx1", Kind::Stable);
    menus.script(Endpoint::MenuCreate, Fault::AnswerLost);
    menus.script(Endpoint::MenuAddConditional, Fault::AnswerLost);
    menus.push().await.ok();
    assert_eq!(menus.conditional().len(), 2, "none was added twice");
    menus.write(&MENU.replace("\"VIP\"", "\"GOLD\""));
    menus.script(Endpoint::MenuDelConditional, Fault::AnswerLost);
    menus.push().await.ok();
    assert_eq!(menus.conditional().len(), 2);
    menus.run(&["diff", "FILE", "-a", "shop"]).await.ok();
    menus.script(Endpoint::MenuDelete, Fault::AnswerLost);
    menus.run(&["delete", "-a", "shop", "--yes"]).await.ok();
    // A call that never arrived was not carried out, and is not taken for done.
    menus.script(Endpoint::MenuCreate, Fault::TornConnection);
    let torn = menus.push().await;
    assert!(torn.code == Some(1) && torn.err.contains("nothing was done before it"), "{torn:?}");
}

#[tokio::test]
async fn console_made_menu_is_pulled_translated_and_pushed_as_a_programs() {
    let menus = Menus::start().await;
    let console = json!([
        { "type": "text", "name": "客服", "value": "请留言" },
        { "name": "更多", "sub_button": { "list": [{ "type": "view", "name": "官网", "url": "http://www.qq.com" }] } }]);
    menus.rig.wechat.control.set_console_menu("wx1", console);
    let shown = menus.run(&["show", "-a", "shop"]).await.ok().out;
    assert!(shown.contains("made in WeChat's console") && shown.contains("text  value = 请留言"), "{shown}");
    let pulled = menus.run(&["pull", "-a", "shop"]).await.ok();
    assert!(pulled.out.starts_with("# button[0]: the console answers with a text here"), "{}", pulled.out);
    assert!(pulled.err.contains("when.key = \"reply_1\", reply = \"请留言\""), "{}", pulled.err);
    menus.write(&pulled.out);
    let pushed = menus.push().await.ok();
    assert!(pushed.err.contains("type: \"text\" → \"click\""), "{}", pushed.err);
    let shown = menus.run(&["show", "-a", "shop", "--json"]).await.ok().json();
    assert_eq!(
        (&shown["made_by"], &shown["menus"]["button"][0]["key"]),
        (&json!("program"), &json!("reply_1"))
    );
}

#[tokio::test]
async fn refusal_of_wechat_is_a_sentence_with_what_to_do() {
    let menus = Menus::start().await;
    menus.rig.wechat.control.set_linked("wx1", &[]);
    menus.write("[[button]]\nname = \"n\"\ntype = \"miniprogram\"\nurl = \"http://a.example/\"\nappid = \"wx9\"\npagepath = \"p\"\n");
    let refused = menus.push().await;
    assert_eq!(refused.code, Some(1));
    for said in ["a mini program that is not linked", "link it in the console", "(errcode 45064, rid "] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    menus.write(MENU);
    menus.script(Endpoint::MenuGet, Fault::errcode(45_009));
    let spent = menus.run(&["show", "-a", "shop", "--json"]).await;
    let document: Value = serde_json::from_str(&spent.err).unwrap();
    assert_eq!((spent.code, &document["error"]["errcode"]), (Some(1), &json!(45_009)));
    assert!(document["error"]["causes"][0].as_str().unwrap().contains("midnight in Beijing"), "{document}");
}
