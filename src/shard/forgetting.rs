//! Peers whose routes have ended, and clusters whose links have, and whose interest still stands in the replicas, as void: it is taken out in slices.

use crate::base::{FarId, PeerId};
use crate::interest::Cursor;
use std::collections::VecDeque;

/// One peer after the other: which, the account that is being gone through, and how far.
pub(super) type Forgetting = VecDeque<(PeerId, u16, Cursor)>;
/// Clusters whose link has ended, and the first account where something of theirs may still stand.
pub(super) type ForgettingFars = VecDeque<(FarId, u16)>;
