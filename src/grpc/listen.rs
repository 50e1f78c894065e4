//! Listening addresses: bound early, handed to the server, cleaned up after.
//!
//! A Unix socket's file gets mode 0660: its owner and group may connect, and the server
//! then asks the kernel for the caller's uid, so the mode is the first of two guards. A
//! file that nobody listens on is what a killed daemon left behind and is replaced; one
//! that somebody listens on is not touched. A socket that somebody else made and handed to
//! this process (systemd) is served as it is, and its file is left where it is.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::settings::Listen;

/// Owner and group may connect.
const SOCKET_MODE: u32 = 0o660;
/// Connections that wait to be accepted: after a restart every watcher comes back at once.
const BACKLOG: i32 = 1_024;

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Held for its drop, which removes the file if it is ours.
        file: SocketFile,
    },
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {addr}; stop what listens there, or change [grpc] listen")]
    Tcp {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's file cannot be made.
    #[error("cannot listen on unix:{}", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process listens on the socket.
    #[error("another process listens on unix:{}; stop it first", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// The path is something else.
    #[error("{} exists and is not a socket; choose another path or remove it", path.display())]
    NotASocket {
        /// Which.
        path: PathBuf,
    },
}

impl Listener {
    /// Binds an address. Must be called within the runtime that will serve it.
    pub async fn bind(listen: &Listen) -> Result<Self, BindError> {
        let socket = match listen {
            Listen::Tcp(addr) => {
                let failed = |source| BindError::Tcp { addr: *addr, source };
                let listener = bind_tcp(*addr).map_err(failed)?;
                Socket::Tcp(TcpListener::from_std(listener).map_err(failed)?)
            }
            Listen::Unix(path) => bind_unix(path).await?,
        };
        Ok(Self { socket })
    }

    /// Serves a TCP socket that listens already. Must be called within the runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: Socket::Tcp(TcpListener::from_std(listener)?) })
    }

    /// Serves a Unix socket that somebody else made at `path` and keeps: its file is not removed.
    /// Must be called within the runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn from_unix(listener: std::os::unix::net::UnixListener, path: PathBuf) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            socket: Socket::Unix {
                listener: UnixListener::from_std(listener)?,
                file: SocketFile { path, id: None },
            },
        })
    }

    /// The TCP address, with the port that the system chose if 0 was asked for.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }
}

/// As it is written in the configuration; a port that was 0 is known now.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(addr) => write!(f, "{addr}"),
                Err(_) => f.write_str("?"),
            },
            Socket::Unix { listener: _, file } => write!(f, "unix:{}", file.path.display()),
        }
    }
}

/// A listening TCP socket that needs no runtime yet.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn bind_tcp(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the daemon before this one may still be closing.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn bind_unix(path: &Path) -> Result<Socket, BindError> {
    let failed = |source| BindError::Unix { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(failed(other)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        // Only a refusal proves that nobody listens; a full backlog or a missing
        // permission does not.
        Ok(_) => match UnixStream::connect(path).await {
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) | Err(_) => return Err(BindError::Taken { path: path.to_owned() }),
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    let file = SocketFile::of(path).map_err(failed)?;
    Ok(Socket::Unix { listener, file })
}

/// The file of a socket. One that we bound is removed on drop, unless another process has put its
/// own in the same place meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// None if somebody else bound it.
    id: Option<(u64, u64)>,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: Some(identity(path)?) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some()
            && identity(&self.path).ok() == self.id
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the socket's file {path} could not be removed: {error}");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
