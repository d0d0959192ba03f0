//! Rounds in which members are asked whether they know what they were told. `assurance` begins and ends them.

use crate::base::ConnId;

/// The round that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Members have been asked and not all have answered.
    pub(super) open: bool,
    /// How many there were.
    pub(super) round: u64,
    /// Links on which something waits for them.
    pub(super) held: Vec<ConnId>,
}
