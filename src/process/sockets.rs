//! The listening sockets: inherited from systemd, or bound here before root is given up.
//!
//! An inherited socket takes the place of the configured listener with its address, or, by its
//! name (`FileDescriptorName=` `grpc`, `grpc-unix`, `admin`), of one that has none yet. So the
//! socket outlives the daemon, and a restart refuses no connection. One that belongs to no
//! listener is an error: its callers would wait for ever.
//!
//! Unix sockets that nobody passed are bound later, by the daemon as its own user: root should
//! not make and change files in a directory of that user.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;

use crate::config::{Config, Environment};
use crate::grpc::settings::Listen;
use crate::grpc::{self, BindError};

/// Why there are no sockets to listen on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A gRPC listener cannot be bound.
    #[error("the gRPC face cannot listen")]
    Grpc(#[source] BindError),
    /// The admin listener cannot be bound.
    #[error("the admin listener cannot use {addr}; stop what listens there, or change [admin] listen")]
    Admin {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// What was passed is no listening stream socket.
    #[error(
        "the inherited file descriptor `{name}` (number {number} from 0) is no listening TCP or Unix socket: look at ListenStream= in the socket unit"
    )]
    NotListening {
        /// Its name.
        name: String,
        /// Its place in LISTEN_FDS.
        number: usize,
        /// Why.
        source: io::Error,
    },
    /// A socket that no listener of the configuration stands for.
    #[error(
        "the inherited socket `{name}` on {addr} belongs to no listener: list its address in [grpc] listen or [admin] listen, or name it grpc, grpc-unix or admin with FileDescriptorName= in the socket unit"
    )]
    Stranger {
        /// Its name.
        name: String,
        /// Its address.
        addr: String,
    },
    /// A socket that other machines reach, and the configuration does not say so.
    #[error(
        "the inherited socket `{name}` listens on {addr}, which other machines reach, and the configuration does not list that address: list it in [{section}] listen, where the rules about TLS apply"
    )]
    Exposed {
        /// Its name.
        name: String,
        /// Its address.
        addr: SocketAddr,
        /// Where it would belong.
        section: &'static str,
    },
}

impl SocketError {
    /// Whether the configuration, or the socket unit, must be changed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Grpc(_) | Self::Admin { .. } => false,
            Self::NotListening { .. } | Self::Stranger { .. } | Self::Exposed { .. } => true,
        }
    }
}

/// A socket that was passed by whoever started the process.
pub(super) struct Passed {
    pub(super) name: String,
    pub(super) socket: Socket,
}

pub(super) enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

/// The sockets that were passed by whoever started the process.
#[derive(Default)]
pub struct Inherited(pub(super) Vec<Passed>);

/// Every listener of the daemon, bound but for Unix sockets of our own.
#[derive(Debug)]
pub struct Sockets {
    /// Bound here, or inherited.
    pub grpc_tcp: Vec<TcpListener>,
    /// Inherited, with their paths.
    pub grpc_unix: Vec<(UnixListener, PathBuf)>,
    /// Still to be bound.
    pub grpc_unbound: Vec<PathBuf>,
    /// The admin listener.
    pub admin: TcpListener,
    /// What is worth a word in the log: which sockets were inherited.
    pub notes: Vec<String>,
}

impl Inherited {
    /// Takes what was passed to this very process (`LISTEN_PID`), and takes the variables out of
    /// the environment. Once, before there is a second thread and before a fork.
    pub fn take(env: &Environment) -> Result<Self, SocketError> {
        let mut fds = ListenFd::from_env();
        let names: Vec<&str> =
            env.get("LISTEN_FDNAMES").map_or_else(Vec::new, |names| names.split(':').collect());
        let mut passed = Vec::new();
        for number in 0..fds.len() {
            let name = names.get(number).copied().unwrap_or("unknown").to_owned();
            let refused = |source| SocketError::NotListening { name: name.clone(), number, source };
            let socket = if let Ok(Some(tcp)) = fds.take_tcp_listener(number) {
                let addr = tcp.local_addr().map_err(refused)?;
                Socket::Tcp(tcp, addr)
            } else {
                let unix = fds.take_unix_listener(number).map_err(refused)?;
                let unix = unix.ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?;
                let addr = unix.local_addr().map_err(refused)?;
                Socket::Unix(unix, addr.as_pathname().map(PathBuf::from).unwrap_or_default())
            };
            let listens = match &socket {
                Socket::Tcp(tcp, _) => rustix::net::sockopt::socket_acceptconn(tcp),
                Socket::Unix(unix, _) => rustix::net::sockopt::socket_acceptconn(unix),
            };
            if !listens.map_err(|error| refused(error.into()))? {
                return Err(refused(io::Error::other("nobody has called listen on it")));
            }
            passed.push(Passed { name, socket });
        }
        Ok(Self(passed))
    }
}

/// How many sockets were passed to this very process.
pub fn passed(env: &Environment) -> usize {
    let ours =
        env.get("LISTEN_PID").is_none_or(|pid| pid.is_empty() || pid == std::process::id().to_string());
    env.get("LISTEN_FDS").filter(|_| ours).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The listeners of the configuration that have no socket yet.
struct Open {
    tcp: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
    admin: Option<SocketAddr>,
}

impl Sockets {
    /// Gives each inherited socket its place, and binds the TCP sockets that are left.
    pub fn collect(config: &Config, inherited: Inherited) -> Result<Self, SocketError> {
        let mut open = Open { tcp: Vec::new(), unix: Vec::new(), admin: Some(config.admin.listen) };
        for listen in &config.grpc.listen {
            match listen {
                Listen::Tcp(addr) => open.tcp.push(*addr),
                Listen::Unix(path) => open.unix.push(path.clone()),
            }
        }
        let (mut grpc_tcp, mut grpc_unix, mut admin, mut notes) = (Vec::new(), Vec::new(), None, Vec::new());
        // Addresses first: a name must not take a place that has its own socket.
        let (by_address, by_name): (Vec<_>, Vec<_>) = inherited.0.into_iter().partition(|it| open.has(it));
        for Passed { name, socket } in by_address.into_iter().chain(by_name) {
            match socket {
                Socket::Tcp(tcp, addr) => {
                    notes.push(format!("{addr} ({name})"));
                    match open.place(&name, addr)? {
                        Face::Grpc => grpc_tcp.push(tcp),
                        Face::Admin => admin = Some(tcp),
                    }
                }
                Socket::Unix(unix, path) => {
                    notes.push(format!("unix:{} ({name})", path.display()));
                    open.place_unix(&name, &path)?;
                    grpc_unix.push((unix, path));
                }
            }
        }
        for addr in open.tcp {
            let bound = grpc::bind_tcp(addr);
            grpc_tcp.push(bound.map_err(|source| SocketError::Grpc(BindError::Tcp { addr, source }))?);
        }
        let addr = config.admin.listen;
        let admin = match admin {
            Some(inherited) => inherited,
            None => grpc::bind_tcp(addr).map_err(|source| SocketError::Admin { addr, source })?,
        };
        Ok(Self { grpc_tcp, grpc_unix, grpc_unbound: open.unix, admin, notes })
    }
}

/// Whose a TCP socket is.
#[derive(Clone, Copy)]
enum Face {
    Grpc,
    Admin,
}

impl Open {
    /// Whether a listener has exactly this address.
    fn has(&self, passed: &Passed) -> bool {
        match &passed.socket {
            Socket::Tcp(_, addr) => self.tcp.contains(addr) || self.admin == Some(*addr),
            Socket::Unix(_, path) => self.unix.contains(path),
        }
    }

    fn place(&mut self, name: &str, addr: SocketAddr) -> Result<Face, SocketError> {
        if let Some(at) = self.tcp.iter().position(|open| *open == addr) {
            self.tcp.remove(at);
            return Ok(Face::Grpc);
        }
        if self.admin == Some(addr) {
            self.admin = None;
            return Ok(Face::Admin);
        }
        let stranger = || SocketError::Stranger { name: name.to_owned(), addr: addr.to_string() };
        let (face, section) = match name {
            "grpc" => (Face::Grpc, "grpc"),
            "admin" if self.admin.is_some() => (Face::Admin, "admin"),
            _ => return Err(stranger()),
        };
        if !addr.ip().to_canonical().is_loopback() {
            return Err(SocketError::Exposed { name: name.to_owned(), addr, section });
        }
        match face {
            Face::Admin => self.admin = None,
            Face::Grpc if self.tcp.is_empty() => {}
            Face::Grpc => {
                self.tcp.remove(0);
            }
        }
        Ok(face)
    }

    fn place_unix(&mut self, name: &str, path: &PathBuf) -> Result<(), SocketError> {
        match self.unix.iter().position(|open| open == path) {
            Some(at) => {
                self.unix.remove(at);
            }
            None if name == "grpc-unix" || name == "grpc" => {
                if !self.unix.is_empty() {
                    self.unix.remove(0);
                }
            }
            None => {
                let addr = format!("unix:{}", path.display());
                return Err(SocketError::Stranger { name: name.to_owned(), addr });
            }
        }
        Ok(())
    }
}
