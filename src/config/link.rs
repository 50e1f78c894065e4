//! The keys with which a service finds the daemon: `daemon`, `token_…`, `ca`, `cert` and `key` of its
//! section.

use url::Url;

use crate::client::Credentials;
use crate::secret::Secret;

use super::context::Context;
use super::place::Place;
use super::secrets::{Depth, Privacy, Sources, read};
use super::services::Service;
use super::tls;
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
    /// `cert` and `key`
    pub(super) pair: [Option<&'r str>; 2],
}

impl DaemonLink {
    /// Whether `daemon`, the token, `ca`, and `cert` or `key` differ. All take effect at a restart only.
    pub(super) fn differs(&self, new: &Self) -> [bool; 4] {
        let Self { addr, credentials: Credentials { token, ca, identity, server_name: _ } } = self;
        let other = &new.credentials;
        [*addr != new.addr, *token != other.token, *ca != other.ca, *identity != other.identity]
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
    let Keys { daemon, token: [file, credential, env], ca, pair } = *keys;
    let addr = daemon.unwrap_or(DAEMON);
    let token = Sources { prefix: "token", file, credential, env };
    let token = if token.is_empty() {
        if !addr.starts_with("unix:") && pair == [None; 2] {
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
    let ca = authority(ca, depth, &table, cx).ok()?;
    let identity = identity(pair, addr, depth, &table, cx).ok()?;
    address(addr, ca.is_some(), &table, cx);
    Some(DaemonLink {
        addr: addr.to_owned(),
        credentials: Credentials { token, ca, identity, server_name: None },
    })
}

/// Who the daemon is for a service that asks only in its callers' names, and shows nothing of its own.
pub(super) fn check_for_callers(
    daemon: Option<&str>,
    ca: Option<&str>,
    service: Service,
    depth: Depth,
    cx: &mut Context<'_>,
) -> Option<DaemonLink> {
    let table = Place::root().key(service.as_str());
    let addr = daemon.unwrap_or(DAEMON);
    let ca = authority(ca, depth, &table, cx).ok()?;
    address(addr, ca.is_some(), &table, cx);
    Some(DaemonLink { addr: addr.to_owned(), credentials: Credentials { ca, ..Credentials::default() } })
}

/// What is wrong has been reported.
struct Reported;

/// The PEM of who signed the daemon's certificate, if a file is named.
fn authority(
    ca: Option<&str>,
    depth: Depth,
    table: &Place,
    cx: &mut Context<'_>,
) -> Result<Option<Vec<u8>>, Reported> {
    Ok(match (ca, depth) {
        (None, _) => None,
        (Some(_), Depth::Form) => Some(Vec::new()),
        (Some(text), Depth::Secrets) => {
            let file = cx.path(text);
            let pem = read(&table.key("ca"), &file, Privacy::Public, cx).ok_or(Reported)?;
            Some(pem.as_bytes().to_vec())
        }
    })
}

fn address(addr: &str, has_ca: bool, table: &Place, cx: &mut Context<'_>) {
    let place = table.key("daemon");
    if let Err(rule) = daemon_addr(addr, has_ca) {
        cx.report.error(&place, rule);
    } else if addr.starts_with("http://") && Url::parse(addr).is_ok_and(|url| !is_local(&url)) {
        cx.report.warn(
            &place,
            "http:// to another machine shows every token to the network: use https:// with ca beside it",
        );
    }
}

/// The certificate that is shown to the daemon, with its key, if there is one.
fn identity(
    pair: [Option<&str>; 2],
    addr: &str,
    depth: Depth,
    table: &Place,
    cx: &mut Context<'_>,
) -> Result<Option<(Vec<u8>, Secret)>, Reported> {
    match pair {
        [None, None] => return Ok(None),
        [Some(_), Some(_)] => {}
        [cert, _] => {
            let (given, lacks) = if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
            cx.report.error(&table.key(given), format!("it is nothing without {lacks}: name both PEM files"));
            return Err(Reported);
        }
    }
    if !addr.starts_with("https://") {
        let rule = "a certificate is shown over https:// only: change daemon, or remove cert and key";
        cx.report.error(&table.key("cert"), rule);
        return Err(Reported);
    }
    match depth {
        Depth::Form => Ok(Some((Vec::new(), Secret::from("")))),
        Depth::Secrets => tls::pair(pair, table, cx).map(Some).ok_or(Reported),
    }
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
