//! Who wants what, in one account, over all shards of this server. Every shard holds one replica per account: its own
//! clients' subscriptions by name, those of other shards as sums.

use super::Trie;
use crate::base::{ShardId, ShardSet, Slot};

/// Everybody who wants what one pattern says.
#[derive(Debug, Default)]
pub struct Want {
    /// Plain subscriptions of this shard's clients.
    pub plain: Vec<Slot>,
    /// Other shards whose clients have plain subscriptions.
    pub remote: ShardSet,
    /// Queue groups.
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
    /// Members on other shards: how many each.
    pub remote: Vec<(ShardId, u32)>,
}

impl Want {
    /// The queue groups.
    pub fn queues(&self) -> &[Queue] {
        self.queues.as_deref().map_or(&[], Vec::as_slice)
    }

    fn queue(&mut self, name: &[u8]) -> &mut Queue {
        let all = self.queues.get_or_insert_with(Box::default);
        let at = all.iter().position(|q| *q.name == *name).unwrap_or_else(|| {
            all.push(Queue { name: name.into(), local: Vec::new(), remote: Vec::new() });
            all.len() - 1
        });
        &mut all[at]
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.remote.is_empty() && self.queues.is_none()
    }

    fn tidy(&mut self) {
        if let Some(all) = &mut self.queues {
            all.retain(|q| !q.local.is_empty() || !q.remote.is_empty());
            if all.is_empty() {
                self.queues = None;
            }
        }
    }
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

    /// A subscription of this shard's client begins (`queue` empty: plain). Says what other shards are to be told:
    /// how many there are now, unless that is no news to them.
    pub fn add(&mut self, pattern: &[u8], queue: &[u8], sub: Slot) -> Option<u32> {
        let want = self.patterns.entry(pattern);
        let (list, plain) = match queue {
            [] => (&mut want.plain, true),
            _ => (&mut want.queue(queue).local, false),
        };
        if list.is_empty() {
            list.reserve_exact(1);
        }
        list.push(sub);
        (!plain || list.len() == 1).then_some(list.len() as u32)
    }

    /// The reverse of [`Replica::add`].
    pub fn remove(&mut self, pattern: &[u8], queue: &[u8], sub: Slot) -> Option<u32> {
        let want = self.patterns.get_mut(pattern)?;
        let (list, plain) = match queue {
            [] => (&mut want.plain, true),
            _ => (&mut want.queue(queue).local, false),
        };
        let at = list.iter().position(|s| *s == sub)?;
        list.swap_remove(at);
        let left = list.len() as u32;
        self.settle(pattern);
        (!plain || left == 0).then_some(left)
    }

    /// Another shard says how many subscriptions its clients have now. False: no news.
    pub fn stated(&mut self, from: ShardId, pattern: &[u8], queue: &[u8], n: u32) -> bool {
        if n == 0 && self.patterns.get(pattern).is_none() {
            return false;
        }
        let want = self.patterns.entry(pattern);
        let news = if queue.is_empty() {
            let had = want.remote.contains(from);
            if n > 0 {
                want.remote.insert(from);
            } else {
                want.remote.remove(from);
            }
            had != (n > 0)
        } else {
            let remote = &mut want.queue(queue).remote;
            let had = remote.iter().position(|(s, _)| *s == from);
            match (had, n) {
                (Some(i), 0) => drop(remote.remove(i)),
                (Some(i), n) => remote[i].1 = n,
                (None, 0) => {}
                (None, n) => remote.push((from, n)),
            }
            had.is_some() || n > 0
        };
        self.settle(pattern);
        news
    }

    fn settle(&mut self, pattern: &[u8]) {
        let Some(want) = self.patterns.get_mut(pattern) else { return };
        want.tidy();
        if want.is_empty() {
            self.patterns.remove(pattern);
        }
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
