//! When the messages of an open loop are due: a schedule that does not ask how the server fares. Used by [`super::open`].

use std::{fmt, str::FromStr};

/// Largest burst: more than this at once is a flood, which the closed loop measures better.
const BURST_MAX: u32 = 1_000_000;

/// How messages follow each other at a given mean rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// As many independent senders would make them: the distances are exponentially distributed.
    Poisson,
    /// So many at once, then a pause that keeps the mean rate.
    Burst(u32),
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Arrivals, String> {
        match text.split_once(':') {
            None if text == "constant" => Ok(Arrivals::Constant),
            None if text == "poisson" => Ok(Arrivals::Poisson),
            Some(("burst", n)) => match n.parse() {
                Ok(n @ 1..=BURST_MAX) => Ok(Arrivals::Burst(n)),
                _ => Err(format!("a burst has 1 to {BURST_MAX} messages")),
            },
            _ => Err("expected constant, poisson or burst:N".into()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrivals::Constant => f.write_str("constant"),
            Arrivals::Poisson => f.write_str("poisson"),
            Arrivals::Burst(n) => write!(f, "burst:{n}"),
        }
    }
}

/// The due times of one run, one after the other; the same in every run.
pub struct Schedule {
    /// Mean distance in nanoseconds.
    gap: f64,
    arrivals: Arrivals,
    /// Messages before the next one.
    count: u64,
    /// When the next one is due, in nanoseconds since the start.
    at: f64,
    dice: u64,
}

impl Schedule {
    /// Of `rate` messages a second; the first is due at the start.
    pub fn new(rate: f64, arrivals: Arrivals) -> Schedule {
        Schedule { gap: 1e9 / rate, arrivals, count: 0, at: 0.0, dice: 0x9e37_79b9_7f4a_7c15 }
    }

    /// When the next message is due, in nanoseconds since the start.
    pub fn due(&self) -> u64 {
        self.at as u64
    }

    /// The next message has been taken.
    pub fn advance(&mut self) {
        self.count += 1;
        self.at = match self.arrivals {
            // multiplied, not added up: no rounding grows with the run
            Arrivals::Constant => self.count as f64 * self.gap,
            Arrivals::Burst(n) => (self.count - self.count % u64::from(n)) as f64 * self.gap,
            Arrivals::Poisson => self.at - self.chance().ln() * self.gap,
        };
    }

    /// A number above 0 and at most 1 (xorshift64).
    fn chance(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: f64, arrivals: Arrivals, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(rate, arrivals);
        let next = || {
            let due = schedule.due();
            schedule.advance();
            due
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn constant_and_bursts_keep_the_rate() {
        assert_eq!(times(1000.0, Arrivals::Constant, 4), [0, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(times(1000.0, Arrivals::Burst(3), 7), [0, 0, 0, 3_000_000, 3_000_000, 3_000_000, 6_000_000]);
        assert_eq!(times(3.0, Arrivals::Constant, 3_000_001).last(), Some(&1_000_000_000_000_000));
    }

    #[test]
    fn poisson_has_the_mean_and_the_spread_of_its_kind() {
        let times = times(1e6, Arrivals::Poisson, 200_001);
        let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1000.0).abs() < 15.0, "{mean}");
        // an exponential distribution: as wide as its mean, and e⁻¹ of it lies above the mean
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{variance}");
        let above = gaps.iter().filter(|g| **g > mean).count() as f64 / gaps.len() as f64;
        assert!((above - (-1f64).exp()).abs() < 0.01, "{above}");
    }

    #[test]
    fn words_are_read_and_written() {
        for text in ["constant", "poisson", "burst:1", "burst:500"] {
            assert_eq!(text.parse::<Arrivals>().unwrap().to_string(), text);
        }
        for bad in ["", "burst", "burst:", "burst:0", "burst:1000001", "poisson:3", "uniform"] {
            assert!(bad.parse::<Arrivals>().is_err(), "{bad}");
        }
    }
}
