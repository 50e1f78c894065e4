//! Access tokens: the classic line, the stable line, and what ends a token.
//!
//! The two lines of an account are isolated: nothing here lets one touch the
//! other. In each line at most two values are good: the last one, and for the
//! overlap the one before it. An overlap never prolongs a value past its own
//! end, the strictest reading of WeChat's page.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::errcode::Refusal;
use super::settings::DAY;
use super::state::{AccountState, State};
use super::values::{Kind, Values, Verdict};

/// The span of WeChat's per-minute limits.
const MINUTE: Duration = Duration::from_mins(1);

/// The last two values of one line.
#[derive(Default)]
pub(super) struct Line {
    pub(super) current: Option<Arc<str>>,
    previous: Option<Arc<str>>,
}

impl Line {
    /// Puts a new value in front: the last one has its overlap, the one before
    /// it is dead at once.
    fn roll(&mut self, values: &mut Values, new: Arc<str>, now: Instant, overlap: Duration) {
        if let Some(previous) = self.previous.take() {
            values.bury(&previous, now);
        }
        if let Some(current) = self.current.take() {
            values.bury(&current, now + overlap);
            self.previous = Some(current);
        }
        self.current = Some(new);
    }

    /// Ends all values of the line at once.
    fn cut(&mut self, values: &mut Values, now: Instant) {
        for value in [self.current.take(), self.previous.take()].into_iter().flatten() {
            values.bury(&value, now);
        }
    }
}

/// What a token or ticket call hands out.
pub(super) struct Handout {
    pub(super) value: Arc<str>,
    pub(super) expires_in: u64,
    pub(super) novelty: Novelty,
}

/// Whether a handed-out value is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Same,
}

/// What `force_refresh` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Normal,
    Forced,
}

impl State {
    /// A classic fetch: counted, always a new token.
    pub(super) fn fetch_classic(&mut self, appid: &str, now: Instant) -> Result<Handout, Refusal> {
        let age = self.age(now);
        let common = self.settings.limits.classic_daily;
        let account = self.account(appid).ok_or_else(|| Refusal::new(40013))?;
        let limit = account.classic_daily.unwrap_or(common);
        if account.classic_today.used(age, DAY) >= limit {
            return Err(Refusal::new(45009));
        }
        account.classic_today.add(age, DAY);
        Ok(self.issue(appid, Kind::Classic, now))
    }

    /// A stable fetch: counted; new when forced and allowed, or near the end.
    pub(super) fn fetch_stable(&mut self, appid: &str, wish: Wish, now: Instant) -> Result<Handout, Refusal> {
        let age = self.age(now);
        let limits = self.settings.limits.clone();
        let overlap = self.settings.overlap;
        let account = self.account(appid).ok_or_else(|| Refusal::new(40013))?;
        if account.stable_today.used(age, DAY) >= limits.stable_daily {
            return Err(Refusal::new(45009));
        }
        if account.stable_this_minute.used(age, MINUTE) >= limits.stable_per_minute {
            return Err(Refusal::new(45011));
        }
        account.stable_today.add(age, DAY);
        account.stable_this_minute.add(age, MINUTE);

        let spaced = account
            .last_forced
            .is_none_or(|last| now.saturating_duration_since(last) >= limits.forced_spacing);
        let allowed = spaced && account.forced_today.used(age, DAY) < limits.forced_daily;
        let current = account.stable.current.clone();
        match wish {
            Wish::Forced if allowed => {
                account.forced_today.add(age, DAY);
                account.last_forced = Some(now);
                Ok(self.replace_stable(appid, now))
            }
            // A forced call that is not allowed is a normal one, without a word.
            Wish::Forced | Wish::Normal => {
                let left = current.as_deref().map(|value| self.left(value, now));
                match (current, left) {
                    (Some(value), Some(left)) if left > overlap => {
                        Ok(Handout { value, expires_in: left.as_secs().max(1), novelty: Novelty::Same })
                    }
                    (_, _) => Ok(self.issue(appid, Kind::Stable, now)),
                }
            }
        }
    }

    /// A new stable token; every older one of the line is dead at once. This is
    /// what a forced refresh does, our caller's or a foreign one.
    fn replace_stable(&mut self, appid: &str, now: Instant) -> Handout {
        self.end_line(appid, Kind::Stable, now);
        self.issue(appid, Kind::Stable, now)
    }

    /// Mints the next token of a line and lets the last one have its overlap.
    fn issue(&mut self, appid: &str, kind: Kind, now: Instant) -> Handout {
        let life = self.settings.life;
        let overlap = self.settings.overlap;
        let value = self.values.mint(appid, kind, self.settings.token_len, now + life);
        self.with_line(appid, kind, |line, values| {
            line.roll(values, Arc::clone(&value), now, overlap);
        });
        Handout { value, expires_in: life.as_secs().max(1), novelty: Novelty::New }
    }

    fn end_line(&mut self, appid: &str, kind: Kind, now: Instant) {
        self.with_line(appid, kind, |line, values| line.cut(values, now));
    }

    fn with_line(&mut self, appid: &str, kind: Kind, work: impl FnOnce(&mut Line, &mut Values)) {
        let mut values = std::mem::take(&mut self.values);
        let account = self.account_or_new(appid);
        match kind {
            Kind::Classic => work(&mut account.classic, &mut values),
            Kind::Stable => work(&mut account.stable, &mut values),
            // Tickets have no line: their strings do not end one another.
            Kind::JsapiTicket | Kind::WxCardTicket => {}
        }
        self.values = values;
    }

    /// What is left of a value's own life, whether or not it was ended early.
    pub(super) fn left(&self, value: &str, now: Instant) -> Duration {
        self.values.record(value).map_or(Duration::ZERO, |r| r.expires_at.saturating_duration_since(now))
    }

    /// Checks an access token as every API does, and says whose it is.
    pub(super) fn check_token(&self, token: &str, now: Instant) -> Result<String, Refusal> {
        if token.is_empty() {
            return Err(Refusal::new(41001));
        }
        let code = match self.values.verdict(token, now) {
            Verdict::Alive => match self.values.record(token) {
                Some(record) if is_token(record.kind) => return Ok(record.appid.to_string()),
                // A ticket is no token.
                Some(_) | None => 40001,
            },
            Verdict::Replaced | Verdict::Unknown => 40001,
            Verdict::Expired => 42001,
        };
        Err(Refusal::new(code))
    }

    /// Ends an account's current value as a foreign program would.
    pub(super) fn kill(&mut self, appid: &str, kind: Kind, now: Instant) {
        match kind {
            // Two foreign fetches: neither of our last two is good any more.
            Kind::Classic => self.end_line(appid, kind, now),
            Kind::Stable => {
                self.replace_stable(appid, now);
            }
            Kind::JsapiTicket | Kind::WxCardTicket => {
                if let Some(value) = self.account_or_new(appid).newest_mut(kind).take() {
                    self.values.bury(&value, now);
                }
            }
        }
    }

    /// Ends an account's current value and goes on handing it out.
    pub(super) fn kill_in_place(&mut self, appid: &str, kind: Kind, now: Instant) {
        if let Some(value) = self.current(appid, kind) {
            self.values.bury(&value, now);
        }
    }

    /// The newest value of an account's credential, dead or alive.
    pub(super) fn current(&self, appid: &str, kind: Kind) -> Option<Arc<str>> {
        self.accounts().get(appid)?.newest(kind).cloned()
    }
}

impl AccountState {
    /// The newest value of this kind.
    fn newest(&self, kind: Kind) -> Option<&Arc<str>> {
        match kind {
            Kind::Classic => self.classic.current.as_ref(),
            Kind::Stable => self.stable.current.as_ref(),
            Kind::JsapiTicket => self.jsapi.as_ref(),
            Kind::WxCardTicket => self.wx_card.as_ref(),
        }
    }

    /// Where the newest value of this kind stands.
    pub(super) fn newest_mut(&mut self, kind: Kind) -> &mut Option<Arc<str>> {
        match kind {
            Kind::Classic => &mut self.classic.current,
            Kind::Stable => &mut self.stable.current,
            Kind::JsapiTicket => &mut self.jsapi,
            Kind::WxCardTicket => &mut self.wx_card,
        }
    }
}

fn is_token(kind: Kind) -> bool {
    match kind {
        Kind::Classic | Kind::Stable => true,
        Kind::JsapiTicket | Kind::WxCardTicket => false,
    }
}
