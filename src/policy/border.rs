//! `exports` and `imports` of a gateway, from the tree to [`Borders`] (docs/borders.md). Called by the gateway's reader,
//! once per configuration.

use super::keys::Scope;
use super::reading::Notes;
use super::settings::{Auth, Borders};
use super::tree::{At, Node, Value};
use crate::base::limits::{BORDER_REPLY_WINDOW_MAX, BORDER_RULES_MAX, BORDER_WARNINGS_MAX, TOLD_SUBJECT_BYTES_MAX};
use crate::base::{Seeded, Set};
use crate::interest::border::{flaws, Flaw, FlawKind, Rule, RulePlace};
use crate::wire::subject;
use std::time::Duration;

/// What was read, before it is known to fit together.
#[derive(Default)]
pub(super) struct BorderDraft {
    exports: Option<Block>,
    imports: Option<Block>,
    reply_window: Option<Duration>,
    reply_max: Option<u32>,
}

struct Block {
    at: At,
    entries: Vec<Written>,
}

/// One entry and where its parts stand.
struct Written {
    rule: Rule,
    at: At,
    subject: At,
    cluster: At,
    account: At,
}

impl BorderDraft {
    /// Reads one key of the gateway. Not ours: false.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "exports" => self.exports = block(notes, key, Scope::GatewayExport, node),
            "imports" => self.imports = block(notes, key, Scope::GatewayImport, node),
            "reply_window" => {
                self.reply_window = notes.duration(key, node);
                if self.reply_window.is_some_and(|window| window > BORDER_REPLY_WINDOW_MAX) {
                    notes.wrong(node.at, key, "reply_window is too long, 24h is the most");
                }
            }
            "reply_max" => self.reply_max = notes.count(key, node, i64::from(u32::MAX)).map(|n| n as u32),
            _ => return false,
        }
        true
    }

    /// Fits the rules to the gateway's name and to the accounts.
    pub(super) fn finish(self, notes: &mut Notes<'_>, own: &str, auth: &Auth) -> Borders {
        let default = Borders::default();
        Borders {
            exports: self.exports.map(|b| b.finish(notes, "exports", own, auth)),
            imports: self.imports.map(|b| b.finish(notes, "imports", own, auth)),
            reply_window: self.reply_window.unwrap_or(default.reply_window),
            reply_max: self.reply_max,
        }
    }
}

impl Block {
    fn finish(self, notes: &mut Notes<'_>, key: &str, own: &str, auth: &Auth) -> Vec<Rule> {
        let mut accounts = Set::with_capacity_and_hasher(auth.accounts.len(), Seeded(0));
        accounts.extend(auth.accounts.iter().map(|a| a.name.as_str()));
        let before = notes.mistakes();
        for entry in &self.entries {
            if entry.rule.cluster.as_deref() == Some(own) {
                let key = direction(key);
                let text = format!("{key} names this cluster itself: name another, or leave {key} out for all");
                notes.wrong(entry.cluster, key, text);
            }
            // An account may be missing only because its section was refused.
            let missing = entry.rule.account.as_deref().filter(|name| !accounts.contains(name) && !notes.refused);
            if let Some(name) = missing {
                let text = format!("account \"{}\" does not exist: add it to accounts", name.escape_debug());
                notes.wrong(entry.account, "account", text);
            }
        }
        let rules: Vec<Rule> = self.entries.iter().map(|e| e.rule.clone()).collect();
        if notes.mistakes() == before {
            let system = auth.system.map_or("", |s| &auth.accounts[s].name);
            self.warn(notes, key, &rules, system);
        }
        rules
    }

    /// What is allowed and most likely not meant.
    fn warn(&self, notes: &mut Notes<'_>, key: &str, rules: &[Rule], system: &str) {
        if rules.is_empty() {
            let way = if key == "exports" { "leaves" } else { "enters" };
            let place = notes.place(self.at);
            notes.warn(format!("{place}: {key} is empty, so nothing {way}: leave the key out if everything may"));
        }
        let mut words: Vec<String> = Vec::new();
        let flaws = flaws(rules, system);
        let inner = self.entries.iter().filter(|e| looks_wild(&e.rule.subject));
        let many = flaws.len() + inner.clone().count();
        for Flaw { rule, by, kind } in flaws.into_iter().take(BORDER_WARNINGS_MAX) {
            let [one, other] = [rule, by].map(|place| &self.entries[place as usize]);
            let what = match kind {
                FlawKind::Twice => "says the same as",
                FlawKind::Within => "is within",
                FlawKind::Denied => "admits only what is denied by",
            };
            words.push(format!(
                "{}: {key}: \"{}\" {what} \"{}\" at {}: it changes nothing, take it out",
                notes.place(one.at),
                one.rule.subject.escape_ascii(),
                other.rule.subject.escape_ascii(),
                notes.place(other.at),
            ));
        }
        let left = BORDER_WARNINGS_MAX - words.len();
        words.extend(inner.take(left).map(|e| {
            format!(
                "{}: {key}: in \"{}\" a wildcard within a token is an ordinary character: * and > mean something only \
                 as whole tokens",
                notes.place(e.subject),
                e.rule.subject.escape_ascii()
            )
        }));
        if many > words.len() {
            words.push(format!("{key}: and {} more entries of this kind", many - words.len()));
        }
        words.into_iter().for_each(|sentence| notes.warn(sentence));
    }
}

/// The key that names a cluster in this block.
fn direction(block: &str) -> &'static str {
    if block == "exports" {
        "to"
    } else {
        "from"
    }
}

/// Has it a wildcard that is none?
pub(super) fn looks_wild(pattern: &[u8]) -> bool {
    subject::tokens(pattern).any(|t| t.len() > 1 && t.iter().any(|c| matches!(c, b'*' | b'>')))
}

fn block(notes: &mut Notes<'_>, key: &str, scope: Scope, node: &Node) -> Option<Block> {
    let list = match &node.value {
        Value::Array(list) => list.as_slice(),
        // `exports { }`
        Value::Table(table) if table.entries().is_empty() => &[],
        // nats-server's grammar takes the dash for a key.
        Value::Table(table) if table.entries().iter().any(|e| e.key == "-") => {
            let text = format!(
                "{key}: an entry within braces begins with a key: write - subject: \"...\", or the list in [ ]"
            );
            notes.wrong(node.at, key, text);
            return None;
        }
        other => {
            let found = other.kind();
            let text = format!("{key}: expected a list of entries such as [{{subject: \"public.>\"}}], found {found}");
            notes.wrong(node.at, key, text);
            return None;
        }
    };
    if list.len() > BORDER_RULES_MAX {
        notes.wrong(
            node.at,
            key,
            format!("{key}: {} entries are too many, {BORDER_RULES_MAX} is the most", list.len()),
        );
        return None;
    }
    Some(Block { at: node.at, entries: list.iter().filter_map(|n| entry(notes, key, scope, n)).collect() })
}

fn entry(notes: &mut Notes<'_>, block: &str, scope: Scope, node: &Node) -> Option<Written> {
    let place = RulePlace { file: node.at.file, line: node.at.line };
    let rule = Rule { subject: Box::default(), cluster: None, account: None, deny: false, place };
    let mut out = Written { rule, at: node.at, subject: node.at, cluster: node.at, account: node.at };
    let mut named = false;
    match &node.value {
        Value::String(_) => {
            named = true;
            out.rule.subject = pattern(notes, node)?;
        }
        Value::Table(table) => notes.walk(scope, table, |notes, key, n| match key {
            "subject" => {
                named = true;
                out.subject = n.at;
                out.rule.subject = pattern(notes, n).unwrap_or_default();
            }
            "account" => {
                out.account = n.at;
                out.rule.account = name(notes, key, n);
            }
            "deny" => out.rule.deny = notes.boolean(key, n).unwrap_or_default(),
            _ => {
                out.cluster = n.at;
                out.rule.cluster = name(notes, key, n);
            }
        }),
        other => {
            let text = format!("{block}: expected an entry such as {{subject: \"public.>\"}}, found {}", other.kind());
            notes.wrong(node.at, block, text);
            return None;
        }
    }
    if !named {
        notes.wrong(node.at, block, format!("an entry of {block} has no subject: write one, \">\" stands for all"));
    }
    (!out.rule.subject.is_empty()).then_some(out)
}

/// The subject of an entry.
fn pattern(notes: &mut Notes<'_>, node: &Node) -> Option<Box<[u8]>> {
    if matches!(node.value, Value::Array(_)) {
        notes.wrong(node.at, "subject", "subject: one entry has one subject: write an entry for each");
        return None;
    }
    let text = notes.text("subject", node)?;
    let bytes = text.as_bytes();
    let why = if text.is_empty() {
        "it is empty: \">\" stands for all"
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "it has blanks: no message has such a subject"
    } else if bytes.len() > TOLD_SUBJECT_BYTES_MAX {
        notes.wrong(node.at, "subject", format!("subject is longer than {TOLD_SUBJECT_BYTES_MAX} bytes"));
        return None;
    } else if subject::has_empty_token(bytes) {
        "it begins or ends with a dot, or has two in a row: take the dot out, or put a token or * beside it"
    } else if !subject::valid_subscription(bytes) {
        "> stands for all that follows and may only be last: write * for one token"
    } else {
        return Some(bytes.into());
    };
    let shown: String = text.chars().take(64).collect();
    notes.wrong(node.at, "subject", format!("invalid subject \"{}\": {why}", shown.escape_debug()));
    None
}

/// The name of a cluster or an account.
fn name(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Box<str>> {
    let text = notes.text(key, node)?;
    if text.is_empty() {
        notes.wrong(node.at, key, format!("{key} is empty: write a name, or leave {key} out"));
        return None;
    }
    if key != "account" && text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        notes.wrong(node.at, key, format!("{key}: the name of a cluster has no blanks"));
        return None;
    }
    Some(text.into())
}

impl Default for Borders {
    fn default() -> Self {
        Borders { exports: None, imports: None, reply_window: Duration::from_secs(30), reply_max: None }
    }
}
