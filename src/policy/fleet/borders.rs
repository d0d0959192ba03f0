//! Rules of borders: exports that nobody imports, imports that nobody exports, members of one cluster with different
//! ones. The same looks that running servers take at each other (`gateways/unfit`).

use super::member::{clusters, find, Finding, Grade, Member};
use crate::interest::border::{differing, strangers, unanswered, Rule};
use crate::policy::settings::Borders;

/// Keys hashes; whose rules these are is no stranger.
const SEED: u64 = 0;

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let of = clusters(members);
    for (name, all) in &of {
        let Some(first) = all.iter().find(|m| m.settings.gateway.is_some()) else { continue };
        all.iter().for_each(|m| unlike(name, first, m, found));
        let Some(borders) = borders(first) else { continue };
        for (block, rules) in [("exports", &borders.exports), ("imports", &borders.imports)] {
            let rules = rules.as_deref().unwrap_or_default();
            for at in strangers(rules, |cluster| of.contains_key(cluster)) {
                let text = format!("this rule of {block} is about a cluster that none of these servers is in");
                find(found, Grade::Warning, vec![place(first, rules, at)], text);
            }
        }
        for (other, others) in of.iter().filter(|(other, _)| *other != name) {
            let Some((them, theirs)) = others.iter().find_map(|m| Some((m, self::borders(m)?))) else { continue };
            let system = first.settings.auth.system.map_or("", |i| &first.settings.auth.accounts[i].name);
            let pairs = [
                ("exports", &borders.exports, &theirs.imports, "import"),
                ("imports", &borders.imports, &theirs.exports, "export"),
            ];
            for (block, rules, answers, verb) in pairs {
                let rules = rules.as_deref().unwrap_or_default();
                for at in unanswered(rules, answers.as_deref(), name, other, system, SEED) {
                    let text =
                        format!("cluster {other:?} does not {verb} what this rule of {block} of {name:?} is about");
                    let there = them.place(&[&format!("gateway.{verb}s"), "gateway"]);
                    find(found, Grade::Warning, vec![place(first, rules, at), there], text);
                }
            }
        }
    }
}

fn borders(m: &Member) -> Option<&Borders> {
    m.settings.gateway.as_ref().map(|g| &g.borders)
}

fn place(m: &Member, rules: &[Rule], at: u32) -> String {
    m.places.at(rules.get(at as usize).map(|r| r.place).unwrap_or_default())
}

fn unlike(name: &str, first: &Member, m: &Member, found: &mut Vec<Finding>) {
    let (Some(a), Some(b)) = (borders(first), borders(m)) else { return };
    for (block, ours, theirs) in [("exports", &a.exports, &b.exports), ("imports", &a.imports, &b.imports)] {
        let (x, y) = differing(ours.as_deref().unwrap_or_default(), theirs.as_deref().unwrap_or_default(), SEED);
        if ours.is_some() == theirs.is_some() && x.is_empty() && y.is_empty() {
            continue;
        }
        let here = y.first().map(|at| place(m, theirs.as_deref().unwrap_or_default(), *at));
        let there = x.first().map(|at| place(first, ours.as_deref().unwrap_or_default(), *at));
        let path = format!("gateway.{block}");
        let or = |at: Option<String>, m: &Member| at.unwrap_or_else(|| m.place(&[&path, "gateway"]));
        let text = format!(
            "cluster {name:?}: {block} of {:?} and {:?} differ: what crosses depends on the server; make them equal",
            first.name(),
            m.name()
        );
        find(found, Grade::Error, vec![or(here, m), or(there, first)], text);
    }
}
