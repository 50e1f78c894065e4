//! Bodies and what is made of them.

use super::*;

const TOKEN: &str = "87_abcDEF-_0123456789";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token_end(body: &[u8]) -> End {
    issued(body, "access_token", &Secret::from(SECRET))
}

fn good(seconds: u64) -> End {
    End::Issued(Issued { value: TOKEN.into(), life: Duration::from_secs(seconds), odd_life: None })
}

fn odd(said: i64) -> End {
    End::Issued(Issued { value: TOKEN.into(), life: Duration::from_hours(2), odd_life: Some(said) })
}

fn unknown(kind: TroubleKind) -> End {
    End::Unknown(kind.into())
}

fn refused(number: i64) -> End {
    End::Refused(Refusal { errcode: ErrCode(number), errmsg: "no".into(), rid: None, seen_ip: None })
}

#[test]
fn a_body_is_issued_only_with_a_whole_value_and_a_believable_life() {
    use TroubleKind::{BadLife, Contradiction, FieldBad, FieldEmpty, FieldMissing, NotJson};
    let with_life = |life: &str| format!(r#"{{"access_token":"{TOKEN}","expires_in":{life}}}"#);
    let with_value = |value: &str| format!(r#"{{"access_token":{value},"expires_in":7200}}"#);
    let long = format!("\"{}\"", "x".repeat(MAX_VALUE + 1));
    let cases: Vec<(String, End)> = vec![
        // Lives: numbers and decimal text, from one second to a day.
        (with_life("7200"), good(7200)),
        (with_life("\"7200\""), good(7200)),
        (with_life("1"), good(1)),
        (with_life("86400"), good(86_400)),
        (with_life("86401"), odd(86_401)),
        (with_life("\"86401\""), odd(86_401)),
        (with_life("18446744073709551615"), odd(i64::MAX)),
        (with_life("\"99999999999999999999999\""), odd(i64::MAX)),
        (with_life("0"), unknown(BadLife)),
        (with_life("-1"), unknown(BadLife)),
        (with_life("\"-7200\""), unknown(BadLife)),
        (with_life("\"-99999999999999999999999\""), unknown(BadLife)),
        (with_life("7200.0"), unknown(BadLife)),
        (with_life("7.2e3"), unknown(BadLife)),
        (with_life("\"7200s\""), unknown(BadLife)),
        (with_life("\"\""), unknown(BadLife)),
        (with_life("\"-\""), unknown(BadLife)),
        (with_life("\"+7200\""), unknown(BadLife)),
        (with_life("\" 7200\""), unknown(BadLife)),
        (with_life("null"), unknown(BadLife)),
        (with_life("true"), unknown(BadLife)),
        (with_life("[7200]"), unknown(BadLife)),
        (format!(r#"{{"access_token":"{TOKEN}"}}"#), unknown(BadLife)),
        (with_life("1e999"), unknown(NotJson)),
        // Values: visible ASCII, not empty, not endless.
        (r#"{"expires_in":7200}"#.into(), unknown(FieldMissing("access_token"))),
        (r#"{"errcode":0,"errmsg":"ok"}"#.into(), unknown(FieldMissing("access_token"))),
        ("{}".into(), unknown(FieldMissing("access_token"))),
        (with_value("null"), unknown(FieldMissing("access_token"))),
        (with_value("\"\""), unknown(FieldEmpty("access_token"))),
        (with_value("7"), unknown(FieldBad("access_token"))),
        (with_value("[\"a\"]"), unknown(FieldBad("access_token"))),
        (with_value("\"a b\""), unknown(FieldBad("access_token"))),
        (with_value("\"a\\u0000b\""), unknown(FieldBad("access_token"))),
        (with_value("\"a\\nb\""), unknown(FieldBad("access_token"))),
        (with_value("\"a\u{1}b\""), unknown(FieldBad("access_token"))),
        (with_value("\"a\u{7f}b\""), unknown(FieldBad("access_token"))),
        (with_value("\"中控\""), unknown(FieldBad("access_token"))),
        (with_value(&long), unknown(FieldBad("access_token"))),
        // Success may say so, as a number or as text.
        (format!(r#"{{"errcode":0,"access_token":"{TOKEN}","expires_in":7200}}"#), good(7200)),
        (format!(r#"{{"errcode":"0","access_token":"{TOKEN}","expires_in":7200}}"#), good(7200)),
        (format!("\u{feff}\r\n\t{{\"access_token\":\"{TOKEN}\",\0\"expires_in\":7200}}\n"), good(7200)),
        // Refusals.
        (r#"{"errcode":40013,"errmsg":"no"}"#.into(), refused(40013)),
        (r#"{"errcode":"40013","errmsg":"no"}"#.into(), refused(40013)),
        (r#"{"errcode":-1,"errmsg":"no"}"#.into(), refused(-1)),
        (r#"{"errcode":"-1","errmsg":"no"}"#.into(), refused(-1)),
        (r#"{"errcode":40013,"errmsg":"no","access_token":"","expires_in":0}"#.into(), refused(40013)),
        (r#"{"errcode":40013,"errmsg":"no","access_token":null}"#.into(), refused(40013)),
        // An errcode that is none says neither yes nor no.
        (
            format!(r#"{{"errcode":40013,"access_token":"{TOKEN}","expires_in":7200}}"#),
            unknown(Contradiction),
        ),
        (
            format!(r#"{{"errcode":"no","access_token":"{TOKEN}","expires_in":7200}}"#),
            unknown(FieldBad("errcode")),
        ),
        (r#"{"errcode":null}"#.into(), unknown(FieldBad("errcode"))),
        (r#"{"errcode":40013.5}"#.into(), unknown(FieldBad("errcode"))),
        // What is no answer of WeChat's.
        (String::new(), unknown(NotJson)),
        ("null".into(), unknown(NotJson)),
        ("[]".into(), unknown(NotJson)),
        ("\"ok\"".into(), unknown(NotJson)),
        ("<html><body>502 Bad Gateway</body></html>".into(), unknown(NotJson)),
        (format!(r#"{{"access_token":"{TOKEN}","expires_in":72"#), unknown(NotJson)),
        (format!(r#"{{"access_token":"{TOKEN}","expires_in":7200}}}}"#), unknown(NotJson)),
        ("[".repeat(60_000), unknown(NotJson)),
    ];
    assert_eq!(cases.len(), 59);
    for (body, end) in cases {
        let shown: String = body.chars().take(120).collect();
        assert_eq!(token_end(body.as_bytes()), end, "{shown}");
    }
}

#[test]
fn invalid_utf8_spoils_the_field_it_is_in_and_no_other() {
    let mut body = br#"{"errcode":40013,"errmsg":"x"#.to_vec();
    body.extend_from_slice(b"\xff\xfe y\"}");
    let End::Refused(refusal) = token_end(&body) else { panic!("a refusal is readable") };
    assert_eq!(refusal.errmsg, "x\u{fffd}\u{fffd} y");

    let body = b"{\"access_token\":\"ab\xffcd\",\"expires_in\":7200}";
    assert_eq!(token_end(body), unknown(TroubleKind::FieldBad("access_token")));
}

#[test]
fn a_refusal_keeps_the_request_id_and_the_address_apart_from_the_text() {
    // What WeChat sends, its errcode, and what is kept: text, request id, address.
    type Case = (&'static str, i64, &'static str, Option<&'static str>, Option<&'static str>);
    let cases: [Case; 9] = [
        (
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 655d9278-7c157f97-69055077",
            40164,
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
            Some("655d9278-7c157f97-69055077"),
            Some("203.0.113.7"),
        ),
        (
            "invalid ip 2001:db8::7, not in whitelist",
            40164,
            "invalid ip 2001:db8::7, not in whitelist",
            None,
            Some("2001:db8::7"),
        ),
        (
            "invalid ip ::ffff:203.0.113.7, no",
            40164,
            "invalid ip ::ffff:203.0.113.7, no",
            None,
            Some("203.0.113.7"),
        ),
        ("invalid ip, not in whitelist", 40164, "invalid ip, not in whitelist", None, None),
        ("requestIP: 203.0.113.7 x", 61004, "requestIP: 203.0.113.7 x", None, Some("203.0.113.7")),
        ("invalid appid 203.0.113.7", 40013, "invalid appid 203.0.113.7", None, None),
        (
            "invalid credential hint: [EwKd0102vr32!]",
            40001,
            "invalid credential",
            Some("EwKd0102vr32!"),
            None,
        ),
        ("rid: abc-1", 40001, "", Some("abc-1"), None),
        ("a grid: of things, rid: ", 40001, "a grid: of things, rid:", None, None),
    ];
    for (errmsg, number, text, rid, ip) in cases {
        let body = serde_json::json!({ "errcode": number, "errmsg": errmsg }).to_string();
        let expected = Refusal {
            errcode: ErrCode(number),
            errmsg: text.to_owned(),
            rid: rid.map(str::to_owned),
            seen_ip: ip.map(|ip| ip.parse().unwrap()),
        };
        assert_eq!(token_end(body.as_bytes()), End::Refused(expected), "{errmsg}");
    }
}

#[test]
fn an_echoed_secret_is_nowhere_in_what_is_kept() {
    // The secret also as it stands in a URL, in the request id, and across the cut of a long text.
    let secret = "s3cr3t/+=&中";
    let in_url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let bodies = [
        format!("invalid appsecret {secret}, see https://x/?secret={in_url}&a=1 rid: {secret}"),
        format!("{}{secret}", "x".repeat(MAX_ERRMSG - 3)),
        format!("{}{in_url}", "x".repeat(MAX_ERRMSG - 3)),
    ];
    for errmsg in bodies {
        let body = serde_json::json!({ "errcode": 40125, "errmsg": errmsg }).to_string();
        let End::Refused(refusal) = issued(body.as_bytes(), "access_token", &Secret::from(secret)) else {
            panic!("a refusal")
        };
        let shown = format!("{refusal} {refusal:?}");
        assert!(!shown.contains("s3c"), "{shown}");
        assert!(shown.contains('*'), "{shown}");
    }
}

#[test]
fn a_long_or_hostile_text_becomes_one_short_line() {
    let errmsg = format!("a\u{1b}[31m\nb\u{2028}c\u{202e}d{}", "中".repeat(100_000));
    let body = serde_json::json!({ "errcode": 40013, "errmsg": errmsg }).to_string();
    let End::Refused(refusal) = token_end(body.as_bytes()) else { panic!("a refusal") };
    assert_eq!(refusal.errmsg.chars().count(), MAX_ERRMSG);
    assert!(refusal.errmsg.starts_with("a [31m b c d中"), "{}", refusal.errmsg);
    // A text that is no text is as good as none.
    assert!(
        matches!(token_end(br#"{"errcode":1,"errmsg":{"a":1}}"#), End::Refused(r) if r.errmsg.is_empty())
    );
}

#[test]
fn a_probe_tells_alive_dead_silent_and_other_apart() {
    let says = |body: &str| probe(body.as_bytes(), &Secret::from(TOKEN));
    let silent = |kind: TroubleKind| Probe::Silent(kind.into());
    assert_eq!(says(r#"{"ip_list":["203.0.113.1"]}"#), Probe::Alive);
    assert_eq!(says(r#"{"ip_list":[]}"#), Probe::Alive);
    assert_eq!(says(r#"{"errcode":0,"errmsg":"ok"}"#), Probe::Alive);
    for number in [40001, 40014, 42001] {
        assert_eq!(says(&format!(r#"{{"errcode":{number},"errmsg":"no"}}"#)), Probe::Dead(ErrCode(number)));
        assert_eq!(says(&format!(r#"{{"errcode":"{number}"}}"#)), Probe::Dead(ErrCode(number)));
    }
    assert_eq!(says(r#"{"errcode":-1,"errmsg":"system error"}"#), silent(TroubleKind::Busy));
    assert_eq!(says("{}"), silent(TroubleKind::FieldMissing("ip_list")));
    assert_eq!(says("<html>"), silent(TroubleKind::NotJson));
    assert_eq!(says(r#"{"errcode":false}"#), silent(TroubleKind::FieldBad("errcode")));
    let Probe::Other(refusal) = says(&format!(r#"{{"errcode":48001,"errmsg":"no {TOKEN}"}}"#)) else {
        panic!("no verdict")
    };
    assert_eq!((refusal.errcode, refusal.errmsg.as_str()), (ErrCode(48001), "no ***"));
}
