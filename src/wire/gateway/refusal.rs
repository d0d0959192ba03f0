//! The words with which the other end of a gateway is turned away while hands are shaken (cluster-protocol.md §4.5). What
//! a [`crate::wire::Fault`] has a text for is said with that.

use std::fmt;

use crate::wire::fault::write_quoted;

/// Why a connection cannot be a gateway. Its `Display` is the text between the quotes of `-ERR`, names of the other end's
/// choosing escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayRefusal<'a> {
    /// A client or a route on the gateway port: its CONNECT names no gateway.
    NoGateway,
    /// A cluster that is not configured, where only those are let in. The name is that of who refuses.
    Unknown(&'a str),
    /// Dialed: what answers is no gateway port.
    WrongPort {
        /// The cluster that was wanted.
        wanted: &'a str,
    },
    /// Dialed: another cluster answers.
    Other {
        /// Who we are.
        ours: &'a str,
        /// The cluster that was wanted.
        wanted: &'a str,
        /// The one that answers.
        found: &'a str,
    },
    /// A server of our own cluster's name that is no member's gateway link (ours; nats-server says nothing).
    OwnCluster(&'a str),
    /// A server of the name of a member of this cluster (ours; nats-server says nothing).
    ServerName(&'a str),
}

impl fmt::Display for GatewayRefusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        match self {
            GatewayRefusal::NoGateway => text.extend_from_slice(b"attempted to connect to gateway port"),
            GatewayRefusal::Unknown(name) => {
                write_quoted(&mut text, "Connection to gateway ", name.as_bytes());
                text.extend_from_slice(b" rejected");
            }
            GatewayRefusal::WrongPort { wanted } => {
                write_quoted(&mut text, "Attempt to connect to gateway ", wanted.as_bytes());
                text.extend_from_slice(b" using wrong port");
            }
            GatewayRefusal::Other { ours, wanted, found } => {
                write_quoted(&mut text, "Connection from ", ours.as_bytes());
                write_quoted(&mut text, " rejected, wanted to connect to ", wanted.as_bytes());
                write_quoted(&mut text, ", this is ", found.as_bytes());
            }
            GatewayRefusal::OwnCluster(name) => {
                write_quoted(&mut text, "Rejecting gateway connection, this is cluster ", name.as_bytes());
                text.extend_from_slice(b" too: members of one cluster connect by routes");
            }
            GatewayRefusal::ServerName(name) => {
                write_quoted(&mut text, "Rejecting gateway connection, server name ", name.as_bytes());
                text.extend_from_slice(b" is used in this cluster too");
            }
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}
