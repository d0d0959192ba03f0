//! What does not fit between the rules of two servers' borders (docs/borders.md, "Both sides"): found anew at each look, as
//! all that is amiss; named with the lines concerned, on both sides.

use super::border::{named, Block, Rules};
use super::core::{Gateways, Member};
use super::fits::Fits;
use super::link::Linked;
use super::trouble::{Found, Kind};
use crate::base::{Level, SECOND};
use crate::interest::border::{differing, strangers, unanswered};
use crate::wire::address::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A cluster that a rule names has so long to be heard of.
const GRACE_NS: u64 = 12 * SECOND;

/// Whose block it is, which, what is amiss, and the verb between the cluster's name and the lines.
const PAIRS: [(Kind, &str, Block, &str); 4] = [
    (Kind::ExportUnheard, "", Block::Exports, "does not import what this cluster exports"),
    (Kind::ImportUnmet, "", Block::Imports, "does not export what this cluster imports"),
    (Kind::TheirExportUnheard, "its ", Block::Exports, "exports what this cluster does not import"),
    (Kind::TheirImportUnmet, "its ", Block::Imports, "imports what this cluster does not export"),
];

impl Gateways {
    /// What is amiss with the rules.
    pub(super) fn borders_amiss(&mut self, found: &mut Found) {
        let mut fits = std::mem::take(&mut self.fits);
        self.rules_of_strangers(found);
        self.members_unlike(found, &mut fits);
        self.servers_unlike(found, &mut fits);
        self.clusters_unfit(found, &mut fits);
        fits.sweep();
        self.fits = fits;
        self.say_who_enforces_nothing();
    }

    /// One server of each linked cluster that told its rules, of those that we reach if there is one.
    pub(super) fn spokesmen(&self) -> BTreeMap<&str, &Linked> {
        let mut of: BTreeMap<&str, &Linked> = BTreeMap::new();
        for linked in self.linked.values().filter(|l| l.border.rules().is_some()) {
            let known = of.entry(&linked.cluster).or_insert(linked);
            if linked.is_outbound() {
                *known = linked;
            }
        }
        of
    }

    fn clusters_unfit(&self, found: &mut Found, fits: &mut Fits) {
        let Some(ours) = &self.own.rules else { return };
        for (cluster, linked) in self.spokesmen() {
            let Some(theirs) = linked.border.rules() else { continue };
            let key = (Kind::ExportUnheard, cluster.to_string());
            let all = fits.between(key, [Some(ours), Some(theirs)], || self.compare(ours, theirs, cluster).into());
            let since = self.own.since.max(linked.since).max(linked.border.since);
            for ((kind, _, _, verb), lines) in PAIRS.iter().zip(all).filter(|(_, lines)| !lines.is_empty()) {
                let text = format!("cluster \"{}\" {verb}: {lines}", shown(cluster));
                found.insert((*kind, cluster.to_string()), (since, text));
            }
        }
    }

    /// The lines of each of [`PAIRS`].
    fn compare(&self, ours: &Rules, theirs: &Rules, them: &str) -> [String; 4] {
        let (us, system) = (self.gateway.name.as_str(), self.own.system_name());
        PAIRS.map(|(_, whose, block, _)| {
            let (of, by, us, them) = if whose.is_empty() { (ours, theirs, us, them) } else { (theirs, ours, them, us) };
            let (rules, answers) = match block {
                Block::Exports => (&of.exports, &by.imports),
                Block::Imports => (&of.imports, &by.exports),
            };
            let rules = rules.as_deref().unwrap_or_default();
            named(whose, block, rules, &unanswered(rules, answers.as_deref(), us, them, system, self.own.seed))
        })
    }

    /// Rules about a cluster that nobody has heard of.
    fn rules_of_strangers(&self, found: &mut Found) {
        let Some(rules) = &self.own.rules else { return };
        let known = |name: &str| self.book.get(name).is_some();
        if self.own.clusters.iter().all(|name| known(name)) {
            return;
        }
        let of = |block, rules: &Option<Arc<[_]>>| {
            let rules = rules.as_deref().unwrap_or_default();
            named("", block, rules, &strangers(rules, known))
        };
        let lines = [of(Block::Exports, &rules.exports), of(Block::Imports, &rules.imports)];
        let lines: Vec<String> = lines.into_iter().filter(|l| !l.is_empty()).collect();
        let text = format!("rules name clusters that nobody knows: {}", lines.join(", "));
        found.insert((Kind::RuleAstray, self.gateway.name.clone()), (self.own.since.plus_ns(GRACE_NS), text));
    }

    /// Members that do not hold the border of this cluster as this server does.
    fn members_unlike(&self, found: &mut Found, fits: &mut Fits) {
        let ours = self.own.rules.as_ref();
        for member in self.members.values().filter(|m| !m.gateway_url.is_empty()) {
            let word = member.shown();
            if !member.borders {
                if ours.is_some() {
                    let text = format!(
                        "server {word} of this cluster cannot hold its border (a nats-server, or an older turnpike): \
                         what comes and goes by it is not held back by exports and imports"
                    );
                    let since = member.since.max(self.own.since);
                    found.insert((Kind::MemberLax, member.server_id.clone()), (since, text));
                }
                continue;
            }
            if member.border.digest == ours.map(|r| r.digest) {
                continue;
            }
            let key = (Kind::MemberUnlike, member.server_id.clone());
            let lines = match member.border.rules() {
                None => self.unlike(member),
                theirs => fits.between(key, [ours, theirs], || vec![self.unlike(member)]).concat(),
            };
            let text = format!("server {word} of this cluster has other rules than this one: {lines}");
            let since = self.own.since.max(member.since).max(member.border.since);
            found.insert((Kind::MemberUnlike, member.server_id.clone()), (since, text));
        }
    }

    fn unlike(&self, member: &Member) -> String {
        match (&self.own.rules, member.border.digest, member.border.rules()) {
            (_, None, _) => "it has none".into(),
            (_, Some(_), None) => "it has not told them yet".into(),
            (None, Some(_), Some(theirs)) => {
                format!("this server has none, and it has {}", difference("", None, theirs, self.own.seed))
            }
            (Some(ours), Some(_), Some(theirs)) => {
                let seed = self.own.seed;
                let only = [
                    ("", difference("", Some(theirs), ours, seed)),
                    ("its ", difference("its ", Some(ours), theirs, seed)),
                ];
                let words = only.iter().filter(|(_, lines)| !lines.is_empty()).map(|(whose, lines)| match *whose {
                    "" => format!("it has not {lines}"),
                    _ => format!("this server has not {lines}"),
                });
                words.collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Servers of one other cluster that told different rules.
    fn servers_unlike(&self, found: &mut Found, fits: &mut Fits) {
        let mut of: BTreeMap<&str, &Linked> = BTreeMap::new();
        for linked in self.linked.values().filter(|l| l.hello.borders) {
            let first = *of.entry(&linked.cluster).or_insert(linked);
            let key = (Kind::ServersUnlike, linked.cluster.clone());
            if first.border.digest == linked.border.digest || found.contains_key(&key) {
                continue;
            }
            let [a, b] = [first, linked].map(|l| l.border.rules());
            let lines = fits.between(key.clone(), [a, b], || {
                let only = |whose, other: Option<&Arc<Rules>>, one: Option<&Arc<Rules>>| {
                    one.map(|one| difference(whose, other.map(|o| &**o), one, self.own.seed))
                        .filter(|lines| !lines.is_empty())
                };
                let both = [only("the former's ", b, a), only("the latter's ", a, b)];
                both.into_iter().flatten().map(|lines| format!("; only there: {lines}")).collect()
            });
            let text = format!(
                "servers of cluster \"{}\" have different rules: {} and {}{}",
                shown(&linked.cluster),
                first.shown(),
                linked.shown(),
                lines.concat(),
            );
            let times = [first, linked].map(|l| l.since.max(l.border.since));
            found.insert(key, (times[0].max(times[1]), text));
        }
    }

    /// A cluster whose servers hold no border: said once of each, as it may well be so.
    fn say_who_enforces_nothing(&mut self) {
        if self.own.rules.is_none() {
            return;
        }
        let lax = self.linked.values().filter(|l| l.is_outbound() && !l.hello.borders).map(|l| l.cluster.clone());
        let lax: BTreeSet<String> = lax.collect();
        self.lax_said.retain(|name| self.book.get(name).is_some());
        for cluster in lax {
            if self.lax_said.insert(cluster.clone()) {
                let text = format!(
                    "cluster \"{}\" holds no border of its own (nats-servers, or older turnpikes): this side's rules \
                     alone are enforced",
                    shown(&cluster)
                );
                self.log(Level::Info, text);
            }
        }
    }
}

/// The rules that only one has, in both blocks. None: the other has no rules.
fn difference(whose: &str, other: Option<&Rules>, one: &Rules, seed: u64) -> String {
    let of = |block, ours: &Option<Arc<[_]>>, theirs: Option<&Option<Arc<[_]>>>| -> Option<String> {
        let ours = ours.as_deref()?;
        let theirs = theirs.and_then(|b| b.as_deref());
        let (only, _) = differing(ours, theirs.unwrap_or_default(), seed);
        let name = if block == Block::Exports { "exports" } else { "imports" };
        match (only.is_empty(), theirs.is_some()) {
            (false, _) => Some(named(whose, block, ours, &only)),
            // An empty block against none.
            (true, false) => Some(format!("{whose}{name}")),
            (true, true) => None,
        }
    };
    let exports = of(Block::Exports, &one.exports, other.map(|o| &o.exports));
    let imports = of(Block::Imports, &one.imports, other.map(|o| &o.imports));
    exports.into_iter().chain(imports).collect::<Vec<_>>().join(", ")
}
