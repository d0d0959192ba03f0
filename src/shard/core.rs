//! The shard: everything one core knows. What it holds is here; what it does stands in the files beside this one, by
//! journey (ARCHITECTURE.md): dispatch, publish, subscribe, hear, enter, ending, tick, pace, answer. The order in which it
//! may be called is in `turn`.

use super::abandoned::Abandoned;
use super::asked::Services;
use super::batch::{Batch, Bookmark, Groups};
use super::diary::Diary;
use super::due::Due;
use super::ends::Ends;
use super::expiries::Expiries;
use super::forgetting::{Forgetting, ForgettingFars};
use super::gates::Gates;
use super::grants::Grants;
use super::headcount::{Headcount, Thinning};
use super::identity::Identity;
use super::jams::Jams;
use super::leavers::Farewell;
use super::ledger::AccountLedger;
use super::outbox::Outbox;
use super::past::Past;
use super::peers::Peers;
use super::privacy::Privacy;
use super::recent::Recent;
use super::repeats::Repeats;
use super::report::{Answer, Ask, Happening, Order, SystemQuestion};
use super::rounds::Rounds;
use super::strangers::Strangers;
use super::stretch::Tail;
use super::traced::Part;
use super::verdict::Verdicts;
use crate::base::limits::{AHEAD_VERDICTS_MIN, BATCH_BYTES_MAX, BATCH_BYTES_MIN, LEFT_OVER_MAX, TURN_DELIVERIES_MAX};
use crate::base::{Cid, ConnId, Level, Now, Rng, Seeded, ShardId, Time, Wheel};
use crate::conn::{Client, GatewayTidings, Stage, Tidings};
use crate::interest::far::Fars;
use crate::interest::{Place, Replica};
use crate::policy::login::Directory;
use crate::policy::walls::Walls;
use crate::policy::{Permits, Proof, Settings};
use crate::wire::gateway::ReplyPrefix;
use crate::wire::hello::PreparedInfo;
use crate::wire::nkey::NONCE_BYTES;
use crate::wire::Body;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a shard is made from.
#[derive(Clone)]
pub struct Setup {
    /// Which one it is.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// Decides every choice it will make.
    pub seed: u64,
    /// What the operator decided.
    pub settings: Arc<Settings>,
    /// Who the server is.
    pub identity: Arc<Identity>,
    /// What one turn delivers at most; see [`TURN_DELIVERIES_MAX`](crate::base::limits::TURN_DELIVERIES_MAX).
    pub turn_deliveries_max: u64,
    /// From how many verdicts on it reads publications ahead; see
    /// [`AHEAD_VERDICTS_MIN`](crate::base::limits::AHEAD_VERDICTS_MIN).
    pub ahead_verdicts_min: usize,
}

impl Setup {
    /// The only shard of a server, with the usual limits.
    pub fn single(settings: Arc<Settings>, identity: Arc<Identity>) -> Setup {
        Setup {
            id: ShardId(0),
            shards: 1,
            seed: 1,
            settings,
            identity,
            turn_deliveries_max: TURN_DELIVERIES_MAX,
            ahead_verdicts_min: AHEAD_VERDICTS_MIN,
        }
    }
}

/// A connection that was accepted for this shard.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its public number.
    pub cid: Cid,
    /// The peer's address.
    pub ip: String,
    /// The peer's port.
    pub port: u16,
    /// The server is full: tell it so and end it (client-protocol.md §2.3).
    pub over_limit: bool,
    /// Is it private, or to be?
    pub privacy: Privacy,
    /// Random bytes that no other connection is given: what the client signs who has a key.
    pub nonce: [u8; NONCE_BYTES],
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The peer will send nothing more; it may still read.
    Eof,
    /// Reading or writing failed, in the system's words ("read: …", "write: …").
    Failed(String),
    /// It could not be made private: why.
    Handshake(String),
}

/// What the shell is to do; cold.
#[derive(Debug)]
pub enum Act {
    /// Stop reading this socket.
    Pause(ConnId),
    /// Read it again.
    Resume(ConnId),
    /// Nothing more will be written: shut the sending side, go on reading.
    Finish(ConnId),
    /// A client that was not refused is going, or is none after all: another may come in its place.
    Left,
    /// A wrong password came from this address, and from there, or in all, they come faster than they are forgotten: for a while
    /// whoever comes from there may wait.
    Guesses {
        /// The address.
        ip: String,
    },
    /// Close a client's socket; the id names nothing any more.
    Close(ConnId),
    /// The same for another server's.
    CloseServer(ConnId),
    /// A client has its INFO: its socket is to be made private. It comes back with `Turn::upgraded`, or is lost.
    Upgrade(ConnId),
    /// Look at what a client presents somewhere that moves no messages; [`Order::Verified`] brings the answer.
    Verify {
        /// Who waits for it.
        conn: ConnId,
        /// Comes back with the answer.
        look: u32,
        /// The address it comes from.
        ip: String,
        /// What it presents.
        proof: Proof,
    },
    /// The answer to [`Order::Report`].
    Answer {
        /// The question's.
        ticket: u64,
        /// What was asked for.
        answer: Answer,
    },
    /// News of a route, for the mesh.
    Tidings(Tidings),
    /// News of a link to another cluster, for the machine that made it.
    GatewayTidings(GatewayTidings),
    /// A client of this port says that it is a route: its socket, with what it has said so far, goes to the mesh.
    HandOver {
        /// The connection; the id names nothing any more.
        conn: ConnId,
        /// Its public number.
        cid: Cid,
        /// All that it has said.
        said: Vec<u8>,
    },
    /// How many bytes has the peer of this connection not acknowledged? The answer is `Turn::unacked`.
    Measure(ConnId),
    /// A client of an ordinary account asks the system account; [`Order::Tell`] brings the answers.
    Asked(Box<SystemQuestion>),
    /// Something that somebody in the system account wants to know of.
    Happened(Box<Happening>),
    /// What this shard knows of a message that is traced; [`Order::Told`] brings what is told of it.
    Traced(Box<Part>),
    /// A line for the log.
    Log {
        /// How grave.
        level: Level,
        /// What.
        text: String,
    },
    /// After [`Order::Drain`]: every connection has ended.
    Drained,
    /// The server is a lame duck and this shard has no client any more.
    Vacant,
}

/// One account on this shard.
pub struct World {
    /// Who wants what.
    pub replica: Replica,
    /// What other clusters want.
    pub fars: Fars,
    /// What clients have begun to want lately.
    pub recent: Recent,
    /// Counters.
    pub ledger: AccountLedger,
    /// Connections on the other shards.
    pub elsewhere: Vec<Headcount>,
    /// A reload allows others than before: those of this shard that may have to go.
    pub thinning: Option<Thinning>,
}

impl World {
    /// Nobody is there.
    pub(super) fn new(seed: u64, far_seed: u64, shards: usize) -> World {
        World {
            replica: Replica::new(seed),
            fars: Fars::new(far_seed),
            recent: Recent::new(far_seed),
            ledger: AccountLedger::default(),
            elsewhere: vec![Headcount::default(); shards],
            thinning: None,
        }
    }
}

/// Something that did not fit into a turn. Batches may overtake connections; no connection overtakes a batch, or a
/// subscription could get what was published, and confirmed, before it.
pub(super) enum Work {
    /// A connection with bytes left over.
    Bytes(ConnId),
    /// What a shard said: messages from this place of the batch on are still to be delivered.
    Batch(ShardId, Batch, Bookmark),
}

/// See the file's head.
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) settings: Arc<Settings>,
    pub(super) identity: Arc<Identity>,
    pub(super) greeting: PreparedInfo,
    /// The cluster's name, once it is told.
    pub(super) cluster_name: Option<Arc<str>>,
    /// The server is a lame duck: clients are told to go elsewhere.
    pub(super) lame: bool,
    pub(super) farewell: Farewell,
    pub(super) directory: Directory,
    pub(super) rng: Rng,
    /// Hashes sids; seeded, so that no client can choose them to collide.
    pub(super) sids: Seeded,
    pub(super) now: Now,
    pub(super) outbox: Outbox,
    pub(super) worlds: Vec<World>,
    pub(super) verdicts: Verdicts,
    pub(super) wheel: Wheel<Due>,
    /// What is due waits for the next turn (`shard::tick`).
    pub(super) thawing: bool,
    /// Memory is short: no more of it is taken for subscriptions.
    pub(super) scarce: bool,
    pub(super) acts: VecDeque<Act>,
    /// What is to be told to each shard; the own place stays empty.
    pub(super) batches: Vec<Batch>,
    pub(super) empty_batches: Vec<Batch>,
    /// Connections with bytes left over that can be gone on with.
    pub(super) waiting: VecDeque<Work>,
    /// Batches among them.
    pub(super) held: usize,
    /// Batches of this turn whose messages are not delivered yet.
    pub(super) fresh: Vec<(ShardId, Batch)>,
    /// Batches that are done with, to be given back to whoever filled them.
    pub(super) heard: VecDeque<(ShardId, Batch)>,
    pub(super) jams: Jams,
    pub(super) rounds: Rounds,
    pub(super) past: Past,
    pub(super) body: Body,
    pub(super) groups: Groups,
    /// What of a stream is looked at ahead, lent out for as long as it is.
    pub(super) tails: Vec<Tail>,
    /// Where the current message's queue members are that are not on this shard: place, and which of its verdict's groups.
    pub(super) away: Vec<(Place, u32)>,
    pub(super) peers: Peers,
    /// Connections of this shard that are other servers'.
    pub(super) servers_here: usize,
    pub(super) ends: Ends,
    pub(super) forgetting: Forgetting,
    pub(super) gates: Gates,
    /// The rules of the border.
    pub(super) walls: Arc<Walls>,
    /// Requests whose answers they let in, on the shard with the outbound links.
    pub(super) grants: Grants,
    /// Links to other clusters that this shard owns, by public number.
    pub(super) gateway_links: BTreeMap<Cid, ConnId>,
    /// What nobody in this cluster wants any more.
    pub(super) wide_ends: Ends,
    pub(super) forgetting_fars: ForgettingFars,
    /// Accounts in whose tables something of other clusters stands that does not count any more; each once.
    pub(super) outdated_fars: VecDeque<u16>,
    /// What stands before replies of requests that leave the cluster.
    pub(super) reply_prefix: ReplyPrefix,
    /// Requests to services of other accounts.
    pub(super) services: Services,
    pub(super) repeats: Repeats,
    pub(super) strangers: Strangers,
    pub(super) expiries: Expiries,
    /// Connections that are routes and go to the mesh.
    pub(super) leaving: Vec<ConnId>,
    /// A buffer for lines to new peers.
    pub(super) lines: Vec<u8>,
    /// Subscriptions of ended connections that still stand in the tables.
    pub(super) abandoned: Abandoned,
    /// Other servers' connections over which not all has been told that is wanted here; each once.
    pub(super) untold: Vec<ConnId>,
    /// New peers are being told, or lost ones forgotten: the next turn is due at once.
    pub(super) peer_work: bool,
    /// Client addresses of the whole cluster, as clients are told.
    pub(super) client_urls: Arc<[String]>,
    /// Clients from this place on have yet to be told of them.
    pub(super) informing: Option<u32>,
    /// Bytes for one other shard after which a turn parses nothing more. What lies in the rings reaches a slow receiver
    /// after its publishers were told to wait: all shards together must fit above three quarters of its limit.
    pub(super) batch_bytes_max: usize,
    /// Connections whose bytes were only written in part, to be gone on with in the next turn.
    pub(super) unfinished: Vec<ConnId>,
    /// So much waits for the rings that no more is parsed.
    pub(super) crammed: bool,
    /// Deliveries of a turn.
    turn_deliveries_max: u64,
    pub(super) ahead_verdicts_min: usize,
    /// Deliveries left in this turn; large ones count as several ([`weight`]).
    pub(super) budget: u64,
    pub(super) stuck: bool,
    /// No connection is to live on: [`Order::Drain`] came.
    pub(super) draining: bool,
    /// It came, and waits for what was heard before it to be delivered.
    pub(super) drain_due: bool,
    /// [`Act::Drained`] is said.
    pub(super) drained: bool,
}

/// Bytes for one other shard after which a turn parses nothing more.
fn batch_bytes_max(settings: &Settings, shards: usize) -> usize {
    (settings.limits.max_pending / 64 / shards.max(1)).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
}

fn outbox(settings: &Arc<Settings>, shards: usize) -> Outbox {
    let limits = &settings.limits;
    // One slow receiver must be waited for, not cut, however small the share.
    let share = |n: usize| (n / shards.max(1)).max(2 * limits.max_pending);
    let mut outbox = Outbox::new(
        limits.max_pending,
        limits.max_pending_total.map_or(usize::MAX, share),
        settings.no_fast_producer_stall,
        Diary::new(settings.clone()),
    );
    outbox.permits = Permits::clone(&settings.auth.permits);
    outbox
}

/// What draws, and the seeds of what draws apart: so servers without gateways choose as they did before there were any.
fn seeds(seed: u64) -> (Rng, u64, u64) {
    let mut rng = Rng::new(seed);
    let ends_seed = rng.next_u64();
    (rng, ends_seed, ends_seed.rotate_left(17))
}

impl Shard {
    /// A shard without connections.
    pub fn new(setup: Setup) -> Shard {
        let Setup { id, shards, seed, settings, identity, turn_deliveries_max, ahead_verdicts_min } = setup;
        let (mut rng, ends_seed, far_seed) = seeds(seed);
        let mut shard = Shard {
            id,
            worlds: settings.auth.accounts.iter().map(|_| World::new(rng.next_u64(), far_seed, shards)).collect(),
            verdicts: Verdicts::new(rng.next_u64()),
            greeting: identity.greeting(&settings, None),
            cluster_name: None,
            reply_prefix: identity.reply_prefix(settings.cluster_name()),
            identity,
            directory: Directory::new(&settings.auth, rng.next_u64()),
            outbox: outbox(&settings, shards),
            sids: Seeded(rng.next_u64()),
            rng,
            unfinished: Vec::new(),
            now: Now::default(),
            wheel: Wheel::default(),
            thawing: false,
            scarce: false,
            acts: VecDeque::new(),
            batches: (0..shards).map(|_| Batch::default()).collect(),
            empty_batches: Vec::new(),
            waiting: VecDeque::new(),
            held: 0,
            fresh: Vec::new(),
            heard: VecDeque::new(),
            jams: Jams::default(),
            rounds: Rounds::default(),
            past: Past::new(settings.limits.max_closed_clients / shards.max(1)),
            body: Body::default(),
            groups: Groups::default(),
            tails: Vec::new(),
            away: Vec::new(),
            peers: Peers::default(),
            servers_here: 0,
            ends: Ends::new(ends_seed),
            forgetting: Forgetting::default(),
            gates: Gates::default(),
            walls: Arc::new(Walls::of(&settings, far_seed)),
            grants: Grants::new(Seeded(far_seed)),
            gateway_links: BTreeMap::new(),
            wide_ends: Ends::new(far_seed),
            forgetting_fars: ForgettingFars::default(),
            outdated_fars: VecDeque::new(),
            services: Services::new(settings.auth.accounts.len(), far_seed),
            repeats: Repeats::default(),
            strangers: Strangers::new(shards),
            expiries: Expiries::new(&settings.auth),
            leaving: Vec::new(),
            lines: Vec::new(),
            abandoned: Abandoned::default(),
            untold: Vec::new(),
            peer_work: false,
            lame: false,
            farewell: Farewell::default(),
            client_urls: Arc::from([]),
            informing: None,
            batch_bytes_max: batch_bytes_max(&settings, shards),
            crammed: false,
            turn_deliveries_max,
            ahead_verdicts_min,
            budget: turn_deliveries_max,
            stuck: false,
            draining: false,
            drain_due: false,
            drained: false,
            settings,
        };
        shard.know_ways_back();
        shard
    }

    /// What grows when clients make the server take memory, bytes: what waits for them, and what all subscriptions that
    /// there ever were have cost. Says nothing about how much memory that is; for whoever watches how fast it grows.
    pub fn taken_bytes(&self) -> u64 {
        self.outbox.waiting() as u64 + self.outbox.ledger.subscription_bytes
    }

    /// When the next turn is due at the latest; None: not before something happens.
    pub fn next_at(&self) -> Option<Time> {
        // What was said while the last turn's output was written was not written any more.
        let late = !self.outbox.dirty.is_empty() || !self.acts.is_empty();
        let left_over = late || !self.unfinished.is_empty() || self.batches.iter().any(|b| !b.is_empty());
        if left_over
            || !self.waiting.is_empty()
            || self.peer_work
            || !self.abandoned.is_empty()
            || !self.leaving.is_empty()
            || self.ends.wait()
            || self.wide_ends.wait()
            || self.informing.is_some()
        {
            return Some(Time(0));
        }
        self.wheel.next_at()
    }

    /// How many bytes of a connection are to be read now, at most. None while it has left over what turns have yet to carry
    /// out: what comes is kept, and what is kept has to have an end. Of somebody who has not said who he is as many as he may
    /// send, and one more that shows it: what is behind his CONNECT stays in the kernel while his password is looked at.
    pub fn reads(&self, conn: ConnId) -> usize {
        let Some(client) = self.outbox.conns.get(conn) else { return usize::MAX };
        if matches!(client.stage, Stage::Upgrading { .. }) {
            return 0;
        }
        if self.waits(client) && client.tail.len() >= client.need().max(LEFT_OVER_MAX) {
            return 0;
        }
        match client.is_stranger() {
            true => (self.settings.limits.stranger_bytes_max() + 1).saturating_sub(client.sent_early),
            false => usize::MAX,
        }
    }

    /// Does what a connection sends wait for a later turn?
    pub(super) fn waits(&self, client: &Client) -> bool {
        self.held > 0 || client.waiting
    }

    /// Are messages of other shards held for later turns? Then turns have to go on even while a ring is full: the shard at
    /// its other end may wait for these to be done with.
    pub fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// A new turn begins: what it may do.
    pub(super) fn take_breath(&mut self) {
        self.budget = self.turn_deliveries_max;
        self.crammed = self.batches.iter().any(|b| b.bytes() >= self.batch_bytes_max);
    }

    /// The peers' batches, to state something to all of them.
    pub(super) fn peer_batches(&mut self) -> impl Iterator<Item = &mut Batch> {
        let me = self.id.index();
        self.batches.iter_mut().enumerate().filter(move |(i, _)| *i != me).map(|(_, b)| b)
    }

    /// An order from outside.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Report { ticket, ask: Ask::Part { cid, ends } } => {
                let answer = Answer::Parted(self.part(cid, ends));
                self.acts.push_back(Act::Answer { ticket, answer });
            }
            Order::Tell { account, reply, payload } => self.answer_request(account, &reply, &payload),
            Order::Told { account, dest, header, payload } => self.tell_of_trace(account, &dest, header, &payload),
            Order::Report { ticket, ask } => {
                let answer = self.answer(ask);
                self.acts.push_back(Act::Answer { ticket, answer });
            }
            Order::Verified { conn, look, found } => self.verified(conn, look, found),
            Order::Drain => self.drain(),
            Order::Instruct(instruction) => self.instructed(instruction),
            Order::InstructGateway(instruction) => self.gateway_instructed(instruction),
            Order::ClientUrls { urls, ldm } => {
                self.client_urls = urls;
                self.lame = ldm;
                self.informing = Some(0);
            }
            Order::SendAway { over_ns } => self.send_away(over_ns),
            Order::Scarce(scarce) => self.scarce(scarce),
            Order::Settings(settings) => self.change_settings(&settings),
            Order::Identity(identity) => {
                self.identity = identity;
                self.greeting = self.identity.greeting(&self.settings, self.cluster_name.as_deref());
            }
            Order::Surplus(n) => self.shed_newest(n),
            Order::Tls { tls, auth_timeout } => self.change_tls(tls.as_deref(), auth_timeout),
            Order::ClusterName(name) => {
                self.greeting = self.identity.greeting(&self.settings, Some(&name));
                self.reply_prefix = self.identity.reply_prefix(&name);
                self.cluster_name = Some(name);
            }
        }
    }
}
