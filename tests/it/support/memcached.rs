//! A real memcached, and its text protocol by hand.
//!
//! The reader here shares nothing with the client that the mirror writes with: what it sees is
//! what any program sees.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::ports::Kept;

const PROGRAM: &str = "/usr/bin/memcached";

/// A memcached on a port of its own, killed when dropped.
pub(crate) struct Memcached {
    // Also while it does not run: a restart must find it free.
    port: Kept,
    child: Option<Child>,
}

/// An item as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) value: String,
    pub(crate) flags: u32,
}

impl Memcached {
    /// Starts one and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        let mut server = Self { port: Kept::new(), child: None };
        server.run();
        server
    }

    /// `host:port`.
    pub(crate) fn addr(&self) -> String {
        self.port.addr().to_string()
    }

    /// Ends it as `kill -9` does, with all its contents.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.run();
    }

    /// Stops it from answering, with its connections left open, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill is there");
        assert!(status.success());
    }

    /// What is stored under the key.
    pub(crate) fn get(&self, key: &str) -> Option<Stored> {
        let mut talk = self.talk(&format!("get {key}\r\n"));
        let header = line(&mut talk);
        if header == "END" {
            return None;
        }
        let words: Vec<_> = header.split(' ').collect();
        assert_eq!(words[..2], ["VALUE", key], "{header}");
        let mut value = vec![0; words[3].parse().expect("a length")];
        talk.read_exact(&mut value).expect("as much as announced");
        let value = String::from_utf8(value).expect("text");
        Some(Stored { value, flags: words[2].parse().expect("flags") })
    }

    /// The value under the key, if there is one.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.get(key).map(|stored| stored.value)
    }

    /// The key's remaining life in seconds, -1 for ever.
    pub(crate) fn ttl(&self, key: &str) -> Option<i64> {
        let answer = line(&mut self.talk(&format!("mg {key} t\r\n")));
        answer.strip_prefix("HD t").map(|seconds| seconds.parse().expect("a number"))
    }

    /// Drops all contents.
    pub(crate) fn flush_all(&self) {
        assert_eq!(line(&mut self.talk("flush_all\r\n")), "OK");
    }

    /// Stores text that never expires, as some other program would.
    pub(crate) fn set(&self, key: &str, value: &str) {
        let command = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(line(&mut self.talk(&command)), "STORED");
    }

    /// A number out of `stats`.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let mut talk = self.talk("stats\r\n");
        loop {
            let row = line(&mut talk);
            assert_ne!(row, "END", "there is no {name}");
            if let Some(number) = row.strip_prefix(&format!("STAT {name} ")) {
                return number.parse().expect("a number");
            }
        }
    }

    fn talk(&self, command: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.port.addr()).expect("memcached runs");
        stream.write_all(command.as_bytes()).expect("memcached reads");
        BufReader::new(stream)
    }

    fn run(&mut self) {
        let addr = self.port.addr();
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let child = Command::new(PROGRAM)
            .args(["-l", &host, "-p", &port, "-U", "0", "-m", "16", "-t", "1", "-u", "root"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{PROGRAM} cannot be started ({error}); run: sudo apt-get install -y memcached")
        });
        // A refused connection is answered at once, so this turns until the listener is there.
        while TcpStream::connect(addr).is_err() {
            let ended = child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "memcached does not start on {addr}: {ended:?}");
            std::thread::yield_now();
        }
        self.child = Some(child);
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        self.kill();
    }
}

fn line(talk: &mut impl BufRead) -> String {
    let mut line = String::new();
    talk.read_line(&mut line).expect("memcached answers in text");
    line.trim_end().to_owned()
}
