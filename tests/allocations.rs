//! On the path of a message nothing is allocated: not for the message, not for any of its copies.

#![allow(unsafe_code, reason = "counting allocations takes a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Now, ShardId, Time};
use turnpike::policy::Settings;
use turnpike::shard::{Identity, Opening, Setup, Shard, TURN_DELIVERIES_MAX};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        System.dealloc(at, layout)
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        System.realloc(at, layout, size)
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
        let opening = Opening { cid: Cid(self.ns), ip: "127.0.0.1".into(), port: 1, over_limit: false };
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
    for (name, near, far, reply) in
        [("nobody", 0, 0, ""), ("one", 1, 0, ""), ("ten", 10, 0, "re "), ("both shards", 2, 3, "")]
    {
        let mut pair = Pair::new();
        for i in 0..near {
            pair.client(0, &format!("SUB a.* {i}\r\n"));
        }
        for i in 0..far {
            pair.client(1, &format!("SUB a.b {i}\r\n"));
        }
        let publisher = pair.client(0, "");
        const MESSAGES: u64 = 300;
        let data = format!("PUB a.b {reply}16\r\n0123456789abcdef\r\n").repeat(MESSAGES as usize);
        for _ in 0..10 {
            pair.say(0, publisher, data.as_bytes());
        }
        let (before, written) = (ALLOCATIONS.load(Ordering::Relaxed), pair.written);
        for _ in 0..20 {
            pair.say(0, publisher, data.as_bytes());
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let copies = (near + far) as usize * 20 * MESSAGES as usize;
        assert!(pair.written - written >= copies * 16, "{name}: every copy was written");
        // The lists of this test's own driver, a turn: none of them grows with the messages.
        assert!(allocations <= 20 * 4, "{name}: {allocations} allocations in 20 turns of {MESSAGES} messages");
    }
}
