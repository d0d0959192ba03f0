//! `mappings` of an account, from the tree to [`Rewrites`], with nats-server's verdicts (operations.md §5). Called by the
//! reader of accounts, once per configuration.

use super::keys::Scope;
use super::reading::Notes;
use super::rewrites::{Destination, Rewrites};
use super::tree::{Node, Value};

/// Reads them.
pub(super) fn mappings(notes: &mut Notes<'_>, node: &Node) -> Rewrites {
    let mut out = Rewrites::default();
    let Some(table) = notes.table("mappings", node) else { return out };
    for entry in table.entries().iter().filter(|e| !e.used) {
        let (source, node) = (&entry.key, &entry.node);
        let before = notes.mistakes();
        let destinations: Vec<Destination> = match &node.value {
            Value::String(subject) => vec![Destination { subject: subject.clone(), weight: 100, ..Default::default() }],
            Value::Array(list) => list.iter().filter_map(|n| destination(notes, n)).collect(),
            _ => destination(notes, node).into_iter().collect(),
        };
        if notes.mistakes() > before {
            continue;
        }
        if let Err(why) = out.add(source, &destinations) {
            let what = destinations.first().filter(|_| destinations.len() == 1);
            let what = what.map_or(String::new(), |d| format!(" to \"{}\"", d.subject));
            notes.wrong(node.at, source, format!("Error adding mapping for \"{source}\"{what}: {why}"));
        }
    }
    out
}

/// `{destination: …, weight: …, cluster: …}`
fn destination(notes: &mut Notes<'_>, node: &Node) -> Option<Destination> {
    let Value::Table(table) = &node.value else {
        let text = "Expected an entry for the mapping destination: {destination: \"…\", weight: 50}";
        notes.wrong(node.at, "mappings", text);
        return None;
    };
    let (mut out, mut weight) = (Destination::default(), None);
    let before = notes.mistakes();
    notes.walk(Scope::Mapping, table, |notes, key, n| match key {
        "destination" => out.subject = notes.text(key, n).unwrap_or_default(),
        "cluster" => out.cluster = notes.text(key, n).unwrap_or_default(),
        _ => weight = share(notes, key, n),
    });
    if notes.mistakes() > before {
        return None;
    }
    let Some(weight) = weight else {
        let text = format!("Missing weight for mapping destination \"{}\": write weight: 100", out.subject);
        notes.wrong(node.at, "weight", text);
        return None;
    };
    Some(Destination { weight, ..out })
}

/// Of a hundred: `50` or `"50%"`.
fn share(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<u8> {
    let (shown, n) = match &node.value {
        Value::Integer(n) => (n.to_string(), Some(*n)),
        Value::String(s) => (format!("\"{s}\""), s.strip_suffix('%').unwrap_or(s).parse().ok()),
        other => (other.kind().to_owned(), None),
    };
    let weight = n.and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 100);
    if weight.is_none() {
        let text = format!("Invalid weight {shown} for mapping destination: it is a number from 0 to 100");
        notes.wrong(node.at, key, text);
    }
    weight
}
