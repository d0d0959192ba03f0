//! The ways between clusters: which link each server has to each other cluster, what that means for two servers of two
//! clusters, and what must hold of the links once nothing disturbs them any more.

use super::super::world::World;
use super::member::ip;
use super::paths::State;
use super::server::Server;
use std::collections::BTreeMap;
use turnpike::base::limits::{CLUSTERS_MAX, CLUSTER_URLS_MAX};
use turnpike::base::{MILLISECOND, SECOND};
use turnpike::gateways::Kind;

/// A handshake between clusters is over after so long: two seconds for INFO, five for the answer, and the world's own
/// delays.
const HANDSHAKE_NS: u64 = 7 * SECOND + 300 * MILLISECOND;

/// See the file's head. What is so now.
pub struct Across {
    /// The cluster of each server.
    clusters: Vec<usize>,
    /// From each server to each other cluster: the state of the link, and the server at its other end.
    ways: BTreeMap<(usize, usize), (State, usize)>,
}

impl Across {
    /// How a server of one cluster can send to a server of another.
    pub fn state(&self, a: usize, b: usize, route: &impl Fn(usize, usize) -> State) -> State {
        let Some((first, at)) = self.ways.get(&(a, self.clusters[b])).copied() else { return State::Unsure };
        let then = if at == b { State::Joined(0) } else { route(at, b) };
        match (first, then) {
            (State::Apart, _) => State::Apart,
            (State::Unsure, _) | (_, State::Unsure) => State::Unsure,
            (State::Waiting, _) | (_, State::Waiting) => State::Waiting,
            (_, State::Apart) => State::Apart,
            (State::Joined(link), State::Joined(_)) => State::Joined(link),
        }
    }

    /// Does every server that runs have a link to every cluster of which it can reach a server?
    pub fn is_whole(&self, w: &World) -> bool {
        let reaches = |a: usize, b: usize| {
            let listens = w.servers[b].runs() && w.servers[b].lame.is_none();
            listens && !w.apart(a, b) && !w.barred.contains_key(&(a, b))
        };
        self.ways.iter().filter(|((a, _), _)| w.servers[*a].runs()).all(|((a, cluster), (state, _))| {
            let reach = (0..self.clusters.len()).any(|b| self.clusters[b] == *cluster && reaches(*a, b));
            // What is under way on a long way will arrive.
            matches!(state, State::Joined(_) | State::Waiting) == reach
        })
    }
}

impl World {
    /// Are there several clusters?
    pub fn is_super(&self) -> bool {
        self.case.plan.cluster.as_ref().is_some_and(|c| c.numbers().iter().any(|n| *n > 0))
    }

    /// Links to other clusters that a server's shards own, and those from them: link, whether it sends.
    pub fn links_across(&self, at: usize) -> impl Iterator<Item = (usize, bool)> + '_ {
        let s = &self.servers[at];
        let foreign = s.foreign.iter().flat_map(|f| f.gateways());
        self.nodes[s.first..s.first + s.shards].iter().flatten().flat_map(|n| n.gateways()).chain(foreign)
    }

    /// The ways between clusters as they are.
    pub fn across(&self) -> Across {
        let clusters = self.case.plan.cluster.as_ref().map_or(Vec::new(), |c| c.numbers());
        let honest: Vec<usize> = (0..clusters.len()).filter(|at| !self.is_rogue(*at)).collect();
        let many = honest.iter().map(|at| clusters[*at] + 1).max().unwrap_or(0);
        let mut ways = BTreeMap::new();
        if many > 1 {
            let owned: Vec<Vec<(usize, bool)>> =
                (0..clusters.len()).map(|at| self.links_across(at).collect()).collect();
            for at in honest {
                for cluster in (0..many).filter(|c| *c != clusters[at]) {
                    ways.insert((at, cluster), self.way(&clusters, &owned, at, cluster));
                }
            }
        }
        Across { clusters, ways }
    }

    /// Who has no way back to a cluster that reaches it says so, and so do those who are not reached back (scenario 46).
    pub(super) fn check_no_way_back(&mut self) {
        let barred: Vec<(usize, usize)> = self.barred.keys().copied().collect();
        for (a, b) in barred {
            for (at, kind) in [(a, Kind::NoWayBack), (b, Kind::NotReachedBack)] {
                let gates = self.servers[at].mesh.as_ref().and_then(|m| m.gates.as_ref());
                // Who is not sent to, for the other's link leads to another server, cannot know.
                let Some(report) = gates.map(|g| g.machine.report()) else { continue };
                let concerned = kind == Kind::NotReachedBack || report.links.iter().any(|l| l.far.is_none());
                if concerned && report.troubles.iter().all(|t| t.kind != kind) {
                    let troubles = report.troubles;
                    return self.fail(format!("scenario 46: server {at} does not say {kind:?}: {troubles:?}"));
                }
            }
        }
        self.oracle.label("a missing way back was named");
    }

    /// Who says nothing is not waited for (scenario 45).
    pub(super) fn check_handshakes(&mut self) {
        let since = |s: &Server| s.mesh.as_ref().filter(|_| s.runs())?.shaking_since();
        let oldest = self.servers.iter().enumerate().filter_map(|(at, s)| Some((since(s)?, at))).min();
        if let Some((since, at)) = oldest.filter(|(since, _)| self.now - since > HANDSHAKE_NS) {
            let ms = (self.now - since) / MILLISECOND;
            self.fail(format!("scenario 45: server {at} has shaken hands with another cluster for {ms} ms"));
        }
    }

    /// The link of a server to a cluster.
    fn way(&self, clusters: &[usize], owned: &[Vec<(usize, bool)>], at: usize, cluster: usize) -> (State, usize) {
        let ends = |l: usize| self.links[l].servers.unwrap_or((at, at));
        let there = |l: &&(usize, bool)| l.1 && clusters[ends(l.0).1] == cluster;
        let links: Vec<usize> = owned[at].iter().filter(there).map(|l| l.0).collect();
        // What lies unread in a link that only its other end still holds on to has not arrived, and may yet.
        let old = |l: &(usize, bool)| !l.1 && ends(l.0).0 == at && !links.contains(&l.0);
        if (0..clusters.len()).filter(|to| clusters[*to] == cluster).any(|to| owned[to].iter().any(old)) {
            return (State::Unsure, at);
        }
        let [link] = links[..] else {
            return (if links.is_empty() { State::Apart } else { State::Unsure }, at);
        };
        let to = ends(link).1;
        let l = &self.links[link];
        let run = self.servers[at].runs() && self.servers[to].runs();
        let state = match owned[to].contains(&(link, false)) && run && !self.apart(at, to) && !l.cut && !l.reset {
            false => State::Unsure,
            true if l.up.blocked || l.down.blocked || !l.is_still() => State::Waiting,
            true => State::Joined(link + 1),
        };
        (state, to)
    }

    /// Each server has one link to each other cluster, and nothing is amiss or left over (I8); nobody was dialed more
    /// often than once a second (I20).
    pub fn check_across(&self) -> Result<(), String> {
        let Some(cluster) = self.case.plan.cluster.as_ref() else { return Ok(()) };
        let clusters = cluster.numbers();
        let up: Vec<usize> = (0..clusters.len()).filter(|at| self.servers[*at].up && !self.is_rogue(*at)).collect();
        let names: Vec<&String> = up.iter().filter_map(|at| cluster.members[*at].cluster.as_ref()).collect();
        let rogues = up.len() < clusters.len() && (0..clusters.len()).any(|at| self.is_rogue(at));
        let mut living: Vec<usize> = up.iter().map(|at| clusters[*at]).collect();
        living.sort_unstable();
        living.dedup();
        let (mut out, mut into) = (Vec::new(), Vec::new());
        for at in &up {
            let honest = |l: &(usize, bool)| {
                self.links[l.0].servers.is_none_or(|(a, b)| ![a, b].iter().any(|s| self.is_rogue(*s)))
            };
            for (link, sends) in self.links_across(*at).filter(honest) {
                if sends { &mut out } else { &mut into }.push(link);
            }
        }
        out.sort_unstable();
        into.sort_unstable();
        // Σ Nᵢ(M−1) over the clusters.
        let formula = up.len() * (living.len() - 1);
        if out.len() != formula || out != into {
            return Err(format!("I8: links to other clusters {out:?}, from them {into:?}, should be {formula} each"));
        }
        for at in up {
            let Some(gates) = self.servers[at].mesh.as_ref().and_then(|m| m.gates.as_ref()) else { continue };
            let mut report = gates.machine.report();
            // Random rules hardly fit.
            report.troubles.retain(|t| !t.kind.is_about_rules());
            if rogues {
                // What it said of itself and of clusters that do not exist is remembered for a while, up to a limit.
                report.links.retain(|l| names.contains(&&l.cluster));
                report.troubles.retain(|t| names.contains(&&t.about));
                report.expected = report.links.iter().filter(|l| l.far.is_some()).count();
            }
            let addresses = report.remotes.iter().map(|r| r.addresses.len()).max().unwrap_or(0);
            if report.remotes.len() > CLUSTERS_MAX || addresses > CLUSTER_URLS_MAX {
                let remotes = report.remotes.len();
                return Err(format!("I9: server {at} knows {remotes} clusters, and {addresses} addresses of one"));
            }
            let ways = report.links.iter().filter(|l| l.far.is_some()).count();
            if ways != living.len() - 1 || report.handshakes > 0 {
                return Err(format!("I8: server {at} has {ways} links, {} in handshake", report.handshakes));
            }
            let dead = living.len() <= *clusters.iter().max().unwrap_or(&0);
            if !dead && (!report.troubles.is_empty() || report.expected != ways) {
                let (troubles, expected) = (report.troubles, report.expected);
                return Err(format!("I8: server {at} expects {expected} links, complains of {troubles:?}"));
            }
            let unready = gates.machine.unready();
            if !unready.is_empty() {
                return Err(format!("I15: server {at} is not ready: {unready:?}"));
            }
            let hasty = |times: &Vec<u64>| times.windows(2).any(|t| t[1] - t[0] < SECOND);
            if let Some((host, times)) = gates.dialed.iter().find(|(_, times)| hasty(times)) {
                return Err(format!("I20: server {at} dials {host} too often: {times:?}"));
            }
            // Unless others say that they are where it is.
            let lies = cluster.members.iter().flat_map(|m| &m.gate).any(|g| g.advertise.is_some());
            if !lies && gates.dialed.contains_key(&ip(at)) {
                return Err(format!("I20: server {at} dials itself"));
            }
        }
        Ok(())
    }
}
