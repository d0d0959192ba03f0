//! The words of `turnpike bench`, and what they may be. Read by [`super`].

use super::arrivals::Arrivals;
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, time::Duration};

/// Measures a NATS server: throughput, latency at a given rate, round trips, memory.
///
/// A closed loop (without --rate) sends as fast as the server takes it: throughput. An open loop (--rate) sends when a
/// schedule says so and counts latency from the time each message was due, whether or not the server was ready for it.
#[derive(Debug, Parser)]
#[command(name = "turnpike bench", version, subcommand_required = true, after_help = AFTER)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub row: Row,
    /// What every row understands.
    #[command(flatten)]
    pub common: Common,
}

const AFTER: &str = "Examples:
  turnpike bench sub --size 128 --pid $(pidof nats-server)      throughput, CPU per message
  turnpike bench sub --rate 50000 --arrivals poisson            latency at 50,000 messages a second
  turnpike bench fan --sweep --knee 5ms                         up to the rate where p99 passes 5 ms
  turnpike bench request --repeats 5 --json >a.json             median and spread of five runs
  turnpike bench compare a.json b.json                          is b worse than a?

Exit code: 0 all well; 1 messages were lost, or no result; 2 the words make no sense; 3 the generator sent too late or
looked too rarely for the result to be valid. `compare`: 0 nothing worse, 1 something worse, 2 cannot be compared.";

/// What every row understands.
#[derive(Debug, Args)]
pub struct Common {
    /// The server, as host:port
    #[arg(short, long, global = true, default_value = "127.0.0.1:4222", value_parser = address)]
    pub server: String,
    /// Where subscribers and those who answer connect, if not to --server: another server of its cluster
    #[arg(short, long, global = true, value_parser = address)]
    pub to: Option<String>,
    /// The server's process on this machine: measures its processor time and memory. Given several times: their sum
    #[arg(long, global = true)]
    pub pid: Vec<u32>,
    /// User name
    #[arg(long, global = true, requires = "password")]
    pub user: Option<String>,
    /// Password
    #[arg(long, global = true, requires = "user")]
    pub password: Option<String>,
    /// Token
    #[arg(long, global = true, conflicts_with = "user")]
    pub token: Option<String>,
    /// Speaks TLS
    #[arg(long, global = true)]
    pub tls: bool,
    /// Authorities that are believed, PEM; without: those of the system
    #[arg(long, global = true, requires = "tls", value_name = "FILE")]
    pub tls_ca: Option<String>,
    /// Certificate that is shown, PEM
    #[arg(long, global = true, requires = "tls", requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Its key
    #[arg(long, global = true, requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Measures so long, in seconds
    #[arg(long, global = true, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
    /// Measures so many messages (or requests) instead
    #[arg(long, global = true, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// Sends so long before it measures, in seconds
    #[arg(long, global = true, default_value = "0.5", value_parser = seconds)]
    pub warm_up: Duration,
    /// Takes messages for lost when none has come for so long, in seconds
    #[arg(long, global = true, default_value = "3", value_parser = seconds)]
    pub patience: Duration,
    /// Bytes under way at most, in rows with subscribers (closed loop)
    #[arg(long, global = true, default_value = "8388608", value_parser = positive)]
    pub in_flight: usize,
    /// Runs so often, each time with fresh connections and a warm-up, and tells median, least and most
    #[arg(long, global = true, default_value = "1", value_parser = positive)]
    pub repeats: usize,
    /// Numbers the messages of a closed loop: duplicates and disorder are counted, losses exactly
    #[arg(long, global = true)]
    pub check: bool,
    /// Tells on standard error how far it is, also where that is no terminal
    #[arg(long, global = true)]
    pub progress: bool,
    /// Prints one JSON object, with the environment
    #[arg(long, global = true)]
    pub json: bool,
    /// Writes the latencies to a file as an HdrHistogram log (V2), an interval per run
    #[arg(long, global = true, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// Draws the latencies' percentiles into a file: one SVG that needs nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Common {
    /// The authorities and the certificate with its key, where TLS is spoken.
    #[allow(clippy::type_complexity, reason = "both may be left out")]
    pub fn tls(&self) -> Option<(Option<&str>, Option<(&str, &str)>)> {
        let pair = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        self.tls.then_some((self.tls_ca.as_deref(), pair))
    }
}

/// What is measured.
#[derive(Clone, Debug, Subcommand)]
pub enum Row {
    /// Publishes to a subject nobody listens to
    Pub {
        #[command(flatten)]
        payload: Payload,
    },
    /// One publisher, one subscriber
    Sub {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
    },
    /// One publisher, several subscribers
    Fan {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// Subscribers
        #[arg(long, default_value = "10", value_parser = positive)]
        subscribers: usize,
    },
    /// Several publishers, each with a subject and a subscriber of its own
    Pairs {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// Pairs
        #[arg(long, default_value = "4", value_parser = positive)]
        pairs: usize,
    },
    /// One publisher, several subscribers in one queue group: each message goes to one of them
    Queue {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// Members of the group
        #[arg(long, default_value = "10", value_parser = positive)]
        members: usize,
    },
    /// One publisher over many subjects in changing order, one subscriber on a wildcard
    Subjects {
        #[command(flatten)]
        payload: Payload,
        /// Subjects
        #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
        subjects: u32,
    },
    /// One client asks and waits for the answer of another, through the server
    Request {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// The generator never sleeps while it waits (closed loop)
        #[arg(long)]
        spin: bool,
    },
    /// Many connections, each with one message to itself under way
    Conns {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// Connections
        #[arg(long, default_value = "128", value_parser = positive)]
        connections: usize,
        /// The generator never sleeps while it waits (closed loop)
        #[arg(long)]
        spin: bool,
    },
    /// A client that subscribes and takes back as fast as it is confirmed, messages flowing beside (10,000 a second)
    Churn {
        #[command(flatten)]
        payload: Payload,
        #[command(flatten)]
        pace: Pace,
        /// Subscriptions made, and then taken back, at a time
        #[arg(long, default_value = "100", value_parser = positive)]
        subscriptions: usize,
    },
    /// Memory of the server per idle connection (needs --pid)
    Idle {
        /// Connections
        #[arg(long, default_value = "2000", value_parser = several)]
        connections: usize,
    },
    /// Memory of the server per subscription, all on one connection (needs --pid)
    Subs {
        /// Subscriptions
        #[arg(long, default_value = "200000", value_parser = several)]
        subscriptions: usize,
    },
    /// How long it takes until --server knows so many subscriptions of clients of --to
    Spread {
        /// Subscriptions
        #[arg(long, default_value = "500000", value_parser = several)]
        subscriptions: usize,
    },
    /// Compares two files that --json of this command or of scripts/bench-peers wrote; no server is needed
    Compare {
        /// The old result
        a: PathBuf,
        /// The new result
        b: PathBuf,
        /// A figure may be worse by so many per cent beyond the spread
        #[arg(long, default_value = "5", value_parser = per_cent)]
        tolerance: f64,
        /// Compares results of different processors, too
        #[arg(long)]
        anyway: bool,
    },
}

impl Row {
    /// Its schedule, if it can have one.
    pub fn pace(&self) -> Option<&Pace> {
        match self {
            Row::Sub { pace, .. }
            | Row::Fan { pace, .. }
            | Row::Pairs { pace, .. }
            | Row::Queue { pace, .. }
            | Row::Request { pace, .. }
            | Row::Conns { pace, .. }
            | Row::Churn { pace, .. } => Some(pace),
            _ => None,
        }
    }
}

/// Payload of the messages.
#[derive(Clone, Copy, Debug, Args)]
pub struct Payload {
    /// Payload in bytes
    #[arg(long, default_value = "128")]
    size: u32,
}

impl Payload {
    /// Its length.
    pub fn bytes(self) -> usize {
        self.size as usize
    }
}

/// The schedule of an open loop.
#[derive(Clone, Copy, Debug, Args)]
pub struct Pace {
    /// Open loop: so many messages (or requests) a second in all, whether the server is ready or not
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// How the messages of an open loop follow each other: constant, poisson or burst:N [default: constant]
    #[arg(long)]
    pub arrivals: Option<Arrivals>,
    /// The generator of an open loop sleeps until the next message is due: later by what waking takes
    #[arg(long)]
    pub sleep: bool,
    /// Open loops from a low rate (--rate, or 1000) up to the knee: the highest that holds --knee and loses nothing
    #[arg(long)]
    pub sweep: bool,
    /// The p99 latency that ends a sweep, such as 10ms or 500us [default: 10ms]
    #[arg(long, value_parser = latency)]
    pub knee: Option<Duration>,
}

/// `host:port`, with or without `nats://`.
pub fn address(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("nats://").unwrap_or(text);
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(address.to_owned()),
        _ => Err("expected host:port".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 2 or 0.5")?;
    match seconds {
        0.001..=86400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected 0.001 to 86400 seconds".into()),
    }
}

fn latency(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(text.len()));
    let scale = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("expected a time with its unit, such as 10ms or 500us".into()),
    };
    match number.parse::<f64>().map(|n| n * scale) {
        Ok(time @ 1e-6..=60.0) => Ok(Duration::from_secs_f64(time)),
        _ => Err("expected 1us to 60s".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate @ 0.1..=1e8) => Ok(rate),
        _ => Err("expected 0.1 to 100000000 messages a second".into()),
    }
}

fn per_cent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(part @ 0.0..=1000.0) => Ok(part / 100.0),
        _ => Err("expected per cent, such as 5".into()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number above zero".into())
}

fn several(text: &str) -> Result<usize, String> {
    positive(text).ok().filter(|n| *n > 1).ok_or_else(|| "expected a whole number above one".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(latency("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(latency("1.5us"), Ok(Duration::from_nanos(1500)));
        for bad in ["10", "ms", "0ms", "61s", "-1ms", "1 ms", "NaNms"] {
            assert!(latency(bad).is_err(), "{bad}");
        }
    }
}
