//! What is superfluous or without effect in a block. Nothing of it is wrong, and all of it is worth a warning.

use super::findings::accounts;
use super::{Class, Rule, Wall};

/// A rule that changes nothing, and the rule because of which it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Its place in the block.
    pub rule: u32,
    /// That of the other.
    pub by: u32,
    /// How the two stand to each other.
    pub kind: FlawKind,
}

/// See [`Flaw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// Both say the same; the first is `by`.
    Twice,
    /// Both admit or both deny, and `by` does it to more.
    Within,
    /// It admits only what `by` denies.
    Denied,
}

/// The flaws of a block, at most one of each rule, in the order of the rules. `system` is the name of the system account.
pub fn flaws(rules: &[Rule], system: &str) -> Vec<Flaw> {
    let numbers = accounts(rules);
    let mut names = vec![""; numbers.len()];
    numbers.iter().for_each(|(name, i)| names[*i] = name);
    let wall = Wall::new(Some(rules), &names, numbers.get(system).copied(), rules.len() as u64);
    let of = |place: u32, rule: &Rule| {
        let account = rule.account.as_deref().and_then(|name| numbers.get(name).copied());
        let class = rule.cluster.as_deref().map_or(Class::OTHERS, |name| wall.class(name));
        let twice = wall.same(account, rule).filter(|first| *first != place);
        if let Some(by) = twice {
            return Some(Flaw { rule: place, by, kind: FlawKind::Twice });
        }
        let coverer = |deny| wall.coverer(account, class, deny, &rule.subject, place);
        let denied = coverer(true).filter(|_| !rule.deny).map(|by| (by, FlawKind::Denied));
        let (by, kind) = denied.or_else(|| coverer(rule.deny).map(|by| (by, FlawKind::Within)))?;
        Some(Flaw { rule: place, by, kind })
    };
    (0..).zip(rules).filter_map(|(place, rule)| of(place, rule)).collect()
}
