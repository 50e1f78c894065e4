//! Scripted faults: which call fails next, how, and how often.
//!
//! A script names an endpoint, perhaps an account, a number of times and a
//! fault. Scripts that match a call are used in the order in which they were
//! given, each until it is used up; a script "for ever" is never used up, so
//! later ones for the same calls wait until the faults are cleared.
//!
//! What a fault does to the socket is `serve`'s business; here are the list and
//! the faults inside an answer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};

use super::log::Endpoint;

/// What goes wrong. The word "processed" says whether WeChat did its work (so a
/// token may have been issued, and an older one may die) before it went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refused with this errcode. Without a message, WeChat's own words. Not processed.
    Errcode {
        /// The number.
        code: i64,
        /// The words, without the `rid` that is added.
        message: Option<String>,
    },
    /// An HTTP status with a short text, as a gateway sends it. Not processed.
    HttpStatus(u16),
    /// The same after WeChat did its work. Processed.
    HttpStatusAfter(u16),
    /// Status 200 and a web page, as a captive portal sends it. Not processed.
    HtmlPage,
    /// Half of the answer, then the connection closes. Processed.
    TruncatedJson,
    /// A whole answer that is not JSON. Processed.
    GarbageJson,
    /// Status 200 without a body. Processed.
    EmptyBody,
    /// Processed at once, answered after this time.
    Slow(Duration),
    /// The connection is reset after the request arrived. Not processed.
    TornConnection,
    /// The connection closes without a byte of answer. Processed.
    AnswerLost,
    /// Processed at once; the answer waits for [`super::Control::release`], or
    /// until the caller goes away.
    HoldAnswer,
    /// Neither processed nor answered until [`super::Control::release`], and
    /// then processed even if the caller has long gone: a late request.
    HoldRequest,
    /// A good answer with another `expires_in`. Processed.
    ExpiresIn(ExpiresIn),
    /// A good answer with an empty token or ticket. Processed.
    EmptyToken,
    /// A good answer without its token or ticket. Processed.
    MissingToken,
    /// A 302 to this address. Not processed.
    Redirect(String),
}

impl Fault {
    /// A refusal in WeChat's own words.
    pub fn errcode(code: i64) -> Self {
        Self::Errcode { code, message: None }
    }

    /// The name in the log and in `/_sim/faults`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Errcode { .. } => "errcode",
            Self::HttpStatus(_) => "http_status",
            Self::HttpStatusAfter(_) => "http_status_after",
            Self::HtmlPage => "html_page",
            Self::TruncatedJson => "truncated_json",
            Self::GarbageJson => "garbage_json",
            Self::EmptyBody => "empty_body",
            Self::Slow(_) => "slow",
            Self::TornConnection => "torn_connection",
            Self::AnswerLost => "answer_lost",
            Self::HoldAnswer => "hold_answer",
            Self::HoldRequest => "hold_request",
            Self::ExpiresIn(_) => "expires_in",
            Self::EmptyToken => "empty_token",
            Self::MissingToken => "missing_token",
            Self::Redirect(_) => "redirect",
        }
    }

    /// Changes a good answer as the fault says, where it is about the answer. Refusals have none of these fields,
    /// except by name, and stay as they are.
    pub(super) fn bend(&self, fields: &mut Map<String, Value>) {
        match self {
            Self::ExpiresIn(instead) => {
                if !fields.contains_key("expires_in") {
                    return;
                }
                let value: Value = match instead {
                    ExpiresIn::Missing => {
                        fields.remove("expires_in");
                        return;
                    }
                    ExpiresIn::Zero => 0.into(),
                    ExpiresIn::Negative => (-1).into(),
                    ExpiresIn::Huge => 9_999_999_999_u64.into(),
                    ExpiresIn::NotANumber => "soon".into(),
                    ExpiresIn::Text(text) => text.as_str().into(),
                    ExpiresIn::Value(value) => (*value).into(),
                };
                fields.insert("expires_in".to_owned(), value);
            }
            Self::EmptyToken => {
                for name in ["access_token", "ticket"] {
                    if let Some(value) = fields.get_mut(name) {
                        *value = "".into();
                    }
                }
            }
            Self::MissingToken => {
                fields.remove("access_token");
                fields.remove("ticket");
            }
            // These happen to the connection or before the answer exists.
            Self::Errcode { .. }
            | Self::HttpStatus(_)
            | Self::HttpStatusAfter(_)
            | Self::HtmlPage
            | Self::TruncatedJson
            | Self::GarbageJson
            | Self::EmptyBody
            | Self::Slow(_)
            | Self::TornConnection
            | Self::AnswerLost
            | Self::HoldAnswer
            | Self::HoldRequest
            | Self::Redirect(_) => {}
        }
    }
}

/// What stands in the answer's `expires_in`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiresIn {
    /// 0.
    Zero,
    /// -1.
    Negative,
    /// 9,999,999,999: some three hundred years.
    Huge,
    /// The field is not there.
    Missing,
    /// The word "soon".
    NotANumber,
    /// This text, as text: `"7200"`.
    Text(String),
    /// This number.
    Value(u64),
}

/// A fault with where and how often it strikes.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) endpoint: Endpoint,
    pub(super) appid: Option<String>,
    pub(super) times: Times,
    pub(super) fault: Fault,
}

/// How often a script strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// So many calls.
    Count(u32),
    /// Until the faults are cleared.
    Forever,
}

impl Script {
    /// The next call of this endpoint.
    pub fn once(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, appid: None, times: Times::Count(1), fault }
    }

    /// Every call of this endpoint until the faults are cleared.
    pub fn forever(endpoint: Endpoint, fault: Fault) -> Self {
        Self { times: Times::Forever, ..Self::once(endpoint, fault) }
    }

    /// So many calls instead.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { times: Times::Count(count), ..self }
    }

    /// Only calls of this account.
    #[must_use]
    pub fn only(self, appid: impl Into<String>) -> Self {
        Self { appid: Some(appid.into()), ..self }
    }
}

/// A script in its queue, with its place in the order of all scripts.
#[derive(Debug)]
struct Queued {
    order: u64,
    times: Times,
    fault: Fault,
}

/// All scripts that are not used up. Looking one up does not scan: scale tests
/// script thousands of accounts.
#[derive(Debug, Default)]
pub(super) struct Faults {
    given: u64,
    queues: HashMap<(Endpoint, Option<String>), VecDeque<Queued>>,
}

impl Faults {
    /// Adds a script behind the others.
    pub(super) fn add(&mut self, script: Script) {
        let Script { endpoint, appid, times, fault } = script;
        if times == Times::Count(0) {
            return;
        }
        self.given += 1;
        let queued = Queued { order: self.given, times, fault };
        self.queues.entry((endpoint, appid)).or_default().push_back(queued);
    }

    /// Forgets all scripts.
    pub(super) fn clear(&mut self) {
        self.queues.clear();
    }

    /// The fault for this call, used up by one.
    pub(super) fn take(&mut self, endpoint: Endpoint, appid: &str) -> Option<Fault> {
        if self.queues.is_empty() {
            return None;
        }
        let own = (endpoint, Some(appid.to_owned()));
        let common = (endpoint, None);
        let order = |key| Some(self.queues.get(key)?.front()?.order);
        let key = match (order(&own), order(&common)) {
            (None, None) => return None,
            (Some(_), None) => own,
            (None, Some(_)) => common,
            (Some(a), Some(b)) => {
                if a < b {
                    own
                } else {
                    common
                }
            }
        };
        let queue = self.queues.get_mut(&key)?;
        let first = queue.front_mut()?;
        let fault = first.fault.clone();
        match &mut first.times {
            Times::Forever => {}
            Times::Count(left) => {
                *left -= 1;
                if *left == 0 {
                    queue.pop_front();
                }
            }
        }
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        Some(fault)
    }

    /// The waiting scripts in the order in which they were given.
    pub(super) fn list(&self) -> Vec<Script> {
        let mut all: Vec<(u64, Script)> = self
            .queues
            .iter()
            .flat_map(|((endpoint, appid), queue)| {
                queue.iter().map(move |queued| {
                    let script = Script {
                        endpoint: *endpoint,
                        appid: appid.clone(),
                        times: queued.times,
                        fault: queued.fault.clone(),
                    };
                    (queued.order, script)
                })
            })
            .collect();
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, script)| script).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_strike_in_the_order_given_whether_for_one_account_or_all() {
        // One account's script and a common one are merged by their order.
        let mut faults = Faults::default();
        faults.add(Script::once(Endpoint::Token, Fault::EmptyBody).only("wx1"));
        faults.add(Script::once(Endpoint::Token, Fault::HtmlPage).times(2));
        faults.add(Script::once(Endpoint::Token, Fault::AnswerLost).only("wx1"));
        assert_eq!(faults.list().len(), 3);
        assert_eq!(faults.take(Endpoint::Ticket, "wx1"), None);
        assert_eq!(faults.take(Endpoint::Token, "wx1"), Some(Fault::EmptyBody));
        assert_eq!(faults.take(Endpoint::Token, "wx1"), Some(Fault::HtmlPage));
        assert_eq!(faults.take(Endpoint::Token, "wx2"), Some(Fault::HtmlPage));
        assert_eq!(faults.take(Endpoint::Token, "wx2"), None);
        assert_eq!(faults.take(Endpoint::Token, "wx1"), Some(Fault::AnswerLost));
        assert_eq!(faults.take(Endpoint::Token, "wx1"), None);
    }

    #[test]
    fn script_for_ever_ends_only_when_cleared() {
        // An outage lasts until the test ends it.
        let mut faults = Faults::default();
        faults.add(Script::forever(Endpoint::Token, Fault::errcode(-1)));
        for _ in 0..1000 {
            assert!(faults.take(Endpoint::Token, "wx1").is_some());
        }
        faults.clear();
        assert_eq!(faults.take(Endpoint::Token, "wx1"), None);
    }
}
