//! Streams of other accounts (client-protocol.md §16, docs/accounts.md): a subscription stands in the replica of every account
//! that its own one imports from too, under that account's names. So whoever publishes there finds it as any other, on
//! every shard and server, and its verdict knows what the subject is called here. Called by `subscribe` and `rights`;
//! `table` says which receivers are of this kind.

use super::core::Shard;
use crate::base::Slot;
use crate::policy::settings::Account;

/// Where a subscription of this account stands beside its own: account and pattern.
fn shadows(accounts: &[Account], account: u16, pattern: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let streams = &accounts[usize::from(account)].shares.streams;
    streams.iter().filter_map(|s| Some((s.from, s.names.overlap(pattern)?))).collect()
}

impl Shard {
    /// A subscription begins or ends: so it does in the accounts that its own one imports from.
    pub(super) fn shadow(&mut self, key: Slot, sub: (u16, &[u8], &[u8]), begins: bool) {
        let (account, pattern, queue) = sub;
        if self.settings.auth.accounts[usize::from(account)].shares.streams.is_empty() {
            return;
        }
        for (from, theirs) in shadows(&self.settings.auth.accounts, account, pattern) {
            let replica = &mut self.worlds[usize::from(from)].replica;
            let news = match begins {
                true => replica.add(&theirs, queue, None, key),
                false => replica.remove(&theirs, queue, None, key),
            };
            self.interest_changed(from, &theirs, queue, None, news);
        }
    }

    /// What a client may be given has changed: what was decided about its subscription in other accounts is void.
    pub(super) fn reconsider_shadows(&mut self, account: u16, pattern: &[u8]) {
        for (from, theirs) in shadows(&self.settings.auth.accounts, account, pattern) {
            self.verdicts.changed(from, &theirs);
        }
    }
}
