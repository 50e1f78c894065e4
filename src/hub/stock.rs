//! Looks at every key where it lies: how many have a value, and whatever else is counted.

use crate::model::Key;
use crate::refresh::handle::{Handle, NoValue};

use super::Hub;

/// How many keys have a good value, and of the others which comes first and why it has none.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// All keys.
    pub keys: usize,
    /// Those without a value.
    pub missing: usize,
    /// The first of them.
    pub first: Option<(Key, NoValue)>,
}

/// How many keys have a value now.
pub fn stock(hub: &Hub) -> Stock {
    let mut stock = Stock::default();
    each_key(hub, |handle| {
        stock.keys += 1;
        if let Err(why) = handle.read() {
            stock.missing += 1;
            let key = handle.key();
            if stock.first.as_ref().is_none_or(|(first, _)| key < first) {
                stock.first = Some((key.clone(), why));
            }
        }
    });
    stock
}

/// Shows every key, in no order, to `look`: for what is done after each change or at each scrape,
/// where a sorted copy of 20,000 handles would cost more than all refreshers together.
pub fn each_key(hub: &Hub, mut look: impl FnMut(&Handle)) {
    let accounts = hub.accounts.load();
    for slot in accounts.values().flat_map(|account| account.keys.iter().flatten()) {
        look(&slot.handle);
    }
}
