//! The whole envelope: requests as WeChat sends them, and every way in which they may be wrong.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

const TOKEN: &str = "pamtest";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const OLD_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const APPID: &str = "wxb11529c136998cb6";
const TIME: &str = "1409304348";
const NOW: WallTime = WallTime(1_409_304_348_000);
const MESSAGE: &str = "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好 😀]]></Content></xml>";

fn settings(mode: Mode) -> Settings {
    Settings {
        token: TOKEN.into(),
        aes_key: Some(KEY.into()),
        previous_aes_key: None,
        receive_id: APPID.to_owned(),
        mode,
        window: Duration::from_secs(600),
    }
}

fn envelope(mode: Mode) -> Envelope {
    Envelope::new(settings(mode)).unwrap()
}

fn signature(parts: &mut [&str]) -> String {
    use sha1::Digest;
    parts.sort_unstable();
    hex::encode(sha1::Sha1::digest(parts.concat()))
}

/// What WeChat sends: the query and the body.
fn push(text: &str, format: Format) -> (String, Vec<u8>) {
    let msg_signature = signature(&mut [TOKEN, TIME, "xxxxxx", text]);
    let plain_signature = signature(&mut [TOKEN, TIME, "xxxxxx"]);
    let query = format!(
        "signature={plain_signature}&timestamp={TIME}&nonce=xxxxxx&openid=oABC&encrypt_type=aes&msg_signature={msg_signature}"
    );
    let body = match format {
        Format::Xml => format!(
            "<xml>\n    <ToUserName><![CDATA[gh_1]]></ToUserName>\n    <Encrypt><![CDATA[{text}]]></Encrypt>\n</xml>"
        ),
        Format::Json => format!(r#"{{"ToUserName":"gh_1","Encrypt":"{text}"}}"#),
    };
    (query, body.into_bytes())
}

fn encrypted(key: &str, message: &str, receive_id: &str) -> String {
    let key = AesKey::decode(&key.into()).unwrap();
    STANDARD.encode(crypt::encrypt(&key, *b"aaaabbbbccccdddd", message, receive_id))
}

fn plain_query() -> String {
    format!("signature={}&timestamp={TIME}&nonce=xxxxxx", signature(&mut [TOKEN, TIME, "xxxxxx"]))
}

fn open(envelope: &Envelope, query: &str, body: &[u8]) -> Result<Opened, Refusal> {
    envelope.open(&Query::parse(query), body, NOW)
}

/// Reads a sealed reply as WeChat would: its nonce, and what is in it.
fn unseal(sealed: &str, key: &str, format: Format) -> (String, String) {
    let member = |name: &str| match format {
        Format::Xml => {
            let inner = sealed.split_once(&format!("<{name}>")).unwrap().1;
            let inner = inner.split_once(&format!("</{name}>")).unwrap().0;
            inner.trim_start_matches("<![CDATA[").trim_end_matches("]]>").to_owned()
        }
        Format::Json => {
            let value: serde_json::Value = serde_json::from_str(sealed).unwrap();
            value[name].as_str().map_or_else(|| value[name].as_i64().unwrap().to_string(), str::to_owned)
        }
    };
    let (text, nonce, time) = (member("Encrypt"), member("Nonce"), member("TimeStamp"));
    assert_eq!(member("MsgSignature"), signature(&mut [TOKEN, &time, &nonce, &text]));
    let token = Secret::from(TOKEN);
    let stamped = Stamped { timestamp: &time, nonce: &nonce };
    let verified = Verified::check(&token, stamped, &text, &member("MsgSignature")).unwrap();
    let key = AesKey::decode(&key.into()).unwrap();
    (nonce, String::from_utf8(crypt::decrypt(&key, verified, APPID).unwrap()).unwrap())
}

#[test]
fn the_push_of_wechats_sample_library_is_opened() {
    let text = "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==";
    for format in [Format::Xml, Format::Json] {
        let (query, body) = push(text, format);
        assert!(query.ends_with("82c962d39941aa48552f90ef55aa323dc620cc10"), "{query}");
        for mode in [Mode::Safe, Mode::Compatible, Mode::Plain] {
            let opened = open(&envelope(mode), &query, &body).unwrap();
            assert_eq!(opened.plain, "我是中文abcd123".as_bytes());
            assert_eq!((opened.format, opened.key()), (format, Some(Which::Current)));
        }
    }
}

#[test]
fn a_reply_is_sealed_in_the_form_and_with_the_nonce_of_its_request() {
    let reply = "<xml>回复</xml>";
    for format in [Format::Xml, Format::Json] {
        let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), format);
        let opened = open(&envelope(Mode::Safe), &query, &body).unwrap();
        let sealed = opened.seal(reply, NOW);
        assert_eq!(unseal(&sealed, KEY, format), ("xxxxxx".to_owned(), reply.to_owned()));
        assert_ne!(sealed, opened.seal(reply, NOW), "the prefix is not random");
        assert_eq!((opened.seal("success", NOW), opened.seal("", NOW)), ("success".into(), String::new()));
    }
}

#[test]
fn a_plain_push_is_opened_and_answered_plainly_where_the_mode_has_it() {
    for mode in [Mode::Plain, Mode::Compatible] {
        for query in [plain_query(), plain_query() + "&encrypt_type=raw"] {
            let opened = open(&envelope(mode), &query, MESSAGE.as_bytes()).unwrap();
            assert_eq!(
                (&*opened.plain, opened.format, opened.key()),
                (MESSAGE.as_bytes(), Format::Xml, None)
            );
            assert_eq!(opened.seal("<xml/>", NOW), "<xml/>");
        }
    }
    let json = open(&envelope(Mode::Plain), &plain_query(), b"{\"MsgType\":\"text\"}").unwrap();
    assert_eq!(json.format, Format::Json);
}

#[test]
fn a_plain_push_is_refused_in_safe_mode_even_with_its_signature() {
    // An attacker who leaves encrypt_type out must not get around the encryption.
    let safe = envelope(Mode::Safe);
    let refusal = open(&safe, &plain_query(), MESSAGE.as_bytes()).unwrap_err();
    assert_eq!((refusal.status(), refusal.reason()), (StatusCode::FORBIDDEN, "plain"));
    let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let stripped = query.replace("&encrypt_type=aes", "");
    assert_eq!(open(&safe, &stripped, &body).unwrap_err(), Refusal::Plain);
    let unsigned = open(&safe, "", MESSAGE.as_bytes()).unwrap_err();
    assert_eq!(unsigned, Refusal::Unsigned("signature"));
}

#[test]
fn plain_fields_beside_an_encrypted_message_are_not_used() {
    let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let body = String::from_utf8(body).unwrap().replace("<xml>", "<xml><Content>forged</Content>");
    let opened = open(&envelope(Mode::Compatible), &query, body.as_bytes()).unwrap();
    assert_eq!(opened.plain, MESSAGE.as_bytes());
}

#[test]
fn a_wrong_signature_is_found_before_anything_is_decrypted() {
    // Neither base64 nor a key is looked at: those refusals would tell a stranger something.
    let keyless = Settings { aes_key: None, ..settings(Mode::Plain) };
    for envelope in [envelope(Mode::Safe), Envelope::new(keyless).unwrap()] {
        for text in ["*** not base64 ***", "AAAA", &encrypted(OLD_KEY, MESSAGE, APPID)] {
            let (query, body) = push(text, Format::Xml);
            let query = query.replace("nonce=xxxxxx", "nonce=xxxxxy");
            assert_eq!(open(&envelope, &query, &body).unwrap_err(), Refusal::WrongSignature("msg_signature"));
        }
    }
    // The plain signature, which is right here, does not stand in for the other one.
    let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let query = query.split("&msg_signature").next().unwrap();
    assert_eq!(open(&envelope(Mode::Safe), query, &body).unwrap_err(), Refusal::Unsigned("msg_signature"));
}

#[test]
fn a_push_with_any_byte_of_its_encrypted_text_changed_is_refused() {
    let safe = envelope(Mode::Safe);
    let text = encrypted(KEY, "<xml/>", APPID);
    let (query, body) = push(&text, Format::Xml);
    let start = body.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    for at in start..start + text.len() {
        for bit in 0..8 {
            let mut body = body.clone();
            body[at] ^= 1 << bit;
            let refusal = open(&safe, &query, &body).unwrap_err();
            // A byte may also become white space, an element's end or half a character.
            assert!(matches!(refusal, Refusal::WrongSignature(_) | Refusal::Body(_)), "{at} {bit} {refusal}");
        }
    }
}

#[test]
fn a_signature_whose_text_is_cut_elsewhere_opens_nothing() {
    // Its parts are joined without separators: an end of Encrypt may be called a part of the nonce.
    let (safe, compatible) = (envelope(Mode::Safe), envelope(Mode::Compatible));
    let text = encrypted(KEY, MESSAGE, APPID);
    let mut fitting = 0;
    for nonce in ["a", "k"] {
        let right = signature(&mut [TOKEN, TIME, nonce, &text]);
        for cut in 1..text.len() {
            let (before, after) = text.split_at(cut);
            for (nonce, encrypt) in [(format!("{nonce}{before}"), after), (format!("{after}{nonce}"), before)]
            {
                if signature(&mut [TOKEN, TIME, &nonce, encrypt]) != right {
                    continue;
                }
                fitting += 1;
                let nonce = nonce.replace('+', "%2B");
                let query = format!(
                    "timestamp={TIME}&nonce={nonce}&encrypt_type=aes&msg_signature={right}&signature={right}"
                );
                let body = format!("<xml><Encrypt>{encrypt}</Encrypt></xml>");
                for envelope in [&safe, &compatible] {
                    let refusal = open(envelope, &query, body.as_bytes()).unwrap_err();
                    assert!(!matches!(refusal, Refusal::WrongSignature(_)), "{cut} {refusal}");
                }
            }
        }
    }
    assert!(fitting > 20, "{fitting}");
}

#[test]
fn a_push_cut_off_anywhere_is_refused() {
    let (query, body) = push(&encrypted(KEY, "<xml/>", APPID), Format::Xml);
    for end in 0..body.len() {
        assert!(open(&envelope(Mode::Safe), &query, &body[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_signed_push_that_does_not_decrypt_blames_the_key_and_shows_none() {
    let (query, body) = push(&encrypted(OLD_KEY, MESSAGE, APPID), Format::Xml);
    let refusal = open(&envelope(Mode::Safe), &query, &body).unwrap_err();
    assert_eq!((refusal.clone(), refusal.status()), (Refusal::WrongKey, StatusCode::BAD_REQUEST));
    assert!(refusal.to_string().contains("EncodingAESKey here is probably not"), "{refusal}");
    for text in ["***", "AAAA"] {
        let (query, body) = push(text, Format::Xml);
        assert_eq!(open(&envelope(Mode::Safe), &query, &body).unwrap_err(), Refusal::NotEncrypted);
    }
    let forged = Refusal::WrongSignature("signature").to_string();
    assert!(forged.contains("Token") && !forged.contains(TOKEN), "{forged}");
}

#[test]
fn a_push_for_another_account_is_refused_and_names_it() {
    let (query, body) = push(&encrypted(KEY, MESSAGE, "wxother"), Format::Xml);
    let with_previous = Settings { previous_aes_key: Some(OLD_KEY.into()), ..settings(Mode::Safe) };
    for envelope in [envelope(Mode::Safe), Envelope::new(with_previous).unwrap()] {
        let refusal = open(&envelope, &query, &body).unwrap_err();
        assert_eq!((refusal.status(), refusal.reason()), (StatusCode::FORBIDDEN, "foreign"));
        assert!(refusal.to_string().contains("for wxother:"), "{refusal}");
    }
}

#[test]
fn after_a_change_of_keys_the_previous_one_still_opens_and_answers() {
    let changed = Settings { previous_aes_key: Some(OLD_KEY.into()), ..settings(Mode::Safe) };
    let envelope = Envelope::new(changed).unwrap();
    for (key, which) in [(KEY, Which::Current), (OLD_KEY, Which::Previous)] {
        let (query, body) = push(&encrypted(key, MESSAGE, APPID), Format::Xml);
        let opened = open(&envelope, &query, &body).unwrap();
        assert_eq!((&*opened.plain, opened.key()), (MESSAGE.as_bytes(), Some(which)));
        assert_eq!(unseal(&opened.seal("<xml/>", NOW), key, Format::Xml).1, "<xml/>");
    }
    let third = format!("{}A", &OLD_KEY[1..]);
    let (query, body) = push(&encrypted(&third, MESSAGE, APPID), Format::Xml);
    assert_eq!(open(&envelope, &query, &body).unwrap_err(), Refusal::WrongKey);
}

#[test]
fn an_encrypted_push_to_an_account_without_key_says_that_the_key_is_missing() {
    let keyless = Envelope::new(Settings { aes_key: None, ..settings(Mode::Plain) }).unwrap();
    let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let refusal = open(&keyless, &query, &body).unwrap_err();
    assert_eq!((refusal.clone(), refusal.status()), (Refusal::NoKey, StatusCode::INTERNAL_SERVER_ERROR));
}

#[test]
fn a_request_outside_the_window_is_refused_either_way_also_on_get() {
    let envelope = envelope(Mode::Compatible);
    let (aes, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let plain = plain_query() + "&echostr=1";
    for (seconds, refusal) in [
        (600, None),
        (601, Some(Refusal::Stale(601))),
        (-600, None),
        (-601, Some(Refusal::Ahead(601))),
        (i64::MAX / 2_000, Some(Refusal::Stale(4_611_686_018_427_387))),
    ] {
        let now = WallTime(NOW.0 + seconds * 1_000);
        let (aes, plain) = (Query::parse(&aes), Query::parse(&plain));
        assert_eq!(envelope.open(&aes, &body, now).err(), refusal);
        assert_eq!(envelope.open(&plain, &body, now).err(), refusal);
        assert_eq!(envelope.verify_url(&plain, now).err(), refusal);
    }
}

#[test]
fn a_signed_timestamp_that_is_no_time_is_refused() {
    for time in ["-1409304348", "%2B1409304348", "1409304348.0", "1409304348+", "99999999999999999999", "now"]
    {
        let decoded = time.replace('+', " ").replace("%2B", "+");
        let signature = signature(&mut [TOKEN, &decoded, "n"]);
        let query = format!("signature={signature}&timestamp={time}&nonce=n&echostr=1");
        let refusal = envelope(Mode::Plain).verify_url(&Query::parse(&query), NOW).unwrap_err();
        assert_eq!((refusal.clone(), refusal.status()), (Refusal::NoTime, StatusCode::BAD_REQUEST), "{time}");
    }
    let signature = signature(&mut [TOKEN, &i64::MAX.to_string(), "n"]);
    let query = format!("signature={signature}&timestamp={}&nonce=n&echostr=1", i64::MAX);
    let refusal = envelope(Mode::Plain).verify_url(&Query::parse(&query), NOW).unwrap_err();
    assert_eq!(refusal.reason(), "ahead");
}

#[test]
fn the_check_of_the_url_gets_its_echostr_back_and_nobody_else_does() {
    let signed = plain_query();
    for mode in [Mode::Plain, Mode::Compatible, Mode::Safe] {
        let verify = |query: &str| envelope(mode).verify_url(&Query::parse(query), NOW);
        assert_eq!(
            verify(&format!("{signed}&echostr=4375120948345356249")),
            Ok("4375120948345356249".into())
        );
        assert_eq!(verify(&format!("{signed}&echostr=a+b/=")), Ok("a+b/=".into()));
        assert_eq!(verify(&signed), Err(Refusal::NoEchostr));
        let wrong = signed.replace("nonce=x", "nonce=y") + "&echostr=1";
        assert_eq!(verify(&wrong), Err(Refusal::WrongSignature("signature")));
        for name in ["signature", "timestamp", "nonce"] {
            let without =
                (signed.clone() + "&echostr=1").replace(&format!("{name}="), &format!("{name}=&x="));
            assert_eq!(verify(&without), Err(Refusal::Unsigned(name)));
        }
    }
}

#[test]
fn an_encrypted_check_of_the_url_is_answered_with_what_was_encrypted() {
    let text = encrypted(KEY, "4375120948345356249", APPID);
    let msg_signature = signature(&mut [TOKEN, TIME, "n", &text]);
    let query = format!(
        "encrypt_type=aes&msg_signature={msg_signature}&timestamp={TIME}&nonce=n&echostr={}",
        text.replace('+', "%2B")
    );
    let verify = |query: &str| envelope(Mode::Safe).verify_url(&Query::parse(query), NOW);
    assert_eq!(verify(&query), Ok("4375120948345356249".into()));
    assert_eq!(verify(&query.replace("nonce=n", "nonce=m")), Err(Refusal::WrongSignature("msg_signature")));
    assert_eq!(verify(&query.replace("echostr", "echo")), Err(Refusal::NoEchostr));
}

#[test]
fn a_body_too_large_for_its_kind_is_refused() {
    let huge = vec![b'<'; MAX_BODY + 1];
    let (query, body) = push(&encrypted(KEY, &"x".repeat(MAX_TEXT + 1), APPID), Format::Xml);
    for (query, body) in [(&query, &huge), (&plain_query(), &huge), (&query, &body)] {
        let refusal = open(&envelope(Mode::Compatible), query, body).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::PAYLOAD_TOO_LARGE, "{refusal}");
    }
}

#[test]
fn settings_that_would_refuse_everything_or_nothing_are_refused() {
    let ok = || settings(Mode::Safe);
    let short: Option<Secret> = Some("short".into());
    for (settings, error) in [
        (Settings { token: "".into(), ..ok() }, KeyError::NoToken),
        (Settings { aes_key: None, ..ok() }, KeyError::NoKey),
        (Settings { aes_key: None, ..settings(Mode::Compatible) }, KeyError::NoKey),
        (Settings { receive_id: String::new(), ..ok() }, KeyError::NoReceiveId),
        (Settings { aes_key: short.clone(), ..ok() }, KeyError::Current(KeyFlaw::Length(5))),
        (Settings { previous_aes_key: short, ..ok() }, KeyError::Previous(KeyFlaw::Length(5))),
        (
            Settings { aes_key: None, previous_aes_key: Some(KEY.into()), ..settings(Mode::Plain) },
            KeyError::OnlyPrevious,
        ),
    ] {
        assert_eq!(Envelope::new(settings).err(), Some(error));
    }
}

#[test]
fn debug_shows_no_secret_and_no_message_key() {
    let envelope = envelope(Mode::Safe);
    let (query, body) = push(&encrypted(KEY, MESSAGE, APPID), Format::Xml);
    let opened = Opened { plain: Vec::new(), ..open(&envelope, &query, &body).unwrap() };
    let shown = format!("{envelope:?} {opened:?} {:?}", settings(Mode::Safe));
    for secret in [TOKEN, KEY, "69b71d79", "105, 183"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
