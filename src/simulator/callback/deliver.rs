//! The sender: verification and pushes as WeChat delivers them, and what comes of them.
//!
//! WeChat waits five seconds, closes the connection and sends again, three times in all: the same
//! message with a fresh query. So does this; an answer that is not 200 counts as none (WeChat's
//! documentation does not say). Time is tokio's, counted from the wall time at which the sender was
//! made, so that a test's clock moves both.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use url::Url;

use super::compose::Push;
use super::crypt::{Crypt, CryptError};
use super::fault::{Fault, Owes};
use super::flaw::Flaw;
use super::http::{HttpError, RawAnswer, exchange};
use super::identity::{Identity, Mode};
use super::judge::{Asked, Shown};
use super::request::{Request, Writer};

/// How long WeChat waits for an answer.
pub const WAIT: Duration = Duration::from_secs(5);
/// How often WeChat sends one message.
pub const ATTEMPTS: usize = 3;

/// Why nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    /// It is none, or of another scheme.
    #[error("{0:?} is no address of a callback; it is written http://HOST/PATH or https://HOST/PATH")]
    Url(String),
    /// The mode needs a key.
    #[error("{} mode needs the account's EncodingAESKey", .0.as_str())]
    NoKey(Mode),
    /// The key is none.
    #[error(transparent)]
    Key(#[from] CryptError),
}

/// WeChat, as far as one callback of one account is concerned.
#[derive(Clone)]
pub struct Sender {
    url: Url,
    identity: Identity,
    crypt: Option<Crypt>,
    wait: Duration,
    attempts: usize,
    epoch: Duration,
    started: Instant,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Sender");
        out.field("url", &self.url.as_str()).field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was sent.
    pub request: Request,
    /// From the connection to the answer or the end.
    pub took: Duration,
    /// What came.
    pub ending: Ending,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a whole answer, right or wrong.
    Answered(RawAnswer),
    /// WeChat gave up waiting.
    Silent,
    /// The callback ended the connection.
    Broken(String),
    /// There was no connection.
    Unreachable(String),
}

/// What came of a push.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message, as text, before any encryption.
    pub message: String,
    /// All attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// What the user sees.
    pub shown: Shown,
    /// Of a spoilt push: whether the callback bore it.
    pub trial: Option<Trial>,
}

/// Whether a callback bore a spoilt push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It did; says how.
    Withstood(String),
    /// It did not; says what it should have done.
    Fell(String),
}

/// What came of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The one attempt.
    pub attempt: Attempt,
    /// Whether the console would take the callback.
    pub result: Result<(), Flaw>,
    /// Of a spoilt verification: whether the callback bore it.
    pub trial: Option<Trial>,
}

impl Sender {
    /// A sender to this address, with WeChat's times and the present wall time.
    pub fn new(url: &str, identity: Identity) -> Result<Self, SenderError> {
        let address: Url = url.parse().map_err(|_| SenderError::Url(url.to_owned()))?;
        if !["http", "https"].contains(&address.scheme()) {
            return Err(SenderError::Url(url.to_owned()));
        }
        let crypt = match (identity.mode, &identity.aes_key) {
            (Mode::Plain, _) => None,
            (mode @ (Mode::Compatible | Mode::Safe), None) => return Err(SenderError::NoKey(mode)),
            (Mode::Compatible | Mode::Safe, Some(key)) => Some(Crypt::new(key)?),
        };
        let epoch = jiff::Timestamp::now().as_duration().unsigned_abs();
        let started = Instant::now();
        Ok(Self { url: address, identity, crypt, wait: WAIT, attempts: ATTEMPTS, epoch, started })
    }

    /// Waits so long for each answer.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Sends so often; at least once.
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        Self { attempts: attempts.max(1), ..self }
    }

    /// As if it were now so long after 1970.
    #[must_use]
    pub fn at(self, epoch: Duration) -> Self {
        Self { epoch, started: Instant::now(), ..self }
    }

    fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    fn writer(&self) -> Writer<'_> {
        Writer { url: &self.url, identity: &self.identity, crypt: self.crypt.as_ref() }
    }

    /// Asks as the console does when the URL is saved.
    pub async fn verify(&self) -> Verification {
        self.verify_spoilt(None).await
    }

    /// The same with a query that a forger might send.
    pub async fn verify_spoilt(&self, fault: Option<Fault>) -> Verification {
        let (request, echo) = self.writer().verification(self.now(), fault);
        let attempt = self.attempt(request).await;
        let result = match &attempt.ending {
            Ending::Answered(answer) if answer.status != 200 => Err(Flaw::Status(answer.status)),
            Ending::Answered(answer) if answer.body == echo.as_bytes() => Ok(()),
            Ending::Answered(answer) => {
                let found: String = String::from_utf8_lossy(&answer.body).chars().take(100).collect();
                Err(Flaw::Echo(format!("{found:?} instead of {echo:?}")))
            }
            other @ (Ending::Silent | Ending::Broken(_) | Ending::Unreachable(_)) => {
                Err(self.no_answer(other, 1))
            }
        };
        let owes = match fault {
            // All that can be wrong with a query without a body.
            Some(Fault::BadSignature | Fault::StaleTimestamp | Fault::MissingParameters) => Owes::Refusal,
            _ => Owes::AsUsual,
        };
        let trial = fault.map(|_| match &result {
            Ok(()) if owes == Owes::Refusal => {
                Trial::Fell("it echoed a forged request; it owes a 4xx".to_owned())
            }
            _ => bore(owes, &attempt.ending, &[]),
        });
        Verification { attempt, result, trial }
    }

    /// Delivers a message.
    pub async fn push(&self, push: &Push) -> Delivery {
        let push = push.complete(&self.identity.original_id, self.now());
        let message = push.text(self.identity.format);
        let attempts = match push.fault {
            None => self.send_until_answered(&push).await,
            Some(Fault::Replay) => {
                let first = self.attempt(self.writer().push(&push, self.now())).await;
                let again = self.attempt(first.request.clone()).await;
                vec![first, again]
            }
            Some(Fault::Duplicate) => {
                let requests = [(); 2].map(|()| self.writer().push(&push, self.now()));
                let [one, other] = requests.map(|request| self.attempt(request));
                let (one, other) = tokio::join!(one, other);
                vec![one, other]
            }
            Some(_) => vec![self.attempt(self.writer().push(&push, self.now())).await],
        };
        let asked = Asked { identity: &self.identity, crypt: self.crypt.as_ref(), message: push.fields() };
        let judged: Vec<Shown> = attempts
            .iter()
            .map(|attempt| match &attempt.ending {
                Ending::Answered(answer) => asked.judge(answer),
                other @ (Ending::Silent | Ending::Broken(_) | Ending::Unreachable(_)) => {
                    Shown::Failed(self.no_answer(other, attempts.len()))
                }
            })
            .collect();
        let trial = push.fault.and_then(|fault| {
            let last = attempts.last()?;
            Some(bore(fault.owes(self.identity.mode), &last.ending, &judged))
        });
        let shown = judged.into_iter().next_back().unwrap_or(Shown::Nothing);
        Delivery { message, attempts, shown, trial }
    }

    /// The attempts of an ordinary push: up to the first answer.
    async fn send_until_answered(&self, push: &Push) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        while attempts.len() < self.attempts {
            let attempt = self.attempt(self.writer().push(push, self.now())).await;
            let answered = matches!(&attempt.ending, Ending::Answered(answer) if answer.status == 200);
            attempts.push(attempt);
            if answered {
                break;
            }
        }
        attempts
    }

    async fn attempt(&self, request: Request) -> Attempt {
        let start = Instant::now();
        let ending = match timeout(self.wait, exchange(&request)).await {
            Ok(Ok(answer)) => Ending::Answered(answer),
            Ok(Err(error @ (HttpError::Connect(_) | HttpError::Tls(_)))) => {
                Ending::Unreachable(error.to_string())
            }
            Ok(Err(error @ (HttpError::Broken(_) | HttpError::NotHttp | HttpError::TooLong))) => {
                Ending::Broken(error.to_string())
            }
            Err(_) => Ending::Silent,
        };
        Attempt { request, took: start.elapsed(), ending }
    }

    fn no_answer(&self, ending: &Ending, attempts: usize) -> Flaw {
        match ending {
            Ending::Silent => Flaw::Silent(self.wait.as_secs_f64().to_string(), attempts),
            Ending::Broken(why) => Flaw::Broken(why.clone()),
            Ending::Unreachable(why) => Flaw::Unreachable(why.clone()),
            Ending::Answered(answer) => Flaw::Status(answer.status),
        }
    }
}

/// Whether the callback did what it owes.
fn bore(owes: Owes, ending: &Ending, judged: &[Shown]) -> Trial {
    let status = match ending {
        Ending::Answered(answer) => Some(answer.status),
        Ending::Silent | Ending::Broken(_) | Ending::Unreachable(_) => None,
    };
    if let Ending::Unreachable(why) = ending {
        return Trial::Fell(why.clone());
    }
    match (owes, status) {
        (_, Some(status @ 500..)) => {
            Trial::Fell(format!("it failed inside: HTTP {status}; it owes a 4xx or a 200"))
        }
        (Owes::Refusal | Owes::NoAnswer, Some(status @ 400..)) => {
            Trial::Withstood(format!("refused with HTTP {status}"))
        }
        (Owes::Refusal | Owes::NoAnswer, Some(status)) => {
            Trial::Fell(format!("it answered HTTP {status}; it owes a 4xx"))
        }
        (Owes::NoAnswer, None) => Trial::Withstood("it gave no answer".to_owned()),
        (Owes::Refusal | Owes::OneAnswer | Owes::AsUsual, None) => {
            Trial::Fell("it gave no answer, where a 4xx or a 200 is owed".to_owned())
        }
        (Owes::AsUsual, Some(status)) => {
            Trial::Withstood(format!("answered HTTP {status}; nothing else is owed to this in this mode"))
        }
        (Owes::OneAnswer, Some(_)) => one_answer(judged),
    }
}

/// Of two deliveries of one message, at most one may bring its own answer.
fn one_answer(judged: &[Shown]) -> Trial {
    let mut replies = judged.iter().filter_map(Shown::answer).map(|answer| {
        let mut fields = answer.fields.clone();
        // Written anew for each, perhaps.
        fields.remove("CreateTime");
        fields
    });
    let first = replies.next();
    let refused = |shown: &Shown| matches!(shown, Shown::Failed(Flaw::Status(400..500)));
    if let Some(flaw) = judged.iter().find(|shown| !refused(shown)).and_then(Shown::flaw) {
        Trial::Fell(flaw.to_string())
    } else if replies.all(|reply| Some(&reply) == first.as_ref()) {
        Trial::Withstood("both got the same answer, or one got none".to_owned())
    } else {
        Trial::Fell("the two got different answers: the message was handled twice".to_owned())
    }
}
