//! How many connections an account has, as shards tell each other, and who of them may have to go (`thinning`).

use crate::base::{Cid, ConnId, Time};

/// The connections of an account on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headcount {
    /// How many.
    pub n: u32,
    /// The number of the newest of those that may have to go; 0: it is not said.
    pub newest: u64,
}

/// What a shard has of an account whose limit has changed.
#[derive(Debug, Default)]
pub struct Thinning {
    /// Those who are there, the newest at the end.
    pub here: Vec<(Cid, ConnId)>,
    /// After that nobody has to go.
    pub ends_at: Time,
}
