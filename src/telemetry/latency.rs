//! A histogram for what happens a hundred thousand times a second.
//!
//! The exporter's keeps every sample until it is drained: eight bytes a read, and a list to
//! append to. This one is an array of counters that exists from the start: recording is a short
//! search and two relaxed additions, no lock, no allocation, so every read is measured and none
//! is sampled. A scrape during a recording may see the one addition without the other, which
//! the next scrape makes good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper edges: a served read takes microseconds, one that waits for a value up to 30 s.
pub const EDGES: [Duration; 13] = [
    Duration::from_micros(1),
    Duration::from_micros(2),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(20),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// How often each span was seen. Made for a `static`.
#[derive(Debug)]
pub struct Latency {
    /// One for each edge, and the last for what is longer than all.
    buckets: [AtomicU64; EDGES.len() + 1],
    /// All spans together. Wraps after five centuries of waiting.
    nanos: AtomicU64,
}

/// What was recorded so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many spans were at most each of [`EDGES`].
    pub cumulative: [u64; EDGES.len()],
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Latency {
    /// Nothing recorded yet.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; EDGES.len() + 1], nanos: AtomicU64::new(0) }
    }

    /// Adds one span.
    pub fn record(&self, span: Duration) {
        let bucket = EDGES.iter().position(|edge| span <= *edge).unwrap_or(EDGES.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was recorded so far.
    pub fn snapshot(&self) -> Snapshot {
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        let mut count = 0;
        let mut cumulative = [0; EDGES.len()];
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(so_far) = cumulative.get_mut(index) {
                *so_far = count;
            }
        }
        Snapshot { cumulative, count, sum }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_up_to_its_edge_and_in_every_bucket_above() {
        let latency = Latency::new();
        // On an edge, just past one, and past all of them.
        for span in [Duration::from_micros(2), Duration::from_nanos(2_001), Duration::from_secs(31)] {
            latency.record(span);
        }
        let Snapshot { cumulative, count, sum } = latency.snapshot();
        assert_eq!(cumulative[..4], [0, 1, 2, 2]);
        assert_eq!((cumulative[EDGES.len() - 1], count), (2, 3));
        assert_eq!(sum, Duration::from_nanos(31_000_004_001));
    }

    #[test]
    fn the_edges_grow() {
        assert!(EDGES.is_sorted_by(|a, b| a < b));
    }
}
