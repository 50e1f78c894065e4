//! What is kept of pushes: the history, the way back, and pushes whose process died.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};
use zhongkong::simulator::{Endpoint, Fault, Script};

use crate::cli_support::{Done, Rig, Running, done};
use crate::support::postgres::Postgres;

/// A menu of one button, with a conditional one where a key is given for it.
fn menu(key: &str, conditional: Option<&str>) -> String {
    let button = |prefix: &str, key: &str| {
        format!("[[{prefix}button]]\nname = \"n\"\ntype = \"click\"\nkey = \"{key}\"\n")
    };
    let other = conditional.map(|key| {
        format!("[[conditional]]\nmatchrule = {{ tag_id = \"2\" }}\n{}", button("conditional.", key))
    });
    format!("{}{}", button("", key), other.unwrap_or_default())
}

/// A rig with an account, a file, and where the history is.
struct Kept {
    rig: Rig,
    config: String,
}

impl Kept {
    async fn start() -> Self {
        let rig = Rig::start().await;
        rig.run(&["get", "wx1", "--wait", "30s"]).await.ok();
        let config = rig.config();
        Self { rig, config }
    }

    /// The same with the history in this PostgreSQL.
    async fn in_postgres(server: &Postgres) -> Self {
        let kept = Self::start().await;
        let secret = kept.rig.path("database-url");
        crate::cli_support::private(&secret, &server.database("business"));
        // The daemon runs with the file as it was; the commands read it anew.
        let config = std::fs::read_to_string(&kept.config).unwrap();
        let config = config.replace("database = \"business.db\"", "database_url_file = \"database-url\"");
        std::fs::write(&kept.config, config).unwrap();
        kept
    }

    /// The words of a command, with the file of this menu for FILE.
    fn words<'a>(&'a self, words: &[&'a str], file: &'a str) -> Vec<&'a str> {
        let mut all = vec!["menu"];
        all.extend(words.iter().map(|word| if *word == "FILE" { file } else { *word }));
        all.extend(["--account", "shop", "--config", &self.config]);
        all
    }

    async fn run(&self, words: &[&str]) -> Done {
        self.rig.run(&self.words(words, "")).await
    }

    fn file(&self, text: &str) -> String {
        let path = self.rig.path("menu.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn push(&self, text: &str, why: &str) -> Done {
        let file = self.file(text);
        let words = ["push", "FILE", "--yes", "--who", "lin", "--why", why];
        self.rig.run(&self.words(&words, &file)).await
    }

    /// The rows, newest first.
    async fn history(&self) -> Vec<Value> {
        let document = self.run(&["history", "--json"]).await.ok().json();
        document["pushes"].as_array().unwrap().clone()
    }

    /// The key of the button that is live, and of the conditional one.
    fn live(&self) -> (Value, Vec<Value>) {
        let menus = self.rig.wechat.control.menus("wx1");
        let key = |menu: &Value| menu["button"][0]["key"].clone();
        (menus.default.as_ref().map(key).unwrap_or_default(), menus.conditional.iter().map(key).collect())
    }
}

/// The numbers of the rows that are current.
fn current(rows: &[Value]) -> Vec<i64> {
    let current = rows.iter().filter(|row| row["current"] == true);
    current.map(|row| row["number"].as_i64().unwrap()).collect()
}

/// The story of an account's menus, in whichever database.
async fn story(kept: &Kept) {
    assert!(kept.run(&["history"]).await.ok().out.starts_with("Nothing was pushed to shop (wx1)"));
    let first = kept.push(&menu("a", Some("vip")), "spring").await.ok();
    assert!(first.out.contains("as push 1."), "{first:?}");
    kept.push(&menu("b", None), "summer").await.ok();
    kept.push(&menu("b", None), "again").await.ok();
    let rows = kept.history().await;
    assert_eq!((rows.len(), current(&rows)), (2, vec![2]), "what changed nothing is no push: {rows:?}");
    assert_eq!(
        (&rows[0]["who"], &rows[0]["why"], &rows[0]["state"]),
        (&json!("lin"), &json!("summer"), &json!("done"))
    );
    assert!(rows[0]["ended"].is_string() && rows[0]["began"].as_str() <= rows[0]["ended"].as_str());

    let back = kept.run(&["rollback", "1", "--yes"]).await.ok();
    assert!(back.err.contains("~ button[0] \"n\"  key: \"b\" → \"a\""), "{back:?}");
    assert_eq!(kept.live(), (json!("a"), vec![json!("vip")]));
    let rows = kept.history().await;
    assert_eq!(
        (current(&rows), &rows[0]["kind"], &rows[0]["back_to"]),
        (vec![3], &json!("rollback"), &json!(1))
    );
    assert_ne!(rows[0]["who"], "lin", "by default it is the user of the machine");

    let deleted = kept.run(&["delete", "--yes", "--why", "over"]).await.ok();
    assert!(deleted.out.contains("`zhongkong menu rollback 3`"), "{deleted:?}");
    let rows = kept.history().await;
    assert_eq!(
        (current(&rows), &rows[0]["kind"], &rows[0]["why"]),
        (vec![4], &json!("delete"), &json!("over"))
    );
    let nowhere = kept.run(&["rollback", "4", "--yes"]).await;
    assert!(nowhere.code == Some(2) && nowhere.err.contains("no way back to push 4"), "{nowhere:?}");
    let unknown = kept.run(&["rollback", "9", "--yes"]).await;
    assert!(unknown.code == Some(2) && unknown.err.contains("has no push 9"), "{unknown:?}");
    kept.run(&["rollback", "3", "--yes"]).await.ok();

    let table = kept.run(&["history", "--limit", "3"]).await.ok().out;
    let rows = table.split("\n\n").next().unwrap().lines();
    assert_eq!(rows.filter(|line| line.trim_start().starts_with('*')).count(), 1, "{table}");
    assert!(table.contains("rollback to 3") && !table.contains("spring"), "{table}");
    let drawn = kept.run(&["history", "1"]).await.ok().out;
    assert!(drawn.contains("spring") && drawn.contains("key = vip"), "{drawn}");
}

#[tokio::test]
async fn every_push_is_kept_and_one_is_current_in_sqlite() {
    let kept = Kept::start().await;
    story(&kept).await;
    assert_eq!(kept.rig.path("business.db").metadata().unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn every_push_is_kept_and_one_is_current_in_postgresql() {
    let server = Postgres::start();
    let kept = Kept::in_postgres(&server).await;
    story(&kept).await;
    assert!(!kept.rig.path("business.db").exists());
}

#[tokio::test]
async fn menu_that_was_live_before_is_kept_too_and_can_be_gone_back_to() {
    let kept = Kept::start().await;
    let console = json!([{ "name": "more", "sub_button": { "list": [{ "type": "view", "name": "site", "url": "http://www.qq.com" }] } }]);
    kept.rig.wechat.control.set_console_menu("wx1", console);
    let pushed = kept.push(&menu("a", None), "ours").await.ok();
    assert!(pushed.err.contains("it is kept as push 1"), "{pushed:?}");
    let rows = kept.history().await;
    assert_eq!((&rows[1]["kind"], current(&rows)), (&json!("found"), vec![2]));
    kept.run(&["rollback", "1", "--yes"]).await.ok();
    let live = kept.rig.wechat.control.menus("wx1").default.unwrap();
    assert_eq!(live["button"][0]["sub_button"][0]["url"], "http://www.qq.com");
}

#[tokio::test]
async fn push_that_stops_is_kept_as_failed_and_no_row_claims_to_be_live() {
    let kept = Kept::start().await;
    kept.push(&menu("a", None), "").await.ok();
    let script = |endpoint, fault| kept.rig.wechat.control.script(Script::once(endpoint, fault));
    script(Endpoint::MenuCreate, Fault::errcode(45_009));
    assert_eq!(kept.push(&menu("b", None), "").await.code, Some(1));
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[0]["state"]), (vec![1], &json!("failed")), "nothing had changed");
    assert!(rows[0]["outcome"].as_str().unwrap().contains("errcode 45009"), "{rows:?}");

    script(Endpoint::MenuAddConditional, Fault::errcode(65_309));
    assert_eq!(kept.push(&menu("c", Some("vip")), "").await.code, Some(1));
    assert_eq!(current(&kept.history().await), Vec::<i64>::new(), "half of it is live");
    let back = kept.run(&["rollback", "1", "--yes"]).await.ok();
    assert!(back.err.contains("it is kept as push 4"), "{back:?}");
    assert_eq!(kept.live().0, "a");
    // What failed was meant all the same: the way to it is a rollback, too.
    kept.run(&["rollback", "3", "--yes"]).await.ok();
    assert_eq!(kept.live(), (json!("c"), vec![json!("vip")]));
}

#[tokio::test]
async fn process_that_dies_between_wechats_answer_and_the_row_is_found_by_the_next_command() {
    let kept = Kept::start().await;
    kept.push(&menu("a", None), "").await.ok();
    for (place, key, verdict, row) in [
        ("menu.begun", "b", "what was live before still is", (vec![1], "failed")),
        ("menu.answered", "c", "it is live, and is noted as such", (vec![3], "done")),
    ] {
        let file = kept.file(&menu(key, None));
        let mut command = kept.rig.command(&kept.words(&["push", "FILE", "--yes"], &file));
        command.env("ZHONGKONG_FAILPOINTS", format!("{place}=kill"));
        assert_eq!(done(command).await.code, None, "killed");
        let told = kept.run(&["history"]).await.ok();
        assert!(told.err.contains("was cut off before its end was written down"), "{told:?}");
        assert!(told.err.contains(verdict), "{told:?}");
        let again = kept.run(&["history"]).await.ok();
        assert_eq!(again.err, "", "it is told once");
        let rows = kept.history().await;
        assert_eq!((current(&rows), rows[0]["state"].as_str().unwrap()), row, "{place}");
    }
    assert_eq!(kept.live().0, "c");
}

#[tokio::test]
async fn second_push_waits_for_the_first_and_one_that_is_killed_half_way_is_told() {
    let kept = Kept::start().await;
    kept.push(&menu("a", None), "").await.ok();
    kept.rig.wechat.control.script(Script::once(Endpoint::MenuAddConditional, Fault::HoldRequest));
    let file = kept.file(&menu("b", Some("vip")));
    let mut first = Running::start(kept.rig.command(&kept.words(&["push", "FILE", "--yes"], &file)));
    kept.rig.wechat.control.wait_held(1).await;
    let refused = kept.push(&menu("c", None), "").await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("push 2 by ") && refused.err.contains("is under way"), "{refused:?}");

    first.child.start_kill().unwrap();
    first.child.wait().await.unwrap();
    // The call that it was making is held and has done nothing. Any command that meets it says so, not only the history.
    let told = kept.run(&["show"]).await.ok();
    assert!(told.err.contains("neither it nor what was before"), "{told:?}");
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[0]["state"]), (Vec::new(), &json!("failed")));
    kept.push(&menu("b", Some("vip")), "").await.ok();
    assert_eq!(kept.live(), (json!("b"), vec![json!("vip")]));
}

#[tokio::test]
async fn push_that_was_agreed_to_is_not_made_over_another_one_that_came_in_between() {
    let kept = Kept::start().await;
    kept.push(&menu("a", None), "").await.ok();
    // The first has looked at what is live, and is held up before it begins.
    let file = kept.file(&menu("b", None));
    kept.rig.wechat.control.script(Script::once(Endpoint::MenuGet, Fault::HoldAnswer));
    let words = ["push", "FILE", "--yes", "--who", "slow"];
    let mut first = Running::start(kept.rig.command(&kept.words(&words, &file)));
    kept.rig.wechat.control.wait_held(1).await;
    kept.push(&menu("c", None), "").await.ok();
    kept.rig.wechat.control.release();
    while !first.err_line().await.contains("push 2 by lin came in between") {}
    assert_eq!(first.child.wait().await.unwrap().code(), Some(1));
    assert_eq!((kept.live().0, kept.history().await.len()), (json!("c"), 2));
}

#[tokio::test]
async fn late_settler_does_not_make_an_old_push_current_again() {
    // Two commands find a push whose process died after WeChat's answer. One of them is held up, and
    // meanwhile the other one settles it and somebody pushes again.
    let kept = Kept::start().await;
    kept.push(&menu("a", None), "").await.ok();
    let file = kept.file(&menu("b", None));
    let mut command = kept.rig.command(&kept.words(&["push", "FILE", "--yes"], &file));
    command.env("ZHONGKONG_FAILPOINTS", "menu.answered=kill");
    assert_eq!(done(command).await.code, None, "killed");
    kept.rig.wechat.control.script(Script::once(Endpoint::MenuGet, Fault::HoldAnswer));
    let mut late = Running::start(kept.rig.command(&kept.words(&["history"], "")));
    kept.rig.wechat.control.wait_held(1).await;
    let told = kept.run(&["history"]).await.ok();
    assert!(told.err.contains("it is live, and is noted as such"), "{told:?}");
    kept.push(&menu("c", None), "").await.ok();
    kept.rig.wechat.control.release();
    assert_eq!(late.child.wait().await.unwrap().code(), Some(0));
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[1]["state"]), (vec![3], &json!("done")), "{rows:?}");
}

#[tokio::test]
async fn delete_or_push_whose_answer_is_lost_is_kept_as_what_wechat_says_of_it() {
    let kept = Kept::start().await;
    let script = |endpoint, fault| kept.rig.wechat.control.script(Script::once(endpoint, fault));
    kept.push(&menu("a", None), "").await.ok();
    // It was carried out.
    script(Endpoint::MenuDelete, Fault::AnswerLost);
    kept.run(&["delete", "--yes"]).await.ok();
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[0]["state"]), (vec![2], &json!("done")), "{rows:?}");
    // It was not.
    kept.push(&menu("a", None), "").await.ok();
    script(Endpoint::MenuDelete, Fault::TornConnection);
    assert_eq!(kept.run(&["delete", "--yes"]).await.code, Some(1));
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[0]["state"]), (vec![3], &json!("failed")), "{rows:?}");
    script(Endpoint::MenuCreate, Fault::TornConnection);
    assert_eq!(kept.push(&menu("b", None), "").await.code, Some(1));
    assert_eq!(current(&kept.history().await), [3], "nothing was changed");
    // Nobody can say: the answer is late, and WeChat answers nothing afterwards. No row may claim to be live.
    let config = std::fs::read_to_string(&kept.config).unwrap();
    let config = config.replace("[wechat]", "[wechat]\nconnect_timeout = \"1s\"\ntimeout = \"2s\"");
    std::fs::write(&kept.config, config).unwrap();
    script(Endpoint::MenuDelete, Fault::HoldAnswer);
    let mut late = Running::start(kept.rig.command(&kept.words(&["delete", "--yes"], "")));
    kept.rig.wechat.control.wait_held(1).await;
    script(Endpoint::SelfmenuInfo, Fault::errcode(-1));
    assert_eq!(late.child.wait().await.unwrap().code(), Some(1));
    let rows = kept.history().await;
    assert_eq!((current(&rows), &rows[0]["kind"]), (Vec::new(), &json!("delete")), "{rows:?}");
}

#[tokio::test]
async fn way_back_to_a_menu_of_the_console_puts_its_texts_and_pictures_into_what_a_program_may_set() {
    let kept = Kept::start().await;
    let console = json!([
        { "type": "text", "name": "ask", "value": "write to us" },
        { "name": "more", "sub_button": { "list": [
            { "type": "img", "name": "map", "value": "MEDIA_ID" },
            { "type": "news", "name": "news", "value": "NEWS_ID", "news_info": { "list": [
                { "title": "t", "content_url": "http://mp.weixin.qq.com/s?1" }] } }] } }]);
    kept.rig.wechat.control.set_console_menu("wx1", console);
    kept.push(&menu("a", None), "").await.ok();
    let back = kept.run(&["rollback", "1", "--yes"]).await.ok();
    assert!(back.err.contains("when.key = \"reply_1\", reply = \"write to us\""), "{back:?}");
    let live = kept.rig.wechat.control.menus("wx1").default.unwrap();
    assert_eq!(live["button"][0]["key"], "reply_1");
    let list = &live["button"][1]["sub_button"];
    assert_eq!((&list[0]["media_id"], &list[0]["type"]), (&json!("MEDIA_ID"), &json!("media_id")));
    assert_eq!(list[1]["media_id"], "NEWS_ID");
}

#[tokio::test]
async fn nothing_is_pushed_that_cannot_be_written_down() {
    let kept = Kept::start().await;
    let config = std::fs::read_to_string(&kept.config).unwrap();
    std::fs::write(&kept.config, config.replace("\"business.db\"", "\"/nonexistent/folder/business.db\""))
        .unwrap();
    let refused = kept.push(&menu("a", None), "").await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("/nonexistent/folder") && refused.err.contains("[business]"), "{refused:?}");
    assert_eq!(kept.rig.wechat.control.count(Endpoint::MenuCreate, "wx1"), 0);
    // What needs no history goes on.
    kept.run(&["show"]).await.ok();
}
