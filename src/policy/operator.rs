//! `operator`, `trusted_keys`, `resolver` and what goes with them, from the tree to [`Trust`] (operations.md §6). Called by
//! the reader of accounts and users, once per configuration.

use super::agreements::{self, Misfits};
use super::claims::limit;
use super::keys::{self, Scope};
use super::offered;
use super::reading::Notes;
use super::rewrites::{Destination, Rewrites};
use super::settings::{Account, Auth, GLOBAL, SYSTEM};
use super::shares::Term;
use super::source::{opened, Source};
use super::tracing::TraceRule;
use super::tree::{At, Node, Tree, Value};
use super::trust::{Charter, Sentinel, Trust};
use crate::wire::jwt::{self, Token};
use crate::wire::nkey::{self, Kind, PublicKey};
use crate::NATS_VERSION;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Every token begins so.
const TOKEN_START: &str = "eyJ";

/// What stands in the files that `operator` names, or why they cannot be read.
pub(super) type Files = BTreeMap<String, Result<String, String>>;

/// Reads the files of operators' tokens: the model itself reads none.
pub(super) fn files(tree: &Tree, source: &mut dyn Source) -> Files {
    let is_operator = |key: &str| keys::find(Scope::Top, key).is_some_and(|k| k.names[0] == "operator");
    let mut found = Files::new();
    for entry in tree.root.entries().iter().filter(|e| is_operator(&e.key)) {
        let one = std::slice::from_ref(&entry.node);
        let nodes = if let Value::Array(list) = &entry.node.value { list } else { one };
        for node in nodes {
            let Value::String(name) = &node.value else { continue };
            if !name.starts_with(TOKEN_START) {
                let read = opened(source, Path::new(name));
                found.insert(name.clone(), read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found
}

/// What was read, before it is known to fit together.
#[derive(Default)]
pub(super) struct Operators {
    pub(super) files: Files,
    operators: Vec<Token<jwt::Operator>>,
    /// Where `operator` stands.
    at: Option<At>,
    keys: Option<(Vec<String>, At)>,
    /// Where `resolver` stands; it is one that is served.
    resolver: Option<At>,
    preload: Vec<(String, Token<jwt::Account>)>,
    pinned: Option<BTreeSet<String>>,
    sentinel: Option<(String, At)>,
}

/// A key as it was written, for messages; a seed is not shown.
fn shown(key: &str) -> String {
    match nkey::is_seed(key) {
        true => "(a seed, which is secret: its public key belongs here)".into(),
        false => format!("\"{}\"", key.escape_debug()),
    }
}

impl Operators {
    /// Reads one key of the top scope. Not ours: false.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "operator" => self.operators(notes, key, node),
            "trusted_keys" => {
                let keys = notes.texts(key, node).unwrap_or_default();
                for k in keys.iter().filter(|k| PublicKey::of(Kind::Operator, k).is_none()) {
                    let text = format!("trust key {} required to be a valid public operator nkey", shown(k));
                    notes.wrong(node.at, key, text);
                }
                self.keys = Some((keys, node.at));
            }
            "resolver" => self.resolver(notes, key, node),
            "resolver_preload" => self.preload(notes, key, node),
            "resolver_pinned_accounts" => {
                let keys = notes.texts(key, node).unwrap_or_default();
                for k in keys.iter().filter(|k| PublicKey::of(Kind::Account, k).is_none()) {
                    let text = format!("pinned account key {} is not a valid public account nkey", shown(k));
                    notes.wrong(node.at, key, text);
                }
                self.pinned = Some(keys.into_iter().collect());
            }
            "default_sentinel" => self.sentinel = notes.text(key, node).map(|token| (token, node.at)),
            _ => return false,
        }
        true
    }

    fn operators(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        self.at = Some(node.at);
        for text in notes.texts(key, node).unwrap_or_default() {
            let contents = match self.files.get(&text) {
                Some(Ok(contents)) => contents,
                Some(Err(_)) if nkey::is_seed(&text) => {
                    let text = "error parsing operator JWT: this is a seed, which is secret: the JWT belongs here, or its file";
                    notes.wrong(node.at, key, text);
                    continue;
                }
                Some(Err(why)) => {
                    notes.wrong(node.at, key, format!("error parsing operator JWT: {why}"));
                    continue;
                }
                None => &text,
            };
            match jwt::read::<jwt::Operator>(jwt::undecorated(contents)) {
                Ok(token) if token.is_signed() => self.operators.push(token),
                Ok(_) => notes.wrong(node.at, key, "error parsing operator JWT: its signature is wrong"),
                Err(why) => notes.wrong(node.at, key, format!("error parsing operator JWT: {why}")),
            }
        }
    }

    fn resolver(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let memory = |word: &str| word.trim().eq_ignore_ascii_case("MEM") || word.trim().eq_ignore_ascii_case("MEMORY");
        let mut served = false;
        match &node.value {
            Value::String(word) => served = memory(word),
            Value::Table(table) => notes.walk(Scope::Resolver, table, |notes, key, n| {
                served = notes.text(key, n).is_some_and(|word| memory(&word));
            }),
            _ => {}
        }
        self.resolver = Some(node.at);
        if !served {
            let text =
                "only resolver: MEMORY is served yet, with the accounts in resolver_preload; accounts by URL or from \
                        a directory are not";
            notes.wrong(node.at, key, text);
        }
    }

    fn preload(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let Value::Table(table) = &node.value else {
            return notes.wrong(node.at, key, "preload should be a map of account_public_key:account_jwt");
        };
        for entry in table.entries().iter().filter(|e| !e.used) {
            let at = entry.node.at;
            let Value::String(text) = &entry.node.value else {
                notes.wrong(at, &entry.key, "preload map value should be a string JWT");
                continue;
            };
            match jwt::read::<jwt::Account>(text.trim()) {
                Ok(token) if !token.is_signed() => {
                    notes.wrong(at, &entry.key, "invalid account JWT: its signature is wrong");
                }
                // nats-server lets nobody into such an account.
                Ok(token) if token.claims.sub != entry.key => {
                    let text = format!("this is the JWT of another account: {}", token.claims.sub);
                    notes.wrong(at, &entry.key, text);
                }
                Ok(token) => self.preload.push((entry.key.clone(), token)),
                Err(why) => notes.wrong(at, &entry.key, format!("invalid account JWT: {why}")),
            }
        }
    }

    /// Do operators say who may enter?
    pub(super) fn decide(&self) -> bool {
        self.at.is_some() || self.keys.is_some()
    }

    /// What was written for operators though there are none.
    pub(super) fn check_idle(&self, notes: &mut Notes<'_>) {
        if let Some((_, at)) = &self.sentinel {
            notes.wrong(*at, "default_sentinel", "default sentinel requires operators and accounts");
        }
        if !self.preload.is_empty() {
            notes.warn("resolver_preload: without effect, there is no operator to trust".into());
        }
    }

    /// Fits everything together. `system` is what the configuration calls the system account.
    pub(super) fn finish(mut self, notes: &mut Notes<'_>, system: Option<(String, At)>, no_system: bool) -> Auth {
        let at = self.at.or(self.keys.as_ref().map(|(_, at)| *at)).unwrap_or_default();
        if self.resolver.is_none() {
            let url = self.operators.iter().any(|o| !o.claims.nats.account_server_url.is_empty());
            let text = match url {
                true => {
                    "the operator's account server is not asked yet: write resolver: MEMORY, and the accounts in \
                         resolver_preload"
                }
                false => "operators require an account resolver to be configured",
            };
            notes.wrong(at, "operator", text);
        }
        if let (Some(_), Some((_, at))) = (self.at, &self.keys) {
            notes.wrong(*at, "trusted_keys", "conflicting options for 'TrustedKeys' and 'TrustedOperators'");
        }
        let mut trust = self.trust(notes, at);
        let mut auth = Auth { accounts: vec![Account::named(GLOBAL)], ..Auth::default() };
        (auth.required, auth.announced) = (true, true);
        let system = self.system(notes, at, system).or_else(|| (!no_system).then(|| SYSTEM.to_owned()));
        if let Some(name) = &system {
            auth.system = Some(1);
            auth.accounts.push(Account::named(name));
            if let Some(pinned) = &mut trust.pinned {
                pinned.insert(name.clone());
            }
        }
        self.preload.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut offers = Vec::new();
        for (key, token) in &self.preload {
            let place = match system.as_ref() == Some(key) {
                true => 1,
                false => {
                    auth.accounts.push(Account::named(key));
                    auth.accounts.len() - 1
                }
            };
            let limits = &token.claims.nats.limits;
            let account = &mut auth.accounts[place];
            account.max_connections = limit(limits.conn);
            account.max_subscriptions = limit(limits.subs);
            account.max_payload = limit(limits.payload);
            account.rewrites = Arc::new(rewrites(notes, key, &token.claims.nats));
            account.tracing = TraceRule::of(&token.claims.nats.trace);
            let charter = Charter::of(token, place, &trust);
            warn(notes, key, &charter);
            if charter.void.is_none() {
                let term = Term { from: charter.not_before, until: charter.expires };
                let (offer, idle) = offered::offers((key, &token.claims.nats), &charter.signers, term, at);
                idle.into_iter().for_each(|what| notes.warn(format!("Account [{key}]: {what}")));
                offers.push((place, offer));
            }
            trust.charters.insert(key.clone(), charter);
        }
        agreements::bind(notes, offers, &mut auth.accounts, Misfits::PassedOver);
        auth.trust = Some(Arc::new(trust));
        auth
    }

    fn trust(&mut self, notes: &mut Notes<'_>, at: At) -> Trust {
        let mut trust = Trust { pinned: self.pinned.take(), ..Trust::default() };
        trust.keys.extend(self.keys.take().into_iter().flat_map(|(keys, _)| keys));
        for operator in &self.operators {
            let said = &operator.claims.nats;
            for key in said.signing_keys.iter().filter(|k| PublicKey::of(Kind::Operator, k).is_none()) {
                let text =
                    format!("trusted Keys \"{}\" are required to be a valid public operator nkey", key.escape_debug());
                notes.wrong(at, "operator", text);
            }
            if said.strict_signing_key_usage {
                trust.strict.extend(said.signing_keys.iter().cloned());
            } else {
                trust.keys.insert(operator.claims.sub.clone());
            }
            trust.keys.extend(said.signing_keys.iter().cloned());
            let asserted = &said.assert_server_version;
            if !asserted.is_empty() && version(asserted).is_none_or(|v| Some(v) > version(NATS_VERSION)) {
                let text = format!(
                    "operator {} expects a server of version {}, this one behaves as {NATS_VERSION}",
                    operator.claims.sub,
                    asserted.escape_debug()
                );
                notes.wrong(at, "operator", text);
            }
        }
        if let Some((token, at)) = self.sentinel.take() {
            let bearer = |t: &Token<jwt::User>| {
                let said = &t.claims.nats;
                t.is_signed() && (said.grant.bearer_token || !said.issuer_account.is_empty())
            };
            match jwt::read::<jwt::User>(&token) {
                Ok(read) if bearer(&read) => trust.sentinel = Some(Sentinel(token)),
                Ok(_) => notes.wrong(at, "default_sentinel", "default sentinel must be a bearer token"),
                Err(_) => notes.wrong(at, "default_sentinel", "default sentinel JWT not valid"),
            }
        }
        trust
    }

    /// The system account: the configuration's, else the one operator's.
    fn system(&self, notes: &mut Notes<'_>, at: At, written: Option<(String, At)>) -> Option<String> {
        let mut said =
            self.operators.iter().map(|o| &o.claims.nats.system_account).filter(|s| !s.is_empty()).peekable();
        let written = written.filter(|(name, _)| !name.is_empty());
        let (name, at) = match written {
            Some((name, at)) => {
                if said.peek().is_some() && !said.any(|s| *s == name) {
                    let text = "system_account in config and operator JWT must be identical";
                    notes.wrong(at, "system_account", text);
                }
                (name, at)
            }
            None => (said.next().filter(|_| self.operators.len() == 1)?.clone(), at),
        };
        if !self.preload.iter().any(|(key, _)| *key == name) {
            let text =
                format!("error resolving system account: \"{}\" is not in resolver_preload", name.escape_debug());
            notes.wrong(at, "system_account", text);
        }
        Some(name)
    }
}

/// What an operator should know of an account whose token is given.
fn warn(notes: &mut Notes<'_>, key: &str, charter: &Charter) {
    if let Some(why) = &charter.void {
        notes.warn(format!("Account [{key}] has validation issues, nobody may enter it: {why}"));
    }
    if charter.decided_elsewhere.is_some() {
        notes.warn(format!(
            "Account [{key}]: auth callout is not supported yet, only the users in its auth_users may enter"
        ));
    }
}

/// What subjects become that an account's clients publish. What is no mapping is passed over, as nats-server does it: the token
/// is its account's, not the operator's of this server.
fn rewrites(notes: &mut Notes<'_>, key: &str, said: &jwt::Account) -> Rewrites {
    let mut out = Rewrites::default();
    for (source, list) in &said.mappings {
        let destination = |m: &jwt::WeightedMapping| Destination {
            subject: m.subject.clone(),
            weight: if m.weight == 0 { 100 } else { m.weight },
            cluster: m.cluster.clone(),
        };
        if let Err(why) = out.add(source, &list.iter().map(destination).collect::<Vec<_>>()) {
            let source = source.escape_debug();
            notes.warn(format!("Account [{key}]: Error adding mapping for \"{source}\": {}", why.escape_debug()));
        }
    }
    out
}

/// Three numbers.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text.split('.').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}
