//! Answers that come too late for a reply, sent as customer-service messages.
//!
//! Guarantees that an answer goes to the sender of the message that it answers, in the name of
//! the account that it was sent to, and at most once: a call whose answer was lost is not made
//! again. Deliberately absent: a queue. What could not be sent is the caller's to log.

mod message;

use crate::services::wechat_api::{ApiError, WechatApi};

use super::handler::Incoming;
use super::reply::{Reply, ReplyError};

/// The endpoint of customer-service messages.
const SEND: &str = "/cgi-bin/message/custom/send";

/// Sends late answers.
#[derive(Clone, Debug)]
pub struct Late {
    api: WechatApi,
}

/// Why a late answer was not sent. Its source says more.
#[derive(Debug, thiserror::Error)]
pub enum LateError {
    /// There is no message that hands a user over.
    #[error(
        "a user can be handed over to human agents only in the five seconds after the message: let the rule or \
         the program that answers so be quicker"
    )]
    Transfer,
    /// WeChat would not take it.
    #[error("the late answer cannot be sent")]
    Reply(#[from] ReplyError),
    /// The call failed.
    #[error("the late answer was not sent, or nobody knows whether it was")]
    Api(#[from] ApiError),
}

impl Late {
    /// Sends with these calls.
    pub fn new(api: WechatApi) -> Self {
        Self { api }
    }

    /// Sends this answer to the sender of the message. Dropped midway, it may have been sent.
    ///
    /// # Errors
    /// It was not sent; after [`ApiError::Lost`] nobody knows.
    pub async fn send(&self, incoming: &Incoming, reply: &Reply) -> Result<(), LateError> {
        let body = message::of(incoming.message.from(), reply)?;
        self.api.post(&incoming.account.appid, SEND, &body).await?;
        Ok(())
    }
}
