//! The path of a message through shards, without sockets: what a turn costs in instructions and allocations.
//!
//! `cargo bench -p turnpike-benches --bench shard` prints nanoseconds and allocations per message; `scripts/baseline`
//! counts instructions, which do not depend on the machine.

use std::sync::Arc;
use turnpike::base::{Cid, FarId};
use turnpike::conn::{GatewayIntroduction, Way};
use turnpike::interest::border::{Rule, RulePlace};
use turnpike::interest::permit::{Entry, Lists, Permissions};
use turnpike::policy::{Auth, Borders, Gateway, Permits, Secret, Settings, User};
use turnpike_benches::driven::Driven;
use turnpike_benches::Wanted;

/// What else the server has.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// The receivers are another shard's.
    Shard,
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

fn server(beside: Beside) -> Driven {
    let borders =
        Borders { exports: (beside == Beside::Border).then(|| (0..RULES).map(rule).collect()), ..Borders::default() };
    let wants = match beside {
        Beside::Nothing | Beside::Shard | Beside::Rights => None,
        Beside::Deaf => Some("other"),
        Beside::Wants | Beside::Border => Some("bench"),
    };
    let gateway = wants.map(|_| Gateway { name: "east".into(), borders, ..Gateway::default() });
    let auth = if beside == Beside::Rights { restricted() } else { Auth::open() };
    let mut server =
        Driven::new(1 + u8::from(beside == Beside::Shard), Settings { gateway, auth, ..Settings::default() });
    if let Some(wants) = wants {
        link(&mut server, wants);
    }
    server
}

/// A link to another cluster that wants all of these subjects, and a hundred single ones.
fn link(server: &mut Driven, wants: &str) {
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
        traces: true,
        theirs: Default::default(),
        start_ns: 0,
        first: Vec::new(),
        rest: Vec::new(),
    };
    let conn = server.with(0, |turn| turn.introduce_gateway(intro));
    let command = |n| format!("INFO {{\"gateway\":\"west\",\"gateway_cmd\":{n},\"gateway_cmd_payload\":\"JEc=\"}}\r\n");
    let others: String = (0..100).map(|n| format!("RS+ $G other.{n}\r\n")).collect();
    let wants = format!("{others}RS+ $G {wants}.>\r\n");
    server.say(0, conn, format!("{}{wants}{}", command(2), command(3)).as_bytes());
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
const ROWS: [(&str, usize, usize, usize, Beside); 17] = [
    ("pub-16", 0, 16, 1, Beside::Nothing),
    ("sub-16", 1, 16, 1, Beside::Nothing),
    ("sub-128", 1, 128, 1, Beside::Nothing),
    ("fan-10-128", 10, 128, 1, Beside::Nothing),
    ("sub-1k", 1, 1024, 1, Beside::Nothing),
    ("subjects-1k-128", 1, 128, 1000, Beside::Nothing),
    ("rings-128", 1, 128, 1, Beside::Shard),
    ("rings-subjects", 1, 128, 1000, Beside::Shard),
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
    let wanted = Wanted::from_args();
    for (name, receivers, size, subjects, beside) in ROWS.into_iter().filter(|row| wanted.has(row.0)) {
        let mut server = server(beside);
        for i in 0..receivers {
            server.client(usize::from(beside == Beside::Shard), &format!("SUB bench.> {i}\r\n"));
        }
        let publisher = server.client(0, "");
        let payload = "x".repeat(size);
        let per_turn = (65536 / (size + 24)).max(1);
        let data: String =
            (0..per_turn).map(|i| format!("PUB bench.{} {size}\r\n{payload}\r\n", 1000 + i * 7 % subjects)).collect();
        wanted.run(name, "message", per_turn, &mut || server.say(0, publisher, data.as_bytes()));
        // So much at least was written: the warm-up's messages, each with its payload.
        assert!(server.written >= receivers * 20 * per_turn * size, "{name}: {} bytes written", server.written);
    }
}
