//! Which of several instances runs a message's handler, agreed on in memcached.
//!
//! Under a message's name stands who works on it, for three seconds and renewed meanwhile, so that
//! the message of an instance that died is free for whoever has a retry of it; or that it is done,
//! for the replay window. The answer stands beside it for a minute. Each key is on one server,
//! chosen by the key, as the mirror's readers do it.
//!
//! It only ever helps: where memcached is silent, slow, empty or holds garbage, the instance goes
//! on from its own memory. A message may then be handled twice, never not at all.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::DedupKey;
use super::table::ANSWERS;
use super::wire::{Down, Item, Server, Store, Stored};
use crate::services::messages::reply::Answer;

/// How long a claim stands by itself, in memcached's whole seconds: two to three.
const LEASE: u32 = 3;
/// Between two renewals: two may fail.
const RENEWAL: Duration = Duration::from_millis(700);
/// How long a claim must have been gone: one that was flushed is renewed within this time, and its
/// owner lives. After an outage it first waits out its rest (see [`super::wire`]).
const GONE: Duration = Duration::from_secs(2);
/// Between two looks at another instance's work.
const LOOK: Duration = Duration::from_millis(50);
/// The longest that memcached takes for a span; a greater number is a date to it.
const LONGEST: u64 = 30 * 24 * 60 * 60;
/// Exchanges with the server to find out where one stands.
const TRIES: u8 = 4;

/// The instances' common memory.
#[derive(Debug)]
pub struct Shared {
    servers: Vec<Server>,
    /// This instance's claim: `working {owner}`.
    claim: String,
    /// What it leaves where it sends a late answer: `late {owner}`.
    late: String,
    /// How long is remembered that a message is done, in seconds.
    window: u32,
}

/// Whose message it is.
#[derive(Debug)]
pub(in super::super) enum Claim {
    /// Run its handler.
    Mine(Lease),
    /// Another instance gave this answer, unless it is forgotten already or went out late.
    Foreign(Option<Answer>),
}

/// The claim of this instance.
#[derive(Debug)]
pub(in super::super) struct Lease {
    shared: Arc<Shared>,
    key: DedupKey,
    standing: Standing,
}

/// How a message ended.
#[derive(Debug)]
pub(in super::super) enum Ending<'a> {
    /// So, in time.
    Answered(&'a Answer),
    /// By a late answer.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The claim is there, in this version.
    Held(u64),
    /// Nobody knows: memcached did not answer.
    Unsure,
    /// Another instance has it.
    Lost,
    /// Something is there that nobody understands; left alone.
    Alone,
}

/// What stands under a message's name.
enum Note {
    Mine,
    Others,
    Answered,
    Late,
    Garbage,
}

const ANSWERED: &str = "answered";
const WORKING: &str = "working ";
const LATE: &str = "late ";

impl Shared {
    /// Over these servers, `host:port` each; the same list in every instance. Each exchange is
    /// given up after `limit`; done messages are remembered for `window`. `None` without a server.
    pub fn new(servers: Vec<String>, limit: Duration, window: Duration) -> Option<Self> {
        if servers.is_empty() {
            return None;
        }
        let servers = servers.into_iter().map(|addr| Server::new(addr, limit)).collect();
        let window = u32::try_from(window.as_secs().clamp(1, LONGEST)).unwrap_or(u32::MAX);
        let owner = format!("{:016x}", rand::random::<u64>());
        let (claim, late) = (format!("{WORKING}{owner}"), format!("{LATE}{owner}"));
        Some(Self { servers, claim, late, window })
    }

    /// Claims a message. If another instance works on it, waits for what comes of that, at most
    /// this long, and takes over if it dies. Can be cancelled.
    pub(in super::super) async fn claim(self: &Arc<Self>, key: DedupKey, patience: Duration) -> Claim {
        let lease = |standing| Claim::Mine(Lease { shared: Arc::clone(self), key, standing });
        let (server, name) = (self.server(key), key.name());
        let begun = Instant::now();
        let mut others = false;
        let mut gone_since = None;
        let mut tries = 0;
        loop {
            let gone = gone_since.is_some_and(|since: Instant| since.elapsed() >= GONE);
            if !others || gone {
                match server.store(&name, self.claim.as_bytes(), LEASE, Store::Add).await {
                    Ok(Stored::Yes(cas)) => return lease(Standing::Held(cas)),
                    Err(Down) if !others => return lease(Standing::Unsure),
                    Ok(Stored::Other | Stored::Nothing) | Err(Down) => {}
                }
            }
            match server.read(&name).await {
                Ok(Some(item)) => match self.note(&item) {
                    // An `add` whose answer was lost.
                    Note::Mine => return lease(Standing::Held(item.cas)),
                    Note::Others => (others, gone_since) = (true, None),
                    Note::Answered => return Claim::Foreign(self.answer(key).await),
                    Note::Late => return Claim::Foreign(None),
                    Note::Garbage => {
                        server.holds_garbage();
                        return lease(Standing::Alone);
                    }
                },
                // Neither room nor an owner, again and again: no server that works.
                Ok(None) if !others && tries >= TRIES => return lease(Standing::Unsure),
                Ok(None) => {
                    tries = tries.saturating_add(1);
                    gone_since.get_or_insert_with(Instant::now);
                }
                Err(Down) if !others => return lease(Standing::Unsure),
                // The other one lives as far as anybody knows.
                Err(Down) => gone_since = None,
            }
            if begun.elapsed() >= patience {
                return Claim::Foreign(None);
            }
            sleep(LOOK).await;
        }
    }

    fn note(&self, item: &Item) -> Note {
        match std::str::from_utf8(&item.value) {
            Ok(note) if note == self.claim => Note::Mine,
            Ok(ANSWERED) => Note::Answered,
            Ok(note) if note.len() == self.late.len() && note.starts_with(LATE) => Note::Late,
            Ok(note) if note.len() == self.claim.len() && note.starts_with(WORKING) => Note::Others,
            Ok(_) | Err(_) => Note::Garbage,
        }
    }

    async fn answer(&self, key: DedupKey) -> Option<Answer> {
        let server = self.server(key);
        let item = server.read(&answer_name(key)).await.ok()??;
        let answer = serde_json::from_slice(&item.value);
        if answer.is_err() {
            server.holds_garbage();
        }
        answer.ok()
    }

    fn server(&self, key: DedupKey) -> &Server {
        let number = usize::from(u16::from_le_bytes([key.0[0], key.0[1]]));
        &self.servers[number % self.servers.len()]
    }
}

impl Lease {
    /// Renews the claim for as long as this is polled. Can be cancelled.
    pub(in super::super) async fn keep(&mut self) -> Infallible {
        loop {
            sleep(RENEWAL).await;
            let claim = self.shared.claim.clone();
            self.write(&claim, LEASE).await;
        }
    }

    /// Tells the others. Returns whether the message is still this instance's as far as anybody
    /// knows: if not, another one answers.
    pub(in super::super) async fn settle(&mut self, ending: Ending<'_>) -> bool {
        let note = match ending {
            Ending::Answered(answer) => {
                // Before the note: who reads that finds the answer.
                if let Ok(json) = serde_json::to_vec(answer)
                    && matches!(self.standing, Standing::Held(_) | Standing::Unsure)
                {
                    let ttl = u32::try_from(ANSWERS.as_secs()).unwrap_or(LEASE);
                    let server = self.shared.server(self.key);
                    let _ = server.store(&answer_name(self.key), &json, ttl, Store::Set).await;
                }
                ANSWERED.to_owned()
            }
            Ending::Late => self.shared.late.clone(),
        };
        self.write(&note, self.shared.window).await;
        self.standing != Standing::Lost
    }

    /// Puts a note in place of the own claim, or where nothing is.
    async fn write(&mut self, note: &str, ttl: u32) {
        let (server, name) = (self.shared.server(self.key), self.key.name());
        for _ in 0..TRIES {
            let how = match self.standing {
                Standing::Held(cas) => Store::Replace(cas),
                Standing::Unsure => Store::Add,
                Standing::Lost | Standing::Alone => return,
            };
            match server.store(&name, note.as_bytes(), ttl, how).await {
                Ok(Stored::Yes(cas)) => {
                    self.standing = Standing::Held(cas);
                    return;
                }
                // A flush, or an expiry while this process stood still.
                Ok(Stored::Nothing) => self.standing = Standing::Unsure,
                Ok(Stored::Other) => match server.read(&name).await {
                    // Done already: the exchange that said so was lost, and made once more.
                    Ok(Some(item)) if *note == *self.shared.late && item.value == note.as_bytes() => {
                        self.standing = Standing::Held(item.cas);
                        return;
                    }
                    Ok(Some(item)) => {
                        self.standing = match self.shared.note(&item) {
                            Note::Mine => Standing::Held(item.cas),
                            Note::Others | Note::Answered | Note::Late => Standing::Lost,
                            Note::Garbage => {
                                server.holds_garbage();
                                Standing::Alone
                            }
                        };
                    }
                    Ok(None) => self.standing = Standing::Unsure,
                    Err(Down) => {
                        self.standing = Standing::Unsure;
                        return;
                    }
                },
                Err(Down) => {
                    self.standing = Standing::Unsure;
                    return;
                }
            }
        }
    }
}

fn answer_name(key: DedupKey) -> String {
    format!("{}:answer", key.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_a_span_to_memcached_and_never_a_date() {
        let window = |window| {
            Shared::new(vec!["127.0.0.1:1".to_owned()], Duration::from_secs(1), window).unwrap().window
        };
        assert_eq!(window(Duration::from_millis(1)), 1, "0 would be for ever");
        assert_eq!(window(Duration::from_mins(20)), 1_200);
        assert_eq!(window(Duration::from_hours(9_999)), 2_592_000);
    }
}
