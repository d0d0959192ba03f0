//! What one shard tells another: everything of one turn in one arena of bytes and a list of offsets into it, so that
//! one turn costs one push into a ring. Spent batches come back to be filled again.
//!
//! Nothing here is a question. Each kind says what its loss would mean; rings lose nothing.

pub use super::groups::{picks, Groups, Whose};
use super::headcount::Headcount;
pub use super::origin::Origin;
use super::stretch::{message, Stretch, Tail};
use super::traced::Mark;
use crate::base::{ConnId, FarId, PeerId, ShardId};
use crate::conn::TheirRules;
use crate::interest::border::Digest;
use crate::interest::far::FarSaid;
use crate::interest::permit::Permit;
use crate::interest::Place;
use crate::wire::gateway::Hash6;
use crate::wire::Message;
use bytes::Bytes;
use std::sync::Arc;

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
    Interest { account: u16, n: u32, pattern: Span, queue: Span, guard: u32 },
    PeerInterest { account: u16, peer: PeerId, n: u32, pattern: Span, queue: Span },
    Route { peer: PeerId, up: Option<Hash6> },
    Gate { far: FarId, up: Option<bool>, cluster: Span },
    Measured { far: FarId, rtt_ns: u64 },
    Rules { far: FarId, said: Option<Digest>, rules: u32 },
    Accounts { names: u32 },
    Far { account: u16, far: FarId, said: FarWord, pattern: Span, queue: Span },
    Connections { account: u16, n: u32, newest: u64 },
    Message(Parcel),
    Stretch { at: u32 },
    Pressure { conn: ConnId, press: Press },
}

/// [`FarSaid`] without its words.
#[derive(Clone, Copy, Debug)]
enum FarWord {
    Wants,
    WantsNot,
    Account(bool),
    Begins,
    Complete,
}

#[derive(Clone, Copy, Debug)]
struct Parcel {
    account: u16,
    plain: bool,
    reaimed: bool,
    origin: Origin,
    straight: Option<Place>,
    /// As [`Groups`] has them.
    queues: Span,
    subject: Span,
    reply: Span,
    header: u32,
    size: u32,
    tail: Span,
    /// Index + 1 of the shared tail; 0: it lies in the arena.
    shared: u32,
    /// Index + 1 of the mark of a traced message; 0: it is none.
    mark: u32,
    home: ShardId,
    publisher: ConnId,
}

/// [`Stream`], with its tails as a range of the batch's.
#[derive(Clone, Copy, Debug)]
struct Streamed {
    to: Address,
    subject: Span,
    data: Span,
    tails: (u32, u32),
}

/// A place in a batch: what was said, and of a stretch the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bookmark {
    /// The how manieth thing said.
    pub item: usize,
    /// The how manieth message of it.
    pub message: usize,
}

/// One thing said.
#[derive(Debug)]
pub enum Said<'a> {
    /// "My clients now have `n` subscriptions of this pattern (and queue group), of which this permit says what they are
    /// given": absolute, so saying it twice does no harm. Plain interest in all is only told when it begins and ends (n is 1
    /// or 0). Lost: messages would not come, or come for nobody.
    Interest {
        /// Index of the account.
        account: u16,
        /// The pattern.
        pattern: &'a [u8],
        /// The queue group; empty for plain interest.
        queue: &'a [u8],
        /// None: they are given all.
        guard: Option<&'a Arc<Permit>>,
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
        /// It has begun, and so the server's id is hashed in replies; None: it has ended.
        up: Option<Hash6>,
    },
    /// "The link on which messages are sent to this cluster is mine", or has ended: then everything it told is void. Lost:
    /// messages for it would go nowhere.
    Gate {
        /// The cluster.
        far: FarId,
        /// The link has begun, and interest-only was promised for it, or not; None: it has ended.
        up: Option<bool>,
        /// The cluster's name.
        cluster: &'a [u8],
    },
    /// "The round trip to this cluster takes so long." Lost: a queue group might be served in one that is farther.
    Measured {
        /// The cluster.
        far: FarId,
        /// Nanoseconds.
        rtt_ns: u64,
    },
    /// "The cluster whose link I own says that its rules have this digest, and these are ready to be asked." Absolute. Lost:
    /// what it wants would be held back by rules that it has no longer, or sent although it is not let in.
    Rules {
        /// The cluster.
        far: FarId,
        /// None: it has no rules.
        said: Option<Digest>,
        /// Those that are ready.
        rules: &'a TheirRules,
    },
    /// "These are the names of the accounts that I know, by their places": said before anything is said of the new ones of
    /// them. Absolute. Lost: shards would be told of accounts that they do not know.
    Accounts {
        /// All of them.
        names: &'a Arc<[Box<str>]>,
    },
    /// "The cluster whose link I own says this." Not absolute: what it means depends on what it said before, which all
    /// shards heard in the same order. Lost: shards would disagree about what it wants.
    Far {
        /// Index of the account.
        account: u16,
        /// The cluster.
        far: FarId,
        /// What it said.
        said: FarSaid<'a>,
    },
    /// "I now have so many connections of this account." Lost: the account's limit would be off.
    Connections {
        /// Index of the account.
        account: u16,
        /// How many.
        all: Headcount,
    },
    /// A message for this shard's clients. Lost: lost.
    Message(Delivery<'a>),
    /// Messages of one publisher to one subject. Lost: lost.
    Stream(Stream<'a>),
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
    /// Where it came from.
    pub origin: Origin,
    /// See [`Address::straight`].
    pub straight: Option<Place>,
    /// The shard that it was published on: the sender's, unless it was sent on.
    pub home: ShardId,
    /// The connection there that published it.
    pub publisher: ConnId,
    /// The message.
    pub message: Message<'a>,
    /// It is traced.
    pub mark: Option<&'a Arc<Mark>>,
    queues: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The queue groups of which one member is to get it: a client of this shard, or somebody behind a route or a gateway
    /// that is here.
    pub fn queues(&self) -> impl Iterator<Item = (Whose, &'a [u8])> {
        picks(self.queues)
    }

    /// The same, as [`Groups::bytes`].
    pub fn groups(&self) -> &'a [u8] {
        self.queues
    }
}

/// Messages that differ in nothing but their payload, on their way to one shard: for its plain subscriptions, and never of a
/// size that is shared.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// As of a message.
    pub to: Address,
    /// The subject of all.
    pub subject: &'a [u8],
    /// The bytes they came in.
    pub data: &'a [u8],
    /// Where in them they are.
    pub tails: &'a [Tail],
}

impl<'a> Stream<'a> {
    /// The `at`-th message, for itself.
    pub fn delivery(&self, at: usize) -> Delivery<'a> {
        let Address { account, plain, reaimed, origin, straight, home, publisher } = self.to;
        let message = message(self.subject, self.data, self.tails[at]);
        Delivery { account, plain, reaimed, origin, straight, home, publisher, message, mark: None, queues: &[] }
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    items: Vec<Item>,
    streams: Vec<Streamed>,
    tails: Vec<Tail>,
    shared: Vec<Bytes>,
    shared_bytes: usize,
    messages: u32,
    seldom: Option<Box<Seldom>>,
}

/// What few batches carry.
#[derive(Debug, Default)]
struct Seldom {
    rules: Vec<TheirRules>,
    permits: Vec<Arc<Permit>>,
    marks: Vec<Arc<Mark>>,
    names: Vec<Arc<[Box<str>]>>,
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
    /// Where it came from.
    pub origin: Origin,
    /// It is for whoever is behind this route or gateway, under the subject it has, and for nobody else: an answer that
    /// finds its way back (cluster-protocol.md §4.9).
    pub straight: Option<Place>,
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

    /// How many messages it carries; a stretch of them counts as one.
    pub fn messages(&self) -> usize {
        self.messages as usize
    }

    /// Does it state anything?
    pub fn states(&self) -> bool {
        self.items.len() > self.messages()
    }

    /// Bytes that it carries.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.tails.len() * size_of::<Tail>() + self.shared_bytes
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.streams.clear();
        self.tails.clear();
        self.shared.clear();
        if let Some(seldom) = &mut self.seldom {
            seldom.rules.clear();
            seldom.permits.clear();
            seldom.marks.clear();
            seldom.names.clear();
        }
        (self.shared_bytes, self.messages) = (0, 0);
    }

    fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_with(Box::default)
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
    pub fn interest(&mut self, account: u16, pattern: &[u8], queue: &[u8], guard: Option<&Arc<Permit>>, n: u32) {
        let (pattern, queue) = (self.keep(pattern), self.keep(queue));
        let guard = guard.map_or(0, |permit| {
            let permits = &mut self.seldom().permits;
            permits.push(permit.clone());
            permits.len() as u32
        });
        self.items.push(Item::Interest { account, n, pattern, queue, guard });
    }

    /// See [`Said::PeerInterest`].
    pub fn peer_interest(&mut self, account: u16, peer: PeerId, pattern: &[u8], queue: &[u8], n: u32) {
        let (pattern, queue) = (self.keep(pattern), self.keep(queue));
        self.items.push(Item::PeerInterest { account, peer, n, pattern, queue });
    }

    /// See [`Said::Route`].
    pub fn route(&mut self, peer: PeerId, up: Option<Hash6>) {
        self.items.push(Item::Route { peer, up });
    }

    /// See [`Said::Gate`].
    pub fn gate(&mut self, far: FarId, up: Option<bool>, cluster: &[u8]) {
        let cluster = self.keep(cluster);
        self.items.push(Item::Gate { far, up, cluster });
    }

    /// See [`Said::Measured`].
    pub fn measured(&mut self, far: FarId, rtt_ns: u64) {
        self.items.push(Item::Measured { far, rtt_ns });
    }

    /// See [`Said::Rules`].
    pub fn rules(&mut self, far: FarId, said: Option<Digest>, rules: &TheirRules) {
        let all = &mut self.seldom().rules;
        let at = all.len() as u32;
        all.push(rules.clone());
        self.items.push(Item::Rules { far, said, rules: at });
    }

    /// See [`Said::Accounts`].
    pub fn accounts(&mut self, names: &Arc<[Box<str>]>) {
        let all = &mut self.seldom().names;
        let at = all.len() as u32;
        all.push(names.clone());
        self.items.push(Item::Accounts { names: at });
    }

    /// See [`Said::Far`].
    pub fn far(&mut self, account: u16, far: FarId, said: FarSaid<'_>) {
        let (word, pattern, queue): (_, &[u8], &[u8]) = match said {
            FarSaid::Wants(pattern, queue) => (FarWord::Wants, pattern, queue),
            FarSaid::WantsNot(pattern, queue) => (FarWord::WantsNot, pattern, queue),
            FarSaid::Account(wanted) => (FarWord::Account(wanted), b"", b""),
            FarSaid::Begins => (FarWord::Begins, b"", b""),
            FarSaid::Complete => (FarWord::Complete, b"", b""),
        };
        let (pattern, queue) = (self.keep(pattern), self.keep(queue));
        self.items.push(Item::Far { account, far, said: word, pattern, queue });
    }

    /// See [`Said::Connections`].
    pub fn connections(&mut self, account: u16, all: Headcount) {
        let Headcount { n, newest } = all;
        self.items.push(Item::Connections { account, n, newest });
    }

    /// See [`Said::Pressure`].
    pub fn pressure(&mut self, conn: ConnId, press: Press) {
        self.items.push(Item::Pressure { conn, press });
    }

    /// See [`Said::Message`]. `shared` is the message's tail as a shared allocation, if one was made; `mark`: it is traced.
    pub fn message(
        &mut self,
        to: Address,
        groups: &Groups,
        m: &Message<'_>,
        shared: Option<&Bytes>,
        mark: Option<&Arc<Mark>>,
    ) {
        let mark = mark.map_or(0, |mark| {
            let marks = &mut self.seldom().marks;
            marks.push(mark.clone());
            marks.len() as u32
        });
        let (queues, subject, reply) = (self.keep(groups.bytes()), self.keep(m.subject), self.keep(m.reply));
        let (tail, place) = match shared {
            Some(b) => {
                self.shared.push(b.clone());
                self.shared_bytes += b.len();
                (Span::default(), self.shared.len() as u32)
            }
            None => (self.keep(m.tail), 0),
        };
        self.messages += 1;
        self.items.push(Item::Message(Parcel {
            account: to.account,
            plain: to.plain,
            reaimed: to.reaimed,
            origin: to.origin,
            straight: to.straight,
            home: to.home,
            publisher: to.publisher,
            queues,
            subject,
            reply,
            header: m.header as u32,
            size: m.size as u32,
            tail,
            shared: place,
            mark,
        }));
    }

    /// See [`Said::Stream`].
    pub fn stretch(&mut self, to: Address, subject: &[u8], stretch: &Stretch<'_>) {
        let (subject, data) = (self.keep(subject), self.keep(stretch.data()));
        let first = self.tails.len() as u32;
        self.tails.extend_from_slice(stretch.tails());
        self.messages += 1;
        self.items.push(Item::Stretch { at: self.streams.len() as u32 });
        self.streams.push(Streamed { to, subject, data, tails: (first, self.tails.len() as u32) });
    }

    fn stream(&self, at: u32) -> Stream<'_> {
        let Streamed { to, subject, data, tails: (from, end) } = self.streams[at as usize];
        let tails = &self.tails[from as usize..end as usize];
        Stream { to, subject: self.span(subject), data: self.span(data), tails }
    }

    /// Everything said, in order, from the `at`-th on.
    pub fn iter(&self, at: usize) -> impl Iterator<Item = Said<'_>> {
        let nothing = (&[][..], &[][..], &[][..], &[][..]);
        let carried =
            self.seldom.as_deref().map_or(nothing, |s| (&s.rules[..], &s.permits[..], &s.marks[..], &s.names[..]));
        self.items[at..].iter().map(move |i| match *i {
            Item::Interest { account, n, pattern, queue, guard } => {
                let guard = guard.checked_sub(1).map(|at| &carried.1[at as usize]);
                Said::Interest { account, n, pattern: self.span(pattern), queue: self.span(queue), guard }
            }
            Item::PeerInterest { account, peer, n, pattern, queue } => {
                Said::PeerInterest { account, peer, n, pattern: self.span(pattern), queue: self.span(queue) }
            }
            Item::Route { peer, up } => Said::Route { peer, up },
            Item::Gate { far, up, cluster } => Said::Gate { far, up, cluster: self.span(cluster) },
            Item::Measured { far, rtt_ns } => Said::Measured { far, rtt_ns },
            Item::Rules { far, said, rules } => Said::Rules { far, said, rules: &carried.0[rules as usize] },
            Item::Accounts { names } => Said::Accounts { names: &carried.3[names as usize] },
            Item::Far { account, far, said, pattern, queue } => {
                let (pattern, queue) = (self.span(pattern), self.span(queue));
                let said = match said {
                    FarWord::Wants => FarSaid::Wants(pattern, queue),
                    FarWord::WantsNot => FarSaid::WantsNot(pattern, queue),
                    FarWord::Account(wanted) => FarSaid::Account(wanted),
                    FarWord::Begins => FarSaid::Begins,
                    FarWord::Complete => FarSaid::Complete,
                };
                Said::Far { account, far, said }
            }
            Item::Connections { account, n, newest } => Said::Connections { account, all: Headcount { n, newest } },
            Item::Pressure { conn, press } => Said::Pressure { conn, press },
            Item::Stretch { at } => Said::Stream(self.stream(at)),
            Item::Message(p) => Said::Message(Delivery {
                account: p.account,
                plain: p.plain,
                reaimed: p.reaimed,
                origin: p.origin,
                straight: p.straight,
                home: p.home,
                publisher: p.publisher,
                mark: p.mark.checked_sub(1).map(|at| &carried.2[at as usize]),
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
