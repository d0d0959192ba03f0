//! The one place where clocks are read.

use crate::base::{Now, Time};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells every shard the same time. Shared by copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// Wall-clock time at `start`. Wall time goes on from there with the monotonic clock, so that
    /// a turn reads one clock and no step of the other disturbs it.
    wall_ns: u64,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Time 0 means "never" in places; the first turn comes a moment later.
        Clock { start: Instant::now(), wall_ns: wall.as_nanos() as u64 }
    }

    /// The present.
    pub fn now(&self) -> Now {
        let ns = self.start.elapsed().as_nanos() as u64 + 1;
        Now { mono: Time(ns), wall_ns: self.wall_ns + ns }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
