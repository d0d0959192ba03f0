//! Drives the shards of a server through their typed contract: the part that a shell plays in production, and the
//! only file of the simulator that touches [`Shard`].
//!
//! A turn is not one event: between its phases the rest of the world may run on (other shards' turns, pipes, clients),
//! which is what several cores at once amount to. A shard in the middle of its turn is on the stack, not in the world,
//! so nobody else can step it.

use super::case::{Broken, Plan};
use super::cluster::member::{self, Note};
use super::cluster::tap::{Number, Tap};
use super::pipes::Way;
use super::world::World;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use turnpike::base::limits::AHEAD_VERDICTS_MIN;
use turnpike::base::{ConnId, Level, Now, ShardId, Time};
use turnpike::conn::{GatewayIntroduction, GatewayTidings, Introduction, Tidings};
use turnpike::shard::{Act, Answer, Batch, Flush, Identity, Lost, Order, Rings, Setup, Shard, Sockets, Turn};

mod configured;
mod reading;
mod rings;
mod wrong;

pub use self::configured::settings;
use self::configured::{looked_at, opening_of};
use self::reading::{pause, receive};
pub use self::rings::RingSet;
use self::wrong::{endless, misdirect, mistaken, postponed, repeated, unmeasured, unwanted, without_way_back};

/// What has happened at a socket and is to be told to the shard.
enum Arrived {
    Bytes(ConnId, Vec<u8>),
    Writable(ConnId),
    Lost(ConnId, Lost),
}

/// One socket of a shard.
struct Socket {
    link: usize,
    /// The direction that this end writes.
    writes: Way,
    /// A route or a link to another cluster: what is said over it is looked at.
    tap: Option<Box<Tap>>,
    /// Interest that is told too late, where that is broken on purpose.
    late: Vec<u8>,
    paused: bool,
    blocked: bool,
    /// The peer's end was told.
    ended: bool,
    /// Writing failed; to be told.
    failed: bool,
}

/// One shard of a server (`local`: its place there) and its sockets.
pub struct Node {
    server: usize,
    local: usize,
    shard: Shard,
    sockets: BTreeMap<ConnId, Socket>,
    /// Links accepted and not opened yet.
    accepted: VecDeque<usize>,
    /// Letters that it has not read.
    pub orders: VecDeque<Mail>,
    /// Answers to [`Act::Measure`] for the next turn.
    measured: Vec<(ConnId, u64)>,
    /// Shards whose ring was full in the last turn; until a turn gets through no socket is read.
    full: Vec<usize>,
    /// Answers to password checks that are still to be given.
    verifying: VecDeque<Order>,
    /// What it said to the world outside.
    pub said: SaidOutside,
}

/// What comes to a shard from outside.
pub enum Mail {
    /// An order.
    Order(Order),
    /// A registered route: its link, the direction that this end writes, and what the mesh knows of it.
    Route(usize, Way, Box<Introduction>),
    /// The same for a registered link to another cluster.
    Gateway(usize, Way, Box<GatewayIntroduction>),
}

/// Acts of a shard that do not concern a socket.
#[derive(Default)]
pub struct SaidOutside {
    /// [`Act::Drained`] came.
    pub drained: bool,
    /// [`Act::Vacant`] came.
    pub vacant: bool,
    /// Clients that were let in and have not given their place back ([`Act::Left`]).
    pub placed: usize,
    /// Answers to orders.
    pub answers: Vec<Answer>,
    /// Password checks asked for, with their results.
    verify: Vec<Order>,
    /// News for the mesh and the gateways' machine.
    notes: Vec<Note>,
    measured: Vec<(ConnId, u64)>,
}

impl Node {
    /// A shard, at place `local` among the `shards` of a server, in that server's n-th life.
    pub fn new(at: (usize, usize), shards: usize, seed: u64, plan: &Plan, life: u64) -> Node {
        // Other clusters know it by its id.
        let gate = plan.cluster.as_ref().filter(|c| c.members[at.0].gate.is_some());
        let server_id = gate.map_or("NSIM".into(), |c| member::server_id(c, at.0, life));
        let identity = Identity { server_id, server_name: "sim".into(), ..Identity::default() };
        let (server, local) = at;
        let setup = Setup {
            id: ShardId(local as u8),
            shards,
            seed,
            settings: Arc::new(settings(plan, at.0)),
            identity: Arc::new(identity),
            turn_deliveries_max: plan.budget,
            // Half of them read ahead wherever subjects change; nothing that is told or counted may show it.
            ahead_verdicts_min: if seed.is_multiple_of(2) { 0 } else { AHEAD_VERDICTS_MIN },
        };
        Node {
            server,
            local,
            measured: Vec::new(),
            shard: Shard::new(setup),
            sockets: BTreeMap::new(),
            accepted: VecDeque::new(),
            orders: VecDeque::new(),
            full: Vec::new(),
            verifying: VecDeque::new(),
            said: SaidOutside::default(),
        }
    }

    /// A client has connected.
    pub fn accept(&mut self, link: usize) {
        self.accepted.push_back(link);
    }

    /// Gives back the links that were accepted and not opened yet.
    pub fn turn_away(&mut self) -> VecDeque<usize> {
        std::mem::take(&mut self.accepted)
    }

    /// Puts an order.
    pub fn order(&mut self, order: Order) {
        self.orders.push_back(Mail::Order(order));
    }

    /// Puts a letter.
    pub fn mail(&mut self, mail: Mail) {
        self.orders.push_back(mail);
    }

    /// When the shard wants a turn at the latest.
    pub fn next_at(&self) -> Option<Time> {
        self.shard.next_at()
    }

    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.sockets.values().filter(|s| s.tap.is_none()).count()
    }

    /// The server ends, with all its sockets: how many clients were left.
    pub fn end(&mut self) -> usize {
        let clients = self.sockets();
        self.sockets.clear();
        clients
    }

    /// Links of all its connections, those not let in yet among them.
    pub fn all_links(&self) -> impl Iterator<Item = usize> + '_ {
        self.sockets.values().map(|s| s.link).chain(self.accepted.iter().copied())
    }

    /// Links of the routes that it owns.
    pub fn routes(&self) -> impl Iterator<Item = usize> + '_ {
        self.taps().filter(|(_, t)| t.is_route()).map(|(link, _)| link)
    }

    /// Links to other clusters that it owns, and those from them: the link, and whether it is one of the former.
    pub fn gateways(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.taps().filter(|(_, t)| !t.is_route()).map(|(link, t)| (link, t.sends()))
    }

    /// Looks at what was written to links to other clusters and from them.
    pub fn taps(&self) -> impl Iterator<Item = (usize, &Tap)> + '_ {
        self.sockets.values().filter_map(|s| Some((s.link, s.tap.as_deref().filter(|t| !t.over)?)))
    }

    /// What it said to the mesh is on its way there.
    fn report(&mut self, w: &mut World) {
        let notes = std::mem::take(&mut self.said.notes);
        if let Some(mesh) = w.servers[self.server].mesh.as_mut() {
            mesh.notes[self.local].extend(notes);
        }
    }

    /// What somebody put for it, in this order.
    fn take_mail(mail: Mail, turn: &mut Turn<'_, Sockets>, w: &mut World, server: usize) -> Option<(ConnId, Socket)> {
        match mail {
            Mail::Order(order) => {
                if matches!(order, Order::Scarce(false)) {
                    w.scarce_until = w.now;
                }
                turn.order(order);
                None
            }
            Mail::Route(link, writes, introduction) => {
                let tap = Tap::route(server, link, &introduction, w);
                let conn = turn.introduce(*introduction);
                w.note(|| format!("server {server} has link {link} as a route: {conn:?}"));
                Some((conn, Socket::new(link, writes, Some(Box::new(tap)))))
            }
            Mail::Gateway(link, writes, introduction) => {
                let tap = Tap::gateway(server, link, &introduction, w);
                let conn = turn.introduce_gateway(*introduction);
                w.note(|| format!("server {server} has link {link} to another cluster: {conn:?}"));
                Some((conn, Socket::new(link, writes, Some(Box::new(tap)))))
            }
        }
    }

    /// Is there a reason for a turn?
    pub fn runnable(&self, w: &World) -> bool {
        let rings = &w.servers[self.server].rings;
        if rings.waits(self.local) {
            return true;
        }
        if !self.full.is_empty() {
            return self.shard.is_holding() || self.full.iter().any(|to| rings.has_room(self.local, *to));
        }
        !self.accepted.is_empty()
            || !self.orders.is_empty()
            || !self.verifying.is_empty()
            || !self.measured.is_empty()
            || self.next_at().is_some_and(|t| t.0 <= w.now)
            || self.sockets.values().any(|s| s.wants(w))
    }
}

impl Socket {
    fn new(link: usize, writes: Way, tap: Option<Box<Tap>>) -> Socket {
        Socket { link, writes, tap, late: Vec::new(), paused: false, blocked: false, ended: false, failed: false }
    }

    fn wants(&self, w: &World) -> bool {
        let link = &w.links[self.link];
        (self.failed && !self.ended)
            || (!self.paused && !self.ended && link.readable(self.writes.other()))
            || (self.blocked && (link.room(self.writes) > 0 || link.reset))
    }
}

/// One turn of shard `s`.
pub fn turn(w: &mut World, s: usize) {
    let Some(mut node) = w.nodes[s].take() else { return };
    let late = w.case.plan.broken == Broken::ParsesFirst;
    let mut arrived = Vec::new();
    if !late {
        receive(w, node.full.is_empty(), |c| node.shard.reads(c), &mut node.sockets, &mut arrived);
        w.meanwhile();
    }
    let now = Now { mono: Time(w.now), wall_ns: 1_700_000_000_000_000_000 + w.now };
    let mut turn = node.shard.begin(now);
    hear(w, (node.server, node.local), &mut turn);
    let mut turn = turn.sockets();
    for (conn, bytes) in node.measured.drain(..) {
        w.note(|| format!("shard {s} {conn:?}: {bytes} bytes are not acknowledged"));
        turn.unacked(conn, bytes);
    }
    w.meanwhile();
    if late {
        // Broken on purpose: these bytes may have come because of something that lies in a ring unheard.
        receive(w, node.full.is_empty(), |c| turn.reads(c), &mut node.sockets, &mut arrived);
    }
    if w.case.plan.broken != Broken::NoTime {
        turn.time();
    }
    if node.full.is_empty() {
        for link in node.accepted.drain(..) {
            let conn = turn.open(opening_of(link));
            node.said.placed += 1;
            w.note(|| format!("shard {s} opens link {link}"));
            node.sockets.insert(conn, Socket::new(link, Way::Down, None));
        }
        tell(w, s, &mut turn, &mut node.sockets, arrived);
        if w.rng.one_in(3) {
            // More bytes have come: the rings again, then they.
            let mut more = Vec::new();
            receive(w, true, |c| turn.reads(c), &mut node.sockets, &mut more);
            w.meanwhile();
            let mut again = turn.rings();
            hear(w, (node.server, node.local), &mut again);
            turn = again.sockets();
            tell(w, s, &mut turn, &mut node.sockets, more);
        }
    }
    if node.verifying.len() > 1 || w.rng.one_in(3) {
        // Somebody compares passwords, in his own time.
        node.orders.extend(node.verifying.pop_front().map(Mail::Order));
    }
    for mail in node.orders.drain(..) {
        node.sockets.extend(Node::take_mail(mail, &mut turn, w, node.server));
    }
    let mut flush = turn.end();
    let late_batches = push(w, (node.server, node.local), &mut flush, &mut node.full);
    while let Some((from, batch)) = flush.heard() {
        w.servers[node.server].rings.give_back(from.index(), node.local, batch);
    }
    match flush.sockets() {
        Err(_) => w.oracle.label("a ring was full"),
        Ok(mut flush) => {
            write(w, s, &mut flush, &mut node.sockets);
            while let Some(act) = flush.act() {
                do_act(w, s, act, &mut node.sockets, &mut node.said);
            }
        }
    }
    for (to, batch) in late_batches {
        w.meanwhile();
        w.servers[node.server].rings.push(node.local, to, batch);
    }
    node.measured.append(&mut node.said.measured);
    node.report(w);
    node.verifying.extend(node.said.verify.drain(..));
    w.nodes[s] = Some(node);
}

/// Hears all rings, one after the other: between two the other shards go on.
fn hear(w: &mut World, (server, me): (usize, usize), turn: &mut Turn<'_, Rings>) {
    let shards = w.servers[server].rings.shards;
    for from in 0..shards {
        let rings = &mut w.servers[server].rings;
        while let Some(batch) = rings.pop(from, me) {
            turn.batch(ShardId(from as u8), batch);
        }
        while let Some(batch) = rings.back[me * shards + from].pop_front() {
            turn.spent(batch);
        }
        if w.case.plan.cluster.is_some() {
            w.meanwhile();
        }
    }
}

/// Tells the shard.
fn tell(
    w: &mut World,
    s: usize,
    turn: &mut Turn<'_, Sockets>,
    sockets: &mut BTreeMap<ConnId, Socket>,
    arrived: Vec<Arrived>,
) {
    let misdirects = matches!(w.case.plan.broken, Broken::Relays | Broken::Bounces | Broken::Circles);
    for a in arrived {
        match a {
            Arrived::Bytes(conn, bytes) => {
                w.note(|| format!("shard {s} {conn:?} reads {:?}", String::from_utf8_lossy(&bytes)));
                if misdirects {
                    misdirect(w, conn, sockets, &bytes);
                }
                match w.case.plan.broken {
                    Broken::MixesAccounts => turn.bytes(conn, &mistaken(&bytes)),
                    Broken::ForgetsBeginnings if sends(sockets, conn) => turn.bytes(conn, &unwanted(&bytes)),
                    Broken::Unmeasured if sends(sockets, conn) => turn.bytes(conn, &unmeasured(&bytes)),
                    Broken::ForgetsEnds if sends(sockets, conn) => turn.bytes(conn, &endless(&bytes)),
                    _ => turn.bytes(conn, &bytes),
                }
            }
            Arrived::Writable(conn) => turn.writable(conn),
            Arrived::Lost(conn, why) => {
                w.note(|| format!("shard {s} {conn:?} lost: {why:?}"));
                turn.lost(conn, why);
            }
        }
    }
}

/// Pushes every batch into its ring. A driver that is broken on purpose returns them instead, to push them too late.
fn push(
    w: &mut World,
    (server, s): (usize, usize),
    flush: &mut Flush<'_, Rings>,
    full: &mut Vec<usize>,
) -> Vec<(usize, Batch)> {
    let mut late = Vec::new();
    full.clear();
    let n = w.servers[server].rings.shards;
    let first = w.rng.below(n as u64) as usize;
    for k in 0..n {
        let to = (first + k) % n;
        let Some(batch) = flush.batch(ShardId(to as u8)) else { continue };
        w.batch_bytes_max = w.batch_bytes_max.max(batch.bytes());
        w.note(|| format!("server {server} shard {s} tells {to}: {batch:?}"));
        match (w.servers[server].rings.has_room(s, to), w.case.plan.broken) {
            (_, Broken::EndsUnheard) if format!("{batch:?}").contains("up: None") => {}
            (false, Broken::RingLoses) => {}
            (false, _) => {
                full.push(to);
                flush.full(ShardId(to as u8), batch);
            }
            (true, Broken::WritesFirst) => late.push((to, batch)),
            (true, _) => w.servers[server].rings.push(s, to, batch),
        }
        w.meanwhile();
    }
    late
}

fn write(w: &mut World, s: usize, flush: &mut Flush<'_, Sockets>, sockets: &mut BTreeMap<ConnId, Socket>) {
    while let Some(conn) = flush.dirty() {
        let Some(socket) = sockets.get_mut(&conn) else {
            w.fail(format!("shard {s}: {conn:?} is dirty and has no socket"));
            return;
        };
        loop {
            let bytes = flush.pending(conn);
            if bytes.is_empty() {
                break;
            }
            let short = if w.rng.one_in(4) { 1 + w.rng.below(64) as usize } else { usize::MAX };
            if w.links[socket.link].reset {
                socket.failed = true;
            }
            let n = match w.case.plan.broken {
                _ if socket.failed => 0,
                Broken::InterestLate if socket.tap.is_some() => {
                    let said = postponed(bytes, &mut socket.late);
                    w.links[socket.link].write(socket.writes, &said, usize::MAX);
                    bytes.len()
                }
                Broken::TellsTwice if socket.tap.is_some() => {
                    w.links[socket.link].write(socket.writes, &repeated(bytes), usize::MAX);
                    bytes.len()
                }
                Broken::PlainReplies if socket.tap.as_ref().is_some_and(|t| t.sends()) => {
                    w.links[socket.link].write(socket.writes, &without_way_back(bytes), usize::MAX);
                    bytes.len()
                }
                _ => w.links[socket.link].write(socket.writes, bytes, short),
            };
            w.mix(conn.to_bits(), &bytes[..n]);
            w.note(|| format!("shard {s} {conn:?} writes {n}: {:?}", String::from_utf8_lossy(&bytes[..n])));
            if n == 0 {
                socket.blocked = !socket.failed;
                flush.blocked(conn);
                break;
            }
            if let Some(tap) = &mut socket.tap {
                if let Err(why) = tap.hear(&bytes[..n], &mut w.oracle) {
                    w.fail(why);
                }
            }
            flush.wrote(conn, n);
        }
        w.meanwhile();
    }
}

fn do_act(w: &mut World, s: usize, act: Act, sockets: &mut BTreeMap<ConnId, Socket>, said: &mut SaidOutside) {
    w.note(|| format!("shard {s} {act:?}"));
    match act {
        Act::Pause(c) => pause(w, s, sockets.get_mut(&c), true),
        Act::Resume(c) => pause(w, s, sockets.get_mut(&c), false),
        Act::Finish(c) => {
            if let Some(socket) = sockets.get(&c) {
                w.links[socket.link].shut(Way::Down);
            }
        }
        Act::Close(c) => match sockets.remove(&c) {
            Some(socket) => w.links[socket.link].closed_by_server(),
            None => w.fail(format!("shard {s} closes {c:?}, which has no socket")),
        },
        Act::Answer { answer, .. } => said.answers.push(answer),
        Act::Log { text, .. } if text.contains("secret") => {
            w.fail(format!("I19: a secret in the log: {text}"));
        }
        Act::Log { level: Level::Debug | Level::Trace, .. } => {}
        Act::Log { text, .. } => {
            let now = w.now;
            if let Some(at) = w.servers.iter().position(|server| server.owns(s)) {
                w.servers[at].log.push((now, text));
            }
        }
        Act::Verify { conn, look, proof, .. } => {
            let (found, label) = looked_at(&proof);
            w.oracle.label(label);
            said.verify.push(Order::Verified { conn, look, found });
        }
        Act::Drained => said.drained = true,
        // For people in the system account: no message's way hangs on them.
        Act::Happened(_) | Act::Asked(_) | Act::Guesses { .. } => {}
        Act::Left => match said.placed.checked_sub(1) {
            Some(left) => said.placed = left,
            None => w.fail(format!("shard {s}: more clients go than came")),
        },
        Act::Traced(part) if part.entry.is_none() && w.case.plan.broken == Broken::LosesParts => {}
        Act::Traced(part) => {
            if let Some(at) = w.servers.iter().position(|server| server.owns(s)) {
                w.traces.push((at, *part));
            }
        }
        _ if w.case.plan.cluster.is_none() => {
            w.fail(format!("shard {s} of a server without a cluster: {act:?}"));
        }
        Act::Vacant if w.server_of(s).lame.is_none() => {
            w.fail(format!("shard {s} of a server that is no lame duck: {act:?}"));
        }
        Act::Vacant => said.vacant = true,
        act => do_act_of_servers(w, s, act, sockets, said),
    }
}

/// The same of acts that concern routes and links between clusters.
fn do_act_of_servers(
    w: &mut World,
    s: usize,
    act: Act,
    sockets: &mut BTreeMap<ConnId, Socket>,
    said: &mut SaidOutside,
) {
    match act {
        Act::GatewayTidings(tidings) if !w.is_super() => {
            w.fail(format!("shard {s} of a server without gateways: {tidings:?}"));
        }
        Act::GatewayTidings(tidings) => {
            if let GatewayTidings::Ended { link, .. } = &tidings {
                over(sockets, |t| t.number == Number::Gateway(*link));
            }
            said.notes.push(Note::GatewayTidings(tidings));
        }
        Act::CloseServer(c) => match sockets.remove(&c) {
            Some(socket) => w.links[socket.link].closed_by(socket.writes),
            None => w.fail(format!("shard {s} closes route {c:?}, which has no socket")),
        },
        Act::HandOver { conn, cid, said: bytes } => {
            if let Some(socket) = sockets.remove(&conn) {
                said.notes.push(Note::HandedOver(socket.link, cid, bytes));
            }
        }
        Act::Tidings(tidings) => {
            if let Tidings::Ended { peer, .. } = &tidings {
                over(sockets, |t| t.number == Number::Route(*peer));
            }
            said.notes.push(Note::Tidings(tidings));
        }
        Act::Measure(c) => {
            if let Some(socket) = sockets.get(&c) {
                said.measured.push((c, w.links[socket.link].under_way(socket.writes) as u64));
            }
        }
        act => w.fail(format!("shard {s}: {act:?}, which nobody expects")),
    }
}

/// Does this connection send messages to another cluster?
fn sends(sockets: &BTreeMap<ConnId, Socket>, conn: ConnId) -> bool {
    sockets.get(&conn).and_then(|s| s.tap.as_deref()).is_some_and(Tap::sends)
}

/// A route or a link is over; only last words are written to it.
fn over(sockets: &mut BTreeMap<ConnId, Socket>, which: impl Fn(&Tap) -> bool) {
    let taps = sockets.values_mut().filter_map(|s| s.tap.as_mut());
    taps.filter(|t| which(t)).for_each(|t| t.over = true);
}
