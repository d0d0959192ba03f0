//! The scenarios of clusters. Numbers are those of scenarios.md §5.2.

use super::super::case::{Actor, Case, Step};
use super::super::scenarios::{client, pick, plan, publishes, within, PATTERNS, SUBJECTS};
use super::plan::Cluster;
use turnpike::base::Rng;

/// A case with so many servers, all of which dial the first.
fn cluster(rng: &mut Rng, servers: u64) -> Case {
    let shards: Vec<usize> = (0..servers).map(|_| within(rng, 1, 4) as usize).collect();
    let mut plan = plan(rng, 1);
    plan.shards = shards.iter().sum();
    plan.lazy = (0..plan.shards).map(|_| if rng.one_in(4) { within(rng, 2, 20) } else { 1 }).collect();
    plan.events_max = 2_000_000;
    plan.cluster = Some(Cluster::star(&shards));
    Case { plan, actors: Vec::new() }
}

/// The number of a shard of a server, any.
fn at(rng: &mut Rng, case: &Case, server: usize) -> usize {
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
