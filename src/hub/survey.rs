//! Looks at every key where it lies: what lists and totals are made from.

use crate::refresh::handle::Handle;

use super::Hub;

/// Shows every key with what people call its account, in no particular order. Nothing is
/// copied: of 20,000 keys a list shows some fifty.
pub fn survey(hub: &Hub, mut look: impl FnMut(&Handle, Option<&str>)) {
    let accounts = hub.accounts.load();
    for account in accounts.values() {
        let settings = account.settings.borrow().clone();
        for slot in account.keys.iter().flatten() {
            look(&slot.handle, settings.name.as_deref());
        }
    }
}
