//! What a callback can get wrong: what it was, what the user then sees, and what to do.

use super::crypt::CryptError;
use super::xml::XmlError;

/// What the user reads in WeChat when a callback failed.
pub const SCREEN: &str = "该公众号提供的服务出现故障，请稍后再试";

/// Why a push or a verification failed. `Display` is the sentence of why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Every attempt was still unanswered when WeChat gave it up.
    #[error("no answer within {0} s, {1} times")]
    Silent(String, usize),
    /// No connection.
    #[error("the callback cannot be reached: {0}")]
    Unreachable(String),
    /// The connection ended before a whole answer.
    #[error("there was no whole answer: {0}")]
    Broken(String),
    /// Not 200.
    #[error("the callback answered HTTP {0}")]
    Status(u16),
    /// The body is no text at all.
    #[error("the answer is not UTF-8")]
    Utf8,
    /// The answer to a verification is something else than the `echostr`.
    #[error("the answer is not the echostr to the byte: {0}")]
    Echo(String),
    /// A rule of XML.
    #[error("the answer is not XML that WeChat reads: {0}")]
    Xml(#[source] XmlError),
    /// A JSON callback answered something else.
    #[error("the answer is not a JSON object: {0}")]
    Json(String),
    /// A plain reply to an encrypted push in safe mode.
    #[error("the reply is not encrypted, and the account is in safe mode")]
    NotEncrypted,
    /// `MsgSignature` is wrong.
    #[error("the encrypted reply's MsgSignature is wrong")]
    Signature,
    /// What is in `Encrypt` cannot be read.
    #[error("the encrypted reply cannot be decrypted: {0}")]
    Crypt(#[source] CryptError),
    /// It is for another account.
    #[error("the encrypted reply ends with the receive id {found:?} instead of {right:?}")]
    ReceiveId {
        /// What stands there.
        found: String,
        /// What should.
        right: String,
    },
    /// `ToUserName` or `FromUserName` is not the request's other one.
    #[error("{field} of the reply is {found:?} and should be {right:?}: the two are not swapped")]
    NotSwapped {
        /// Which one.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        right: String,
    },
    /// An element that every reply of its type has.
    #[error("the reply has no {0}")]
    Missing(String),
    /// `CreateTime` is no number.
    #[error("CreateTime of the reply is {0:?} and should be Unix seconds")]
    CreateTime(String),
    /// `MsgType` is none that can be replied.
    #[error("{0:?} is no type of reply")]
    Kind(String),
    /// `Content` is empty.
    #[error("Content of the reply is empty: an empty text is not an empty answer")]
    EmptyText,
    /// More bytes than WeChat takes.
    #[error("Content of the reply has {0} bytes, and WeChat takes 2048")]
    TooLong(usize),
    /// `ArticleCount` and the articles disagree, or there is none.
    #[error("ArticleCount of the reply is {count:?}, and it has {articles} articles")]
    Articles {
        /// What it says.
        count: String,
        /// What is there.
        articles: usize,
    },
}

impl Flaw {
    /// What the user sees; nothing at all where WeChat does not notice.
    pub fn screen(&self) -> Option<&'static str> {
        match self {
            Self::NotSwapped { .. } | Self::Echo(_) => None,
            _ => Some(SCREEN),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Silent(..) => {
                "answer \"success\" within 5 s and send the reply later as a customer-service message; look for what \
                 is slow in the handler (a database, another service)"
            }
            Self::Unreachable(_) => {
                "does the callback run, and is this its address? WeChat itself calls only port 80 (http) and 443 \
                 (https)"
            }
            Self::Broken(_) => {
                "look into the callback's log: it closed the connection, or a proxy before it did"
            }
            Self::Status(status) => return status_advice(*status).to_owned(),
            Self::Utf8 => "send replies as UTF-8",
            Self::Echo(_) => {
                "answer a GET with the echostr of its query, without quotes, line end or template"
            }
            Self::Xml(XmlError::Declaration) => "send the reply without the line <?xml …?>",
            Self::Xml(XmlError::ByteOrderMark) => "send the reply without the byte order mark",
            Self::Xml(XmlError::Character(_)) => "remove control characters from the texts of replies",
            Self::Xml(_) => {
                "send the XML of a reply, or the 7 bytes success, or nothing; put texts in CDATA and split each ]]> in \
                 them"
            }
            Self::Json(_) => {
                "the account's data format is JSON: send replies as JSON, or set it to XML in the console"
            }
            Self::NotEncrypted => {
                "encrypt replies, or set the account to compatible or plain mode in the console"
            }
            Self::Signature => {
                "sign Token, TimeStamp, Nonce and Encrypt of the reply, sorted as text; does the Token have a space \
                 or a line end?"
            }
            Self::Crypt(_) => {
                "is the EncodingAESKey the same on both sides? The layout is 16 random bytes, the length in 4 bytes \
                 (big endian), the text, the appid, padded to 32 bytes"
            }
            Self::ReceiveId { .. } => "end the encrypted text with the appid with which the push ended",
            Self::NotSwapped { .. } => {
                "ToUserName of a reply is FromUserName of the message, and the other way round; the user sees nothing, \
                 and WeChat reports no fault"
            }
            Self::Missing(_) | Self::CreateTime(_) | Self::Kind(_) => {
                "compare with WeChat's page of passive replies: the names are case-sensitive"
            }
            Self::EmptyText => "answer success, or nothing at all, where there is nothing to say",
            Self::TooLong(_) => "cut the text, or send the rest as customer-service messages",
            Self::Articles { .. } => {
                "count the articles; a reply to a message may have one, to an event eight"
            }
        };
        text.to_owned()
    }
}

fn status_advice(status: u16) -> &'static str {
    match status {
        301 | 302 | 303 | 307 | 308 => "WeChat follows no redirect: give it the address at the end of it",
        400 => {
            "the callback did not understand the request: are mode and data format the same on both sides?"
        }
        401 | 403 => {
            "the callback refused: do Token, mode and appid (receive id) agree on both sides, and is its clock right? \
             Its log names the reason"
        }
        404 => "there is no callback at this path: is the account's path in the URL right?",
        405 => "the path takes no POST or no GET: a callback takes both",
        408 => "the callback gave the request up",
        411 | 413 => "the callback takes no body of this length: encrypted ones are some 300 KiB at most",
        415 => "the callback refuses this content type: WeChat sends text/xml, or application/json",
        429 => "the callback, or a proxy before it, limits the rate: let WeChat through",
        502..=504 => "a proxy before the callback cannot reach it in time: does it run?",
        500.. => "the callback failed inside: look into its log",
        _ => "answer 200, with success where there is nothing to say",
    }
}
