//! Tickets: `jsapi` and `wx_card`, which need a token only while they are fetched.
//!
//! WeChat's pages do not say what a second fetch brings, so [`TicketRule`]
//! chooses. A new access token never changes or ends a ticket, and a new ticket
//! never ends an older one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::TicketRule;
use super::state::State;
use super::tokens::{Handout, Novelty};
use super::values::Kind;

/// How many tickets an account remembers for the JS-SDK's sake.
const REMEMBERED: usize = 16;

impl State {
    /// A ticket fetch for an account whose token was found good.
    pub(super) fn fetch_ticket(&mut self, appid: &str, kind: Kind, now: Instant) -> Handout {
        let life = self.settings.ticket_life;
        let known = self.current(appid, kind);
        // Less than a second cannot be said in `expires_in`: then it is over.
        let known = known.filter(|value| self.left(value, now) >= Duration::from_secs(1));
        let whole = life.as_secs().max(1);
        match (known, self.settings.ticket_rule) {
            (Some(value), TicketRule::SameStringWithinLife) => {
                Handout { expires_in: self.left(&value, now).as_secs(), value, novelty: Novelty::Same }
            }
            (Some(value), TicketRule::SameStringOverstated) => {
                Handout { value, expires_in: whole, novelty: Novelty::Same }
            }
            (Some(_), TicketRule::NewEachCall) | (None, _) => {
                let value = self.values.mint(appid, kind, self.settings.token_len, now + life);
                let account = self.account_or_new(appid);
                *account.newest_mut(kind) = Some(Arc::clone(&value));
                if account.tickets.len() == REMEMBERED {
                    account.tickets.pop_front();
                }
                account.tickets.push_back((kind, Arc::clone(&value)));
                Handout { value, expires_in: whole, novelty: Novelty::New }
            }
        }
    }
}
