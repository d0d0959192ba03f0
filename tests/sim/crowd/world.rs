//! The world of a crowd: the servers, the wires, the clients, and what happens next, by time.

use super::super::cluster::gateways::gateway;
use super::super::cluster::member::{ip, settings};
use super::super::cluster::plan::{Cluster, Gate, Member};
use super::client::Client;
use super::meter::Meter;
use super::server::Server;
use super::wires::{End, Use, Whose, Wire};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use turnpike::base::{Now, Rng, Time, MICROSECOND, MILLISECOND, SECOND};
use turnpike::gateways::{self, Gateways};
use turnpike::mesh::{self, Mesh};
use turnpike::policy::settings::{Account, Secret, User};
use turnpike::policy::{GatewayInterest, Settings};
use turnpike::shard::{Identity, Setup, Shard};

/// The accounts of every server: one is told of optimistically where there is a choice, one by its whole interest.
pub const ACCOUNTS: [&str; 2] = ["OPTIMISTIC", "WHOLE"];
/// Things happen together that happen within this time on one server, as they do in one turn of a busy one.
const TURN_NS: u64 = 500 * MICROSECOND;

/// Whom each server has in its list of gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// The first server of each other cluster.
    All,
    /// The first server of the cluster before its own; the first cluster knows nobody.
    Chain,
}

/// How clusters want to be sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// One account optimistically, the other only what is wanted ([`ACCOUNTS`]).
    ByAccount,
    /// Only what is wanted, as promised when links are made; both accounts.
    Auto,
}

/// What a crowd is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Clusters.
    pub clusters: usize,
    /// Servers of each.
    pub servers: usize,
    /// How they find each other.
    pub lists: Lists,
    /// How they want to be sent messages.
    pub modes: Modes,
}

impl Shape {
    /// All servers.
    pub fn all(&self) -> usize {
        self.clusters * self.servers
    }

    fn cluster(&self) -> Cluster {
        let first = |c: usize| (format!("c{c}"), c * self.servers);
        let member = |at: usize| {
            let own = at / self.servers;
            let lists = match self.lists {
                Lists::All => (0..self.clusters).filter(|c| *c != own).map(first).collect(),
                Lists::Chain => own.checked_sub(1).map(first).into_iter().collect(),
            };
            let interest = match self.modes {
                Modes::ByAccount => GatewayInterest::Optimistic,
                Modes::Auto => GatewayInterest::Auto,
            };
            Member {
                shards: 1,
                routes: if at.is_multiple_of(self.servers) { Vec::new() } else { vec![own * self.servers] },
                id: Some(server_id(at)),
                cluster: Some(format!("c{own}")),
                gate: Some(Gate { lists, interest, ..Gate::default() }),
                ..Member::default()
            }
        };
        Cluster { members: (0..self.all()).map(member).collect(), ..Cluster::star(&[]) }
    }
}

/// An id as long as real ones are.
fn server_id(at: usize) -> String {
    format!("N{:0>55}", (at * 7919 + 13) % 1_000_003)
}

/// Whose attempt to connect it is.
pub enum Attempt {
    /// The mesh's.
    Route(mesh::Dial),
    /// The gateways' machine's.
    Gateway(gateways::Dial),
}

enum Event {
    /// A server acts.
    Wake(usize),
    /// Bytes arrive at an end of a wire.
    Arrive(usize, usize),
    /// An attempt to connect comes to its end.
    Connect(usize, Attempt, Option<usize>),
}

struct Due {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// See the file's head.
pub struct World {
    /// What it is like.
    pub shape: Shape,
    /// Virtual time, nanoseconds.
    pub now: u64,
    /// Events so far.
    pub events: u64,
    /// One that acts is not here.
    pub servers: Vec<Option<Box<Server>>>,
    /// All connections ever.
    pub wires: Vec<Wire>,
    /// All clients.
    pub clients: Vec<Client>,
    /// What servers have written to each other.
    pub meter: Meter,
    /// When a message, or a word about interest, was last written.
    pub spoke_at: u64,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
    rng: Rng,
    due: BinaryHeap<Reverse<Due>>,
    order: u64,
}

/// A moment of virtual time.
pub fn moment(now: u64) -> Now {
    Now { mono: Time(now), wall_ns: 1_700_000_000_000_000_000 + now }
}

impl World {
    /// All servers start within the first fifth of a second.
    pub fn new(shape: Shape, seed: u64) -> World {
        let mut w = World {
            shape,
            now: SECOND,
            events: 0,
            servers: Vec::new(),
            wires: Vec::new(),
            clients: Vec::new(),
            meter: Meter::default(),
            spoke_at: 0,
            wrong: None,
            rng: Rng::new(seed),
            due: BinaryHeap::new(),
            order: 0,
        };
        let cluster = shape.cluster();
        for at in 0..shape.all() {
            let server = w.start(&cluster, at);
            w.servers.push(Some(Box::new(server)));
            let begin = w.now + w.rng.below(200) * MILLISECOND;
            w.wake(at, begin);
        }
        w
    }

    fn start(&mut self, cluster: &Cluster, at: usize) -> Server {
        let (id, name) = (server_id(at), format!("n{at}"));
        let mut gate = gateway(cluster, at).expect("everybody has a gateway");
        if self.shape.modes == Modes::ByAccount {
            gate.account_interest = vec![(ACCOUNTS[1].into(), GatewayInterest::InterestOnly)];
        }
        let (host, max_payload, headers) = (ip(at), 1 << 20, true);
        let identity = gateways::Identity {
            server_id: id.clone(),
            server_name: name.clone(),
            host: host.clone(),
            port: 7222,
            max_payload,
            headers,
        };
        let (seed, gateway) = (self.rng.next_u64(), gate.clone());
        // Nobody has rules here.
        let (accounts, system) = (Vec::new(), None);
        let setup = gateways::Setup { shards: 1, seed, gateway, identity, accounts, system };
        let gates = Gateways::new(setup, moment(self.now));
        let (server_id, server_name) = (id.clone(), name.clone());
        let identity = mesh::Identity { server_id, server_name, host: host.clone(), port: 6222, max_payload, headers };
        let routes = settings(cluster, at);
        let setup = mesh::Setup { shards: 1, seed: self.rng.next_u64(), cluster: routes.clone(), identity };
        let mut mesh = Mesh::new(setup, moment(self.now));
        mesh.gateway_url(gates.url());
        mesh.urls(vec![format!("{host}:4222")]);
        let mut policy = Settings { cluster: Some(routes), gateway: Some(gate), ..Settings::default() };
        (policy.auth.required, policy.auth.announced) = (true, true);
        for (n, account) in ACCOUNTS.iter().enumerate() {
            policy.auth.accounts.push(Account::named(account));
            let account = policy.auth.accounts.len() - 1;
            policy.auth.users.push(User::named(&format!("u{n}"), Secret::Plain("p".into()), account));
        }
        let identity = Arc::new(Identity { server_id: id, server_name: name, ..Identity::default() });
        let usual = Setup::single(Arc::new(policy), identity);
        let shard = Shard::new(Setup { seed: self.rng.next_u64(), ..usual });
        Server::new(at, mesh, gates, shard)
    }

    /// Something is wrong; the first thing counts.
    pub fn fail(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// The server of an address.
    pub fn server_at(&self, host: &str) -> Option<usize> {
        let number: usize = host.strip_prefix("10.0.0.")?.parse().ok()?;
        number.checked_sub(1).filter(|at| *at < self.servers.len())
    }

    /// A server that does not act just now.
    pub fn server(&mut self, at: usize) -> &mut Server {
        self.servers[at].as_mut().expect("nobody acts")
    }

    /// The cluster of a server.
    pub fn cluster_of(&self, at: usize) -> usize {
        at / self.shape.servers
    }

    fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.due.push(Reverse(Due { at, order: self.order, event }));
    }

    fn wake(&mut self, at: usize, when: u64) {
        let Some(server) = self.servers[at].as_mut() else { return };
        if when < server.wake_at {
            server.wake_at = when;
            self.push(when, Event::Wake(at));
        }
    }

    /// An attempt to connect begins.
    pub fn connect(&mut self, from: usize, attempt: Attempt, target: Option<usize>) {
        let ns = MILLISECOND + self.rng.below(3 * MILLISECOND);
        self.push(self.now + ns, Event::Connect(from, attempt, target));
    }

    /// How long bytes are under way: within a cluster a moment, between clusters some milliseconds, always the same.
    fn distance(&self, a: usize, b: usize) -> u64 {
        let (x, y) = (self.cluster_of(a), self.cluster_of(b));
        match x == y {
            true => 100 * MICROSECOND,
            false => (2 + (x.min(y) * 7 + x.max(y) * 3) as u64 % 17) * MILLISECOND,
        }
    }

    fn connected(&mut self, from: usize, attempt: Attempt, target: Option<usize>) {
        let (now, wire) = (self.now, self.wires.len());
        let gateway = matches!(attempt, Attempt::Gateway(_));
        let Some(to) = target else {
            return self.server(from).dialed(attempt, Err("connection refused"), now);
        };
        let what = if gateway { Use::Gateway } else { Use::Route };
        let hand = |end: usize| Whose::Hand(turnpike::base::Cid(2 * wire as u64 + 1 + end as u64));
        let ends = [End::new(from, hand(0)), End::new(to, hand(1))];
        let ns = self.distance(from, to);
        self.wires.push(Wire { what, ends, ns });
        let port = if gateway { 7222 } else { 6222 };
        self.server(from).dialed(attempt, Ok(((wire, 0), ip(to), port)), now);
        self.server(to).accept((wire, 1), gateway, &ip(from), now);
        self.wake(from, now);
        self.wake(to, now);
    }

    /// A client connects to a server.
    pub fn join(&mut self, mut client: Client) -> usize {
        let (wire, at) = (self.wires.len(), client.server);
        let ends = [End::new(self.clients.len(), Whose::Client(self.clients.len())), End::new(at, Whose::Given)];
        self.wires.push(Wire { what: Use::Client, ends, ns: 50 * MICROSECOND });
        client.wire = wire;
        self.clients.push(client);
        self.server(at).accepted.push((wire, 1));
        self.wake(at, self.now);
        let hello = self.clients[self.clients.len() - 1].hello();
        self.send(wire, 0, &hello);
        self.clients.len() - 1
    }

    /// Whoever has this end writes something.
    pub fn send(&mut self, wire: usize, end: usize, bytes: &[u8]) {
        let w = &mut self.wires[wire];
        let from_shard = matches!(w.ends[end].whose, Whose::Shard(_));
        if let Err(why) = self.meter.count(w.what, if from_shard { bytes } else { b"" }) {
            self.wrong.get_or_insert(why);
        }
        if self.wires[wire].ends[1 - end].whose == Whose::Nobody {
            return;
        }
        self.wires[wire].ends[1 - end].coming.extend_from_slice(bytes);
        self.under_way(wire, 1 - end);
    }

    fn under_way(&mut self, wire: usize, end: usize) {
        let w = &mut self.wires[wire];
        if !std::mem::replace(&mut w.ends[end].due, true) {
            let at = self.now + w.ns + self.rng.below(w.ns / 4);
            self.push(at, Event::Arrive(wire, end));
        }
    }

    /// Whoever has this end closes it.
    pub fn close(&mut self, wire: usize, end: usize) {
        self.wires[wire].ends[end].whose = Whose::Nobody;
        self.wires[wire].ends[1 - end].closing = true;
        self.under_way(wire, 1 - end);
    }

    fn arrive(&mut self, wire: usize, end: usize) {
        let torn = self.rng.one_in(16);
        let share = self.rng.next_u64();
        let e = &mut self.wires[wire].ends[end];
        e.due = false;
        let all = e.coming.len();
        let n = if torn && all > 1 { 1 + share as usize % (all - 1) } else { all };
        if e.inbox.is_empty() && n == all {
            std::mem::swap(&mut e.inbox, &mut e.coming);
            // What a reader was handed is its own; what is left here is small.
            e.coming = Vec::new();
        } else {
            e.inbox.extend(e.coming.drain(..n));
        }
        e.over = e.closing && n == all;
        if n < all {
            self.under_way(wire, end);
        }
        let e = &mut self.wires[wire].ends[end];
        match e.whose {
            Whose::Nobody => e.inbox.clear(),
            Whose::Client(client) => {
                let bytes = std::mem::take(&mut e.inbox);
                let answer = self.clients[client].hear(&bytes);
                match answer {
                    Ok(answer) if answer.is_empty() => {}
                    Ok(answer) => self.send(wire, 0, &answer),
                    Err(why) => self.fail(format!("client {client}: {why}")),
                }
            }
            Whose::Hand(_) | Whose::Given | Whose::Shard(_) => {
                let at = e.at;
                let mut server = self.servers[at].take().expect("nobody acts");
                self.list(wire, end, &mut server);
                self.servers[at] = Some(server);
                let soon = self.now.next_multiple_of(TURN_NS);
                self.wake(at, soon);
            }
        }
    }

    /// A server is to look at this end.
    pub fn list(&mut self, wire: usize, end: usize, server: &mut Server) {
        let e = &mut self.wires[wire].ends[end];
        let something = !e.inbox.is_empty() || e.over;
        if something && !std::mem::replace(&mut e.listed, true) {
            server.heard.push((wire, end));
        }
    }

    /// Lets a server do something outside its time.
    pub fn with<T>(&mut self, at: usize, what: impl FnOnce(&mut Server, &mut World) -> T) -> T {
        let mut server = self.servers[at].take().expect("nobody acts");
        let spoken = self.meter.spoken;
        let done = what(&mut server, self);
        if self.meter.spoken > spoken {
            self.spoke_at = self.now;
        }
        let next = if server.heard.is_empty() { server.next_at() } else { Some(self.now) };
        self.servers[at] = Some(server);
        // It has just had a turn: what is due at once is due with the next.
        if let Some(next) = next {
            self.wake(at, next.max(self.now + TURN_NS));
        }
        done
    }

    /// Lets the world run for so long.
    pub fn run_for(&mut self, ns: u64) {
        let until = self.now + ns;
        while self.wrong.is_none() {
            if self.due.peek().is_none_or(|Reverse(d)| d.at > until) {
                break;
            }
            let Some(Reverse(Due { at, event, .. })) = self.due.pop() else { break };
            self.now = self.now.max(at);
            match event {
                Event::Wake(server) => {
                    if self.server(server).wake_at != at {
                        continue; // it was called earlier since
                    }
                    self.server(server).wake_at = u64::MAX;
                    self.with(server, |s, w| s.act(w));
                }
                Event::Arrive(wire, end) => self.arrive(wire, end),
                Event::Connect(from, attempt, target) => {
                    self.connected(from, attempt, target);
                }
            }
            self.events += 1;
        }
        self.now = self.now.max(until);
    }

    /// Lets it run until nobody has said anything for a while but who is where, and that he is there.
    pub fn settle(&mut self) {
        // Longer than any way is, and than an end of interest waits.
        const QUIET_NS: u64 = 60 * MILLISECOND;
        for _ in 0..1000 {
            self.run_for(QUIET_NS);
            if self.wrong.is_some() || self.now - self.spoke_at >= QUIET_NS {
                return;
            }
        }
        self.fail("it is not quiet after a minute".into());
    }
}
