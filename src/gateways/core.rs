//! The machine: this server's links to other clusters. What it holds and what it is told is here; what it does stands in
//! `greet` (handshakes), `admit` (registration and ends), `gossip` (what clusters and members tell each other) and `watch`
//! (what is amiss). One per server, driven by a thread of the shell or by a simulator: call [`Gateways::time`], then the
//! inputs, then take the outputs with [`Gateways::poll`]; call again at [`Gateways::next_at`] at the latest.

use super::book::{Book, Dial, Standing};
use super::border::{Own, Told};
use super::counters::{Cause, Counters};
use super::fars::Fars;
use super::fits::Fits;
use super::link::{Dialed, Ending, Linked, Pending, Stage};
use super::trouble::Troubles;
use crate::base::limits::{DIALS_MAX, UNREAD_BYTES_MAX};
use crate::base::{Cid, Level, Notices, Now, PeerId, Rng, ShardId, Time, MILLISECOND, SECOND};
use crate::conn::{GatewayInstruction, GatewayIntroduction, GatewayTidings, RouteNews};
use crate::policy::{Gateway, Proof, RemoteGateway};
use crate::wire::address::shown;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A dialed server has so long to say INFO.
const INFO_WAIT_NS: u64 = 2 * SECOND;
/// And so long to answer CONNECT and INFO; it may compare a password.
pub(super) const ANSWER_WAIT_NS: u64 = 5 * SECOND;
/// The first dials come so late, so that routes can form and one server's word holds for all (cluster-protocol.md §4.4).
const START_NS: u64 = SECOND;
/// Changes are looked at together when they come within this time.
const DAMPING_NS: u64 = 100 * MILLISECOND;

/// Who the server is, as it tells other clusters.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Unique in the world.
    pub server_id: String,
    /// As configured, else the id.
    pub server_name: String,
    /// The host of the gateway listener, as others can dial it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Bytes.
    pub max_payload: usize,
    /// Does the server understand headers?
    pub headers: bool,
}

/// What a machine is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many shards links can be given to.
    pub shards: usize,
    /// Decides every choice it will make.
    pub seed: u64,
    /// What the operator decided.
    pub gateway: Gateway,
    /// Who the server is.
    pub identity: Identity,
    /// The names of its accounts.
    pub accounts: Vec<String>,
    /// Which of them is the system account.
    pub system: Option<usize>,
}

/// What the shell is to do. Connections are called by their public number, which the shell gives out.
#[derive(Clone, Debug)]
pub enum Act {
    /// Resolve and connect, within a second; [`Gateways::dialed`] brings the outcome.
    Dial {
        /// The attempt.
        dial: Dial,
        /// Host name or address.
        host: String,
        /// The port.
        port: u16,
        /// Whose it is.
        cluster: String,
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
    /// The connection is a link: write what is waiting, then give its socket to the shard.
    Give {
        /// Which.
        link: Cid,
        /// To whom.
        shard: ShardId,
        /// What the shard needs to know.
        intro: Box<GatewayIntroduction>,
    },
    /// Mail for a shard; what is about a link is for its owner, and never before its `Give`.
    Tell {
        /// To whom.
        shard: ShardId,
        /// What.
        instruction: GatewayInstruction,
    },
    /// Compare a password with a bcrypt hash on a thread of its own; [`Gateways::verified`] brings the answer.
    Verify {
        /// Who waits for it.
        link: Cid,
        /// The address it comes from.
        ip: String,
        /// The password, and the hash.
        proof: Proof,
    },
    /// A protocol line for one member of this cluster, or for all: for the mesh, which has the routes.
    Members {
        /// To whom; None: to all.
        to: Option<PeerId>,
        /// The line.
        line: Vec<u8>,
    },
    /// The clusters that this server has an outbound link to from now on: for the mesh, which tells other turnpikes.
    Reaches(Vec<String>),
    /// The digest of this server's rules from now on, empty: it has none. For the mesh, which tells other turnpikes.
    Border(String),
    /// For the mesh: the route to this member is to be ended.
    EndMember {
        /// Who.
        peer: PeerId,
        /// What it is told in an `-ERR`.
        says: String,
        /// Why, for the log.
        why: String,
    },
    /// A line for the log.
    Log {
        /// How grave.
        level: Level,
        /// What.
        text: String,
    },
}

/// A member of this cluster, as the mesh tells of it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub server_id: String,
    pub server_name: String,
    /// Empty: it has no gateway.
    pub gateway_url: String,
    pub reaches: Vec<String>,
    /// See [`crate::conn::ORDERED_LINKS`].
    pub pools: bool,
    pub since: Time,
    /// When it took our own name for another cluster's.
    pub misnamed: Option<Time>,
    /// It understands what is said of borders.
    pub borders: bool,
    pub border: Told,
}

impl Member {
    /// Its name and id, for people.
    pub(super) fn shown(&self) -> String {
        format!("\"{}\" ({})", shown(&self.server_name), shown(&self.server_id))
    }
}

/// See the file's head.
pub struct Gateways {
    pub(super) gateway: Gateway,
    pub(super) identity: Identity,
    pub(super) rng: Rng,
    pub(super) now: Now,
    pub(super) started: Time,
    pub(super) pending: BTreeMap<Cid, Pending>,
    pub(super) linked: BTreeMap<Cid, Linked>,
    pub(super) members: BTreeMap<PeerId, Member>,
    pub(super) book: Book,
    pub(super) fars: Fars,
    /// Links on each shard.
    pub(super) load: Vec<usize>,
    /// Where this cluster takes gateways, this server's own first.
    pub(super) own_urls: Vec<String>,
    /// How often those, or our rules, have changed.
    pub(super) told: u64,
    pub(super) own: Own,
    /// What does not fit between the rules of two servers.
    pub(super) fits: Fits,
    /// Clusters of which it was said that they hold no border.
    pub(super) lax_said: BTreeSet<String>,
    pub(super) troubles: Troubles,
    pub(super) notices: Notices<Cause>,
    pub(super) counters: Counters,
    pub(super) acts: VecDeque<Act>,
    /// When to look what is amiss.
    pub(super) review_at: Option<Time>,
    /// The clusters the mesh was last told we reach.
    pub(super) reaches: Vec<String>,
    /// That more was named than is remembered was said.
    pub(super) overlooked_said: bool,
}

impl Gateways {
    /// A machine that dials all configured clusters after a moment.
    pub fn new(setup: Setup, now: Now) -> Gateways {
        let Setup { shards, seed, gateway, identity, accounts, system } = setup;
        let walls = Rng::new(seed.rotate_left(17)).next_u64();
        let own = Own {
            rules: None,
            clusters: Vec::new(),
            lines: Vec::new(),
            since: now.mono,
            accounts,
            system,
            seed: walls,
        };
        let mut rng = Rng::new(seed);
        let mut book = Book::default();
        let first = now.mono.plus_ns(START_NS + rng.below(200) * MILLISECOND);
        book.configure(&gateway.name, &gateway.remotes, now.mono, first);
        let mut new = Gateways {
            gateway,
            identity,
            rng,
            now,
            started: now.mono,
            pending: BTreeMap::new(),
            linked: BTreeMap::new(),
            members: BTreeMap::new(),
            book,
            fars: Fars::new(shards),
            load: vec![0; shards],
            own_urls: Vec::new(),
            told: 0,
            own,
            fits: Fits::default(),
            lax_said: BTreeSet::new(),
            troubles: Troubles::default(),
            notices: Notices::default(),
            counters: Counters::default(),
            acts: VecDeque::new(),
            review_at: None,
            reaches: Vec::new(),
            overlooked_said: false,
        };
        new.own_urls = vec![new.url()];
        new.take_borders();
        new.changed();
        new
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
        if self.review_at.is_some_and(|at| at <= now.mono) {
            self.review();
        }
        for (cause, text) in self.notices.summaries(now.mono) {
            self.log(level_of(cause), text);
        }
        self.dial_due();
    }

    /// When [`Gateways::time`] is to be called next. `None`: nothing will be due by itself.
    pub fn next_at(&self) -> Option<Time> {
        let pending = self.pending.values().map(|p| p.deadline).min();
        let dials = self.book.next_at().filter(|_| self.book.dialing() < DIALS_MAX);
        [pending, dials, self.next_proof(), self.review_at, self.notices.next_at()].into_iter().flatten().min()
    }

    /// A connection came in on the gateway port.
    pub fn accepted(&mut self, link: Cid, ip: &str, port: u16) {
        self.counters.accepted += 1;
        self.make_room();
        let deadline = self.now.mono.plus(self.gateway.auth_timeout);
        let (ip, since, told) = (ip.into(), self.now, self.told);
        let (dialed, heard, stage) = (None, Vec::new(), Stage::Greeted);
        let border = Told::nothing(self.now.mono);
        let sent = 0;
        self.pending.insert(link, Pending { ip, port, dialed, since, deadline, heard, sent, stage, told, border });
        let bytes = self.info_line(String::new());
        self.acts.push_back(Act::Write { link, bytes });
    }

    /// A dial's outcome: the connection with the other end's address and port, or what went wrong.
    pub fn dialed(&mut self, dial: Dial, outcome: Result<(Cid, String, u16), String>) {
        let cluster = self.book.answered(dial);
        match (cluster, outcome) {
            (Some(cluster), Ok((link, ip, port))) => {
                let Some(entry) = self.book.get_mut(&cluster) else { return };
                entry.standing = Standing::Greeting(link);
                let dialed = Some(Dialed { address: entry.at.clone(), cluster });
                let (since, deadline) = (self.now, self.now.mono.plus_ns(INFO_WAIT_NS));
                let (heard, stage, told) = (Vec::new(), Stage::Knocking, 0);
                let border = Told::nothing(self.now.mono);
                let sent = 0;
                self.pending
                    .insert(link, Pending { ip, port, dialed, since, deadline, heard, sent, stage, told, border });
            }
            (Some(cluster), Err(why)) => {
                let at = self.book.get(&cluster).map(|e| e.at.clone()).unwrap_or_default();
                let text = format!("cannot reach gateway {at} of cluster \"{}\": {}", shown(&cluster), shown(&why));
                self.fail(Cause::Unreachable, &at, text);
                self.dial_failed(&cluster, &why);
            }
            (None, Ok((link, ..))) => self.acts.push_back(Act::Close { link }),
            (None, Err(_)) => {}
        }
    }

    /// A connection sent something. Unknown numbers are those of connections that were closed or given away meanwhile.
    pub fn bytes(&mut self, link: Cid, bytes: &[u8]) {
        let Some(known) = self.pending.get_mut(&link) else { return };
        known.heard.extend_from_slice(bytes);
        known.sent += bytes.len();
        self.measure_stranger(link);
        self.hear(link);
        self.measure_stranger(link);
        if self.pending.get(&link).is_some_and(|l| l.heard.len() > UNREAD_BYTES_MAX) {
            let ending =
                Ending::told(Cause::Protocol, "maximum control line exceeded", "sent more than 64 KiB too early");
            self.end(link, ending);
        }
    }

    /// A connection ended by itself.
    pub fn lost(&mut self, link: Cid, why: &str) {
        let silent = self.pending.get(&link).is_some_and(|l| l.heard.is_empty() && matches!(l.stage, Stage::Greeted));
        let cause = if silent { Cause::Left } else { Cause::Lost };
        self.end(link, Ending::silent(cause, format!("left: {}", shown(why))));
    }

    /// The answer to [`Act::Verify`].
    pub fn verified(&mut self, link: Cid, matches: bool) {
        self.password_compared(link, matches);
    }

    /// A shard tells about a link.
    pub fn tidings(&mut self, shard: ShardId, tidings: GatewayTidings) {
        match tidings {
            GatewayTidings::Ended { link, why } => self.ended(link, &why),
            GatewayTidings::Info { link, json } => self.informed(link, &json),
            GatewayTidings::Forgotten { far } => self.fars.forgotten(far, shard),
        }
    }

    /// The mesh tells about members of this cluster.
    pub fn route_news(&mut self, news: RouteNews) {
        self.members_changed(news);
    }

    /// The configured list changed. Links stay; clusters no longer listed count as heard of.
    pub fn reload(&mut self, remotes: &[RemoteGateway]) {
        self.gateway.remotes = remotes.to_vec();
        self.book.configure(&self.gateway.name, remotes, self.now.mono, self.now.mono);
        self.end_unwanted();
        self.changed();
        self.dial_due();
    }

    /// Dials what is due.
    pub(super) fn dial_due(&mut self) {
        let room = DIALS_MAX.saturating_sub(self.book.dialing());
        for cluster in self.book.due(self.now.mono, room) {
            // It was in the list once, and only those of the list are linked to.
            if !self.welcome(&cluster) {
                self.book.give_up(&cluster);
                continue;
            }
            let Some((dial, host, port)) = self.book.dial(&cluster, self.now.mono, &mut self.rng) else { continue };
            self.counters.dials += 1;
            self.log(
                Level::Debug,
                format!("trying to connect to gateway {host}:{port} of cluster \"{}\"", shown(&cluster)),
            );
            self.acts.push_back(Act::Dial { dial, host, port, cluster });
        }
    }

    /// Is this cluster in our list?
    pub(super) fn lists(&self, cluster: &str) -> bool {
        self.book.get(cluster).is_some_and(|e| e.configured)
    }

    /// May this cluster be linked to?
    pub(super) fn welcome(&self, cluster: &str) -> bool {
        !self.gateway.reject_unknown || self.lists(cluster)
    }

    /// Something changed that may be amiss, or may be well again.
    pub(super) fn changed(&mut self) {
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
}

/// How grave it is that no link came of something.
fn level_of(cause: Cause) -> Level {
    match cause {
        Cause::Given | Cause::Left => Level::Debug,
        Cause::Credentials | Cause::OtherCluster | Cause::OwnCluster | Cause::Unknown => Level::Error,
        Cause::ServerName | Cause::NoGateway | Cause::Itself => Level::Error,
        Cause::Border | Cause::Refused | Cause::Full | Cause::Crowded | Cause::Foreign | Cause::ShortLived => {
            Level::Warn
        }
        Cause::Unreachable | Cause::Protocol | Cause::Timeout | Cause::Lost => Level::Info,
    }
}
