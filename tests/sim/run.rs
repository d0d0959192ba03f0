//! Running many seeds: the sweep, the second run of some, shrinking, and what a failure prints.

use super::case::{Broken, Case};
use super::checks::{self, Outcome};
use super::scenarios::{Scenario, ALL};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Once;
use turnpike::base::Rng;

/// Every so many-th seed runs twice and must say the same (I21).
const TWICE: u64 = 8;
/// Runs that shrinking may take.
const SHRINK_RUNS: usize = 400;

thread_local! {
    /// A panic inside a run is a finding that is printed with its seed, not at once.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let done = work();
    QUIET.set(false);
    done
}

/// The case of a scenario and a seed.
pub fn case(scenario: Scenario, seed: u64) -> Case {
    scenario(&mut Rng::new(seed))
}

/// Runs a case without any noise.
pub fn run(case: &Case, seed: u64, traced: bool) -> Outcome {
    quietly(|| checks::run(case, seed, traced))
}

/// The scenario of a name.
pub fn named(name: &str) -> Scenario {
    let found = ALL.iter().find(|(n, _, _)| *n == name);
    let names: Vec<&str> = ALL.iter().map(|(n, _, _)| *n).collect();
    found.unwrap_or_else(|| panic!("no scenario {name:?}; there are {names:?}")).1
}

/// Runs a seed; a full report if something is wrong.
pub fn check(name: &str, seed: u64) -> Result<Outcome, String> {
    let case = case(named(name), seed);
    let outcome = run(&case, seed, false);
    if outcome.wrong.is_some() {
        return Err(report(name, seed, &case, &outcome));
    }
    if seed.is_multiple_of(TWICE) {
        let again = run(&case, seed, false);
        if (outcome.hash, outcome.events) != (again.hash, again.events) {
            return Err(format!("I21: two runs differ: scripts/sim --scenario {name} --seed {seed}"));
        }
    }
    Ok(outcome)
}

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Runs.
    pub seeds: u64,
    /// Events in them.
    pub events: u64,
    /// Rare things met.
    pub labels: BTreeMap<&'static str, u64>,
    /// Reports of what was wrong; a scenario ends with its first.
    pub wrong: Vec<String>,
}

impl Sum {
    fn add(&mut self, name: &str, seed: u64) -> bool {
        self.seeds += 1;
        match check(name, seed) {
            Ok(outcome) => {
                self.events += outcome.events;
                for (label, n) in outcome.labels {
                    *self.labels.entry(label).or_default() += n;
                }
                true
            }
            Err(report) => {
                self.wrong.push(report);
                false
            }
        }
    }

    fn merge(&mut self, other: Sum) {
        self.seeds += other.seeds;
        self.events += other.events;
        for (label, n) in other.labels {
            *self.labels.entry(label).or_default() += n;
        }
        self.wrong.extend(other.wrong);
    }
}

/// Runs a number of seeds of each scenario, from `first` on, on all cores.
pub fn sweep(work: &[(&'static str, u64)], first: u64) -> Sum {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let parts = (0..threads).map(|t| {
            scope.spawn(move || {
                let mut part = Sum::default();
                for (name, seeds) in work {
                    let mut mine = (first..first + seeds).filter(|s| s % threads == t);
                    let _all = mine.all(|seed| part.add(name, seed));
                }
                part
            })
        });
        let parts: Vec<_> = parts.collect();
        for part in parts {
            sum.merge(part.join().expect("a thread of the sweep ends"));
        }
    });
    sum
}

/// Seeds of a scenario, up to `seeds`, that a driver broken in this way needs until it is caught.
pub fn caught_after(name: &str, broken: Broken, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let mut case = case(named(name), seed);
        case.plan.broken = broken;
        run(&case, seed, false).wrong.map(|why| (seed + 1, why))
    })
}

/// The name of the promise that was broken: what stands before the colon.
fn kind(wrong: &str) -> &str {
    let name = wrong.split(':').find(|part| part.trim().starts_with('I') && part.trim().len() <= 4);
    name.unwrap_or_else(|| wrong.get(..12).unwrap_or(wrong)).trim()
}

/// Does a case fail in the same way, with this seed or a near one?
fn fails(case: &Case, seed: u64, kind_wanted: &str, runs: &mut usize) -> Option<u64> {
    (seed..seed + 3).find(|s| {
        *runs += 1;
        run(case, *s, false).wrong.is_some_and(|w| kind(&w) == kind_wanted)
    })
}

/// Takes parts out of a failing case as long as it fails.
pub fn shrink(case: &Case, seed: u64, wrong: &str) -> (Case, u64) {
    let (mut best, mut seed, kind) = (case.clone(), seed, kind(wrong).to_string());
    let mut runs = 0;
    let mut shrunk = true;
    while shrunk && runs < SHRINK_RUNS {
        shrunk = false;
        for candidate in smaller(&best) {
            if runs >= SHRINK_RUNS {
                break;
            }
            if let Some(s) = fails(&candidate, seed, &kind, &mut runs) {
                (best, seed, shrunk) = (candidate, s, true);
                break;
            }
        }
    }
    (best, seed)
}

/// Smaller cases, the boldest first.
fn smaller(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    for i in 0..case.actors.len() {
        if !case.actors[i].absent {
            let mut c = case.clone();
            c.actors[i].absent = true;
            c.actors[i].steps.clear();
            all.push(c);
        }
    }
    for parts in [2, 4, 1000] {
        for i in 0..case.actors.len() {
            let n = case.actors[i].steps.len();
            let chunk = n.div_ceil(parts).max(1);
            for from in (0..n).step_by(chunk) {
                let mut c = case.clone();
                c.actors[i].steps.drain(from..(from + chunk).min(n));
                all.push(c);
            }
        }
    }
    if case.plan.shards > 2 && case.plan.cluster.is_none() {
        let mut c = case.clone();
        c.plan.shards -= 1;
        c.plan.lazy.pop();
        all.push(c);
    }
    for i in 0..case.plan.lazy.len() {
        if case.plan.lazy[i] > 1 {
            let mut c = case.clone();
            c.plan.lazy[i] = 1;
            all.push(c);
        }
    }
    all
}

fn commit() -> String {
    let out = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    out.ok()
        .filter(|o| o.status.success())
        .map_or("unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().into())
}

fn report(name: &str, seed: u64, case: &Case, outcome: &Outcome) -> String {
    let wrong = outcome.wrong.clone().unwrap_or_default();
    // `SIM_WHOLE`: as it was, not shrunk.
    let whole = std::env::var_os("SIM_WHOLE").is_some();
    let (small, small_seed) = if whole { (case.clone(), seed) } else { shrink(case, seed, &wrong) };
    let traced = run(&small, small_seed, true);
    let mut text =
        format!("\nscenario {name}, seed {seed}, commit {}, event {}\n  {wrong}\n", commit(), outcome.events);
    text += &format!("rerun: scripts/sim --scenario {name} --seed {seed}\n");
    text += &format!("shrunk (world seed {small_seed}): {}\n", traced.wrong.clone().unwrap_or_default());
    text += &format!("  {:?}\n", small.plan);
    for (i, a) in small.actors.iter().enumerate().filter(|(_, a)| !a.absent) {
        text += &format!("  client {i}: {a:?}\n");
    }
    text += "the end of its trace:\n";
    for line in &traced.trace {
        text += &format!("  {line}\n");
    }
    text
}
