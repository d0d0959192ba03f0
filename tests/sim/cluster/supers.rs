//! The scenarios of several clusters joined by gateways. Numbers are those of scenarios.md §5.2.

use super::super::case::{Actor, Case, Step};
use super::super::scenarios::{client, pick, plan, publishes, within, PATTERNS, SUBJECTS};
use super::plan::{Cluster, Fault, Gate, Member};
use super::scenarios::{at, director, load, one, servers};
use turnpike::base::Rng;
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

/// 49: everything that can happen to several clusters at once for a minute, then peace.
pub fn super_storm(rng: &mut Rng) -> Case {
    let many = within(rng, 2, 3) as usize;
    let sizes: Vec<usize> = (0..many).map(|_| within(rng, 1, 3) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
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
