//! What must hold of the mesh once nothing disturbs it any more; names (I8 …) are those of scenarios.md §2.5.

use super::super::world::World;
use super::faults::pairs;
use super::foreign::Foreign;
use super::member::Member;
use super::plan::Fault;
use std::collections::BTreeMap;
use turnpike::base::limits::MESH_NOTICES_MAX;
use turnpike::base::{MILLISECOND, SECOND};

/// From the end of all faults until the mesh is whole: the longest back-off, an attempt, and a probe.
const WHOLE_NS: u64 = 40 * SECOND;
/// The same of several clusters: addresses are dialed every 30 s at last, by rounds.
const SUPER_WHOLE_NS: u64 = 100 * SECOND;
/// Second connections are gone after so long.
const TIDY_NS: u64 = 15 * SECOND;
/// Dials of one server to another within this time, and how many may be made: an address of the list that
/// does not answer is dialed every 0.75 to 1 s at first, and a route that lasted is dialed again at once.
const WINDOW_NS: u64 = 10 * SECOND;
const DIALS_MAX: usize = 14;
/// A client waits no longer for a PONG, whatever a rogue does.
const BYSTANDER_NS: u64 = 500 * MILLISECOND;
/// Addresses of servers that a mesh may know of, and of clients that it may hand out, in worlds as small as these: what
/// two peers may name, and some.
const TARGETS_MAX: usize = 1100;
const URLS_MAX: usize = 300;
/// Lines of a log in a second, for each member of the largest cluster but one some three.
const LINES_MAX: usize = 200;

/// Ends all faults and waits until the mesh is whole (I15).
pub fn heal(w: &mut World) {
    let Some(cluster) = w.case.plan.cluster.clone() else { return };
    let n = w.servers.len();
    // Whoever is about to go goes; rogues have had their time.
    let leaving = |w: &World| w.servers.iter().any(|s| s.up && s.lame.is_some());
    while w.wrong.is_none() && leaving(w) {
        w.faults.extend((0..n).filter(|at| w.servers[*at].paused).map(Fault::Resume));
        w.run_for(SECOND);
    }
    rogues(w);
    w.faults.extend(pairs(n).map(|(a, b)| Fault::Heal(a, b)));
    let back: Vec<usize> = (0..n).filter(|at| !cluster.lost.contains(at) && !w.is_rogue(*at)).collect();
    for at in back {
        w.faults.extend([Fault::Start(at), Fault::Resume(at)].into_iter().filter(|f| match f {
            Fault::Resume(_) => w.servers[at].paused,
            _ => !w.servers[at].up,
        }));
    }
    let since = w.now;
    while w.wrong.is_none() {
        w.run_for(SECOND);
        if w.whole {
            break;
        }
        if w.now - since > if w.is_super() { SUPER_WHOLE_NS } else { WHOLE_NS } {
            let routes = w.owned();
            let gateways: Vec<Vec<_>> = (0..n).map(|at| w.links_across(at).collect()).collect();
            let logs: Vec<_> =
                w.servers.iter().filter_map(|s| s.mesh.as_ref()).map(|m| m.log.last().cloned()).collect();
            w.fail(format!("I15: the mesh is not whole again: routes {routes:?}; gateways {gateways:?}; {logs:?}"));
        }
    }
}

/// Rogues have had their time: what must have become of their connections has, and they go.
fn rogues(w: &mut World) {
    let rogues: Vec<usize> = (0..w.servers.len()).filter(|at| w.is_rogue(*at) && w.servers[*at].up).collect();
    if rogues.is_empty() {
        return;
    }
    let waited = w.clients.iter().flatten().map(|c| c.patience).max().unwrap_or(0);
    if waited > BYSTANDER_NS && !w.parted {
        w.fail(format!("I13: a client has waited {} ms for a PONG while a rogue was there", waited / MILLISECOND));
    }
    w.run_for(super::rogue::PATIENCE_NS);
    for at in rogues {
        let logs = w.servers.iter().flat_map(|s| s.log.iter().cloned()).collect::<Vec<_>>();
        if let Some(Foreign::Rogue(rogue)) = &w.servers[at].foreign {
            if let Err(why) = rogue.check(&logs) {
                w.fail(why);
            }
        }
        w.faults.push_back(Fault::Kill(at, true));
    }
}

/// The place of the first rogue, or behind the last server.
fn up_to_rogue(w: &World) -> usize {
    (0..w.servers.len()).find(|at| w.is_rogue(*at)).unwrap_or(w.servers.len())
}

/// A log, a book of addresses and a crowd at the door are bounded, whatever anybody says (I9, I19, I20).
fn bounded(w: &World, at: usize, member: &Member) -> Option<String> {
    let log = &w.servers[at].log;
    // Who names many addresses has each of them spoken of once, up to a limit.
    let most = LINES_MAX + if w.servers.len() > up_to_rogue(w) { MESH_NOTICES_MAX } else { 0 };
    if log.windows(most + 1).any(|t| t[most].0 - t[0].0 < SECOND) {
        return Some(format!("I19: server {at} says too much: {log:?}"));
    }
    let report = member.mesh.report();
    if report.targets.len() > TARGETS_MAX || report.connect_urls.len() > URLS_MAX {
        let (targets, urls) = (report.targets.len(), report.connect_urls.len());
        return Some(format!("I9: server {at} knows {targets} addresses of servers and {urls} of clients"));
    }
    let crowd = |times: &Vec<u64>| times.windows(DIALS_MAX + 1).any(|t| t[DIALS_MAX] - t[0] < WINDOW_NS);
    let crowded = member.astray.iter().find(|(_, times)| crowd(times));
    crowded.map(|(host, times)| format!("I20: server {at} dials {host} too often: {times:?}"))
}

/// One route per pair, nothing else open, nobody missed, and no address dialed too often (I8, I20).
pub fn mesh(w: &mut World) {
    w.run_for(TIDY_NS);
    super::counted::forgotten(w);
    super::counted::crossings(w);
    super::borders::announced(w);
    if w.wrong.is_some() {
        return;
    }
    let owned = w.owned();
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    owned.iter().flatten().for_each(|l| *ends.entry(*l).or_default() += 1);
    let strangers = w.case.plan.cluster.as_ref().map_or(0, |c| c.strangers.len());
    let up: Vec<usize> = (0..w.servers.len()).filter(|at| w.servers[*at].up && !w.is_rogue(*at)).collect();
    let near = |(a, b): &(usize, usize)| up.contains(a) && up.contains(b) && !w.oracle.foreign(*a, *b);
    let wanted = pairs(w.servers.len()).filter(near).count() - strangers;
    if ends.len() != wanted || ends.values().any(|n| *n != 2) {
        w.fail(format!("I8: servers {up:?} have routes {owned:?}, should have {wanted} with two ends each"));
    }
    let mut wrong: Vec<String> = w.check_across().err().into_iter().collect();
    for (at, server) in w.servers.iter().enumerate() {
        let Some(member) = &server.mesh else { continue };
        let report = member.mesh.report();
        if strangers == 0 && (member.handshakes() > 0 || !report.missing.is_empty()) {
            let (open, missing) = (member.handshakes(), report.missing);
            wrong.push(format!("I8: server {at} has {open} connections in handshake and misses {missing:?}"));
        }
        wrong.extend(bounded(w, at, member));
        for to in 0..w.servers.len() {
            let times: Vec<u64> = member.dialed.iter().filter(|(_, t)| *t == to).map(|(at, _)| *at).collect();
            // Who is somebody new each time is looked at once a second.
            let most = if w.is_rogue(to) { WINDOW_NS / SECOND + 1 } else { DIALS_MAX as u64 } as usize;
            let crowd = times.windows(most + 1).find(|t| t[most] - t[0] < WINDOW_NS);
            wrong.extend(crowd.map(|t| format!("I20: server {at} dials {to} too often: {t:?}")));
        }
    }
    if let Some(most) = w.case.plan.cluster.as_ref().and_then(|c| c.dials) {
        let dials = |a: usize, b: usize| {
            let member = w.servers[a].mesh.as_ref();
            member.map_or(0, |m| m.dialed.iter().filter(|(_, t)| *t == b).count())
        };
        let all = pairs(w.servers.len()).map(|(a, b)| (a, b, dials(a, b) + dials(b, a)));
        let busy = all.filter(|(_, _, n)| *n > most).map(|p| format!("I20: dials of a pair: {p:?}, at most {most}"));
        wrong.extend(busy);
    }
    if let Some(why) = wrong.into_iter().next() {
        w.fail(why);
    }
}
