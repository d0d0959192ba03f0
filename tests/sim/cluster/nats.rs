//! A nats-server as a member of the cluster, of one of two generations: 2.9 (INFO together with CONNECT, no pool,
//! tolerant) and 2.15 (delayed INFO, a pool of three advertised, one more dial for `$SYS`, compression offered,
//! `gossip_mode`), after captures C1–C6 of cluster-protocol.md §8. It takes clients and speaks to peers over raw bytes,
//! and says at once what no peer may say to it.
//!
//! Between two of these only the first connection of a pool is made: what they do among themselves is not under test.
//! A queue message whose member has left is dropped, where a real one may send it back.
//!
//! It may have a gateway (`gates`, `interest`, `replies`), after captures C7–C12.

use super::super::pipes::Way;
use super::super::world::World;
use super::foreign::{Line, Said, DIAL_NS};
use super::member::{ip, server_id};
use super::plan::{Cluster, Version};
use std::collections::BTreeMap;
use turnpike::base::{Rng, MILLISECOND, SECOND};

mod clients;
mod gates;
mod interest;
mod replies;
mod routes;
mod traffic;

use self::clients::Session;
use self::gates::Gates;

/// Between two pings, and pings not answered beyond which a peer is stale. Real ones wait longer.
const PING_NS: u64 = 5 * SECOND;
const PINGS_MAX: u32 = 2;

/// A key of interest: account, pattern, queue group or nothing.
type Key = (String, String, String);

/// See the file's head.
pub struct Nats {
    at: usize,
    id: String,
    name: String,
    version: Version,
    cluster: String,
    login: Option<(String, String)>,
    accounts: usize,
    /// Whom it has in its list of routes.
    lists: Vec<usize>,
    rng: Rng,
    conns: BTreeMap<usize, Conn>,
    /// By server id.
    remotes: BTreeMap<String, Remote>,
    dials: Vec<Dialing>,
    sessions: BTreeMap<usize, Session>,
    gates: Option<Gates>,
    /// Subjects of an account that each server's cluster may refuse.
    refusals: Vec<usize>,
    /// It is now.
    now: u64,
    /// Others have borders. What is a part of something and wanted by itself, or told anew by other rules, they may say and
    /// take back twice.
    borders: bool,
    /// What no peer may do to it, as its log would have it.
    complaint: Option<String>,
}

/// A connection to a peer.
struct Conn {
    line: Line,
    peer: usize,
    /// It dialed, and for what.
    dialed: Option<Purpose>,
    /// CONNECT has come.
    connected: bool,
    /// The peer's id, once registered.
    remote: Option<String>,
    ping_at: u64,
    unanswered: u32,
    /// Something was heard since the last ping.
    busy: bool,
}

/// Why an address is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Purpose {
    /// It is in the list.
    explicit: bool,
    /// For the system account alone.
    system: bool,
    /// `gossip_mode` of the INFO that named it.
    mode: i64,
}

struct Dialing {
    due: u64,
    to: usize,
    what: Purpose,
    /// Nobody answers; the end of waiting.
    failing: bool,
}

/// A registered peer.
struct Remote {
    link: usize,
    place: usize,
    info: serde_json::Value,
    interest: BTreeMap<Key, u64>,
    /// In the list, or dialed because it was.
    explicit: bool,
    /// To be dialed again when it is lost.
    retry: bool,
}

impl Nats {
    /// A nats-server at its beginning: its list is to be dialed.
    pub fn new(cluster: &Cluster, at: usize, version: Version, w: &World) -> Nats {
        let (m, life) = (&cluster.members[at], w.servers[at].lives);
        let what = |system| Purpose { explicit: true, system, mode: 0 };
        let general = m.routes.iter().map(|to| Dialing { due: w.now, to: *to, what: what(false), failing: false });
        let system = m.routes.iter().filter(|_| version == Version::V215);
        let system = system.map(|to| Dialing { due: w.now, to: *to, what: what(true), failing: false });
        Nats {
            at,
            id: server_id(cluster, at, life),
            name: m.name.clone().unwrap_or_else(|| format!("n{at}")),
            version,
            cluster: m.cluster.clone().unwrap_or_default(),
            login: m.login.clone(),
            accounts: w.case.plan.accounts,
            lists: m.routes.clone(),
            rng: Rng::new(w.now ^ ((at as u64) << 40) ^ (life << 50)),
            conns: BTreeMap::new(),
            remotes: BTreeMap::new(),
            dials: general.chain(system).collect(),
            sessions: BTreeMap::new(),
            gates: Gates::new(cluster, at, w.now),
            refusals: cluster.members.iter().map(|m| m.gate.as_ref().map_or(0, |g| g.refused_max)).collect(),
            now: w.now,
            borders: !cluster.rules.is_empty(),
            complaint: None,
        }
    }

    /// Can it do something now?
    pub fn runnable(&self, w: &World) -> bool {
        self.next_at().is_some_and(|at| at <= w.now)
            || self.conns.values().any(|c| c.line.wants(w))
            || self.sessions.values().any(|s| s.line.wants(w))
            || self.gates.as_ref().is_some_and(|g| g.runnable(w))
    }

    /// When something is due by itself.
    pub fn next_at(&self) -> Option<u64> {
        let pings = self.conns.values().map(|c| c.ping_at);
        let across = self.gates.as_ref().and_then(Gates::next_at);
        self.dials.iter().map(|d| d.due).chain(pings).chain(across).min()
    }

    /// Links of the routes that it has registered.
    pub fn routes(&self) -> Vec<usize> {
        self.remotes.values().map(|r| r.link).collect()
    }

    /// Links to and from other clusters that it has registered, and whether it sends on them.
    pub fn gateways(&self) -> Vec<(usize, bool)> {
        self.gates.as_ref().map(Gates::registered).unwrap_or_default()
    }

    /// Links of its clients.
    pub fn clients(&self) -> Vec<usize> {
        self.sessions.keys().copied().collect()
    }

    /// A peer dialed it.
    pub fn accept(&mut self, link: usize, peer: usize, now: u64) {
        self.add(link, Way::Down, peer, None, now);
        let info = self.info(None, 0);
        self.say(link, &info);
    }

    fn add(&mut self, link: usize, writes: Way, peer: usize, dialed: Option<Purpose>, now: u64) {
        let ping_at = now + SECOND + self.rng.below(200) * MILLISECOND;
        let conn = Conn {
            line: Line::new(link, writes),
            peer,
            dialed,
            connected: false,
            remote: None,
            ping_at,
            unanswered: 0,
            busy: false,
        };
        self.conns.insert(link, conn);
    }

    fn say(&mut self, link: usize, text: &str) {
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.line.say(text.as_bytes());
        }
    }

    /// Hears what has come, and does what follows.
    pub fn act(&mut self, w: &mut World) {
        self.now = w.now;
        self.dial(w);
        self.beat(w.now);
        self.dial_clusters(w);
        self.beat_across(w.now);
        let links: Vec<usize> = self.conns.keys().copied().collect();
        for link in links {
            self.hear_peer(w, link);
        }
        self.hear_clusters(w);
        self.serve(w);
        let mut over: Vec<usize> = Vec::new();
        for (link, conn) in &mut self.conns {
            over.extend(conn.line.write(w).then_some(*link));
        }
        over.into_iter().for_each(|link| self.lost(link, w.now, false));
        self.write_across(w);
        self.account_for(w);
        if let Some(why) = self.complaint.take() {
            w.fail(format!("nats-server {}: {why}", self.at));
        }
    }

    fn hear_peer(&mut self, w: &mut World, link: usize) {
        let Some(conn) = self.conns.get_mut(&link) else { return };
        let end = conn.line.read(w);
        while let Some(conn) = self.conns.get_mut(&link).filter(|c| !c.line.closing) {
            let Some(said) = conn.line.next() else { break };
            conn.busy = true;
            w.note(|| format!("nats-server {} link {link} hears {:?} {}", self.at, said.line, said.body.len()));
            self.heard(w, link, &said);
        }
        if end.is_some() {
            w.links[link].closed_by(self.conns.get(&link).map_or(Way::Down, |c| c.line.writes));
            self.lost(link, w.now, true);
        }
    }

    /// One operation of a peer.
    fn heard(&mut self, w: &mut World, link: usize, said: &Said) {
        let Some(conn) = self.conns.get(&link) else { return };
        let (verb, rest) = said.line.split_once(' ').unwrap_or((&said.line, ""));
        let first = conn.dialed.is_none() && !conn.connected;
        let registered = conn.remote.is_some();
        match verb {
            "CONNECT" if first => self.asked_in(w, link, rest),
            _ if first && self.version == Version::V215 => {
                self.complain(format!("the peer begins with {:?}", said.line));
            }
            "INFO" => match serde_json::from_str(rest.trim()) {
                Ok(info) => self.informed(w, link, &info),
                Err(e) => self.complain(format!("INFO with {e}: {rest}")),
            },
            "PING" => self.say(link, "PONG\r\n"),
            "PONG" => {
                if let Some(conn) = self.conns.get_mut(&link) {
                    conn.unanswered = 0;
                }
            }
            "RS+" | "RS-" if registered => self.interest(link, &said.words()),
            "RMSG" | "HMSG" if registered => self.routed(w, said),
            "-ERR" => self.refused(w, link, rest),
            _ => self.complain(format!("the peer says {:?}, registered: {registered}", said.line)),
        }
    }

    fn complain(&mut self, why: String) {
        self.complaint.get_or_insert(why);
    }

    /// Every `-ERR` is a line in the log of a real one, and the end of the connection.
    fn refused(&mut self, w: &mut World, link: usize, text: &str) {
        w.oracle.label("-ERR for a nats-server");
        let ours = self.conns.get(&link).is_some_and(|c| w.is_ours(c.peer));
        let excused = w.struck || !ours;
        if !excused {
            self.complain(format!("the peer says -ERR {text}, and nothing has gone wrong"));
        }
        self.close(link);
    }

    fn close(&mut self, link: usize) {
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.line.closing = true;
        }
    }

    /// Dials what is due.
    fn dial(&mut self, w: &mut World) {
        let (due, later) = std::mem::take(&mut self.dials).into_iter().partition(|d: &Dialing| d.due <= w.now);
        self.dials = later;
        let due: Vec<Dialing> = due;
        for d in due {
            if !d.failing {
                match w.foreign_dials(self.at, d.to) {
                    Some(link) => self.begin(link, &d, w.now),
                    // Refused at once, or not answered.
                    None if w.apart(self.at, d.to) => {
                        self.dials.push(Dialing { due: w.now + DIAL_NS, failing: true, ..d });
                    }
                    None => self.again(&d, w.now),
                }
            } else {
                self.again(&d, w.now);
            }
        }
    }

    /// A dial failed: addresses of the list are dialed again, others not.
    fn again(&mut self, d: &Dialing, now: u64) {
        if d.what.explicit && !d.what.system {
            self.redial(d.to, d.what, now + SECOND);
        }
    }

    fn redial(&mut self, to: usize, what: Purpose, due: u64) {
        if !self.dials.iter().any(|d| d.to == to && d.what.system == what.system) {
            self.dials.push(Dialing { due, to, what, failing: false });
        }
    }

    fn begin(&mut self, link: usize, d: &Dialing, now: u64) {
        self.add(link, Way::Up, d.to, Some(d.what), now);
        let connect = self.connect();
        self.say(link, &connect);
        if self.version == Version::V29 {
            let info = self.info(None, 0);
            self.say(link, &info);
        }
    }

    /// Pings are due, or a peer has answered none.
    fn beat(&mut self, now: u64) {
        let due: Vec<usize> = self.conns.iter().filter(|(_, c)| c.ping_at <= now).map(|(l, _)| *l).collect();
        for link in due {
            let Some(conn) = self.conns.get_mut(&link) else { continue };
            conn.ping_at = now + PING_NS;
            if conn.unanswered > PINGS_MAX {
                conn.line.say(b"-ERR 'Stale Connection'\r\n");
                conn.line.closing = true;
                continue;
            }
            // 2.9 does not ping who has just spoken.
            if self.version == Version::V29 && std::mem::take(&mut conn.busy) && conn.unanswered == 0 {
                continue;
            }
            conn.unanswered += 1;
            conn.line.say(b"PING\r\n");
        }
    }
}

/// A field of an INFO or CONNECT; empty where it is not said.
fn text<'a>(info: &'a serde_json::Value, key: &str) -> &'a str {
    info[key].as_str().unwrap_or_default()
}

/// The place of a host.
fn place_of(host: &str, servers: usize) -> Option<usize> {
    let host = host.strip_prefix("nats-route://").unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host);
    (0..servers).find(|n| ip(*n) == host)
}
