//! A little world of clusters: machines, connections as queues of what is under way, shards that only know PING, PONG and
//! INFO, and a mesh that always works. What happens next is chosen from outside, so that all orders can be played.

mod checks;

use super::nats::{Do, Nats};
use crate::base::{Cid, FarId, Level, Now, PeerId, Rng, ShardId, Time, MILLISECOND, SECOND};
use crate::conn::{GatewayInstruction, GatewayIntroduction, GatewayTidings, RouteNews, TheirRules, Way};
use crate::gateways::{Act, Dial, Gateways, Identity, Setup};
use crate::policy::{Gateway, Proof, RemoteGateway, RouteUrl};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const SHARDS: usize = 2;

pub(super) fn ip(node: usize) -> String {
    format!("10.0.{}.{}", node / 250, node % 250 + 1)
}

pub(super) fn address(node: usize) -> String {
    format!("{}:7222", ip(node))
}

/// Settings of a cluster that lists these: name and node.
pub(super) fn gateway(name: &str, lists: &[(&str, usize)]) -> Gateway {
    let mut remotes: Vec<RemoteGateway> = Vec::new();
    for (remote, node) in lists {
        let url = RouteUrl { host: ip(*node), port: 7222, login: None };
        match remotes.iter_mut().find(|r| r.name == *remote) {
            Some(r) => r.urls.push(url),
            None => remotes.push(RemoteGateway { name: (*remote).into(), urls: vec![url], entries: 1, tls: None }),
        }
    }
    Gateway { name: name.into(), remotes, ..Gateway::default() }
}

pub(super) fn identity(id: &str, node: usize) -> Identity {
    Identity {
        server_id: id.into(),
        server_name: format!("n{node}"),
        host: ip(node),
        port: 7222,
        max_payload: 1 << 20,
        headers: true,
    }
}

pub(super) struct Node {
    pub machine: Gateways,
    pub cluster: String,
    pub id: String,
    pub up: bool,
    /// Registered links: which way, where to, and bytes not understood yet.
    pub links: BTreeMap<Cid, (GatewayIntroduction, Vec<u8>)>,
    pub log: Vec<(Level, String)>,
    pub reaches: Vec<String>,
    fars: BTreeSet<FarId>,
    pub nats: Option<Nats>,
    /// It has no gateway; only its routes are there.
    pub bare: bool,
    /// What its mesh tells members of its rules.
    pub border: String,
    /// What each shard was told that clusters let in.
    pub theirs: BTreeMap<Cid, TheirRules>,
    /// Members whose routes it ended, with what they were told.
    pub left: Vec<(usize, String)>,
    /// Lines about rules that it read on registered links.
    pub rules_read: usize,
}

enum Item {
    Open,
    Bytes(Vec<u8>),
    Fin,
}

struct Wire {
    ends: [(usize, Cid); 2],
    open: [bool; 2],
    queues: [VecDeque<Item>; 2],
}

/// What can happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Connect(usize),
    Arrive(usize, usize),
}

pub(super) struct World {
    pub nodes: Vec<Node>,
    pub now: Time,
    wires: Vec<Wire>,
    by_cid: BTreeMap<(usize, Cid), usize>,
    dials: Vec<(usize, Dial, String)>,
    cids: u64,
    /// Who cannot reach whom: dialer, target.
    pub cut: Vec<(usize, usize)>,
    /// When a node dialed an address, all of it.
    pub dialed: BTreeMap<(usize, String), Vec<Time>>,
    nats_dials: Vec<(Time, usize, String, String)>,
    /// Lines for members: to whom, from whom. They wait while a route is being made, of which one side hears first.
    gossip: VecDeque<(usize, usize, Vec<u8>)>,
    joining: bool,
    /// Ends whose other end died in silence, and when their shard notices.
    stale: Vec<(Time, usize, usize)>,
}

impl World {
    pub(super) fn new() -> World {
        World {
            nodes: Vec::new(),
            now: Time(SECOND),
            wires: Vec::new(),
            by_cid: BTreeMap::new(),
            dials: Vec::new(),
            cids: 0,
            cut: Vec::new(),
            dialed: BTreeMap::new(),
            nats_dials: Vec::new(),
            gossip: VecDeque::new(),
            joining: false,
            stale: Vec::new(),
        }
    }

    fn moment(&self) -> Now {
        Now { mono: self.now, wall_ns: self.now.0 }
    }

    /// Starts a server, or starts one anew in its place.
    pub(super) fn start(&mut self, at: usize, id: &str, gateway: Gateway) {
        let cluster = gateway.name.clone();
        let setup = Setup {
            shards: SHARDS,
            seed: at as u64 + 77,
            gateway,
            identity: identity(id, at),
            accounts: vec!["$G".into(), "$SYS".into()],
            system: Some(1),
        };
        let machine = Gateways::new(setup, self.moment());
        let node = Node {
            machine,
            cluster,
            id: id.into(),
            up: true,
            links: BTreeMap::new(),
            log: Vec::new(),
            reaches: Vec::new(),
            fars: BTreeSet::new(),
            nats: None,
            bare: false,
            border: String::new(),
            theirs: BTreeMap::new(),
            left: Vec::new(),
            rules_read: 0,
        };
        if at < self.nodes.len() {
            self.nodes[at] = node;
        } else {
            self.nodes.push(node);
        }
        self.joining = true;
        self.tick(at);
        self.join(at);
    }

    pub(super) fn start_nats(&mut self, at: usize, id: &str, cluster: &str, promising: bool, lists: &[(&str, usize)]) {
        self.start(at, id, gateway(cluster, &[]));
        let nats = Nats::new(at, id, cluster, promising, lists);
        let acts = nats.start();
        self.nodes[at].nats = Some(nats);
        self.nats_does(at, acts);
        self.join(at);
    }

    /// Those of a node's cluster that are up, without itself.
    fn mates(&self, node: usize) -> Vec<usize> {
        let mate = |n: &usize| *n != node && self.nodes[*n].up && self.nodes[*n].cluster == self.nodes[node].cluster;
        (0..self.nodes.len()).filter(mate).collect()
    }

    /// A node has routes to its mates; both sides hear of it.
    pub(super) fn join(&mut self, node: usize) {
        self.joining = true;
        for mate in self.mates(node) {
            self.member(node, mate);
            self.member(mate, node);
        }
        self.joining = false;
        self.pass_on();
    }

    fn pass_on(&mut self) {
        while !self.joining {
            let Some((to, from, json)) = self.gossip.pop_front() else { return };
            self.member_gossip(to, from, &json);
        }
    }

    /// `of` hears about `about`.
    fn member(&mut self, of: usize, about: usize) {
        let gateway_url = if self.nodes[about].bare { String::new() } else { address(about) };
        if self.nodes[of].nats.is_some() {
            let mut urls: BTreeSet<String> = self.mates(of).into_iter().map(address).collect();
            urls.insert(address(of));
            return self.nats(of, |n| n.members(urls));
        }
        let n = &self.nodes[about];
        let (server_id, server_name, reaches) = (n.id.clone(), format!("n{about}"), n.reaches.clone());
        let gossip = n.nats.as_ref().map(Nats::gossip).unwrap_or_default();
        let peer = PeerId(about as u8);
        let pools = n.nats.is_some();
        let (borders, border) = (!pools && !gateway_url.is_empty(), n.border.clone());
        let news = RouteNews::Member { peer, server_id, server_name, gateway_url, reaches, pools, borders, border };
        self.machine(of).route_news(news);
        for json in gossip {
            self.machine(of).route_news(RouteNews::Gossip { peer, json: json.into_bytes() });
        }
        self.drain(of);
    }

    fn nats(&mut self, node: usize, with: impl FnOnce(&mut Nats) -> Vec<Do>) {
        let before = self.nodes[node].nats.as_ref().map(|n| n.outbound.len());
        let acts = self.nodes[node].nats.as_mut().map(with).unwrap_or_default();
        self.nats_does(node, acts);
        let after = self.nodes[node].nats.as_ref().map(|n| n.outbound.len());
        if after > before {
            for mate in self.mates(node) {
                for json in self.nodes[node].nats.as_ref().map(Nats::gossip).unwrap_or_default() {
                    self.member_gossip(mate, node, json.as_bytes());
                }
            }
        }
    }

    fn member_gossip(&mut self, to: usize, from: usize, json: &[u8]) {
        if self.nodes[to].nats.is_some() {
            return self.nats(to, |n| n.member_told(json));
        }
        let peer = PeerId(from as u8);
        self.machine(to).route_news(RouteNews::Gossip { peer, json: json.into() });
        self.drain(to);
    }

    fn nats_does(&mut self, node: usize, acts: Vec<Do>) {
        for act in acts {
            match act {
                Do::Send(cid, text) => self.send(node, cid, Item::Bytes(text.into_bytes())),
                Do::Close(cid) => self.close(node, cid),
                Do::Dial(cluster, host, ms) => {
                    self.nats_dials.push((self.now.plus_ns(ms * MILLISECOND), node, cluster, host));
                    self.nats_dials.sort();
                }
            }
        }
    }

    /// It dies. `loud`: the others' sockets hear of it; else their shards notice after the peer timeout.
    pub(super) fn kill(&mut self, at: usize, loud: bool) {
        let mates = self.mates(at);
        self.nodes[at].up = false;
        self.nodes[at].links.clear();
        self.dials.retain(|(node, ..)| *node != at);
        self.nats_dials.retain(|(_, node, ..)| *node != at);
        let noticed = self.now.plus_ns(8 * SECOND);
        for (w, wire) in self.wires.iter_mut().enumerate() {
            for end in 0..2 {
                if wire.ends[end].0 == at && wire.open[end] {
                    wire.open[end] = false;
                    wire.queues[end].clear();
                    match loud {
                        true => wire.queues[1 - end].push_back(Item::Fin),
                        false => self.stale.push((noticed, w, 1 - end)),
                    }
                }
            }
        }
        for mate in mates {
            if self.nodes[mate].nats.is_some() {
                self.member(mate, at);
            } else {
                self.machine(mate).route_news(RouteNews::Gone { peer: PeerId(at as u8) });
                self.drain(mate);
            }
        }
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let dials = (0..self.dials.len()).map(Event::Connect);
        let wires = self.wires.iter().enumerate().flat_map(|(w, wire)| {
            (0..2).filter(|end| !wire.queues[*end].is_empty()).map(move |end| Event::Arrive(w, end))
        });
        dials.chain(wires).collect()
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Connect(n) => {
                let (node, dial, host) = self.dials.remove(n);
                let outcome = self.wire(node, &host);
                self.machine(node).dialed(dial, outcome);
                self.drain(node);
            }
            Event::Arrive(wire, end) => self.arrive(wire, end),
        }
    }

    /// Connects a node with a host.
    fn wire(&mut self, node: usize, host: &str) -> Result<(Cid, String, u16), String> {
        let target = (0..self.nodes.len()).find(|n| ip(*n) == host);
        let target = target.filter(|t| self.nodes[*t].up && !self.nodes[*t].bare && !self.cut.contains(&(node, *t)));
        let Some(target) = target else { return Err("connection refused".into()) };
        let (a, b) = (Cid(self.cids + 1), Cid(self.cids + 2));
        self.cids += 2;
        let at = self.wires.len();
        self.by_cid.insert((node, a), at);
        self.by_cid.insert((target, b), at);
        let queues = [VecDeque::new(), VecDeque::from([Item::Open])];
        self.wires.push(Wire { ends: [(node, a), (target, b)], open: [true, true], queues });
        Ok((a, ip(target), 7222))
    }

    fn arrive(&mut self, w: usize, end: usize) {
        let wire = &mut self.wires[w];
        let Some(item) = wire.queues[end].pop_front() else { return };
        let ((node, cid), other) = (wire.ends[end], wire.ends[1 - end].0);
        if !wire.open[end] || !self.nodes[node].up {
            return;
        }
        if self.nodes[node].nats.is_some() {
            return match item {
                Item::Open => self.nats(node, |n| n.accepted(cid)),
                Item::Bytes(bytes) => self.nats(node, |n| n.read(cid, &bytes)),
                Item::Fin => {
                    self.wires[w].open[end] = false;
                    self.nats(node, |n| n.lost(cid));
                }
            };
        }
        let linked = self.nodes[node].links.contains_key(&cid);
        match item {
            Item::Open => self.machine(node).accepted(cid, &ip(other), 50_000),
            Item::Bytes(bytes) if linked => self.shard_reads(node, cid, &bytes),
            Item::Bytes(bytes) => self.machine(node).bytes(cid, &bytes),
            Item::Fin => {
                self.wires[w].open[end] = false;
                match linked {
                    true => self.shard_ends(node, cid, "closed by the peer"),
                    false => self.machine(node).lost(cid, "closed by the peer"),
                }
            }
        }
        self.drain(node);
    }

    pub(super) fn machine(&mut self, node: usize) -> &mut Gateways {
        let now = self.moment();
        let machine = &mut self.nodes[node].machine;
        machine.time(now);
        machine
    }

    pub(super) fn tick(&mut self, node: usize) {
        self.machine(node);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(act) = self.nodes[node].machine.poll() {
            if self.nodes[node].nats.is_some() || self.nodes[node].bare {
                continue;
            }
            match act {
                Act::Dial { dial, host, .. } => {
                    self.dialed.entry((node, host.clone())).or_default().push(self.now);
                    self.dials.push((node, dial, host));
                }
                Act::Write { link, bytes } => self.send(node, link, Item::Bytes(bytes)),
                Act::Close { link } => self.close(node, link),
                Act::Give { link, mut intro, .. } => {
                    if let Way::Out(far) = intro.way {
                        assert!(self.nodes[node].fars.insert(far), "a number in use was given anew");
                    }
                    if intro.way.is_outbound() {
                        self.nodes[node].theirs.insert(link, intro.theirs.clone());
                    }
                    let (rest, first) = (std::mem::take(&mut intro.rest), std::mem::take(&mut intro.first));
                    self.nodes[node].links.insert(link, (*intro, Vec::new()));
                    if !first.is_empty() {
                        self.send(node, link, Item::Bytes(first));
                    }
                    self.shard_reads(node, link, &rest);
                }
                Act::Tell { instruction: GatewayInstruction::TheirRules { link, theirs }, .. } => {
                    self.nodes[node].theirs.insert(link, theirs);
                }
                Act::Tell { instruction, .. } => self.instruct(node, instruction),
                Act::Verify { link, proof, .. } => {
                    let Proof::Password { hash, password } = proof else { panic!("servers show no tokens") };
                    self.nodes[node].machine.verified(link, hash.ends_with(&password) && !password.is_empty());
                }
                Act::Members { to, line } => {
                    let json = line.strip_prefix(b"INFO ").unwrap().trim_ascii_end().to_vec();
                    let mates = self.mates(node);
                    for mate in mates.into_iter().filter(|m| to.is_none_or(|to| to == PeerId(*m as u8))) {
                        self.gossip.push_back((mate, node, json.clone()));
                    }
                    self.pass_on();
                }
                Act::Reaches(reaches) => {
                    self.nodes[node].reaches = reaches;
                    for mate in self.mates(node) {
                        self.member(mate, node);
                    }
                }
                Act::Border(digest) => {
                    self.nodes[node].border = digest;
                    for mate in self.mates(node) {
                        self.member(mate, node);
                    }
                }
                Act::EndMember { peer, says, .. } => self.nodes[node].left.push((usize::from(peer.0), says)),
                Act::Log { level, text } => {
                    assert!(text.len() < 10_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
                    self.nodes[node].log.push((level, text));
                }
            }
        }
    }

    fn send(&mut self, node: usize, cid: Cid, item: Item) {
        let Some(w) = self.by_cid.get(&(node, cid)).copied() else { return };
        let wire = &mut self.wires[w];
        let end = usize::from(wire.ends[1] == (node, cid));
        if wire.open[end] && wire.open[1 - end] {
            wire.queues[1 - end].push_back(item);
        }
    }

    fn close(&mut self, node: usize, cid: Cid) {
        self.send(node, cid, Item::Fin);
        if let Some(w) = self.by_cid.get(&(node, cid)).copied() {
            let end = usize::from(self.wires[w].ends[1] == (node, cid));
            self.wires[w].open[end] = false;
            self.wires[w].queues[end].clear();
        }
    }

    fn instruct(&mut self, node: usize, instruction: GatewayInstruction) {
        match instruction {
            GatewayInstruction::Say { link, line } => {
                let intro = &self.nodes[node].links[&link].0;
                assert!(intro.way == Way::In || intro.turnpike, "a dialer says nothing more to a nats-server");
                self.send(node, link, Item::Bytes(line));
            }
            GatewayInstruction::End { link, says, why } => {
                if !says.is_empty() {
                    self.send(node, link, Item::Bytes(format!("-ERR '{says}'\r\n").into_bytes()));
                }
                self.shard_ends(node, link, &why);
            }
            GatewayInstruction::OurRules { lines, .. } => {
                for (link, lines) in lines {
                    self.send(node, link, Item::Bytes(lines));
                }
            }
            GatewayInstruction::TheirRules { .. } => unreachable!("taken above"),
        }
    }

    /// The registered links of a node whose other end is that node.
    pub(super) fn links_to(&self, node: usize, other: usize) -> Vec<Cid> {
        let leads = |cid: &&Cid| self.wires[self.by_cid[&(node, **cid)]].ends.iter().any(|(n, _)| *n == other);
        self.nodes[node].links.keys().filter(leads).copied().collect()
    }

    /// Breaks a registered link, as a network does.
    pub(super) fn break_link(&mut self, node: usize, link: Cid) {
        let Some(w) = self.by_cid.get(&(node, link)).copied() else { return };
        for queue in &mut self.wires[w].queues {
            queue.clear();
            queue.push_back(Item::Fin);
        }
    }

    fn shard_ends(&mut self, node: usize, link: Cid, why: &str) {
        let Some((intro, _)) = self.nodes[node].links.remove(&link) else { return };
        self.close(node, link);
        if let Way::Out(far) = intro.way {
            self.nodes[node].fars.remove(&far);
        }
        let machine = &mut self.nodes[node].machine;
        if let Way::Out(far) = intro.way {
            machine.tidings(ShardId(1), GatewayTidings::Forgotten { far });
            machine.tidings(ShardId(0), GatewayTidings::Ended { link, why: why.into() });
            machine.tidings(ShardId(0), GatewayTidings::Forgotten { far });
        } else {
            machine.tidings(ShardId(0), GatewayTidings::Ended { link, why: why.into() });
        }
    }

    fn shard_reads(&mut self, node: usize, link: Cid, bytes: &[u8]) {
        let Some((_, heard)) = self.nodes[node].links.get_mut(&link) else { return };
        heard.extend_from_slice(bytes);
        while let Some((intro, heard)) = self.nodes[node].links.get_mut(&link) {
            let Some(end) = heard.iter().position(|b| *b == b'\n') else { return };
            let line: Vec<u8> = heard.drain(..=end).collect();
            let line = line.trim_ascii_end();
            let outbound = intro.way != Way::In;
            if line == b"PING" {
                self.send(node, link, Item::Bytes(b"PONG\r\n".to_vec()));
            } else if let Some(json) = line.strip_prefix(b"INFO ") {
                if !String::from_utf8_lossy(json).contains("gateway_cmd_payload") {
                    let json = json.to_vec();
                    self.nodes[node].rules_read += usize::from(String::from_utf8_lossy(&json).contains("border_rules"));
                    self.nodes[node].machine.tidings(ShardId(0), GatewayTidings::Info { link, json });
                }
            } else if line.starts_with(b"-ERR") {
                self.shard_ends(node, link, &String::from_utf8_lossy(line));
            } else if line.starts_with(b"RS+") {
                assert!(outbound, "interest from a dialer");
            } else if line.starts_with(b"RMSG") || line == b"hi" {
                assert!(!outbound, "a message from an acceptor");
            } else if line != b"PONG" {
                panic!("a shard read {}", line.escape_ascii());
            }
        }
    }

    /// Goes on to the next moment something is due; false: nothing is before `limit`.
    pub(super) fn advance(&mut self, limit: Time) -> bool {
        let up = self.nodes.iter().enumerate().filter(|(_, n)| n.up && n.nats.is_none() && !n.bare);
        let due = up.filter_map(|(i, n)| Some((n.machine.next_at()?, i))).min();
        let first = |at: Time| at <= limit && due.is_none_or(|(d, _)| at <= d);
        if let Some((at, wire, end)) = self.stale.first().copied().filter(|(at, ..)| first(*at)) {
            self.stale.remove(0);
            self.now = self.now.max(at);
            self.wires[wire].queues[end].push_back(Item::Fin);
            return true;
        }
        if self.nats_dials.first().is_some_and(|(at, ..)| first(*at)) {
            let (at, node, cluster, host) = self.nats_dials.remove(0);
            self.now = self.now.max(at);
            let outcome = self.wire(node, &host).ok().map(|(cid, ..)| cid);
            self.nats(node, |n| n.dialed(&cluster, &host, outcome));
            return true;
        }
        match due {
            Some((at, node)) if at <= limit => {
                self.now = self.now.max(at);
                self.tick(node);
                true
            }
            _ => false,
        }
    }

    /// Lets everything happen for so long, in an order that chance picks; time goes on only when nothing is under way,
    /// and now and then.
    pub(super) fn run(&mut self, seconds: u64, rng: &mut Rng) {
        let limit = self.now.plus_ns(seconds * SECOND);
        let mut steps = 0u64;
        loop {
            steps += 1;
            assert!(steps < 5_000_000, "it never comes to rest");
            let events = self.events();
            if events.is_empty() || rng.one_in(50) {
                if !self.advance(limit) && events.is_empty() {
                    self.now = limit;
                    return;
                }
            } else {
                self.happen(events[rng.below(events.len() as u64) as usize]);
            }
        }
    }
}
