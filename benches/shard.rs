//! The path of a message through one shard, without sockets: what a turn costs in instructions and allocations.
//!
//! `cargo bench --bench shard` prints nanoseconds and allocations per message; run the same
//! under callgrind with two numbers of rounds for instructions per message, which do not depend on the machine.

#[path = "../tests/support/counting.rs"]
mod counting;

use counting::allocations;
use std::sync::Arc;
use std::time::Instant;
use turnpike::base::{Cid, ConnId, FarId, Now, ShardId, Time};
use turnpike::conn::{GatewayIntroduction, Way};
use turnpike::policy::{Gateway, Settings};
use turnpike::shard::{Act, Identity, Opening, Setup, Shard, TURN_DELIVERIES_MAX};

/// One shard and a clock that stands still but for a nanosecond a turn.
struct Bench {
    shard: Shard,
    ns: u64,
    cid: u64,
}

impl Bench {
    fn new(gateways: bool) -> Bench {
        let gateway = gateways.then(|| Gateway { name: "east".into(), ..Gateway::default() });
        let settings = Arc::new(Settings { gateway, ..Settings::default() });
        let identity = Arc::new(Identity::default());
        let shard = Shard::new(Setup {
            id: ShardId(0),
            shards: 1,
            seed: 1,
            settings,
            identity,
            turn_deliveries_max: TURN_DELIVERIES_MAX,
        });
        let mut bench = Bench { shard, ns: 1, cid: 0 };
        if gateways {
            bench.link();
        }
        bench
    }

    /// A link to another cluster that wants other things.
    fn link(&mut self) {
        let intro = GatewayIntroduction {
            link: Cid(1 << 32),
            way: Way::Out(FarId(1)),
            cluster: "west".into(),
            server_id: "W".into(),
            server_name: "w".into(),
            ip: "127.0.0.1".into(),
            port: 7222,
            configured: true,
            headers: true,
            interest_only: true,
            new_replies: true,
            turnpike: true,
            theirs: Default::default(),
            start_ns: 0,
            first: Vec::new(),
            rest: Vec::new(),
        };
        let mut turn = self.shard.begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        let conn = turn.introduce_gateway(intro);
        drop(turn.end().sockets());
        let command =
            |n| format!("INFO {{\"gateway\":\"west\",\"gateway_cmd\":{n},\"gateway_cmd_payload\":\"JEc=\"}}\r\n");
        let wants: String = (0..100).map(|n| format!("RS+ $G other.{n}\r\n")).collect();
        self.turn(conn, format!("{}{wants}{}", command(2), command(3)).as_bytes());
    }

    /// One turn in which `data` arrives on `from`; everything that waits is written away. Says how many bytes.
    fn turn(&mut self, from: ConnId, data: &[u8]) -> usize {
        self.ns += 1;
        let mut turn = self.shard.begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        turn.time();
        turn.bytes(from, data);
        let Ok(mut flush) = turn.end().sockets() else { return 0 };
        let mut written = 0;
        while let Some(conn) = flush.dirty() {
            loop {
                let n = flush.pending(conn).len();
                if n == 0 {
                    break;
                }
                written += n;
                flush.wrote(conn, n);
            }
        }
        while let Some(act) = flush.act() {
            drop::<Act>(act);
        }
        written
    }

    fn client(&mut self, says: &str) -> ConnId {
        self.cid += 1;
        let opening = Opening { cid: Cid(self.cid), ip: "127.0.0.1".into(), port: 1, over_limit: false };
        let mut turn = self.shard.begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        let conn = turn.open(opening);
        drop(turn.end().sockets());
        self.turn(conn, b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        self.turn(conn, says.as_bytes());
        conn
    }
}

/// Name, receivers, payload size, subjects; where the name begins with "gateway", beside a link to another cluster that
/// wants none of it.
const ROWS: [(&str, usize, usize, usize); 9] = [
    ("pub-16", 0, 16, 1),
    ("sub-16", 1, 16, 1),
    ("sub-128", 1, 128, 1),
    ("fan-10-128", 10, 128, 1),
    ("sub-1k", 1, 1024, 1),
    ("subjects-1k-128", 1, 128, 1000),
    ("gateway-pub-16", 0, 16, 1),
    ("gateway-sub-16", 1, 16, 1),
    ("gateway-subjects", 1, 128, 1000),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let rounds: usize = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(400);
    for (name, receivers, size, subjects) in ROWS {
        if args.first().is_some_and(|a| a != name && a != "all") {
            continue;
        }
        let mut bench = Bench::new(name.starts_with("gateway"));
        for i in 0..receivers {
            bench.client(&format!("SUB bench.> {i}\r\n"));
        }
        let publisher = bench.client("");
        let payload = "x".repeat(size);
        let per_turn = (65536 / (size + 24)).max(1);
        let data: String =
            (0..per_turn).map(|i| format!("PUB bench.{} {size}\r\n{payload}\r\n", 1000 + i * 7 % subjects)).collect();
        for _ in 0..20 {
            bench.turn(publisher, data.as_bytes());
        }
        let (before, start) = (allocations(), Instant::now());
        for _ in 0..rounds {
            bench.turn(publisher, data.as_bytes());
        }
        let (ns, spent) = (start.elapsed().as_nanos() as f64, allocations() - before);
        let messages = (rounds * per_turn) as f64;
        println!(
            "{name:16} {:8.1} ns/msg  {:.6} allocations/msg  {messages} messages",
            ns / messages,
            spent as f64 / messages
        );
    }
}
