//! Requests before and after decryption. No fuzzer guesses a signature, so the first byte says how
//! deep the rest begins: a query and a body, a plain body that is signed for it, an `Encrypt`
//! that is signed for it, a frame that is encrypted too, or a message that is framed as well.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};
use zhongkong::services::messages::envelope::{
    Envelope, MAX_TEXT, Mode, Opened, Query, Refusal, Settings, Which,
};
use zhongkong::services::messages::fields::{Fields, Format};
use zhongkong_fuzz::{NOW, read_and_answer};

const TOKEN: &str = "pamtest";
const TIME: &str = "1409304348";
const APPID: &str = "wx1";
/// What WeChat's sample key, `abc…EFG`, decodes to.
const KEY: &str = "69b71d79f8218a39259a7a29aabb2dbafc31cb3d35db7e39ebbf3d0010831051";

static SAFE: LazyLock<Envelope> = LazyLock::new(|| envelope(TOKEN, Mode::Safe));
static COMPATIBLE: LazyLock<Envelope> = LazyLock::new(|| envelope(TOKEN, Mode::Compatible));
/// Nothing that is made here is signed for it.
static STRANGER: LazyLock<Envelope> = LazyLock::new(|| envelope("another", Mode::Compatible));

fn envelope(token: &str, mode: Mode) -> Envelope {
    Envelope::new(Settings {
        token: token.into(),
        aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into()),
        previous_aes_key: Some("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".into()),
        receive_id: APPID.to_owned(),
        mode,
        window: Duration::from_secs(600),
    })
    .expect("the settings are right")
}

fuzz_target!(|input: &[u8]| {
    let Some((way, rest)) = input.split_first() else { return };
    let format = if way & 8 == 0 { Format::Xml } else { Format::Json };
    match way % 8 {
        0 | 5.. => raw(rest),
        1 => plain(rest),
        2 => drop(signed(format, &String::from_utf8_lossy(rest))),
        3 => frame(format, rest),
        4 => message(format, rest),
    }
});

/// A request as it comes: a query, a line feed, a body.
fn raw(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(raw) = str::from_utf8(&input[..cut]) else { return };
    let (query, body) = (Query::parse(raw), &input[cut..]);
    for envelope in [&*SAFE, &*COMPATIBLE] {
        look(envelope.verify_url(&query, NOW).err());
        match envelope.open(&query, body, NOW) {
            Ok(opened) => read_and_answer(opened.format, &opened.plain),
            Err(refusal) => look(Some(refusal)),
        }
    }
    assert!(STRANGER.verify_url(&query, NOW).is_err() && STRANGER.open(&query, body, NOW).is_err());
}

/// A plain body: taken in compatible mode, never in safe mode.
fn plain(body: &[u8]) {
    let query = format!("signature={}&timestamp={TIME}&nonce=n", sign(&[TIME, "n"]));
    let query = Query::parse(&query);
    match (COMPATIBLE.open(&query, body, NOW), Format::of(body)) {
        (Ok(opened), Some(format)) => {
            assert!(opened.plain == body && opened.format == format && opened.key().is_none());
            assert_eq!(opened.seal("<xml/>", NOW), "<xml/>");
            read_and_answer(format, body);
        }
        (Ok(_), None) => panic!("opened, and neither XML nor JSON"),
        (Err(Refusal::TooLarge(_)), _) | (Err(_), None) => {}
        (Err(refusal), Some(_)) => panic!("{refusal}"),
    }
    assert!(matches!(SAFE.open(&query, body, NOW), Err(Refusal::Plain | Refusal::TooLarge(_))));
}

/// A body around this `Encrypt`, signed: it must be found, and only decryption may fail.
fn signed(format: Format, text: &str) -> Result<Opened, Refusal> {
    let sent: String = text.split_ascii_whitespace().collect();
    let right = sign(&[TIME, "n", &sent]);
    let query =
        |signature: &str| format!("timestamp={TIME}&nonce=n&encrypt_type=aes&msg_signature={signature}");
    let body = match format {
        Format::Xml => {
            let text = text.replace("]]>", "]]]]><![CDATA[>");
            format!("<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[{text}]]></Encrypt></xml>")
        }
        Format::Json => serde_json::json!({ "ToUserName": "x", "Encrypt": text }).to_string(),
    };
    let opened = SAFE.open(&Query::parse(&query(&right)), body.as_bytes(), NOW);
    match &opened {
        Ok(opened) => read_and_answer(opened.format, &opened.plain),
        Err(refusal) => {
            let decrypting = matches!(
                refusal,
                Refusal::NotEncrypted | Refusal::WrongKey | Refusal::Foreign(_) | Refusal::TooLarge(_)
            );
            assert!(decrypting || sent.is_empty(), "{refusal}");
            look(Some(refusal.clone()));
        }
    }
    let other = if right.starts_with('0') { '1' } else { '0' };
    let wrong = query(&format!("{other}{}", &right[1..]));
    let refusal = SAFE.open(&Query::parse(&wrong), body.as_bytes(), NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::WrongSignature(_)) || sent.is_empty(), "{refusal}");
    opened
}

/// A frame, right or not, encrypted and signed: the message comes out if it is right, nothing if not.
fn frame(format: Format, input: &[u8]) {
    let mut frame = input.to_vec();
    frame.resize(input.len().next_multiple_of(16), 0);
    let expected = unframe(&frame).map(<[u8]>::to_vec);
    match (signed(format, &encrypt(frame)), expected) {
        (Ok(opened), Some(expected)) => assert_eq!(opened.plain, expected),
        (Ok(_), None) => panic!("a broken frame was opened"),
        (Err(Refusal::TooLarge(_)), _) | (Err(_), None) => {}
        (Err(refusal), Some(_)) => panic!("{refusal}"),
    }
}

/// A message, well framed: it comes out, and a reply to it can be opened in its turn.
fn message(format: Format, message: &[u8]) {
    let length = u32::try_from(message.len()).expect("fuzzed inputs are short").to_be_bytes();
    let mut frame = [b"aaaabbbbccccdddd", &length[..], message, APPID.as_bytes()].concat();
    let padding = 32 - frame.len() % 32;
    frame.resize(frame.len() + padding, padding as u8);
    let opened = match signed(format, &encrypt(frame)) {
        Ok(opened) => opened,
        Err(Refusal::TooLarge(_)) if message.len() > MAX_TEXT => return,
        Err(refusal) => panic!("{refusal}"),
    };
    assert!(opened.plain == message && opened.format == format && opened.key() == Some(Which::Current));
    let reply = String::from_utf8_lossy(message);
    let sealed = opened.seal(&reply, NOW);
    if reply.is_empty() || reply == "success" {
        assert_eq!(sealed, reply);
        return;
    }
    let fields = Fields::parse(format, sealed.as_bytes()).expect("a sealed reply is well-formed");
    let [text, signature, time, nonce] =
        ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"].map(|name| fields.text(name).expect("it is there"));
    assert_eq!(signature, sign(&[time, nonce, text]));
    let mut bytes = STANDARD.decode(text).expect("base64");
    let (key, iv) = key();
    let (blocks, _) = aes::Block::slice_as_chunks_mut(&mut bytes);
    cbc::Decryptor::<Aes256>::new(&key.into(), &iv.into()).decrypt_blocks(blocks);
    assert_eq!(unframe(&bytes), Some(reply.as_bytes()));
    // The envelope itself opens what it has sealed, too.
    if reply.len() <= MAX_TEXT {
        assert_eq!(signed(format, text).expect("what is sealed is opened").plain, reply.as_bytes());
    }
}

/// The message in a frame, by the letter of WeChat's description.
fn unframe(frame: &[u8]) -> Option<&[u8]> {
    let padding = *frame.last()?;
    let (content, fill) = frame.split_at_checked(frame.len().checked_sub(padding.into())?)?;
    let right = (1..=32).contains(&padding) && fill.iter().all(|byte| *byte == padding);
    let (length, rest) = content.get(16..)?.split_first_chunk::<4>()?;
    let (message, receiver) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    (right && receiver == APPID.as_bytes()).then_some(message)
}

fn encrypt(mut frame: Vec<u8>) -> String {
    let (key, iv) = key();
    let (blocks, _) = aes::Block::slice_as_chunks_mut(&mut frame);
    cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into()).encrypt_blocks(blocks);
    STANDARD.encode(frame)
}

fn key() -> ([u8; 32], [u8; 16]) {
    let key: [u8; 32] = hex::decode(KEY).expect("digits").try_into().expect("32 bytes");
    (key, key[..16].try_into().expect("16 bytes"))
}

fn sign(parts: &[&str]) -> String {
    let mut parts = [&[TOKEN], parts].concat();
    parts.sort_unstable();
    hex::encode(Sha1::digest(parts.concat()))
}

fn look(refusal: Option<Refusal>) {
    let Some(refusal) = refusal else { return };
    assert!(refusal.status().is_client_error() && !refusal.reason().is_empty());
    assert!(!refusal.to_string().contains(TOKEN));
}
