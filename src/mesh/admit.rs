//! Who is let in: one route per server. Registration, the second connection that waits for the first to prove itself,
//! and all ends (cluster-protocol.md §§3.7, 3.16).

use super::book::{courtesy, Entry, Failure, Hope, Standing, STABLE_NS};
use super::core::{Act, Mesh};
use super::counters::Cause;
use super::link::{Ending, Link, Stage};
use super::peers::{Peer, Probe};
use super::speech::Hello;
use crate::base::limits::{DOUBTFUL_DIALS_MAX, HANDSHAKES_MAX, LEFT_MAX};
use crate::base::{Cid, Level, PeerId, Time, MILLISECOND, SECOND};
use crate::conn::{Instruction, Introduction, RouteNews, ORDERED_LINKS};
use crate::wire::address::shown;
use crate::wire::fault::write_fatal;
use crate::wire::traced::TRACING_PROTO;
use std::collections::BTreeMap;

/// A peer that was asked whether it is there has so long to answer.
const PROBE_NS: u64 = SECOND;
/// A second connection waits so long while the first is alive, for the peer to close either.
const PARKED_NS: u64 = 2 * SECOND;
/// And never longer than this.
const PARKED_MAX_NS: u64 = 15 * SECOND;

impl Mesh {
    /// Accepted, and all is well with it: the route is registered unless there is another one to that server.
    pub(super) fn meet(&mut self, rid: Cid, hello: Hello) {
        if let Some(peer) = self.peers.find(&hello.info.server_id) {
            self.probe(peer, Probe::Newcomer);
            return self.park(rid, hello);
        }
        if let Some(ours) = self.courting(&hello.info.server_id) {
            // Two of us dialed each other: the one with the smaller id keeps its dial. The other end knows that too: it
            // parks ours, for it has proposed already. A nats-server keeps whichever it registers first, and tells us by
            // answering one and closing the other.
            if !hello.is_turnpike() || self.identity.server_id < hello.info.server_id {
                return self.park(rid, hello);
            }
            self.end(ours, Ending::silent(Cause::Duplicate, "its own dial is kept"));
        }
        if let Some(link) = self.links.remove(&rid) {
            self.register(rid, link, hello);
        }
    }

    /// Keeps a second connection, silent and unread, in case the first is not what it seems.
    fn park(&mut self, rid: Cid, hello: Hello) {
        if let Some(older) = self.parked(&hello.info.server_id) {
            self.end(older, Ending::silent(Cause::Duplicate, "was followed by another connection"));
        }
        self.counters.parked += 1;
        let until = self.now.mono.plus_ns(PARKED_NS);
        if let Some(link) = self.links.get_mut(&rid) {
            link.deadline = until;
            link.stage = Stage::Parked { hello };
        }
    }

    fn parked(&self, id: &str) -> Option<Cid> {
        self.links.iter().find(|(_, l)| l.parked() == Some(id)).map(|(rid, _)| *rid)
    }

    /// Registers a link that is already out of the table.
    pub(super) fn register(&mut self, rid: Cid, mut link: Link, hello: Hello) {
        if !self.peers.room() {
            self.links.insert(rid, link);
            let why = "is one route too many: 128 are the most, those that just ended included";
            return self.end(rid, Ending::told(Cause::Full, "maximum routes exceeded", why));
        }
        let listener = hello.address(&link.ip);
        let dialable = listener.is_some();
        let address = listener.unwrap_or_else(|| link.shown());
        let configured = self.lists(&hello.info.server_id, &address)
            || link.dialed.as_ref().is_some_and(|a| self.book.get(a).is_some_and(|e| e.configured));
        let mode = link.dialed.as_ref().and_then(|a| self.book.get(a)).map_or(0, |e| e.mode);
        let ordered = hello.info.pools() && !self.gateway_url.is_empty();
        let shard = if ordered { ORDERED_LINKS } else { self.peers.idlest() };
        let peer = Peer {
            hello: hello.clone(),
            address,
            dialable,
            ip: link.ip.clone(),
            presented: link.presented.take(),
            rid,
            shard,
            since: self.now.mono,
            dialed: link.dialed.is_some(),
            configured,
            mode,
            reaches: BTreeMap::new(),
            overlooked: false,
            told: false,
            lists_us: None,
            lists_said: false,
            proved: false,
            probe: None,
            ending: false,
            anew: false,
            news: None,
        };
        let words = peer.shown();
        let Some(id) = self.peers.insert(peer) else { return };
        self.counters.registered += 1;
        if let Some(dialed) = &link.dialed {
            self.book.settle(dialed, &hello.info.server_id, &hello.info.server_name);
        }
        let route = Introduction {
            peer: id,
            server_id: hello.info.server_id.clone().into(),
            server_name: hello.info.server_name.clone().into(),
            ip: link.ip.clone().into(),
            port: link.port,
            rid,
            dialed: link.dialed.is_some(),
            configured,
            headers: hello.info.headers && self.identity.headers,
            start_ns: link.since.wall_ns,
            pools: hello.info.pools(),
            traces: hello.info.proto >= TRACING_PROTO,
            turnpike: hello.is_turnpike(),
            pong_due: link.dialed.is_some() && !link.ponged,
            rest: std::mem::take(&mut link.heard),
        };
        self.acts.push_back(Act::Give { link: rid, shard, route: Box::new(route) });
        self.log(Level::Info, format!("route to {words} registered (rid:{})", rid.0));
        self.tell_gateways(id);
        self.doubt_namesakes(id, &hello);
        self.introduce(id);
        self.changed();
        self.tell_clients();
    }

    /// Another server under a name that a route has already: either it was restarted, or two go by one name.
    fn doubt_namesakes(&mut self, newcomer: PeerId, hello: &Hello) {
        let same = |p: &Peer| {
            p.hello.info.server_name == hello.info.server_name && p.hello.info.server_id != hello.info.server_id
        };
        let namesakes: Vec<_> = self.peers.iter().filter(|(_, p)| same(p)).map(|(id, _)| id).collect();
        for namesake in namesakes {
            self.probe(namesake, Probe::Namesake(newcomer));
        }
    }

    fn probe(&mut self, id: PeerId, probe: Probe) {
        let until = self.now.mono.plus_ns(PROBE_NS);
        let Some(peer) = self.peers.get_mut(id).filter(|p| p.probe.is_none() && !p.ending) else { return };
        peer.probe = Some((probe, until));
        let shard = peer.shard;
        self.acts.push_back(Act::Tell { shard, instruction: Instruction::Probe { peer: id } });
    }

    /// A peer answered a probe.
    pub(super) fn alive(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let words = peer.shown();
        if let Some((Probe::Namesake(other), _)) = peer.probe.take() {
            if let Some(other) =
                self.peers.get(other).map(|p| format!("{} and server {}", p.address, shown(&p.hello.info.server_id)))
            {
                self.log(
                    Level::Error,
                    format!("two servers go by one name: {words} and {other}: give each its own server_name"),
                );
            }
        }
    }

    /// Has the shard end a route; `anew`: it is to be made again at once.
    pub(super) fn end_route(&mut self, id: PeerId, says: &str, why: &str, anew: bool) {
        let Some(peer) = self.peers.get_mut(id).filter(|p| !p.ending) else { return };
        (peer.ending, peer.anew) = (true, anew);
        let instruction = Instruction::End { peer: id, says: says.into(), why: why.into() };
        let shard = peer.shard;
        self.acts.push_back(Act::Tell { shard, instruction });
    }

    /// A route ended.
    pub(super) fn ended(&mut self, id: PeerId, why: &str) {
        let Some(peer) = self.peers.remove(id) else { return };
        self.acts.push_back(Act::News(RouteNews::Gone { peer: id }));
        self.log(Level::Info, format!("route to {} ended: {}", peer.shown(), shown(why)));
        self.doubt(&peer.hello.info.server_id);
        if peer.hello.info.ldm {
            self.left.truncate(LEFT_MAX - 1);
            self.left.push_front(peer.hello.info.server_id.clone());
        }
        if !self.promote(&peer.hello.info.server_id) {
            self.redial(&peer, why);
        }
        self.changed();
        self.tell_clients();
    }

    /// The parked connection to this server, if there is one, becomes its route.
    fn promote(&mut self, id: &str) -> bool {
        if self.peers.find(id).is_some() || self.courting(id).is_some() {
            return false;
        }
        let Some(rid) = self.parked(id) else { return false };
        let Some(mut link) = self.links.remove(&rid) else { return false };
        match std::mem::replace(&mut link.stage, Stage::Ignored) {
            Stage::Parked { hello } => {
                self.counters.promoted += 1;
                self.register(rid, link, hello);
                true
            }
            _ => false,
        }
    }

    /// After the end of a route: its address is dialed again. One address of several is enough; the others' turn comes
    /// when that one fails.
    fn redial(&mut self, peer: &Peer, why: &str) {
        let id = &peer.hello.info.server_id;
        let lasted = self.now.mono.since(peer.since) >= STABLE_NS;
        let mut addresses = self.book.settled(id);
        addresses.sort_by_key(|a| !self.book.get(a).is_some_and(|e| e.configured));
        if peer.hello.info.ldm {
            // It said that it is going: only the operator's word makes us look for it.
            addresses.iter().for_each(|a| self.book.forget(a, self.now.mono));
            addresses.retain(|a| self.book.get(a).is_some());
        } else if addresses.is_empty()
            && self.book.of(id).next().is_none()
            && peer.dialable
            && !self.is_own(&peer.address)
        {
            self.book.learn(&peer.address, id, &peer.hello.info.server_name, 0, self.now.mono, 0);
            addresses.push(peer.address.clone());
        }
        addresses.iter().for_each(|a| self.book.parted(a, self.now.mono));
        let Some(address) = addresses.first() else { return };
        let Some(entry) = self.book.get_mut(address) else { return };
        why.clone_into(&mut entry.last_error);
        if lasted || peer.anew {
            // The first attempt is made at once; of two that are as free to dial, one goes first.
            let delay = match entry.configured {
                true => self.rng.below(20) * MILLISECOND,
                false => courtesy(&self.identity.server_id, id, &mut self.rng),
            };
            self.book.wake(address, self.now.mono, delay);
        } else {
            self.dial_failed(address, Failure::Broken, why);
        }
    }

    /// An attempt to reach an address failed, with or without a connection.
    pub(super) fn dial_failed(&mut self, address: &str, how: Failure, why: &str) {
        let Some((id, failures)) = self.book.get(address).map(|e| (e.id.clone(), e.failures)) else { return };
        let hope = Hope { retries: self.cluster.connect_retries, wanted: self.wanted(&id, failures) };
        self.book.failed(address, how, why, self.now.mono, &mut self.rng, hope);
        self.release(&id, address);
    }

    /// Does a live member reach this server, as far as we know?
    fn wanted(&self, id: &str, failures: u32) -> bool {
        let named = self.peers.iter().filter_map(|(_, p)| p.reaches.get(id));
        named.into_iter().any(|n| !n.doubtful || failures < DOUBTFUL_DIALS_MAX)
    }

    /// What rested because `id` was reached, or about to be, rests no longer.
    fn release(&mut self, id: &str, but: &str) {
        if id.is_empty() || self.peers.find(id).is_some() || self.courting(id).is_some() || self.promote(id) {
            return;
        }
        for address in self.book.settled(id).into_iter().filter(|a| a != but) {
            self.book.wake_soon(&address, self.now.mono);
        }
    }

    /// Ends a link; of a number that is none, nothing.
    pub(super) fn end(&mut self, rid: Cid, ending: Ending) {
        let Some(link) = self.links.remove(&rid) else { return };
        if !ending.says.is_empty() {
            let mut line = Vec::new();
            write_fatal(&mut line, &ending.says);
            self.write(rid, line);
        }
        self.acts.push_back(Act::Close { link: rid });
        let who = if link.dialed.is_some() { link.shown() } else { link.ip.clone() };
        self.fail(ending.cause, &who, format!("{} {}", link.shown(), ending.why));
        let courted = link.courts().map(String::from);
        self.rebook(rid, link.dialed, &ending);
        if let Some(id) = courted.filter(|_| ending.cause != Cause::Duplicate) {
            self.release(&id, "");
        }
    }

    /// What the end of a dialed link means for its address.
    fn rebook(&mut self, rid: Cid, address: Option<String>, ending: &Ending) {
        let Some(address) = address else { return };
        let known = self.book.get(&address).filter(|e| e.standing == Standing::Greeting(rid));
        let Some((id, name)) = known.map(|e| (e.id.clone(), e.name.clone())) else { return };
        match ending.cause {
            Cause::Itself => {
                if let Some(entry) = self.book.get_mut(&address) {
                    entry.standing = Standing::Own;
                }
            }
            Cause::Duplicate => self.book.settle(&address, &id, &name),
            Cause::Given => {
                let delay = (50 + self.rng.below(100)) * MILLISECOND;
                self.book.wake(&address, self.now.mono, delay);
            }
            _ => self.dial_failed(&address, Failure::Broken, &ending.why),
        }
    }

    /// Wakes addresses that rest for the sake of a server that there is neither a route nor an attempt to: it was
    /// restarted under another id, and may have moved.
    pub(super) fn wake_orphans(&mut self) {
        let resting = self.book.iter().filter(|(_, e)| e.standing == Standing::Settled);
        let orphans = resting.filter(|(_, e)| {
            let tried = |e: &Entry| !matches!(e.standing, Standing::Settled | Standing::Own);
            let followed = self.peers.find(&e.id).is_some() || self.book.of(&e.id).any(|(_, e)| tried(e));
            !followed && self.courting(&e.id).is_none() && self.parked(&e.id).is_none()
        });
        for address in orphans.map(|(address, _)| address.clone()).collect::<Vec<_>>() {
            self.book.wake_soon(&address, self.now.mono);
        }
    }

    /// Room for one more connection in handshake: the oldest goes.
    pub(super) fn make_room(&mut self) {
        let accepted = || self.links.iter().filter(|(_, l)| l.dialed.is_none());
        if accepted().count() < HANDSHAKES_MAX {
            return;
        }
        // Numbers grow: the first is the oldest.
        if let Some(oldest) = accepted().next().map(|(rid, _)| *rid) {
            self.end(
                oldest,
                Ending::silent(Cause::Crowded, "gave way: too many connections to the cluster port at a time"),
            );
        }
    }

    /// Links whose time is over.
    pub(super) fn expire(&mut self) {
        let now = self.now.mono;
        let over: Vec<Cid> = self.links.iter().filter(|(_, l)| l.deadline <= now).map(|(rid, _)| *rid).collect();
        for rid in over {
            let Some(link) = self.links.get_mut(&rid) else { continue };
            let ending = match &link.stage {
                Stage::Held => {
                    self.greet(rid);
                    continue;
                }
                Stage::Greeted | Stage::Verifying { .. } | Stage::Admitted => {
                    Ending::told(Cause::Timeout, "Authentication Timeout", "said too little in too long a time")
                }
                Stage::Knocking => Ending::silent(Cause::Timeout, "said no INFO within 2 s"),
                Stage::Asked { .. } | Stage::Proposed { .. } => {
                    Ending::silent(Cause::Timeout, "did not answer CONNECT and INFO within 5 s")
                }
                Stage::Ignored => Ending::silent(Cause::Duplicate, "is for one account and was not closed by its peer"),
                Stage::Parked { hello } => {
                    let undecided = match self.peers.find(&hello.info.server_id).and_then(|p| self.peers.get(p)) {
                        Some(peer) => peer.ending || peer.probe.is_some(),
                        None => true,
                    };
                    if undecided && now.since(link.since.mono) < PARKED_MAX_NS {
                        link.deadline = now.plus_ns(SECOND);
                        continue;
                    }
                    Ending::silent(Cause::Duplicate, "is a second connection; the first is alive")
                }
            };
            self.end(rid, ending);
        }
    }

    /// Routes that have lasted, and peers that did not answer in time.
    pub(super) fn prove(&mut self) {
        let now = self.now.mono;
        let (mut proved, mut silent) = (Vec::new(), Vec::new());
        for (id, peer) in self.peers.iter_mut() {
            if !peer.proved && proof_at(peer) <= now {
                peer.proved = true;
                proved.push((id, peer.hello.info.server_id.clone()));
            }
            if peer.probe.as_ref().is_some_and(|(_, until)| *until <= now) {
                peer.probe = None;
                silent.push(id);
            }
        }
        for (id, server) in proved {
            self.book.proved(&server);
            self.say_lists(id);
        }
        for id in silent {
            self.end_route(id, "", "it did not answer a probe within 1 s, and a newcomer came in its place", false);
        }
    }

    /// When [`Mesh::prove`] has something to do.
    pub(super) fn next_proof(&self) -> Option<Time> {
        let of = |p: &Peer| {
            let probe = p.probe.as_ref().map(|(_, until)| *until);
            [(!p.proved).then(|| proof_at(p)), probe].into_iter().flatten().min()
        };
        self.peers.iter().filter_map(|(_, p)| of(p)).min()
    }
}

fn proof_at(peer: &Peer) -> Time {
    peer.since.plus_ns(STABLE_NS)
}
