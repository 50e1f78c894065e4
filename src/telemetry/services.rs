//! Metrics that only a process of business services has; the daemon's page is without them.

use ::metrics::{counter, describe_counter, describe_gauge, gauge};

const DAEMON_REACHABLE: &str = "zhongkong_daemon_reachable";
const PUSHES_REFUSED: &str = "zhongkong_message_refusals_total";

/// Says what they mean.
pub(super) fn describe() {
    describe_gauge!(DAEMON_REACHABLE, "1 while the daemon gives a service what it asks for, by service.");
    describe_counter!(PUSHES_REFUSED, "Requests to the callbacks that were refused, by reason.");
}

/// The daemon gives this service what it asks for: 1, or does not: 0.
pub fn daemon_reachable(service: &'static str, level: f64) {
    gauge!(DAEMON_REACHABLE, "service" => service).set(level);
}

/// A request to a callback was refused; `reason` is a word of the door's.
pub fn push_refused(reason: &'static str) {
    counter!(PUSHES_REFUSED, "reason" => reason).increment(1);
}
