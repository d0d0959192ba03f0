//! From a low rate to the knee: open loops at rates that double until one does not hold, then the gap between the last two
//! is halved. The knee is the highest rate that held. Used by [`super`] for `--sweep`.

use super::{
    environment::Environment,
    fault::Fault,
    report::{exact, grouped, Figures},
};
use serde_json::{json, Value};
use std::{fmt, time::Duration};

/// The gap between a rate that holds and one that does not is halved until it is no wider than this.
const FINE: f64 = 1.1;
/// A rate has failed when it has failed so often: a machine that stutters once has no knee there.
const TRIES: usize = 2;
/// No server is asked for more, in messages a second.
const HIGHEST: f64 = 1e8;

/// Why a rate does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Latency passed the bound, or messages were lost; in words.
    Server(String),
    /// The generator could not keep up.
    Generator(String),
}

/// A rate that was tried.
#[derive(Debug)]
pub struct Step {
    /// Messages a second.
    pub rate: f64,
    /// What was found.
    pub figures: Figures,
    /// Why it does not hold; none if it does.
    pub limit: Option<Limit>,
}

/// The whole sweep.
#[derive(Debug)]
pub struct Sweep {
    /// The row, as on the command line.
    pub row: &'static str,
    /// What was asked for, in words.
    pub what: String,
    /// Where it was measured.
    pub environment: Environment,
    /// The bound of p99.
    pub bound: Duration,
    /// Every rate that was tried, in the order of the trials.
    pub steps: Vec<Step>,
}

/// What of a run at some rate does not hold.
fn limit(figures: &Figures, bound: Duration) -> Option<Limit> {
    if figures.lost() > 0 {
        return Some(Limit::Server(format!("{} lost", figures.lost())));
    }
    if let Some(why) = figures.invalid() {
        return Some(Limit::Generator(why.to_owned()));
    }
    let p99 = figures.latency.as_ref().map_or(0, |l| l.value_at_quantile(0.99));
    (u128::from(p99) > bound.as_nanos()).then(|| Limit::Server(format!("p99 above {bound:?}")))
}

/// Tries rates from `first` on; `run` measures one.
pub fn climb(
    first: f64,
    bound: Duration,
    mut run: impl FnMut(f64) -> Result<Figures, Fault>,
) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    let mut trial = |rate| -> Result<bool, Fault> {
        for _ in 0..TRIES {
            let figures = run(rate)?;
            let limit = limit(&figures, bound);
            let holds = limit.is_none();
            steps.push(Step { rate, figures, limit });
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let (mut holds, mut fails) = (None, first);
    while fails <= HIGHEST && trial(fails)? {
        holds = Some(fails);
        fails *= 2.0;
    }
    if let Some(mut holds) = holds.filter(|_| fails <= HIGHEST) {
        while fails / holds > FINE {
            // the middle on the scale that doubles
            let middle = (holds * fails).sqrt().round();
            if trial(middle)? {
                holds = middle;
            } else {
                fails = middle;
            }
        }
    }
    Ok(steps)
}

impl Sweep {
    /// The highest rate that held; none if not even the first did.
    pub fn knee(&self) -> Option<&Step> {
        self.steps.iter().filter(|s| s.limit.is_none()).max_by(|a, b| a.rate.total_cmp(&b.rate))
    }

    /// What kept the next higher rate from holding.
    pub fn ended_by(&self) -> Option<&Limit> {
        let knee = self.knee().map_or(0.0, |s| s.rate);
        let above = self.steps.iter().filter(|s| s.rate > knee).min_by(|a, b| a.rate.total_cmp(&b.rate));
        above.and_then(|s| s.limit.as_ref())
    }

    /// The knee is the generator's and not the server's.
    pub fn invalid(&self) -> bool {
        matches!(self.ended_by(), Some(Limit::Generator(_)))
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(Step::json).collect();
        json!({
            "row": self.row, "what": self.what, "bench": crate::TURNPIKE_VERSION, "environment": self.environment,
            "server": self.steps.first().map(|s| s.figures.server()),
            "sweep": true, "knee_p99_us": self.bound.as_nanos() as f64 / 1e3,
            "knee_per_second": self.knee().map(|s| s.rate), "valid": !self.invalid(),
            "ended_by": self.ended_by().map(|l| l.to_string()), "steps": steps,
        })
    }
}

impl Step {
    fn json(&self) -> Value {
        let mut json = self.figures.json();
        json["holds"] = self.limit.is_none().into();
        if let Some(limit) = &self.limit {
            json["fails_because"] = limit.to_string().into();
        }
        json
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Server(why) => f.write_str(why),
            Limit::Generator(why) => write!(f, "INVALID: {why}"),
        }
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.row, self.what)?;
        writeln!(
            f,
            "  {:>12} {:>12} {:>10} {:>10} {:>10} {:>10}",
            "rate", "received/s", "p50 µs", "p99 µs", "p99.9 µs", "max µs"
        )?;
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        for step in steps {
            write!(f, "  {:>12} {:>12}", grouped(step.rate), grouped(step.figures.rate()))?;
            for quantile in [0.5, 0.99, 0.999, 1.0] {
                let ns = step.figures.latency.as_ref().map_or(0, |l| l.value_at_quantile(quantile));
                write!(f, " {:>10}", exact(ns as f64 / 1e3))?;
            }
            match &step.limit {
                Some(why) => writeln!(f, "  {why}")?,
                None => writeln!(f)?,
            }
        }
        match (self.knee(), self.ended_by()) {
            (Some(knee), Some(Limit::Server(_))) => writeln!(f, "  knee: {} messages/s", grouped(knee.rate)),
            (Some(knee), _) => {
                writeln!(f, "  the server holds {} messages/s; its knee lies beyond", grouped(knee.rate))
            }
            (None, _) => writeln!(f, "  no rate held"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::{link::Info, meter::Measured, quantiles::histogram};

    /// A server that is quick up to some rate and slow above, measured; it stutters at the trials named.
    fn measured(knee: f64, stutters: &[usize]) -> Vec<Step> {
        let mut trials = 0;
        climb(1000.0, Duration::from_millis(10), |rate| {
            let slow = rate > knee || stutters.contains(&trials);
            trials += 1;
            let mut latency = histogram()?;
            latency.record_n(if slow { 50_000_000 } else { 100_000 }, 100).map_err(|e| Fault::Asked(e.to_string()))?;
            let time = Duration::from_secs(1);
            Ok(Figures::traffic(
                16,
                Measured {
                    time,
                    messages: 100,
                    lost: 0,
                    server_cpu: None,
                    own_cpu: time,
                    info: Info::default(),
                    round_trips: Some(latency),
                    disorder: None,
                    opened: None,
                },
            ))
        })
        .unwrap()
    }

    fn sweep(steps: Vec<Step>) -> Sweep {
        let bound = Duration::from_millis(10);
        Sweep { row: "sub", what: String::new(), environment: Environment::default(), bound, steps }
    }

    #[test]
    fn the_knee_is_found_within_a_tenth_and_a_stutter_is_none() {
        for (knee, stutters) in [(1000.0, &[][..]), (5_500.0, &[1]), (777_777.0, &[0, 5])] {
            let sweep = sweep(measured(knee, stutters));
            let found = sweep.knee().unwrap().rate;
            assert!(found <= knee && found * FINE >= knee * 0.99, "{found} for {knee}");
            assert!(matches!(sweep.ended_by(), Some(Limit::Server(_))) && !sweep.invalid());
            assert!(sweep.steps.len() < 30 && sweep.to_string().contains("knee: "));
        }
    }

    #[test]
    fn a_server_that_never_holds_has_no_knee() {
        let sweep = sweep(measured(1.0, &[]));
        assert_eq!((sweep.steps.len(), sweep.knee().is_none()), (TRIES, true));
        assert_eq!(sweep.json()["knee_per_second"], Value::Null);
    }

    #[test]
    fn a_server_that_always_holds_ends_the_climb() {
        let sweep = sweep(measured(1e12, &[]));
        assert!(sweep.knee().unwrap().rate <= HIGHEST && sweep.ended_by().is_none());
    }
}
