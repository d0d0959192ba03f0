//! What is missing, as it is remembered while it lasts: a member, or this server's gateway. Kept by the mesh, made and
//! ended by `watch`.

use crate::base::Time;

/// A member that others reach.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub name: String,
    pub address: String,
    /// Who reaches it, for people.
    pub via: Vec<String>,
    pub since: Time,
    /// When to speak of it next.
    pub say_at: Time,
    /// How often it was spoken of.
    pub said: usize,
}

impl Missing {
    /// Is it a gap that others should know of?
    pub(super) fn lasting(&self) -> bool {
        self.said > 0
    }
}

/// Members have gateways, and this server has none.
#[derive(Clone, Debug)]
pub(super) struct Gatewayless {
    pub since: Time,
    /// When to speak of it next.
    pub say_at: Time,
    /// How often it was spoken of.
    pub said: usize,
}
