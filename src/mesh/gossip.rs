//! What members tell each other about members (cluster-protocol.md §§3.10, 3.16). nats-servers are told of a newcomer
//! once; turnpikes tell each other whom they reach, whenever it changes, so that nobody stays unknown and a gap is seen
//! from both of its ends.

use super::book::courtesy;
use super::core::{Act, Mesh};
use super::counters::Cause;
use super::names::Match;
use super::peers::Named;
use super::speech::{join_address, line, shown, Hello, Reach};
use crate::base::limits::PEER_REACHES_MAX;
use crate::base::{Level, PeerId};
use crate::conn::Instruction;
use serde_json::{json, Value};

impl Mesh {
    /// Makes a newcomer and the others known to each other. The newcomer is told whom we reach, if it can hear it; the
    /// others hear of it now (nats-servers) or with the next account of whom we reach (turnpikes).
    pub(super) fn introduce(&mut self, newcomer: PeerId) {
        self.tell_state(newcomer);
        let Some(new) = self.peers.get(newcomer) else { return };
        // A newcomer that others learned of where we learned of it is known to them already (§3.10).
        let by_gossip = new.dialed && !new.configured && new.mode == 1;
        if new.hello.gossip_mode == 1 || by_gossip {
            return;
        }
        let mode = |to_configured: bool| match (new.dialed, new.configured, to_configured) {
            (true, true, _) | (false, _, true) => 2,
            (false, _, false) => 1,
            (true, false, _) => 0,
        };
        let others = self.peers.iter().filter(|(id, p)| *id != newcomer && !p.hello.turnpike);
        let said: Vec<Act> = others
            .map(|(id, p)| {
                let line = new.hello.handed_on(&new.address, &self.name.name, mode(p.dialed && p.configured));
                Act::Tell { shard: p.shard, instruction: Instruction::Say { peer: id, line } }
            })
            .collect();
        self.acts.extend(said);
    }

    /// Tells every turnpike whom we reach.
    pub(super) fn tell_reach(&mut self) {
        let turnpikes: Vec<_> = self.peers.iter().filter(|(_, p)| p.hello.turnpike).map(|(id, _)| id).collect();
        turnpikes.into_iter().for_each(|id| self.tell_state(id));
    }

    /// Tells every peer what changed about ourselves.
    pub(super) fn tell_peers_about_us(&mut self) {
        let all: Vec<_> = self.peers.iter().map(|(id, p)| (id, p.hello.turnpike)).collect();
        for (id, turnpike) in all {
            match turnpike {
                true => self.tell_state(id),
                false => self.say(id, line("INFO", &self.info())),
            }
        }
    }

    /// Our INFO with whom we reach, and whether the hearer is in our list; for turnpikes only.
    fn tell_state(&mut self, to: PeerId) {
        let Some(hearer) = self.peers.get(to).filter(|p| p.hello.turnpike) else { return };
        let others = self.peers.iter().filter(|(id, p)| *id != to && !p.ending);
        let reaches: Vec<Value> =
            others.map(|(_, p)| json!({"id": p.hello.id, "name": p.hello.name, "url": p.address})).collect();
        let mut info = self.info();
        info.insert("reaches".into(), reaches.into());
        info.insert("lists_you".into(), hearer.configured.into());
        self.say(to, line("INFO", &info));
    }

    fn say(&mut self, peer: PeerId, line: Vec<u8>) {
        let Some(shard) = self.peers.get(peer).map(|p| p.shard) else { return };
        self.acts.push_back(Act::Tell { shard, instruction: Instruction::Say { peer, line } });
    }

    /// An INFO came over a registered route.
    pub(super) fn informed(&mut self, from: PeerId, json: &[u8]) {
        let Some(peer) = self.peers.get(from) else { return };
        let (sender, rid) = (peer.hello.id.clone(), peer.shown());
        let Some(info) = Hello::read(json) else {
            return self.end_route(from, "Parser Error", "it sent a malformed INFO", false);
        };
        if !info.gateway.is_empty() || info.account_request || info.id.is_empty() {
            return;
        }
        let same = info.cluster.is_empty() || self.name.compare(&info.cluster, info.cluster_dynamic) == Match::Same;
        match (info.id == sender, same) {
            (true, true) => self.peer_informed(from, info),
            (true, false) => self.peer_renamed(from, &info),
            (false, true) => self.named(from, &info),
            (false, false) => {
                let text = format!("{rid} named a member of another cluster, \"{}\"", shown(&info.cluster));
                self.fail(Cause::ClusterName, &rid, text);
            }
        }
    }

    /// A peer goes by another cluster's name now.
    fn peer_renamed(&mut self, from: PeerId, info: &Hello) {
        match self.name.compare(&info.cluster, info.cluster_dynamic) {
            // It keeps its name if it was configured; then we take it, and all routes are made anew.
            Match::WeYield => self.adopt(&info.cluster, info.cluster_dynamic, None),
            Match::Same | Match::TheyYield => {}
            Match::Clash => {
                let names =
                    format!("cluster name \"{}\" does not match \"{}\"", shown(&info.cluster), shown(&self.name.name));
                self.end_route(from, &format!("Rejecting connection, {names}"), &names, false);
            }
        }
    }

    /// News of the peer itself.
    fn peer_informed(&mut self, from: PeerId, info: Hello) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let going = info.ldm && !peer.hello.ldm;
        let words = peer.shown();
        peer.hello.ldm = info.ldm;
        peer.hello.connect_urls.clone_from(&info.connect_urls);
        peer.lists_us = info.lists.or(peer.lists_us);
        if going {
            self.log(Level::Info, format!("{words} is in lame duck mode: clients are no longer sent there"));
        }
        self.tell_clients();
        self.say_lists(from);
        if let Some(reaches) = info.reaches {
            self.heard_reach(from, reaches, info.reaches_cut);
        }
    }

    /// A turnpike says whom it reaches: all of them.
    fn heard_reach(&mut self, from: PeerId, reaches: Vec<Reach>, cut: bool) {
        let own = self.identity.server_id.clone();
        let Some(peer) = self.peers.get_mut(from) else { return };
        let others = reaches.iter().filter(|r| r.id != own && r.id != peer.hello.id);
        peer.reaches = others
            .map(|r| (r.id.clone(), Named { name: r.name.clone(), address: r.address.clone(), doubtful: false }))
            .collect();
        if cut {
            self.overlook(from);
        }
        for r in &reaches {
            self.learn(&r.id, &r.name, &r.address, 0);
        }
        self.review_soon();
    }

    /// A nats-server handed on a member's INFO.
    fn named(&mut self, from: PeerId, info: &Hello) {
        let Some(address) = info.address("") else { return };
        if info.id == self.identity.server_id {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        if peer.hello.turnpike {
            // Its own account of whom it reaches is the better word.
            return self.learn(&info.id, &info.name, &address, info.gossip_mode);
        }
        if peer.reaches.len() >= PEER_REACHES_MAX && !peer.reaches.contains_key(&info.id) {
            return self.overlook(from);
        }
        let named = Named { name: info.name.clone(), address: address.clone(), doubtful: false };
        peer.reaches.insert(info.id.clone(), named);
        self.learn(&info.id, &info.name, &address, info.gossip_mode);
        self.review_soon();
    }

    /// More members were named than a cluster can have: said once per peer.
    fn overlook(&mut self, from: PeerId) {
        self.counters.overlooked += 1;
        let Some(peer) = self.peers.get_mut(from).filter(|p| !p.overlooked) else { return };
        peer.overlooked = true;
        let text = format!("{} names more than {PEER_REACHES_MAX} members: the others are overlooked", peer.shown());
        self.log(Level::Warn, text);
    }

    /// A member lives at `address`: it is dialed unless it is known or is ourselves.
    fn learn(&mut self, id: &str, name: &str, address: &str, mode: u8) {
        let known = id == self.identity.server_id
            || self.peers.find(id).is_some()
            || self.courting(id).is_some()
            || self.book.of(id).next().is_some()
            || self.is_own(address);
        if known {
            return;
        }
        let delay = courtesy(&self.identity.server_id, id, &mut self.rng);
        self.book.learn(address, id, name, mode, self.now.mono, delay);
        if self.book.full && !self.full_said {
            self.full_said = true;
            self.log(Level::Warn, "more addresses of members are named than are remembered".into());
        }
    }

    /// Is this where we ourselves are dialed?
    pub(super) fn is_own(&self, address: &str) -> bool {
        let (host, port) = self.advertised().unwrap_or((self.identity.host.clone(), self.identity.port));
        address == join_address(&host, port)
    }

    /// Our route to `id` ended: who cannot say that it lost it too is no longer believed to reach it.
    pub(super) fn doubt(&mut self, id: &str) {
        for (_, peer) in self.peers.iter_mut().filter(|(_, p)| !p.hello.turnpike) {
            if let Some(named) = peer.reaches.get_mut(id) {
                named.doubtful = true;
            }
        }
    }

    /// Says once who does not list whom, when both have had the time to find out.
    pub(super) fn say_lists(&mut self, id: PeerId) {
        let waiting = self.book.iter().any(|(_, e)| e.configured && e.id.is_empty());
        let Some(peer) = self.peers.get_mut(id).filter(|p| p.proved && !p.lists_said && !waiting) else { return };
        let Some(lists_us) = peer.lists_us else { return };
        peer.lists_said = true;
        let (words, we_list) = (peer.shown(), peer.configured);
        match (lists_us, we_list) {
            (true, false) => {
                let text = format!(
                    "{words} has this server in its routes, this server does not have it; the route works both ways"
                );
                self.log(Level::Info, text);
            }
            (false, true) => {
                let text = format!(
                    "{words} is in this server's routes, but does not have this one; the route works both ways"
                );
                self.log(Level::Info, text);
            }
            _ => {}
        }
    }

    /// Tells clients where they can go, if that changed (§3.16).
    pub(super) fn tell_clients(&mut self) {
        let mut urls: Vec<String> = Vec::new();
        if !self.cluster.no_advertise && self.peers.len() > 0 {
            let own = self.own_urls.iter().filter(|_| !self.ldm);
            let others = self.peers.iter().filter(|(_, p)| !p.hello.ldm).flat_map(|(_, p)| &p.hello.connect_urls);
            for url in own.chain(others) {
                if !urls.contains(url) {
                    urls.push(url.clone());
                }
            }
        }
        let now = (urls, self.ldm);
        if now != self.told_urls {
            let (urls, ldm) = now.clone();
            self.told_urls = now;
            self.acts.push_back(Act::ClientUrls { urls, ldm });
        }
    }
}
