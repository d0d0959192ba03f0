//! What the path of a message is put together from: `cargo bench -p turnpike-benches --bench pieces` prints nanoseconds
//! and allocations of one operation parsed, one subject matched, one permission decided. `scripts/baseline` counts their instructions.

use std::hint::black_box;
use turnpike::interest::permit::{Entry, Lists, Permissions, Permit};
use turnpike::interest::Trie;
use turnpike::wire::{Parser, Rules, Step};
use turnpike_benches::Wanted;

/// Operations, subjects or questions in one round.
const EACH: usize = 256;

fn main() {
    let wanted = Wanted::from_args();
    parse(&wanted);
    matches(&wanted);
    permits(&wanted);
}

fn parse(wanted: &Wanted) {
    let rules = Rules { max_control_line: 4096, max_payload: 1 << 20, headers: true, connect_first: false };
    for (row, op) in [
        ("parse-pub", "PUB orders.eu.4711.new 16\r\n0123456789abcdef\r\n"),
        ("parse-reply", "PUB orders.eu.4711.new _INBOX.abcdef.42 16\r\n0123456789abcdef\r\n"),
        ("parse-hpub", "HPUB orders.eu.4711.new 21 37\r\nNATS/1.0\r\nA: 4711\r\n\r\n0123456789abcdef\r\n"),
        ("parse-sub", "SUB orders.*.4711.> workers 17\r\n"),
    ] {
        if !wanted.has(row) {
            continue;
        }
        let text = op.repeat(EACH);
        wanted.run(row, "operation", EACH, &mut || {
            let (mut parser, mut rest, mut found) = (Parser::default(), text.as_bytes(), 0);
            // As a shard does it: what is usual first.
            loop {
                let taken = if let Some((message, taken)) = parser.publication(rest, &rules) {
                    black_box(message);
                    taken
                } else if let Ok(Step::Op(op, taken)) = parser.next(rest, &rules) {
                    black_box(op);
                    taken
                } else {
                    break;
                };
                rest = &rest[taken..];
                found += 1;
            }
            assert_eq!(found, EACH, "{row}");
        });
    }
}

/// A subject among so many literal ones and so many with wildcards; callgrind has time for the small table only.
fn matches(wanted: &Wanted) {
    for (row, literal, wild) in
        [("match-literal", 10_000, 0), ("match", 10_000, 1000), ("match-million", 1_000_000, 1000)]
    {
        // By name only: it takes a while to build.
        if !wanted.has(row) || (row == "match-million" && !wanted.has_one()) {
            continue;
        }
        let mut trie: Trie<u32> = Trie::new(1);
        for i in 0..literal {
            *trie.entry(subject(i).as_bytes()) = i;
        }
        for i in 0..wild {
            let pattern = match i % 4 {
                0 => format!("orders.r{i}.>"),
                1 => format!("orders.*.c{i}.new"),
                2 => format!("*.r{i}.*.new"),
                _ => format!("orders.r{i}.*.new"),
            };
            *trie.entry(pattern.as_bytes()) = i;
        }
        // Far enough from each other that none finds in the cache what the last one used.
        let subjects: Vec<String> =
            (0..16 * EACH as u32).map(|i| subject(i.wrapping_mul(2_654_435_761) % literal)).collect();
        let mut at = 0;
        wanted.run(row, "subject", EACH, &mut || {
            for _ in 0..EACH {
                at = (at + 1) % subjects.len();
                let mut found = 0;
                trie.matches(subjects[at].as_bytes(), |_| found += 1);
                assert!(found > 0, "{row}: {}", subjects[at]);
            }
        });
    }
}

fn subject(i: u32) -> String {
    format!("orders.r{}.c{}.new", i % 5000, i / 7)
}

/// May this be published, may that be delivered: the decision itself, which connections and verdicts remember.
fn permits(wanted: &Wanted) {
    let entries = |n: u32, what: &str| {
        let one = |i| Entry { subject: format!("{what}.r{i}.>").into_bytes().into(), queue: Box::default() };
        (0..n).map(one).collect::<Vec<_>>()
    };
    let lists = |n| Lists { allow: Some(entries(n, "orders")), deny: entries(n, "secret") };
    for (row, n) in [("permit-4", 4), ("permit-1k", 1000)] {
        if !wanted.has(row) {
            continue;
        }
        let permit = Permit::new(Permissions { publish: lists(n), subscribe: lists(n), responses: None });
        let subjects: Vec<String> = (0..EACH as u32).map(|i| format!("orders.r{}.c{i}.new", i % n)).collect();
        wanted.run(row, "question", EACH, &mut || {
            for s in &subjects {
                assert!(black_box(&permit).publish(s.as_bytes()), "{row}: {s}");
            }
        });
    }
}
