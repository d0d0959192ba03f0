//! The same metrics in Prometheus's own format, for native histograms, which no text can carry: each family as one message
//! `io.prometheus.client.MetricFamily`, its length before it. Numbers of fields are those of its `metrics.proto`.

use super::{Family, Labels, Metric, Samples};
use crate::shell::meter::{Spread, FIRST_DOUBLING, PER_DOUBLING};

/// `Content-Type` of a page.
pub const CONTENT: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Is it what whoever sends this `Accept` wants most?
pub fn is_wanted(accept: &str) -> bool {
    let weight = |part: &str| {
        let q = part.split(';').find_map(|p| p.trim().strip_prefix("q="));
        q.map_or(Some(1.0), |q| q.trim().parse::<f64>().ok()).filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0)
    };
    let binary = |part: &str| {
        let mut words = part.split(';').map(str::trim);
        words.next() == Some("application/vnd.google.protobuf")
            && part.contains("io.prometheus.client.MetricFamily")
            && part.contains("encoding=delimited")
    };
    let most = |is: &dyn Fn(&str) -> bool| accept.split(',').filter(|part| is(part)).map(weight).fold(0.0, f64::max);
    let (ours, others) = (most(&binary), most(&|part| !binary(part)));
    ours > 0.0 && ours >= others
}

/// A page of these.
pub(super) fn page(metrics: &[Metric]) -> Vec<u8> {
    let mut page = Vec::new();
    for metric in metrics {
        let family = family(metric);
        varint(&mut page, family.len() as u64);
        page.extend_from_slice(&family);
    }
    page
}

fn family(metric: &Metric) -> Vec<u8> {
    let Family { name, help, unit, kind } = metric.family();
    let mut out = Vec::new();
    bytes(&mut out, 1, name.as_bytes());
    bytes(&mut out, 2, help.as_bytes());
    number(&mut out, 3, kind);
    match &metric.samples {
        Samples::Counter(all) => all.iter().for_each(|(labels, n)| one(&mut out, labels, 3, &value(*n as f64))),
        Samples::Seconds(all) => all.iter().for_each(|(labels, n)| one(&mut out, labels, 3, &value(*n))),
        Samples::Gauge(all) => all.iter().for_each(|(labels, n)| one(&mut out, labels, 2, &value(*n))),
        Samples::Histogram(all) => all.iter().for_each(|(labels, s)| one(&mut out, labels, 7, &histogram(s))),
    }
    if let Some(unit) = unit {
        bytes(&mut out, 5, unit.as_bytes());
    }
    out
}

/// One sample; `field` is that of its kind.
fn one(out: &mut Vec<u8>, labels: &Labels, field: u32, sample: &[u8]) {
    let mut metric = Vec::new();
    for (key, value) in labels {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, key.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut metric, 1, &pair);
    }
    bytes(&mut metric, field, sample);
    bytes(out, 4, &metric);
}

/// What counters and gauges are.
fn value(n: f64) -> Vec<u8> {
    let mut out = Vec::new();
    double(&mut out, 1, n);
    out
}

/// Native buckets only: whoever asks for this format takes them, and the classic ones stand in the text.
fn histogram(spread: &Spread) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, spread.counts.iter().sum());
    double(&mut out, 2, super::seconds(spread.sum_ns));
    // Buckets to a doubling are 2^schema.
    number(&mut out, 5, zigzag(i64::from(PER_DOUBLING.ilog2())));
    double(&mut out, 6, 0.0);
    number(&mut out, 7, 0);
    let first = spread.counts.iter().position(|n| *n > 0).unwrap_or(0);
    let end = spread.counts.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1);
    let mut span = Vec::new();
    let lowest = i64::from(FIRST_DOUBLING) * PER_DOUBLING as i64;
    number(&mut span, 1, zigzag(if end > 0 { lowest + first as i64 } else { 0 }));
    number(&mut span, 2, (end - first) as u64);
    // An empty span says that it is a native histogram all the same.
    bytes(&mut out, 12, &span);
    let mut before = 0;
    for n in &spread.counts[first..end] {
        let n = *n as i64;
        number(&mut out, 13, zigzag(n - before));
        before = n;
    }
    out
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number(out: &mut Vec<u8>, field: u32, n: u64) {
    varint(out, u64::from(field << 3));
    varint(out, n);
}

fn double(out: &mut Vec<u8>, field: u32, n: f64) {
    varint(out, u64::from(field << 3 | 1));
    out.extend_from_slice(&n.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, data: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::meter::{Hop, Meter};

    #[test]
    fn it_is_written_for_who_wants_it_most() {
        let prometheus =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                          application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert!(is_wanted(prometheus));
        for other in ["", "*/*", "text/plain", "application/vnd.google.protobuf", &prometheus.replace("0.6", "0.2")] {
            assert!(!is_wanted(other), "{other}");
        }
    }

    #[test]
    fn a_counter_is_a_family_of_its_own() {
        let samples = Samples::Counter(vec![(vec![("a", "b".to_owned())], 3)]);
        let metric = Metric { name: "x", help: "h", unit: None, samples };
        let mut expected = vec![10, 16];
        expected.extend(b"turnpike_x_total");
        expected.extend([18, 1, b'h', 24, 0, 34, 19, 10, 6, 10, 1, b'a', 18, 1, b'b', 26, 9, 9]);
        expected.extend(3f64.to_le_bytes());
        expected.insert(0, expected.len() as u8);
        assert_eq!(page(&[metric]), expected);
    }

    #[test]
    fn buckets_are_told_by_their_differences() {
        let meter = Meter::default();
        // Bounds of schema 2: 1 µs lies in the bucket of index -79, 2^(-79/4).
        for ns in [1000, 1000, 1000, 1150] {
            meter.stayed(Hop::Matched, ns);
        }
        let out = histogram(&meter.spread(Hop::Matched));
        let mut end = vec![98, 5, 8];
        varint(&mut end, zigzag(-79));
        end.extend([16, 2, 104, 6, 104, zigzag(-2) as u8]);
        assert!(out.ends_with(&end) && out.starts_with(&[8, 4]), "{out:?} {end:?}");
    }
}
