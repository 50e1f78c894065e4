//! HTTP as our listeners speak it: from a bound socket to a router, and the answers they share.
//!
//! [`serve()`] owns the connections of a listener and the limits that keep slow, silent and many
//! callers from mattering; [`read_body`] takes a body up to a limit; [`refusal`] is what a
//! request is told that is not served. Every request has a [`RequestId`], which its answer
//! carries, so that a caller's report finds the log line. It is always ours: one that came from
//! outside could be another caller's. Who asks is said by the connection, or by [`Proxies`] that are
//! trusted; how often one may ask is for a [`Limit`]. Deliberately absent: TLS and HTTP/2, which a proxy offers,
//! layers of middleware, and any knowledge of what is served.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

mod answer;
mod body;
mod heads;
mod limit;
mod proxy;
mod serve;
mod timely;

pub use answer::{no_such_method, no_such_path, refusal};
pub use body::{BodyError, read_body};
pub use limit::Limit;
pub use proxy::{Outside, Proxies, Via};
pub use serve::{serve, serve_behind};

/// What keeps callers of a listener within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Which listener it is, in log lines: `admin`.
    pub listener: &'static str,
    /// Connections at once; others wait in the kernel's queue.
    pub connections: usize,
    /// For the head of a request, and for the next one on a kept connection.
    pub head: Duration,
    /// For the body of a request, from its head on.
    pub body: Duration,
    /// A request's head at most, in bytes; the rest is for the bytes of an answer under way.
    pub buffer: usize,
    /// A caller that takes nothing of what was sent for so long is cut off by the kernel.
    pub taking: Duration,
    /// How long answers under way may take once the listener stops. What is left then belongs to
    /// callers that do not read, or to handlers that nobody waits for any more.
    pub drain: Duration,
}

/// Names a request in the log and in its answer's `x-request-id`: 16 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// One that no other request has.
    fn new() -> Self {
        let mut text = [0; 16];
        hex::encode_to_slice(rand::random::<[u8; 8]>(), &mut text).expect("two digits for a byte fit");
        Self(str::from_utf8(&text).expect("hex digits are ASCII").into())
    }

    /// Its text.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a request besides what it says; in its extensions.
#[derive(Clone, Debug)]
pub struct Received {
    /// Who asks: where the connection came from or, if that is a proxy of ours, who it says it is.
    pub peer: IpAddr,
    /// Whether a proxy of ours stands between.
    pub via: Via,
    /// Its name.
    pub id: RequestId,
    /// When its head was there.
    pub at: Instant,
}
