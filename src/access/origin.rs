//! From where somebody calls, as far as the connection itself can say.
//!
//! Behind a proxy it is the proxy: headers that claim another origin are not believed, because
//! anybody can send them.

use std::fmt;
use std::net::IpAddr;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A machine. The port says nothing that lasts, and is left out.
    Ip(IpAddr),
    /// A process of this user on this machine, over a Unix socket.
    Uid(u32),
    /// The system would not say.
    Unknown,
}

impl From<IpAddr> for Origin {
    fn from(ip: IpAddr) -> Self {
        // A listener on [::] sees 192.0.2.1 as ::ffff:192.0.2.1.
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Unknown => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_has_one_name_whatever_the_listener_is() {
        let of = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8::1"), "2001:db8::1");
        assert_eq!(Origin::Uid(1_000).to_string(), "uid 1000");
    }
}
