//! A connection that is a link to another cluster: what it has beside what every connection has. Lives on the shard that
//! owns it. On an outbound link the other end tells what it wants, which every shard keeps (`interest::far`); on an
//! inbound one we tell, and what was told is kept here.

use super::{Cut, ForeignFars, GatewayIntroduction, Pulse, Telling, Way};
use crate::base::{FarId, Seeded, Set};
use crate::interest::Cursor;
use crate::wire::gateway::{GatewayParser, Hears};
use std::collections::VecDeque;

/// What the other end of an inbound link was told about plain messages of one account (cluster-protocol.md §4.7).
#[derive(Debug, Default)]
pub enum Told {
    /// Nothing: it sends everything.
    #[default]
    Nothing,
    /// That nobody here wants anything of it (`A-`).
    Refused,
    /// That these subjects are not wanted.
    Subjects(Set<Box<[u8]>>),
    /// That all is going to be told: it waits for other accounts to be told.
    Due,
    /// It is being told, as far as here.
    Telling(Cursor),
    /// All, and what changes since.
    Whole,
    /// The same, but the rules of the border have changed: it is being told anew, as far as here.
    Retelling(Cursor),
}

/// Since when an account stands as it does, and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Nanoseconds since 1970; 0: it never changed.
    pub since_ns: u64,
    /// For people.
    pub why: &'static str,
}

/// How much of what is to be written may be (`shard::assurance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Bytes that may be written now.
    pub room: usize,
    /// Bytes behind them that may be written when the members have answered, where others are behind those.
    pub next: Option<usize>,
}

/// See the file's head.
#[derive(Debug)]
pub struct GatewayLink {
    /// Who is at the other end.
    pub intro: GatewayIntroduction,
    /// The place in the stream.
    pub parser: GatewayParser,
    /// Is it there?
    pub pulse: Pulse,
    /// By account.
    pub standing: Vec<Standing>,
    /// Outbound: what waits until members of this cluster know what its answers need.
    pub hold: Option<Hold>,
    /// Outbound: how much the other end has told, over all accounts.
    pub interest: u64,
    /// Inbound: by account.
    pub told: Vec<Told>,
    /// Inbound: how far queue groups have been told, which come before all else; None: all are.
    pub queues: Option<Telling>,
    /// Inbound: accounts whose whole interest is to be told, the first of them now.
    pub due: VecDeque<u16>,
    /// Inbound: how that is cut at the border.
    pub cut: Cut,
    /// Accounts of the other end that do not exist here, of which it has been told.
    pub strangers: Set<Box<[u8]>>,
    /// Outbound: what it has told of them.
    pub foreign: ForeignFars,
}

impl GatewayLink {
    /// A link just registered, on a server with so many accounts.
    pub fn new(
        intro: GatewayIntroduction,
        cut: Cut,
        accounts: usize,
        now: crate::base::Time,
        seed: Seeded,
    ) -> GatewayLink {
        let inbound = intro.way == Way::In;
        GatewayLink {
            intro,
            parser: GatewayParser::default(),
            // The answer to the PING of our handshake is still to come; it says nothing of the way as it is now.
            pulse: Pulse::new(now, u64::from(!inbound)),
            standing: vec![Standing::default(); accounts],
            hold: None,
            interest: 0,
            told: (0..accounts).map(|_| Told::Nothing).collect(),
            queues: inbound.then(Telling::default),
            due: VecDeque::new(),
            cut,
            strangers: Set::with_hasher(seed),
            foreign: ForeignFars::default(),
        }
    }

    /// There are so many accounts now.
    pub fn grow(&mut self, accounts: usize) {
        self.standing.resize(accounts, Standing::default());
        self.told.resize_with(accounts, || Told::Nothing);
        self.cut.grow(accounts);
    }

    /// The cluster that messages are sent to; None: they are received.
    pub fn far(&self) -> Option<FarId> {
        match self.intro.way {
            Way::Out(far) => Some(far),
            Way::In => None,
        }
    }

    /// Which half of it is read.
    pub fn hears(&self) -> Hears {
        match self.intro.way {
            Way::Out(_) => Hears::Interest,
            Way::In => Hears::Messages,
        }
    }

    /// Is there something still to be told before the other end knows all that it is to know?
    pub fn is_being_told(&self) -> bool {
        self.queues.is_some() || !self.due.is_empty() || self.cut.is_renewed()
    }
}
