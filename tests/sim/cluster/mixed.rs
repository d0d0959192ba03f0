//! Scenarios of clusters with scripted nats-servers among the members: they dial, are dialed and gossiped, restart, and
//! are alone among ours or in the majority.

use super::super::case::{Case, Step};
use super::super::scenarios::within;
use super::plan::{Fault, Kind, Version};
use super::scenarios::{cluster, director, load, one, servers};
use turnpike::base::Rng;

/// A cluster of so many servers, some of them nats-servers, `ours` not. Everybody dials the first; some have others in
/// their lists too.
fn mixed_cluster(rng: &mut Rng, n: u64, ours: usize) -> Case {
    let mut case = cluster(rng, n);
    let alone = rng.one_in(3);
    let members = &mut servers(&mut case).members;
    for (at, member) in members.iter_mut().enumerate() {
        let version = if rng.one_in(2) { Version::V29 } else { Version::V215 };
        // One is a nats-server in any case.
        if at != ours && (alone || rng.one_in(2) || at == (ours + 1) % n as usize) {
            (member.kind, member.shards) = (Kind::Nats(version), 1);
        }
        member.routes = match rng.below(4) {
            0 => (0..n as usize).filter(|to| *to != at).collect(),
            1 if at > 0 => vec![at - 1],
            _ if at > 0 => vec![0],
            _ => Vec::new(),
        };
    }
    let shards = members.iter().map(|m| m.shards).sum();
    case.plan.shards = shards;
    case.plan.lazy.truncate(shards);
    case
}

/// 20 with nats-servers: nothing goes wrong, and nobody has anything to complain of.
pub fn mixed(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 5);
    let ours = one(rng, 0..n);
    let mut case = mixed_cluster(rng, n, ours);
    if rng.one_in(3) {
        for member in &mut servers(&mut case).members {
            member.login = Some(("route".into(), "secret-right".into()));
        }
    }
    let rounds = within(rng, 3, 12);
    load(rng, &mut case, rounds);
    let director = director(rng, &case, [Step::Sleep(3000)]);
    case.actors.push(director);
    if rng.one_in(3) {
        case.plan.accounts = within(rng, 1, 3) as usize;
        for a in &mut case.actors {
            a.account = rng.below(case.plan.accounts as u64) as usize;
        }
    }
    case
}

/// 58 with nats-servers: one of ours is to go, and the others hear of it.
pub fn mixed_lame_duck(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let duck = one(rng, 1..n);
    let mut case = mixed_cluster(rng, n, duck);
    servers(&mut case).lost = vec![duck];
    load(rng, &mut case, 8);
    let (before, after) = (within(rng, 500, 4000), within(rng, 1, 4000));
    let steps = [Step::Sleep(before), Step::Fault(Fault::LameDuck(duck)), Step::Sleep(after)];
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}

/// 23, 48 with nats-servers: anybody dies, loudly or in silence, and comes back under a new id.
pub fn mixed_restarts(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let ours = one(rng, 0..n);
    let mut case = mixed_cluster(rng, n, ours);
    // Among themselves nats-servers that only heard of each other dial once: their lists bring them together again.
    for (at, member) in servers(&mut case).members.iter_mut().enumerate() {
        member.routes = (0..n as usize).filter(|to| *to != at).collect();
    }
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

/// 28, 29, 32 with nats-servers: they stand still, or one direction or both are dead for a while.
pub fn mixed_faults(rng: &mut Rng) -> Case {
    let n = within(rng, 2, 4);
    let ours = one(rng, 0..n);
    let mut case = mixed_cluster(rng, n, ours);
    for (at, member) in servers(&mut case).members.iter_mut().enumerate() {
        member.routes = (0..n as usize).filter(|to| *to != at).collect();
    }
    load(rng, &mut case, 12);
    let (a, b) = (one(rng, 0..n), one(rng, 1..n));
    let lasts = within(rng, 200, 9000);
    let begins = Step::Sleep(within(rng, 1, 3000));
    let (fault, end) = match rng.below(3) {
        0 if a != b => (Fault::Cut(a, b), Fault::Heal(a, b)),
        1 if a != b => (Fault::Block(a, b), Fault::Heal(a, b)),
        _ => (Fault::Pause(b), Fault::Resume(b)),
    };
    let steps = [begins, Step::Fault(fault), Step::Sleep(lasts), Step::Fault(end), Step::Sleep(2000)];
    let director = director(rng, &case, steps);
    case.actors.push(director);
    case
}
