//! Who wants what, in one account, over all shards of this server and all its peers. Every shard holds one replica per
//! account: its own clients' subscriptions by name, those of other shards and of other servers as sums.

use super::guarded::{self, Guarded};
use super::permit::Permit;
use super::trie::Cursor;
use super::Trie;
use crate::base::{FarId, PeerId, PeerSet, ShardId, ShardSet, Slot};
use std::sync::Arc;

/// Where members of a queue group are that are not this shard's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Clients of another shard.
    Shard(ShardId),
    /// Another server, behind its route.
    Peer(PeerId),
    /// Another cluster, behind its gateway; no replica names one.
    Far(FarId),
}

/// Everybody who wants what one pattern says.
#[derive(Debug, Default)]
pub struct Want {
    /// Plain subscriptions of this shard's clients, but for those in [`Want::guarded`].
    pub plain: Vec<Slot>,
    /// Other shards whose clients have such.
    pub remote: ShardSet,
    /// Other servers whose clients have.
    pub peers: PeerSet,
    /// Queue groups; before them, without a name, the plain subscriptions that are given only a part.
    #[allow(clippy::box_collection, reason = "hardly any pattern has one, so they cost the others a pointer only")]
    queues: Option<Box<Vec<Queue>>>,
}

/// A queue group's members for one pattern.
#[derive(Debug)]
pub struct Queue {
    /// The group.
    pub name: Box<[u8]>,
    /// Members among this shard's clients.
    pub local: Vec<Slot>,
    /// Members elsewhere: how many at each place.
    pub remote: Vec<(Place, u32)>,
    #[allow(clippy::box_collection, reason = "hardly any group has one, so they cost the others a pointer only")]
    guarded: Option<Box<Vec<Guarded>>>,
}

impl Queue {
    fn new(name: &[u8]) -> Queue {
        Queue { name: name.into(), local: Vec::new(), remote: Vec::new(), guarded: None }
    }

    /// Members among this server's clients.
    pub fn members(&self) -> u32 {
        let shards = self.remote.iter().filter(|(p, _)| matches!(p, Place::Shard(_))).map(|(_, n)| n);
        self.local.len() as u32 + shards.sum::<u32>() + self.guarded().iter().map(Guarded::members).sum::<u32>()
    }

    /// Those of this server's clients who are given only a part of what the pattern says.
    pub fn guarded(&self) -> &[Guarded] {
        self.guarded.as_deref().map_or(&[], Vec::as_slice)
    }

    fn under(&mut self, permit: &Arc<Permit>) -> &mut Guarded {
        guarded::under(self.guarded.get_or_insert_with(Box::default), permit)
    }

    /// The list in which subscriptions of this shard's clients stand.
    fn list(&mut self, guard: Option<&Arc<Permit>>) -> &mut Vec<Slot> {
        match guard {
            None => &mut self.local,
            Some(permit) => &mut self.under(permit).local,
        }
    }

    fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty() && self.guarded().iter().all(|g| g.members() == 0)
    }

    fn tidy(&mut self) {
        if let Some(all) = &mut self.guarded {
            all.retain(|g| g.members() > 0);
            if all.is_empty() {
                self.guarded = None;
            }
        }
    }

    /// There are `n` at that place now; how many there were.
    fn set(&mut self, place: Place, n: u32) -> u32 {
        let at = self.remote.iter().position(|(p, _)| *p == place);
        match (at, n) {
            (Some(i), 0) => self.remote.remove(i).1,
            (Some(i), n) => std::mem::replace(&mut self.remote[i].1, n),
            (None, 0) => 0,
            (None, n) => {
                self.remote.push((place, n));
                0
            }
        }
    }
}

impl Want {
    fn entries(&self) -> &[Queue] {
        self.queues.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The queue groups.
    pub fn queues(&self) -> &[Queue] {
        let all = self.entries();
        &all[usize::from(all.first().is_some_and(|q| q.name.is_empty()))..]
    }

    /// Plain subscriptions of this server's clients who are given only a part of what the pattern says.
    pub fn guarded(&self) -> &[Guarded] {
        self.entries().first().filter(|q| q.name.is_empty()).map_or(&[], Queue::guarded)
    }

    /// All plain subscriptions of this shard's clients.
    pub fn plain_here(&self) -> impl Iterator<Item = Slot> + '_ {
        self.plain.iter().chain(self.guarded().iter().flat_map(|g| &g.local)).copied()
    }

    /// Does any client of this server have a plain subscription?
    pub fn is_wanted_here(&self) -> bool {
        !self.plain.is_empty() || !self.remote.is_empty() || self.guarded().iter().any(|g| g.members() > 0)
    }

    fn queue(&mut self, name: &[u8]) -> &mut Queue {
        let all = self.queues.get_or_insert_with(Box::default);
        let at = all.iter().position(|q| *q.name == *name).unwrap_or_else(|| {
            let at = if name.is_empty() { 0 } else { all.len() };
            all.insert(at, Queue::new(name));
            at
        });
        &mut all[at]
    }

    /// The list in which such subscriptions of this shard's clients stand.
    fn list(&mut self, queue: &[u8], guard: Option<&Arc<Permit>>) -> &mut Vec<Slot> {
        match (queue, guard) {
            ([], None) => &mut self.plain,
            _ => self.queue(queue).list(guard),
        }
    }

    /// What this server's clients want, as a peer is told: the number of members, or 1 for plain interest.
    fn weight(&self, queue: &[u8]) -> u32 {
        match queue {
            [] => u32::from(self.is_wanted_here()),
            name => self.queues().iter().find(|q| *q.name == *name).map_or(0, Queue::members),
        }
    }

    /// Does anybody in this cluster want it, as other clusters are told?
    fn is_wide(&self, queue: &[u8]) -> bool {
        match queue {
            [] => self.is_wanted_here() || !self.peers.is_empty(),
            name => self.queues().iter().any(|q| *q.name == *name && !q.is_empty()),
        }
    }

    /// What others are told of it, to be compared later.
    fn seen(&self, queue: &[u8]) -> (u32, bool) {
        (self.weight(queue), self.is_wide(queue))
    }

    /// What has changed since it was seen so.
    fn news(&self, queue: &[u8], own: Option<u32>, (before, wide_before): (u32, bool)) -> News {
        News { own, before, after: self.weight(queue), wide_before, wide_after: self.is_wide(queue) }
    }

    fn is_empty(&self) -> bool {
        !self.is_wanted_here() && self.peers.is_empty() && self.queues.is_none()
    }

    fn tidy(&mut self) {
        if let Some(all) = &mut self.queues {
            all.iter_mut().for_each(Queue::tidy);
            all.retain(|q| !q.is_empty());
            if all.is_empty() {
                self.queues = None;
            }
        }
    }
}

/// What a change of interest means to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// How many subscriptions this shard's clients have now, if other shards are to be told.
    pub own: Option<u32>,
    /// What this server's clients wanted before, as a peer is told: a number of members, or 1 for plain interest.
    pub before: u32,
    /// The same now.
    pub after: u32,
    /// Did anybody in this cluster want it before, as other clusters are told?
    pub wide_before: bool,
    /// Does anybody now?
    pub wide_after: bool,
}

/// What a change of a peer's interest means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerNews {
    /// What it wanted before.
    pub had: u32,
    /// See [`News::wide_before`].
    pub wide_before: bool,
    /// See [`News::wide_after`].
    pub wide_after: bool,
}

/// See the file's head.
pub struct Replica {
    patterns: Trie<Want>,
}

impl Replica {
    /// Nobody wants anything.
    pub fn new(seed: u64) -> Replica {
        Replica { patterns: Trie::new(seed) }
    }

    /// A subscription of this shard's client begins (`queue` empty: plain). `guard`: its client is given only a part of what
    /// the pattern says, and this permit says which.
    pub fn add(&mut self, pattern: &[u8], queue: &[u8], guard: Option<&Arc<Permit>>, sub: Slot) -> News {
        let want = self.patterns.entry(pattern);
        let seen = want.seen(queue);
        let (list, plain) = (want.list(queue, guard), queue.is_empty() && guard.is_none());
        if list.is_empty() {
            list.reserve_exact(1);
        }
        list.push(sub);
        let n = list.len() as u32;
        want.news(queue, (!plain || n == 1).then_some(n), seen)
    }

    /// The reverse of [`Replica::add`].
    pub fn remove(&mut self, pattern: &[u8], queue: &[u8], guard: Option<&Arc<Permit>>, sub: Slot) -> News {
        let Some(want) = self.patterns.get_mut(pattern) else { return News::default() };
        let seen = want.seen(queue);
        let (list, plain) = (want.list(queue, guard), queue.is_empty() && guard.is_none());
        let Some(at) = list.iter().position(|s| *s == sub) else {
            self.settle(pattern);
            return News::default();
        };
        list.swap_remove(at);
        let left = list.len() as u32;
        let news = want.news(queue, (!plain || left == 0).then_some(left), seen);
        self.settle(pattern);
        news
    }

    /// A subscription's permit is another, or none, from now on. Says how many there are now under the new one and under the
    /// one before it.
    pub fn regard(
        &mut self,
        pattern: &[u8],
        queue: &[u8],
        (before, now): (Option<&Arc<Permit>>, Option<&Arc<Permit>>),
        sub: Slot,
    ) -> (u32, u32) {
        let want = self.patterns.entry(pattern);
        let list = want.list(queue, now);
        list.push(sub);
        let n = list.len() as u32;
        let list = want.list(queue, before);
        list.retain(|s| *s != sub);
        let left = list.len() as u32;
        self.settle(pattern);
        (n, left)
    }

    /// Another shard says how many subscriptions its clients have now, under this permit if there is one. None: no news.
    pub fn stated(
        &mut self,
        from: ShardId,
        pattern: &[u8],
        queue: &[u8],
        guard: Option<&Arc<Permit>>,
        n: u32,
    ) -> Option<News> {
        if n == 0 && self.patterns.get(pattern).is_none() {
            return None;
        }
        let want = self.patterns.entry(pattern);
        let seen = want.seen(queue);
        let changed = if let Some(permit) = guard {
            want.queue(queue).under(permit).set(from, n) != n
        } else if queue.is_empty() {
            let had = want.remote.contains(from);
            if n > 0 {
                want.remote.insert(from);
            } else {
                want.remote.remove(from);
            }
            had != (n > 0)
        } else {
            want.queue(queue).set(Place::Shard(from), n) != n
        };
        let news = want.news(queue, None, seen);
        self.settle(pattern);
        changed.then_some(news)
    }

    /// A peer says what its clients want now: so many members of a group, or 1 for plain interest. What it wanted before;
    /// None: no news.
    pub fn peer_stated(&mut self, peer: PeerId, pattern: &[u8], queue: &[u8], n: u32) -> Option<PeerNews> {
        if n == 0 && self.patterns.get(pattern).is_none() {
            return None;
        }
        let want = self.patterns.entry(pattern);
        let wide_before = want.is_wide(queue);
        let had = if queue.is_empty() {
            let had = u32::from(want.peers.contains(peer));
            if n > 0 {
                want.peers.insert(peer);
            } else {
                want.peers.remove(peer);
            }
            had
        } else {
            want.queue(queue).set(Place::Peer(peer), n)
        };
        let wide_after = want.is_wide(queue);
        self.settle(pattern);
        let n = if queue.is_empty() { n.min(1) } else { n };
        (had != n).then_some(PeerNews { had, wide_before, wide_after })
    }

    /// Forgets what a peer wanted, in slices of `max` patterns. `ended` is called with what nobody in the cluster wants any
    /// more: pattern and queue group. Returns where to go on; None: all is forgotten.
    pub fn forget_peer(
        &mut self,
        peer: PeerId,
        from: Cursor,
        max: usize,
        mut ended: impl FnMut(&[u8], &[u8]),
    ) -> Option<Cursor> {
        let mut held: Vec<Box<[u8]>> = Vec::new();
        let next = self.patterns.walk(from, max, |pattern, want| {
            let queued = |q: &Queue| q.remote.iter().any(|(p, _)| *p == Place::Peer(peer));
            if want.peers.contains(peer) || want.queues().iter().any(queued) {
                held.push(pattern.into());
            }
        });
        for pattern in held {
            if let Some(want) = self.patterns.get_mut(&pattern) {
                if want.peers.contains(peer) {
                    want.peers.remove(peer);
                    if !want.is_wide(b"") {
                        ended(&pattern, b"");
                    }
                }
                for q in want.queues.iter_mut().flat_map(|all| all.iter_mut()) {
                    let had = q.remote.len();
                    q.remote.retain(|(p, _)| *p != Place::Peer(peer));
                    if q.remote.len() < had && q.is_empty() {
                        ended(&pattern, &q.name);
                    }
                }
            }
            self.settle(&pattern);
        }
        next
    }

    fn settle(&mut self, pattern: &[u8]) {
        let Some(want) = self.patterns.get_mut(pattern) else { return };
        want.tidy();
        if want.is_empty() {
            self.patterns.remove(pattern);
        }
    }

    /// Visits what this server's clients want, as a peer is told: pattern, queue group (empty: plain), weight. In
    /// slices of `max` patterns; returns where to go on, None at the end.
    pub fn walk(&self, from: Cursor, max: usize, mut visit: impl FnMut(&[u8], &[u8], u32)) -> Option<Cursor> {
        self.patterns.walk(from, max, |pattern, want| {
            if want.is_wanted_here() {
                visit(pattern, b"", 1);
            }
            for q in want.queues() {
                let n = q.members();
                if n > 0 {
                    visit(pattern, &q.name, n);
                }
            }
        })
    }

    /// Visits what these peers want: who, pattern, queue group (empty: plain). In slices of `max` patterns, wanted by them
    /// or not; returns where to go on, None at the end.
    pub fn walk_peers(
        &self,
        peers: &PeerSet,
        from: Cursor,
        max: usize,
        mut visit: impl FnMut(PeerId, &[u8], &[u8]),
    ) -> Option<Cursor> {
        self.patterns.walk(from, max, |pattern, want| {
            want.peers.iter().filter(|p| peers.contains(*p)).for_each(|p| visit(p, pattern, b""));
            for q in want.queues() {
                for (place, _) in &q.remote {
                    if let Place::Peer(p) = place {
                        if peers.contains(*p) {
                            visit(*p, pattern, &q.name);
                        }
                    }
                }
            }
        })
    }

    /// Visits what anybody in this cluster wants, as other clusters are told: pattern, queue group (empty: plain). In slices
    /// of `max` patterns; returns where to go on, None at the end.
    pub fn walk_wide(&self, from: Cursor, max: usize, mut visit: impl FnMut(&[u8], &[u8])) -> Option<Cursor> {
        self.patterns.walk(from, max, |pattern, want| {
            if want.is_wide(b"") {
                visit(pattern, b"");
            }
            want.queues().iter().for_each(|q| visit(pattern, &q.name));
        })
    }

    /// Has a walk that stands at `cursor` left this pattern behind it?
    pub fn passed(&self, cursor: Cursor, pattern: &[u8]) -> bool {
        self.patterns.passed(cursor, pattern)
    }

    /// What this server's clients want now, as a peer is told; 0: nothing.
    pub fn weight(&self, pattern: &[u8], queue: &[u8]) -> u32 {
        self.patterns.get(pattern).map_or(0, |w| w.weight(queue))
    }

    /// Does anybody in this cluster want it, as other clusters are told?
    pub fn is_wide(&self, pattern: &[u8], queue: &[u8]) -> bool {
        self.patterns.get(pattern).is_some_and(|w| w.is_wide(queue))
    }

    /// How many patterns anybody wants.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Does nobody want anything?
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Visits what every pattern that matches `subject` is wanted by.
    pub fn matches<'a>(&'a self, subject: &[u8], visit: impl FnMut(&'a Want)) {
        self.patterns.matches(subject, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(r: &Replica) -> Vec<(Vec<u8>, Vec<u8>, u32)> {
        let (mut all, mut at) = (Vec::new(), Some(Cursor::default()));
        while let Some(from) = at {
            at = r.walk(from, 2, |p, q, n| all.push((p.to_vec(), q.to_vec(), n)));
        }
        all.sort();
        all
    }

    #[test]
    fn a_peer_is_told_of_clients_on_all_shards_and_of_no_peer() {
        let mut r = Replica::new(1);
        let (a, b) = (Slot::NONE, Slot::NONE);
        let news = |own, before, after, wide_before| News { own, before, after, wide_before, wide_after: true };
        assert_eq!(r.add(b"foo", b"", None, a), news(Some(1), 0, 1, false));
        assert_eq!(r.add(b"foo", b"", None, b), news(None, 1, 1, true));
        assert_eq!(r.stated(ShardId(1), b"bar", b"", None, 1), Some(news(None, 0, 1, false)));
        assert_eq!(r.stated(ShardId(1), b"bar", b"", None, 1), None, "said twice");
        r.add(b"jobs", b"q", None, a);
        assert_eq!(r.stated(ShardId(2), b"jobs", b"q", None, 3), Some(news(None, 1, 4, true)));
        assert_eq!(
            r.peer_stated(PeerId(0), b"far", b"", 1),
            Some(PeerNews { had: 0, wide_before: false, wide_after: true })
        );
        assert_eq!(
            r.peer_stated(PeerId(0), b"jobs", b"q", 9),
            Some(PeerNews { had: 0, wide_before: true, wide_after: true })
        );
        assert_eq!(r.peer_stated(PeerId(0), b"jobs", b"q", 9), None, "said twice");
        let said = |p: &[u8], q: &[u8], n| (p.to_vec(), q.to_vec(), n);
        assert_eq!(walked(&r), [said(b"bar", b"", 1), said(b"foo", b"", 1), said(b"jobs", b"q", 4)]);
    }

    #[test]
    fn a_forgotten_peer_leaves_nothing_behind() {
        let mut r = Replica::new(1);
        for i in 0..100 {
            r.peer_stated(PeerId(3), format!("s.{i}").as_bytes(), b"", 1);
            r.peer_stated(PeerId(3), format!("w.{i}.*").as_bytes(), b"q", 2);
            r.peer_stated(PeerId(4), format!("s.{i}").as_bytes(), b"", 1);
        }
        let (mut at, mut ended) = (Some(Cursor::default()), 0);
        while let Some(from) = at {
            at = r.forget_peer(PeerId(3), from, 7, |_, _| ended += 1);
        }
        assert_eq!(ended, 100, "the others are wanted elsewhere in the cluster");
        assert_eq!(r.len(), 100);
        r.matches(b"s.5", |w| assert!(!w.peers.contains(PeerId(3)) && w.peers.contains(PeerId(4))));
    }
}
