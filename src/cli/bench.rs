//! `turnpike bench`: drives any NATS server from one core and measures it. Called by the binary for the word `bench`;
//! `scripts/bench-peers` calls it for several servers in turn. docs/benchmarking.md explains the rows.
//!
//! One thread, one epoll, no message built or parsed twice: the generator must be able to keep a server on another
//! core busy. It does not pin itself; `taskset` does.

mod args;
mod arrivals;
mod churn;
mod environment;
mod fault;
mod job;
mod link;
mod links;
mod listening;
mod memory;
mod meter;
mod open;
mod opened;
mod process;
mod progress;
mod quantiles;
mod report;
mod scan;
mod series;
mod spread;
mod stamp;
mod stream;
mod talk;
#[cfg(test)]
mod tests;

use args::{Cli, Common};
use clap::Parser;
use environment::Environment;
use fault::Fault;
use job::Job;
use link::Server;
use meter::{Extent, Meter};
use process::Process;
use progress::Progress;
use report::{Figures, Report};
use std::{ffi::OsString, process::ExitCode};

/// The exit code of a run whose generator was too late or too busy.
const INVALID: u8 = 3;

/// The command: `args` are the words behind `bench`. Prints the report; fails when there is none or messages were
/// lost, and in its own way when the generator was the limit.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("turnpike bench");
    let words: Vec<OsString> = std::iter::once(name).chain(args).collect();
    let cli = Cli::parse_from(&words);
    let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let report = match run(&cli, &words) {
        Ok(report) => report,
        Err(fault) => {
            eprintln!("turnpike bench: {fault}");
            return ExitCode::FAILURE;
        }
    };
    if cli.common.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    match report.invalid() {
        _ if report.lost() > 0 => ExitCode::FAILURE,
        Some(_) => ExitCode::from(INVALID),
        None => ExitCode::SUCCESS,
    }
}

fn run(cli: &Cli, words: &[String]) -> Result<Report, Fault> {
    let bench = Bench::new(&cli.common)?;
    let job = Job::new(&cli.row, &cli.common)?.ok_or_else(|| Fault::Asked("nothing to measure".into()))?;
    let environment = Environment::now(&cli.common.pid, bench.server.addresses(), words);
    let runs = (0..cli.common.repeats).map(|i| bench.once(&job, i)).collect::<Result<Vec<_>, _>>()?;
    Ok(Report { row: job.row, what: job.what, environment, runs })
}

/// What all runs of a command have in common.
struct Bench<'a> {
    common: &'a Common,
    server: Server,
    meter: Meter,
}

impl<'a> Bench<'a> {
    fn new(common: &'a Common) -> Result<Bench<'a>, Fault> {
        let Common { server, user, password, token, .. } = common;
        let server = Server {
            address: server.clone(),
            to: common.to.clone().filter(|to| to != server),
            user: user.clone(),
            password: password.clone(),
            token: token.clone(),
        };
        let meter = Meter {
            warm_up: common.warm_up,
            extent: common.messages.map_or(Extent::Time(common.seconds), Extent::Count),
            patience: common.patience,
            server: Process::new(&common.pid)?,
        };
        Ok(Bench { common, server, meter })
    }

    /// One run, the `index`th of its row.
    fn once(&self, job: &Job, index: usize) -> Result<Figures, Fault> {
        let title = match self.common.repeats {
            1 => job.row.to_owned(),
            repeats => format!("{} {}/{repeats}", job.row, index + 1),
        };
        let length = match self.meter.extent {
            Extent::Time(time) => Some(time),
            Extent::Count(_) => None,
        };
        let mut progress = Progress::new(title, length, self.common.progress);
        job.run(&self.server, &self.meter, &mut progress)
    }
}
