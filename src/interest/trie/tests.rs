//! The trie against a list of patterns that is searched from end to end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::Rng;

/// The reference: patterns in a map, every one asked for every subject.
#[derive(Default)]
struct Naive(BTreeMap<Vec<u8>, u64>);

impl Naive {
    fn matches(&self, subject: &[u8]) -> Vec<u64> {
        let hits = self.0.iter().filter(|(p, _)| subject::matches(p, subject));
        let mut hits: Vec<u64> = hits.map(|(_, v)| *v).collect();
        hits.sort_unstable();
        hits
    }
}

fn hits(t: &Trie<u64>, subject: &[u8]) -> Vec<u64> {
    let mut hits = Vec::new();
    t.matches(subject, |v| hits.push(*v));
    hits.sort_unstable();
    hits
}

fn walked(t: &Trie<u64>, slice: usize) -> Vec<(Vec<u8>, u64)> {
    let (mut all, mut at) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = at {
        at = t.walk(from, slice, |p, v| all.push((p.to_vec(), *v)));
    }
    all
}

#[derive(Clone, Debug)]
enum Op {
    Insert(String),
    Remove(String),
    Match(String),
}

fn pattern() -> impl Strategy<Value = String> {
    let token = prop_oneof![4 => "[ab]", 3 => Just("*".to_string()), 1 => "[ab*>]{2}"];
    (prop::collection::vec(token, 0..6), any::<bool>()).prop_filter_map(
        "a pattern has a token",
        |(mut tokens, tail)| {
            if tail || tokens.is_empty() {
                tokens.push(">".to_string());
            }
            subject::valid_subscription(tokens.join(".").as_bytes()).then(|| tokens.join("."))
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => pattern().prop_map(Op::Insert),
        2 => pattern().prop_map(Op::Remove),
        2 => "[ab*>.]{0,11}".prop_map(Op::Match),
        2 => pattern().prop_map(Op::Match),
    ]
}

proptest! {
    #[test]
    fn any_list_of_operations_gives_what_the_reference_gives(seed: u64, ops in prop::collection::vec(op(), 1..200)) {
        let (mut trie, mut naive) = (Trie::<u64>::new(seed), Naive::default());
        let baseline = trie.bytes();
        for (i, op) in ops.into_iter().enumerate() {
            match op {
                Op::Insert(p) => {
                    *trie.entry(p.as_bytes()) = i as u64;
                    naive.0.insert(p.into_bytes(), i as u64);
                }
                Op::Remove(p) => prop_assert_eq!(trie.remove(p.as_bytes()), naive.0.remove(p.as_bytes())),
                Op::Match(s) => prop_assert_eq!(hits(&trie, s.as_bytes()), naive.matches(s.as_bytes())),
            }
            prop_assert_eq!(trie.len(), naive.0.len());
        }
        for (p, v) in &naive.0 {
            prop_assert_eq!(trie.get(p), Some(v));
            prop_assert_eq!(trie.get_mut(p).copied(), Some(*v));
        }
        let mut all = walked(&trie, 3);
        all.sort();
        prop_assert_eq!(all, naive.0.iter().map(|(p, v)| (p.clone(), *v)).collect::<Vec<_>>());
        for p in naive.0.keys() {
            trie.remove(p);
        }
        prop_assert!(trie.is_empty());
        prop_assert!(trie.bytes() <= baseline + 512, "{} left of {}", trie.bytes(), baseline);
    }

    #[test]
    fn one_pattern_matches_what_its_meaning_says(p in pattern(), s in "[ab*>.]{0,11}") {
        let mut trie = Trie::<u64>::new(7);
        *trie.entry(p.as_bytes()) = 1;
        prop_assert_eq!(!hits(&trie, s.as_bytes()).is_empty(), subject::matches(p.as_bytes(), s.as_bytes()));
    }
}

/// A pattern of up to five tokens, few enough different ones that operations meet.
fn some_pattern(rng: &mut Rng) -> Vec<u8> {
    let n = 1 + rng.below(5);
    let mut p = Vec::new();
    for i in 0..n {
        if i > 0 {
            p.push(b'.');
        }
        match rng.below(8) {
            0 => p.push(b'*'),
            1 if i + 1 == n => p.push(b'>'),
            _ => p.push(b'a' + rng.below(4) as u8),
        }
    }
    p
}

#[test]
fn a_long_run_agrees_with_the_reference() {
    let ops = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
    let mut rng = Rng::new(5);
    let (mut trie, mut naive) = (Trie::<u64>::new(5), Naive::default());
    let (mut asked, mut found) = (0, 0);
    for i in 0..ops {
        let p = some_pattern(&mut rng);
        // the population swells to thousands and falls back, again and again
        let growing = (i / 20_000) % 2 == 0;
        if rng.below(4) < if growing { 3 } else { 1 } {
            *trie.entry(&p) = i;
            naive.0.insert(p, i);
        } else {
            assert_eq!(trie.remove(&p), naive.0.remove(&p));
        }
        assert_eq!(trie.len(), naive.0.len());
        if i % 500 == 0 {
            let s = some_pattern(&mut rng);
            let want = naive.matches(&s);
            assert_eq!(hits(&trie, &s), want);
            asked += 1;
            found += want.len();
        }
    }
    assert!(found > asked, "{found} matches of {asked} subjects prove little");
    for p in naive.0.keys() {
        assert!(trie.remove(p).is_some());
    }
    assert!(trie.is_empty() && trie.bytes() < 1024, "{} bytes left", trie.bytes());
}

#[test]
fn published_wildcards_are_ordinary_tokens_and_empty_tokens_match_nothing() {
    // client-protocol.md §25 rows 70 and 74 to 77
    let mut t = Trie::<u64>::new(1);
    for (i, p) in [&b"foo.*"[..], b"foo.bar", b"foo.>", b"foo.b*r", b">"].iter().enumerate() {
        *t.entry(p) = 1 + i as u64;
    }
    assert_eq!(hits(&t, b"foo.*"), [1, 3, 5]);
    assert_eq!(hits(&t, b"foo.bar"), [1, 2, 3, 5]);
    assert_eq!(hits(&t, b"foo.b*r"), [1, 3, 4, 5]);
    assert_eq!(hits(&t, b"foo"), [5]);
    for s in [&b"foo..bar"[..], b".foo", b"foo.", b"", b"."] {
        assert!(hits(&t, s).is_empty());
    }
}

#[test]
fn the_literal_pattern_comes_first() {
    let mut t = Trie::<u64>::new(1);
    for (p, v) in [(&b">"[..], 1), (b"a.*", 2), (b"a.b", 3)] {
        *t.entry(p) = v;
    }
    let mut order = Vec::new();
    t.matches(b"a.b", |v| order.push(*v));
    assert_eq!(order[0], 3);
    assert_eq!(order.len(), 3);
}

#[test]
fn a_walk_visits_what_stays_exactly_once_while_others_come_and_go() {
    let name = |i: u64, wild: bool| format!("stay.{i}{}", if wild { ".*" } else { "" }).into_bytes();
    let mut t = Trie::<u64>::new(9);
    for i in 0..3000 {
        *t.entry(&name(i, false)) = 1;
        *t.entry(&name(i, true)) = 1;
    }
    let (mut seen, mut at, mut turn) = (BTreeMap::<Vec<u8>, u32>::new(), Some(Cursor::default()), 0u64);
    while let Some(from) = at {
        at = t.walk(from, 100, |p, v| {
            if *v == 1 {
                *seen.entry(p.to_vec()).or_default() += 1;
            }
        });
        // makes segments split and merge under the walk
        for i in 0..2000 {
            for p in [format!("go.{i}"), format!("go.*.{i}")] {
                if (turn / 5) % 2 == 0 {
                    t.entry(p.as_bytes());
                } else {
                    t.remove(p.as_bytes());
                }
            }
        }
        turn += 1;
    }
    assert!(turn > 50);
    assert_eq!(seen.len(), 6000);
    assert!(seen.values().all(|n| *n == 1));
}

#[test]
fn the_same_seed_and_calls_give_the_same_order() {
    let build = |seed| {
        let (mut rng, mut t) = (Rng::new(3), Trie::<u64>::new(seed));
        for i in 0..5000 {
            *t.entry(&some_pattern(&mut rng)) = i;
            t.remove(&some_pattern(&mut rng));
        }
        let mut order = Vec::new();
        t.matches(b"a.b.c", |v| order.push(*v));
        (walked(&t, 50), order)
    };
    assert_eq!(build(4), build(4));
    assert_ne!(build(4).0, build(5).0);
}

#[test]
fn patterns_of_2001_tokens_cost_at_most_eight_times_their_bytes() {
    let kinds: [fn(usize, usize) -> String; 4] = [
        |_, _| "*".to_string(),
        |_, t| ["*", "a"][t % 2].to_string(),
        |n, t| if t == n { "b".to_string() } else { "*".to_string() },
        |n, t| if t == 2000 { format!("{n}.*") } else { "a".to_string() },
    ];
    for kind in kinds {
        let (mut t, mut sent) = (Trie::<[u64; 5]>::new(2), 0);
        for n in 0..100 {
            let p = (0..2001).map(|token| kind(n, token)).collect::<Vec<_>>().join(".");
            if t.get(p.as_bytes()).is_none() {
                sent += p.len();
                t.entry(p.as_bytes());
            }
        }
        assert!(t.bytes() <= 8 * sent, "{} bytes for {sent}", t.bytes());
        let p = (0..2001).map(|token| kind(0, token)).collect::<Vec<_>>().join(".");
        let mut found = 0;
        t.matches(p.as_bytes(), |_| found += 1);
        assert!(found > 0);
    }
}

#[test]
fn memory_comes_back_when_most_patterns_leave() {
    let mut t = Trie::<[u64; 5]>::new(2);
    let names = |i: u32| [format!("some.literal.{i}"), format!("some.*.{i}.x"), format!("w{i}.>")];
    for i in 0..20_000 {
        for p in names(i) {
            t.entry(p.as_bytes());
        }
    }
    let full = t.bytes();
    for i in 400..20_000 {
        for p in names(i) {
            assert!(t.remove(p.as_bytes()).is_some());
        }
    }
    assert!(t.bytes() < full / 10, "{} of {full}", t.bytes());
    for i in 0..400 {
        for p in names(i) {
            assert!(t.get(p.as_bytes()).is_some());
        }
    }
    assert_eq!(t.len(), 1200);
}

#[test]
fn a_literal_costs_at_most_150_bytes_beside_its_subject_and_value() {
    for n in [1000u32, 1800, 40_000, 57_345, 100_000] {
        let (mut t, mut given) = (Trie::<[u64; 5]>::new(2), 0);
        for i in 0..n {
            let s = format!("devices.{i}");
            given += s.len() + 40;
            t.entry(s.as_bytes());
        }
        let each = (t.bytes() - given) / n as usize;
        assert!(each <= 150, "{each} bytes at {n}");
    }
}

#[test]
fn patterns_whose_tokens_hash_alike_are_told_apart() {
    // a few among 2^19 tokens share their symbol with another
    let (hashing, mut seen, mut pairs) = (Seeded(1), BTreeMap::new(), Vec::new());
    for i in 0..1u32 << 19 {
        if let Some(j) = seen.insert(symbol(hashing, i.to_string().as_bytes()), i) {
            pairs.push((i, j));
        }
    }
    assert!(!pairs.is_empty());
    for (i, j) in pairs {
        let mut t = Trie::<u64>::new(1);
        let (a, b) = (format!("{i}.*"), format!("{j}.*"));
        *t.entry(a.as_bytes()) = 1;
        *t.entry(b.as_bytes()) = 2;
        assert_eq!(hits(&t, format!("{i}.x").as_bytes()), [1]);
        assert_eq!(hits(&t, format!("{j}.x").as_bytes()), [2]);
        assert_eq!(t.remove(a.as_bytes()), Some(1));
        assert!(hits(&t, format!("{i}.x").as_bytes()).is_empty());
        assert_eq!(hits(&t, format!("{j}.x").as_bytes()), [2]);
        *t.entry(a.as_bytes()) = 3;
        assert_eq!(t.remove(b.as_bytes()), Some(2));
        assert_eq!(hits(&t, format!("{i}.x").as_bytes()), [3]);
    }
}
