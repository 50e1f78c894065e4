//! The mailbox of a key's task: what callers ask, and how they get their answer.
//!
//! Equal asks collapse into one batch: ten thousand complaints about one value are one
//! question and share one answer, success or failure. What arrives while the task works
//! waits for the next look, so it is judged against what that work changed. A batch that
//! is dropped unanswered (the task panicked, or ended) tells its callers so; nobody can
//! wait for ever, and a caller that goes away changes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::clock::BootTime;
use crate::model::{ErrCode, Fingerprint};

use super::bell::{Bell, Ring};
use super::handle::{Answer, Force, NoValue, PauseError};

/// What a batch of callers asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The value with this fingerprint failed; `None`: there was none.
    Complaint(Option<Fingerprint>),
    /// Refresh without proof.
    Force(Force),
}

/// Callers with one question.
#[derive(Debug)]
pub(super) struct Batch {
    /// The question.
    pub(super) ask: Ask,
    /// What WeChat told the first of them.
    pub(super) errcode: ErrCode,
    reply: watch::Sender<Option<Arc<Result<Answer, NoValue>>>>,
}

impl Batch {
    /// How many callers wait. For logs.
    pub(super) fn callers(&self) -> usize {
        self.reply.receiver_count()
    }

    /// Answers all of them.
    pub(super) fn answer(self, answer: Result<Answer, NoValue>) {
        self.reply.send_replace(Some(Arc::new(answer)));
    }
}

/// A command with one caller.
#[derive(Debug)]
pub(super) enum Command {
    /// Pause until then.
    Pause(BootTime, oneshot::Sender<Result<(), PauseError>>),
    /// End a pause, and try again now if something failed.
    Resume(oneshot::Sender<Result<(), PauseError>>),
}

/// What waits in the mailbox.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// Questions.
    pub(super) batches: Vec<Batch>,
    /// Commands.
    pub(super) commands: Vec<Command>,
    closed: bool,
}

/// The mailbox.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
}

/// A place in a batch.
pub(super) struct Ticket(watch::Receiver<Option<Arc<Result<Answer, NoValue>>>>);

impl Mailbox {
    /// Joins the batch with this question, or begins it and rings.
    pub(super) fn ask(&self, ask: Ask, errcode: ErrCode, bell: &Bell) -> Result<Ticket, NoValue> {
        let ticket = {
            let mut mail = self.lock();
            if mail.closed {
                return Err(NoValue::Removed);
            }
            if let Some(batch) = mail.batches.iter().find(|batch| batch.ask == ask) {
                return Ok(Ticket(batch.reply.subscribe()));
            }
            let (reply, ticket) = watch::channel(None);
            mail.batches.push(Batch { ask, errcode, reply });
            Ticket(ticket)
        };
        bell.ring(Ring::Mail);
        Ok(ticket)
    }

    /// Posts a command and rings.
    pub(super) fn command(&self, command: Command, bell: &Bell) -> Result<(), NoValue> {
        {
            let mut mail = self.lock();
            if mail.closed {
                return Err(NoValue::Removed);
            }
            mail.commands.push(command);
        }
        bell.ring(Ring::Mail);
        Ok(())
    }

    /// Takes what waits.
    pub(super) fn take(&self) -> Mail {
        let mut mail = self.lock();
        let closed = mail.closed;
        std::mem::replace(&mut *mail, Mail { closed, ..Mail::default() })
    }

    /// Refuses mail from now on and drops what waits.
    pub(super) fn close(&self) {
        let waiting = {
            let mut mail = self.lock();
            std::mem::replace(&mut *mail, Mail { closed: true, ..Mail::default() })
        };
        // Outside of the lock: dropping a batch wakes its callers.
        drop(waiting);
    }

    /// Whether mail is refused: the key has ended, and calls WeChat no more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        // No code in a locked section can panic half-way through a change.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The batch's answer.
    pub(super) async fn answered(mut self) -> Result<Answer, NoValue> {
        match self.0.wait_for(Option::is_some).await {
            Ok(answer) => match answer.as_deref() {
                Some(answer) => answer.clone(),
                None => Err(dropped()),
            },
            Err(_) => Err(dropped()),
        }
    }
}

/// The task ended or panicked with the question in hand; it is restarted within a second.
fn dropped() -> NoValue {
    NoValue::Unavailable { retry_after: Duration::from_secs(1), problem: None }
}
