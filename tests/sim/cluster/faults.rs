//! What happens to servers and between them, and what is known whenever the world is at rest.

use super::super::case::Broken;
use super::super::node::{self, Node};
use super::super::world::World;
use super::foreign::Foreign;
use super::member::{self, Member};
use super::paths::State;
use super::plan::Fault;
use super::server::Server;
use std::collections::BTreeMap;
use std::sync::Arc;
use turnpike::base::{MILLISECOND, SECOND};
use turnpike::shard::Order;

/// A silent peer is out after so long (G6): five seconds, a ping's interval, and the world's own delays.
const OUT_NS: u64 = 6 * SECOND + 200 * MILLISECOND;

/// The same of a link between clusters (issue 5): `peer_timeout`, a ping, and the world's own delays.
const OUT_ACROSS_NS: u64 = 10 * SECOND;

/// Whoever speaks and takes nothing in has twice `peer_timeout`; a turnpike at the other end gives up sooner, for it hears
/// nothing.
const STUCK_ACROSS_NS: u64 = 18 * SECOND;

/// Who comes back is let in after so long: a probe of the old route, and the time to shake hands.
const WELCOME_NS: u64 = 1500 * MILLISECOND;

/// A route that must be given up: by which server, which link, until when.
#[derive(Clone, Copy, Debug)]
pub struct Doomed {
    server: usize,
    link: usize,
    until: u64,
}

impl World {
    /// Do bytes of one of two servers not reach the other?
    pub fn apart(&self, a: usize, b: usize) -> bool {
        self.blocked.contains(&(a, b)) || self.blocked.contains(&(b, a))
    }

    /// Starts the meshes of all servers.
    pub fn found(&mut self) {
        let Some(cluster) = self.case.plan.cluster.clone() else { return };
        for (at, member) in cluster.members.iter().enumerate() {
            if member.late {
                self.servers[at].up = false;
            } else {
                self.begin(at);
            }
        }
    }

    /// A server begins a life.
    fn begin(&mut self, at: usize) {
        let Some(cluster) = self.case.plan.cluster.clone() else { return };
        let seed = self.rng.next_u64();
        self.servers[at].lives += 1;
        if let Some(foreign) = Foreign::new(self, at) {
            self.servers[at].foreign = Some(foreign);
            return;
        }
        let server = &mut self.servers[at];
        let mut member = Member::new(&self.case.plan, &cluster, at, server.lives, seed, self.now);
        member.with(self.now, |m| m.urls(vec![format!("10.0.0.{}:4222", at + 1)]));
        self.servers[at].mesh = Some(Box::new(member));
    }

    /// Something happens.
    pub fn strike(&mut self, fault: Fault) {
        if matches!(fault, Fault::Users) {
            return self.users_change();
        }
        // What disturbs anybody may keep a newcomer out.
        self.newcomers.clear();
        self.note(|| format!("{fault:?}"));
        self.oracle.label("fault");
        let victim = match fault {
            Fault::Kill(at, _) | Fault::Start(at) | Fault::Pause(at) | Fault::Resume(at) | Fault::LameDuck(at) => at,
            Fault::Login(at) | Fault::Rules(at) => at,
            _ => 0,
        };
        let keeps_apart = !matches!(fault, Fault::LameDuck(_) | Fault::Scarce(_) | Fault::Reload);
        self.struck |= !self.is_rogue(victim);
        self.parted |= !self.is_rogue(victim) && keeps_apart;
        match fault {
            Fault::Block(a, b) => self.block(a, b),
            Fault::Cut(a, b) => {
                self.block(a, b);
                self.block(b, a);
            }
            Fault::Stall(a, b) => self.hold(a, b, true),
            Fault::Flow(a, b) => self.hold(a, b, false),
            Fault::Bar(a, b, lost) => {
                self.barred.insert((a, b), lost);
            }
            Fault::Named => self.check_no_way_back(),
            Fault::Heal(a, b) => {
                self.check_named(a, b);
                self.barred.remove(&(a, b));
                self.barred.remove(&(b, a));
                self.unblock(a, b);
                self.unblock(b, a);
            }
            Fault::Kill(at, loud) => self.kill(at, loud),
            Fault::Start(at) => self.start(at),
            Fault::LameDuck(at) => self.become_lame_duck(at),
            Fault::Scarce(scarce) => self.memory(scarce),
            Fault::Reload => self.reload(),
            Fault::Login(at) | Fault::Rules(at) => self.configure(at, fault),
            Fault::Users => {}
            Fault::Pause(at) if !self.servers[at].up => {}
            Fault::Pause(at) => {
                self.servers[at].paused = true;
                self.touch_all(at);
                self.doom_all(at, &[]);
            }
            Fault::Resume(at) => {
                self.servers[at].paused = false;
                self.touch_all(at);
                let spared: Vec<usize> = self.links_of(at).collect();
                self.doomed.retain(|d| !spared.contains(&d.link));
            }
        }
    }

    /// Every shard is told that there is a user more, and that all others have another place; where there are accounts, that
    /// one has come, before all others, and the one that came last has gone.
    fn users_change(&mut self) {
        self.oracle.label("users were read anew");
        let before = self.case.plan.clone();
        self.case.plan.latecomers += 1;
        for server in 0..self.servers.len() {
            let mut settings = node::settings(&self.case.plan, server);
            let mut known = std::mem::take(&mut self.servers[server].known);
            if known.is_empty() {
                known = node::settings(&before, server).auth.accounts;
            }
            settings.auth.keep_places(&known).expect("there are few");
            self.servers[server].known.clone_from(&settings.auth.accounts);
            let settings = Arc::new(settings);
            let places: Vec<usize> = self.servers[server].places(server).map(|p| p.0).collect();
            for at in places {
                if let Some(node) = self.nodes[at].as_mut() {
                    node.order(Order::Settings(settings.clone()));
                }
            }
        }
    }

    /// A server's cluster is read anew.
    fn configure(&mut self, at: usize, what: Fault) {
        self.touch_all(at);
        let Some(cluster) = self.case.plan.cluster.as_mut() else { return };
        let before = cluster.members[at].login.clone();
        match what {
            Fault::Login(_) => cluster.members[at].login = Some(("u".into(), "new".into())),
            _ => cluster.members[at].rules = !cluster.members[at].rules,
        }
        let (settings, now) = (member::settings(cluster, at), self.now);
        if before != cluster.members[at].login {
            // Who has not read it yet has called with what is asked for no more.
            let behind = |other: &usize| *other != at && cluster.members[*other].login == before;
            let behind: Vec<_> = (0..cluster.members.len()).filter(behind).map(|other| (other, at)).collect();
            let links = self.links.iter().enumerate();
            let called = links.filter(|(_, l)| l.servers.is_some_and(|ends| behind.contains(&ends)));
            let cut = called.map(|(link, _)| Doomed { server: at, link, until: now + SECOND });
            self.doomed.extend(cut.collect::<Vec<_>>());
        }
        if let Some(member) = self.servers[at].mesh.as_mut().filter(|_| self.case.plan.broken != Broken::KeepsRules) {
            member.with(now, |m| m.reload(settings));
        }
        self.oracle.label("a cluster was read anew");
    }

    /// Every shard is told how it stands with the memory.
    fn memory(&mut self, scarce: bool) {
        self.nodes.iter_mut().flatten().for_each(|node| node.order(Order::Scarce(scarce)));
        self.scarce = scarce;
    }

    pub(super) fn links_of(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let its = move |l: &super::super::pipes::Link| l.servers.is_some_and(|(a, b)| a == at || b == at);
        self.links.iter().enumerate().filter(move |(_, l)| its(l)).map(|(i, _)| i)
    }

    fn between(&self, a: usize, b: usize) -> Vec<usize> {
        let ends = [Some((a, b)), Some((b, a))];
        self.links.iter().enumerate().filter(|(_, l)| ends.contains(&l.servers)).map(|(i, _)| i).collect()
    }

    fn set_blocked(&mut self, a: usize, b: usize, blocked: bool) {
        self.hold(a, b, blocked);
        self.oracle.paths.touch(a, b);
    }

    fn hold(&mut self, a: usize, b: usize, blocked: bool) {
        for l in self.between(a, b) {
            let link = &mut self.links[l];
            let up = link.servers == Some((a, b));
            if up { &mut link.up } else { &mut link.down }.blocked = blocked;
        }
    }

    /// A gap that lasted was named by both of its ends (scenario 28).
    fn check_named(&mut self, a: usize, b: usize) {
        let Some(cluster) = self.case.plan.cluster.as_ref().filter(|c| c.named == Some((a, b))) else { return };
        if !self.blocked.contains(&(a, b)) || cluster.members.len() < 3 {
            return;
        }
        for (here, there) in [(a, b), (b, a)] {
            let words = format!("no route to \"n{there}\"");
            let said = self.servers[here].mesh.as_ref().is_some_and(|m| m.log.iter().any(|(_, l)| l.contains(&words)));
            if !said {
                self.fail(format!("scenario 28: server {here} does not say that it misses {there}"));
            }
        }
        self.oracle.label("a gap was named");
    }

    fn block(&mut self, a: usize, b: usize) {
        let hushed = self.blocked.insert((a, b)).then_some((a, b));
        self.set_blocked(a, b, true);
        for server in [a, b] {
            self.doom(server, self.between(a, b), hushed.as_slice());
        }
    }

    fn unblock(&mut self, a: usize, b: usize) {
        self.blocked.remove(&(a, b));
        self.set_blocked(a, b, false);
        let spared = self.between(a, b);
        self.doomed.retain(|d| !spared.contains(&d.link));
    }

    /// These links of a server have to be given up; `hushed`: whose words have reached whom until now.
    fn doom(&mut self, server: usize, links: Vec<usize>, hushed: &[(usize, usize)]) {
        if !self.is_ours(server) {
            return;
        }
        let until = |link: usize| {
            let (a, b) = self.links[link].servers.unwrap_or((server, server));
            let other = if a == server { b } else { a };
            let speaks = !self.is_ours(other) && self.servers[other].runs() && !self.blocked.contains(&(other, server));
            self.now
                + match self.links[link].gateway {
                    false => OUT_NS,
                    true if speaks => STUCK_ACROSS_NS,
                    true => OUT_ACROSS_NS,
                }
        };
        let doomed: Vec<_> = links.into_iter().map(|link| Doomed { server, link, until: until(link) }).collect();
        // Who was heard until now might have ended the link itself, and stands still before it does: from now on it is
        // silent.
        for d in &mut self.doomed {
            let heard = |(a, b)| {
                let words = if a == d.server { (b, a) } else { (a, b) };
                !self.blocked.contains(&words) || hushed.contains(&words)
            };
            let again = doomed.iter().find(|new| (new.server, new.link) == (d.server, d.link));
            let again = again.filter(|_| self.links[d.link].servers.is_some_and(heard));
            d.until = again.map_or(d.until, |new| d.until.max(new.until));
        }
        self.doomed.extend(doomed);
    }

    /// Everybody else is to give up a server that has fallen silent.
    pub(super) fn doom_all(&mut self, at: usize, hushed: &[(usize, usize)]) {
        for other in (0..self.servers.len()).filter(|o| *o != at) {
            self.doom(other, self.between(at, other), hushed);
        }
    }

    pub(super) fn touch_all(&mut self, at: usize) {
        for other in (0..self.servers.len()).filter(|o| *o != at) {
            self.oracle.paths.touch(at, other);
        }
    }

    fn kill(&mut self, at: usize, loud: bool) {
        if !self.servers[at].up {
            return;
        }
        self.touch_all(at);
        let links: Vec<usize> = self.links_of(at).collect();
        for link in links {
            match loud {
                true => self.links[link].reset(),
                false => self.links[link].cut = true,
            }
        }
        let mut hushed = Vec::new();
        if !loud {
            for other in (0..self.servers.len()).filter(|o| *o != at) {
                let both = [(at, other), (other, at)];
                hushed.extend(both.into_iter().filter(|words| self.blocked.insert(*words)));
            }
        }
        let server = &mut self.servers[at];
        (server.up, server.crashed, server.paused, server.mesh) = (false, true, false, None);
        server.rings.clear();
        self.doom_all(at, &hushed);
        let server = &mut self.servers[at];
        let clients = server.foreign.take().map(|f| f.clients()).unwrap_or_default();
        clients.into_iter().for_each(|link| self.links[link].reset());
        let server = &self.servers[at];
        let places: Vec<_> = server.places(at).collect();
        let life = server.lives + 1;
        self.oracle.died(at);
        for (id, place, shards) in places {
            if self.nodes[id].is_none() {
                continue;
            }
            let seed = self.rng.next_u64();
            let fresh = Node::new(place, shards, seed, &self.case.plan, life);
            let Some(old) = self.nodes[id].replace(fresh) else { continue };
            // Its clients are told; they are not what this is about.
            for link in old.all_links().filter(|l| self.links[*l].servers.is_none()).collect::<Vec<_>>() {
                self.links[link].reset();
            }
        }
    }

    fn start(&mut self, at: usize) {
        if self.servers[at].up {
            return;
        }
        for other in (0..self.servers.len()).filter(|o| *o != at) {
            self.blocked.remove(&(at, other));
            self.blocked.remove(&(other, at));
        }
        self.touch_all(at);
        self.servers[at].up = true;
        self.newcomers.push((self.now + WELCOME_NS, at));
        self.begin(at);
    }

    /// Nothing moves until time goes on: what is so now is so everywhere.
    pub fn at_rest(&mut self) {
        if self.case.plan.cluster.is_none() || self.wrong.is_some() {
            return;
        }
        let owned = self.owned();
        self.check_doomed(&owned);
        self.check_newcomers(&owned);
        self.check_handshakes();
        let near = |(a, b): &(usize, usize)| !self.oracle.foreign(*a, *b);
        let near = pairs(self.servers.len()).filter(near);
        let states: BTreeMap<_, _> = near.map(|p| (p, joined(self, &owned, p.0, p.1))).collect();
        let route = |a: usize, b: usize| states.get(&(a.min(b), a.max(b))).copied().unwrap_or(State::Unsure);
        let across = self.across();
        self.whole = self.is_whole(&route) && across.is_whole(self);
        self.check_lame_ducks();
        let state = |a, b| if self.oracle.foreign(a, b) { across.state(a, b, &route) } else { route(a, b) };
        let states: BTreeMap<_, _> = both_ways(self.servers.len()).map(|(a, b)| ((a, b), state(a, b))).collect();
        let obeyed = self
            .nodes
            .iter()
            .enumerate()
            .all(|(s, n)| !self.server_of(s).up || n.as_ref().is_none_or(|n| n.orders.is_empty()));
        let obeyed = obeyed && self.servers.iter().all(|s| s.mesh.as_ref().is_none_or(|m| m.has_obeyed()));
        self.oracle.rest(obeyed, |a, b| states.get(&(a, b)).copied().unwrap_or(State::Unsure));
    }

    /// Links of the routes that each server's shards own.
    pub fn owned(&self) -> Vec<Vec<usize>> {
        // What a rogue has talked somebody into is no route.
        let honest = |l: &usize| self.links[*l].servers.is_none_or(|(a, b)| !self.is_rogue(a) && !self.is_rogue(b));
        let of = |s: &Server| {
            let nodes = self.nodes[s.first..s.first + s.shards].iter().flatten();
            let foreign = s.foreign.iter().flat_map(|f| f.routes());
            nodes.flat_map(Node::routes).chain(foreign).filter(honest).collect()
        };
        self.servers.iter().map(of).collect()
    }

    fn is_whole(&self, state: &impl Fn(usize, usize) -> State) -> bool {
        let Some(cluster) = &self.case.plan.cluster else { return false };
        let honest = |(a, b): &(usize, usize)| !self.is_rogue(*a) && !self.is_rogue(*b) && !self.oracle.foreign(*a, *b);
        pairs(self.servers.len()).filter(honest).all(|(a, b)| {
            let stranger = cluster.strangers.contains(&(a, b)) || cluster.strangers.contains(&(b, a));
            let reach = !stranger && self.servers[a].runs() && self.servers[b].runs() && !self.apart(a, b);
            state(a, b) == if reach { State::Joined(0) } else { State::Apart }
        })
    }

    /// A server that was started again has a route to whom it dials, although that one held its old one (scenario 23).
    fn check_newcomers(&mut self, owned: &[Vec<usize>]) {
        let now = self.now;
        let due: Vec<usize> = self.newcomers.iter().filter(|(t, _)| *t < now).map(|(_, at)| *at).collect();
        self.newcomers.retain(|(t, _)| *t >= now);
        let Some(cluster) = self.case.plan.cluster.clone() else { return };
        for at in due {
            // A nats-server may hold on to a former life too.
            let linked = |to: usize| owned[at].iter().any(|l| owned[to].contains(l));
            let met = |to: usize| {
                let joined = joined(self, owned, at, to) == State::Joined(0);
                cluster.strangers.contains(&(to, at)) || joined || !self.is_ours(to) && linked(to)
            };
            let waits = |to: &usize| self.servers[*to].runs() && !self.apart(at, *to) && !met(*to);
            if let Some(to) = cluster.members[at].routes.iter().find(|to| waits(to)) {
                self.fail(format!("I15: server {to} does not let {at} in, which is there again"));
                return;
            }
        }
    }

    fn check_doomed(&mut self, owned: &[Vec<usize>]) {
        let now = self.now;
        let holds =
            |d: &Doomed| owned[d.server].contains(&d.link) || self.links_across(d.server).any(|l| l.0 == d.link);
        let late = self.doomed.iter().find(|d| d.until < now && self.servers[d.server].runs() && holds(d));
        if let Some(d) = late.copied() {
            self.fail(format!(
                "I14: server {} holds on to dead link {}, {} ms late",
                d.server,
                d.link,
                (now - d.until) / MILLISECOND
            ));
        }
        self.doomed.retain(|d| d.until >= now);
    }
}

/// All pairs of servers.
pub fn pairs(servers: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..servers).flat_map(move |a| (a + 1..servers).map(move |b| (a, b)))
}

fn both_ways(servers: usize) -> impl Iterator<Item = (usize, usize)> {
    pairs(servers).flat_map(|(a, b)| [(a, b), (b, a)])
}

/// Have two servers one route, at both ends the same?
fn joined(w: &World, owned: &[Vec<usize>], a: usize, b: usize) -> State {
    let of = |s: usize| -> Vec<usize> {
        let between = |l: &&usize| matches!(w.links[**l].servers, Some(ends) if ends == (a, b) || ends == (b, a));
        owned[s].iter().filter(between).copied().collect()
    };
    let (at_a, at_b) = (of(a), of(b));
    let run = w.servers[a].runs() && w.servers[b].runs();
    match (at_a.as_slice(), at_b.as_slice()) {
        ([], []) => State::Apart,
        ([l], [k]) if l == k && run && !w.apart(a, b) && !w.links[*l].cut && !w.links[*l].reset => {
            if w.links[*l].up.blocked || w.links[*l].down.blocked {
                State::Waiting
            } else {
                State::Joined(0)
            }
        }
        _ => State::Unsure,
    }
}
