//! Where the process of the business services listens.
//!
//! Several services may share a process, and then its listeners, or have a process each, as the
//! packaged units do, beside one file: so a service that runs alone has addresses of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::context::{Context, is_loopback};
use super::place::Place;
use super::raw;
use super::services::Service;

/// The keys of both addresses of a process that runs several services.
pub(super) const KEYS: [&str; 2] = ["serve.listen", "serve.admin"];

/// The two listeners of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// Where the business listener is.
    pub listen: SocketAddr,
    /// Where health and metrics are asked for.
    pub admin: SocketAddr,
}

/// The listeners of every process that could run with the file.
pub(super) struct Addresses {
    /// Of several services together.
    together: Listeners,
    alone: BTreeMap<Service, Listeners>,
}

/// The keys of a table as they are written.
#[derive(Default)]
struct Written {
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Service {
    /// The keys of both addresses of a process that runs this service alone.
    pub(super) fn listener_keys(self) -> [&'static str; 2] {
        match self {
            Self::Messages => KEYS,
            Self::OAuth => ["serve.oauth.listen", "serve.oauth.admin"],
            Self::Jssdk => ["serve.jssdk.listen", "serve.jssdk.admin"],
            Self::Business => ["serve.business.listen", "serve.business.admin"],
        }
    }

    /// Its ports by default, each on loopback.
    fn listeners(self) -> Listeners {
        let [listen, admin] = match self {
            Self::Messages => [7790, 7791],
            Self::OAuth => [7792, 7793],
            Self::Jssdk => [7794, 7795],
            Self::Business => [7796, 7797],
        };
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Listeners { listen: here(listen), admin: here(admin) }
    }
}

impl Addresses {
    /// Of a process that runs only this service, or without one several.
    pub(super) fn of(&self, alone: Option<Service>) -> Listeners {
        alone.and_then(|service| self.alone.get(&service)).copied().unwrap_or(self.together)
    }

    /// Of each service, for who does not know how it is run.
    pub(super) fn alone(self) -> BTreeMap<Service, Listeners> {
        self.alone
    }
}

/// Validates the addresses of `[serve]` and of the tables below it.
pub(super) fn check(
    [listen, admin]: [Option<String>; 2],
    insecure: Option<bool>,
    mut own: impl FnMut(Service) -> Option<raw::Alone>,
    cx: &mut Context<'_>,
) -> Addresses {
    let serve = Place::root().key("serve");
    let mut exposed = Exposed { allowed: insecure == Some(true), seen: false };
    let common = written(&serve, [listen, admin], &mut exposed, cx);
    let together = chosen(&[&common], Service::Messages.listeners());
    apart(&serve, together, cx);
    let mut alone = BTreeMap::new();
    for service in Service::ALL {
        let listeners = match own(service) {
            None => chosen(&[&common], service.listeners()),
            Some(raw::Alone { listen, admin }) => {
                let table = serve.key(service.as_str());
                let own = written(&table, [listen, admin], &mut exposed, cx);
                let listeners = chosen(&[&own, &common], service.listeners());
                apart(&table, listeners, cx);
                listeners
            }
        };
        alone.insert(service, listeners);
    }
    if exposed.allowed && !exposed.seen {
        cx.report.warn(&serve.key("insecure"), "it changes nothing here: remove it");
    }
    Addresses { together, alone }
}

/// Addresses that other machines reach.
struct Exposed {
    /// The file says that this is meant.
    allowed: bool,
    /// There is one.
    seen: bool,
}

fn written(
    table: &Place,
    [listen, admin]: [Option<String>; 2],
    exposed: &mut Exposed,
    cx: &mut Context<'_>,
) -> Written {
    let mut read = |key, text: Option<String>, what: &str| {
        let place = table.key(key);
        let addr = cx.socket_addr(&place, &text?)?;
        if !is_loopback(addr.ip()) {
            exposed.seen = true;
            if !exposed.allowed {
                cx.report.error(
                    &place,
                    format!(
                        "{addr} is not on loopback, and there {what}: put a proxy with TLS before it, or set insecure = true \
                         in [serve]"
                    ),
                );
            }
        }
        Some(addr)
    };
    Written {
        listen: read("listen", listen, "every message would be readable on the way"),
        admin: read("admin", admin, "it tells everybody who asks how the service is"),
    }
}

/// Each address from the first table that has it.
fn chosen(tables: &[&Written], default: Listeners) -> Listeners {
    Listeners {
        listen: tables.iter().find_map(|table| table.listen).unwrap_or(default.listen),
        admin: tables.iter().find_map(|table| table.admin).unwrap_or(default.admin),
    }
}

/// Port 0 is a free one, which each gets for itself.
fn apart(table: &Place, Listeners { listen, admin }: Listeners, cx: &mut Context<'_>) {
    if listen == admin && listen.port() != 0 {
        cx.report.error(&table.key("admin"), "listen has the same address: they are two listeners");
    }
}
