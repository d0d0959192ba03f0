//! The shard: everything one core knows. What it holds is here; what it does stands in the files beside this one, by
//! journey (ARCHITECTURE.md): dispatch, publish, subscribe, hear, enter, ending, tick, pace, answer. The order in which it
//! may be called is in `turn`.

use super::batch::{Batch, Groups};
use super::due::Due;
use super::identity::Identity;
use super::jams::Jams;
use super::ledger::AccountLedger;
use super::outbox::Outbox;
use super::past::Past;
use super::report::{Answer, Order};
use super::verdict::Verdicts;
use crate::base::{Cid, ConnId, Level, Now, Rng, Seeded, ShardId, Time, Wheel};
use crate::interest::Replica;
use crate::policy::login::Directory;
use crate::policy::Settings;
use crate::wire::hello::PreparedInfo;
use crate::wire::Body;
use std::collections::VecDeque;
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
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The peer will send nothing more; it may still read.
    Eof,
    /// Reading or writing failed, in the system's words ("read: …", "write: …").
    Failed(String),
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
    /// Close it; the id names nothing any more.
    Close(ConnId),
    /// Compare a password with a bcrypt hash somewhere that moves no messages; [`Order::Verified`] brings the answer.
    Verify {
        /// Who waits for it.
        conn: ConnId,
        /// The hash.
        hash: String,
        /// The password.
        password: String,
    },
    /// The answer to [`Order::Report`].
    Answer {
        /// The question's.
        ticket: u64,
        /// What was asked for.
        answer: Answer,
    },
    /// A line for the log.
    Log {
        /// How grave.
        level: Level,
        /// What.
        text: String,
    },
    /// After [`Order::Drain`]: every connection has ended.
    Drained,
}

/// One account on this shard.
pub struct World {
    /// Who wants what.
    pub replica: Replica,
    /// Counters.
    pub ledger: AccountLedger,
    /// Connections on the other shards.
    pub elsewhere: Vec<u32>,
}

/// Something that did not fit into a turn. Batches may overtake connections; no connection overtakes a batch, or a
/// subscription could get what was published, and confirmed, before it.
pub(super) enum Work {
    /// A connection with bytes left over.
    Bytes(ConnId),
    /// What a shard said: messages from this place of the batch on are still to be delivered.
    Batch(ShardId, Batch, usize),
}

/// See the file's head.
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) settings: Arc<Settings>,
    pub(super) greeting: PreparedInfo,
    pub(super) directory: Directory,
    pub(super) rng: Rng,
    /// Hashes sids; seeded, so that no client can choose them to collide.
    pub(super) sids: Seeded,
    pub(super) now: Now,
    pub(super) outbox: Outbox,
    pub(super) worlds: Vec<World>,
    pub(super) verdicts: Verdicts,
    pub(super) wheel: Wheel<Due>,
    pub(super) acts: VecDeque<Act>,
    /// What is to be told to each shard; the own place stays empty.
    pub(super) batches: Vec<Batch>,
    pub(super) empty_batches: Vec<Batch>,
    /// Connections with bytes left over that can be gone on with.
    pub(super) waiting: VecDeque<Work>,
    /// Batches among them.
    pub(super) held: usize,
    /// Batches that are done with, to be given back to whoever filled them.
    pub(super) heard: VecDeque<(ShardId, Batch)>,
    pub(super) jams: Jams,
    pub(super) past: Past,
    pub(super) body: Body,
    pub(super) groups: Groups,
    /// For the message at hand: which of its groups (by place in the verdict) goes to which other shard.
    pub(super) away: Vec<(ShardId, usize)>,
    /// Bytes for one other shard after which a turn parses nothing more. What lies in the rings reaches a slow receiver
    /// after its publishers were told to wait: all shards together must fit above three quarters of its limit.
    pub(super) batch_bytes_max: usize,
    /// Connections whose bytes were only written in part, to be gone on with in the next turn.
    pub(super) unfinished: Vec<ConnId>,
    /// So much waits for the rings that no more is parsed.
    pub(super) crammed: bool,
    /// Deliveries left in this turn.
    pub(super) budget: u64,
    pub(super) stuck: bool,
    pub(super) draining: bool,
}

/// Deliveries in one turn after which the rest waits for the next, so that no turn is long (one message with more
/// receivers than that is still delivered whole).
const TURN_DELIVERIES_MAX: u64 = 50_000;

impl Shard {
    /// A shard without connections.
    pub fn new(setup: Setup) -> Shard {
        let Setup { id, shards, seed, settings, identity } = setup;
        let mut rng = Rng::new(seed);
        let limits = &settings.limits;
        let worlds = settings.auth.accounts.iter().map(|_| World {
            replica: Replica::new(rng.next_u64()),
            ledger: AccountLedger::default(),
            elsewhere: vec![0; shards],
        });
        Shard {
            id,
            worlds: worlds.collect(),
            verdicts: Verdicts::new(rng.next_u64()),
            greeting: identity.greeting(&settings),
            directory: Directory::new(&settings.auth, rng.next_u64()),
            outbox: Outbox::new(limits.max_pending, settings.no_fast_producer_stall),
            sids: Seeded(rng.next_u64()),
            rng,
            unfinished: Vec::new(),
            now: Now::default(),
            wheel: Wheel::default(),
            acts: VecDeque::new(),
            batches: (0..shards).map(|_| Batch::default()).collect(),
            empty_batches: Vec::new(),
            waiting: VecDeque::new(),
            held: 0,
            heard: VecDeque::new(),
            jams: Jams::default(),
            past: Past::new(limits.max_closed_clients / shards.max(1)),
            body: Body::default(),
            groups: Groups::default(),
            away: Vec::new(),
            batch_bytes_max: (limits.max_pending / 64 / shards.max(1)).clamp(2 << 10, 256 << 10),
            crammed: false,
            budget: TURN_DELIVERIES_MAX,
            stuck: false,
            draining: false,
            settings,
        }
    }

    /// When the next turn is due at the latest; None: not before something happens.
    pub fn next_at(&self) -> Option<Time> {
        let left_over = !self.unfinished.is_empty() || self.batches.iter().any(|b| !b.is_empty());
        if left_over || !self.waiting.is_empty() {
            return Some(Time(0));
        }
        self.wheel.next_at()
    }

    pub(super) fn log(&mut self, level: Level, text: impl FnOnce() -> String) {
        let wanted = match level {
            Level::Debug => self.settings.log.debug,
            Level::Trace => self.settings.log.trace,
            _ => true,
        };
        if wanted {
            self.acts.push_back(Act::Log { level, text: text() });
        }
    }

    /// A new turn begins: what it may do.
    pub(super) fn take_breath(&mut self) {
        self.budget = TURN_DELIVERIES_MAX;
        self.crammed = self.batches.iter().any(|b| b.bytes() >= self.batch_bytes_max);
    }

    /// The peers' batches, to state something to all of them.
    pub(super) fn peers(&mut self) -> impl Iterator<Item = &mut Batch> {
        let me = self.id.index();
        self.batches.iter_mut().enumerate().filter(move |(i, _)| *i != me).map(|(_, b)| b)
    }

    /// An order from outside.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Report { ticket, ask } => {
                let answer = self.answer(ask);
                self.acts.push_back(Act::Answer { ticket, answer });
            }
            Order::Verified { conn, ok } => self.verified(conn, ok),
            Order::Drain => self.drain(),
        }
    }
}
