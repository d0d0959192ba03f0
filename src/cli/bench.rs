//! `turnpike bench`: drives any NATS server from one core and measures it. Called by the binary for the word `bench`;
//! `scripts/bench-peers` calls it for several servers in turn. docs/benchmarking.md explains the rows.
//!
//! One thread, one epoll, no message built or parsed twice: the generator must be able to keep a server on another
//! core busy. It does not pin itself; `taskset` does.

mod fault;
mod link;
mod links;
mod memory;
mod meter;
mod process;
mod report;
mod scan;
mod spread;
mod stream;
mod talk;
#[cfg(test)]
mod tests;

use clap::{Args, Parser, Subcommand};
use fault::Fault;
use link::Server;
use meter::{Extent, Meter};
use process::Process;
use report::Report;
use std::{ffi::OsString, process::ExitCode, time::Duration};
use stream::{Plan, Stream};
use talk::{Talk, Topic};

/// Measures a NATS server: throughput, round trips, memory.
#[derive(Debug, Parser)]
#[command(name = "turnpike bench", version, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    row: Row,
    #[command(flatten)]
    common: Common,
}

/// What every row understands.
#[derive(Debug, Args)]
struct Common {
    /// The server, as host:port
    #[arg(short, long, global = true, default_value = "127.0.0.1:4222", value_parser = address)]
    server: String,
    /// Where subscribers and those who answer connect, if not to --server: another server of its cluster
    #[arg(short, long, global = true, value_parser = address)]
    to: Option<String>,
    /// The server's process on this machine: measures its processor time and memory. Given several times: their sum
    #[arg(long, global = true)]
    pid: Vec<u32>,
    /// User name
    #[arg(long, global = true, requires = "password")]
    user: Option<String>,
    /// Password
    #[arg(long, global = true, requires = "user")]
    password: Option<String>,
    /// Token
    #[arg(long, global = true, conflicts_with = "user")]
    token: Option<String>,
    /// Measures so long, in seconds
    #[arg(long, global = true, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Measures so many messages (or requests) instead
    #[arg(long, global = true, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Sends so long before it measures, in seconds
    #[arg(long, global = true, default_value = "0.5", value_parser = seconds)]
    warm_up: Duration,
    /// Takes messages for lost when none has come for so long, in seconds
    #[arg(long, global = true, default_value = "3", value_parser = seconds)]
    patience: Duration,
    /// Bytes under way at most, in rows with subscribers
    #[arg(long, global = true, default_value = "8388608", value_parser = positive)]
    in_flight: usize,
    /// Prints one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Row {
    /// Publishes to a subject nobody listens to
    Pub {
        #[command(flatten)]
        payload: Payload,
    },
    /// One publisher, one subscriber
    Sub {
        #[command(flatten)]
        payload: Payload,
    },
    /// One publisher, several subscribers
    Fan {
        #[command(flatten)]
        payload: Payload,
        /// Subscribers
        #[arg(long, default_value = "10", value_parser = positive)]
        subscribers: usize,
    },
    /// Several publishers, each with a subject and a subscriber of its own
    Pairs {
        #[command(flatten)]
        payload: Payload,
        /// Pairs
        #[arg(long, default_value = "4", value_parser = positive)]
        pairs: usize,
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
        /// The generator never sleeps while it waits
        #[arg(long)]
        spin: bool,
    },
    /// Many connections, each with one message to itself under way
    Conns {
        #[command(flatten)]
        payload: Payload,
        /// Connections
        #[arg(long, default_value = "128", value_parser = positive)]
        connections: usize,
        /// The generator never sleeps while it waits
        #[arg(long)]
        spin: bool,
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
}

#[derive(Clone, Copy, Debug, Args)]
struct Payload {
    /// Payload in bytes
    #[arg(long, default_value = "128")]
    size: u32,
}

impl Payload {
    fn bytes(self) -> usize {
        self.size as usize
    }
}

/// The command: `args` are the words behind `bench`. Prints the report; fails when there is none or messages were
/// lost.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("turnpike bench");
    let cli = Cli::parse_from(std::iter::once(name).chain(args));
    match run(&cli) {
        Ok(report) => {
            if cli.common.json {
                println!("{}", serde_json::json!(report));
            } else {
                print!("{report}");
            }
            ExitCode::from(u8::from(report.lost() > 0))
        }
        Err(fault) => {
            eprintln!("turnpike bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<Report, Fault> {
    let Common { server, user, password, token, .. } = &cli.common;
    let server = Server {
        address: server.clone(),
        to: cli.common.to.clone().filter(|to| to != server),
        user: user.clone(),
        password: password.clone(),
        token: token.clone(),
    };
    let process = Process::new(&cli.common.pid)?;
    let meter = Meter {
        warm_up: cli.common.warm_up,
        extent: cli.common.messages.map_or(Extent::Time(cli.common.seconds), Extent::Count),
        patience: cli.common.patience,
        server: process.clone(),
    };
    let plan = |payload: Payload| Plan {
        flows: 1,
        subscribers: 1,
        subjects: 1,
        size: payload.bytes(),
        in_flight: cli.common.in_flight,
    };
    let stream = |row, what, plan: Plan| {
        let what = format!("{what}, {} B", plan.size);
        Ok(Report::traffic(row, what, plan.size, Stream::new(&server, &plan)?.run(&meter)?))
    };
    let talk = |row, what, topic, payload: Payload, spin| {
        let what = format!("{what}, {} B", payload.size);
        Ok(Report::traffic(row, what, payload.bytes(), Talk::new(&server, topic, payload.bytes(), spin)?.run(&meter)?))
    };
    let weighed =
        || process.clone().ok_or_else(|| Fault::Asked("this row reads the server's memory: give its --pid".into()));
    match cli.row.clone() {
        Row::Pub { payload } => stream("pub", "publish only".into(), Plan { subscribers: 0, ..plan(payload) }),
        Row::Sub { payload } => stream("sub", "1 publisher, 1 subscriber".into(), plan(payload)),
        Row::Fan { payload, subscribers } => {
            let what = format!("1 publisher, {subscribers} subscribers");
            stream("fan", what, Plan { subscribers, ..plan(payload) })
        }
        Row::Pairs { payload, pairs } => {
            let what = format!("{pairs} publishers, a subscriber each");
            stream("pairs", what, Plan { flows: pairs, ..plan(payload) })
        }
        Row::Subjects { payload, subjects } => {
            let what = format!("1 publisher over {subjects} subjects, 1 subscriber on a wildcard");
            stream("subjects", what, Plan { subjects: subjects as usize, ..plan(payload) })
        }
        Row::Request { payload, spin } => {
            talk("request", "request and reply".to_owned(), Topic::Request, payload, spin)
        }
        Row::Conns { payload, connections, spin } => {
            let what = format!("{connections} connections, a message each");
            talk("conns", what, Topic::Echo(connections), payload, spin)
        }
        Row::Idle { connections } => {
            let what = format!("{connections} idle connections");
            Ok(Report::memory("idle", what, memory::idle(&server, weighed()?, connections)?))
        }
        Row::Subs { subscriptions } => {
            let what = format!("{subscriptions} subscriptions on one connection");
            Ok(Report::memory("subs", what, memory::subscriptions(&server, weighed()?, subscriptions)?))
        }
        Row::Spread { subscriptions } => {
            let what = format!("{subscriptions} subscriptions of the one server's clients, known at the other");
            Ok(Report::spread(what, spread::subscriptions(&server, process.as_ref(), subscriptions)?))
        }
    }
}

/// `host:port`, with or without `nats://`.
fn address(text: &str) -> Result<String, String> {
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

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number above zero".into())
}

fn several(text: &str) -> Result<usize, String> {
    positive(text).ok().filter(|n| *n > 1).ok_or_else(|| "expected a whole number above one".into())
}
