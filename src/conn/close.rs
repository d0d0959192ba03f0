//! Why a connection ended: drives what the peer is told, the log and monitoring (client-protocol.md §18).

use crate::wire::Fault;

/// The reason of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client went.
    Client,
    /// Reading or writing failed.
    Io(String),
    /// It could not be made private: why.
    Handshake(String),
    /// The client broke a rule.
    Fault(Fault),
    /// More bytes waited than `max_pending`.
    PendingBytes,
    /// More bytes waited for all than `max_pending_total`, and the most of them for this one.
    PendingTotal,
    /// The server is short of memory, and much of it waited for this one.
    Scarce,
    /// No byte was taken within `write_deadline`.
    WriteDeadline,
    /// The server stops.
    Shutdown,
    /// An operator asked for it.
    Kicked,
    /// Who was let in is not any more, and is told nothing.
    Withdrawn {
        /// As monitoring names it.
        reason: &'static str,
    },
    /// A route is ended for a reason of the cluster's.
    Route {
        /// What the peer is told; empty: nothing.
        says: String,
        /// Why, for people.
        why: String,
    },
}

impl Close {
    /// The reason as monitoring names it.
    pub fn reason(&self) -> &'static str {
        match self {
            Close::Client => "Client Closed",
            Close::Io(what) if what.starts_with("write") => "Write Error",
            Close::Io(_) => "Read Error",
            Close::Handshake(_) => "TLS Handshake Failure",
            Close::PendingBytes | Close::PendingTotal | Close::Scarce => "Slow Consumer (Pending Bytes)",
            Close::WriteDeadline => "Slow Consumer (Write Deadline)",
            Close::Shutdown => "Server Shutdown",
            Close::Kicked => "Kicked",
            Close::Withdrawn { reason } => reason,
            Close::Route { .. } => "Route Removed",
            Close::Fault(f) => match f {
                Fault::UnknownOperation
                | Fault::Malformed
                | Fault::InvalidSubscription
                | Fault::InterestFromDialer
                | Fault::MessageFromAcceptor => "Protocol Violation",
                Fault::ControlLine => "Maximum Control Line Exceeded",
                Fault::Payload => "Maximum Message Payload Exceeded",
                Fault::Authorization => "Authentication Failure",
                Fault::AuthTimeout => "Authentication Timeout",
                Fault::Expired | Fault::AccountExpired => "Authentication Expired",
                Fault::Revoked => "Credentials Revoked",
                Fault::ClientProtocol => "Bad Client Protocol Version",
                Fault::NoRespondersNeedsHeaders => "No Responders Requires Headers",
                Fault::Connections | Fault::Throttled => "Maximum Connections Exceeded",
                Fault::AccountConnections => "Maximum Account Connections Exceeded",
                Fault::Stale => "Stale Connection",
                Fault::PeerError => "Parse Error",
            },
        }
    }

    /// What the peer is told in an `-ERR`; empty for a silent end.
    pub fn text(&self) -> &str {
        match self {
            Close::Route { says, .. } => says,
            Close::Fault(f) => f.text(),
            _ => "",
        }
    }

    /// The reason for people: with what is known beyond [`Close::reason`].
    pub fn detail(&self) -> String {
        match self {
            Close::Route { why, .. } => why.clone(),
            Close::Io(what) | Close::Handshake(what) => what.clone(),
            Close::Client => "the peer closed it".to_owned(),
            Close::Withdrawn { .. } => "its user is not let in any more".to_owned(),
            other => other.reason().to_owned(),
        }
    }

    /// Is what waits for the peer still written? Not where writing is what failed.
    pub fn flushes(&self) -> bool {
        !matches!(
            self,
            Close::Io(_)
                | Close::Handshake(_)
                | Close::PendingBytes
                | Close::PendingTotal
                | Close::Scarce
                | Close::WriteDeadline
        )
    }
}
