//! What a login came to, kept for whoever arrives a second time.
//!
//! A note is made before a code is spent, and by one instance of all: that is the claim. WeChat's
//! browsers ask for the callback twice now and then, and people go back; for a minute they get the
//! same answer, and for the rest of the state's life they are led home. Notes hold a session's id, so
//! they are sealed like everything in the store, and bound to browser and code.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::WallTime;

use super::page::Stopped;
use super::pending::BindingMark;

/// How long a second arrival gets the same answer. WeChat's come within seconds.
pub(super) const REPEATED: Duration = Duration::from_mins(1);
/// How long a claim is kept of an instance that never says what came of it. Longer than an arrival
/// can take.
pub(super) const CLAIMED: Duration = Duration::from_mins(1);

/// The mark of a code, which is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CodeMark([u8; 32]);

/// A note.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Note {
    /// The browser whose login it is.
    pub(super) browser: BindingMark,
    /// The code it brought.
    pub(super) code: CodeMark,
    /// Where the login was to return to.
    pub(super) home: String,
    /// Where one like it begins.
    pub(super) again: String,
    /// What came of it, and when, in milliseconds of the wall clock; `None` while it is worked on.
    pub(super) came: Option<(Ending, i64)>,
}

/// What a login came to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    /// Somebody is logged in: to this address with this session.
    In { location: String, session: String },
    /// The code was not good: to WeChat's page for another.
    Again { location: String },
    /// Nobody: to the page that says what a snapshot user is to do.
    Snapshot { location: String },
    /// It was over a while ago: to this address, with nothing.
    Back { location: String },
    /// It ended for good; one like it begins there.
    Stopped { why: Stopped, again: String },
}

impl CodeMark {
    pub(super) fn of(code: &str) -> Self {
        Self(Sha256::digest(code).into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Codes are short: their hashes could be tried.
impl fmt::Debug for CodeMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeMark(..)")
    }
}

impl Note {
    /// What a second arrival is told now; `None` while nothing has come of it.
    pub(super) fn told(&self, now: WallTime) -> Option<Ending> {
        let (ending, at) = self.came.as_ref()?;
        if now < later(WallTime(*at), REPEATED) {
            return Some(ending.clone());
        }
        Some(match ending {
            Ending::In { .. } => Ending::Back { location: self.home.clone() },
            Ending::Again { .. } => Ending::Back { location: self.again.clone() },
            Ending::Snapshot { .. } | Ending::Back { .. } | Ending::Stopped { .. } => ending.clone(),
        })
    }
}

impl Ending {
    /// For logs and metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::In { .. } => "logged_in",
            Self::Again { .. } => "asked_again",
            Self::Snapshot { .. } => "snapshot",
            Self::Back { .. } => "led_home",
            Self::Stopped { why: Stopped::Restarts, .. } => "restarts",
            Self::Stopped { why: Stopped::WeChat(_), .. } => "wechat",
            Self::Stopped { why: Stopped::Setup, .. } => "setup",
        }
    }
}

/// An address may carry an assertion, and a session is a secret.
impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// This much later.
pub(super) fn later(at: WallTime, span: Duration) -> WallTime {
    WallTime(at.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::oauth::pending::Binding;

    fn note(came: Ending) -> Note {
        let (home, again) = ("/home".to_owned(), "/oauth/shop/login?return_to=%2Fhome".to_owned());
        Note {
            browser: Binding::new().mark(),
            code: CodeMark::of("c"),
            home,
            again,
            came: Some((came, 1_000)),
        }
    }

    #[test]
    fn second_arrival_gets_the_same_for_a_minute_and_then_is_led_home_with_nothing() {
        let text = || "x".to_owned();
        let (within, after) = (WallTime(60_999), WallTime(61_000));
        let logged_in = Ending::In { location: text(), session: text() };
        let again = Ending::Again { location: text() };
        let cases = [
            (logged_in, Ending::Back { location: "/home".into() }),
            (again, Ending::Back { location: "/oauth/shop/login?return_to=%2Fhome".into() }),
            (Ending::Snapshot { location: text() }, Ending::Snapshot { location: text() }),
        ];
        for (came, later) in cases {
            assert_eq!(note(came.clone()).told(within), Some(came.clone()));
            assert_eq!(note(came).told(after), Some(later));
        }
        let working = Note { came: None, ..note(Ending::Back { location: text() }) };
        assert_eq!(working.told(after), None);
    }

    #[test]
    fn note_is_read_back_and_shows_no_session() {
        let came = Ending::In { location: "/x#zk_assertion=j.w.t".into(), session: "s3ss10n".into() };
        let shown = format!("{came:?} {:?}", CodeMark::of("c"));
        assert!(!shown.contains("s3ss10n") && !shown.contains("j.w.t"), "{shown}");
        let bytes = serde_json::to_vec(&note(came.clone())).unwrap();
        let back: Note = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(back.came, Some((came, 1_000)));
    }
}
