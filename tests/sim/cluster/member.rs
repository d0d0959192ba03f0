//! The mesh of a server and its surroundings: connections until they are registered routes, dials on their way, and
//! the mail between it and the shards. The part that `shell/mesh.rs` plays in production.

use super::super::case::Broken;
use super::super::node::Mail;
use super::super::pipes::{Link, Read, Way};
use super::super::world::World;
use super::plan::Cluster;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use turnpike::base::{Cid, Level, Now, ShardId, Time, MILLISECOND, SECOND};
use turnpike::conn::{Introduction, Tidings};
use turnpike::mesh::{Act, Dial, Identity, Mesh, Setup, Unreached};
use turnpike::policy::settings::{Cluster as Settings, RouteLogin, RouteUrl};
use turnpike::shard::Order;

/// Where numbers of dialed connections begin, so that both ends of one link have different ones even in one server.
const DIALED: u64 = 1 << 32;
/// The route port of everybody.
const PORT: u16 = 6222;

/// See the file's head.
pub struct Member {
    /// The machine under test.
    pub mesh: Mesh,
    /// What it said for the log.
    pub log: Vec<(u64, String)>,
    /// Dials: when, and to which server.
    pub dialed: Vec<(u64, usize)>,
    /// Dials of addresses where nobody lives.
    pub astray: BTreeMap<String, Vec<u64>>,
    at: usize,
    /// When the mesh is due by itself; asked for only when something was done to it.
    due: Option<u64>,
    /// It was told something, and what follows is still to be done.
    stirred: bool,
    hands: BTreeMap<Cid, Hand>,
    dials: Vec<Dialing>,
    /// Letters to each shard of this server, in order.
    out: Vec<VecDeque<Letter>>,
    /// Letters of the shards.
    pub notes: Vec<VecDeque<Note>>,
}

/// What a shard says to the mesh.
pub enum Note {
    /// About a route.
    Tidings(Tidings),
    /// A connection to the client port is a route: link, number, what it said.
    HandedOver(usize, Cid, Vec<u8>),
}

/// A connection that is no route yet.
struct Hand {
    link: usize,
    writes: Way,
    /// Not taken by the pipe yet.
    out: Vec<u8>,
    /// To be closed once all is written.
    closing: bool,
    /// A route: its bytes are the shard's.
    given: bool,
}

struct Dialing {
    dial: Dial,
    target: Option<usize>,
    due: u64,
}

enum Letter {
    Order(Order),
    Route(Cid, Box<Introduction>),
}

/// The address of a server.
pub fn ip(at: usize) -> String {
    format!("10.0.0.{}", at + 1)
}

fn moment(now: u64) -> Now {
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
        ..Settings::default()
    }
}

impl Member {
    /// The mesh of member `at` in its n-th life.
    pub fn new(cluster: &Cluster, at: usize, life: u64, seed: u64, now: u64) -> Member {
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
        Member {
            mesh: Mesh::new(setup, moment(now)),
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
            Letter::Route(cid, _) => self.hands.get(cid).is_none_or(|h| h.out.is_empty()),
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
        })
    }

    /// Connections in handshake.
    pub fn handshakes(&self) -> usize {
        self.hands.len()
    }

    /// Somebody connects.
    pub fn accept(&mut self, link: usize, now: u64, from: &str) {
        let cid = Cid(link as u64 + 1);
        self.hands.insert(cid, Hand { link, writes: Way::Down, out: Vec::new(), closing: false, given: false });
        self.with(now, |m| m.accepted(cid, from, 50_000));
    }

    /// Does something to the mesh.
    pub fn with(&mut self, now: u64, what: impl FnOnce(&mut Mesh)) {
        self.stirred = true;
        self.mesh.time(moment(now));
        what(&mut self.mesh);
        self.due = self.mesh.next_at().map(|t| t.0);
    }

    /// Hears what has come, and does what follows.
    pub fn act(&mut self, w: &mut World) {
        self.stirred = false;
        self.mesh.time(moment(w.now));
        self.connect(w);
        self.read(w);
        for (local, notes) in self.notes.iter_mut().enumerate() {
            // Letters of different shards overtake each other.
            if notes.is_empty() || w.rng.one_in(3) {
                continue;
            }
            match notes.pop_front() {
                Some(Note::Tidings(t)) => self.mesh.tidings(ShardId(local as u8), t),
                Some(Note::HandedOver(link, cid, said)) => {
                    let hand = Hand { link, writes: Way::Down, out: Vec::new(), closing: false, given: false };
                    self.hands.insert(cid, hand);
                    self.mesh.handed_over(cid, "10.0.9.9", 50_000, said);
                }
                None => {}
            }
        }
        self.carry_out(w);
        self.write(w);
        self.due = self.mesh.next_at().map(|t| t.0);
    }

    fn connect(&mut self, w: &mut World) {
        let (due, later) = std::mem::take(&mut self.dials).into_iter().partition(|d| d.due <= w.now);
        self.dials = later;
        let due: Vec<Dialing> = due;
        for d in due {
            let reached = d.target.filter(|t| w.servers[*t].up && !w.apart(self.at, *t));
            let Some(target) = reached else {
                let refused = d.target.is_none_or(|t| !w.apart(self.at, t));
                let why = if refused { "connection refused" } else { "timed out" };
                self.mesh.dialed(d.dial, Err(Unreached { why: why.into(), silent: !refused }));
                continue;
            };
            let link = w.links.len();
            let window = w.case.plan.cluster.as_ref().map_or(1 << 16, |c| c.window);
            w.links.push(Link { servers: Some((self.at, target)), ..Link::new(window) });
            let cid = Cid(DIALED + link as u64);
            self.hands.insert(cid, Hand { link, writes: Way::Up, out: Vec::new(), closing: false, given: false });
            self.mesh.dialed(d.dial, Ok((cid, ip(target), PORT)));
            w.note(|| format!("server {} reaches {target}: link {link}", self.at));
            let server = &mut w.servers[target];
            match (server.mesh.as_mut(), server.foreign.as_mut()) {
                (Some(other), _) => other.accept(link, w.now, &ip(self.at)),
                (None, Some(other)) => other.accept(link, self.at, w.now),
                // It is itself, or in the middle of acting.
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
                    self.mesh.bytes(cid, &bytes);
                    self.carry_out(w);
                    if introduced && w.case.plan.broken == Broken::ClosesSecond {
                        self.close_second(w, cid);
                    }
                }
                Read::Empty => {}
                end => {
                    let link = hand.link;
                    let writes = hand.writes;
                    self.hands.remove(&cid);
                    w.links[link].closed_by(writes);
                    let why = if end == Read::End { "the peer closed it" } else { "connection reset by peer" };
                    self.mesh.lost(cid, why);
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

    /// Does what the mesh asks for.
    fn carry_out(&mut self, w: &mut World) {
        while let Some(act) = self.mesh.poll() {
            match act {
                Act::Dial { dial, host, .. } => self.dial(w, dial, &host),
                Act::Write { link, bytes } => {
                    w.mix(link.0, &bytes);
                    if let Some(hand) = self.hands.get_mut(&link) {
                        w.note(|| format!("mesh {} {link:?} writes {:?}", self.at, String::from_utf8_lossy(&bytes)));
                        hand.out.extend_from_slice(&bytes);
                    }
                }
                Act::Close { link } => {
                    if let Some(hand) = self.hands.get_mut(&link) {
                        hand.closing = true;
                    }
                }
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
                Act::Verify { link, hash, password } => self.mesh.verified(link, hash.ends_with(&password)),
                Act::ClientUrls { urls, ldm } => {
                    let urls: Arc<[String]> = urls.into();
                    self.tell_all(|| Order::ClientUrls { urls: urls.clone(), ldm });
                }
                Act::News(_) => {}
                Act::ClusterName(name) => self.tell_all(|| Order::ClusterName(name.as_str().into())),
                Act::Log { level, text } => {
                    if level != Level::Debug && level != Level::Trace {
                        w.servers[self.at].log.push((w.now, text.clone()));
                    }
                    if text.contains("secret") {
                        w.fail(format!("I19: a secret in the log: {text}"));
                    }
                    w.note(|| format!("mesh {} logs: {text}", self.at));
                    self.log.push((w.now, text));
                }
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
        self.dials.push(Dialing { dial, target, due: w.now + wait });
    }
}

impl Hand {
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
