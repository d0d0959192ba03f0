//! Subscriptions of connections that have ended. A client may leave behind hundreds of thousands of them: they are taken
//! out in slices (`subscribe`), so that nobody waits for it. One that is still there matches but receives nothing: its
//! connection does not live any more, and a message for its queue group goes to another member.

use crate::base::Slot;
use crate::interest::permit::Permit;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is still to be taken out, by connection, with what its client was permitted when it ended: by that it stands in the
/// replicas, whatever a reload says. One per shard.
pub(super) type Abandoned = VecDeque<(hashbrown::hash_table::IntoIter<Slot>, Option<Arc<Permit>>)>;
