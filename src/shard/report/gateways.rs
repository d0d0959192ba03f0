//! What a shard says about links to other clusters, for `/gatewayz`. A link is one shard's and only that one tells of it;
//! what its clients published, and what of it went nowhere, each shard tells for itself, and the sums over all shards
//! are the server's.

use crate::conn::Counts;
use crate::interest::far::Mode;
use crate::policy::walls::Walls;
use std::sync::Arc;

/// The answer to [`Ask::GATEWAYS`](super::Ask::GATEWAYS).
#[derive(Clone, Debug, Default)]
pub struct GatewayReport {
    /// The links that this shard owns.
    pub links: Vec<GatewayRow>,
    /// What this shard knows of messages to each other cluster that has, or had, a link from this server: one for each
    /// cluster and account.
    pub tallies: Vec<FarTally>,
    /// What of the messages that came over this shard's links was dropped.
    pub entries: Vec<EntryTally>,
    /// What the border held back either way, by what held it back.
    pub barriers: Vec<BarrierTally>,
    /// Requests to other clusters whose answers the border lets in.
    pub awaited: u64,
    /// Those that were forgotten before their time because there were too many: their answers were held back.
    pub crowded_out: u64,
    /// Our rules of the border; None: there are none, on either side.
    pub walls: Option<Arc<Walls>>,
}

/// Messages of one account that came from one other cluster and were dropped for one reason, on one shard.
#[derive(Clone, Debug, Default)]
pub struct EntryTally {
    /// The other cluster.
    pub cluster: String,
    /// The account; of those that do not exist here, as the other cluster calls it.
    pub account: String,
    /// As in [`Tally::drops`](super::Tally::drops).
    pub reason: &'static str,
    /// How many.
    pub n: u64,
}

/// One link.
#[derive(Clone, Debug, Default)]
pub struct GatewayRow {
    /// The connection's public number, as the gateways' machine calls the link.
    pub link: u64,
    /// The shard that owns it.
    pub shard: u8,
    /// We send messages on it (we dialed); else we receive them.
    pub outbound: bool,
    /// The other cluster's name.
    pub cluster: String,
    /// The id of the server at the other end.
    pub remote_id: String,
    /// Its name.
    pub remote_name: String,
    /// The cluster is in our list of gateways.
    pub configured: bool,
    /// The other end is one of us.
    pub turnpike: bool,
    /// Whoever accepted it promised interest-only for all accounts (`gateway_iom`).
    pub promised: bool,
    /// The other end's address.
    pub ip: String,
    /// The other end's port.
    pub port: u16,
    /// Began at, nanoseconds since 1970.
    pub start_ns: u64,
    /// Last heard from, nanoseconds since 1970.
    pub last_activity_ns: u64,
    /// Last round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    /// Bytes waiting for it.
    pub pending_bytes: u64,
    /// What passed: out are messages sent, in are messages received.
    pub counts: Counts,
    /// Accounts about which something was told: by the other end if outbound, to it if inbound.
    pub accounts: Vec<GatewayAccountRow>,
}

/// How one account stands on one link.
#[derive(Clone, Debug, Default)]
pub struct GatewayAccountRow {
    /// Its name.
    pub account: String,
    /// How messages of it are sent.
    pub mode: InterestMode,
    /// Since when, nanoseconds since 1970.
    pub since_ns: u64,
    /// Why, for people.
    pub why: &'static str,
    /// Plain patterns that are wanted; outbound only.
    pub plain: u64,
    /// Patterns with queue groups that are wanted; outbound only.
    pub queues: u64,
    /// Subjects that were refused: by the other end if outbound, by us if inbound.
    pub refused: u64,
    /// Messages sent (outbound).
    pub sent: u64,
}

/// How messages of an account are sent over a link (cluster-protocol.md §4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterestMode {
    /// Nothing was told: everything is sent, unless interest-only was promised.
    #[default]
    Unknown,
    /// The account is not wanted at all (`A-`).
    Refused,
    /// Everything is sent but what was refused.
    Optimistic,
    /// The list of what is wanted is being told.
    Transitioning,
    /// Only what was asked for is sent.
    InterestOnly,
}

impl From<Mode> for InterestMode {
    fn from(mode: Mode) -> InterestMode {
        match mode {
            Mode::Unknown => InterestMode::Unknown,
            Mode::Refused => InterestMode::Refused,
            Mode::Optimistic => InterestMode::Optimistic,
            Mode::Transitioning => InterestMode::Transitioning,
            Mode::InterestOnly => InterestMode::InterestOnly,
        }
    }
}

impl InterestMode {
    /// As monitoring names it.
    pub fn name(self) -> &'static str {
        match self {
            InterestMode::Unknown => "unknown",
            InterestMode::Refused => "no-interest",
            InterestMode::Optimistic => "optimistic",
            InterestMode::Transitioning => "transitioning",
            InterestMode::InterestOnly => "interest-only",
        }
    }
}

/// Messages of one account and what became of them towards one other cluster, on one shard.
///
/// Over all shards: published − sent − the sum of drops = messages that the cluster had no interest in. Nothing is
/// counted for these on their way, so that a message nobody wants costs nothing.
#[derive(Clone, Debug, Default)]
pub struct FarTally {
    /// The other cluster.
    pub cluster: String,
    /// The account.
    pub account: String,
    /// Messages that this shard's clients published since the first link to the cluster, and answers of other clusters that
    /// went on from here as if they had been.
    pub published: u64,
    /// Those of them that this shard, as the owner of the link, sent: over all links there have been.
    pub sent: u64,
    /// Messages not sent, by reason: `gateway_down`, `served_nearer` (their queue group has a member in this cluster, or in
    /// one that answers sooner), `gateway_full`, `unsayable`, `answered_straight` (it went to the cluster whose request it
    /// answers, and to no other), `border` (our exports hold it back), `their_border` (that cluster's imports would).
    pub drops: Vec<(&'static str, u64)>,
}

/// What held messages back at the border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarrierTally {
    /// The rule, or which block admits them by none, in words.
    pub by: String,
    /// How many.
    pub n: u64,
}
