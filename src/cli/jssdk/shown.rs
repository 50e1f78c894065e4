//! What `jssdk check` says, for people and for programs.

use serde::Serialize;

use crate::clock::WallTime;
use crate::model::{AppId, Fingerprint};
use crate::services::jssdk::check::{Explanation, Finding, Verdict};
use crate::services::jssdk::site::Refused;

use super::super::layout::paragraph;
use super::super::output::{Colour, Tone};
use super::service::Said;

/// Columns of a heading.
const HEADING: usize = 10;

/// Who was asked, and what came of it.
pub(super) enum Asked {
    /// The daemon, which gave the ticket.
    Daemon { fingerprint: Fingerprint, issued_at: WallTime, expires_at: WallTime },
    /// The daemon, which signs for us and gives no ticket.
    MaySign,
    /// The service.
    Service(Said),
}

impl Asked {
    /// Whether the answer shows a fault by itself.
    pub(super) fn is_wrong(&self) -> bool {
        match self {
            Self::Daemon { .. } | Self::MaySign => false,
            Self::Service(said) => said.status != 200,
        }
    }
}

/// The answer with what it is about.
pub(super) struct Shown<'a> {
    pub(super) appid: &'a AppId,
    pub(super) url: &'a str,
    pub(super) asked: &'a Asked,
    pub(super) explanation: &'a Explanation,
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    appid: &'a str,
    url: &'a str,
    /// What WeChat computes with.
    signed: &'a str,
    /// `right`, `explained`, `unexplained`, `not_compared`
    verdict: &'static str,
    findings: Vec<Found>,
    host: Host,
    causes: &'a [String],
    /// The ticket's name in logs.
    ticket_fingerprint: Option<String>,
    ticket_expires_at: Option<String>,
    service: Option<&'a Said>,
}

#[derive(Serialize)]
struct Found {
    name: &'static str,
    explanation: String,
}

#[derive(Serialize)]
struct Host {
    /// `null` where the configuration does not tell.
    listed: Option<bool>,
    reason: Option<&'static str>,
    explanation: Option<String>,
}

impl Shown<'_> {
    pub(super) fn document(&self) -> Document<'_> {
        let Self { appid, url, asked, explanation } = self;
        let Explanation { signed, verdict, host, causes } = explanation;
        let refused = host.as_ref().and_then(|host| host.as_ref().err());
        let (fingerprint, expires, service) = match asked {
            Asked::Daemon { fingerprint, expires_at, .. } => {
                (Some(fingerprint.to_string()), Some(expires_at.to_string()), None)
            }
            Asked::MaySign => (None, None, None),
            Asked::Service(said) => (None, None, Some(said)),
        };
        let found = |finding: &Finding| Found { name: finding.name(), explanation: finding.sentence() };
        Document {
            appid: appid.as_str(),
            url,
            signed,
            verdict: match verdict {
                Verdict::Right => "right",
                Verdict::Explained(_) => "explained",
                Verdict::Unexplained => "unexplained",
                Verdict::NotCompared => "not_compared",
            },
            findings: match verdict {
                Verdict::Explained(findings) => findings.iter().map(found).collect(),
                Verdict::Right | Verdict::Unexplained | Verdict::NotCompared => Vec::new(),
            },
            host: Host {
                listed: host.as_ref().map(Result::is_ok),
                reason: refused.map(Refused::reason),
                explanation: refused.map(ToString::to_string),
            },
            causes,
            ticket_fingerprint: fingerprint,
            ticket_expires_at: expires,
            service,
        }
    }

    pub(super) fn text(&self, colour: Colour) -> String {
        let Self { appid, url: _, asked, explanation } = self;
        let Explanation { signed, verdict, host, causes } = explanation;
        let (tone, title) = match verdict {
            Verdict::Right => (Tone::Good, "the signature is right"),
            Verdict::Explained(_) => (Tone::Bad, "the signature is of something else"),
            Verdict::Unexplained => (Tone::Bad, "the signature is wrong, and of nothing that can be guessed"),
            Verdict::NotCompared => (Tone::Strong, "nothing was compared"),
        };
        let mut text = format!("{}\n\n", colour.paint(tone, title));
        let mut say = |heading: &str, words: &str| text.push_str(&paragraph(2, (heading, HEADING), words));
        say("account", appid.as_str());
        say("to sign", signed);
        match host {
            None => {
                say("host", "the configuration that can be read here does not tell whether it may be signed");
            }
            Some(Ok(())) => say("host", "it is among the account's hosts"),
            Some(Err(refused)) => say("host", &refused.to_string()),
        }
        match asked {
            Asked::Daemon { fingerprint, issued_at, expires_at } => {
                say("ticket", &format!("{fingerprint}, of {issued_at}, good until {expires_at}"));
            }
            Asked::MaySign => say(
                "ticket",
                "the daemon lets this caller sign, but not read tickets, so nothing can be compared: give it the action read",
            ),
            Asked::Service(Said { address, status, signed: _, appid, error }) => {
                let said = match (error, appid) {
                    (Some(error), _) => error.clone(),
                    (None, Some(appid)) => format!("it signs, for {appid}"),
                    (None, None) => "it answers without a configuration".to_owned(),
                };
                say("service", &format!("{address} answers {status}: {said}"));
            }
        }
        if let Verdict::Explained(findings) = verdict {
            for finding in findings {
                say("found", &finding.sentence());
            }
        }
        for (nth, cause) in causes.iter().enumerate() {
            say(if nth == 0 { "causes" } else { "" }, cause);
        }
        text
    }
}
