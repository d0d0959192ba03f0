//! Floor 2: who wants what. A [`Trie`] holds anything by pattern and finds what matches a subject; a [`Replica`] is the
//! trie of one account with the interest of every shard in it; [`far`] is what other clusters want of it; [`border`] is what
//! of it may cross to them; [`permit`] is what single users may do.

pub mod border;
pub mod far;
mod guarded;
pub mod permit;
mod replica;
mod trie;

pub use guarded::Guarded;
pub use replica::{News, PeerNews, Place, Queue, Replica, Want};
pub use trie::{Cursor, Trie};
