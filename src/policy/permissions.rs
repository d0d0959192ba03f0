//! `permissions` of a user and `default_permissions`, from the tree to [`Permissions`] (operations.md §4, client-protocol.md
//! §16). Called by the reader of users, once for each such block.

use super::keys::Scope;
use super::quantity;
use super::reading::Notes;
use super::tree::{At, Node, Table, Value};
use crate::base::limits::PERMISSION_WARNINGS_MAX;
use crate::interest::permit::{Entry, Lists, Permissions, Responses};
use crate::wire::subject;

/// Which of the two blocks a list is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Publish,
    /// Its entries may name queue groups.
    Subscribe,
}

/// Reads a block; `key` is its name. None: it is none, which is a mistake.
pub(super) fn permissions(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Permissions> {
    let Value::Table(table) = &node.value else {
        notes.wrong(node.at, key, format!("Expected permissions to be a map/struct, got {}", node.value.kind()));
        return None;
    };
    let mut out = Permissions::default();
    let (mut publish, mut subscribe) = (None, None);
    notes.walk(Scope::Permissions, table, |notes, key, n| match key {
        "publish" => out.publish = once(notes, &mut publish, key, n, Side::Publish),
        "subscribe" => out.subscribe = once(notes, &mut subscribe, key, n, Side::Subscribe),
        _ => out.responses = responses(notes, key, n),
    });
    if out.responses.is_some() {
        // Who may answer what he is asked may do nothing else but what is allowed in so many words.
        out.publish.allow.get_or_insert_default();
    }
    let empty = |lists: &Lists| lists.allow.as_ref().is_some_and(Vec::is_empty);
    for (key, at, lists) in [("publish", publish, &mut out.publish), ("subscribe", subscribe, &mut out.subscribe)] {
        let Some(at) = at.filter(|_| empty(lists)) else { continue };
        if key == "publish" && out.responses.is_some() {
            continue;
        }
        // As nats-server has it.
        lists.allow = None;
        let place = notes.place(at);
        warn(
            notes,
            format!("{place}: {key}: an empty list of what is allowed allows everything: to deny all, deny \">\""),
        );
    }
    Some(out)
}

/// `publish` or `subscribe`, which have three names each: which of two blocks counts could only be guessed.
fn once(notes: &mut Notes<'_>, seen: &mut Option<At>, key: &str, node: &Node, side: Side) -> Lists {
    if let Some(first) = seen.replace(node.at) {
        let place = notes.place(first);
        notes.wrong(node.at, key, format!("{key} stands here under one name and at {place} under another: keep one"));
    }
    match &node.value {
        Value::Table(table) => lists(notes, table, side),
        _ => Lists { allow: Some(entries(notes, key, node, side)), deny: Vec::new() },
    }
}

fn lists(notes: &mut Notes<'_>, table: &Table, side: Side) -> Lists {
    let mut out = Lists::default();
    notes.walk(Scope::PermissionSubjects, table, |notes, key, n| match key {
        "allow" => out.allow = Some(entries(notes, key, n, side)),
        _ => out.deny = entries(notes, key, n, side),
    });
    out
}

/// One subject or a list of them.
fn entries(notes: &mut Notes<'_>, key: &str, node: &Node, side: Side) -> Vec<Entry> {
    let one = |notes: &mut Notes<'_>, n: &Node| match &n.value {
        Value::String(text) => entry(notes, key, n.at, text, side),
        _ => {
            notes.wrong(n.at, key, "Subject in permissions array cannot be cast to string");
            None
        }
    };
    match &node.value {
        Value::String(text) => entry(notes, key, node.at, text, side).into_iter().collect(),
        Value::Array(list) => list.iter().filter_map(|n| one(notes, n)).collect(),
        other => {
            let found = other.kind();
            let text = format!("Expected subject permissions to be a subject, or array of subjects, got {found}");
            notes.wrong(node.at, key, text);
            Vec::new()
        }
    }
}

/// `subject`, or where subscriptions are meant `subject queue`.
fn entry(notes: &mut Notes<'_>, key: &str, at: At, text: &str, side: Side) -> Option<Entry> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (subject, queue) = match words[..] {
        [subject] if subject == text => (subject, ""),
        [subject, queue] if side == Side::Subscribe => (subject, queue),
        _ => (text, ""),
    };
    let shown = |text: &str| text.chars().take(64).collect::<String>().escape_debug().to_string();
    let blank = |s: &str| s.chars().any(|c| c.is_whitespace() || c == '\0');
    if blank(subject) || !subject::valid_subscription(subject.as_bytes()) {
        notes.wrong(at, key, format!("subject \"{}\" is not a valid subject", shown(subject)));
        return None;
    }
    if !queue.is_empty() && (blank(queue) || !subject::valid_subscription(queue.as_bytes())) {
        notes.wrong(at, key, format!("queue \"{}\" is not a valid queue", shown(queue)));
        return None;
    }
    if [subject, queue].iter().any(|s| super::border::looks_wild(s.as_bytes())) {
        let place = notes.place(at);
        let text = format!(
            "{place}: {key}: in \"{}\" a wildcard within a token is an ordinary character: * and > mean something only \
             as whole tokens",
            shown(text)
        );
        warn(notes, text);
    }
    Some(Entry { subject: subject.as_bytes().into(), queue: queue.as_bytes().into() })
}

/// A few of these tell an operator what is amiss.
fn warn(notes: &mut Notes<'_>, sentence: String) {
    if notes.warnings.len() < PERMISSION_WARNINGS_MAX {
        notes.warn(sentence);
    }
}

fn responses(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Responses> {
    let table = match &node.value {
        Value::Bool(yes) => return yes.then_some(Responses::DEFAULT),
        Value::Table(table) => table,
        _ => {
            notes.wrong(node.at, key, "error parsing response permissions, expected a boolean or a map");
            return None;
        }
    };
    let mut out = Responses::DEFAULT;
    notes.walk(Scope::Responses, table, |notes, key, n| match key {
        "max" => match notes.integer(key, n) {
            Some(1..) => out.max = notes.integer(key, n).map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            Some(..=-1) => out.max = None,
            // 0 is "the default" here, too.
            _ => {}
        },
        _ => out.within_ns = within(notes, key, n).unwrap_or(out.within_ns),
    });
    Some(out)
}

/// `expires`: negative is for ever, 0 the default.
fn within(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Option<u64>> {
    let Value::String(text) = &node.value else {
        notes.wrong(node.at, key, "error parsing expires, not a duration string");
        return None;
    };
    match quantity::duration_ns(text) {
        Ok(0) => None,
        Ok(ns) => Some(u64::try_from(ns).ok()),
        Err(why) => {
            notes.wrong(node.at, key, format!("error parsing expires: {why}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
