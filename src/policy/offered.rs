//! What the token of an account says to those of others: its exports and imports (client-protocol.md §16), as `agreements` takes
//! them. Called by `operator`, once per configuration.

use super::activation::{self, Guard};
use super::agreements::{Export, Import, Offers, PATIENCE};
use super::shares::{Answers, Term};
use super::tree::At;
use crate::wire::jwt::{self, Grant, Shared};
use crate::wire::subject::valid_subscription;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an account's token, which is sound and good for this term, says to others' tokens, and what of it means nothing here.
/// `signers` are the account's keys, `at` is where the operator stands.
pub(super) fn offers(
    (own, said): (&str, &jwt::Account),
    signers: &BTreeMap<String, Option<Grant>>,
    term: Term,
    at: At,
) -> (Offers, Vec<String>) {
    let mut out = Offers { term, ..Offers::default() };
    let mut idle = Vec::new();
    let sound = |subject: &str| valid_subscription(subject.as_bytes()) && subject.bytes().all(|b| b > b' ');
    for e in said.exports.iter().flatten() {
        let (Some(kind), shown) = (e.kind, e.subject.escape_debug()) else { continue };
        if e.latency.is_some() {
            idle.push(format!("latency of the {} export \"{shown}\" is not measured", kind.word()));
        }
        if !sound(&e.subject) {
            idle.push(format!("{} export \"{shown}\": it is not a valid subject, nothing crosses", kind.word()));
            continue;
        }
        out.exports.push(Export {
            kind,
            subject: e.subject.clone(),
            accounts: Vec::new(),
            position: e.account_token_position as usize,
            guard: e.token_req.then(|| Guard::new(signers.keys(), &e.revocations)),
            answers: match e.response_type.as_str() {
                "Stream" => Answers::Many,
                "Chunked" => Answers::Chunks,
                _ => Answers::One,
            },
            patience: match u64::try_from(e.response_threshold) {
                Ok(ns) if ns > 0 => Duration::from_nanos(ns),
                _ => PATIENCE,
            },
            allow_trace: e.allow_trace,
            at,
        });
    }
    for i in said.imports.iter().flatten() {
        let Some(kind) = i.kind else { continue };
        // As older tools write it, `to` is a prefix of a stream, and of a service the name in the exporting account.
        let (subject, to, prefix) = match kind {
            Shared::Service if !i.to.is_empty() => (&i.to, &i.subject, ""),
            _ => (&i.subject, &i.local_subject, i.to.as_str()),
        };
        if !sound(subject) {
            let shown = subject.escape_debug();
            idle.push(format!("{} import \"{shown}\": it is not a valid subject, nothing crosses", kind.word()));
            continue;
        }
        out.imports.push(Import {
            kind,
            account: i.account.clone(),
            subject: subject.clone(),
            prefix: prefix.into(),
            to: to.clone(),
            share: i.share,
            allow_trace: i.allow_trace,
            activation: activation::read(i, own).ok().flatten(),
            at,
        });
    }
    (out, idle)
}
