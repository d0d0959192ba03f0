//! What does not fit between the rules of two servers. Pure: places of rules in, places out; the words are the caller's.

use super::{Rule, Wall};
use crate::base::{Map, Seeded, Set};

/// The rules of `ours` that nothing on the other side answers to: exports of which they import nothing from us, or
/// imports of which they export nothing to us. `theirs` is their block of the other direction, None: there is none, and
/// everything is answered. Only rules that admit and are about them count. `us` and `them` are the clusters' names,
/// `system` the name of the system account; `seed` keys all hashes, as the rules may be a stranger's.
pub fn unanswered(ours: &[Rule], theirs: Option<&[Rule]>, us: &str, them: &str, system: &str, seed: u64) -> Vec<u32> {
    let Some(theirs) = theirs else { return Vec::new() };
    let mut accounts: Vec<&str> = ours.iter().filter_map(|r| r.account.as_deref()).chain([system]).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let system_at = accounts.binary_search(&system).ok();
    let exact = Wall::new(Some(theirs), &accounts, system_at, seed);
    // For a rule of ours that is about all accounts: any of their accounts will do, and only a denial for all is one.
    let for_any = |r: &&Rule| r.account.as_deref() != Some(system) && !(r.deny && r.account.is_some());
    let erased: Vec<Rule> = theirs.iter().filter(for_any).map(|r| Rule { account: None, ..r.clone() }).collect();
    let closed = theirs.is_empty() || theirs.iter().any(|r| !r.deny);
    let nothing = closed && erased.iter().all(|r| r.deny);
    let any = Wall::new((!erased.is_empty()).then_some(&erased[..]), &[], None, seed);
    let answered = |rule: &Rule| match rule.account.as_deref() {
        None => !nothing && any.admits_some(0, any.class(us), &rule.subject),
        Some(name) => {
            let account = accounts.binary_search(&name).unwrap_or(usize::MAX);
            exact.admits_some(account, exact.class(us), &rule.subject)
        }
    };
    let about_them = |r: &Rule| !r.deny && r.cluster.as_deref().is_none_or(|c| c == them);
    places(ours, |r| about_them(r) && !answered(r))
}

/// The rules about a cluster that is not known.
pub fn strangers(rules: &[Rule], known: impl Fn(&str) -> bool) -> Vec<u32> {
    places(rules, |r| r.cluster.as_deref().is_some_and(|c| !known(c)))
}

/// What two members of one cluster have not in common: the rules of `a` that `b` has not, and those of `b` that `a` has
/// not. That one has a block and the other none is the caller's to see. `seed` keys all hashes.
pub fn differing(a: &[Rule], b: &[Rule], seed: u64) -> (Vec<u32>, Vec<u32>) {
    let of = |rules: &[Rule], others: &[Rule]| {
        let mut said = Set::with_capacity_and_hasher(others.len(), Seeded(seed));
        said.extend(others.iter().map(Rule::said));
        places(rules, |r| !said.contains(&r.said()))
    };
    (of(a, b), of(b, a))
}

fn places(rules: &[Rule], is: impl Fn(&Rule) -> bool) -> Vec<u32> {
    (0..).zip(rules).filter(|(_, r)| is(r)).map(|(i, _)| i).collect()
}

/// Numbers for the accounts that rules name, in order of their first mention.
pub(super) fn accounts(rules: &[Rule]) -> Map<&str, usize> {
    let mut numbers = Map::with_hasher(Seeded(0));
    for name in rules.iter().filter_map(|r| r.account.as_deref()) {
        let next = numbers.len();
        numbers.entry(name).or_insert(next);
    }
    numbers
}
