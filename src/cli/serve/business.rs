//! What the service of menus and QR codes would serve.

use crate::launch::services::business::CheckedBusiness;

/// Where it keeps what it does, and who knows its callers.
pub(super) fn lines(checked: &CheckedBusiness) -> Vec<String> {
    let CheckedBusiness { database, daemon, permanent_codes, permanent_reserve, events } = checked;
    let scans = if *events {
        "scans are told by the message service, at /business/events"
    } else {
        "scans are not told: there is no events_secret"
    };
    vec![
        format!("pushes and codes in {database}"),
        format!("callers are those that the daemon at {daemon} knows"),
        format!("permanent codes: {permanent_codes} an account, of which {permanent_reserve} are a reserve"),
        scans.to_owned(),
    ]
}
