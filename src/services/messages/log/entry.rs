//! What there is to note about a push. Borrowed, because it is noted on the way of an answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::account::Account;
use super::super::handler::Trace;
use super::super::message::Message;
use super::super::reply::{Answer, Reply};

/// A push whose signature was right.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The request's id.
    pub trace: &'a Trace,
    /// Whose it is.
    pub account: &'a Account,
    /// What was sent.
    pub message: &'a Message,
    /// Whether WeChat sent it before.
    pub delivery: Delivery,
    /// Who answered: a handler, and its rule if it has rules.
    pub handler: Option<&'a str>,
    /// What became of it.
    pub outcome: Outcome<'a>,
    /// From the request's arrival to now.
    pub took: Duration,
}

/// Whether WeChat sent a message before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As far as we know not.
    First,
    /// It did; the answer is the first one's.
    Repeat,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It was answered in time. `success` and nothing are `acknowledged` in the log.
    Answered(&'a Answer),
    /// Nobody answered, and it was acknowledged; why, if there is more to say than that no
    /// handler matched. A sentence without personal data, as that of a
    /// [`HandlerError`](super::super::handler::HandlerError).
    Acknowledged(Option<&'a str>),
    /// The deadline came first: it was acknowledged, and the answer will follow.
    Deferred,
    /// The answer followed as a customer-service message.
    Late(&'a Reply),
    /// The answer came late and could not be sent; why, without personal data.
    Lost(&'a str),
}

/// A push that was refused before anything of it was believed.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The request's id.
    pub trace: &'a Trace,
    /// To whom it was sent, if there is such an account.
    pub account: Option<&'a Arc<Account>>,
    /// The address that it came from, as far as the service knows.
    pub peer: Option<IpAddr>,
    /// Why, as one word.
    pub reason: &'static str,
    /// The HTTP status that it was answered with.
    pub status: u16,
}

impl Delivery {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Repeat => "repeat",
        }
    }
}

impl<'a> Outcome<'a> {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Answered(Answer::Reply(_)) => "answered",
            Self::Answered(Answer::Success | Answer::Empty) | Self::Acknowledged(_) => "acknowledged",
            Self::Deferred => "deferred",
            Self::Late(_) => "late",
            Self::Lost(_) => "lost",
        }
    }

    pub(super) fn reply(self) -> Option<&'a Reply> {
        match self {
            Self::Answered(Answer::Reply(reply)) | Self::Late(reply) => Some(reply),
            Self::Answered(Answer::Success | Answer::Empty)
            | Self::Acknowledged(_)
            | Self::Deferred
            | Self::Lost(_) => None,
        }
    }

    pub(super) fn reason(self) -> Option<&'a str> {
        match self {
            Self::Acknowledged(reason) => reason,
            Self::Lost(reason) => Some(reason),
            Self::Answered(_) | Self::Deferred | Self::Late(_) => None,
        }
    }
}
