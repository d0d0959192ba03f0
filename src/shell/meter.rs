//! What a shard's thread does with its time: how long messages stay at each hop on their way through, and how much of the
//! time it works. Written by that thread alone, read by monitoring's; it costs a message nothing, and a turn some
//! additions: the clock is read where it is read anyway, and twice more in one turn of some.

use crate::base::Time;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// One turn of so many is looked at closely.
const SAMPLED: u32 = 64;

/// Buckets to a doubling: each is wider than the one before by a fifth.
pub const PER_DOUBLING: usize = 4;
/// The doubling of the first bucket: its upper bound is 2^-26 s, 15 ns.
pub const FIRST_DOUBLING: i32 = -26;
/// Doublings that have buckets, up to 16 s.
const DOUBLINGS: usize = 30;
/// All buckets; the first and the last take what is beyond.
pub const BUCKETS: usize = DOUBLINGS * PER_DOUBLING + 1;

/// The way of a message through a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// From when the turn began in which it was read, to its place in the buffers of all who are to get it.
    Matched,
    /// From there into the rings of other shards.
    Queued,
    /// From there until the kernel has taken what it takes.
    Written,
}

impl Hop {
    /// All of them with their names, in the order of the way.
    pub const ALL: [(Hop, &'static str); 3] =
        [(Hop::Matched, "matched"), (Hop::Queued, "queued"), (Hop::Written, "written")];
}

/// How often something took how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// By bucket.
    pub counts: Box<[u64; BUCKETS]>,
    /// All of it together, nanoseconds.
    pub sum_ns: u64,
}

#[derive(Debug)]
struct Stay {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Stay {
    fn default() -> Stay {
        Stay { counts: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

/// See the file's head. Shared by the shard's thread and monitoring's.
#[derive(Debug, Default)]
pub struct Meter {
    hops: [Stay; Hop::ALL.len()],
    busy_ns: AtomicU64,
    useful_ns: AtomicU64,
}

/// There is one writer, so no other addition can come in between.
fn add(to: &AtomicU64, n: u64) {
    to.store(to.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The bucket whose upper bound is the first that is not less.
fn bucket(ns: u64) -> usize {
    let at = (ns.max(1) as f64 / 1e9).log2() * PER_DOUBLING as f64;
    let first = f64::from(FIRST_DOUBLING) * PER_DOUBLING as f64;
    // Negative is 0, as casts are.
    ((at - first).ceil() as usize).min(BUCKETS - 1)
}

impl Meter {
    /// A stay at a hop.
    pub fn stayed(&self, hop: Hop, ns: u64) {
        let stay = &self.hops[hop as usize];
        add(&stay.counts[bucket(ns)], 1);
        add(&stay.sum_ns, ns);
    }

    /// How long messages have stayed at a hop.
    pub fn spread(&self, hop: Hop) -> Spread {
        let stay = &self.hops[hop as usize];
        let mut counts = Box::new([0; BUCKETS]);
        counts.iter_mut().zip(&stay.counts).for_each(|(n, of)| *n = of.load(Relaxed));
        Spread { counts, sum_ns: stay.sum_ns.load(Relaxed) }
    }

    /// Nanoseconds in which the thread did not sleep, and of those in which there was something to do.
    pub fn work_ns(&self) -> (u64, u64) {
        (self.busy_ns.load(Relaxed), self.useful_ns.load(Relaxed))
    }
}

/// The shard's end of a [`Meter`]: what it remembers from turn to turn.
#[derive(Debug)]
pub struct Stopwatch {
    meter: Arc<Meter>,
    /// When the last turn began; None: there was none.
    begun: Option<Time>,
    /// When the thread lay down to sleep, if it has since.
    slept_at: Option<Time>,
    turns: u32,
}

impl Stopwatch {
    /// Nothing has happened yet.
    pub fn new(meter: Arc<Meter>) -> Stopwatch {
        Stopwatch { meter, begun: None, slept_at: None, turns: 0 }
    }

    /// The thread lies down.
    pub fn sleeps(&mut self, now: Time) {
        self.slept_at = Some(now);
    }

    /// A turn begins; `worked`: there was something to do in the last one. True: this one is looked at closely.
    pub fn begins(&mut self, now: Time, worked: bool) -> bool {
        let awake_until = self.slept_at.take().unwrap_or(now);
        if let Some(begun) = self.begun.replace(now) {
            let busy = awake_until.since(begun);
            add(&self.meter.busy_ns, busy);
            add(&self.meter.useful_ns, if worked { busy } else { 0 });
        }
        self.turns = self.turns.wrapping_add(1);
        self.turns.is_multiple_of(SAMPLED)
    }

    /// A turn that was looked at closely: when it began, when all that was read had its place, when the rings were told,
    /// when the sockets were written.
    pub fn watched(&self, at: [Time; 4]) {
        let mut before = at[0];
        for ((hop, _), at) in Hop::ALL.into_iter().zip(&at[1..]) {
            self.meter.stayed(hop, at.since(before));
            before = *at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stay_falls_into_the_bucket_that_ends_where_it_ends_or_after() {
        let bound = |i: usize| 2f64.powf(f64::from(FIRST_DOUBLING) + i as f64 / PER_DOUBLING as f64);
        for ns in [0, 1, 15, 16, 100, 999, 1000, 1001, 123_456, 1_000_000_000, 15_999_999_999, u64::MAX] {
            let (i, s) = (bucket(ns), ns as f64 / 1e9);
            assert!(i == BUCKETS - 1 || s <= bound(i) * 1.000_001, "{ns}");
            assert!(i == 0 || s > bound(i - 1) * 0.999_999, "{ns}");
        }
    }

    #[test]
    fn sleep_is_not_busy_and_idling_is_not_useful() {
        let meter = Arc::new(Meter::default());
        let mut watch = Stopwatch::new(meter.clone());
        watch.begins(Time(100), false);
        watch.sleeps(Time(130));
        // 30 ns of work, then asleep until 200.
        watch.begins(Time(200), true);
        // Nothing to do for 50 ns, and no sleep.
        watch.begins(Time(250), false);
        assert_eq!(meter.work_ns(), (80, 30));
    }

    #[test]
    fn some_turns_are_looked_at_closely() {
        let meter = Arc::new(Meter::default());
        let mut watch = Stopwatch::new(meter.clone());
        let sampled = (0..10 * u64::from(SAMPLED)).filter(|n| watch.begins(Time(*n), true)).count();
        assert_eq!(sampled, 10);
        watch.watched([Time(0), Time(1000), Time(1010), Time(9000)]);
        let written = meter.spread(Hop::Written);
        assert_eq!((written.sum_ns, written.counts.iter().sum::<u64>()), (7990, 1));
        assert_eq!(meter.spread(Hop::Matched).sum_ns, 1000);
    }
}
