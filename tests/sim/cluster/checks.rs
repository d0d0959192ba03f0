//! What must hold of the mesh once nothing disturbs it any more; names (I8 …) are those of scenarios.md §2.5.

use super::super::world::World;
use super::faults::pairs;
use super::plan::Fault;
use std::collections::BTreeMap;
use turnpike::base::SECOND;

/// From the end of all faults until the mesh is whole: the longest back-off, an attempt, and a probe.
const WHOLE_NS: u64 = 40 * SECOND;
/// Second connections are gone after so long.
const TIDY_NS: u64 = 15 * SECOND;
/// Dials of one server to another within this time, and how many may be made: the back-off begins with 1, 2 and 4 s,
/// and a route that lasted is dialed again at once.
const WINDOW_NS: u64 = 10 * SECOND;
const DIALS_MAX: usize = 8;
/// Lines of a log in a second, for each member of the largest cluster but one some three.
const LINES_MAX: usize = 200;

/// Ends all faults and waits until the mesh is whole (I15).
pub fn heal(w: &mut World) {
    let Some(cluster) = w.case.plan.cluster.clone() else { return };
    let n = w.servers.len();
    w.faults.extend(pairs(n).map(|(a, b)| Fault::Heal(a, b)));
    for at in (0..n).filter(|at| !cluster.lost.contains(at)) {
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
        if w.now - since > WHOLE_NS {
            let routes = w.owned();
            let logs: Vec<_> =
                w.servers.iter().filter_map(|s| s.mesh.as_ref()).map(|m| m.log.last().cloned()).collect();
            w.fail(format!("I15: the mesh is not whole again: routes {routes:?}; {logs:?}"));
        }
    }
}

/// One route per pair, nothing else open, nobody missed, and no address dialed too often (I8, I20).
pub fn mesh(w: &mut World) {
    w.run_for(TIDY_NS);
    if w.wrong.is_some() {
        return;
    }
    let owned = w.owned();
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    owned.iter().flatten().for_each(|l| *ends.entry(*l).or_default() += 1);
    let strangers = w.case.plan.cluster.as_ref().map_or(0, |c| c.strangers.len());
    let up = w.servers.iter().filter(|s| s.up).count();
    let wanted = up * up.saturating_sub(1) / 2 - strangers;
    if ends.len() != wanted || ends.values().any(|n| *n != 2) {
        w.fail(format!("I8: {up} servers have routes {owned:?}, should have {wanted} with two ends each"));
    }
    let mut wrong = Vec::new();
    for (at, server) in w.servers.iter().enumerate() {
        let Some(member) = &server.mesh else { continue };
        let report = member.mesh.report();
        if strangers == 0 && (member.handshakes() > 0 || !report.missing.is_empty()) {
            let (open, missing) = (member.handshakes(), report.missing);
            wrong.push(format!("I8: server {at} has {open} connections in handshake and misses {missing:?}"));
        }
        let times: Vec<u64> = member.log.iter().map(|(at, _)| *at).collect();
        if times.windows(LINES_MAX + 1).any(|t| t[LINES_MAX] - t[0] < SECOND) {
            wrong.push(format!("I19: server {at} says too much: {:?}", member.log));
        }
        for to in 0..w.servers.len() {
            let times: Vec<u64> = member.dialed.iter().filter(|(_, t)| *t == to).map(|(at, _)| *at).collect();
            let crowd = times.windows(DIALS_MAX + 1).find(|t| t[DIALS_MAX] - t[0] < WINDOW_NS);
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
