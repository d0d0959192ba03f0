//! A server that is to go: what `shell/serve` does about it in production. Its listener is closed and its mesh told at
//! once; after a while its clients are sent away, and when the last one has gone it writes what waits, and ends.

use super::super::case::Broken;
use super::super::world::World;
use turnpike::base::{MILLISECOND, SECOND};
use turnpike::shard::Order;

/// From the order until clients are sent away.
const GRACE_NS: u64 = 2 * SECOND;
/// The last client goes before so much more has passed.
const OVER_NS: u64 = 2 * SECOND;
/// Nobody is sent there any more, so long after the order.
const TOLD_NS: u64 = SECOND;
/// The end comes at the latest so long after the order: all of the above, last words, and the shutdown's grace time.
const END_NS: u64 = GRACE_NS + OVER_NS + 8 * SECOND;

/// How far its leaving has come.
#[derive(Clone, Copy, Debug)]
pub struct LameDuck {
    since: u64,
    /// Clients were sent away: the oracle's tick.
    pub sent_away: Option<u64>,
    draining: bool,
    /// When the order came, every server had all its routes.
    whole: bool,
}

impl LameDuck {
    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        self.sent_away.is_none().then_some(self.since + GRACE_NS)
    }
}

impl World {
    /// The order comes.
    pub(super) fn become_lame_duck(&mut self, at: usize) {
        let (now, whole) = (self.now, self.whole);
        let server = &mut self.servers[at];
        if !server.up || server.lame.is_some() {
            return;
        }
        server.lame = Some(LameDuck { since: now, sent_away: None, draining: false, whole });
        let own = server.first..server.first + server.shards;
        if self.case.plan.broken == Broken::LeavesAtOnce {
            return self.order_all(at, || Order::Drain);
        }
        if let Some(mesh) = server.mesh.as_mut() {
            mesh.with(now, |m| m.lame_duck());
        }
        for shard in own {
            let turned_away = self.nodes[shard].as_mut().map(|n| n.turn_away()).unwrap_or_default();
            turned_away.into_iter().for_each(|link| self.links[link].reset());
        }
    }

    /// What is due with servers that are to go.
    pub fn lame_ducks(&mut self) {
        for at in 0..self.servers.len() {
            let Some(duck) = self.servers[at].lame.filter(|_| self.servers[at].runs()) else { continue };
            let own = self.servers[at].first..self.servers[at].first + self.servers[at].shards;
            let now = self.now;
            let all = |w: &World, said: fn(&super::super::node::SaidOutside) -> bool| {
                own.clone().all(|s| w.nodes[s].as_ref().is_some_and(|n| said(&n.said)))
            };
            let mut next = duck;
            if duck.next_at().is_some_and(|t| t <= now) {
                next.sent_away = Some(self.oracle.mark());
                self.note(|| format!("server {at} sends its clients away"));
                self.order_all(at, || Order::SendAway { over_ns: OVER_NS });
            } else if duck.sent_away.is_some() && !duck.draining && all(self, |s| s.vacant) {
                next.draining = true;
                self.order_all(at, || Order::Drain);
            } else if duck.draining && all(self, |s| s.drained) {
                self.gone(at);
                continue;
            } else if now > duck.since + END_NS {
                self.fail(format!(
                    "scenario 58: server {at} is not gone, {} ms after the order",
                    (now - duck.since) / MILLISECOND
                ));
            }
            self.servers[at].lame = Some(next);
        }
    }

    fn order_all(&mut self, at: usize, order: impl Fn() -> Order) {
        let own = self.servers[at].first..self.servers[at].first + self.servers[at].shards;
        own.for_each(|s| {
            if let Some(node) = self.nodes[s].as_mut() {
                node.order(order());
            }
        });
    }

    /// It has written everything and ends.
    fn gone(&mut self, at: usize) {
        let own = self.servers[at].first..self.servers[at].first + self.servers[at].shards;
        // A peer that dialed again when its route had ended may have been let in by the mesh.
        let open: usize = own.map(|s| self.nodes[s].as_mut().map_or(0, |n| n.end())).sum();
        if open > 0 {
            self.fail(format!("I16: server {at} ends with {open} clients"));
        }
        self.oracle.label("a lame duck has gone");
        self.touch_all(at);
        self.doom_all(at, &[]);
        let links: Vec<usize> = self.links_of(at).collect();
        for link in links {
            self.links[link].up.shut_for_good();
            self.links[link].down.shut_for_good();
        }
        let server = &mut self.servers[at];
        (server.up, server.mesh) = (false, None);
        server.rings.clear();
        self.oracle.died(at);
    }

    /// Its routes stay to the end, and nobody is sent there.
    pub(super) fn check_lame_ducks(&mut self) {
        if self.parted {
            return;
        }
        let early = |s: &super::server::Server| s.lame.is_some_and(|d| d.whole && !d.draining);
        if let Some(at) = self.servers.iter().position(early).filter(|_| !self.whole) {
            self.fail(format!("scenario 58: not all routes stay until server {at} ends"));
        }
    }

    /// Is a client to be sent to this server?
    pub fn takes_clients(&self, at: usize) -> bool {
        let told = |d: &LameDuck| self.now > d.since + TOLD_NS && !self.parted;
        !self.servers.get(at).is_some_and(|s| s.lame.as_ref().is_some_and(told))
    }
}
