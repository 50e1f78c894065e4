//! Metrics that only a process of business services has; the daemon's page is without them.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::labels::Done;

const DAEMON_REACHABLE: &str = "zhongkong_daemon_reachable";
const PUSHES_REFUSED: &str = "zhongkong_message_refusals_total";
const RULES_RELOADS: &str = "zhongkong_rules_reloads_total";
const LAST_RULES_RELOAD_SUCCESSFUL: &str = "zhongkong_last_rules_reload_successful";
const ASKED: &str = "zhongkong_oauth_requests_total";
const STORE_SECONDS: &str = "zhongkong_oauth_store_seconds";
const LOGINS: &str = "zhongkong_oauth_logins_total";
const BUSINESS_ASKED: &str = "zhongkong_business_requests_total";
const JSSDK_SIGNED: &str = "zhongkong_jssdk_signatures_total";
const JSSDK_REFUSED: &str = "zhongkong_jssdk_refusals_total";

/// Says what they mean.
pub(super) fn describe() {
    describe_gauge!(DAEMON_REACHABLE, "1 while the daemon gives a service what it asks for, by service.");
    describe_counter!(PUSHES_REFUSED, "Requests to the callbacks that were refused, by reason.");
    describe_counter!(RULES_RELOADS, "Changes of the rules' file that were looked at, by result.");
    describe_gauge!(LAST_RULES_RELOAD_SUCCESSFUL, "Whether the rules' file is in effect as it is now.");
    describe_counter!(ASKED, "Requests about who is logged in, by what was asked and what came of it.");
    describe_histogram!(
        STORE_SECONDS,
        Unit::Seconds,
        "Time of one step of the login service's stores, by store."
    );
    describe_counter!(LOGINS, "Requests of the login flow, by what they were told.");
    describe_counter!(
        BUSINESS_ASKED,
        "Requests of programs about menus and QR codes, by operation and what came of it."
    );
    describe_counter!(JSSDK_SIGNED, "Signatures of the JS-SDK service, by what they were made with.");
    describe_counter!(JSSDK_REFUSED, "Requests to the JS-SDK service that were refused, by reason.");
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

/// A request of the login flow was answered; `outcome` is a word of the flow's.
pub fn login(outcome: &'static str) {
    counter!(LOGINS, "outcome" => outcome).increment(1);
}

/// Somebody asked who is logged in, or to end it; both are words of the identity endpoints.
pub fn identity_asked(what: &'static str, result: &'static str) {
    counter!(ASKED, "what" => what, "result" => result).increment(1);
}

/// A program asked for something about menus or codes; both are words of the business service's.
pub fn business_asked(operation: &'static str, result: &'static str) {
    counter!(BUSINESS_ASKED, "operation" => operation, "result" => result).increment(1);
}

/// What a signature of the JS-SDK service was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The page's ticket in the local copy.
    Copy,
    /// The card's ticket in the local copy.
    CopyCard,
    /// The daemon, which was asked to.
    Daemon,
}

/// A page or a card was signed.
pub fn signed(by: SignedBy) {
    let by = match by {
        SignedBy::Copy => "copy",
        SignedBy::CopyCard => "card_copy",
        SignedBy::Daemon => "daemon",
    };
    counter!(JSSDK_SIGNED, "by" => by).increment(1);
}

/// A request to the JS-SDK service was refused; `reason` is a word of the door's.
pub fn jssdk_refused(reason: &'static str) {
    counter!(JSSDK_REFUSED, "reason" => reason).increment(1);
}

/// A store of the login service's did one thing, or failed to; `store` is what it is.
pub fn store_took(store: &'static str, took: Duration) {
    histogram!(STORE_SECONDS, "store" => store).record(took);
}
