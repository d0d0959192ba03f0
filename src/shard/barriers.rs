//! How many messages each rule of the border has held back, on one shard.

use super::walls::{Barrier, Side};
use crate::base::{Map, Seeded};
use crate::interest::border::Rule;
use crate::policy::Borders;
use std::collections::BTreeMap;

/// See the file's head.
#[derive(Debug, Default)]
pub struct Barriers {
    held: BTreeMap<Barrier, u64>,
}

fn block(borders: &Borders, side: Side) -> &[Rule] {
    let rules = match side {
        Side::Exports => &borders.exports,
        Side::Imports => &borders.imports,
    };
    rules.as_deref().unwrap_or_default()
}

impl Barriers {
    /// One more.
    pub fn held(&mut self, by: Barrier) {
        *self.held.entry(by).or_default() += 1;
    }

    /// Other rules hold: what one that still stands has held back stays its own, the rest is forgotten.
    pub fn rules_changed(&mut self, before: &Borders, after: &Borders) {
        let mut places = Map::with_hasher(Seeded(0));
        for side in [Side::Exports, Side::Imports] {
            for (at, rule) in (0..).zip(block(after, side)) {
                places.entry((side, rule.said())).or_insert(at);
            }
        }
        for (by, n) in std::mem::take(&mut self.held) {
            let place = |at: u32| {
                let rule = block(before, by.side).get(at as usize)?;
                places.get(&(by.side, rule.said())).copied()
            };
            let now = match by.rule {
                None => Some(by),
                Some(at) => place(at).map(|at| Barrier { rule: Some(at), ..by }),
            };
            if let Some(now) = now {
                *self.held.entry(now).or_default() += n;
            }
        }
    }

    /// All of it, for monitoring.
    pub fn report(&self) -> impl Iterator<Item = (Barrier, u64)> + '_ {
        self.held.iter().map(|(by, n)| (*by, *n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_has_held_back_stays_its_own_when_others_come_and_go() {
        let rule = |subject: &str| Rule {
            subject: subject.as_bytes().into(),
            cluster: None,
            account: None,
            deny: true,
            place: Default::default(),
        };
        let borders = |subjects: &[&str]| Borders {
            exports: Some(subjects.iter().map(|s| rule(s)).collect()),
            ..Borders::default()
        };
        let mut b = Barriers::default();
        let by = |rule| Barrier { side: Side::Exports, rule };
        for place in [Some(0), Some(1), Some(1), None] {
            b.held(by(place));
        }
        b.rules_changed(&borders(&["a", "b"]), &borders(&["c", "d", "b"]));
        assert_eq!(b.report().collect::<Vec<_>>(), [(by(None), 1), (by(Some(2)), 2)]);
    }
}
