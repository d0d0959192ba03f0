//! Floor 2: who wants what.

mod trie;

mod replica;

pub use replica::{Queue, Replica, Want};
pub use trie::Trie;
