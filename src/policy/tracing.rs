//! `msg_trace` of an account: where is told of messages that bear a `traceparent` header, and of how many. From the tree, with
//! nats-server's verdicts; called by the reader of accounts, once per configuration.

use super::keys::Scope;
use super::reading::Notes;
use super::tree::{Node, Value};
use crate::wire::traced::{is_subject, Told};

/// Where is told of messages that are traced elsewhere, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRule {
    /// The subject.
    pub dest: Box<str>,
    /// Of so many among a hundred.
    pub sampling: u8,
}

impl TraceRule {
    /// What an account's token says of it.
    pub(super) fn of(said: &Told) -> Option<TraceRule> {
        let sampling = match said.sampling.unwrap_or(0) {
            0 => 100,
            n => u8::try_from(n).ok().filter(|n| *n <= 100)?,
        };
        let dest = said.dest.as_deref().filter(|dest| is_subject(dest.as_bytes()))?;
        Some(TraceRule { dest: dest.into(), sampling })
    }
}

/// Reads it: a subject, or `{dest: …, sampling: …}`.
pub(super) fn tracing(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<TraceRule> {
    let (mut dest, mut sampling) = (None, None);
    match &node.value {
        Value::String(_) => dest = subject(notes, key, node),
        Value::Table(table) => {
            let before = notes.mistakes();
            notes.walk(Scope::MsgTrace, table, |notes, key, n| match key {
                "dest" => dest = subject(notes, key, n),
                _ => sampling = share(notes, key, n),
            });
            if notes.mistakes() > before {
                return None;
            }
            if dest.is_none() && sampling.is_some() {
                notes.wrong(node.at, key, "sampling without dest traces nothing: write {dest: \"…\", sampling: 100}");
            }
        }
        other => {
            let what = other.kind();
            notes.wrong(
                node.at,
                key,
                format!("{key} should be a subject or {{dest: \"…\", sampling: 100}}, found {what}"),
            );
        }
    }
    dest.map(|dest| TraceRule { dest, sampling: sampling.unwrap_or(100) })
}

fn subject(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Box<str>> {
    let text = notes.text(key, node)?;
    if !is_subject(text.as_bytes()) {
        let why = format!("Trace destination \"{text}\" is not valid: it is a subject without wildcards");
        notes.wrong(node.at, key, why);
        return None;
    }
    Some(text.into())
}

/// Of a hundred: `50` or `"50%"`.
fn share(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<u8> {
    let (shown, n) = match &node.value {
        Value::Integer(n) => (n.to_string(), Some(*n)),
        Value::String(s) => (format!("\"{s}\""), s.strip_suffix('%').unwrap_or(s).parse().ok()),
        other => (other.kind().to_owned(), None),
    };
    let share = n.and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=100).contains(n));
    if share.is_none() {
        let text = format!("Trace destination sampling value {shown} is invalid, needs to be [1..100]");
        notes.wrong(node.at, key, text);
    }
    share
}
