//! What the gateways' machine and the shards tell each other about links to other clusters. The machine (one per server)
//! makes a link: it dials or accepts, greets, checks and registers; then one shard owns its socket until it ends. Both
//! directions go by mail and are never on the path of a message. Links are called by their connection's public number,
//! which is never used again.
//!
//! A link carries messages one way. *Out*: we dialed; we send messages, the other end tells what it wants (`RS+ RS- A+ A-`
//! and the INFOs with `gateway_cmd` 2 and 3, all of which the shard understands by itself). There is at most one for each
//! other cluster, and its [`FarId`] is what shards call that cluster. *In*: the other end dialed; it sends messages, we
//! tell what our cluster wants. There is any number of them.

use crate::base::{Cid, FarId, PeerId, ShardId};
use crate::interest::border::{Digest, Rule, Wall};
use crate::policy::walls::Walls;
use std::sync::Arc;

/// Where the links that must keep their order among themselves are: of a server with gateways, the routes to nats-servers
/// that pool connections ([`super::Bearer`]), and the outbound gateways. New interest has to be told to such a member
/// before the question that goes with it leaves for another cluster.
pub const ORDERED_LINKS: ShardId = ShardId(0);

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// We send.
    Out(FarId),
    /// We receive.
    In,
}

impl Way {
    /// Do we send?
    pub fn is_outbound(self) -> bool {
        matches!(self, Way::Out(_))
    }
}

/// What another cluster says it lets in: nothing is sent there that would only be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TheirRules {
    /// The digest of all its rules; None: it has none, or cannot say.
    pub digest: Option<Digest>,
    /// Its imports; None: everything may enter.
    pub imports: Option<Arc<TheirImports>>,
}

/// The imports of another cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct TheirImports {
    /// Ready to be asked, made for our accounts.
    pub wall: Wall,
    /// As they are written there, by their places.
    pub rules: Arc<[Rule]>,
}

/// A registered link on its way to the shard that will own it.
#[derive(Clone, Debug)]
pub struct GatewayIntroduction {
    /// The connection's public number.
    pub link: Cid,
    /// Which way messages go.
    pub way: Way,
    /// The other cluster's name.
    pub cluster: Box<str>,
    /// The id of the server at the other end.
    pub server_id: Box<str>,
    /// Its name.
    pub server_name: Box<str>,
    /// The other end of the socket.
    pub ip: Box<str>,
    /// The other end's port.
    pub port: u16,
    /// The cluster is in our list of gateways.
    pub configured: bool,
    /// The other end understands headers; otherwise they are taken off before sending.
    pub headers: bool,
    /// Interest-only was promised by whoever accepted (`gateway_iom`, cluster-protocol.md §4.3). Out: nothing is to be
    /// sent that was not asked for, whatever the state of the account. In: we promised it; what an account is told is
    /// decided by [`crate::policy::Gateway::interest_of`], which then wants it told from the start for all of them.
    pub interest_only: bool,
    /// Out: the other end understands `_GR_.` replies; otherwise `$GR.` is used towards it (§4.9).
    pub new_replies: bool,
    /// The other end traces messages that ask for it.
    pub traces: bool,
    /// The other end is one of us.
    pub turnpike: bool,
    /// Out: what the other cluster lets in, as the server at the other end says. It changes by
    /// [`GatewayInstruction::TheirRules`].
    pub theirs: TheirRules,
    /// Wall-clock time of the connection's beginning, nanoseconds since 1970.
    pub start_ns: u64,
    /// Lines to be written before all else.
    pub first: Vec<u8>,
    /// What has been read behind the handshake. In: nothing has been said yet of what this cluster wants; the shard
    /// begins with it. Out: this may begin with any line of the other end's answer, which the shard treats as any other; the
    /// PONG for the PING of the handshake comes somewhere behind it, where the shard has asked for none.
    pub rest: Vec<u8>,
}

/// What a shard tells the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayTidings {
    /// The link ended. Lost: the machine would never repair it.
    Ended {
        /// Which.
        link: Cid,
        /// Why, for people.
        why: String,
    },
    /// An INFO came that is no command about an account (`gateway_cmd` 2 and 3 stay with the shard). Lost: addresses or
    /// gossip would.
    Info {
        /// On which link.
        link: Cid,
        /// The JSON of it.
        json: Vec<u8>,
    },
    /// This shard holds nothing of a cluster whose outbound link has ended any more; each shard says so once for each
    /// such link. Lost: its number would never be used again.
    Forgotten {
        /// The number.
        far: FarId,
    },
}

/// What the machine tells the shard that owns a link, or all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayInstruction {
    /// Write a protocol line (an INFO), CR LF included.
    Say {
        /// On which link.
        link: Cid,
        /// The line.
        line: Vec<u8>,
    },
    /// End the link; [`GatewayTidings::Ended`] follows.
    End {
        /// Which.
        link: Cid,
        /// What the other end is told in an `-ERR`; empty: nothing.
        says: String,
        /// Why, for the log and monitoring.
        why: String,
    },
    /// What the other end of an outbound link lets in has changed.
    TheirRules {
        /// Which link.
        link: Cid,
        /// Its rules, made ready.
        theirs: TheirRules,
    },
    /// For every shard: other rules hold at our border from now on. What the other ends are told of them is written in the
    /// same step, before anything that follows from them.
    OurRules {
        /// The rules.
        walls: Arc<Walls>,
        /// Lines for those of the shard's links that understand them.
        lines: Vec<(Cid, Vec<u8>)>,
    },
}

/// What the mesh tells the gateways' machine about the members of this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteNews {
    /// A route was registered, or its peer said something new about itself.
    Member {
        /// Its number.
        peer: PeerId,
        /// Its server id.
        server_id: String,
        /// Its name.
        server_name: String,
        /// `host:port` of its gateway listener; empty: it has none.
        gateway_url: String,
        /// The clusters that it says it has an outbound link to; only turnpikes say so.
        reaches: Vec<String>,
        /// It pools connections, as nats-server does since 2.10 (cluster-protocol.md §3.8).
        pools: bool,
        /// It understands what is said of borders.
        borders: bool,
        /// The digest of its rules, as it says; empty: it has none.
        border: String,
    },
    /// The route ended.
    Gone {
        /// Its number.
        peer: PeerId,
    },
    /// An INFO about gateways came over the route (cluster-protocol.md §4.4).
    Gossip {
        /// From whom.
        peer: PeerId,
        /// The JSON of it.
        json: Vec<u8>,
    },
}
