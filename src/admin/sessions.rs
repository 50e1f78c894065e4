//! Who is signed in, in which browser.
//!
//! A session is a random 256-bit id in a cookie; the daemon keeps its SHA-256, the caller, a
//! token for its forms, and what it is to be told. Sessions end after [`LONGEST`], after
//! [`IDLE`] without a request, at a sign-out, with the process, and as soon as the gate does
//! not admit the caller any more (a reload, `not_after`): it is asked at every look. Their
//! number is bounded; the one that was idle longest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::access::{Caller, Gate, Origin};
use crate::clock::{BootTime, Clock};
use crate::secret::Secret;

/// A working day.
const LONGEST: Duration = Duration::from_hours(8);
/// A lunch.
const IDLE: Duration = Duration::from_mins(30);
/// Far more people than operate one daemon.
const MOST: usize = 256;
/// What a session is told at most; older notices go.
const NOTICES: usize = 4;
/// How long a notice stays on the page.
const NOTICE: Duration = Duration::from_mins(2);

/// The hash of a session's id: what the daemon knows it by.
pub(super) type SessionKey = [u8; 32];

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sessions {
    open: Arc<Mutex<HashMap<SessionKey, Session>>>,
    gate: Gate,
    clock: Clock,
}

struct Session {
    caller: Caller,
    form_token: String,
    began: BootTime,
    used: BootTime,
    notices: VecDeque<Notice>,
    told: u64,
}

/// A signed-in browser, at the moment of a request.
#[derive(Clone)]
pub(super) struct SignedIn {
    pub(super) key: SessionKey,
    pub(super) caller: Caller,
    /// What every form of this session carries.
    pub(super) form_token: String,
}

/// What a session's owner is told about an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Notice {
    pub(super) number: u64,
    /// `good`, `bad` or `info`.
    pub(super) tone: &'static str,
    /// Which credential.
    pub(super) about: String,
    pub(super) text: String,
    /// What to do.
    pub(super) hint: String,
    #[serde(skip)]
    at: BootTime,
}

impl Notice {
    pub(super) fn new(tone: &'static str, about: String, text: String, hint: String) -> Self {
        Self { number: 0, tone, about, text, hint, at: BootTime(0) }
    }
}

/// Why a session is looked up: only what a person does keeps it from idling out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A person asked for something.
    Use,
    /// An open page is kept current.
    Watch,
}

impl Sessions {
    pub(super) fn new(gate: Gate, clock: Clock) -> Self {
        Self { open: Arc::default(), gate, clock }
    }

    /// Opens a session for a caller whom the gate has just admitted; its id is for the cookie.
    pub(super) fn open(&self, caller: Caller) -> Secret {
        let id = random();
        let now = self.clock.boot();
        let mut open = self.lock();
        open.retain(|_, session| session.lives(now));
        if open.len() >= MOST {
            let idlest = open.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            idlest.and_then(|key| open.remove(&key));
        }
        let notices = VecDeque::new();
        let session = Session { caller, form_token: random(), began: now, used: now, notices, told: 0 };
        open.insert(key_of(&id), session);
        Secret::from(id)
    }

    /// The session with this id, if it lives and the gate still knows its caller.
    pub(super) fn find(&self, id: &str, look: Look) -> Option<SignedIn> {
        self.look_up(key_of(id), look)
    }

    /// The same by the key of a session that was found before.
    pub(super) fn look_up(&self, key: SessionKey, look: Look) -> Option<SignedIn> {
        let now = self.clock.boot();
        let mut open = self.lock();
        let session = open.get_mut(&key)?;
        let admitted = if session.lives(now) { self.gate.recheck(&session.caller).ok() } else { None };
        let Some(caller) = admitted else {
            open.remove(&key);
            return None;
        };
        // With the grants that the client has now.
        session.caller = caller.clone();
        match look {
            Look::Use => session.used = now,
            Look::Watch => {}
        }
        Some(SignedIn { key, caller, form_token: session.form_token.clone() })
    }

    /// Ends a session.
    pub(super) fn close(&self, key: SessionKey) {
        self.lock().remove(&key);
    }

    /// Tells a session's owner something, if it still is one.
    pub(super) fn tell(&self, key: SessionKey, notice: Notice) {
        let now = self.clock.boot();
        if let Some(session) = self.lock().get_mut(&key) {
            session.told += 1;
            // What was said of the same credential before is out of date.
            session.notices.retain(|old| old.about != notice.about);
            session.notices.push_back(Notice { number: session.told, at: now, ..notice });
            if session.notices.len() > NOTICES {
                session.notices.pop_front();
            }
        }
    }

    /// What there is to tell now, newest first.
    pub(super) fn notices(&self, key: SessionKey) -> Vec<Notice> {
        let now = self.clock.boot();
        let open = self.lock();
        let Some(session) = open.get(&key) else { return Vec::new() };
        session.notices.iter().rev().filter(|notice| now.since(notice.at) < NOTICE).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn lives(&self, now: BootTime) -> bool {
        now.since(self.began) < LONGEST && now.since(self.used) < IDLE
    }
}

impl SignedIn {
    /// The same, asking from there.
    pub(super) fn calling_from(self, origin: Origin) -> Self {
        Self { caller: self.caller.from_origin(origin), ..self }
    }

    /// Whether a form came from a page of this session.
    pub(super) fn made(&self, form_token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
    }
}

fn key_of(id: &str) -> SessionKey {
    Sha256::digest(id.as_bytes()).into()
}

/// 256 bits from a generator that the operating system seeds, as text.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
