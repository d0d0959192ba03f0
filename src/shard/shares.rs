//! Streams of other accounts (client-protocol.md §16, docs/accounts.md): a subscription stands in the replica of every account
//! that its own one imports from too, under that account's names. So whoever publishes there finds it as any other, on
//! every shard and server, and its verdict knows what the subject is called here. Called by `subscribe` and `rights`;
//! `table` says which receivers are of this kind.
//!
//! What accounts share changes by a reload, and by the clock where tokens say so (`passes`): then every subscription whose
//! account is concerned leaves the replicas that it has no place in any more and enters others.

use super::core::Shard;
use crate::base::{Slot, SECOND};
use crate::policy::settings::Account;
use crate::policy::Settings;
use std::sync::Arc;

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
        let shadows = shadows(&self.settings.auth.accounts, account, pattern);
        self.cast((key, queue), shadows, begins);
    }

    /// What a client may be given has changed: what was decided about its subscription in other accounts is void.
    pub(super) fn reconsider_shadows(&mut self, account: u16, pattern: &[u8]) {
        for (from, theirs) in shadows(&self.settings.auth.accounts, account, pattern) {
            self.verdicts.changed(from, &theirs);
        }
    }

    /// Another configuration holds from now on, as far as it holds at this second. Gives back the one before.
    pub(super) fn follow(&mut self, mut settings: Settings) -> Arc<Settings> {
        self.meet_accounts(&mut settings);
        let now_s = self.now_s();
        for account in &mut settings.auth.accounts {
            if let Some(now) = account.shares.at(now_s) {
                account.shares = Arc::new(now);
            }
        }
        let before = std::mem::replace(&mut self.settings, Arc::new(settings));
        self.outbox.diary.follow(&self.settings);
        self.verdicts.forget_all();
        self.share_anew(&before.auth.accounts);
        before
    }

    /// Imports begin and end by the clock.
    pub(super) fn share_by_clock(&mut self) {
        let now_s = self.now_s();
        let accounts = &self.settings.auth.accounts;
        if self.expiries.shares && accounts.iter().any(|a| a.shares.at(now_s).is_some()) {
            self.follow(Settings::clone(&self.settings));
        }
    }

    /// When the next one does, nanoseconds since 1970.
    pub(super) fn shares_change_ns(&self) -> Option<u64> {
        if !self.expiries.shares {
            return None;
        }
        let now_s = self.now_s();
        let next = self.settings.auth.accounts.iter().filter_map(|a| a.shares.changes_after(now_s)).min();
        next.and_then(|s| u64::try_from(s).ok()).map(|s| s.saturating_mul(SECOND))
    }

    /// What accounts share was something else before.
    fn share_anew(&mut self, before: &[Account]) {
        let settings = self.settings.clone();
        let accounts = &settings.auth.accounts;
        let changed: Vec<bool> =
            accounts.iter().zip(before).map(|(is, was)| is.shares.streams != was.shares.streams).collect();
        if changed.contains(&true) {
            let subs = self.outbox.subs.iter().filter(|(_, sub)| changed[usize::from(sub.account)]);
            for key in subs.map(|(key, _)| key).collect::<Vec<_>>() {
                let Some(sub) = self.outbox.subs.get(key) else { continue };
                let (pattern, queue) = (sub.pattern.clone(), sub.queue.clone());
                let mut begin = shadows(accounts, sub.account, &pattern);
                let mut end = shadows(before, sub.account, &pattern);
                end.retain(|stood| match begin.iter().position(|stands| stands == stood) {
                    Some(at) => {
                        begin.swap_remove(at);
                        false
                    }
                    None => true,
                });
                self.cast((key, &queue), begin, true);
                self.cast((key, &queue), end, false);
            }
        }
        // Who asked by what is not agreed any more hears nothing more.
        let agreed = |asker: u16, of: u16| accounts[usize::from(asker)].shares.services.iter().any(|s| s.to == of);
        self.services.waiting.retain(|_, r| agreed(r.asker, r.of) || agreed(r.of, r.asker));
    }

    /// A subscription enters, or leaves, replicas of accounts that its own one imports from.
    fn cast(&mut self, (key, queue): (Slot, &[u8]), shadows: Vec<(u16, Vec<u8>)>, begins: bool) {
        for (from, theirs) in shadows {
            let replica = &mut self.worlds[usize::from(from)].replica;
            let news = match begins {
                true => replica.add(&theirs, queue, None, key),
                false => replica.remove(&theirs, queue, None, key),
            };
            self.interest_changed(from, &theirs, queue, None, news);
        }
    }
}
