//! What a shard tells people: the questions of monitoring, its orders, and the answers. Cold: a question is answered
//! in slices, so that no scrape holds a shard for longer than a turn.

mod gateways;
mod question;

use super::identity::Identity;
use crate::base::ConnId;
use crate::conn::{Counts, GatewayInstruction, Instruction, Telling};
use crate::policy::{Found, Settings, Tls};
use std::sync::Arc;
use std::time::Duration;

pub use gateways::{BarrierTally, EntryTally, FarTally, GatewayAccountRow, GatewayReport, GatewayRow, InterestMode};
pub use question::{Asked, Explanation, Ground, Question};

/// An order from outside the shards.
#[derive(Clone, Debug)]
pub enum Order {
    /// Answer a question with [`Act::Answer`](super::Act::Answer).
    Report {
        /// Comes back with the answer.
        ticket: u64,
        /// The question.
        ask: Ask,
    },
    /// What this connection presented was looked at.
    Verified {
        /// The connection.
        conn: ConnId,
        /// Which look this was: a reload may have asked for another one meanwhile, and only that one counts.
        look: u32,
        /// What was found.
        found: Found,
    },
    /// Write what waits, then end every connection; [`Act::Drained`](super::Act::Drained) when done.
    Drain,
    /// The mesh has something to say about a route.
    Instruct(Instruction),
    /// The gateways' machine has something to say about a link.
    InstructGateway(GatewayInstruction),
    /// The client addresses of the cluster have changed: clients are told.
    ClientUrls {
        /// `host:port`; this server's own first, unless it is going.
        urls: Arc<[String]>,
        /// This server is going: clients are told to go elsewhere.
        ldm: bool,
    },
    /// The server is a lame duck whose grace time is over: clients are ended, one after the other in random order.
    /// [`Act::Vacant`](super::Act::Vacant) when none is left.
    SendAway {
        /// How long that is to take, nanoseconds.
        over_ns: u64,
    },
    /// Memory has become scarce, or (said again) is still: subscriptions are refused, and clients are cut for whom much
    /// waits. `false`: no longer.
    Scarce(bool),
    /// This holds from now on. What needs a restart is the same (`policy::reload`).
    Settings(Arc<Settings>),
    /// Who the server is to clients: where INFO says that it is may change (`client_advertise`). Who is here is told with the
    /// next INFO.
    Identity(Arc<Identity>),
    /// So many clients are more than there may be: the newest go.
    Surplus(usize),
    /// Handshakes with clients go so from now on; nobody who is here notices.
    Tls {
        /// How; None: clients come in the clear.
        tls: Option<Arc<Tls>>,
        /// From the handshake to a valid CONNECT.
        auth_timeout: Duration,
    },
    /// The cluster is called so from now on.
    ClusterName(Arc<str>),
    /// An answer to [`Act::Asked`](super::Act::Asked).
    Tell {
        /// The asker's account.
        account: u16,
        /// Where he waits for it.
        reply: Box<[u8]>,
        /// What he is told.
        payload: Box<[u8]>,
    },
    /// What is told of a traced message ([`Act::Traced`](super::Act::Traced)): to be published.
    Told {
        /// Index of the account.
        account: u16,
        /// Where.
        dest: Box<[u8]>,
        /// Its header block; empty: none.
        header: &'static [u8],
        /// What is told.
        payload: Box<[u8]>,
    },
}

/// A client of an ordinary account asks what the system account answers for his account alone (operations.md §17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemQuestion {
    /// His account.
    pub account: u16,
    /// Its name.
    pub name: String,
    /// What follows `$SYS.REQ.ACCOUNT.PING.`.
    pub what: &'static str,
    /// Where he waits for the answer.
    pub reply: Box<[u8]>,
    /// His options.
    pub payload: Box<[u8]>,
}

/// Something about a connection that the system account is told (operations.md §18).
#[derive(Clone, Debug)]
pub struct Happening {
    /// What.
    pub what: Happened,
    /// The connection, as it was then.
    pub row: ConnRow,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was let in.
    Connect,
    /// It ended.
    Disconnect,
    /// What it presented was wrong.
    AuthError,
    /// Its account has more or fewer connections; of the row only the account counts.
    Number,
}

/// A question of monitoring.
#[derive(Clone, Debug)]
pub enum Ask {
    /// End the client with this number, or (not `ends`) tell it to go elsewhere.
    Part {
        /// The public number.
        cid: u64,
        /// End it.
        ends: bool,
    },
    /// All counters. What passed over connections is booked in slices, each answered by [`Answer::Counted`]; the last
    /// one is answered by the counters.
    Tally {
        /// The cursor: the default, then what the last answer said.
        from: Counted,
        /// At most so many connections.
        max: u32,
    },
    /// Open connections from a place on.
    Connections {
        /// The cursor: 0, then what the last answer said.
        from: u32,
        /// At most so many.
        max: u32,
        /// With their subscriptions?
        subs: bool,
    },
    /// Ended connections, oldest first.
    Closed {
        /// The cursor.
        from: u32,
        /// At most so many.
        max: u32,
    },
    /// Subscriptions of this shard's clients.
    Subscriptions {
        /// The cursor.
        from: u32,
        /// At most so many.
        max: u32,
        /// Only of this account.
        account: Option<String>,
        /// Only those that a message with this subject would reach.
        test: Option<Vec<u8>>,
    },
    /// The routes of this shard.
    Routes,
    /// Links to other clusters; booked in slices, as for [`Ask::Tally`].
    Gateways {
        /// The cursor: the default, then what the last answer said.
        from: Counted,
        /// At most so many connections.
        max: u32,
    },
    /// Would this message cross?
    Explain(Question),
    /// What the peers want whose routes are this shard's.
    PeerInterest {
        /// The cursor: the default, then what the last answer said.
        from: Telling,
        /// Look at so many patterns at most.
        max: u32,
    },
    /// What the other clusters want that this shard's outbound links lead to.
    FarInterest {
        /// The cursor: the default, then what the last answer said.
        from: Telling,
        /// Look at so many patterns at most.
        max: u32,
        /// Only of this account.
        account: Option<String>,
    },
}

impl Ask {
    /// All counters, in one turn.
    pub const TALLY: Ask = Ask::Tally { from: Counted::NONE, max: u32::MAX };
    /// Links to other clusters, in one turn.
    pub const GATEWAYS: Ask = Ask::Gateways { from: Counted::NONE, max: u32::MAX };
}

/// How far a walk over a shard's connections has come, and what it has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The place of the next connection.
    pub place: u32,
    /// Clients that people are told of.
    pub connections: u64,
    /// Requests of other clusters whose way back they know.
    pub ways_back: u64,
    /// Subscriptions of the server itself.
    pub hidden: u64,
}

impl Counted {
    /// The beginning.
    pub const NONE: Counted = Counted { place: 0, connections: 0, ways_back: 0, hidden: 0 };
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// The client was here.
    Parted(bool),
    /// Would it cross?
    Explained(Box<Explanation>),
    /// Not all connections are counted yet: ask again from here.
    Counted(Counted),
    /// All counters.
    Tally(Box<Tally>),
    /// Open connections.
    Connections {
        /// A slice of them.
        rows: Vec<ConnRow>,
        /// Where the next slice begins; None: that was all.
        next: Option<u32>,
    },
    /// Ended connections.
    Closed {
        /// A slice of them.
        rows: Vec<ConnRow>,
        /// Where the next slice begins; None: that was all.
        next: Option<u32>,
    },
    /// Subscriptions.
    Subscriptions {
        /// A slice of them.
        rows: Vec<SubRow>,
        /// Where the next slice begins; None: that was all.
        next: Option<u32>,
    },
    /// Routes; never more than there can be peers.
    Routes(Vec<RouteRow>),
    /// Links to other clusters, and what became of messages to them.
    Gateways(Box<GatewayReport>),
    /// What peers or other clusters want; `cid` is the number of the route or link.
    Wanted {
        /// A slice of it.
        rows: Vec<SubRow>,
        /// Where the next slice begins; None: that was all.
        next: Option<Telling>,
    },
}

/// Counters of one shard since it started; "in" is from clients and peers. Bytes are header and payload.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Clients now.
    pub connections: u64,
    /// Their subscriptions now.
    pub subscriptions: u64,
    /// Messages from clients and peers.
    pub in_msgs: u64,
    /// Their bytes.
    pub in_bytes: u64,
    /// Messages queued for clients and peers.
    pub out_msgs: u64,
    /// Their bytes.
    pub out_bytes: u64,
    /// What of that passed over routes.
    pub routed: Counts,
    /// What of that passed over links to other clusters.
    pub crossed: Counts,
    /// Connections cut for too many waiting bytes.
    pub slow_consumers_pending: u64,
    /// Connections cut for taking no byte in time.
    pub slow_consumers_deadline: u64,
    /// Connections cut for unanswered pings.
    pub stale_connections: u64,
    /// Those of them that were routes.
    pub stale_routes: u64,
    /// Those of them that were links to or from other clusters.
    pub stale_gateways: u64,
    /// Times a publisher was paused.
    pub stalled_clients: u64,
    /// Wrong credentials presented by clients.
    pub failed_logins: u64,
    /// Connections that made room for others because they had not said who they are.
    pub strangers_dropped: u64,
    /// Memory is scarce as far as this shard knows: it refuses subscriptions.
    pub scarce: bool,
    /// Connections cut because memory was scarce and much waited for them.
    pub scarce_cut: u64,
    /// Subscriptions refused because memory was scarce.
    pub scarce_refused: u64,
    /// Messages of clients with malformed headers, delivered or refused.
    pub malformed_headers: u64,
    /// Interest of peers that `cluster.permissions.export` kept out.
    pub interest_refused: u64,
    /// Subscriptions that permissions did not allow, or no longer.
    pub subscriptions_denied: u64,
    /// Replies that could have been published to (`allow_responses`), had there not been so many at a time.
    pub responses_forgotten: u64,
    /// Messages that were traced.
    pub traced: u64,
    /// Messages that were not traced because too many were.
    pub traces_refused: u64,
    /// Requests of other clusters whose way back clients know (cluster-protocol.md §4.9).
    pub ways_back: u64,
    /// Requests that left through a border and may still be answered.
    pub grants: u64,
    /// Patterns that clients have begun to want so lately that other clusters may not know of it.
    pub recent: u64,
    /// Subscriptions added.
    pub inserts: u64,
    /// Subscriptions removed.
    pub removes: u64,
    /// Verdicts reached by a match.
    pub matches: u64,
    /// Verdicts found ready.
    pub cache_hits: u64,
    /// Verdicts held.
    pub cached: u64,
    /// Most receivers of one verdict.
    pub max_fanout: u64,
    /// Receivers over all verdicts reached.
    pub fanout_sum: u64,
    /// Verdicts reached with at least one receiver.
    pub fanout_count: u64,
    /// Messages not delivered, by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// The same per account, for accounts ever used.
    pub accounts: Vec<AccountTally>,
}

/// Counters of one account on one shard.
#[derive(Clone, Debug, Default)]
pub struct AccountTally {
    /// Its name.
    pub account: String,
    /// Clients now.
    pub connections: u64,
    /// Clients ever.
    pub total_connections: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Messages from clients.
    pub in_msgs: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Messages queued for clients.
    pub out_msgs: u64,
    /// Bytes queued for clients.
    pub out_bytes: u64,
    /// Connections cut as slow.
    pub slow_consumers: u64,
}

/// Of a user's token what others may know.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    /// Who signed it.
    pub issuer: String,
    /// Free words about the user.
    pub tags: Vec<String>,
    /// What the account calls itself.
    pub account_name: String,
    /// The token; None where whoever has it may come in.
    pub token: Option<String>,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct ConnRow {
    /// Public number.
    pub cid: u64,
    /// The peer's address.
    pub ip: String,
    /// The peer's port.
    pub port: u16,
    /// Accepted at, nanoseconds since 1970.
    pub start_ns: u64,
    /// Last sign of life, nanoseconds since 1970.
    pub last_activity_ns: u64,
    /// Ended at, nanoseconds since 1970.
    pub stop_ns: Option<u64>,
    /// Why it ended (client-protocol.md §18).
    pub reason: Option<&'static str>,
    /// Last round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    /// Bytes waiting for it.
    pub pending_bytes: u64,
    /// Messages from it.
    pub in_msgs: u64,
    /// Messages for it.
    pub out_msgs: u64,
    /// Bytes from it.
    pub in_bytes: u64,
    /// Bytes for it.
    pub out_bytes: u64,
    /// Times it was paused.
    pub stalls: u64,
    /// Number of its subscriptions.
    pub subscriptions: u64,
    /// `name` of its CONNECT.
    pub name: String,
    /// `lang` of its CONNECT.
    pub lang: String,
    /// `version` of its CONNECT.
    pub version: String,
    /// Its user.
    pub user: Option<String>,
    /// Its account.
    pub account: String,
    /// What its token says; None: it came in by none, or is gone.
    pub issued: Option<Box<Issued>>,
    /// How it is secured: version, suite, and whether that came before INFO.
    pub tls: Option<(&'static str, &'static str, bool)>,
    /// Messages that were queued for it and never left.
    pub lost_msgs: u64,
    /// Its subscriptions, if asked for.
    pub subs: Vec<SubRow>,
}

/// One route.
#[derive(Clone, Debug, Default)]
pub struct RouteRow {
    /// Public number.
    pub rid: u64,
    /// The shard that owns it.
    pub shard: u8,
    /// The peer's server id.
    pub remote_id: String,
    /// The peer's name.
    pub remote_name: String,
    /// We dialed it.
    pub dialed: bool,
    /// It is in our list of routes.
    pub configured: bool,
    /// The peer's address.
    pub ip: String,
    /// The peer's port.
    pub port: u16,
    /// Began at, nanoseconds since 1970.
    pub start_ns: u64,
    /// Last heard from, nanoseconds since 1970.
    pub last_activity_ns: u64,
    /// Last round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    /// Bytes waiting for it.
    pub pending_bytes: u64,
    /// What passed.
    pub counts: Counts,
    /// What the peer's clients want: patterns with queue groups.
    pub interest: u64,
}

/// One subscription.
#[derive(Clone, Debug, Default)]
pub struct SubRow {
    /// Its account.
    pub account: String,
    /// The pattern.
    pub subject: String,
    /// The queue group.
    pub queue: Option<String>,
    /// The client's name for it.
    pub sid: String,
    /// Messages delivered to it.
    pub msgs: u64,
    /// Ends after so many.
    pub max: Option<u64>,
    /// The connection's public number.
    pub cid: u64,
}
