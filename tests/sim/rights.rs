//! What users may do: made up at random, written down for the servers, and judged entry by entry, which is the plain
//! definition of client-protocol.md §16. Scenarios in which some users may not do everything.

use super::case::{pick, within, Case, Fault, Step};
use super::cluster::scenarios as cluster;
use super::scenarios::{self, PATTERNS, SUBJECTS};
use super::shared::shared;
use turnpike::base::Rng;
use turnpike::interest::permit::{Entry, Lists, Permissions};

/// What is allowed (None: everything), and what of it is denied; an entry may name a queue group behind its subject.
#[derive(Clone, Debug, Default)]
pub struct May {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

/// What a user may do.
#[derive(Clone, Debug, Default)]
pub struct User {
    publish: May,
    subscribe: May,
}

fn parts(entry: &str) -> (&str, &str) {
    entry.split_once(' ').unwrap_or((entry, ""))
}

/// Is every token of `s` what `p` says? Wildcards in `s` are taken as they stand, or (`whole`) have to be contained.
fn covers(p: &str, s: &str, whole: bool) -> bool {
    let (p, s): (Vec<&str>, Vec<&str>) = (p.split('.').collect(), s.split('.').collect());
    let open = p.last() == Some(&">");
    let fixed = p.len() - usize::from(open);
    let long_enough = if open { s.len() > fixed } else { s.len() == fixed };
    long_enough && (0..fixed).all(|i| p[i] == s[i] || p[i] == "*" && !(whole && s[i] == ">"))
}

impl User {
    /// May it publish there?
    pub fn publishes(&self, subject: &str) -> bool {
        let any = |list: &Vec<String>| list.iter().any(|e| covers(e, subject, false));
        self.publish.allow.as_ref().is_none_or(any) && !any(&self.publish.deny)
    }

    /// May it have this, as a member of a queue group or not?
    pub fn has(&self, subject: &str, queue: Option<&str>) -> bool {
        !self.subscribe.deny.iter().map(|e| parts(e)).any(|(pattern, group)| {
            let about = group.is_empty() || queue.is_some_and(|q| covers(group, q, true));
            about && covers(pattern, subject, false)
        })
    }

    /// May it subscribe to this?
    pub fn subscribes(&self, pattern: &str, queue: Option<&str>) -> bool {
        let Some(allow) = &self.subscribe.allow else { return self.has(pattern, queue) };
        let near: Vec<_> = allow.iter().map(|e| parts(e)).filter(|(p, _)| covers(p, pattern, false)).collect();
        let groups = queue.is_some() && near.iter().any(|(_, group)| !group.is_empty());
        let admits = |(p, group): &(&str, &str)| {
            let about = match (groups, queue) {
                (true, Some(q)) => !group.is_empty() && covers(group, q, true),
                _ => group.is_empty(),
            };
            about && covers(p, pattern, true)
        };
        near.iter().any(admits) && self.has(pattern, queue)
    }

    /// As a server is given it.
    pub fn written(&self) -> Permissions {
        let entry = |text: &String| {
            let (subject, queue) = parts(text);
            Entry { subject: subject.as_bytes().into(), queue: queue.as_bytes().into() }
        };
        let entries = |list: &Vec<String>| list.iter().map(entry).collect::<Vec<_>>();
        let lists = |may: &May| Lists { allow: may.allow.as_ref().map(entries), deny: entries(&may.deny) };
        Permissions { publish: lists(&self.publish), subscribe: lists(&self.subscribe), responses: None }
    }
}

/// Somebody who may do this and that, and always ask.
fn user(rng: &mut Rng) -> User {
    let some = |rng: &mut Rng, groups: bool| -> Vec<String> {
        let entry = |rng: &mut Rng| {
            let pattern = if rng.one_in(2) { pick(rng, PATTERNS) } else { pick(rng, SUBJECTS) };
            let group = if groups && rng.one_in(3) { pick(rng, &[" q", " r", " *"]) } else { "" };
            format!("{pattern}{group}")
        };
        (0..rng.below(4)).map(|_| entry(rng)).filter(|e| !e.starts_with('>')).collect()
    };
    let mut may = |groups| {
        let allow = rng.one_in(2).then(|| [some(rng, groups), some(rng, groups), vec!["_INBOX.>".into()]].concat());
        May { allow, deny: some(rng, groups) }
    };
    User { publish: may(false), subscribe: may(true) }
}

/// Gives most of those in a case something that they may not do.
fn restricted(rng: &mut Rng, mut case: Case) -> Case {
    case.plan.accounts = within(rng, 1, 2) as usize;
    case.plan.rights = (0..within(rng, 1, 4)).map(|_| user(rng)).collect();
    for a in &mut case.actors {
        a.account = rng.below(case.plan.accounts as u64) as usize;
        a.right = (!rng.one_in(3)).then(|| rng.below(case.plan.rights.len() as u64) as usize);
    }
    case
}

/// Users on one server.
pub fn rights(rng: &mut Rng) -> Case {
    let case = match rng.below(4) {
        0 => scenarios::crossing(rng),
        1 => scenarios::group_races(rng),
        2 => scenarios::nobody(rng),
        _ => scenarios::swarm(rng),
    };
    restricted(rng, case)
}

/// 59: users come to be again and again, and accounts come and go; those who are here have other places in the list, and
/// notice nothing of it.
pub fn reloads(rng: &mut Rng) -> Case {
    let mut case = match rng.below(4) {
        0 => rights(rng),
        1 => shared(rng),
        2 => routed_rights(rng),
        _ => scenarios::accounts(rng),
    };
    for _ in 0..within(rng, 1, 12) {
        let who = rng.below(case.actors.len() as u64) as usize;
        let steps = &mut case.actors[who].steps;
        steps.insert(rng.below(steps.len() as u64 + 1) as usize, Step::Fault(Fault::Users));
    }
    case
}

/// Users on several.
pub fn routed_rights(rng: &mut Rng) -> Case {
    let case = cluster::routed(rng);
    restricted(rng, case)
}
