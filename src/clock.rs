//! The only place that reads a clock.
//!
//! Lives are counted on [`BootTime`] (CLOCK_BOOTTIME: it goes on while the machine is
//! suspended, and nobody can step it). Wall time is for people and for rows that must
//! outlive a boot; it never ends a value while the daemon runs. tokio's timers stop
//! during a suspend, so [`Clock::sleep_until`] is woken by [`Clock::watch_for_suspend`].
//!
//! A [`Stamp`] is what the ledger stores: both times and the boot they were read in.
//! [`Clock::resolve`] is the one conversion: same boot → boot time decides, else wall time.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How often the suspend watch looks. A resumed machine renews at most this much late.
const SUSPEND_LOOK: Duration = Duration::from_secs(5);
/// Drift between boot time and tokio's clock that is taken for a suspend, not for rounding.
const SUSPEND_DRIFT_MS: i64 = 1_000;

/// Milliseconds since this machine booted, suspends included. Negative before the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub i64);

impl BootTime {
    /// Later than every instant that occurs.
    pub const FAR: Self = Self(i64::MAX / 4);

    /// The span from `earlier` to `self`, zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for BootTime {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

/// Milliseconds since the Unix epoch, as the wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

impl WallTime {
    /// Whole seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Which boot of the machine a boot time belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub Arc<str>);

/// An instant that can be stored: readable in this boot and in any later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What the wall clock said.
    pub wall: WallTime,
    /// What the boot clock said.
    pub boot: BootTime,
    /// In which boot.
    pub boot_id: BootId,
}

/// What a stored instant is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The instant on this boot's clock.
    pub at: BootTime,
    /// Whether the instant lies in the future, which a stored past instant cannot: a
    /// clock was stepped back since, and what follows from the instant needs proof.
    pub in_future: bool,
}

/// What both clocks say: for whoever puts several instants into words at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What the boot clock says.
    pub boot: BootTime,
    /// What the wall clock says.
    pub wall: WallTime,
}

impl Moment {
    /// An instant on the boot clock as wall time, for people: right as far as the wall clock is
    /// right at this moment.
    pub fn wall_of(self, at: BootTime) -> WallTime {
        WallTime(self.wall.0.saturating_add(at.0.saturating_sub(self.boot.0)))
    }
}

/// The clocks of this process. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    source: Arc<Source>,
    resumed: watch::Receiver<u64>,
}

struct Source {
    reading: Reading,
    boot_id: BootId,
    resumes: watch::Sender<u64>,
}

enum Reading {
    System,
    /// Follows tokio's clock, which a test freezes and advances, and two offsets that it sets.
    Manual {
        start: tokio::time::Instant,
        boot: i64,
        suspended: AtomicI64,
        wall: AtomicI64,
    },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // Without an id (no /proc) boot times of an earlier process cannot be trusted:
        // an id of our own makes every stored stamp fall back to wall time.
        let id = id.map_or_else(|_| format!("process-{}", std::process::id()), |id| id.trim().to_owned());
        Self::with(Reading::System, BootId(id.into()))
    }

    /// Clocks for tests, which move with tokio's clock: `wall` at the start, in boot `boot_id`.
    /// [`Clock::step_wall`] and [`Clock::suspend`] do what an administrator and a lid do.
    pub fn manual(wall: WallTime, boot: BootTime, boot_id: &str) -> Self {
        let reading = Reading::Manual {
            start: tokio::time::Instant::now(),
            boot: boot.0,
            suspended: AtomicI64::new(0),
            wall: AtomicI64::new(wall.0),
        };
        Self::with(reading, BootId(boot_id.into()))
    }

    fn with(reading: Reading, boot_id: BootId) -> Self {
        let (resumes, resumed) = watch::channel(0);
        Self { source: Arc::new(Source { reading, boot_id, resumes }), resumed }
    }

    /// Now, on the clock that lives are counted on.
    pub fn boot(&self) -> BootTime {
        match &self.source.reading {
            Reading::System => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                BootTime(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
            }
            Reading::Manual { start, boot, suspended, .. } => {
                BootTime(boot + millis(start.elapsed()) + suspended.load(Ordering::SeqCst))
            }
        }
    }

    /// Now, as the wall clock says.
    pub fn wall(&self) -> WallTime {
        match &self.source.reading {
            Reading::System => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
                WallTime(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
            }
            Reading::Manual { start, suspended, wall, .. } => WallTime(
                wall.load(Ordering::SeqCst) + millis(start.elapsed()) + suspended.load(Ordering::SeqCst),
            ),
        }
    }

    /// Now, on both.
    pub fn moment(&self) -> Moment {
        Moment { wall: self.wall(), boot: self.boot() }
    }

    /// Now, to be stored.
    pub fn stamp(&self) -> Stamp {
        Stamp { wall: self.wall(), boot: self.boot(), boot_id: self.source.boot_id.clone() }
    }

    /// The stored instant on this boot's clock.
    pub fn resolve(&self, stamp: &Stamp) -> Resolved {
        let now = self.boot();
        let at = if stamp.boot_id == self.source.boot_id {
            stamp.boot
        } else {
            BootTime(now.0.saturating_sub(self.wall().0.saturating_sub(stamp.wall.0)))
        };
        Resolved { at, in_future: at > now }
    }

    /// The stamp of an instant on this boot's clock.
    pub fn stamp_of(&self, at: BootTime) -> Stamp {
        Stamp { wall: self.wall_of(at), boot: at, boot_id: self.source.boot_id.clone() }
    }

    /// An instant on this boot's clock as wall time, for people: right as far as the
    /// wall clock is right now.
    pub fn wall_of(&self, at: BootTime) -> WallTime {
        self.moment().wall_of(at)
    }

    /// Waits until the instant, also over a suspend. Dropping it is harmless.
    pub async fn sleep_until(&self, at: BootTime) {
        let mut resumed = self.resumed.clone();
        loop {
            let left = at.since(self.boot());
            if left.is_zero() {
                return;
            }
            // A day at most: tokio refuses spans that its wheel cannot hold.
            tokio::select! {
                () = tokio::time::sleep(left.min(Duration::from_secs(86_400))) => {}
                _ = resumed.changed() => {}
            }
        }
    }

    /// Wakes every sleeper after the machine was suspended. Never returns; one for the process.
    pub async fn watch_for_suspend(&self) {
        let mut last = (self.boot(), tokio::time::Instant::now());
        loop {
            tokio::time::sleep(SUSPEND_LOOK).await;
            let now = (self.boot(), tokio::time::Instant::now());
            let drift = (now.0.0 - last.0.0) - millis(now.1 - last.1);
            if drift > SUSPEND_DRIFT_MS {
                tracing::info!(
                    suspended_ms = drift,
                    "the machine was suspended; every schedule is looked at again"
                );
                self.source.resumes.send_modify(|count| *count += 1);
            }
            last = now;
        }
    }

    /// Steps a manual wall clock, as an administrator or NTP would. The system's is left alone.
    pub fn step_wall(&self, by_ms: i64) {
        match &self.source.reading {
            Reading::System => {}
            Reading::Manual { wall, .. } => {
                wall.fetch_add(by_ms, Ordering::SeqCst);
            }
        }
    }

    /// Lets a manual machine have been suspended: boot and wall time jump, tokio's clock does not.
    pub fn suspend(&self, span: Duration) {
        match &self.source.reading {
            Reading::System => {}
            Reading::Manual { suspended, .. } => {
                suspended.fetch_add(millis(span), Ordering::SeqCst);
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({}, boot {} ms)", self.wall(), self.boot().0)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stamp_of_this_boot_ignores_a_stepped_wall_clock() {
        let clock = Clock::manual(WallTime(1_000_000), BootTime(5_000), "boot-a");
        let stamp = clock.stamp();
        clock.step_wall(-3_600_000);
        tokio::time::advance(Duration::from_secs(10)).await;
        let resolved = clock.resolve(&stamp);
        assert_eq!(resolved, Resolved { at: BootTime(5_000), in_future: false });
    }

    #[tokio::test(start_paused = true)]
    async fn a_stamp_of_another_boot_is_read_by_wall_time() {
        let clock = Clock::manual(WallTime(1_000_000), BootTime(5_000), "boot-b");
        let old = Stamp { wall: WallTime(990_000), boot: BootTime(77), boot_id: BootId("boot-a".into()) };
        assert_eq!(clock.resolve(&old), Resolved { at: BootTime(-5_000), in_future: false });
        // The wall clock was stepped back between the runs: the row comes from the future.
        let ahead = Stamp { wall: WallTime(1_060_000), ..old };
        assert!(clock.resolve(&ahead).in_future);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_is_woken_by_the_end_of_a_suspend() {
        // A laptop lid: boot time runs on for an hour while tokio's clock stands still.
        let clock = Clock::manual(WallTime(0), BootTime(0), "boot");
        let begun = tokio::time::Instant::now();
        let until = clock.boot() + Duration::from_secs(3_600);
        let suspended = clock.clone();
        // Biased: the watch reads the clocks before the lid closes.
        tokio::select! {
            biased;
            () = clock.watch_for_suspend() => {}
            () = async {
                tokio::join!(clock.sleep_until(until), async { suspended.suspend(Duration::from_secs(3_600)) });
            } => {}
        }
        assert!(begun.elapsed() < 2 * SUSPEND_LOOK, "slept {:?} of tokio's time", begun.elapsed());
    }

    #[test]
    fn system_clocks_agree_with_the_kernel() {
        let clock = Clock::system();
        assert!(clock.boot() > BootTime(0));
        assert!(clock.wall().seconds() > 1_700_000_000);
        assert!(!clock.resolve(&clock.stamp()).in_future);
    }

    #[test]
    fn wall_time_prints_as_rfc_3339() {
        assert_eq!(WallTime(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
    }
}
