//! A case: everything that a scenario decides before the world begins to move. A case and a seed give the same run
//! every time; shrinking takes parts out of a case and runs it again.

pub use super::cluster::plan::{Cluster, Fault};
use super::rights::User;
use super::shared::Shared;
use turnpike::base::limits::PEER_INTEREST_MAX;
use turnpike::base::Rng;
use turnpike::shard::TURN_DELIVERIES_MAX;

/// How the node, the network and the driver are in one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shards of the node.
    pub shards: usize,
    /// Batches that a ring between two shards holds.
    pub ring: usize,
    /// Bytes that one read of the server takes at most.
    pub read_max: usize,
    /// `max_payload`, bytes.
    pub max_payload: usize,
    /// `max_pending`, bytes.
    pub max_pending: usize,
    /// Deliveries of a turn.
    pub budget: u64,
    /// `no_fast_producer_stall`: what is congested is passed over, nobody is paused.
    pub skips: bool,
    /// `strict_headers`: malformed headers are refused.
    pub strict_headers: bool,
    /// Shard `s` steps only once in `lazy[s]` of its chances.
    pub lazy: Vec<u64>,
    /// In the middle of a turn the rest of the world runs on once in so many chances.
    pub rush: u64,
    /// Rules that the driver breaks on purpose.
    pub broken: Broken,
    /// May receivers be cut as slow? If not, every cut is a failure.
    pub cuts: bool,
    /// Nothing goes wrong in this run: counters must be exact.
    pub exact: bool,
    /// Accounts, each with one user; 0: everybody enters `$G` unasked.
    pub accounts: usize,
    /// Users who may not do everything, in each account; [`Actor::right`] says who is one.
    pub rights: Vec<User>,
    /// Users that came to be by reloads; nobody is one of them.
    pub latecomers: usize,
    /// What accounts share.
    pub shared: Option<Shared>,
    /// Queue groups are picked from evenly: nobody comes or goes, so the spread can be judged.
    pub even: bool,
    /// Order the node to drain after so many events.
    pub drain_after: Option<u64>,
    /// Patterns that one peer may want.
    pub peer_interest_max: u64,
    /// Several servers; `shards` counts those of all of them.
    pub cluster: Option<Cluster>,
    /// Give up after so many events.
    pub events_max: u64,
}

/// What the driver does wrongly, to see that the simulator would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing.
    Nothing,
    /// Sockets are written before batches are pushed into the rings.
    WritesFirst,
    /// Bytes that came after the rings were drained are parsed.
    ParsesFirst,
    /// A ring hands out its newest batch first.
    RingUnordered,
    /// A full ring loses the batch.
    RingLoses,
    /// A shard is never told that a socket takes bytes again.
    NeverWritable,
    /// A shard is never told the time, nor let go on with what it had left over.
    NoTime,
    /// Congested receivers are passed over where they should be waited for.
    NeverWaits,
    /// A socket that is to be read again is not.
    NeverResumes,
    /// New interest is told to a peer behind the messages that follow it.
    InterestLate,
    /// What comes over a route is sent on to other peers.
    Relays,
    /// What comes over a route is sent back.
    Bounces,
    /// Other shards do not hear that a route has ended.
    EndsUnheard,
    /// A second connection to a known server is closed and not parked.
    ClosesSecond,
    /// New interest is told to peers twice.
    TellsTwice,
    /// What the mesh has to say over routes is lost: nobody is told of others.
    SaysNothing,
    /// What a peer says in one account is taken for another's.
    MixesAccounts,
    /// A peer may want as much as it likes.
    NoLimit,
    /// What comes from another cluster is sent on to other clusters.
    Circles,
    /// What another cluster no longer wants is not heard.
    ForgetsEnds,
    /// What another cluster begins to want is not heard.
    ForgetsBeginnings,
    /// How far away other clusters are is not heard.
    Unmeasured,
    /// The replies of requests to other clusters do not name the way back.
    PlainReplies,
    /// A lame duck ends without sending its clients away first.
    LeavesAtOnce,
    /// What a cluster exports is forgotten.
    NoExports,
    /// What it imports is.
    NoImports,
    /// The same, but others are told of it.
    TakesAll,
    /// Other rules are read, and nobody is given them.
    KeepsRules,
    /// What users may do is forgotten.
    NoPermissions,
    /// What accounts share is forgotten.
    NoShares,
    /// What subjects become is.
    NoRewrites,
    /// Any number of answers may come back.
    NoReplyMax,
    /// Answers may come back for longer than was said.
    NoReplyWindow,
    /// What other clusters say they let in is not heard.
    DeafToRules,
}

/// How somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// As soon as something is there.
    Eager,
    /// At most `most` bytes, once in `one_in` chances.
    Slow {
        /// Bytes.
        most: usize,
        /// Chances.
        one_in: u64,
    },
    /// Never.
    Never,
}

/// A client and what it is going to do.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The shard that its connection is given to.
    pub shard: usize,
    /// The account of its user, where there are accounts.
    pub account: usize,
    /// Which of the users it is that may not do everything; None: its account's user, who may.
    pub right: Option<usize>,
    /// Bytes not yet sent above which it begins no further step.
    pub talk: usize,
    /// How it reads.
    pub reads: Reads,
    /// Bytes of each of its pipes.
    pub window: usize,
    /// `echo` of its CONNECT.
    pub echo: bool,
    /// `headers` of its CONNECT.
    pub headers: bool,
    /// `verbose` of its CONNECT.
    pub verbose: bool,
    /// Publishes an answer to each message that asks for one.
    pub responds: bool,
    /// Breaks the protocol: what happens to its connection is its own fault.
    pub hostile: bool,
    /// Reads in time and gets little: must not be cut even where cuts happen.
    pub spared: bool,
    /// It may be passed over: what it misses is nobody's fault.
    pub passed_over: bool,
    /// How many PINGs of the server it must have got when all steps are done.
    pub pings: Option<u64>,
    /// Taken out by shrinking; its place stays, for others count on it.
    pub absent: bool,
    /// One after the other.
    pub steps: Vec<Step>,
}

/// How a connection ends from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sending side is shut; answers are still read.
    Fin,
    /// Reset.
    Rst,
    /// Silence: the server is not told.
    Cut,
}

/// One thing a client does.
#[derive(Clone, Debug)]
pub enum Step {
    /// `SUB`, and `UNSUB <sid> <max>` at once where a maximum is given.
    Sub {
        /// The pattern.
        pattern: String,
        /// The queue group.
        queue: Option<String>,
        /// Deliveries after which it ends.
        max: Option<u64>,
    },
    /// `UNSUB` of its n-th subscription of this connection.
    Unsub(usize),
    /// `PUB` (or `HPUB`) of so many bytes.
    Pub {
        /// Where to.
        subject: String,
        /// Payload bytes.
        size: usize,
    },
    /// A publish that asks for an answer.
    Request(String),
    /// Answers everything it was asked so far; for who does not respond at once.
    Answer {
        /// So many times each.
        times: u64,
        /// More than so many for one question are too many.
        most: u64,
        /// It is too late for all of them.
        late: bool,
    },
    /// `PING`, without waiting.
    Ping,
    /// `PING`, and nothing more before its `PONG`. Counted: see [`Step::Await`].
    Sync,
    /// Waits until another client has passed so many [`Step::Sync`] (or is gone).
    Await {
        /// Which.
        actor: usize,
        /// How many.
        syncs: u64,
    },
    /// A further CONNECT: all subscriptions end.
    Again,
    /// Something happens to the servers or between them.
    Fault(Fault),
    /// Waits until every server has a route to every other, as far as they are there and reach each other.
    Meshed,
    /// Lets so many milliseconds of virtual time pass.
    Sleep(u64),
    /// The server's bytes to this client stop moving.
    Stall,
    /// They move again.
    Heal,
    /// Ends the connection and opens another one on a shard.
    Reconnect {
        /// How the old one ends.
        end: End,
        /// The shard of the new one.
        shard: usize,
    },
    /// Ends the connection.
    Quit(End),
    /// Raw bytes.
    Say(Vec<u8>),
}

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Case {
    /// The frame.
    pub plan: Plan,
    /// Who acts.
    pub actors: Vec<Actor>,
}

impl Plan {
    /// A node of `shards` shards without tight limits.
    pub fn new(shards: usize) -> Plan {
        Plan {
            shards,
            ring: 8,
            read_max: 1 << 16,
            max_payload: 1 << 16,
            max_pending: 1 << 20,
            budget: TURN_DELIVERIES_MAX,
            skips: false,
            strict_headers: false,
            lazy: vec![1; shards],
            rush: 4,
            broken: Broken::Nothing,
            cuts: false,
            exact: false,
            accounts: 0,
            rights: Vec::new(),
            latecomers: 0,
            shared: None,
            even: false,
            drain_after: None,
            peer_interest_max: PEER_INTEREST_MAX,
            cluster: None,
            events_max: 400_000,
        }
    }
}

impl Actor {
    /// A well-behaved client on a shard.
    pub fn on(shard: usize) -> Actor {
        Actor {
            shard,
            account: 0,
            right: None,
            talk: 256,
            reads: Reads::Eager,
            window: 1 << 16,
            echo: true,
            headers: true,
            verbose: false,
            responds: false,
            hostile: false,
            spared: false,
            passed_over: false,
            pings: None,
            absent: false,
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    pub fn does(mut self, step: Step) -> Actor {
        self.steps.push(step);
        self
    }

    /// Adds steps.
    pub fn does_all(mut self, steps: impl IntoIterator<Item = Step>) -> Actor {
        self.steps.extend(steps);
        self
    }
}

impl Step {
    /// A plain subscription.
    pub fn sub(pattern: &str) -> Step {
        Step::Sub { pattern: pattern.into(), queue: None, max: None }
    }

    /// A queue subscription.
    pub fn queue(pattern: &str, queue: &str) -> Step {
        Step::Sub { pattern: pattern.into(), queue: Some(queue.into()), max: None }
    }

    /// A publish.
    pub fn publish(subject: &str, size: usize) -> Step {
        Step::Pub { subject: subject.into(), size }
    }
}

/// One of these.
pub fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.below(from.len() as u64) as usize]
}

/// A number in this range, its end among them.
pub fn within(rng: &mut Rng, from: u64, to: u64) -> u64 {
    from + rng.below(to - from + 1)
}
