//! Requests before decryption. The first byte says how deep the rest begins, because no fuzzer
//! guesses a signature: the query and the body, an `Encrypt` that is signed for it, or a frame
//! that is encrypted and signed for it.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};
use zhongkong::clock::WallTime;
use zhongkong::services::messages::envelope::{Envelope, Mode, Query, Refusal, Settings};

const TOKEN: &str = "pamtest";
const NOW: WallTime = WallTime(1_409_304_348_000);
/// What WeChat's sample key, `abc…EFG`, decodes to.
const KEY: &str = "69b71d79f8218a39259a7a29aabb2dbafc31cb3d35db7e39ebbf3d0010831051";

static ENVELOPE: LazyLock<Envelope> = LazyLock::new(|| {
    Envelope::new(Settings {
        token: TOKEN.into(),
        aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into()),
        previous_aes_key: Some("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".into()),
        receive_id: "wx1".to_owned(),
        mode: Mode::Compatible,
        window: Duration::from_secs(600),
    })
    .expect("the settings are right")
});

fuzz_target!(|input: &[u8]| {
    let Some((way, rest)) = input.split_first() else { return };
    match way % 3 {
        0 => {
            let cut = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let Ok(raw) = str::from_utf8(&rest[..cut]) else { return };
            let query = Query::parse(raw);
            look(ENVELOPE.verify_url(&query, NOW).err());
            look(ENVELOPE.open(&query, &rest[cut..], NOW).err());
        }
        1 => signed(&String::from_utf8_lossy(rest)),
        _ => {
            let mut frame = rest.to_vec();
            frame.resize(rest.len().next_multiple_of(16), 0);
            let key: [u8; 32] = hex::decode(KEY).expect("digits").try_into().expect("32 bytes");
            let (blocks, _) = aes::Block::slice_as_chunks_mut(&mut frame);
            let iv = key[..16].try_into().expect("16 bytes");
            cbc::Encryptor::<aes::Aes256>::new(&key.into(), iv).encrypt_blocks(blocks);
            signed(&STANDARD.encode(frame));
        }
    }
});

fn signed(text: &str) {
    let mut parts = [TOKEN, "1409304348", "n", text];
    parts.sort_unstable();
    let signature = hex::encode(Sha1::digest(parts.concat()));
    let query = format!("timestamp=1409304348&nonce=n&encrypt_type=aes&msg_signature={signature}");
    let query = Query::parse(&query);
    let body = format!("<xml><Encrypt><![CDATA[{text}]]></Encrypt></xml>");
    match ENVELOPE.open(&query, body.as_bytes(), NOW) {
        Ok(opened) => {
            let sealed = opened.seal("<xml/>", NOW);
            assert!(sealed.starts_with("<xml>\n<Encrypt>") && !sealed.contains("<xml/>"));
        }
        Err(refusal) => look(Some(refusal)),
    }
}

fn look(refusal: Option<Refusal>) {
    let Some(refusal) = refusal else { return };
    assert!(refusal.status().is_client_error() && !refusal.reason().is_empty());
    assert!(!refusal.to_string().contains(TOKEN));
}
