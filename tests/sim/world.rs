//! The world: shards, rings, pipes, clients and time, moved on by one random generator. Everything that could come
//! out one way or the other is asked of it, so a case and a seed always give the same run.

use super::case::Case;
use super::client::Client;
use super::cluster::plan::{Fault, Kind};
use super::cluster::server::Server;
use super::node::{self, Node};
use super::oracle::Oracle;
use super::pipes::{Link, Way};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use turnpike::base::{Rng, SECOND};
use turnpike::shard::traced::Part;
use turnpike::shard::{Answer, Ask, Order};

/// Virtual time after which nothing that was to happen is still to come.
const PATIENCE_NS: u64 = 600 * SECOND;
/// Lines of the trace that a failure shows.
const TRACE_LINES: usize = 300;

/// See the file's head.
pub struct World {
    /// What was decided beforehand.
    pub case: Case,
    /// Decides everything else.
    pub rng: Rng,
    /// Virtual time, nanoseconds.
    pub now: u64,
    /// Events so far.
    pub events: u64,
    /// The shards; one that is in its turn is not here.
    pub nodes: Vec<Option<Node>>,
    /// The servers that they make up.
    pub servers: Vec<Server>,
    /// What is to happen to them.
    pub faults: VecDeque<Fault>,
    /// Which server's bytes do not reach which other.
    pub blocked: BTreeSet<(usize, usize)>,
    /// Whose dials to whose gateway fail; `true`: they are lost.
    pub barred: BTreeMap<(usize, usize), bool>,
    /// Routes that must be given up soon.
    pub doomed: Vec<super::cluster::faults::Doomed>,
    /// Servers that came back, and by when they must be let in.
    pub newcomers: Vec<(u64, usize)>,
    /// Something has happened to servers or between them.
    pub struck: bool,
    /// It was one of those that keep servers apart.
    pub parted: bool,
    /// Memory is scarce.
    pub scarce: bool,
    /// When a shard last heard that it no longer is.
    pub scarce_until: u64,
    /// When the world was last at rest every server had the routes that it can have.
    pub whole: bool,
    /// All connections ever.
    pub links: Vec<Link>,
    /// When the next bytes arrive that are on a long way.
    arrival: Option<u64>,
    /// All clients; one that is acting is not here.
    pub clients: Vec<Option<Client>>,
    /// Judges.
    pub oracle: Oracle,
    /// Largest batch that crossed.
    pub batch_bytes_max: usize,
    /// When the order to drain was given: virtual time and the oracle's tick.
    pub draining: Option<(u64, u64)>,
    /// Links of those who came after it.
    pub late: Vec<usize>,
    /// What shards noted of traced messages, with their servers.
    pub traces: Vec<(usize, Part)>,
    /// Everything written by the server, mixed into one number.
    pub hash: u64,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
    /// What is said behind it of when that was.
    pub stage: &'static str,
    /// The last lines of what happened, if wanted.
    pub trace: Option<VecDeque<String>>,
    /// The same of the part in which the clients did their steps.
    pub story: Vec<String>,
    pub(super) depth: usize,
    moves: Vec<Move>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Turn(usize),
    Pipe(usize, Way),
    Act(usize),
    /// The mesh of a server does something.
    Mesh(usize),
    /// A letter of a server's mesh reaches a shard.
    Letter(usize),
    /// A server that is not one of ours does something.
    Foreign(usize),
}

impl World {
    /// A world at its beginning.
    pub fn new(case: &Case, seed: u64, traced: bool) -> World {
        let plan = &case.plan;
        let mut rng = Rng::new(seed ^ 0x5157_0a2c_11d3_77e9);
        let servers = Server::all(plan);
        let nodes = servers.iter().enumerate().flat_map(|(at, s)| s.places(at));
        let ours = |at: usize| plan.cluster.as_ref().is_none_or(|c| c.members[at].kind == Kind::Turnpike);
        let nodes = nodes.map(|(_, place, n)| ours(place.0).then(|| Node::new(place, n, rng.next_u64(), plan, 1)));
        World {
            nodes: nodes.collect(),
            oracle: Oracle::over(&servers, plan),
            servers,
            faults: VecDeque::new(),
            blocked: BTreeSet::new(),
            barred: BTreeMap::new(),
            doomed: Vec::new(),
            newcomers: Vec::new(),
            whole: false,
            struck: false,
            scarce: false,
            scarce_until: 0,
            parted: false,
            clients: (0..case.actors.len()).map(|i| Some(Client::new(i, case.actors[i].clone()))).collect(),
            case: case.clone(),
            rng,
            now: SECOND,
            events: 0,
            links: Vec::new(),
            arrival: None,
            batch_bytes_max: 0,
            draining: None,
            late: Vec::new(),
            traces: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            wrong: None,
            stage: "",
            trace: traced.then(VecDeque::new),
            story: Vec::new(),
            depth: 0,
            moves: Vec::new(),
        }
    }

    /// Something is wrong; the first thing counts.
    pub fn fail(&mut self, what: String) {
        let stage = self.stage;
        self.wrong.get_or_insert_with(|| format!("{what}{stage}"));
    }

    /// Writes a line of the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_LINES {
                trace.pop_front();
            }
            trace.push_back(format!("{:>7} {:>6} ms {}", self.events, self.now / 1_000_000, line()));
        }
    }

    /// The clients have done their steps: what is judged later mostly went wrong before this point.
    pub fn end_of_story(&mut self) {
        self.case.plan.drain_after = None;
        if let Some(trace) = &mut self.trace {
            self.story = std::mem::take(trace).into();
        }
    }

    /// Mixes something that the server wrote into the run's hash (FNV-1a).
    pub fn mix(&mut self, who: u64, bytes: &[u8]) {
        for b in who.to_le_bytes().iter().chain(bytes) {
            self.hash = (self.hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// In the middle of a shard's turn the rest of the world may run on.
    pub fn meanwhile(&mut self) {
        let rush = self.case.plan.rush;
        if self.depth >= 3 || !self.rng.one_in(rush) {
            return;
        }
        self.depth += 1;
        for _ in 0..self.rng.below(24) {
            if !self.event() {
                break;
            }
        }
        self.depth -= 1;
    }

    /// Lets one thing happen; false if nothing can.
    fn event(&mut self) -> bool {
        if self.wrong.is_some() {
            return false;
        }
        if self.events > self.case.plan.events_max {
            self.fail(format!("no end within {} events: {}", self.events, self.who_waits()));
            return false;
        }
        while self.depth == 0 && !self.faults.is_empty() {
            if let Some(fault) = self.faults.pop_front() {
                self.strike(fault);
            }
        }
        if self.depth == 0 {
            self.lame_ducks();
        }
        self.pass();
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        self.list(&mut moves);
        let chosen = (!moves.is_empty()).then(|| moves[self.rng.below(moves.len() as u64) as usize]);
        self.moves = moves;
        let Some(chosen) = chosen else { return false };
        self.events += 1;
        self.now += self.rng.below(20_000);
        match chosen {
            Move::Turn(s) => {
                let lazy = self.case.plan.lazy[s];
                if self.rng.one_in(lazy) {
                    node::turn(self, s);
                }
            }
            Move::Pipe(l, way) => self.links[l].advance(way, &mut self.rng),
            Move::Mesh(n) => self.mesh_acts(n),
            Move::Letter(s) => self.letter(s),
            Move::Foreign(n) => self.foreign_acts(n),
            Move::Act(c) => {
                if let Some(mut client) = self.clients[c].take() {
                    client.act(self);
                    self.clients[c] = Some(client);
                }
            }
        }
        true
    }

    /// Bytes that were under way for long enough may move on; when the next ones may.
    fn pass(&mut self) {
        let far = self.case.plan.cluster.as_ref().is_some_and(|c| !c.distances.is_empty());
        let now = self.now;
        self.arrival = self.links.iter_mut().filter(|_| far).filter_map(|l| l.pass(now)).min();
    }

    /// The server of a shard.
    pub fn server_of(&self, shard: usize) -> &Server {
        &self.servers[self.server_at(shard)]
    }

    /// Its number.
    pub fn server_at(&self, shard: usize) -> usize {
        self.servers.iter().position(|s| s.owns(shard)).unwrap_or(0)
    }

    fn list(&self, moves: &mut Vec<Move>) {
        for (s, node) in self.nodes.iter().enumerate() {
            if node.as_ref().is_some_and(|n| self.server_of(s).runs() && n.runnable(self)) {
                moves.push(Move::Turn(s));
            }
        }
        for (l, link) in self.links.iter().enumerate() {
            for way in [Way::Up, Way::Down] {
                if link.can_move(way) {
                    moves.push(Move::Pipe(l, way));
                }
            }
        }
        for (n, server) in self.servers.iter().enumerate().filter(|(_, s)| s.runs()) {
            if server.mesh.as_ref().is_some_and(|m| m.runnable(self)) {
                moves.push(Move::Mesh(n));
            }
            if server.foreign.as_ref().is_some_and(|f| f.runnable(self)) {
                moves.push(Move::Foreign(n));
            }
            let written = server.letters().filter(|s| self.nodes[*s].is_some());
            moves.extend(written.map(Move::Letter));
        }
        for (c, client) in self.clients.iter().enumerate() {
            if client.as_ref().is_some_and(|c| c.runnable(self)) {
                moves.push(Move::Act(c));
            }
        }
    }

    /// When the next thing comes that waits for time.
    fn next_at(&self) -> Option<u64> {
        let shards =
            self.nodes.iter().enumerate().filter(|(s, _)| self.server_of(*s).runs()).filter_map(|(_, n)| n.as_ref());
        let timers = shards.filter_map(|n| n.next_at().map(|t| t.0));
        let meshes = self.servers.iter().filter(|s| s.runs()).filter_map(|s| s.mesh.as_ref()?.next_at());
        let sleepers = self.clients.iter().flatten().filter_map(Client::wakes_at);
        let foreign = self.servers.iter().filter(|s| s.runs()).filter_map(|s| s.foreign.as_ref()?.next_at());
        let lame = self.servers.iter().filter(|s| s.runs()).filter_map(|s| s.lame.as_ref()?.next_at());
        timers
            .chain(sleepers)
            .chain(self.arrival)
            .chain(meshes)
            .chain(foreign)
            .chain(lame)
            .filter(|t| *t > self.now)
            .min()
    }

    /// Lets the world run until nothing can happen and `done` holds; time passes only when nothing else can.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let give_up = self.now + PATIENCE_NS;
        while self.wrong.is_none() {
            if self.case.plan.drain_after.is_some_and(|n| self.events >= n) && self.draining.is_none() {
                self.drain();
            }
            if self.event() {
                continue;
            }
            self.at_rest();
            if done(self) {
                return;
            } else if let Some(at) = self.next_at().filter(|at| *at < give_up) {
                self.now = at;
            } else {
                self.fail(format!("I15: nothing happens any more: {what}: {}", self.who_waits()));
            }
        }
    }

    /// Lets so much virtual time pass.
    pub fn run_for(&mut self, ns: u64) {
        let until = self.now + ns;
        while self.wrong.is_none() && self.now < until {
            if !self.event() {
                self.at_rest();
                self.now = self.next_at().unwrap_or(until).min(until);
            }
        }
    }

    fn who_waits(&self) -> String {
        let waits = self.clients.iter().flatten().filter(|c| !c.finished());
        waits.map(Client::brief).collect::<Vec<_>>().join("; ")
    }

    fn drain(&mut self) {
        let tick = self.oracle.drain();
        self.draining = Some((self.now, tick));
        self.note(|| "the order to drain".into());
        for node in self.nodes.iter_mut().flatten() {
            // Nobody listens any more; who was not let in yet is turned away.
            for link in node.turn_away() {
                self.links[link].reset();
            }
            node.order(Order::Drain);
        }
        self.come_late();
    }

    /// Somebody whom the listener had accepted before it stopped reaches each shard after the order to drain.
    pub fn come_late(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            self.late.push(self.links.len());
            node.accept(self.links.len());
            self.links.push(Link::new(1 << 16));
        }
    }

    /// Asks every shard something and returns the answers in order of shards.
    pub fn ask(&mut self, ask: &Ask) -> Vec<Answer> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|s| self.server_of(*s).up).collect();
        for s in &up {
            let Some(node) = self.nodes[*s].as_mut() else { continue };
            node.said.answers.clear();
            node.order(Order::Report { ticket: 1, ask: ask.clone() });
        }
        let all = |w: &World| up.iter().filter_map(|s| w.nodes[*s].as_ref()).all(|n| n.said.answers.len() == 1);
        self.run_until("answers of monitoring", all);
        let nodes = self.nodes.iter_mut().enumerate().filter(|(s, _)| up.contains(s));
        nodes.filter_map(|(_, n)| n.as_mut()?.said.answers.pop()).collect()
    }

    /// Adds a client in the middle of the run.
    pub fn join(&mut self, actor: super::case::Actor) {
        let id = self.clients.len();
        self.clients.push(Some(Client::new(id, actor)));
    }
}
