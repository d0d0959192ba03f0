//! Who wants what: the replica and the trie agree with a plain list after any operations, and everything is given
//! back. The input is lines: `+pattern queue` and `-pattern` for own subscriptions, `0…9` `pattern queue` for what
//! another shard says (the digit is how many), anything else is a subject to match.

use std::collections::{BTreeMap, BTreeSet};
use turnpike::base::{ShardId, Slot};
use turnpike::interest::{Place, Replica, Trie};
use turnpike::wire::subject;

/// A pattern and a queue group.
type Name = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Plain {
    own: Vec<(Name, Slot)>,
    /// By name and shard: how many.
    others: BTreeMap<(Name, u8), u32>,
}

impl Plain {
    fn patterns(&self) -> BTreeSet<&[u8]> {
        self.own
            .iter()
            .map(|((p, _), _)| p.as_slice())
            .chain(self.others.keys().map(|((p, _), _)| p.as_slice()))
            .collect()
    }

    fn count(&self, name: &Name) -> u32 {
        self.own.iter().filter(|(n, _)| n == name).count() as u32
    }

    /// Who hears a subject, in words, sorted.
    fn heard(&self, s: &[u8]) -> Vec<String> {
        let own = self.own.iter().filter(|((p, _), _)| plain_match(p, s)).map(|((p, q), slot)| own(p, q, *slot));
        let others = self.others.iter().filter(|(((p, _), _), _)| plain_match(p, s));
        let mut all: Vec<_> = own.chain(others.map(|(((_, q), from), n)| other(q, *from, *n))).collect();
        all.sort();
        all.dedup();
        all
    }
}

fn own(_: &[u8], queue: &[u8], slot: Slot) -> String {
    format!("own {} {}", queue.escape_ascii(), slot.to_bits())
}

fn other(queue: &[u8], from: u8, n: u32) -> String {
    match queue {
        [] => format!("shard {from}"),
        q => format!("shard {from} {} {n}", q.escape_ascii()),
    }
}

/// client-protocol.md §7, token by token.
fn plain_match(pattern: &[u8], s: &[u8]) -> bool {
    let (p, s): (Vec<&[u8]>, Vec<&[u8]>) = (pattern.split(|b| *b == b'.').collect(), s.split(|b| *b == b'.').collect());
    let open = p.last() == Some(&b">".as_slice());
    let fixed = p.len() - usize::from(open);
    let long_enough = if open { s.len() > fixed } else { s.len() == fixed };
    !s.iter().any(|t| t.is_empty()) && long_enough && p[..fixed].iter().zip(&s).all(|(p, s)| *p == b"*" || p == s)
}

/// See the file's head.
pub fn check(input: &[u8]) {
    let seed = super::seed_of(input);
    let (mut replica, mut trie, mut plain) = (Replica::new(seed), Trie::<u32>::new(seed), Plain::default());
    let baseline = trie.bytes();
    for (i, line) in input.split(|b| *b == b'\n').take(200).enumerate() {
        step(line, i, &mut replica, &mut plain);
        sync(&mut trie, &plain.patterns());
        assert_eq!(replica.len(), plain.patterns().len());
    }
    for ((p, q), slot) in std::mem::take(&mut plain.own) {
        replica.remove(&p, &q, None, slot);
    }
    for (((p, q), from), _) in std::mem::take(&mut plain.others) {
        replica.stated(ShardId(from), &p, &q, None, 0);
    }
    assert!(replica.is_empty(), "{} patterns are left", replica.len());
    sync(&mut trie, &BTreeSet::new());
    assert!(trie.bytes() <= baseline + 512, "{} bytes left", trie.bytes());
}

fn step(line: &[u8], i: usize, replica: &mut Replica, plain: &mut Plain) {
    let (verb, rest) = line.split_first().unwrap_or((&b' ', &[]));
    let mut words = rest.splitn(2, |b| *b == b' ').map(<[u8]>::to_vec);
    let name: Name = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match verb {
        b'+' | b'0'..=b'9' if !subject::valid_subscription(&name.0) => {}
        b'+' => {
            let slot = Slot::from_bits(1 << 32 | i as u64);
            let before = plain.count(&name);
            let news = replica.add(&name.0, &name.1, None, slot);
            plain.own.push((name.clone(), slot));
            assert_eq!(news.own, (!name.1.is_empty() || before == 0).then_some(before + 1));
        }
        b'-' => {
            let Some(at) = plain.own.iter().position(|(n, _)| n.0 == name.0) else { return };
            let (name, slot) = plain.own.remove(at);
            let left = plain.count(&name);
            let news = replica.remove(&name.0, &name.1, None, slot);
            assert_eq!(news.own, (!name.1.is_empty() || left == 0).then_some(left));
        }
        b'0'..=b'9' => {
            let (n, from) = (u32::from(verb - b'0'), 1 + (i % 3) as u8);
            let had = match n {
                0 => plain.others.remove(&(name.clone(), from)),
                n => plain.others.insert((name.clone(), from), n),
            };
            let news = replica.stated(ShardId(from), &name.0, &name.1, None, n).is_some();
            assert!(news || had.is_some() == (n > 0) || (!name.1.is_empty() && had == Some(n)), "news went unnoticed");
            assert!(!news || had.is_some() || n > 0, "news of nothing");
        }
        _ => {
            let mut heard = Vec::new();
            replica.matches(line, |want| {
                heard.extend(want.plain.iter().map(|s| own(b"", b"", *s)));
                heard.extend(want.remote.iter().map(|s| other(b"", s.0, 1)));
                for q in want.queues() {
                    heard.extend(q.local.iter().map(|s| own(b"", &q.name, *s)));
                    heard.extend(q.remote.iter().filter_map(|(at, n)| match at {
                        Place::Shard(s) => Some(other(&q.name, s.0, *n)),
                        Place::Peer(_) | Place::Far(_) => None,
                    }));
                }
            });
            heard.sort();
            heard.dedup();
            assert_eq!(heard, plain.heard(line), "who hears {}", line.escape_ascii());
        }
    }
}

/// Brings the trie to hold exactly these patterns, and sees that a walk visits each once.
fn sync(trie: &mut Trie<u32>, patterns: &BTreeSet<&[u8]>) {
    let mut there = Vec::new();
    let mut from = Some(Default::default());
    while let Some(cursor) = from {
        from = trie.walk(cursor, 3, |p, _| there.push(p.to_vec()));
    }
    let unique: BTreeSet<_> = there.iter().cloned().collect();
    assert_eq!((unique.len(), trie.len()), (there.len(), there.len()), "a walk visits each once");
    for p in unique.iter().filter(|p| !patterns.contains(p.as_slice())) {
        assert!(trie.remove(p).is_some());
    }
    for p in patterns {
        *trie.entry(p) = p.len() as u32;
        assert_eq!(trie.get(p), Some(&(p.len() as u32)));
    }
    assert_eq!(trie.len(), patterns.len());
}
