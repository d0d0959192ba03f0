//! Servers of a run that are not ours: scripted nats-servers, and rogues. They have connections of their own and speak
//! raw bytes; the world moves them like everybody else.

use super::super::pipes::{Link, Read, Way};
use super::super::world::World;
use super::member::ip;
use super::nats::Nats;
use super::plan::Kind;
use super::rogue::Rogue;
use turnpike::base::SECOND;

/// See the file's head.
pub enum Foreign {
    /// A nats-server.
    Nats(Box<Nats>),
    /// Somebody who breaks the rules.
    Rogue(Box<Rogue>),
}

/// One connection of a foreign server: what it has read and not understood, and what it has yet to write.
pub struct Line {
    /// In the world's links.
    pub link: usize,
    /// The direction that this end writes.
    pub writes: Way,
    heard: Vec<u8>,
    out: Vec<u8>,
    /// To be closed once all is written.
    pub closing: bool,
}

/// One operation as it was said.
#[derive(Debug)]
pub struct Said {
    /// The line without its end.
    pub line: String,
    /// What followed it, for messages.
    pub body: Vec<u8>,
}

impl Said {
    /// The words of the line.
    pub fn words(&self) -> Vec<&str> {
        self.line.split(' ').collect()
    }
}

impl Line {
    /// At this end of a link.
    pub fn new(link: usize, writes: Way) -> Line {
        Line { link, writes, heard: Vec::new(), out: Vec::new(), closing: false }
    }

    /// Says something, when there is room.
    pub fn say(&mut self, bytes: &[u8]) {
        if !self.closing {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Bytes not written yet.
    pub fn unsaid(&self) -> usize {
        self.out.len()
    }

    /// Takes in what has come. The end of the stream, if it was reached: `false` for a reset.
    pub fn read(&mut self, w: &mut World) -> Option<bool> {
        match w.links[self.link].read(self.writes.other(), usize::MAX, &mut self.heard) {
            Read::Some(_) | Read::Empty => None,
            Read::End => Some(true),
            Read::Reset => Some(false),
        }
    }

    /// The next whole operation. Messages are those of verbs that name a size.
    pub fn next(&mut self) -> Option<Said> {
        let end = self.heard.windows(2).position(|b| b == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
        let sized = ["PUB ", "HPUB ", "RMSG ", "HMSG "].iter().any(|verb| line.starts_with(verb));
        let size = line.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()).filter(|_| sized);
        let all = end + 2 + size.map_or(0, |n| n + 2);
        let body = self.heard.get(end + 2..all)?[..size.unwrap_or(0)].to_vec();
        self.heard.drain(..all);
        Some(Said { line, body })
    }

    /// Forgets what was read.
    pub fn ignore(&mut self) {
        self.heard.clear();
    }

    /// Writes what there is room for; true: it is over, and closed.
    pub fn write(&mut self, w: &mut World) -> bool {
        let link = &mut w.links[self.link];
        let n = link.write(self.writes, &self.out, usize::MAX);
        self.out.drain(..n);
        let over = self.closing && self.out.is_empty();
        if over {
            link.closed_by(self.writes);
        }
        over
    }

    /// Is there anything to do here?
    pub fn wants(&self, w: &World) -> bool {
        let link = &w.links[self.link];
        let says = !self.out.is_empty() && link.room(self.writes) > 0 && !link.reset && !link.cut;
        says || link.readable(self.writes.other()) || (self.closing && self.out.is_empty())
    }
}

impl Foreign {
    /// The foreign server at a place, in its n-th life.
    pub fn new(w: &World, at: usize) -> Option<Foreign> {
        let cluster = w.case.plan.cluster.as_ref()?;
        match &cluster.members[at].kind {
            Kind::Turnpike => None,
            Kind::Nats(version) => Some(Foreign::Nats(Box::new(Nats::new(cluster, at, *version, w)))),
            Kind::Rogue(mischief) => Some(Foreign::Rogue(Box::new(Rogue::new(mischief.clone(), at, w)))),
        }
    }

    /// Somebody dialed it.
    pub fn accept(&mut self, link: usize, from: usize, now: u64) {
        match self {
            Foreign::Nats(n) => n.accept(link, from, now),
            Foreign::Rogue(r) => r.accept(link),
        }
    }

    /// Somebody dialed its gateway.
    pub fn accept_gateway(&mut self, link: usize, from: usize, now: u64) {
        match self {
            Foreign::Nats(n) => n.accept_gateway(link, from, now),
            Foreign::Rogue(r) => r.accept(link),
        }
    }

    /// A client has connected.
    pub fn accept_client(&mut self, link: usize) {
        if let Foreign::Nats(n) = self {
            n.accept_client(link);
        }
    }

    /// Can it do something now?
    pub fn runnable(&self, w: &World) -> bool {
        match self {
            Foreign::Nats(n) => n.runnable(w),
            Foreign::Rogue(r) => r.runnable(w),
        }
    }

    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        match self {
            Foreign::Nats(n) => n.next_at(),
            Foreign::Rogue(r) => r.next_at(),
        }
    }

    /// Links of the routes that it has registered.
    pub fn routes(&self) -> Vec<usize> {
        match self {
            Foreign::Nats(n) => n.routes(),
            Foreign::Rogue(_) => Vec::new(),
        }
    }

    /// Links to and from other clusters that it has registered, and whether it sends on them.
    pub fn gateways(&self) -> Vec<(usize, bool)> {
        match self {
            Foreign::Nats(n) => n.gateways(),
            Foreign::Rogue(_) => Vec::new(),
        }
    }

    /// Links of its clients.
    pub fn clients(&self) -> Vec<usize> {
        match self {
            Foreign::Nats(n) => n.clients(),
            Foreign::Rogue(_) => Vec::new(),
        }
    }
}

impl World {
    /// A foreign server does something.
    pub fn foreign_acts(&mut self, at: usize) {
        let Some(mut foreign) = self.servers[at].foreign.take() else { return };
        match &mut foreign {
            Foreign::Nats(n) => n.act(self),
            Foreign::Rogue(r) => r.act(self),
        }
        self.servers[at].foreign = Some(foreign);
    }

    /// A foreign server dials another one, which answers, or not: the link.
    pub fn foreign_dials(&mut self, from: usize, to: usize) -> Option<usize> {
        self.foreign_connects(from, to, false)
    }

    /// The same of the gateway of a server.
    pub fn foreign_dials_gateway(&mut self, from: usize, to: usize) -> Option<usize> {
        if self.barred.contains_key(&(from, to)) {
            return None;
        }
        self.foreign_connects(from, to, true)
    }

    fn foreign_connects(&mut self, from: usize, to: usize, gateway: bool) -> Option<usize> {
        if !self.servers[to].up || self.apart(from, to) {
            return None;
        }
        let link = self.links.len();
        let plan = self.case.plan.cluster.as_ref();
        let window = plan.map_or(1 << 16, |c| c.window);
        let far = plan.filter(|c| gateway && !c.distances.is_empty()).map(|c| (c.numbers(), c));
        let distance = far.map_or(0, |(of, c)| c.distance(of[from], of[to]));
        self.links.push(Link { servers: Some((from, to)), gateway, ..Link::long(window, distance) });
        let now = self.now;
        let server = &mut self.servers[to];
        match (server.mesh.as_mut(), server.foreign.as_mut()) {
            (Some(mesh), _) if gateway => mesh.accept_gateway(link, now, &ip(from)),
            (Some(mesh), _) => mesh.accept(link, now, &ip(from)),
            (None, Some(other)) if gateway => other.accept_gateway(link, from, now),
            (None, Some(other)) => other.accept(link, from, now),
            (None, None) => self.fail(format!("server {to} is up and has nobody to take a connection")),
        }
        self.note(|| format!("server {from} reaches {to} (gateway: {gateway}): link {link}"));
        Some(link)
    }

    /// Is this one of ours?
    pub fn is_ours(&self, at: usize) -> bool {
        self.kind(at).is_none_or(|k| *k == Kind::Turnpike)
    }

    /// Is this a rogue?
    pub fn is_rogue(&self, at: usize) -> bool {
        matches!(self.kind(at), Some(Kind::Rogue(_)))
    }

    fn kind(&self, at: usize) -> Option<&Kind> {
        self.case.plan.cluster.as_ref().map(|c| &c.members[at].kind)
    }
}

/// How long a dial that nobody answers takes.
pub const DIAL_NS: u64 = SECOND;
