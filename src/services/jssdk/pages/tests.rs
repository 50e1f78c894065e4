//! What templates may do, what they may not, and what of a request gets into them.

use std::fs;

use super::*;
use crate::services::jssdk::account::Account;
use crate::services::jssdk::configuration::Configuration;
use crate::services::jssdk::sign::Signature;
use crate::services::jssdk::site;

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn account() -> Account {
    Account {
        appid: "wx1".parse().unwrap(),
        path: "shop".to_owned(),
        hosts: vec!["h5.example.com".parse().unwrap()],
        origins: Vec::new(),
        apis: ["updateAppMessageShareData", "updateTimelineShareData"].map(str::to_owned).to_vec(),
        open_tags: vec!["wx-open-launch-weapp".to_owned()],
        cards: Vec::new(),
    }
}

fn shown(files: &[(&str, &str)], address: &str, shown: Shown<'_>) -> Result<String, RenderError> {
    let directory = directory(files);
    let (pages, _) = Pages::open(directory.path()).unwrap();
    let account = account();
    let page = site::judge(&account.hosts, address).unwrap();
    let signature =
        Signature { timestamp: 1_414_587_457, nonce: "n0nce".to_owned(), signature: "5ig".to_owned() };
    let config = Configuration::of(&account, signature, page);
    let query = page.text().split_once('?').map_or("", |(_, query)| query);
    pages.render("index", &View { account: &account, config: &config, query, shown }).unwrap()
}

fn live(text: &str, address: &str) -> Result<String, RenderError> {
    shown(&[("index.html", text)], address, Shown::Live)
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let directory = directory(files);
    match Pages::open(directory.path()) {
        Ok((pages, _)) => panic!("taken: {pages:?}"),
        Err(PagesError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn page_has_the_configuration_and_what_wechats_script_is_told() {
    let text =
        "<h1>{{ appid }} {{ account }} {{ url }} {{ config.timestamp }} {{ preview }}</h1>{{ wechat() }}";
    let html = live(text, "https://h5.example.com/a?b=1&c=2").unwrap();
    assert!(
        html.starts_with(
            "<h1>wx1 shop https:&#x2f;&#x2f;h5.example.com&#x2f;a?b=1&amp;c=2 1414587457 False</h1>"
        ),
        "{html}"
    );
    assert!(
        html.contains(
            "<script src=\"&#x2f;&#x2f;res.wx.qq.com&#x2f;open&#x2f;js&#x2f;jweixin-1.6.0.js\"></script>"
        ),
        "{html}"
    );
    let call = html.split_once("<script>wx.config(").unwrap().1.split_once(");</script>").unwrap().0;
    let call: serde_json::Value = serde_json::from_str(call).unwrap();
    assert_eq!(
        call,
        serde_json::json!({
            "debug": false, "appId": "wx1", "timestamp": 1_414_587_457, "nonceStr": "n0nce", "signature": "5ig",
            "jsApiList": ["updateAppMessageShareData", "updateTimelineShareData"], "openTagList": ["wx-open-launch-weapp"],
        })
    );
    assert!(live("{{ wechat(debug=true) }}", "https://h5.example.com/").unwrap().contains("\"debug\":true"));
}

#[test]
fn share_helper_calls_both_entries_of_the_menu_with_the_pages_own_address() {
    let text = "{{ share(title=\"A & B\", desc=query.d, img=\"https://h5.example.com/i.png\") }}";
    let html = live(text, "https://h5.example.com/a?d=x#top").unwrap();
    let shared = html.split_once("var s = ").unwrap().1.split_once("; wx.").unwrap().0;
    let shared: serde_json::Value = serde_json::from_str(shared).unwrap();
    assert_eq!(
        shared,
        serde_json::json!({
            "title": "A & B", "desc": "x", "link": "https://h5.example.com/a?d=x", "imgUrl": "https://h5.example.com/i.png",
        })
    );
    for call in ["wx.ready(", "wx.updateAppMessageShareData(s)", "wx.updateTimelineShareData(s)"] {
        assert!(html.contains(call), "{html}");
    }
}

#[test]
fn helpers_refuse_what_would_fail_silently_in_a_phone() {
    for (text, why) in [
        ("{{ share(desc=\"x\") }}", "without a title"),
        ("{{ share(title=\" \") }}", "without a title"),
        ("{{ share(\"x\") }}", "title, desc, link and img"),
        ("{{ share(title=\"x\", image=\"y\") }}", "title, desc, link and img"),
        ("{{ share(title=1) }}", "title, desc, link and img"),
        (
            "{{ share(title=\"x\", link=\"https://evil.example/\") }}",
            "evil.example is none of the account's hosts",
        ),
        ("{{ share(title=\"x\", link=query.to) }}", "evil.example is none of the account's hosts"),
        ("{{ wechat(1) }}", "debug=true"),
        ("{{ wechat(debgu=true) }}", "debug=true"),
        ("\n\n{{ nobody }}", "uses a name that there is not"),
        ("{{ config.timestmap }}", "uses a name that there is not"),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "too many steps",
        ),
        ("{% for i in range(2000) %}{{ \"x\" * 1000 }}{% endfor %}", "more than 1024 KiB"),
    ] {
        let error = live(text, "https://h5.example.com/?to=https://evil.example/").unwrap_err().to_string();
        assert!(error.starts_with("index.html") && error.contains(why), "{text}: {error}");
    }
    let error = live("\n\n{{ nobody }}", "https://h5.example.com/").unwrap_err();
    assert!(error.to_string().starts_with("index.html:3 "), "{error}");
    // What a request brings is not in what is logged.
    let error = live("{{ query.x + 1 }}", "https://h5.example.com/?x=5ecret").unwrap_err();
    assert!(!error.to_string().contains("5ecret"), "{error}");
}

#[test]
fn nothing_of_a_request_becomes_html_or_script() {
    let evil = "%3C/script%3E%3Cscript%3Ealert(1)%3C/script%3E%22'%26%7B%7B7*7%7D%7D%E2%80%A8";
    let address = format!("https://h5.example.com/?x={evil}&%3Cb%3E=1");
    let text = "<p title=\"{{ query.x }}\">{{ query.x }} {{ query }} {{ url }}</p><script>var x = {{ query.x|tojson }};</script>\
                {{ share(title=query.x, desc=query.x) }}{{ wechat() }}<a href=\"/?x={{ query.x|urlencode }}\">";
    for view in [Shown::Live, Shown::Preview { verdict: "</script><script>alert(2)</script>" }] {
        let html = shown(&[("index.html", text)], &address, view).unwrap();
        assert!(!html.contains("<script>alert") && !html.contains("<b>"), "{html}");
        assert!(!html.contains("49") && html.contains("{{7*7}}"), "a value is no template: {html}");
        // As many scripts end as the template and its helpers begin.
        assert_eq!(html.matches("<script").count(), 4, "{html}");
        assert_eq!(html.matches("</script>").count(), 4, "{html}");
        assert!(html.contains("title=\"&lt;&#x2f;script&gt;"), "{html}");
        assert!(html.contains("var s = {\"title\":\"\\u003c/script\\u003e\\u003cscript\\u003e"), "{html}");
        assert!(
            !html.contains('\u{2028}') || !html.split("var s").nth(1).unwrap().contains('\u{2028}'),
            "{html}"
        );
    }
}

#[test]
fn preview_has_the_stand_in_for_wechats_script_and_says_what_would_be_signed() {
    let html = shown(
        &[("index.html", "<body>{{ wechat() }}{{ preview }}</body>")],
        "https://h5.example.com/",
        Shown::Preview { verdict: "it would be signed" },
    )
    .unwrap();
    assert!(html.contains("verdict.textContent = \"it would be signed\";"), "{html}");
    assert!(
        html.contains("window.wx = ") && !html.contains("res.wx.qq.com") && html.contains("True</body>"),
        "{html}"
    );
}

#[test]
fn parts_are_there_for_others_and_have_no_address() {
    let files = [
        ("_layout.html", "<title>{% block title %}{% endblock %}</title>{% block body %}{% endblock %}"),
        (
            "index.html",
            "{% extends \"_layout.html\" %}{% block title %}{{ query.t }}{% endblock %}{% block body %}{% include '_foot.html' %}{% endblock %}",
        ),
        ("_foot.html", "foot of {{ account }}"),
        (".hidden.html", "{{"),
        ("notes.txt", "{{"),
        ("a b.html", "{{"),
    ];
    let directory = directory(&files);
    let (pages, _) = Pages::open(directory.path()).unwrap();
    assert_eq!(pages.names(), ["index"]);
    for name in ["_layout", "_foot", "index.html", "", "..", "../index", "a b", "nobody", ".hidden"] {
        assert!(!pages.has(name), "{name}");
    }
    let html = shown(&files, "https://h5.example.com/?t=<", Shown::Live).unwrap();
    assert_eq!(html, "<title>&lt;</title>foot of shop");
}

#[test]
fn bad_template_is_named_with_its_line_and_reason() {
    let found = problems(&[
        ("a.html", "fine {{ config }}"),
        ("b.html", "\n{% if %}"),
        ("c.html", "1\n2\n{% extends \"_layout.html\" %}"),
        ("d.html", "{{ query.x | nofilter }}\n{{"),
    ]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("b.html:2: "), "{found:?}");
    assert_eq!(found[1], "c.html:3: there is no template \"_layout.html\" beside it");
    assert!(found[2].starts_with("d.html:2: "), "{found:?}");
    let big = "x".repeat(257 * 1024);
    assert_eq!(problems(&[("big.html", &big)]), ["big.html: is larger than 256 KiB"]);
    let none = Pages::open(Path::new("/nonexistent/pages")).err().unwrap();
    assert!(none.to_string().contains("/nonexistent/pages"), "{none}");
}

#[tokio::test]
async fn changed_directory_is_taken_after_two_looks_and_a_bad_one_leaves_the_pages_before() {
    let directory = directory(&[("index.html", "one")]);
    let path = |name: &str| directory.path().join(name);
    let (pages, mut watcher) = Pages::open(directory.path()).unwrap();
    assert!(matches!(watcher.look().await, Looked::Same));
    fs::write(path("more.html"), "two").unwrap();
    assert!(matches!(watcher.look().await, Looked::Unsettled));
    assert!(matches!(watcher.look().await, Looked::Taken(2)));
    assert_eq!(pages.names(), ["index", "more"]);
    fs::write(path("more.html"), "{% if %} is longer").unwrap();
    assert!(matches!(watcher.look().await, Looked::Unsettled));
    let Looked::Refused(error) = watcher.look().await else { panic!("it is bad") };
    assert!(error.to_string().contains("more.html:1: "), "{error}");
    // Once, and the pages before are there.
    assert!(matches!(watcher.look().await, Looked::Same));
    assert_eq!(pages.names(), ["index", "more"]);
    fs::remove_file(path("more.html")).unwrap();
    assert!(matches!(watcher.look().await, Looked::Unsettled));
    assert!(matches!(watcher.look().await, Looked::Taken(1)));
    // A directory that is being replaced is not an empty one.
    let aside = tempfile::tempdir().unwrap();
    fs::rename(directory.path(), aside.path().join("pages")).unwrap();
    assert!(matches!(watcher.look().await, Looked::Unsettled));
    assert!(matches!(watcher.look().await, Looked::Refused(_)));
    assert_eq!(pages.names(), ["index"]);
    fs::rename(aside.path().join("pages"), directory.path()).unwrap();
}
