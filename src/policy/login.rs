//! Who may enter, and where: the verdict on a CONNECT (client-protocol.md §15). Pure; called by a connection for each
//! CONNECT, and for the first other line where the anonymous may enter.
//!
//! Order of the checks of a CONNECT (§4): JSON, then [`Directory::decide`] (with the bcrypt comparison it may ask for),
//! then [`designation`], then the range of `protocol`, then `no_responders` without headers.

use std::hint::black_box;

use sha2::{Digest, Sha256};

use super::settings::{Auth, Secret};
use crate::base::{Map, Seeded};
use crate::wire::hello::Connect;

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
    /// Welcome if `password` fits the bcrypt `hash`, else refused. The comparison takes milliseconds and belongs on a
    /// thread that moves no messages. A hash that cannot be read fits nothing.
    Check {
        /// What is configured.
        hash: String,
        /// What the client presents.
        password: String,
        /// As in `Enter`.
        account: usize,
        /// As in `Enter`.
        user: Option<usize>,
    },
    /// Not welcome. The client is told `Authorization Violation`, whatever the reason.
    Refuse(Refusal),
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Enter { account, user } => write!(f, "Enter {{ account: {account}, user: {user:?} }}"),
            Verdict::Check { account, user, .. } => write!(f, "Check {{ account: {account}, user: {user:?}, .. }}"),
            Verdict::Refuse(refusal) => write!(f, "Refuse({refusal:?})"),
        }
    }
}

/// Why somebody may not enter; for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Credentials are required and none were presented that could be used.
    Missing,
    /// The user is unknown or the password is wrong; which of them is not told, even here.
    UserOrPassword,
    /// The token is wrong.
    Token,
    /// The client asked for an account by name, or for a new one (obsolete).
    Designation,
}

/// The users of an [`Auth`], found by name. Built once per settings; one per shard, immutable.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Name → index in [`Auth::users`].
    users: Map<String, usize>,
    /// What a refused name is compared with where names have bcrypt hashes, so that the time of a refusal does not
    /// tell which names exist.
    decoy: Option<String>,
}

impl Directory {
    /// Builds the index; `seed` is the shard's. Costs time in proportion to the users.
    pub fn new(auth: &Auth, seed: u64) -> Directory {
        let mut users = Map::with_capacity_and_hasher(auth.users.len(), Seeded(seed));
        users.extend(auth.users.iter().enumerate().map(|(i, user)| (user.name.clone(), i)));
        let costs = auth.users.iter().filter_map(|user| match &user.password {
            Secret::Bcrypt(hash) => cost(hash),
            Secret::Plain(_) => None,
        });
        // Among hashes of different cost the dearest: a cheaper one then shows as a name that exists, the lesser evil
        // to all names showing.
        Directory { users, decoy: costs.max().map(decoy) }
    }

    /// The verdict on what `connect` presents. `auth` is what this directory was built from.
    ///
    /// Keys and JWTs are not supported yet: they count as nothing presented, as they do in nats-server while none are
    /// configured.
    pub fn decide(&self, auth: &Auth, connect: &Connect) -> Verdict {
        if !auth.users.is_empty() {
            return self.decide_user(auth, connect);
        }
        match &auth.token {
            Some(token) => compare(token, &connect.auth_token, 0, None).unwrap_or(Verdict::Refuse(Refusal::Token)),
            None if auth.required => Verdict::Refuse(Refusal::Missing),
            None => Verdict::Enter { account: 0, user: None },
        }
    }

    fn decide_user(&self, auth: &Auth, connect: &Connect) -> Verdict {
        if connect.user.is_empty() {
            return match auth.no_auth_user {
                _ if !connect.pass.is_empty() || !connect.auth_token.is_empty() => Verdict::Refuse(Refusal::Missing),
                Some(user) => match auth.users[user].password {
                    Secret::Plain(_) => Verdict::Enter { account: auth.users[user].account, user: Some(user) },
                    // nats-server lends the anonymous the configured password, which a hash of it does not fit.
                    Secret::Bcrypt(_) => Verdict::Refuse(Refusal::Missing),
                },
                // Only the system account has users.
                None if !auth.required => Verdict::Enter { account: 0, user: None },
                None => Verdict::Refuse(Refusal::Missing),
            };
        }
        let known = self.users.get(&connect.user).and_then(|&i| {
            let user = &auth.users[i];
            compare(&user.password, &connect.pass, user.account, Some(i))
        });
        known.unwrap_or_else(|| self.refuse_user(&connect.pass))
    }

    /// Refuses a user, at the price of a comparison where others cost one.
    fn refuse_user(&self, password: &str) -> Verdict {
        match &self.decoy {
            Some(decoy) => Verdict::Check { hash: decoy.clone(), password: password.into(), account: 0, user: None },
            None => Verdict::Refuse(Refusal::UserOrPassword),
        }
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
        Secret::Bcrypt(hash) => Some(Verdict::Check { hash: hash.clone(), password: presented.into(), account, user }),
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
