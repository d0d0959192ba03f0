//! How a lame duck's clients are sent elsewhere: they know already that the server is going (INFO with `ldm`), and after
//! the grace time are ended one after the other, in random order, so that the others are not all called upon at once
//! (operations.md §14). Routes stay: what clients still say goes over them.

use super::core::{Act, Shard};
use super::due::Due;
use crate::base::{ConnId, MILLISECOND, SECOND};
use crate::conn::Close;

/// Longest pause between two ends.
const PAUSE_MAX_NS: u64 = SECOND;

impl Shard {
    /// Begins to end clients; the last one goes before `over_ns` have passed.
    pub(super) fn send_away(&mut self, over_ns: u64) {
        let clients = self.outbox.conns.iter().filter(|(_, c)| c.lives() && c.is_client() && !c.service);
        let mut left: Vec<ConnId> = clients.map(|(id, _)| id).collect();
        for i in (1..left.len()).rev() {
            left.swap(i, self.rng.below(i as u64 + 1) as usize);
        }
        let pause_ns = over_ns / left.len().max(1) as u64;
        let at_once = MILLISECOND.div_ceil(pause_ns.max(1)).min(left.len() as u64) as usize;
        (self.lame, self.farewell.left) = (true, left);
        (self.farewell.pause_ns, self.farewell.at_once) = (pause_ns.clamp(MILLISECOND, PAUSE_MAX_NS), at_once.max(1));
        self.send_next_away();
    }

    /// The next ones.
    pub(super) fn send_next_away(&mut self) {
        for _ in 0..self.farewell.at_once {
            // Who has gone by itself costs no pause.
            while let Some(id) = self.farewell.left.pop() {
                if self.outbox.conns.get(id).is_some_and(|c| c.lives()) {
                    self.close(id, Close::Shutdown);
                    break;
                }
            }
        }
        if !self.farewell.left.is_empty() {
            let pause = self.farewell.pause_ns;
            let jitter = self.rng.below(pause / 2 + 1);
            self.wheel.add(self.now.mono.plus_ns(pause - jitter), Due::Farewell);
        }
    }

    /// Said once, when a lame duck has no client any more.
    pub(super) fn vacancy(&mut self) -> Option<Act> {
        let vacant = self.lame && !self.farewell.vacant && self.outbox.conns.len() == self.servers_here;
        self.farewell.vacant |= vacant;
        vacant.then_some(Act::Vacant)
    }
}

#[cfg(test)]
mod tests;
