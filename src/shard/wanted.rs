//! What peers and other clusters want, for monitoring, in slices: each shard tells of the routes and links that are its own.

use super::core::Shard;
use super::report::{Answer, SubRow};
use crate::base::{FarId, FarSet, PeerSet};
use crate::conn::Telling;
use crate::interest::Cursor;
use std::collections::BTreeMap;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Shard {
    /// A slice of one account's interest, as far as it is that of peers whose routes are here.
    pub(super) fn peer_interest(&self, from: Telling, max: u32) -> Answer {
        let (mut here, mut rows) = (PeerSet::EMPTY, Vec::new());
        let mut rids = BTreeMap::new();
        for (peer, conn) in self.peers.here() {
            here.insert(peer);
            rids.insert(peer, self.outbox.conns.get(conn).map_or(0, |c| c.cid.0));
        }
        let Some(world) = self.worlds.get(usize::from(from.account)).filter(|_| !rids.is_empty()) else {
            return Answer::Wanted { rows, next: None };
        };
        let account = &self.settings.auth.accounts[usize::from(from.account)].name;
        // All of them may want the same pattern.
        let patterns = (max as usize / rids.len()).max(1);
        let rest = world.replica.walk_peers(&here, from.cursor, patterns, |peer, pattern, queue| {
            let (subject, group) = (text(pattern), text(queue));
            let sid = format!("R {account} {subject} {group}").trim_end().to_owned();
            let queue = (!queue.is_empty()).then_some(group);
            let cid = rids.get(&peer).copied().unwrap_or_default();
            rows.push(SubRow { account: account.clone(), subject, queue, sid, cid, ..SubRow::default() });
        });
        let next = (usize::from(from.account) + 1 < self.worlds.len()).then_some(from.account + 1);
        Answer::Wanted { rows, next: after(rest, from, next) }
    }

    /// The same of other clusters, as far as this shard's links lead there; of one account or of all.
    pub(super) fn far_interest(&self, from: Telling, max: u32, only: Option<&str>) -> Answer {
        let (mut here, mut links) = (FarSet::EMPTY, BTreeMap::<FarId, u64>::new());
        for (cid, conn) in &self.gateway_links {
            let link = self.outbox.conns.get(*conn).and_then(|c| c.gateway.as_deref());
            if let Some(far) = link.and_then(|l| l.far()) {
                here.insert(far);
                links.insert(far, cid.0);
            }
        }
        let accounts = &self.settings.auth.accounts;
        let told = |at: &usize| {
            let held = here.iter().map(|far| self.worlds[*at].fars.held(far));
            held.map(|h| h.plain + h.queues).sum::<u64>() > 0 && only.is_none_or(|name| accounts[*at].name == name)
        };
        let tell = |from: usize| (from..self.worlds.len()).find(told);
        let mut rows = Vec::new();
        let Some(at) = tell(usize::from(from.account)) else { return Answer::Wanted { rows, next: None } };
        let begun = at == usize::from(from.account);
        let from = if begun { from } else { Telling { account: at as u16, cursor: Cursor::default() } };
        let account = &accounts[at].name;
        // All of them may want the same pattern.
        let patterns = (max as usize / links.len()).max(1);
        let rest = self.worlds[at].fars.walk(here, from.cursor, patterns, |far, pattern, queue| {
            let queue = (!queue.is_empty()).then(|| text(queue));
            let cid = links.get(&far).copied().unwrap_or_default();
            rows.push(SubRow { account: account.clone(), subject: text(pattern), queue, cid, ..SubRow::default() });
        });
        Answer::Wanted { rows, next: after(rest, from, tell(at + 1).map(|at| at as u16)) }
    }
}

/// Where the next slice begins, in this account or in the next one.
fn after(rest: Option<Cursor>, from: Telling, next: Option<u16>) -> Option<Telling> {
    let next = next.map(|account| Telling { account, cursor: Cursor::default() });
    rest.map(|cursor| Telling { cursor, ..from }).or(next)
}
