//! Accounts that have as many connections as they may. Who comes then is refused (`enter`); where a reload allows fewer than
//! there are, the newest go, whichever shards they are on, as nats-server does it with tokens.
//!
//! Every shard knows how many the others have, and for a while after a reload the newest of each. Whoever has the newest of
//! all closes it and says so: so one goes after the other, and never one that is older than one that stays.

use super::core::Shard;
use super::headcount::{Headcount, Thinning};
use crate::base::{Cid, ConnId, SECOND};
use crate::conn::Close;
use crate::policy::settings::Account;
use crate::wire::Fault;

/// So long after a reload nobody has been told of it yet.
const THINNED_NS: u64 = 10 * SECOND;

impl Shard {
    /// Where the number of an account's connections is limited, every shard knows it.
    pub(super) fn state_connections(&mut self, account: u16) {
        if self.settings.auth.accounts[usize::from(account)].max_connections.is_none() {
            return;
        }
        let newest = self.newest(account).map_or(0, |(cid, _)| cid.0);
        let all = Headcount { n: self.worlds[usize::from(account)].ledger.connections as u32, newest };
        for batch in self.peer_batches() {
            batch.connections(account, all);
        }
    }

    /// Has an account more connections than it may?
    pub(super) fn is_over(&self, account: u16) -> bool {
        let world = &self.worlds[usize::from(account)];
        let all = world.ledger.connections + world.elsewhere.iter().map(|c| u64::from(c.n)).sum::<u64>();
        self.settings.auth.accounts[usize::from(account)].max_connections.is_some_and(|max| all > max as u64)
    }

    /// There are so many clients more than there may be: the newest go.
    pub(super) fn shed_newest(&mut self, n: usize) {
        let all = self.outbox.conns.iter().filter(|(_, c)| c.is_client() && !c.service && c.lives());
        let mut all: Vec<(Cid, ConnId)> = all.map(|(id, c)| (c.cid, id)).collect();
        all.sort_unstable();
        for (_, id) in all.into_iter().rev().take(n) {
            self.close(id, Close::Fault(Fault::Connections));
        }
    }

    /// After a reload: accounts whose limits are others than before.
    pub(super) fn limit_accounts(&mut self, before: &[Account]) {
        let limits =
            self.settings.auth.accounts.iter().zip(before).map(|(is, was)| is.max_connections != was.max_connections);
        let changed: Vec<u16> = (0..).zip(limits).filter(|(_, differs)| *differs).map(|(account, _)| account).collect();
        for account in changed {
            if self.settings.auth.accounts[usize::from(account)].max_connections.is_none() {
                self.worlds[usize::from(account)].thinning = None;
                continue;
            }
            let counts = |c: &crate::conn::Client| c.account == account && c.joined && !c.service && c.lives();
            let all = self.outbox.conns.iter().filter(|(_, c)| c.is_client() && counts(c));
            let mut here: Vec<(Cid, ConnId)> = all.map(|(id, c)| (c.cid, id)).collect();
            here.sort_unstable_by_key(|(cid, _)| *cid);
            let ends_at = self.now.mono.plus_ns(THINNED_NS);
            self.worlds[usize::from(account)].thinning = Some(Thinning { here, ends_at });
            self.state_connections(account);
            self.thin(account);
        }
    }

    /// Who comes in meanwhile is the newest: while he is counted nobody who was there has to go for him.
    pub(super) fn await_thinning(&mut self, account: u16, id: ConnId) {
        let Some(thinning) = &mut self.worlds[usize::from(account)].thinning else { return };
        let Some(client) = self.outbox.conns.get(id).filter(|c| !c.service) else { return };
        let at = thinning.here.partition_point(|(cid, _)| *cid < client.cid);
        thinning.here.insert(at, (client.cid, id));
    }

    /// The newest connection of this shard that may have to go.
    fn newest(&mut self, account: u16) -> Option<(Cid, ConnId)> {
        let thinning = &mut self.worlds[usize::from(account)].thinning;
        if thinning.as_ref().is_some_and(|t| t.ends_at <= self.now.mono) {
            *thinning = None;
        }
        let here = &mut thinning.as_mut()?.here;
        while let Some((_, id)) = here.last() {
            if self.outbox.conns.get(*id).is_some_and(|c| c.joined && c.account == account) {
                break;
            }
            here.pop();
        }
        here.last().copied()
    }

    /// Closes connections of an account that has too many, as long as they are the newest of all.
    pub(super) fn thin(&mut self, account: u16) {
        while self.worlds[usize::from(account)].thinning.is_some() && self.is_over(account) {
            let Some((cid, id)) = self.newest(account) else { return };
            let others = &self.worlds[usize::from(account)].elsewhere;
            if others.iter().any(|c| c.newest > cid.0 || (c.n > 0 && c.newest == 0)) {
                return;
            }
            self.close(id, Close::Fault(Fault::AccountConnections));
        }
    }
}
