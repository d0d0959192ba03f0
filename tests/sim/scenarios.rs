//! The scenarios: each makes a case from a random generator. Numbers are those of scenarios.md §5.2.

pub use super::case::{pick, within};
use super::case::{Actor, Case, End, Plan, Reads, Step};
use super::cluster::{borders, counted, mixed, rogues, scenarios as cluster, supernats, superrogues, supers};
use super::garbage::garbage;
use super::rights;
use super::shared;
use super::slow;
use super::traced;
use turnpike::base::Rng;

/// Makes a case.
pub type Scenario = fn(&mut Rng) -> Case;

/// All of them by name, and how many seeds of each a short sweep runs.
pub const ALL: &[(&str, Scenario, u64)] = &[
    ("crossing", crossing, 50),
    ("promise", promise, 60),
    ("interest_races", interest_races, 50),
    ("group_races", group_races, 50),
    ("reconnects", reconnects, 40),
    ("maxima", maxima, 50),
    ("fanout", fanout, 10),
    ("tight_rings", tight_rings, 40),
    ("drains", drains, 40),
    ("nobody", nobody, 40),
    ("lone_slow", slow::lone_slow, 30),
    ("passed_over", slow::passed_over, 8),
    ("pings", pings, 20),
    ("stuck", slow::stuck, 30),
    ("scarce", slow::scarce, 30),
    ("hostile", hostile, 30),
    ("accounts", accounts, 40),
    ("shared", shared::shared, 60),
    ("rights", rights::rights, 80),
    ("routed_shared", shared::routed_shared, 8),
    ("reloads", rights::reloads, 40),
    ("super_shared", shared::super_shared, 4),
    ("routed_rights", rights::routed_rights, 8),
    ("traced", traced::traced, 40),
    ("routed_traced", traced::routed_traced, 6),
    ("super_traced", traced::super_traced, 4),
    ("spread", spread, 20),
    ("bulk", bulk, 20),
    ("swarm", swarm, 80),
    ("routed", cluster::routed, 6),
    ("routed_reloads", cluster::routed_reloads, 6),
    ("routed_maxima", cluster::routed_maxima, 6),
    ("hand_overs", cluster::hand_overs, 6),
    ("both_dial", cluster::both_dial, 6),
    ("restarts", cluster::restarts, 6),
    ("joins", cluster::joins, 6),
    ("strangers", cluster::strangers, 6),
    ("partial", cluster::partial, 6),
    ("one_way", cluster::one_way, 6),
    ("swizzle", cluster::swizzle, 6),
    ("lost_member", cluster::lost_member, 6),
    ("pauses", cluster::pauses, 6),
    ("stuck_route", cluster::stuck_route, 6),
    ("many_groups", cluster::many_groups, 6),
    ("storm", cluster::storm, 6),
    ("lame_duck", cluster::lame_duck, 6),
    ("mixed", mixed::mixed, 8),
    ("mixed_restarts", mixed::mixed_restarts, 6),
    ("mixed_faults", mixed::mixed_faults, 6),
    ("mixed_lame_duck", mixed::mixed_lame_duck, 6),
    ("rogue_floods", rogues::rogue_floods, 6),
    ("rogue_names", rogues::rogue_names, 6),
    ("rogue_forger", rogues::rogue_forger, 6),
    ("rogue_orders", rogues::rogue_orders, 6),
    ("dozen", cluster::dozen, 1),
    ("super_routed", supers::super_routed, 4),
    ("super_optimistic", supers::super_optimistic, 4),
    ("super_refused_account", supers::super_refused_account, 4),
    ("super_group_count", supers::super_group_count, 4),
    ("super_groups", supers::super_groups, 4),
    ("super_nearest", supers::super_nearest, 4),
    ("super_last_leaves", supers::super_last_leaves, 4),
    ("super_forward", supers::super_forward, 4),
    ("super_requests", supers::super_requests, 4),
    ("super_silent", supers::super_silent, 4),
    ("super_no_way_back", supers::super_no_way_back, 4),
    ("super_wrong_addresses", supers::super_wrong_addresses, 4),
    ("super_restart", supers::super_restart, 4),
    ("super_survivors", supers::super_survivors, 4),
    ("super_storm", supers::super_storm, 3),
    ("super_storm_of_a_chain", supers::super_storm_of_a_chain, 1),
    ("super_many_groups", supers::super_many_groups, 1),
    ("super_nats_routed", supernats::super_nats_routed, 1),
    ("super_nats_requests", supernats::super_nats_requests, 1),
    ("super_nats_pairs", supernats::super_nats_pairs, 3),
    ("super_nats_optimistic", supernats::super_nats_optimistic, 1),
    ("super_nats_thousand", supernats::super_nats_thousand, 1),
    ("super_nats_account", supernats::super_nats_account, 1),
    ("super_nats_third", supernats::super_nats_third, 1),
    ("super_nats_nearest", supernats::super_nats_nearest, 1),
    ("super_nats_groups", supernats::super_nats_groups, 1),
    ("super_nats_mixed", supernats::super_nats_mixed, 1),
    ("super_counted", counted::super_counted, 2),
    ("super_nats_counted", supernats::super_nats_counted, 1),
    ("super_nats_faults", supernats::super_nats_faults, 1),
    ("super_rogue_floods", superrogues::super_rogue_floods, 2),
    ("super_rogue_names", superrogues::super_rogue_names, 2),
    ("super_rogue_forger", superrogues::super_rogue_forger, 1),
    ("super_rogue_orders", superrogues::super_rogue_orders, 1),
    ("border_traffic", borders::border_traffic, 6),
    ("border_groups", borders::border_groups, 4),
    ("border_requests", borders::border_requests, 4),
    ("border_reply_within", borders::border_reply_within, 4),
    ("border_nats", borders::border_nats, 6),
    ("border_storm", borders::border_storm, 4),
    ("border_slow", borders::border_slow, 4),
    ("border_counted", borders::border_counted, 4),
    ("border_rogue", borders::border_rogue, 4),
];

/// Subjects that scenarios publish to.
pub const SUBJECTS: &[&str] = &["a.b", "a.c", "b.c", "a.b.c", "d"];
/// Patterns that they subscribe to.
pub const PATTERNS: &[&str] = &["a.b", "a.*", "a.>", "*.c", "b.c", "d", ">", "a.*.c"];

/// Gives everybody in a case an account.
fn divided(rng: &mut Rng, mut case: Case) -> Case {
    case.plan.accounts = within(rng, 1, 4) as usize;
    for a in &mut case.actors {
        a.account = rng.below(case.plan.accounts as u64) as usize;
    }
    case
}

/// A node with some of its parts made small or slow.
pub fn plan(rng: &mut Rng, shards_min: u64) -> Plan {
    let mut p = Plan::new(within(rng, shards_min, 8) as usize);
    p.ring = if rng.one_in(3) { 1 } else { within(rng, 1, 16) as usize };
    p.read_max = if rng.one_in(4) { 7 } else { 1 << 16 };
    p.rush = within(rng, 2, 12);
    if rng.one_in(3) {
        p.budget = within(rng, 1, 6);
    }
    for lazy in &mut p.lazy {
        *lazy = if rng.one_in(4) { within(rng, 2, 30) } else { 1 };
    }
    p
}

/// Somebody on a shard, with some of his habits left to chance.
pub fn client(rng: &mut Rng, shard: usize) -> Actor {
    let mut a = Actor::on(shard);
    a.verbose = rng.one_in(4);
    a.headers = !rng.one_in(3);
    a.echo = !rng.one_in(4);
    a.window = if rng.one_in(4) { 200 } else { 1 << 16 };
    a
}

/// So many publishes, with a PING now and then.
pub fn publishes(rng: &mut Rng, n: u64, subjects: &[&str]) -> Vec<Step> {
    let most = if rng.one_in(5) { 600 } else { 40 };
    (0..n)
        .flat_map(|_| {
            let publish = Step::publish(pick(rng, subjects), rng.below(most) as usize);
            let after = match rng.below(8) {
                0 => Some(Step::Ping),
                1 => Some(Step::Sync),
                _ => None,
            };
            [Some(publish), after]
        })
        .flatten()
        .collect()
}

/// 10, 20: publishers and subscribers on every shard, nothing goes wrong; counters are exact.
pub fn crossing(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 2);
    plan.exact = true;
    let subscribers = within(rng, 1, 8) as usize;
    let mut actors = Vec::new();
    for i in 0..subscribers {
        let mut a = client(rng, i);
        for _ in 0..within(rng, 1, 4) {
            a = a.does(match rng.below(3) {
                0 => Step::queue(pick(rng, PATTERNS), pick(rng, &["q", "r"])),
                _ => Step::sub(pick(rng, PATTERNS)),
            });
        }
        actors.push(a.does(Step::Sync));
    }
    for i in 0..plan.shards {
        let mut a = client(rng, i);
        let waits = (0..subscribers).filter(|_| !rng.one_in(4));
        let waits: Vec<Step> = waits.map(|s| Step::Await { actor: s, syncs: 1 }).collect();
        let n = within(rng, 1, 25);
        a = a.does_all(waits).does_all(publishes(rng, n, SUBJECTS)).does(Step::Sync);
        actors.push(a);
    }
    Case { plan, actors }
}

/// 13 and its counterpart: publishers on all shards speak the moment a PONG has confirmed a SUB or an UNSUB on one.
pub fn promise(rng: &mut Rng) -> Case {
    let plan = plan(rng, 2);
    let publishers = within(rng, 1, plan.shards as u64);
    let rounds = within(rng, 1, 6);
    let mut subscriber = client(rng, 0);
    for round in 0..rounds {
        let pattern = pick(rng, &["a.b", "a.*", ">"]);
        subscriber = subscriber.does(match rng.below(4) {
            0 => Step::queue(pattern, "q"),
            _ => Step::sub(pattern),
        });
        subscriber = subscriber.does(Step::Sync);
        for p in 0..publishers {
            subscriber = subscriber.does(Step::Await { actor: 1 + p as usize, syncs: 2 * round + 1 });
        }
        subscriber = subscriber.does(Step::Unsub(round as usize)).does(Step::Sync);
    }
    let mut actors = vec![subscriber];
    for p in 0..publishers {
        let mut a = client(rng, 1 + p as usize);
        for turn in 1..=2 * rounds {
            a = a.does(Step::Await { actor: 0, syncs: turn }).does(Step::publish("a.b", 5)).does(Step::Sync);
        }
        actors.push(a);
    }
    Case { plan, actors }
}

/// Subscribes and withdraws `rounds` times, one after the other or overlapping.
fn comes_and_goes(rng: &mut Rng, mut a: Actor, rounds: u64, what: impl Fn(&mut Rng) -> Step) -> Actor {
    let mut open = Vec::new();
    for round in 0..rounds {
        a = a.does(what(rng));
        open.push(round as usize);
        if rng.one_in(2) {
            a = a.does(Step::Sync);
        }
        while !open.is_empty() && !rng.one_in(3) {
            let n = open.swap_remove(rng.below(open.len() as u64) as usize);
            a = a.does(Step::Unsub(n));
            if rng.one_in(3) {
                a = a.does(Step::Sync);
            }
        }
    }
    a
}

/// 11: SUB on one shard races UNSUB or an end of the connection on another, for the same subject.
pub fn interest_races(rng: &mut Rng) -> Case {
    let plan = plan(rng, 2);
    let mut actors = Vec::new();
    for i in 0..within(rng, 2, 8) as usize {
        let (c, rounds) = (client(rng, i), within(rng, 1, 8));
        let mut a = comes_and_goes(rng, c, rounds, |rng| Step::sub(pick(rng, &["a.b", "a.*"])));
        match rng.below(5) {
            0 => a = a.does(Step::Quit(End::Fin)),
            1 => a = a.does(Step::Quit(End::Rst)),
            2 => a = a.does(Step::Quit(End::Cut)),
            _ => {}
        }
        actors.push(a);
    }
    for i in 0..within(rng, 1, 4) as usize {
        let (a, n) = (client(rng, i), within(rng, 1, 20));
        actors.push(a.does_all(publishes(rng, n, &["a.b", "a.c"])).does(Step::Sync));
    }
    Case { plan, actors }
}

/// 12: members of queue groups come and go, so that a group's size on a shard goes 0, 1, 2 and back.
pub fn group_races(rng: &mut Rng) -> Case {
    let plan = plan(rng, 2);
    let mut actors = Vec::new();
    // Members that stay: with one of them a message must always arrive.
    let staying = rng.below(3) as usize;
    for i in 0..staying {
        let shard = rng.below(8) as usize;
        let mut a = client(rng, shard);
        a.echo = true;
        actors.push(a.does(Step::queue("a.b", if i == 2 { "r" } else { "q" })).does(Step::Sync));
    }
    for i in 0..within(rng, 1, 6) as usize {
        let (c, rounds) = (client(rng, i), within(rng, 1, 8));
        actors.push(comes_and_goes(rng, c, rounds, |rng| {
            Step::queue(pick(rng, &["a.b", "a.*"]), pick(rng, &["q", "r"]))
        }));
    }
    for i in 0..within(rng, 1, 5) as usize {
        let mut a = client(rng, i);
        for s in 0..staying {
            a = a.does(Step::Await { actor: s, syncs: 1 });
        }
        let n = within(rng, 1, 25);
        actors.push(a.does_all(publishes(rng, n, &["a.b"])).does(Step::Sync));
    }
    Case { plan, actors }
}

/// 14: a client comes back on another shard while its old socket is half-open, reset or finished.
pub fn reconnects(rng: &mut Rng) -> Case {
    let plan = plan(rng, 2);
    let mut actors = Vec::new();
    for i in 0..within(rng, 1, 4) as usize {
        let mut a = client(rng, i);
        for _ in 0..within(rng, 1, 3) {
            a = a.does(Step::sub("a.*")).does(Step::queue("a.b", "q")).does(Step::Sync);
            let end = [End::Cut, End::Rst, End::Fin][rng.below(3) as usize];
            a = a.does(Step::Reconnect { end, shard: rng.below(plan.shards as u64) as usize });
        }
        actors.push(a.does(Step::sub("a.*")).does(Step::Sync));
    }
    for i in 0..within(rng, 1, 4) as usize {
        let (a, n) = (client(rng, i), within(rng, 5, 30));
        actors.push(a.does_all(publishes(rng, n, &["a.b", "a.c"])).does(Step::Sync));
    }
    Case { plan, actors }
}

/// 15: `UNSUB sid max` while publishers on all shards send.
pub fn maxima(rng: &mut Rng) -> Case {
    let plan = plan(rng, 2);
    let mut actors = Vec::new();
    let subscribers = within(rng, 1, 4) as usize;
    for i in 0..subscribers {
        let mut a = client(rng, i);
        for _ in 0..within(rng, 1, 3) {
            let queue = rng.one_in(4).then(|| "q".to_string());
            let pattern = pick(rng, &["a.b", "a.*", "a.>"]).into();
            a = a.does(Step::Sub { pattern, queue, max: Some(within(rng, 1, 6)) });
        }
        if rng.one_in(3) {
            a = a.does(Step::sub("a.b"));
        }
        actors.push(a.does(Step::Sync));
    }
    for i in 0..plan.shards {
        let mut a = client(rng, i);
        if !rng.one_in(4) {
            a = a.does_all((0..subscribers).map(|actor| Step::Await { actor, syncs: 1 }));
        }
        let n = within(rng, 1, 8);
        actors.push(a.does_all(publishes(rng, n, &["a.b"])).does(Step::Sync));
    }
    Case { plan, actors }
}

/// 17: a message with many receivers on one shard while others publish.
pub fn fanout(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 2);
    plan.exact = true;
    let large = rng.one_in(10);
    let (crowd, each) = if large { (20, 500) } else { (within(rng, 2, 8) as usize, within(rng, 20, 60)) };
    let mut actors = Vec::new();
    for _ in 0..crowd {
        let mut a = client(rng, 0);
        a.verbose = false;
        a = a.does_all((0..each).map(|_| Step::sub("a.b"))).does(Step::Sync);
        actors.push(a);
    }
    actors.push(Actor::on(0).does(Step::sub("d")).does(Step::Sync));
    for i in 0..3 {
        let mut a = client(rng, i);
        a = a.does_all((0..=crowd).map(|actor| Step::Await { actor, syncs: 1 }));
        let (n, subjects) = (within(rng, 3, 8), ["a.b", "d", "d"]);
        actors.push(a.does_all(publishes(rng, n, &subjects)).does(Step::Sync));
    }
    Case { plan, actors }
}

/// 18: every ring holds one batch, shards are slow, everybody talks to everybody.
pub fn tight_rings(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 3);
    plan.ring = 1;
    for lazy in &mut plan.lazy {
        *lazy = within(rng, 1, 20);
    }
    let mut actors = Vec::new();
    for i in 0..plan.shards {
        let mut a = client(rng, i);
        let (before, after) = (within(rng, 1, 10), within(rng, 1, 10));
        a = a.does(Step::sub(pick(rng, PATTERNS))).does_all(publishes(rng, before, SUBJECTS));
        a = a.does(Step::Sync).does_all(publishes(rng, after, SUBJECTS)).does(Step::Unsub(0)).does(Step::Sync);
        actors.push(a);
    }
    Case { plan, actors }
}

/// 19: the order to drain comes into the middle of traffic, with rings full and writes under way.
pub fn drains(rng: &mut Rng) -> Case {
    let mut case = if rng.one_in(2) { tight_rings(rng) } else { crossing(rng) };
    case.plan.exact = false;
    case.plan.drain_after = Some(within(rng, 10, 900));
    if rng.one_in(3) {
        let stuck = Actor::on(rng.below(8) as usize).does(Step::sub(">")).does(Step::Sync).does(Step::Stall);
        case.actors.push(Actor { window: 100, ..stuck });
    }
    case
}

/// The 503: requests while responders come and go.
pub fn nobody(rng: &mut Rng) -> Case {
    let plan = plan(rng, 1);
    let mut actors = Vec::new();
    for i in 0..within(rng, 0, 3) as usize {
        let (mut c, rounds) = (client(rng, i), within(rng, 1, 5));
        c.responds = true;
        actors.push(comes_and_goes(rng, c, rounds, |rng| match rng.below(2) {
            0 => Step::queue("a.b", "q"),
            _ => Step::sub(pick(rng, &["a.b", "a.*"])),
        }));
    }
    for i in 0..within(rng, 1, 5) as usize {
        let mut a = client(rng, i);
        a.headers = !rng.one_in(6);
        for _ in 0..within(rng, 1, 12) {
            a = a.does(Step::Request(pick(rng, &["a.b", "a.c"]).into()));
            if rng.one_in(3) {
                a = a.does(Step::Sync);
            }
        }
        actors.push(a.does(Step::Sync));
    }
    Case { plan, actors }
}

/// The server pings the idle once an interval of 20 s and those who speak once in all, however often they said CONNECT.
pub fn pings(rng: &mut Rng) -> Case {
    let plan = plan(rng, 1);
    let intervals = within(rng, 1, 6);
    let mut actors = Vec::new();
    for i in 0..within(rng, 1, 6) {
        let mut a = client(rng, i as usize);
        a = if rng.one_in(3) { a.does(Step::Again) } else { a }.does(Step::Sync);
        if rng.one_in(3) {
            a.pings = Some(1);
            for _ in 0..2 * intervals + 1 {
                a = a.does(Step::publish("a.b", 1)).does(Step::Sleep(10_000));
            }
        } else {
            // The first comes 2 to 2.4 s after CONNECT.
            a.pings = Some(1 + intervals);
            a = a.does(Step::Sleep(intervals * 20_000 + 10_000));
        }
        actors.push(a.does(Step::Ping));
    }
    Case { plan, actors }
}

/// 1 (in company): hostile clients beside decent ones; only they suffer.
pub fn hostile(rng: &mut Rng) -> Case {
    let mut case = crossing(rng);
    case.plan.exact = false;
    case.plan.max_payload = 2048;
    for _ in 0..within(rng, 1, 6) {
        let mut a = client(rng, rng.clone().below(8) as usize);
        a.hostile = true;
        if rng.one_in(4) {
            a.reads = Reads::Never;
            a.window = 300;
        }
        for _ in 0..within(rng, 1, 4) {
            a = a.does(Step::Say(garbage(rng)));
        }
        case.actors.push(a);
    }
    case.plan.strict_headers = rng.one_in(2);
    if case.plan.strict_headers {
        // Nobody may ever hear it.
        let a = Actor { hostile: true, headers: true, ..client(rng, 0) };
        case.actors.push(a.does(Step::Say(b"HPUB a.b 5 7\r\nxxxxxhi\r\n".to_vec())));
    }
    case
}

/// Accounts share nothing, whatever the shards; some users' passwords are checked elsewhere while their next
/// words wait.
pub fn accounts(rng: &mut Rng) -> Case {
    let case = match rng.below(4) {
        0 => crossing(rng),
        1 => group_races(rng),
        2 => nobody(rng),
        _ => swarm(rng),
    };
    divided(rng, case)
}

/// Many messages to queue groups whose members stay: all members are equally likely.
pub fn spread(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.even = true;
    plan.exact = true;
    let members = within(rng, 2, 5) as usize;
    let mut actors = Vec::new();
    for _ in 0..members {
        let a = Actor::on(rng.below(8) as usize);
        actors.push(a.does(Step::queue("a.b", "q")).does(Step::Sync));
    }
    for i in 0..within(rng, 1, 4) as usize {
        let a = Actor::on(i).does_all((0..members).map(|actor| Step::Await { actor, syncs: 1 }));
        actors.push(a.does_all((0..120).map(|_| Step::publish("a.b", 0))).does(Step::Sync));
    }
    Case { plan, actors }
}

/// Large payloads, many at once, through rings of every size.
pub fn bulk(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.max_payload = 40 << 10;
    plan.read_max = if rng.one_in(2) { 1 << 20 } else { 10_000 };
    plan.ring = within(rng, 1, 3) as usize;
    plan.max_pending = 4 << 20;
    let readers = within(rng, 1, 3) as usize;
    let mut actors = Vec::new();
    for i in 0..readers {
        actors.push(client(rng, i).does(Step::sub("a.b")).does(Step::Sync));
    }
    for i in 0..within(rng, 1, 4) as usize {
        let mut a = Actor { talk: 1 << 20, window: 1 << 20, ..Actor::on(i) };
        a = a.does_all((0..readers).map(|actor| Step::Await { actor, syncs: 1 }));
        for _ in 0..within(rng, 1, 12) {
            let most = if rng.one_in(3) { 40_000 } else { 3000 };
            a = a.does(Step::publish("a.b", rng.below(most) as usize));
        }
        actors.push(a.does(Step::Sync));
    }
    Case { plan, actors }
}

/// Everything at once.
pub fn swarm(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.cuts = rng.one_in(3);
    if plan.cuts {
        plan.max_payload = 700;
        plan.max_pending = within(rng, 3, 40) as usize * 1024;
    }
    let shards = plan.shards as u64;
    let mut actors = Vec::new();
    for _ in 0..within(rng, 2, 14) {
        let shard = rng.below(shards) as usize;
        let mut a = client(rng, shard);
        a.responds = rng.one_in(5);
        if plan.cuts && rng.one_in(4) {
            a.reads = Reads::Slow { most: within(rng, 1, 200) as usize, one_in: within(rng, 1, 20) };
        }
        let mut subs = 0;
        for _ in 0..within(rng, 1, 30) {
            let step = match rng.below(20) {
                0..=2 => Step::sub(pick(rng, PATTERNS)),
                3..=4 => Step::queue(pick(rng, PATTERNS), pick(rng, &["q", "r"])),
                5 => Step::Sub { pattern: pick(rng, PATTERNS).into(), queue: None, max: Some(within(rng, 1, 9)) },
                6..=8 if subs > 0 => Step::Unsub(rng.below(subs) as usize),
                9..=10 => Step::Sync,
                11 => Step::Ping,
                12 => Step::Request(pick(rng, SUBJECTS).into()),
                13 if rng.one_in(3) => Step::Reconnect {
                    end: [End::Cut, End::Rst][rng.below(2) as usize],
                    shard: rng.below(shards) as usize,
                },
                13 if rng.one_in(2) => Step::Again,
                14 if rng.one_in(4) => Step::Sleep(rng.below(3000)),
                15 if rng.one_in(3) => {
                    // Silence far below the write deadline, even several times in a row.
                    a = a.does(Step::Stall).does(Step::Sleep(rng.below(200)));
                    Step::Heal
                }
                _ => Step::publish(pick(rng, SUBJECTS), rng.below(500) as usize),
            };
            subs = match step {
                Step::Sub { .. } => subs + 1,
                Step::Reconnect { .. } => 0,
                _ => subs,
            };
            a = a.does(step);
        }
        match rng.below(8) {
            0 => a = a.does(Step::Quit(End::Fin)),
            1 => a = a.does(Step::Quit(End::Rst)),
            2 => a = a.does(Step::Quit(End::Cut)),
            _ => {}
        }
        actors.push(a);
    }
    if rng.one_in(3) {
        let a = Actor { hostile: true, ..client(rng, 1) };
        actors.push(a.does(Step::Say(garbage(rng))));
    }
    Case { plan, actors }
}
