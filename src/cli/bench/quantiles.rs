//! Latencies: how they are kept and what is told of them. Used by every row that has any.

use super::fault::Fault;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in nanoseconds; the patience is of the same order.
const LONGEST: u64 = 100_000_000_000;

/// For latencies in nanoseconds, to three digits.
pub fn histogram() -> Result<Histogram<u64>, Fault> {
    Histogram::new_with_bounds(1, LONGEST, 3).map_err(|e| Fault::Asked(e.to_string()))
}

/// Quantiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten are no longer.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p99_9: f64,
    /// 9,999 of 10,000.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Of latencies in nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Quantiles {
        let us = |q| histogram.value_at_quantile(q) as f64 / 1e3;
        let max = histogram.max() as f64 / 1e3;
        Quantiles { p50: us(0.5), p90: us(0.9), p99: us(0.99), p99_9: us(0.999), p99_99: us(0.9999), max }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Quantiles { p50, p90, p99, p99_9, p99_99, max } = self;
        write!(f, "p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p99_9:.1}, p99.99 {p99_99:.1}, max {max:.1} µs")
    }
}

/// The whole distribution as points of a curve: per cent, microseconds. The distance to 100 % is halved in ten steps, as
/// far as there are values to tell the points apart.
pub fn curve(histogram: &Histogram<u64>) -> Vec<[f64; 2]> {
    let mut points = Vec::new();
    let mut rest = 1.0_f64;
    while !histogram.is_empty() && rest * histogram.len() as f64 >= 0.5 {
        let quantile = 1.0 - rest;
        points.push([quantile * 100.0, histogram.value_at_quantile(quantile) as f64 / 1e3]);
        rest *= 0.5_f64.powf(0.1);
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_curve_are_in_microseconds() {
        let mut all = histogram().unwrap();
        (1..=1000).for_each(|us| all.record(us * 1000).unwrap());
        let q = Quantiles::of(&all);
        for (is, should) in [(q.p50, 500.0), (q.p90, 900.0), (q.p99, 990.0), (q.p99_9, 999.0), (q.max, 1000.0)] {
            assert!((is - should).abs() <= should / 500.0, "{is} for {should}");
        }
        let curve = curve(&all);
        assert!(curve.windows(2).all(|w| w[0][0] < w[1][0] && w[0][1] <= w[1][1]));
        assert!((curve[10][0] - 50.0).abs() < 1e-9 && (curve[10][1] - 500.0).abs() < 2.0, "{:?}", curve[10]);
        assert!(curve.last().unwrap()[1] > 999.0 && super::curve(&histogram().unwrap()).is_empty());
    }
}
