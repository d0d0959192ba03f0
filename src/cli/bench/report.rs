//! What a run prints: a short table for people, one JSON object for programs. Used by [`super`] at the end of a run.

use super::{link::Info, memory::Weighed, meter::Measured, spread::Spread};
use serde::Serialize;
use std::fmt;

/// The result of one run. A figure that was not measured is missing in JSON and in the table.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The row, as on the command line.
    pub row: &'static str,
    /// What was asked for, in words.
    pub what: String,
    server: Version,
    bench: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

/// Who was measured.
#[derive(Debug, Serialize)]
struct Version {
    /// The NATS version of INFO.
    nats: String,
    /// The version of Turnpike, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    turnpike: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Figures {
    Traffic(Traffic),
    Memory(Memory),
    Spread(Spreading),
}

/// Figures of a row that sends messages.
#[derive(Debug, Serialize)]
struct Traffic {
    messages: u64,
    lost: u64,
    seconds: f64,
    messages_per_second: f64,
    payload_bytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_ns_per_message: Option<f64>,
    /// Processor time over time; 1 is a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_busy: Option<f64>,
    generator_busy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_us: Option<RoundTrip>,
}

/// Quantiles of the round trip in microseconds.
#[derive(Debug, Serialize)]
struct RoundTrip {
    p50: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

/// Figures of a row that weighs.
#[derive(Debug, Serialize)]
struct Memory {
    count: usize,
    resident_bytes: [u64; 3],
    bytes_each: f64,
    average_bytes_each: f64,
}

/// Figures of the row that spreads interest.
#[derive(Debug, Serialize)]
struct Spreading {
    count: usize,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_each: Option<f64>,
}

impl Report {
    /// The report of a row that sends messages of `size` bytes.
    pub fn traffic(row: &'static str, what: String, size: usize, run: Measured) -> Report {
        let seconds = run.time.as_secs_f64();
        // a run of one message has no measurable length
        let (over, each) = (seconds.max(1e-9), run.messages.max(1) as f64);
        let rate = run.messages as f64 / over;
        let us = |q: f64| run.round_trips.as_ref().map_or(0.0, |h| h.value_at_quantile(q) as f64 / 1e3);
        let figures = Traffic {
            messages: run.messages,
            lost: run.lost,
            seconds,
            messages_per_second: rate,
            payload_bytes_per_second: rate * size as f64,
            server_cpu_ns_per_message: run.server_cpu.map(|cpu| cpu.as_secs_f64() * 1e9 / each),
            server_busy: run.server_cpu.map(|cpu| cpu.as_secs_f64() / over),
            generator_busy: run.own_cpu.as_secs_f64() / over,
            round_trip_us: run.round_trips.as_ref().map(|_| RoundTrip {
                p50: us(0.5),
                p99: us(0.99),
                p99_9: us(0.999),
                max: us(1.0),
            }),
        };
        Report::new(row, what, run.info, Figures::Traffic(figures))
    }

    /// The report of a row that weighs.
    pub fn memory(row: &'static str, what: String, weighed: Weighed) -> Report {
        let figures = Memory {
            count: weighed.count,
            resident_bytes: weighed.resident,
            bytes_each: weighed.slope(),
            average_bytes_each: weighed.average(),
        };
        Report::new(row, what, weighed.info, Figures::Memory(figures))
    }

    /// The report of the row that spreads interest.
    pub fn spread(what: String, spread: Spread) -> Report {
        let figures = Spreading {
            count: spread.count,
            seconds: spread.time.as_secs_f64(),
            bytes_each: spread.grown.map(|bytes| bytes as f64 / spread.count as f64),
        };
        Report::new("spread", what, spread.info, Figures::Spread(figures))
    }

    fn new(row: &'static str, what: String, info: Info, figures: Figures) -> Report {
        let server = Version { nats: info.version, turnpike: info.turnpike };
        Report { row, what, server, bench: crate::TURNPIKE_VERSION, figures }
    }

    /// Messages that never came.
    pub fn lost(&self) -> u64 {
        match &self.figures {
            Figures::Traffic(t) => t.lost,
            Figures::Memory(_) | Figures::Spread(_) => 0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turnpike = self.server.turnpike.as_ref().map(|v| format!(", turnpike {v}")).unwrap_or_default();
        writeln!(f, "{}: {}", self.row, self.what)?;
        writeln!(f, "  server      NATS {:?}{turnpike}", self.server.nats)?;
        match &self.figures {
            Figures::Traffic(t) => t.fmt(f),
            Figures::Memory(m) => m.fmt(f),
            Figures::Spread(s) => s.fmt(f),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, bytes) = (grouped(self.messages_per_second), self.payload_bytes_per_second / 1e6);
        writeln!(f, "  messages    {} in {:.3} s, {} lost", grouped(self.messages as f64), self.seconds, self.lost)?;
        writeln!(f, "  rate        {rate} messages/s, {bytes:.1} MB/s of payload")?;
        if let (Some(ns), Some(busy)) = (self.server_cpu_ns_per_message, self.server_busy) {
            writeln!(f, "  server CPU  {} ns per message, {:.0} % of a core", grouped(ns), busy * 100.0)?;
        }
        writeln!(f, "  generator   {:.0} % of a core", self.generator_busy * 100.0)?;
        if let Some(t) = &self.round_trip_us {
            writeln!(f, "  round trip  p50 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1} µs", t.p50, t.p99, t.p99_9, t.max)?;
        }
        Ok(())
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [none, half, all] = self.resident_bytes.map(|b| grouped(b as f64));
        writeln!(f, "  resident    {none} bytes with none, {half} with half, {all} with all {}", self.count)?;
        writeln!(
            f,
            "  each        {:.0} bytes from half to all, {:.0} from none",
            self.bytes_each, self.average_bytes_each
        )
    }
}

impl fmt::Display for Spreading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = grouped(self.count as f64 / self.seconds);
        writeln!(f, "  known       after {:.3} s, {rate} subscriptions/s", self.seconds)?;
        match self.bytes_each {
            Some(bytes) => writeln!(f, "  memory      {bytes:.0} bytes for each, over the processes of --pid"),
            None => Ok(()),
        }
    }
}

/// A whole number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number);
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && c.is_ascii_digit() && (digits.len() - i).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in
            [(0.0, "0"), (999.0, "999"), (1000.4, "1,000"), (-1234567.0, "-1,234,567"), (-123.0, "-123")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
