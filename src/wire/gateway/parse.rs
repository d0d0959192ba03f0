//! A gateway's bytes → [`GatewayOp`]: the parser of routes with the words that gateways have, each side its own
//! (cluster-protocol.md §1.2).

use super::GatewayOp;
use crate::wire::route::{Dialect, RouteOp, RouteParser, RouteRules, Spoken, Words};
use crate::wire::{Fault, Step};

/// Which half of a link is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// We dialed: the other end sends interest.
    Interest,
    /// We accepted: it sends messages.
    Messages,
}

/// What the other end may do.
#[derive(Clone, Copy, Debug)]
pub struct GatewayRules {
    /// Longest argument of a line, bytes; INFO counts. [`super::LINE_MAX`] is what others allow.
    pub max_control_line: usize,
    /// Largest header and payload, bytes.
    pub max_payload: usize,
    /// Which half is read.
    pub hears: Hears,
}

/// The place in the stream, between two buffers.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayParser(RouteParser);

impl GatewayParser {
    /// The next operation of `b`, which begins with the bytes that the last call left over.
    ///
    /// # Errors
    /// A [`Fault`] ends the connection; the parser is not to be used again.
    #[inline]
    pub fn next<'a>(&mut self, b: &'a [u8], rules: &GatewayRules) -> Result<Step<GatewayOp<'a>>, Fault> {
        let GatewayRules { max_control_line, max_payload, hears } = *rules;
        let dialect = match hears {
            Hears::Interest => Dialect::GatewayInterest,
            Hears::Messages => Dialect::GatewayMessages,
        };
        let rules = RouteRules { max_control_line, max_payload, connect_first: false };
        match self.0.next_in(b, &rules, dialect)? {
            Step::More(used) => Ok(Step::More(used)),
            Step::Op(spoken, used) => Ok(Step::Op(understood(spoken)?, used)),
        }
    }

    /// Has an operation begun whose end has not come?
    pub fn has_begun(&self) -> bool {
        self.0.has_begun()
    }

    /// How many bytes the buffer must have before [`GatewayParser::next`] can say more; 0 if unknown. See
    /// [`RouteParser::need`].
    pub fn need(&self) -> usize {
        self.0.need()
    }
}

#[inline]
fn understood(spoken: Spoken<'_>) -> Result<GatewayOp<'_>, Fault> {
    Ok(match spoken {
        Spoken::Op(RouteOp::Message(message)) => GatewayOp::Message(message),
        Spoken::Op(RouteOp::Interest { account, subject, queue, .. }) => {
            GatewayOp::Interest { account, subject, queue }
        }
        Spoken::Op(RouteOp::NoInterest { account, subject, queue }) => {
            GatewayOp::NoInterest { account, subject, queue }
        }
        Spoken::Op(RouteOp::Info(json)) => GatewayOp::Info(json),
        Spoken::Op(RouteOp::Connect(json)) => GatewayOp::Connect(json),
        Spoken::Op(RouteOp::Ping) => GatewayOp::Ping,
        Spoken::Op(RouteOp::Pong) => GatewayOp::Pong,
        Spoken::Op(RouteOp::Ok | RouteOp::Ignored) => GatewayOp::Ok,
        Spoken::Op(RouteOp::PeerError(text)) => GatewayOp::PeerError(text),
        Spoken::Account(wanted, rest) => {
            let mut words = Words::new(rest);
            let account = words.first().filter(|_| words.is_empty()).ok_or(Fault::Malformed)?;
            GatewayOp::Account { account, wanted }
        }
    })
}
