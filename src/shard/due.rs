//! What the shard's wheel holds. The journeys set the timers, `tick` acts on them.

use crate::base::ConnId;

/// A timer of the shard's wheel. None is ever cancelled: each checks whether it still means something, and when there
/// are many more than connections, those of ended ones are forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// CONNECT must have been accepted by now.
    Auth(ConnId),
    /// Is the peer there? Armed at the accept, and anew by CONNECT, which ends the former (false).
    Ping(ConnId, bool),
    /// Who presented a wrong password is told so.
    Refused(ConnId),
    /// Lines about what happened too often to be said each time.
    Repeats,
    /// Has the peer taken any byte?
    Progress(ConnId),
    /// Time to write last words is over.
    LastWords(ConnId),
    /// Time to read them is over.
    Linger(ConnId),
    /// Is the other server there?
    Server(ConnId),
    /// Look at the jams.
    Jams,
    /// Members should have answered by now, in this round (`shard::assurance`).
    Assurance(u64),
    /// The next clients of a lame duck go.
    Farewell,
    /// A client's answers to another cluster are late.
    Answers(ConnId),
    /// Requests to other clusters can be answered no longer.
    Grants,
    /// Somebody's time may be over.
    Expiry,
    /// Requests to services may wait no longer.
    Services,
    /// What clients began to want in this account is new no longer.
    Recent(u16),
}

impl Due {
    /// The connection that it is for.
    pub(super) fn conn(self) -> Option<ConnId> {
        match self {
            Due::Auth(c)
            | Due::Ping(c, _)
            | Due::Refused(c)
            | Due::Progress(c)
            | Due::LastWords(c)
            | Due::Linger(c)
            | Due::Answers(c)
            | Due::Server(c) => Some(c),
            Due::Repeats
            | Due::Jams
            | Due::Assurance(_)
            | Due::Farewell
            | Due::Grants
            | Due::Expiry
            | Due::Services
            | Due::Recent(_) => None,
        }
    }
}
