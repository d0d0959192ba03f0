//! The scenarios of clusters. Numbers are those of scenarios.md §5.2.

use super::super::case::{Actor, Case, End, Step};
use super::super::scenarios::{client, pick, plan, publishes, within, PATTERNS, SUBJECTS};
use super::plan::{Cluster, Fault};
use turnpike::base::Rng;

/// A case with so many servers, all of which dial the first.
pub fn cluster(rng: &mut Rng, servers: u64) -> Case {
    let shards: Vec<usize> = (0..servers).map(|_| within(rng, 1, 4) as usize).collect();
    let mut plan = plan(rng, 1);
    plan.shards = shards.iter().sum();
    plan.lazy = (0..plan.shards).map(|_| if rng.one_in(4) { within(rng, 2, 20) } else { 1 }).collect();
    plan.events_max = 2_000_000;
    plan.cluster = Some(Cluster::star(&shards));
    Case { plan, actors: Vec::new() }
}

/// The number of a shard of a server, any.
pub fn at(rng: &mut Rng, case: &Case, server: usize) -> usize {
    let members = &case.plan.cluster.as_ref().expect("a cluster").members;
    let first: usize = members[..server].iter().map(|m| m.shards).sum();
    first + rng.below(members[server].shards as u64) as usize
}

/// 20: publishers and subscribers on every server, nothing goes wrong.
pub fn routed(rng: &mut Rng) -> Case {
    let servers = within(rng, 2, 4);
    let mut case = cluster(rng, servers);
    let subscribers = within(rng, 1, 6) as usize;
    for i in 0..subscribers {
        let shard = at(rng, &case, i % servers as usize);
        let mut a = client(rng, shard);
        a.responds = rng.one_in(3);
        for _ in 0..within(rng, 1, 4) {
            a = a.does(match rng.below(3) {
                0 => Step::queue(pick(rng, PATTERNS), pick(rng, &["q", "r"])),
                _ => Step::sub(pick(rng, PATTERNS)),
            });
        }
        case.actors.push(a.does(Step::Sync));
    }
    for i in 0..within(rng, 1, 2 * servers) as usize {
        let shard = at(rng, &case, i % servers as usize);
        let mut a: Actor = client(rng, shard);
        if !rng.one_in(4) {
            a = a.does(Step::Meshed).does_all((0..subscribers).map(|actor| Step::Await { actor, syncs: 1 }));
            a = if rng.one_in(2) { a.does(Step::Sleep(1000)) } else { a };
        }
        let n = within(rng, 1, 20);
        a = a.does_all(publishes(rng, n, SUBJECTS));
        for _ in 0..rng.below(6) {
            a = a.does(Step::Request(pick(rng, SUBJECTS).into()));
        }
        case.actors.push(a.does(Step::Sync));
    }
    case
}

/// The cluster of a case.
pub fn servers(case: &mut Case) -> &mut Cluster {
    case.plan.cluster.as_mut().expect("a cluster")
}

/// One of these numbers.
pub fn one(rng: &mut Rng, of: std::ops::Range<u64>) -> usize {
    within(rng, of.start, of.end - 1) as usize
}

/// Clients on every server who subscribe, publish, ask and answer for some seconds, with pauses in which all comes to
/// rest.
pub fn load(rng: &mut Rng, case: &mut Case, rounds: u64) {
    let n = servers(case).members.len();
    for server in 0..n {
        for _ in 0..within(rng, 1, 2) {
            let shard = at(rng, case, server);
            let mut a = client(rng, shard);
            (a.window, a.responds) = (1 << 16, rng.one_in(3));
            let mut subs = 0;
            for _ in 0..within(rng, 1, 3) {
                a = a.does(match rng.below(3) {
                    0 => Step::queue(pick(rng, &["a.b", "a.*"]), "q"),
                    _ => Step::sub(pick(rng, PATTERNS)),
                });
                subs += 1;
            }
            a = a.does(Step::Sync);
            for _ in 0..rounds {
                a = a.does(Step::Sleep(within(rng, 10, 1500)));
                a = a.does(match rng.below(8) {
                    0 => Step::Unsub(rng.below(subs) as usize),
                    1 => {
                        subs += 1;
                        Step::sub(pick(rng, PATTERNS))
                    }
                    2 => Step::Sync,
                    3 => Step::Request(pick(rng, SUBJECTS).into()),
                    _ => Step::publish(pick(rng, SUBJECTS), rng.below(60) as usize),
                });
            }
            case.actors.push(a.does(Step::Sync));
        }
    }
}

/// Somebody on a server that nothing happens to, who makes things happen to the others.
pub fn director(rng: &mut Rng, case: &Case, steps: impl IntoIterator<Item = Step>) -> Actor {
    let shard = at(rng, case, 0);
    Actor::on(shard).does(Step::Meshed).does_all(steps)
}

/// The login of a cluster changes on one server after the other, and what may cross its routes on some, while messages flow.
pub fn routed_reloads(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    let old = rng.one_in(2).then(|| ("u".to_string(), "old".to_string()));
    servers(&mut case).members.iter_mut().for_each(|m| m.login.clone_from(&old));
    load(rng, &mut case, 10);
    let (first, mut steps) = (rng.below(n) as usize, Vec::new());
    for at in (0..n as usize).map(|i| (first + i) % n as usize) {
        steps.push(Step::Sleep(within(rng, 1, 2500)));
        steps.push(Step::Fault(Fault::Login(at)));
        if rng.one_in(2) {
            steps.push(Step::Sleep(within(rng, 1, 50)));
            steps.push(Step::Fault(Fault::Rules(one(rng, 0..n))));
        }
    }
    steps.extend([Step::Meshed, Step::Sync]);
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 16: `UNSUB sid max` on one server while publishers on all of them send.
pub fn routed_maxima(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 3);
    let subscribers = within(rng, 1, 3) as usize;
    for i in 0..subscribers {
        let shard = at(rng, &case, i);
        let mut a = client(rng, shard);
        for _ in 0..within(rng, 1, 3) {
            let queue = rng.one_in(3).then(|| "q".to_string());
            let pattern = pick(rng, &["a.b", "a.*"]).into();
            a = a.does(Step::Sub { pattern, queue, max: Some(within(rng, 1, 6)) });
        }
        case.actors.push(a.does(Step::Sync));
    }
    for server in 0..3 {
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        a = a.does_all((0..subscribers).map(|actor| Step::Await { actor, syncs: 1 }));
        a = if rng.one_in(3) { a } else { a.does(Step::Sleep(1000)) };
        let n = within(rng, 1, 8);
        case.actors.push(a.does_all(publishes(rng, n, &["a.b"])).does(Step::Sync));
    }
    case
}

/// A subscription moves from one client to another on another shard, and back: publishers elsewhere must not see a gap.
pub fn hand_overs(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 2);
    let shards = within(rng, 2, 4) as usize;
    case.plan.shards = shards + 1;
    case.plan.lazy = (0..=shards).map(|_| if rng.one_in(3) { within(rng, 2, 20) } else { 1 }).collect();
    case.plan.cluster = Some(Cluster::star(&[shards, 1]));
    let rounds = within(rng, 2, 10);
    for me in 0..2 {
        // The one lets go when the other has heard that it is there.
        let mut a = Actor::on(me * (shards - 1)).does(Step::Meshed).does(Step::sub("a.b")).does(Step::Sync);
        a = a.does(Step::Sleep(1000));
        for round in 0..rounds {
            a = a.does(Step::Await { actor: 1 - me, syncs: round + 1 + me as u64 });
            a = a.does(Step::Unsub(round as usize)).does(Step::Sleep(1000)).does(Step::sub("a.b")).does(Step::Sync);
        }
        case.actors.push(a.does(Step::Sync));
    }
    for _ in 0..within(rng, 1, 3) {
        let mut a = Actor::on(shards);
        for round in 0..rounds {
            for who in 0..2 {
                a = a.does(Step::Await { actor: who, syncs: round + 2 });
                a = a.does_all((0..within(rng, 5, 20)).map(|_| Step::publish("a.b", 3)));
            }
        }
        case.actors.push(a.does(Step::Sync));
    }
    case
}

/// 22: both sides dial at once.
pub fn both_dial(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    let cluster = servers(&mut case);
    for (at, member) in cluster.members.iter_mut().enumerate() {
        // Now and then a server has itself in its list too.
        member.routes = (0..n as usize).filter(|to| *to != at || rng.one_in(3)).collect();
        member.id = Some(format!("N{:03}", rng.below(1000)) + &at.to_string());
    }
    cluster.dials = Some(2);
    load(rng, &mut case, 3);
    case
}

/// 23, 48: servers die, loudly or in silence, and come back under new ids, while others still hold their old routes.
pub fn restarts(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    load(rng, &mut case, 8);
    let mut steps = Vec::new();
    for _ in 0..within(rng, 1, 3) {
        let victim = one(rng, 1..n);
        steps.extend([Step::Sleep(within(rng, 1, 4000)), Step::Fault(Fault::Kill(victim, rng.one_in(2)))]);
        steps.extend([Step::Sleep(within(rng, 1, 9000)), Step::Fault(Fault::Start(victim))]);
    }
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 26: a server joins while interest changes.
pub fn joins(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    let newcomer = n as usize - 1;
    servers(&mut case).members[newcomer].late = true;
    for server in 0..newcomer {
        let shard = at(rng, &case, server);
        let mut a = Actor { talk: 4096, ..Actor::on(shard) };
        for i in 0..within(rng, 20, 120) {
            a = a.does(Step::sub(&format!("s.{}", rng.below(60))));
            a = if rng.one_in(3) { a.does(Step::Unsub(rng.below(i + 1) as usize)) } else { a };
        }
        case.actors.push(a.does(Step::Sync));
    }
    load(rng, &mut case, 3);
    let shard = at(rng, &case, 0);
    let wait = rng.below(3);
    let boss = Actor::on(shard).does(Step::Sleep(wait)).does(Step::Fault(Fault::Start(newcomer)));
    let probe = boss.does(Step::Sleep(2000)).does_all((0..20).map(|i| Step::publish(&format!("s.{i}"), 2)));
    case.actors.push(probe.does(Step::Sync));
    case
}

/// 27, 34: a server under another's name or id, of another cluster, or with a wrong password is refused, and harms nobody.
pub fn strangers(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 4);
    let kind = rng.below(4);
    let cluster = servers(&mut case);
    let all = vec![(0, 3), (1, 3), (2, 3)];
    let stranger = &mut cluster.members[3];
    match kind {
        0 => {
            stranger.name = Some("n1".into());
            cluster.strangers = vec![(1, 3)];
        }
        1 => {
            // It comes later: of two with one id the first is believed.
            (stranger.id, stranger.late) = (Some("TWIN".into()), true);
            cluster.members[1].id = Some("TWIN".into());
            cluster.strangers = all;
        }
        2 => {
            stranger.cluster = Some("c2".into());
            cluster.strangers = all;
        }
        _ => {
            for (at, member) in cluster.members.iter_mut().enumerate() {
                let password = if at == 3 { "secret-wrong" } else { "secret-right" };
                member.login = Some(("route".into(), password.into()));
            }
            cluster.strangers = all;
        }
    }
    load(rng, &mut case, 6);
    let shard = at(rng, &case, 0);
    let boss = Actor::on(shard).does(Step::Sleep(3000)).does(Step::Fault(Fault::Start(3))).does(Step::Sleep(20_000));
    case.actors.push(boss);
    case
}

/// 28: A and C do not reach each other, B reaches both: no message goes round by B, and A and C say what is missing.
pub fn partial(rng: &mut Rng) -> Case {
    let n = within(rng, 3, 4);
    let mut case = cluster(rng, n);
    servers(&mut case).named = Some((1, 2));
    load(rng, &mut case, 14);
    let steps = [Step::Sleep(1500), Step::Fault(Fault::Cut(1, 2)), Step::Sleep(12_000), Step::Fault(Fault::Heal(1, 2))];
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 29: one direction between two servers is dead.
pub fn one_way(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    load(rng, &mut case, 10);
    let to = one(rng, 1..n);
    let (a, b) = if rng.one_in(2) { (0, to) } else { (to, 0) };
    let rest = within(rng, 500, 20_000);
    let steps = [
        Step::Sleep(rng.below(2000)),
        Step::Fault(Fault::Block(a, b)),
        Step::Sleep(rest),
        Step::Fault(Fault::Heal(a, b)),
    ];
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 30: all routes of five servers are blocked and healed in turns, by chance.
pub fn swizzle(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 5);
    load(rng, &mut case, 12);
    let mut steps = Vec::new();
    for _ in 0..within(rng, 4, 16) {
        let (a, b) = (one(rng, 0..5), one(rng, 0..5));
        if a != b {
            steps.push(Step::Fault(match rng.below(5) {
                0 => Fault::Block(a, b),
                1 | 2 => Fault::Cut(a, b),
                _ => Fault::Heal(a, b),
            }));
        }
        steps.push(Step::Sleep(within(rng, 1, 4000)));
    }
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 31: the server of a group's only member, or of one of several, dies for good; after that requests go elsewhere or are
/// refused.
pub fn lost_member(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 3);
    servers(&mut case).lost = vec![2];
    let others = rng.below(2) as usize;
    for server in (2 - others)..3 {
        let shard = at(rng, &case, server);
        case.actors.push(Actor { responds: true, ..Actor::on(shard) }.does(Step::queue("a.b", "q")).does(Step::Sync));
    }
    for server in 0..2 {
        let shard = at(rng, &case, server);
        let mut a = Actor::on(shard).does(Step::Meshed);
        for _ in 0..12 {
            a = a.does(Step::Request("a.b".into())).does(Step::Sleep(1000)).does(Step::Sync);
        }
        case.actors.push(a);
    }
    let kill = Fault::Kill(2, rng.one_in(2));
    let director = director(rng, &case, [Step::Sleep(2500), Step::Fault(kill)]);
    case.actors.push(director);
    case
}

/// 32: a server stands still for half a second to two minutes.
pub fn pauses(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    load(rng, &mut case, 12);
    let victim = one(rng, 1..n);
    let ms = if rng.one_in(4) { within(rng, 500, 120_000) } else { within(rng, 500, 9000) };
    let steps = [Fault::Pause(victim), Fault::Resume(victim)].map(Step::Fault);
    let [pause, resume] = steps;
    let director = director(rng, &case, [Step::Sleep(1000), pause, Step::Sleep(ms), resume]);
    case.actors.push(director);
    case
}

/// 33, smaller: twelve servers learn of each other at once. Fifty meshes without shards: `src/mesh/tests`.
pub fn dozen(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 2);
    case.plan.shards = 12;
    case.plan.lazy = vec![1; 12];
    let mut cluster = Cluster::star(&[1; 12]);
    cluster.dials = Some(2);
    case.plan.cluster = Some(cluster);
    case.actors.push(Actor::on(7).does(Step::sub("a.b")).does(Step::Meshed));
    case.actors.push(Actor::on(11).does(Step::Meshed).does(Step::publish("a.b", 3)).does(Step::Sync));
    case
}

/// 56: a route takes nothing in for a while, under bulk: its feeders slow down, nothing is lost, others are served.
pub fn stuck_route(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 3);
    (case.plan.max_payload, case.plan.read_max) = (1100, 1 << 16);
    case.plan.max_pending = case.plan.shards * (128 << 10);
    case.plan.ring = case.plan.ring.min(8);
    servers(&mut case).window = 16 << 10;
    for (server, pattern) in [(1, "a.b"), (2, "b.c"), (0, "d")] {
        let shard = at(rng, &case, server);
        case.actors.push(Actor::on(shard).does(Step::sub(pattern)).does(Step::Sync));
    }
    for subject in ["a.b", "b.c", "d"] {
        let shard = at(rng, &case, 0);
        let mut a = Actor::on(shard).does(Step::Meshed).does_all((0..3).map(|actor| Step::Await { actor, syncs: 1 }));
        a = a.does(Step::Sleep(1000));
        let n = if subject == "a.b" { 1500 } else { 50 };
        case.actors.push(a.does_all((0..n).map(|_| Step::publish(subject, 1000))).does(Step::Sync));
    }
    let steps = [Step::Sleep(900), Step::Fault(Fault::Stall(0, 1)), Step::Sleep(3500), Step::Fault(Fault::Flow(0, 1))];
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 66: very many queue groups on one subject, over a route.
pub fn many_groups(rng: &mut Rng) -> Case {
    let mut case = cluster(rng, 2);
    let groups = if rng.one_in(8) { 4000 } else { within(rng, 100, 800) };
    groups_of_one_subject(rng, &mut case, groups, 1);
    case
}

/// So many groups on a server, and messages for them from the first server.
pub fn groups_of_one_subject(rng: &mut Rng, case: &mut Case, groups: u64, server: usize) {
    // The names of all groups cross between shards with one message.
    case.plan.max_payload = 1 << 18;
    case.plan.max_pending = 1 << 24;
    case.plan.read_max = 1 << 16;
    case.plan.lazy.fill(1);
    let shard = at(rng, case, server);
    let mut a = Actor { talk: 1 << 16, ..Actor::on(shard) };
    a = a.does_all((0..groups).map(|i| Step::queue("a.b", &format!("a-group-with-a-long-name-{i:04}"))));
    case.actors.push(a.does(Step::Sync));
    let shard = at(rng, case, 0);
    let a = Actor::on(shard).does(Step::Meshed).does(Step::Await { actor: 0, syncs: 1 }).does(Step::Sleep(2000));
    case.actors.push(a.does_all((0..3).map(|_| Step::publish("a.b", 5))).does(Step::Sync));
}

/// 58: a server is to go, while others are cut off from each other or from it, or nothing else happens: its clients are
/// told, sent away, and go on elsewhere; its routes stay to the end.
pub fn lame_duck(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let mut case = cluster(rng, n);
    let duck = one(rng, 1..n);
    servers(&mut case).lost = vec![duck];
    load(rng, &mut case, 8);
    let leave = Step::Fault(Fault::LameDuck(duck));
    let (a, b) = (one(rng, 0..n), one(rng, 0..n));
    let mut steps = vec![Step::Sleep(within(rng, 500, 4000))];
    if a != b && rng.one_in(2) {
        let cut = if rng.one_in(2) { Fault::Cut(a, b) } else { Fault::Block(a, b) };
        let (before, lasts) = (within(rng, 1, 3000), within(rng, 1, 9000));
        steps.extend([
            Step::Fault(cut),
            Step::Sleep(before),
            leave,
            Step::Sleep(lasts),
            Step::Fault(Fault::Heal(a, b)),
        ]);
    } else {
        steps.push(leave);
    }
    // Somebody who comes too late.
    steps.push(Step::Sleep(within(rng, 1, 4000)));
    let boss = director(rng, &case, steps).does(Step::Sync);
    let shard = at(rng, &case, duck);
    let late = Actor::on(shard).does(Step::Await { actor: case.actors.len(), syncs: 1 }).does(Step::sub("a.b"));
    case.actors.extend([boss, late.does(Step::Sync)]);
    case
}

/// Everything that can happen to a cluster at once.
pub fn storm(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 5);
    let mut case = cluster(rng, n);
    load(rng, &mut case, 14);
    for a in &mut case.actors {
        match rng.below(10) {
            0 => a.steps.push(Step::Quit(End::Rst)),
            1 => a.steps.push(Step::Quit(End::Fin)),
            _ => {}
        }
    }
    let mut steps = Vec::new();
    for _ in 0..within(rng, 3, 14) {
        let (a, b) = (one(rng, 0..n), one(rng, 1..n));
        steps.push(Step::Fault(match rng.below(9) {
            0 => Fault::Kill(b, rng.one_in(2)),
            1 | 2 => Fault::Start(b),
            3 => Fault::Pause(b),
            4 | 5 => Fault::Resume(b),
            6 if a != b => Fault::Cut(a, b),
            7 if a != b => Fault::Block(a, b),
            _ if a != b => Fault::Heal(a, b),
            _ => Fault::Resume(b),
        }));
        steps.push(Step::Sleep(within(rng, 1, 5000)));
    }
    steps.extend((1..n as usize).map(|at| Step::Fault(Fault::Resume(at))));
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}
