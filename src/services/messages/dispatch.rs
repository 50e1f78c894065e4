//! Who answers a message: handlers in order ([`Dispatcher`]), and by name ([`Named`]).
//!
//! A handler that fails or panics is logged here, and those behind it are asked: one broken
//! program does not silence the others. A handler that only watches ([`Handled::Pass`], or an own
//! `handle_not_match`) never ends the chain. There are no time limits here; the desk has them.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;

use super::handler::{Handled, HandlerError, Incoming, MessageHandler};
use super::reply::Answer;
use crate::telemetry::{ErrorTracker, Report, safe_text};

mod named;
#[cfg(test)]
mod tests;

pub use named::{Asked, Builder, IntoHandler, IsFunction, IsHandler, NameError, Named};

/// How many of the handlers that match are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In order, until one answers.
    #[default]
    FirstAnswers,
    /// All of them, in order; the first answer counts.
    AllSee,
}

/// Handlers in the order in which they are asked.
#[derive(Debug)]
pub struct Dispatcher {
    places: Vec<Place>,
    mode: Mode,
}

#[derive(Debug)]
enum Place {
    One(Seat),
    Names(Named),
}

/// What came of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// The answer, and the name of who gave it, if somebody did.
    pub answer: Option<(Answer, Arc<str>)>,
    /// How many handlers failed or panicked on the way.
    pub failures: u32,
}

/// A handler with what is known of it.
struct Seat {
    name: Arc<str>,
    handler: Arc<dyn MessageHandler>,
    trouble: Mutex<ErrorTracker>,
}

impl Dispatcher {
    /// Asks these handlers, in this order.
    pub fn new(mode: Mode, handlers: Vec<Arc<dyn MessageHandler>>) -> Self {
        Self { places: handlers.into_iter().map(|handler| Place::One(Seat::new(handler))).collect(), mode }
    }

    /// Asks these names behind the others.
    #[must_use]
    pub fn then(mut self, named: Named) -> Self {
        self.places.push(Place::Names(named));
        self
    }

    /// Asks for an answer.
    pub async fn dispatch(&self, incoming: &Incoming) -> Dispatched {
        let mut round = Dispatched::default();
        self.dispatch_into(incoming, &mut round).await;
        round
    }

    /// Asks for an answer, which is in `round` as soon as it is certain: with [`Mode::AllSee`] before
    /// those that merely see the message. Can be dropped midway.
    pub async fn dispatch_into(&self, incoming: &Incoming, round: &mut Dispatched) {
        // The answer of one that it is not for counts only if nobody else has one.
        let mut aside = None;
        for place in &self.places {
            let answer = match place {
                Place::Names(named) => {
                    let inner = named.dispatch(incoming).await;
                    round.failures += inner.failures;
                    inner.answer
                }
                Place::One(seat) => match seat.matches(incoming, round) {
                    Some(true) => seat.ask(incoming, round).await,
                    Some(false) => {
                        let answer = seat.show(incoming, round).await;
                        aside = aside.or(answer);
                        None
                    }
                    None => None,
                },
            };
            round.answer = round.answer.take().or(answer);
            if round.answer.is_some() && self.mode == Mode::FirstAnswers {
                break;
            }
        }
        round.answer = round.answer.take().or(aside);
    }
}

impl Seat {
    fn new(handler: Arc<dyn MessageHandler>) -> Self {
        Self { name: handler.name().into(), handler, trouble: Mutex::default() }
    }

    /// `None` if it panicked over the question.
    fn matches(&self, incoming: &Incoming, round: &mut Dispatched) -> Option<bool> {
        let matches = std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.matches(incoming)));
        matches.map_err(|panic| self.panicked(incoming, &*panic, round)).ok()
    }

    /// Lets it handle a message that it matches.
    async fn ask(&self, incoming: &Incoming, round: &mut Dispatched) -> Option<(Answer, Arc<str>)> {
        // Within the guard: a future that is built by hand may panic before it is one.
        let handled = async { self.handler.handle(incoming).await };
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        self.judge(incoming, handled, round)
    }

    /// Lets it see a message that it does not match.
    async fn show(&self, incoming: &Incoming, round: &mut Dispatched) -> Option<(Answer, Arc<str>)> {
        let handled = async { self.handler.handle_not_match(incoming).await };
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        self.judge(incoming, handled, round)
    }

    fn judge(
        &self,
        incoming: &Incoming,
        handled: Result<Result<Handled, HandlerError>, Box<dyn Any + Send>>,
        round: &mut Dispatched,
    ) -> Option<(Answer, Arc<str>)> {
        let handled = match handled {
            Ok(Ok(handled)) => handled,
            Ok(Err(error)) => {
                self.failed(incoming, &chain(&error), round);
                return None;
            }
            Err(panic) => {
                self.panicked(incoming, &*panic, round);
                return None;
            }
        };
        let report = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).succeeded();
        if let Report::Recovered(failures) = report {
            tracing::info!(
                handler = &*self.name,
                failures,
                "the handler recovered after {failures} failures"
            );
        }
        match handled {
            Handled::Answer(answer) => Some((answer, Arc::clone(&self.name))),
            Handled::AnswerOf(answer, part) => Some((answer, part)),
            Handled::Pass => None,
        }
    }

    fn failed(&self, incoming: &Incoming, error: &str, round: &mut Dispatched) {
        round.failures += 1;
        let (handler, trace) = (&*self.name, &*incoming.trace.0);
        match self.trouble.lock().unwrap_or_else(PoisonError::into_inner).failed() {
            Report::Warn(failures) => tracing::warn!(
                handler,
                trace,
                failures,
                error,
                "the handler {handler:?} failed, and those behind it are asked; after the third time in a row at debug: {error}",
            ),
            Report::Debug(failures) => {
                tracing::debug!(handler, trace, failures, error, "the handler {handler:?} failed: {error}");
            }
            Report::Recovered(_) | Report::Nothing => {}
        }
    }

    fn panicked(&self, incoming: &Incoming, panic: &(dyn Any + Send), round: &mut Dispatched) {
        round.failures += 1;
        let (handler, trace, text) = (&*self.name, &*incoming.trace.0, safe_text(panic));
        // Never quieter: each is a defect, and the panic itself is logged loudly anyway.
        tracing::warn!(
            handler,
            trace,
            text,
            "the handler {handler:?} panicked, and those behind it are asked; please report the panic that is logged before this: {text}",
        );
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.name).finish()
    }
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
