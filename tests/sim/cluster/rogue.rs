//! Somebody who speaks to route ports or gateways, or is dialed as such, and keeps no rule: floods, lies, forges. What it says is
//! decided by the scenario; that nobody else is harmed is the oracle's matter, and what must become of its connections is
//! checked here.

use super::super::pipes::Way;
use super::super::world::World;
use super::foreign::{Line, DIAL_NS};
use super::member::ip;
use std::collections::BTreeMap;
use turnpike::base::{Rng, MILLISECOND, SECOND};

/// A part of what a rogue says over one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// These bytes.
    Say(String),
    /// Those that are no text.
    Raw(Vec<u8>),
    /// A CONNECT and an INFO that are in order, under this id and name; `{}` stands for what tells connections apart.
    Greet(&'static str, &'static str),
    /// `RS+` for so many subjects that begin with `r.`, in this account.
    Wants(&'static str, u64),
    /// `RS+` in so many accounts that nobody has.
    Accounts(u64),
    /// An INFO for each of so many servers that do not exist.
    Names(u64),
    /// One INFO of a turnpike that reaches so many servers that do not exist, and knows as many addresses of clients.
    Reaches(u64),
    /// What shakes hands as a gateway of this cluster, from either end, and names so many servers that do not exist besides
    /// itself.
    Link(&'static str, u64),
    /// So many lines, their numbers for `{}`.
    Many(&'static str, u64),
    /// Nothing, for so many milliseconds.
    Wait(u64),
}

/// What a rogue is up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mischief {
    /// Whom it dials, again and again.
    pub dials: Vec<usize>,
    /// How often it dials each of them at most.
    pub times: u64,
    /// The pause before it dials again, milliseconds.
    pub pause_ms: u64,
    /// What it says over its n-th connection; then from the beginning again.
    pub says: Vec<Vec<Talk>>,
    /// It answers pings.
    pub answers: bool,
    /// Each of its connections must be ended for it, and a server's log must have these words; what is a matter of course
    /// leaves none.
    pub ends: Option<&'static str>,
    /// A server's log must have these words.
    pub named: Option<&'static str>,
    /// It dials gateways, not route ports, and calls itself a member of this cluster.
    pub gateway: Option<&'static str>,
    /// What it says over connections that were made to it, as `says`; to more than `times` of them it says nothing and
    /// closes them.
    pub replies: Vec<Vec<Talk>>,
    /// No route of its may ever be registered.
    pub shut_out: bool,
}

struct Conn {
    line: Line,
    talk: Vec<Talk>,
    at: usize,
    /// How much of the present part was said.
    said: u64,
    wakes: u64,
    number: u64,
}

/// See the file's head.
pub struct Rogue {
    /// What it is up to.
    pub mischief: Mischief,
    at: usize,
    conns: BTreeMap<usize, Conn>,
    /// When it dials whom, and how often it has.
    dials: Vec<(u64, usize, u64)>,
    begun: u64,
    /// Connections that were made to it.
    taken: u64,
    /// Connections that were ended for it.
    pub ended: u64,
    rng: Rng,
}

/// Bytes not yet taken beyond which it says no more for now.
const TALK_MAX: usize = 64 << 10;

impl Rogue {
    /// A rogue at a place.
    pub fn new(mischief: Mischief, at: usize, w: &World) -> Rogue {
        let dials = mischief.dials.iter().map(|to| (w.now + 50 * MILLISECOND, *to, 0)).collect();
        let rng = Rng::new(w.now ^ (at as u64) << 32);
        Rogue { mischief, at, conns: BTreeMap::new(), dials, begun: 0, taken: 0, ended: 0, rng }
    }

    /// Somebody dialed it.
    pub fn accept(&mut self, link: usize) {
        if self.mischief.gateway.is_none() {
            return self.begin(link, Way::Down);
        }
        self.taken += 1;
        let mut line = Line::new(link, Way::Down);
        if self.taken <= self.mischief.times {
            return self.begin(link, Way::Down);
        }
        line.closing = true;
        let conn = Conn { line, talk: Vec::new(), at: 0, said: 0, wakes: 0, number: self.begun };
        self.conns.insert(link, conn);
    }

    fn begin(&mut self, link: usize, writes: Way) {
        let replies = self.mischief.gateway.is_some() && writes == Way::Down;
        let says = if replies { &self.mischief.replies } else { &self.mischief.says };
        let talk = says.get(self.begun as usize % says.len().max(1)).cloned().unwrap_or_default();
        let conn = Conn { line: Line::new(link, writes), talk, at: 0, said: 0, wakes: 0, number: self.begun };
        self.begun += 1;
        self.conns.insert(link, conn);
    }

    /// Can it do something now?
    pub fn runnable(&self, w: &World) -> bool {
        let talks = |c: &Conn| {
            let link = &w.links[c.line.link];
            c.at < c.talk.len() && c.wakes <= w.now && c.line.unsaid() < TALK_MAX && !link.reset && !link.cut
        };
        self.dials.iter().any(|(at, ..)| *at <= w.now) || self.conns.values().any(|c| c.line.wants(w) || talks(c))
    }

    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        let waits = self.conns.values().filter(|c| c.at < c.talk.len()).map(|c| c.wakes);
        self.dials.iter().map(|(at, ..)| *at).chain(waits).min()
    }

    /// Hears nothing but pings, and goes on talking.
    pub fn act(&mut self, w: &mut World) {
        self.dial(w);
        let links: Vec<usize> = self.conns.keys().copied().collect();
        for link in links {
            self.talk(w, link);
        }
    }

    fn dial(&mut self, w: &mut World) {
        let (due, later) = std::mem::take(&mut self.dials).into_iter().partition(|(at, ..)| *at <= w.now);
        self.dials = later;
        let due: Vec<(u64, usize, u64)> = due;
        for (_, to, times) in due {
            let link = match self.mischief.gateway {
                None => w.foreign_dials(self.at, to),
                Some(_) => w.foreign_dials_gateway(self.at, to),
            };
            if let Some(link) = link {
                w.oracle.label("a rogue's connection");
                self.begin(link, Way::Up);
            }
            if times + 1 < self.mischief.times {
                let pause = self.mischief.pause_ms * MILLISECOND;
                self.dials.push((w.now + pause.max(DIAL_NS / 1000), to, times + 1));
            }
        }
    }

    fn talk(&mut self, w: &mut World, link: usize) {
        let answers = self.mischief.answers;
        let Some(conn) = self.conns.get_mut(&link) else { return };
        let end = conn.line.read(w);
        while let Some(said) = conn.line.next() {
            w.note(|| format!("rogue {} link {link} hears {:?}", self.at, said.line));
            if said.line.starts_with("PING") && answers {
                conn.line.say(b"PONG\r\n");
            }
        }
        // What no operation is must not pile up here either.
        if end.is_some() {
            conn.line.ignore();
        }
        while conn.at < conn.talk.len() && conn.wakes <= w.now && conn.line.unsaid() < TALK_MAX && end.is_none() {
            let part = conn.talk[conn.at].clone();
            let bytes = conn.next_part(&part, self.at, w.now);
            // Torn anywhere; the pipes tear it further.
            conn.line.say(&bytes);
        }
        let torn = self.rng.one_in(4);
        if !torn && conn.line.write(w) {
            self.conns.remove(&link);
            return;
        }
        if end.is_some() {
            self.ended += 1;
            w.oracle.label("a rogue's connection was ended");
            w.links[link].closed_by(conn.line.writes);
            self.conns.remove(&link);
        }
    }

    /// What must have become of it, when it has had its time.
    pub fn check(&self, log: &[(u64, String)]) -> Result<(), String> {
        let let_in = log.iter().find(|(_, text)| text.starts_with("route to \"rogue") && text.contains("registered"));
        if let Some(line) = let_in.filter(|_| self.mischief.shut_out) {
            return Err(format!("I17: let in without a password: {line:?}"));
        }
        if let Some(words) = self.mischief.named.filter(|words| !log.iter().any(|(_, text)| text.contains(words))) {
            return Err(format!("I18: no log has {words:?}: {log:?}"));
        }
        let Some(words) = self.mischief.ends else { return Ok(()) };
        // Where its answers are at fault, what it dialed itself is an orderly link.
        let guilty = |c: &Conn| self.mischief.replies.is_empty() || c.line.writes == Way::Down;
        let open = self.conns.iter().filter(|(_, c)| !c.line.closing && guilty(c));
        let open: Vec<&usize> = open.map(|(link, _)| link).collect();
        if self.begun == 0 || !open.is_empty() {
            return Err(format!("I9: of {} connections of a rogue {open:?} are still open", self.begun));
        }
        if !log.iter().any(|(_, text)| text.contains(words)) {
            return Err(format!("I18: no log has {words:?}: {log:?}"));
        }
        Ok(())
    }
}

impl Conn {
    /// Some more of a part of what it says; goes on to the next part when this one is said.
    fn next_part(&mut self, part: &Talk, at: usize, now: u64) -> Vec<u8> {
        const SLICE: u64 = 500;
        let (from, number) = (self.said, self.number);
        let mut slice = |n: u64| {
            self.said = (from + SLICE).min(n);
            self.at += usize::from(self.said == n);
            let range = from..self.said;
            self.said *= u64::from(self.said < n);
            range
        };
        let lines = |range: std::ops::Range<u64>, line: &dyn Fn(u64) -> String| -> Vec<u8> {
            range.map(line).collect::<String>().into_bytes()
        };
        match part {
            Talk::Wants(account, n) => lines(slice(*n), &|i| format!("RS+ {account} r.{number}.{i}\r\n")),
            Talk::Many(line, n) => lines(slice(*n), &|i| line.replace("{}", &i.to_string()) + "\r\n"),
            Talk::Accounts(n) => lines(slice(*n), &|i| format!("RS+ NOBODY{i} r.{number}\r\n")),
            Talk::Names(n) => lines(slice(*n), &|i| {
                let ip = format!("10.{}.{}.{}", 100 + number % 100, i / 250, i % 250 + 1);
                format!(
                    "INFO {{\"server_id\":\"GHOST{number}-{i}\",\"server_name\":\"ghost{i}\",\"cluster\":\"c1\",\
                     \"ip\":\"nats-route://{ip}:6222/\"}}\r\n"
                )
            }),
            other => {
                self.at += 1;
                match other {
                    Talk::Say(text) => text.clone().into_bytes(),
                    Talk::Raw(bytes) => bytes.clone(),
                    Talk::Greet(id, name) => greeting(id, name, at, number).into_bytes(),
                    Talk::Reaches(n) => reaches(*n, number).into_bytes(),
                    Talk::Link(cluster, n) => {
                        linking(cluster, *n, at, number, self.line.writes == Way::Up).into_bytes()
                    }
                    Talk::Wait(ms) => {
                        self.wakes = now + ms * MILLISECOND;
                        Vec::new()
                    }
                    _ => Vec::new(),
                }
            }
        }
    }
}

fn greeting(id: &str, name: &str, at: usize, number: u64) -> String {
    let (id, name) = (id.replace("{}", &number.to_string()), name.replace("{}", &number.to_string()));
    let host = ip(at);
    format!(
        "CONNECT {{\"name\":\"{id}\",\"cluster\":\"c1\",\"echo\":true}}\r\n\
         INFO {{\"server_id\":\"{id}\",\"server_name\":\"{name}\",\"host\":\"{host}\",\"port\":6222,\"headers\":true,\
         \"cluster\":\"c1\"}}\r\n"
    )
}

/// What shakes hands between clusters.
fn linking(cluster: &str, ghosts: u64, at: usize, number: u64, dialed: bool) -> String {
    let own = format!("{}:7222", ip(at));
    let ghosts = (0..ghosts).map(|i| format!("10.97.{}.{}:7222", i / 250, i % 250));
    let urls: Vec<String> = [own.clone()].into_iter().chain(ghosts).map(|url| format!("\"{url}\"")).collect();
    let connect = format!("CONNECT {{\"name\":\"ROGUE-{number}\",\"gateway\":\"{cluster}\"}}\r\n");
    let info = format!(
        "INFO {{\"server_id\":\"ROGUE-{number}\",\"server_name\":\"rogue-{number}\",\"headers\":true,\
         \"gateway\":\"{cluster}\",\"gateway_urls\":[{}],\"gateway_url\":\"{own}\",\"gateway_nrp\":true}}\r\n",
        urls.join(",")
    );
    if dialed {
        connect + &info
    } else {
        info
    }
}

fn reaches(n: u64, number: u64) -> String {
    let one = |i: u64| {
        format!("{{\"id\":\"G{i}\",\"name\":\"g{i}\",\"url\":\"nats-route://10.99.{}.{}:1/\"}}", i / 250, i % 250)
    };
    let all: Vec<String> = (0..n).map(one).collect();
    let urls: Vec<String> = (0..n).map(|i| format!("\"10.98.{}.{}:4222\"", i / 250, i % 250)).collect();
    format!(
        "INFO {{\"server_id\":\"GHOST-{number}\",\"server_name\":\"ghost-{number}\",\"cluster\":\"c1\",\"turnpike\":\"9\",\
         \"reaches\":[{}],\"connect_urls\":[{}]}}\r\n",
        all.join(","),
        urls.join(",")
    )
}

/// A rogue's connections that must be ended are, after so long.
pub const PATIENCE_NS: u64 = 10 * SECOND;
