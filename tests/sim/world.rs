//! The world: shards, rings, pipes, clients and time, moved on by one random generator. Everything that could come
//! out one way or the other is asked of it, so a case and a seed always give the same run.

use super::case::Case;
use super::client::Client;
use super::node::{self, Node, RingSet};
use super::oracle::Oracle;
use super::pipes::{Link, Way};
use std::collections::VecDeque;
use std::sync::Arc;
use turnpike::base::{Rng, SECOND};
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
    /// Between them.
    pub rings: RingSet,
    /// All connections ever.
    pub links: Vec<Link>,
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
    /// Everything written by the server, mixed into one number.
    pub hash: u64,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
    /// The last lines of what happened, if wanted.
    pub trace: Option<VecDeque<String>>,
    /// The same of the part in which the clients did their steps.
    pub story: Vec<String>,
    depth: usize,
    moves: Vec<Move>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Turn(usize),
    Pipe(usize, Way),
    Act(usize),
}

impl World {
    /// A world at its beginning.
    pub fn new(case: &Case, seed: u64, traced: bool) -> World {
        let plan = &case.plan;
        let mut rng = Rng::new(seed ^ 0x5157_0a2c_11d3_77e9);
        let settings = Arc::new(node::settings(plan));
        let nodes = (0..plan.shards).map(|s| Some(Node::new(s, plan.shards, rng.next_u64(), plan.budget, &settings)));
        World {
            nodes: nodes.collect(),
            rings: RingSet::new(plan.shards, plan.ring, plan.broken),
            clients: (0..case.actors.len()).map(|i| Some(Client::new(i, case.actors[i].clone()))).collect(),
            case: case.clone(),
            rng,
            now: SECOND,
            events: 0,
            links: Vec::new(),
            oracle: Oracle::default(),
            batch_bytes_max: 0,
            draining: None,
            late: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            wrong: None,
            trace: traced.then(VecDeque::new),
            story: Vec::new(),
            depth: 0,
            moves: Vec::new(),
        }
    }

    /// Something is wrong; the first thing counts.
    pub fn fail(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Writes a line of the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_LINES {
                trace.pop_front();
            }
            trace.push_back(format!("{:>7} {}", self.events, line()));
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
            Move::Act(c) => {
                if let Some(mut client) = self.clients[c].take() {
                    client.act(self);
                    self.clients[c] = Some(client);
                }
            }
        }
        true
    }

    fn list(&self, moves: &mut Vec<Move>) {
        for (s, node) in self.nodes.iter().enumerate() {
            if node.as_ref().is_some_and(|n| n.runnable(self)) {
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
        for (c, client) in self.clients.iter().enumerate() {
            if client.as_ref().is_some_and(|c| c.runnable(self)) {
                moves.push(Move::Act(c));
            }
        }
    }

    /// When the next thing comes that waits for time.
    fn next_at(&self) -> Option<u64> {
        let timers = self.nodes.iter().flatten().filter_map(|n| n.next_at().map(|t| t.0));
        let sleepers = self.clients.iter().flatten().filter_map(Client::wakes_at);
        timers.chain(sleepers).filter(|t| *t > self.now).min()
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
        for node in self.nodes.iter_mut().flatten() {
            node.said.answers.clear();
            node.order(Order::Report { ticket: 1, ask: ask.clone() });
        }
        self.run_until("answers of monitoring", |w| w.nodes.iter().flatten().all(|n| n.said.answers.len() == 1));
        self.nodes.iter_mut().flatten().filter_map(|n| n.said.answers.pop()).collect()
    }

    /// Adds a client in the middle of the run.
    pub fn join(&mut self, actor: super::case::Actor) {
        let id = self.clients.len();
        self.clients.push(Some(Client::new(id, actor)));
    }
}
