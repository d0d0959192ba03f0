//! Where messages of one subject go: decided once per account and subject, remembered until anything it rests on
//! changes. One table per shard; connections keep the key of their last verdict ([`crate::conn::Memo`]).
//!
//! A verdict whose key still names an entry is right: whoever changes interest calls [`Verdicts::changed`] in the same
//! step, and that removes every entry the change could touch.

use crate::base::{ConnId, Rng, Seeded, ShardId, ShardSet, Slot, Slots};
use crate::interest::Replica;
use crate::wire::subject;
use std::hash::{BuildHasher, Hasher};

/// Entries held at most; past it all are forgotten. More subjects than this in use at a time cost a match each.
const VERDICTS_MAX: usize = 32_768;
/// Receivers held at most over all entries (a fan-out of 10,000 is one entry with as many).
const TARGETS_MAX: usize = 1 << 20;

/// Bytes of ready-made beginnings held at most over all entries: a few thousand long subjects with many receivers each
/// would otherwise be gigabytes.
const HEADS_BYTES_MAX: usize = 64 << 20;

/// One receiver.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The connection.
    pub conn: ConnId,
    /// Its subscription.
    pub sub: Slot,
    /// Its `MSG <subject> <sid> ` in [`Verdict::heads`].
    at: u32,
    len: u32,
}

/// One queue group.
#[derive(Debug)]
pub struct Group {
    /// Its name.
    pub name: Box<[u8]>,
    /// Members on this shard.
    pub local: Vec<Target>,
    /// Members on other shards.
    pub remote: Vec<(ShardId, u32)>,
    /// Members in all.
    pub total: u64,
}

/// Whom a group's message goes to.
pub enum Pick {
    /// The member at this place of [`Group::local`].
    Local(usize),
    /// Some member of this shard.
    Remote(ShardId),
}

impl Group {
    /// A member, all equally likely.
    pub fn pick(&self, rng: &mut Rng) -> Pick {
        let n = rng.below(self.total);
        let mut beyond = match n.checked_sub(self.local.len() as u64) {
            None => return Pick::Local(n as usize),
            Some(b) => b,
        };
        for (shard, members) in &self.remote {
            match beyond.checked_sub(u64::from(*members)) {
                None => return Pick::Remote(*shard),
                Some(b) => beyond = b,
            }
        }
        Pick::Local(0)
    }

    /// Another shard with members, weighted by how many it has; None if there is none.
    pub fn pick_elsewhere(&self, rng: &mut Rng) -> Option<ShardId> {
        let all: u64 = self.remote.iter().map(|(_, n)| u64::from(*n)).sum();
        let mut n = rng.below(all);
        self.remote.iter().find_map(|(s, m)| match n.checked_sub(u64::from(*m)) {
            None => Some(*s),
            Some(rest) => {
                n = rest;
                None
            }
        })
    }
}

/// Where messages of one subject go.
#[derive(Debug)]
pub struct Verdict {
    account: u16,
    subject: Box<[u8]>,
    /// Plain receivers on this shard.
    pub plain: Vec<Target>,
    /// Other shards with plain receivers.
    pub remote: ShardSet,
    /// Queue groups, one message for each.
    pub groups: Vec<Group>,
    heads: Vec<u8>,
}

impl Verdict {
    /// `MSG <subject> <sid> ` of a target.
    #[inline]
    pub fn head(&self, t: &Target) -> &[u8] {
        &self.heads[t.at as usize..(t.at + t.len) as usize]
    }

    fn target(&mut self, sub: Slot, who: &Sub) -> Target {
        let at = self.heads.len() as u32;
        for part in [b"MSG ".as_slice(), &self.subject, b" ", &who.sid, b" "] {
            self.heads.extend_from_slice(part);
        }
        Target { conn: who.conn, sub, at, len: self.heads.len() as u32 - at }
    }

    /// Receivers in all, a remote shard counting as one.
    pub fn fanout(&self) -> u64 {
        (self.plain.len() + self.groups.len()) as u64 + u64::from(self.remote.0.count_ones())
    }

    fn targets(&self) -> usize {
        self.plain.len() + self.groups.iter().map(|g| g.local.len() + 1).sum::<usize>()
    }
}

/// A subscription of one of this shard's clients.
#[derive(Debug)]
pub struct Sub {
    /// Its connection.
    pub conn: ConnId,
    /// Index of its account.
    pub account: u16,
    /// What it wants.
    pub pattern: Box<[u8]>,
    /// Its queue group; empty: plain.
    pub queue: Box<[u8]>,
    /// The client's name for it.
    pub sid: Box<[u8]>,
    /// Messages delivered to it.
    pub delivered: u64,
    /// It ends after so many; 0: never.
    pub max: u64,
}

/// See the file's head.
#[derive(Debug)]
pub struct Verdicts {
    entries: Slots<Verdict>,
    /// By account and subject, as hashed with `hasher`.
    index: hashbrown::HashTable<Slot>,
    hasher: Seeded,
    targets: usize,
    heads_bytes: usize,
}

impl Verdicts {
    /// Empty.
    pub fn new(seed: u64) -> Verdicts {
        let hasher = Seeded(seed);
        Verdicts { entries: Slots::default(), index: Default::default(), hasher, targets: 0, heads_bytes: 0 }
    }

    /// The verdict of a key, if it is still right.
    #[inline]
    pub fn get(&self, key: Slot) -> Option<&Verdict> {
        self.entries.get(key)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn hash(&self, account: u16, subject: &[u8]) -> u64 {
        hash_of(self.hasher, account, subject)
    }

    /// The key of a verdict reached before.
    pub fn find(&self, account: u16, subject: &[u8]) -> Option<Slot> {
        let same = |k: &Slot| self.entries.get(*k).is_some_and(|v| v.account == account && *v.subject == *subject);
        self.index.find(self.hash(account, subject), same).copied()
    }

    /// Reaches a verdict and remembers it.
    pub fn reach(&mut self, account: u16, subject: &[u8], replica: &Replica, subs: &Slots<Sub>) -> Slot {
        let mut v = Verdict {
            account,
            subject: subject.into(),
            plain: Vec::new(),
            remote: ShardSet::EMPTY,
            groups: Vec::new(),
            heads: Vec::new(),
        };
        replica.matches(subject, |want| {
            v.remote.0 |= want.remote.0;
            for s in &want.plain {
                if let Some(who) = subs.get(*s) {
                    let t = v.target(*s, who);
                    v.plain.push(t);
                }
            }
            for q in want.queues() {
                let at = v.groups.iter().position(|g| g.name == q.name).unwrap_or_else(|| {
                    v.groups.push(Group { name: q.name.clone(), local: Vec::new(), remote: Vec::new(), total: 0 });
                    v.groups.len() - 1
                });
                for s in &q.local {
                    if let Some(who) = subs.get(*s) {
                        let t = v.target(*s, who);
                        v.groups[at].local.push(t);
                    }
                }
                let g = &mut v.groups[at];
                for (shard, n) in &q.remote {
                    match g.remote.iter_mut().find(|(s, _)| s == shard) {
                        Some(r) => r.1 += n,
                        None => g.remote.push((*shard, *n)),
                    }
                }
                g.total = g.local.len() as u64 + g.remote.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
            }
        });
        let heads_bytes = self.heads_bytes + v.heads.len();
        if self.entries.len() >= VERDICTS_MAX
            || self.targets + v.targets() > TARGETS_MAX
            || heads_bytes > HEADS_BYTES_MAX
        {
            self.forget_all();
        }
        self.heads_bytes += v.heads.len();
        let hash = self.hash(account, subject);
        self.targets += v.targets();
        let key = self.entries.insert(v);
        let (entries, hasher) = (&self.entries, self.hasher);
        self.index.insert_unique(hash, key, |k| entries.get(*k).map_or(0, |v| hash_of(hasher, v.account, &v.subject)));
        key
    }

    /// Interest in `pattern` of an account has changed.
    pub fn changed(&mut self, account: u16, pattern: &[u8]) {
        if !subject::is_literal(pattern) {
            self.forget_all();
            return;
        }
        let hash = self.hash(account, pattern);
        let entries = &self.entries;
        let same = |k: &Slot| entries.get(*k).is_some_and(|v| v.account == account && *v.subject == *pattern);
        if let Ok(found) = self.index.find_entry(hash, same) {
            let (key, _) = found.remove();
            if let Some(v) = self.entries.remove(key) {
                self.targets -= v.targets();
                self.heads_bytes -= v.heads.len();
            }
        }
    }

    fn forget_all(&mut self) {
        let keys: Vec<Slot> = self.index.drain().collect();
        for k in keys {
            self.entries.remove(k);
        }
        self.targets = 0;
        self.heads_bytes = 0;
    }
}

fn hash_of(hasher: Seeded, account: u16, subject: &[u8]) -> u64 {
    let mut h = hasher.build_hasher();
    h.write_u32(u32::from(account));
    h.write(subject);
    h.finish()
}

/// Could subject or reply be reserved? One look at each beginning.
#[inline]
pub fn may_be_reserved(subject: &[u8], reply: &[u8]) -> bool {
    let starts = |s: &[u8]| matches!(s, [b'_', b'R' | b'G', ..] | [b'$', b'J' | b'N', ..]);
    starts(subject) || starts(reply)
}

/// Subjects that clients may not publish to (client-protocol.md §5, "Reserved for clients").
pub fn reserved_subject(s: &[u8]) -> bool {
    (s.starts_with(b"_GR_.") && s.len() > 5) || s.starts_with(b"$NRG.")
}

/// Replies that clients may not ask for (the same section).
pub fn reserved_reply(r: &[u8]) -> bool {
    match r.first() {
        Some(b'_') => r.starts_with(b"_R_.") || (r.starts_with(b"_GR_.") && r.len() > 5),
        Some(b'$') => r.starts_with(b"$JS.ACK.") && r.len() > 8,
        _ => false,
    }
}
