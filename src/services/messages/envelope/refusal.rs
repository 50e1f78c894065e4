//! Why a request is refused: what WeChat is answered, what is counted, what the log says.
//!
//! A sentence is for the administrator and says what to do. It has no secret in it, nothing of a
//! message, and of what strangers sent only what a log can bear. They are told the status only.

use http::StatusCode;

use super::crypt::CryptError;
use super::outer::OuterError;
use super::query::Flaw;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A part of the signature is missing: a stranger, or a proxy that cuts queries.
    #[error("the request has no {0}: it is not WeChat's, or a proxy has cut its query off")]
    Unsigned(&'static str),
    /// The parameter is no signature of this request.
    #[error("the {0} is wrong: the request is not WeChat's, or the Token here is not the console's")]
    WrongSignature(&'static str),
    /// A parameter that cannot be what WeChat sends.
    #[error("{0} in the query {1}")]
    Parameter(&'static str, Flaw),
    /// The signed timestamp is no time.
    #[error("timestamp in the query is not a number of seconds")]
    NoTime,
    /// It was signed so many seconds ago.
    #[error("the request was signed {0} s ago: it is a replay, or the clock of this machine is wrong")]
    Stale(u64),
    /// It was signed so many seconds from now.
    #[error("the request was signed {0} s in the future: the clock of this machine is wrong")]
    Ahead(u64),
    /// `encrypt_type` is neither `aes` nor `raw`.
    #[error("encrypt_type in the query is neither aes nor raw")]
    EncryptType,
    /// A check of the URL without what it wants back.
    #[error("the request has no echostr to send back")]
    NoEchostr,
    /// The account takes encrypted messages only.
    #[error(
        "the message is not encrypted, and the account's mode here is safe: \
         choose safe mode in the console, or mode = \"compatible\" here while that is being changed"
    )]
    Plain,
    /// An encrypted request to an account that has no key.
    #[error("the message is encrypted, and the account has no EncodingAESKey here: give it one")]
    NoKey,
    /// More bytes than [`MAX_BODY`](super::MAX_BODY) or, not encrypted, [`MAX_TEXT`](super::MAX_TEXT).
    #[error("the body has {0} bytes, more than any message of WeChat")]
    TooLarge(usize),
    /// The body has not the form that WeChat uses.
    #[error(transparent)]
    Body(#[from] OuterError),
    /// The signature is right, and what it signs is not encrypted.
    #[error("the Encrypt of the message is not base64 of whole AES blocks, though its signature is right")]
    NotEncrypted,
    /// The signature is right, and no key opens the message.
    #[error(
        "the message does not decrypt, though its signature is right: \
         the EncodingAESKey here is probably not the console's"
    )]
    WrongKey,
    /// The message decrypts and is for another account, named if its id looks like one.
    #[error("the message is for {}: the URL in that account's console, or receive_id here, is wrong", .0.as_deref().unwrap_or("another account"))]
    Foreign(Option<Box<str>>),
    /// The decrypted answer to a check of the URL is not UTF-8.
    #[error("the decrypted echostr is not text")]
    NoText,
}

impl Refusal {
    /// What the sender is answered. WeChat takes all but 200 for a failure.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unsigned(_)
            | Self::WrongSignature(_)
            | Self::Stale(_)
            | Self::Ahead(_)
            | Self::Plain
            | Self::Foreign(_) => StatusCode::FORBIDDEN,
            Self::Parameter(..)
            | Self::NoTime
            | Self::EncryptType
            | Self::NoEchostr
            | Self::Body(_)
            | Self::NotEncrypted
            | Self::WrongKey
            | Self::NoText => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            // The request is right; what is missing is on this side.
            Self::NoKey => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Its label in metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "unsigned",
            Self::WrongSignature(_) => "signature",
            Self::Parameter(..) => "parameter",
            Self::NoTime => "timestamp",
            Self::Stale(_) => "stale",
            Self::Ahead(_) => "ahead",
            Self::EncryptType => "encrypt_type",
            Self::NoEchostr => "echostr",
            Self::Plain => "plain",
            Self::NoKey => "no_key",
            Self::TooLarge(_) => "too_large",
            Self::Body(_) => "body",
            Self::NotEncrypted => "not_encrypted",
            Self::WrongKey => "wrong_key",
            Self::Foreign(_) => "foreign",
            Self::NoText => "no_text",
        }
    }
}

impl From<CryptError> for Refusal {
    fn from(error: CryptError) -> Self {
        match error {
            CryptError::Base64 | CryptError::Blocks => Self::NotEncrypted,
            CryptError::Padding | CryptError::Frame => Self::WrongKey,
            CryptError::Receiver(found) => Self::Foreign(found),
        }
    }
}
