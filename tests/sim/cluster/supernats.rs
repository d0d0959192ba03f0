//! Scenarios of several clusters some of whose servers are scripted nats-servers, after captures C7–C12 of
//! cluster-protocol.md §8. Most are those of `supers` with some of the servers exchanged.

use super::super::case::{Actor, Case, End, Step};
use super::super::scenarios::{client, within};
use super::plan::{Kind, Version};
use super::scenarios::{at, director, load, one, servers};
use super::supers::{self, clusters, Lists};
use turnpike::base::Rng;
use turnpike::policy::GatewayInterest;

/// The first shard of each server.
fn firsts(case: &mut Case) -> Vec<usize> {
    let shards: Vec<usize> = servers(case).members.iter().map(|m| m.shards).collect();
    (0..shards.len()).map(|n| shards[..n].iter().sum()).collect()
}

/// Exchanges servers for nats-servers of some version; their clients stay with them.
fn exchange(rng: &mut Rng, mut case: Case, which: impl Fn(usize, usize) -> bool) -> Case {
    let (numbers, before) = (servers(&mut case).numbers(), firsts(&mut case));
    let members = servers(&mut case).members.iter_mut().enumerate();
    for (_, member) in members.filter(|(n, _)| which(*n, numbers[*n])) {
        let version = if rng.one_in(2) { Version::V29 } else { Version::V215 };
        (member.kind, member.shards) = (Kind::Nats(version), 1);
        let gate = member.gate.as_mut().filter(|_| rng.one_in(5));
        gate.into_iter().for_each(|g| g.old_replies = true);
    }
    let after = firsts(&mut case);
    let shards: Vec<usize> = servers(&mut case).members.iter().map(|m| m.shards).collect();
    let moved = |shard: usize| {
        let server = before.iter().rposition(|first| *first <= shard).unwrap_or(0);
        after[server] + (shard - before[server]) % shards[server]
    };
    for actor in &mut case.actors {
        actor.shard = moved(actor.shard);
        for step in &mut actor.steps {
            if let Step::Reconnect { shard, .. } = step {
                *shard = moved(*shard);
            }
        }
    }
    case.plan.shards = shards.iter().sum();
    case.plan.lazy.truncate(case.plan.shards);
    case
}

/// Some clusters, not all, are nats-servers'.
fn some_clusters(rng: &mut Rng, mut case: Case) -> Case {
    let many = servers(&mut case).numbers().into_iter().max().unwrap_or(0) as u64 + 1;
    let (theirs, ours) = (rng.below(many), rng.below(many - 1));
    let ours = (theirs + 1 + ours) % many;
    let more: Vec<bool> = (0..many).map(|_| rng.one_in(3)).collect();
    exchange(rng, case, |_, cluster| {
        let c = cluster as u64;
        c == theirs || c != ours && more[cluster]
    })
}

/// Some servers are nats-servers, of whatever cluster; one at least is, and one is ours.
fn some_servers(rng: &mut Rng, mut case: Case) -> Case {
    let n = servers(&mut case).members.len() as u64;
    let theirs = rng.below(n);
    let ours = (theirs + 1 + rng.below(n - 1)) % n;
    let more: Vec<bool> = (0..n).map(|_| rng.one_in(2)).collect();
    exchange(rng, case, |server, _| server as u64 == theirs || server as u64 != ours && more[server])
}

/// C7: plain and queue interest, both ways, in every dialing direction.
pub fn super_nats_routed(rng: &mut Rng) -> Case {
    let case = supers::super_routed(rng);
    some_clusters(rng, case)
}

/// C8: a request at once, when its inbox is still unknown elsewhere, and late ones.
pub fn super_nats_requests(rng: &mut Rng) -> Case {
    let case = supers::super_requests(rng);
    some_clusters(rng, case)
}

/// C9: two clusters of two, one of them nats-servers', or of one of each; who asks and who answers are behind servers that
/// have no link to each other, now and then.
pub fn super_nats_pairs(rng: &mut Rng) -> Case {
    let lists = if rng.one_in(2) { Lists::All } else { Lists::Chain };
    let mut case = clusters(rng, &[2, 2], lists);
    let responders = within(rng, 1, 2) as usize;
    let swap = rng.one_in(2);
    let (askers, answerers) = if swap { (2..4, 0..2) } else { (0..2, 2..4) };
    for _ in 0..responders {
        let server = one(rng, answerers.clone());
        let shard = at(rng, &case, server);
        let sub = if rng.one_in(2) { Step::queue("a.*", "q") } else { Step::sub("a.b") };
        case.actors.push(Actor { responds: true, ..client(rng, shard) }.does(sub).does(Step::Sync));
    }
    for _ in 0..within(rng, 1, 3) {
        let server = one(rng, askers.clone());
        let shard = at(rng, &case, server);
        let mut a = Actor { headers: true, ..client(rng, shard) };
        a = a.does(Step::Meshed).does_all((0..responders).map(|actor| Step::Await { actor, syncs: 1 }));
        a = a.does(Step::Sleep(1000)).does(Step::Reconnect { end: End::Rst, shard });
        for _ in 0..within(rng, 1, 4) {
            a = a.does(Step::Request("a.b".into()));
            a = if rng.one_in(2) { a } else { a.does(Step::Sync).does(Step::Sleep(3000)) };
        }
        case.actors.push(a.does(Step::Sync));
    }
    match rng.below(3) {
        0 => exchange(rng, case, |server, _| server % 2 == 1),
        1 => exchange(rng, case, |_, cluster| cluster == 0),
        _ => exchange(rng, case, |_, cluster| cluster == 1),
    }
}

/// C10: some are sent all until they refuse it; the nats-servers among them too.
pub fn super_nats_optimistic(rng: &mut Rng) -> Case {
    let case = supers::super_optimistic(rng);
    some_clusters(rng, case)
}

/// C10, to its end: more subjects than one may refuse, one after the other; then nothing is lost that anybody wants.
pub fn super_nats_thousand(rng: &mut Rng) -> Case {
    let mut case = clusters(rng, &[1, 1], Lists::All);
    let theirs = rng.below(2) as usize;
    let most = if rng.one_in(4) { 1000 } else { within(rng, 0, 60) };
    for member in &mut servers(&mut case).members {
        if let Some(gate) = &mut member.gate {
            (gate.interest, gate.refused_max) = (GatewayInterest::Optimistic, most as usize);
        }
    }
    let many = most + within(rng, 2, 8);
    for here in 0..2 {
        let shard = at(rng, &case, here);
        let a = Actor { talk: 4096, ..Actor::on(shard) };
        let a = a.does(Step::sub("other")).does(Step::Meshed).does(Step::Sync);
        let a = a.does_all((0..many).map(|n| Step::publish(&format!("s.{n}"), 0))).does(Step::Sync);
        case.actors.push(a.does(Step::Sleep(200)).does(Step::Sync));
    }
    for here in 0..2 {
        let shard = at(rng, &case, here);
        let wanted = rng.below(many + 3);
        let a = Actor::on(shard).does(Step::Meshed).does(Step::Sleep(rng.below(300)));
        let a = a.does(Step::sub(&format!("s.{wanted}"))).does(Step::Sync);
        case.actors.push(if rng.one_in(3) { a.does(Step::Unsub(0)).does(Step::Sync) } else { a });
        // When all is told somebody publishes what is wanted.
        let shard = at(rng, &case, 1 - here);
        let mut a = Actor::on(shard).does(Step::Meshed);
        a = a.does_all((0..2).map(|actor| Step::Await { actor, syncs: 3 })).does(Step::Sleep(500));
        case.actors.push(a.does(Step::publish(&format!("s.{wanted}"), 3)).does(Step::Sync));
    }
    exchange(rng, case, |_, cluster| cluster == theirs)
}

/// 37 with nats-servers: an account that is refused whole, and then wanted.
pub fn super_nats_account(rng: &mut Rng) -> Case {
    let case = supers::super_refused_account(rng);
    some_clusters(rng, case)
}

/// C11: the last cluster knows only the one in the middle, which is nats-servers', and learns of the first from it.
pub fn super_nats_third(rng: &mut Rng) -> Case {
    let sizes = [within(rng, 1, 2) as usize, within(rng, 1, 2) as usize, within(rng, 1, 2) as usize];
    let mut case = clusters(rng, &sizes, Lists::Chain);
    let rounds = within(rng, 3, 8);
    load(rng, &mut case, rounds);
    let boss = director(rng, &case, [Step::Sleep(2000), Step::Sync]);
    case.actors.push(boss);
    let last = rng.one_in(4);
    exchange(rng, case, |_, cluster| cluster == 1 || cluster == 2 && last)
}

/// C12: groups over three clusters, some near and some far, of nats-servers too.
pub fn super_nats_nearest(rng: &mut Rng) -> Case {
    let case = supers::super_nearest(rng);
    some_clusters(rng, case)
}

/// C12: members of one group in three clusters come and go.
pub fn super_nats_groups(rng: &mut Rng) -> Case {
    let case = supers::super_groups(rng);
    some_clusters(rng, case)
}

/// I23 with nats-servers among the clusters.
pub fn super_nats_counted(rng: &mut Rng) -> Case {
    let case = super::counted::super_counted(rng);
    let mut case = some_clusters(rng, case);
    // Where the old form of replies leads nobody can say before.
    let gates = servers(&mut case).members.iter_mut().filter_map(|m| m.gate.as_mut());
    gates.for_each(|g| g.old_replies = false);
    case
}

/// Clusters in which servers of both kinds stand together.
pub fn super_nats_mixed(rng: &mut Rng) -> Case {
    let case = match rng.below(4) {
        0 => supers::super_routed(rng),
        1 => supers::super_requests(rng),
        2 => supers::super_groups(rng),
        _ => supers::super_forward(rng),
    };
    some_servers(rng, case)
}

/// 48, 49 with nats-servers: they die and come back, stand still, are cut off.
pub fn super_nats_faults(rng: &mut Rng) -> Case {
    let mut case = match rng.below(4) {
        0 => supers::super_restart(rng),
        1 => supers::super_group_count(rng),
        _ => supers::super_storm(rng),
    };
    // Among themselves nats-servers that only heard of each other dial once: their lists bring them together again.
    let numbers = servers(&mut case).numbers();
    for (at, member) in servers(&mut case).members.iter_mut().enumerate() {
        member.routes = (0..numbers.len()).filter(|to| *to != at && numbers[*to] == numbers[at]).collect();
    }
    match rng.one_in(3) {
        true => some_servers(rng, case),
        false => some_clusters(rng, case),
    }
}
