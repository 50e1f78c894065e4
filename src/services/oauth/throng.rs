//! How many logins may be under way: what bounds the store under a flood of beginnings.
//!
//! A login that begins costs a record for ten minutes, and anybody may begin one. Counted are those
//! of this process that have not ended; beyond the bound nobody may begin, and one address may have
//! a part of it only, so that a single machine cannot shut all others out. Memory follows the bound.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{BootTime, Clock};

use super::pending::LIFE;

/// Beginnings are counted together for so long; they are forgotten this much late at most.
const SLICE: Duration = Duration::from_secs(10);
/// The part of the bound that one address may have: a tenth. Many users share one behind a carrier's
/// translation, and so do all users behind a proxy that is not in `trusted_proxies`.
const PART: usize = 10;

/// There is no room for another login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The logins under way.
pub(super) struct Throng {
    most: usize,
    clock: Clock,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Oldest first.
    slices: VecDeque<Slice>,
    all: usize,
    by: HashMap<IpAddr, usize>,
}

struct Slice {
    begun: BootTime,
    by: HashMap<IpAddr, usize>,
}

impl Throng {
    /// Lets so many in.
    pub(super) fn new(most: usize, clock: Clock) -> Self {
        Self { most, clock, counts: Mutex::default() }
    }

    /// A login begins.
    pub(super) fn enter(&self, from: IpAddr) -> Result<(), Full> {
        let now = self.clock.boot();
        let from = network(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.forget(now);
        let own = counts.by.get(&from).copied().unwrap_or(0);
        // From this machine comes a proxy that does not say for whom, or a developer.
        let crowds = own >= (self.most / PART).max(1) && !from.is_loopback();
        if counts.all >= self.most || crowds {
            return Err(Full);
        }
        counts.all += 1;
        *counts.by.entry(from).or_default() += 1;
        match counts.slices.back_mut().filter(|slice| now.since(slice.begun) < SLICE) {
            Some(slice) => *slice.by.entry(from).or_default() += 1,
            None => counts.slices.push_back(Slice { begun: now, by: HashMap::from([(from, 1)]) }),
        }
        Ok(())
    }

    /// A login of this address has ended. Users who began elsewhere, or with another instance, are
    /// forgotten with time.
    pub(super) fn leave(&self, from: IpAddr) {
        let from = network(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = counts.slices.iter_mut().find_map(|slice| take(&mut slice.by, from, 1));
        if found.is_some() {
            counts.all -= 1;
            take(&mut counts.by, from, 1);
        }
    }
}

impl Counts {
    fn forget(&mut self, now: BootTime) {
        while self.slices.front().is_some_and(|slice| now.since(slice.begun) >= LIFE + SLICE) {
            let Some(slice) = self.slices.pop_front() else { return };
            for (from, count) in slice.by {
                self.all -= count;
                take(&mut self.by, from, count);
            }
        }
    }
}

/// Takes so many away; what has none left takes no room.
fn take(by: &mut HashMap<IpAddr, usize>, from: IpAddr, count: usize) -> Option<()> {
    let own = by.get_mut(&from)?;
    *own = own.saturating_sub(count);
    if *own == 0 {
        by.remove(&from);
    }
    Some(())
}

/// Who has one address of version 6 has 2^64 of them.
fn network(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(ip) if ip.is_loopback() => from,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    fn throng(most: usize) -> Throng {
        Throng::new(most, Clock::manual(WallTime(0), BootTime(1_000_000), "boot"))
    }

    fn ip(nth: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + nth).into()
    }

    #[tokio::test(start_paused = true)]
    async fn flood_stops_at_the_bound_and_there_is_room_again_when_logins_end_or_are_forgotten() {
        let throng = throng(10_000);
        for nth in 0..10_000 {
            assert_eq!(throng.enter(ip(nth)), Ok(()), "{nth}");
        }
        assert_eq!(throng.enter(ip(50_000)), Err(Full));
        throng.leave(ip(7));
        assert_eq!(throng.enter(ip(50_000)), Ok(()));
        assert_eq!(throng.enter(ip(50_001)), Err(Full));
        // Who never began gives no room.
        throng.leave(ip(99_999));
        assert_eq!(throng.enter(ip(50_001)), Err(Full));
        tokio::time::advance((LIFE + SLICE).saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(throng.enter(ip(50_001)), Err(Full));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(throng.enter(ip(50_001)), Ok(()));
        let counts = throng.counts.lock().unwrap();
        assert_eq!((counts.all, counts.by.len(), counts.slices.len()), (1, 1, 1), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn one_machine_has_a_tenth_whatever_address_of_its_network_it_takes() {
        let throng = throng(100);
        let of = |nth: u32| format!("2001:db8::{nth:x}").parse().unwrap();
        for nth in 0..10 {
            assert_eq!(throng.enter(of(nth)), Ok(()));
        }
        assert_eq!(throng.enter(of(77)), Err(Full));
        assert_eq!(throng.enter("2001:db8:0:1::1".parse().unwrap()), Ok(()));
        assert_eq!(throng.enter(ip(1)), Ok(()));
        for _ in 0..88 {
            assert_eq!(throng.enter("127.0.0.1".parse().unwrap()), Ok(()), "this machine has no part");
        }
        assert_eq!(throng.enter("127.0.0.1".parse().unwrap()), Err(Full));
    }

    #[tokio::test(start_paused = true)]
    async fn logins_that_end_leave_nothing_however_many_there_were() {
        let throng = throng(50);
        for nth in 0..10_000 {
            assert_eq!(throng.enter(ip(nth)), Ok(()));
            throng.leave(ip(nth));
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        let counts = throng.counts.lock().unwrap();
        assert_eq!((counts.all, counts.by.len()), (0, 0));
        assert!(counts.slices.len() <= 61 && counts.slices.iter().all(|slice| slice.by.is_empty()));
    }
}
