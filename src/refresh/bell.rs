//! How a key that rests is woken: what rang at it, and the list of all that were rung.
//!
//! A resting key has no task, so nothing can wait for it in a `select!`. Whoever wants its
//! attention sets a bit and, if none was set, puts the key's bed on the hub's list; the hub
//! (`hub::tasks`) gives it a task, which takes the bits one after the other.
//!
//! **Invariant:** no ring is lost. The bit comes before the list, and whoever lays a key to
//! rest looks at its bits afterwards; so a ring is seen there or found on the list.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Why a key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// The account was removed. Stays.
    Removed = 1,
    /// A reload.
    Settings = 2,
    /// Mail, or a ring without any.
    Mail = 4,
    /// The parent changed.
    Parent = 8,
}

/// Where a resting key lies in the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bed(pub u32);

/// No bed: the hub has not taken the key in yet, and will look at its bits when it does.
const NOWHERE: u32 = u32::MAX;

/// The beds that were rung at, for the hub. Each is listed once for each ring that found it silent.
#[derive(Debug, Default)]
pub struct Rung {
    beds: Mutex<Vec<Bed>>,
    some: Notify,
}

/// The bell of one key.
#[derive(Debug)]
pub(super) struct Bell {
    rung: Arc<Rung>,
    bed: AtomicU32,
    bits: AtomicU8,
}

impl Rung {
    /// Waits until somebody was rung. May wake once too often; dropping it loses nothing.
    pub async fn some(&self) {
        self.some.notified().await;
    }

    /// Takes the list.
    pub fn take(&self) -> Vec<Bed> {
        std::mem::take(&mut *self.beds.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, bed: Bed) {
        self.beds.lock().unwrap_or_else(PoisonError::into_inner).push(bed);
        self.some.notify_one();
    }
}

// The order between the bits, the bed and the hub's look at the bits is what keeps a ring from
// being lost; all of them are sequentially consistent, so that there is one order.
impl Bell {
    pub(super) fn new(rung: Arc<Rung>) -> Self {
        Self { rung, bed: AtomicU32::new(NOWHERE), bits: AtomicU8::new(0) }
    }

    /// Says where the key lies from now on.
    pub(super) fn hang_at(&self, bed: Bed) {
        self.bed.store(bed.0, Ordering::SeqCst);
    }

    /// Rings. A second ring for the same reason changes nothing until the first is answered.
    pub(super) fn ring(&self, why: Ring) {
        let before = self.bits.fetch_or(why as u8, Ordering::SeqCst);
        if before == 0 {
            match self.bed.load(Ordering::SeqCst) {
                NOWHERE => {}
                bed => self.rung.add(Bed(bed)),
            }
        }
    }

    /// Whether it rang for this reason; if so it is silent about it from now on.
    pub(super) fn answer(&self, why: Ring) -> bool {
        self.bits.fetch_and(!(why as u8), Ordering::SeqCst) & why as u8 != 0
    }

    /// Whether it rings for this reason.
    pub(super) fn rings_for(&self, why: Ring) -> bool {
        self.bits.load(Ordering::SeqCst) & why as u8 != 0
    }

    /// Whether it rings at all.
    pub(super) fn rings(&self) -> bool {
        self.bits.load(Ordering::SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_listed_once_until_all_its_rings_are_answered() {
        let rung = Arc::new(Rung::default());
        let bell = Bell::new(rung.clone());
        bell.hang_at(Bed(7));
        bell.ring(Ring::Mail);
        bell.ring(Ring::Mail);
        bell.ring(Ring::Parent);
        assert_eq!(rung.take(), [Bed(7)]);
        assert!(bell.answer(Ring::Mail) && !bell.answer(Ring::Mail));
        // It still rings for its parent, so it is not laid to rest and need not be listed.
        bell.ring(Ring::Mail);
        assert_eq!(rung.take(), []);
        assert!(bell.answer(Ring::Parent) && bell.answer(Ring::Mail) && !bell.rings());
        bell.ring(Ring::Settings);
        assert_eq!(rung.take(), [Bed(7)]);
        assert!(bell.rings_for(Ring::Settings) && !bell.rings_for(Ring::Removed));
    }

    #[test]
    fn ring_before_there_is_a_bed_is_not_lost() {
        let rung = Arc::new(Rung::default());
        let bell = Bell::new(rung.clone());
        bell.ring(Ring::Removed);
        bell.hang_at(Bed(0));
        assert_eq!(rung.take(), []);
        assert!(bell.rings(), "the hub looks at the bits when it has hung it up");
    }

    #[test]
    fn no_ring_of_many_threads_is_lost() {
        // Four callers ring; one thread is the hub: it takes the list, answers, lays to rest and looks
        // again. Each ring is answered by a look that begins after it, or the last word is a ring.
        const RINGS: u32 = 20_000;
        let rung = Arc::new(Rung::default());
        let bell = Arc::new(Bell::new(rung.clone()));
        bell.hang_at(Bed(1));
        let done = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..RINGS {
                        bell.ring(Ring::Mail);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
            let mut resting = true;
            loop {
                let over = done.load(Ordering::SeqCst) == 4;
                if rung.take().contains(&Bed(1)) {
                    resting = false;
                }
                if !resting {
                    bell.answer(Ring::Mail);
                    // Laid to rest, unless it rang meanwhile.
                    resting = !bell.rings();
                }
                if over && resting {
                    break;
                }
                std::hint::spin_loop();
            }
        });
        assert!(!bell.rings() || !rung.take().is_empty(), "it rings and nobody knows");
    }
}
