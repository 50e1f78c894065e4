//! Handlers by the name of what they answer: `event.SCAN`, `event`, `text`, `unsupported`.
//!
//! The most specific name is asked first, names of the same kind in the order in which they were
//! given. Who passes or fails leaves the message to the next less specific one; `unsupported` gets
//! what no name took, types that nobody knows included.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Dispatched, Seat};
use crate::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};

/// What nobody else took.
const UNSUPPORTED: &str = "unsupported";

/// Handlers by name; itself a handler.
#[derive(Debug, Default)]
pub struct Named {
    seats: Vec<(Name, Seat)>,
}

/// Collects handlers by name.
#[derive(Debug, Default)]
pub struct Builder {
    named: Named,
    wrong: Option<NameError>,
}

/// A name that can never be one of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no message is ever named {name:?}: write a type (`text`), `event`, an event (`event.SCAN`) or `unsupported`"
)]
pub struct NameError {
    /// What was given.
    pub name: String,
}

/// From the most to the least specific, the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Event(Box<str>),
    Type(Box<str>),
    Unsupported,
}

impl Named {
    /// Begins without a handler.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Asks those whose name the message has.
    pub async fn dispatch(&self, incoming: &Incoming) -> Dispatched {
        let mut round = Dispatched::default();
        for (name, seat) in &self.seats {
            if name.fits(incoming) {
                round.answer = seat.ask(incoming, &mut round).await;
                if round.answer.is_some() {
                    break;
                }
            }
        }
        round
    }
}

#[async_trait]
impl MessageHandler for Named {
    fn name(&self) -> &'static str {
        "named"
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        self.seats.iter().any(|(name, _)| name.fits(incoming))
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        let round = self.dispatch(incoming).await;
        Ok(round.answer.map_or(Handled::Pass, |(answer, by)| Handled::AnswerOf(answer, by)))
    }
}

impl Builder {
    /// Lets this handler answer what has this name, in any case of letters. A handler's own
    /// `matches` is asked, too; a function has none.
    #[must_use]
    pub fn on<Marker>(mut self, name: &str, handler: impl IntoHandler<Marker>) -> Self {
        match Name::parse(name) {
            Some(parsed) => {
                let handler = Renamed { name: name.into(), handler: handler.into_handler() };
                self.named.seats.push((parsed, Seat::new(Arc::new(handler))));
            }
            None => self.wrong = self.wrong.or(Some(NameError { name: name.to_owned() })),
        }
        self
    }

    /// All of them.
    ///
    /// # Errors
    /// A name is none; the first such one is told.
    pub fn build(mut self) -> Result<Named, NameError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        // Stable: the same kind stays in order.
        self.named.seats.sort_by_key(|(name, _)| name.rank());
        Ok(self.named)
    }
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        if name.eq_ignore_ascii_case(UNSUPPORTED) {
            return Some(Self::Unsupported);
        }
        match name.split_once('.') {
            None => Some(Self::Type(name.into())),
            Some((kind, event)) => {
                (kind.eq_ignore_ascii_case("event") && !event.is_empty()).then(|| Self::Event(event.into()))
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Event(_) => 0,
            Self::Type(_) => 1,
            Self::Unsupported => 2,
        }
    }

    fn fits(&self, incoming: &Incoming) -> bool {
        match self {
            Self::Event(name) => {
                incoming.message.event().is_some_and(|event| event.eq_ignore_ascii_case(name))
            }
            Self::Type(name) => incoming.message.msg_type().eq_ignore_ascii_case(name),
            Self::Unsupported => true,
        }
    }
}

/// A handler under the name that it was given here, which is what logs show.
struct Renamed {
    name: Box<str>,
    handler: Box<dyn MessageHandler>,
}

#[async_trait]
impl MessageHandler for Renamed {
    fn name(&self) -> &str {
        &self.name
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        self.handler.matches(incoming)
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        // Asked here, so that a panic of it is caught as one of the handling is.
        if self.handler.matches(incoming) { self.handler.handle(incoming).await } else { Ok(Handled::Pass) }
    }
}

/// What can answer under a name: a [`MessageHandler`], or an async function of `&Incoming`.
/// The marker tells the two apart and is never written.
pub trait IntoHandler<Marker> {
    /// As a handler.
    fn into_handler(self) -> Box<dyn MessageHandler>;
}

/// Marks a [`MessageHandler`].
#[derive(Debug)]
pub struct IsHandler;

/// Marks a function.
#[derive(Debug)]
pub struct IsFunction;

impl<H: MessageHandler> IntoHandler<IsHandler> for H {
    fn into_handler(self) -> Box<dyn MessageHandler> {
        Box::new(self)
    }
}

/// An async function that may borrow what it is asked. It exists because the bounds of `AsyncFn`
/// cannot say that its future is `Send`.
pub trait Asked<'a>: Fn(&'a Incoming) -> <Self as Asked<'a>>::Future {
    /// What it returns.
    type Future: Future<Output = Result<Handled, HandlerError>> + Send + 'a;
}

impl<'a, F, Fut> Asked<'a> for F
where
    F: Fn(&'a Incoming) -> Fut,
    Fut: Future<Output = Result<Handled, HandlerError>> + Send + 'a,
{
    type Future = Fut;
}

struct Function<F>(F);

#[async_trait]
impl<F: for<'a> Asked<'a> + Send + Sync + 'static> MessageHandler for Function<F> {
    fn name(&self) -> &'static str {
        "function"
    }

    fn matches(&self, _incoming: &Incoming) -> bool {
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        (self.0)(incoming).await
    }
}

impl<F: for<'a> Asked<'a> + Send + Sync + 'static> IntoHandler<IsFunction> for F {
    fn into_handler(self) -> Box<dyn MessageHandler> {
        Box::new(Function(self))
    }
}
