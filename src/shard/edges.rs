//! Interest on its way to the peers: what this server's clients begin and cease to want, told over the routes that this
//! shard owns (cluster-protocol.md §3.12).
//!
//! New interest is told at once. Its end waits for one turn in which nothing was heard about that key: a subscription
//! that is handed from one shard to another (SUB there, PONG, UNSUB here) would else show the peers a gap that never was.

use super::core::Shard;
use super::ends::Key;
use crate::base::limits::{TELL_PENDING_MAX, TOLD_SUBJECT_BYTES_MAX, TURN_TOLD_MAX};
use crate::base::{ConnId, PeerId};
use crate::conn::{Client, Telling};
use crate::interest::{Cursor, News};
use crate::wire::route::{write_interest, write_no_interest};

impl Shard {
    /// What this server's clients want of one pattern has changed: peers are told of what is news to them.
    pub(super) fn edge(&mut self, account: u16, pattern: &[u8], queue: &[u8], news: News) {
        self.wide_edge(account, pattern, queue, news.wide_before, news.wide_after);
        if news.before == news.after || self.peers.here().next().is_none() {
            return;
        }
        if news.after == 0 {
            self.ends.add(Key::new(account, pattern, queue));
            if self.peers_being_told() {
                self.tell_ends(true);
            }
            return;
        }
        let was_told = self.ends.wait() && self.ends.take_back(&Key::new(account, pattern, queue));
        // Never twice: nats-server counts plain interest each time it is told (cluster-protocol.md §3.12).
        if !(was_told && queue.is_empty()) {
            self.tell(account, pattern, queue, news.after);
        }
    }

    /// Tells the ends of interest that nothing was heard about in this turn; `all`: the others too.
    pub(super) fn tell_ends(&mut self, all: bool) {
        for key in self.ends.due(all) {
            self.tell(key.account, &key.pattern, &key.queue, 0);
        }
    }

    /// Tells all peers whose routes are here: so many members of a queue group, or 1 for plain interest; 0: no more.
    fn tell(&mut self, account: u16, pattern: &[u8], queue: &[u8], n: u32) {
        if !self.may_tell(pattern) {
            return;
        }
        let links: Vec<(PeerId, ConnId)> = self.peers.here().collect();
        for (_, conn) in links {
            if self.has_been_told(conn, account, pattern) {
                if n > 0 {
                    self.bearer_told(conn);
                }
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
        let telling = |c: &Client| c.lives() && c.route.as_deref().is_some_and(|r| r.telling.is_some());
        self.untold.iter().any(|conn| self.outbox.conns.get(*conn).is_some_and(telling))
    }

    /// May peers learn of this interest (`cluster.permissions.import`), and is it short enough for them?
    fn may_tell(&self, pattern: &[u8]) -> bool {
        let rules = self.settings.cluster.as_ref().and_then(|c| c.permissions.as_ref());
        pattern.len() <= TOLD_SUBJECT_BYTES_MAX && rules.is_none_or(|p| p.import.allows(pattern))
    }

    /// Goes on telling those servers and clusters that have not been told all that is wanted here, a slice for each; nobody
    /// else is looked at. True: there is more to tell at once.
    pub(super) fn tell_untold(&mut self) -> bool {
        let (mut untold, mut more) = (std::mem::take(&mut self.untold), false);
        untold.retain(|conn| {
            let slice = self.tell_slice(*conn);
            more |= slice == Slice::More;
            slice != Slice::Done
        });
        self.untold = untold;
        more
    }

    fn tell_slice(&mut self, conn: ConnId) -> Slice {
        let Some(client) = self.outbox.conns.get(conn).filter(|c| c.lives()) else { return Slice::Done };
        if client.out.pending() > TELL_PENDING_MAX {
            return Slice::Paused;
        }
        if client.gateway.is_some() {
            return self.tell_far_slice(conn);
        }
        let Some(Telling { account, cursor }) = client.route.as_deref().and_then(|r| r.telling) else {
            return Slice::Done;
        };
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let name = &self.settings.auth.accounts[usize::from(account)].name;
        let rest = self.worlds[usize::from(account)].replica.walk(cursor, TURN_TOLD_MAX, |pattern, queue, n| {
            if self.may_tell(pattern) {
                let _ = write_interest(&mut lines, name.as_bytes(), pattern, queue, n);
            }
        });
        if !lines.is_empty() {
            self.bearer_told(conn);
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
            if next.is_none() {
                let pongs = std::mem::take(&mut route.pongs_due);
                (0..pongs).for_each(|_| self.outbox.say(conn, |out| out.extend_from_slice(b"PONG\r\n")));
            }
        }
        Slice::of(next.is_some())
    }
}

/// What became of a slice of what somebody is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// That was all of it.
    Done,
    /// So much waits to be written that it is gone on with when the socket has taken some.
    Paused,
    /// There is more to tell at once.
    More,
}

impl Slice {
    /// `more`: something is left.
    pub(super) fn of(more: bool) -> Slice {
        match more {
            true => Slice::More,
            false => Slice::Done,
        }
    }
}
