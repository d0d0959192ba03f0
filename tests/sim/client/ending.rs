//! How a connection ends: what its client was still owed, where it goes on, and whether it may have been ended at all.

use super::super::case::{Reads, Step};
use super::super::world::World;
use super::{Client, Stage};

impl Client {
    /// Its server, about to go, has ended the connection: it goes on elsewhere.
    fn sent_away(&mut self, w: &mut World, reset: bool, since: Option<u64>) {
        w.oracle.label("a lame duck sent a client away");
        let (own, eager) = (w.server_at(self.shard), self.actor.reads == Reads::Eager);
        if since.is_none() {
            return w.fail(format!("scenario 58: client {} is sent away before its time", self.id));
        }
        if self.ear.in_the_middle() && eager && !reset {
            return w.fail(format!("scenario 58: client {} is left with half a line", self.id));
        }
        if let Some(tick) = since.filter(|_| eager && !reset) {
            w.oracle.drained(self.conn, tick);
        }
        let Some(named) = self.elsewhere.take() else {
            if self.informed {
                w.fail(format!("scenario 58: client {} was not told that server {own} goes", self.id));
            }
            return;
        };
        let others: Vec<usize> = named.into_iter().filter(|at| *at != own && w.servers[*at].up).collect();
        if others.is_empty() {
            return;
        }
        let server = &w.servers[others[w.rng.below(others.len() as u64) as usize]];
        self.shard = server.first + w.rng.below(server.shards as u64) as usize;
        self.kept = self.subs.iter().filter_map(|(number, _)| w.oracle.lasting(*number)).collect();
        self.stage = Stage::Fresh;
        w.oracle.label("a client went on elsewhere");
    }

    /// The server has ended the connection.
    pub(super) fn ended(&mut self, w: &mut World, reset: bool) {
        let was = std::mem::replace(&mut self.stage, Stage::Gone);
        w.oracle.ended(self.conn);
        self.syncing = false;
        w.note(|| format!("client {} finds its connection ended (reset: {reset})", self.id));
        if self.actor.hostile {
            w.oracle.label("hostile client cut");
            return;
        }
        if let Some((_, tick)) = w.draining {
            // Somebody slow may run out of time; who reads at once is owed everything.
            if !reset && self.actor.reads == Reads::Eager {
                if self.ear.in_the_middle() {
                    w.fail(format!("scenario 19: client {} is left with half a line", self.id));
                }
                w.oracle.drained(self.conn, tick);
            }
            return;
        }
        if was == Stage::Leaving {
            // Where cuts happen it may be cut as slow while it reads what it was still owed.
            if !reset && !w.case.plan.cuts && w.oracle.unanswered(self.conn) > 0 {
                w.fail(format!("client {} shut its sending side and got no PONG before the end", self.id));
            }
            return;
        }
        if w.server_of(self.shard).crashed {
            return;
        }
        if let Some(duck) = w.server_of(self.shard).lame {
            return self.sent_away(w, reset, duck.sent_away);
        }
        self.cut = true;
        w.oracle.label("slow consumer cut");
        let may_be_slow = self.actor.reads != Reads::Eager || self.actor.steps.iter().any(|s| matches!(s, Step::Stall));
        if !w.case.plan.cuts || (self.actor.spared && !may_be_slow) {
            w.fail(format!("I13: the connection of innocent client {} was ended", self.id));
        }
    }
}
