//! Walls against rules that are asked one by one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::base::Rng;
use crate::interest::trie::Cursor;
use crate::wire::subject;

const ACCOUNTS: [&str; 3] = ["A", "B", "SYS"];
const SYSTEM: usize = 2;
/// The last is one that no rule names.
const CLUSTERS: [&str; 3] = ["east", "west", "other"];

/// The reference: the meaning as the document has it, every rule asked.
struct Naive<'r>(Option<&'r [Rule]>);

impl Naive<'_> {
    /// The rules that are about this account and cluster, with their places.
    fn rules(&self, account: usize, cluster: &str) -> Vec<(u32, &Rule)> {
        let about = |r: &Rule| {
            let account = match &r.account {
                Some(name) => **name == *ACCOUNTS[account],
                None => account != SYSTEM,
            };
            account && r.cluster.as_deref().is_none_or(|c| c == cluster)
        };
        (0..).zip(self.0.unwrap_or_default()).filter(|(_, r)| about(r)).collect()
    }

    fn closed(&self, account: usize) -> bool {
        let Some(rules) = self.0 else { return false };
        if account == SYSTEM {
            return rules.iter().any(|r| r.account.as_deref() == Some("SYS") && !r.deny);
        }
        rules.is_empty() || rules.iter().any(|r| !r.deny)
    }

    fn judge(&self, account: usize, cluster: &str, subject: &[u8]) -> Judgement {
        let rules = self.rules(account, cluster);
        let first = |deny| rules.iter().find(|(_, r)| r.deny == deny && subject::matches(&r.subject, subject));
        match (first(true), first(false), self.closed(account)) {
            (Some((rule, _)), _, _) => Judgement::Denied(*rule),
            (None, _, false) => Judgement::Open,
            (None, Some((rule, _)), true) => Judgement::Admitted(*rule),
            (None, None, true) => Judgement::Unnamed,
        }
    }

    fn announce(&self, account: usize, cluster: &str, pattern: &[u8]) -> BTreeSet<Vec<u8>> {
        let rules = self.rules(account, cluster);
        let admits: Vec<_> = rules.iter().filter(|(_, r)| !r.deny).collect();
        let parts: BTreeSet<Vec<u8>> = match self.closed(account) {
            false => [pattern.to_vec()].into(),
            true => admits.iter().filter_map(|(_, r)| intersection(pattern, &r.subject)).collect(),
        };
        let denied = |part: &[u8]| rules.iter().any(|(_, r)| r.deny && subject::contains(&r.subject, part));
        let within = |part: &[u8]| parts.iter().any(|o| **o != *part && subject::contains(o, part));
        parts.iter().filter(|p| !denied(p) && !within(p)).cloned().collect()
    }
}

/// All lists of one to `most` of these tokens that are valid patterns.
fn all(tokens: &[&str], most: usize) -> Vec<Vec<u8>> {
    let (mut out, mut longest) = (Vec::new(), vec![String::new()]);
    for _ in 0..most {
        let longer = |p: &String| {
            let p = p.clone();
            tokens
                .iter()
                .map(move |t| if p.is_empty() { t.to_string() } else { format!("{p}.{t}") })
                .collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        out.extend(longest.iter().map(|p| p.clone().into_bytes()).filter(|p| subject::valid_subscription(p)));
    }
    out
}

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.below(of.len() as u64) as usize]
}

fn rule(subject: &str, cluster: Option<&str>, account: Option<&str>, deny: bool) -> Rule {
    let place = RulePlace::default();
    Rule {
        subject: subject.as_bytes().into(),
        cluster: cluster.map(Into::into),
        account: account.map(Into::into),
        deny,
        place,
    }
}

/// A block; now and then none.
fn block(rng: &mut Rng, patterns: &[Vec<u8>]) -> Option<Vec<Rule>> {
    if rng.one_in(20) {
        return None;
    }
    let denials = rng.below(5);
    let some = |rng: &mut Rng, names: &[&str]| (!rng.one_in(2)).then(|| Box::from(*pick(rng, names)));
    let one = |rng: &mut Rng| Rule {
        subject: pick(rng, patterns).clone().into(),
        cluster: some(rng, &CLUSTERS[..2]),
        account: some(rng, &ACCOUNTS),
        deny: rng.below(4) < denials,
        place: RulePlace::default(),
    };
    Some((0..rng.below(9)).map(|_| one(rng)).collect())
}

fn announced(wall: &Wall, account: usize, cluster: &str, pattern: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut parts = BTreeSet::new();
    wall.announce(account, wall.class(cluster), pattern, |p| assert!(parts.insert(p.to_vec()), "told twice"));
    parts
}

#[test]
fn what_two_patterns_have_in_common_is_what_both_match() {
    let patterns = all(&["a", "b", "*", ">"], 3);
    let literals = all(&["a", "b", "c"], 4);
    assert_eq!((patterns.len(), literals.len()), (52, 120));
    for a in &patterns {
        for b in &patterns {
            let both = intersection(a, b);
            assert_eq!(overlaps(a, b), both.is_some());
            assert!(both.as_ref().is_none_or(|p| subject::valid_subscription(p)));
            for s in &literals {
                let expected = subject::matches(a, s) && subject::matches(b, s);
                assert_eq!(both.as_ref().is_some_and(|p| subject::matches(p, s)), expected);
            }
            let contains = both.as_ref() == Some(b);
            assert_eq!(subject::contains(a, b), contains, "{} {}", a.escape_ascii(), b.escape_ascii());
        }
    }
}

#[test]
fn every_verdict_is_that_of_the_rules_asked_one_by_one() {
    let (mut rng, patterns) = (Rng::new(1), all(&["a", "b", "*", ">"], 4));
    let mut subjects = all(&["a", "b", "c"], 4);
    subjects.extend([&b"*"[..], b"a.*", b"a.>", b"", b".", b"a.", b"a..b"].map(<[u8]>::to_vec));
    let mut kinds = [0; 4];
    for seed in 0..3000 {
        let rules = block(&mut rng, &patterns);
        let wall = Wall::new(rules.as_deref(), &ACCOUNTS, Some(SYSTEM), seed);
        for _ in 0..30 {
            let (account, subject) = (rng.below(3) as usize, pick(&mut rng, &subjects));
            let judged = wall.judge(account, subject);
            for cluster in CLUSTERS {
                let expected = Naive(rules.as_deref()).judge(account, cluster, subject);
                assert_eq!(judged.of(wall.class(cluster)), expected, "{} {rules:?}", subject.escape_ascii());
                assert!(judged.uniform().is_none_or(|all| all == expected));
                let kind = match expected {
                    Judgement::Open => 0,
                    Judgement::Admitted(_) => 1,
                    Judgement::Denied(_) => 2,
                    Judgement::Unnamed => 3,
                };
                kinds[kind] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|n| *n > 1000), "{kinds:?}");
}

#[test]
fn what_is_announced_is_what_pattern_and_rules_have_in_common() {
    let (mut rng, patterns) = (Rng::new(2), all(&["a", "b", "*", ">"], 4));
    let literals = all(&["a", "b", "c"], 5);
    let (mut parts, mut empty, mut whole) = (0, 0, 0);
    for seed in 0..4000 {
        let rules = block(&mut rng, &patterns);
        let wall = Wall::new(rules.as_deref(), &ACCOUNTS, Some(SYSTEM), seed);
        let naive = Naive(rules.as_deref());
        for _ in 0..8 {
            let (account, cluster, pattern) =
                (rng.below(3) as usize, *pick(&mut rng, &CLUSTERS), pick(&mut rng, &patterns));
            let told = announced(&wall, account, cluster, pattern);
            assert_eq!(told, naive.announce(account, cluster, pattern), "{} {rules:?}", pattern.escape_ascii());
            let class = wall.class(cluster);
            assert_eq!(wall.is_whole(account, class, pattern), told.contains(pattern));
            assert_eq!(wall.admits_some(account, class, pattern), !told.is_empty());
            for s in (0..12).map(|_| pick(&mut rng, &literals).clone()).collect::<Vec<_>>() {
                let s = &s;
                let heard = told.iter().any(|p| subject::matches(p, s));
                let wanted = subject::matches(pattern, s);
                assert!(!heard || wanted);
                let verdict = wall.judge(account, s).of(class);
                assert!(!(wanted && verdict.crosses()) || heard, "{}", s.escape_ascii());
                assert!(!heard || verdict != Judgement::Unnamed, "{}", s.escape_ascii());
            }
            whole += u32::from(told.contains(pattern));
            empty += u32::from(told.is_empty());
            parts += u32::from(told.len() > 1);
        }
    }
    assert!(whole > 1000 && empty > 1000 && parts > 300, "{whole} {empty} {parts}");
}

type Wanted = BTreeSet<(Vec<u8>, Vec<u8>)>;

#[test]
fn after_any_sequence_it_is_announced_what_is_to_be_announced_for_all_that_is_wanted() {
    let (mut rng, patterns) = (Rng::new(3), all(&["a", "b", "*", ">"], 3));
    let mut counted = 0;
    for seed in 0..150 {
        let rules = block(&mut rng, &patterns);
        let wall = Wall::new(rules.as_deref(), &ACCOUNTS, Some(SYSTEM), seed);
        let (account, cluster) = (rng.below(3) as usize, *pick(&mut rng, &CLUSTERS));
        let mut announced = Announced::new(account, wall.class(cluster), seed);
        let (mut wanted, mut told) = (Wanted::new(), Wanted::new());
        for step in 0.. {
            let mut one = (pick(&mut rng, &patterns).clone(), pick(&mut rng, &["", "q", "r"]).as_bytes().to_vec());
            if step >= 80 {
                // To the end of all of them.
                let Some(first) = wanted.first() else { break };
                one = first.clone();
            }
            let begins = !wanted.remove(&one);
            let known = |p: &[u8], q: &[u8]| {
                assert_ne!((p, q), (&*one.0, &*one.1), "asked about the one that changes");
                wanted.contains(&(p.to_vec(), q.to_vec()))
            };
            let edge = |p: &[u8], q: &[u8], on: bool| {
                let edge = (p.to_vec(), q.to_vec());
                assert_eq!(on, begins);
                assert!(if on { told.insert(edge) } else { told.remove(&edge) }, "told what was so before");
            };
            if begins {
                announced.began(&wall, &one.0, &one.1, known, edge);
                wanted.insert(one);
            } else {
                announced.ended(&wall, &one.0, &one.1, known, edge);
            }
            let naive = Naive(rules.as_deref());
            let expected: Wanted = wanted
                .iter()
                .flat_map(|(p, q)| naive.announce(account, cluster, p).into_iter().map(|part| (part, q.clone())))
                .collect();
            assert_eq!(told, expected);
            let mut walked = Wanted::new();
            let mut at = Some(Cursor::default());
            while let Some(from) = at {
                at = announced.walk(from, 2, |p, q| assert!(walked.insert((p.to_vec(), q.to_vec()))));
            }
            assert!(walked.iter().all(|(p, q)| announced.holds(p, q) && told.contains(&(p.clone(), q.clone()))));
            assert!(told.iter().all(|one| walked.contains(one) || wanted.contains(one)));
            counted += walked.len();
        }
        assert!(announced.is_empty() && told.is_empty());
    }
    assert!(counted > 3000, "{counted}");
}

#[test]
fn what_crosses_whole_costs_nothing() {
    let rules = [rule("public.>", None, None, false)];
    let wall = Wall::new(Some(&rules), &ACCOUNTS, Some(SYSTEM), 7);
    let mut announced = Announced::new(0, Class::OTHERS, 7);
    let mut edges = 0;
    for i in 0..1000 {
        let subject = format!("public.{i}.*");
        announced.began(&wall, subject.as_bytes(), b"", |_, _| false, |_, _, _| edges += 1);
    }
    assert!(announced.is_empty());
    assert_eq!(edges, 1000);
}

#[test]
fn a_hundred_thousand_rules_are_looked_up_and_not_searched() {
    // Every one asked for every other would be 10^10 steps, and the end of this test not be seen.
    let n = 100_000;
    let rules: Vec<Rule> = (0..n)
        .map(|i| match i % 4 {
            0 => rule(&format!("lit.{i}"), None, None, false),
            1 => rule(&format!("wild.{i}.*"), Some(&format!("c{i}")), None, false),
            2 => rule(&format!("deep.{i}.a.>"), None, Some("A"), false),
            _ => rule(&format!("deep.{}.a.b", i - 1), None, None, true),
        })
        .collect();
    let wall = Wall::new(Some(&rules), &ACCOUNTS, Some(SYSTEM), 5);
    assert_eq!(wall.classes(), n / 4 + 1);
    for i in (0..n).step_by(4) {
        let at = |k: usize| (i + k) as u32;
        assert_eq!(wall.judge(0, &rules[i].subject).of(Class::OTHERS), Judgement::Admitted(at(0)));
        let wild = format!("wild.{}.x", i + 1);
        let judged = wall.judge(0, wild.as_bytes());
        assert_eq!(judged.of(Class::OTHERS), Judgement::Unnamed);
        assert_eq!(judged.of(wall.class(&format!("c{}", i + 1))), Judgement::Admitted(at(1)));
        let deep = format!("deep.{}.a", i + 2);
        assert_eq!(wall.judge(0, format!("{deep}.c").as_bytes()).of(Class::OTHERS), Judgement::Admitted(at(2)));
        assert_eq!(wall.judge(1, format!("{deep}.c").as_bytes()).of(Class::OTHERS), Judgement::Unnamed);
        assert_eq!(wall.judge(0, format!("{deep}.b").as_bytes()).of(Class::OTHERS), Judgement::Denied(at(3)));
        let narrow = format!("deep.{}.*.*.>", i + 2);
        let told = announced(&wall, 0, "other", narrow.as_bytes());
        assert_eq!(told, [format!("deep.{}.a.*.>", i + 2).into_bytes()].into());
        assert_eq!(announced(&wall, 0, "other", format!("lit.{i}").as_bytes()).len(), 1);
    }
    assert_eq!(announced(&wall, 0, "other", b">").len(), n / 2);
    // One subject of a hundred thousand clusters.
    let rules: Vec<Rule> = (0..n).map(|i| rule("a.*", Some(&format!("c{}", n - i)), None, false)).collect();
    let wall = Wall::new(Some(&rules), &ACCOUNTS, Some(SYSTEM), 5);
    let judged = wall.judge(0, b"a.b");
    for i in 0..n {
        assert_eq!(judged.of(wall.class(&format!("c{}", n - i))), Judgement::Admitted(i as u32));
        assert!(wall.is_whole(0, wall.class(&format!("c{}", n - i)), b"a.b"));
    }
    assert!(flaws(&rules, "SYS").is_empty());
}

#[test]
fn a_block_with_only_denials_is_one_as_written() {
    // A denial for one cluster opens nothing beside what admits for another.
    let rules = [rule("a.>", Some("east"), None, false), rule("a.b", Some("west"), None, true)];
    let wall = Wall::new(Some(&rules), &ACCOUNTS, Some(SYSTEM), 1);
    let of = |account, cluster: &str, s: &str| wall.judge(account, s.as_bytes()).of(wall.class(cluster));
    assert_eq!(of(0, "east", "a.b"), Judgement::Admitted(0));
    assert_eq!(of(0, "west", "a.b"), Judgement::Denied(1));
    assert_eq!(of(0, "west", "a.c"), Judgement::Unnamed);
    assert_eq!(of(SYSTEM, "west", "a.b"), Judgement::Open);
    // For the system account only entries that name it count: denials of its own leave the rest of it open.
    let rules = [rule(">", None, None, false), rule("$SYS.>", None, Some("SYS"), true)];
    let wall = Wall::new(Some(&rules), &ACCOUNTS, Some(SYSTEM), 1);
    let of = |s: &str| wall.judge(SYSTEM, s.as_bytes()).of(Class::OTHERS);
    assert_eq!((of("$SYS.x"), of("a")), (Judgement::Denied(1), Judgement::Open));
    // An empty block admits nothing, and leaves the system account alone.
    let wall = Wall::new(Some(&[]), &ACCOUNTS, Some(SYSTEM), 1);
    assert!(!wall.is_open());
    assert_eq!(wall.judge(0, b"a").uniform(), Some(Judgement::Unnamed));
    assert_eq!(wall.judge(SYSTEM, b"a").uniform(), Some(Judgement::Open));
}

#[test]
fn a_digest_is_that_of_what_is_said_and_stays_the_same() {
    let (mut rng, patterns) = (Rng::new(4), all(&["a", "b", "*", ">"], 2));
    type Blocks = (Option<Vec<Rule>>, Option<Vec<Rule>>);
    let mut seen: BTreeMap<Digest, Blocks> = BTreeMap::new();
    let normal = |rules: &Option<Vec<Rule>>| {
        rules.clone().map(|mut rules| {
            rules.sort_by(|a, b| a.said().cmp(&b.said()));
            rules.dedup();
            rules
        })
    };
    for _ in 0..5000 {
        let (exports, imports) = (block(&mut rng, &patterns), block(&mut rng, &patterns));
        let one = digest(exports.as_deref(), imports.as_deref());
        let both = (normal(&exports), normal(&imports));
        assert_eq!(one, digest(both.0.as_deref(), both.1.as_deref()));
        let moved = |rules: &Option<Vec<Rule>>| {
            rules
                .clone()
                .map(|r| r.into_iter().rev().map(|r| Rule { place: RulePlace { file: 1, line: 9 }, ..r }).collect())
        };
        let again: Blocks = (moved(&exports), moved(&imports));
        assert_eq!(one, digest(again.0.as_deref(), again.1.as_deref()));
        assert_eq!(seen.entry(one).or_insert_with(|| both.clone()), &both);
    }
    assert_ne!(digest(None, Some(&[])), digest(Some(&[]), None));
    assert_ne!(digest(None, None), digest(Some(&[]), None));
    // Other servers reckon the same: these may never change.
    assert_eq!(digest(None, None).to_string(), "b737e77f3a2a0f326d0b6f4a1017f2b0");
    let rules = [rule("public.>", Some("east"), None, false), rule("x", None, Some("A"), true)];
    assert_eq!(digest(Some(&rules), None).to_string(), "29e9868520965e53dd7876e18a382122");
}

#[test]
fn what_nobody_answers_to_is_found() {
    let ours = [
        rule("public.>", None, None, false),
        rule("metrics.*", Some("west"), None, false),
        rule("metrics.*", Some("north"), None, false),
        rule("secret.>", None, None, true),
        rule("b.>", None, Some("B"), false),
        rule("$SYS.>", None, Some("SYS"), false),
    ];
    let of = |theirs: Option<&[Rule]>| unanswered(&ours, theirs, "east", "west", "SYS", 1);
    assert_eq!(of(None), [0; 0]);
    assert_eq!(of(Some(&[])), [0, 1, 4]);
    assert_eq!(of(Some(&[rule("*.cpu", None, None, false)])), [0; 0]);
    assert_eq!(of(Some(&[rule("metrics.cpu", None, None, false)])), [0, 4]);
    assert_eq!(of(Some(&[rule("*.cpu", Some("south"), None, false)])), [0, 1, 4]);
    assert_eq!(of(Some(&[rule("metrics.>", None, None, true)])), [1]);
    assert_eq!(of(Some(&[rule(">", None, Some("B"), false)])), [0; 0]);
    assert_eq!(of(Some(&[rule(">", None, Some("A"), false)])), [4]);
    assert_eq!(of(Some(&[rule(">", None, Some("SYS"), false), rule("q", None, None, true)])), [0, 1, 4]);
    assert_eq!(of(Some(&[rule("x", None, Some("SYS"), false)])), [0, 1, 4, 5]);
    assert_eq!(of(Some(&[rule("$SYS.>", None, Some("SYS"), true)])), [5]);
    assert_eq!(strangers(&ours, |name| name == "west"), [2]);
    assert_eq!(differing(&ours[..3], &ours[1..], 3), (vec![0], vec![2, 3, 4]));
}

#[test]
fn a_rule_of_ours_is_answered_if_something_of_it_crosses_into_an_account() {
    let (mut rng, patterns) = (Rng::new(6), all(&["a", "b", "*", ">"], 3));
    let mut found = [0, 0];
    for _ in 0..4000 {
        let (ours, theirs) = (block(&mut rng, &patterns).unwrap_or_default(), block(&mut rng, &patterns));
        let naive = Naive(theirs.as_deref());
        // Denials in some account alone do not count against a rule for all of them.
        let without: Option<Vec<Rule>> = theirs.clone().map(|rules| {
            let closed = rules.is_empty() || rules.iter().any(|r| !r.deny);
            let mut rules: Vec<_> = rules.into_iter().filter(|r| !r.deny || r.account.is_none()).collect();
            if rules.is_empty() && !closed {
                rules.push(rule("none.such", None, None, true));
            }
            rules
        });
        let lenient = Naive(without.as_deref());
        let answered = |r: &Rule| match r.account.as_deref() {
            None => (0..SYSTEM).any(|a| !lenient.announce(a, "west", &r.subject).is_empty()),
            Some(name) => {
                let account = ACCOUNTS.iter().position(|a| *a == name).unwrap();
                !naive.announce(account, "west", &r.subject).is_empty()
            }
        };
        let expected: Vec<u32> = (0..)
            .zip(&ours)
            .filter(|(_, r)| !r.deny && r.cluster.as_deref() != Some("west") && !answered(r))
            .map(|(i, _)| i)
            .collect();
        assert_eq!(unanswered(&ours, theirs.as_deref(), "west", "east", "SYS", 7), expected, "{ours:?} {theirs:?}");
        found[usize::from(expected.is_empty())] += 1;
    }
    assert!(found.iter().all(|n| *n > 500), "{found:?}");
}

#[test]
fn flaws_are_rules_that_change_no_verdict() {
    let rules = [
        rule("a.b", None, None, false),
        rule("a.>", None, None, false),
        rule("a.b", None, None, false),
        rule("a.c", Some("west"), Some("A"), false),
        rule("a.c", Some("west"), Some("SYS"), false),
        rule("x.>", Some("west"), None, true),
        rule("x.y", Some("west"), None, false),
        rule("x.y", None, None, false),
    ];
    let flaw = |rule, by, kind| Flaw { rule, by, kind };
    let expected = [
        flaw(0, 1, FlawKind::Within),
        flaw(2, 0, FlawKind::Twice),
        flaw(3, 1, FlawKind::Within),
        flaw(6, 5, FlawKind::Denied),
    ];
    assert_eq!(flaws(&rules, "SYS"), expected);

    let (mut rng, patterns) = (Rng::new(8), all(&["a", "b", "*", ">"], 3));
    let literals = all(&["a", "b", "c"], 4);
    let mut found = 0;
    for seed in 0..2000 {
        let rules = block(&mut rng, &patterns).unwrap_or_default();
        for Flaw { rule, by, kind } in flaws(&rules, "SYS") {
            let (one, other) = (&rules[rule as usize], &rules[by as usize]);
            assert!(rule != by && subject::contains(&other.subject, &one.subject));
            assert_eq!(kind == FlawKind::Twice, one.said() == other.said());
            assert_eq!(kind == FlawKind::Denied, !one.deny && other.deny);
            // Without it every message fares as before, unless it was the last one that closed the block.
            let mut less = rules.clone();
            less.remove(rule as usize);
            let closed = |rules: &[Rule], a| Naive(Some(rules)).closed(a);
            if (0..3).any(|a| closed(&rules, a) != closed(&less, a)) {
                continue;
            }
            found += 1;
            let [before, after] = [&rules, &less].map(|r| Wall::new(Some(r), &ACCOUNTS, Some(SYSTEM), seed));
            for s in literals.iter().step_by(3) {
                for (account, cluster) in (0..3).flat_map(|a| CLUSTERS.map(|c| (a, c))) {
                    let [x, y] = [&before, &after].map(|w| w.judge(account, s).of(w.class(cluster)).crosses());
                    assert_eq!(x, y, "{rules:?} {rule}");
                }
            }
        }
    }
    assert!(found > 1000, "{found}");
}
