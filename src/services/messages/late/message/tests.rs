//! Customer-service messages byte for byte.

use super::*;
use crate::services::messages::reply::ReplyError;

/// As it goes over the wire.
fn sent(reply: &Reply) -> String {
    String::from_utf8(serde_json::to_vec(&of("oUser", reply).unwrap()).unwrap()).unwrap()
}

#[test]
fn text_goes_out_in_utf8_without_escapes() {
    // 40033 and 47002 answer `\u`. A control character could only be written so.
    let reply = Reply::Text { content: "你好 \"😀\"\n\u{1}\u{7f}</xml>".to_owned() };
    assert_eq!(
        sent(&reply),
        "{\"touser\":\"oUser\",\"msgtype\":\"text\",\"text\":{\"content\":\"你好 \\\"😀\\\"\\n\u{7f}</xml>\"}}"
    );
}

#[test]
fn media_go_out_by_their_ids() {
    let image = Reply::Image { media_id: "M1".to_owned() };
    assert_eq!(sent(&image), r#"{"touser":"oUser","msgtype":"image","image":{"media_id":"M1"}}"#);
    let voice = Reply::Voice { media_id: "M2".to_owned() };
    assert_eq!(sent(&voice), r#"{"touser":"oUser","msgtype":"voice","voice":{"media_id":"M2"}}"#);
    let video = Video { media_id: "M3".to_owned(), title: Some("题".to_owned()), description: None };
    assert_eq!(
        sent(&Reply::Video(video)),
        r#"{"touser":"oUser","msgtype":"video","video":{"media_id":"M3","title":"题"}}"#
    );
}

#[test]
fn music_with_one_address_has_it_in_both_places() {
    // Here WeChat asks for both addresses; in a passive reply for none.
    let music = Music {
        title: None,
        description: Some("d".to_owned()),
        url: None,
        hq_url: Some("https://a.example/hq".to_owned()),
        thumb_media_id: "M4".to_owned(),
    };
    assert_eq!(
        sent(&Reply::Music(music)),
        "{\"touser\":\"oUser\",\"msgtype\":\"music\",\"music\":{\"description\":\"d\",\
         \"musicurl\":\"https://a.example/hq\",\"hqmusicurl\":\"https://a.example/hq\",\"thumb_media_id\":\"M4\"}}"
    );
}

#[test]
fn news_goes_out_with_one_article_and_no_more() {
    let article = Article {
        title: "T".to_owned(),
        description: "D".to_owned(),
        pic_url: "http://a.example/p.png".to_owned(),
        url: "https://a.example/?a=1&b=2".to_owned(),
    };
    assert_eq!(
        sent(&Reply::News { articles: vec![article.clone()] }),
        "{\"touser\":\"oUser\",\"msgtype\":\"news\",\"news\":{\"articles\":[{\"title\":\"T\",\"description\":\"D\",\
         \"url\":\"https://a.example/?a=1&b=2\",\"picurl\":\"http://a.example/p.png\"}]}}"
    );
    // An event may be answered with two at once; late, WeChat answers 45008.
    let two = Reply::News { articles: vec![article.clone(), article] };
    let Err(LateError::Reply(error)) = of("oUser", &two) else { panic!("two articles went out late") };
    assert_eq!(error, ReplyError::Articles { count: 2, limit: 1, occasion: Occasion::Late });
}

#[test]
fn user_cannot_be_handed_over_late() {
    let error = of("oUser", &Reply::TransferCustomerService { account: None }).unwrap_err();
    assert!(error.to_string().contains("five seconds"), "{error}");
}
