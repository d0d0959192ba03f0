//! Reads the conformance table (`table.txt`) into plays: what to send on which connection and what must come back.
//!
//! Used by `tests/conformance.rs` against one server and by `tests/differential.rs` against two.

use crate::support::differences;
use crate::support::frames::{split, Frame};
use std::collections::BTreeMap;

/// The table as it is written; its head explains the words.
const TEXT: &str = include_str!("table.txt");

/// One thing a play does. Connections are numbered from 0 (`a`).
#[derive(Clone, Debug)]
pub enum Act {
    /// Opens the next connection; the prelude goes out in front of its first bytes.
    Open(Vec<u8>),
    /// Writes these bytes at once.
    Write(usize, Vec<u8>),
    /// PING, and wait for the PONG.
    Barrier(usize),
    /// Ends the sending side.
    Finish(usize),
}

/// What must come next on a connection.
#[derive(Clone, Debug)]
pub enum Want {
    /// This frame; of an INFO only the keys named.
    Frame(Frame),
    /// All these frames in any order.
    AnyOrder(Vec<Frame>),
    /// Exactly one of these.
    OneOf(Vec<Frame>),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stays open and answers a PING.
    Open,
    /// The server closes it.
    Closed,
    /// The server closes it for malformed input: the difference `malformed`.
    ClosedMalformed,
}

/// What one connection of a play must see.
#[derive(Clone, Debug)]
pub struct Side {
    wants: Vec<Want>,
    /// How it ends.
    pub end: End,
}

impl Side {
    /// What must come, from turnpike or from nats-server.
    pub fn wants(&self, turnpike: bool) -> Vec<Want> {
        let mut wants = self.wants.clone();
        if turnpike && self.end == End::ClosedMalformed {
            wants.push(Want::Frame(differences::malformed()));
        }
        wants
    }
}

/// One row played with one of its variants.
#[derive(Clone, Debug, Default)]
pub struct Play {
    /// What `@` stands for; empty when the row has no variants.
    pub variant: String,
    /// What happens, in order.
    pub acts: Vec<Act>,
    /// What each connection sees.
    pub sides: Vec<Side>,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in client-protocol.md §25, with a letter where a number has several rows here.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// The server's configuration.
    pub config: String,
    /// Needs a server of its own.
    pub alone: bool,
    /// Waits for timers.
    pub slow: bool,
    /// Why it is not played yet.
    pub later: Option<String>,
    /// Its plays; none when it comes later.
    pub plays: Vec<Play>,
}

impl Row {
    /// The number without its letter.
    pub fn number(&self) -> u32 {
        let digits = self.id.trim_end_matches(|c: char| c.is_ascii_lowercase());
        digits.parse().unwrap_or_else(|_| panic!("row {}: not a number", self.id))
    }
}

/// The whole table.
pub struct Table {
    /// All rows.
    pub rows: Vec<Row>,
    /// Server configurations by name.
    pub configs: BTreeMap<String, String>,
}

/// Reads the table; panics with the line when it is not well formed.
pub fn table() -> Table {
    let mut preludes = BTreeMap::from([("D".to_string(), Vec::new())]);
    let mut configs = BTreeMap::new();
    let mut rows = Vec::new();
    let mut lines = TEXT.lines().peekable();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "prelude" => {
                let (name, text) = rest.split_once(' ').expect("prelude NAME text");
                preludes.insert(name.to_string(), bytes(text).concat());
            }
            "config" => {
                let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "end").collect();
                configs.insert(rest.to_string(), body.join("\n") + "\n");
            }
            "row" => {
                let mut body = Vec::new();
                while let Some(l) = lines.next_if(|l| !l.is_empty()) {
                    body.push(l);
                }
                rows.push(row(rest, &body, &preludes));
            }
            _ => panic!("table.txt: what is {line:?}?"),
        }
    }
    for row in &rows {
        assert!(configs.contains_key(&row.config), "row {}: no configuration {}", row.id, row.config);
    }
    Table { rows, configs }
}

fn row(head: &str, body: &[&str], preludes: &BTreeMap<String, Vec<u8>>) -> Row {
    let mut words = head.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("row {head}: ID PRELUDE title")).to_string();
    let (id, prelude, title) = (word(), word(), word());
    let mut row = Row { id, title, config: "plain".into(), alone: false, slow: false, later: None, plays: Vec::new() };
    let mut variants = vec![""];
    let mut script = Vec::new();
    for &line in body {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "for" => variants = rest.split(" | ").collect(),
            "config" => row.config = rest.to_string(),
            "alone" => row.alone = true,
            "slow" => row.slow = true,
            "later" => row.later = Some(rest.to_string()),
            _ => script.push(line),
        }
    }
    if row.later.is_none() {
        for variant in variants {
            row.plays.push(play(&row.id, variant, &prelude, &script, preludes));
        }
    }
    row
}

fn play(id: &str, variant: &str, prelude: &str, script: &[&str], preludes: &BTreeMap<String, Vec<u8>>) -> Play {
    let greet = |name: &str| preludes.get(name).unwrap_or_else(|| panic!("row {id}: no prelude {name}")).clone();
    let mut play = Play { variant: variant.to_string(), ..Play::default() };
    play.acts.push(Act::Open(greet(prelude)));
    play.sides.push(Side { wants: Vec::new(), end: End::Open });
    let mut last = 0;
    for line in script {
        let line = line.replace('@', variant);
        let (conn, rest) = match line.strip_prefix('b') {
            Some(rest) => (1, rest),
            None => (0, line.as_str()),
        };
        if let Some(name) = rest.strip_prefix(' ').filter(|name| preludes.contains_key(*name)) {
            play.acts.push(Act::Barrier(0));
            play.acts.push(Act::Open(greet(name)));
            play.sides.push(Side { wants: Vec::new(), end: End::Open });
            last = 1;
            continue;
        }
        let (what, text) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
        let frames = || split(&bytes(text).concat());
        let side = &mut play.sides[conn];
        match (what, text) {
            (">", _) => {
                if last != conn {
                    play.acts.push(Act::Barrier(last));
                    last = conn;
                }
                play.acts.extend(bytes(text).into_iter().map(|part| Act::Write(conn, part)));
            }
            ("<", _) => side.wants.extend(frames().into_iter().map(Want::Frame)),
            ("<any", _) => side.wants.push(Want::AnyOrder(frames())),
            ("<one", _) => side.wants.push(Want::OneOf(frames())),
            ("fin", "") => play.acts.push(Act::Finish(conn)),
            ("closed", "") => side.end = End::Closed,
            ("closed", "malformed") => side.end = End::ClosedMalformed,
            _ => panic!("row {id}: what is {line:?}?"),
        }
    }
    play
}

/// The bytes of a text, cut where it says `·`.
fn bytes(text: &str) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let part = parts.last_mut().expect("never empty");
        rest = &rest[c.len_utf8()..];
        match c {
            '⏎' => part.extend_from_slice(b"\r\n"),
            '·' => parts.push(Vec::new()),
            '\\' => rest = escape(rest, part),
            c => part.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    parts
}

/// Reads what follows a backslash into `part` and returns what follows that.
fn escape<'a>(text: &'a str, part: &mut Vec<u8>) -> &'a str {
    let (kind, rest) = text.split_at(1);
    match kind {
        "n" => part.push(b'\n'),
        "r" => part.push(b'\r'),
        "t" => part.push(b'\t'),
        "s" => part.push(b' '),
        "\\" => part.push(b'\\'),
        "x" => {
            part.push(u8::from_str_radix(&rest[..2], 16).expect("\\xNN"));
            return &rest[2..];
        }
        "{" => {
            let (body, after) = rest.split_once('}').expect("\\{N*text}");
            let at = body.find(['*', '#']).expect("\\{N*text} or \\{N#text}");
            let count: usize = body[..at].parse().expect("\\{N*text}");
            for i in 0..count {
                let text = match &body[at..=at] {
                    "#" => body[at + 1..].replace('%', &format!("{i:04}")),
                    _ => body[at + 1..].to_string(),
                };
                part.extend(bytes(&text).concat());
            }
            return after;
        }
        _ => panic!("what is \\{kind}?"),
    }
    rest
}
