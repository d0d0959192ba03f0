//! The floors hold: imports point down only, within a floor files import one another in one direction, the floors
//! below the shell know no clock, thread or socket and have one table of limits, and no file grows past its size. Reads the sources as text; the
//! reader is small on purpose and is itself tested with planted mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the ground up, each with its folders, which do not import one another; `cli` stands beside the server
/// and is imported by nobody but `main`.
const FLOORS: [&[&str]; 8] =
    [&["base"], &["wire"], &["interest"], &["policy"], &["conn"], &["gateways", "mesh", "shard"], &["shell"], &["cli"]];
/// Floors below this one are pure.
const SHELL: usize = 6;
/// The table of limits of the floors below the shell.
const LIMITS: &str = "base/limits.rs";
/// Most lines of a file: past it, it has two subjects.
const LINES_MAX: usize = 600;

/// Words that name something impure, wherever they stand in code.
const WORDS: [&str; 22] = [
    "Instant",
    "SystemTime",
    "Rc",
    "RefCell",
    "UnsafeCell",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "RandomState",
    "async",
    "await",
    "glommio",
    "tokio",
    "crossbeam_channel",
    "libc",
    "unsafe",
];
/// Macros that print.
const MACROS: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];
/// Addresses are values; all else of `std::net` is the world.
const ADDRESSES: [&str; 7] =
    ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6", "AddrParseError"];

/// One source file, read.
struct Source {
    /// Path below `src/`.
    path: String,
    /// Words and signs of the code that is not a test, comments and strings taken out.
    tokens: Vec<String>,
    /// The same with the tests at the end of the file.
    all_tokens: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let all_tokens = tokens(&code(text));
        let tests_at = all_tokens.windows(8).position(|w| w.concat() == "#[cfg(test)]mod");
        let tokens = match (tests_at, path.ends_with("tests.rs")) {
            (_, true) => Vec::new(),
            (Some(at), _) => all_tokens[..at].to_vec(),
            (None, _) => all_tokens.clone(),
        };
        Source { path: path.into(), tokens, all_tokens }
    }

    /// Its modules from the crate's root: `["base", "ids"]`; a `mod.rs` is its folder.
    fn module(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let mut parts: Vec<&str> = path.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// Its floor; `None` for `lib.rs` and `main.rs`, which stand above all.
    fn floor(&self) -> Option<usize> {
        floor_of(self.module()[0])
    }

    /// Everything this file names by a path from the crate's root, in code (`tests` too if asked).
    fn imports(&self, tests: bool) -> Vec<Vec<String>> {
        let module: Vec<String> = self.module().iter().map(|s| s.to_string()).collect();
        let found = paths(if tests { &self.all_tokens } else { &self.tokens });
        let mut absolute = Vec::new();
        for path in found {
            match path[0].as_str() {
                "crate" => absolute.push(path[1..].to_vec()),
                "super" | "self" => {
                    let ups = path.iter().take_while(|s| *s == "super").count();
                    let rest = path.iter().skip_while(|s| *s == "super" || *s == "self").cloned();
                    // Inside the tests of a file `super` is the file itself: too high a count stays in the crate.
                    let base = module[..module.len().saturating_sub(ups)].iter().cloned();
                    absolute.push(base.chain(rest).collect());
                }
                _ => {}
            }
        }
        absolute
    }
}

/// The floor a folder stands on.
fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&folder))
}

/// The text without comments; what stands in strings and characters is blanked.
fn code(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(&['/', '/']) {
            i += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        } else if rest.starts_with(&['/', '*']) {
            i += block_comment(rest);
        } else if let Some(length) = string(rest, bytes[..i].last().copied()) {
            out.push_str("\"\"");
            i += length;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    out
}

/// Length of the block comment, which may hold others, at the start of `rest`.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        match &rest[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// Length of the string or character at the start of `rest`, if there is one.
fn string(rest: &[char], before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let prefix = if in_word { 0 } else { rest.iter().take(2).take_while(|c| matches!(c, 'b' | 'c' | 'r')).count() };
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let raw = rest[..prefix].contains(&'r');
    match rest.get(prefix + hashes)? {
        '"' if raw || hashes == 0 => {
            let mut i = prefix + hashes + 1;
            while i < rest.len() {
                match rest[i] {
                    '\\' if !raw => i += 1,
                    '"' if rest[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                        return Some(i + 1 + hashes);
                    }
                    _ => {}
                }
                i += 1;
            }
            Some(rest.len())
        }
        // A character; else a lifetime or a label.
        '\'' if hashes == 0 && !raw => {
            let body = &rest[prefix + 1..];
            match body {
                ['\\', _, more @ ..] => Some(prefix + 3 + more.iter().position(|c| *c == '\'')? + 1),
                [_, '\'', ..] => Some(prefix + 3),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Words, `::`, and signs one by one.
fn tokens(code: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = String::from(c);
            while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(c);
            }
            out.push(word);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            out.push("::".into());
        } else if !c.is_whitespace() {
            out.push(c.into());
        }
    }
    out
}

/// All paths in the tokens, groups (`a::{b, c::d}`) spelled out.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at]) && tokens.get(at + 1).is_some_and(|t| t == "::") {
            at = path(tokens, at, &mut Vec::new(), &mut out);
        } else {
            at += 1;
        }
    }
    out
}

/// Reads one path that begins at `at` below `prefix` into `out`; returns the place behind it.
fn path(tokens: &[String], mut at: usize, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    while tokens.get(at).is_some_and(|t| is_word(t) || t == "*") {
        prefix.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t != "::") {
            break;
        }
        at += 1;
    }
    if tokens.get(at).is_some_and(|t| t == "{") && at > 0 && tokens[at - 1] == "::" {
        at += 1;
        while tokens.get(at).is_some_and(|t| t != "}") {
            let next = path(tokens, at, prefix, out);
            at = if next == at { at + 1 } else { next };
        }
        at += 1;
    } else if prefix.len() > depth {
        out.push(prefix.clone());
    }
    prefix.truncate(depth);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What a door hands on: name → module of its floor, from its `pub use` lines.
fn handed_on(door: &Source) -> BTreeMap<String, String> {
    let path_of = |p: &Vec<String>| match p.first().map(String::as_str) {
        Some("self") => p[1..].to_vec(),
        _ => p.clone(),
    };
    let inside = paths(&door.tokens).iter().map(path_of).filter(|p| p.len() > 1).collect::<Vec<_>>();
    inside.into_iter().filter_map(|p| Some((p.last()?.clone(), p[0].clone()))).collect()
}

/// All breaches of the floors in these sources.
fn breaches(sources: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for source in sources {
        let Some(floor) = source.floor() else { continue };
        for import in source.imports(true) {
            let Some(target) = import.first() else { continue };
            let beside = floor_of(target) == Some(floor) && target != source.module()[0];
            if beside || floor_of(target).is_some_and(|t| t > floor) {
                let way = if beside { "beside" } else { "up" };
                out.push(format!("{}: imports {way}: {}", source.path, import.join("::")));
            }
        }
        if floor < SHELL {
            out.extend(impurities(source));
            out.extend(stray_limits(source));
        }
    }
    for name in FLOORS.iter().copied().flatten() {
        out.extend(circles(sources, name).iter().map(|c| format!("{name}: files import one another in a circle: {c}")));
    }
    out
}

/// What a pure file must not name.
fn impurities(source: &Source) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (i, token) in source.tokens.iter().enumerate() {
        let printed = MACROS.contains(&token.as_str()) && source.tokens.get(i + 1).is_some_and(|t| t == "!");
        if WORDS.contains(&token.as_str()) || printed || token.starts_with("Atomic") {
            found.insert(token.clone());
        }
    }
    for path in paths(&source.tokens) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let impure = match path.as_slice() {
            ["std", "thread" | "process" | "env", ..] | ["std", "sync", "atomic" | "mpsc", ..] => true,
            ["std" | "core", "net"] => true,
            ["std" | "core", "net", name, ..] => !ADDRESSES.contains(name),
            ["std", "collections", name, ..] => matches!(*name, "HashMap" | "HashSet" | "hash_map" | "hash_set" | "*"),
            _ => false,
        };
        if impure {
            found.insert(path.join("::"));
        }
    }
    found.into_iter().map(|what| format!("{}: names {what}, which is the shell's", source.path)).collect()
}

/// Maxima that do not stand in the table of limits.
fn stray_limits(source: &Source) -> Vec<String> {
    let names = source.tokens.windows(2).filter(|w| w[0] == "const" && (w[1] == "MAX" || w[1].ends_with("_MAX")));
    let strays = names.filter(|_| source.path != LIMITS);
    strays.map(|w| format!("{}: {} belongs into {LIMITS}", source.path, w[1])).collect()
}

/// Circles of imports among the modules of a folder: without one, they stand in an order in which each imports only
/// earlier ones. After each circle found its last import is taken as mended, so that all are told at once.
fn circles(sources: &[Source], folder: &str) -> Vec<String> {
    let mut imports = imports_within(sources, folder);
    let mut out = Vec::new();
    while let Some(circle) = circle(&imports) {
        if let [.., from, to] = circle[..] {
            imports.entry(from).or_default().remove(to);
        }
        out.push(circle.join(" → "));
    }
    out
}

/// Which modules of a folder import which others of it, by path or by a name the door hands on.
fn imports_within<'a>(sources: &'a [Source], folder: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let own: Vec<&Source> = sources.iter().filter(|s| s.module()[0] == folder).collect();
    let modules: BTreeSet<&str> = own.iter().filter_map(|s| s.module().get(1).copied()).collect();
    let door = own.iter().find(|s| s.module().len() == 1).map(|d| handed_on(d)).unwrap_or_default();
    let mut out: BTreeMap<&str, BTreeSet<&str>> = modules.iter().map(|m| (*m, BTreeSet::new())).collect();
    for source in &own {
        let Some(&from) = source.module().get(1) else { continue };
        for import in source.imports(false) {
            let (Some(first), Some(second)) = (import.first(), import.get(1)) else { continue };
            if first != folder {
                continue;
            }
            let handed = door.get(second).and_then(|module| modules.get(module.as_str()));
            let to = modules.get(second.as_str()).or(handed).copied();
            out.entry(from).or_default().extend(to.filter(|to| *to != from));
        }
    }
    out
}

/// One circle, its first module repeated at the end.
fn circle<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    // Take away what imports nothing that is left; what cannot be taken away lies on a circle or above one.
    let mut left: BTreeSet<&str> = imports.keys().copied().collect();
    while let Some(leaf) = left.iter().copied().find(|m| imports[m].is_disjoint(&left)) {
        left.remove(leaf);
    }
    let mut seen = vec![*left.first()?];
    loop {
        let next = imports[seen.last()?].iter().copied().find(|to| left.contains(to))?;
        let again = seen.iter().position(|m| *m == next);
        seen.push(next);
        if let Some(at) = again {
            return Some(seen.split_off(at));
        }
    }
}

/// All `.rs` files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn imports_point_down_and_the_floors_below_the_shell_are_pure() {
    let src = root().join("src");
    let sources: Vec<Source> = files(&src)
        .iter()
        .map(|p| Source::new(&p.strip_prefix(&src).unwrap().to_string_lossy(), &fs::read_to_string(p).unwrap()))
        .collect();
    for folder in FLOORS.iter().copied().flatten() {
        assert!(sources.iter().any(|s| s.module() == [*folder]), "no door of {folder}");
    }
    let found = breaches(&sources);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_has_one_subject() {
    let mut found = Vec::new();
    for path in ["src", "tests", "benches"].iter().flat_map(|dir| files(&root().join(dir))) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display();
        if !text.starts_with("//!") {
            found.push(format!("{name}: does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX && !path.ends_with("tests.rs") {
            found.push(format!("{name}: {lines} lines, at most {LINES_MAX}"));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The breaches of sources made up for it.
fn planted(sources: &[(&str, &str)]) -> Vec<String> {
    breaches(&sources.iter().map(|(path, text)| Source::new(path, text)).collect::<Vec<_>>())
}

#[test]
fn planted_imports_up_are_caught() {
    for text in [
        "use crate::shard::Shard;",
        "use crate::{base::Slot, shard::{self, Turn}};",
        "fn f() -> crate::conn::Close { todo!() }",
        "use super::super::conn::Close;",
        "#[cfg(test)] mod tests { use crate::shell::boot; }",
        "use crate::cli::bench;",
    ] {
        assert!(!planted(&[("wire/op.rs", text)]).is_empty(), "{text}");
    }
    for text in ["use crate::base::Slot;", "// use crate::shard::Shard;", "const S: &str = \"crate::shard::Shard\";"] {
        assert!(planted(&[("wire/op.rs", text)]).is_empty(), "{text}");
    }
    assert_eq!(planted(&[("mesh/core.rs", "use crate::shard::Shard;")]).len(), 1);
    assert_eq!(planted(&[("shard/core.rs", "use crate::mesh::Mesh;")]).len(), 1);
    assert!(planted(&[("main.rs", "use crate::cli::bench;")]).is_empty());
    assert_eq!(planted(&[("shell/boot.rs", "use crate::cli::bench;")]).len(), 1);
}

#[test]
fn planted_limits_are_caught_outside_of_their_table() {
    let text = "/// Much.\npub(super) const ENTRIES_MAX: usize = 1;";
    for path in ["conn/client.rs", "base/wheel.rs"] {
        assert_eq!(planted(&[(path, text)]), [format!("{path}: ENTRIES_MAX belongs into {LIMITS}")]);
    }
    for path in [LIMITS, "shell/log.rs", "conn/client/tests.rs"] {
        assert!(planted(&[(path, text)]).is_empty(), "{path}");
    }
    assert!(planted(&[("conn/client.rs", "let most = u64::MAX.min(ENTRIES_MAX);")]).is_empty());
}

#[test]
fn planted_impurities_are_caught_below_the_shell_only() {
    for text in [
        "use std::time::{Duration, Instant};",
        "let t = std::time::SystemTime::now();",
        "use std::{fmt, thread};",
        "use std::net::TcpStream;",
        "use std::net::*;",
        "use std::rc::Rc;",
        "struct A { b: std::cell::RefCell<u8> }",
        "use std::sync::{Arc, Mutex};",
        "use std::sync::atomic::AtomicU64;",
        "use std::collections::{BTreeMap, HashMap};",
        "let s = std::collections::HashSet::new();",
        "fn f() { println!(\"x\") }",
        "fn f(a: char) { if a == '\"' { dbg!(a) } }",
        "use glommio::Task;",
        "async fn f() {}",
    ] {
        assert!(!planted(&[("conn/client.rs", text)]).is_empty(), "{text}");
        assert!(planted(&[("shell/socket.rs", text)]).is_empty(), "{text}");
        assert!(planted(&[("conn/client/tests.rs", text)]).is_empty(), "{text}");
        let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ {text} }}");
        assert!(planted(&[("conn/client.rs", &tested)]).is_empty(), "{text}");
    }
    for text in [
        "use std::time::Duration; use std::net::{IpAddr, SocketAddr}; use std::collections::BTreeMap;",
        "/// An Instant? println!(\"no\")\n/* Mutex /* Rc */ HashMap */ fn f<'a>(b: &'a str) {}",
        "const A: &str = r#\"use std::thread; \"Instant\" \"#; const B: char = '\\''; const C: u8 = b'\"';",
    ] {
        assert!(planted(&[("conn/client.rs", text)]).is_empty(), "{:?}", planted(&[("conn/client.rs", text)]));
    }
}

#[test]
fn planted_circles_are_caught_through_the_door_too() {
    let door = ("base/mod.rs", "mod a; mod b; mod c; pub use a::A; pub use self::b::{B, Bb};");
    let direct = [door, ("base/a.rs", "use super::b::B;"), ("base/b.rs", "use crate::base::a::A;")];
    assert_eq!(planted(&direct), ["base: files import one another in a circle: a → b → a"]);
    let by_name = [
        door,
        ("base/a.rs", "use super::Bb;"),
        ("base/b.rs", "use super::c::C;"),
        ("base/c.rs", "use crate::base::{A, X};"),
    ];
    assert_eq!(planted(&by_name), ["base: files import one another in a circle: a → b → c → a"]);
    let two =
        [door, ("base/a.rs", "use super::B;"), ("base/b.rs", "use super::{A, c};"), ("base/c.rs", "use super::B;")];
    assert_eq!(planted(&two).len(), 2, "{:?}", planted(&two));
    let straight = [door, ("base/a.rs", "use super::{B, c::C};"), ("base/b.rs", "use super::c::C;"), ("base/c.rs", "")];
    assert!(planted(&straight).is_empty());
    let tests = [door, ("base/a.rs", "use super::B;"), ("base/b.rs", "#[cfg(test)] mod tests { use crate::base::A; }")];
    assert!(planted(&tests).is_empty());
}
