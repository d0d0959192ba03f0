//! What is said in one go comes to what it comes to message by message.

use crate::base::{Cid, ConnId, Now, ShardId, Time, SECOND};
use crate::policy::Settings;
use crate::shard::report::{Answer, Ask, Order};
use crate::shard::{Act, Batch, Flush, Identity, Opening, Setup, Shard, Sockets, Turn};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Shards whose sockets are buffers, and some of whose receivers do not read.
struct World {
    shards: Vec<Shard>,
    now: Now,
    ends: Ends,
    /// What is in the rings, and to whom.
    rings: VecDeque<(usize, Told)>,
}

enum Told {
    Batch(ShardId, Batch),
    Spent(Batch),
}

/// A connection, and whose.
type At = (usize, ConnId);

/// The other ends of its sockets.
#[derive(Default)]
struct Ends {
    out: BTreeMap<At, Vec<u8>>,
    stuck: Vec<At>,
    tally: String,
}

/// A receiver.
#[derive(Clone, Debug)]
struct Receiver {
    /// How often it subscribes.
    subs: usize,
    /// It ends after so many; 0: never.
    max: u64,
    /// It does not read.
    stuck: bool,
}

impl World {
    fn new(shards: usize, max_pending: usize, budget: u64, skip: bool) -> World {
        let mut settings = Settings::default();
        settings.limits.max_pending = max_pending;
        settings.no_fast_producer_stall = skip;
        let settings = Arc::new(settings);
        let shard = |i| {
            let usual = Setup::single(settings.clone(), Arc::new(Identity::default()));
            Shard::new(Setup { id: ShardId(i as u8), shards, seed: 7, turn_deliveries_max: budget, ..usual })
        };
        let now = Now { mono: Time(SECOND), wall_ns: SECOND };
        let shards = (0..shards).map(shard).collect();
        World { shards, now, ends: Ends::default(), rings: VecDeque::new() }
    }

    /// One turn, in which these pieces arrive one after the other, and those that follow from it on other shards.
    fn turn(&mut self, (shard, conn): At, pieces: &[&[u8]]) {
        self.with(shard, |turn| pieces.iter().for_each(|piece| turn.bytes(conn, piece)));
    }

    fn with<T>(&mut self, shard: usize, happens: impl FnOnce(&mut Turn<'_, Sockets>) -> T) -> T {
        self.now.mono = self.now.mono.plus_ns(1000);
        let shards = self.shards.len();
        let mut turn = self.shards[shard].begin(self.now).sockets();
        turn.time();
        let what = happens(&mut turn);
        self.ends.flush(shard, tell(turn, shard, shards, &mut self.rings));
        while let Some((to, told)) = self.rings.pop_front() {
            let mut turn = self.shards[to].begin(self.now);
            match told {
                Told::Batch(from, batch) => turn.batch(from, batch),
                Told::Spent(batch) => turn.spent(batch),
            }
            self.ends.flush(to, tell(turn.sockets(), to, shards, &mut self.rings));
        }
        what
    }

    fn client(&mut self, shard: usize, options: &str, says: &str) -> At {
        let opening = Opening {
            cid: Cid(1),
            ip: "127.0.0.1".into(),
            port: 1,
            over_limit: false,
            privacy: Default::default(),
            nonce: [0; 11],
        };
        let conn = self.with(shard, |turn| turn.open(opening));
        let connect = format!("CONNECT {{\"verbose\":false,\"pedantic\":false{options}}}\r\n");
        self.turn((shard, conn), &[connect.as_bytes(), says.as_bytes()]);
        (shard, conn)
    }
}

/// Ends a turn as far as the rings.
fn tell<'a>(
    turn: Turn<'a, Sockets>,
    shard: usize,
    shards: usize,
    rings: &mut VecDeque<(usize, Told)>,
) -> Flush<'a, Sockets> {
    let mut flush = turn.end();
    for to in (0..shards).filter(|to| *to != shard) {
        let told = flush.batch(ShardId(to as u8));
        rings.extend(told.map(|batch| (to, Told::Batch(ShardId(shard as u8), batch))));
    }
    while let Some((home, batch)) = flush.heard() {
        rings.push_back((home.index(), Told::Spent(batch)));
    }
    flush.sockets().unwrap_or_else(|_| panic!("no ring is full"))
}

impl Ends {
    fn flush(&mut self, shard: usize, mut flush: Flush<'_, Sockets>) {
        while let Some(conn) = flush.dirty() {
            if self.stuck.contains(&(shard, conn)) {
                flush.blocked(conn);
                continue;
            }
            loop {
                let bytes = flush.pending(conn).to_vec();
                if bytes.is_empty() {
                    break;
                }
                flush.wrote(conn, bytes.len());
                self.out.entry((shard, conn)).or_default().extend(bytes);
            }
        }
        while let Some(act) = flush.act() {
            if let Act::Answer { answer: Answer::Tally(tally), .. } = act {
                self.tally.push_str(&format!("{tally:?}\n"));
            }
        }
    }
}

/// What everybody got, and what was counted, when these messages arrive in one piece or each for itself.
fn outcome(
    (shards, max_pending, budget, skip): (usize, usize, u64, bool),
    receivers: &[Receiver],
    echo: bool,
    sizes: &[usize],
    whole: bool,
) -> (Vec<Vec<u8>>, String) {
    let mut world = World::new(shards, max_pending, budget, skip);
    for (i, r) in receivers.iter().enumerate() {
        let subs: String = (0..r.subs).map(|n| format!("SUB a.{} {n}\r\n", ["*", "b"][n % 2])).collect();
        let max = if r.max > 0 { format!("UNSUB 0 {}\r\n", r.max) } else { String::new() };
        let conn = world.client((i + 1) % shards, "", &format!("{subs}{max}"));
        if r.stuck {
            world.ends.stuck.push(conn);
        }
    }
    let publisher = world.client(0, &format!(",\"echo\":{echo}"), "SUB a.b own\r\n");
    let messages: Vec<Vec<u8>> = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| format!("PUB a.b {size}\r\n{}\r\n", format!("{n:08}").repeat(size / 8 + 1).split_at(*size).0))
        .map(String::into_bytes)
        .collect();
    let all = messages.concat();
    let pieces: Vec<&[u8]> = if whole { vec![&all] } else { messages.iter().map(Vec::as_slice).collect() };
    world.turn(publisher, &pieces);
    // What had to wait.
    for _ in 0..64 {
        (0..shards).for_each(|shard| world.with(shard, |_| {}));
    }
    (0..shards).for_each(|shard| world.with(shard, |turn| turn.order(Order::Report { ticket: 1, ask: Ask::TALLY })));
    // How often a verdict was found ready or made is nobody's business here: a shard whose last receiver has had enough is
    // sent the rest of what comes in one piece, and judges it.
    assert!(world.ends.tally.contains("in_msgs"));
    let inner = ["cache_hits", "matches", "cached", "max_fanout", "fanout_"];
    let counts = world.ends.tally.split(", ").filter(|f| !inner.iter().any(|name| f.starts_with(name)));
    let tally = counts.collect::<Vec<_>>().join(", ");
    (world.ends.out.into_values().collect(), tally)
}

fn receivers() -> impl Strategy<Value = Vec<Receiver>> {
    let max = prop_oneof![3 => Just(0), 1 => 1..60u64];
    let one = (1..4usize, max, prop::bool::weighted(0.2)).prop_map(|(subs, max, stuck)| {
        // Half of them have one subscription.
        Receiver { subs: subs.saturating_sub(1).max(1), max, stuck }
    });
    prop::collection::vec(one, 0..5)
}

/// In which turn what comes is decides who is congested when, so that several shards have room for all of it.
fn limits() -> impl Strategy<Value = (usize, usize, u64, bool)> {
    let budget = prop_oneof![Just(7u64), Just(200), Just(50_000)];
    let max_pending = prop_oneof![Just(4096usize), Just(32 << 10), Just(64 << 20)];
    let alone = (Just(1usize), max_pending, budget.clone(), any::<bool>());
    prop_oneof![alone, (2..4usize, Just(64usize << 20), budget, any::<bool>())]
}

proptest! {
    #[test]
    fn the_same_comes_of_it_in_one_piece_and_message_by_message(
        receivers in receivers(),
        echo: bool,
        limits in limits(),
        sizes in prop::collection::vec(prop_oneof![4 => 0..40usize, 1 => 0..3000usize], 1..120),
    ) {
        let whole = outcome(limits, &receivers, echo, &sizes, true);
        let single = outcome(limits, &receivers, echo, &sizes, false);
        prop_assert_eq!(&whole.1, &single.1);
        prop_assert!(whole.0 == single.0, "other bytes");
    }
}

#[test]
fn a_long_stream_is_taken_in_stretches_and_a_limit_ends_them() {
    let receivers = [Receiver { subs: 1, max: 700, stuck: false }, Receiver { subs: 1, max: 0, stuck: false }];
    let sizes = [16; 2000];
    let count = |bytes: &Vec<u8>| bytes.windows(8).filter(|w| *w == b"MSG a.b ").count();
    for shards in 1..4 {
        let (got, _) = outcome((shards, 64 << 20, 50_000, false), &receivers, true, &sizes, true);
        let mut got: Vec<_> = got.iter().map(count).collect();
        got.sort_unstable();
        assert_eq!(got, [700, 2000, 2000]);
    }
}

#[test]
fn who_has_left_over_more_than_a_turn_carries_out_is_not_read() {
    for shards in 1..3 {
        let mut world = World::new(shards, 64 << 20, 100, false);
        world.client(shards - 1, "", "SUB a.b 1\r\n");
        let publisher = world.client(0, "", "");
        assert!(world.shards[0].reads(publisher.1) > 0);
        let data = "PUB a.b 16\r\n0123456789abcdef\r\n".repeat(2000);
        world.turn(publisher, &[data.as_bytes()]);
        let mut turns = 0;
        while world.shards[0].reads(publisher.1) == 0 {
            world.with(0, |_| {});
            turns += 1;
        }
        // A hundred deliveries in a turn; each message counts as one, and each copy.
        assert!((8..=40).contains(&turns), "{turns} turns for 2,000 messages, {shards} shards");
    }
}
