//! Configuration as written, whatever the spelling: a tree of values, each with the place it was read from. Both
//! readers (`conf`, `file`) end here; `model` gives it meaning. Lives only while a configuration is loaded.

use super::invalid::Invalid;
use crate::base::Map;
use sha2::{Digest, Sha256};
use std::fmt;

/// A place in one of the files of a [`Tree`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Index in [`Tree::files`].
    pub file: u16,
    /// From 1.
    pub line: u32,
    /// In bytes, from 1.
    pub column: u32,
}

/// A value and where its key (in an array: it itself) stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where.
    pub at: At,
}

/// What was written. Its `Debug` says what it is: the value itself may be a secret.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Text, quoted or not.
    String(String),
    /// A whole number; suffixes like `64MB` are already applied.
    Integer(i64),
    /// A number with a fraction; always finite.
    Float(f64),
    /// true, yes, on; false, no, off.
    Bool(bool),
    /// A point in time, as written. No key takes one.
    Datetime(String),
    /// `[ … ]`
    Array(Vec<Node>),
    /// `{ … }`
    Table(Table),
}

/// Keys and values in the order written; a key given again replaces its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    entries: Vec<Entry>,
    index: Map<String, usize>,
}

/// One key of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As written.
    pub key: String,
    /// Its value; `node.at` is where the key stands.
    pub node: Node,
    /// Was it referred to as a variable? Then it may be a name the model does not know.
    pub used: bool,
}

/// A whole configuration, includes merged in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The outermost keys.
    pub root: Table,
    /// All files read, as the operator (or an include) named them.
    pub files: Vec<String>,
}

impl Table {
    /// Adds a key, or replaces it: the last one wins (operations.md §2).
    pub fn set(&mut self, entry: Entry) {
        match self.index.get(&entry.key) {
            Some(&i) => {
                let used = self.entries[i].used;
                self.entries[i] = entry;
                self.entries[i].used |= used;
            }
            None => {
                self.index.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    /// The entry of exactly this name.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.index.get(key).map(|&i| &mut self.entries[i])
    }

    /// All entries in the order written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All values, to be changed in place.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.entries.iter_mut().map(|e| &mut e.node)
    }

    /// Consumes the table into its entries.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Array(nodes) => nodes.fmt(f),
            Value::Table(table) => table.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

impl Value {
    /// What it is, with an article, for messages. The value itself is not shown: it may be a secret.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Bool(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "an array",
            Value::Table(_) => "a map",
        }
    }

    /// Roughly how many bytes a copy takes.
    pub fn weight(&self) -> usize {
        64 + match self {
            Value::String(s) | Value::Datetime(s) => s.len(),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => 0,
            Value::Array(a) => a.iter().map(|n| n.value.weight()).sum(),
            Value::Table(t) => t.entries.iter().map(|e| 2 * e.key.len() + e.node.value.weight()).sum(),
        }
    }

    /// Feeds a form that depends on meaning alone: keys sorted, every text with its length before it.
    fn digest(&self, into: &mut Sha256) {
        let mut text = |tag: u8, s: &str| {
            into.update([tag]);
            into.update((s.len() as u64).to_le_bytes());
            into.update(s);
        };
        match self {
            Value::String(s) => text(b's', s),
            Value::Datetime(s) => text(b'd', s),
            Value::Integer(n) => text(b'i', &n.to_string()),
            Value::Float(n) => text(b'f', &n.to_string()),
            Value::Bool(b) => text(b'b', if *b { "1" } else { "0" }),
            Value::Array(a) => {
                text(b'a', &a.len().to_string());
                a.iter().for_each(|n| n.value.digest(into));
            }
            Value::Table(t) => {
                text(b't', &t.entries.len().to_string());
                let mut sorted: Vec<&Entry> = t.entries.iter().collect();
                sorted.sort_by(|a, b| a.key.cmp(&b.key));
                for e in sorted {
                    into.update((e.key.len() as u64).to_le_bytes());
                    into.update(&e.key);
                    e.node.value.digest(into);
                }
            }
        }
    }
}

impl Tree {
    /// `sha256:<hex>` of the meaning: the same under other comments, blanks, order and spelling.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        Value::Table(self.root.clone()).digest(&mut hash);
        let mut out = String::from("sha256:");
        for byte in hash.finalize() {
            out.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            out.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        out
    }
}

/// A mistake at a place in one of `files`.
pub(super) fn invalid(files: &[String], at: At, key: &str, text: impl Into<String>) -> Invalid {
    let file = files.get(usize::from(at.file)).cloned().unwrap_or_default();
    Invalid { file, line: at.line, column: at.column, key: key.into(), text: text.into() }
}

/// Turns byte offsets of a text into lines and columns.
pub(super) struct Lines {
    file: u16,
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(file: u16, text: &str) -> Lines {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1)).collect();
        Lines { file, starts }
    }

    pub(super) fn at(&self, offset: usize) -> At {
        let line = self.starts.partition_point(|&s| s <= offset);
        let column = offset - self.starts[line - 1] + 1;
        At { file: self.file, line: line as u32, column: column as u32 }
    }
}
