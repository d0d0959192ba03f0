//! Who may enter, and where: the verdict on a CONNECT (client-protocol.md §15). Pure; called by a connection for each
//! CONNECT, and for the first other line where the anonymous may enter.
//!
//! Order of the checks of a CONNECT (§4): JSON, then [`Directory::decide`] (with the [`Proof`] it may ask to look at), then
//! [`designation`], then the range of `protocol`, then `no_responders` without headers.

use std::hint::black_box;

use sha2::{Digest, Sha256};

pub use super::caller::{Caller, Refusal};
use super::certificate::{Dn, Names};
use super::proof::{Proof, Signed};
use super::settings::{Auth, Secret, User};
use super::token::{self, Pass};
use crate::base::{Map, Seeded};
use crate::wire::hello::Connect;
use crate::wire::nkey;

/// What is to become of a CONNECT. Its `Debug` hides what lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Welcome.
    Enter {
        /// Index in [`Auth::accounts`].
        account: usize,
        /// Index in [`Auth::users`]; `None` for the anonymous and for a token.
        user: Option<usize>,
    },
    /// Welcome if what is presented proves right, else refused. To find out belongs on a thread that moves no messages.
    Check {
        /// What is presented.
        proof: Proof,
        /// As in `Enter`.
        account: usize,
        /// As in `Enter`.
        user: Option<usize>,
    },
    /// Welcome by a token, if what is presented proves right.
    CheckToken {
        /// What is presented.
        proof: Proof,
        /// What it gives.
        pass: Box<Pass>,
    },
    /// Not welcome. The client is told `Authorization Violation`, whatever the reason.
    Refuse(Refusal),
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Enter { account, user } => write!(f, "Enter {{ account: {account}, user: {user:?} }}"),
            Verdict::Check { account, user, .. } => write!(f, "Check {{ account: {account}, user: {user:?}, .. }}"),
            Verdict::CheckToken { pass, .. } => write!(f, "CheckToken {{ account: {}, .. }}", pass.account),
            Verdict::Refuse(refusal) => write!(f, "Refuse({refusal:?})"),
        }
    }
}

/// The users of an [`Auth`], found by name. Built once per settings; one per shard, immutable.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Name → index in [`Auth::users`].
    users: Map<String, usize>,
    /// The same of those who are known by a key, by the key as text.
    keys: Map<String, usize>,
    /// Users whose names are those of certificates, where these say who somebody is.
    subjects: Vec<(Dn, usize)>,
    /// Are there any who sign what INFO says?
    signs: bool,
    /// What a refused name is compared with where names have bcrypt hashes, so that the time of a refusal does not
    /// tell which names exist.
    decoy: Option<String>,
}

impl Directory {
    /// Builds the index; `seed` is the shard's. Costs time in proportion to the users.
    pub fn new(auth: &Auth, seed: u64) -> Directory {
        let by_name = |keyed: bool| {
            let mut map = Map::with_capacity_and_hasher(auth.users.len(), Seeded(seed));
            let users = auth.users.iter().enumerate().filter(|(_, user)| user.key.is_some() == keyed);
            map.extend(users.map(|(i, user)| (user.name.clone(), i)));
            map
        };
        let costs = auth.users.iter().filter_map(|user| match &user.password {
            Secret::Bcrypt(hash) => cost(hash),
            Secret::Plain(_) => None,
        });
        // Among hashes of different cost the dearest: a cheaper one then shows as a name that exists, the lesser evil
        // to all names showing.
        let (users, keys) = (by_name(false), by_name(true));
        let named = |(i, user): (usize, &User)| Dn::parse(&user.name).map(|dn| (dn, i));
        let subjects = match auth.by_certificate {
            true => auth.users.iter().enumerate().filter_map(named).collect(),
            false => Vec::new(),
        };
        Directory {
            subjects,
            signs: !keys.is_empty() || auth.trust.is_some(),
            users,
            keys,
            decoy: costs.max().map(decoy),
        }
    }

    /// Are there users who sign what INFO says?
    pub fn asks_for_signatures(&self) -> bool {
        self.signs
    }

    /// The verdict on what `connect` presents; `auth` is what this directory was built from. The one place that decides who
    /// somebody is, for those too who present nothing, or begin with another operation: whatever restricts a user restricts
    /// him here.
    ///
    /// Without operators a token counts as nothing presented, as it does in nats-server.
    pub fn decide(&self, auth: &Auth, connect: &Connect, caller: &Caller<'_>) -> Verdict {
        if let Some(trust) = &auth.trust {
            return match token::decide(trust, connect, caller) {
                Ok((pass, proof)) => Verdict::CheckToken { proof, pass },
                Err(refusal) => Verdict::Refuse(refusal),
            };
        }
        if !auth.users.is_empty() {
            return self.decide_user(auth, connect, caller);
        }
        match &auth.token {
            Some(token) => compare(token, &connect.auth_token, 0, None).unwrap_or(Verdict::Refuse(Refusal::Token)),
            None if auth.required => Verdict::Refuse(Refusal::Missing),
            None => Verdict::Enter { account: 0, user: None },
        }
    }

    /// A user by his name, or by his key.
    pub fn find(&self, name: &str, keyed: bool) -> Option<usize> {
        if keyed { &self.keys } else { &self.users }.get(name).copied()
    }

    /// Who those are that begin with another operation than CONNECT: whom [`Directory::decide`] makes of nothing presented,
    /// if anybody. As in nats-server a user with a key is not lent to them, only to who says CONNECT.
    pub fn anonymous(&self, auth: &Auth, caller: &Caller<'_>) -> Option<(usize, Option<usize>)> {
        match self.decide(auth, &Connect::default(), caller) {
            Verdict::Enter { account, user } => {
                let keyed = user.is_some_and(|u| auth.users[u].key.is_some());
                (!keyed).then_some((account, user))
            }
            Verdict::Check { .. } | Verdict::CheckToken { .. } | Verdict::Refuse(_) => None,
        }
    }

    /// In nats-server's order: keys go before names, and a key that is unknown is not made up for by a password.
    fn decide_user(&self, auth: &Auth, connect: &Connect, caller: &Caller<'_>) -> Verdict {
        if !self.keys.is_empty() && !connect.nkey.is_empty() {
            return match self.keys.get(&connect.nkey) {
                Some(user) => decide_key(auth, *user, connect, caller),
                None => Verdict::Refuse(Refusal::Key),
            };
        }
        if auth.by_certificate {
            return self.decide_named(auth, connect, caller);
        }
        if connect.user.is_empty() {
            return match auth.no_auth_user {
                _ if !connect.pass.is_empty() || !connect.auth_token.is_empty() => Verdict::Refuse(Refusal::Missing),
                Some(user) => decide_anonymous(auth, user),
                // Only the system account has users.
                None if !auth.required => Verdict::Enter { account: 0, user: None },
                None => Verdict::Refuse(Refusal::Missing),
            };
        }
        let known = self.users.get(&connect.user).and_then(|&i| {
            let user = &auth.users[i];
            // Whoever may not come in this way is told no sooner than others.
            let may = user.kinds.standard;
            compare(&user.password, &connect.pass, user.account, Some(i)).filter(|_| may)
        });
        known.unwrap_or_else(|| self.refuse_user(&connect.pass))
    }

    /// Who the certificate says he is; a password that is configured besides has to fit too.
    fn decide_named(&self, auth: &Auth, connect: &Connect, caller: &Caller<'_>) -> Verdict {
        let names = caller.peer.and_then(|p| p.names.as_ref());
        let Some(i) = names.and_then(|names| self.named(auth, names)) else {
            return Verdict::Refuse(Refusal::Certificate);
        };
        let user = &auth.users[i];
        let known = compare(&user.password, &connect.pass, user.account, Some(i));
        known.unwrap_or_else(|| self.refuse_user(&connect.pass))
    }

    /// The user that a certificate names, in nats-server's order: by an address, a host name or a URI, by the subject part
    /// by part, the same in another order, the subject as one text.
    fn named(&self, auth: &Auth, names: &Names) -> Option<usize> {
        let may = |i: &usize| auth.users[*i].kinds.standard;
        let by_text = |text: &String| self.users.get(text).copied().filter(may);
        let by_dn = |fits: &dyn Fn(&Dn) -> bool| {
            self.subjects.iter().filter(|(_, i)| may(i)).find(|(dn, _)| fits(dn)).map(|(_, i)| *i)
        };
        // What says nothing is nobody.
        let others = names.others.iter().filter(|n| !n.is_empty()).find_map(by_text);
        others
            .or_else(|| by_dn(&|dn| dn.equals(&names.dn)))
            .or_else(|| by_dn(&|dn| dn.has_parts_of(&names.dn)))
            .or_else(|| by_text(&names.subject).filter(|_| !names.subject.is_empty()))
    }

    /// Refuses a user, at the price of a comparison where others cost one.
    fn refuse_user(&self, password: &str) -> Verdict {
        match &self.decoy {
            Some(decoy) => {
                let proof = Proof::Password { hash: decoy.clone(), password: password.into() };
                Verdict::Check { proof, account: 0, user: None }
            }
            None => Verdict::Refuse(Refusal::UserOrPassword),
        }
    }
}

/// Somebody who is known by a key, with the signature that proves it.
fn decide_key(auth: &Auth, user: usize, connect: &Connect, caller: &Caller<'_>) -> Verdict {
    // Whom everybody may be nobody has to prove to be.
    if auth.no_auth_user == Some(user) {
        return decide_anonymous(auth, user);
    }
    let it = &auth.users[user];
    match (it.key, nkey::signature(&connect.sig)) {
        _ if !it.kinds.standard => Verdict::Refuse(Refusal::ConnectionKind),
        (Some(key), Some(signature)) => {
            let signed = Signed { key, text: caller.nonce.into(), signature };
            Verdict::Check { proof: Proof::Signatures(vec![signed]), account: it.account, user: Some(user) }
        }
        _ => Verdict::Refuse(Refusal::Key),
    }
}

/// The user that those become who present nothing.
fn decide_anonymous(auth: &Auth, user: usize) -> Verdict {
    let it = &auth.users[user];
    match it.password {
        _ if !it.kinds.standard => Verdict::Refuse(Refusal::ConnectionKind),
        Secret::Plain(_) => Verdict::Enter { account: it.account, user: Some(user) },
        // nats-server lends the anonymous the configured password, which a hash of it does not fit.
        Secret::Bcrypt(_) => Verdict::Refuse(Refusal::Missing),
    }
}

/// Refuses who asks for an account by name or for a new one; once a service, now an error (client-protocol.md §4).
/// To be asked after [`Directory::decide`] let somebody in.
pub fn designation(connect: &Connect) -> Result<(), Refusal> {
    if connect.new_account || !connect.account.is_empty() {
        return Err(Refusal::Designation);
    }
    Ok(())
}

/// `None` if the secret is in the clear and does not fit.
fn compare(secret: &Secret, presented: &str, account: usize, user: Option<usize>) -> Option<Verdict> {
    match secret {
        Secret::Plain(expected) => same(expected, presented).then_some(Verdict::Enter { account, user }),
        Secret::Bcrypt(hash) => {
            let proof = Proof::Password { hash: hash.clone(), password: presented.into() };
            Some(Verdict::Check { proof, account, user })
        }
    }
}

/// Are the two equal? Takes a time that says nothing about where they differ, nor how long the secret is.
pub fn same(secret: &str, presented: &str) -> bool {
    let (a, b) = (Sha256::digest(secret), Sha256::digest(presented));
    a.iter().zip(b).fold(0, |differs, (a, b)| black_box(differs | (a ^ b))) == 0
}

/// The cost of a bcrypt hash, `$2b$<cost>$…`, 4 to 31.
fn cost(hash: &str) -> Option<u32> {
    hash.split('$').nth(2)?.parse().ok().filter(|cost| (4..=31).contains(cost))
}

/// A well-formed hash of which nobody knows a password: the digest is all zeros, which no one can aim at.
fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}${}", ".".repeat(22 + 31))
}

#[cfg(test)]
mod tests;
