//! Peers whose routes have ended, and clusters whose links have, and whose interest still stands in the replicas, as void: it is taken out in slices.

use crate::base::{FarId, PeerId};
use crate::interest::Cursor;
use std::collections::VecDeque;

/// One peer after the other: which, the account that is being gone through, and how far.
pub(super) type Forgetting = VecDeque<(PeerId, u16, Cursor)>;
/// The same for other clusters.
pub(super) type ForgettingFars = VecDeque<(FarId, u16, Cursor)>;
