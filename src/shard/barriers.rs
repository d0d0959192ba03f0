//! How many messages each rule of the border has held back, on one shard: our rules, and what other clusters import.

use crate::base::limits::FARS_MAX;
use crate::base::FarId;
use crate::base::{Map, Seeded};
use crate::interest::border::Rule;
use crate::policy::walls::{Barrier, Side};
use crate::policy::Borders;
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the file's head.
#[derive(Debug, Default)]
pub struct Barriers {
    held: BTreeMap<Barrier, u64>,
    theirs: Vec<Theirs>,
}

/// What the imports of another cluster have held back here. Links to it come and go.
#[derive(Debug)]
struct Theirs {
    cluster: Box<str>,
    /// None: there is no link to it.
    far: Option<FarId>,
    rules: Arc<[Rule]>,
    /// By the place of the rule; None: there is none that admits it.
    held: BTreeMap<Option<u32>, u64>,
}

fn block(borders: &Borders, side: Side) -> &[Rule] {
    let rules = match side {
        Side::Exports => &borders.exports,
        Side::Imports => &borders.imports,
        Side::Theirs(_) => return &[],
    };
    rules.as_deref().unwrap_or_default()
}

impl Theirs {
    /// Other rules hold there.
    fn rules_change(&mut self, rules: &Arc<[Rule]>) {
        if Arc::ptr_eq(&self.rules, rules) {
            return;
        }
        let before = std::mem::replace(&mut self.rules, rules.clone());
        if self.held.is_empty() {
            return;
        }
        let mut places = Map::with_hasher(Seeded(0));
        for (at, rule) in (0..).zip(rules.iter()) {
            places.entry(rule.said()).or_insert(at);
        }
        for (rule, n) in std::mem::take(&mut self.held) {
            let stays = |at: u32| places.get(&before.get(at as usize)?.said()).copied();
            let now = rule.map(stays);
            if now != Some(None) {
                *self.held.entry(now.flatten()).or_default() += n;
            }
        }
    }
}

impl Barriers {
    /// One more.
    pub fn held(&mut self, by: Barrier) {
        if let Side::Theirs(far) = by.side {
            if let Some(theirs) = self.theirs.iter_mut().find(|t| t.far == Some(far)) {
                *theirs.held.entry(by.rule).or_default() += 1;
            }
            return;
        }
        *self.held.entry(by).or_default() += 1;
    }

    /// The cluster behind a link imports this: what a rule that still stands there has held back stays its own, the rest is
    /// forgotten.
    pub fn theirs(&mut self, far: FarId, cluster: &str, rules: Option<&Arc<[Rule]>>) {
        let none = Arc::from([]);
        let rules = rules.unwrap_or(&none);
        if let Some(theirs) = self.theirs.iter_mut().find(|t| *t.cluster == *cluster) {
            theirs.far = Some(far);
            return theirs.rules_change(rules);
        }
        let new = Theirs { cluster: cluster.into(), far: Some(far), rules: rules.clone(), held: BTreeMap::new() };
        let gone = self.theirs.iter().position(|t| t.far.is_none());
        match gone.filter(|_| self.theirs.len() >= FARS_MAX) {
            Some(at) => self.theirs[at] = new,
            None => self.theirs.push(new),
        }
    }

    /// That link ended.
    pub fn left(&mut self, far: FarId) {
        self.theirs.iter_mut().filter(|t| t.far == Some(far)).for_each(|t| t.far = None);
    }

    /// Our rules have changed: what one that still stands has held back stays its own, the rest is forgotten.
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

    /// What others' imports have held back, for monitoring: the cluster, the rule (None: no one admits it), how many.
    pub fn report_theirs(&self) -> impl Iterator<Item = (&str, Option<&Rule>, u64)> + '_ {
        self.theirs.iter().flat_map(|t| {
            t.held.iter().map(|(rule, n)| (&*t.cluster, rule.and_then(|at| t.rules.get(at as usize)), *n))
        })
    }

    /// What our rules have, for monitoring.
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
