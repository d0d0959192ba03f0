//! What a client can say, as slices borrowed from the bytes it came in (client-protocol.md §5).

/// One complete operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT <json>`.
    Connect(&'a [u8]),
    /// `INFO <json>`: clients never need it; checked and ignored.
    Info(&'a [u8]),
    /// `PUB` and `HPUB`.
    Publish(Publish<'a>),
    /// `SUB <subject> [queue] <sid>`.
    Subscribe {
        /// The pattern, not yet validated.
        subject: &'a [u8],
        /// The queue group; empty for a plain subscription.
        queue: &'a [u8],
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB <sid> [max]`.
    Unsubscribe {
        /// The subscription.
        sid: &'a [u8],
        /// Deliveries after which it ends, counted from its beginning; 0 (also for anything unparsable): now.
        max: u64,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`: ignored.
    Ok,
    /// `-ERR <text>`: the peer gives up.
    PeerError(&'a [u8]),
}

/// A published message as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where it goes.
    pub subject: &'a [u8],
    /// Where answers go; empty: nowhere.
    pub reply: &'a [u8],
    /// Header bytes as the publisher wrote the number; empty for `PUB`.
    pub header_text: &'a [u8],
    /// Total bytes as the publisher wrote the number; echoed verbatim (client-protocol.md §6).
    pub size_text: &'a [u8],
    /// Bytes of header at the start of `payload`.
    pub header: usize,
    /// Header and payload, without the closing CR LF.
    pub payload: &'a [u8],
}

/// A message on its way to subscribers: what all deliveries of it share.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The subject it was published under.
    pub subject: &'a [u8],
    /// Where answers go; empty: nowhere.
    pub reply: &'a [u8],
    /// Bytes of header at the start of the payload; 0: delivered as `MSG`.
    pub header: usize,
    /// Bytes of header and payload together.
    pub size: usize,
    /// `[<header> ]<size>\r\n<payload>\r\n`: leaves as it is, in one copy.
    pub tail: &'a [u8],
}

impl<'a> Message<'a> {
    /// None.
    pub const EMPTY: Message<'static> = Message { subject: &[], reply: &[], header: 0, size: 0, tail: &[] };

    /// Header and payload, without sizes and CR LF.
    pub fn payload(&self) -> &'a [u8] {
        let end = self.tail.len() - 2;
        &self.tail[end - self.size..end]
    }
}
