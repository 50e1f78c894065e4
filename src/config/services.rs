//! The business services by name, and which of their sections a reading validates.
//!
//! What a section says is the business of the module with its name; here is only what all of
//! them have in common.

use std::collections::BTreeSet;
use std::fmt;

use super::business::{self, BusinessSettings};
use super::context::Context;
use super::jssdk::{self, JssdkSettings};
use super::messages::{self, MessagesSettings};
use super::oauth::{self, OAuthSettings};
use super::place::Place;
use super::raw;
use super::secrets::Depth;
use super::serve::{self, ServeConfig};
use crate::wechat;

/// A business service: a word of the command line, and the name of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Answers what users write.
    Messages,
    /// Finds out who somebody is.
    OAuth,
    /// Signs pages for WeChat's JS-SDK.
    Jssdk,
    /// Menus and QR codes, for programs.
    Business,
}

/// Services that one process runs.
pub type ServiceSet = BTreeSet<Service>;

impl Service {
    /// All there are, in the order in which they are built, started and told of.
    pub const ALL: [Self; 4] = [Self::Messages, Self::OAuth, Self::Jssdk, Self::Business];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::OAuth => "oauth",
            Self::Jssdk => "jssdk",
            Self::Business => "business",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sections as they are written.
pub(super) struct Sections {
    pub(super) serve: Option<raw::Serve>,
    pub(super) messages: Option<raw::Messages>,
    pub(super) oauth: Option<raw::OAuth>,
    pub(super) jssdk: Option<raw::Jssdk>,
    pub(super) business: Option<raw::Business>,
}

/// Which sections a reading validates.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Those of these services, with their secrets; each is needed. Of the others it is asked only
    /// whether their keys exist.
    These(&'a ServiceSet),
    /// Whichever there are, without their secrets, which are not this process's to read.
    Present,
}

impl Asked<'_> {
    /// The service of a process that runs no other.
    fn alone(self) -> Option<Service> {
        match self {
            Self::These(wanted) if wanted.len() == 1 => wanted.first().copied(),
            Self::These(_) | Self::Present => None,
        }
    }
}

/// Validates the sections that are asked for; what is wrong is reported.
pub(super) fn check(
    sections: Sections,
    asked: Asked<'_>,
    wechat: Option<&wechat::Settings>,
    cx: &mut Context<'_>,
) -> ServeConfig {
    let Sections { serve, messages, oauth, jssdk, business } = sections;
    let serve = serve::check(serve.unwrap_or_default(), asked.alone(), cx);
    let messages = section(messages, Service::Messages, asked, cx)
        .and_then(|(raw, depth)| messages::check(raw, wechat.cloned(), depth, cx));
    let oauth = section(oauth, Service::OAuth, asked, cx)
        .and_then(|(raw, depth)| oauth::check(raw, serve.listen, wechat.cloned(), depth, cx));
    let jssdk = section(jssdk, Service::Jssdk, asked, cx)
        .and_then(|(raw, depth)| jssdk::check(raw, &serve, depth, cx));
    let business = section(business, Service::Business, asked, cx)
        .and_then(|(raw, depth)| business::service(&raw, wechat.cloned(), depth, cx));
    let verify_files = std::mem::take(&mut cx.verify_files).into_files();
    ServeConfig { serve, verify_files, messages, oauth, jssdk, business }
}

/// A section with how deeply it is read; `None` if it is not.
fn section<R>(
    raw: Option<R>,
    service: Service,
    asked: Asked<'_>,
    cx: &mut Context<'_>,
) -> Option<(R, Depth)> {
    match asked {
        Asked::Present => Some((raw?, Depth::Form)),
        Asked::These(wanted) if !wanted.contains(&service) => None,
        Asked::These(_) => {
            if raw.is_none() {
                let rule =
                    format!("there is no [{service}]: config.toml of the sources shows what belongs into it");
                cx.report.error(&Place::root(), rule);
            }
            Some((raw?, Depth::Secrets))
        }
    }
}

/// The keys of the services' sections that differ and take effect at a restart only.
pub(super) fn restart_needed(old: &ServeConfig, new: &ServeConfig) -> Vec<&'static str> {
    let ServeConfig { serve: _, verify_files: _, messages, oauth, jssdk, business } = old;
    let mut needed = both(messages.as_ref(), new.messages.as_ref(), MessagesSettings::restart_needed);
    let oauth = both(oauth.as_ref(), new.oauth.as_ref(), OAuthSettings::restart_needed);
    let business = both(business.as_ref(), new.business.as_ref(), BusinessSettings::restart_needed);
    for key in oauth.into_iter().chain(business) {
        // Several services may read one section.
        if !needed.contains(&key) {
            needed.push(key);
        }
    }
    needed.extend(both(jssdk.as_ref(), new.jssdk.as_ref(), JssdkSettings::restart_needed));
    needed
}

/// What differs of a section that both readings have; a process runs the same services from its
/// start to its end.
fn both<S>(old: Option<&S>, new: Option<&S>, differs: fn(&S, &S) -> Vec<&'static str>) -> Vec<&'static str> {
    old.zip(new).map(|(old, new)| differs(old, new)).unwrap_or_default()
}
