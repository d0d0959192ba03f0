//! What came from other clusters and was dropped here, by cluster, account and reason, on one shard. Whatever is sent on to
//! another shard or server, and is dropped there, is counted there, without the cluster.

use super::ledger::Drop;
use super::report::EntryTally;
use crate::base::limits::{CLUSTERS_MAX, FOREIGN_ACCOUNTS_MAX};
use std::collections::BTreeMap;

/// From one cluster.
#[derive(Debug)]
struct Cluster {
    name: Box<str>,
    /// By account and place in [`Drop::ALL`]: there are few of these.
    drops: BTreeMap<(u16, u8), u64>,
    /// Messages of accounts that do not exist here; those of too many names together under the empty one.
    strangers: BTreeMap<Box<str>, u64>,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Entries {
    clusters: Vec<Cluster>,
}

impl Entries {
    /// A link from a cluster began. Where more clusters than there can be have come and gone, one without a link
    /// (`linked`) gives way.
    pub fn begin(&mut self, cluster: &str, linked: impl Fn(&str) -> bool) {
        if self.clusters.iter().any(|c| *c.name == *cluster) {
            return;
        }
        let new = Cluster { name: cluster.into(), drops: BTreeMap::new(), strangers: BTreeMap::new() };
        if self.clusters.len() < CLUSTERS_MAX {
            self.clusters.push(new);
        } else if let Some(gone) = self.clusters.iter_mut().find(|c| !linked(&c.name)) {
            *gone = new;
        }
    }

    /// `n` messages of a cluster's account were dropped.
    pub fn dropped(&mut self, cluster: &str, account: u16, why: Drop, n: u64) {
        if let Some(c) = self.clusters.iter_mut().find(|c| *c.name == *cluster) {
            *c.drops.entry((account, why as u8)).or_default() += n;
        }
    }

    /// A message of an account that does not exist here was dropped.
    pub fn stranger(&mut self, cluster: &str, account: &[u8]) {
        let Some(c) = self.clusters.iter_mut().find(|c| *c.name == *cluster) else { return };
        let name = String::from_utf8_lossy(account);
        let known = c.strangers.len() < FOREIGN_ACCOUNTS_MAX || c.strangers.contains_key(&*name);
        let name = if known { &*name } else { "" };
        match c.strangers.get_mut(name) {
            Some(n) => *n += 1,
            None => drop(c.strangers.insert(name.into(), 1)),
        }
    }

    /// All of it, for monitoring; `names` are those of the accounts.
    pub fn report<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = EntryTally> + 'a {
        self.clusters.iter().flat_map(move |c| {
            let tally = |account: &str, reason, n: &u64| EntryTally {
                cluster: c.name.to_string(),
                account: account.to_owned(),
                reason,
                n: *n,
            };
            let known = c.drops.iter().filter_map(move |((account, why), n)| {
                let (name, (_, reason)) = (names.get(usize::from(*account))?, Drop::ALL.get(usize::from(*why))?);
                Some(tally(name, *reason, n))
            });
            let reason = Drop::UnknownAccount.name();
            known.chain(c.strangers.iter().map(move |(account, n)| tally(account, reason, n)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(e: &Entries) -> Vec<(String, String, &'static str, u64)> {
        e.report(&["A".into(), "B".into()]).map(|t| (t.cluster, t.account, t.reason, t.n)).collect()
    }

    #[test]
    fn drops_are_told_by_cluster_account_and_reason() {
        let mut e = Entries::default();
        e.dropped("east", 0, Drop::NoInterest, 1);
        assert!(rows(&e).is_empty(), "nobody's");
        e.begin("east", |_| true);
        e.begin("west", |_| true);
        e.dropped("west", 1, Drop::ReplyExpired, 2);
        e.dropped("west", 1, Drop::ReplyExpired, 3);
        e.dropped("west", 0, Drop::NoInterest, 1);
        e.stranger("west", b"theirs");
        let row = |account: &str, reason, n| ("west".to_owned(), account.to_owned(), reason, n);
        let wanted = [row("A", "no_interest", 1), row("B", "reply_expired", 5), row("theirs", "unknown_account", 1)];
        assert_eq!(rows(&e), wanted);
    }

    #[test]
    fn no_number_of_names_takes_more_than_so_much_memory() {
        let mut e = Entries::default();
        for n in 0..3 * CLUSTERS_MAX {
            e.begin(&format!("c{n}"), |name| name == "c0");
        }
        assert_eq!(e.clusters.len(), CLUSTERS_MAX);
        for n in 0..3 * FOREIGN_ACCOUNTS_MAX {
            e.stranger("c0", format!("a{n}").as_bytes());
        }
        let all = rows(&e);
        assert_eq!(all.len(), FOREIGN_ACCOUNTS_MAX + 1);
        assert_eq!(all.iter().map(|r| r.3).sum::<u64>(), 3 * FOREIGN_ACCOUNTS_MAX as u64);
    }
}
