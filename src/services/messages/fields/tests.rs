//! What the two readers understand, refuse, and never do.

use proptest::prelude::*;

use super::*;

fn xml(text: &str) -> Fields {
    Fields::parse(Format::Xml, text.as_bytes()).unwrap()
}

fn json(text: &str) -> Fields {
    Fields::parse(Format::Json, text.as_bytes()).unwrap()
}

fn refused(format: Format, text: &[u8]) -> FieldsError {
    Fields::parse(format, text).unwrap_err()
}

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, text) in list {
        fields.push(*name, Value::Text((*text).into()));
    }
    fields
}

#[test]
fn field_that_repeats_is_a_list_in_json_where_it_first_stood() {
    let mut inner = Fields::default();
    inner.push("n", Value::Text("1".into()));
    let mut fields = Fields::default();
    fields.push("List", Value::Fields(inner.clone()));
    fields.push("MsgType", Value::Text("event".into()));
    fields.push("List", Value::Fields(inner));
    let json = serde_json::to_string(&fields).unwrap();
    assert_eq!(json, r#"{"List":[{"n":"1"},{"n":"1"}],"MsgType":"event"}"#);
    assert_eq!(fields.all("List").count(), 2);
    assert_eq!(fields.text("List"), None);
    assert_eq!(fields.within("List").and_then(|list| list.number("n")), Some(1));
}

#[test]
fn format_is_told_by_the_first_character_that_is_not_blank() {
    assert_eq!(Format::of(b"<xml>"), Some(Format::Xml));
    assert_eq!(Format::of(b" \r\n\t<xml>"), Some(Format::Xml));
    assert_eq!(Format::of("\u{feff}<xml>".as_bytes()), Some(Format::Xml));
    assert_eq!(Format::of("\u{feff} {}".as_bytes()), Some(Format::Json));
    assert_eq!(Format::of(b"[]"), None);
    assert_eq!(Format::of(b""), None);
    assert_eq!(Format::of("\u{feff}".as_bytes()), None);
}

#[test]
fn the_usual_form_is_read_the_quick_way_and_any_other_by_the_reader_of_all_xml() {
    for usual in [
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\n<MsgId>7</MsgId></xml>\n",
        " <a>\r\n\t<A> 7\u{1} </A><A></A> <B><![CDATA[ ]] > \u{1}]]></B><C> \u{3000} ]]> > </C></a> ",
        "<xml></xml>",
    ] {
        assert_eq!(xml::flat(usual).unwrap(), xml::any(usual).unwrap(), "{usual}");
    }
    for other in [
        "<?xml version=\"1.0\"?><xml></xml>",
        "<xml><A b=\"c\">7</A></xml>",
        "<xml><A><B>7</B></A></xml>",
        "<xml><A>&lt;</A></xml>",
        "<xml><A> <![CDATA[7]]></A></xml>",
        "<xml><A><![CDATA[7]]> </A></xml>",
        "<xml><A/></xml>",
        "<xml>7<A></A></xml>",
        "<xml><A>7</B></xml>",
        "<xml><A><![CDATA[7</A></xml>",
        "<xml><!-- --></xml>",
        "<xml></xml><xml></xml>",
        "<xml>",
        "",
    ] {
        assert_eq!(xml::flat(other), None, "{other}");
    }
    let full = format!("<xml>{}</xml>", "<a></a>".repeat(MAX_FIELDS));
    assert_eq!(xml::flat(&full).unwrap().len(), MAX_FIELDS);
    assert_eq!(xml::flat(&full.replace("</xml>", "<a></a></xml>")), None);
    assert_eq!(xml::flat(&full.replace("<a>", &format!("<{}>", "a".repeat(MAX_NAME + 1)))), None);
}

#[test]
fn white_space_around_a_text_is_layout_and_within_cdata_it_is_the_users() {
    let read = xml("\u{feff}<?xml version=\"1.0\"?>\n<xml a=\"b\">\n  <A> <![CDATA[x]]> </A><B>\n 7\t</B>\
         <C><![CDATA[ hi ]]></C><D>  </D><E/><F></F><G> <![CDATA[]]> </G><!-- no --><H> a b&#32; </H></xml>\n");
    let expected = [("A", "x"), ("B", "7"), ("C", " hi "), ("D", ""), ("E", ""), ("F", ""), ("G", "")];
    let mut expected = fields(&expected);
    expected.push("H", Value::Text("a b ".into()));
    assert_eq!(read, expected);
}

#[test]
fn pieces_of_a_text_are_joined() {
    let read =
        xml("<x><A><![CDATA[a]]]]><![CDATA[>b]]></A><B>1&lt;2 &amp;&#38; &#x1F600; &gt;&apos;&quot;</B>\
         <C>x <![CDATA[ y ]]> z</C><D>![CDATA[3001224419]]</D></x>");
    let expected = [("A", "a]]>b"), ("B", "1<2 && 😀 >'\""), ("C", "x  y  z"), ("D", "![CDATA[3001224419]]")];
    assert_eq!(read, fields(&expected));
}

#[test]
fn control_characters_are_left_out_whatever_way_they_come() {
    // WeRoBot #420: a text with \x1d made the whole service fail. Emoji, private-use code points
    // and U+FFFD stay.
    let expected = fields(&[("Content", "ab\n\t😀\u{e415}\u{fffd}")]);
    assert_eq!(
        xml("<x><Content><![CDATA[\x1da\0b\n\t😀\u{e415}\u{fffd}\u{fffe}\u{ffff}]]></Content></x>"),
        expected
    );
    assert_eq!(xml("<x><Content>&#x1d;a&#29;b&#10;\t😀\u{e415}\u{fffd}</Content></x>"), expected);
    assert_eq!(json(r#"{"Cont\u0001ent":"\u001da\u0000b\n\t\ud83d\ude00\ue415\ufffd\ufffe"}"#), expected);
}

#[test]
fn control_characters_that_json_forbids_cost_themselves_and_not_the_message() {
    // WeChat's JSON has them as they are, at least in its API's answers. A line break is the user's.
    let read = json("{\n\t\"A\": \"\x1da\0\nb\tc\r\",\r\n\"B\\\"\x02\":\"\\\\\",\"C\":\"\\\"\x7f\x1f\"}");
    assert_eq!(read, fields(&[("A", "a\nb\tc\r"), ("B\"", "\\"), ("C", "\"\x7f")]));
    // Only within texts: elsewhere it is no JSON that anybody writes.
    assert!(matches!(refused(Format::Json, b"{\"a\":\x1d1}"), FieldsError::Json(_)));
    assert!(matches!(refused(Format::Json, b"{\"a\":\"\n"), FieldsError::Json(_)));
    // An escape is not undone by what follows it.
    assert!(matches!(refused(Format::Json, b"{\"a\":\"\\\n\"}"), FieldsError::Json(_)));
}

#[test]
fn json_becomes_the_tree_that_xml_becomes() {
    let read = json(
        "{\"MsgId\": 18446744073709551615, \"n\": -3, \"x\": 23.134521, \"yes\": true, \"no\": null, \"o\": {},
          \"List\": [{\"a\": \"1\"}, {\"a\": 2}], \"idx\": [1, [2, 3]], \"none\": [], \"idx\": 4} ",
    );
    let same =
        xml("<xml><MsgId>18446744073709551615</MsgId><n>-3</n><x>23.134521</x><yes>true</yes><no/><o/>
        <List><a>1</a></List><List><a>2</a></List><idx>1</idx><idx>2</idx><idx>3</idx><idx>4</idx></xml>");
    assert_eq!(read, same);
    assert_eq!(read.number("MsgId"), Some(u64::MAX));
}

#[test]
fn what_wechat_never_sends_is_refused_by_name() {
    let xml = |text: &str| refused(Format::Xml, text.as_bytes());
    assert!(matches!(
        xml("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>"),
        FieldsError::Doctype
    ));
    assert!(matches!(xml("<x><!DOCTYPE y></x>"), FieldsError::Doctype | FieldsError::Xml(_)));
    assert!(matches!(xml("<?php echo 1 ?><x/>"), FieldsError::Instruction));
    assert!(matches!(xml("<x><?xml version='1.0'?></x>"), FieldsError::Instruction));
    assert!(matches!(xml("<x/><?xml version='1.0'?>"), FieldsError::Instruction));
    assert_eq!(
        xml("<x><A>&secret;</A></x>").to_string(),
        "the push has the entity &secret;, which XML does not define"
    );
    for bad in ["&#0;", "&#xD800;", "&#99999999999;", "&#-1;", "&;"] {
        assert!(matches!(xml(&format!("<x><A>{bad}</A></x>")), FieldsError::Entity(_)), "{bad}");
    }
    for bad in ["", "  ", "<x>", "<x><A>", "<x><A></A>", "<?xml version='1.0'?>"] {
        assert!(matches!(xml(bad), FieldsError::Incomplete), "{bad:?}: {:?}", xml(bad));
    }
    for bad in ["<x/><y/>", "<x></x><x></x>", "<x/>text", "text<x/>", "<x/>&amp;", "<x/><![CDATA[ ]]>"] {
        assert!(matches!(xml(bad), FieldsError::Beside), "{bad:?}: {:?}", xml(bad));
    }
    for bad in ["<x></y>", "</x>", "<x", "<x><![CDATA[a", "<x><!-- ", "<x>a & b</x>", "<x><!bad></x>"] {
        assert!(matches!(xml(bad), FieldsError::Xml(_)), "{bad:?}: {:?}", xml(bad));
    }
    for bad in ["<x><a=b></a=b></x>", "<x><></></x>", "<x>< a></ a></x>", "<></>"] {
        assert!(matches!(xml(bad), FieldsError::NotAName), "{bad:?}: {:?}", xml(bad));
    }
    assert!(matches!(refused(Format::Xml, b"<x>\xff</x>"), FieldsError::NotUtf8(_)));

    let json = |text: &str| refused(Format::Json, text.as_bytes());
    for bad in ["", "[]", "\"secret\"", "7", "null"] {
        assert!(matches!(json(bad), FieldsError::NotAnObject), "{bad:?}");
    }
    for bad in ["{", "{}{}", "{\"a\":}", "{\"a\":\"\\ud800\"}", "{\"a\":1e999}", "{a:1}", "{\"a\":01}"] {
        assert!(matches!(json(bad), FieldsError::Json(_)), "{bad:?}");
    }
    assert!(matches!(refused(Format::Json, b"{\"a\":\"\xff\"}"), FieldsError::NotUtf8(_)));
}

#[test]
fn limits_hold_at_their_edges() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(Fields::parse(Format::Xml, nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(matches!(refused(Format::Xml, nested(MAX_DEPTH + 1).as_bytes()), FieldsError::TooDeep));
    assert!(matches!(refused(Format::Xml, nested(30_000).as_bytes()), FieldsError::TooDeep));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(Fields::parse(Format::Json, objects(MAX_DEPTH).as_bytes()).is_ok());
    assert!(matches!(refused(Format::Json, objects(MAX_DEPTH + 1).as_bytes()), FieldsError::TooDeep));
    assert!(matches!(refused(Format::Json, objects(30_000).as_bytes()), FieldsError::TooDeep));
    let lists = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Fields::parse(Format::Json, lists(MAX_DEPTH - 1).as_bytes()).is_ok());
    assert!(matches!(refused(Format::Json, lists(MAX_DEPTH).as_bytes()), FieldsError::TooDeep));

    let many = |count: usize| format!("<x>{}</x>", "<a/>".repeat(count));
    assert_eq!(xml(&many(MAX_FIELDS)).len(), MAX_FIELDS);
    assert!(matches!(refused(Format::Xml, many(MAX_FIELDS + 1).as_bytes()), FieldsError::TooManyFields));
    let many = |count: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(count - 1));
    assert_eq!(json(&many(MAX_FIELDS)).len(), MAX_FIELDS);
    assert!(matches!(refused(Format::Json, many(MAX_FIELDS + 1).as_bytes()), FieldsError::TooManyFields));

    let named = |length: usize| format!("<x><{0}>1</{0}></x>", "n".repeat(length));
    assert_eq!(xml(&named(MAX_NAME)).len(), 1);
    assert!(matches!(refused(Format::Xml, named(MAX_NAME + 1).as_bytes()), FieldsError::NameTooLong));
    let named = |length: usize| format!("{{\"{}\":1}}", "n".repeat(length));
    assert_eq!(json(&named(MAX_NAME)).len(), 1);
    assert!(matches!(refused(Format::Json, named(MAX_NAME + 1).as_bytes()), FieldsError::NameTooLong));

    let sized = |size: usize| format!("<x><a>{}</a></x>", "s".repeat(size - "<x><a></a></x>".len()));
    assert_eq!(sized(MAX_SIZE).len(), MAX_SIZE);
    assert!(xml(&sized(MAX_SIZE)).text("a").is_some());
    assert!(matches!(refused(Format::Xml, sized(MAX_SIZE + 1).as_bytes()), FieldsError::TooLarge));
    assert!(matches!(refused(Format::Json, sized(MAX_SIZE + 1).as_bytes()), FieldsError::TooLarge));
}

#[test]
fn errors_show_nothing_of_a_users_text() {
    for (format, text) in [
        (Format::Json, r#"{"Content":"secret words" 7}"#),
        (Format::Json, r#""secret words""#),
        (Format::Json, r#"{"Content": secret words}"#),
        (Format::Xml, "<x><Content>secret words</Kontent></x>"),
        (Format::Xml, "<x>secret words & more</x>"),
        (Format::Xml, "<x/>secret words"),
    ] {
        let error: &dyn std::error::Error = &refused(format, text.as_bytes());
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            chain.push(error.to_string());
            source = error.source();
        }
        assert!(!chain.iter().any(|text| text.contains("secret")), "{chain:?}");
    }
}

/// Writes fields as WeChat would.
fn write(fields: &Fields, out: &mut String) {
    for (name, value) in fields.iter() {
        let inner = match value {
            Value::Text(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
            Value::Fields(fields) => {
                let mut inner = String::from("\n ");
                write(fields, &mut inner);
                inner
            }
        };
        for part in ["<", name, ">", &inner, "</", name, ">\n"] {
            out.push_str(part);
        }
    }
}

fn gather(list: Vec<(String, Value)>) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in list {
        fields.push(name, value);
    }
    fields
}

/// Trees as a push can be: no control characters, no field that is empty but has none.
fn tree() -> impl Strategy<Value = Fields> {
    let text = prop_oneof!["[\t\n\r ]{0,3}[^\\p{C}]{0,20}[\\]> ]{0,4}", "[0-9]{1,20}"];
    let leaf = text.prop_map(|text| Value::Text(text.into()));
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,12}", inner), 1..4)
            .prop_map(|list| Value::Fields(gather(list)))
    });
    prop::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,12}", value), 0..6).prop_map(gather)
}

/// The tree with fields that repeat moved to where the first of them stands, as JSON has them.
fn gathered(fields: &Fields) -> Fields {
    let mut out = Fields::default();
    for (at, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(at).any(|(earlier, _)| earlier == name) {
            continue;
        }
        for value in fields.all(name) {
            let value = match value {
                Value::Text(text) => Value::Text(text.clone()),
                Value::Fields(fields) => Value::Fields(gathered(fields)),
            };
            out.push(name, value);
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_written_as_xml_is_read_as_it_was(tree in tree()) {
        let mut text = String::from("<xml>");
        write(&tree, &mut text);
        text.push_str("</xml>");
        prop_assert_eq!(xml(&text), tree);
    }

    #[test]
    fn what_is_read_the_quick_way_is_what_the_reader_of_all_xml_reads(
        text in "<xml>([ \r\n]{0,2}<(a|MsgId)>(<!\\[CDATA\\[[^&]{0,6}\\]\\]>|[^<&]{0,6}|\\PC{0,4})</(a|MsgId)>){0,4}[ <]?</xml>"
    ) {
        if let Some(fields) = xml::flat(&text) {
            prop_assert_eq!(fields, xml::any(&text).unwrap());
        }
    }

    #[test]
    fn what_is_written_as_json_is_read_as_it_was(tree in tree()) {
        let text = serde_json::to_string(&tree).unwrap();
        prop_assert_eq!(json(&text), gathered(&tree));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Fields::parse(Format::Xml, &bytes);
        let _ = Fields::parse(Format::Json, &bytes);
        let _ = Format::of(&bytes);
    }

    #[test]
    fn no_text_like_a_push_makes_the_readers_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<xml>", "</xml>", "<a>", "</a>", "<a/>", "<![CDATA[", "]]>", "![CDATA[xxx]]", "&lt;", "&#x", ";", "&",
            "<!--", "-->", "<?xml", "?>", "<!DOCTYPE", ">", "<", "\u{1d}", "😀", " ", "x", "\"", "{", "}", "[", "]",
            ":", ",", "\"a\"", "1", "null", "\\u", "\u{feff}", "/",
        ]), 0..40)
    ) {
        let text = pieces.concat();
        let _ = Fields::parse(Format::Xml, text.as_bytes());
        let _ = Fields::parse(Format::Json, text.as_bytes());
    }
}
