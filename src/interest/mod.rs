//! Floor 2: who wants what.

pub mod trie;
