//! What all benches do alike: they run a row, count what it allocates, and print a line.

#[path = "../tests/support/counting.rs"]
mod counting;
#[path = "../tests/support/driven.rs"]
pub mod driven;

use std::time::Instant;

/// Rows that are wanted and how often each does its work: `[NAME | all] [ROUNDS]` behind the name of the bench.
pub struct Wanted {
    row: Option<String>,
    rounds: usize,
}

impl Wanted {
    /// What the command line asks for.
    pub fn from_args() -> Wanted {
        let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
        let row = args.next().filter(|a| a != "all");
        let rounds = args.next().map_or(400, |a| a.parse().expect("ROUNDS is a number"));
        Wanted { row, rounds }
    }

    /// Is this row?
    pub fn has(&self, row: &str) -> bool {
        self.row.as_ref().is_none_or(|r| r == row)
    }

    /// Is one row alone wanted?
    pub fn has_one(&self) -> bool {
        self.row.is_some()
    }

    /// Does `work` until caches are warm and then so often as is wanted; each time it handles so many of `unit`.
    pub fn run(&self, row: &str, unit: &str, each: usize, work: &mut dyn FnMut()) {
        for _ in 0..20 {
            work();
        }
        let (before, start) = (counting::allocations(), Instant::now());
        measured(self.rounds, work);
        let (ns, spent) = (start.elapsed().as_nanos() as f64, counting::allocations() - before);
        let all = (self.rounds * each) as f64;
        println!("{row:16} {:8.1} ns/{unit}  {:.6} allocations/{unit}  {all} {unit}s", ns / all, spent as f64 / all);
    }
}

/// By this name `scripts/baseline` knows what is to be counted.
#[inline(never)]
fn measured(rounds: usize, work: &mut dyn FnMut()) {
    for _ in 0..rounds {
        work();
    }
}
