//! Interest on its way to the peers: what this server's clients begin and cease to want, told over the routes that this
//! shard owns (cluster-protocol.md §3.12).
//!
//! New interest is told at once. Its end waits for one turn in which nothing was heard about that key: a subscription
//! that is handed from one shard to another (SUB there, PONG, UNSUB here) would else show the peers a gap that never was.

use super::core::Shard;
use crate::base::limits::{TELL_PENDING_MAX, TOLD_SUBJECT_BYTES_MAX, TURN_TOLD_MAX};
use crate::base::{ConnId, Map, PeerId};
use crate::conn::Telling;
use crate::interest::{Cursor, News};
use crate::wire::route::{write_interest, write_no_interest};

/// Interest that has ended and has not been told yet: by account, pattern and queue group. One per shard.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// The turn in which something was last heard about it.
    ended: Map<Key, u64>,
    /// In the order in which they ended; a key that began again is found no more.
    order: Vec<Key>,
    turn: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    account: u16,
    pattern: Box<[u8]>,
    queue: Box<[u8]>,
}

impl Edges {
    /// Keys are hashed with this seed.
    pub(super) fn new(seed: u64) -> Edges {
        Edges { ended: Map::with_hasher(crate::base::Seeded(seed)), order: Vec::new(), turn: 0 }
    }

    /// Does anything wait to be told?
    pub(super) fn wait(&self) -> bool {
        !self.order.is_empty()
    }
}

impl Shard {
    /// What this server's clients want of one pattern has changed: peers are told of what is news to them.
    pub(super) fn edge(&mut self, account: u16, pattern: &[u8], queue: &[u8], news: News) {
        if news.before == news.after || self.peers.here().next().is_none() {
            return;
        }
        let key = || Key { account, pattern: pattern.into(), queue: queue.into() };
        if news.after == 0 {
            let key = key();
            if self.edges.ended.insert(key.clone(), self.edges.turn).is_none() {
                self.edges.order.push(key);
            }
            if self.peers_being_told() {
                self.tell_ends(true);
            }
            return;
        }
        let was_told = !self.edges.ended.is_empty() && self.edges.ended.remove(&key()).is_some();
        // Never twice: nats-server counts plain interest each time it is told (cluster-protocol.md §3.12).
        if !(was_told && queue.is_empty()) {
            self.tell(account, pattern, queue, news.after);
        }
    }

    /// Tells the ends of interest that nothing was heard about in this turn; `all`: the others too.
    pub(super) fn tell_ends(&mut self, all: bool) {
        let order = std::mem::take(&mut self.edges.order);
        for key in order {
            match self.edges.ended.get(&key) {
                Some(turn) if all || *turn < self.edges.turn => {
                    self.edges.ended.remove(&key);
                    self.tell(key.account, &key.pattern, &key.queue, 0);
                }
                Some(_) => self.edges.order.push(key),
                None => {}
            }
        }
        self.edges.turn += 1;
    }

    /// Tells all peers whose routes are here: so many members of a queue group, or 1 for plain interest; 0: no more.
    fn tell(&mut self, account: u16, pattern: &[u8], queue: &[u8], n: u32) {
        if !self.may_tell(pattern) {
            return;
        }
        let links: Vec<(PeerId, ConnId)> = self.peers.here().collect();
        for (_, conn) in links {
            if self.has_been_told(conn, account, pattern) {
                let name = &self.settings.auth.accounts[usize::from(account)].name;
                self.outbox.say(conn, |out| {
                    // What cannot stand in a line was never told, and its messages are counted when they come.
                    let _ = match n {
                        0 => write_no_interest(out, name.as_bytes(), pattern, queue),
                        n => write_interest(out, name.as_bytes(), pattern, queue, n),
                    };
                });
            }
        }
    }

    /// Is what concerns this pattern told to the peer as it happens? Not where the first telling still comes to it.
    fn has_been_told(&self, conn: ConnId, account: u16, pattern: &[u8]) -> bool {
        let route = self.outbox.conns.get(conn).and_then(|c| c.route.as_deref());
        route.is_some_and(|r| match r.telling {
            None => true,
            Some(t) if t.account == account => self.worlds[usize::from(account)].replica.passed(t.cursor, pattern),
            Some(t) => account < t.account,
        })
    }

    fn peers_being_told(&self) -> bool {
        let telling =
            |conn| self.outbox.conns.get(conn).and_then(|c| c.route.as_ref()).is_some_and(|r| r.telling.is_some());
        self.peers.here().any(|(_, conn)| telling(conn))
    }

    /// May peers learn of this interest (`cluster.permissions.import`), and is it short enough for them?
    fn may_tell(&self, pattern: &[u8]) -> bool {
        let rules = self.settings.cluster.as_ref().and_then(|c| c.permissions.as_ref());
        pattern.len() <= TOLD_SUBJECT_BYTES_MAX && rules.is_none_or(|p| p.import.allows(pattern))
    }

    /// Goes on telling new peers what this server's clients want, a slice for each. True: there is more to tell at once.
    pub(super) fn tell_new_peers(&mut self) -> bool {
        let links: Vec<ConnId> = self.peers.here().map(|(_, c)| c).collect();
        links.into_iter().filter(|conn| self.tell_slice(*conn)).count() > 0
    }

    fn tell_slice(&mut self, conn: ConnId) -> bool {
        let Some(client) = self.outbox.conns.get(conn) else { return false };
        let Some(Telling { account, cursor }) = client.route.as_deref().and_then(|r| r.telling) else { return false };
        if client.out.pending() > TELL_PENDING_MAX {
            return false; // gone on with when the socket has taken some
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let name = &self.settings.auth.accounts[usize::from(account)].name;
        let rest = self.worlds[usize::from(account)].replica.walk(cursor, TURN_TOLD_MAX, |pattern, queue, n| {
            if self.may_tell(pattern) {
                let _ = write_interest(&mut lines, name.as_bytes(), pattern, queue, n);
            }
        });
        if !lines.is_empty() {
            self.outbox.say(conn, |out| out.extend_from_slice(&lines));
        }
        self.lines = lines;
        let next = match rest {
            Some(cursor) => Some(Telling { account, cursor }),
            None if usize::from(account) + 1 < self.worlds.len() => {
                Some(Telling { account: account + 1, cursor: Cursor::default() })
            }
            None => None,
        };
        if let Some(route) = self.outbox.conns.get_mut(conn).and_then(|c| c.route.as_deref_mut()) {
            route.telling = next;
        }
        next.is_some()
    }
}
