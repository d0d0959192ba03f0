//! Is it sound what the token of an account exports, imports and maps (client-protocol.md §16)? By the rules of the libraries
//! that write such tokens: an account whose token is not sound nobody may enter, as with nats-server. Called by `trust`,
//! once per configuration; what it means to others: `offered`.

use super::activation;
use crate::base::limits::EXPORT_INFO_BYTES_MAX;
use crate::wire::jwt::{self, Shared};
use crate::wire::subject::{contains, is_literal, tokens};

/// Is it sound what an account's token exports, imports and maps?
///
/// # Errors
/// The first thing that is wrong, in nats-server's words where it has some.
pub(super) fn check(said: &jwt::Account, own: &str) -> Result<(), String> {
    let too_many = |limit: i64, n: usize| limit >= 0 && n as u64 > limit.unsigned_abs();
    if too_many(said.limits.imports, said.imports.len()) {
        return Err("the account contains more imports than allowed by the operator".into());
    }
    if too_many(said.limits.exports, said.exports.len()) {
        return Err("the account contains more exports than allowed by the operator".into());
    }
    let exports = all(&said.exports, "null export is not allowed")?;
    let counted = said.limits.exports >= 0 && !said.limits.wildcards;
    if counted && exports.iter().any(|e| !is_literal(e.subject.as_bytes())) {
        return Err("the account contains wildcard exports that are not allowed by the operator".into());
    }
    for (i, export) in exports.iter().enumerate() {
        check_export(export)?;
        let others = exports.iter().enumerate().filter(|(j, o)| *j != i && o.kind == export.kind).map(|(_, o)| o);
        if let Some(other) = others.into_iter().find(|o| contains(o.subject.as_bytes(), export.subject.as_bytes())) {
            let (wider, narrower) = (other.subject.escape_debug(), export.subject.escape_debug());
            return Err(format!("{} export subject \"{wider}\" already exports \"{narrower}\"", word(export.kind)));
        }
    }
    let imports = all(&said.imports, "null import is not allowed")?;
    for (i, import) in imports.iter().enumerate() {
        let twice = imports[..i].iter().find(|other| overlap(other, import));
        if let Some(other) = twice {
            let (one, two) = (requested(other).escape_debug(), requested(import).escape_debug());
            return Err(format!("overlapping subject namespace for \"{one}\" and \"{two}\" in the same account"));
        }
        check_import(import, own)?;
    }
    said.mappings.iter().try_for_each(|(source, list)| check_mapping(source, list))
}

fn all<'t, T>(list: &'t [Option<T>], null: &str) -> Result<Vec<&'t T>, String> {
    list.iter().map(|entry| entry.as_ref().ok_or_else(|| null.to_owned())).collect()
}

fn word(kind: Option<Shared>) -> &'static str {
    kind.map_or("unknown", Shared::word)
}

fn check_subject(subject: &str) -> Result<(), String> {
    let shown = subject.escape_debug();
    match subject {
        "" => Err("subject cannot be empty".into()),
        s if s.contains(' ') => Err(format!("subject \"{shown}\" cannot have spaces")),
        s if s.starts_with('.') => Err(format!("subject \"{shown}\" cannot start with a `.`")),
        s if s.ends_with('.') => Err(format!("subject \"{shown}\" cannot end with a `.`")),
        s if s.contains("..") => Err(format!("subject \"{shown}\" cannot contain consecutive `.`")),
        _ => Ok(()),
    }
}

fn check_export(e: &jwt::Export) -> Result<(), String> {
    let service = e.kind == Some(Shared::Service);
    if e.kind.is_none() {
        return Err("invalid export type: \"unknown\"".into());
    }
    let answers = e.response_type.as_str();
    if !(answers.is_empty() || service && matches!(answers, "Singleton" | "Stream" | "Chunked")) {
        return Err(format!("invalid response type for {}: \"{}\"", word(e.kind), answers.escape_debug()));
    }
    if e.allow_trace && !service {
        return Err("AllowTrace only valid for service export".into());
    }
    if e.response_threshold < 0 {
        return Err("negative response threshold is invalid".into());
    }
    if e.response_threshold > 0 && !service {
        return Err("response threshold only valid for services".into());
    }
    check_subject(&e.subject)?;
    let position = e.account_token_position as usize;
    if position > 0 && tokens(e.subject.as_bytes()).nth(position - 1) != Some(b"*") {
        let subject = e.subject.escape_debug();
        return Err(format!("Account Token Position {position} must match a * in: {subject}"));
    }
    if e.description.len() > EXPORT_INFO_BYTES_MAX || e.info_url.len() > EXPORT_INFO_BYTES_MAX {
        return Err("description or info url is too long".into());
    }
    let address = e.info_url.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
    match e.info_url.is_empty() || address {
        true => Ok(()),
        false => Err("error parsing info url: no hostname or scheme".into()),
    }
}

fn check_import(i: &jwt::Import, own: &str) -> Result<(), String> {
    let service = i.kind == Some(Shared::Service);
    let subject = i.subject.escape_debug();
    if i.kind.is_none() {
        return Err("invalid import type: \"unknown\"".into());
    }
    if i.allow_trace && service {
        return Err("AllowTrace only valid for stream import".into());
    }
    if i.account.is_empty() {
        return Err("account to import from is not specified".into());
    }
    check_subject(&i.subject)?;
    if !i.local_subject.is_empty() {
        check_subject(&i.local_subject)?;
        check_renamed(&i.subject, &i.local_subject)?;
        if !i.to.is_empty() {
            return Err("Local Subject replaces To".into());
        }
    }
    if i.share && !service {
        return Err(format!("sharing information (for latency tracking) is only valid for services: \"{subject}\""));
    }
    activation::read(i, own).map(|_| ())
}

/// A name for subjects has to end as they do, and to name each of their wildcards once.
fn check_renamed(from: &str, to: &str) -> Result<(), String> {
    let open = |s: &str| s == ">" || s.ends_with(".>");
    if open(from) != open(to) {
        return Err("both, renaming subject and subject, need to end or not end in >".into());
    }
    let stars = tokens(from.as_bytes()).filter(|t| *t == b"*").count();
    let mut used = 0;
    for token in to.split('.') {
        match token.strip_prefix('$').and_then(|n| n.parse::<i64>().ok()) {
            Some(n) if n > stars as i64 => {
                let (to, from) = (to.escape_debug(), from.escape_debug());
                return Err(format!("Reference ${n} in \"{to}\" reference * in \"{from}\" that do not exist"));
            }
            Some(_) => used += 1,
            None => used += usize::from(token == "*"),
        }
    }
    match used == stars {
        true => Ok(()),
        false => Err("subject does not contain enough * or reference wildcards $[0-9]".into()),
    }
}

/// The subject by which two imports of services are told apart.
fn requested(i: &jwt::Import) -> &str {
    [i.to.as_str(), &i.local_subject, &i.subject].into_iter().find(|s| !s.is_empty()).unwrap_or_default()
}

fn overlap(a: &jwt::Import, b: &jwt::Import) -> bool {
    let services = [a, b].iter().all(|i| i.kind == Some(Shared::Service)) && a.account == b.account;
    let (a, b) = (requested(a).as_bytes(), requested(b).as_bytes());
    services && (contains(a, b) || contains(b, a))
}

fn check_mapping(source: &str, list: &[jwt::WeightedMapping]) -> Result<(), String> {
    check_subject(source)?;
    for m in list {
        check_subject(&m.subject)?;
        let alike = list.iter().filter(|o| o.cluster == m.cluster);
        if alike.map(|o| u32::from(if o.weight == 0 { 100 } else { o.weight })).sum::<u32>() > 100 {
            let source = source.escape_debug();
            return Err(format!("Mapping \"{source}\" exceeds 100% among all of it's weight to mappings"));
        }
    }
    Ok(())
}
