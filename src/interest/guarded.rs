//! Subscriptions that are given only a part of what their pattern says, because their clients' permissions deny the rest: in
//! the replicas they stand apart, by permit, so that whoever decides where a message goes knows of every shard who may have
//! it. Most patterns have none.

use super::permit::Permit;
use crate::base::{ShardId, Slot};
use std::sync::Arc;

/// All such subscriptions of one pattern and queue group under one permit.
#[derive(Debug)]
pub struct Guarded {
    /// Says what they are given.
    pub permit: Arc<Permit>,
    /// Those of this shard's clients.
    pub local: Vec<Slot>,
    /// How many there are on other shards.
    pub remote: Vec<(ShardId, u32)>,
}

impl Guarded {
    /// How many there are on this server.
    pub fn members(&self) -> u32 {
        self.local.len() as u32 + self.remote.iter().map(|(_, n)| n).sum::<u32>()
    }

    /// There are `n` on that shard now; how many there were.
    pub(super) fn set(&mut self, from: ShardId, n: u32) -> u32 {
        let at = self.remote.iter().position(|(s, _)| *s == from);
        match (at, n) {
            (Some(i), 0) => self.remote.swap_remove(i).1,
            (Some(i), n) => std::mem::replace(&mut self.remote[i].1, n),
            (None, 0) => 0,
            (None, n) => {
                self.remote.push((from, n));
                0
            }
        }
    }
}

/// Those under a permit; a reload may have made the same one anew.
pub(super) fn under<'a>(all: &'a mut Vec<Guarded>, permit: &Arc<Permit>) -> &'a mut Guarded {
    let same = |g: &Guarded| Arc::ptr_eq(&g.permit, permit) || g.permit == *permit;
    let at = all.iter().position(same).unwrap_or_else(|| {
        all.push(Guarded { permit: permit.clone(), local: Vec::new(), remote: Vec::new() });
        all.len() - 1
    });
    &mut all[at]
}
