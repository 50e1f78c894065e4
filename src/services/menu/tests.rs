//! Reading, judging and writing: what a file may say, and how its mistakes are named.

use std::fmt::Write as _;

use super::*;

const FULL: &str = r#"
[[button]]
name = "今日歌曲"
type = "click"
key = "V1001_TODAY_MUSIC"

[[button]]
name = "菜单"
[[button.sub_button]]
name = "搜索"
type = "view"
url = "http://www.soso.com/"
[[button.sub_button]]
name = "小程序"
type = "miniprogram"
url = "http://mp.weixin.qq.com"
appid = "wx286b93c14bbf93aa"
pagepath = "pages/lunar/index"
[[button.sub_button]]
name = "图文"
type = "media_id"
media_id = "MEDIA_1"
[[button.sub_button]]
name = "看图文"
type = "view_limited"
media_id = "MEDIA_2"
[[button.sub_button]]
name = "文章"
type = "article_id"
article_id = "ARTICLE_1"

[[button]]
name = "更多"
[[button.sub_button]]
name = "看文章"
type = "article_view_limited"
article_id = "ARTICLE_2"
[[button.sub_button]]
name = "扫码"
type = "scancode_push"
key = "k1"
[[button.sub_button]]
name = "位置"
type = "location_select"
key = "k2"

[[conditional]]
matchrule = { tag_id = 2, client_platform_type = "1" }
[[conditional.button]]
name = "iOS"
type = "view"
url = "https://h5.example.com/ios"
"#;

fn good(text: &str) -> Read {
    read(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}: {text}"))
}

fn bad(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes()).expect_err(text);
    assert!(!problems.is_empty(), "{text}");
    problems.iter().map(ToString::to_string).collect()
}

/// A menu of one button with these lines.
fn button(lines: &str) -> String {
    format!("[[button]]\n{lines}\n")
}

#[test]
fn every_type_is_read_and_written_back_in_either_syntax() {
    let read = good(FULL);
    assert_eq!(read.warnings, []);
    let json = serde_json::to_string(&read.menus).unwrap();
    assert_eq!(good(&json).menus, read.menus, "{json}");
    let toml = to_toml(&read.menus, &[]);
    assert_eq!(good(&toml).menus, read.menus, "{toml}");
    // The rest of the types, one by one: no menu holds so many.
    let mut kinds = 0;
    for kind in Action::KINDS {
        let rest = r#"key = "k", url = "https://a.example/", appid = "wx1", pagepath = "p", media_id = "m", article_id = "a""#;
        let has = |name: &str| match kind {
            "view" => name == "url",
            "miniprogram" => ["url", "appid", "pagepath"].contains(&name),
            "media_id" | "view_limited" => name == "media_id",
            "article_id" | "article_view_limited" => name == "article_id",
            _ => name == "key",
        };
        let fields: Vec<&str> =
            rest.split(", ").filter(|field| has(field.split_once(' ').unwrap().0)).collect();
        let text = button(&format!("name = \"n\"\ntype = \"{kind}\"\n{}", fields.join("\n")));
        let Does::Acts(action) = &good(&text).menus.default.buttons[0].does else { panic!("{text}") };
        assert_eq!(action.kind(), kind);
        assert_eq!(action.fields().len(), fields.len(), "{text}");
        // Without any one of them it is none.
        for field in &fields {
            let name = field.split_once(' ').unwrap().0;
            let problems = bad(&text.replace(field, ""));
            assert_eq!(problems, [format!("button[0].{name} (line 1): it is missing, and {kind} needs it")]);
        }
        kinds += 1;
    }
    assert_eq!(kinds, 13);
}

#[test]
fn canonical_json_is_wechats_body_in_plain_utf_8() {
    let menus = good(FULL).menus;
    let body = serde_json::to_string(&menus.default).unwrap();
    let start = r#"{"button":[{"type":"click","name":"今日歌曲","key":"V1001_TODAY_MUSIC"},{"name":"菜单","sub_button":[{"type":"view","name":"搜索","url":"http://www.soso.com/"},"#;
    assert!(body.starts_with(start), "{body}");
    assert!(!body.contains("\\u"), "{body}");
    assert_eq!(
        serde_json::to_string(&menus.conditional[0]).unwrap(),
        r#"{"button":[{"type":"view","name":"iOS","url":"https://h5.example.com/ios"}],"matchrule":{"tag_id":"2","client_platform_type":"1"}}"#
    );
}

#[test]
fn each_limit_is_counted_in_bytes_and_broken_by_one_more() {
    let chinese = "汉".repeat(5);
    let long = |n: usize| "a".repeat(n);
    let url = |n: usize| format!("https://a.example/{}", long(n - "https://a.example/".len()));
    let item = |fields: &str| format!("[[button]]\nname = \"n\"\n[[button.sub_button]]\n{fields}\n");
    let click = |name: &str| format!("name = \"{name}\"\ntype = \"click\"\nkey = \"k\"");
    let buttons = |n: usize| button(&click("n")).repeat(n);
    let items =
        |n: usize| button("name = \"n\"") + &format!("[[button.sub_button]]\n{}\n", click("n")).repeat(n);
    let key = |n: usize| button(&format!("name = \"n\"\ntype = \"click\"\nkey = \"{}\"", long(n)));
    let view = |n: usize| button(&format!("name = \"n\"\ntype = \"view\"\nurl = \"{}\"", url(n)));
    let cases: [(&str, String, String, &str); 8] = [
        ("button", buttons(3), buttons(4), "4"),
        ("button[0].sub_button", items(5), items(6), "6"),
        (
            "button[0].name",
            button(&click(&format!("{chinese}a"))),
            button(&click(&format!("{chinese}aa"))),
            "17 bytes",
        ),
        ("button[0].name", button(&click(&long(16))), button(&click(&long(17))), "17 bytes"),
        (
            "button[0].sub_button[0].name",
            item(&click(&"汉".repeat(20))),
            item(&click(&("汉".repeat(20) + "a"))),
            "61 bytes in UTF-8 (21 characters)",
        ),
        ("button[0].key", key(128), key(129), "129 bytes"),
        ("button[0].url", view(1024), view(1025), "1025 bytes"),
        ("conditional[0]", hosts(3), hosts(4), "4 hosts"),
    ];
    for (place, within, beyond, says) in cases {
        good(&within);
        let problems = bad(&beyond);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("{place} (line ")), "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }
}

/// A conditional menu that leads to so many hosts outside of WeChat.
fn hosts(count: usize) -> String {
    let mut text = button("name = \"n\"\ntype = \"click\"\nkey = \"k\"")
        + "[[conditional]]\nmatchrule = { tag_id = \"2\" }\n[[conditional.button]]\nname = \"n\"\n";
    for host in 0..count {
        let _ = write!(
            text,
            "[[conditional.button.sub_button]]\nname = \"n\"\ntype = \"view\"\nurl = \"https://h{host}.example/\"\n"
        );
    }
    text + "[[conditional.button.sub_button]]\nname = \"n\"\ntype = \"view\"\nurl = \"https://mp.weixin.qq.com/s/1\"\n"
}

#[test]
fn one_reading_names_every_mistake_by_its_path_and_line() {
    let text = r#"
[[button]]
name = "一二三四五六"
type = "clik"
key = "k"
[[button]]
name = "n"
[[button.sub_button]]
name = "n"
type = "click"
url = "https://a.example/"
[[button.sub_button]]
name = ""
type = "view"
url = "a.example/path"
colour = "red"
[[conditional]]
[[conditional.button]]
name = "n"
type = "click"
key = "k"
"#;
    assert_eq!(
        bad(text),
        [
            "button[0].name (line 3): \"一二三四五六\" has 18 bytes in UTF-8 (6 characters): 16 are the limit, which is 16 Latin letters or 5 Chinese characters",
            "button[0].type (line 4): there is no type \"clik\": did you mean click?",
            "button[1].sub_button[0].key (line 8): it is missing, and click needs it",
            "button[1].sub_button[0].url (line 11): click has no url: it has key",
            "button[1].sub_button[1].name (line 13): it is empty: every button has a name",
            "button[1].sub_button[1].url (line 15): \"a.example/path\" is no address of a page: it begins with http:// or https:// and has no blanks",
            "button[1].sub_button[1].colour (line 16): there is no such key: here stand name, type, sub_button, key, url, appid, pagepath, media_id, article_id",
            "conditional[0].matchrule (line 17): it asks for nothing: name at least one field, for example tag_id = \"2\"",
        ]
    );
}

#[test]
fn mistakes_of_shape_are_told_with_what_to_do() {
    let click = "name = \"n\"\ntype = \"click\"\nkey = \"k\"";
    let conditional = |rule: &str| {
        format!("{}[[conditional]]\nmatchrule = {rule}\n[[conditional.button]]\n{click}\n", button(click))
    };
    let cases = [
        ("", "it is empty"),
        ("{}", "button: it is missing"),
        (
            "[[button]]\nname = \"n\"",
            "button[0].type (line 1): it is missing: a button has a type or a sub_button",
        ),
        (
            "[[button]]\nname = 7\ntype = \"click\"\nkey = \"k\"",
            "button[0].name (line 2): a number stands here, but text is needed",
        ),
        ("[[button]]\nname = \"n\"\nsub_button = []", "button[0].sub_button (line 3): it is empty"),
        ("[[buton]]\nname = \"n\"", "buton (line 1): there is no such key: did you mean button?"),
        ("button = 3", "button (line 1): a number stands here, but a list of tables is needed"),
        ("[[button]]\nname = \"n\"\nname = \"m\"", "this is neither TOML nor JSON"),
        (
            r#"{"button":[{"name":"n","name":"m","type":"click","key":"k"}]}"#,
            "button[0].name: it stands here twice",
        ),
        (
            r#"{"button":[{"name":"n","type":"click","key":"a\u0007b"}]}"#,
            "button[0].key: it has a control character (U+0007)",
        ),
        (r#"{"button":[{"name":"\ud800"}]}"#, "this is not JSON"),
        (r#"{"errcode":46003,"errmsg":"menu no exist"}"#, "a refusal of WeChat's (46003)"),
        (
            r#"{"button":[],"matchrule":{"tag_id":"2"}}"#,
            "put its matchrule and its buttons under [[conditional]]",
        ),
        (
            r#"{"button":[{"name":"n","sub_button":[{"name":"m","sub_button":[{"name":"o","type":"click","key":"k"}]}]}]}"#,
            "WeChat has two levels",
        ),
        (
            r#"{"button":[{"name":"n","key":"k","sub_button":[{"name":"m","type":"click","key":"k"}]}]}"#,
            "button[0].key: a button with sub_button has only a name",
        ),
    ];
    for (text, says) in cases {
        let problems = bad(text);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{says}: {problems:?}");
    }
    for (rule, says) in [
        (
            "{ client_platform_type = 4 }",
            "conditional[0].matchrule.client_platform_type (line 6): \"4\" is none",
        ),
        ("{ tag_id = \"vip\" }", "a tag's id is a number"),
        ("{ province = \"广东\" }", "matchrule.country (line 6): it is missing"),
        ("{ country = \"中国\", city = \"广州\" }", "matchrule.province (line 6): it is missing"),
        ("{ tagid = \"2\" }", "did you mean tag_id?"),
    ] {
        let problems = bad(&conditional(rule));
        assert!(problems.iter().any(|problem| problem.contains(says)), "{says}: {problems:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_named_by_their_line() {
    let mut text = b"[[button]]\nname = \"".to_vec();
    text.extend(b"\xb2\xcb\xb5\xa5\"\n"); // GBK for a menu
    let problems = read(&text).unwrap_err();
    let told = problems[0].to_string();
    assert!(told.starts_with("line 2: this is not UTF-8 (byte 0xb2, the 9th of the line)"), "{told}");
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend(FULL.bytes());
    assert_eq!(read(&marked).unwrap().menus, good(FULL).menus, "an editor's mark is no mistake");
}

#[test]
fn answers_of_wechat_are_files_too() {
    let got = r#"{"menu":{"button":[{"type":"click","name":"今日歌曲","key":"V1","sub_button":[]},
        {"name":"菜单","sub_button":[{"type":"view","name":"搜索","url":"http://www.soso.com/","sub_button":[]}]}],"menuid":208396938},
        "conditionalmenu":[{"button":[{"type":"click","name":"n","key":"k","sub_button":[]}],
        "matchrule":{"group_id":2,"client_platform_type":2},"menuid":208396993}]}"#;
    let read = good(got);
    assert_eq!(read.menus.default.buttons.len(), 2);
    assert_eq!(read.menus.conditional[0].rule.to_string(), "tag_id = 2, client_platform_type = 2");
    // A mistake in it is named by the path in it.
    assert!(bad(&got.replace("\"V1\"", "\"\""))[0].starts_with("menu.button[0].key: "));
    assert!(bad(&got.replace("\"k\"", "\"\""))[0].starts_with("conditionalmenu[0].button[0].key: "));
}

#[test]
fn what_works_and_is_not_meant_is_a_warning() {
    let click = "name = \"n\"\ntype = \"click\"\nkey = \"k\"";
    let long = good(&button("name = \"一二三四五\"\ntype = \"click\"\nkey = \"k\""));
    assert!(long.warnings[0].to_string().contains("cut \"一二三四五\" off after about 4 Chinese characters"));
    let conditional =
        |rule: &str| format!("[[conditional]]\nmatchrule = {rule}\n[[conditional.button]]\n{click}\n");
    let same = conditional("{ tag_id = \"2\" }");
    let twice = good(&(button(click) + &same + &conditional("{ tag_id = \"3\" }") + &same));
    assert_eq!(twice.warnings.len(), 1, "{twice:?}");
    assert!(
        twice.warnings[0]
            .to_string()
            .starts_with("conditional[0] (line 5): nobody ever sees this menu: conditional[2]")
    );
    let withdrawn = good(&(button(click) + &conditional("{ sex = 1 }")));
    assert!(withdrawn.warnings[0].to_string().contains("tag_id or client_platform_type"));
}
