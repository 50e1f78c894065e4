//! The listening sockets of the business services: inherited from systemd, or bound here.
//!
//! As those of the daemon: an inherited socket takes the place of the listener with its address,
//! or by its name (`FileDescriptorName=` `http`, `admin`). One that belongs to neither is an error:
//! its callers would wait for ever.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::serve::ServeSettings;
use crate::grpc::bind_tcp;

use super::sockets::{Inherited, Passed, Socket};

/// Why there are no sockets to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceSocketError {
    /// A listener cannot be bound.
    #[error("the {listener} listener cannot use {addr}; stop what listens there, or change {key}")]
    Bind {
        /// Which one.
        listener: &'static str,
        /// Its key.
        key: String,
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket that no listener of the configuration stands for.
    #[error(
        "the inherited socket `{name}` on {addr} belongs to no listener: list its address as {listen} or {admin}, or name it http or admin with FileDescriptorName= in the socket unit"
    )]
    Stranger {
        /// Its name.
        name: String,
        /// Its address.
        addr: String,
        /// The key of the one.
        listen: String,
        /// The key of the other.
        admin: String,
    },
    /// A socket that other machines reach, and the configuration does not say so.
    #[error(
        "the inherited socket `{name}` listens on {addr}, which other machines reach, and the configuration does not list that address: list it as {key} with insecure = true in [serve], and put a proxy with TLS before it"
    )]
    Exposed {
        /// Its name.
        name: String,
        /// Its address.
        addr: SocketAddr,
        /// Where it would belong.
        key: String,
    },
}

impl ServiceSocketError {
    /// Whether the configuration, or the socket unit, must be changed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Bind { .. } => false,
            Self::Stranger { .. } | Self::Exposed { .. } => true,
        }
    }
}

/// Both listeners, bound.
#[derive(Debug)]
pub struct ServiceSockets {
    /// Where WeChat's pushes arrive.
    pub http: TcpListener,
    /// Where health and metrics are asked for.
    pub admin: TcpListener,
    /// Which were inherited, for the log.
    pub notes: Vec<String>,
}

/// A listener on its way to a socket.
struct Place {
    key: String,
    name: &'static str,
    addr: SocketAddr,
    socket: Option<TcpListener>,
}

impl Place {
    fn bound(self) -> Result<TcpListener, ServiceSocketError> {
        let Self { key, name, addr, socket } = self;
        if let Some(inherited) = socket {
            return Ok(inherited);
        }
        bind_tcp(addr).map_err(|source| ServiceSocketError::Bind { listener: name, key, addr, source })
    }
}

impl ServiceSockets {
    /// Gives each inherited socket its place, and binds what is left.
    ///
    /// # Errors
    /// An address cannot be used, or a socket was passed that is nobody's.
    pub fn collect(settings: &ServeSettings, inherited: Inherited) -> Result<Self, ServiceSocketError> {
        let [listen, admin] = settings.keys.map(shown);
        let place = |key: &String, name, addr| Place { key: key.clone(), name, addr, socket: None };
        let mut places = [place(&listen, "http", settings.listen), place(&admin, "admin", settings.admin)];
        let mut notes = Vec::new();
        // Addresses first: a name must not take a place that has its own socket.
        let listed = [settings.listen, settings.admin];
        let by_address =
            |passed: &Passed| matches!(&passed.socket, Socket::Tcp(_, addr) if listed.contains(addr));
        let (by_address, by_name): (Vec<_>, Vec<_>) = inherited.0.into_iter().partition(by_address);
        for Passed { name, socket } in by_address.into_iter().chain(by_name) {
            let (tcp, addr) = match socket {
                Socket::Tcp(tcp, addr) => (tcp, addr),
                Socket::Unix(_, path) => {
                    let addr = format!("unix:{}", path.display());
                    return Err(ServiceSocketError::Stranger { name, addr, listen, admin });
                }
            };
            let free = |place: &&mut Place| place.socket.is_none();
            let found = match places.iter_mut().filter(free).find(|place| place.addr == addr) {
                Some(place) => Some(place),
                None => places.iter_mut().filter(free).find(|place| place.name == name),
            };
            let Some(place) = found else {
                let addr = addr.to_string();
                return Err(ServiceSocketError::Stranger { name, addr, listen, admin });
            };
            if place.addr != addr && !addr.ip().to_canonical().is_loopback() {
                return Err(ServiceSocketError::Exposed { name, addr, key: place.key.clone() });
            }
            notes.push(format!("{addr} ({name})"));
            place.socket = Some(tcp);
        }
        let [http, admin] = places;
        Ok(Self { http: http.bound()?, admin: admin.bound()?, notes })
    }
}

/// `[serve] listen`, of `serve.listen`.
fn shown(key: &str) -> String {
    match key.rsplit_once('.') {
        Some((table, key)) => format!("[{table}] {key}"),
        None => key.to_owned(),
    }
}
