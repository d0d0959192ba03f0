//! Ends that are known beforehand: of tokens, and whether there are any of accounts and of what they share
//! (`shard::passes`, `shard::shares`). One per shard.

use crate::base::{Cid, ConnId};
use crate::policy::Auth;
use std::collections::BTreeMap;

/// Ends that are known beforehand. One per shard.
#[derive(Debug)]
pub struct Expiries {
    /// Connections by when they end, nanoseconds since 1970. One that has gone, or has another end now, is passed over.
    pub ends: BTreeMap<(u64, Cid), ConnId>,
    /// There are accounts that end.
    pub accounts: bool,
    /// There are imports that begin or end.
    pub shares: bool,
    /// A timer runs.
    pub watched: bool,
}

impl Expiries {
    /// None yet; what accounts say stands in `auth`.
    pub fn new(auth: &Auth) -> Expiries {
        Expiries { ends: BTreeMap::new(), accounts: accounts_end(auth), shares: shares_change(auth), watched: false }
    }
}

/// Are there accounts that end?
pub fn accounts_end(auth: &Auth) -> bool {
    auth.trust.as_ref().is_some_and(|t| t.charters.values().any(|c| c.expires != 0))
}

/// Are there imports that begin or end?
pub fn shares_change(auth: &Auth) -> bool {
    auth.accounts.iter().any(|a| !a.shares.timed.is_empty())
}
