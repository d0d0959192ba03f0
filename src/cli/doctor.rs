//! `turnpike doctor`: what of this machine and this configuration costs latency, throughput or a start, each finding with
//! what it costs and the line that fixes it. `look` reads, `findings` judges, here it is printed.

mod findings;
mod look;

use self::findings::{findings, Finding, Grade};
use self::look::Look;
use crate::cli::check::problems;
use crate::cli::flags::Machine as Files;
use crate::policy::{self, Overrides, Settings};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike doctor: what of this machine stands in the server's way

Usage: turnpike doctor [-c FILE] [--json]

  -c, --config FILE  look with the eyes of a server with this configuration
  --json             as JSON

Looks at kernel and io_uring, locked memory, file descriptors, control groups, the cores that the shards would be
pinned to (frequency governor, sleep states, siblings, NUMA, interrupts), huge pages, swap and socket queues. Nothing
is changed. Run it as the user and in the unit that the server runs in: limits are those of the process.

Each finding has its cost and the exact line that fixes it. Exit code: 0 nothing that keeps the server from starting,
1 something does.
";

/// Runs `turnpike doctor WORDS`.
pub fn main(words: &[String]) -> ExitCode {
    match answer(words) {
        Ok((text, starts)) => {
            #[allow(clippy::print_stdout, reason = "this is the command's answer")]
            {
                print!("{text}");
            }
            if starts {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(why) => {
            #[allow(clippy::print_stderr, reason = "whoever called us looks here")]
            {
                eprintln!("turnpike: doctor: {}", why.trim_end());
            }
            ExitCode::FAILURE
        }
    }
}

/// The text, and whether a server would start.
fn answer(words: &[String]) -> Result<(String, bool), String> {
    let (mut config, mut as_json) = (None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "-help" | "--help" => return Ok((HELP.into(), true)),
            "--json" => as_json = true,
            "-c" | "--config" => {
                config =
                    Some(PathBuf::from(words.next().ok_or("-c needs a file (turnpike doctor --help tells more)")?));
            }
            other => return Err(format!("unknown word {other:?} (turnpike doctor --help tells more)")),
        }
    }
    let loaded = policy::load_with(config.as_deref(), &Overrides::default(), &mut Files);
    let settings = loaded.map_err(|e| problems("turnpike", &e))?.settings;
    let found = examine(&settings);
    let starts = !found.iter().any(|f| f.grade == Grade::Fatal);
    Ok((if as_json { format!("{:#}\n", json(&found)) } else { text(&found) }, starts))
}

/// All that is to be said about this machine for a server with these settings.
fn examine(settings: &Settings) -> Vec<Finding> {
    findings(settings, &Look::at(settings, Path::new("/")))
}

/// The findings as they are kept with a result.
pub fn report(settings: &Settings) -> Value {
    json(&examine(settings))
}

fn json(found: &[Finding]) -> Value {
    let rows = found.iter().map(
        |f| json!({"subject": f.subject, "grade": f.grade.word(), "found": f.found, "cost": f.cost, "fix": f.fix}),
    );
    Value::Array(rows.collect())
}

fn text(found: &[Finding]) -> String {
    let mut out = String::new();
    for f in found {
        out += &format!("{:<8} {:<12} {}\n", f.grade.word(), f.subject, f.found);
        if f.grade != Grade::Fine {
            out += &format!("{:>21} cost: {}\n{:>21} fix:  {}\n", "", f.cost, "", f.fix);
        }
    }
    let amiss = found.iter().filter(|f| f.grade != Grade::Fine).count();
    out += &format!("{} looked at, {amiss} to improve\n", found.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_looked_at() {
        let (text, _) = answer(&[]).unwrap();
        assert!(text.contains("kernel") && text.contains("memlock") && text.contains("to improve"), "{text}");
        let (json, _) = answer(&["--json".into()]).unwrap();
        let value: Value = serde_json::from_str(&json).unwrap();
        for row in value.as_array().unwrap() {
            let has = |key: &str| row[key].as_str().is_some_and(|t| !t.is_empty());
            assert!(has("subject") && has("found") && (row["grade"] == "ok" || (has("cost") && has("fix"))), "{row}");
        }
        assert!(answer(&["--verbose".into()]).unwrap_err().contains("unknown word"));
        assert!(answer(&["--help".into()]).unwrap().0.contains("Usage"));
    }
}
