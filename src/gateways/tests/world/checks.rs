//! What has to be true of a world that has come to rest.

use super::World;
use crate::base::{Cid, SECOND};
use crate::conn::{Way, ORDERED_LINKS};
use std::collections::BTreeSet;

impl World {
    /// The nodes of a cluster that a node sends to and is sent to by, by the other ends of its links.
    fn ends(&self, node: usize, outbound: bool) -> Vec<usize> {
        let cids: Vec<Cid> = match &self.nodes[node].nats {
            Some(n) if outbound => n.outbound.values().copied().collect(),
            Some(n) => n.inbound.keys().copied().collect(),
            None => {
                let of = self.nodes[node].links.iter().filter(|(_, (i, _))| (i.way != Way::In) == outbound);
                of.map(|(cid, _)| *cid).collect()
            }
        };
        let other = |cid: Cid| {
            let wire = &self.wires[self.by_cid[&(node, cid)]];
            wire.ends[usize::from(wire.ends[0] == (node, cid))].0
        };
        cids.into_iter().map(other).collect()
    }

    /// Every node that is up sends to exactly one node of each other cluster; as many links arrive; nothing else is open;
    /// and nothing is amiss.
    pub(in crate::gateways::tests) fn assert_converged(&self) {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].up && !self.nodes[*n].bare).collect();
        let clusters: BTreeSet<&str> = up.iter().map(|n| self.nodes[*n].cluster.as_str()).collect();
        let (mut outbound, mut inbound) = (0, 0);
        for node in &up {
            let ends = self.ends(*node, true);
            let mut reached: Vec<&str> = ends.iter().map(|n| self.nodes[*n].cluster.as_str()).collect();
            reached.sort();
            let own = self.nodes[*node].cluster.as_str();
            let others: Vec<&str> = clusters.iter().filter(|c| **c != own).copied().collect();
            assert_eq!(reached, others, "node {node}: {:#?}", self.nodes[*node].log);
            assert!(ends.iter().all(|n| self.nodes[*n].up), "node {node} sends to the dead");
            outbound += ends.len();
            inbound += self.ends(*node, false).len();
        }
        let counts = up.iter().map(|n| up.iter().filter(|m| self.nodes[**m].cluster == self.nodes[*n].cluster).count());
        let formula: usize = counts.map(|_| clusters.len() - 1).sum();
        assert_eq!((outbound, inbound), (formula, formula));
        let open = self.wires.iter().filter(|w| w.open[0] || w.open[1]).count();
        assert_eq!(open, formula, "connections are left over");
        for node in up.into_iter().filter(|n| self.nodes[*n].nats.is_none()) {
            let report = self.nodes[node].machine.report();
            assert_eq!(report.handshakes, 0);
            assert_eq!(report.troubles, [], "node {node}");
            assert_eq!(report.links.iter().filter(|l| l.far.is_some()).count(), report.expected);
            assert!(self.nodes[node].machine.unready().is_empty());
            let beside_nats = self.mates(node).iter().any(|m| self.nodes[*m].nats.is_some());
            let mut outbound = report.links.iter().filter(|l| l.far.is_some());
            assert!(!beside_nats || outbound.all(|l| l.shard == ORDERED_LINKS), "node {node}");
        }
    }

    /// No address was dialed more often than once a second by one node.
    pub(in crate::gateways::tests) fn assert_patient(&self) {
        for (who, times) in &self.dialed {
            for pair in times.windows(2) {
                assert!(pair[1].since(pair[0]) >= SECOND, "{who:?} at {pair:?}");
            }
        }
    }

    /// How often has a node said this?
    pub(in crate::gateways::tests) fn said(&self, node: usize, part: &str) -> usize {
        self.nodes[node].log.iter().filter(|(_, text)| text.contains(part)).count()
    }
}
