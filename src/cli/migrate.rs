//! `turnpike migrate`: nats-server's configuration as ours, on standard output; notes on standard error.

use super::check::problems;
use super::flags::Machine;
use crate::policy::migrate::migrate;
use std::path::Path;
use std::process::ExitCode;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike migrate: a configuration of nats-server as TOML of the same meaning

Usage: turnpike migrate FILE

  FILE  the configuration; turnpike starts with it as it is, too

Includes are merged, variables filled in, keys named as docs/configuration.md names them, bare numbers that mean seconds
written as durations. Sections that turnpike does not offer and does without are left out, each with a note on standard
error and at the head of what is printed. What it must not do without, because a door would stand open, is refused with
its line: then nothing is printed and the exit code is 1. What is printed starts and means the same.

  turnpike migrate /etc/nats-server.conf > /etc/turnpike.toml
  turnpike -t -c /etc/turnpike.toml
";

/// Runs `turnpike migrate WORDS`.
pub fn main(words: &[String]) -> ExitCode {
    if words.iter().any(|w| matches!(w.as_str(), "-h" | "-help" | "--help")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let migrated = match words {
        [file] if !file.starts_with('-') => {
            migrate(Path::new(file), &mut Machine).map_err(|all| problems("turnpike", &all))
        }
        _ => Err("turnpike: migrate: name one configuration (turnpike migrate --help tells more)\n".into()),
    };
    match migrated {
        Ok(migrated) => {
            print!("{}", migrated.toml);
            migrated.notes.iter().for_each(|note| eprintln!("{note}"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprint!("{why}");
            ExitCode::FAILURE
        }
    }
}
