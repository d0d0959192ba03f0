//! The clients of a lame duck that are still to be ended, and how fast. Filled and emptied by `farewell`.

use crate::base::ConnId;

/// Clients to be ended. One per shard.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    /// In reverse order.
    pub(super) left: Vec<ConnId>,
    /// From one time to the next.
    pub(super) pause_ns: u64,
    /// How many at a time: more than one where the pause would be shorter than a tick of the wheel.
    pub(super) at_once: usize,
    /// [`Act::Vacant`](super::Act::Vacant) is said.
    pub(super) vacant: bool,
}
