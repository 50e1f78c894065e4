//! What the message service's benches, and the test of its allocations, stand on: encrypted pushes
//! as WeChat writes them, a service that answers them, and the bare crypto that nobody can do
//! without.

#![allow(dead_code, reason = "each program uses its part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256, Block};
use anyhow::Context as _;
use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use futures_util::FutureExt as _;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;
use tokio::time::Instant;
use zhongkong::clock::Clock;
use zhongkong::secret::Secret;
use zhongkong::services::messages::account::Account;
use zhongkong::services::messages::desk::{self, Desk, LateSender, Sent};
use zhongkong::services::messages::dispatch::{Dispatcher, Mode};
use zhongkong::services::messages::door::{Callback, Door, Table};
use zhongkong::services::messages::envelope::{self, Envelope, Query};
use zhongkong::services::messages::fields::Fields;
use zhongkong::services::messages::handler::{Incoming, Trace};
use zhongkong::services::messages::log::{MessageLog, OpenIdPolicy};
use zhongkong::services::messages::message::Message;
use zhongkong::services::messages::reply::{self, Answer, Reply};
use zhongkong::services::messages::rules::{Beside, Rules};

pub(crate) const TOKEN: &str = "pamtest";
pub(crate) const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
pub(crate) const APPID: &str = "wxb11529c136998cb6";
/// Twenty rules, of which the last but one answers what the pushes say.
const RULES: usize = 20;

/// A push as it arrives.
pub(crate) struct Push {
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
}

/// Encrypts, decrypts and signs, and nothing more: no checks but the signature.
pub(crate) struct Bare {
    key: [u8; 32],
}

impl Bare {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
        let key = GeneralPurpose::new(&alphabet::STANDARD, config).decode(KEY)?;
        Ok(Self { key: key.try_into().ok().context("32 bytes")? })
    }

    /// A text message of a user, unlike all with another number, signed at this second.
    pub(crate) fn push(&self, number: u64, now: i64) -> Push {
        let text = format!(
            "<xml><ToUserName><![CDATA[gh_7f083739789a]]></ToUserName>\
             <FromUserName><![CDATA[oia2TjuEGTNoeX76QEjQNrcURxG8]]></FromUserName>\
             <CreateTime>{now}</CreateTime><MsgType><![CDATA[text]]></MsgType>\
             <Content><![CDATA[营业时间是几点到几点？]]></Content><MsgId>{}</MsgId></xml>",
            23_637_352_235_060_880 + number
        );
        let encrypt = self.encrypt(text.as_bytes());
        let (timestamp, nonce) = (now.to_string(), format!("{}", 1_000_000_000 + number));
        let signature = sign([TOKEN, &timestamp, &nonce, &encrypt]);
        let query = format!(
            "signature={signature}&timestamp={timestamp}&nonce={nonce}&openid=oia2TjuEGTNoeX76QEjQNrcURxG8\
             &encrypt_type=aes&msg_signature={signature}"
        );
        let body = format!(
            "<xml>\n    <ToUserName><![CDATA[gh_7f083739789a]]></ToUserName>\n    \
             <Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>\n"
        );
        Push { query, body: body.into_bytes() }
    }

    /// What a service must at least do: check, decrypt, encrypt a fixed reply, sign it.
    pub(crate) fn answer(&self, query: &str, body: &[u8]) -> Option<String> {
        let part = |name| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let (timestamp, nonce) = (part("timestamp")?, part("nonce")?);
        let body = str::from_utf8(body).ok()?;
        let (_, rest) = body.split_once("<Encrypt><![CDATA[")?;
        let (encrypt, _) = rest.split_once("]]>")?;
        if sign([TOKEN, timestamp, nonce, encrypt]) != part("msg_signature")? {
            return None;
        }
        let mut text = STANDARD.decode(encrypt).ok()?;
        let (blocks, _) = Block::slice_as_chunks_mut(&mut text);
        cbc::Decryptor::<Aes256>::new_from_slices(&self.key, &self.key[..16]).ok()?.decrypt_blocks(blocks);
        if text.get(20..24) != Some(b"<xml") {
            return None;
        }
        let reply = "<xml><ToUserName><![CDATA[oia2TjuEGTNoeX76QEjQNrcURxG8]]></ToUserName>\
                     <FromUserName><![CDATA[gh_7f083739789a]]></FromUserName><CreateTime>1700000000</CreateTime>\
                     <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[每天 9:00 到 21:00]]></Content></xml>";
        let encrypt = self.encrypt(reply.as_bytes());
        let signature = sign([TOKEN, timestamp, nonce, &encrypt]);
        Some(
            [
                "<xml>\n<Encrypt><![CDATA[",
                &encrypt,
                "]]></Encrypt>\n<MsgSignature><![CDATA[",
                &signature,
                "]]></MsgSignature>\n<TimeStamp>",
                timestamp,
                "</TimeStamp>\n<Nonce><![CDATA[",
                nonce,
                "]]></Nonce>\n</xml>",
            ]
            .concat(),
        )
    }

    fn encrypt(&self, text: &[u8]) -> String {
        let length = 20 + text.len() + APPID.len();
        let padding = 32 - length % 32;
        let mut buffer = Vec::with_capacity(length + padding);
        buffer.extend_from_slice(b"aaaabbbbccccdddd");
        buffer.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
        buffer.extend_from_slice(text);
        buffer.extend_from_slice(APPID.as_bytes());
        buffer.resize(length + padding, u8::try_from(padding).unwrap_or_default());
        let (blocks, _) = Block::slice_as_chunks_mut(&mut buffer);
        if let Ok(mut cipher) = cbc::Encryptor::<Aes256>::new_from_slices(&self.key, &self.key[..16]) {
            cipher.encrypt_blocks(blocks);
        }
        STANDARD.encode(&buffer)
    }
}

fn sign(mut parts: [&str; 4]) -> String {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// The service behind its listener: one account in safe mode, twenty rules.
pub(crate) struct Service {
    desk: Arc<Desk>,
    account: Arc<Account>,
    pub(crate) envelope: Envelope,
    callback: Callback,
    clock: Clock,
    _rules: TempDir,
}

impl Service {
    pub(crate) fn new(clock: &Clock) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("rules.toml");
        let mut text = String::new();
        for number in 0..RULES {
            let answers = number + 2 == RULES;
            let content =
                if answers { "营业时间".to_owned() } else { format!("第{number}个关键词") };
            write!(
                text,
                "[[rule]]\nname = \"r{number}\"\nwhen.type = \"text\"\nwhen.content = {{ contains = \"{content}\" }}\n\
                 reply.text = \"每天 9:00 到 21:00\"\n\n"
            )?;
        }
        std::fs::write(&path, text)?;
        let (rules, _watcher) = Rules::open(&path, BTreeMap::new(), Beside::default(), clock.clone())?;
        let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![Arc::new(rules)]);
        let desk = Arc::new(Desk::new(desk::Settings::default(), dispatcher, Arc::new(Never)));
        let account = Account { appid: APPID.parse()?, path: "shop".to_owned() };
        let callback = Callback {
            account: account.clone(),
            envelope: envelope::Settings {
                token: Secret::from(TOKEN),
                aes_key: Some(Secret::from(KEY)),
                previous_aes_key: None,
                receive_id: APPID.to_owned(),
                mode: envelope::Mode::Safe,
                window: std::time::Duration::from_mins(10),
            },
        };
        let envelope = Envelope::new(callback.envelope.clone())?;
        Ok(Self { desk, account: Arc::new(account), envelope, callback, clock: clock.clone(), _rules: dir })
    }

    /// A message from its body to that of its answer, as the door has it done.
    pub(crate) fn answer(&self, push: &Push) -> anyhow::Result<String> {
        let opened = self.envelope.open(&Query::parse(&push.query), &push.body, self.clock.wall())?;
        let message = Message::read(Fields::parse(opened.format, &opened.plain)?)?;
        let trace = Trace("0123456789abcdef".into());
        let incoming = Arc::new(Incoming { account: self.account.clone(), message, trace });
        let answering = self.desk.answer(incoming.clone(), Instant::now());
        let answered = answering.now_or_never().context("rules answer at once")??;
        let Answer::Reply(reply) = &*answered.answer else { anyhow::bail!("no rule answered") };
        let text = reply::passive(&incoming.message, reply, self.clock.wall(), opened.format)?;
        Ok(opened.seal(&text, self.clock.wall()))
    }

    pub(crate) fn door(&self, clock: &Clock) -> anyhow::Result<Arc<Door>> {
        let table = Table::new(vec![self.callback.clone()])?;
        let log = MessageLog::without_file(OpenIdPolicy::Hash, clock.clone());
        Ok(Arc::new(Door::new(table, self.desk.clone(), log, clock.clone())))
    }
}

/// Rules answer at once, so nothing is ever late.
struct Never;

#[async_trait]
impl LateSender for Never {
    async fn send(&self, _: &Incoming, _: &Reply, _: Option<&str>) -> Sent {
        Err("nothing is sent late here".into())
    }
}
