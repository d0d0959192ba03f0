//! `/metrics`: what the other endpoints tell, for Prometheus (OpenMetrics text). Pure: what was gathered in, text out. The
//! encoding is a library's; which numbers there are stands in the files below, one per subject. All names begin with
//! `turnpike_`; docs/monitoring.md lists them, and a test holds that list against what is here.

mod accounts;
mod gateways;
mod protobuf;
mod routes;
mod server;
mod shards;
#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::varz::Look;
use crate::shard::report::{GatewayReport, RouteRow, Tally};
use crate::shell::meter::{Spread, BUCKETS, FIRST_DOUBLING, PER_DOUBLING};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

pub use protobuf::{is_wanted as wants_protobuf, CONTENT as PROTOBUF};

/// Everything that is told, as it was gathered from everybody who knows.
#[derive(Debug)]
pub struct Gathered<'a> {
    /// Who the server is.
    pub facts: &'a Facts,
    /// The process, the mesh, the gateways' machine.
    pub look: &'a Look,
    /// In order of shards.
    pub tallies: &'a [Tally],
    /// Of all shards.
    pub routes: &'a [RouteRow],
    /// In order of shards; empty where there are no gateways.
    pub gateways: &'a [GatewayReport],
}

fn sheet(gathered: &Gathered<'_>) -> Sheet {
    let mut sheet = Sheet::default();
    server::write(gathered, &mut sheet);
    shards::write(gathered, &mut sheet);
    accounts::write(gathered, &mut sheet);
    routes::write(gathered, &mut sheet);
    gateways::write(gathered, &mut sheet);
    sheet
}

/// The same as [`metrics`] in Prometheus's own format.
pub fn binary(gathered: &Gathered<'_>) -> Vec<u8> {
    protobuf::page(&sheet(gathered).0)
}

/// The page.
///
/// # Errors
/// What the library says of a name or a number that it cannot write: a mistake in this module.
pub fn metrics(gathered: &Gathered<'_>) -> Result<String, fmt::Error> {
    let sheet = sheet(gathered);
    let mut registry = Registry::with_prefix("turnpike");
    registry.register_collector(Box::new(sheet));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry)?;
    Ok(page)
}

/// A sample's labels, in the order they are written.
type Labels = Vec<(&'static str, String)>;

/// One metric: a name, what it means, and its samples.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Counter(Vec<(Labels, u64)>),
    /// A counter of time.
    Seconds(Vec<(Labels, f64)>),
    Histogram(Vec<(Labels, Spread)>),
    Gauge(Vec<(Labels, f64)>),
}

/// All of them.
#[derive(Debug, Default)]
struct Sheet(Vec<Metric>);

impl Sheet {
    /// What only grows, until the server starts anew. A metric without samples is left out.
    fn counter(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        self.add(name, help, Samples::Counter(samples.into_iter().collect()));
    }

    /// The same of time.
    fn seconds(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.add(name, help, Samples::Seconds(samples.into_iter().collect()));
    }

    /// How long something took.
    fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Spread)>,
    ) {
        self.add(name, help, Samples::Histogram(samples.into_iter().collect()));
    }

    /// What rises and falls.
    fn gauge(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.add(name, help, Samples::Gauge(samples.into_iter().collect()));
    }

    /// The unit is the name's last word, where it is one of Prometheus's base units.
    fn add(&mut self, name: &'static str, help: &'static str, samples: Samples) {
        let (name, unit) = match name.rsplit_once('_') {
            Some((rest, "bytes")) => (rest, Some(Unit::Bytes)),
            Some((rest, "seconds")) => (rest, Some(Unit::Seconds)),
            _ => (name, None),
        };
        let empty = match &samples {
            Samples::Counter(samples) => samples.is_empty(),
            Samples::Seconds(samples) | Samples::Gauge(samples) => samples.is_empty(),
            Samples::Histogram(samples) => samples.is_empty(),
        };
        if !empty {
            self.0.push(Metric { name, help, unit, samples });
        }
    }
}

impl Collector for Sheet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &self.0 {
            let kind = match &metric.samples {
                Samples::Counter(_) | Samples::Seconds(_) => MetricType::Counter,
                Samples::Histogram(_) => MetricType::Histogram,
                Samples::Gauge(_) => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
            match &metric.samples {
                Samples::Counter(samples) => {
                    for (labels, n) in samples {
                        ConstCounter::new(*n).encode(family.encode_family(labels)?)?;
                    }
                }
                Samples::Seconds(samples) => {
                    for (labels, n) in samples {
                        ConstCounter::new(*n).encode(family.encode_family(labels)?)?;
                    }
                }
                Samples::Histogram(samples) => {
                    for (labels, spread) in samples {
                        let (buckets, count) = classic(spread);
                        let mut encoder = family.encode_family(labels)?;
                        encoder.encode_histogram::<NoLabelSet>(seconds(spread.sum_ns), count, &buckets, None)?;
                    }
                }
                Samples::Gauge(samples) => {
                    for (labels, n) in samples {
                        ConstGauge::new(*n).encode(family.encode_family(labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a family is called, and of which kind it is, in Prometheus's own format.
struct Family {
    name: String,
    help: &'static str,
    unit: Option<&'static str>,
    kind: u64,
}

impl Metric {
    fn family(&self) -> Family {
        let unit = self.unit.as_ref().map(|unit| if matches!(unit, Unit::Bytes) { "bytes" } else { "seconds" });
        let (end, kind) = match &self.samples {
            Samples::Counter(_) | Samples::Seconds(_) => ("_total", 0),
            Samples::Gauge(_) => ("", 1),
            Samples::Histogram(_) => ("", 4),
        };
        let of = unit.map_or(String::new(), |unit| format!("_{unit}"));
        Family { name: format!("turnpike_{}{of}{end}", self.name), help: self.help, unit, kind }
    }
}

/// The few buckets of a text, one to two doublings, and how many there are in all. The library sums up.
fn classic(spread: &Spread) -> (Vec<(f64, u64)>, u64) {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    let mut waiting = 0;
    for (i, n) in spread.counts.iter().enumerate().take(BUCKETS - 1) {
        waiting += n;
        if i % (2 * PER_DOUBLING) == 0 && i >= CLASSIC_FROM {
            let bound = 2f64.powi(FIRST_DOUBLING + (i / PER_DOUBLING) as i32);
            buckets.push((bound, std::mem::take(&mut waiting)));
        }
    }
    let rest = waiting + spread.counts[BUCKETS - 1];
    buckets.push((f64::INFINITY, rest));
    (buckets, spread.counts.iter().sum())
}

/// The first bucket of a text ends at 2^-20 s, about a microsecond.
const CLASSIC_FROM: usize = 6 * PER_DOUBLING;

/// A number without labels.
fn alone<N>(n: N) -> [(Labels, N); 1] {
    [(Vec::new(), n)]
}

/// Nanoseconds in seconds.
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
