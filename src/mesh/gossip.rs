//! What members tell each other about members (cluster-protocol.md §§3.10, 3.16). nats-servers are told of a newcomer
//! once; turnpikes tell each other whom they reach, whenever it changes, so that nobody stays unknown and a gap is seen
//! from both of its ends.

use super::book::courtesy;
use super::core::{Act, Mesh};
use super::counters::Cause;
use super::names::Match;
use super::peers::Named;
use super::speech::{dialable, route_url, Hello};
use crate::base::limits::{CLUSTERS_MAX, PEER_REACHES_MAX, PEER_TEXT_BYTES_MAX, PEER_URLS_MAX};
use crate::base::{Level, PeerId};
use crate::conn::{Instruction, RouteNews};
use crate::wire::address::{join_address, shown};
use crate::wire::route::{Reached, Refusal, RouteInfo, LINE_MAX};
use crate::wire::Fault;
use std::collections::BTreeMap;

/// Bytes of one entry of `reaches` beside its texts.
const REACHED_FRAME: usize = 30;

impl Mesh {
    /// Makes a newcomer and the others known to each other. The newcomer is told whom we reach, if it can hear it; the
    /// others hear of it now (nats-servers) or with the next account of whom we reach (turnpikes).
    pub(super) fn introduce(&mut self, newcomer: PeerId) {
        self.tell_state(newcomer);
        let Some(new) = self.peers.get(newcomer) else { return };
        // A newcomer that others learned of where we learned of it is known to them already (§3.10).
        let by_gossip = new.dialed && !new.configured && new.mode == 1;
        if new.hello.info.gossip_mode == 1 || by_gossip || !new.dialable {
            return;
        }
        let mode = |to_configured: bool| match (new.dialed, new.configured, to_configured) {
            (true, true, _) | (false, _, true) => 2,
            (false, _, false) => 1,
            (true, false, _) => 0,
        };
        let others = self.peers.iter().filter(|(id, p)| *id != newcomer && !p.hello.is_turnpike());
        let said: Vec<Act> = others
            .filter_map(|(id, p)| {
                let line = new.hello.handed_on(&new.address, &self.name.name, mode(p.dialed && p.configured))?;
                Some(Act::Tell { shard: p.shard, instruction: Instruction::Say { peer: id, line } })
            })
            .collect();
        self.acts.extend(said);
    }

    /// Tells every turnpike whom we reach.
    pub(super) fn tell_reach(&mut self) {
        let turnpikes: Vec<_> = self.peers.iter().filter(|(_, p)| p.hello.is_turnpike()).map(|(id, _)| id).collect();
        turnpikes.into_iter().for_each(|id| self.tell_state(id));
    }

    /// Tells every peer what changed about ourselves.
    pub(super) fn tell_peers_about_us(&mut self) {
        let all: Vec<_> = self.peers.iter().map(|(id, p)| (id, p.hello.is_turnpike())).collect();
        for (id, turnpike) in all {
            match turnpike {
                true => self.tell_state(id),
                false => self.say(id, &self.info()),
            }
        }
    }

    /// Our INFO with whom we reach, and whether the hearer is in our list; for turnpikes only.
    fn tell_state(&mut self, to: PeerId) {
        let Some(hearer) = self.peers.get(to).filter(|p| p.hello.is_turnpike()) else { return };
        let others = self.peers.iter().filter(|(id, p)| *id != to && !p.ending && p.dialable);
        let reaches = others.map(|(_, p)| Reached {
            id: p.hello.info.server_id.clone(),
            name: p.hello.info.server_name.clone(),
            url: route_url(&p.address),
        });
        // A hundred members with the longest of names would not fit into a line; those left out are told of by others.
        let mut room = LINE_MAX / 2;
        let fits = reaches.take_while(|r| {
            room = room.saturating_sub(r.id.len() + r.name.len() + r.url.len() + REACHED_FRAME);
            room > 0
        });
        let reaches_clusters = self.reaches_clusters.clone();
        let info = RouteInfo { reaches: fits.collect(), lists_you: hearer.configured, reaches_clusters, ..self.info() };
        self.say(to, &info);
    }

    fn say(&mut self, peer: PeerId, info: &RouteInfo) {
        let Some(shard) = self.peers.get(peer).map(|p| p.shard) else { return };
        let mut line = Vec::new();
        info.write(&mut line);
        self.acts.push_back(Act::Tell { shard, instruction: Instruction::Say { peer, line } });
    }

    /// An INFO came over a registered route.
    pub(super) fn informed(&mut self, from: PeerId, json: &[u8]) {
        let Some(peer) = self.peers.get(from) else { return };
        let (sender, rid) = (peer.hello.info.server_id.clone(), peer.shown());
        let Some(hello) = Hello::read(json) else {
            return self.end_route(from, Fault::Malformed.text(), "it sent a malformed INFO", false);
        };
        let info = &hello.info;
        if !info.gateway.is_empty() {
            let json = json.to_vec();
            return self.acts.push_back(Act::News(RouteNews::Gossip { peer: from, json }));
        }
        if !info.route_acc_add_reqid.is_empty() || info.server_id.is_empty() {
            return;
        }
        let same = info.cluster.is_empty() || info.cluster == self.name.name;
        match (info.server_id == sender, same) {
            (true, true) => self.peer_informed(from, hello),
            (true, false) => self.peer_renamed(from, info),
            (false, true) => self.named(from, &hello),
            (false, false) => {
                let text = format!("{rid} named a member of another cluster, \"{}\"", shown(&info.cluster));
                self.fail(Cause::ClusterName, &rid, text);
            }
        }
    }

    /// A peer goes by another cluster's name now.
    fn peer_renamed(&mut self, from: PeerId, info: &RouteInfo) {
        match self.name.compare(&info.cluster, info.cluster_dynamic) {
            // It keeps its name if it was configured; then we take it, and all routes are made anew.
            Match::WeYield => self.adopt(&info.cluster, info.cluster_dynamic, None),
            Match::Same | Match::TheyYield => {}
            Match::Clash => {
                let says = Refusal::Cluster { theirs: &info.cluster, ours: &self.name.name }.to_string();
                self.end_route(from, &says, &says, false);
            }
        }
    }

    /// News of the peer itself.
    fn peer_informed(&mut self, from: PeerId, hello: Hello) {
        self.peer_moved(from, &hello);
        let info = hello.info;
        if self.name.compare(&info.cluster, info.cluster_dynamic) == Match::WeYield {
            // The same name; but now we know that somebody configured it.
            self.adopt(&info.cluster, info.cluster_dynamic, None);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        let going = info.ldm && !peer.hello.info.ldm;
        let words = peer.shown();
        let clients = info.ldm != peer.hello.info.ldm || info.connect_urls != peer.hello.info.connect_urls;
        peer.hello.info.ldm = info.ldm;
        peer.hello.info.connect_urls.clone_from(&info.connect_urls);
        peer.hello.info.reaches_clusters.clone_from(&info.reaches_clusters);
        peer.hello.info.borders = info.borders;
        peer.hello.info.border.clone_from(&info.border);
        if info.gateway_url.len() <= PEER_TEXT_BYTES_MAX {
            peer.hello.info.gateway_url.clone_from(&info.gateway_url);
        }
        let turnpike = peer.hello.is_turnpike();
        peer.lists_us = turnpike.then_some(info.lists_you);
        if going {
            self.log(Level::Info, format!("{words} is in lame duck mode: clients are no longer sent there"));
        }
        if clients {
            self.tell_clients();
        }
        self.say_lists(from);
        self.tell_gateways(from);
        self.review_soon();
        // A turnpike says all of it each time; a nats-server nothing.
        if turnpike {
            self.heard_reach(from, &info.reaches);
        }
    }

    /// A peer may be dialed elsewhere from now on (`cluster.advertise`, after a reload).
    fn peer_moved(&mut self, from: PeerId, hello: &Hello) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let Some(address) = hello.address(&peer.ip).filter(|a| *a != peer.address) else { return };
        let (left, was, known) = (peer.address.clone(), peer.shown(), &mut peer.hello.info);
        (known.ip, known.host, known.port) = (hello.info.ip.clone(), hello.info.host.clone(), hello.info.port);
        let (id, name) = (known.server_id.clone(), known.server_name.clone());
        (peer.address, peer.dialable) = (address.clone(), true);
        self.book.forget(&left, self.now.mono);
        if !self.is_own(&address) {
            self.book.learn(&address, &id, &name, 0, self.now.mono, 0);
        }
        self.book.settle(&address, &id, &name);
        self.log(Level::Info, format!("{was} is dialed at {address} from now on"));
        self.changed();
    }

    /// Tells the machine that has the gateways about a member, if it does not know that already: members say all of it
    /// each time that anything about them changes.
    pub(super) fn tell_gateways(&mut self, peer: PeerId) {
        let Some(info) = self.peers.get(peer).map(|p| &p.hello.info) else { return };
        let fitting = |texts: &[String]| -> Vec<String> {
            texts.iter().filter(|t| t.len() <= PEER_TEXT_BYTES_MAX).take(CLUSTERS_MAX).cloned().collect()
        };
        let gateway_url =
            if info.gateway_url.len() <= PEER_TEXT_BYTES_MAX { info.gateway_url.clone() } else { String::new() };
        let news = RouteNews::Member {
            peer,
            server_id: info.server_id.clone(),
            server_name: info.server_name.clone(),
            gateway_url,
            reaches: fitting(&info.reaches_clusters),
            pools: info.pools(),
            borders: info.borders,
            border: info.border.clone(),
        };
        let Some(peer) = self.peers.get_mut(peer).filter(|p| p.news.as_ref() != Some(&news)) else { return };
        peer.news = Some(news.clone());
        self.acts.push_back(Act::News(news));
    }

    /// A turnpike says whom it reaches: all of them.
    fn heard_reach(&mut self, from: PeerId, reaches: &[Reached]) {
        let own = self.identity.server_id.clone();
        let Some(peer) = self.peers.get_mut(from) else { return };
        let others = reaches.iter().take(PEER_REACHES_MAX).filter(|r| r.id != own && r.id != peer.hello.info.server_id);
        let named = others.filter_map(|r| Some((r.id.clone(), named(&r.id, &r.name, dialable(&r.url)?)?)));
        let named: BTreeMap<String, Named> = named.collect();
        let before = std::mem::replace(&mut peer.reaches, named.clone());
        if reaches.len() > PEER_REACHES_MAX {
            self.overlook(from);
        }
        for (id, n) in &named {
            // Who is dialed in vain may be found where he has moved.
            let moved = before.get(id).is_some_and(|was| was.address != n.address);
            if moved && self.peers.find(id).is_none() && !self.is_own(&n.address) {
                self.book.learn(&n.address, id, &n.name, 0, self.now.mono, 0);
            }
            self.learn(id, &n.name, &n.address, 0);
        }
        self.review_soon();
    }

    /// A nats-server handed on a member's INFO.
    fn named(&mut self, from: PeerId, hello: &Hello) {
        let info = &hello.info;
        if self.left.contains(&info.server_id) {
            return;
        }
        let Some(named) = hello.address("").and_then(|a| named(&info.server_id, &info.server_name, a)) else { return };
        let Some(peer) = self.peers.get_mut(from).filter(|_| info.server_id != self.identity.server_id) else { return };
        // A turnpike's own account of whom it reaches is the better word.
        if !peer.hello.is_turnpike() {
            if peer.reaches.len() >= PEER_REACHES_MAX && !peer.reaches.contains_key(&info.server_id) {
                return self.overlook(from);
            }
            peer.reaches.insert(info.server_id.clone(), named.clone());
        }
        self.learn(&info.server_id, &named.name, &named.address, info.gossip_mode);
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
    fn learn(&mut self, id: &str, name: &str, address: &str, mode: i64) {
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
        for (_, peer) in self.peers.iter_mut().filter(|(_, p)| !p.hello.is_turnpike()) {
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
        // Who was told of others is told when the last of them has gone: clients keep what no new list replaces. A server
        // that never had a peer says nothing, and nats-server does both.
        let had_peers = !self.told_urls.0.is_empty();
        if !self.cluster.no_advertise && (self.peers.len() > 0 || had_peers) {
            let own = self.own_urls.iter().filter(|_| !self.ldm);
            let others = self
                .peers
                .iter()
                .filter(|(_, p)| !p.hello.info.ldm)
                .flat_map(|(_, p)| p.hello.info.connect_urls.iter().take(PEER_URLS_MAX));
            let others = others.filter(|url| url.len() <= PEER_TEXT_BYTES_MAX);
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

/// A member as named; `None`: nobody's id or name is so long.
fn named(id: &str, name: &str, address: String) -> Option<Named> {
    let fine = !id.is_empty() && id.len() <= PEER_TEXT_BYTES_MAX && name.len() <= PEER_TEXT_BYTES_MAX;
    fine.then(|| Named { name: name.into(), address, doubtful: false })
}
