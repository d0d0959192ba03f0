//! Floor 0: what any deterministic program needs and that knows nothing of NATS: time as a value, ids,
//! randomness from a seed, slots with generations, a timer wheel, a seeded hasher, notices at a bounded rate.

mod hash;
mod ids;
mod level;
pub mod limits;
mod notices;
mod rng;
mod slots;
mod time;
mod wheel;

pub use hash::{same, Map, Seeded, Set};
pub use ids::{Cid, ConnId, FarId, FarSet, PeerId, PeerSet, ShardId, ShardSet};
pub use level::Level;
pub use notices::Notices;
pub use rng::Rng;
pub use slots::{Slot, Slots};
pub use time::{Now, Time, MICROSECOND, MILLISECOND, SECOND};
pub use wheel::Wheel;
