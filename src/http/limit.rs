//! How often one address may ask: so many a minute, and as many at once.
//!
//! governor counts; what it remembers is bounded here. An address that has been silent for a
//! minute or two is forgotten, and beyond [`MOST`] addresses newcomers share [`SHARED`] counters by a
//! hash, so that a flood from many addresses costs memory no further and slows itself first.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{HashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;

/// Addresses that are counted each for itself; some ten megabytes.
const MOST: usize = 65_536;
/// Counters for all others together.
const SHARED: u64 = 1_024;
/// Between two looks for addresses to forget, in ms: each takes a millisecond at most.
const SWEEP: i64 = 5_000;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Caller {
    /// An IPv4 address, or the network of an IPv6 one, which its owner has whole.
    Address(IpAddr),
    /// One of the shared counters.
    Shared(u64),
}

/// Our clock as governor reads it: since the boot, which no test can make negative.
#[derive(Clone)]
struct Boot(Clock);

impl governor::clock::Clock for Boot {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.boot().0).unwrap_or(0))
    }
}

/// governor's table of counters, with room for so many callers.
#[derive(Clone)]
struct Table {
    counters: Arc<HashMapStateStore<Caller>>,
    most: usize,
    hash: RandomState,
}

impl Table {
    /// Who is counted for this caller: itself, as long as there is room or it is known.
    fn seat(&self, caller: Caller) -> Caller {
        // A look that is not exact among many threads, and need not be.
        let counters = self.counters.lock();
        if counters.len() < self.most || counters.contains_key(&caller) {
            return caller;
        }
        Caller::Shared(self.hash.hash_one(caller) % SHARED)
    }
}

impl StateStore for Table {
    type Key = Caller;

    fn measure_and_replace<T, F, E>(&self, caller: &Caller, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.counters.measure_and_replace(&self.seat(*caller), f)
    }
}

impl ShrinkableKeyedStateStore<Caller> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        self.counters.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.counters.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.counters.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.counters.lock().is_empty()
    }
}

/// The limit of a listener.
pub struct Limit {
    counters: RateLimiter<Caller, Table, Boot, NoOpMiddleware<Duration>>,
    boot: Boot,
    a_minute: NonZeroU32,
    /// Boot time in ms of the last look for addresses to forget.
    swept: AtomicI64,
}

impl Limit {
    /// So many a minute from each address.
    pub fn new(a_minute: NonZeroU32, clock: Clock) -> Self {
        Self::with_room(a_minute, clock, MOST)
    }

    fn with_room(a_minute: NonZeroU32, clock: Clock, most: usize) -> Self {
        let table = Table { counters: Arc::default(), most, hash: RandomState::new() };
        let swept = AtomicI64::new(clock.boot().0);
        let boot = Boot(clock);
        let counters = RateLimiter::new(Quota::per_minute(a_minute), table, boot.clone());
        Self { counters, boot, a_minute, swept }
    }

    /// What it was made with.
    pub fn a_minute(&self) -> NonZeroU32 {
        self.a_minute
    }

    /// Counts a request from this address.
    ///
    /// # Errors
    /// It is one too many; the next one may come after this span.
    pub fn take(&self, from: IpAddr) -> Result<(), Duration> {
        self.sweep();
        let now = self.boot.now();
        self.counters.check_key(&Caller::Address(network(from))).map_err(|busy| busy.wait_time_from(now))
    }

    fn sweep(&self) {
        let (now, last) = (self.boot.0.boot().0, self.swept.load(Ordering::Relaxed));
        let due = now.saturating_sub(last) >= SWEEP;
        if due && self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.counters.retain_recent();
            self.counters.shrink_to_fit();
        }
    }
}

/// Whoever has an IPv6 address has its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock::{BootTime, WallTime};

    fn limit(a_minute: u32, most: usize) -> Limit {
        let clock = Clock::manual(WallTime(0), BootTime(1_000_000), "boot");
        Limit::with_room(NonZeroU32::new(a_minute).unwrap(), clock, most)
    }

    fn nth(nth: u32) -> IpAddr {
        Ipv4Addr::from(0x0A00_0000 + nth).into()
    }

    #[tokio::test(start_paused = true)]
    async fn address_has_so_many_at_once_and_then_so_many_a_minute() {
        let limit = limit(60, 10);
        for _ in 0..60 {
            assert_eq!(limit.take(nth(1)), Ok(()));
        }
        let wait = limit.take(nth(1)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        // Nobody else is slowed by that, and an IPv4 address in IPv6 clothes is the same.
        assert_eq!(limit.take(nth(2)), Ok(()));
        assert!(limit.take("::ffff:10.0.0.1".parse().unwrap()).is_err());
        tokio::time::advance(wait).await;
        assert_eq!(limit.take(nth(1)), Ok(()));
        assert!(limit.take(nth(1)).is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..100).filter(|_| limit.take(nth(1)).is_ok()).count(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn owner_of_an_ipv6_network_is_one_caller() {
        let limit = limit(2, 10);
        for address in ["2001:db8::1", "2001:db8::2:0:0:1"] {
            assert_eq!(limit.take(address.parse().unwrap()), Ok(()));
        }
        assert!(limit.take("2001:db8:0:0:ffff::".parse().unwrap()).is_err());
        assert_eq!(limit.take("2001:db8:0:1::".parse().unwrap()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn flood_of_addresses_is_held_in_bounded_memory_and_slows_itself() {
        let limit = limit(2, 100);
        assert_eq!(limit.take(nth(0)), Ok(()));
        let served = (1..20_000).filter(|one| limit.take(nth(*one)).is_ok()).count();
        let room = 100 + usize::try_from(SHARED).unwrap();
        assert!(limit.counters.len() <= room, "{}", limit.counters.len());
        assert!(served <= 2 * room, "{served}");
        // Who was there before the flood is not slowed by it.
        assert_eq!(limit.take(nth(0)), Ok(()));
        // Silence, and everybody is forgotten.
        tokio::time::advance(Duration::from_secs(91)).await;
        assert_eq!(limit.take(nth(30_000)), Ok(()));
        assert_eq!(limit.counters.len(), 1);
    }
}
