//! `[grpc]` and `[admin]`: where the daemon listens.
//!
//! What other machines can reach is either encrypted or said to be wanted so (`insecure = true`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::access::{Client, Identity};
use crate::admin::{self, Audience};
use crate::grpc::settings::{Listen, Settings, Tls};

use super::context::{Context, is_loopback};
use super::place::Place;
use super::{raw, tls};

/// Default of `[grpc] listen`.
const GRPC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);
/// Default of `[admin] listen`.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7781);
/// Default of `[admin] metrics_per_key`: some 700 KB a scrape.
const METRICS_PER_KEY: u32 = 1_000;
/// What DNS allows.
const LONGEST_HOST: usize = 253;
/// What fits into a `sockaddr_un` on Linux, less the closing zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// What the admin listener needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Up to how many keys the metrics have series of each; 0: never.
    pub metrics_per_key: u32,
    /// Who sees the status page, and under which names.
    pub page: admin::Settings,
}

/// Validates `[grpc]`; the clients come from their own sections.
pub(super) fn check_grpc(raw: raw::Grpc, clients: Vec<Client>, cx: &mut Context<'_>) -> Settings {
    let table = Place::root().key("grpc");
    let raw::Grpc { listen, insecure, tls } = raw;
    let has_tls = tls.is_some();
    let tls = tls.and_then(|raw| tls::check(raw, &table.key("tls"), cx));
    let place = table.key("listen");
    let (listen, exposed) = match listen {
        None => (vec![Listen::Tcp(GRPC)], false),
        Some(texts) => {
            let mut addresses = Vec::new();
            let mut exposed = false;
            for text in texts.as_slice() {
                let Some(address) = address(&place, text, cx) else { continue };
                if addresses.contains(&address) {
                    cx.report.error(&place, format!("{text} is listed twice"));
                }
                if let Listen::Tcp(tcp) = address
                    && !is_loopback(tcp.ip())
                    && !has_tls
                {
                    exposed = true;
                    if insecure != Some(true) {
                        cx.report.error(
                            &place,
                            format!("{tcp} is not on loopback, and there every token would be readable: add [grpc.tls], or set insecure = true beside it"),
                        );
                    }
                }
                addresses.push(address);
            }
            if texts.as_slice().is_empty() {
                cx.report.error(&place, "at least one address is needed");
            }
            (addresses, exposed)
        }
    };
    if insecure == Some(true) && !exposed {
        cx.report.warn(&table.key("insecure"), "it changes nothing here: remove it");
    }
    warn_of_unusable(&clients, &listen, tls.as_ref(), cx);
    Settings { listen, tls, clients }
}

/// Identities that no listener can ask for: their client would be refused, and nobody sees why.
fn warn_of_unusable(clients: &[Client], listen: &[Listen], tls: Option<&Tls>, cx: &mut Context<'_>) {
    let unix = listen.iter().any(|address| matches!(address, Listen::Unix(_)));
    let authority = tls.is_some_and(|tls| tls.client_ca.is_some());
    for (index, client) in clients.iter().enumerate() {
        let place = Place::root().key("client").index(index);
        for identity in &client.identities {
            match identity {
                Identity::TokenSha256(_) => {}
                Identity::Certificate(_) if authority => {}
                Identity::Certificate(_) => {
                    cx.report.warn(
                        &place.key("certificate"),
                        "no caller can show one without client_ca in [grpc.tls]",
                    );
                }
                Identity::Uid(_) if unix => {}
                Identity::Uid(_) => {
                    cx.report.warn(
                        &place.key("uid"),
                        "it is known on a Unix socket only, and grpc.listen has none",
                    );
                }
            }
        }
    }
}

/// Validates `[admin]`.
pub(super) fn check_admin(raw: raw::Admin, cx: &mut Context<'_>) -> AdminSettings {
    let table = Place::root().key("admin");
    let raw::Admin { listen, insecure, view, hosts, metrics_per_key } = raw;
    let place = table.key("listen");
    let listen = listen.and_then(|text| cx.socket_addr(&place, &text)).unwrap_or(ADMIN);
    let exposed = !is_loopback(listen.ip());
    if exposed && insecure != Some(true) {
        cx.report.error(
            &place,
            format!("{listen} is not on loopback, and there the pages, and the tokens that people sign in with, are readable on the way: put a proxy with TLS before them, or set insecure = true beside it"),
        );
    }
    if insecure == Some(true) && !exposed {
        cx.report.warn(&table.key("insecure"), "it changes nothing here: remove it");
    }
    let views = [("anyone", Audience::Anyone), ("client", Audience::Clients)];
    let view = view.and_then(|text| cx.word(&table.key("view"), &text, &views));
    let hosts = hosts.map(|hosts| check_hosts(hosts.as_slice(), &table.key("hosts"), cx)).unwrap_or_default();
    // Who is let on the machine may see how its credentials are; the network, which a proxy lets
    // in, may not.
    let usual = if exposed || !hosts.is_empty() { Audience::Clients } else { Audience::Anyone };
    let page = admin::Settings { view: view.unwrap_or(usual), hosts };
    AdminSettings { listen, page, metrics_per_key: metrics_per_key.unwrap_or(METRICS_PER_KEY) }
}

/// Names as browsers send them in `Host`, without a port.
fn check_hosts(texts: &[String], place: &Place, cx: &mut Context<'_>) -> Vec<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    for text in texts {
        if text.is_empty() || text.len() > LONGEST_HOST || !text.bytes().all(fits) {
            // Not repeated: an address that was pasted may have a password in it.
            let rule =
                "a host name is needed, without http:// and without a port, like \"status.example.com\"";
            cx.report.error(place, rule);
        }
    }
    texts.to_vec()
}

fn address(place: &Place, text: &str, cx: &mut Context<'_>) -> Option<Listen> {
    let Some(path) = text.strip_prefix("unix:") else { return cx.socket_addr(place, text).map(Listen::Tcp) };
    if !Path::new(path).is_absolute() || path.ends_with('/') || path.len() > LONGEST_SOCKET_PATH {
        cx.report.error(
            place,
            format!("a Unix socket is written as \"unix:/path\", with a full path of at most {LONGEST_SOCKET_PATH} bytes"),
        );
        return None;
    }
    Some(Listen::Unix(path.into()))
}
