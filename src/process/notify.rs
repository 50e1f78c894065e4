//! What the service manager is told: datagrams to `NOTIFY_SOCKET`, as sd_notify(3) has them.
//!
//! Owns the socket and the variables that systemd sets. Nothing that systemd does or leaves
//! undone holds the daemon up: no send blocks, a socket that is gone is one warning, and
//! without the variable every message goes nowhere. One state is one line, whatever an error
//! text in it says. The words are sd-notify's; its sender is not used, because it reads the
//! global environment, blocks while systemd is busy and knows no abstract sockets. The
//! variables stay set: the daemon has no children.

use std::error::Error;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use sd_notify::NotifyState;

use crate::config::Environment;

/// How often a start that lasts asks for more time.
pub const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// How much it asks for: three messages may be lost.
const EXTENSION: Duration = Duration::from_secs(20);
/// systemd reads 4096 bytes of a datagram; characters have up to four, and a message has few lines.
const LONGEST_LINE: usize = 480;
/// A manager that is busy is tried again this often, this many times: a second in all.
const AGAIN: Duration = Duration::from_millis(50);
const TRIES: u32 = 20;

/// The way to the service manager, if there is one. A clone is the same way.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    manager: Option<Arc<Manager>>,
    watchdog: Option<Duration>,
}

/// Whether a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was, or nobody wants to hear anything.
    Heard,
    /// It was not; the log has said so.
    Lost,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The latest message was lost, and the log has said so.
    deaf: AtomicBool,
}

impl Notifier {
    /// The manager that this environment names. What cannot be used is warned of and left out.
    pub fn from_env(env: &Environment) -> Self {
        let Some(name) = env.get("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match Manager::at(name) {
            Ok(manager) => Self { manager: Some(Arc::new(manager)), watchdog: watchdog(env) },
            Err(error) => {
                tracing::warn!(
                    %error,
                    "NOTIFY_SOCKET cannot be used, and the service manager is told nothing; with Type=notify it \
                     ends the daemon when the start times out: {error}",
                );
                Self::default()
            }
        }
    }

    /// How long the manager waits for a sign of life, if it watches this process.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends the states as one message. Takes a second at most. Dropping it may lose the message.
    pub async fn tell(&self, states: &[NotifyState<'_>]) -> Told {
        let Some(manager) = &self.manager else { return Told::Heard };
        match manager.send(message(states).as_bytes()).await {
            Ok(()) => {
                if manager.deaf.swap(false, Ordering::Relaxed) {
                    tracing::info!("the service manager listens again");
                }
                Told::Heard
            }
            Err(error) => {
                if manager.deaf.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%error, "the service manager cannot be told: {error}");
                } else {
                    tracing::warn!(
                        %error,
                        "the service manager cannot be told how the daemon is; it goes on, and the next failures \
                         are logged at debug (is the socket of NOTIFY_SOCKET still there?): {error}",
                    );
                }
                Told::Lost
            }
        }
    }

    /// Runs the part of the start that a large ledger makes long, and asks for time meanwhile. If
    /// it fails, the status line says why.
    pub async fn starting<T, E: Error>(&self, start: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let asking = async {
            loop {
                tokio::time::sleep(EXTEND_EVERY).await;
                self.tell(&[extension(), NotifyState::Status("starting: the ledger is being read")]).await;
            }
        };
        let started = tokio::select! {
            started = start => started,
            () = asking => unreachable!("it asks for ever"),
        };
        if let Err(error) = &started {
            self.tell(&[NotifyState::Status(&why(error))]).await;
        }
        started
    }

    /// Says why there will be no daemon: before a runtime, so it is tried once.
    pub fn did_not_start(&self, error: &dyn Error) {
        if let Some(manager) = &self.manager {
            let text = message(&[NotifyState::Status(&why(error))]);
            // The error itself is on stderr.
            let _ = manager.socket.send_to_addr(text.as_bytes(), &manager.address);
        }
    }
}

fn why(error: &dyn Error) -> String {
    format!("did not start: {}", crate::cli::chain(error))
}

/// More time for the start.
pub fn extension() -> NotifyState<'static> {
    more_time(EXTENSION)
}

/// This much time from now on for what is under way, start or stop, if it is more than is left.
pub fn more_time(span: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(span.as_micros()).unwrap_or(u32::MAX))
}

impl Manager {
    fn at(name: &str) -> io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None if name.starts_with('/') => SocketAddr::from_pathname(name)?,
            None => {
                let text = format!("{name} is neither a path nor an abstract socket (@...)");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, deaf: AtomicBool::new(false) })
    }

    /// Not connected: a manager that comes back with a new socket is found again.
    async fn send(&self, message: &[u8]) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match self.socket.send_to_addr(message, &self.address) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < TRIES => {
                    // The queue is the receiver's, so the kernel cannot tell us when there is room.
                    tries += 1;
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// One state per line: a line feed in a status would begin another state.
fn message(states: &[NotifyState<'_>]) -> String {
    let mut text = String::new();
    for state in states {
        let line = state.to_string();
        text.extend(line.chars().take(LONGEST_LINE).map(|c| if c.is_control() { ' ' } else { c }));
        if line.chars().nth(LONGEST_LINE).is_some() {
            text.push('…');
        }
        text.push('\n');
    }
    text
}

/// WATCHDOG_USEC, if it is meant for this process.
fn watchdog(env: &Environment) -> Option<Duration> {
    let text = env.get("WATCHDOG_USEC")?;
    let micros: u64 = text.parse().unwrap_or(0);
    if micros == 0 {
        tracing::warn!(value = text, "WATCHDOG_USEC is no number of microseconds; no watchdog is fed");
        return None;
    }
    match env.get("WATCHDOG_PID") {
        Some(pid) if pid != std::process::id().to_string() => None,
        Some(_) | None => Some(Duration::from_micros(micros)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager of the test, under an abstract name that only this process uses.
    fn manager(name: &str) -> (UnixDatagram, Environment) {
        let name = format!("zhongkong-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, Environment::from_iter([("NOTIFY_SOCKET", format!("@{name}"))]))
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 4_096];
        let length = socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_error_text_with_lines_of_its_own_stays_one_short_line() {
        // WeChat's words end up in the status; they must not be able to say READY=1.
        let (socket, env) = manager("lines");
        let status = format!("refused\nREADY=1\u{1b}[2J {}", "永".repeat(2_000));
        let told = Notifier::from_env(&env).tell(&[NotifyState::Status(&status)]).await;
        assert_eq!(told, Told::Heard);
        let text = heard(&socket).unwrap();
        assert!(text.starts_with("STATUS=refused READY=1 [2J 永"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(text.len() < 2_000, "{}", text.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_start_asks_for_more_time_and_a_failed_one_says_why() {
        // A ledger that takes twelve seconds to read, and then turns out to be another daemon's.
        let (socket, env) = manager("start");
        let notifier = Notifier::from_env(&env);
        let start = async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            Err::<(), _>(io::Error::other("it is in use"))
        };
        notifier.starting(start).await.unwrap_err();
        for _ in 0..2 {
            let text = heard(&socket).unwrap();
            assert!(text.starts_with("EXTEND_TIMEOUT_USEC=20000000\nSTATUS="), "{text}");
        }
        assert_eq!(heard(&socket).as_deref(), Some("STATUS=did not start: it is in use\n"));
        assert_eq!(heard(&socket), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_does_not_read_delays_nobody_for_more_than_a_second() {
        let (socket, env) = manager("full");
        let notifier = Notifier::from_env(&env);
        let begun = tokio::time::Instant::now();
        let mut heard_until = 0;
        while notifier.tell(&[NotifyState::Watchdog]).await == Told::Heard {
            heard_until += 1;
            assert!(heard_until < 100_000, "the queue never filled");
        }
        assert_eq!(begun.elapsed(), AGAIN * TRIES);
        // It reads again: what was lost is lost, and the next message arrives.
        while heard(&socket).is_some() {}
        assert_eq!(notifier.tell(&[NotifyState::Ready]).await, Told::Heard);
        assert_eq!(heard(&socket).as_deref(), Some("READY=1\n"));
    }

    #[test]
    fn a_watchdog_of_another_process_or_without_a_number_is_not_fed() {
        let (_socket, named) = manager("watchdog");
        let name = named.get("NOTIFY_SOCKET").unwrap();
        let own = std::process::id().to_string();
        let fed = |pairs: &[(&str, &str)]| {
            let mut all = vec![("NOTIFY_SOCKET", name)];
            all.extend(pairs);
            Notifier::from_env(&Environment::from_iter(all)).watchdog()
        };
        assert_eq!(fed(&[("WATCHDOG_USEC", "2000000")]), Some(Duration::from_secs(2)));
        assert_eq!(
            fed(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", &own)]),
            Some(Duration::from_secs(2))
        );
        assert_eq!(fed(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(fed(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(fed(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(fed(&[]), None);
        let nobody = Environment::from_iter([("WATCHDOG_USEC", "2000000")]);
        assert_eq!(Notifier::from_env(&nobody).watchdog(), None);
    }
}
