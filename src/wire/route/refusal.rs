//! The words with which a peer is turned away while it greets (cluster-protocol.md §3.5). What a [`crate::wire::Fault`]
//! has a text for is said with that.

use std::fmt;

use crate::wire::fault::write_quoted;

/// Why a connection cannot be a route. Its `Display` is the text between the quotes of `-ERR`, names of the peer's
/// choosing escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// A client on the route port: its CONNECT names a `lang`.
    Client,
    /// A gateway on the route port.
    Gateway(&'a str),
    /// A member of another cluster.
    Cluster {
        /// What it says.
        theirs: &'a str,
        /// What we are.
        ours: &'a str,
    },
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        match self {
            Refusal::Client => text.extend_from_slice(b"attempted to connect to route port"),
            Refusal::Gateway(name) => {
                write_quoted(&mut text, "Rejecting connection from gateway ", name.as_bytes());
                text.extend_from_slice(b" on the Route port");
            }
            Refusal::Cluster { theirs, ours } => {
                write_quoted(&mut text, "Rejecting connection, cluster name ", theirs.as_bytes());
                write_quoted(&mut text, " does not match ", ours.as_bytes());
            }
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}
