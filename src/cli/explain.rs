//! `turnpike explain`: asks a running server whether a message would cross to or from another cluster, and why
//! (docs/borders.md).

use super::monitoring::{escaped, Place};
use std::process::ExitCode;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike explain: would a message cross between clusters now, and why (or why not)

Usage: turnpike explain SUBJECT --to CLUSTER   [--account NAME] --server URL [--json]
       turnpike explain SUBJECT --from CLUSTER [--account NAME] --server URL [--json]

  SUBJECT         of the message, as in orders.new
  --to CLUSTER    it is published here and wanted there
  --from CLUSTER  it is published there and wanted here
  --account NAME  the account it is published in; $G if none is named
  --server URL    the monitoring of a server with a gateway, http://HOST:PORT (its http_port, -m); default
                  http://127.0.0.1:8222
  --json          the answer as the server gives it, with all grounds

Each cluster knows its own rules: for the whole way ask a server of either, with --to on the one side and --from on the
other. Exit code: 0 it would cross, 1 it would not, 2 there is no answer.

  turnpike explain public.hello --to cluster-B --server http://gw-a:8222
  turnpike explain public.hello --from cluster-A --server http://gw-b:8222
";

/// What is asked of whom.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    place: Place,
    path: String,
    json: bool,
}

/// Carries out the command; `args` are those behind `explain`.
pub fn main(args: &[String]) -> ExitCode {
    if args.iter().any(|a| matches!(a.as_str(), "-h" | "-help" | "--help")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match read(args).and_then(|asked| answer(&asked)) {
        Ok((text, crosses)) => {
            println!("{text}");
            ExitCode::from(u8::from(!crosses))
        }
        Err(why) => {
            eprintln!("turnpike explain: {why}");
            ExitCode::from(2)
        }
    }
}

fn answer(asked: &Asked) -> Result<(String, bool), String> {
    let body = asked.place.get(&asked.path)?;
    let strange = |_| "the answer is no explanation: is this a turnpike?".to_owned();
    let answer: serde_json::Value = serde_json::from_slice(&body).map_err(strange)?;
    let crosses = answer["crosses"].as_bool().ok_or_else(|| "the answer does not say whether it crosses".to_owned())?;
    let text = match asked.json {
        true => String::from_utf8_lossy(&body).trim_end().to_owned(),
        false => answer["words"].as_str().unwrap_or_default().to_owned(),
    };
    Ok((text, crosses))
}

fn read(args: &[String]) -> Result<Asked, String> {
    let (mut subject, mut to, mut from, mut account) = (None, None, None, None);
    let (mut server, mut json) = ("http://127.0.0.1:8222".to_owned(), false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, given) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = || {
            let value = given.clone().or_else(|| args.next().cloned()).filter(|v| !v.is_empty());
            value.ok_or_else(|| format!("{name} needs a value (turnpike explain --help tells more)"))
        };
        match name {
            "--to" => to = Some(value()?),
            "--from" => from = Some(value()?),
            "--account" => account = Some(value()?),
            "--server" | "-s" => server = value()?,
            "--json" => json = true,
            _ if name.starts_with('-') => {
                return Err(format!("unknown flag {name} (turnpike explain --help tells more)"));
            }
            _ if subject.is_some() => return Err(format!("one subject at a time: what is {arg:?}?")),
            _ => subject = Some(arg.clone()),
        }
    }
    let subject = subject.ok_or("name a subject, as in: turnpike explain orders.new --to west")?;
    if to.is_none() && from.is_none() {
        return Err("name the other cluster with --to, or with --from for what is published there".into());
    }
    let mut path = format!("/explain?subject={}", escaped(&subject));
    for (name, value) in [("to", to), ("from", from), ("acc", account)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(&value)));
        }
    }
    Ok(Asked { place: Place::read(&server)?, path, json })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<Asked, String> {
        read(&words.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn questions_are_read() {
        let a = asked("a.> --to west --account=A --server http://h:1 --json").unwrap();
        assert_eq!((a.path.as_str(), a.json), ("/explain?subject=a.%3E&to=west&acc=A", true));
        assert_eq!(a.place, Place::read("http://h:1").unwrap());
        assert_eq!(asked("a --from west").unwrap().path, "/explain?subject=a&from=west");
        for (wrong, says) in [
            ("", "name a subject"),
            ("a", "name the other cluster"),
            ("a b --to c", "one subject"),
            ("a --to", "--to needs a value"),
            ("a --too b", "unknown flag --too"),
            ("a --to b --server nats://h", "write http://HOST:PORT"),
        ] {
            assert!(asked(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }
}
