//! What an open loop is asked for and what only it can say; and whether that may be believed. Made by [`super::open`],
//! shown by [`super::report`].

use super::{arrivals::Arrivals, churn::Churned, quantiles::Quantiles};
use hdrhistogram::Histogram;

/// A generator that was late by no more than this, in microseconds, at the 99th percentile is on time…
const LATE_US: f64 = 1000.0;
/// …and beyond it as long as its lateness is no more than this share of the latency that was found.
const LATE_SHARE: f64 = 0.5;
/// The same of how long what came lay there before it looked. Less, since no schedule tells when that began: it is the most
/// that it may have been.
const UNHEARD_US: f64 = 200.0;

/// What is sent, and when.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Messages (or requests) a second, over all senders.
    pub rate: f64,
    /// How they follow each other.
    pub arrivals: Arrivals,
    /// Sleep until the next message is due, rather than stay awake.
    pub sleep: bool,
    /// Payload in bytes.
    pub size: usize,
    /// Beside it all a client changes its mind about so many subscriptions at a time.
    pub churn: Option<usize>,
}

/// What only an open loop can say.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What was asked for.
    pub load: Load,
    /// From when a message was due until it had come, in nanoseconds.
    pub latency: Histogram<u64>,
    /// From when it was handed to the socket until it had come.
    pub from_sent: Histogram<u64>,
    /// From when it was due until the generator turned to it.
    pub behind: Histogram<u64>,
    /// How long, at most, what came had lain there when the generator looked: since it had looked before.
    pub unheard: Histogram<u64>,
    /// Messages that the socket did not take at once.
    pub held_back: u64,
    /// Messages that nobody in this run has sent.
    pub foreign: u64,
    /// How much of the time the generator had something to do.
    pub busy: f64,
    /// What became of the subscriptions beside.
    pub churned: Option<Churned>,
}

impl Opened {
    /// Why the latencies say something about the generator rather than the server; none if they do not.
    pub fn invalid(&self) -> Option<String> {
        let (late, found) = (Quantiles::of(&self.behind).p99, Quantiles::of(&self.latency).p99);
        if late > LATE_US && late > found * LATE_SHARE {
            return Some(format!("the generator was late: {late:.0} µs at p99, where the latency is {found:.0} µs"));
        }
        let unheard = Quantiles::of(&self.unheard).p99;
        if unheard > UNHEARD_US && unheard > found * LATE_SHARE {
            return Some(format!(
                "the generator looked too rarely: what came may have lain there {unheard:.0} µs at p99, where the latency \
                 is {found:.0} µs"
            ));
        }
        if self.latency.is_empty() {
            return Some("no message came in the measured time".into());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::quantiles::histogram;

    fn opened(latency_us: u64, behind_us: u64, unheard_us: u64) -> Opened {
        let of = |us: u64| {
            let mut all = histogram().unwrap();
            all.record_n(us * 1000, 1000).unwrap();
            all
        };
        let load = Load { rate: 1000.0, arrivals: Arrivals::Constant, sleep: false, size: 16, churn: None };
        Opened {
            load,
            latency: of(latency_us),
            from_sent: of(latency_us),
            behind: of(behind_us),
            unheard: of(unheard_us),
            held_back: 0,
            foreign: 0,
            busy: 0.5,
            churned: None,
        }
    }

    #[test]
    fn a_generator_that_is_late_or_looks_rarely_spoils_the_run() {
        assert_eq!(opened(100, 90, 90).invalid(), None);
        assert!(opened(2500, 1500, 9).invalid().unwrap().contains("late: 1"));
        assert_eq!(opened(200_000, 1500, 1500).invalid(), None, "a stall of the server is no fault of the generator");
        assert!(opened(400, 1, 250).invalid().unwrap().contains("lain there 2"));
        let none = Opened { latency: histogram().unwrap(), ..opened(1, 1, 1) };
        assert!(none.invalid().is_some());
    }
}
