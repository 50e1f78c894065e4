//! Every token and ticket ever issued: whose it is and when it dies.
//!
//! A value dies at its end (42001) or earlier because something newer took its
//! place (40001); nothing prolongs it. The registry remembers the last
//! [`REMEMBERED`] values, so that a simulator may run for months; an older one
//! is answered like a value that never was.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How many values are remembered, dead ones included.
const REMEMBERED: usize = 1_000_000;

/// The four credentials of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The access token of `/cgi-bin/token`.
    Classic,
    /// The access token of `/cgi-bin/stable_token`.
    Stable,
    /// The ticket of type `jsapi`.
    JsapiTicket,
    /// The ticket of type `wx_card`.
    WxCardTicket,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Classic, Self::Stable, Self::JsapiTicket, Self::WxCardTicket];
}

/// What WeChat thinks of a presented value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Good.
    Alive,
    /// Something newer took its place before its end.
    Replaced,
    /// Its life is over.
    Expired,
    /// Never issued.
    Unknown,
}

/// One issued value.
pub(super) struct Record {
    pub(super) appid: Arc<str>,
    pub(super) kind: Kind,
    pub(super) expires_at: Instant,
    dies_at: Option<Instant>,
}

/// The registry.
#[derive(Default)]
pub(super) struct Values {
    records: HashMap<Arc<str>, Record>,
    order: VecDeque<Arc<str>>,
}

impl Values {
    /// Makes a value that is good until `expires_at`.
    pub(super) fn mint(&mut self, appid: &str, kind: Kind, len: usize, expires_at: Instant) -> Arc<str> {
        let value: Arc<str> = random_text(len.clamp(32, 512)).into();
        let record = Record { appid: appid.into(), kind, expires_at, dies_at: None };
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
        }
        self.order.push_back(Arc::clone(&value));
        self.records.insert(Arc::clone(&value), record);
        value
    }

    /// Lets a value die at this instant, unless it dies earlier anyway.
    pub(super) fn bury(&mut self, value: &str, at: Instant) {
        if let Some(record) = self.records.get_mut(value) {
            record.dies_at = Some(record.dies_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// What is known of a value.
    pub(super) fn record(&self, value: &str) -> Option<&Record> {
        self.records.get(value)
    }

    /// Whether a value is good now, and if not, why.
    pub(super) fn verdict(&self, value: &str, now: Instant) -> Verdict {
        match self.records.get(value) {
            None => Verdict::Unknown,
            Some(record) if now >= record.expires_at => Verdict::Expired,
            Some(record) if record.dies_at.is_some_and(|at| now >= at) => Verdict::Replaced,
            Some(_) => Verdict::Alive,
        }
    }

    /// Every remembered value.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(AsRef::as_ref)
    }
}

/// Random letters and digits, for everything that WeChat makes up.
pub(super) fn random_text(len: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(len).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn value_buried_twice_dies_at_the_earlier_instant() {
        // A token in its overlap that is then killed does not get the overlap back.
        let mut values = Values::default();
        let now = Instant::now();
        let end = now + Duration::from_secs(100);
        let value = values.mint("wx1", Kind::Classic, 40, end);
        values.bury(&value, now + Duration::from_secs(10));
        values.bury(&value, now + Duration::from_secs(30));
        assert_eq!(values.verdict(&value, now), Verdict::Alive);
        assert_eq!(values.verdict(&value, now + Duration::from_secs(10)), Verdict::Replaced);
        assert_eq!(values.verdict(&value, end), Verdict::Expired);
        assert_eq!(values.verdict("never", now), Verdict::Unknown);
    }
}
