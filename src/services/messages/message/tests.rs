//! Every sample of `tests/data/messages`, read; and what a message tells of itself.

mod cards;
mod events;
mod ordinary;
mod others;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::services::messages::fields::{Format, Value};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages")
}

/// The sample of this name.
fn sample(name: &str) -> Message {
    let text = fs::read(folder().join(name).with_added_extension("xml")).unwrap();
    Message::read(Fields::parse(Format::Xml, &text).unwrap()).unwrap()
}

/// A push with these elements behind the four that every push has.
fn push(from: &str, created: &str, kind: &str, rest: &str) -> Message {
    let text = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>{from}</FromUserName>\
         <CreateTime>{created}</CreateTime><MsgType>{kind}</MsgType>{rest}</xml>"
    );
    Message::read(Fields::parse(Format::Xml, text.as_bytes()).unwrap()).unwrap()
}

/// What each sample says.
type Table = Vec<(&'static str, Content<'static>)>;

fn table() -> Table {
    let table = [ordinary::table(), events::table(), cards::table(), others::table()];
    table.into_iter().flatten().collect()
}

#[test]
fn every_sample_says_what_its_table_says() {
    for (name, content) in table() {
        let message = sample(name);
        assert_eq!(message.content(), content, "{name}");
        assert_eq!(message.to(), "gh_7f083739789a", "{name}");
        let mut parts = name.split('.');
        assert_eq!(parts.next(), Some(message.msg_type()), "{name}");
        match &content {
            Content::Event(_) => assert_eq!(parts.next(), message.event(), "{name}"),
            _ => assert_eq!(message.event(), None, "{name}"),
        }
    }
}

#[test]
fn every_sample_is_in_a_table_and_every_known_name_has_a_sample() {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        files.insert(name.strip_suffix(".xml").unwrap().to_owned());
    }
    let in_tables: BTreeSet<String> = table().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, in_tables);

    let types: BTreeSet<&str> = files.iter().map(|name| name.split('.').next().unwrap()).collect();
    let known: BTreeSet<&str> = Content::NAMES.iter().copied().chain(["event"]).collect();
    assert_eq!(types, known);
    let events = files.iter().filter_map(|name| name.strip_prefix("event."));
    let events: BTreeSet<&str> = events.map(|name| name.split('.').next().unwrap()).collect();
    let known: Vec<&str> = Event::names().collect();
    assert_eq!(known.len(), events.len(), "a name is listed twice: {known:?}");
    assert_eq!(events, known.into_iter().collect());
}

#[test]
fn every_type_and_event_that_wechat_documents_is_known() {
    // Written down from WeChat's documents and the SDKs, apart from the tables.
    let types = "text image voice video shortvideo location link file miniprogrampage device_text \
        device_event device_status hardware";
    assert_eq!(types.split_whitespace().collect::<Vec<_>>(), Content::NAMES);
    let events = "subscribe unsubscribe SCAN LOCATION CLICK VIEW view_miniprogram scancode_push \
        scancode_waitmsg pic_sysphoto pic_photo_or_album pic_weixin location_select \
        TEMPLATESENDJOBFINISH MASSSENDJOBFINISH PUBLISHJOBFINISH subscribe_msg_popup_event \
        subscribe_msg_change_event subscribe_msg_sent_event kf_create_session kf_close_session \
        kf_switch_session qualification_verify_success qualification_verify_fail \
        naming_verify_success naming_verify_fail annual_renew verify_expired user_info_modified \
        user_authorization_revoke user_authorization_cancellation card_pass_check \
        card_not_pass_check user_get_card user_gifting_card user_del_card \
        user_enter_session_from_card submit_membercard_user_info user_consume_card \
        user_pay_from_pay_cell user_view_card update_member_card card_sku_remind card_pay_order \
        giftcard_pay_done giftcard_send_to_friend giftcard_user_accept user_authorize_invoice \
        update_invoice_status submit_invoice_title poi_check_notify ShakearoundUserShake \
        WifiConnected merchant_order user_scan_product user_scan_product_enter_session \
        user_scan_product_async user_scan_product_verify_action device_bind device_unbind \
        device_text device_subscribe_status device_unsubscribe_status guide_qrcode_scan_event \
        wxa_media_check weapp_audit_success weapp_audit_fail weapp_audit_delay \
        user_enter_tempsession ENTER debug_demo";
    let events: BTreeSet<&str> = events.split_whitespace().collect();
    assert_eq!(events, Event::names().collect());
}

#[test]
fn every_sample_reads_the_same_from_json() {
    for (name, content) in table() {
        let message = sample(name);
        let json = serde_json::to_vec(message.fields()).unwrap();
        let again = Message::read(Fields::parse(Format::Json, &json).unwrap()).unwrap();
        assert_eq!(again, message, "{name}");
        assert_eq!(again.content(), content, "{name}");
        assert_eq!(again.identity(), message.identity(), "{name}");
    }
    // As WeChat writes it, with numbers.
    let text = r#"{"ToUserName":"gh_7f083739789a","FromUserName":"oia2TjuEGTNoeX76QEjQNrcURxG8",
        "CreateTime":1700000001,"MsgType":"location","Location_X":23.134521,"Location_Y":113.358803,
        "Scale":20,"Label":"广州市海珠区客村艺苑路 106号","MsgId":23637352235060886}"#;
    let fields = Fields::parse(Format::Json, text.as_bytes()).unwrap();
    assert_eq!(Message::read(fields).unwrap(), sample("location"));
}

#[test]
fn names_are_known_in_any_case_and_an_unknown_one_keeps_its_fields() {
    let click = push("o1", "1", "Event", "<Event>click</Event><EventKey>k</EventKey>");
    assert_eq!(click.content(), Content::Event(Event::Menu(menu::Menu::Click { key: "k" })));
    assert_eq!(click.event(), Some("click"));
    let text = push("o1", "1", "TEXT", "<Content>a</Content>");
    assert_eq!(text.content(), Content::Text { content: "a", menu_item: None });

    let unknown = push("o1", "1", "event", "<Event>made_up</Event><What><a>1</a><a>2</a></What>");
    assert_eq!(unknown.content(), Content::Event(Event::Unknown));
    assert_eq!(unknown.fields().within("What").map(Fields::len), Some(2));
    assert_eq!(push("o1", "1", "hologram", "").content(), Content::Unknown);
    assert_eq!(push("o1", "1", "event", "").content(), Content::Event(Event::Unknown));
}

#[test]
fn odd_field_is_empty_in_the_type_and_stays_in_the_fields() {
    let odd = push(
        "o1",
        "1",
        "location",
        "<Location_X>north</Location_X><Location_Y>inf</Location_Y><Scale>-1</Scale><Label><a>1</a></Label>\
         <MsgId>18446744073709551616</MsgId>",
    );
    let nothing = Content::Location { latitude: None, longitude: None, scale: None, label: "" };
    assert_eq!(odd.content(), nothing);
    assert_eq!(odd.id(), None);
    assert_eq!(odd.fields().text("Location_X"), Some("north"));
    assert_eq!(odd.fields().text("MsgId"), Some("18446744073709551616"));
    let spaced = push("o1", "<![CDATA[ 7 ]]>", "file", "<FileTotalLen><![CDATA[ 12 ]]></FileTotalLen>");
    assert_eq!(spaced.created(), 7);
    assert!(matches!(spaced.content(), Content::File { size: Some(12), .. }));
}

#[test]
fn push_without_what_every_push_has_is_no_message() {
    let read = |text: &str| Message::read(Fields::parse(Format::Xml, text.as_bytes()).unwrap()).unwrap_err();
    let whole = "<x><ToUserName>a</ToUserName><FromUserName>b</FromUserName>\
        <CreateTime>1</CreateTime><MsgType>text</MsgType></x>";
    for name in ["ToUserName", "FromUserName", "CreateTime", "MsgType"] {
        assert_eq!(read(&whole.replace(name, "Other")), MessageError::Missing(name));
    }
    assert_eq!(read(&whole.replace(">1<", "> <")), MessageError::Missing("CreateTime"));
    assert_eq!(read(&whole.replace(">1<", ">-1<")), MessageError::NotANumber("CreateTime"));
}

#[test]
fn scene_is_read_from_either_event_of_a_code() {
    assert_eq!(sample("event.subscribe.qrscene").scene(), Some("123123"));
    assert_eq!(sample("event.SCAN").scene(), Some("shop_12"));
    for none in ["event.subscribe", "event.subscribe.product", "event.CLICK", "text"] {
        assert_eq!(sample(none).scene(), None, "{none}");
    }
    assert_eq!(sample("event.MASSSENDJOBFINISH").id(), Some(1_000_001_625));
    assert_eq!(sample("event.TEMPLATESENDJOBFINISH").id(), Some(2_834_297_812_345_678_901));
}

#[test]
fn message_as_json_has_every_name_and_texts_where_numbers_would_be_rounded() {
    let json = serde_json::to_value(sample("event.SCAN")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "type": "event", "event": "SCAN", "key": "shop_12", "scene": "shop_12",
            "from": "oia2TjuEGTNoeX76QEjQNrcURxG8", "to": "gh_7f083739789a",
            "created": 1_700_000_002_u64, "id": null,
            "fields": {
                "ToUserName": "gh_7f083739789a", "FromUserName": "oia2TjuEGTNoeX76QEjQNrcURxG8",
                "CreateTime": "1700000002", "MsgType": "event", "Event": "SCAN", "EventKey": "shop_12",
                "Ticket": sample("event.SCAN").fields().text("Ticket").unwrap(),
            },
        })
    );
    let json = serde_json::to_string(&sample("text")).unwrap();
    assert!(json.starts_with(r#"{"type":"text","event":null,"key":null,"scene":null,"from":"#), "{json}");
    assert!(json.contains(r#""created":1700000001,"id":"23637352235060880","fields":{"#), "{json}");
    assert!(json.contains(r#""Content":"你好，中控 😀""#), "{json}");
}

#[test]
fn identity_is_of_one_message_and_of_every_attempt_to_deliver_it() {
    // WxJava #333 dropped other people's messages that had the same MsgId; chanjarster #66
    // dropped a second event of the same second.
    let text =
        |from, created, id: u64| push(from, created, "text", &format!("<MsgId>{id}</MsgId>")).identity();
    let event = |rest: &str| push("o1", "1", "event", rest).identity();
    let mut all = vec![
        text("o1", "1", 7),
        text("o2", "1", 7),
        text("o1", "2", 7),
        text("o1", "1", 8),
        push("o1", "1", "image", "<MsgId>7</MsgId>").identity(),
        push("o1", "1", "text", "").identity(),
        push("o1", "1", "text", "<MsgId>x</MsgId>").identity(),
        event("<Event>CLICK</Event><EventKey>a</EventKey>"),
        event("<Event>CLICK</Event><EventKey>b</EventKey>"),
        event("<Event>VIEW</Event><EventKey>a</EventKey>"),
        event("<Event>LOCATION</Event><Latitude>1</Latitude>"),
        event("<Event>LOCATION</Event><Latitude>2</Latitude>"),
        event("<Event>unsubscribe</Event>"),
        event("<Event>T</Event><MsgID>1</MsgID>"),
        event("<Event>U</Event><MsgID>1</MsgID>"),
        event("<Event>T</Event><MsgID>2</MsgID>"),
        event("<Event>T</Event><L><MsgID>1</MsgID></L>"),
        event("<Event>T</Event><L><MsgID>2</MsgID></L>"),
        event("<Event>T</Event><L><a>1</a></L><a>2</a>"),
        event("<Event>T</Event><L><a>1</a><a>2</a></L>"),
        event("<Event>ab</Event><c/>"),
        event("<Event>a</Event><bc/>"),
    ];
    all.extend(table().iter().map(|(name, _)| sample(name).identity()));
    let different: BTreeSet<Identity> = all.iter().copied().collect();
    assert_eq!(different.len(), all.len());

    assert_eq!(text("o1", "1", 7), text("o1", "1", 7));
    // The same message with a field more, and to another account (which the desk adds).
    let more = push("o1", "1", "text", "<MsgId>7</MsgId><MsgDataId>1</MsgDataId>");
    assert_eq!(more.identity(), text("o1", "1", 7));
    // Written down: instances of two releases share what memcached holds.
    assert_eq!(sample("text").identity().to_string(), "1cac7566f05f820a7e68e896e046ab7b");
    assert_eq!(format!("{:?}", sample("text").identity()).len(), "Identity()".len() + 32);
    assert_eq!(sample("text").identity().to_string(), hex::encode(sample("text").identity().as_bytes()));
}

#[test]
fn fields_are_found_along_their_way_and_nowhere_else() {
    let mut inner = Fields::default();
    inner.push("x", Value::Text("1".into()));
    let mut fields = Fields::default();
    fields.push("item", Value::Text("no".into()));
    fields.push("item", Value::Fields(inner));
    let numbers: Vec<u64> = table::Read::read(&fields, "item/x");
    assert_eq!(numbers, [1]);
    let text: &str = table::Read::read(&fields, "item/x");
    assert_eq!(text, "", "the first of two fields counts");
    let either: Option<&str> = table::Read::read(&fields, "none|item");
    assert_eq!(either, Some("no"));
}
