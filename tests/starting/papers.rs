//! What `README.md` and `docs/` show is true: configurations pass the check, commands run, quoted lines of the log stand in
//! the source.
//!
//! A block fenced as `conf`, `toml` or `sh` is tried; of an indented one it is said that it is none of these.

use crate::support::tls::Authority;
use crate::{run, server, turnpike, Folder};
use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block: the page, its language, its text.
struct Block {
    page: String,
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The pages, each with its name.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|e| e.expect("a page").path());
    let pages = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).chain([root().join("README.md")]);
    let text = |p: PathBuf| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&p).unwrap());
    let mut pages: Vec<_> = pages.map(text).collect();
    pages.sort();
    pages
}

fn blocks(languages: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let mut parts = text.split("\n```");
        parts.next();
        while let Some(part) = parts.next() {
            let (language, block) = part.split_once('\n').unwrap_or((part, ""));
            assert!(parts.next().is_some(), "{page}: a fence is not closed");
            if languages.contains(&language) {
                found.push(Block { page: page.clone(), language: language.into(), text: block.into() });
            }
        }
        // Accounts are indented where they stand: they are configurations as well.
        for block in text.split("\n\n").filter(|b| languages.contains(&"conf") && b.starts_with("    accounts {")) {
            found.push(Block { page: page.clone(), language: "conf".into(), text: block.into() });
        }
    }
    found
}

#[test]
fn configurations_in_the_papers_pass_the_check() {
    let (folder, ca) = (Folder::new(), Authority::new());
    let shown = ca.issue("server", &["localhost"]);
    for name in ["server.pem", "server.key", "ca.pem"] {
        let from = match name {
            "server.pem" => shown.cert.display().to_string(),
            "server.key" => shown.key.display().to_string(),
            _ => ca.file(),
        };
        fs::copy(from, folder.path(name)).expect("copied");
    }
    let blocks = blocks(&["conf", "toml"]);
    assert!(blocks.len() >= 12, "only {} are found", blocks.len());
    for (n, block) in blocks.iter().enumerate() {
        let text = block.text.replace("/etc/turnpike/", "");
        let file = folder.write(&format!("{n}.{}", block.language), &text);
        let ended = run(turnpike(&["-t", "-c", &file]).current_dir(&folder.0));
        assert_eq!(ended.code, Some(0), "{}:\n{text}\n{}", block.page, ended.err);
    }
}

/// A command as written, with files, a process and a server that there are.
fn command(line: &str, conf: &str, toml: &str, pid: u32, monitor: &str) -> Vec<String> {
    let end = line.find([' ', '\t']).and_then(|_| line.find(" > ").or(line.find(" | ")).or(line.find(" #")));
    let words = line[..end.unwrap_or(line.len())].split_whitespace().skip(1);
    let here = |word: &str| match word {
        w if root().join(w).is_file() => root().join(w).display().to_string(),
        w if w.ends_with(".conf") => conf.to_owned(),
        w if w.ends_with(".toml") => toml.to_owned(),
        w if w.starts_with("http://") => format!("http://{monitor}"),
        w => w.replace("PID", &pid.to_string()),
    };
    let mut words: Vec<String> = words.filter(|w| *w != "..." && !w.starts_with('[')).map(here).collect();
    if words.first().is_some_and(|w| w == "-c") {
        words.insert(0, "-t".into());
    }
    words
}

#[test]
fn commands_in_the_papers_run() {
    let folder = Folder::new();
    let (conf, toml) = (folder.write("f.conf", "port: 4222\n"), folder.write("f.toml", "port = 4222\n"));
    let mut tried = 0;
    for block in blocks(&["sh"]) {
        for line in block.text.lines().filter(|l| l.starts_with("turnpike ")) {
            let server = server("", &[]);
            let words = command(line, &conf, &toml, server.pid(), &server.monitor().to_string());
            let ended = turnpike(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().expect("it runs");
            let (code, err) = (ended.status.code(), String::from_utf8_lossy(&ended.stderr));
            // What looks at something may find something.
            let verdict = ["check", "doctor", "reload"].contains(&words[0].as_str());
            let fits = code == Some(0) || verdict && code == Some(1);
            assert!(fits, "{}: {line}: {code:?} {err}", block.page);
            assert!(!err.contains("--help tells more"), "{}: {line}: {err}", block.page);
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} are found");
}

/// No command of ours stands where it is not tried.
#[test]
fn commands_in_the_papers_are_marked() {
    for (page, text) in pages().into_iter().filter(|(page, _)| page != "benchmarking.md") {
        let unmarked = text.lines().find(|l| l.starts_with("    turnpike "));
        assert_eq!(unmarked, None, "{page}: fence it as sh");
    }
}

/// The source, each text of several lines in one.
fn source(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("src") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => source(&path, into),
            false => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let mut lines = text.lines();
                while let Some(line) = lines.next() {
                    let mut line = line.to_owned();
                    while let Some(begun) = line.strip_suffix('\\') {
                        line = format!("{begun}{}", lines.next().unwrap_or_default().trim_start());
                    }
                    into.push_str(&line.replace("\\\"", "\""));
                    into.push('\n');
                }
            }
        }
    }
}

#[test]
fn lines_of_the_log_in_the_papers_stand_in_the_source() {
    let mut all = String::new();
    source(&root().join("src"), &mut all);
    let (_, page) = pages().into_iter().find(|(page, _)| page == "troubleshooting.md").expect("the page");
    let rows = page.lines().filter(|l| l.starts_with("| `"));
    let mut checked = 0;
    for row in rows.filter(|r| !r.contains(", at a client")) {
        let quoted = row.split('`').nth(1).expect("a quoted line");
        let parts: Vec<&str> = quoted.split('…').map(str::trim).filter(|p| p.len() > 1).collect();
        // All within one statement.
        let fits =
            |line: &str| parts.iter().try_fold(line, |rest, part| rest.find(part).map(|at| &rest[at..])).is_some();
        assert!(all.lines().any(fits), "{quoted:?} is not in the source");
        checked += 1;
    }
    assert!(checked > 35, "only {checked} are found");
}
