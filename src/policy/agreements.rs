//! What accounts agree on: `exports` and `imports`, from the tree to what each account is given ([`Shares`]), with
//! nats-server's verdicts (operations.md §5). Called by the reader of accounts, once per configuration.

use super::keys::Scope;
use super::reading::Notes;
use super::settings::Account;
use super::shares::{Answers, ServiceImport, Shares, StreamImport};
use super::tree::{At, Node, Value};
use crate::base::limits::IMPORT_DEPTH_MAX;
use crate::wire::mapping::{collide, Mapping};
use crate::wire::subject::{contains, is_literal, tokens, valid_subscription};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a request waits unless the export says otherwise, as in nats-server.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    Service,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Service => "service",
        }
    }
}

/// An entry of `exports`.
struct Export {
    kind: Kind,
    subject: String,
    /// Who may import it; empty: everybody.
    accounts: Vec<String>,
    /// The token that has to be the importing account's name; 0: none.
    position: usize,
    answers: Answers,
    patience: Duration,
    allow_trace: bool,
    at: At,
}

/// An entry of `imports`.
struct Import {
    kind: Kind,
    account: String,
    subject: String,
    prefix: String,
    to: String,
    share: bool,
    allow_trace: bool,
    at: At,
}

/// What one account says of it, before it is known to fit together.
#[derive(Default)]
pub(super) struct Offers {
    exports: Vec<Export>,
    imports: Vec<Import>,
}

impl Offers {
    /// Reads `exports` or `imports` of an account.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let Value::Array(list) = &node.value else {
            let what = node.value.kind();
            return notes.wrong(node.at, key, format!("{key} should be an array, found {what}: write {key}: [ … ]"));
        };
        for entry in list {
            match key {
                "exports" => self.exports.extend(export(notes, entry)),
                _ => self.imports.extend(import(notes, entry)),
            }
        }
    }
}

fn export(notes: &mut Notes<'_>, node: &Node) -> Option<Export> {
    let table = notes.table("exports", node)?;
    let before = notes.mistakes();
    let mut found: Vec<(Kind, String)> = Vec::new();
    let (mut accounts, mut position, mut answers, mut patience) = (Vec::new(), 0, None, None);
    let mut trace = None;
    notes.walk(Scope::Export, table, |notes, key, n| match key {
        "stream" => found.extend(notes.text(key, n).map(|s| (Kind::Stream, s))),
        "service" => found.extend(notes.text(key, n).map(|s| (Kind::Service, s))),
        "accounts" => accounts = notes.texts(key, n).unwrap_or_default(),
        "account_token_position" => position = notes.count(key, n, 255).unwrap_or(0),
        "allow_trace" => trace = notes.boolean(key, n),
        "response" => answers = notes.text(key, n).and_then(|text| word(notes, key, n, &text)),
        _ => patience = notes.duration_text(key, n).and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos),
    });
    let (kind, subject) = only(notes, node, found)?;
    if kind == Kind::Stream && (answers.is_some() || patience.is_some()) {
        notes.wrong(node.at, "response", "Detected response directive on non-service: only services are answered");
    }
    if kind == Kind::Stream && trace.is_some() {
        let text = "Detected allow_trace directive on non-service: of a stream the import says it";
        notes.wrong(node.at, "allow_trace", text);
    }
    let stars = tokens(subject.as_bytes()).nth(position.wrapping_sub(1));
    if !valid_subscription(subject.as_bytes()) || subject.bytes().any(|b| b <= b' ') {
        notes.wrong(node.at, kind.word(), format!("\"{subject}\" is not a valid subject"));
    } else if position > 0 && stars != Some(b"*") {
        let text = format!("account_token_position {position} must be that of a \"*\" in \"{subject}\"");
        notes.wrong(node.at, "account_token_position", text);
    }
    let (answers, patience) = (answers.unwrap_or_default(), patience.filter(|p| !p.is_zero()).unwrap_or(PATIENCE));
    let allow_trace = trace.unwrap_or(false);
    let export = Export { kind, subject, accounts, position, answers, patience, allow_trace, at: node.at };
    (notes.mistakes() == before).then_some(export)
}

fn word(notes: &mut Notes<'_>, key: &str, node: &Node, text: &str) -> Option<Answers> {
    match text.to_ascii_lowercase().as_str() {
        "single" | "singleton" => Some(Answers::One),
        "stream" => Some(Answers::Many),
        "chunk" | "chunked" => Some(Answers::Chunks),
        _ => {
            notes.wrong(node.at, key, format!("Unknown response type: \"{text}\", use single, stream or chunked"));
            None
        }
    }
}

/// The one stream or service that an entry is about; nats-server passes over one that is about nothing.
fn only<T>(notes: &mut Notes<'_>, node: &Node, mut found: Vec<(Kind, T)>) -> Option<(Kind, T)> {
    let first = found.pop();
    match (&first, found.pop()) {
        (None, _) => notes.warn(format!("{}: an entry without stream or service shares nothing", notes.place(node.at))),
        (Some((kind, _)), Some((other, _))) => {
            let text = format!("Detected {} but already saw a {}: write two entries", kind.word(), other.word());
            notes.wrong(node.at, kind.word(), text);
            return None;
        }
        _ => {}
    }
    first
}

fn import(notes: &mut Notes<'_>, node: &Node) -> Option<Import> {
    let table = notes.table("imports", node)?;
    let before = notes.mistakes();
    let mut found: Vec<(Kind, (String, String))> = Vec::new();
    let (mut prefix, mut to, mut share, mut trace) = (String::new(), String::new(), false, None);
    notes.walk(Scope::Import, table, |notes, key, n| match key {
        "stream" => found.extend(source(notes, key, n).map(|s| (Kind::Stream, s))),
        "service" => found.extend(source(notes, key, n).map(|s| (Kind::Service, s))),
        "prefix" => prefix = notes.text(key, n).unwrap_or_default(),
        "to" => to = notes.text(key, n).unwrap_or_default(),
        "allow_trace" => trace = notes.boolean(key, n),
        _ => share = notes.boolean(key, n).unwrap_or(false),
    });
    if notes.mistakes() > before {
        return None;
    }
    let (kind, (account, subject)) = only(notes, node, found)?;
    if kind == Kind::Service && trace.is_some() {
        let text = "Detected allow_trace directive on a non-stream: of a service the export says it";
        notes.wrong(node.at, "allow_trace", text);
        return None;
    }
    let allow_trace = trace.unwrap_or(false);
    Some(Import { kind, account, subject, prefix, to, share, allow_trace, at: node.at })
}

/// `{account: …, subject: …}`
fn source(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<(String, String)> {
    let table = notes.table(key, node)?;
    let (mut account, mut subject) = (String::new(), String::new());
    notes.walk(Scope::Shared, table, |notes, key, n| match key {
        "account" => account = notes.text(key, n).unwrap_or_default(),
        _ => subject = notes.text(key, n).unwrap_or_default(),
    });
    if account.is_empty() || subject.is_empty() {
        notes.wrong(node.at, key, "Expect an account name and a subject: {account: NAME, subject: \"…\"}");
        return None;
    }
    Some((account, subject))
}

/// Fits together what the accounts at these places say. Those that are not among them do not share.
pub(super) fn bind(notes: &mut Notes<'_>, mut offers: Vec<(usize, Offers)>, accounts: &mut [Account]) {
    offers.sort_by_key(|(place, _)| *place);
    let known = |name: &str| offers.iter().find(|(place, _)| accounts[*place].name == name);
    for (_, offer) in &offers {
        for export in &offer.exports {
            for name in export.accounts.iter().filter(|name| known(name).is_none()) {
                let text = format!("\"{name}\" account not defined for {} export", export.kind.word());
                notes.wrong(export.at, "accounts", text);
            }
        }
    }
    let mut all: Vec<(usize, Shares)> = Vec::new();
    let mut taken = BTreeSet::new();
    for (place, offer) in &offers {
        let mut shares = Shares::default();
        let own = &accounts[*place].name;
        for import in &offer.imports {
            let kind = import.kind.word();
            let Some((from, theirs)) = known(&import.account) else {
                let text = format!("\"{}\" account not defined for {kind} import", import.account);
                notes.wrong(import.at, kind, text);
                continue;
            };
            let export = approved(theirs, import, own);
            taken.extend(export.as_ref().map(|export| export.at));
            let bound =
                export.and_then(|export| take(&mut shares, *from as u16, import, export).map_err(|why| (why, "")));
            if let Err((why, remedy)) = bound {
                let text = format!("Error adding {kind} import \"{}\": {why}{remedy}", import.subject);
                notes.wrong(import.at, kind, text);
            }
        }
        all.push((*place, shares));
    }
    let path = |at: usize| accounts[at].name.as_str();
    for (place, offer) in &offers {
        for import in &offer.imports {
            let kind = import.kind.word();
            if let Some((why, way)) = misled(&offers, path, *place, import) {
                let text = format!("Error adding {kind} import \"{}\": {why}: {}", import.subject, way.join(" -> "));
                notes.wrong(import.at, kind, text);
            }
        }
    }
    for (place, offer) in &offers {
        for export in offer.exports.iter().filter(|e| !taken.contains(&e.at)) {
            let (name, kind) = (&accounts[*place].name, export.kind.word());
            let text = format!("no account imports the {kind} \"{}\" that account {name:?} exports", export.subject);
            notes.idle.push((notes.place(export.at), text));
        }
    }
    for (place, shares) in all {
        accounts[place].shares = Arc::new(shares);
    }
}

/// The export that lets an account import what it asks for.
fn approved<'o>(theirs: &'o Offers, import: &Import, importer: &str) -> Result<&'o Export, (String, &'static str)> {
    let subject = import.subject.as_bytes();
    let of_kind = || theirs.exports.iter().filter(|e| e.kind == import.kind);
    let exact = || of_kind().filter(|e| e.subject == import.subject);
    // One that is for exactly this subject decides alone.
    let named = exact().next().is_some();
    let wider = || of_kind().filter(|e| !named && contains(e.subject.as_bytes(), subject));
    let mut candidates = exact().chain(wider()).peekable();
    let exists = candidates.peek().is_some();
    let found = candidates.find(|e| {
        let listed = || of_kind().filter(|o| o.subject == e.subject).flat_map(|o| &o.accounts);
        match e.position {
            0 => listed().next().is_none() || listed().any(|name| name == importer),
            n => tokens(subject).nth(n - 1) == Some(importer.as_bytes()),
        }
    });
    found.ok_or_else(|| {
        let remedy = match exists {
            true => ", its export is for other accounts",
            false => ", the account has no such export",
        };
        (format!("{} import not authorized", import.kind.word()), remedy)
    })
}

/// Adds an import to what an account is given.
fn take(shares: &mut Shares, from: u16, import: &Import, export: &Export) -> Result<(), String> {
    let names = names(import)?;
    if import.kind == Kind::Stream {
        // Whatever it is called here.
        let twice = shares.streams.iter().any(|s| s.from == from && s.names.their_pattern() == names.their_pattern());
        shares.streams.push(StreamImport { from, names, allow_trace: import.allow_trace });
        return if twice { Err("stream import already exists".into()) } else { Ok(()) };
    }
    let ours = names.our_pattern();
    let twice = shares.services.iter().any(|s| s.names.our_pattern() == ours);
    let Export { answers, patience, allow_trace, .. } = *export;
    shares.services.push(ServiceImport { to: from, names, share: import.share, answers, patience, allow_trace });
    match twice {
        true => Err(format!("\"{}\" is another service's subject already", String::from_utf8_lossy(&ours))),
        false => Ok(()),
    }
}

/// What the subjects are called in both accounts.
fn names(import: &Import) -> Result<Mapping, String> {
    let (subject, to) = (import.subject.as_str(), import.to.as_str());
    let literal = is_literal(subject.as_bytes());
    let explained =
        |why: String| format!("failed to create mapping transform for {} import: {why}", import.kind.word());
    if import.kind == Kind::Stream && !import.prefix.is_empty() {
        let prefix = import.prefix.strip_suffix('.').unwrap_or(&import.prefix);
        if !is_literal(prefix.as_bytes()) || !valid_subscription(prefix.as_bytes()) {
            return Err("stream import prefix can not contain wildcard tokens".into());
        }
        return Mapping::renamed(subject, &format!("{prefix}.{subject}")).map_err(explained);
    }
    match (import.kind, to) {
        (_, "") => Mapping::same(subject),
        (_, to) if to == subject => Mapping::same(subject),
        (Kind::Stream, to) if literal => Mapping::single(subject, to),
        (Kind::Service, to) if literal => Mapping::gathered(subject, to),
        _ => Mapping::renamed(subject, to),
    }
    .map_err(explained)
}

/// Do imports of the account that an import is from, one after the other, lead back, or, of services, further than a request
/// is followed? Then what is wrong, and the accounts on the way.
fn misled<'a>(
    offers: &'a [(usize, Offers)],
    name: impl Fn(usize) -> &'a str,
    start: usize,
    import: &'a Import,
) -> Option<(&'static str, Vec<&'a str>)> {
    let start = name(start);
    let (mut path, mut stack, mut seen) = (vec![start], vec![(import, 1)], Vec::new());
    while let Some((via, depth)) = stack.pop() {
        path.truncate(depth);
        path.push(via.account.as_str());
        let here = offers.iter().find(|(place, _)| name(*place) == via.account);
        let nexts = here.iter().flat_map(|(_, o)| &o.imports);
        for next in nexts.filter(|i| i.kind == import.kind && comes_to(i, &via.subject)) {
            if next.account == start {
                path.push(start);
                return Some(("import forms a cycle", path));
            }
            if depth == IMPORT_DEPTH_MAX && import.kind == Kind::Service {
                return Some(("a request would be passed on too often", path));
            }
            if depth < IMPORT_DEPTH_MAX && !seen.contains(&next.at) {
                seen.push(next.at);
                stack.push((next, depth + 1));
            }
        }
    }
    None
}

/// Has an import to do with a subject of its account?
fn comes_to(import: &Import, subject: &str) -> bool {
    names(import).is_ok_and(|n| collide(&n.our_pattern(), subject.as_bytes()))
}
