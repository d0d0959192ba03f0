//! Floor 5: everything one core knows; pure and deterministic. [`Shard`] is the state machine, [`Turn`] and [`Flush`]
//! the only way to drive it; production does so from glommio, tests from a simulator.

pub mod batch;
pub mod ledger;
pub mod report;

mod verdict;

mod outbox;

mod answer;
mod core;
mod dispatch;
mod ending;
mod enter;
mod hear;
mod pace;
mod publish;
mod subscribe;
mod tick;
mod turn;

pub use batch::Batch;
pub use core::{Act, Identity, Lost, Opening, Setup, Shard};
pub use report::{Answer, Ask, Order};
pub use turn::{Flush, Rings, Sockets, Stuck, Turn};
