//! Where in its files a configuration says what: for findings about several configurations together, which no reader of
//! one of them can make. Made while a configuration is loaded.

use super::tree::{At, Node, Table, Tree, Value};
use crate::base::limits::{CONF_PLACES_DEPTH_MAX, CONF_PLACES_LIST_MAX};
use crate::interest::border::RulePlace;
use std::collections::BTreeMap;

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    files: Vec<String>,
    /// By path, in lower case: `cluster.routes[0]`.
    of: BTreeMap<String, At>,
    /// What is offered and not taken, each with its `file:line`: no mistake, and worth a word where many files are read.
    pub idle: Vec<(String, String)>,
}

impl Places {
    /// Of all that a configuration says.
    pub(super) fn of(tree: &Tree) -> Places {
        let mut places = Places { files: tree.files.clone(), of: BTreeMap::new(), idle: Vec::new() };
        places.table("", &tree.root, 0);
        places
    }

    fn table(&mut self, path: &str, table: &Table, depth: usize) {
        for entry in table.entries() {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", entry.key.to_lowercase());
            self.node(path, &entry.node, depth);
        }
    }

    fn node(&mut self, path: String, node: &Node, depth: usize) {
        match &node.value {
            Value::Table(table) if depth < CONF_PLACES_DEPTH_MAX => self.table(&path, table, depth + 1),
            Value::Array(list) if depth < CONF_PLACES_DEPTH_MAX => {
                for (i, entry) in list.iter().enumerate().take(CONF_PLACES_LIST_MAX) {
                    self.node(format!("{path}[{i}]"), entry, depth + 1);
                }
            }
            _ => {}
        }
        self.of.insert(path, node.at);
    }

    /// `file:line` of a rule of a border.
    pub fn at(&self, rule: RulePlace) -> String {
        format!("{}:{}", self.files.get(usize::from(rule.file)).map_or("", String::as_str), rule.line)
    }

    /// `file:line` of the first of these paths that is written; of none of them, the file.
    pub fn find(&self, paths: &[&str]) -> String {
        let file = |at: u16| self.files.get(usize::from(at)).map_or("", String::as_str);
        match paths.iter().find_map(|path| self.of.get(*path)) {
            Some(at) => format!("{}:{}", file(at.file), at.line),
            None => file(0).to_owned(),
        }
    }
}
