//! `authorization`, `accounts` and what goes with them, from the tree to [`Auth`] (operations.md §§4, 5 and §21 rows
//! 8–10). Called by the model, once per configuration.

use super::agreements::{self, Misfits, Offers};
use super::keys::Scope;
use super::mappings::mappings;
use super::operator::Operators;
use super::overrides::{Overrides, Text};
use super::permissions::permissions;
use super::permits::Permits;
use super::quantity;
use super::reading::Notes;
use super::rewrites::Rewrites;
use super::settings::{Account, Auth, ConnectionKinds, Secret, User, GLOBAL, SYSTEM};
use super::tracing::tracing;
use super::tree::{At, Node, Value};
use crate::base::Set;
use crate::interest::permit::Permissions;
use crate::wire::nkey::{Kind, PublicKey};
use std::sync::Arc;
use std::time::Duration;

/// What was read, before it is known to fit together.
#[derive(Default)]
pub(super) struct Access {
    /// Where `authorization` stands, if it does.
    block: Option<At>,
    user: Option<(String, At)>,
    password: Option<(String, At)>,
    token: Option<(String, At)>,
    /// Users of `authorization`, who live in `$G`; `Some` also when the list is empty.
    users: Option<Vec<Entrant>>,
    /// What those of them may do for whom nothing else is said.
    default: Option<(Permissions, At)>,
    accounts: Vec<Drafted>,
    system: Option<(String, At)>,
    no_system: bool,
    no_auth_user: Option<(String, At)>,
    /// Of `$G`.
    rewrites: Rewrites,
    pub(super) operators: Operators,
    /// Certificates say who clients are (`verify_and_map`).
    pub(super) mapped: bool,
    /// `authorization.timeout`
    pub(super) timeout: Option<Duration>,
}

struct Entrant {
    /// Empty of who is known by a key.
    name: String,
    key: Option<PublicKey>,
    password: String,
    kinds: ConnectionKinds,
    /// What he may do; None: everything.
    permissions: Option<Permissions>,
    at: At,
}

struct Drafted {
    account: Account,
    users: Vec<Entrant>,
    offers: Offers,
    at: At,
}

impl Drafted {
    fn named(name: &str, at: At) -> Drafted {
        Drafted { account: Account::named(name), users: Vec::new(), offers: Offers::default(), at }
    }
}

impl Access {
    /// Reads one key of the top scope. Not ours: false.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "authorization" => self.authorization(notes, node),
            "accounts" => self.accounts(notes, node),
            "mappings" => self.rewrites = mappings(notes, node),
            "no_auth_user" => self.no_auth_user = notes.text(key, node).map(|s| (s, node.at)),
            "no_system_account" => self.no_system = notes.boolean(key, node).unwrap_or(false),
            "system_account" => match &node.value {
                Value::String(s) => self.system = Some((s.clone(), node.at)),
                _ => notes.wrong(node.at, key, "system account name must be a string"),
            },
            _ => return self.operators.read(notes, key, node),
        }
        true
    }

    /// The command line goes before the file.
    pub(super) fn overlay(&mut self, over: &Overrides) {
        let given = |t: &Option<Text>| t.clone().filter(|t| !t.0.is_empty()).map(|t| (t.0, At::default()));
        self.user = given(&over.user).or(self.user.take());
        self.password = given(&over.pass).or(self.password.take());
        self.token = given(&over.token).or(self.token.take());
    }

    fn authorization(&mut self, notes: &mut Notes<'_>, node: &Node) {
        let Some(table) = notes.table("authorization", node) else { return };
        self.block = Some(node.at);
        notes.walk(Scope::Authorization, table, |notes, key, n| match key {
            "user" => self.user = notes.text(key, n).map(|s| (s, n.at)),
            "password" => self.password = notes.text(key, n).map(|s| (s, n.at)),
            "token" => self.token = notes.text(key, n).map(|s| (s, n.at)),
            "users" => self.users = Some(entrants(notes, n)),
            "default_permissions" => self.default = permissions(notes, key, n).map(|p| (p, n.at)),
            _ => self.timeout = timeout(notes, key, n),
        });
        for user in self.users.iter_mut().flatten().filter(|u| u.permissions.is_none()) {
            user.permissions = self.default.as_ref().map(|(p, _)| p.clone());
        }
        // An empty text is as good as none, as in nats-server.
        for text in [&mut self.user, &mut self.password, &mut self.token] {
            text.take_if(|t| t.0.is_empty());
        }
    }

    fn accounts(&mut self, notes: &mut Notes<'_>, node: &Node) {
        match &node.value {
            Value::Array(names) => {
                for n in names {
                    let Some(name) = notes.text("accounts", n) else { continue };
                    if self.accounts.iter().any(|a| a.account.name == name) {
                        notes.wrong(n.at, "accounts", format!("Duplicate Account Entry: {name}"));
                    } else if named_well(notes, &name, n.at) {
                        self.accounts.push(Drafted::named(&name, n.at));
                    }
                }
            }
            Value::Table(table) => {
                for entry in table.entries().iter().filter(|e| !e.used) {
                    let at = entry.node.at;
                    let Value::Table(_) = entry.node.value else {
                        notes.wrong(at, &entry.key, "Expected map entries for accounts");
                        continue;
                    };
                    if named_well(notes, &entry.key, at) {
                        self.accounts.push(drafted(notes, &entry.key, &entry.node));
                    }
                }
            }
            _ => notes.wrong(node.at, "accounts", "accounts: expected a list of names or a map"),
        }
    }

    /// Fits everything together.
    pub(super) fn finish(mut self, notes: &mut Notes<'_>) -> Auth {
        if self.operators.decide() {
            self.check_beside_operators(notes);
            let mut auth = self.operators.finish(notes, self.system, self.no_system);
            auth.accounts[0].rewrites = Arc::new(self.rewrites);
            return auth;
        }
        self.operators.check_idle(notes);
        self.check_kinds(notes);
        let system = self.system_account(notes);
        let mut auth = Auth { accounts: vec![Account::named(GLOBAL)], by_certificate: self.mapped, ..Auth::default() };
        auth.accounts[0].rewrites = Arc::new(std::mem::take(&mut self.rewrites));
        if let Some(name) = &system {
            auth.system = Some(1);
            auth.accounts.push(Account::named(name));
        }
        let mut users: Vec<(usize, Entrant)> = Vec::new();
        let mut offers = Vec::new();
        let only_system =
            !self.accounts.is_empty() && self.accounts.iter().all(|a| Some(&a.account.name) == system.as_ref());
        let block = self.block.is_some() || self.user.is_some() || self.token.is_some();
        for drafted in self.accounts.drain(..) {
            let place = if Some(&drafted.account.name) == system.as_ref() {
                auth.accounts[1] = drafted.account;
                1
            } else {
                auth.accounts.push(drafted.account);
                auth.accounts.len() - 1
            };
            users.extend(drafted.users.into_iter().map(|u| (place, u)));
            offers.push((place, drafted.offers));
        }
        agreements::bind(notes, offers, &mut auth.accounts, Misfits::Refused);
        users.extend(self.users.take().into_iter().flatten().map(|u| (0, u)));
        let many = !users.is_empty();
        if let Some((name, at)) = self.user.take() {
            let password = self.password.take().map_or(String::new(), |p| p.0);
            let kinds = ConnectionKinds::default();
            users.push((0, Entrant { name, key: None, password, kinds, permissions: None, at }));
        }
        auth.token = self.token.take().map(|t| secret(t.0));
        enter(notes, &mut auth, users);
        auth.no_auth_user = self.check_no_auth_user(notes, &auth, many);
        let guarded = !auth.users.is_empty() || auth.token.is_some();
        let open_beside_system = only_system && !block && auth.no_auth_user.is_none();
        auth.announced = (guarded || open_beside_system) && auth.no_auth_user.is_none();
        auth.required = auth.announced && !open_beside_system;
        let plain = |s: &Secret| matches!(s, Secret::Plain(_));
        let bare = |u: &User| auth.by_certificate && u.password == Secret::Plain(String::new());
        if auth.users.iter().any(|u| u.key.is_none() && plain(&u.password) && !bare(u))
            || auth.token.as_ref().is_some_and(plain)
        {
            notes.warn("Plaintext passwords detected, use nkeys or bcrypt".into());
        }
        auth
    }

    /// Where operators say who may enter, nothing else does.
    fn check_beside_operators(&self, notes: &mut Notes<'_>) {
        if let Some(account) = self.accounts.first() {
            notes.wrong(account.at, "accounts", "operators do not allow Accounts to be configured directly");
        }
        if let (Some(_), Some(at)) = (&self.users, self.block) {
            notes.wrong(at, "users", "operators do not allow users to be configured directly");
        }
        if let Some((_, at)) = self.no_auth_user.as_ref().filter(|(name, _)| !name.is_empty()) {
            notes.wrong(*at, "no_auth_user", "no_auth_user not compatible with Trusted Operator");
        }
        if self.user.is_some() || self.token.is_some() {
            notes.warn("authorization: user and token are without effect, operators say who may enter".into());
        }
    }

    /// One user, one token, and lists of users exclude each other.
    fn check_kinds(&self, notes: &mut Notes<'_>) {
        let block = self.block.unwrap_or_default();
        let single = self.user.as_ref().or(self.password.as_ref());
        if single.is_some() && self.token.is_some() {
            notes.wrong(block, "authorization", "Cannot have a user/pass and token");
        }
        let nobody = self.users.is_none() && self.accounts.iter().all(|a| a.users.is_empty());
        // Beside users it is harmless, and common: `PASS` as a variable for theirs.
        if let (true, None, Some((_, at))) = (nobody, &self.user, &self.password) {
            notes.wrong(*at, "password", "a password without a user would guard nothing: name the user too");
        }
        let somebody = !nobody || self.user.is_some() || self.token.is_some();
        if let (true, None, Some((_, at))) = (somebody, &self.users, &self.default) {
            // nats-server passes over them without a word.
            let text = "these permissions would hold for nobody: they are for the entries of users in authorization \
                        that have none of their own";
            notes.wrong(*at, "default_permissions", text);
        }
        if self.users.is_some() {
            if self.user.is_some() {
                notes.wrong(block, "users", "Can not have a single user/pass and a users array");
            }
            if self.token.is_some() {
                notes.wrong(block, "users", "Can not have a token and a users array");
            }
        }
        if let Some(account) = self.accounts.iter().find(|a| !a.users.is_empty()) {
            if self.user.is_some() {
                notes.wrong(account.at, "users", "Can not have a single user/pass and accounts");
            }
            if self.token.is_some() {
                notes.wrong(account.at, "users", "Can not have a token and accounts");
            }
        }
    }

    /// The system account's name: the one named, else `$SYS`; none if that is not wanted and nobody defined it.
    fn system_account(&self, notes: &mut Notes<'_>) -> Option<String> {
        match &self.system {
            Some((name, at)) if name == GLOBAL => {
                notes.wrong(*at, "system_account", "the global account $G can not be the system account");
                None
            }
            Some((name, at)) if !name.is_empty() => {
                if name != SYSTEM && !notes.refused && !self.accounts.iter().any(|a| a.account.name == *name) {
                    notes.wrong(
                        *at,
                        "system_account",
                        format!("error resolving system account: account missing, \"{name}\" is not in accounts"),
                    );
                }
                Some(name.clone())
            }
            _ if self.no_system && !self.accounts.iter().any(|a| a.account.name == SYSTEM) => None,
            _ => Some(SYSTEM.into()),
        }
    }

    fn check_no_auth_user(&self, notes: &mut Notes<'_>, auth: &Auth, many: bool) -> Option<usize> {
        let (name, at) = self.no_auth_user.as_ref().filter(|(name, _)| !name.is_empty())?;
        // Keys go before names, as in nats-server.
        let called = |keyed: bool| auth.users.iter().position(|u| u.name == *name && u.key.is_some() == keyed);
        let found = called(true).or_else(|| called(false));
        if notes.refused {
            return found;
        }
        if !many {
            let text = format!("no_auth_user: \"{name}\" present, but users/nkeys are not defined");
            notes.wrong(*at, "no_auth_user", text);
        } else if found.is_none() {
            let text = format!(
                "no_auth_user: \"{name}\" not present as user or nkey in authorization block or account configuration"
            );
            notes.wrong(*at, "no_auth_user", text);
        }
        found
    }
}

/// Names travel in other servers' protocol lines, where a blank ends them.
fn named_well(notes: &mut Notes<'_>, name: &str, at: At) -> bool {
    if name == GLOBAL {
        notes.wrong(at, name, format!("\"{name}\" is a Reserved Account"));
    } else if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        notes.wrong(at, name, "an account's name must not be empty nor hold blanks or control characters");
    } else {
        return true;
    }
    false
}

fn drafted(notes: &mut Notes<'_>, name: &str, node: &Node) -> Drafted {
    let mut out = Drafted::named(name, node.at);
    let Value::Table(table) = &node.value else { return out };
    let mut default = None;
    notes.walk(Scope::Account, table, |notes, key, n| match key {
        "users" => {
            out.users = entrants(notes, n);
            out.at = n.at;
        }
        "default_permissions" => default = permissions(notes, key, n),
        "exports" | "imports" => out.offers.read(notes, key, n),
        "mappings" => out.account.rewrites = Arc::new(mappings(notes, n)),
        "msg_trace" => out.account.tracing = tracing(notes, key, n),
        "nkey" => {
            // nats-server reads it for tools that do no longer exist; it means nothing, but must be one.
            let text = notes.text(key, n);
            if text.is_some_and(|text| PublicKey::of(Kind::Account, &text).is_none()) {
                notes.wrong(n.at, key, "Not a valid public nkey for an account");
            }
        }
        _ => limits(notes, n, &mut out.account),
    });
    out.users.iter_mut().filter(|u| u.permissions.is_none()).for_each(|u| u.permissions.clone_from(&default));
    out
}

fn limits(notes: &mut Notes<'_>, node: &Node, account: &mut Account) {
    let Value::Table(table) = &node.value else {
        return notes.wrong(node.at, "limits", "Expected account limits to be a map/struct");
    };
    notes.walk(Scope::Limits, table, |notes, key, n| {
        let Some(size) = notes.size(key, n) else { return };
        if size > i64::from(i32::MAX) {
            return notes.wrong(n.at, key, format!("{key} value is too big, {} is the most", i32::MAX));
        }
        // Anything negative is "no limit"; 0 is a limit like any other.
        let limit = usize::try_from(size).ok();
        match key {
            "max_connections" => account.max_connections = limit,
            "max_subscriptions" => account.max_subscriptions = limit,
            _ => account.max_payload = limit,
        }
    });
}

fn entrants(notes: &mut Notes<'_>, node: &Node) -> Vec<Entrant> {
    let Value::Array(list) = &node.value else {
        notes.wrong(node.at, "users", format!("Expected users field to be an array, got {}", node.value.kind()));
        return Vec::new();
    };
    list.iter().filter_map(|n| entrant(notes, n)).collect()
}

fn entrant(notes: &mut Notes<'_>, node: &Node) -> Option<Entrant> {
    let Value::Table(table) = &node.value else {
        notes.wrong(node.at, "users", format!("Expected user entry to be a map/struct, got {}", node.value.kind()));
        return None;
    };
    let before = notes.mistakes();
    let (mut name, mut nkey, mut may) = (String::new(), None, None);
    let (mut password, mut kinds) = (None, ConnectionKinds::default());
    notes.walk(Scope::User, table, |notes, key, n| match key {
        "permissions" => may = permissions(notes, key, n),
        "user" => name = notes.text(key, n).unwrap_or_default(),
        "nkey" => nkey = notes.text(key, n).filter(|k| !k.is_empty()).map(|k| (k, n.at)),
        "allowed_connection_types" => kinds = connection_kinds(notes, key, n),
        _ => password = notes.text(key, n),
    });
    let mut key = None;
    if let Some((text, at)) = nkey {
        if !name.is_empty() || password.as_ref().is_some_and(|p| !p.is_empty()) {
            notes.wrong(node.at, "users", "Nkey users do not take usernames or passwords");
        }
        key = PublicKey::of(Kind::User, &text);
        if key.is_none() {
            notes.wrong(at, "nkey", "Not a valid public nkey for a user");
        }
    } else if name.is_empty() && notes.mistakes() == before {
        notes.wrong(node.at, "users", "User entry requires a user");
    }
    let known = key.is_some() || !name.is_empty();
    known.then(|| Entrant { name, key, password: password.unwrap_or_default(), kinds, permissions: may, at: node.at })
}

/// Which kinds of connections a user may come over; an empty list is no restriction.
fn connection_kinds(notes: &mut Notes<'_>, key: &str, node: &Node) -> ConnectionKinds {
    let Some(words) = notes.texts(key, node) else { return ConnectionKinds::default() };
    let known = |w: &&String| ConnectionKinds::WORDS.iter().any(|known| w.eq_ignore_ascii_case(known));
    let unknown: Vec<String> = words.iter().filter(|w| !known(w)).map(|w| format!("{:?}", w.to_uppercase())).collect();
    if !unknown.is_empty() {
        notes.wrong(node.at, key, format!("invalid connection types [{}]", unknown.join(" ")));
    }
    ConnectionKinds::of(words.iter().map(String::as_str))
}

/// Seconds, with or without a fraction, or a duration; much of it is suspicious (operations.md §4).
pub(super) fn timeout(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Duration> {
    let seconds = match &node.value {
        Value::Integer(n) => *n as f64,
        Value::Float(f) => *f,
        Value::String(text) => match quantity::duration_ns(text) {
            Ok(ns) => ns as f64 / 1e9,
            Err(why) => {
                notes.wrong(node.at, key, format!("error parsing authorization config, 'timeout' {why}"));
                return None;
            }
        },
        _ => {
            notes.wrong(node.at, key, "error parsing authorization config, 'timeout' wrong type");
            return None;
        }
    };
    if seconds > 60.0 {
        let why = format!(
            "timeout of {seconds} seconds is high, consider keeping it under 60 seconds; possibly caused by an \
             unquoted duration, use '1m' instead of 1m for example"
        );
        notes.deprecated(node.at, key, &why);
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) => None,
        Ok(d) => Some(d.clamp(Duration::from_millis(1), Duration::from_secs(u64::from(u32::MAX)))),
        Err(_) => {
            notes.wrong(node.at, key, "authorization timeout must not be negative");
            None
        }
    }
}

/// Fills `auth.users`; names are unique across all accounts, and so are keys.
fn enter(notes: &mut Notes<'_>, auth: &mut Auth, users: Vec<(usize, Entrant)>) {
    let mut names: Set<String> = Set::default();
    let mut keys: Set<String> = Set::default();
    let mut written = Vec::with_capacity(users.len());
    for (account, user) in users {
        if let Some(key) = user.key {
            if !keys.insert(key.to_string()) {
                notes.wrong(user.at, "nkey", format!("Duplicate nkey \"{key}\" detected"));
                continue;
            }
            auth.users.push(User { kinds: user.kinds, ..User::keyed(key, account) });
            written.push(user.permissions);
            continue;
        }
        if !names.insert(user.name.clone()) {
            notes.wrong(user.at, "user", format!("Duplicate user \"{}\" detected", user.name.escape_debug()));
            continue;
        }
        if user.password.is_empty() && !auth.by_certificate {
            notes.warn(format!("user \"{}\" has no password", user.name.escape_debug()));
        }
        auth.users.push(User { kinds: user.kinds, ..User::named(&user.name, secret(user.password), account) });
        written.push(user.permissions);
    }
    auth.permits = Arc::new(Permits::new(written));
}

/// A secret as configured. Bcrypt by its look: `$2a$`, `$2b$`, `$2x$` or `$2y$`, two digits, `$` (operations.md §4).
pub fn secret(text: String) -> Secret {
    let b = text.as_bytes();
    let bcrypt = b.len() >= 7
        && b.starts_with(b"$2")
        && matches!(b[2], b'a' | b'b' | b'x' | b'y')
        && b[3] == b'$'
        && b[4..6].iter().all(u8::is_ascii_digit)
        && b[6] == b'$';
    if bcrypt {
        Secret::Bcrypt(text)
    } else {
        Secret::Plain(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcrypt_is_known_by_its_look() {
        let look = |s: &str| matches!(secret(s.into()), Secret::Bcrypt(_));
        assert!(look("$2a$11$abc") && look("$2b$04$x") && look("$2y$10$"));
        assert!(!look("$2c$11$abc") && !look("$2a$1$abc") && !look("2a$11$") && !look("") && !look("$2a$11"));
    }
}
