//! Who waits for whom on this shard. `pace` says when a jam begins and ends.

use super::batch::Press;
use crate::base::{ConnId, ShardId};

/// One publisher that is waiting.
#[derive(Debug)]
pub(super) struct Jam {
    /// Where it is connected.
    pub(super) shard: ShardId,
    pub(super) publisher: ConnId,
    /// It waits for this route; else for `blockers`.
    pub(super) route: Option<ConnId>,
    /// Any one of them being free ends the jam.
    pub(super) blockers: Vec<ConnId>,
}

impl Jam {
    /// What is asked of the publisher.
    pub(super) fn press(&self) -> Press {
        match self.route {
            Some(_) => Press::Route,
            None => Press::All,
        }
    }
}

/// All jams of a shard.
#[derive(Debug, Default)]
pub(super) struct Jams {
    pub(super) open: Vec<Jam>,
    /// Is a look at them due?
    pub(super) looking: bool,
}
