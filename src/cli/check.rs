//! `turnpike check`: would these configurations start, and, of several, do they fit together (`policy/fleet`)? What it
//! accepts starts: it is the validator of the start that answers. `-t` is the same for one file.

use super::live;
use crate::policy::fleet::{self, draw, Finding, Form, Grade, Member};
use crate::policy::{self, Invalid, Loaded, Overrides, Source};
use serde_json::json;
use std::path::Path;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike check: would these configurations start, and do they fit together?

Usage: turnpike check [--strict] [--live] [--json | --draw FORM] FILE [FILE ...]

  FILE         a configuration; name those of all servers to have them compared
  --strict     warnings fail too
  --live       ask the running servers, too: are they these, with these files, and do they reach whom they should
  --json       findings as JSON on standard output
  --draw FORM  the servers and their connections on standard output: text, mermaid or svg

Each file is read as at a start, which it would pass. Of several it is said, with file and line, what is wrong between
them: names and addresses that clash, routes that leave a cluster in parts or lead into another, passwords that do not
open, gateway blocks that some servers of a cluster lack, clusters that nobody is in, rules of borders that nothing
answers, accounts and users that differ. With --live the monitoring of each server is asked at its http address, and the
addresses of routes and gateways are dialed from this machine.

Exit code: 0 nothing that fails, 1 something is wrong.
";

/// What is printed, and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whole lines.
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// On standard error instead of standard output.
    pub to_stderr: bool,
}

#[derive(Default)]
struct Asked {
    files: Vec<String>,
    strict: bool,
    live: bool,
    json: bool,
    form: Option<Form>,
    help: bool,
}

/// Answers `turnpike check ARGS`.
pub fn answer(program: &str, args: &[String], over: &Overrides, source: &mut dyn Source) -> Answer {
    let asked = match read(args) {
        Ok(asked) if asked.help => return Answer { text: HELP.into(), code: 0, to_stderr: false },
        Ok(asked) => asked,
        Err(why) => return Answer { text: format!("{program}: check: {why}\n"), code: 1, to_stderr: true },
    };
    let (mut text, members, valid) = each(program, &asked.files, over, source);
    let mut found = if members.len() > 1 { fleet::check(&members) } else { Vec::new() };
    if asked.live {
        found.extend(live::look(&members));
        found.sort();
    }
    let fails = |f: &Finding| f.grade == Grade::Error || (asked.strict && f.grade == Grade::Warning);
    let code = u8::from(!valid || found.iter().any(fails));
    if asked.json {
        let rows = found.iter().map(|f| json!({"grade": f.grade.to_string(), "places": f.places, "text": f.text}));
        let text = json!({"valid": valid, "findings": rows.collect::<Vec<_>>()});
        return Answer { text: format!("{text:#}\n"), code, to_stderr: false };
    }
    match asked.form {
        // An image of what does not stand would mislead.
        Some(form) if valid && form != Form::Text => {
            return Answer { text: draw(&members, form), code, to_stderr: false };
        }
        Some(Form::Text) if valid => text = draw(&members, Form::Text),
        _ => {}
    }
    found.iter().for_each(|f| text += &format!("{f}\n"));
    if members.len() > 1 || asked.live {
        let count = |grade| found.iter().filter(|f| f.grade == grade).count();
        let (errors, warnings, notes) = (count(Grade::Error), count(Grade::Warning), count(Grade::Note));
        text += &format!("{} servers together: {errors} errors, {warnings} warnings, {notes} notes\n", members.len());
    }
    Answer { text, code, to_stderr: asked.form.is_none() || !valid }
}

/// Checks each file as `-t` does: a deprecated spelling fails the check although it would start.
fn each(program: &str, files: &[String], over: &Overrides, source: &mut dyn Source) -> (String, Vec<Member>, bool) {
    let (mut text, mut members, mut valid) = (String::new(), Vec::new(), true);
    for file in files {
        match policy::load_with(Some(Path::new(file)), over, source).and_then(with_certificates) {
            Ok(loaded) if loaded.deprecations.is_empty() => {
                text += &format!("{program}: configuration file {file} is valid ({})\n", loaded.settings.digest);
                for w in &loaded.settings.warnings {
                    text += &format!("{file}: warning: {w}\n");
                }
                members.push(Member { file: file.clone(), settings: loaded.settings, places: loaded.places });
            }
            Ok(loaded) => {
                text += &problems(program, &loaded.deprecations);
                valid = false;
            }
            Err(errors) => {
                text += &problems(program, &errors);
                valid = false;
            }
        }
    }
    (text, members, valid)
}

/// The files that `tls` names must be good too: what is found valid will start.
fn with_certificates(loaded: Loaded) -> Result<Loaded, Vec<Invalid>> {
    match crate::shell::tls::check(&loaded.settings) {
        Err(why) => Err(vec![Invalid::nowhere("tls", why)]),
        Ok(()) => Ok(loaded),
    }
}

/// Mistakes, one to a line.
pub fn problems(program: &str, all: &[Invalid]) -> String {
    let lines: Vec<String> = all.iter().map(Invalid::to_string).collect();
    format!("{program}: {}\n", lines.join("\n"))
}

fn read(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-h" | "-help" | "--help" => asked.help = true,
            "--strict" => asked.strict = true,
            "--live" => asked.live = true,
            "--json" => asked.json = true,
            "--draw" => {
                let form = args.next().map(String::as_str).unwrap_or_default();
                asked.form =
                    Some(Form::named(form).ok_or(format!("--draw needs text, mermaid or svg, and not {form:?}"))?);
            }
            other if other.starts_with('-') => {
                return Err(format!("unknown flag {other} (turnpike check --help tells more)"))
            }
            file => asked.files.push(file.into()),
        }
    }
    match asked.files.is_empty() && !asked.help {
        true => Err("name the configuration files to check".into()),
        false => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Files of a test.
    struct Files(BTreeMap<String, String>);

    impl Source for Files {
        fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
            let text = self.0.get(&path.display().to_string());
            text.map(|t| t.clone().into_bytes()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        }

        fn env(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn check(args: &str, files: &[(&str, &str)]) -> Answer {
        let mut files = Files(files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect());
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        answer("turnpike", &args, &Overrides::default(), &mut files)
    }

    const A: (&str, &str) = (
        "a.conf",
        "server_name: a\nlisten: 10.0.0.1:4222\ncluster {\n name: east\n listen: 10.0.0.1:6222\n routes: [nats://10.0.0.2:6222]\n}",
    );
    const B: (&str, &str) =
        ("b.conf", "server_name: b\nlisten: 10.0.0.2:4222\ncluster {\n name: east\n listen: 10.0.0.2:6222\n}");

    #[test]
    fn files_that_fit_pass_and_a_wrong_one_fails() {
        let fits = check("a.conf b.conf", &[A, B]);
        assert_eq!(fits.code, 0, "{}", fits.text);
        assert!(fits.text.contains("0 errors, 0 warnings, 1 notes"), "{}", fits.text);
        assert_eq!(check("a.conf c.conf", &[A]).code, 1);
        let alone = check("a.conf", &[A]);
        assert!(alone.code == 0 && !alone.text.contains("together"), "{}", alone.text);
    }

    #[test]
    fn warnings_fail_where_that_is_wanted() {
        let c = ("c.conf", "listen: 10.0.0.3:4222\naccounts { X {} }\ncluster { name: east, listen: 10.0.0.3:6222, routes: [nats://10.0.0.1:6222] }");
        let files = [A, B, c];
        assert_eq!(check("a.conf b.conf c.conf", &files).code, 0);
        let strict = check("--strict a.conf b.conf c.conf", &files);
        assert_eq!(strict.code, 1, "{}", strict.text);
        assert!(strict.text.contains("a.conf: warning: account \"X\" is at 1 of 3 servers"), "{}", strict.text);
        let json = check("--json a.conf b.conf c.conf", &files);
        let value: serde_json::Value = serde_json::from_str(&json.text).unwrap();
        assert!(!json.to_stderr && value["valid"] == true && value["findings"][0]["grade"] == "warning", "{value}");
    }

    #[test]
    fn the_topology_is_drawn() {
        let text = check("--draw text a.conf b.conf", &[A, B]).text;
        assert!(text.starts_with("cluster east: 2 servers, 1 routes: a, b\n"), "{text}");
        assert!(check("--draw mermaid a.conf b.conf", &[A, B]).text.starts_with("graph LR\n  c0[\"east<br/>2 servers"));
        let svg = check("--draw svg a.conf b.conf", &[A, B]).text;
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("east: 2 servers, 1 routes"));
    }

    #[test]
    fn words_that_are_not_understood_are_said() {
        assert!(check("", &[]).text.contains("name the configuration files"));
        assert!(check("--lively a", &[]).text.contains("unknown flag --lively"));
        assert!(check("--draw png a", &[]).text.contains("text, mermaid or svg"));
        assert_eq!(check("--help", &[]).code, 0);
    }
}
