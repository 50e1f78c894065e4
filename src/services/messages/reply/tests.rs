//! Replies byte for byte, their limits, and that no text leaves its place.

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::clock::WallTime;
use crate::services::messages::fields::{Fields, Format, Value};
use crate::services::messages::message::Message;

const NOW: WallTime = WallTime(1_713_424_427_999);

/// What a user wrote, or an event, as WeChat sends it.
fn message(more: &[(&str, &str)]) -> Message {
    let mut fields = Fields::default();
    for (name, text) in [("ToUserName", "gh_a"), ("FromUserName", "oUser"), ("CreateTime", "1")] {
        fields.push(name, Value::Text(text.into()));
    }
    for (name, text) in more {
        fields.push(*name, Value::Text((*text).into()));
    }
    Message::read(fields).unwrap()
}

fn written() -> Message {
    message(&[("MsgType", "text"), ("Content", "hi"), ("MsgId", "1")])
}

fn event() -> Message {
    message(&[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", "k")])
}

fn xml(reply: &Reply) -> String {
    passive(&event(), reply, NOW, Format::Xml).unwrap()
}

fn json(reply: &Reply) -> String {
    passive(&event(), reply, NOW, Format::Json).unwrap()
}

/// The frame of WeChat's sample around this.
fn framed(rest: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[oUser]]></ToUserName><FromUserName><![CDATA[gh_a]]></FromUserName>\
         <CreateTime>1713424427</CreateTime>{rest}</xml>"
    )
}

fn framed_json(rest: &str) -> String {
    format!(r#"{{"ToUserName":"oUser","FromUserName":"gh_a","CreateTime":1713424427,{rest}}}"#)
}

fn text(content: &str) -> Reply {
    Reply::Text { content: content.to_owned() }
}

fn article(title: &str) -> Article {
    Article {
        title: title.to_owned(),
        description: "D".to_owned(),
        pic_url: "http://a.example/p.png".to_owned(),
        url: "https://a.example/".to_owned(),
    }
}

#[test]
fn text_is_written_as_in_wechats_sample_and_goes_back_to_the_sender() {
    let reply = text("你好\n\"再见\"");
    assert_eq!(
        xml(&reply),
        framed("<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好\n\"再见\"]]></Content>")
    );
    assert_eq!(json(&reply), framed_json(r#""MsgType":"text","Content":"你好\n\"再见\"""#));
}

#[test]
fn media_are_written_as_in_wechats_samples() {
    let image = Reply::Image { media_id: "M1".to_owned() };
    assert_eq!(
        xml(&image),
        framed("<MsgType><![CDATA[image]]></MsgType><Image><MediaId><![CDATA[M1]]></MediaId></Image>")
    );
    assert_eq!(json(&image), framed_json(r#""MsgType":"image","Image":{"MediaId":"M1"}"#));
    let voice = Reply::Voice { media_id: "M2".to_owned() };
    assert_eq!(
        xml(&voice),
        framed("<MsgType><![CDATA[voice]]></MsgType><Voice><MediaId><![CDATA[M2]]></MediaId></Voice>")
    );
    assert_eq!(json(&voice), framed_json(r#""MsgType":"voice","Voice":{"MediaId":"M2"}"#));
    let video = Reply::Video(Video {
        media_id: "M3".to_owned(),
        title: Some("T".to_owned()),
        description: Some("D".to_owned()),
    });
    assert_eq!(
        xml(&video),
        framed(
            "<MsgType><![CDATA[video]]></MsgType><Video><MediaId><![CDATA[M3]]></MediaId>\
             <Title><![CDATA[T]]></Title><Description><![CDATA[D]]></Description></Video>"
        )
    );
    let bare = Reply::Video(Video { media_id: "M3".to_owned(), ..Video::default() });
    assert_eq!(json(&bare), framed_json(r#""MsgType":"video","Video":{"MediaId":"M3"}"#));
}

#[test]
fn music_is_written_as_in_wechats_sample() {
    let whole = Reply::Music(Music {
        title: Some("T".to_owned()),
        description: Some("D".to_owned()),
        url: Some("http://a.example/m".to_owned()),
        hq_url: Some("https://a.example/hq".to_owned()),
        thumb_media_id: "M4".to_owned(),
    });
    assert_eq!(
        xml(&whole),
        framed(
            "<MsgType><![CDATA[music]]></MsgType><Music><Title><![CDATA[T]]></Title>\
             <Description><![CDATA[D]]></Description><MusicUrl><![CDATA[http://a.example/m]]></MusicUrl>\
             <HQMusicUrl><![CDATA[https://a.example/hq]]></HQMusicUrl>\
             <ThumbMediaId><![CDATA[M4]]></ThumbMediaId></Music>"
        )
    );
    let bare = Reply::Music(Music { thumb_media_id: "M4".to_owned(), ..Music::default() });
    assert_eq!(json(&bare), framed_json(r#""MsgType":"music","Music":{"ThumbMediaId":"M4"}"#));
}

#[test]
fn news_is_a_list_of_items_in_xml_and_a_plain_list_in_json() {
    let news =
        Reply::News { articles: vec![article("A"), Article { pic_url: String::new(), ..article("B") }] };
    assert_eq!(
        xml(&news),
        framed(
            "<MsgType><![CDATA[news]]></MsgType><ArticleCount>2</ArticleCount><Articles>\
             <item><Title><![CDATA[A]]></Title><Description><![CDATA[D]]></Description>\
             <PicUrl><![CDATA[http://a.example/p.png]]></PicUrl><Url><![CDATA[https://a.example/]]></Url></item>\
             <item><Title><![CDATA[B]]></Title><Description><![CDATA[D]]></Description>\
             <PicUrl><![CDATA[]]></PicUrl><Url><![CDATA[https://a.example/]]></Url></item></Articles>"
        )
    );
    assert_eq!(
        json(&Reply::News { articles: vec![article("A"), article("B")] }),
        framed_json(
            r#""MsgType":"news","ArticleCount":2,"Articles":[{"Title":"A","Description":"D","PicUrl":"http://a.example/p.png","Url":"https://a.example/"},{"Title":"B","Description":"D","PicUrl":"http://a.example/p.png","Url":"https://a.example/"}]"#
        )
    );
}

#[test]
fn user_is_handed_to_any_agent_or_to_a_named_one() {
    let any = Reply::TransferCustomerService { account: None };
    assert_eq!(xml(&any), framed("<MsgType><![CDATA[transfer_customer_service]]></MsgType>"));
    let named = Reply::TransferCustomerService { account: Some("test1@test".to_owned()) };
    assert_eq!(
        xml(&named),
        framed(
            "<MsgType><![CDATA[transfer_customer_service]]></MsgType>\
             <TransInfo><KfAccount><![CDATA[test1@test]]></KfAccount></TransInfo>"
        )
    );
    assert_eq!(
        json(&named),
        framed_json(r#""MsgType":"transfer_customer_service","TransInfo":{"KfAccount":"test1@test"}"#)
    );
}

#[test]
fn end_of_a_section_is_split_also_where_an_illegal_character_hid_it() {
    let content = |text_: &str| {
        let whole = xml(&text(text_));
        let (_, rest) = whole.split_once("<Content>").unwrap();
        rest.split_once("</Content>").unwrap().0.to_owned()
    };
    assert_eq!(content("a]]>b"), "<![CDATA[a]]]]><![CDATA[>b]]>");
    // Left out, the control character would bring the brackets and the sign together.
    assert_eq!(content("a]\u{1}]\u{fffe}>b"), "<![CDATA[a]]]]><![CDATA[>b]]>");
    assert_eq!(content("]]]>>"), "<![CDATA[]]]]]><![CDATA[>>]]>");
    assert_eq!(content("\u{0}\u{b}\u{1f}\u{ffff}\t\r\nx\u{7f}"), "<![CDATA[\t\r\nx\u{7f}]]>");
}

#[test]
fn text_may_have_2048_bytes_and_not_one_more() {
    assert!(passive(&written(), &text(&"x".repeat(2_048)), NOW, Format::Xml).is_ok());
    // 682 Chinese characters and two letters are 2,048 bytes; characters that are left out are none.
    let full = format!("{}ab", "汉".repeat(682));
    assert!(passive(&written(), &text(&format!("{full}\u{1}\u{2}")), NOW, Format::Xml).is_ok());
    let error = passive(&written(), &text(&format!("{full}c")), NOW, Format::Json).unwrap_err();
    assert_eq!(error, ReplyError::TooLong { length: 2_049, limit: 2_048 });
    assert_eq!(
        error.to_string(),
        "the reply's text has 2049 bytes in UTF-8, and WeChat takes at most 2048: shorten or split it"
    );
}

#[test]
fn reply_that_says_nothing_is_refused_and_told_of_success() {
    // An XML whose Content is empty is no empty answer: the user would see a fault.
    let empty = |field| Err(ReplyError::Empty { field });
    let on = |reply: &Reply| passive(&event(), reply, NOW, Format::Xml);
    for blank in ["", " \n\u{3000}", "\u{1}"] {
        assert_eq!(on(&text(blank)), empty("Content"));
        assert_eq!(on(&Reply::Image { media_id: blank.to_owned() }), empty("MediaId"));
        assert_eq!(on(&Reply::Voice { media_id: blank.to_owned() }), empty("MediaId"));
        let account = Some(blank.to_owned());
        assert_eq!(on(&Reply::TransferCustomerService { account }), empty("KfAccount"));
    }
    assert_eq!(on(&Reply::Video(Video::default())), empty("MediaId"));
    assert_eq!(on(&Reply::Music(Music::default())), empty("ThumbMediaId"));
    assert_eq!(on(&Reply::News { articles: vec![] }), empty("list of articles"));
    assert_eq!(on(&Reply::News { articles: vec![article("")] }), empty("Title"));
    assert!(on(&text("")).unwrap_err().to_string().contains("`success`"));
}

#[test]
fn message_is_answered_with_one_article_and_an_event_with_eight() {
    let news = |count: usize| Reply::News { articles: vec![article("A"); count] };
    assert!(passive(&written(), &news(1), NOW, Format::Xml).is_ok());
    assert!(passive(&event(), &news(8), NOW, Format::Xml).is_ok());
    let error = passive(&written(), &news(2), NOW, Format::Xml).unwrap_err();
    assert_eq!(error, ReplyError::Articles { count: 2, limit: 1, occasion: Occasion::Message });
    let error = passive(&event(), &news(9), NOW, Format::Xml).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the reply has 9 articles, and WeChat shows at most 8 in answer to an event"
    );
}

#[test]
fn address_that_is_not_of_the_web_is_refused() {
    for bad in ["javascript:alert(1)", "www.example.com", "ftp://a.example/", "http://", "data:text/html,x"] {
        let news = Reply::News { articles: vec![Article { url: bad.to_owned(), ..article("A") }] };
        let error = passive(&event(), &news, NOW, Format::Xml).unwrap_err();
        assert_eq!(error, ReplyError::Address { field: "Url" }, "{bad}");
        let news = Reply::News { articles: vec![Article { pic_url: bad.to_owned(), ..article("A") }] };
        let error = passive(&event(), &news, NOW, Format::Xml).unwrap_err();
        assert_eq!(error, ReplyError::Address { field: "PicUrl" }, "{bad}");
        let music = Music { url: Some(bad.to_owned()), thumb_media_id: "M".to_owned(), ..Music::default() };
        let error = passive(&event(), &Reply::Music(music), NOW, Format::Xml).unwrap_err();
        assert_eq!(error, ReplyError::Address { field: "MusicUrl" }, "{bad}");
        let music =
            Music { hq_url: Some(bad.to_owned()), thumb_media_id: "M".to_owned(), ..Music::default() };
        let error = passive(&event(), &Reply::Music(music), NOW, Format::Xml).unwrap_err();
        assert_eq!(error, ReplyError::Address { field: "HQMusicUrl" }, "{bad}");
    }
}

/// Every element with the text in it, in the order in which they end.
fn elements(xml: &str) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(xml);
    let (mut open, mut found): (Vec<(String, String)>, _) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                assert_eq!(start.attributes().count(), 0);
                open.push((start.name().as_ref().to_owned(), String::new()));
            }
            Event::CData(data) => open.last_mut().unwrap().1 += &data,
            Event::Text(text) => open.last_mut().unwrap().1 += &text,
            Event::End(_) => found.push(open.pop().unwrap()),
            Event::Eof => return found,
            other => panic!("{other:?} in {xml}"),
        }
    }
}

/// The text as an XML parser that was told all of it hands it on.
fn kept(text: &str) -> String {
    let illegal = |c: char| (c < ' ' && !"\t\r\n".contains(c)) || "\u{fffe}\u{ffff}".contains(c);
    text.replace(illegal, "")
}

/// Texts made of what is dangerous, and any others.
fn hostile() -> impl Strategy<Value = String> {
    let dangerous = prop::sample::select(vec![
        "]",
        "]]",
        ">",
        "]]>",
        "<",
        "&",
        "&lt;",
        "<![CDATA[",
        "</Content>",
        "<a>",
        "\u{0}",
        "\u{1}",
        "\u{b}",
        "\u{1f}",
        "\u{fffe}",
        "\u{ffff}",
        "\"",
        "\\",
        "{",
        "}",
        ",",
        "\n",
        "\r",
        "\t",
        "汉",
        "😀",
        "\u{7f}",
        "x",
    ]);
    prop_oneof![
        prop::collection::vec(dangerous, 1..24).prop_map(|parts| parts.concat()),
        prop::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter),
    ]
}

proptest! {
    #[test]
    fn any_text_survives_both_forms_and_never_becomes_an_element(content in hostile()) {
        let expected = kept(&content);
        prop_assume!(!expected.trim().is_empty());
        let reply = text(&content);
        let found = elements(&xml(&reply));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let order = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "xml"];
        prop_assert_eq!(names, order);
        prop_assert_eq!(&found[4].1, &expected);
        let json_text = json(&reply);
        // Written as it is, not by numbers; a user's own backslash is doubled and may have a u behind it.
        prop_assert!(expected.contains('\\') || !json_text.contains("\\u"), "{}", json_text);
        let object: serde_json::Value = serde_json::from_str(&json_text).unwrap();
        prop_assert_eq!(object.as_object().unwrap().len(), 5);
        prop_assert_eq!(object["Content"].as_str().unwrap(), expected);
    }

    #[test]
    fn any_names_and_titles_stay_in_their_places(from in hostile(), title in hostile(), description in hostile()) {
        prop_assume!(!kept(&title).trim().is_empty());
        let mut fields = Fields::default();
        let all = [("ToUserName", "gh_a"), ("FromUserName", &from), ("CreateTime", "1"), ("MsgType", "text")];
        for (name, text) in all {
            fields.push(name, Value::Text(text.into()));
        }
        let message = Message::read(fields).unwrap();
        let reply = Reply::News {
            articles: vec![Article { title: title.clone(), description: description.clone(), ..article("") }],
        };
        let whole = passive(&message, &reply, NOW, Format::Xml).unwrap();
        let found = elements(&whole);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        prop_assert_eq!(names, [
            "ToUserName", "FromUserName", "CreateTime", "MsgType", "ArticleCount", "Title", "Description",
            "PicUrl", "Url", "item", "Articles", "xml",
        ]);
        prop_assert_eq!(&found[0].1, &kept(&from));
        prop_assert_eq!(&found[5].1, &kept(&title));
        prop_assert_eq!(&found[6].1, &kept(&description));
        let whole = passive(&message, &reply, NOW, Format::Json).unwrap();
        let object: serde_json::Value = serde_json::from_str(&whole).unwrap();
        prop_assert_eq!(object["Articles"][0]["Title"].as_str().unwrap(), kept(&title));
        prop_assert_eq!(object["ToUserName"].as_str().unwrap(), kept(&from));
    }
}
