//! One server of a crowd: its mesh, its gateways' machine and its one shard, driven as the shell drives them. It acts
//! when something has arrived or is due.

use super::wires::Whose;
use super::world::{moment, Attempt, World};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Level, ShardId};
use turnpike::conn::{GatewayIntroduction, GatewayTidings, Introduction, Tidings};
use turnpike::gateways::{self, Gateways};
use turnpike::mesh::{self, Mesh};
use turnpike::shard::{Act, Answer, Ask, Flush, Lost, Opening, Order, Shard, Sockets};

/// Its only shard.
const SHARD: ShardId = ShardId(0);

/// An end of a wire.
pub type Place = (usize, usize);

/// See the file's head.
pub struct Server {
    /// Which one it is.
    pub at: usize,
    /// Its mesh.
    pub mesh: Mesh,
    /// Its gateways' machine.
    pub gates: Gateways,
    shard: Shard,
    sockets: BTreeMap<ConnId, Place>,
    hands: BTreeMap<Cid, (Place, bool)>,
    /// Ends where something can be read.
    pub heard: Vec<Place>,
    /// Connections of clients.
    pub accepted: Vec<Place>,
    mail: VecDeque<Mail>,
    notes: VecDeque<Note>,
    measured: Vec<(ConnId, u64)>,
    answers: Vec<Answer>,
    /// When it is to act; `u64::MAX`: not before something happens.
    pub wake_at: u64,
    /// Dials of routes, by server.
    pub route_dials: BTreeMap<usize, u32>,
    /// Dials of gateways: when, by server.
    pub gateway_dials: BTreeMap<usize, Vec<u64>>,
    /// What it said for the log beyond information.
    pub complaints: Vec<String>,
}

enum Mail {
    Order(Order),
    Route(Place, Box<Introduction>),
    Gateway(Place, Box<GatewayIntroduction>),
}

enum Note {
    Route(Tidings),
    Gateway(GatewayTidings),
}

impl Server {
    /// A server that has just started.
    pub fn new(at: usize, mesh: Mesh, gates: Gateways, shard: Shard) -> Server {
        Server {
            at,
            mesh,
            gates,
            shard,
            sockets: BTreeMap::new(),
            hands: BTreeMap::new(),
            heard: Vec::new(),
            accepted: Vec::new(),
            mail: VecDeque::new(),
            notes: VecDeque::new(),
            measured: Vec::new(),
            answers: Vec::new(),
            wake_at: u64::MAX,
            route_dials: BTreeMap::new(),
            gateway_dials: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// Connections in handshake.
    pub fn handshakes(&self) -> usize {
        self.hands.len()
    }

    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        let own = [self.mesh.next_at(), self.gates.next_at(), self.shard.next_at()];
        own.into_iter().flatten().map(|t| t.0).min()
    }

    /// A connection is made, or not.
    pub fn dialed(&mut self, attempt: Attempt, outcome: Result<(Place, String, u16), &str>, now: u64) {
        let cid = |place: Place| Cid(2 * place.0 as u64 + 1 + place.1 as u64);
        let gateway = matches!(attempt, Attempt::Gateway(_));
        let outcome = outcome.map(|(place, host, port)| {
            self.hands.insert(cid(place), (place, gateway));
            (cid(place), host, port)
        });
        match attempt {
            Attempt::Route(dial) => {
                self.mesh.time(moment(now));
                self.mesh.dialed(dial, outcome.map_err(mesh::Unreached::from));
            }
            Attempt::Gateway(dial) => {
                self.gates.time(moment(now));
                self.gates.dialed(dial, outcome.map_err(String::from));
            }
        }
    }

    /// Another server connects.
    pub fn accept(&mut self, place: Place, gateway: bool, from: &str, now: u64) {
        let cid = Cid(2 * place.0 as u64 + 1 + place.1 as u64);
        self.hands.insert(cid, (place, gateway));
        if gateway {
            self.gates.time(moment(now));
            self.gates.accepted(cid, from, 50_000);
        } else {
            self.mesh.time(moment(now));
            self.mesh.accepted(cid, from, 50_000);
        }
    }

    /// Hears what has come, and does what follows.
    pub fn act(&mut self, w: &mut World) {
        self.mesh.time(moment(w.now));
        self.gates.time(moment(w.now));
        self.carry_out(w);
        let (mut arrived, mut later) = (Vec::new(), Vec::new());
        for place in std::mem::take(&mut self.heard) {
            self.hear(w, place, &mut arrived, &mut later);
        }
        loop {
            self.turn(w, &mut arrived);
            while let Some(note) = self.notes.pop_front() {
                match note {
                    Note::Route(t) => self.mesh.tidings(SHARD, t),
                    Note::Gateway(t) => self.gates.tidings(SHARD, t),
                }
            }
            self.carry_out(w);
            if self.mail.is_empty() {
                break;
            }
        }
        // The shard has these by now.
        for (wire, end) in later {
            w.list(wire, end, self);
        }
    }

    fn hear(&mut self, w: &mut World, (wire, end): Place, arrived: &mut Vec<Arrived>, later: &mut Vec<Place>) {
        let e = &mut w.wires[wire].ends[end];
        e.listed = false;
        match e.whose {
            Whose::Given => later.push((wire, end)),
            Whose::Shard(conn) => arrived.push(Arrived { conn, bytes: std::mem::take(&mut e.inbox), over: e.over }),
            Whose::Hand(cid) => {
                let (bytes, over) = (std::mem::take(&mut e.inbox), e.over);
                let gateway = self.hands.get(&cid).is_some_and(|(_, gateway)| *gateway);
                match gateway {
                    true => self.gates.bytes(cid, &bytes),
                    false => self.mesh.bytes(cid, &bytes),
                }
                self.carry_out(w);
                if over && self.hands.remove(&cid).is_some() {
                    w.close(wire, end);
                    match gateway {
                        true => self.gates.lost(cid, "the peer closed it"),
                        false => self.mesh.lost(cid, "the peer closed it"),
                    }
                    self.carry_out(w);
                }
            }
            Whose::Client(_) | Whose::Nobody => e.inbox.clear(),
        }
    }

    /// Asks the shard something.
    pub fn ask(&mut self, w: &mut World, ask: Ask) -> Answer {
        self.mail.push_back(Mail::Order(Order::Report { ticket: 1, ask }));
        self.act(w);
        self.answers.pop().expect("an answer comes with the turn")
    }

    fn turn(&mut self, w: &mut World, arrived: &mut Vec<Arrived>) {
        let mut turn = self.shard.begin(moment(w.now)).sockets();
        for (conn, bytes) in self.measured.drain(..) {
            turn.unacked(conn, bytes);
        }
        turn.time();
        for place in self.accepted.drain(..) {
            let cid = Cid(2 * place.0 as u64 + 1 + place.1 as u64);
            let conn = turn.open(Opening {
                cid,
                ip: "127.0.0.1".into(),
                port: 5000,
                over_limit: false,
                privacy: Default::default(),
                nonce: [0; 11],
            });
            self.sockets.insert(conn, place);
            w.wires[place.0].ends[place.1].whose = Whose::Shard(conn);
        }
        for Arrived { conn, bytes, over } in arrived.drain(..) {
            if !bytes.is_empty() {
                turn.bytes(conn, &bytes);
            }
            if over {
                turn.lost(conn, Lost::Eof);
            }
        }
        for mail in self.mail.drain(..) {
            let (place, conn) = match mail {
                Mail::Order(order) => {
                    turn.order(order);
                    continue;
                }
                Mail::Route(place, intro) => (place, turn.introduce(*intro)),
                Mail::Gateway(place, intro) => (place, turn.introduce_gateway(*intro)),
            };
            self.sockets.insert(conn, place);
            w.wires[place.0].ends[place.1].whose = Whose::Shard(conn);
        }
        let mut flush = turn.end().sockets().expect("one shard has no rings");
        write(w, &mut flush, &self.sockets);
        while let Some(act) = flush.act() {
            let sockets = &mut self.sockets;
            match act {
                Act::Close(c) | Act::CloseServer(c) => {
                    if let Some((wire, end)) = sockets.remove(&c) {
                        w.close(wire, end);
                    }
                }
                Act::Answer { answer, .. } => self.answers.push(answer),
                Act::Tidings(t) => self.notes.push_back(Note::Route(t)),
                Act::GatewayTidings(t) => self.notes.push_back(Note::Gateway(t)),
                Act::Measure(c) => {
                    let place = sockets.get(&c).map(|(wire, end)| w.wires[*wire].ends[1 - end].coming.len());
                    self.measured.extend(place.map(|n| (c, n as u64)));
                }
                Act::Log { level: Level::Debug | Level::Trace | Level::Info, .. }
                | Act::Happened(_)
                | Act::Asked(_)
                | Act::Traced(_) => {}
                Act::Log { text, .. } => self.complaints.push(text),
                act => w.fail(format!("server {}: {act:?}, which nothing here is a reason for", self.at)),
            }
        }
    }

    /// Does what the machines ask for.
    pub fn carry_out(&mut self, w: &mut World) {
        loop {
            if let Some(act) = self.mesh.poll() {
                self.do_for_mesh(w, act);
            } else if let Some(act) = self.gates.poll() {
                self.do_for_gateways(w, act);
            } else {
                return;
            }
        }
    }

    fn do_for_mesh(&mut self, w: &mut World, act: mesh::Act) {
        match act {
            mesh::Act::Dial { dial, host, .. } => self.dial(w, Attempt::Route(dial), &host),
            mesh::Act::Write { link, bytes } => self.say(w, link, &bytes),
            mesh::Act::Close { link } => self.hang_up(w, link),
            mesh::Act::Give { link, route, .. } => {
                if let Some(place) = self.give(w, link) {
                    self.mail.push_back(Mail::Route(place, route));
                }
            }
            mesh::Act::Tell { instruction, .. } => self.mail.push_back(Mail::Order(Order::Instruct(instruction))),
            mesh::Act::Verify { .. } => w.fail("nobody has a password here".into()),
            mesh::Act::ClientUrls { urls, ldm } => {
                let urls: Arc<[String]> = urls.into();
                self.mail.push_back(Mail::Order(Order::ClientUrls { urls, ldm }));
            }
            mesh::Act::News(news) => {
                self.gates.time(moment(w.now));
                self.gates.route_news(news);
            }
            mesh::Act::ClusterName(name) => {
                self.mail.push_back(Mail::Order(Order::ClusterName(name.as_str().into())));
            }
            mesh::Act::Log { level, text } => self.log(level, text),
        }
    }

    fn do_for_gateways(&mut self, w: &mut World, act: gateways::Act) {
        match act {
            gateways::Act::Dial { dial, host, .. } => self.dial(w, Attempt::Gateway(dial), &host),
            gateways::Act::Write { link, bytes } => self.say(w, link, &bytes),
            gateways::Act::Close { link } => self.hang_up(w, link),
            gateways::Act::Give { link, intro, .. } => {
                if let Some(place) = self.give(w, link) {
                    self.mail.push_back(Mail::Gateway(place, intro));
                }
            }
            gateways::Act::Tell { instruction, .. } => {
                self.mail.push_back(Mail::Order(Order::InstructGateway(instruction)));
            }
            gateways::Act::Verify { .. } => w.fail("nobody has a password here".into()),
            gateways::Act::Members { to, line } => self.mesh.say_about_gateways(to, &line),
            gateways::Act::Reaches(clusters) => self.mesh.reaches_clusters(clusters),
            gateways::Act::Border(digest) => self.mesh.border(digest),
            gateways::Act::EndMember { peer, says, why } => self.mesh.end_for_border(peer, &says, &why),
            gateways::Act::Log { level, text } => self.log(level, text),
        }
    }

    fn log(&mut self, level: Level, text: String) {
        if matches!(level, Level::Warn | Level::Error) {
            self.complaints.push(text);
        }
    }

    fn dial(&mut self, w: &mut World, attempt: Attempt, host: &str) {
        let target = w.server_at(host);
        match (&attempt, target) {
            (Attempt::Route(_), Some(t)) => *self.route_dials.entry(t).or_default() += 1,
            (Attempt::Gateway(_), Some(t)) => self.gateway_dials.entry(t).or_default().push(w.now),
            (_, None) => w.fail(format!("server {} dials {host:?}, where nobody lives", self.at)),
        }
        w.connect(self.at, attempt, target);
    }

    fn say(&mut self, w: &mut World, link: Cid, bytes: &[u8]) {
        if let Some(((wire, end), _)) = self.hands.get(&link) {
            w.send(*wire, *end, bytes);
        }
    }

    fn hang_up(&mut self, w: &mut World, link: Cid) {
        if let Some(((wire, end), _)) = self.hands.remove(&link) {
            w.close(wire, end);
        }
    }

    fn give(&mut self, w: &mut World, link: Cid) -> Option<Place> {
        let (place, _) = self.hands.remove(&link)?;
        w.wires[place.0].ends[place.1].whose = Whose::Given;
        Some(place)
    }
}

/// What has arrived at a socket of the shard.
struct Arrived {
    conn: ConnId,
    bytes: Vec<u8>,
    over: bool,
}

fn write(w: &mut World, flush: &mut Flush<'_, Sockets>, sockets: &BTreeMap<ConnId, Place>) {
    while let Some(conn) = flush.dirty() {
        let Some((wire, end)) = sockets.get(&conn).copied() else {
            return w.fail(format!("{conn:?} is dirty and has no socket"));
        };
        loop {
            let bytes = flush.pending(conn);
            if bytes.is_empty() {
                break;
            }
            w.send(wire, end, bytes);
            let n = bytes.len();
            flush.wrote(conn, n);
        }
    }
}
