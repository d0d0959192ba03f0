//! What the runs of a row print: a short table for people, one JSON object for programs. Used by [`super`] at the end.

use super::{
    environment::Environment,
    link::Info,
    memory::Weighed,
    meter::Measured,
    opened::Opened,
    quantiles::{curve, Quantiles},
    series,
    spread::Spread,
};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What one run has shown. A figure that was not measured is missing in JSON and in the table.
#[derive(Debug)]
pub struct Figures {
    found: Found,
    info: Info,
    /// Latencies in nanoseconds, where there are any: from when a message was due, or round trips.
    pub latency: Option<Histogram<u64>>,
    /// When measuring began…
    pub begun: SystemTime,
    /// …and how long it took.
    pub lasted: Duration,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Traffic(Box<Traffic>),
    Memory(Memory),
    Spread(Spreading),
}

/// Figures of a row that sends messages.
#[derive(Debug, Serialize)]
struct Traffic {
    messages: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reordered: Option<u64>,
    seconds: f64,
    messages_per_second: f64,
    payload_bytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_ns_per_message: Option<f64>,
    /// Processor time over time; 1 is a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_busy: Option<f64>,
    /// The same of the generator; in an open loop the share of the time in which it had something to do.
    generator_busy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_us: Option<Quantiles>,
    #[serde(flatten)]
    open: Option<OpenFigures>,
    /// Points of the distribution: per cent, microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    curve_us: Vec<[f64; 2]>,
}

/// Figures of an open loop.
#[derive(Debug, Serialize)]
struct OpenFigures {
    rate: f64,
    arrivals: String,
    generator_sleeps: bool,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_because: Option<String>,
    latency_us: Quantiles,
    latency_from_sent_us: Quantiles,
    generator_behind_us: Quantiles,
    generator_unheard_us: Quantiles,
    held_back: u64,
    foreign: u64,
    #[serde(flatten)]
    churn: Option<ChurnFigures>,
}

/// Figures of subscriptions that come and go.
#[derive(Debug, Serialize)]
struct ChurnFigures {
    changes: u64,
    changes_per_second: f64,
    changes_confirmed_us: Quantiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_ns_per_change: Option<f64>,
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

impl Figures {
    /// Of a row that sends messages of `size` bytes.
    pub fn traffic(size: usize, run: Measured) -> Figures {
        let seconds = run.time.as_secs_f64();
        // a run of one message has no measurable length
        let (over, each) = (seconds.max(1e-9), run.messages.max(1) as f64);
        let rate = run.messages as f64 / over;
        let latency = run.round_trips.or_else(|| run.opened.as_ref().map(|o| o.latency.clone()));
        let traffic = Traffic {
            messages: run.messages,
            lost: run.lost,
            duplicates: run.disorder.map(|d| d.duplicates),
            reordered: run.disorder.map(|d| d.reordered),
            seconds,
            messages_per_second: rate,
            payload_bytes_per_second: rate * size as f64,
            server_cpu_ns_per_message: run.server_cpu.map(|cpu| cpu.as_secs_f64() * 1e9 / each),
            server_busy: run.server_cpu.map(|cpu| cpu.as_secs_f64() / over),
            generator_busy: run.opened.as_ref().map_or(run.own_cpu.as_secs_f64() / over, |o| o.busy),
            round_trip_us: latency.as_ref().filter(|_| run.opened.is_none()).map(Quantiles::of),
            open: run.opened.map(|o| OpenFigures::new(&o, run.server_cpu.map(|cpu| cpu.as_secs_f64() * 1e9))),
            curve_us: latency.as_ref().map(curve).unwrap_or_default(),
        };
        Figures { latency, ..Figures::new(Found::Traffic(Box::new(traffic)), run.info, run.time) }
    }

    /// Of a row that weighs.
    pub fn memory(weighed: Weighed) -> Figures {
        let found = Memory {
            count: weighed.count,
            resident_bytes: weighed.resident,
            bytes_each: weighed.slope(),
            average_bytes_each: weighed.average(),
        };
        Figures::new(Found::Memory(found), weighed.info, Duration::ZERO)
    }

    /// Of the row that spreads interest.
    pub fn spread(spread: Spread) -> Figures {
        let found = Spreading {
            count: spread.count,
            seconds: spread.time.as_secs_f64(),
            bytes_each: spread.grown.map(|bytes| bytes as f64 / spread.count as f64),
        };
        Figures::new(Found::Spread(found), spread.info, spread.time)
    }

    /// Of a run that has just ended.
    fn new(found: Found, info: Info, lasted: Duration) -> Figures {
        Figures { found, info, latency: None, begun: SystemTime::now() - lasted, lasted }
    }

    /// Who was measured.
    pub fn server(&self) -> Value {
        version(Some(&self.info))
    }

    /// Messages that never came.
    pub fn lost(&self) -> u64 {
        match &self.found {
            Found::Traffic(t) => t.lost,
            Found::Memory(_) | Found::Spread(_) => 0,
        }
    }

    /// Why the run says nothing about the server; none if it does.
    pub fn invalid(&self) -> Option<&str> {
        match &self.found {
            Found::Traffic(t) => t.open.as_ref()?.invalid_because.as_deref(),
            Found::Memory(_) | Found::Spread(_) => None,
        }
    }

    /// Messages received each second; zero for a row that sends none.
    pub fn rate(&self) -> f64 {
        match &self.found {
            Found::Traffic(t) => t.messages_per_second,
            Found::Memory(_) | Found::Spread(_) => 0.0,
        }
    }

    /// All figures as JSON.
    pub fn json(&self) -> Value {
        serde_json::json!(self.found)
    }
}

impl OpenFigures {
    fn new(open: &Opened, server_cpu_ns: Option<f64>) -> OpenFigures {
        let invalid_because = open.invalid();
        OpenFigures {
            rate: open.load.rate,
            arrivals: open.load.arrivals.to_string(),
            generator_sleeps: open.load.sleep,
            valid: invalid_because.is_none(),
            invalid_because,
            latency_us: Quantiles::of(&open.latency),
            latency_from_sent_us: Quantiles::of(&open.from_sent),
            generator_behind_us: Quantiles::of(&open.behind),
            generator_unheard_us: Quantiles::of(&open.unheard),
            held_back: open.held_back,
            foreign: open.foreign,
            churn: open.churned.as_ref().map(|c| ChurnFigures {
                changes: c.changes,
                changes_per_second: c.changes as f64 * 1e9 / c.time.max(1) as f64,
                changes_confirmed_us: Quantiles::of(&c.confirmed),
                server_cpu_ns_per_change: server_cpu_ns.map(|cpu| cpu / c.changes.max(1) as f64),
            }),
        }
    }
}

/// The result of a row: one run, or several of the same.
#[derive(Debug)]
pub struct Report {
    /// The row, as on the command line.
    pub row: &'static str,
    /// What was asked for, in words.
    pub what: String,
    /// Where it was measured, and with what.
    pub environment: Environment,
    /// What each run has shown; at least one.
    pub runs: Vec<Figures>,
}

impl Report {
    /// Messages that never came, over all runs.
    pub fn lost(&self) -> u64 {
        self.runs.iter().map(Figures::lost).sum()
    }

    /// Why a run says nothing about the server; none if all do.
    pub fn invalid(&self) -> Option<&str> {
        self.runs.iter().find_map(Figures::invalid)
    }

    /// One JSON object. Of several runs its figures are medians, of what must not happen sums; `spread` has median, least
    /// and most of each, `runs` has every run.
    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self.runs.iter().map(Figures::json).collect();
        let mut all = serde_json::json!({
            "row": self.row, "what": self.what, "server": version(self.runs.first().map(|r| &r.info)),
            "bench": crate::TURNPIKE_VERSION, "environment": self.environment, "repeats": runs.len(),
        });
        if let (Value::Object(all), Value::Object(figures)) = (&mut all, series::merged(&runs)) {
            all.extend(figures);
            if runs.len() > 1 {
                all.insert("spread".into(), serde_json::json!(series::spread(&runs)));
                all.insert("runs".into(), runs.into());
            }
        }
        all
    }
}

/// Who was measured.
fn version(info: Option<&Info>) -> Value {
    let mut version = serde_json::json!({ "nats": info.map(|i| &i.version) });
    for (key, value) in
        [("turnpike", info.and_then(|i| i.turnpike.as_ref())), ("name", info.and_then(|i| i.server_name.as_ref()))]
    {
        if let Some(value) = value {
            version[key] = value.as_str().into();
        }
    }
    version
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.runs.first() else { return Ok(()) };
        let turnpike = first.info.turnpike.as_ref().map(|v| format!(", turnpike {v}")).unwrap_or_default();
        writeln!(f, "{}: {}", self.row, self.what)?;
        writeln!(f, "  server      NATS {:?}{turnpike}", first.info.version)?;
        if self.runs.len() > 1 {
            writeln!(
                f,
                "  {:38} {:>16} {:>16} {:>16}",
                format!("of {} runs", self.runs.len()),
                "median",
                "least",
                "most"
            )?;
            let runs: Vec<Value> = self.runs.iter().map(Figures::json).collect();
            for (figure, s) in series::spread(&runs) {
                writeln!(f, "  {figure:38} {:>16} {:>16} {:>16}", exact(s.median), exact(s.least), exact(s.most))?;
            }
            return self
                .runs
                .iter()
                .filter_map(Figures::invalid)
                .try_for_each(|why| writeln!(f, "  INVALID     {why}"));
        }
        match &first.found {
            Found::Traffic(t) => t.fmt(f),
            Found::Memory(m) => m.fmt(f),
            Found::Spread(s) => s.fmt(f),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, bytes) = (grouped(self.messages_per_second), self.payload_bytes_per_second / 1e6);
        write!(f, "  messages    {} in {:.3} s, {} lost", grouped(self.messages as f64), self.seconds, self.lost)?;
        if let (Some(duplicates), Some(reordered)) = (self.duplicates, self.reordered) {
            write!(f, ", {duplicates} twice, {reordered} out of order")?;
        }
        writeln!(f, "\n  rate        {rate} messages/s, {bytes:.1} MB/s of payload")?;
        if let (Some(ns), Some(busy)) = (self.server_cpu_ns_per_message, self.server_busy) {
            writeln!(f, "  server CPU  {} ns per message, {:.0} % of a core", grouped(ns), busy * 100.0)?;
        }
        match &self.open {
            None => writeln!(f, "  generator   {:.0} % of a core", self.generator_busy * 100.0)?,
            Some(open) => {
                writeln!(f, "  latency     {}", open.latency_us)?;
                writeln!(f, "  from sent   {}", open.latency_from_sent_us)?;
                writeln!(f, "  behind      {}", open.generator_behind_us)?;
                writeln!(f, "  unheard     {}", open.generator_unheard_us)?;
                let busy = self.generator_busy * 100.0;
                let (held, foreign) = (grouped(open.held_back as f64), open.foreign);
                write!(f, "  generator   busy {busy:.0} % of the time; {held} messages held back by the socket")?;
                writeln!(f, "{}", if foreign > 0 { format!(", {foreign} of others") } else { String::new() })?;
                if let Some(c) = &open.churn {
                    writeln!(f, "  changes     {} a second", grouped(c.changes_per_second))?;
                    writeln!(f, "  confirmed   {}", c.changes_confirmed_us)?;
                }
                if let Some(why) = &open.invalid_because {
                    writeln!(f, "  INVALID     {why}")?;
                }
            }
        }
        if let Some(quantiles) = &self.round_trip_us {
            writeln!(f, "  round trip  {quantiles}")?;
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
pub fn grouped(number: f64) -> String {
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

/// A figure of unknown size: large ones whole, small ones with what can be told.
pub fn exact(number: f64) -> String {
    match number.abs() {
        n if n >= 1000.0 || n.fract() == 0.0 => grouped(number),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.3}"),
    }
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
