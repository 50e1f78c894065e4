//! How many keys have a value: what readiness asks after each change.

use crate::model::Key;
use crate::refresh::handle::NoValue;

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

/// Looks at every key where it lies: it is done after each change, and a sorted copy of 20,000
/// handles would cost more than all refreshers together.
pub fn stock(hub: &Hub) -> Stock {
    let accounts = hub.accounts.load();
    let slots = accounts.values().flat_map(|account| account.keys.iter().flatten());
    slots.fold(Stock::default(), |mut stock, slot| {
        stock.keys += 1;
        if let Err(why) = slot.handle.read() {
            stock.missing += 1;
            let key = slot.handle.key();
            if stock.first.as_ref().is_none_or(|(first, _)| key < first) {
                stock.first = Some((key.clone(), why));
            }
        }
        stock
    })
}
