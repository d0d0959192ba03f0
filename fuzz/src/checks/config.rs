//! Configurations in both spellings: refused with a place that exists, or accepted with settings a shard can be made
//! of; the same both times. The input is a file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use turnpike::policy::{load, Source};
use turnpike::shard::{Identity, Setup, Shard};

const INCLUDED: &[u8] = b"debug: true\nX: $Y\nY: 4\n";

/// The input under both names, and a file to include.
struct Files<'t>(&'t [u8]);

impl Source for Files<'_> {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("f.conf" | "f.toml") => Ok(self.0.to_vec()),
            Some("inc.conf") => Ok(INCLUDED.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "PORT" => Some("4333".into()),
            "LOOP" => Some("$LOOP".into()),
            "TEXT" => Some("[a, {b: 'c'}]".into()),
            _ => None,
        }
    }
}

/// See the file's head.
pub fn check(text: &[u8]) {
    for name in ["f.conf", "f.toml"] {
        let outcome = load(Path::new(name), &mut Files(text));
        // Not for NaN: no setting is one.
        assert_eq!(outcome, load(Path::new(name), &mut Files(text)), "a second time");
        match outcome {
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                for m in &mistakes {
                    let shown = m.to_string();
                    assert!(!shown.trim().is_empty() && !m.text.is_empty());
                    check_place(m.file.as_str(), m.line, m.column, text, &shown);
                }
            }
            Ok(loaded) => {
                let s = loaded.settings;
                let auth = &s.auth;
                assert_eq!(auth.accounts[0].name, "$G");
                assert!(auth.system.is_none_or(|i| i < auth.accounts.len()));
                assert!(auth.users.iter().all(|u| u.account < auth.accounts.len()));
                assert!(auth.no_auth_user.is_none_or(|i| i < auth.users.len()));
                assert!(s.limits.max_payload <= s.limits.max_pending);
                let identity = Arc::new(Identity::default());
                Shard::new(Setup { shards: 2, ..Setup::single(Arc::new(s), identity) });
            }
        }
    }
}

/// A place that is said exists; a mistake in the file has one.
fn check_place(file: &str, line: u32, column: u32, text: &[u8], shown: &str) {
    let text = match file {
        "f.conf" | "f.toml" => text,
        "inc.conf" => INCLUDED,
        "" => return,
        other => panic!("no file {other}: {shown}"),
    };
    if line == 0 {
        assert_eq!(column, 0, "{shown}");
        return;
    }
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let there = lines.get(line as usize - 1).unwrap_or_else(|| panic!("no such line: {shown}"));
    assert!(column >= 1 && column as usize <= there.len() + 1, "no such column: {shown}");
}
