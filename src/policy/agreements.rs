//! What accounts agree on: `exports` and `imports`, from the tree to what each account is given ([`Shares`]), with
//! nats-server's verdicts (operations.md §5). Called by the reader of accounts, once per configuration.

use super::activation::Guard;
use super::keys::Scope;
use super::reading::Notes;
use super::settings::Account;
use super::shares::{Answers, ServiceImport, Shares, StreamImport, Term};
use super::tree::{At, Node, Value};
use crate::base::limits::IMPORT_DEPTH_MAX;
use crate::wire::jwt::{Activation, Claims, Shared as Kind};
use crate::wire::mapping::{collide, Mapping};
use crate::wire::subject::{contains, is_literal, tokens, valid_subscription};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a request waits unless the export says otherwise, as in nats-server.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// An entry of `exports`.
pub(super) struct Export {
    pub(super) kind: Kind,
    pub(super) subject: String,
    /// Who may import it; empty: everybody.
    pub(super) accounts: Vec<String>,
    /// The token that has to be the importing account's name; 0: none.
    pub(super) position: usize,
    /// Who may import it is said by tokens.
    pub(super) guard: Option<Guard>,
    pub(super) answers: Answers,
    pub(super) patience: Duration,
    pub(super) allow_trace: bool,
    pub(super) at: At,
}

/// An entry of `imports`.
pub(super) struct Import {
    pub(super) kind: Kind,
    pub(super) account: String,
    pub(super) subject: String,
    pub(super) prefix: String,
    pub(super) to: String,
    pub(super) share: bool,
    pub(super) allow_trace: bool,
    /// The token for it.
    pub(super) activation: Option<Claims<Activation>>,
    pub(super) at: At,
}

/// What one account says of it, before it is known to fit together.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) exports: Vec<Export>,
    pub(super) imports: Vec<Import>,
    /// When there is such an account.
    pub(super) term: Term,
}

/// What becomes of what does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfits {
    /// The configuration is refused.
    Refused,
    /// It is passed over, and the operator is told: tokens are their accounts', who cannot stop a server by them.
    PassedOver,
}

/// An import that its export allows.
struct Bound<'o> {
    import: &'o Import,
    /// Place of the account that exports it.
    from: usize,
    export: &'o Export,
    term: Term,
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
    let (allow_trace, at) = (trace.unwrap_or(false), node.at);
    let export = Export { kind, subject, accounts, position, guard: None, answers, patience, allow_trace, at };
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
    Some(Import { kind, account, subject, prefix, to, share, allow_trace, activation: None, at: node.at })
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
pub(super) fn bind(
    notes: &mut Notes<'_>,
    mut offers: Vec<(usize, Offers)>,
    accounts: &mut [Account],
    misfits: Misfits,
) {
    offers.sort_by_key(|(place, _)| *place);
    let names: Vec<String> = accounts.iter().map(|a| a.name.clone()).collect();
    for (_, offer) in &offers {
        for export in &offer.exports {
            for name in export.accounts.iter().filter(|name| !offers.iter().any(|(place, _)| names[*place] == **name)) {
                let text = format!("\"{name}\" account not defined for {} export", export.kind.word());
                notes.wrong(export.at, "accounts", text);
            }
        }
    }
    let mut bound = Vec::new();
    for (place, offer) in &offers {
        let allow = |import| {
            allowed(&offers, &names, &names[*place], import).map(|b| Bound { term: b.term.within(offer.term), ..b })
        };
        let mut imports = Vec::new();
        for import in &offer.imports {
            match allow(import) {
                Ok(found) => imports.push(found),
                Err(why) => object(notes, misfits, &names[*place], import, &why),
            }
        }
        bound.push((*place, imports));
    }
    for (place, imports) in &bound {
        let mut shares = Shares::default();
        for found in imports {
            let way = |path: Vec<usize>| path.iter().map(|at| names[*at].as_str()).collect::<Vec<_>>().join(" -> ");
            let taken = match misled(&bound, *place, found) {
                Some((why, path)) => Err(format!("{why}: {}", way(path))),
                None => take(&mut shares, found),
            };
            if let Err(why) = taken {
                object(notes, misfits, &names[*place], found.import, &why);
            }
        }
        accounts[*place].shares = Arc::new(shares);
    }
    if misfits == Misfits::Refused {
        let taken: BTreeSet<At> = bound.iter().flat_map(|(_, imports)| imports).map(|b| b.export.at).collect();
        for (place, offer) in &offers {
            for export in offer.exports.iter().filter(|e| !taken.contains(&e.at)) {
                let (name, kind) = (&names[*place], export.kind.word());
                let text =
                    format!("no account imports the {kind} \"{}\" that account {name:?} exports", export.subject);
                notes.idle.push((notes.place(export.at), text));
            }
        }
    }
}

/// Says what is wrong with an import.
fn object(notes: &mut Notes<'_>, misfits: Misfits, own: &str, import: &Import, why: &str) {
    let kind = import.kind.word();
    let text = format!("Error adding {kind} import \"{}\": {why}", import.subject);
    match misfits {
        Misfits::Refused => notes.wrong(import.at, kind, text),
        Misfits::PassedOver => notes.warn(format!("Account [{own}], from [{}]: {text}", import.account.escape_debug())),
    }
}

/// Finds the export that lets an account import what it asks for.
fn allowed<'o>(
    offers: &'o [(usize, Offers)],
    names: &[String],
    own: &str,
    import: &'o Import,
) -> Result<Bound<'o>, String> {
    let known = offers.iter().find(|(place, _)| names[*place] == import.account);
    let Some((from, theirs)) = known else {
        let account = import.account.escape_debug();
        return Err(format!("\"{account}\" account not defined for {} import", import.kind.word()));
    };
    let (export, term) = approved(theirs, import, own)?;
    Ok(Bound { import, from: *from, export, term: term.within(theirs.term) })
}

/// The export that lets an account import what it asks for, and when.
fn approved<'o>(theirs: &'o Offers, import: &Import, importer: &str) -> Result<(&'o Export, Term), String> {
    let subject = import.subject.as_bytes();
    let of_kind = || theirs.exports.iter().filter(|e| e.kind == import.kind);
    let exact = || of_kind().filter(|e| e.subject == import.subject);
    // One that is for exactly this subject decides alone.
    let named = exact().next().is_some();
    let wider = || of_kind().filter(|e| !named && contains(e.subject.as_bytes(), subject));
    let mut why = "the account has no such export";
    for export in exact().chain(wider()) {
        let listed = || of_kind().filter(|o| o.subject == export.subject).flat_map(|o| &o.accounts);
        let found = match (export.position, &export.guard) {
            (0, Some(guard)) => guard.admits(import.activation.as_ref(), &import.account, importer),
            (0, None) if listed().next().is_none() || listed().any(|name| name == importer) => Ok(Term::default()),
            (n, _) if n > 0 && tokens(subject).nth(n - 1) == Some(importer.as_bytes()) => Ok(Term::default()),
            _ => Err("its export is for other accounts"),
        };
        match found {
            Ok(term) => return Ok((export, term)),
            Err(reason) => why = reason,
        }
    }
    Err(format!("{} import not authorized, {why}", import.kind.word()))
}

/// Adds an import to what an account is given.
fn take(shares: &mut Shares, found: &Bound<'_>) -> Result<(), String> {
    let Bound { import, from, export, term } = *found;
    let (names, from) = (names(import)?, from as u16);
    if import.kind == Kind::Stream {
        // Whatever it is called here.
        let theirs = names.their_pattern();
        let mut all = shares.streams.iter().chain(&shares.timed.streams);
        if all.any(|s| s.from == from && s.names.their_pattern() == theirs) {
            return Err("stream import already exists".into());
        }
        let streams = if term.is_open() { &mut shares.streams } else { &mut shares.timed.streams };
        streams.push(StreamImport { from, names, allow_trace: import.allow_trace, term });
        return Ok(());
    }
    let ours = names.our_pattern();
    if shares.services.iter().chain(&shares.timed.services).any(|s| s.names.our_pattern() == ours) {
        return Err(format!("\"{}\" is another service's subject already", String::from_utf8_lossy(&ours)));
    }
    let Export { answers, patience, allow_trace, .. } = *export;
    let services = if term.is_open() { &mut shares.services } else { &mut shares.timed.services };
    services.push(ServiceImport { to: from, names, share: import.share, answers, patience, allow_trace, term });
    Ok(())
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
/// is followed? Then what is wrong, and the places of the accounts on the way.
fn misled<'o>(
    bound: &'o [(usize, Vec<Bound<'o>>)],
    start: usize,
    first: &'o Bound<'o>,
) -> Option<(&'static str, Vec<usize>)> {
    let kind = first.import.kind;
    let (mut path, mut stack, mut seen) = (vec![start], vec![(first, 1)], Vec::new());
    while let Some((via, depth)) = stack.pop() {
        path.truncate(depth);
        path.push(via.from);
        let here = bound.binary_search_by_key(&via.from, |(place, _)| *place).map_or(&[][..], |at| &bound[at].1);
        for next in here.iter().filter(|b| b.import.kind == kind && comes_to(b.import, &via.import.subject)) {
            if next.from == start {
                path.push(start);
                return Some(("import forms a cycle", path));
            }
            if depth == IMPORT_DEPTH_MAX && kind == Kind::Service {
                return Some(("a request would be passed on too often", path));
            }
            if depth < IMPORT_DEPTH_MAX && !seen.iter().any(|s| std::ptr::eq(*s, next)) {
                seen.push(next);
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
