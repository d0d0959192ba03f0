//! Requests that left for other clusters through a border that lets their answers in (docs/borders.md): the reply that each
//! asked for → which clusters may answer, until when, how often. Lives on the shard with the outbound links, filled as
//! requests leave; whatever comes as an answer is looked up here.

use crate::base::limits::GRANTS_MAX;
use crate::base::{Seeded, Time};
use crate::wire::gateway::Hash6;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;

#[derive(Debug)]
struct Grant {
    account: u16,
    reply: Box<[u8]>,
    /// Who was asked, as replies name clusters: links and their numbers come and go meanwhile.
    clusters: Vec<Hash6>,
    until: Time,
    /// Answers that may still come.
    left: u32,
}

/// See the file's head.
#[derive(Debug)]
pub struct Grants {
    /// In the order of their beginnings.
    grants: VecDeque<Grant>,
    /// Number of the first of them.
    first: u64,
    /// Numbers by account and reply.
    index: HashTable<u64>,
    hashing: Seeded,
    /// Somebody will call [`Grants::forget`] when the first of them ends.
    pub awaited: bool,
    /// Those forgotten before their time because there were too many.
    pub crowded_out: u64,
}

impl Grants {
    /// None; replies are hashed with this seed.
    pub fn new(hashing: Seeded) -> Grants {
        let (grants, index) = (VecDeque::new(), HashTable::new());
        Grants { grants, first: 0, index, hashing, awaited: false, crowded_out: 0 }
    }

    /// A request leaves for a cluster: until then it may be answered so often.
    pub fn grant(&mut self, (account, reply): (u16, &[u8]), cluster: Hash6, until: Time, answers: u32) {
        let hash = self.hashing.hash_one((account, reply));
        let (first, next) = (self.first, self.first + self.grants.len() as u64);
        let grants = &self.grants;
        let of = |n: &u64| &grants[(n - first) as usize];
        let mut clusters = Vec::new();
        match self.index.find_mut(hash, |n| of(n).account == account && *of(n).reply == *reply) {
            Some(n) => {
                clusters.clone_from(&of(n).clusters);
                *n = next;
            }
            None => {
                let hashing = self.hashing;
                self.index.insert_unique(hash, next, |n| hashing.hash_one((of(n).account, &*of(n).reply)));
            }
        }
        if !clusters.contains(&cluster) {
            clusters.push(cluster);
        }
        self.grants.push_back(Grant { account, reply: reply.into(), clusters, until, left: answers });
        if self.grants.len() > GRANTS_MAX {
            self.crowded_out += u64::from(self.pop());
        }
    }

    /// An answer comes from a cluster (None: nobody says from which). May it?
    pub fn take(&mut self, (account, reply): (u16, &[u8]), cluster: Option<&[u8]>, now: Time) -> bool {
        let hash = self.hashing.hash_one((account, reply));
        let (first, grants) = (self.first, &self.grants);
        let of = |n: &u64| &grants[(n - first) as usize];
        let Some(n) = self.index.find(hash, |n| of(n).account == account && *of(n).reply == *reply) else {
            return false;
        };
        let Some(grant) = self.grants.get_mut((n - first) as usize) else { return false };
        let asked = cluster.is_none_or(|cluster| grant.clusters.iter().any(|c| c[..] == *cluster));
        let may = asked && grant.until > now && grant.left > 0;
        grant.left -= u32::from(may);
        may
    }

    /// Forgets those that have ended; when the next one does, None: there is none.
    pub fn forget(&mut self, now: Time) -> Option<Time> {
        while self.grants.front().is_some_and(|g| g.until <= now) {
            self.pop();
        }
        self.grants.front().map(|g| g.until)
    }

    /// How many are remembered.
    pub fn held(&self) -> usize {
        self.grants.len()
    }

    /// Forgets the first. True: it counted.
    fn pop(&mut self) -> bool {
        let Some(grant) = self.grants.front() else { return false };
        // Asked again it has a later number, and stays.
        let hash = self.hashing.hash_one((grant.account, &*grant.reply));
        let entry = self.index.find_entry(hash, |n| *n == self.first).ok();
        let found = entry.is_some();
        entry.into_iter().for_each(|entry| {
            entry.remove();
        });
        self.grants.pop_front();
        self.first += 1;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_was_asked_may_answer_in_time_and_as_often_as_allowed() {
        let mut g = Grants::new(Seeded(1));
        let (b, c, in1) = (*b"bbbbbb", *b"cccccc", (0, b"in.1".as_slice()));
        g.grant(in1, b, Time(100), 2);
        assert!(!g.take(in1, Some(&c[..]), Time(1)) && !g.take((1, b"in.1"), Some(&b[..]), Time(1)));
        assert!(
            g.take(in1, Some(&b[..]), Time(99)) && g.take(in1, None, Time(99)) && !g.take(in1, Some(&b[..]), Time(99))
        );
        g.grant(in1, c, Time(200), u32::MAX);
        assert!(
            g.take(in1, Some(&b[..]), Time(150))
                && g.take(in1, Some(&c[..]), Time(199))
                && !g.take(in1, Some(&c[..]), Time(200))
        );
        assert_eq!((g.forget(Time(150)), g.held()), (Some(Time(200)), 1), "the first is gone, the second stays");
        assert!(g.take(in1, Some(&c[..]), Time(150)));
        assert_eq!((g.forget(Time(200)), g.held(), g.index.len()), (None, 0, 0));
    }

    #[test]
    fn there_are_never_more_than_may_be() {
        let mut g = Grants::new(Seeded(1));
        for i in 0..=GRANTS_MAX {
            g.grant((0, i.to_string().as_bytes()), *b"bbbbbb", Time(9), 1);
        }
        assert_eq!((g.held(), g.index.len(), g.crowded_out), (GRANTS_MAX, GRANTS_MAX, 1));
        assert!(!g.take((0, b"0"), None, Time(1)) && g.take((0, b"1"), None, Time(1)));
    }
}
