//! Floor 5: everything one core knows.

pub mod report;

pub use report::{Answer, Ask, Order};
