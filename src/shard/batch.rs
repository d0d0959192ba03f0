//! What one shard tells another: everything of one turn in one arena of bytes and a list of offsets into it, so that
//! one turn costs one push into a ring. Spent batches come back to be filled again.
//!
//! Nothing here is a question. Each kind says what its loss would mean; rings lose nothing.

use crate::base::{ConnId, PeerId, ShardId};
use crate::wire::Message;
use bytes::Bytes;

/// A message from this size on travels as one shared allocation instead of being copied into every batch.
pub const SHARED_BYTES_MIN: usize = 16 << 10;

/// A stretch of the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Interest { account: u16, n: u32, pattern: Span, queue: Span },
    PeerInterest { account: u16, peer: PeerId, n: u32, pattern: Span, queue: Span },
    Route { peer: PeerId, up: bool },
    Connections { account: u16, n: u32 },
    Message(Parcel),
    Pressure { conn: ConnId, press: Press },
}

#[derive(Clone, Copy, Debug)]
struct Parcel {
    account: u16,
    plain: bool,
    reaimed: bool,
    routed: bool,
    /// As [`Groups`] has them.
    queues: Span,
    subject: Span,
    reply: Span,
    header: u32,
    size: u32,
    tail: Span,
    /// Index + 1 of the shared tail; 0: it lies in the arena.
    shared: u32,
    home: ShardId,
    publisher: ConnId,
}

/// One thing said.
#[derive(Debug)]
pub enum Said<'a> {
    /// "My clients now have `n` subscriptions of this pattern (and queue group)": absolute, so saying it twice does
    /// no harm. Plain interest is only told when it begins and ends (n is 1 or 0). Lost: messages would not come, or
    /// come for nobody.
    Interest {
        /// Index of the account.
        account: u16,
        /// The pattern.
        pattern: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
        /// How many.
        n: u32,
    },
    /// "The peer whose route I own now wants this": `n` members of a queue group, or 1 (0) for plain interest. Absolute.
    /// Lost: messages would not reach that peer, or reach it for nobody.
    PeerInterest {
        /// Index of the account.
        account: u16,
        /// The peer.
        peer: PeerId,
        /// The pattern.
        pattern: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
        /// How many.
        n: u32,
    },
    /// "The route to this peer is mine", or has ended: then everything the peer wanted is void. Lost: its messages would
    /// go nowhere.
    Route {
        /// The peer.
        peer: PeerId,
        /// Has it begun or ended?
        up: bool,
    },
    /// "I now have `n` connections of this account." Lost: the account's limit would be off.
    Connections {
        /// Index of the account.
        account: u16,
        /// How many.
        n: u32,
    },
    /// A message for this shard's clients. Lost: lost.
    Message(Delivery<'a>),
    /// "All that your connection last sent me waits for slow receivers" (or no longer does). Lost: a publisher would
    /// run on, or stand still.
    Pressure {
        /// The publisher, a connection of the shard that hears this.
        conn: ConnId,
        /// What it is to do.
        press: Press,
    },
}

/// What slow receivers on one shard ask of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Nothing any more.
    Off,
    /// All receivers here are congested: wait, if it is so everywhere.
    All,
    /// A route is congested, and a route slows its feeders: wait.
    Route,
}

/// A message on its way to one shard.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Index of the account.
    pub account: u16,
    /// Is it for plain subscriptions too?
    pub plain: bool,
    /// Has it been sent on once because a queue member had left?
    pub reaimed: bool,
    /// Did it come over a route? Then it is for clients only.
    pub routed: bool,
    /// The shard that it was published on: the sender's, unless it was sent on.
    pub home: ShardId,
    /// The connection there that published it.
    pub publisher: ConnId,
    /// The message.
    pub message: Message<'a>,
    queues: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The queue groups of which one member is to get it: a client of this shard, or of a peer whose route is here.
    pub fn queues(&self) -> impl Iterator<Item = (Option<PeerId>, &'a [u8])> {
        picks(self.queues)
    }

    /// The same, as [`Groups::bytes`].
    pub fn groups(&self) -> &'a [u8] {
        self.queues
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    items: Vec<Item>,
    shared: Vec<Bytes>,
    shared_bytes: usize,
}

/// Stands for a shard's own clients where else the number of a peer stands; peers are fewer.
const CLIENTS: u8 = u8::MAX;

/// The groups a message is for, as [`Batch::message`] wants them: one after the other, whose member is to get it (a peer, or
/// [`CLIENTS`]), the name's length in four bytes, the name.
#[derive(Debug, Default)]
pub struct Groups(Vec<u8>);

impl Groups {
    /// Adds a group of which a member behind `peer`'s route is to get the message; None: a client of the shard.
    pub fn push(&mut self, peer: Option<PeerId>, name: &[u8]) {
        self.0.push(peer.map_or(CLIENTS, |p| p.0));
        self.0.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.0.extend_from_slice(name);
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, for [`picks`].
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What [`Groups`] says: whose member (None: a client of the shard), and the group.
pub fn picks(bytes: &[u8]) -> impl Iterator<Item = (Option<PeerId>, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&whose, more) = rest.split_first()?;
        let (len, more) = more.split_first_chunk::<4>()?;
        let (name, more) = more.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        rest = more;
        Some(((whose != CLIENTS).then_some(PeerId(whose)), name))
    })
}

/// Where a message goes and from whom; the part of [`Batch::message`] that differs between shards.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Index of the account.
    pub account: u16,
    /// For plain subscriptions?
    pub plain: bool,
    /// Sent on once already?
    pub reaimed: bool,
    /// Came over a route?
    pub routed: bool,
    /// The shard that it was published on.
    pub home: ShardId,
    /// Who published it there.
    pub publisher: ConnId,
}

impl Batch {
    /// Is there nothing to tell?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that it carries.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.shared_bytes
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.shared.clear();
        self.shared_bytes = 0;
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Span { at, len: bytes.len() as u32 }
    }

    fn span(&self, s: Span) -> &[u8] {
        &self.arena[s.at as usize..(s.at + s.len) as usize]
    }

    /// See [`Said::Interest`].
    pub fn interest(&mut self, account: u16, pattern: &[u8], queue: &[u8], n: u32) {
        let (pattern, queue) = (self.keep(pattern), self.keep(queue));
        self.items.push(Item::Interest { account, n, pattern, queue });
    }

    /// See [`Said::PeerInterest`].
    pub fn peer_interest(&mut self, account: u16, peer: PeerId, pattern: &[u8], queue: &[u8], n: u32) {
        let (pattern, queue) = (self.keep(pattern), self.keep(queue));
        self.items.push(Item::PeerInterest { account, peer, n, pattern, queue });
    }

    /// See [`Said::Route`].
    pub fn route(&mut self, peer: PeerId, up: bool) {
        self.items.push(Item::Route { peer, up });
    }

    /// See [`Said::Connections`].
    pub fn connections(&mut self, account: u16, n: u32) {
        self.items.push(Item::Connections { account, n });
    }

    /// See [`Said::Pressure`].
    pub fn pressure(&mut self, conn: ConnId, press: Press) {
        self.items.push(Item::Pressure { conn, press });
    }

    /// See [`Said::Message`]. `shared` is the message's tail as a shared allocation, if one was made.
    pub fn message(&mut self, to: Address, groups: &Groups, m: &Message<'_>, shared: Option<&Bytes>) {
        let (queues, subject, reply) = (self.keep(&groups.0), self.keep(m.subject), self.keep(m.reply));
        let (tail, place) = match shared {
            Some(b) => {
                self.shared.push(b.clone());
                self.shared_bytes += b.len();
                (Span::default(), self.shared.len() as u32)
            }
            None => (self.keep(m.tail), 0),
        };
        self.items.push(Item::Message(Parcel {
            account: to.account,
            plain: to.plain,
            reaimed: to.reaimed,
            routed: to.routed,
            home: to.home,
            publisher: to.publisher,
            queues,
            subject,
            reply,
            header: m.header as u32,
            size: m.size as u32,
            tail,
            shared: place,
        }));
    }

    /// Everything said, in order, from the `at`-th on.
    pub fn iter(&self, at: usize) -> impl Iterator<Item = Said<'_>> {
        self.items[at..].iter().map(|i| match *i {
            Item::Interest { account, n, pattern, queue } => {
                Said::Interest { account, n, pattern: self.span(pattern), queue: self.span(queue) }
            }
            Item::PeerInterest { account, peer, n, pattern, queue } => {
                Said::PeerInterest { account, peer, n, pattern: self.span(pattern), queue: self.span(queue) }
            }
            Item::Route { peer, up } => Said::Route { peer, up },
            Item::Connections { account, n } => Said::Connections { account, n },
            Item::Pressure { conn, press } => Said::Pressure { conn, press },
            Item::Message(p) => Said::Message(Delivery {
                account: p.account,
                plain: p.plain,
                reaimed: p.reaimed,
                routed: p.routed,
                home: p.home,
                publisher: p.publisher,
                queues: self.span(p.queues),
                message: Message {
                    subject: self.span(p.subject),
                    reply: self.span(p.reply),
                    header: p.header as usize,
                    size: p.size as usize,
                    tail: match p.shared {
                        0 => self.span(p.tail),
                        n => &self.shared[n as usize - 1],
                    },
                },
            }),
        })
    }
}
