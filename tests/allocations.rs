//! On the path of a message nothing is allocated: not for the message, not for any of its copies.

#[path = "support/counting.rs"]
mod counting;

#[path = "support/driven.rs"]
mod driven;

use counting::allocations;
use driven::Driven;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use turnpike::base::limits::{SCRAPED_CONNECTIONS_MAX, SCRAPED_SUBSCRIPTIONS_MAX};
use turnpike::policy::Settings;
use turnpike::shard::report::Counted;
use turnpike::shard::{Answer, Ask, Order};

/// What is counted is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_message_and_its_copies_cost_no_allocation() {
    let _alone = alone();
    for (name, near, far, members, reply) in [
        ("nobody", 0, 0, 0, ""),
        ("one", 1, 0, 0, ""),
        ("ten", 10, 0, 0, "re "),
        ("both shards", 2, 3, 0, ""),
        ("queue groups on both shards", 0, 0, 2, "re "),
        ("everything", 1, 2, 3, "re "),
    ] {
        let mut pair = Driven::new(2, Settings::default());
        for i in 0..near {
            pair.client(0, &format!("SUB a.* {i}\r\n"));
        }
        for i in 0..far {
            pair.client(1, &format!("SUB a.b {i}\r\n"));
        }
        for i in 0..members {
            for shard in [0, 1] {
                pair.client(shard, &format!("SUB a.b left {i}\r\nSUB a.> right 1{i}\r\n"));
            }
        }
        let publisher = pair.client(0, "");
        const MESSAGES: u64 = 300;
        let data = format!("PUB a.b {reply}16\r\n0123456789abcdef\r\n").repeat(MESSAGES as usize);
        for _ in 0..10 {
            pair.say(0, publisher, data.as_bytes());
        }
        let (before, written) = (allocations(), pair.written);
        for _ in 0..20 {
            pair.say(0, publisher, data.as_bytes());
        }
        let spent = allocations() - before;
        let groups = if members > 0 { 2 } else { 0 };
        let copies = (near + far + groups) as usize * 20 * MESSAGES as usize;
        assert!(pair.written - written >= copies * 16, "{name}: every copy was written");
        // The lists of this test's own driver, a turn: none of them grows with the messages.
        assert!(spent <= 20 * 4, "{name}: {spent} allocations in 20 turns of {MESSAGES} messages");
    }
}

/// A question of monitoring and its answer, which is one turn.
fn ask(node: &mut Driven, ask: Ask) -> Answer {
    node.with(0, |turn| turn.order(Order::Report { ticket: 0, ask }));
    node.answers.pop().expect("an answer")
}

#[test]
fn counters_are_asked_for_in_slices_and_count_each_message_once() {
    let _alone = alone();
    let mut node = Driven::new(1, Settings::default());
    let conns: Vec<_> = (0..300).map(|i| node.client(0, &format!("SUB a {i}\r\n"))).collect();
    let publish = |node: &mut Driven, from: usize| node.say(0, conns[from], b"PUB b 2\r\nhi\r\n");
    (0..300).for_each(|i| publish(&mut node, i));
    for round in 0..2 {
        let (mut from, mut turns) = (Counted::NONE, 0);
        let tally = loop {
            turns += 1;
            match ask(&mut node, Ask::Tally { from, max: SCRAPED_CONNECTIONS_MAX }) {
                Answer::Counted(counted) => from = counted,
                Answer::Tally(tally) => break tally,
                other => panic!("another answer: {other:?}"),
            }
            // One is counted already and one is not.
            publish(&mut node, 0);
            publish(&mut node, 299);
        };
        assert_eq!(turns, 300_u32.div_ceil(SCRAPED_CONNECTIONS_MAX));
        assert_eq!((tally.connections, tally.subscriptions), (300, 300));
        let Answer::Tally(all) = ask(&mut node, Ask::TALLY) else { panic!("another answer") };
        assert_eq!(all.in_msgs, 300 + (round + 1) * 2 * u64::from(turns - 1));
        assert!((tally.in_msgs..=tally.in_msgs + u64::from(turns)).contains(&all.in_msgs), "{}", tally.in_msgs);
    }
}

/// What is asked from a cursor on.
type Question = Box<dyn Fn(Counted) -> Ask>;

/// The time of each turn of a scrape, by question: where the cursor was, how long it took.
fn scrape(node: &mut Driven) -> Vec<(&'static str, Duration)> {
    let (conns, subs) = (SCRAPED_CONNECTIONS_MAX, SCRAPED_SUBSCRIPTIONS_MAX);
    let asks: [(&str, Question); 5] = [
        ("counters", Box::new(move |from| Ask::Tally { from, max: conns })),
        ("gateways", Box::new(move |from| Ask::Gateways { from, max: conns })),
        ("connections", Box::new(move |from| Ask::Connections { from: from.place, max: conns, subs: false })),
        (
            "subscriptions",
            Box::new(move |from| Ask::Subscriptions { from: from.place, max: subs, account: None, test: None }),
        ),
        (
            "a subject",
            Box::new(move |from| {
                let test = Some(b"orders.77.7".to_vec());
                Ask::Subscriptions { from: from.place, max: subs, account: Some("$G".into()), test }
            }),
        ),
    ];
    let mut took = Vec::new();
    for (name, question) in asks {
        let mut next = Some(Counted::NONE);
        while let Some(from) = next {
            let question = question(from);
            let begun = Instant::now();
            node.with(0, |turn| turn.order(Order::Report { ticket: 0, ask: question }));
            took.push((name, begun.elapsed()));
            next = match node.answers.pop().expect("an answer") {
                Answer::Counted(counted) => Some(counted),
                Answer::Connections { next, .. } | Answer::Subscriptions { next, .. } => {
                    next.map(|place| Counted { place, ..Counted::NONE })
                }
                _ => None,
            };
        }
    }
    took
}

/// `cargo test --release --test allocations -- --ignored --nocapture`: a figure of the built server.
#[test]
#[ignore = "measures time"]
fn a_scrape_of_ten_thousand_connections_holds_no_turn_for_200_microseconds() {
    let _alone = alone();
    let mut node = Driven::new(1, Settings::default());
    for c in 0..10_000 {
        let subs: String = (0..50).map(|s| format!("SUB orders.{c}.{s} {s}\r\n")).collect();
        node.client(0, &subs);
    }
    // The best of some rounds: what else runs on the machine is not measured.
    let mut best = scrape(&mut node);
    for _ in 0..4 {
        let again = scrape(&mut node);
        best.iter_mut().zip(again).for_each(|(best, again)| best.1 = best.1.min(again.1));
    }
    for name in ["counters", "gateways", "connections", "subscriptions", "a subject"] {
        let of = || best.iter().filter(|(of, _)| *of == name);
        let (n, longest) = (of().count(), of().map(|(_, took)| *took).max().unwrap_or_default());
        println!("{name}: {n} turns, the longest {longest:?}");
        assert!(longest < Duration::from_micros(200), "{name}: {longest:?}");
    }
}
