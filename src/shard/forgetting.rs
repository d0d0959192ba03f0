//! Peers whose routes have ended and whose interest still stands in the replicas, as void: it is taken out in slices.

use crate::base::PeerId;
use crate::interest::Cursor;
use std::collections::VecDeque;

/// One peer after the other: which, the account that is being gone through, and how far.
pub(super) type Forgetting = VecDeque<(PeerId, u16, Cursor)>;
