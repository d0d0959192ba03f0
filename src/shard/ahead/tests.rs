//! What is read ahead arrives as if it had been read one by one, whatever happens between.

use crate::base::limits::{AHEAD_MAX, AHEAD_VERDICTS_MIN};
use crate::base::{Cid, ConnId, Now, Time};
use crate::policy::Settings;
use crate::shard::{Identity, Opening, Privacy, Setup, Shard, Sockets, Turn};
use std::fmt::Write;
use std::sync::Arc;

/// More subjects than it takes.
const SUBJECTS: usize = AHEAD_VERDICTS_MIN + 3 * AHEAD_MAX;

/// One shard with a subscriber and a publisher, whose sockets take all there is.
struct World {
    shard: Shard,
    ns: u64,
    subscriber: ConnId,
    publisher: ConnId,
    /// What the subscriber was sent.
    heard: String,
}

impl World {
    fn new(turn_deliveries_max: u64) -> World {
        let (settings, identity) = (Arc::new(Settings::default()), Arc::new(Identity::default()));
        let shard = Shard::new(Setup { turn_deliveries_max, ..Setup::single(settings, identity) });
        let none = ConnId::NONE;
        let mut world = World { shard, ns: 1, subscriber: none, publisher: none, heard: String::new() };
        world.subscriber = world.client();
        world.publisher = world.client();
        world
    }

    fn client(&mut self) -> ConnId {
        let (cid, ip, privacy) = (Cid(self.ns), "::1".into(), Privacy::Plain);
        let opening = Opening { cid, ip, port: 1, over_limit: false, privacy, nonce: [0; 11] };
        let conn = self.turn(|turn| turn.open(opening));
        self.says(conn, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        conn
    }

    /// This arrives in one piece; then come as many turns as it takes.
    fn says(&mut self, conn: ConnId, text: &str) {
        self.turn(|turn| turn.bytes(conn, text.as_bytes()));
        while self.shard.next_at().is_some_and(|at| at.0 <= self.ns) {
            self.turn(|_| ());
        }
    }

    fn turn<T>(&mut self, happens: impl FnOnce(&mut Turn<'_, Sockets>) -> T) -> T {
        self.ns += 1;
        let mut turn = self.shard.begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        turn.time();
        let what = happens(&mut turn);
        let Ok(mut flush) = turn.end().sockets() else { panic!("no ring is full") };
        while let Some(conn) = flush.dirty() {
            while !flush.pending(conn).is_empty() {
                let bytes = flush.pending(conn).to_vec();
                if conn == self.subscriber {
                    self.heard.push_str(std::str::from_utf8(&bytes).expect("text"));
                }
                flush.wrote(conn, bytes.len());
            }
        }
        while flush.act().is_some() {}
        what
    }

    /// The messages heard since the last time: subject and payload.
    fn messages(&mut self) -> Vec<(String, String)> {
        let heard = std::mem::take(&mut self.heard);
        let mut lines = heard.split("\r\n").filter(|l| !l.is_empty());
        let mut all = Vec::new();
        while let Some(line) = lines.next() {
            if let Some(subject) = line.strip_prefix("MSG ").and_then(|l| l.split(' ').next()) {
                all.push((subject.into(), lines.next().expect("a payload").into()));
            }
        }
        all
    }
}

/// Publications to these subjects, numbered from `first`, as they are sent and as they are to arrive.
fn publications(subjects: impl Iterator<Item = usize>, first: usize) -> (String, Vec<(String, String)>) {
    let (mut sent, mut heard) = (String::new(), Vec::new());
    for (n, subject) in subjects.enumerate() {
        let (subject, payload) = (format!("w.{subject}"), (first + n).to_string());
        write!(sent, "PUB {subject} {}\r\n{payload}\r\n", payload.len()).expect("a string takes it");
        heard.push((subject, payload));
    }
    (sent, heard)
}

#[test]
fn all_arrives_in_order() {
    for budget in [50_000, 1, 5] {
        let mut world = World::new(budget);
        world.says(world.subscriber, "SUB w.> 7\r\nPING\r\n");
        let rounds: [Vec<usize>; 4] = [
            (0..SUBJECTS).collect(),
            (0..SUBJECTS).rev().collect(),
            // Some repeat at once, some soon.
            (0..SUBJECTS).flat_map(|i| vec![i; 1 + i % 4]).collect(),
            (0..SUBJECTS).flat_map(|i| [i, (i + 1) % SUBJECTS, i]).collect(),
        ];
        for (n, round) in rounds.into_iter().enumerate() {
            let (sent, expected) = publications(round.into_iter(), n * 10_000);
            let (early, late) = sent.split_at(sent.len() / 3 + n);
            world.says(world.publisher, early);
            world.says(world.publisher, late);
            assert_eq!(world.messages(), expected, "round {n}, budget {budget}");
        }
    }
}

#[test]
fn interest_that_ends_between_ends_there() {
    let mut world = World::new(50_000);
    world.says(world.subscriber, "SUB w.> 7\r\nPING\r\n");
    let (sent, expected) = publications(0..SUBJECTS, 0);
    world.says(world.publisher, &sent);
    assert_eq!(world.messages(), expected);
    // Each verdict is known; the limit is reached in the middle of what is read ahead.
    let more = 4 * AHEAD_MAX + 3;
    world.says(world.subscriber, &format!("UNSUB 7 {}\r\nPING\r\n", SUBJECTS + more));
    world.says(world.publisher, &sent);
    assert_eq!(world.messages(), expected[..more]);
    world.says(world.publisher, &sent);
    assert_eq!(world.messages(), []);
}

#[test]
fn other_operations_between_take_their_turn() {
    let mut world = World::new(50_000);
    world.says(world.subscriber, "SUB w.> 7\r\nPING\r\n");
    let (sent, mut expected) = publications(0..SUBJECTS, 0);
    world.says(world.publisher, &sent);
    assert_eq!(world.messages(), expected);
    let (first, of_first) = publications(0..AHEAD_MAX + 2, 0);
    let (second, of_second) = publications(0..AHEAD_MAX + 2, 500);
    // A publisher that is also a subscriber, and whose last words are no operation.
    world.says(world.publisher, &format!("{first}SUB w.3 1\r\nPING\r\n{second}HPUB\r\n{first}"));
    expected = of_first;
    expected.extend(of_second);
    assert_eq!(world.messages(), expected);
}
