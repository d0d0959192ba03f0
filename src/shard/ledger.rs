//! What a shard counts. Every message that is not delivered has a reason here.

use crate::conn::Counts;

/// Why a message (or one copy of it) was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Nobody wanted it.
    NoInterest,
    /// Its subject is reserved for the system.
    ReservedSubject,
    /// Its publisher's permissions do not allow its subject.
    PublishDenied,
    /// Its receiver's permissions deny a part of what it subscribed to.
    DeliveryDenied,
    /// Its reply is reserved for the system.
    ReservedReply,
    /// Its headers are malformed and `strict_headers` says to refuse it then.
    MalformedHeaders,
    /// It waited for a connection that was cut because too much waited for it.
    SlowConsumerPending,
    /// It waited for a connection that was cut because it took no byte in time.
    SlowConsumerDeadline,
    /// Its receiver was congested and `no_fast_producer_stall` says to drop then.
    SlowConsumerSkipped,
    /// It waited for a connection that ended.
    ConnectionEnded,
    /// The queue member it was meant for left while it crossed to another shard, and so did the next one.
    QueueMemberLeft,
    /// Its receivers left while it crossed to another shard or server.
    ReceiverLeft,
    /// It came over a route for an account that does not exist here.
    UnknownAccount,
    /// Twice `max_pending` waits for a route already.
    RouteFull,
    /// It, or a queue group of it, did not fit into the longest line a peer accepts, or cannot stand in one.
    RouteUnsayable,
    /// Twice `max_pending` waits for a link to another cluster already.
    GatewayFull,
    /// It, or a queue group of it, did not fit into the longest line another cluster accepts, or cannot stand in one.
    GatewayUnsayable,
    /// An answer whose request came from another cluster than this, and that came here all the same.
    ForeignReply,
    /// An answer, of a service or from another cluster, for which nobody waits any more.
    ReplyExpired,
    /// The link to the cluster that an answer was for ended.
    GatewayDown,
    /// It came from another cluster, and our imports do not admit it.
    Border,
    /// The weights of a mapping leave it no subject.
    MappedNowhere,
    /// It was for a request to a service that was given up because too many of its account waited.
    RequestForgotten,
}

impl Drop {
    /// All reasons with the names monitoring gives them.
    pub const ALL: [(Drop, &'static str); 23] = [
        (Drop::NoInterest, "no_interest"),
        (Drop::ReservedSubject, "reserved_subject"),
        (Drop::PublishDenied, "publish_denied"),
        (Drop::DeliveryDenied, "delivery_denied"),
        (Drop::ReservedReply, "reserved_reply"),
        (Drop::MalformedHeaders, "malformed_headers"),
        (Drop::SlowConsumerPending, "slow_consumer_pending"),
        (Drop::SlowConsumerDeadline, "slow_consumer_deadline"),
        (Drop::SlowConsumerSkipped, "slow_consumer_skipped"),
        (Drop::ConnectionEnded, "connection_ended"),
        (Drop::QueueMemberLeft, "queue_member_left"),
        (Drop::ReceiverLeft, "receiver_left"),
        (Drop::UnknownAccount, "unknown_account"),
        (Drop::RouteFull, "route_full"),
        (Drop::RouteUnsayable, "route_unsayable"),
        (Drop::GatewayFull, "gateway_full"),
        (Drop::GatewayUnsayable, "gateway_unsayable"),
        (Drop::ForeignReply, "foreign_reply"),
        (Drop::ReplyExpired, "reply_expired"),
        (Drop::GatewayDown, "gateway_down"),
        (Drop::Border, "border"),
        (Drop::MappedNowhere, "mapped_nowhere"),
        (Drop::RequestForgotten, "request_forgotten"),
    ];

    /// As monitoring names it.
    pub fn name(self) -> &'static str {
        Drop::ALL[self as usize].1
    }
}

/// Counters since the shard began; fields as in [`Tally`](super::report::Tally).
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field's meaning stands at the field of the same name in Tally")]
pub struct Ledger {
    pub slow_consumers_pending: u64,
    pub slow_consumers_deadline: u64,
    pub stale_connections: u64,
    pub stale_routes: u64,
    pub stale_gateways: u64,
    /// What passed over routes that have ended.
    pub routed: Counts,
    /// What passed over links to other clusters that have ended.
    pub crossed: Counts,
    pub stalled_clients: u64,
    pub failed_logins: u64,
    pub strangers_dropped: u64,
    pub scarce_cut: u64,
    /// What clients' subscriptions have cost in all, those that have ended as well; bytes.
    pub subscription_bytes: u64,
    pub scarce_refused: u64,
    pub malformed_headers: u64,
    pub interest_refused: u64,
    pub subscriptions_denied: u64,
    pub responses_forgotten: u64,
    pub inserts: u64,
    pub removes: u64,
    pub matches: u64,
    pub cache_hits: u64,
    pub max_fanout: u64,
    pub fanout_sum: u64,
    pub fanout_count: u64,
    drops: [u64; Drop::ALL.len()],
}

impl Ledger {
    /// `n` messages were not delivered.
    #[inline]
    pub fn dropped(&mut self, why: Drop, n: u64) {
        self.drops[why as usize] += n;
    }

    /// All reasons and how often each was met.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        Drop::ALL.iter().map(|(d, name)| (*name, self.drops[*d as usize])).collect()
    }
}

/// Counters of one account on one shard. Messages are booked when a connection leaves the account; those of live
/// connections are added when somebody asks, so that the path of a message counts once.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field's meaning stands at the field of the same name in AccountTally")]
pub struct AccountLedger {
    pub connections: u64,
    pub total_connections: u64,
    pub subscriptions: u64,
    pub passed: Counts,
    pub slow_consumers: u64,
    /// Publications that permissions did not allow; they are among those that passed.
    pub denied: u64,
    /// Answers of other clusters to requests of this one that went on from here as if they had been published here.
    pub answers: u64,
}
