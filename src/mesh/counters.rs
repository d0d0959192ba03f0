//! What is counted, and why a handshake or a dial came to nothing. One per mesh; shown by monitoring.

use std::collections::BTreeMap;

/// Why no route came of a dial or of a connection to the route port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nothing answers at the address.
    Unreachable,
    /// What answers is no server of ours: another protocol, a gateway or a client port.
    Foreign,
    /// A client came to the route port.
    Client,
    /// A gateway came to the route port.
    Gateway,
    /// Wrong user or password.
    Credentials,
    /// Another cluster's name.
    ClusterName,
    /// It is this server itself.
    Itself,
    /// Another server goes by this server's name.
    ServerName,
    /// A line that has no place in the handshake.
    Protocol,
    /// Too slow.
    Timeout,
    /// The peer said `-ERR`.
    Refused,
    /// A nats-server found out that the connection it made for one account is not for us (cluster-protocol.md §3.9).
    Account,
    /// The peer closed the connection.
    Lost,
    /// Somebody came, said nothing and left: a health check, or this server reaching itself.
    Left,
    /// There are as many routes as can be.
    Full,
    /// Too many connections in handshake: the oldest goes.
    Crowded,
    /// There is another route to that server.
    Duplicate,
    /// The cluster's name changed, or the server stops.
    Given,
}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections attempted.
    pub dials: u64,
    /// Connections that came in.
    pub accepted: u64,
    /// Routes registered.
    pub registered: u64,
    /// Second connections to a server that were parked.
    pub parked: u64,
    /// Parked connections that took the place of the first.
    pub promoted: u64,
    /// Members found missing while others reach them.
    pub missing: u64,
    /// Members that gossip named beyond what is remembered.
    pub overlooked: u64,
    /// Dials and handshakes that came to nothing.
    pub failed: BTreeMap<Cause, u64>,
}

impl Counters {
    /// One more for this reason.
    pub(super) fn failed(&mut self, cause: Cause) {
        *self.failed.entry(cause).or_default() += 1;
    }
}
