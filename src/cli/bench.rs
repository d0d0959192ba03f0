//! `turnpike bench`: drives any NATS server from one core and measures it. Called by the binary for the word `bench`;
//! `scripts/bench-peers` calls it for several servers in turn. docs/benchmarking.md explains the rows.
//!
//! One thread, one epoll, no message built or parsed twice: the generator must be able to keep a server on another
//! core busy. It does not pin itself; `taskset` does.

pub(super) mod args;
mod arrivals;
mod churn;
mod compare;
mod environment;
mod fault;
mod job;
mod link;
mod links;
mod listening;
mod logfile;
mod memory;
mod meter;
mod open;
mod opened;
mod plot;
mod process;
mod progress;
mod quantiles;
mod report;
mod scan;
mod series;
mod spread;
mod stamp;
mod stream;
mod sweep;
mod talk;
#[cfg(test)]
mod tests;
mod wire;

use args::{Cli, Common, Row};
use clap::Parser;
use compare::Side;
use environment::Environment;
use fault::Fault;
use job::Job;
use link::Server;
use meter::{Extent, Meter};
use plot::Curve;
use process::Process;
use progress::Progress;
use report::{Figures, Report};
use std::{ffi::OsString, process::ExitCode, time::Duration};
use sweep::Sweep;

/// Messages were lost, or there is no result; of a comparison: something is worse.
const BAD: u8 = 1;
/// What was asked for makes no sense: two results that cannot be compared.
const SENSELESS: u8 = 2;
/// The generator was too late or too busy for the result to say anything about the server.
const INVALID: u8 = 3;
/// The p99 latency that ends a sweep, unless the words say otherwise.
const KNEE: Duration = Duration::from_millis(10);

/// The command: `args` are the words behind `bench`. Prints the result and gives the exit code that `--help` explains.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("turnpike bench");
    let words: Vec<OsString> = std::iter::once(name).chain(args).collect();
    let cli = Cli::parse_from(&words);
    let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let (told, code) = match outcome(&cli, &words) {
        Ok(result) => result,
        Err((why, code)) => {
            eprintln!("turnpike bench: {why}");
            return ExitCode::from(code);
        }
    };
    // one write: whoever reads may have gone, which is no failure of the measurement
    let _ = std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes());
    ExitCode::from(code)
}

/// What is to be printed, and the exit code; or why there is nothing.
fn outcome(cli: &Cli, words: &[String]) -> Result<(String, u8), (String, u8)> {
    let told = |json: serde_json::Value, text: String| if cli.common.json { format!("{json}\n") } else { text };
    if let Row::Compare { a, b, tolerance, anyway } = &cli.row {
        let senseless = |why| (why, SENSELESS);
        let (a, b) = (Side::read(a).map_err(senseless)?, Side::read(b).map_err(senseless)?);
        let compared = compare::compare(&a, &b, *tolerance, *anyway).map_err(senseless)?;
        if let Some(path) = &cli.common.svg {
            let curves = [a.curves(), b.curves()].concat();
            plot::write(path, "turnpike bench compare", &curves).map_err(|e| (e.to_string(), SENSELESS))?;
        }
        let code = if compared.worse() > 0 { BAD } else { 0 };
        return Ok((told(compared.json(), compared.to_string()), code));
    }
    match run(cli, words).map_err(|fault| (fault.to_string(), BAD))? {
        Outcome::Report(report) => {
            let code = match report.invalid() {
                _ if report.lost() > 0 => BAD,
                Some(_) => INVALID,
                None => 0,
            };
            Ok((told(report.json(), report.to_string()), code))
        }
        Outcome::Sweep(sweep) => {
            let code = match sweep.knee() {
                None => BAD,
                Some(_) if sweep.invalid() => INVALID,
                Some(_) => 0,
            };
            Ok((told(sweep.json(), sweep.to_string()), code))
        }
    }
}

/// What was measured.
#[derive(Debug)]
enum Outcome {
    /// A row.
    Report(Report),
    /// A row at many rates.
    Sweep(Sweep),
}

fn run(cli: &Cli, words: &[String]) -> Result<Outcome, Fault> {
    let common = &cli.common;
    let bench = Bench::new(common)?;
    let job = Job::new(&cli.row, common)?.ok_or_else(|| Fault::Asked("nothing to measure".into()))?;
    let environment = Environment::now(&common.pid, bench.server.addresses(), words);
    let Some(pace) = cli.row.pace().filter(|pace| pace.sweep) else {
        let runs = (0..common.repeats).map(|i| bench.once(&job, i)).collect::<Result<Vec<_>, _>>()?;
        let tagged = || runs.iter().enumerate().map(|(i, run)| (format!("{}-{}", job.row, i + 1), run));
        keep(common, &job.what, tagged(), |_| job.row.to_owned())?;
        return Ok(Outcome::Report(Report { row: job.row, what: job.what, environment, runs }));
    };
    if common.repeats > 1 {
        return Err(Fault::Asked("--sweep tries many rates, each until it holds: it has no --repeats".into()));
    }
    let (first, bound) = (job.rate().unwrap_or(1.0), pace.knee.unwrap_or(KNEE));
    let steps = sweep::climb(first, bound, |rate| bench.once(&job.at(rate), 0))?;
    keep(common, &job.what, steps.iter().map(|s| (format!("{}-{}", job.row, s.rate), &s.figures)), |tag| {
        tag.to_owned()
    })?;
    Ok(Outcome::Sweep(Sweep { row: job.row, what: job.what, environment, bound, steps }))
}

/// Writes the files that were asked for: latencies of runs, named by tags; runs of one group are drawn in one colour.
fn keep<'a>(
    common: &Common,
    what: &str,
    runs: impl Iterator<Item = (String, &'a Figures)> + Clone,
    group: impl Fn(&str) -> String,
) -> Result<(), Fault> {
    if let Some(path) = &common.hdr {
        logfile::write(path, what, runs.clone())?;
    }
    let Some(path) = &common.svg else { return Ok(()) };
    let curve = |(tag, run): (String, &Figures)| {
        let points = run.latency.as_ref().map(quantiles::curve).unwrap_or_default();
        Curve { group: group(&tag), points }
    };
    plot::write(path, what, &runs.map(curve).collect::<Vec<_>>())
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
            tls: common.tls().map(|(ca, pair)| wire::config(ca, pair)).transpose()?,
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
