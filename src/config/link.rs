//! The keys with which a service finds the daemon: `daemon`, `token_…` and `ca` of its section.

use url::Url;

use crate::client::Credentials;

use super::context::Context;
use super::place::Place;
use super::secrets::{Depth, Privacy, Sources, read};
use super::services::Service;
use super::upstream::is_local;

/// The socket of an installed daemon, where a caller is known by its uid.
const DAEMON: &str = "unix:/run/zhongkong/grpc.sock";

/// The daemon, as a client sees it.
#[derive(Clone, Debug)]
pub struct DaemonLink {
    /// As [`Client::lazy`](crate::client::Client::lazy) takes it.
    pub addr: String,
    /// What the service shows there.
    pub credentials: Credentials,
}

/// The keys as they are written.
pub(super) struct Keys<'r> {
    /// `daemon`
    pub(super) daemon: Option<&'r str>,
    /// `token_file`, `token_credential`, `token_env`
    pub(super) token: [Option<&'r str>; 3],
    /// `ca`
    pub(super) ca: Option<&'r str>,
}

impl DaemonLink {
    /// Whether `daemon`, the token and `ca` differ. All three take effect at a restart only.
    pub(super) fn differs(&self, new: &Self) -> [bool; 3] {
        let Self { addr, credentials: Credentials { token, ca, identity: _, server_name: _ } } = self;
        [*addr != new.addr, *token != new.credentials.token, *ca != new.credentials.ca]
    }
}

/// Who the daemon is for this service, and what it is shown.
pub(super) fn check(
    keys: &Keys<'_>,
    service: Service,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<DaemonLink> {
    let table = Place::root().key(service.as_str());
    let place = table.key("daemon");
    let Keys { daemon, token: [file, credential, env], ca } = *keys;
    let addr = daemon.unwrap_or(DAEMON);
    let token = Sources { prefix: "token", file, credential, env };
    let token = if token.is_empty() {
        if !addr.starts_with("unix:") {
            cx.report.error(
                &table,
                format!(
                    "over TCP the daemon knows its callers by a token: `zhongkong new-client {service}` makes one; name its \
                     file with token_file, or use {DAEMON}"
                ),
            );
        }
        None
    } else {
        Some(token.load_to(depth, &table, cx)?)
    };
    let ca = match (ca, depth) {
        (None, _) => None,
        (Some(_), Depth::Form) => Some(Vec::new()),
        (Some(text), Depth::Secrets) => {
            let file = cx.path(text);
            Some(read(&table.key("ca"), &file, Privacy::Public, cx)?.as_bytes().to_vec())
        }
    };
    if let Err(rule) = daemon_addr(addr, ca.is_some()) {
        cx.report.error(&place, rule);
    } else if addr.starts_with("http://") && Url::parse(addr).is_ok_and(|url| !is_local(&url)) {
        cx.report.warn(
            &place,
            "http:// to another machine shows every token to the network: use https:// with ca beside it",
        );
    }
    Some(DaemonLink {
        addr: addr.to_owned(),
        credentials: Credentials { token, ca, identity: None, server_name: None },
    })
}

/// The forms that the client takes. The text is not repeated: it may hold a password.
fn daemon_addr(addr: &str, has_ca: bool) -> Result<(), &'static str> {
    const FORM: &str =
        "an address is written as \"unix:/path\", \"http://127.0.0.1:7780\" or \"https://host:7780\"";
    if let Some(path) = addr.strip_prefix("unix:") {
        return if path.starts_with('/') { Ok(()) } else { Err(FORM) };
    }
    let url = Url::parse(addr).map_err(|_| FORM)?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if !bare || url.port_or_known_default().is_none() => Err(FORM),
        "https" if !has_ca => Err(
            "https:// needs ca beside it: the PEM file of the authority that signed the daemon's certificate",
        ),
        "http" | "https" => Ok(()),
        _ => Err(FORM),
    }
}
