//! Why a signature is invalid: computes what WeChat computes, and what usual mistakes make of it.
//!
//! Pure: a URL, what the page gave to `wx.config`, and tickets in, sentences out. With the ticket
//! it is certain which text was signed, because no two texts have one signature; without a match
//! the usual causes are left, those first that the URL shows. No sentence has a ticket in it.

use std::collections::HashSet;

use crate::jsapi;
use crate::secret::Secret;

use super::site::{self, HostRule, Refused};

#[cfg(test)]
mod tests;
mod variants;

pub use variants::Change;

/// What the page gave to `wx.config`.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `signature`
    pub signature: String,
    /// `timestamp`, as the page has it.
    pub timestamp: String,
    /// `nonceStr`
    pub nonce: String,
}

/// A ticket to try.
pub struct Ticket<'a> {
    /// Whose it is, in words.
    pub whose: &'a str,
    /// The ticket.
    pub value: &'a Secret,
}

/// What is to be explained.
pub struct Question<'a> {
    /// The URL in the page's address bar.
    pub url: &'a str,
    /// The URL at which a single-page application was opened, if that is another.
    pub landing: Option<&'a str>,
    /// What the page gave to `wx.config`.
    pub sent: Option<&'a Sent>,
    /// The account's own ticket first; others that may have been taken for it.
    pub tickets: &'a [Ticket<'a>],
    /// The account's hosts, if they are known.
    pub hosts: Option<&'a [HostRule]>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The text that WeChat computes with.
    pub signed: String,
    /// What came of the comparison.
    pub verdict: Verdict,
    /// Whether the account's hosts let it be signed here.
    pub host: Option<Result<(), Refused>>,
    /// What may be the matter, the likely first.
    pub causes: Vec<String>,
}

/// What a comparison of signatures came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was nothing to compare, or nothing to compare with.
    NotCompared,
    /// It is the right one.
    Right,
    /// It is the signature of something else.
    Explained(Vec<Finding>),
    /// Nobody knows of what it is.
    Unexplained,
}

/// One thing that was otherwise when the signature was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Another text was signed.
    Url(Change),
    /// The page has another form of the time than was signed.
    Timestamp {
        /// What was signed.
        signed: String,
    },
    /// The nonce was signed in other letters.
    Nonce {
        /// What was signed.
        signed: String,
    },
    /// Another ticket was used.
    Ticket {
        /// Whose.
        whose: String,
    },
    /// It is right but for its capital letters.
    Capitals,
}

impl Finding {
    /// For programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Url(change) => change.name(),
            Self::Timestamp { .. } => "timestamp",
            Self::Nonce { .. } => "nonce",
            Self::Ticket { .. } => "ticket",
            Self::Capitals => "capitals",
        }
    }

    /// What happened, and what to do about it.
    pub fn sentence(&self) -> String {
        match self {
            Self::Url(change) => change.sentence().to_owned(),
            Self::Timestamp { signed } => format!(
                "the time that was signed is {signed}: give wx.config the same whole seconds that are signed (time.time() of Python has a fraction, Date.now() has milliseconds)"
            ),
            Self::Nonce { signed } => {
                format!(
                    "the nonce that was signed is {signed}: give wx.config the same letters as nonceStr, in the same case"
                )
            }
            Self::Ticket { whose } => format!(
                "it was signed with {whose}: use the jsapi_ticket of the account whose appId the page gives to wx.config"
            ),
            Self::Capitals => "the signature has capital letters: WeChat's has small ones".to_owned(),
        }
    }
}

/// Explains.
pub fn explain(question: &Question<'_>) -> Explanation {
    let Question { url, landing: _, sent, tickets, hosts } = question;
    let signed = url.split('#').next().unwrap_or(url);
    let verdict = match sent {
        Some(sent) if !tickets.is_empty() => compare(question, sent, signed),
        _ => Verdict::NotCompared,
    };
    let host = hosts.map(|hosts| site::judge(hosts, url).map(|_| ()));
    let causes = match &verdict {
        Verdict::Right => vec![
            "the signature is right for this URL: if WeChat says `invalid signature` all the same, its page has another URL at that moment, or another appId; `invalid url domain` is about the JS-SDK domains (JS接口安全域名) in WeChat's console".to_owned(),
        ],
        Verdict::Explained(_) => Vec::new(),
        Verdict::Unexplained | Verdict::NotCompared => causes(question, signed, &verdict),
    };
    Explanation { signed: signed.to_owned(), verdict, host, causes }
}

/// A text that may have been signed, and the mistakes that make it.
type Candidate = (String, Vec<Change>);

/// The URL, then what one mistake makes of it, then what two make: the simplest explanation first.
fn candidates(question: &Question<'_>, signed: &str) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = vec![(signed.to_owned(), Vec::new())];
    let mut known: HashSet<String> = HashSet::from([signed.to_owned()]);
    let mut add = |text: String, changes: Vec<Change>, all: &mut Vec<Candidate>| {
        if known.insert(text.clone()) {
            all.push((text, changes));
        }
    };
    add(question.url.to_owned(), vec![Change::WithFragment], &mut all);
    if let Some(landing) = question.landing {
        let landing = landing.split('#').next().unwrap_or(landing);
        add(landing.to_owned(), vec![Change::Landing], &mut all);
    }
    for _ in 0..2 {
        for (text, changes) in all.clone() {
            for change in Change::OF_URL {
                if let Some(text) = change.apply(&text)
                    && !changes.contains(&change)
                {
                    add(text, [changes.as_slice(), &[change]].concat(), &mut all);
                }
            }
        }
    }
    all.sort_by_key(|(_, changes)| changes.len());
    all
}

fn compare(question: &Question<'_>, sent: &Sent, signed: &str) -> Verdict {
    let wanted = sent.signature.to_ascii_lowercase();
    let capitals = (wanted != sent.signature).then_some(Finding::Capitals);
    let (candidates, times, nonces) = (candidates(question, signed), times(sent), nonces(sent));
    let mut best: Option<Vec<Finding>> = None;
    for (nth, ticket) in question.tickets.iter().enumerate() {
        for (text, changes) in &candidates {
            for time in &times {
                for nonce in &nonces {
                    if jsapi::digest(ticket.value, nonce, time, text) != wanted {
                        continue;
                    }
                    let mut found: Vec<Finding> =
                        changes.iter().map(|change| Finding::Url(*change)).collect();
                    found.extend(
                        (*time != sent.timestamp).then(|| Finding::Timestamp { signed: time.clone() }),
                    );
                    found.extend((*nonce != sent.nonce).then(|| Finding::Nonce { signed: nonce.clone() }));
                    found.extend((nth > 0).then(|| Finding::Ticket { whose: ticket.whose.to_owned() }));
                    found.extend(capitals.clone());
                    // Two ways to one text: the shorter story.
                    if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                        best = Some(found);
                    }
                }
            }
        }
    }
    match best {
        None => Verdict::Unexplained,
        Some(found) if found.is_empty() => Verdict::Right,
        Some(found) => Verdict::Explained(found),
    }
}

/// The time as it was sent, and as it may have been signed.
fn times(sent: &Sent) -> Vec<String> {
    let mut times = vec![sent.timestamp.clone()];
    let whole = sent.timestamp.split('.').next().unwrap_or_default();
    times.push(whole.to_owned());
    times.push(format!("{whole}.0"));
    // Milliseconds for seconds, and the other way round where that is known.
    if whole.len() > 10 && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        times.push(whole[..whole.len() - 3].to_owned());
    } else {
        times.push(format!("{whole}000"));
    }
    dedup(times)
}

fn nonces(sent: &Sent) -> Vec<String> {
    dedup(vec![sent.nonce.clone(), sent.nonce.to_ascii_lowercase(), sent.nonce.to_ascii_uppercase()])
}

fn dedup(mut all: Vec<String>) -> Vec<String> {
    let mut known = HashSet::new();
    all.retain(|one| known.insert(one.clone()));
    all
}

/// The usual causes, those first that the URL or what was sent shows.
fn causes(question: &Question<'_>, signed: &str, verdict: &Verdict) -> Vec<String> {
    let mut causes = Vec::new();
    let mut say = |text: &str| causes.push(text.to_owned());
    if question.url.contains('#') {
        say("the URL has a #: sign what stands before it, location.href.split('#')[0]");
    }
    if signed.contains("&amp;") {
        say("the URL has &amp; in it, as only HTML writes it: in an address bar it is a bare &");
    }
    if signed.contains("%25") {
        say(
            "the URL has %25 in it, a percent sign that was encoded again: encode it once, with encodeURIComponent",
        );
    }
    if variants::has_added(signed) {
        say(
            "the URL has parameters that WeChat adds to shared links: the signature must be asked for with them, when the page is open",
        );
    }
    if let Some(sent) = question.sent {
        if sent.timestamp.contains('.') {
            say(
                "the timestamp has a fraction: whole seconds are signed, and given to wx.config (time.time() of Python has a fraction)",
            );
        } else if sent.timestamp.len() > 10 {
            say("the timestamp has milliseconds: whole seconds are signed, and given to wx.config");
        }
        if sent.signature.len() != 40 || !sent.signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            say("the signature is none: it has 40 hexadecimal digits");
        }
    }
    if *verdict == Verdict::Unexplained {
        say(
            "another ticket was used: one that another program fetched, that has ended, or of another account; let every program ask here, and compare the page's appId",
        );
        say("another nonce or timestamp was signed than the page gave to wx.config");
    }
    say(
        "on iOS a single-page application with history is known by the URL at which it was opened: check that too, with --landing URL",
    );
    say(
        "the page's URL was another when wx.config was called: after a redirect, or with parameters that WeChat or a script added",
    );
    say("the server made the URL itself, behind a proxy: let the page send location.href.split('#')[0]");
    causes
}
