//! Typed reading of a [`Tree`]'s values, with everything found wrong kept in one list. Used by the model while it
//! walks the tree; lives as long as that walk.

use super::invalid::Invalid;
use super::keys::{self, Scope, Treatment};
use super::quantity;
use super::tree::{invalid, At, Node, Table, Value};
use crate::base::limits::CONF_MISTAKES_MAX;
use std::time::Duration;

/// What a walk over a configuration has to say.
pub(super) struct Notes<'t> {
    files: &'t [String],
    errors: Vec<Invalid>,
    /// Mistakes beyond [`CONF_MISTAKES_MAX`].
    untold: usize,
    /// Was a key refused that we do not support yet? Then names that lead nowhere may only follow from that.
    pub(super) refused: bool,
    /// Where URLs say `tls://`, by the section that they are in.
    pub(super) private_urls: Vec<(&'static str, At)>,
    pub(super) deprecations: Vec<Invalid>,
    pub(super) warnings: Vec<String>,
    /// What is offered and not taken: `file:line`, and what.
    pub(super) idle: Vec<(String, String)>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(files: &'t [String]) -> Notes<'t> {
        Notes {
            files,
            errors: Vec::new(),
            untold: 0,
            refused: false,
            private_urls: Vec::new(),
            deprecations: Vec::new(),
            warnings: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// Is the configuration written in TOML? Then a remedy is too.
    pub(super) fn toml(&self) -> bool {
        self.files.first().is_some_and(|f| f.to_ascii_lowercase().ends_with(".toml"))
    }

    /// A mistake at a place; a line of 0 stands for the command line.
    pub(super) fn wrong(&mut self, at: At, key: &str, text: impl Into<String>) {
        if self.errors.len() >= CONF_MISTAKES_MAX {
            self.untold += 1;
            return;
        }
        let found = if at.line == 0 { Invalid::nowhere(key, text) } else { invalid(self.files, at, key, text) };
        self.errors.push(found);
    }

    /// A place in words, for a warning.
    pub(super) fn place(&self, at: At) -> String {
        format!("{}:{}", self.files.get(usize::from(at.file)).map_or("", String::as_str), at.line)
    }

    /// URLs of this section say `tls://`, and it has no `tls`: their servers would be spoken to in the clear.
    pub(super) fn check_private_urls(&mut self, section: &str) {
        for (of, at) in std::mem::take(&mut self.private_urls) {
            match of == section {
                true => self.wrong(
                    at,
                    section,
                    format!("a URL says tls://, but {section} has no tls block: add one, or write nats://"),
                ),
                false => self.private_urls.push((of, at)),
            }
        }
    }

    /// How many mistakes there were so far.
    pub(super) fn mistakes(&self) -> usize {
        self.errors.len() + self.untold
    }

    /// All mistakes in the order of the files, so that a person can go through them.
    pub(super) fn take_errors(&mut self) -> Vec<Invalid> {
        let place = |i: &Invalid| (self.files.iter().position(|f| *f == i.file), i.line, i.column);
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by_key(place);
        if self.untold > 0 {
            errors.push(Invalid::nowhere("", format!("... and {} more", self.untold)));
        }
        errors
    }

    pub(super) fn deprecated(&mut self, at: At, key: &str, why: &str) {
        self.deprecations.push(invalid(self.files, at, key, format!("invalid use of field \"{key}\": {why}")));
    }

    /// Sorts the keys of a map by how they are treated; `supported` gets those that mean something to us, under their
    /// first name.
    pub(super) fn walk(
        &mut self,
        scope: Scope,
        table: &Table,
        mut supported: impl FnMut(&mut Self, &'static str, &Node),
    ) {
        for entry in table.entries() {
            let at = entry.node.at;
            let Some(key) = keys::find(scope, &entry.key) else {
                if !entry.used {
                    self.unknown(scope, &entry.key, at);
                }
                continue;
            };
            match key.treatment {
                Treatment::Supported | Treatment::Ours => supported(self, key.names[0], &entry.node),
                Treatment::Within => {}
                Treatment::Warned(_) if is_off(&entry.node.value) => {}
                Treatment::Refused(_) if is_open(key.names[0], &entry.node.value) => {}
                Treatment::Refused(why) => {
                    self.refused = true;
                    self.wrong(at, &entry.key, format!("{}: {why}", entry.key));
                }
                Treatment::Warned(why) => {
                    self.warn(format!("{}: {why}", entry.key));
                    self.look_into(&entry.key, &entry.node);
                }
            }
        }
    }

    /// A sentence of warning, once.
    pub(super) fn warn(&mut self, sentence: String) {
        if !self.warnings.contains(&sentence) {
            self.warnings.push(sentence);
        }
    }

    fn unknown(&mut self, scope: Scope, name: &str, at: At) {
        if self.errors.len() >= CONF_MISTAKES_MAX {
            self.untold += 1;
            return;
        }
        let guess = match name {
            "exports" | "imports" => ": what crosses between clusters is said in gateway".into(),
            _ => keys::nearest(scope, name).map_or(String::new(), |n| format!(", did you mean \"{n}\"?")),
        };
        self.wrong(at, name, format!("unknown field \"{}\"{guess}", name.escape_debug()));
    }

    /// A section that is only warned about still has its keys' names checked.
    fn look_into(&mut self, name: &str, node: &Node) {
        let scope = match keys::find(Scope::Top, name).map(|k| k.names[0]) {
            Some("leafnodes") => Scope::Leafnodes,
            Some("websocket") => Scope::Websocket,
            _ => return,
        };
        if let Value::Table(t) = &node.value {
            self.walk(scope, t, |_, _, _| {});
        }
    }

    fn expected(&mut self, key: &str, node: &Node, what: &str) {
        self.wrong(node.at, key, format!("{key}: expected {what}, found {}", node.value.kind()));
    }

    pub(super) fn text(&mut self, key: &str, node: &Node) -> Option<String> {
        match &node.value {
            Value::String(s) => Some(s.clone()),
            _ => {
                self.expected(key, node, "a string");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &str, node: &Node) -> Option<bool> {
        match node.value {
            Value::Bool(b) => Some(b),
            _ => {
                self.expected(key, node, "a boolean");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, key: &str, node: &Node) -> Option<i64> {
        match node.value {
            Value::Integer(n) => Some(n),
            _ => {
                self.expected(key, node, "an integer");
                None
            }
        }
    }

    /// An integer, or text such as "64MB".
    pub(super) fn size(&mut self, key: &str, node: &Node) -> Option<i64> {
        let size = match &node.value {
            Value::Integer(n) => Some(*n),
            Value::String(s) => quantity::size(s),
            _ => None,
        };
        if size.is_none() {
            self.expected(key, node, "a size in bytes such as 65536, 64KB or \"64MB\"");
        }
        size
    }

    /// A size from 0 to `max`; 0 is `None`, "the default".
    pub(super) fn limit(&mut self, key: &str, node: &Node, max: i64) -> Option<usize> {
        let size = self.size(key, node)?;
        self.within(key, node, size, max)
    }

    /// A number of things from 0 to `max`; 0 is `None`, "any number".
    pub(super) fn count(&mut self, key: &str, node: &Node, max: i64) -> Option<usize> {
        let count = self.integer(key, node)?;
        self.within(key, node, count, max)
    }

    fn within(&mut self, key: &str, node: &Node, n: i64, max: i64) -> Option<usize> {
        match n {
            0 => None,
            n if n < 0 => {
                self.wrong(node.at, key, format!("{key} must not be negative"));
                None
            }
            n if n > max => {
                self.wrong(node.at, key, format!("{key} value is too big, {max} is the most"));
                None
            }
            n => usize::try_from(n).ok(),
        }
    }

    /// A duration of at least a millisecond; 0 is `None`, "the default". A bare integer is seconds, and deprecated.
    pub(super) fn duration(&mut self, key: &str, node: &Node) -> Option<Duration> {
        let ns = match &node.value {
            Value::Integer(seconds) => {
                self.deprecated(node.at, key, &format!("{key} should be converted to a duration"));
                i128::from(*seconds) * 1_000_000_000
            }
            _ => i128::from(self.duration_text(key, node)?),
        };
        match ns {
            0 => None,
            1_000_000.. => match u64::try_from(ns) {
                Ok(ns) => Some(Duration::from_nanos(ns)),
                Err(_) => {
                    self.wrong(node.at, key, format!("{key} value is too big"));
                    None
                }
            },
            _ => {
                self.wrong(node.at, key, format!("{key} must be at least 1ms"));
                None
            }
        }
    }

    /// A duration that must be text, in nanoseconds.
    pub(super) fn duration_text(&mut self, key: &str, node: &Node) -> Option<i64> {
        let Value::String(text) = &node.value else {
            self.expected(key, node, "a duration in quotes such as \"2m\"");
            return None;
        };
        match quantity::duration_ns(text) {
            Ok(ns) => Some(ns),
            Err(why) => {
                self.wrong(node.at, key, format!("error parsing {key}: {why}"));
                None
            }
        }
    }

    /// One string or a list of them.
    pub(super) fn texts(&mut self, key: &str, node: &Node) -> Option<Vec<String>> {
        match &node.value {
            Value::Array(a) => a.iter().map(|n| self.text(key, n)).collect(),
            _ => Some(vec![self.text(key, node)?]),
        }
    }

    pub(super) fn table<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n Table> {
        match &node.value {
            Value::Table(t) => Some(t),
            _ => {
                self.expected(key, node, "a map");
                None
            }
        }
    }
}

/// Does this value say that there is nothing to guard? Narrower than [`is_off`]: a guard that is mistyped is refused.
fn is_open(key: &str, value: &Value) -> bool {
    match value {
        Value::Bool(false) => matches!(
            key,
            "proxy_protocol"
                | "proxy_required"
                | "allow_insecure_cipher_suites"
                | "ocsp_peer"
                | "cert_match_skip_invalid"
        ),
        Value::Integer(0) => key == "https_port",
        Value::String(s) => s.is_empty() && key == "token",
        Value::Array(a) => a.is_empty() && !matches!(key, "to" | "from"),
        _ => false,
    }
}

/// Does this value switch off what the key stands for? Then there is nothing to warn about.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(b) => !b,
        Value::Integer(n) => *n == 0,
        Value::String(s) => s.is_empty() || matches!(s.as_str(), "disabled" | "disable" | "off"),
        Value::Array(a) => a.is_empty(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => false,
    }
}
