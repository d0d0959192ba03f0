//! The mesh of a server and its surroundings: connections until they are registered routes, dials on their way, and
//! the mail between it and the shards. The part that `shell/mesh.rs` plays in production; what it does for the machine of
//! the gateways stands in `gateways`.

use super::super::case::{Broken, Plan};
use super::super::node::Mail;
use super::super::pipes::{Link, Read, Way};
use super::super::world::World;
use super::gateways::Gates;
use super::plan::Cluster;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use turnpike::base::{Cid, Level, Now, ShardId, Time, MILLISECOND, SECOND};
use turnpike::conn::{GatewayIntroduction, GatewayTidings, Introduction, Tidings};
use turnpike::gateways;
use turnpike::mesh::{Act, Dial, Identity, Mesh, Setup, Unreached};
use turnpike::policy::settings::{Cluster as Settings, RouteLogin, RoutePermissions, RouteUrl};
use turnpike::policy::Proof;
use turnpike::shard::Order;

/// Where numbers of dialed connections begin, so that both ends of one link have different ones even in one server.
const DIALED: u64 = 1 << 32;
/// The route port of everybody.
const PORT: u16 = 6222;
/// The gateway port of everybody.
pub(super) const GATEWAY_PORT: u16 = 7222;

/// See the file's head.
pub struct Member {
    /// The machine under test.
    pub mesh: Mesh,
    /// The machine of the gateways, and what it has met.
    pub gates: Option<Gates>,
    /// What it said for the log.
    pub log: Vec<(u64, String)>,
    /// Dials: when, and to which server.
    pub dialed: Vec<(u64, usize)>,
    /// Dials of addresses where nobody lives.
    pub astray: BTreeMap<String, Vec<u64>>,
    pub(super) at: usize,
    /// When the mesh is due by itself; asked for only when something was done to it.
    due: Option<u64>,
    /// It was told something, and what follows is still to be done.
    stirred: bool,
    pub(super) hands: BTreeMap<Cid, Hand>,
    pub(super) dials: Vec<Dialing>,
    /// Letters to each shard of this server, in order.
    pub(super) out: Vec<VecDeque<Letter>>,
    /// Letters of the shards.
    pub notes: Vec<VecDeque<Note>>,
}

/// What a shard says to the mesh.
pub enum Note {
    /// About a route.
    Tidings(Tidings),
    /// About a link to another cluster.
    GatewayTidings(GatewayTidings),
    /// A connection to the client port is a route: link, number, what it said.
    HandedOver(usize, Cid, Vec<u8>),
}

/// A connection that is no route yet, and no link to another cluster.
pub(super) struct Hand {
    pub link: usize,
    writes: Way,
    /// It is the gateways' machine's, not the mesh's.
    gateway: bool,
    since: u64,
    /// Not taken by the pipe yet.
    pub out: Vec<u8>,
    /// To be closed once all is written.
    pub closing: bool,
    /// Registered: its bytes are the shard's.
    pub given: bool,
}

/// Whose attempt it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    Route(Dial),
    Gateway(gateways::Dial),
}

pub(super) struct Dialing {
    pub attempt: Attempt,
    pub target: Option<usize>,
    pub due: u64,
    /// Why it will fail, if that is known: refused, or lost.
    pub barred: Option<&'static str>,
}

pub(super) enum Letter {
    Order(Order),
    Route(Cid, Box<Introduction>),
    Gateway(Cid, Box<GatewayIntroduction>),
}

/// Is the password right? Nobody here compares hashes for real.
pub fn fits(proof: &Proof) -> bool {
    matches!(proof, Proof::Password { hash, password } if hash.ends_with(password.as_str()))
}

/// The address of a server.
pub fn ip(at: usize) -> String {
    format!("10.0.0.{}", at + 1)
}

pub(super) fn moment(now: u64) -> Now {
    Now { mono: Time(now), wall_ns: 1_700_000_000_000_000_000 + now }
}

/// The server id of a member in its n-th life: in another order than the places, so that the two do not agree by chance.
pub fn server_id(cluster: &Cluster, at: usize, life: u64) -> String {
    let given = cluster.members[at].id.clone().filter(|_| life <= 1);
    given.unwrap_or_else(|| format!("N{:02}-{at}-{life}", (at * 37 + 11) % 50))
}

/// Settings of a member.
pub fn settings(cluster: &Cluster, at: usize) -> Settings {
    let m = &cluster.members[at];
    let routes = m.routes.iter().map(|n| RouteUrl { host: ip(*n), port: PORT, login: None });
    Settings {
        name: m.cluster.clone(),
        login: m.login.clone().map(|(user, password)| RouteLogin { user, password }),
        routes: routes.collect(),
        permissions: m.rules.then(RoutePermissions::default),
        ..Settings::default()
    }
}

impl Member {
    /// The mesh of member `at` in its n-th life.
    pub fn new(plan: &Plan, cluster: &Cluster, at: usize, life: u64, seed: u64, now: u64) -> Member {
        let m = &cluster.members[at];
        let identity = Identity {
            server_id: server_id(cluster, at, life),
            server_name: m.name.clone().unwrap_or_else(|| format!("n{at}")),
            host: ip(at),
            port: PORT,
            max_payload: 1 << 20,
            headers: true,
        };
        let setup = Setup { shards: m.shards, seed, cluster: settings(cluster, at), identity };
        let mut mesh = Mesh::new(setup, moment(now));
        let gates = Gates::new(plan, at, life, seed, now);
        mesh.gateway_url(gates.as_ref().map(|g| g.machine.url()).unwrap_or_default());
        Member {
            mesh,
            gates,
            stirred: true,
            log: Vec::new(),
            dialed: Vec::new(),
            astray: BTreeMap::new(),
            at,
            due: None,
            hands: BTreeMap::new(),
            dials: Vec::new(),
            out: (0..m.shards).map(|_| VecDeque::new()).collect(),
            notes: (0..m.shards).map(|_| VecDeque::new()).collect(),
        }
    }

    /// Is there something to do?
    pub fn runnable(&self, w: &World) -> bool {
        self.stirred
            || self.due.is_some_and(|t| t <= w.now)
            || self.dials.iter().any(|d| d.due <= w.now)
            || self.notes.iter().any(|n| !n.is_empty())
            || self.hands.values().any(|h| h.wants(w))
    }

    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        let dials = self.dials.iter().map(|d| d.due);
        dials.chain(self.due).min()
    }

    /// Places of shards for which a letter is ready to be delivered.
    pub fn letters(&self) -> impl Iterator<Item = usize> + '_ {
        let ready = |l: &Letter| match l {
            Letter::Order(_) => true,
            Letter::Route(cid, _) | Letter::Gateway(cid, _) => self.hands.get(cid).is_none_or(|h| h.out.is_empty()),
        };
        self.out.iter().enumerate().filter(move |(_, q)| q.front().is_some_and(ready)).map(|(s, _)| s)
    }

    /// The next letter for a shard.
    pub fn letter(&mut self, local: usize) -> Option<Mail> {
        Some(match self.out[local].pop_front()? {
            Letter::Order(order) => Mail::Order(order),
            Letter::Route(cid, route) => {
                let hand = self.hands.remove(&cid)?;
                Mail::Route(hand.link, hand.writes, route)
            }
            Letter::Gateway(cid, intro) => {
                let hand = self.hands.remove(&cid)?;
                Mail::Gateway(hand.link, hand.writes, intro)
            }
        })
    }

    /// Has all that it was told led to what it leads to, as far as its shards are concerned?
    pub fn has_obeyed(&self) -> bool {
        !self.stirred && self.out.iter().all(VecDeque::is_empty)
    }

    /// Connections in handshake.
    pub fn handshakes(&self) -> usize {
        self.hands.len()
    }

    /// Since when the oldest connection to or from another cluster is in handshake.
    pub fn shaking_since(&self) -> Option<u64> {
        let open = self.hands.values().filter(|h| h.gateway && !h.given && !h.closing);
        open.map(|h| h.since).min()
    }

    /// Somebody connects.
    pub fn accept(&mut self, link: usize, now: u64, from: &str) {
        let cid = Cid(link as u64 + 1);
        self.hands.insert(cid, Hand::new(link, Way::Down, false, now));
        self.with(now, |m| m.accepted(cid, from, 50_000));
    }

    /// Somebody connects to the gateway.
    pub fn accept_gateway(&mut self, link: usize, now: u64, from: &str) {
        let cid = Cid(link as u64 + 1);
        self.hands.insert(cid, Hand::new(link, Way::Down, true, now));
        self.with(now, |_| ());
        if let Some(gates) = &mut self.gates {
            gates.machine.accepted(cid, from, 50_000);
        }
        self.plan_ahead();
    }

    /// Does something to the mesh.
    pub fn with(&mut self, now: u64, what: impl FnOnce(&mut Mesh)) {
        self.stirred = true;
        self.tell_time(now);
        what(&mut self.mesh);
        self.plan_ahead();
    }

    fn tell_time(&mut self, now: u64) {
        self.mesh.time(moment(now));
        if let Some(gates) = &mut self.gates {
            gates.machine.time(moment(now));
        }
    }

    /// When is something due by itself?
    pub(super) fn plan_ahead(&mut self) {
        let gates = self.gates.as_ref().and_then(|g| g.machine.next_at());
        self.due = self.mesh.next_at().into_iter().chain(gates).map(|t| t.0).chain(self.late_at()).min();
    }

    /// Hears what has come, and does what follows.
    pub fn act(&mut self, w: &mut World) {
        self.stirred = false;
        self.tell_time(w.now);
        self.connect(w);
        self.read(w);
        let mut gateway = Vec::new();
        for (local, notes) in self.notes.iter_mut().enumerate() {
            // Letters of different shards overtake each other.
            if notes.is_empty() || w.rng.one_in(3) {
                continue;
            }
            match notes.pop_front() {
                Some(Note::Tidings(t)) => self.mesh.tidings(ShardId(local as u8), t),
                Some(Note::GatewayTidings(t)) => gateway.push((ShardId(local as u8), t)),
                Some(Note::HandedOver(link, cid, said)) => {
                    self.hands.insert(cid, Hand::new(link, Way::Down, false, w.now));
                    self.mesh.handed_over(cid, "10.0.9.9", 50_000, said);
                }
                None => {}
            }
        }
        gateway.into_iter().for_each(|(shard, t)| self.gateway_tidings(w, shard, t));
        self.hear_late(w.now);
        self.carry_out(w);
        self.write(w);
        self.plan_ahead();
    }

    fn connect(&mut self, w: &mut World) {
        let (due, later) = std::mem::take(&mut self.dials).into_iter().partition(|d| d.due <= w.now);
        self.dials = later;
        let due: Vec<Dialing> = due;
        for d in due {
            let reached = d.target.filter(|t| w.servers[*t].up && !w.apart(self.at, *t) && d.barred.is_none());
            let Some(target) = reached else {
                let refused = d.target.is_none_or(|t| !w.apart(self.at, t));
                let why = d.barred.unwrap_or(if refused { "connection refused" } else { "timed out" });
                match d.attempt {
                    Attempt::Route(dial) => {
                        self.mesh.dialed(dial, Err(Unreached { why: why.into(), silent: !refused }));
                    }
                    Attempt::Gateway(dial) => self.gateway_dialed(dial, Err(why.into())),
                }
                continue;
            };
            let link = w.links.len();
            let plan = w.case.plan.cluster.as_ref();
            let window = plan.map_or(1 << 16, |c| c.window);
            let gateway = matches!(d.attempt, Attempt::Gateway(_));
            let far = plan.filter(|c| gateway && !c.distances.is_empty()).map(|c| (c.numbers(), c));
            let distance = far.map_or(0, |(of, c)| c.distance(of[self.at], of[target]));
            w.links.push(Link { servers: Some((self.at, target)), gateway, ..Link::long(window, distance) });
            let cid = Cid(DIALED + link as u64);
            self.hands.insert(cid, Hand::new(link, Way::Up, gateway, w.now));
            match d.attempt {
                Attempt::Route(dial) => self.mesh.dialed(dial, Ok((cid, ip(target), PORT))),
                Attempt::Gateway(dial) => self.gateway_dialed(dial, Ok((cid, ip(target), GATEWAY_PORT))),
            }
            w.note(|| format!("server {} reaches {target} (gateway: {gateway}): link {link}", self.at));
            let server = &mut w.servers[target];
            match (server.mesh.as_mut(), server.foreign.as_mut()) {
                (Some(other), _) if gateway => other.accept_gateway(link, w.now, &ip(self.at)),
                (Some(other), _) => other.accept(link, w.now, &ip(self.at)),
                (None, Some(other)) if gateway => other.accept_gateway(link, self.at, w.now),
                (None, Some(other)) => other.accept(link, self.at, w.now),
                // It is itself, or in the middle of acting.
                (None, None) if target == self.at && gateway => self.accept_gateway(link, w.now, &ip(target)),
                (None, None) if target == self.at => self.accept(link, w.now, &ip(target)),
                (None, None) => w.fail(format!("server {target} acts while {} does", self.at)),
            }
        }
    }

    fn read(&mut self, w: &mut World) {
        let cids: Vec<Cid> = self.hands.iter().filter(|(_, h)| h.hears(w)).map(|(c, _)| *c).collect();
        for cid in cids {
            let Some(hand) = self.hands.get(&cid).filter(|_| !w.rng.one_in(8)) else { continue };
            let mut bytes = Vec::new();
            match w.links[hand.link].read(hand.writes.other(), usize::MAX, &mut bytes) {
                Read::Some(_) => {
                    w.note(|| format!("mesh {} {cid:?} reads {:?}", self.at, String::from_utf8_lossy(&bytes)));
                    let introduced = hand.writes == Way::Down && bytes.windows(5).any(|b| b == b"INFO ");
                    match &mut self.gates {
                        Some(gates) if hand.gateway => gates.machine.bytes(cid, &bytes),
                        _ => self.mesh.bytes(cid, &bytes),
                    }
                    self.carry_out(w);
                    if introduced && w.case.plan.broken == Broken::ClosesSecond {
                        self.close_second(w, cid);
                    }
                }
                Read::Empty => {}
                end => {
                    let (link, writes, gateway) = (hand.link, hand.writes, hand.gateway);
                    self.hands.remove(&cid);
                    w.links[link].closed_by(writes);
                    let why = if end == Read::End { "the peer closed it" } else { "connection reset by peer" };
                    match &mut self.gates {
                        Some(gates) if gateway => gates.machine.lost(cid, why),
                        _ => self.mesh.lost(cid, why),
                    }
                }
            }
            self.carry_out(w);
        }
    }

    /// Broken on purpose: who was not registered at once is turned away.
    fn close_second(&mut self, w: &mut World, cid: Cid) {
        if let Some(hand) = self.hands.get(&cid).filter(|h| !h.given) {
            w.links[hand.link].closed_by(hand.writes);
            self.hands.remove(&cid);
            self.mesh.lost(cid, "turned away");
        }
    }

    fn write(&mut self, w: &mut World) {
        let mut closed = Vec::new();
        for (cid, hand) in &mut self.hands {
            let link = &mut w.links[hand.link];
            let n = link.write(hand.writes, &hand.out, usize::MAX);
            hand.out.drain(..n);
            if hand.out.is_empty() && hand.closing {
                link.closed_by(hand.writes);
                closed.push(*cid);
            }
        }
        closed.into_iter().for_each(|cid| drop(self.hands.remove(&cid)));
    }

    /// Does what the mesh asks for, and what the gateways' machine asks for.
    pub(super) fn carry_out(&mut self, w: &mut World) {
        loop {
            self.carry_out_for_mesh(w);
            if !self.carry_out_for_gateways(w) {
                return;
            }
        }
    }

    pub(super) fn say(&mut self, w: &mut World, link: Cid, bytes: &[u8]) {
        w.mix(link.0, bytes);
        if let Some(hand) = self.hands.get_mut(&link) {
            w.note(|| format!("mesh {} {link:?} writes {:?}", self.at, String::from_utf8_lossy(bytes)));
            hand.out.extend_from_slice(bytes);
        }
    }

    pub(super) fn close(&mut self, link: Cid) {
        if let Some(hand) = self.hands.get_mut(&link) {
            hand.closing = true;
        }
    }

    pub(super) fn note_log(&mut self, w: &mut World, level: Level, text: String) {
        if level != Level::Debug && level != Level::Trace {
            w.servers[self.at].log.push((w.now, text.clone()));
        }
        if text.contains("secret") {
            w.fail(format!("I19: a secret in the log: {text}"));
        }
        w.note(|| format!("mesh {} logs: {text}", self.at));
        self.log.push((w.now, text));
    }

    fn carry_out_for_mesh(&mut self, w: &mut World) {
        while let Some(act) = self.mesh.poll() {
            match act {
                Act::Dial { dial, host, .. } => self.dial(w, dial, &host),
                Act::Write { link, bytes } => self.say(w, link, &bytes),
                Act::Close { link } => self.close(link),
                Act::Give { link, shard, route } => {
                    if let Some(hand) = self.hands.get_mut(&link) {
                        hand.given = true;
                        self.out[shard.index()].push_back(Letter::Route(link, route));
                    }
                }
                // Broken on purpose.
                Act::Tell { .. } if w.case.plan.broken == Broken::SaysNothing => {}
                Act::Tell { shard, instruction } => {
                    self.out[shard.index()].push_back(Letter::Order(Order::Instruct(instruction)));
                }
                Act::Verify { link, proof, .. } => self.mesh.verified(link, fits(&proof)),
                Act::ClientUrls { urls, ldm } => {
                    let urls: Arc<[String]> = urls.into();
                    self.tell_all(|| Order::ClientUrls { urls: urls.clone(), ldm });
                }
                Act::News(news) => {
                    if let Some(gates) = &mut self.gates {
                        gates.machine.route_news(news);
                    }
                }
                Act::ClusterName(name) => self.tell_all(|| Order::ClusterName(name.as_str().into())),
                Act::Log { level, text } => self.note_log(w, level, text),
            }
        }
    }

    fn tell_all(&mut self, order: impl Fn() -> Order) {
        self.out.iter_mut().for_each(|o| o.push_back(Letter::Order(order())));
    }

    fn dial(&mut self, w: &mut World, dial: Dial, host: &str) {
        let members = w.servers.len();
        let target = (0..members).find(|n| ip(*n) == host);
        // A lost SYN is waited for; all else answers in a moment.
        let lost = target.is_some_and(|t| w.apart(self.at, t) || w.servers[t].paused && w.rng.one_in(2));
        let wait = if lost { SECOND } else { w.rng.below(3 * MILLISECOND) };
        match target {
            Some(t) => self.dialed.push((w.now, t)),
            None => self.astray.entry(host.into()).or_default().push(w.now),
        }
        self.dials.push(Dialing { attempt: Attempt::Route(dial), target, due: w.now + wait, barred: None });
    }
}

impl Hand {
    fn new(link: usize, writes: Way, gateway: bool, since: u64) -> Hand {
        Hand { link, writes, gateway, since, out: Vec::new(), closing: false, given: false }
    }

    fn hears(&self, w: &World) -> bool {
        !self.given && !self.closing && w.links[self.link].readable(self.writes.other())
    }

    fn wants(&self, w: &World) -> bool {
        let link = &w.links[self.link];
        self.hears(w) || (!self.out.is_empty() && link.room(self.writes) > 0) || (self.closing && self.out.is_empty())
    }
}

impl World {
    /// The mesh of a server does something.
    pub fn mesh_acts(&mut self, at: usize) {
        let Some(mut member) = self.servers[at].mesh.take() else { return };
        member.act(self);
        self.servers[at].mesh = Some(member);
    }

    /// The next letter of its mesh reaches a shard.
    pub fn letter(&mut self, shard: usize) {
        let Some(at) = self.servers.iter().position(|s| s.owns(shard)) else { return };
        let local = shard - self.servers[at].first;
        let mail = self.servers[at].mesh.as_mut().and_then(|m| m.letter(local));
        if let (Some(mail), Some(node)) = (mail, self.nodes[shard].as_mut()) {
            node.mail(mail);
        }
    }
}
