//! What is counted, and why a handshake or a dial came to nothing. One per machine; shown by monitoring.

use super::trouble::Kind;
use std::collections::BTreeMap;

/// Why no link came of a dial or of a connection to the gateway port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nothing answers at the address.
    Unreachable,
    /// What answers is no server of ours: another protocol, a route or a client port.
    Foreign,
    /// A client or a route came to the gateway port.
    NoGateway,
    /// Wrong user or password.
    Credentials,
    /// Another cluster answers than was dialed.
    OtherCluster,
    /// A server of our own cluster, or of another that calls itself the same, came by gateway.
    OwnCluster,
    /// A cluster that is not in the list, where only those are let in.
    Unknown,
    /// A server of the name of a member of this cluster.
    ServerName,
    /// It is this server itself.
    Itself,
    /// A line that has no place in the handshake.
    Protocol,
    /// Rules of a border that cannot be understood.
    Border,
    /// Too slow.
    Timeout,
    /// The other end said `-ERR`.
    Refused,
    /// The other end closed the connection.
    Lost,
    /// Somebody came, said nothing and left: a health check.
    Left,
    /// There are as many links as can be.
    Full,
    /// Too many connections in handshake: the oldest goes.
    Crowded,
    /// A registered link on which we receive ended at once; the other end may dial again without pause.
    ShortLived,
    /// The cluster is not wanted any more, or is reached already.
    Given,
}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections attempted.
    pub dials: u64,
    /// Connections that came in.
    pub accepted: u64,
    /// Links registered on which we send.
    pub outbound: u64,
    /// Links registered on which we receive.
    pub inbound: u64,
    /// Clusters and addresses that were named beyond what is remembered.
    pub overlooked: u64,
    /// Dials and handshakes that came to nothing.
    pub failed: BTreeMap<Cause, u64>,
    /// Troubles that lasted long enough to be said, each counted once.
    pub troubles: BTreeMap<Kind, u64>,
}

impl Counters {
    /// One more for this reason.
    pub(super) fn failed(&mut self, cause: Cause) {
        *self.failed.entry(cause).or_default() += 1;
    }
}
