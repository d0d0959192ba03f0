//! Ends of connections, on one shard whose clients read only when they are told to.

use crate::base::limits::TURN_ABANDONED_MAX;
use crate::base::{Cid, ConnId, Now, Time};
use crate::policy::Settings;
use crate::shard::report::{Answer, Ask, Tally};
use crate::shard::{Act, Identity, Lost, Opening, Order, Setup, Shard, Sockets, Turn};
use std::sync::Arc;

/// One shard, and what became of its connections.
struct World {
    shard: Shard,
    now: u64,
    closed: Vec<ConnId>,
    /// Places given back.
    left: usize,
    log: Vec<String>,
    tally: Option<Tally>,
}

impl World {
    fn new(pending: usize, total: usize) -> World {
        let mut settings = Settings::default();
        (settings.limits.max_pending, settings.limits.max_pending_total) = (pending, Some(total));
        settings.limits.max_payload = 1000;
        let identity = Arc::new(Identity { server_id: "I".into(), server_name: "I".into(), host: "h".into(), port: 1 });
        let settings = Arc::new(settings);
        let shard = Shard::new(Setup::single(settings, identity));
        World { shard, now: 1, closed: Vec::new(), left: 0, log: Vec::new(), tally: None }
    }

    /// A turn in which these come and say this; nobody but `reads` takes any byte.
    fn turn(&mut self, opens: usize, says: &[(ConnId, &str)], reads: Option<ConnId>) -> Vec<ConnId> {
        self.now += 1;
        let mut turn = self.shard.begin(Now { mono: Time(self.now), wall_ns: self.now }).sockets();
        turn.time();
        reads.into_iter().for_each(|conn| turn.writable(conn));
        let conns = (0..opens).map(|n| turn.open(opening(n))).collect();
        says.iter().for_each(|(conn, text)| turn.bytes(*conn, text.as_bytes()));
        let acts = finish(turn, reads);
        self.note(acts);
        conns
    }

    /// A turn with an order and nothing else.
    fn order(&mut self, order: Order) {
        self.now += 1;
        let mut turn = self.shard.begin(Now { mono: Time(self.now), wall_ns: self.now }).sockets();
        turn.time();
        turn.order(order);
        let acts = finish(turn, None);
        self.note(acts);
    }

    /// The counters.
    fn tally(&mut self) -> Tally {
        self.order(Order::Report { ticket: 1, ask: Ask::TALLY });
        self.tally.take().expect("an answer")
    }

    fn note(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Left => self.left += 1,
                Act::Close(conn) => self.closed.push(conn),
                Act::Log { text, .. } => self.log.push(text),
                Act::Answer { answer: Answer::Tally(tally), .. } => self.tally = Some(*tally),
                _ => {}
            }
        }
    }
}

fn opening(n: usize) -> Opening {
    Opening {
        cid: Cid(n as u64),
        ip: "::1".into(),
        port: 2,
        over_limit: false,
        privacy: Default::default(),
        nonce: [0; 11],
    }
}

/// Ends a turn in which nobody but `reads` takes any byte.
fn finish(turn: Turn<'_, Sockets>, reads: Option<ConnId>) -> Vec<Act> {
    let Ok(mut flush) = turn.end().sockets() else { panic!("no ring is full") };
    while let Some(conn) = flush.dirty() {
        match reads == Some(conn) {
            true => {
                let all = flush.pending(conn).len();
                flush.wrote(conn, all);
            }
            false => flush.blocked(conn),
        }
    }
    std::iter::from_fn(|| flush.act()).collect()
}

#[test]
fn where_more_waits_for_all_than_may_those_go_for_whom_the_most_waits() {
    // Each may have 10,000 waiting, all together 20,000.
    let mut world = World::new(10_000, 1);
    let conns = world.turn(6, &[], None);
    let publish = |subject: usize, n: usize| format!("PUB s{subject} 900\r\n{}\r\n", "x".repeat(900)).repeat(n);
    let quiet = "CONNECT {\"verbose\":false}\r\n";
    let subs: Vec<String> = (0..5).map(|n| format!("{quiet}SUB s{n} 1\r\n")).collect();
    let says: Vec<_> = conns.iter().copied().zip(subs.iter().map(String::as_str)).collect();
    world.turn(0, &says, None);
    let from = conns[5];
    let some = [quiet.to_string(), publish(0, 3), publish(1, 6), publish(2, 5), publish(3, 2)].concat();
    world.turn(0, &[(from, &some)], None);
    world.turn(0, &[], None);
    assert!(world.closed.is_empty(), "{:?}", world.log);
    // A reader that takes its bytes is no burden.
    for _ in 0..10 {
        world.turn(0, &[(from, &publish(4, 5))], Some(conns[4]));
    }
    assert!(world.closed.is_empty(), "{:?}", world.log);
    world.turn(0, &[(from, &publish(3, 5))], None);
    world.turn(0, &[], None);
    assert_eq!(world.closed, [conns[3]], "2 + 5 messages, and nobody else has more than 6");
    assert!(world.log.iter().any(|l| l.contains("all together exceed 20000")), "{:?}", world.log);
    let tally = world.tally();
    assert_eq!(tally.slow_consumers_pending, 1);
    assert!(tally.drops.contains(&("slow_consumer_pending", 7)), "{:?}", tally.drops);
}

#[test]
fn while_memory_is_scarce_much_that_waits_is_given_up_and_no_subscription_taken() {
    let mut world = World::new(10 << 20, usize::MAX);
    let conns = world.turn(4, &[], None);
    let quiet = "CONNECT {\"verbose\":false}\r\n";
    let subs: Vec<String> = (0..3).map(|n| format!("{quiet}SUB s{n} 1\r\n")).collect();
    let says: Vec<_> = conns.iter().copied().zip(subs.iter().map(String::as_str)).collect();
    world.turn(0, &says, None);
    let publish = |subject: usize, n: usize| format!("PUB s{subject} 900\r\n{}\r\n", "x".repeat(900)).repeat(n);
    // More than 64 KiB for two of them, less for the third.
    let some = [quiet.to_string(), publish(0, 100), publish(1, 300), publish(2, 30)].concat();
    world.turn(0, &[(conns[3], &some)], None);
    world.turn(0, &[], None);
    assert!(world.closed.is_empty(), "{:?}", world.log);
    // Said once, at least a quarter is given back; said on, all that is worth it.
    world.order(Order::Scarce(true));
    assert_eq!(world.closed, [conns[1]], "{:?}", world.log);
    world.order(Order::Scarce(true));
    world.order(Order::Scarce(true));
    assert_eq!(world.closed, [conns[1], conns[0]], "{:?}", world.log);
    assert_eq!(world.tally().scarce_cut, 2);
    world.turn(0, &[(conns[3], "SUB a 1\r\nSUB b 2\r\n")], None);
    assert_eq!((world.tally().scarce_refused, world.tally().subscriptions), (2, 1));
    assert!(world.tally().scarce);
    world.order(Order::Scarce(false));
    world.turn(0, &[(conns[3], "SUB a 1\r\nSUB b 2\r\n")], None);
    assert_eq!((world.tally().scarce_refused, world.tally().subscriptions), (2, 3));
    assert!(!world.tally().scarce);
}

#[test]
fn what_a_connection_leaves_behind_by_the_thousand_is_taken_out_in_slices_and_receives_nothing() {
    const SUBS: usize = 10 * TURN_ABANDONED_MAX;
    let mut world = World::new(10 << 20, usize::MAX);
    let conns = world.turn(3, &[], None);
    let quiet = "CONNECT {\"verbose\":false}\r\n";
    let many: String = (0..SUBS).map(|n| format!("SUB s{n} g {n}\r\n")).collect();
    let few: String = (0..SUBS).map(|n| format!("SUB s{n} g {n}\r\n")).take(3).collect();
    world.turn(0, &[(conns[0], &[quiet, &many].concat()), (conns[1], &[quiet, &few].concat())], None);
    assert_eq!(world.tally().subscriptions, SUBS as u64 + 3);
    let mut turn = world.shard.begin(Now { mono: Time(world.now), wall_ns: 1 }).sockets();
    turn.lost(conns[0], Lost::Eof);
    let acts = finish(turn, None);
    world.note(acts);
    let publish: String =
        [quiet.to_string()].into_iter().chain((0..3).map(|n| format!("PUB s{n} 1\r\n.\r\n"))).collect();
    world.turn(0, &[(conns[2], &publish)], None);
    assert_eq!(world.tally().out_msgs, 3, "members that live get all of them");
    let mut left = world.tally().subscriptions;
    assert!(left > 3, "some turns are needed");
    while left > 3 {
        assert_eq!(world.shard.next_at(), Some(Time(0)));
        let now = world.tally().subscriptions;
        assert!((1..=TURN_ABANDONED_MAX as u64).contains(&(left - now)), "{left} to {now} in one turn");
        left = now;
    }
    world.turn(0, &[], None);
    assert_ne!(world.shard.next_at(), Some(Time(0)));
}

#[test]
fn a_place_is_given_back_when_the_end_begins_and_only_by_who_had_one() {
    let mut world = World::new(10_000, usize::MAX);
    let conns = world.turn(2, &[], None);
    let mut turn = world.shard.begin(Now { mono: Time(world.now), wall_ns: 1 }).sockets();
    let refused = turn.open(Opening { over_limit: true, ..opening(3) });
    let acts = finish(turn, None);
    world.note(acts);
    assert_eq!(world.left, 0, "who is refused never had a place");
    // It does not read its last words, and its place is free all the same.
    world.turn(0, &[(conns[1], "NONSENSE\r\n")], None);
    assert_eq!((world.left, world.closed.len()), (1, 0));
    for conn in [refused, conns[1], conns[0]] {
        let mut turn = world.shard.begin(Now { mono: Time(world.now), wall_ns: 1 }).sockets();
        turn.lost(conn, Lost::Failed("reset".into()));
        let acts = finish(turn, None);
        world.note(acts);
    }
    assert_eq!((world.left, world.closed), (2, vec![refused, conns[1], conns[0]]));
}
