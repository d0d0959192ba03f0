//! Configurations as operators write them: nats-server's verdicts replayed, the examples in `configs/`, the tables of
//! `docs/configuration.md`, and arbitrary bytes.

#[path = "config/recorded.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use turnpike::policy::{load, Invalid, Loaded, Source};

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It starts.
    Valid,
    /// It starts, but a check fails: an old spelling.
    Deprecated,
    /// A check passes, a start fails.
    NoStart,
    /// Neither.
    Refused,
}

/// Files held in memory; an empty environment.
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Source for Memory {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn load_as(name: &str, text: impl Into<Vec<u8>>) -> Result<Loaded, Vec<Invalid>> {
    let files = [(PathBuf::from(name), text.into()), ("inc.conf".into(), b"debug: true\n".to_vec())];
    load(Path::new(name), &mut Memory(files.into()))
}

fn conf(text: &str) -> Result<Loaded, Vec<Invalid>> {
    load_as("f.conf", text)
}

fn wrong(text: &str) -> Vec<String> {
    conf(text).unwrap_err().iter().map(Invalid::to_string).collect()
}

fn ours(text: &str) -> Verdict {
    match conf(text) {
        Ok(l) if l.deprecations.is_empty() => Verdict::Valid,
        Ok(_) => Verdict::Deprecated,
        Err(_) => Verdict::Refused,
    }
}

/// Where our verdict differs, and on purpose.
#[rustfmt::skip]
const OTHERWISE: &[(&str, Verdict)] = &[
    // A password or limit that guards nothing is a door left open.
    ("authorization {password: b}", Verdict::Refused),
    ("accounts: 3", Verdict::Refused),
    // Numbers no one can mean: nats-server takes them for "no limit", or for something at once and for ever.
    ("max_payload: -1", Verdict::Refused),
    ("max_control_line: -1", Verdict::Refused),
    ("ping_max: -1", Verdict::Refused),
    ("ping_interval: \"-1s\"", Verdict::Refused),
    ("ping_interval: \"1us\"", Verdict::Refused),
    ("authorization {timeout: -1}", Verdict::Refused),
    // Would stand in protocol lines, where a blank ends a name.
    ("accounts {'A B' {}}", Verdict::Refused),
    // Everybody's account must not see the system's messages.
    ("system_account: '$G'", Verdict::Refused),
    // Names the default.
    ("system_account: '$SYS'", Verdict::Valid),
    // TOML has no other way to write a size; both spellings are one model.
    ("max_payload: \"1MB\"", Verdict::Valid),
];

#[test]
fn nats_servers_verdicts() {
    let mut differ = Vec::new();
    for (text, theirs) in recorded::RECORDED {
        // What will not start is told by the check: there is no NoStart with us.
        let expected = if *theirs == Verdict::NoStart { Verdict::Refused } else { *theirs };
        let ours = ours(text);
        match OTHERWISE.iter().find(|(t, _)| t == text) {
            Some((_, meant)) => assert!(ours == *meant && ours != expected, "{text:?} is {ours:?}"),
            None if ours != expected => differ.push(format!(
                "{text:?}: nats-server {theirs:?}, ours {ours:?} {:?}",
                conf(text).map(|l| l.deprecations)
            )),
            None => {}
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    for (text, _) in OTHERWISE {
        assert!(recorded::RECORDED.iter().any(|(t, _)| t == text), "{text:?} was never recorded");
    }
}
