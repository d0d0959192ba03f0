//! How often something happens, for a gauge. Counted on one thread, read on another.

use crate::base::SECOND;
use crate::shell::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many seconds are looked at, the running one among them.
const SECONDS: usize = 10;

/// Events per second over the last ten seconds.
#[derive(Debug, Default)]
pub struct Rate {
    clock: Clock,
    window: Window,
}

impl Rate {
    /// It happened, now.
    pub fn happened(&self) {
        self.window.add(self.second());
    }

    /// Events per second, the mean of the last ten seconds.
    pub fn per_second(&self) -> f64 {
        self.window.count(self.second()) as f64 / SECONDS as f64
    }

    fn second(&self) -> u32 {
        (self.clock.now().mono.0 / SECOND) as u32
    }
}

/// A count for each of the last seconds. A place holds the second it counts (upper half) and how much (lower half).
#[derive(Debug, Default)]
struct Window([AtomicU64; SECONDS]);

impl Window {
    /// One more in this second.
    fn add(&self, second: u32) {
        let mine = u64::from(second) << 32;
        let one_more = |old: u64| Some(if old >> 32 == mine >> 32 { old + 1 } else { mine + 1 });
        let _ = self.0[second as usize % SECONDS].fetch_update(Relaxed, Relaxed, one_more);
    }

    /// How many in this second and those just before it.
    fn count(&self, second: u32) -> u64 {
        let counted = |place: u64| second.checked_sub((place >> 32) as u32).is_some_and(|ago| ago < SECONDS as u32);
        let places = self.0.iter().map(|place| place.load(Relaxed));
        places.filter(|place| counted(*place)).map(|place| place & u64::from(u32::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let w = Window::default();
        (0..30).for_each(|_| w.add(0));
        w.add(9);
        assert_eq!((w.count(0), w.count(9), w.count(10), w.count(18), w.count(19)), (30, 31, 1, 1, 0));
        w.add(20);
        assert_eq!((w.count(20), w.count(29), w.count(30)), (1, 1, 0), "a place is used again for a later second");
    }

    #[test]
    fn the_rate_is_a_mean() {
        let rate = Rate::default();
        assert_eq!(rate.per_second(), 0.0);
        (0..5).for_each(|_| rate.happened());
        assert_eq!(rate.per_second(), 0.5);
    }

    proptest! {
        #[test]
        fn a_window_counts_what_a_list_counts(steps in prop::collection::vec((0u32..4, 0u32..30), 0..60)) {
            let (w, mut list, mut now) = (Window::default(), Vec::new(), 0u32);
            for (ahead, jump) in steps {
                now += if jump == 0 { 25 } else { ahead };
                w.add(now);
                list.push(now);
                prop_assert_eq!(w.count(now), list.iter().filter(|t| now - **t < 10).count() as u64);
            }
        }
    }
}
