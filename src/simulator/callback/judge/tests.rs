//! The rules by which WeChat judges an answer, one by one.

use super::*;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn identity(mode: Mode, format: Format) -> Identity {
    Identity {
        token: "pamtest".to_owned(),
        aes_key: Some(KEY.to_owned()),
        appid: "wx1".to_owned(),
        original_id: "gh_1".to_owned(),
        mode,
        format,
    }
}

fn judged(identity: &Identity, kind: &str, body: &str) -> Shown {
    let crypt = Crypt::new(KEY).unwrap();
    let message = Tree(
        [("ToUserName", "gh_1"), ("FromUserName", "o1"), ("MsgType", kind)]
            .map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())))
            .into(),
    );
    let answer = RawAnswer { status: 200, content_type: String::new(), body: body.into() };
    Asked { identity, crypt: Some(&crypt), message: &message }.judge(&answer)
}

fn plain(body: &str) -> Shown {
    judged(&identity(Mode::Plain, Format::Xml), "text", body)
}

fn reply(rest: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>\
         <CreateTime>1</CreateTime>{rest}</xml>"
    )
}

fn text(content: &str) -> String {
    reply(&format!("<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{content}]]></Content>"))
}

fn sealed(crypt: &Crypt, token: &str, receive_id: &str, text: &str) -> String {
    let encrypt = crypt.encrypt(*b"aaaabbbbccccdddd", text, receive_id);
    let guarded = signature([token, "1", "n", &encrypt]);
    format!(
        "<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt><MsgSignature><![CDATA[{guarded}]]></MsgSignature>\
         <TimeStamp>1</TimeStamp><Nonce><![CDATA[n]]></Nonce></xml>"
    )
}

#[test]
fn good_replies_of_every_type_are_shown() {
    assert_eq!(plain(&text("你好")).answer().unwrap().fields.get("Content"), Some("你好"));
    for rest in [
        "<MsgType>image</MsgType><Image><MediaId>m</MediaId></Image>",
        "<MsgType>voice</MsgType><Voice><MediaId>m</MediaId></Voice>",
        "<MsgType>video</MsgType><Video><MediaId>m</MediaId></Video>",
        "<MsgType>music</MsgType><Music><ThumbMediaId>m</ThumbMediaId></Music>",
        "<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item><Title>t</Title></item></Articles>",
        "<MsgType>transfer_customer_service</MsgType>",
        "<MsgType>transfer_customer_service</MsgType><TransInfo><KfAccount>a@b</KfAccount></TransInfo>",
    ] {
        let shown = plain(&reply(rest));
        assert!(shown.answer().is_some_and(|answer| answer.notes.is_empty()), "{rest}: {shown:?}");
    }
    assert_eq!(plain("success"), Shown::Nothing);
    assert_eq!(plain(""), Shown::Nothing);
}

#[test]
fn each_rule_that_is_broken_is_named_and_has_its_advice() {
    let cases = [
        (format!("<?xml version=\"1.0\"?>{}", text("a")), "declaration"),
        ("\"success\"".to_owned(), "does not begin"),
        ("success\n".to_owned(), "does not begin"),
        ("{\"errcode\":0}".to_owned(), "it is JSON"),
        (text("\u{b}"), "U+000B"),
        (text(""), "empty"),
        (text(&"中".repeat(683)), "2049 bytes"),
        (text("a").replace("o1", "gh_1"), "not swapped"),
        (text("a").replace("<![CDATA[gh_1]]>", "gh_2"), "not swapped"),
        (text("a").replace("<CreateTime>1</CreateTime>", ""), "no CreateTime"),
        (text("a").replace(">1<", ">1.5<"), "Unix seconds"),
        (text("a").replace("Content", "content"), "no Content"),
        (reply("<MsgType>image</MsgType><Image><MediaId></MediaId></Image>"), "no Image.MediaId"),
        (reply("<MsgType>TEXT</MsgType>"), "no type of reply"),
        (
            reply(
                "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles><item><a/></item></Articles>",
            ),
            "it has 1 articles",
        ),
        (
            reply("<MsgType>news</MsgType><ArticleCount>0</ArticleCount><Articles></Articles>"),
            "it has 0 articles",
        ),
    ];
    for (body, words) in cases {
        let shown = plain(&body);
        let flaw = shown.flaw().unwrap_or_else(|| panic!("{body} was taken: {shown:?}"));
        assert!(flaw.to_string().contains(words), "{body}: {flaw}");
        assert!(!flaw.advice().is_empty());
    }
    // The longest that is taken.
    assert!(plain(&text(&"a".repeat(2048))).answer().is_some());
    // The user sees nothing of a reply to somebody else, and the fault's words otherwise.
    assert_eq!(plain(&text("a").replace("o1", "o2")).flaw().unwrap().screen(), None);
    assert!(plain("x").flaw().unwrap().screen().unwrap().contains("故障"));
}

#[test]
fn surplus_articles_are_cut_off_and_not_a_fault() {
    let item = "<item><Title>t</Title></item>";
    let news = reply(&format!(
        "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles>{item}{item}</Articles>"
    ));
    assert_eq!(plain(&news).answer().unwrap().notes.len(), 1);
    let to_event = judged(&identity(Mode::Plain, Format::Xml), "event", &news);
    assert!(to_event.answer().unwrap().notes.is_empty());
}

#[test]
fn encrypted_reply_is_opened_and_its_guards_are_checked() {
    let safe = identity(Mode::Safe, Format::Xml);
    let crypt = Crypt::new(KEY).unwrap();
    let good = judged(&safe, "text", &sealed(&crypt, "pamtest", "wx1", &text("hi")));
    assert_eq!(good.answer().unwrap().fields.get("Content"), Some("hi"));
    assert_eq!(judged(&safe, "text", &sealed(&crypt, "pamtest", "wx1", "success")), Shown::Nothing);
    assert_eq!(judged(&safe, "text", "success"), Shown::Nothing, "need not be encrypted");
    let flaw = |body: &str| judged(&safe, "text", body).flaw().cloned().unwrap();
    assert_eq!(flaw(&text("hi")), Flaw::NotEncrypted);
    assert_eq!(flaw(&sealed(&crypt, "other", "wx1", &text("hi"))), Flaw::Signature);
    assert!(matches!(flaw(&sealed(&crypt.another(), "pamtest", "wx1", &text("hi"))), Flaw::Crypt(_)));
    assert!(matches!(flaw(&sealed(&crypt, "pamtest", "wx2", &text("hi"))), Flaw::ReceiveId { .. }));
    let declared = format!("<?xml version=\"1.0\"?>{}", text("hi"));
    assert!(matches!(flaw(&sealed(&crypt, "pamtest", "wx1", &declared)), Flaw::Xml(_)));
    let unsigned = sealed(&crypt, "pamtest", "wx1", "success").replace("MsgSignature", "Signature");
    assert_eq!(flaw(&unsigned), Flaw::Missing("MsgSignature".to_owned()));
    // In compatible mode both are right.
    let compatible = identity(Mode::Compatible, Format::Xml);
    assert!(judged(&compatible, "text", &text("hi")).answer().is_some());
    assert!(judged(&compatible, "text", &sealed(&crypt, "pamtest", "wx1", &text("hi"))).answer().is_some());
}

#[test]
fn json_callback_must_answer_json() {
    let json = identity(Mode::Plain, Format::Json);
    let right = r#"{"ToUserName":"o1","FromUserName":"gh_1","CreateTime":1,"MsgType":"text","Content":"hi"}"#;
    assert_eq!(judged(&json, "text", right).answer().unwrap().fields.get("Content"), Some("hi"));
    assert!(matches!(judged(&json, "text", &text("hi")), Shown::Failed(Flaw::Json(_))));
    let news = r#"{"ToUserName":"o1","FromUserName":"gh_1","CreateTime":1,"MsgType":"news","ArticleCount":2,
        "Articles":[{"Title":"a"},{"Title":"b"}]}"#;
    assert!(judged(&json, "event", news).answer().is_some());
}
