//! Time as an argument. Nobody below the shell reads a clock; a shard is told what time it is.

use std::time::Duration;

/// Nanoseconds in a microsecond.
pub const MICROSECOND: u64 = 1_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A point on the monotonic clock, in nanoseconds since a start that the shell chose for the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// This point moved on by `d`, saturating.
    #[must_use]
    pub fn plus(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This point moved on by `ns` nanoseconds, saturating.
    #[must_use]
    pub fn plus_ns(self, ns: u64) -> Time {
        Time(self.0.saturating_add(ns))
    }

    /// Nanoseconds since `earlier`; 0 when it lies ahead.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the shell tells a shard about the present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Monotonic time: what timers and intervals go by.
    pub mono: Time,
    /// Wall-clock time in nanoseconds since 1970: what people are shown.
    pub wall_ns: u64,
}
