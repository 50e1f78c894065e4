//! Looks at every key where it lies: what lists and totals are made from, after each change, at
//! each scrape, for each page.

use crate::refresh::handle::Handle;

use super::Hub;

/// Shows every key with what people call its account, in no particular order. Nothing is
/// copied: a sorted copy of 20,000 handles would cost more than all refreshers together.
pub fn survey(hub: &Hub, mut look: impl FnMut(&Handle, Option<&str>)) {
    let accounts = hub.accounts.load();
    for account in accounts.values() {
        let settings = account.settings.load();
        for key in account.keys.iter().flatten() {
            look(key, settings.name.as_deref());
        }
    }
}
