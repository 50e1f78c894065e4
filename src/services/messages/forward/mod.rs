//! Hands messages to a business program in any language, and its answers back.
//!
//! A [`Forwarder`] POSTs a message as signed JSON (docs/forward.md) and reads the answer as a
//! reply. It guarantees one request for one message, a limit of time for the whole of it, a limit
//! of requests at once and of messages that wait for one, and that a program that is down costs
//! nothing: after some failures in a row it is left alone for seconds, and then tried with one
//! message.
//!
//! Deliberately absent: repeats (a lost answer may have done its work), redirects, proxies from
//! the environment, and a say in whether a plain-text address is allowed; the configuration has it.

mod answer;
mod body;
mod circuit;
mod failure;
mod sign;
mod wire;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::handler::{Handled, HandlerError, Incoming, MessageHandler};
use crate::clock::Clock;
use crate::secret::Secret;

use circuit::Breaker;
use failure::Failure;
use wire::Wire;

/// How many messages may wait for each place. They fail with the time limit anyway; this bounds
/// what they hold until then.
const WAITING_PER_PLACE: usize = 8;

/// A business program.
#[derive(Clone)]
pub struct Settings {
    /// Its name in the configuration, in rules and in logs.
    pub name: String,
    /// Where it takes messages: `http` or `https`, without a user or password.
    pub url: Url,
    /// What requests are signed with; without one they are not.
    pub secret: Option<Secret>,
    /// The limit of a message, its waiting for a place included. It may be longer than the
    /// answer's deadline: what comes later goes out as a customer-service message.
    pub timeout: Duration,
    /// The most requests at once. What comes on top waits, eight for each of them, no more.
    pub concurrency: usize,
}

/// Why a forwarder cannot be made. The settings must be changed.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Not an address of a program.
    #[error("the program's url must be http:// or https:// with a host")]
    Url,
    /// A password in an address ends up in logs.
    #[error("the program's url must be without user and password: requests are signed with its secret")]
    Credentials,
    /// Everybody knows it.
    #[error("the program's secret is empty")]
    Secret,
    /// Nothing could ever be answered.
    #[error("the program's timeout is zero")]
    Timeout,
    /// Nothing could ever be sent.
    #[error("the program's concurrency must be at least 1 and at most {}", MOST_PLACES)]
    Concurrency,
    /// The HTTP client, most often because no CA certificates are installed.
    #[error("the HTTPS client cannot be set up (is the package ca-certificates installed?)")]
    Client(#[source] reqwest::Error),
}

/// More connections than a process may usually have open.
const MOST_PLACES: usize = 65_536;

/// Forwards messages to one program.
#[derive(Debug)]
pub struct Forwarder {
    name: String,
    secret: Option<Secret>,
    timeout: Duration,
    concurrency: usize,
    clock: Clock,
    /// Who is being asked about or waits for it.
    line: Semaphore,
    places: Semaphore,
    breaker: Breaker,
    wire: Wire,
}

impl Forwarder {
    /// A forwarder with these settings. Opens no connection.
    ///
    /// # Errors
    /// The settings cannot be meant.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, ForwardError> {
        let Settings { name, url, secret, timeout, concurrency } = settings;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(ForwardError::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ForwardError::Credentials);
        }
        if secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err(ForwardError::Secret);
        }
        if timeout.is_zero() {
            return Err(ForwardError::Timeout);
        }
        if !(1..=MOST_PLACES).contains(&concurrency) {
            return Err(ForwardError::Concurrency);
        }
        let wire = Wire::new(url, timeout, concurrency).map_err(ForwardError::Client)?;
        Ok(Self {
            breaker: Breaker::new(name.clone(), clock.clone()),
            line: Semaphore::new(concurrency * (1 + WAITING_PER_PLACE)),
            places: Semaphore::new(concurrency),
            name,
            secret,
            timeout,
            concurrency,
            clock,
            wire,
        })
    }

    /// Asks the program. Dropped midway, it may have done its work.
    async fn ask(&self, incoming: &Incoming) -> Result<Handled, Failure> {
        let deadline = Instant::now() + self.timeout;
        self.breaker.look()?;
        let places = self.concurrency;
        let _in_line = self.line.try_acquire().map_err(|_| Failure::Crowded { places })?;
        let waited = Failure::Waited { places, timeout: self.timeout };
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            return Err(waited);
        };
        // It may have failed for those in front.
        let pass = self.breaker.enter()?;
        let body = body::of(incoming);
        let headers = sign::headers(incoming, self.secret.as_ref(), self.clock.wall(), &body);
        let answered = self.wire.post(headers, body, deadline).await;
        let read = answered.and_then(|answer| answer::read(&answer));
        pass.ended(read.as_ref().err());
        read
    }
}

/// Without the URL's query, which may carry a key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, secret, timeout, concurrency } = self;
        f.debug_struct("Settings")
            .field("name", name)
            .field("url", &&url[..Position::BeforeQuery])
            .field("secret", secret)
            .field("timeout", timeout)
            .field("concurrency", concurrency)
            .finish()
    }
}

#[async_trait]
impl MessageHandler for Forwarder {
    fn name(&self) -> &str {
        &self.name
    }

    /// Every message: who decides which ones it gets is before it.
    fn matches(&self, _: &Incoming) -> bool {
        true
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        self.ask(incoming).await.map_err(|failure| HandlerError {
            what: format!("the program {:?} {failure}", self.name),
            source: None,
        })
    }
}
