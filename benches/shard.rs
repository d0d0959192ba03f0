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
use turnpike::interest::border::{Rule, RulePlace};
use turnpike::interest::permit::{Entry, Lists, Permissions};
use turnpike::policy::{Auth, Borders, Gateway, Permits, Secret, Settings, User};
use turnpike::shard::{Act, Identity, Opening, Setup, Shard, TURN_DELIVERIES_MAX};

/// What else the shard has.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// A link to another cluster that wants none of the messages.
    Deaf,
    /// One that wants all of them.
    Wants,
    /// The same, and a border of [`RULES`] rules that lets them out.
    Border,
    /// Everybody is a user who may not do everything.
    Rights,
}

const RULES: u32 = 1000;

/// One shard and a clock that stands still but for a nanosecond a turn.
struct Bench {
    shard: Shard,
    ns: u64,
    cid: u64,
}

impl Bench {
    fn new(beside: Beside) -> Bench {
        let borders = Borders {
            exports: (beside == Beside::Border).then(|| (0..RULES).map(rule).collect()),
            ..Borders::default()
        };
        let linked = !matches!(beside, Beside::Nothing | Beside::Rights);
        let gateway = linked.then(|| Gateway { name: "east".into(), borders, ..Gateway::default() });
        let auth = if beside == Beside::Rights { restricted() } else { Auth::open() };
        let settings = Arc::new(Settings { gateway, auth, ..Settings::default() });
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
        match beside {
            Beside::Nothing | Beside::Rights => {}
            Beside::Deaf => bench.link("other"),
            Beside::Wants | Beside::Border => bench.link("bench"),
        }
        bench
    }

    /// A link to another cluster that wants all of these subjects, and a hundred single ones.
    fn link(&mut self, wants: &str) {
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
        let others: String = (0..100).map(|n| format!("RS+ $G other.{n}\r\n")).collect();
        let wants = format!("{others}RS+ $G {wants}.>\r\n");
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
        let opening =
            Opening { cid: Cid(self.cid), ip: "127.0.0.1".into(), port: 1, over_limit: false, nonce: [0; 11] };
        let mut turn = self.shard.begin(Now { mono: Time(self.ns), wall_ns: self.ns }).sockets();
        let conn = turn.open(opening);
        drop(turn.end().sockets());
        self.turn(conn, b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        self.turn(conn, says.as_bytes());
        conn
    }
}

/// Everybody is a user who may publish to some subjects and may not have others.
fn restricted() -> Auth {
    let entries = |all: &[&str]| {
        all.iter().map(|s| Entry { subject: s.as_bytes().into(), queue: Box::default() }).collect::<Vec<_>>()
    };
    let publish =
        Lists { allow: Some(entries(&["bench.>", "orders.*.new", "a.b.c", "_INBOX.>"])), deny: entries(&["bench.no"]) };
    let subscribe = Lists { allow: None, deny: entries(&["bench.secret", "orders.>"]) };
    let may = Permissions { publish, subscribe, responses: None };
    let user = User::named("u", Secret::Plain("p".into()), 0);
    let permits = Arc::new(Permits::new([Some(may)]));
    Auth { users: vec![user], no_auth_user: Some(0), permits, ..Auth::open() }
}

fn rule(i: u32) -> Rule {
    let subject = match i % 4 {
        0 if i == 0 => "bench.>".to_owned(),
        0 | 1 => format!("bench.{}", 1000 + i),
        2 => format!("metrics.*.r{i}"),
        _ => format!("public.r{i}.>"),
    };
    let place = RulePlace { file: 0, line: i + 1 };
    // One in sixteen denies, none of them what is sent.
    Rule { subject: subject.into_bytes().into(), cluster: None, account: None, deny: i % 16 == 7, place }
}

/// Name, receivers, payload size, subjects, and what else there is.
const ROWS: [(&str, usize, usize, usize, Beside); 15] = [
    ("pub-16", 0, 16, 1, Beside::Nothing),
    ("sub-16", 1, 16, 1, Beside::Nothing),
    ("sub-128", 1, 128, 1, Beside::Nothing),
    ("fan-10-128", 10, 128, 1, Beside::Nothing),
    ("sub-1k", 1, 1024, 1, Beside::Nothing),
    ("subjects-1k-128", 1, 128, 1000, Beside::Nothing),
    ("gateway-pub-16", 0, 16, 1, Beside::Deaf),
    ("gateway-sub-16", 1, 16, 1, Beside::Deaf),
    ("gateway-subjects", 1, 128, 1000, Beside::Deaf),
    ("across-128", 0, 128, 1, Beside::Wants),
    ("across-subjects", 0, 128, 1000, Beside::Wants),
    ("border-128", 0, 128, 1, Beside::Border),
    ("border-subjects", 0, 128, 1000, Beside::Border),
    ("rights-sub-16", 1, 16, 1, Beside::Rights),
    ("rights-subjects", 1, 128, 1000, Beside::Rights),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let rounds: usize = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(400);
    for (name, receivers, size, subjects, beside) in ROWS {
        if args.first().is_some_and(|a| a != name && a != "all") {
            continue;
        }
        let mut bench = Bench::new(beside);
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
