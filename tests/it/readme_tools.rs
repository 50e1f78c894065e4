//! What the READMEs tell whoever looks after an account is so: typed as it stands there, against the demo,
//! by a client with the grants that they name.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;
use tokio::process::Command;
use zhongkong::config::new_client::token_sha256;
use zhongkong::secret::Secret;
use zhongkong::simulator::Kind;

use crate::cli_support::Rig;
use crate::support::frozen::Guard;
use crate::support::process::{Process, binary};

/// The section of a README.
fn section(page: &str, heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, from) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no {heading:?}"));
    from.split("\n## ").next().unwrap().to_owned()
}

/// What stands between fences of this kind.
fn blocks(section: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    let found: Vec<_> = section.split(&fence).skip(1).collect();
    found.into_iter().map(|block| block.split("```\n").next().unwrap().to_owned()).collect()
}

fn english() -> String {
    section("README.md", "\n## Menus and codes\n")
}

/// Commands without what is said about them.
fn bare(block: &str) -> String {
    block.lines().map(|line| line.split("  #").next().unwrap().trim_end().to_owned() + "\n").collect()
}

#[tokio::test]
async fn what_both_readmes_tell_is_typed_in_the_demo_and_does_what_they_say() {
    let _guard = Guard::start();
    let (english, chinese) = (english(), section("README.zh-CN.md", "\n## 菜单与二维码\n"));
    let blocks_of = |text: &str| blocks(text, "sh").iter().map(|block| bare(block)).collect::<Vec<_>>();
    let typed = blocks_of(&english);
    assert_eq!(typed, blocks_of(&chinese));
    let [home, login, steps @ ..] = &typed[..] else { panic!("too few blocks: {typed:?}") };
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert!(login.contains("ZHONGKONG_CONFIG=~/wechat/config.toml") && login.contains("ZHONGKONG_TOKEN"));

    let dir = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.env("TMPDIR", dir.path()).args(["demo", "--free-ports"]);
    let mut demo = Process::spawn(command);
    demo.out_line(0, "Below, each change as it happens").await;
    demo.out_line(0, "shop access_token").await;
    let guide = demo.stdout();
    let exported: BTreeMap<&str, &str> =
        guide.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('=')).collect();
    assert_eq!(exported.len(), 3, "{guide}");

    // Nobody is there to say yes, and a file that differs ends with 1.
    let steps = steps
        .concat()
        .replace("menu push menu.toml", "menu push menu.toml --yes")
        .replace("menu rollback 1", "menu rollback 1 --yes")
        .replace("zhongkong menu diff menu.toml", "zhongkong menu diff menu.toml && exit 9; test $? = 1");
    let bin = Path::new(env!("CARGO_BIN_EXE_zhongkong")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let done = Command::new("bash")
        .args(["-e", "-c", &format!("{home}\n{steps}")])
        .env("HOME", dir.path())
        .env("PATH", path)
        .envs(&exported)
        .env("ZHONGKONG_ACCOUNT", "shop")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{steps}\n{said}");
    let shown = blocks(&english, "");
    let promised = shown.iter().flat_map(|block| block.lines()).filter(|line| {
        line.starts_with(['┌', '│', '└'])
            || line.contains("made,")
            || line.contains("permanent codes are used;")
    });
    let promised: Vec<_> = promised.collect();
    assert!(promised.len() >= 5, "{shown:?}");
    for line in promised {
        assert!(said.contains(line) && chinese.contains(line), "{line}\n{said}");
    }
    let wechat = dir.path().join("wechat");
    for name in ["table-7.png", "codes/table-1.png", "codes/table-2.png", "codes/table-7.png"] {
        assert!(wechat.join(name).exists(), "{name}: {said}");
    }
    demo.signal(Signal::INT);
    assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.stderr());
}

#[tokio::test]
async fn client_of_the_readme_may_do_all_of_it_and_nothing_more() {
    let mut rig = Rig::start().await;
    rig.stop_daemon().await;
    let client = &blocks(&english(), "toml")[0];
    assert_eq!(Some(client), blocks_in_chinese().first(), "but for what is said about it");
    let token = "lins-token";
    let client = client
        .replace("…64 hex digits…", &token_sha256(&Secret::from(token)))
        .replace("wx0123456789abcdef", "wx1");
    let config = std::fs::read_to_string(rig.config()).unwrap();
    std::fs::write(rig.config(), format!("{config}\n{client}")).unwrap();
    rig.start_daemon().await;
    rig.run(&["get", "wx1", "--wait", "30s"]).await.ok();
    // With a token that is dead, so that a complaint is needed, too.
    rig.wechat.control.kill("wx1", Kind::Stable);
    let config = rig.config();
    let menu = rig.path("menu.toml");
    std::fs::write(&menu, "[[button]]\nname = \"n\"\ntype = \"click\"\nkey = \"k\"\n").unwrap();
    let own = ["--account", "shop", "--config", &config];
    let push = ["menu", "push", menu.to_str().unwrap(), "--yes"];
    rig.run_with(token, &[&push[..], &own].concat()).await.ok();
    rig.run_with(token, &[&["qrcode", "create", "t", "--permanent"][..], &own].concat()).await.ok();
    let ticket = rig.run_with(token, &["get", "wx1", "jsapi_ticket"]).await;
    assert_eq!(ticket.code, Some(1), "{ticket:?}");
}

fn blocks_in_chinese() -> Vec<String> {
    let chinese = section("README.zh-CN.md", "\n## 菜单与二维码\n");
    let said = [
        ("…64 个十六进制数字…", "…64 hex digits…"),
        ("# status：可以用名字指账号", "# status: accounts by their name"),
    ];
    let text = said.iter().fold(chinese, |text, (theirs, ours)| text.replace(theirs, ours));
    blocks(&text, "toml")
}
