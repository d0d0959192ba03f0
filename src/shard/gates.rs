//! Where the links to other clusters are, as every shard knows it, which cluster answers soonest, and what each lets in.
//!
//! The rules of another cluster come over its link before the interest that follows from them, but take the way over the
//! gateways' machine, which makes them ready to be asked. As long as they are on their way, those from before hold nothing
//! back here: for a moment too much is sent, never too little, and the other side judges what comes.

use super::peers::At;
use crate::base::limits::FARS_MAX;
use crate::base::{FarId, FarSet};
use crate::conn::{TheirImports, TheirRules};
use crate::interest::border::{Class, Digest, Judgement, Rule};
use crate::policy::walls::{Barrier, Side, Walls};
use crate::wire::gateway::{name_hash, old_hash, split, Hash6};
use std::sync::Arc;

/// A link on which messages are sent.
#[derive(Debug)]
struct Gate {
    at: At,
    /// The last round trip; 0: not measured, which counts as the shortest, as in nats-server.
    rtt_ns: u64,
    cluster: Box<str>,
    /// The cluster in replies, new and old.
    hash: Hash6,
    old: [u8; 4],
    /// What our exports know it as, and our imports.
    class: Class,
    entry: Class,
}

/// What a cluster with a link says of its rules.
#[derive(Debug, Default)]
struct Theirs {
    /// What is ready to be asked.
    rules: TheirRules,
    /// The digest that it said last.
    said: Option<Digest>,
    /// What its imports know us as.
    us: Class,
}

impl Theirs {
    /// What is asked before something is sent; None: there is nothing, or something else is on its way.
    fn imports(&self) -> Option<&TheirImports> {
        self.rules.imports.as_deref().filter(|_| self.rules.digest == self.said)
    }
}

/// See the file's head. One per shard.
#[derive(Debug)]
pub struct Gates {
    /// Clusters with a link. The tables of interest may still name others: they are being forgotten.
    pub live: FarSet,
    /// Those of them that promised interest-only.
    pub promised: FarSet,
    gates: Vec<Option<Gate>>,
    /// What clusters say of their rules.
    theirs: Vec<Theirs>,
    /// The live ones, nearest first.
    order: Vec<FarId>,
}

impl Default for Gates {
    fn default() -> Gates {
        let gates = (0..FARS_MAX).map(|_| None).collect();
        let theirs = (0..FARS_MAX).map(|_| Theirs::default()).collect();
        Gates { live: FarSet::EMPTY, promised: FarSet::EMPTY, gates, theirs, order: Vec::new() }
    }
}

impl Gates {
    /// A link began.
    pub fn begin(&mut self, far: FarId, at: At, promised: bool, cluster: &str, walls: &Walls) {
        let Some(place) = self.gates.get_mut(far.index()) else { return };
        let (hash, old) = (name_hash(cluster), old_hash(cluster));
        let (class, entry) = (walls.exports.class(cluster), walls.imports.class(cluster));
        *place = Some(Gate { at, rtt_ns: 0, cluster: cluster.into(), hash, old, class, entry });
        self.live.insert(far);
        match promised {
            true => self.promised.insert(far),
            false => self.promised.remove(far),
        }
        self.sort();
    }

    /// It ended.
    pub fn end(&mut self, far: FarId) {
        if let Some(place) = self.gates.get_mut(far.index()) {
            *place = None;
            self.theirs[far.index()] = Theirs::default();
        }
        self.live.remove(far);
        self.promised.remove(far);
        self.sort();
    }

    fn gate(&self, far: FarId) -> Option<&Gate> {
        self.gates.get(far.index())?.as_ref()
    }

    /// Where the link to a cluster is; None: there is none.
    pub fn place(&self, far: FarId) -> Option<At> {
        self.gate(far).map(|g| g.at)
    }

    /// The rules of a cluster that are ready to be asked, and the digest of those that it says it has; it calls us `us`. True:
    /// what was decided before is to be forgotten.
    pub fn set_their_rules(&mut self, far: FarId, said: Option<Digest>, rules: TheirRules, us: &str) -> bool {
        let Some(place) = self.theirs.get_mut(far.index()) else { return false };
        let us = rules.imports.as_ref().map_or(Class::OTHERS, |i| i.wall.class(us));
        let before = std::mem::replace(place, Theirs { rules, said, us });
        before.imports() != place.imports()
    }

    /// The digest that a cluster said last, and its rules that are ready.
    pub fn their_rules(&self, far: FarId) -> (Option<Digest>, TheirRules) {
        self.theirs.get(far.index()).map(|t| (t.said, t.rules.clone())).unwrap_or_default()
    }

    /// Does any cluster say what it lets in?
    pub fn any_imports(&self) -> bool {
        self.theirs.iter().any(|t| t.rules.imports.is_some())
    }

    /// Does a cluster say what it lets in, or is it about to?
    pub fn has_imports(&self, far: FarId) -> bool {
        let has = |t: &Theirs| t.rules.imports.is_some() || t.rules.digest != t.said;
        self.theirs.get(far.index()).is_some_and(has)
    }

    /// The imports of a cluster, by their places.
    pub fn their_entries(&self, far: FarId) -> Option<&Arc<[Rule]>> {
        self.theirs.get(far.index())?.rules.imports.as_ref().map(|i| &i.rules)
    }

    /// What a cluster's imports say of a message. None: it has none, or others are on their way.
    pub fn judged_there(&self, far: FarId, account: usize, subject: &[u8]) -> Option<Judgement> {
        let theirs = self.theirs.get(far.index())?;
        Some(theirs.imports()?.wall.judge(account, subject).of(theirs.us))
    }

    /// A round trip was measured. True: another cluster may be the nearest now.
    pub fn measured(&mut self, far: FarId, rtt_ns: u64) -> bool {
        let Some(Some(gate)) = self.gates.get_mut(far.index()) else { return false };
        gate.rtt_ns = rtt_ns;
        let before = self.order.clone();
        self.sort();
        before != self.order
    }

    /// The round trip that all shards know of.
    pub fn rtt_ns(&self, far: FarId) -> u64 {
        self.gate(far).map_or(0, |g| g.rtt_ns)
    }

    fn sort(&mut self) {
        self.order = self.live.iter().collect();
        self.order.sort_by_key(|f| (self.gates[f.index()].as_ref().map_or(0, |g| g.rtt_ns), *f));
    }

    /// The nearest of these clusters.
    pub fn nearest(&self, of: FarSet) -> Option<FarId> {
        self.order.iter().copied().find(|f| of.contains(*f))
    }

    /// The clusters that have a link, the nearest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.order.iter().filter(|f| self.live.contains(**f));
        all.filter_map(|f| self.gate(*f)).map(|g| &*g.cluster)
    }

    /// The cluster of this name, if it has a link.
    pub fn named(&self, cluster: &str) -> Option<FarId> {
        let is = |f: &FarId| self.gate(*f).is_some_and(|g| *g.cluster == *cluster);
        self.live.iter().find(is)
    }

    /// Other rules hold.
    pub fn renew(&mut self, walls: &Walls) {
        for gate in self.gates.iter_mut().flatten() {
            (gate.class, gate.entry) = (walls.exports.class(&gate.cluster), walls.imports.class(&gate.cluster));
        }
    }

    /// Which of these clusters a message may not be sent to, and why: our exports, or else what they say they let in.
    pub fn shut(&self, walls: &Walls, account: u16, subject: &[u8], of: FarSet) -> Vec<(FarId, Barrier)> {
        let account = usize::from(account);
        let ours = (!walls.exports.is_open() && !of.is_empty()).then(|| walls.exports.judge(account, subject));
        let barrier = |far: FarId| {
            let class = self.gate(far)?.class;
            let here = ours.as_ref().and_then(|judged| Barrier::of(Side::Exports, judged.of(class)));
            let there = || Barrier::of(Side::Theirs(far), self.judged_there(far, account, subject)?);
            Some((far, here.or_else(there)?))
        };
        of.iter().filter_map(barrier).collect()
    }

    /// The name of a cluster with a link.
    pub fn name(&self, far: FarId) -> Option<&str> {
        self.gate(far).map(|g| &*g.cluster)
    }

    /// What a cluster with a link is called in replies.
    pub fn hash(&self, far: FarId) -> Option<Hash6> {
        self.gate(far).map(|g| g.hash)
    }

    /// What our imports know a cluster as; None: it has no link.
    pub fn entry(&self, far: FarId) -> Option<Class> {
        self.gate(far).map(|g| g.entry)
    }

    /// The cluster that a mapped reply came from.
    pub fn origin(&self, reply: &[u8]) -> Option<FarId> {
        let cluster = split(reply)?.cluster;
        let is = |f: &FarId| self.gate(*f).is_some_and(|g| g.hash[..] == *cluster || g.old[..] == *cluster);
        self.order.iter().copied().find(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;
    use crate::policy::Settings;

    #[test]
    fn the_nearest_is_the_one_that_answers_soonest() {
        let mut g = Gates::default();
        let at = At::Here(ConnId::NONE);
        let walls = Walls::of(&Settings::default(), 1);
        g.begin(FarId(1), at, true, "east", &walls);
        g.begin(FarId(2), at, false, "west", &walls);
        let all = FarSet(0xff);
        assert!(!g.measured(FarId(2), 10) && g.measured(FarId(1), 20), "east was first, being unmeasured");
        assert_eq!((g.nearest(all), g.nearest(FarSet(2)), g.promised), (Some(FarId(2)), Some(FarId(1)), FarSet(2)));
        assert_eq!(g.origin(b"_GR_.jXch21.UDWqd3.x"), Some(FarId(1)));
        assert_eq!((g.origin(b"$GR.76a7.x"), g.origin(b"$GR.0000.x")), (Some(FarId(2)), None));
        g.end(FarId(2));
        assert_eq!((g.nearest(all), g.place(FarId(2)), g.live), (Some(FarId(1)), None, FarSet(2)));
    }
}
