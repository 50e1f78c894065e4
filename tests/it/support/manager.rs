//! The service manager's end of `NOTIFY_SOCKET`: a real datagram socket that only listens.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use tokio::net::UnixDatagram;

/// What a message is that ends the start, or a reload.
pub(crate) const READY: &str = "READY=1";

/// A service manager, and what it was told so far.
pub(crate) struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// Listens at this path.
    pub(crate) fn at(path: &Path) -> Self {
        Self { socket: UnixDatagram::bind(path).unwrap(), heard: Vec::new() }
    }

    /// Listens under a name without a file.
    pub(crate) fn abstract_at(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket: UnixDatagram::from_std(socket).unwrap(), heard: Vec::new() }
    }

    /// Waits for a message with these words.
    pub(crate) async fn until(&mut self, words: &str) -> String {
        let mut bytes = vec![0; 8_192];
        loop {
            let length = self.socket.recv(&mut bytes).await.unwrap();
            let message = std::str::from_utf8(&bytes[..length]).unwrap().to_owned();
            assert!(length < 4_096, "systemd would cut this: {message}");
            self.heard.push(message.clone());
            if message.contains(words) {
                return message;
            }
        }
    }

    /// Every message until now.
    pub(crate) fn heard(&mut self) -> &[String] {
        let mut bytes = vec![0; 8_192];
        while let Ok(length) = self.socket.try_recv(&mut bytes) {
            self.heard.push(std::str::from_utf8(&bytes[..length]).unwrap().to_owned());
        }
        &self.heard
    }

    /// How many messages until now have this line.
    pub(crate) fn count(&mut self, line: &str) -> usize {
        self.heard().iter().filter(|message| message.lines().any(|said| said == line)).count()
    }
}

/// The value of a line of a message.
pub(crate) fn value<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name} in {message}"))
}
