//! Whom operators trust: their keys, the accounts they have signed, and what those say about their users. Part of the
//! settings, immutable; a reload makes another. Made by the reader of `operator` and `resolver_preload`, asked by the verdict
//! on a user's token.

use super::{claimed, claims};
use crate::interest::permit::Permissions;
use crate::wire::jwt::{self, Grant, Signer, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Keys that sign accounts.
    pub keys: BTreeSet<String>,
    /// Those of them under which an account's own key signs no users.
    pub strict: BTreeSet<String>,
    /// Accounts by their keys, as far as their tokens are given.
    pub charters: BTreeMap<String, Charter>,
    /// Only these may be entered (`resolver_pinned_accounts`); None: all.
    pub pinned: Option<BTreeSet<String>>,
    /// The token of those who present none (`default_sentinel`).
    pub sentinel: Option<Sentinel>,
}

/// A token that stands in the configuration; whoever has it may come in, so no log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sentinel(pub String);

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// What the token of an account says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charter {
    /// Index in [`Auth::accounts`](super::Auth::accounts).
    pub account: usize,
    /// Its name.
    pub name: String,
    /// Free words about it.
    pub tags: Vec<String>,
    /// Nobody may enter, for this reason.
    pub void: Option<String>,
    /// Good from this second on; 0: always was.
    pub not_before: i64,
    /// Good up to this second; 0: for ever.
    pub expires: i64,
    /// Keys that sign its users; with a template where they are scoped.
    pub signers: BTreeMap<String, Option<Grant>>,
    /// Users' keys, or `*` → everything issued for them up to this second is void.
    pub revoked: BTreeMap<String, i64>,
    /// Users whose token alone lets them in are not let in.
    pub no_bearers: bool,
    /// The only users that a token is enough for, where a service is to decide about the others; None: there is none.
    pub decided_elsewhere: Option<BTreeSet<String>>,
    /// What users may do of whom nothing else is said; None: everything.
    pub default: Option<Permissions>,
}

impl Charter {
    /// Of an account's token, which is signed by its issuer. `trust` has all keys of the operators.
    pub fn of(token: &Token<jwt::Account>, account: usize, trust: &Trust) -> Charter {
        let claims = &token.claims;
        let said = &claims.nats;
        let mut signers: BTreeMap<String, Option<Grant>> = BTreeMap::new();
        for signer in &said.signing_keys {
            match signer {
                Signer::Plain(key) => signers.insert(key.clone(), None),
                Signer::Scoped(scope) => signers.insert(scope.key.clone(), Some(scope.template.clone())),
            };
        }
        if !trust.strict.contains(&claims.iss) {
            signers.insert(claims.sub.clone(), None);
        }
        let default = claims::permissions(&said.default_permissions);
        let void = match &default {
            _ if !trust.keys.contains(&claims.iss) => {
                Some("it is not signed by an operator who is trusted here".into())
            }
            Err(why) => Some(format!("default_permissions: {why}")),
            Ok(_) => flaw(said, &claims.sub),
        };
        let users = &said.authorization.auth_users;
        Charter {
            account,
            name: claims.name.clone(),
            tags: said.tags.clone(),
            void,
            not_before: claims.nbf,
            expires: claims.exp,
            signers,
            revoked: said.revocations.clone(),
            no_bearers: said.limits.disallow_bearer,
            decided_elsewhere: (!users.is_empty()).then(|| users.iter().cloned().collect()),
            default: default.unwrap_or_default(),
        }
    }

    /// Is everything void that was issued for this user at that second?
    pub fn has_revoked(&self, user: &str, issued_at: i64) -> bool {
        [user, "*"].into_iter().filter_map(|key| self.revoked.get(key)).any(|at| *at >= issued_at)
    }

    /// May anybody be here at this second?
    pub fn is_good_at(&self, now_s: i64) -> bool {
        self.void.is_none() && self.not_before <= now_s && !self.has_expired(now_s)
    }

    /// Is its time over?
    pub fn has_expired(&self, now_s: i64) -> bool {
        self.expires != 0 && self.expires <= now_s
    }
}

/// What nats-server finds so wrong with an account that nobody may enter it.
fn flaw(said: &jwt::Account, own: &str) -> Option<String> {
    if let Err(why) = claimed::check(said, own) {
        return Some(why);
    }
    let key = |s: &Signer| match s {
        Signer::Plain(key) => key.clone(),
        Signer::Scoped(scope) => scope.key.clone(),
    };
    let mut keys = said.signing_keys.iter().map(key);
    keys.find(|k| crate::wire::nkey::PublicKey::of(crate::wire::nkey::Kind::Account, k).is_none())
        .map(|_| "one of its signing keys is none of an account".into())
}
