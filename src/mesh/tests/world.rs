//! A little world: meshes, connections as queues of what is under way, and shards that only know PING, PONG and INFO.
//! What happens next is chosen from outside, so that all orders can be played.

use super::nats::{Do, Nats};
use crate::base::{Cid, Level, Now, PeerId, Rng, ShardId, Time, SECOND};
use crate::conn::{Instruction, RouteNews, Tidings};
use crate::mesh::{Act, Dial, Identity, Mesh, Setup, Unreached};
use crate::policy::{Cluster, Proof, RouteUrl};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) const SHARDS: usize = 2;

/// Settings with these routes, by node.
pub(super) fn cluster(name: Option<&str>, routes: &[usize]) -> Cluster {
    let url = |n: &usize| RouteUrl { host: ip(*n), port: 6222, login: None };
    Cluster {
        tls: None,
        name: name.map(String::from),
        listen: None,
        advertise: None,
        no_advertise: false,
        login: None,
        auth_timeout: Duration::from_secs(2),
        stranger_bytes_max: 4096,
        routes: routes.iter().map(url).collect(),
        connect_retries: 0,
        ping_interval: Duration::from_secs(30),
        peer_timeout: Duration::from_secs(5),
        permissions: None,
        unready_without_mesh: true,
    }
}

pub(super) fn ip(node: usize) -> String {
    format!("10.0.{}.{}", node / 250, node % 250 + 1)
}

pub(super) fn identity(id: &str, node: usize) -> Identity {
    Identity {
        server_id: id.into(),
        server_name: format!("n{node}"),
        host: ip(node),
        port: 6222,
        max_payload: 1 << 20,
        headers: true,
    }
}

pub(super) struct Node {
    pub mesh: Mesh,
    pub id: String,
    pub up: bool,
    /// Registered routes: connection and bytes not understood yet.
    routes: BTreeMap<PeerId, (Cid, Vec<u8>)>,
    pub log: Vec<(Level, String)>,
    pub urls: (Vec<String>, bool),
    pub news: Vec<RouteNews>,
    pub dials: u64,
    /// It is a nats-server instead; its mesh has nothing to do.
    pub nats: Option<Nats>,
}

enum Item {
    Open,
    Bytes(Vec<u8>),
    Fin,
}

struct Wire {
    /// Node and connection number of the dialer and the acceptor.
    ends: [(usize, Cid); 2],
    open: [bool; 2],
    /// Towards each end.
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
    /// Pairs that cannot connect; what they say to each other is swallowed.
    pub cut: Vec<(usize, usize)>,
    /// Dials by pair of nodes.
    pub dialed: BTreeMap<(usize, usize), u64>,
    /// Ends whose other end died in silence, and when their shard notices.
    stale: Vec<(Time, usize, usize)>,
    /// When which nats-server dials whom.
    nats_dials: Vec<(Time, usize, String)>,
}

/// As `peer_timeout`.
const STALE_NS: u64 = 5 * SECOND;

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
            stale: Vec::new(),
            nats_dials: Vec::new(),
        }
    }

    fn moment(&self) -> Now {
        Now { mono: self.now, wall_ns: self.now.0 }
    }

    /// Starts a server, or starts one anew in its place.
    pub(super) fn start(&mut self, at: usize, id: &str, cluster: Cluster) {
        let setup = Setup { shards: SHARDS, seed: at as u64 + 77, cluster, identity: identity(id, at) };
        let mesh = Mesh::new(setup, self.moment());
        let node = Node {
            mesh,
            id: id.into(),
            up: true,
            routes: BTreeMap::new(),
            log: Vec::new(),
            urls: Default::default(),
            news: Vec::new(),
            dials: 0,
            nats: None,
        };
        if at < self.nodes.len() {
            self.nodes[at] = node;
        } else {
            self.nodes.push(node);
        }
        self.nodes[at].mesh.urls(vec![format!("{}:4222", ip(at))]);
        self.tick(at);
    }

    /// Starts a nats-server.
    pub(super) fn start_nats(&mut self, at: usize, id: &str, lists: &[usize]) {
        self.start(at, id, cluster(Some("c"), &[]));
        let nats = Nats::new(at, id, lists);
        let acts = nats.start();
        self.nodes[at].nats = Some(nats);
        self.nats_does(at, acts);
    }

    /// Has the nats-server at this node do something.
    fn nats(&mut self, node: usize, with: impl FnOnce(&mut Nats) -> Vec<Do>) {
        let acts = self.nodes[node].nats.as_mut().map(with).unwrap_or_default();
        self.nats_does(node, acts);
    }

    fn nats_does(&mut self, node: usize, acts: Vec<Do>) {
        for act in acts {
            match act {
                Do::Send(cid, text) => self.send(node, cid, Item::Bytes(text.into_bytes())),
                Do::Close(cid) => self.close(node, cid),
                Do::Dial(host, seconds) => {
                    let at = self.now.plus_ns(seconds * SECOND + self.cids % 100 * 1_000_000);
                    self.nats_dials.push((at, node, host));
                    self.nats_dials.sort();
                }
            }
        }
    }

    /// It dies. `loud`: the others' sockets hear of it.
    pub(super) fn kill(&mut self, at: usize, loud: bool) {
        self.nodes[at].up = false;
        self.nodes[at].routes.clear();
        self.dials.retain(|(node, ..)| *node != at);
        self.nats_dials.retain(|(_, node, _)| *node != at);
        let noticed = self.now.plus_ns(STALE_NS);
        for (at_wire, wire) in self.wires.iter_mut().enumerate() {
            for end in 0..2 {
                if wire.ends[end].0 == at && wire.open[end] {
                    wire.open[end] = false;
                    wire.queues[end].clear();
                    match loud {
                        true => wire.queues[1 - end].push_back(Item::Fin),
                        false => self.stale.push((noticed, at_wire, 1 - end)),
                    }
                }
            }
        }
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a, b)) || self.cut.contains(&(b, a))
    }

    /// The shards on both sides find out that a route between these is dead.
    pub(super) fn sever(&mut self, a: usize, b: usize) {
        self.cut.push((a, b));
        for at in 0..self.wires.len() {
            let wire = &mut self.wires[at];
            let pair = (wire.ends[0].0, wire.ends[1].0);
            if pair == (a, b) || pair == (b, a) {
                wire.queues.iter_mut().for_each(|q| {
                    q.clear();
                    q.push_back(Item::Fin);
                });
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
                self.connect(node, dial, &host);
            }
            Event::Arrive(wire, end) => self.arrive(wire, end),
        }
    }

    fn connect(&mut self, node: usize, dial: Dial, host: &str) {
        let outcome = self.wire(node, host);
        self.mesh(node).dialed(dial, outcome);
        self.drain(node);
    }

    /// Connects a node with a host.
    fn wire(&mut self, node: usize, host: &str) -> Result<(Cid, String, u16), Unreached> {
        let target = (0..self.nodes.len()).find(|n| ip(*n) == host);
        if let Some(target) = target {
            *self.dialed.entry((node.min(target), node.max(target))).or_default() += 1;
        }
        if target.is_some_and(|t| self.is_cut(node, t)) {
            return Err(Unreached { why: "timed out".into(), silent: true });
        }
        match target.filter(|t| self.nodes[*t].up) {
            None => Err("connection refused".into()),
            Some(target) => {
                let (a, b) = (Cid(self.cids + 1), Cid(self.cids + 2));
                self.cids += 2;
                let at = self.wires.len();
                self.by_cid.insert((node, a), at);
                self.by_cid.insert((target, b), at);
                let queues = [VecDeque::new(), VecDeque::from([Item::Open])];
                self.wires.push(Wire { ends: [(node, a), (target, b)], open: [true, true], queues });
                Ok((a, ip(target), 6222))
            }
        }
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
        match item {
            Item::Open => self.mesh(node).accepted(cid, &ip(other), 50_000),
            Item::Bytes(bytes) => match self.route_of(node, cid) {
                Some(peer) => self.shard_reads(node, peer, &bytes),
                None => self.mesh(node).bytes(cid, &bytes),
            },
            Item::Fin => {
                self.wires[w].open[end] = false;
                match self.route_of(node, cid) {
                    Some(peer) => self.shard_ends(node, peer, "closed by the peer"),
                    None => self.mesh(node).lost(cid, "closed by the peer"),
                }
            }
        }
        self.drain(node);
    }

    fn is_route(&self, node: usize, cid: Cid) -> bool {
        let nats = self.nodes[node].nats.as_ref();
        nats.is_some_and(|n| n.remotes.values().any(|c| *c == cid)) || self.route_of(node, cid).is_some()
    }

    fn route_of(&self, node: usize, cid: Cid) -> Option<PeerId> {
        self.nodes[node].routes.iter().find(|(_, (c, _))| *c == cid).map(|(p, _)| *p)
    }

    fn mesh(&mut self, node: usize) -> &mut Mesh {
        let now = self.moment();
        let mesh = &mut self.nodes[node].mesh;
        mesh.time(now);
        mesh
    }

    pub(super) fn tick(&mut self, node: usize) {
        self.mesh(node);
        self.drain(node);
    }

    /// Does something to a mesh, and what follows from it.
    pub(super) fn act(&mut self, node: usize, with: impl FnOnce(&mut Mesh)) {
        with(self.mesh(node));
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(act) = self.nodes[node].mesh.poll() {
            match act {
                Act::Dial { dial, host, .. } => {
                    self.nodes[node].dials += 1;
                    self.dials.push((node, dial, host));
                }
                Act::Write { link, bytes } => self.send(node, link, Item::Bytes(bytes)),
                Act::Close { link } => self.close(node, link),
                Act::Give { link, route, .. } => {
                    let known = self.nodes[node].routes.insert(route.peer, (link, Vec::new()));
                    assert!(known.is_none(), "a number in use was given anew");
                    self.shard_reads(node, route.peer, &route.rest);
                    // It asks, and there is nothing to be told.
                    self.nodes[node].mesh.tidings(ShardId(0), Tidings::Told { peer: route.peer });
                }
                Act::Tell { instruction, .. } => self.instruct(node, instruction),
                Act::Verify { link, proof, .. } => {
                    let Proof::Password { hash, password } = proof else { panic!("servers show no tokens") };
                    self.nodes[node].mesh.verified(link, hash.ends_with(&password) && !password.is_empty());
                }
                Act::ClientUrls { urls, ldm } => self.nodes[node].urls = (urls, ldm),
                Act::News(news) => self.nodes[node].news.push(news),
                Act::ClusterName(_) => {}
                Act::Log { level, text } => self.nodes[node].log.push((level, text)),
            }
        }
    }

    fn send(&mut self, node: usize, cid: Cid, item: Item) {
        let Some(w) = self.by_cid.get(&(node, cid)).copied() else { return };
        let wire = &self.wires[w];
        let end = usize::from(wire.ends[1] == (node, cid));
        let other = 1 - end;
        let cut = self.is_cut(wire.ends[0].0, wire.ends[1].0);
        if wire.open[end] && wire.open[other] && !cut {
            self.wires[w].queues[other].push_back(item);
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

    fn instruct(&mut self, node: usize, instruction: Instruction) {
        let cid = |w: &World, peer| w.nodes[node].routes.get(&peer).map(|(c, _)| *c);
        match instruction {
            Instruction::Say { peer, line } => {
                if let Some(cid) = cid(self, peer) {
                    self.send(node, cid, Item::Bytes(line));
                }
            }
            Instruction::Probe { peer } => {
                if let Some(cid) = cid(self, peer) {
                    self.send(node, cid, Item::Bytes(b"PING\r\n".to_vec()));
                }
            }
            Instruction::End { peer, says, why } => {
                if let Some(cid) = cid(self, peer) {
                    if !says.is_empty() {
                        self.send(node, cid, Item::Bytes(format!("-ERR '{says}'\r\n").into_bytes()));
                    }
                    self.shard_ends(node, peer, &why);
                }
            }
        }
    }

    fn shard_ends(&mut self, node: usize, peer: PeerId, why: &str) {
        let Some((cid, _)) = self.nodes[node].routes.remove(&peer) else { return };
        self.close(node, cid);
        let mesh = &mut self.nodes[node].mesh;
        mesh.tidings(ShardId(1), Tidings::Forgotten { peer });
        mesh.tidings(ShardId(0), Tidings::Ended { peer, why: why.into() });
        mesh.tidings(ShardId(0), Tidings::Forgotten { peer });
    }

    fn shard_reads(&mut self, node: usize, peer: PeerId, bytes: &[u8]) {
        let Some((cid, heard)) = self.nodes[node].routes.get_mut(&peer) else { return };
        let cid = *cid;
        heard.extend_from_slice(bytes);
        while let Some((_, heard)) = self.nodes[node].routes.get_mut(&peer) {
            let Some(end) = heard.iter().position(|b| *b == b'\n') else { return };
            let line: Vec<u8> = heard.drain(..=end).collect();
            let line = line.trim_ascii_end();
            if line == b"PING" {
                self.send(node, cid, Item::Bytes(b"PONG\r\n".to_vec()));
            } else if line == b"PONG" {
                self.nodes[node].mesh.tidings(ShardId(0), Tidings::Alive { peer });
            } else if let Some(json) = line.strip_prefix(b"INFO ") {
                let json = json.to_vec();
                self.nodes[node].mesh.tidings(ShardId(0), Tidings::Info { peer, json });
            } else if line.starts_with(b"-ERR") {
                self.shard_ends(node, peer, &String::from_utf8_lossy(line));
            } else if !line.starts_with(b"RS+") {
                panic!("a shard read {}", line.escape_ascii());
            }
        }
    }

    /// Goes on to the next moment something is due; false: nothing is before `limit`.
    pub(super) fn advance(&mut self, limit: Time) -> bool {
        let up = self.nodes.iter().enumerate().filter(|(_, n)| n.up);
        let due = up.filter_map(|(i, n)| Some((n.mesh.next_at()?, i))).min();
        let stale = self.stale.first().copied().filter(|(at, ..)| *at <= limit && due.is_none_or(|(d, _)| *at <= d));
        if let Some((at, wire, end)) = stale {
            self.stale.remove(0);
            self.now = self.now.max(at);
            self.wires[wire].queues[end].push_back(Item::Fin);
            return true;
        }
        let nats = self.nats_dials.first().map(|(at, ..)| *at);
        if nats.is_some_and(|at| at <= limit && due.is_none_or(|(d, _)| at <= d)) {
            let (at, node, host) = self.nats_dials.remove(0);
            self.now = self.now.max(at);
            let outcome = self.wire(node, &host).ok().map(|(cid, ..)| cid);
            self.nats(node, |n| n.dialed(&host, outcome));
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

    /// Routes as each node sees them: (node, id of the peer).
    pub(super) fn routes(&self, node: usize) -> Vec<String> {
        if let Some(nats) = &self.nodes[node].nats {
            return nats.remotes.keys().cloned().collect();
        }
        let mut ids: Vec<String> = self.nodes[node].mesh.report().routes.into_iter().map(|r| r.id).collect();
        ids.sort();
        ids
    }

    /// Every node that is up has one route to every other, on the same connection, and nothing else is open.
    pub(super) fn assert_full_mesh(&self) {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].up).collect();
        for node in &up {
            let mut others: Vec<String> = up.iter().filter(|n| *n != node).map(|n| self.nodes[*n].id.clone()).collect();
            others.sort();
            assert_eq!(self.routes(*node), others, "node {node}: {:#?}", self.nodes[*node].log);
        }
        let open = self.wires.iter().filter(|w| w.open[0] || w.open[1]);
        let both = open.filter(|w| {
            let known = |end: usize| self.is_route(w.ends[end].0, w.ends[end].1);
            assert!(w.open[0] && w.open[1] && known(0) && known(1), "half a connection is left: {:?}", w.ends);
            true
        });
        assert_eq!(both.count(), up.len() * (up.len() - 1) / 2);
        for node in up {
            let report = self.nodes[node].mesh.report();
            assert_eq!(report.handshakes, 0);
            assert!(report.missing.is_empty(), "{:?}", report.missing);
        }
    }

    /// Has a node said this?
    pub(super) fn said(&self, node: usize, part: &str) -> usize {
        self.nodes[node].log.iter().filter(|(_, text)| text.contains(part)).count()
    }
}
