//! The rings between the shards of a server, as the simulator sees them.

use super::super::case::Broken;
use std::collections::VecDeque;
use turnpike::shard::Batch;

/// The rings between the shards of a node: one per ordered pair, first in, first out, and the way back for spent
/// batches.
pub struct RingSet {
    pub(super) shards: usize,
    capacity: usize,
    unordered: bool,
    forth: Vec<VecDeque<Batch>>,
    /// Batches sent that have not been given back.
    out: Vec<usize>,
    pub(super) back: Vec<VecDeque<Batch>>,
}

impl RingSet {
    /// Empty rings.
    pub fn new(shards: usize, capacity: usize, broken: Broken) -> RingSet {
        let rings = || (0..shards * shards).map(|_| VecDeque::new()).collect();
        let unordered = broken == Broken::RingUnordered;
        RingSet { shards, capacity, unordered, forth: rings(), out: vec![0; shards * shards], back: rings() }
    }

    /// Everything in them is gone.
    pub fn clear(&mut self) {
        self.forth.iter_mut().chain(&mut self.back).for_each(VecDeque::clear);
        self.out.fill(0);
    }

    pub(super) fn has_room(&self, from: usize, to: usize) -> bool {
        self.out[from * self.shards + to] < self.capacity
    }

    pub(super) fn push(&mut self, from: usize, to: usize, batch: Batch) {
        self.out[from * self.shards + to] += 1;
        self.forth[from * self.shards + to].push_back(batch);
    }

    pub(super) fn give_back(&mut self, from: usize, to: usize, batch: Batch) {
        self.out[from * self.shards + to] -= 1;
        self.back[from * self.shards + to].push_back(batch);
    }

    pub(super) fn pop(&mut self, from: usize, to: usize) -> Option<Batch> {
        let ring = &mut self.forth[from * self.shards + to];
        if self.unordered {
            ring.pop_back()
        } else {
            ring.pop_front()
        }
    }

    /// Does anything wait for a shard?
    pub(super) fn waits(&self, to: usize) -> bool {
        (0..self.shards).any(|from| !self.forth[from * self.shards + to].is_empty())
    }
}
