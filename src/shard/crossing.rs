//! How a message leaves for other clusters over the links of this shard (cluster-protocol.md §4.8).

use super::batch::{picks, Address, Whose};
use super::core::Shard;
use super::peers::At;
use super::verdict::{Gate, Verdict};
use crate::base::{FarId, FarSet, Slot};
use crate::wire::Message;

impl Shard {
    /// Writes a message to the gateways of this shard: once to each cluster that is sent it plain or is to serve a queue
    /// group, its groups named. Says how many took it.
    pub(super) fn over_gateways(&mut self, verdict: Slot, to: Address, groups: &[u8], m: &Message<'_>) -> u64 {
        let (mut took, mut done) = (0, FarSet::EMPTY);
        if to.plain {
            // By number, for each is looked up anew: nothing is borrowed while another is written to.
            let nth = |s: &Shard, n: usize| s.verdicts.get(verdict).and_then(|v| v.gates.get(n).copied());
            let mut n = 0;
            while let Some(gate) = nth(self, n) {
                n += 1;
                done.insert(gate.far);
                took += u64::from(self.over_gateway(verdict, gate, true, to.account, groups, m));
            }
        }
        for (whose, _) in picks(groups) {
            let Whose::Far(far) = whose else { continue };
            if let (false, Some(At::Here(conn))) = (done.contains(far), self.gates.place(far)) {
                done.insert(far);
                took += u64::from(self.over_gateway(verdict, Gate { far, conn }, false, to.account, groups, m));
            }
        }
        took
    }

    fn over_gateway(
        &mut self,
        verdict: Slot,
        gate: Gate,
        plain: bool,
        account: u16,
        groups: &[u8],
        m: &Message<'_>,
    ) -> bool {
        let reply = if m.reply.is_empty() { None } else { self.reply_across(account, gate.conn, m) };
        let m = Message { reply: reply.as_deref().unwrap_or(m.reply), ..*m };
        let Some(v) = self.verdicts.get(verdict) else { return false };
        let named = picks(groups).filter_map(|(w, name)| (w == Whose::Far(gate.far)).then_some(name));
        let fate = self.outbox.deliver_over_link(gate.conn, &v.names, &m, plain, named);
        self.outbox.crossed(&gate, account, fate)
    }

    /// Has this cluster a member of the queue group, and is its link on this shard?
    pub(super) fn is_far_member_here(&self, verdict: Slot, far: FarId, name: &[u8]) -> bool {
        let group = self.verdicts.get(verdict).and_then(|v| v.groups.iter().find(|g| *g.name == *name));
        // Which cluster is the nearest may have changed on the way here: any that has one will do.
        let open = |v: &Verdict| v.held.iter().all(|(held, _)| *held != far);
        self.verdicts.get(verdict).is_some_and(open)
            && group.is_some_and(|g| g.far.is_some())
            && matches!(self.gates.place(far), Some(At::Here(_)))
    }
}
