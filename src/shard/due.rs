//! What the shard's wheel holds. The journeys set the timers, `tick` acts on them.

use crate::base::ConnId;

/// A timer of the shard's wheel. None is ever cancelled: each checks whether it still means something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// CONNECT must have been accepted by now.
    Auth(ConnId),
    /// Is the peer there? Armed at the accept, and anew by CONNECT, which ends the former (false).
    Ping(ConnId, bool),
    /// Has the peer taken any byte?
    Progress(ConnId),
    /// Time to write last words is over.
    LastWords(ConnId),
    /// Time to read them is over.
    Linger(ConnId),
    /// Is the peer of this route there?
    Route(ConnId),
    /// Look at the jams.
    Jams,
}
