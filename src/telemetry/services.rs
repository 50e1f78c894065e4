//! Metrics that only a process of business services has; the daemon's page is without them.

use ::metrics::{counter, describe_counter, describe_gauge, gauge};

use super::labels::Done;

const DAEMON_REACHABLE: &str = "zhongkong_daemon_reachable";
const PUSHES_REFUSED: &str = "zhongkong_message_refusals_total";
const RULES_RELOADS: &str = "zhongkong_rules_reloads_total";
const LAST_RULES_RELOAD_SUCCESSFUL: &str = "zhongkong_last_rules_reload_successful";

/// Says what they mean.
pub(super) fn describe() {
    describe_gauge!(DAEMON_REACHABLE, "1 while the daemon gives a service what it asks for, by service.");
    describe_counter!(PUSHES_REFUSED, "Requests to the callbacks that were refused, by reason.");
    describe_counter!(RULES_RELOADS, "Changes of the rules' file that were looked at, by result.");
    describe_gauge!(LAST_RULES_RELOAD_SUCCESSFUL, "Whether the rules' file is in effect as it is now.");
}

/// So that they are there before anything happens to rules.
pub fn rules_from_the_start() {
    for result in Done::ALL {
        counter!(RULES_RELOADS, "result" => result.as_str()).increment(0);
    }
    // Nothing runs with rules that were refused at the start.
    rules_in_force();
}

/// The daemon gives this service what it asks for: 1, or does not: 0.
pub fn daemon_reachable(service: &'static str, level: f64) {
    gauge!(DAEMON_REACHABLE, "service" => service).set(level);
}

/// The rules' file was changed, and taken over or not.
pub fn rules_reload(done: Done) {
    counter!(RULES_RELOADS, "result" => done.as_str()).increment(1);
    match done {
        Done::Ok => rules_in_force(),
        Done::Failed => gauge!(LAST_RULES_RELOAD_SUCCESSFUL).set(0.0),
    }
}

/// The rules in force are those of the file: they were read with the configuration.
pub fn rules_in_force() {
    gauge!(LAST_RULES_RELOAD_SUCCESSFUL).set(1.0);
}

/// A request to a callback was refused; `reason` is a word of the door's.
pub fn push_refused(reason: &'static str) {
    counter!(PUSHES_REFUSED, "reason" => reason).increment(1);
}
