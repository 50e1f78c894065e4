//! Rules over whole files: what holds, what is said, what is wrong with a file.

use super::*;
use crate::clock::WallTime;
use crate::services::messages::account::Account;
use crate::services::messages::fields::{Fields, Value};
use crate::services::messages::message::Message;
use crate::services::messages::reply::Reply;

mod limits;
mod mistakes;

/// Friday, 2026-11-20, 10:00 in China.
const NOW: WallTime = WallTime((1_795_132_800 + 2 * 3600) * 1000);

fn account() -> Account {
    Account { appid: "wx1".parse().unwrap(), path: "main".to_owned() }
}

/// A message of a type with these fields; a name with a dot is a field within a field.
fn message(kind: &str, fields: &[(&str, &str)]) -> Message {
    let mut all = Fields::default();
    let mut text = |name: &str, text: &str| all.push(name, Value::Text(text.into()));
    text("ToUserName", "gh_1");
    text("FromUserName", "oUser");
    text("CreateTime", "1795132800");
    text("MsgType", kind);
    for (name, text) in fields {
        match name.split_once('.') {
            None => all.push(*name, Value::Text((*text).into())),
            Some((outer, inner)) => {
                let mut within = Fields::default();
                within.push(inner, Value::Text((*text).into()));
                all.push(outer, Value::Fields(within));
            }
        }
    }
    Message::read(all).unwrap()
}

fn said(content: &str) -> Message {
    message("text", &[("Content", content)])
}

fn event(event: &str, key: &str) -> Message {
    message("event", &[("Event", event), ("EventKey", key)])
}

fn book(text: &str) -> Book {
    match Book::parse(text, &Names::Any) {
        Ok((book, warnings)) => {
            assert!(warnings.is_empty(), "{warnings:?}\n{text}");
            book
        }
        Err(problems) => panic!("{problems:#?}\n{text}"),
    }
}

/// What a file answers to a message.
fn answer(text: &str, message: &Message) -> Option<Answer> {
    let steps = book(text).preview(&account(), message, NOW);
    steps.into_iter().find_map(|step| match step.verdict {
        Verdict::Replies(answer) => Some(answer),
        _ => None,
    })
}

/// Whether a rule with these conditions fires.
fn holds(when: &str, message: &Message) -> bool {
    answer(&format!("[[rule]]\n{when}\nreply.success = true"), message).is_some()
}

/// The text that a reply makes of a message; the error if it cannot.
fn rendered(reply: &str, when: &str, message: &Message) -> Result<String, RenderError> {
    let text = format!("[[rule]]\n{when}\nreply = '''{reply}'''");
    match book(&text).preview(&account(), message, NOW).pop().unwrap().verdict {
        Verdict::Replies(Answer::Reply(Reply::Text { content })) => Ok(content),
        Verdict::Failed(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    let names = Names::These(vec!["crm", "shop"]);
    let problems = Book::parse(text, &names).expect_err("this must be wrong");
    problems.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    Book::parse(text, &Names::Any).unwrap().1.iter().map(ToString::to_string).collect()
}

#[test]
fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
    let hello = said("Hello World");
    let click = event("CLICK", "ORDER_7");
    let follow = event("subscribe", "qrscene_shop_1");
    let scan = event("SCAN", "shop_1");
    let voice = message("voice", &[("Recognition", "你好")]);
    let code = message("event", &[("Event", "scancode_push"), ("ScanCodeInfo.ScanResult", "42")]);
    for (when, message, expected) in [
        ("when.type = 'text'", &hello, true),
        ("when.type = 'TEXT'", &hello, true),
        ("when.type = ['image', 'text']", &hello, true),
        ("when.type = ['image', 'voice']", &hello, false),
        ("when.event = 'CLICK'", &click, true),
        ("when.event = 'click'", &click, true),
        ("when.event = ['VIEW', 'SCAN']", &click, false),
        ("when.event = 'CLICK'", &hello, false),
        ("when.key = 'ORDER_7'", &click, true),
        ("when.key = 'order_7'", &click, false),
        ("when.key = 'ORDER'", &click, false),
        ("when.key = { is = ['A', 'order_7'], ignore_case = true }", &click, true),
        ("when.key = { prefix = 'ORDER_' }", &click, true),
        ("when.key = { prefix = 'RDER_' }", &click, false),
        ("when.key = { contains = 'DER' }", &click, true),
        ("when.key = { regex = '_[0-9]$' }", &click, true),
        ("when.key = { regex = ['^x', '^o'], ignore_case = true }", &click, true),
        ("when.key = { prefix = 'ORDER_', contains = '8' }", &click, false),
        ("when.key = { present = false }", &click, false),
        ("when.key = { present = false }", &hello, true),
        ("when.key = 'ORDER_7'", &hello, false),
        ("when.content = 'Hello World'", &hello, true),
        ("when.content = 'Hello'", &hello, false),
        ("when.content = { contains = ['bye', 'WORLD'], ignore_case = true }", &hello, true),
        ("when.content = { contains = 'WORLD' }", &hello, false),
        ("when.content = { prefix = 'ÄÖ', ignore_case = true }", &said("äöü"), true),
        ("when.content = { present = true }", &voice, false),
        ("when.content = { present = true }", &message("news", &[("Content", "a")]), false),
        ("when.scene = 'shop_1'", &follow, true),
        ("when.scene = 'shop_1'", &scan, true),
        ("when.scene = 'shop_1'", &click, false),
        ("when.scene = { present = true }", &event("subscribe", ""), false),
        ("when.scene = 'qrscene_shop_1'", &follow, false),
        ("when.from = ['oOther', 'oUser']", &hello, true),
        ("when.from = 'ouser'", &hello, false),
        ("when.account = 'main'", &hello, true),
        ("when.account = 'wx1'", &hello, true),
        ("when.account = ['other', 'Main']", &hello, false),
        ("when.field.Recognition = '你好'", &voice, true),
        ("when.field.Recognition = { contains = '好' }", &voice, true),
        ("when.field.Recognition = { present = true }", &hello, false),
        ("when.field.Recognition = { present = false }", &hello, true),
        ("when.field.Recognition = { present = false }", &voice, false),
        ("when.field.'ScanCodeInfo.ScanResult' = '42'", &code, true),
        ("when.field.'ScanCodeInfo.ScanType' = '42'", &code, false),
        ("when.field.'ScanCodeInfo' = { present = true }", &code, true),
        ("when.field.'Event.x' = { present = true }", &code, false),
        // All must hold.
        ("when.event = 'CLICK'\nwhen.key = { prefix = 'ORDER_' }", &click, true),
        ("when.event = 'CLICK'\nwhen.key = { prefix = 'ORDER_' }\nwhen.from = 'x'", &click, false),
    ] {
        assert_eq!(holds(when, message), expected, "{when} for {message:?}");
    }
}

#[test]
fn one_of_the_fields_that_repeat_is_enough() {
    let mut all = Fields::default();
    for (name, text) in
        [("ToUserName", "gh_1"), ("FromUserName", "o"), ("CreateTime", "1"), ("MsgType", "event")]
    {
        all.push(name, Value::Text(text.into()));
    }
    for status in ["reject", "accept"] {
        let mut list = Fields::default();
        list.push("Status", Value::Text(status.into()));
        all.push("List", Value::Fields(list));
    }
    let message = Message::read(all).unwrap();
    assert!(holds("when.field.'List.Status' = 'accept'", &message));
    assert!(!holds("when.field.'List.Status' = 'other'", &message));
    let looped = "{% for item in each(List) %}{{ item.Status }};{% endfor %}";
    assert_eq!(rendered(looped, "", &message).unwrap(), "reject;accept;");
    // A field that is there once is a list of one for `each`, and an absent one an empty list.
    let one = message_with_one_list();
    assert_eq!(rendered(looped, "", &one).unwrap(), "only;");
    assert_eq!(rendered("-{% for item in each(List) %}x{% endfor %}", "", &said("a")).unwrap(), "-");
}

fn message_with_one_list() -> Message {
    message("event", &[("Event", "x"), ("List.Status", "only")])
}

#[test]
fn hours_are_those_of_the_files_zone() {
    let hello = said("a");
    let at = |zone: &str, hours: &str| {
        let text = format!("timezone = '{zone}'\n[[rule]]\nwhen.time = '{hours}'\nreply.success = true");
        answer(&text, &hello).is_some()
    };
    assert!(holds("when.time = '10:00-10:01'", &hello), "China's is the default");
    assert!(at("+08:00", "10:00-10:01") && !at("+08:00", "09:00-10:00"));
    assert!(at("UTC", "02:00-02:01") && at("-03:30", "22:30-22:31"));
    assert!(holds("when.days = ['mon-thu', 'fri']", &hello) && !holds("when.days = 'sat-thu'", &hello));
    // 22:30 in Newfoundland is still Thursday.
    let text = "timezone = '-03:30'\n[[rule]]\nwhen.days = 'thu'\nreply.success = true";
    assert!(answer(text, &hello).is_some());
}

#[test]
fn rules_are_asked_in_the_order_of_the_file_and_the_first_answer_is_sent() {
    let file = "
        [[rule]]
        name = 'first'
        when.content = { prefix = 'a' }
        reply = 'one'
        continue = true
        [[rule]]
        name = 'second'
        forward = 'crm'
        continue = true
        [[rule]]
        name = 'third'
        when.content = { prefix = 'ab' }
        reply = 'three'
        [[rule]]
        name = 'fourth'
        when.content = { prefix = 'abc' }
        reply = 'four'
        [fallback]
        reply.empty = true";
    let steps = book(file).preview(&account(), &said("abc"), NOW);
    let short: Vec<_> = steps.iter().map(|step| format!("{} {:?}", step.rule, step.verdict)).collect();
    assert_eq!(short.len(), 3, "{short:#?}");
    assert!(short[0].contains("\"one\""), "{short:#?}");
    assert_eq!(short[1], "rule 2 \"second\" Tells(\"crm\")");
    assert_eq!(short[2], "rule 3 \"third\" TooLate");
    // Only a program whose answer can count is asked for it.
    let asked = book("[[rule]]\nforward = 'crm'").preview(&account(), &said("x"), NOW).pop().unwrap();
    assert!(matches!(asked.verdict, Verdict::Forwards(_)), "{asked:?}");
    let told =
        book("[[rule]]\nreply = 'a'\ncontinue = true\n[[rule]]\nforward = 'crm'\n[[rule]]\nreply = 'b'");
    let told = told.preview(&account(), &said("x"), NOW);
    assert!(told.len() == 2 && matches!(told[1].verdict, Verdict::Tells(_)), "{told:?}");
    // Nobody has answered: the fallback does. Somebody has: it is not asked.
    let last = |content| book(file).preview(&account(), &said(content), NOW).pop().unwrap().rule;
    assert_eq!(last("x"), "fallback");
    assert_eq!(last("a"), "rule 4 \"fourth\"");
}

#[test]
fn templates_see_fields_names_captures_and_times() {
    let price = said("price apple pie");
    let regex = r"when.content = { regex = '^(price) (?<what>\S+)(?<more> .*)?(?<none>x)?$' }";
    for (reply, expected) in [
        ("{{ Content }}|{{ content }}|{{ type }}", "price apple pie|price apple pie|text"),
        ("{{ FromUserName }} {{ from }} {{ to }} {{ account }} {{ appid }}", "oUser oUser gh_1 main wx1"),
        ("{{ captures[0] }}|{{ captures[1] }}|{{ captures.what }}", "price apple pie|price|apple"),
        ("[{{ captures.none }}]", "[]"),
        ("{{ now }}", "2026-11-20 10:00:00"),
        ("{{ now.date }} {{ now.time }} {{ now.unix }}", "2026-11-20 10:00 1795140000"),
        ("{{ now.format('%A, %d.%m.') }}", "Friday, 20.11."),
        ("{{ created }}", "2026-11-20 08:00:00"),
        ("{{ CreateTime }}", "1795132800"),
        ("{% if Recognition is defined %}a{% else %}b{% endif %}", "b"),
        ("{{ Content | upper }}", "PRICE APPLE PIE"),
        // Plain text is not HTML.
        ("<{{ '&' }}>", "<&>"),
    ] {
        assert_eq!(rendered(reply, regex, &price).unwrap(), expected, "{reply}");
    }
    let code =
        message("event", &[("Event", "scancode_push"), ("EventKey", "K"), ("ScanCodeInfo.ScanResult", "42")]);
    assert_eq!(
        rendered("{{ ScanCodeInfo.ScanResult }} {{ event }} {{ key }}", "", &code).unwrap(),
        "42 scancode_push K"
    );
    let follow = event("subscribe", "qrscene_7");
    assert_eq!(rendered("{{ scene }} {{ EventKey }}", "", &follow).unwrap(), "7 qrscene_7");
}

#[test]
fn moment_that_no_calendar_has_is_a_number_and_no_panic() {
    let mut fields = Fields::default();
    let late = [
        ("ToUserName", "a"),
        ("FromUserName", "b"),
        ("CreateTime", "18446744073709551615"),
        ("MsgType", "c"),
    ];
    for (name, text) in late {
        fields.push(name, Value::Text(text.into()));
    }
    let far = Message::read(fields).unwrap();
    for reply in ["{{ created }}", "{{ created ~ '' }}", "{{ created | string | upper }}"] {
        assert_eq!(rendered(reply, "", &far).unwrap(), "9223372036854775807", "{reply}");
    }
    assert!(rendered("{{ created.date }}", "", &far).is_err());
}

#[test]
fn a_reply_that_cannot_be_written_leaves_the_answer_to_the_next_rule_and_names_no_text() {
    let file = "
        [[rule]]
        reply = '{{ Recognition }}'
        [[rule]]
        reply = 'two'";
    let expected = Answer::Reply(Reply::Text { content: "two".to_owned() });
    assert_eq!(answer(file, &said("secret words")), Some(expected));
    for (reply, why) in [
        ("{{ Recognition }}", "reply.text needs Recognition, which the message does not have"),
        ("{{ ScanCodeInfo.ScanResult }}", "reply.text needs ScanCodeInfo"),
        ("{{ captures.shop }}", "reply.text has a field within a field"),
        ("{% for a in Content %}{{ Content }}{% endfor %}", "reply.text is longer than the 2048 bytes"),
        (
            "{% for a in Content %}{% for b in Content %}{% for c in Content %}{% endfor %}{% endfor %}{% endfor %}",
            "reply.text takes more than",
        ),
        ("{{ Content | int }}", "reply.text failed: "),
        ("{{ ' ' }}", "reply.text has come out empty"),
        ("{{ now.format('%') }}", "reply.text failed: "),
    ] {
        let content = "secret words that are quite a bit longer than that";
        let error = rendered(reply, "", &said(content)).expect_err(reply);
        assert!(error.to_string().starts_with(why), "{reply}: {error}");
        assert!(!error.to_string().contains("secret words"), "{error}");
    }
}

#[test]
fn every_kind_of_reply_is_filled_in() {
    let file = |reply: &str| format!("[[rule]]\n{reply}");
    let hello = said("M");
    for (reply, expected) in [
        ("reply.success = true", Answer::Success),
        ("reply.empty = true", Answer::Empty),
        ("reply.text = 'T{{ Content }}'", Answer::Reply(Reply::Text { content: "TM".to_owned() })),
        ("reply.image = '{{ Content }}'", Answer::Reply(Reply::Image { media_id: "M".to_owned() })),
        ("reply.voice = 'V'", Answer::Reply(Reply::Voice { media_id: "V".to_owned() })),
        ("reply.transfer = true", Answer::Reply(Reply::TransferCustomerService { account: None })),
        (
            "reply.transfer = '{{ Content }}@a'",
            Answer::Reply(Reply::TransferCustomerService { account: Some("M@a".to_owned()) }),
        ),
    ] {
        assert_eq!(answer(&file(reply), &hello), Some(expected), "{reply}");
    }
    let Some(Answer::Reply(Reply::Video(video))) =
        answer(&file("reply.video = { media_id = '{{ Content }}', title = 'T' }"), &hello)
    else {
        panic!()
    };
    assert_eq!((video.media_id.as_str(), video.title.as_deref(), video.description), ("M", Some("T"), None));
    let music = "reply.music = { thumb_media_id = 'm', title = 't', description = 'd', url = 'http://u', hq_url = '{{ Content }}' }";
    let Some(Answer::Reply(Reply::Music(music))) = answer(&file(music), &hello) else { panic!() };
    assert_eq!((music.thumb_media_id.as_str(), music.hq_url.as_deref()), ("m", Some("M")));
    let news = "reply.news = [{ title = 'a', description = 'd', pic_url = 'http://p', url = 'http://u' }, { title = '{{ Content }}', url = 'http://v/{{ Content }}' }]";
    let Some(Answer::Reply(Reply::News { articles })) = answer(&file(news), &hello) else { panic!() };
    assert_eq!(articles.len(), 2);
    assert_eq!((articles[0].pic_url.as_str(), articles[1].title.as_str()), ("http://p", "M"));
    assert_eq!(articles[1].url, "http://v/M");
}
