//! Where the links to other clusters are, as every shard knows it, and which cluster answers soonest.

use super::peers::At;
use super::walls::{Barrier, Side, Walls};
use crate::base::limits::FARS_MAX;
use crate::base::{FarId, FarSet};
use crate::interest::border::{Class, Wall};
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

/// See the file's head. One per shard.
#[derive(Debug)]
pub struct Gates {
    /// Clusters with a link. The tables of interest may still name others: they are being forgotten.
    pub live: FarSet,
    /// Those of them that promised interest-only.
    pub promised: FarSet,
    gates: Vec<Option<Gate>>,
    /// What clusters let in, as they say: known before their link begins.
    imports: Vec<Option<Arc<Wall>>>,
    /// The live ones, nearest first.
    order: Vec<FarId>,
}

impl Default for Gates {
    fn default() -> Gates {
        let gates = (0..FARS_MAX).map(|_| None).collect();
        let imports = vec![None; FARS_MAX];
        Gates { live: FarSet::EMPTY, promised: FarSet::EMPTY, gates, imports, order: Vec::new() }
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
            self.imports[far.index()] = None;
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

    /// A cluster says what it lets in; None: everything, or it cannot say. What was decided before is to be forgotten.
    pub fn set_their_imports(&mut self, far: FarId, wall: Option<Arc<Wall>>) {
        if let Some(place) = self.imports.get_mut(far.index()) {
            *place = wall;
        }
    }

    /// Does any cluster say what it lets in?
    pub fn any_imports(&self) -> bool {
        self.imports.iter().any(Option::is_some)
    }

    /// What a cluster lets in, as it says; None: everything, or it cannot say.
    pub fn their_imports(&self, far: FarId) -> Option<&Arc<Wall>> {
        self.imports.get(far.index())?.as_ref()
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

    /// Which of these clusters a message may not be sent to, and why.
    pub fn shut(&self, walls: &Walls, account: u16, subject: &[u8], of: FarSet) -> Vec<(FarId, Barrier)> {
        if walls.exports.is_open() || of.is_empty() {
            return Vec::new();
        }
        let judged = walls.exports.judge(usize::from(account), subject);
        let barrier = |far| Some((far, Barrier::of(Side::Exports, judged.of(self.gate(far)?.class))?));
        of.iter().filter_map(barrier).collect()
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
