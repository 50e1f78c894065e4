//! A callback of the test's own: right, or wrong in one way.
//!
//! Its envelope is written here a third time, as short as can be, so that the sender is not judged
//! by itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zhongkong::simulator::callback::{Format, Identity, Mode};

/// The callback's Token.
pub(crate) const TOKEN: &str = "callbackt0ken";
/// Its EncodingAESKey: one whose last bits are not zero.
pub(crate) const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
/// The same in bytes.
const KEY: [u8; 32] = [
    0x69, 0xb7, 0x1d, 0x79, 0xf8, 0x21, 0x8a, 0x39, 0x25, 0x9a, 0x7a, 0x29, 0xaa, 0xbb, 0x2d, 0xba, 0xfc,
    0x31, 0xcb, 0x3d, 0x35, 0xdb, 0x7e, 0x39, 0xeb, 0xbf, 0x3d, 0x00, 0x10, 0x83, 0x10, 0x51,
];
/// Its appid.
pub(crate) const APPID: &str = "wx0123456789abcdef";

/// The account as WeChat has it.
pub(crate) fn identity(mode: Mode, format: Format) -> Identity {
    Identity {
        token: TOKEN.to_owned(),
        aes_key: Some(AES_KEY.to_owned()),
        appid: APPID.to_owned(),
        original_id: "gh_1".to_owned(),
        mode,
        format,
    }
}

/// A request as the callback saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: String,
}

impl Seen {
    /// A parameter of the query, empty where there is none.
    pub(crate) fn of(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The message, decrypted where it was encrypted; `None` where that is not possible.
    pub(crate) fn message(&self) -> Option<String> {
        if self.of("encrypt_type") != "aes" {
            return Some(self.body.clone());
        }
        let mut bytes = STANDARD.decode(self.encrypt()?).ok()?;
        let iv: [u8; 16] = KEY[..16].try_into().unwrap();
        let cipher = cbc::Decryptor::<aes::Aes256>::new(&KEY.into(), &iv.into());
        let full = cipher.decrypt_padded::<NoPadding>(&mut bytes).ok()?;
        let full = &full[..full.len().checked_sub(usize::from(*full.last()?))?];
        let length = u32::from_be_bytes(full.get(16..20)?.try_into().unwrap()) as usize;
        let (text, receive_id) = full.get(20..)?.split_at_checked(length)?;
        (receive_id == APPID.as_bytes()).then(|| String::from_utf8(text.to_vec()).unwrap())
    }

    fn encrypt(&self) -> Option<&str> {
        let (_, rest) =
            self.body.split_once("<Encrypt><![CDATA[").or(self.body.split_once("\"Encrypt\":\""))?;
        rest.split(['"', ']']).next()
    }

    /// Whether the query's signature is right, and the body's where it has one.
    pub(crate) fn signed(&self) -> bool {
        let mut parts = vec![TOKEN, self.of("timestamp"), self.of("nonce")];
        if self.of("encrypt_type") != "aes" {
            return self.of("signature") == signature(&parts);
        }
        parts.push(self.encrypt().unwrap_or_default());
        self.of("msg_signature") == signature(&parts)
    }

    /// The value of a field of the message, in whichever format.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.message()?, name)
    }
}

/// The value of a field, in whichever format.
pub(crate) fn field(message: &str, name: &str) -> Option<String> {
    if message.starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(message).ok()?;
        return json[name].as_str().map(str::to_owned).or(json.get(name).map(ToString::to_string));
    }
    let (_, rest) = message.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim_start_matches("<![CDATA[").trim_end_matches("]]>").to_owned())
}

/// SHA-1 of the sorted parts, in hex.
pub(crate) fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    hex::encode(Sha1::digest(parts.concat()))
}

/// A text reply to a message, in its format.
pub(crate) fn reply(to: &Seen, content: &str) -> String {
    let message = to.message().unwrap();
    let of = |name| field(&message, name).unwrap();
    let (user, account) = (of("FromUserName"), of("ToUserName"));
    if message.starts_with('{') {
        return serde_json::json!({
            "ToUserName": user, "FromUserName": account, "CreateTime": 1, "MsgType": "text", "Content": content,
        })
        .to_string();
    }
    format!(
        "<xml><ToUserName><![CDATA[{user}]]></ToUserName><FromUserName><![CDATA[{account}]]></FromUserName>\
         <CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{content}]]></Content></xml>"
    )
}

/// The reply as it must go out: encrypted where the message was.
pub(crate) fn sealed(to: &Seen, text: &str) -> String {
    sealed_for(to, text, APPID)
}

/// The same for any receive id.
pub(crate) fn sealed_for(to: &Seen, text: &str, receive_id: &str) -> String {
    if to.of("encrypt_type") != "aes" {
        return text.to_owned();
    }
    let mut full = b"0123456789abcdef".to_vec();
    full.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    full.extend(text.as_bytes());
    full.extend(receive_id.as_bytes());
    let pad = 32 - full.len() % 32;
    full.extend(vec![u8::try_from(pad).unwrap(); pad]);
    let iv: [u8; 16] = KEY[..16].try_into().unwrap();
    let length = full.len();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&KEY.into(), &iv.into());
    let encrypt = STANDARD.encode(cipher.encrypt_padded::<NoPadding>(&mut full, length).unwrap());
    let guarded = signature(&[TOKEN, "7", to.of("nonce"), &encrypt]);
    if to.body.starts_with('{') {
        let (nonce, time) = (to.of("nonce"), 7);
        return serde_json::json!({
            "Encrypt": encrypt, "MsgSignature": guarded, "TimeStamp": time, "Nonce": nonce,
        })
        .to_string();
    }
    format!(
        "<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt><MsgSignature><![CDATA[{guarded}]]></MsgSignature>\
         <TimeStamp>7</TimeStamp><Nonce><![CDATA[{}]]></Nonce></xml>",
        to.of("nonce")
    )
}

/// What a callback does with a request; `None` is no answer ever.
type Behaviour = dyn Fn(&Seen) -> Option<(StatusCode, String)> + Send + Sync;

/// A running callback; ends with its value.
pub(crate) struct Callback {
    /// Its address.
    pub(crate) url: String,
    seen: watch::Receiver<Vec<Seen>>,
    _tasks: JoinSet<()>,
}

impl Callback {
    /// Serves this behaviour on a free port.
    pub(crate) async fn start(
        behaviour: impl Fn(&Seen) -> Option<(StatusCode, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr: SocketAddr = listener.local_addr().unwrap();
        let (sender, seen) = watch::channel(Vec::new());
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let app = Router::new().fallback(
            move |method: Method, Query(query): Query<HashMap<String, String>>, body: Bytes| async move {
                let body = String::from_utf8(body.to_vec()).unwrap();
                let seen = Seen { method, query, body };
                let answer = behaviour(&seen);
                sender.send_modify(|all| all.push(seen));
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            },
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url: format!("http://{addr}/wechat/a"), seen, _tasks: tasks }
    }

    /// Answers each message with this text, sealed, and each verification with its echo.
    pub(crate) async fn echoing(content: &'static str) -> Self {
        Self::start(move |seen| Some((StatusCode::OK, right(seen, content)))).await
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests were seen.
    pub(crate) async fn wait(&self, at_least: usize) {
        self.seen.clone().wait_for(|all| all.len() >= at_least).await.unwrap();
    }
}

/// The right body for any good request.
pub(crate) fn right(seen: &Seen, content: &str) -> String {
    if seen.method == Method::GET {
        seen.of("echostr").to_owned()
    } else {
        sealed(seen, &reply(seen, content))
    }
}
