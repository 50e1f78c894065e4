//! What is wrong with a file, and what is probably not meant in it.

use super::*;

#[test]
fn a_bad_file_is_told_every_mistake_with_line_rule_key_and_what_to_do() {
    let text = r#"timezone = "Asia/Shanghai"
fallbak = 1
[[rule]]
name = "a"
when.typ = "text"
when.key = { prefx = "x" }
reply = "{{ Content"
[[rule]]
name = "a"
when.content = { regex = "(" }
when.time = "9-18"
when.days = "funday"
reply.news = []
[[rule]]
forward = "cmr"
[[rule]]
when.type = "text"
[[rule]]
when.event = "CLICK"
when.content = "x"
reply = 7
continue = false
[[rule]]
reply = { text = "a", image = "b", media_id = "c" }
forward = "crm"
[[rule]]
reply.news = [{ title = "no address" }]
[[rule]]
reply.news = [{ title = "a", url = "example.com/a", pic_url = "/b.jpg" }]
[[rule]]
reply.music = { thumb_media_id = "a", url = "ftp://example.com/a", hq_url = "{{ Content }}" }
"#;
    let found = problems(text).join("\n");
    for line in [
        "line 1: timezone: a zone is an offset like \"+08:00\"",
        "line 2: fallbak: there is no such key: did you mean fallback?",
        "line 5: rule 1 \"a\": when.typ: there is no such key: did you mean type?",
        "line 6: rule 1 \"a\": when.key.prefx: there is no such key: did you mean prefix?",
        "line 7: rule 1 \"a\": reply: this is no template: ",
        "line 9: rule 2 \"a\": name: line 3 has a rule of this name",
        "line 10: rule 2 \"a\": when.content.regex: this is no regular expression: unclosed group",
        "line 11: rule 2 \"a\": when.time: \"9-18\" is no time of day",
        "line 12: rule 2 \"a\": when.days: \"funday\" is no day",
        "line 13: rule 2 \"a\": reply.news: news need an article",
        "line 15: rule 3: forward: there is no program \"cmr\": config.toml has crm, shop",
        "line 16: rule 4: this does nothing",
        "line 20: rule 5: when.content: an event has no content",
        "line 21: rule 5: reply: a number stands here, but text or a table",
        "line 22: rule 5: continue: only true says something here",
        "line 25: rule 6: forward: a rule has a reply or a forward, not both",
        "line 27: rule 7: reply.news[0]: url is missing, and WeChat needs it",
        "line 29: rule 8: reply.news[0].pic_url: this is not an http:// or https:// address",
        "line 29: rule 8: reply.news[0].url: this is not an http:// or https:// address: a tap",
        "line 31: rule 9: reply.music.url: this is not an http:// or https:// address",
    ] {
        assert!(found.contains(line), "{line}\n--- is not in\n{found}");
    }
    assert!(!found.contains("hq_url"), "what a message brings is not known yet: {found}");
    assert!(problems("[[rule]\nx = 1").join("\n").starts_with("line 1: this is not TOML: "));
    let both = problems("[[rule]]\nreply = { text = 'a', image = 'b', media_id = 'c' }").join("\n");
    assert!(both.contains("text and image stand here") && both.contains("reply.media_id: "), "{both}");
    let bomb = problems(
        r"[[rule]]
when.content = { regex = '(\w{500}){50}' }
reply = 'a'",
    );
    assert!(bomb[0].contains("too big"), "{bomb:?}");
    let long = format!("[[rule]]\nreply = '{}'", "好".repeat(683));
    assert!(problems(&long)[0].contains("2049 bytes are too many"), "{:?}", problems(&long));
}

#[test]
fn what_is_valid_and_probably_not_meant_is_warned_of() {
    for (text, warning) in [
        (
            "[[rule]]\nwhen.type = 'txt'\nreply = 'a'",
            "line 2: rule 1: when.type: WeChat documents no type \"txt\": did you mean \"text\"?",
        ),
        ("[[rule]]\nwhen.event = 'subscrbe'\nreply = 'a'", "did you mean \"subscribe\"?"),
        (
            "[[rule]]\nreply = 'a'\n[[rule]]\nreply = 'b'",
            "line 3: rule 2: this never fires: rule 1 takes every message",
        ),
        ("[fallback]\nreply = 'a'", "line 1: fallback: this answers events as well"),
        (
            "[[rule]]\nwhen.type = 'text'\nreply = '{{ contnt }}'",
            "no message has a \"contnt\": did you mean content?",
        ),
    ] {
        let found = warnings(text);
        assert!(found.len() == 1 && found[0].contains(warning), "{found:?}");
    }
    for fine in [
        "[fallback]\nreply.success = true",
        "[fallback]\nforward = 'crm'",
        "[[rule]]\nreply = '{{ bizmsgmenuid }}'",
    ] {
        assert!(warnings(fine).is_empty(), "{fine}");
    }
}
