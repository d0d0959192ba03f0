//! What is said in one go comes to what it comes to message by message.

use crate::base::{Cid, ConnId, Now, ShardId, Time, SECOND};
use crate::policy::Settings;
use crate::shard::report::{Answer, Ask, Order};
use crate::shard::{Act, Identity, Opening, Setup, Shard};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One shard whose sockets are buffers, and some of whose receivers do not read.
struct World {
    shard: Shard,
    now: Now,
    ends: Ends,
}

/// The other ends of its sockets.
#[derive(Default)]
struct Ends {
    out: BTreeMap<ConnId, Vec<u8>>,
    stuck: Vec<ConnId>,
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
    fn new(max_pending: usize, budget: u64, skip: bool) -> World {
        let mut settings = Settings::default();
        settings.limits.max_pending = max_pending;
        settings.no_fast_producer_stall = skip;
        let shard = Shard::new(Setup {
            id: ShardId(0),
            shards: 1,
            seed: 7,
            settings: Arc::new(settings),
            identity: Arc::new(Identity::default()),
            turn_deliveries_max: budget,
        });
        let now = Now { mono: Time(SECOND), wall_ns: SECOND };
        World { shard, now, ends: Ends::default() }
    }

    /// One turn, in which these pieces arrive one after the other.
    fn turn(&mut self, conn: ConnId, pieces: &[&[u8]]) {
        self.now.mono = self.now.mono.plus_ns(1000);
        let mut turn = self.shard.begin(self.now).sockets();
        turn.time();
        pieces.iter().for_each(|piece| turn.bytes(conn, piece));
        let Ok(flush) = turn.end().sockets() else { panic!("one shard has no rings") };
        self.ends.flush(flush);
    }

    fn client(&mut self, options: &str, says: &str) -> ConnId {
        let opening = Opening { cid: Cid(1), ip: "127.0.0.1".into(), port: 1, over_limit: false, nonce: [0; 11] };
        let mut turn = self.shard.begin(self.now).sockets();
        let conn = turn.open(opening);
        drop(turn.end().sockets());
        let connect = format!("CONNECT {{\"verbose\":false,\"pedantic\":false{options}}}\r\n");
        self.turn(conn, &[connect.as_bytes(), says.as_bytes()]);
        conn
    }
}

impl Ends {
    fn flush(&mut self, mut flush: crate::shard::Flush<'_, crate::shard::Sockets>) {
        while let Some(conn) = flush.dirty() {
            if self.stuck.contains(&conn) {
                flush.blocked(conn);
                continue;
            }
            loop {
                let bytes = flush.pending(conn).to_vec();
                if bytes.is_empty() {
                    break;
                }
                flush.wrote(conn, bytes.len());
                self.out.entry(conn).or_default().extend(bytes);
            }
        }
        while let Some(act) = flush.act() {
            if let Act::Answer { answer: Answer::Tally(tally), .. } = act {
                self.tally = format!("{tally:?}");
            }
        }
    }
}

/// What everybody got, and what was counted, when these messages arrive in one piece or each for itself.
fn outcome(
    (max_pending, budget, skip): (usize, u64, bool),
    receivers: &[Receiver],
    echo: bool,
    sizes: &[usize],
    whole: bool,
) -> (Vec<Vec<u8>>, String) {
    let mut world = World::new(max_pending, budget, skip);
    for r in receivers {
        let subs: String = (0..r.subs).map(|n| format!("SUB a.{} {n}\r\n", ["*", "b"][n % 2])).collect();
        let max = if r.max > 0 { format!("UNSUB 0 {}\r\n", r.max) } else { String::new() };
        let conn = world.client("", &format!("{subs}{max}"));
        if r.stuck {
            world.ends.stuck.push(conn);
        }
    }
    let publisher = world.client(&format!(",\"echo\":{echo}"), "SUB a.b own\r\n");
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
        world.turn(publisher, &[]);
    }
    let mut turn = world.shard.begin(world.now).sockets();
    turn.order(Order::Report { ticket: 1, ask: Ask::Tally });
    let Ok(flush) = turn.end().sockets() else { panic!("one shard has no rings") };
    world.ends.flush(flush);
    // How often a verdict was found ready is nobody's business here.
    assert!(world.ends.tally.contains("in_msgs"));
    let tally = world.ends.tally.split(", ").filter(|f| !f.starts_with("cache_hits")).collect::<Vec<_>>().join(", ");
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

proptest! {
    #[test]
    fn the_same_comes_of_it_in_one_piece_and_message_by_message(
        receivers in receivers(),
        echo: bool,
        skip: bool,
        max_pending in prop_oneof![Just(4096usize), Just(32 << 10), Just(64 << 20)],
        budget in prop_oneof![Just(7u64), Just(200), Just(50_000)],
        sizes in prop::collection::vec(prop_oneof![4 => 0..40usize, 1 => 0..3000usize], 1..120),
    ) {
        let limits = (max_pending, budget, skip);
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
    let (got, _) = outcome((64 << 20, 50_000, false), &receivers, true, &sizes, true);
    let count = |bytes: &[u8]| bytes.windows(8).filter(|w| *w == b"MSG a.b ").count();
    assert_eq!(got.iter().map(|bytes| count(bytes)).collect::<Vec<_>>(), [700, 2000, 2000]);
}
