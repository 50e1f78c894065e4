//! What answers messages: the trait that rules, forwarding and Rust programs share.
//!
//! A handler runs once for a message, however often WeChat sends it, and may take longer than
//! WeChat waits: its answer then goes out as a customer-service message. It does not know which
//! of the two will happen. examples/bot.rs is a program with handlers of its own.

use std::sync::Arc;

use async_trait::async_trait;

use super::account::Account;
use super::message::Message;
use super::reply::Answer;

/// Names a message in every log line and to every program that it is handed to. It is the
/// request's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace(pub Arc<str>);

/// A message on its way to its answer.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Whose it is.
    pub account: Arc<Account>,
    /// What was sent.
    pub message: Message,
    /// Its name in logs.
    pub trace: Trace,
}

/// What a handler did with a message that it matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// This is the answer.
    Answer(Answer),
    /// This is the answer of a part of the handler, which logs are to name: `rules: hours`.
    AnswerOf(Answer, Arc<str>),
    /// It saw the message and leaves the answer to those behind it.
    Pass,
}

/// A handler failed. The message is acknowledged if nobody behind it answers.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct HandlerError {
    /// What failed, as a sentence for the log: lower case, no full stop, nothing secret.
    pub what: String,
    /// Why.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Answers messages.
#[async_trait]
pub trait MessageHandler: Send + Sync + 'static {
    /// Its name in logs.
    fn name(&self) -> &str;

    /// Whether the message is for it. Must not wait for anything.
    fn matches(&self, incoming: &Incoming) -> bool;

    /// Deals with a message that it matches.
    ///
    /// # Errors
    /// It could not. The error is logged, and those behind it are asked.
    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError>;

    /// Sees a message that it does not match. An answer counts only if no handler that matches
    /// has one; the first such answer is taken.
    ///
    /// # Errors
    /// As [`MessageHandler::handle`].
    async fn handle_not_match(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        let _ = incoming;
        Ok(Handled::Pass)
    }
}
