//! `turnpike man` and `turnpike completions`: written from the same tables and texts that `--help` prints, so that they say
//! what the binary understands.

use super::flags::{Kind, FLAGS, USAGE};
use super::{bench, check, doctor, explain, migrate, plan, reload, unit};
use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use clap_complete::aot::{generate, Shell};
use std::process::ExitCode;
use std::str::FromStr;

/// What `turnpike completions --help` prints.
pub const COMPLETIONS: &str = "\
turnpike completions: what a shell needs to complete this command line

Usage: turnpike completions SHELL

  SHELL  bash, elvish, fish, powershell or zsh

  turnpike completions bash > /etc/bash_completion.d/turnpike
  turnpike completions zsh > /usr/share/zsh/site-functions/_turnpike
  turnpike completions fish > /usr/share/fish/vendor_completions.d/turnpike.fish
";

/// What `turnpike man --help` prints.
pub const MAN: &str = "\
turnpike man: the manual page of the server, or of one of its other commands

Usage: turnpike man [COMMAND]

  COMMAND  bench, check, completions, doctor, explain, man, migrate, plan, reload or unit

  turnpike man > /usr/share/man/man1/turnpike.1
  turnpike man check > /usr/share/man/man1/turnpike-check.1
";

/// Runs `turnpike completions WORDS` or `turnpike man WORDS`.
pub fn main(which: &str, words: &[String]) -> ExitCode {
    let answer = if which == "man" { man(words) } else { completions(words) };
    match answer {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("turnpike: {which}: {why} (turnpike {which} --help tells more)");
            ExitCode::FAILURE
        }
    }
}

fn wants_help(words: &[String]) -> bool {
    words.iter().any(|w| matches!(w.as_str(), "-h" | "-help" | "--help"))
}

fn completions(words: &[String]) -> Result<String, String> {
    if wants_help(words) {
        return Ok(COMPLETIONS.into());
    }
    let [shell] = words else { return Err("name one shell".into()) };
    let shell = Shell::from_str(shell).map_err(|_| format!("{shell:?} is no shell that is known"))?;
    let mut out = Vec::new();
    generate(shell, &mut whole(), "turnpike", &mut out);
    String::from_utf8(out).map_err(|e| e.to_string())
}

fn man(words: &[String]) -> Result<String, String> {
    if wants_help(words) {
        return Ok(MAN.into());
    }
    let whole = whole();
    let command = match words {
        [] => whole,
        [name] => {
            let found = whole.get_subcommands().find(|c| c.get_name() == name).cloned();
            let named: &'static str = format!("turnpike-{name}").leak();
            found.ok_or_else(|| format!("there is no command {name:?}"))?.name(named)
        }
        _ => return Err("name one command, or none".into()),
    };
    let mut out = Vec::new();
    clap_mangen::Man::new(command).render(&mut out).map_err(|e| e.to_string())?;
    String::from_utf8(out).map_err(|e| e.to_string())
}

/// The whole command line.
fn whole() -> Command {
    let written = options(USAGE);
    let mut command = Command::new("turnpike")
        .version(crate::TURNPIKE_VERSION)
        .about("A message broker that speaks NATS, one thread per core")
        .long_about(prose(USAGE))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    for (names, kind) in FLAGS {
        // What is not in the help is there to be refused.
        let Some(option) = written.iter().find(|o| o.names.iter().any(|n| names.contains(n))) else { continue };
        let value = (*kind != Kind::Bool).then(|| option.value.unwrap_or("VALUE"));
        command = command.arg(arg(&Described { names: names.to_vec(), value, help: option.help.clone() }));
    }
    for (name, help) in [
        ("check", check::HELP),
        ("completions", COMPLETIONS),
        ("doctor", doctor::HELP),
        ("explain", explain::HELP),
        ("man", MAN),
        ("migrate", migrate::HELP),
        ("plan", plan::HELP),
        ("reload", reload::HELP),
        ("unit", unit::HELP),
    ] {
        command = command.subcommand(other(name, help));
    }
    command.subcommand(bench::args::Cli::command().name("bench"))
}

/// One of the other commands, as its help describes it.
fn other(name: &'static str, help: &'static str) -> Command {
    let about = help.lines().next().and_then(|l| l.split_once(": ")).map_or("", |(_, about)| about);
    let mut command = Command::new(name).about(about).long_about(prose(help)).disable_help_flag(true);
    for option in options(help) {
        command = command.arg(arg(&option));
    }
    let operand = match name {
        "completions" => Arg::new("SHELL").value_parser(["bash", "elvish", "fish", "powershell", "zsh"]),
        "man" => Arg::new("COMMAND"),
        "check" => Arg::new("FILE").action(ArgAction::Append).num_args(1..).value_hint(ValueHint::FilePath),
        "migrate" => Arg::new("FILE").value_hint(ValueHint::FilePath),
        "explain" => Arg::new("SUBJECT"),
        "plan" => Arg::new("SIZE").action(ArgAction::Append).num_args(1..),
        _ => return command,
    };
    command.arg(operand)
}

/// An option as a help text describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Described {
    /// Without dashes.
    names: Vec<&'static str>,
    value: Option<&'static str>,
    help: String,
}

fn arg(option: &Described) -> Arg {
    let name = option.names.iter().max_by_key(|n| n.len()).copied().unwrap_or_default();
    let mut arg = Arg::new(name).help(option.help.clone());
    let (short, long): (Vec<&str>, Vec<&str>) = option.names.iter().partition(|n| n.len() == 1);
    let mut short = short.iter().filter_map(|n| n.chars().next());
    if let Some(first) = short.next() {
        arg = arg.short(first);
    }
    arg = arg.visible_short_aliases(short.collect::<Vec<char>>());
    if let Some((first, more)) = long.split_first() {
        arg = arg.long(*first).visible_aliases(more.to_vec());
    }
    match option.value {
        None => arg.action(ArgAction::SetTrue),
        Some(value) => {
            let hint = if matches!(value, "FILE" | "PATH") { ValueHint::FilePath } else { ValueHint::Unknown };
            arg.action(ArgAction::Set).value_name(value).value_hint(hint)
        }
    }
}

/// The options of a help text: lines that begin with a dash, and those that go on with them.
fn options(help: &'static str) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    // How many of the last belong to one line.
    let (mut last, mut column) = (0, 0);
    for line in help.lines() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        if indent > 0 && body.starts_with('-') {
            let (spec, text) = body.split_once("  ").unwrap_or((body, ""));
            let text = text.trim();
            column = if text.is_empty() { indent + 4 } else { line.len() - text.len() };
            let told = spec_of(spec, text);
            last = told.len();
            all.extend(told);
        } else if last > 0 && indent >= column && !body.is_empty() {
            let from = all.len() - last;
            for option in &mut all[from..] {
                let space = if option.help.is_empty() { "" } else { " " };
                option.help += &format!("{space}{}", body.trim_end());
            }
        } else {
            last = 0;
        }
    }
    all
}

/// `-c, --config FILE` is one option, `--user NAME, --pass WORD` are two.
fn spec_of(spec: &'static str, help: &str) -> Vec<Described> {
    let mut told: Vec<Described> = Vec::new();
    let mut names = Vec::new();
    for part in spec.split(", ") {
        let (name, value) = part.split_once([' ', '[']).map_or((part, None), |(name, value)| (name, Some(value)));
        names.push(name.trim_start_matches('-').split('=').next().unwrap_or_default());
        if let Some(value) = value {
            let value = value.split(['[', ' ', '=']).next().unwrap_or_default();
            told.push(Described { names: std::mem::take(&mut names), value: Some(value), help: help.into() });
        }
    }
    if !names.is_empty() {
        told.push(Described { names, value: None, help: help.into() });
    }
    told
}

/// What a help text says beside its options, without the line of its usage.
fn prose(help: &str) -> String {
    let lines = help.lines().skip_while(|l| !l.is_empty());
    let text = lines.filter(|l| !l.starts_with([' ', '\t']) && !l.starts_with("Usage:") && !l.ends_with(':'));
    let mut out = String::new();
    for line in text {
        match (line.is_empty(), out.ends_with("\n\n") || out.is_empty()) {
            (true, true) => {}
            (true, false) => out += "\n\n",
            (false, at_start) => out += &format!("{}{line}", if at_start { "" } else { " " }),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Vec<String> {
        all.iter().map(|w| (*w).to_owned()).collect()
    }

    /// A flag is in the help, or the help says that it is not supported.
    #[test]
    fn the_help_has_every_flag() {
        let written = options(USAGE);
        for (names, kind) in FLAGS {
            let option = written.iter().find(|o| o.names.iter().any(|n| names.contains(n)));
            let elsewhere = ["tls", "tlsverify", "tlscert", "tlskey", "tlscacert"].contains(&names[0]);
            let refused =
                names.iter().any(|n| USAGE.lines().any(|l| l.starts_with("Not ") && l.contains(&format!("--{n}"))));
            assert!(option.is_some() || elsewhere || refused, "{names:?}");
            if let Some(option) = option {
                assert!(!option.help.is_empty(), "{option:?}");
                assert_eq!(option.value.is_some(), *kind != Kind::Bool, "{option:?}");
                assert!(option.names.iter().all(|n| names.contains(n)), "{option:?} {names:?}");
            }
        }
    }

    #[test]
    fn options_are_read_from_a_help_text() {
        let help = "Usage: x\n\n  -c, --config FILE  a file\n                     of mine\n  --json             as JSON\nend\n";
        let told = options(help);
        let option = |names: &[&'static str], value: Option<&'static str>, help: &str| Described {
            names: names.to_vec(),
            value,
            help: help.into(),
        };
        assert_eq!(
            told,
            [option(&["c", "config"], Some("FILE"), "a file of mine"), option(&["json"], None, "as JSON")]
        );
        assert_eq!(spec_of("--user NAME, --pass WORD", "h").len(), 2);
        assert_eq!(prose("a: b\n\nUsage: x\n\n  -c  y\n\nTwo\nlines.\n\nMore.\n"), "Two lines.\n\nMore.");
    }

    #[test]
    fn every_shell_and_every_page_is_written() {
        whole().debug_assert();
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let text = completions(&words(&[shell])).unwrap();
            assert!(text.contains("cluster_name") && text.contains("doctor"), "{shell}");
        }
        assert!(completions(&words(&["tcsh"])).unwrap_err().contains("no shell"));
        let page = man(&[]).unwrap();
        assert!(page.contains(".TH turnpike 1") && page.contains("max_traced_msg_len"), "{page}");
        for command in whole().get_subcommands() {
            let page = man(&words(&[command.get_name()])).unwrap();
            assert!(page.contains(&format!("turnpike\\-{}", command.get_name())), "{page}");
        }
        assert!(man(&words(&["nothing"])).unwrap_err().contains("no command"));
        assert!(man(&words(&["--help"])).unwrap().contains("Usage"));
    }
}
