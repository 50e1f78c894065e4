//! Every answer a program can give, and the sentence for every one that it cannot.

use super::*;

fn json(body: &str) -> Result<Handled, Wrong> {
    understood(Some("application/json; charset=utf-8"), false, body.as_bytes())
}

fn success() -> Result<Handled, Wrong> {
    Ok(Handled::Answer(Answer::Success))
}

fn text_reply(content: &str) -> Handled {
    said(Reply::Text { content: content.to_owned() })
}

#[test]
fn answer_without_words_is_success_whatever_its_type() {
    for content_type in [None, Some("text/html"), Some("application/json")] {
        for body in ["", " \r\n", "success", "success\n"] {
            assert_eq!(
                understood(content_type, false, body.as_bytes()),
                success(),
                "{content_type:?} {body:?}"
            );
        }
    }
    assert_eq!(json(r#"{"reply":null}"#), success());
    assert_eq!(json(r#"{"reply":"none"}"#), success());
    assert_eq!(json(r#"{"reply":null,"pass":false}"#), success());
    assert_eq!(json(r#"{"reply":null,"pass":true}"#), Ok(Handled::Pass));
    assert_eq!(json(r#"{"pass":true}"#), Ok(Handled::Pass));
}

#[test]
fn each_kind_of_reply_is_read_with_all_its_keys() {
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (r#"{"text":"你好 😀\n2"}"#, Reply::Text { content: "你好 😀\n2".into() }),
        (r#"{"image":"m1"}"#, Reply::Image { media_id: "m1".into() }),
        (r#"{"voice":"m2"}"#, Reply::Voice { media_id: "m2".into() }),
        (
            r#"{"video":{"media_id":"m3","title":"t"}}"#,
            Reply::Video(Video { media_id: "m3".into(), title: some("t"), description: None }),
        ),
        (
            r#"{"music":{"title":"t","description":null,"url":"u","hq_url":"h","thumb_media_id":"m4"}}"#,
            Reply::Music(Music {
                title: some("t"),
                description: None,
                url: some("u"),
                hq_url: some("h"),
                thumb_media_id: "m4".into(),
            }),
        ),
        (
            r#"{"news":[{"title":"a","description":"d","pic_url":"p","url":"u"},{"title":"b","url":"v"}]}"#,
            Reply::News {
                articles: vec![
                    Article {
                        title: "a".into(),
                        description: "d".into(),
                        pic_url: "p".into(),
                        url: "u".into(),
                    },
                    Article { title: "b".into(), url: "v".into(), ..Article::default() },
                ],
            },
        ),
        (r#"{"transfer":true}"#, Reply::TransferCustomerService { account: None }),
        (r#"{"transfer":"kf@gh"}"#, Reply::TransferCustomerService { account: some("kf@gh") }),
    ];
    for (body, reply) in cases {
        assert_eq!(json(&format!(r#"{{"reply":{body}}}"#)), Ok(said(reply)), "{body}");
    }
    assert_eq!(understood(Some("Text/Plain"), false, "你好\n".as_bytes()), Ok(text_reply("你好")));
}

#[test]
fn answer_that_is_not_understood_is_told_by_its_place_and_without_its_words() {
    let cases = [
        ("{", "it is no JSON (EOF while parsing an object at line 1 column 1)"),
        ("[]", "the answer must be an object, and is a list"),
        ("{}", r#"it has no reply; {"reply": "none"} says nothing to the user"#),
        (r#"{"replay":{}}"#, r#"the answer has the unknown key "replay"; it may have reply, pass"#),
        (r#"{"pass":"private","reply":null}"#, "pass must be true or false, and is a text"),
        (
            r#"{"pass":true,"reply":{"text":"private"}}"#,
            "pass is true, and there is a reply; it can only be one of them",
        ),
        (
            r#"{"reply":"private"}"#,
            r#"reply is a text other than "none"; a text for the user is {"text": "…"}"#,
        ),
        (r#"{"reply":7}"#, "reply must be an object, and is a number"),
        (
            r#"{"reply":{}}"#,
            "reply must have exactly one of text, image, voice, video, music, news, transfer",
        ),
        (
            r#"{"reply":{"text":"private","image":"m"}}"#,
            "reply must have exactly one of text, image, voice, video, music, news, transfer",
        ),
        (
            r#"{"reply":{"txt":"private"}}"#,
            r#"reply has the unknown key "txt"; it may have text, image, voice, video, music, news, transfer"#,
        ),
        (r#"{"reply":{"text":["private"]}}"#, "reply.text must be a text, and is a list"),
        (r#"{"reply":{"text":" \n"}}"#, "reply.text is empty"),
        (r#"{"reply":{"video":"m"}}"#, "reply.video must be an object, and is a text"),
        (r#"{"reply":{"video":{"title":"private"}}}"#, "reply.video has no media_id"),
        (
            r#"{"reply":{"music":{"thumb_media_id":null}}}"#,
            "reply.music.thumb_media_id must be a text, and is null",
        ),
        (r#"{"reply":{"news":{}}}"#, "reply.news must be a list of articles, and is an object"),
        (r#"{"reply":{"news":[]}}"#, "reply.news has no article"),
        (
            r#"{"reply":{"news":[{"title":"private","url":"u"},{"titel":"private"}]}}"#,
            r#"reply.news[1] has the unknown key "titel"; it may have title, description, pic_url, url"#,
        ),
        (
            r#"{"reply":{"news":[{"title":"t","url":"u","description":1}]}}"#,
            "reply.news[0].description must be a text, and is a number",
        ),
        (
            r#"{"reply":{"transfer":false}}"#,
            "reply.transfer must be true, or the account of an agent, and is false",
        ),
    ];
    for (body, sentence) in cases {
        assert_eq!(json(body), Err(sentence.to_owned()), "{body}");
        assert!(!sentence.contains("private"));
    }
    let long = json(&format!(r#"{{"{}":1}}"#, "é\\n".repeat(50))).unwrap_err();
    assert!(long.contains(&format!(r#"key "{}"…;"#, r"é\n".repeat(20))), "{long}");
    let deep = "[".repeat(60_000);
    assert!(json(&deep).unwrap_err().starts_with("it is no JSON (recursion limit"));
}

#[test]
fn answer_of_another_type_is_told_what_to_send() {
    let told = |content_type, encoded, body: &[u8]| understood(content_type, encoded, body).unwrap_err();
    let send = "send application/json or text/plain";
    assert_eq!(told(None, false, b"hello"), format!("it has no Content-Type; {send}"));
    assert_eq!(told(Some("text/html"), false, b"<p>"), format!(r#"its Content-Type is "text/html"; {send}"#));
    assert_eq!(told(Some("text/plain"), false, b"\xc4\xe3"), "it is not UTF-8");
    assert_eq!(told(Some("text/plain"), true, b"\x1f\x8b"), "it is compressed, which nobody asked for");
}
