//! Connections of a crowd: bytes that arrive after a while, in order, now and then in pieces. One per connection, with a
//! server at each end, or a client at the first. The world owns them; a wire never fills up.

use turnpike::base::{Cid, ConnId};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Between two servers of a cluster.
    Route,
    /// Between two clusters; the first end dialed, and sends messages.
    Gateway,
    /// Of a client, who has the first end.
    Client,
}

/// Who reads what comes in at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The mesh or the gateways' machine, by the number it has there: hands are being shaken.
    Hand(Cid),
    /// Nobody for a moment: it is on its way to the shard.
    Given,
    /// The shard.
    Shard(ConnId),
    /// A client.
    Client(usize),
    /// It is closed.
    Nobody,
}

/// One end.
#[derive(Debug)]
pub struct End {
    /// The server, or the client, that has it.
    pub at: usize,
    /// See there.
    pub whose: Whose,
    /// What has arrived and is not read.
    pub inbox: Vec<u8>,
    /// The other end has closed it, and all it had written has arrived.
    pub over: bool,
    /// Whoever has this end knows that there is something to read.
    pub listed: bool,
    /// On its way here.
    pub coming: Vec<u8>,
    /// The other end is closed.
    pub closing: bool,
    /// An arrival is in the world's queue.
    pub due: bool,
}

impl End {
    /// An open end.
    pub fn new(at: usize, whose: Whose) -> End {
        let (inbox, coming) = (Vec::new(), Vec::new());
        End { at, whose, inbox, over: false, listed: false, coming, closing: false, due: false }
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Wire {
    /// What it is for.
    pub what: Use,
    /// The dialer's, and the other.
    pub ends: [End; 2],
    /// How long a byte is under way, nanoseconds.
    pub ns: u64,
}

impl Wire {
    /// Is it still open at both ends?
    pub fn is_open(&self) -> bool {
        self.ends.iter().all(|e| e.whose != Whose::Nobody)
    }
}
