//! Where messages come from.

/// Where a message came from, and so where it may still go (cluster-protocol.md §§3.14, 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this server: everywhere.
    Client,
    /// Another server of this cluster: to clients only.
    Route,
    /// Another cluster: to clients, and to the other servers of this one.
    Gateway,
}
