//! Ports of loopback that are a test's own before anybody listens on them.
//!
//! A port that was merely free a moment ago is anybody's: another test, or the other end of any
//! connection on this machine. A [`Kept`] one is bound, so the kernel gives it to nobody who asks
//! for some port; whoever names it can listen on it all the same, as servers do (`SO_REUSEADDR`),
//! and as long as nobody does, connections to it are refused.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port as long as it lives.
pub(crate) struct Kept {
    addr: SocketAddr,
    _bound: TcpSocket,
}

impl Kept {
    /// One that nobody has.
    pub(crate) fn new() -> Self {
        let bound = TcpSocket::new_v4().expect("sockets are to be had");
        bound.set_reuseaddr(true).expect("a new socket takes it");
        bound.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback has a free port");
        Self { addr: bound.local_addr().expect("a bound socket has an address"), _bound: bound }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }
}
