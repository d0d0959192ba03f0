//! The mesh: membership of this server in its cluster. What it holds and what it is told is here; what it does stands
//! in `greet` (handshakes), `admit` (registration), `gossip` (what members tell each other), `watch` (who is missing) and
//! `reload` (what the operator changes meanwhile).
//! One per server, driven by a thread of the shell or by a simulator: call [`Mesh::time`], then the inputs, then take the
//! outputs with [`Mesh::poll`]; call again at [`Mesh::next_at`] at the latest.

use super::book::{Book, Dial, Failure, Unreached};
use super::counters::{Cause, Counters};
use super::gap::{Gatewayless, Missing};
use super::link::{Ending, Link, Stage};
use super::names::ClusterName;
use super::peers::{Peer, Peers};
use super::refused::{Refused, HELD_NS};
use crate::base::limits::{DIALS_MAX, UNREAD_BYTES_MAX};
use crate::base::{Cid, Level, Notices, Now, PeerId, Rng, ShardId, Time, MILLISECOND, SECOND};
use crate::conn::{Instruction, Introduction, RouteNews, Tidings};
use crate::policy::{Cluster, Proof};
use crate::wire::address::{shown, split_address};
use std::collections::{BTreeMap, VecDeque};

/// A dialed server has so long to say INFO.
pub(super) const INFO_WAIT_NS: u64 = 2 * SECOND;
/// And so long to answer CONNECT and INFO; it may compare a password, or find out whether an older route is alive.
pub(super) const ANSWER_WAIT_NS: u64 = 5 * SECOND;
/// Changes of membership are told together when they come within this time.
const DAMPING_NS: u64 = 100 * MILLISECOND;

/// Who the server is, as it tells its peers.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Unique in the world.
    pub server_id: String,
    /// As configured, else the id.
    pub server_name: String,
    /// The host of the route listener.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Bytes.
    pub max_payload: usize,
    /// Does the server understand headers?
    pub headers: bool,
}

/// What a mesh is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many shards routes can be given to.
    pub shards: usize,
    /// Decides every choice it will make.
    pub seed: u64,
    /// What the operator decided.
    pub cluster: Cluster,
    /// Who the server is.
    pub identity: Identity,
}

/// What the shell is to do. Connections are called by their public number, which the shell gives out.
#[derive(Clone, Debug)]
pub enum Act {
    /// Resolve and connect, within a second; [`Mesh::dialed`] brings the outcome.
    Dial {
        /// The attempt.
        dial: Dial,
        /// Host name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Write to a connection.
    Write {
        /// Which.
        link: Cid,
        /// What.
        bytes: Vec<u8>,
    },
    /// Write what is waiting, then close it; its number means nothing here any more.
    Close {
        /// Which.
        link: Cid,
    },
    /// The connection is a route: write what is waiting, then give its socket to the shard.
    Give {
        /// Which.
        link: Cid,
        /// To whom.
        shard: ShardId,
        /// What the shard needs to know.
        route: Box<Introduction>,
    },
    /// Mail for the shard that owns a route; never before its `Give`.
    Tell {
        /// To whom.
        shard: ShardId,
        /// What.
        instruction: Instruction,
    },
    /// Compare a password with a bcrypt hash on a thread of its own; [`Mesh::verified`] brings the answer.
    Verify {
        /// Who waits for it.
        link: Cid,
        /// The address it comes from.
        ip: String,
        /// The password, and the hash.
        proof: Proof,
    },
    /// What clients are to be told in `connect_urls` from now on; empty: nothing.
    ClientUrls {
        /// `host:port`, this server's first.
        urls: Vec<String>,
        /// This server is going: its own are not among them, and clients are told to leave.
        ldm: bool,
    },
    /// The cluster's name from now on.
    ClusterName(String),
    /// For the machine that has the gateways, where there is one.
    News(RouteNews),
    /// A line for the log.
    Log {
        /// How grave.
        level: Level,
        /// What.
        text: String,
    },
}

/// See the file's head.
pub struct Mesh {
    pub(super) cluster: Cluster,
    pub(super) identity: Identity,
    pub(super) name: ClusterName,
    pub(super) rng: Rng,
    pub(super) now: Now,
    pub(super) links: BTreeMap<Cid, Link>,
    pub(super) book: Book,
    pub(super) peers: Peers,
    pub(super) refused: Refused,
    pub(super) notices: Notices<Cause>,
    pub(super) counters: Counters,
    pub(super) acts: VecDeque<Act>,
    /// Where this server's own clients come in.
    pub(super) own_urls: Vec<String>,
    /// What clients were last told.
    pub(super) told_urls: (Vec<String>, bool),
    pub(super) ldm: bool,
    /// When to tell others whom we reach.
    pub(super) tell_at: Option<Time>,
    /// When to look whether somebody is missing.
    pub(super) review_at: Option<Time>,
    pub(super) missing: BTreeMap<String, Missing>,
    /// Members that ended after they had said that they would, by id, the last of them. An id is never anybody else's, so
    /// whoever names one of these (a nats-server takes nothing back) speaks of the past.
    pub(super) left: VecDeque<String>,
    /// That too many addresses were named was said.
    pub(super) full_said: bool,
    /// `host:port` of this server's gateway listener; empty: it has none.
    pub(super) gateway_url: String,
    /// See [`Mesh::border`].
    pub(super) border: String,
    /// The other clusters this server reaches.
    pub(super) reaches_clusters: Vec<String>,
    /// Members that have a gateway where we have none: since when, and when to speak of it next.
    pub(super) gatewayless: Option<Gatewayless>,
}

impl Mesh {
    /// A mesh that dials all configured routes at once.
    pub fn new(setup: Setup, now: Now) -> Mesh {
        let mut rng = Rng::new(setup.seed);
        let name = ClusterName::new(setup.cluster.name.as_deref(), &mut rng);
        let mut book = Book::default();
        book.configure(&setup.cluster.routes, now.mono);
        let mut mesh = Mesh {
            cluster: setup.cluster,
            identity: setup.identity,
            name,
            rng,
            now,
            links: BTreeMap::new(),
            book,
            peers: Peers::new(setup.shards),
            refused: Refused::default(),
            notices: Notices::default(),
            counters: Counters::default(),
            acts: VecDeque::new(),
            own_urls: Vec::new(),
            told_urls: (Vec::new(), false),
            ldm: false,
            tell_at: None,
            review_at: None,
            missing: BTreeMap::new(),
            left: VecDeque::new(),
            full_said: false,
            gateway_url: String::new(),
            border: String::new(),
            reaches_clusters: Vec::new(),
            gatewayless: None,
        };
        mesh.acts.push_back(Act::ClusterName(mesh.name.name.clone()));
        mesh
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// It is now; what is due is done. To be called before any other input whose time differs.
    pub fn time(&mut self, now: Now) {
        self.now = now;
        self.expire();
        self.prove();
        if self.tell_at.is_some_and(|at| at <= now.mono) {
            self.tell_at = None;
            self.tell_reach();
        }
        if self.review_at.is_some_and(|at| at <= now.mono) {
            self.review();
        }
        for (cause, text) in self.notices.summaries(now.mono) {
            self.log(level_of(cause), text);
        }
        self.dial_due();
    }

    /// When [`Mesh::time`] is to be called next. `None`: nothing will be due by itself.
    pub fn next_at(&self) -> Option<Time> {
        let links = self.links.values().map(|l| l.deadline).min();
        let dials = self.book.next_at().filter(|_| self.book.dialing() < DIALS_MAX);
        [links, dials, self.next_proof(), self.tell_at, self.review_at, self.notices.next_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A connection came in on the route port. It is greeted at once, unless somebody was refused there just now.
    pub fn accepted(&mut self, link: Cid, ip: &str, port: u16) {
        self.handed_over(link, ip, port, Vec::new());
    }

    /// A connection on the client port said CONNECT with `"route":true`; `bytes` is what it sent, that CONNECT first. It
    /// has been told the INFO for clients.
    pub fn handed_over(&mut self, link: Cid, ip: &str, port: u16, bytes: Vec<u8>) {
        self.counters.accepted += 1;
        self.make_room();
        let (mut deadline, mut stage) = (self.now.mono.plus(self.cluster.auth_timeout), Stage::Greeted);
        match self.refused.lately(ip, self.now.mono) {
            true => (deadline, stage) = (self.now.mono.plus_ns(HELD_NS), Stage::Held),
            false => {
                let info = self.info_line(0);
                self.acts.push_back(Act::Write { link, bytes: info });
            }
        }
        let (ip, since) = (ip.into(), self.now);
        self.links.insert(
            link,
            Link {
                ip,
                port,
                dialed: None,
                presented: None,
                since,
                deadline,
                heard: Vec::new(),
                sent: 0,
                ponged: false,
                stage,
            },
        );
        self.bytes(link, &bytes);
    }

    /// A dial's outcome: the connection with the peer's address and port, or what went wrong.
    pub fn dialed(&mut self, dial: Dial, outcome: Result<(Cid, String, u16), Unreached>) {
        let address = self.book.answered(dial);
        match (address, outcome) {
            (Some(address), Ok((link, ip, port))) => {
                if let Some(entry) = self.book.get_mut(&address) {
                    entry.standing = super::book::Standing::Greeting(link);
                }
                let deadline = self.now.mono.plus_ns(INFO_WAIT_NS);
                let (dialed, since) = (Some(address), self.now);
                let heard = Vec::new();
                self.links.insert(
                    link,
                    Link {
                        ip,
                        port,
                        dialed,
                        presented: None,
                        since,
                        deadline,
                        heard,
                        sent: 0,
                        ponged: false,
                        stage: Stage::Knocking,
                    },
                );
            }
            (Some(address), Err(Unreached { why, silent })) => {
                self.fail(Cause::Unreachable, &address, format!("cannot reach route {address}: {why}"));
                let how = if silent { Failure::Silent } else { Failure::Refused };
                self.dial_failed(&address, how, &why);
            }
            (None, Ok((link, ..))) => self.acts.push_back(Act::Close { link }),
            (None, Err(_)) => {}
        }
    }

    /// A connection sent something. Unknown numbers are those of connections that were closed or given away meanwhile.
    pub fn bytes(&mut self, link: Cid, bytes: &[u8]) {
        let Some(known) = self.links.get_mut(&link) else { return };
        if matches!(known.stage, Stage::Ignored) {
            return;
        }
        known.heard.extend_from_slice(bytes);
        known.sent += bytes.len();
        self.measure_stranger(link);
        self.hear(link);
        self.measure_stranger(link);
        if self.links.get(&link).is_some_and(|l| l.heard.len() > UNREAD_BYTES_MAX) {
            let ending =
                Ending::told(Cause::Protocol, "maximum control line exceeded", "sent more than 64 KiB too early");
            self.end(link, ending);
        }
    }

    /// A connection ended by itself.
    pub fn lost(&mut self, link: Cid, why: &str) {
        let silent = self
            .links
            .get(&link)
            .is_some_and(|l| l.heard.is_empty() && matches!(l.stage, Stage::Greeted | Stage::Held));
        let cause = if silent { Cause::Left } else { Cause::Lost };
        self.end(link, Ending::silent(cause, format!("left: {}", shown(why))));
    }

    /// The answer to [`Act::Verify`].
    pub fn verified(&mut self, link: Cid, matches: bool) {
        self.password_compared(link, matches);
    }

    /// A shard tells about a route.
    pub fn tidings(&mut self, shard: ShardId, tidings: Tidings) {
        match tidings {
            Tidings::Ended { peer, why } => self.ended(peer, &why),
            Tidings::Info { peer, json } => self.informed(peer, &json),
            Tidings::Alive { peer } => self.alive(peer),
            Tidings::Told { peer } => {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.told = true;
                }
            }
            Tidings::Forgotten { peer } => self.peers.forgotten(peer, shard),
        }
    }

    /// What a server that has just started waits for before it lets clients in: addresses that were not tried once,
    /// handshakes, members that have not yet said all that their clients want and, if they are turnpikes, whom they
    /// reach. Empty: a client is served here as well as anywhere in the cluster, as far as we can tell.
    pub fn awaited(&self) -> Vec<String> {
        let untold = |p: &Peer| !p.told || (p.hello.is_turnpike() && p.lists_us.is_none());
        let members = self.peers.iter().filter(|(_, p)| !p.ending && untold(p)).map(|(_, p)| p.shown());
        let courted = self.links.values().filter(|l| l.courts().is_some()).map(Link::shown);
        self.book.untried().cloned().chain(courted).chain(members).collect()
    }

    /// Where this server's own clients come in, `host:port`.
    pub fn urls(&mut self, own: Vec<String>) {
        if self.own_urls != own {
            self.own_urls = own;
            self.tell_peers_about_us();
            self.tell_clients();
        }
    }

    /// Where this server takes gateways, `host:port`: told to peers, who tell it to other clusters.
    pub fn gateway_url(&mut self, url: String) {
        if self.gateway_url != url {
            self.gateway_url = url;
            self.tell_peers_about_us();
        }
    }

    /// The other clusters that this server reaches by gateway: told to turnpikes, with all else that we reach. A server
    /// that starts links to all clusters at about the same time.
    pub fn reaches_clusters(&mut self, clusters: Vec<String>) {
        if self.reaches_clusters != clusters {
            self.reaches_clusters = clusters;
            self.tell_at.get_or_insert(self.now.mono.plus_ns(DAMPING_NS));
        }
    }

    /// The digest of this server's rules about what crosses between clusters, empty: it has none. Told to
    /// turnpikes.
    pub fn border(&mut self, digest: String) {
        if self.border != digest {
            self.border = digest;
            self.tell_reach();
        }
    }

    /// The rules of a member cannot be understood: its route is ended.
    pub fn end_for_border(&mut self, peer: PeerId, says: &str, why: &str) {
        self.end_route(peer, says, why, false);
    }

    /// Says a line about gateways to one peer, or to all.
    pub fn say_about_gateways(&mut self, to: Option<PeerId>, line: &[u8]) {
        let hearers = self.peers.iter().filter(|(id, p)| to.is_none_or(|to| to == *id) && !p.ending);
        let said = hearers.map(|(peer, p)| {
            let instruction = Instruction::Say { peer, line: line.into() };
            Act::Tell { shard: p.shard, instruction }
        });
        let said: Vec<Act> = said.collect();
        self.acts.extend(said);
    }

    /// The server is going to stop: peers' and own clients are sent elsewhere.
    pub fn lame_duck(&mut self) {
        self.ldm = true;
        self.tell_peers_about_us();
        self.tell_clients();
    }

    /// Dials what is due.
    pub(super) fn dial_due(&mut self) {
        let room = DIALS_MAX.saturating_sub(self.book.dialing());
        for address in self.book.due(self.now.mono, room) {
            let found = self.book.get(&address).map(|e| (e.id.clone(), e.name.clone(), e.configured));
            let Some((id, name, configured)) = found else { continue };
            if self.peers.find(&id).is_some() || self.courting(&id).is_some() {
                self.book.settle(&address, &id, &name);
                continue;
            }
            if let Some((dial, host, port)) = self.book.dial(&address, self.now.mono) {
                self.counters.dials += 1;
                let how = if configured { "" } else { " (learned)" };
                self.log(Level::Debug, format!("trying to connect to route {address}{how}"));
                self.acts.push_back(Act::Dial { dial, host, port });
            }
        }
    }

    /// The dial of ours that leads to this server, once we have proposed to it.
    pub(super) fn courting(&self, id: &str) -> Option<Cid> {
        self.links.iter().find(|(_, l)| l.courts() == Some(id)).map(|(rid, _)| *rid)
    }

    /// Is this server in our list of routes?
    pub(super) fn lists(&self, id: &str, address: &str) -> bool {
        self.book.of(id).any(|(_, e)| e.configured) || self.book.get(address).is_some_and(|e| e.configured)
    }

    /// Who is a member, and whom others reach, changed: others hear of it soon, and somebody may be missing.
    pub(super) fn changed(&mut self) {
        let soon = self.now.mono.plus_ns(DAMPING_NS);
        self.tell_at.get_or_insert(soon);
        self.review_soon();
    }

    pub(super) fn review_soon(&mut self) {
        let soon = self.now.mono.plus_ns(DAMPING_NS);
        self.review_at = Some(self.review_at.map_or(soon, |at| at.min(soon)));
    }

    pub(super) fn log(&mut self, level: Level, text: String) {
        self.acts.push_back(Act::Log { level, text });
    }

    /// Counts what came to nothing, and logs it at a bounded rate per cause and other end.
    pub(super) fn fail(&mut self, cause: Cause, who: &str, text: String) {
        self.counters.failed(cause);
        if let Some(text) = self.notices.happened(self.now.mono, cause, who, text) {
            self.log(level_of(cause), text);
        }
    }

    /// This server's route listener as it is dialed by others, if the operator says so.
    pub(super) fn advertised(&self) -> Option<(String, u16)> {
        let text = self.cluster.advertise.as_deref()?;
        match split_address(text) {
            Some((host, port)) => Some((host.into(), port)),
            None => Some((text.trim_matches(['[', ']']).into(), self.identity.port)),
        }
    }
}

/// How grave it is that no route came of something.
fn level_of(cause: Cause) -> Level {
    match cause {
        Cause::Itself | Cause::Duplicate | Cause::Given | Cause::Left | Cause::Account => Level::Debug,
        Cause::Credentials | Cause::ClusterName | Cause::ServerName | Cause::Client | Cause::Gateway => Level::Error,
        Cause::Refused | Cause::Full | Cause::Crowded | Cause::Foreign => Level::Warn,
        Cause::Unreachable | Cause::Protocol | Cause::Timeout | Cause::Lost => Level::Info,
    }
}
