//! Floor 5: everything one core knows; pure and deterministic. [`Shard`] is the state machine, [`Turn`] and [`Flush`]
//! the only way to drive it; production does so from glommio, tests from a simulator.
//!
//! What a shard is made of stands below `core`, which holds the struct; what it does stands above, a file per journey of
//! a message or a connection, each an `impl Shard`: `dispatch`, `publish`, `repeat`, `subscribe`, `hear`, `enter`, `ending`,
//! `tick`, `pace`, `answer`. `turn` says in which order it is called.

// What it is made of.
mod abandoned;
mod barriers;
pub mod batch;
mod crossings;
mod diary;
mod due;
mod ends;
mod entries;
mod expiries;
mod forgetting;
mod gates;
mod grants;
mod headcount;
mod identity;
mod jams;
mod leavers;
pub mod ledger;
mod origin;
mod outbox;
mod past;
mod peers;
mod privacy;
mod recent;
mod relayed;
mod repeats;
pub mod report;
mod reserved;
mod rewrites;
mod rights;
mod rounds;
mod services;
mod shares;
mod strangers;
mod stretch;
pub mod traced;
mod verdict;

mod core;

// What it does.
mod accounts;
mod ahead;
mod answer;
mod asked;
mod assurance;
mod border;
mod crossing;
mod dispatch;
mod edges;
mod ending;
mod enter;
mod explain;
mod far_edges;
mod farewell;
mod gateway_report;
mod gateways;
mod groups;
mod happenings;
mod hear;
mod pace;
mod passes;
mod publish;
mod relay;
mod repeat;
mod replies;
mod routes;
mod subscribe;
mod system;
mod table;
mod thinning;
mod tick;
mod tracing;
mod wanted;

mod turn;
mod upgrade;

pub use self::core::{Act, Lost, Opening, Setup, Shard};
pub use crate::base::limits::TURN_DELIVERIES_MAX;
pub use batch::Batch;
pub use identity::Identity;
pub use privacy::Privacy;
pub use report::{Answer, Ask, Happened, Happening, Order, SystemQuestion};
pub use turn::{Flush, Rings, Sockets, Stuck, Turn};
