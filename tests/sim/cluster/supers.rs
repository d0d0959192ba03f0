//! The scenarios of several clusters joined by gateways. Numbers are those of scenarios.md §5.2.

use super::super::case::{Actor, Case, End, Step};
use super::super::scenarios::{client, pick, plan, publishes, within, PATTERNS, SUBJECTS};
use super::plan::{Cluster, Fault, Gate, Member};
use super::scenarios::{at, director, groups_of_one_subject, load, one, servers};
use turnpike::base::{Rng, MILLISECOND};
use turnpike::policy::GatewayInterest;

/// How the clusters of a super-cluster find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Everybody has one server of each other cluster in its list.
    All,
    /// Each has one of the cluster before it, the first none.
    Chain,
}

/// A case with clusters of so many servers, of 1 to 4 shards.
pub fn clusters(rng: &mut Rng, sizes: &[usize], lists: Lists) -> Case {
    let firsts: Vec<usize> = (0..sizes.len()).map(|c| sizes[..c].iter().sum()).collect();
    let mut members = Vec::new();
    for (c, size) in sizes.iter().enumerate() {
        for n in 0..*size {
            let others: Vec<usize> = match lists {
                Lists::All => (0..sizes.len()).filter(|o| *o != c).collect(),
                Lists::Chain => (c > 0).then(|| c - 1).into_iter().collect(),
            };
            let listed = |o: usize| (format!("c{o}"), firsts[o]);
            let gate = Gate { lists: others.into_iter().map(listed).collect(), ..Gate::default() };
            members.push(Member {
                shards: if rng.one_in(2) { 1 } else { within(rng, 2, 4) as usize },
                routes: if n == 0 { Vec::new() } else { vec![firsts[c]] },
                cluster: Some(format!("c{c}")),
                gate: Some(gate),
                ..Member::default()
            });
        }
    }
    let mut plan = plan(rng, 1);
    plan.shards = members.iter().map(|m| m.shards).sum();
    plan.lazy = (0..plan.shards).map(|_| if rng.one_in(6) { within(rng, 2, 10) } else { 1 }).collect();
    plan.events_max = 3_000_000;
    plan.cluster = Some(Cluster { members, ..Cluster::star(&[]) });
    Case { plan, actors: Vec::new() }
}

/// Two or three clusters of one to three servers, mostly small.
fn sizes(rng: &mut Rng) -> Vec<usize> {
    let many = if rng.one_in(8) { within(rng, 4, 5) } else { within(rng, 2, 3) };
    let most = if many > 3 { 2 } else { 3 };
    (0..many).map(|_| within(rng, 1, most) as usize).collect()
}

/// A super-cluster of some shape.
fn some(rng: &mut Rng) -> Case {
    let sizes = sizes(rng);
    let lists = if rng.one_in(3) { Lists::Chain } else { Lists::All };
    clusters(rng, &sizes, lists)
}

fn interest(case: &mut Case, how: impl Fn(usize) -> GatewayInterest, refused_max: usize) {
    let numbers = servers(case).numbers();
    for (at, member) in servers(case).members.iter_mut().enumerate() {
        if let Some(gate) = &mut member.gate {
            (gate.interest, gate.refused_max) = (how(numbers[at]), refused_max);
        }
    }
}

/// Subscribers on some servers, publishers and askers on some, who mostly wait until all is joined and told.
fn traffic(rng: &mut Rng, case: &mut Case) {
    let n = servers(case).members.len() as u64;
    let subscribers = within(rng, 1, 6) as usize;
    for _ in 0..subscribers {
        let server = one(rng, 0..n);
        let shard = at(rng, case, server);
        let mut a = client(rng, shard);
        a.responds = rng.one_in(3);
        if rng.one_in(3) {
            a = a.does(Step::Meshed);
        }
        for _ in 0..within(rng, 1, 4) {
            a = a.does(match rng.below(3) {
                0 => Step::queue(pick(rng, PATTERNS), pick(rng, &["q", "r"])),
                _ => Step::sub(pick(rng, PATTERNS)),
            });
        }
        case.actors.push(a.does(Step::Sync));
    }
    for _ in 0..within(rng, 2, 6) {
        let server = one(rng, 0..n);
        let shard = at(rng, case, server);
        let mut a: Actor = client(rng, shard);
        if !rng.one_in(4) {
            a = a.does(Step::Meshed).does_all((0..subscribers).map(|actor| Step::Await { actor, syncs: 1 }));
            a = if rng.one_in(3) { a } else { a.does(Step::Sleep(1000)) };
        }
        let many = within(rng, 1, 20);
        a = a.does_all(publishes(rng, many, SUBJECTS));
        for _ in 0..rng.below(6) {
            a = a.does(Step::Request(pick(rng, SUBJECTS).into()));
        }
        case.actors.push(a.does(Step::Sync));
    }
}

/// 35: interest-only from the start; nothing goes wrong, and nothing crosses that nobody wants.
pub fn super_routed(rng: &mut Rng) -> Case {
    let mut case = some(rng);
    let own_words = rng.one_in(2);
    interest(&mut case, |_| if own_words { GatewayInterest::InterestOnly } else { GatewayInterest::Auto }, 1000);
    traffic(rng, &mut case);
    case
}

/// Publishes to subjects that nobody wants, so that they are refused.
fn to_nobody(rng: &mut Rng, n: u64) -> Vec<Step> {
    (0..n).map(|_| Step::publish(&format!("s.{}", rng.below(40)), 3)).collect()
}

/// 36: some clusters are sent all until they refuse it, a subject or an account, and change over after a few refusals;
/// meanwhile somebody begins to want what was refused.
pub fn super_optimistic(rng: &mut Rng) -> Case {
    let mut case = some(rng);
    let shy = rng.below(2) as usize;
    let most = if rng.one_in(4) { 1000 } else { within(rng, 0, 12) as usize };
    let how = |c: usize| if c % 2 == shy || most > 9 { GatewayInterest::Optimistic } else { GatewayInterest::Auto };
    interest(&mut case, how, most);
    if rng.one_in(3) {
        case.plan.accounts = within(rng, 1, 2) as usize;
    }
    let n = servers(&mut case).members.len() as u64;
    for _ in 0..within(rng, 2, 5) {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let mut a: Actor = client(rng, shard).does(Step::Meshed);
        for _ in 0..within(rng, 1, 5) {
            let many = within(rng, 1, 12);
            a = a.does_all(to_nobody(rng, many)).does_all(publishes(rng, 3, SUBJECTS));
            a = if rng.one_in(3) { a } else { a.does(Step::Sync).does(Step::Sleep(within(rng, 1, 1500))) };
        }
        case.actors.push(a.does(Step::Sync));
    }
    for _ in 0..within(rng, 2, 5) {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let mut a: Actor = client(rng, shard).does(Step::Meshed);
        for sub in 0..within(rng, 1, 6) as usize {
            a = a.does(Step::Sleep(within(rng, 1, 1500)));
            let literal = format!("s.{}", rng.below(40));
            let pattern = if rng.one_in(3) { pick(rng, PATTERNS) } else { pick(rng, &["s.*", ">", literal.as_str()]) };
            a = a.does(if rng.one_in(4) { Step::queue(pattern, "q") } else { Step::sub(pattern) });
            a = if rng.one_in(4) { a.does(Step::Unsub(rng.below(sub as u64 + 1) as usize)) } else { a };
        }
        case.actors.push(a.does(Step::Sync));
    }
    for a in &mut case.actors {
        a.account = rng.below(case.plan.accounts.max(1) as u64) as usize;
    }
    case
}

/// 37: an account that nobody has a subscription in is refused as a whole; then somebody joins a queue group in it, then
/// somebody wants it plain, or the other way round, and they leave.
pub fn super_refused_account(rng: &mut Rng) -> Case {
    let sizes = [1, within(rng, 1, 3) as usize];
    let mut case = clusters(rng, &sizes, Lists::All);
    interest(&mut case, |_| GatewayInterest::Optimistic, if rng.one_in(3) { 0 } else { 1000 });
    case.plan.accounts = within(rng, 1, 2) as usize;
    let rounds = within(rng, 2, 6);
    let shard = at(rng, &case, 0);
    let mut a = Actor::on(shard).does(Step::Meshed);
    for round in 0..rounds {
        a = a.does(Step::Sleep(500)).does_all((0..3).map(|_| Step::publish("a.b", 3))).does(Step::Sync);
        a = a.does(Step::Await { actor: 1, syncs: round + 1 });
    }
    case.actors.push(a.does(Step::Sleep(500)).does(Step::publish("a.b", 3)).does(Step::Sync));
    let (server, mut subs) = (one(rng, 1..1 + sizes[1] as u64), 0);
    let shard = at(rng, &case, server);
    let mut a = Actor::on(shard);
    for round in 0..rounds {
        a = a.does(Step::Await { actor: 0, syncs: round + 1 }).does(Step::Sleep(within(rng, 1, 300)));
        a = a.does(match rng.below(4) {
            0 if subs > 0 => Step::Unsub(rng.below(subs) as usize),
            1 => Step::sub(pick(rng, &["a.b", "a.*"])),
            _ => Step::queue(pick(rng, &["a.b", "a.*"]), "q"),
        });
        subs += 1;
        a = a.does(Step::Sync);
    }
    case.actors.push(a);
    case
}

/// 38: a group's members on all servers of a cluster leave and come again while the routes between them break.
pub fn super_group_count(rng: &mut Rng) -> Case {
    let sizes = [1, within(rng, 2, 3) as usize];
    let mut case = clusters(rng, &sizes, Lists::All);
    let n = 1 + sizes[1];
    for server in 1..n {
        let shard = at(rng, &case, server);
        let mut a = Actor::on(shard).does(Step::Meshed);
        for round in 0..within(rng, 1, 4) as usize {
            a = a.does(Step::queue("a.b", "q")).does(Step::Sync).does(Step::Sleep(within(rng, 1, 4000)));
            a = a.does(Step::Unsub(round)).does(Step::Sync).does(Step::Sleep(within(rng, 1, 4000)));
        }
        a = if rng.one_in(2) { a.does(Step::queue("a.b", "q")).does(Step::Sync) } else { a };
        case.actors.push(a);
    }
    let shard = at(rng, &case, 0);
    let mut a = Actor::on(shard).does(Step::Meshed);
    for _ in 0..12 {
        a = a.does(Step::Sleep(1000)).does(Step::Request("a.b".into())).does(Step::Sync);
    }
    case.actors.push(a);
    let mut steps = Vec::new();
    for _ in 0..within(rng, 1, 3) {
        let (x, y) = (one(rng, 1..n as u64), one(rng, 1..n as u64));
        let (before, lasts) = (within(rng, 1, 3000), within(rng, 1, 9000));
        if x != y {
            steps.extend([Step::Sleep(before), Step::Fault(Fault::Cut(x, y))]);
            steps.extend([Step::Sleep(lasts), Step::Fault(Fault::Heal(x, y))]);
        }
    }
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 39: one group in three clusters, whose members come and go: each message goes to one of them, of the own cluster if
/// there is one.
pub fn super_groups(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..3).map(|_| within(rng, 1, 2) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    let n: usize = sizes.iter().sum();
    for server in 0..n {
        for _ in 0..within(rng, 1, 2) {
            let shard = at(rng, &case, server);
            let mut a = client(rng, shard).does(Step::Meshed);
            for round in 0..within(rng, 1, 5) as usize {
                a = a.does(Step::queue(pick(rng, &["a.b", "a.*"]), "q")).does(Step::Sync);
                a = a.does(Step::Sleep(within(rng, 1, 3000)));
                a = if rng.one_in(2) { a.does(Step::Unsub(round)).does(Step::Sync) } else { a };
                a = a.does(Step::Sleep(within(rng, 1, 2000)));
            }
            case.actors.push(if rng.one_in(3) { a.does(Step::Quit(End::Rst)) } else { a });
        }
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        for _ in 0..10 {
            a = a.does(Step::Sleep(within(rng, 100, 1500))).does_all((0..3).map(|_| Step::publish("a.b", 3)));
            a = a.does(Step::Request("a.b".into())).does(Step::Sync);
        }
        case.actors.push(a);
    }
    case
}

/// 39: clusters are near and far; who has no member of a group is served by the nearest that has one.
pub fn super_nearest(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..3).map(|_| within(rng, 1, 2) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    let near = rng.below(3) as usize;
    let pairs = [(0, 1), (0, 2), (1, 2)];
    let ms = |at: usize| if at == near { 5 } else { 300 };
    servers(&mut case).distances = (0..3).map(|at| (pairs[at], ms(at) * MILLISECOND)).collect();
    let n: usize = sizes.iter().sum();
    for server in 0..n {
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        for round in 0..within(rng, 0, 3) as usize {
            a = a.does(Step::queue(pick(rng, &["a.b", "a.*"]), "q")).does(Step::Sync);
            a = a.does(Step::Sleep(within(rng, 1, 20_000)));
            a = if rng.one_in(2) { a.does(Step::Unsub(round)).does(Step::Sync) } else { a };
        }
        case.actors.push(a.does(Step::Sync));
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        for _ in 0..10 {
            a = a.does(Step::Sleep(within(rng, 100, 5000))).does(Step::publish("a.b", 3));
            a = a.does(Step::Request("a.b".into())).does(Step::Sync);
        }
        case.actors.push(a);
    }
    case
}

/// 40: the last member of the publisher's cluster leaves in the midst of a burst; another cluster has one.
pub fn super_last_leaves(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..2).map(|_| within(rng, 1, 2) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    let n = (sizes[0] + sizes[1]) as u64;
    let (near, far) = (one(rng, 0..sizes[0] as u64), one(rng, sizes[0] as u64..n));
    let shard = at(rng, &case, far);
    case.actors.push(Actor::on(shard).does(Step::queue("a.b", "q")).does(Step::Sync));
    let shard = at(rng, &case, near);
    let mut a = Actor::on(shard).does(Step::queue("a.b", "q")).does(Step::Sync);
    a = a.does(Step::Await { actor: 2, syncs: within(rng, 1, 4) });
    a = if rng.one_in(3) { a.does(Step::Quit(End::Rst)) } else { a.does(Step::Unsub(0)).does(Step::Sync) };
    case.actors.push(a);
    let server = one(rng, 0..sizes[0] as u64);
    let shard = at(rng, &case, server);
    let mut a = Actor::on(shard).does(Step::Meshed).does(Step::Await { actor: 0, syncs: 1 });
    a = a.does(Step::Await { actor: 1, syncs: 1 }).does(Step::Sleep(500));
    for _ in 0..6 {
        let burst = within(rng, 1, 30);
        a = a.does_all((0..burst).map(|_| Step::publish("a.b", 3))).does(Step::Sync);
    }
    case.actors.push(a.does(Step::Sleep(500)).does_all((0..5).map(|_| Step::publish("a.b", 3))).does(Step::Sync));
    case
}

/// 41, 42: one cluster has plain subscribers and members of groups on several of its servers: one copy crosses, and goes
/// by route from where it came in to each server that wants it.
pub fn super_forward(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, within(rng, 2, 4) as usize];
    let mut case = clusters(rng, &sizes, Lists::Chain);
    let n = (sizes[0] + sizes[1]) as u64;
    let subscribers = within(rng, 1, 5);
    for _ in 0..subscribers {
        let server = one(rng, sizes[0] as u64..n);
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard);
        for _ in 0..within(rng, 1, 3) {
            a = a.does(match rng.below(2) {
                0 => Step::queue(pick(rng, &["a.b", "a.*"]), pick(rng, &["q", "r"])),
                _ => Step::sub(pick(rng, &["a.b", "a.*", ">"])),
            });
        }
        case.actors.push(a.does(Step::Sync));
    }
    for server in 0..sizes[0] {
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        a = a.does_all((0..subscribers as usize).map(|actor| Step::Await { actor, syncs: 1 })).does(Step::Sleep(500));
        let many = within(rng, 1, 30);
        case.actors.push(a.does_all(publishes(rng, many, &["a.b", "a.c"])).does(Step::Sync));
    }
    case
}

/// 43, 44: who asks is new, so that his interest is still on its way when he does; who answers is on any server of
/// another cluster, or of several. Later he asks again, when it has long arrived.
pub fn super_requests(rng: &mut Rng) -> Case {
    let mut case = some(rng);
    let n = servers(&mut case).members.len() as u64;
    let responders = within(rng, 1, 4) as usize;
    for _ in 0..responders {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let sub = if rng.one_in(2) { Step::queue("a.*", "q") } else { Step::sub(pick(rng, &["a.b", "a.*"])) };
        case.actors.push(Actor { responds: true, ..client(rng, shard) }.does(sub).does(Step::Sync));
    }
    for _ in 0..within(rng, 1, 5) {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let mut a = Actor { headers: true, ..client(rng, shard) };
        let first = Step::Reconnect { end: End::Rst, shard };
        a = a.does(Step::Meshed).does_all((0..responders).map(|actor| Step::Await { actor, syncs: 1 }));
        a = a.does(Step::Sleep(1000)).does(first);
        for _ in 0..within(rng, 1, 5) {
            a = a.does(Step::Request(pick(rng, &["a.b", "a.c", "d"]).into()));
            a = if rng.one_in(2) { a } else { a.does(Step::Sync).does(Step::Sleep(within(rng, 1, 3000))) };
        }
        case.actors.push(a.does(Step::Sync));
    }
    if rng.one_in(2) {
        // Somebody sees it all.
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        case.actors.push(client(rng, shard).does(Step::sub(">")).does(Step::Sync));
    }
    case
}

/// 45: servers take in connections to their gateways and say nothing, from the beginning or later.
pub fn super_silent(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, within(rng, 1, 3) as usize];
    let lists = if rng.one_in(2) { Lists::All } else { Lists::Chain };
    let mut case = clusters(rng, &sizes, lists);
    load(rng, &mut case, 5);
    let n = (sizes[0] + sizes[1]) as u64;
    let shard = at(rng, &case, 0);
    let mut a = Actor::on(shard);
    let mut later = Vec::new();
    for victim in sizes[0]..n as usize {
        if victim == sizes[0] || rng.one_in(2) {
            a = a.does(Step::Sleep(within(rng, 1, 1500))).does(Step::Fault(Fault::Pause(victim)));
            later.push(victim);
        }
    }
    a = a.does(Step::Sleep(within(rng, 3000, 40_000)));
    case.actors.push(a.does_all(later.into_iter().map(|v| Step::Fault(Fault::Resume(v)))));
    case
}

/// 46: one cluster cannot reach the other, which reaches it: refused, or without an answer.
pub fn super_no_way_back(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, within(rng, 1, 2) as usize];
    let mut case = clusters(rng, &sizes, Lists::Chain);
    load(rng, &mut case, 6);
    let lost = rng.one_in(2);
    let pairs: Vec<(usize, usize)> =
        (0..sizes[0]).flat_map(|a| (sizes[0]..sizes[0] + sizes[1]).map(move |b| (a, b))).collect();
    let shard = at(rng, &case, 0);
    let mut a = Actor::on(shard).does_all(pairs.iter().map(|(a, b)| Step::Fault(Fault::Bar(*a, *b, lost))));
    a = a.does(Step::Sleep(within(rng, 15_000, 30_000))).does(Step::Fault(Fault::Named));
    case.actors.push(a.does_all(pairs.into_iter().map(|(a, b)| Step::Fault(Fault::Heal(a, b)))));
    case
}

/// 47: some servers tell others an address where nobody is, or that of a server of another cluster.
pub fn super_wrong_addresses(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 2, 3) as usize, within(rng, 2, 3) as usize];
    let mut case = clusters(rng, &sizes, Lists::Chain);
    let n = sizes[0] + sizes[1];
    let first = sizes[0];
    for (at, member) in servers(&mut case).members.iter_mut().enumerate() {
        // One of each cluster is right.
        let right = at == 0 || at == first;
        let wrong = if rng.one_in(3) { super::member::ip((at + first) % n) } else { format!("10.9.9.{at}") };
        let gate = member.gate.as_mut().filter(|_| !right && rng.one_in(2));
        gate.into_iter().for_each(|g| g.advertise = Some(format!("{wrong}:7222")));
    }
    load(rng, &mut case, 5);
    let victim = one(rng, 1..n as u64);
    let steps = match rng.below(2) {
        0 => vec![Step::Sleep(1000)],
        _ => vec![
            Step::Fault(Fault::Kill(victim, rng.one_in(2))),
            Step::Sleep(within(rng, 1, 9000)),
            Step::Fault(Fault::Start(victim)),
        ],
    };
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 48: all servers of a cluster come back under new ids.
pub fn super_restart(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, within(rng, 1, 3) as usize];
    let mut case = clusters(rng, &sizes, Lists::All);
    load(rng, &mut case, 8);
    let n = sizes[0] + sizes[1];
    let mut steps = vec![Step::Sleep(within(rng, 1, 4000))];
    steps.extend((sizes[0]..n).map(|at| Step::Fault(Fault::Kill(at, rng.one_in(2)))));
    steps.push(Step::Sleep(within(rng, 1, 15_000)));
    for at in sizes[0]..n {
        steps.extend([Step::Fault(Fault::Start(at)), Step::Sleep(rng.below(2000))]);
    }
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 50: one cluster and half of another die for good.
pub fn super_survivors(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, 2, within(rng, 1, 2) as usize];
    let mut case = clusters(rng, &sizes, Lists::All);
    load(rng, &mut case, 10);
    let n: usize = sizes.iter().sum();
    let first = sizes[0] + 2;
    let half = sizes[0] + 1 - rng.below(2) as usize;
    let dead: Vec<usize> = (first..n).chain([half]).collect();
    servers(&mut case).lost.clone_from(&dead);
    let mut steps = vec![Step::Sleep(within(rng, 1, 4000))];
    for at in dead {
        steps.extend([Step::Fault(Fault::Kill(at, rng.one_in(2))), Step::Sleep(rng.below(2000))]);
    }
    steps.push(Step::Sleep(within(rng, 10_000, 60_000)));
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 66: very many queue groups on one subject, in another cluster.
pub fn super_many_groups(rng: &mut Rng) -> Case {
    let mut case = clusters(rng, &[1, 2], Lists::All);
    let groups = within(rng, 100, 800);
    groups_of_one_subject(rng, &mut case, groups, 2);
    case
}

/// 49: everything that can happen to several clusters at once for a minute, then peace.
pub fn super_storm(rng: &mut Rng) -> Case {
    storm(rng, Lists::All)
}

/// 49, where each cluster knows only the one before it.
pub fn super_storm_of_a_chain(rng: &mut Rng) -> Case {
    storm(rng, Lists::Chain)
}

fn storm(rng: &mut Rng, lists: Lists) -> Case {
    let many = within(rng, 2, 3) as usize;
    let sizes: Vec<usize> = (0..many).map(|_| within(rng, 1, 3) as usize).collect();
    let mut case = clusters(rng, &sizes, lists);
    let n = servers(&mut case).members.len() as u64;
    load(rng, &mut case, 10);
    let mut steps = Vec::new();
    for _ in 0..within(rng, 3, 16) {
        let (a, b) = (one(rng, 0..n), one(rng, 1..n));
        steps.push(Step::Fault(match rng.below(10) {
            0 => Fault::Kill(b, rng.one_in(2)),
            1 | 2 => Fault::Start(b),
            3 => Fault::Pause(b),
            4 => Fault::Resume(b),
            5 | 6 if a != b => Fault::Cut(a, b),
            7 if a != b => Fault::Block(a, b),
            8 if a != b => Fault::Bar(a, b, rng.one_in(2)),
            _ if a != b => Fault::Heal(a, b),
            _ => Fault::Resume(b),
        }));
        steps.push(Step::Sleep(within(rng, 1, 6000)));
    }
    steps.extend((1..n as usize).map(|at| Step::Fault(Fault::Resume(at))));
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}
