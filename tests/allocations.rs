//! On the path of a message nothing is allocated: not for the message, not for any of its copies.

#[path = "support/counting.rs"]
mod counting;

use counting::allocations;
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Now, ShardId, Time};
use turnpike::policy::Settings;
use turnpike::shard::{Identity, Opening, Setup, Shard, TURN_DELIVERIES_MAX};

/// Two shards and the rings between them, as the shell drives them.
struct Pair {
    shards: Vec<Shard>,
    ns: u64,
    written: usize,
}

impl Pair {
    fn new() -> Pair {
        let (settings, identity) = (Arc::new(Settings::default()), Arc::new(Identity::default()));
        let shard = |i| {
            let (settings, identity) = (settings.clone(), identity.clone());
            Shard::new(Setup {
                id: ShardId(i),
                shards: 2,
                seed: 1,
                settings,
                identity,
                turn_deliveries_max: TURN_DELIVERIES_MAX,
            })
        };
        Pair { shards: vec![shard(0), shard(1)], ns: 1, written: 0 }
    }

    fn client(&mut self, shard: usize, says: &str) -> ConnId {
        let opening = Opening { cid: Cid(self.ns), ip: "127.0.0.1".into(), port: 1, over_limit: false, nonce: [0; 11] };
        let mut turn = self.shards[shard].begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        let conn = turn.open(opening);
        let _ = turn.end();
        self.say(shard, conn, b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        self.say(shard, conn, says.as_bytes());
        conn
    }

    /// `data` arrives on a connection; then both shards have turns until nothing is left to tell.
    fn say(&mut self, shard: usize, conn: ConnId, data: &[u8]) {
        self.turn(shard, Some((conn, data)));
        self.turn(1 - shard, None);
        self.turn(shard, None);
    }

    fn turn(&mut self, shard: usize, arrived: Option<(ConnId, &[u8])>) {
        self.ns += 1;
        let peer = ShardId(1 - shard as u8);
        let mut turn = self.shards[shard].begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        turn.time();
        if let Some((conn, data)) = arrived {
            turn.bytes(conn, data);
        }
        let mut flush = turn.end();
        let told = flush.batch(peer);
        while flush.heard().is_some() {}
        let mut flush = flush.sockets().unwrap_or_else(|_| panic!("no ring is full"));
        while let Some(conn) = flush.dirty() {
            loop {
                let n = flush.pending(conn).len();
                if n == 0 {
                    break;
                }
                flush.wrote(conn, n);
                self.written += n;
            }
        }
        while flush.act().is_some() {}
        let Some(batch) = told else { return };
        let from = ShardId(shard as u8);
        let mut hearing = self.shards[1 - shard].begin(Now { mono: Time(self.ns), wall_ns: self.ns });
        hearing.batch(from, batch);
        let mut flush = hearing.sockets().end();
        let back: Vec<_> = std::iter::from_fn(|| flush.heard()).collect();
        for (home, batch) in back {
            let mut turn = self.shards[home.index()].begin(Now { mono: Time(self.ns), wall_ns: self.ns });
            turn.spent(batch);
            let _ = turn.sockets().end();
        }
    }
}

#[test]
fn a_message_and_its_copies_cost_no_allocation() {
    for (name, near, far, members, reply) in [
        ("nobody", 0, 0, 0, ""),
        ("one", 1, 0, 0, ""),
        ("ten", 10, 0, 0, "re "),
        ("both shards", 2, 3, 0, ""),
        ("queue groups on both shards", 0, 0, 2, "re "),
        ("everything", 1, 2, 3, "re "),
    ] {
        let mut pair = Pair::new();
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
